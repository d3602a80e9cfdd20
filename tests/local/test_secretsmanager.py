"""One version of a secret is the current one, whichever way the label came to it."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from local import secretsmanager


@pytest.fixture
def secrets(aws_mock: None) -> Iterator[Any]:
    patches = secretsmanager.install()
    yield boto3.client("secretsmanager")
    patches.undo()


def versions(secrets: Any, stage: str) -> list[str]:
    stages = secrets.describe_secret(SecretId="s")["VersionIdsToStages"]
    return [version for version, labels in stages.items() if stage in labels]


def rotated(secrets: Any) -> tuple[str, str]:
    """A secret whose pending version was made the current one, as a rotation does; old and new version."""
    old = secrets.create_secret(Name="s", SecretString="old")["VersionId"]
    new = secrets.put_secret_value(SecretId="s", SecretString="new", VersionStages=["AWSPENDING"])["VersionId"]
    secrets.update_secret_version_stage(
        SecretId="s", VersionStage="AWSCURRENT", MoveToVersionId=new, RemoveFromVersionId=old
    )
    return old, new


def test_a_moved_label_makes_its_version_the_one_that_is_read(secrets: Any) -> None:
    old, new = rotated(secrets)
    assert versions(secrets, "AWSCURRENT") == [new]
    assert versions(secrets, "AWSPREVIOUS") == [old]
    assert secrets.get_secret_value(SecretId="s")["SecretString"] == "new"


def test_a_value_written_after_a_moved_label_is_the_only_current_one(secrets: Any) -> None:
    _, new = rotated(secrets)
    newest = secrets.put_secret_value(SecretId="s", SecretString="newest")["VersionId"]
    assert versions(secrets, "AWSCURRENT") == [newest]
    assert versions(secrets, "AWSPREVIOUS") == [new]
    assert secrets.get_secret_value(SecretId="s")["SecretString"] == "newest"


def test_moto_without_the_mend_has_two_current_versions(aws_mock: None) -> None:
    client = boto3.client("secretsmanager")
    rotated(client)
    client.put_secret_value(SecretId="s", SecretString="newest")
    assert len(versions(client, "AWSCURRENT")) > 1  # when this fails, moto was mended: delete local/secretsmanager.py
