"""`./bmx bootstrap` against moto, in this process: what it makes, that it makes it once, and what it puts right."""

import json

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from ops.bootstrap.command import Bootstrap, Plan, Repository, plan
from ops.bootstrap.roles import ISSUER, ROLES, role_name
from ops.cli import app
from ops.errors import UserError

ACCOUNT, REGION = "123456789012", "us-west-2"
BUCKET, ALIAS = f"bmx-shop-staging-state-{ACCOUNT}", "alias/bmx-shop-staging-state"
WANTED = Plan("staging", Repository("owner", "name"), REGION, "shop-staging", "adopted", (ACCOUNT,))


def client(service):
    return boto3.client(service, region_name=REGION)


@pytest.fixture
def aws(monkeypatch, aws_keys):
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield


def boot(wanted=WANTED, **options):
    said: list[str] = []
    Bootstrap(wanted, client, said.append, **options).run()
    return [line for line in said if line.startswith(("made", "would"))], said


@pytest.mark.usefixtures("aws")
def test_the_bucket_is_versioned_sealed_closed_and_speaks_only_tls():
    boot()
    s3, key = client("s3"), client("kms").describe_key(KeyId=ALIAS)["KeyMetadata"]["KeyId"]
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    (rule,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    assert all(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values())
    (statement,) = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert client("kms").get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]


@pytest.mark.usefixtures("aws")
def test_the_roles_trust_their_environments_and_have_the_policies_of_the_mode():
    _, said = boot()
    iam = client("iam")
    subjects = []
    for role in ROLES:
        found = iam.get_role(RoleName=role_name(role, "shop-staging"))["Role"]["AssumeRolePolicyDocument"]
        subjects.append(found["Statement"][0]["Condition"].get("StringEquals", {}).get(f"{ISSUER}:sub"))
    ours = [f"repo:owner/name:environment:staging{suffix}" for suffix in ("", "-preview", "-drift")]
    assert subjects == [*ours, None]
    names = iam.list_role_policies(RoleName="bmx-shop-staging-deploy")["PolicyNames"]
    assert sorted(names) == ["deploy", "deploy-adopted"]
    assert [
        each["Arn"].rsplit("/", 1)[-1] for each in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    ] == [ISSUER]
    assert f"  pulumi login 's3://{BUCKET}?region={REGION}'" in said
    assert f"  pulumi stack init staging --secrets-provider 'awskms://{ALIAS}?region={REGION}'" in said


@pytest.mark.usefixtures("aws")
def test_only_a_managed_database_takes_the_role_of_rds_which_is_made_once_an_account():
    made, _ = boot()
    assert not any("AWSServiceRoleForRDS" in line for line in made)
    managed = Plan(**{**vars(WANTED), "mode": "managed"})
    role = "role AWSServiceRoleForRDS, which an account's first RDS instance takes"
    assert f"would be made: {role}" in boot(managed, dry_run=True)[0]
    assert f"made: {role}" in boot(managed)[0]
    # Not by its name, which moto spells otherwise.
    assert len(client("iam").list_roles(PathPrefix="/aws-service-role/rds.amazonaws.com/")["Roles"]) == 1
    assert boot(managed)[0] == []


@pytest.mark.usefixtures("aws")
def test_a_second_run_makes_nothing():
    made, _ = boot()
    assert len(made) > 10
    again, said = boot()
    assert again == []
    assert "everything is there, as it should be" in said


@pytest.mark.usefixtures("aws")
def test_a_dry_run_says_the_same_and_makes_nothing():
    would, _ = boot(dry_run=True)
    assert client("s3").list_buckets()["Buckets"] == []
    assert client("iam").list_roles()["Roles"] == []
    assert client("kms").list_keys()["Keys"] == []
    made, _ = boot()
    assert [line.replace("would be made", "made") for line in would] == made


@pytest.mark.usefixtures("aws")
def test_what_differs_is_put_right_and_a_policy_of_another_mode_goes():
    boot()
    iam = client("iam")
    client("s3").delete_public_access_block(Bucket=BUCKET)
    wide = iam.get_role(RoleName="bmx-shop-staging-deploy")["Role"]["AssumeRolePolicyDocument"]
    wide["Statement"][0]["Condition"]["StringEquals"][f"{ISSUER}:sub"] = "repo:owner/name:ref:refs/heads/any"
    iam.update_assume_role_policy(RoleName="bmx-shop-staging-deploy", PolicyDocument=json.dumps(wide))
    made, _ = boot(Plan(**{**vars(WANTED), "mode": "managed"}))
    assert made == [
        "made: the bucket's block of public access",
        "made: role AWSServiceRoleForRDS, which an account's first RDS instance takes",
        "made: trust of bmx-shop-staging-deploy",
        "made: policy deploy-managed of bmx-shop-staging-deploy",
        "made: bmx-shop-staging-deploy without the policy deploy-adopted",
    ]
    assert boot(Plan(**{**vars(WANTED), "mode": "managed"}))[0] == []


@pytest.mark.usefixtures("aws")
def test_another_accounts_credentials_are_refused_before_anything_is_made():
    with pytest.raises(UserError, match="lies in 999999999999"):
        boot(Plan(**{**vars(WANTED), "accounts": ("999999999999",)}))
    assert client("s3").list_buckets()["Buckets"] == []


@pytest.mark.usefixtures("aws")
def test_the_command_line_takes_the_environments_file_and_refuses_the_placeholder_account():
    done = CliRunner().invoke(app, ["bootstrap", "--environment", "staging", "--repository", "owner/name", "--dry-run"])
    assert isinstance(done.exception, UserError)
    assert "staging lies in 111111111111" in done.exception.message


def test_the_plan_is_the_stacks_own():
    assert plan("staging", "o/n") == Plan(
        "staging", Repository("o", "n"), REGION, "bluemoxon-staging", "adopted", ("111111111111",)
    )


@pytest.mark.usefixtures("aws")
def test_a_repository_with_its_ids_is_trusted_by_both_its_names_and_without_them_it_is_said_who_is_not():
    known = plan("staging", "owner@12/name@34").repository
    assert (str(known), known.immutable) == ("owner/name", "owner@12/name@34")
    _, unknown = boot()
    assert any("made, renamed or transferred after 15 July 2026" in line for line in unknown)
    _, said = boot(Plan(**{**vars(WANTED), "repository": known}))
    assert not any("15 July 2026" in line for line in said)
    found = client("iam").get_role(RoleName="bmx-shop-staging-deploy")["Role"]["AssumeRolePolicyDocument"]
    claims = found["Statement"][0]["Condition"]["StringEquals"]
    assert claims[f"{ISSUER}:sub"] == [f"repo:{named}:environment:staging" for named in (str(known), known.immutable)]
    assert (claims[f"{ISSUER}:repository_id"], claims[f"{ISSUER}:ref"]) == ("34", "refs/heads/main")


@pytest.mark.usefixtures("aws")
def test_it_is_said_that_what_stack_init_writes_must_be_committed():
    _, said = boot()
    assert any(line.startswith("  git commit Pulumi.staging.yaml") and "encryptedkey" in line for line in said)


@pytest.mark.parametrize(
    ("environment", "repository", "sentence"),
    [
        ("local", "o/n", "no environment 'local'"),
        ("nowhere", "o/n", "no environment 'nowhere'"),
        ("../x", "o/n", "no environment"),
        ("staging", "name", "is no repository"),
        ("staging", "owner/*", "is no repository"),
        ("staging", "owner@12/name", "is no repository"),
        ("staging", "owner/name@34", "is no repository"),
        ("staging", "owner@x/name@34", "is no repository"),
    ],
)
def test_what_cannot_be_is_refused(environment, repository, sentence):
    with pytest.raises(UserError, match=sentence):
        plan(environment, repository)
