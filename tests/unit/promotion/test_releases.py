"""Manifests in a stack's bucket: what a rollback goes back to, and what is never taken for a manifest."""

from datetime import timedelta

import boto3
import pytest
from moto import mock_aws

from ops.errors import UserError
from ops.promotion.manifest import ManifestError
from ops.promotion.releases import Releases
from ops.stacks import StackHandle
from tests.unit.promotion.test_manifest import NOW, manifest

BUCKET = "releases-of-staging"


@pytest.fixture
def s3(aws_keys):
    with mock_aws():
        client = boto3.client("s3", "us-west-2")
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        yield client


@pytest.fixture
def releases(s3):
    return Releases(StackHandle("staging", {"releases_bucket": BUCKET}, lambda service: s3))


def deployments(releases, *commits):
    """Write one manifest a minute and return them; a number stands for a commit."""
    made = [
        manifest(commit=str(commit) * 40, written_at=NOW + timedelta(minutes=minute), deployed_at=NOW)
        for minute, commit in enumerate(commits)
    ]
    for each in made:
        releases.write(each)
    return made


def test_the_latest_is_the_one_written_last(releases):
    made = deployments(releases, 1, 2, 3)
    assert releases.latest() == made[-1]
    assert releases.history() == made


def test_the_one_before_is_gone_back_to(releases):
    made = deployments(releases, 1, 2, 3)
    assert releases.before(made[2]) == made[1]


def test_a_deployment_that_changed_nothing_is_passed_over(releases):
    made = deployments(releases, 1, 2, 2, 2)
    assert releases.before(made[3]) == made[0]


def test_after_a_rollback_the_next_goes_one_further_back(releases):
    made = deployments(releases, 1, 2, 3)
    back = manifest(
        commit=made[1].commit, written_at=NOW + timedelta(hours=1), deployed_at=NOW, restores=made[1].sha256
    )
    releases.write(back)
    assert releases.latest() == back
    assert releases.before(back) == made[0]


@pytest.mark.parametrize("commits", [[1], [1, 1, 1]], ids=["the first", "always the same"])
def test_with_nothing_before_it_there_is_no_way_back(releases, commits):
    made = deployments(releases, *commits)
    with pytest.raises(UserError, match="no earlier manifest to go back to"):
        releases.before(made[-1])


def test_one_that_is_not_kept_any_more_has_nothing_before_it(releases):
    deployments(releases, 1, 2)
    with pytest.raises(UserError, match="no earlier manifest"):
        releases.before(manifest(commit="9" * 40))


def test_without_a_manifest_it_is_said_how_one_is_made(releases):
    with pytest.raises(UserError, match="staging has no manifest") as refused:
        releases.latest()
    assert "./bmx manifest write --stack staging" in refused.value.fix


def test_a_manifest_is_never_replaced(releases):
    (one,) = deployments(releases, 1)
    with pytest.raises(UserError, match="cannot be written"):
        releases.write(one)


def test_a_manifest_under_anothers_name_is_refused(releases, s3):
    one, other = deployments(releases, 1, 2)
    s3.put_object(Bucket=BUCKET, Key=releases.key(other), Body=one.to_bytes())
    with pytest.raises(ManifestError, match="its name is that of another content"):
        releases.latest()


def test_another_stacks_manifest_is_refused(releases):
    releases.write(manifest(stack="prod"))
    with pytest.raises(ManifestError, match="tells of the stack prod"):
        releases.latest()


def test_a_bucket_that_is_gone_is_named(releases, s3):
    s3.delete_bucket(Bucket=BUCKET)
    with pytest.raises(UserError, match=f"cannot be listed in {BUCKET}"):
        releases.latest()
