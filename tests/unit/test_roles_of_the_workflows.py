"""What each role of the workflows may do and what it may not, by IAM's own evaluation of `docs/iam`."""

import json

import pytest
import yaml

from local import iam_policy
from local.iam_policy import Access, Principal, decide, parse
from ops.bootstrap.roles import FOLDER, ISSUER, ROLES, policies, role_name, trust
from ops.paths import ROOT
from tests.environment import ACCOUNT, VALUES

LONGEST_INLINE = 10_240  # of all inline policies of a role: IAM's quotas
BY_NAME = {role.name: role for role in ROLES}


def arn(service, rest):
    return f"arn:aws:{service}:us-west-2:{ACCOUNT}:{rest}"


DATABASE, GROUP = arn("rds", "db:shop-staging-database"), arn("rds", "pg:shop-staging-database-16")
SECRET, OTHER_SECRET = (
    arn("secretsmanager", f"secret:shop-staging/{name}-AbCdEf") for name in ("database", "api-keys")
)
RDS_SECRET = arn("secretsmanager", "secret:rds!db-1-AbCdEf")
STATE, LOCK = (f"arn:aws:s3:::shop-state/.pulumi/{path}" for path in ("stacks/s/staging.json", "locks/a/b.json"))
STATE_KEY, OTHER_KEY = arn("kms", "key/0000-1111"), arn("kms", "key/2222")
QUEUE, OTHER_QUEUE = arn("sqs", "shop-staging-orders"), arn("sqs", "payroll")
FUNCTION, MIGRATE = arn("lambda", "function:shop-staging-api"), arn("lambda", "function:shop-staging-migrate")
IAM = f"arn:aws:iam::{ACCOUNT}:role/"
MANAGED, UNMANAGED = {"rds:managemasteruserpassword": "true"}, {"rds:managemasteruserpassword": "false"}
NOTHING: dict[str, str] = {}
LAMBDA = {"iam:passedtoservice": "lambda.amazonaws.com"}

# (role, mode, action, resource, context): every line is one thing that a workflow or an operator does.
MAY = [
    ("deploy", "managed", "rds:CreateDBInstance", DATABASE, MANAGED),
    ("deploy", "managed", "rds:ModifyDBInstance", DATABASE, MANAGED),
    ("deploy", "managed", "rds:ModifyDBParameterGroup", GROUP, NOTHING),
    ("deploy", "managed", "secretsmanager:CreateSecret", RDS_SECRET, NOTHING),
    ("deploy", "managed", "secretsmanager:PutSecretValue", SECRET, NOTHING),
    *[
        ("deploy", mode, *rest)
        for mode in ("managed", "adopted", "external")
        for rest in (
            ("rds:DescribeDBInstances", DATABASE, NOTHING),
            ("rds:AddTagsToResource", DATABASE, NOTHING),
            ("s3:PutObject", STATE, NOTHING),
            ("s3:DeleteObject", LOCK, NOTHING),
            ("kms:Decrypt", STATE_KEY, NOTHING),
            ("sqs:CreateQueue", QUEUE, NOTHING),
            ("lambda:UpdateFunctionCode", FUNCTION, NOTHING),
            ("lambda:InvokeFunction", MIGRATE, NOTHING),
            ("iam:CreateRole", IAM + "shop-staging-api", NOTHING),
            ("iam:PassRole", IAM + "shop-staging-api", LAMBDA),
            ("secretsmanager:CreateSecret", OTHER_SECRET, NOTHING),
            ("secretsmanager:DescribeSecret", SECRET, NOTHING),
            ("kms:CreateKey", "*", NOTHING),
            ("logs:CreateLogGroup", arn("logs", "log-group:/aws/lambda/shop-staging-api"), NOTHING),
            ("logs:PutLogEvents", arn("logs", "log-group:/shop-staging/operations:log-stream:a"), NOTHING),
            ("s3:PutObject", "arn:aws:s3:::shop-staging-releases/2.json", NOTHING),
            ("ecr:BatchGetImage", "arn:aws:ecr:us-west-2:999999999999:repository/shop/worker", NOTHING),
        )
    ],
    *[
        (role, mode, *rest)
        for role in ("preview", "drift")
        for mode in ("managed", "adopted")
        for rest in (
            ("s3:GetObject", STATE, NOTHING),
            ("s3:ListBucket", "arn:aws:s3:::shop-state", NOTHING),
            ("s3:PutObject", LOCK, NOTHING),
            ("s3:DeleteObject", LOCK, NOTHING),
            ("kms:Decrypt", STATE_KEY, NOTHING),
            ("rds:DescribeDBInstances", DATABASE, NOTHING),
            ("secretsmanager:DescribeSecret", SECRET, NOTHING),
            ("sqs:GetQueueAttributes", QUEUE, NOTHING),
            ("lambda:GetFunction", FUNCTION, NOTHING),
            ("s3:GetEncryptionConfiguration", "arn:aws:s3:::shop-staging-images", NOTHING),
        )
    ],
    ("break-glass", "adopted", "rds:ModifyDBInstance", DATABASE, NOTHING),
    ("break-glass", "managed", "rds:ModifyDBInstance", DATABASE, NOTHING),
    ("break-glass", "adopted", "rds:RestoreDBInstanceFromDBSnapshot", arn("rds", "db:shop-staging-restored"), NOTHING),
    ("break-glass", "adopted", "secretsmanager:PutSecretValue", SECRET, NOTHING),
    ("break-glass", "adopted", "secretsmanager:UpdateSecretVersionStage", SECRET, NOTHING),
    ("break-glass", "managed", "secretsmanager:GetSecretValue", RDS_SECRET, NOTHING),
    ("break-glass", "managed", "secretsmanager:RotateSecret", RDS_SECRET, NOTHING),
    ("break-glass", "adopted", "lambda:InvokeFunction", MIGRATE, NOTHING),
    (
        "break-glass",
        "adopted",
        "logs:PutLogEvents",
        arn("logs", "log-group:/shop-staging/operations:log-stream:a"),
        NOTHING,
    ),
    ("break-glass", "adopted", "s3:GetObject", STATE, NOTHING),
]
CREDENTIAL_WAYS = [
    "rds:ModifyDBInstance",
    "rds:ModifyDBCluster",
    "rds:CreateDBInstance",
    "rds:CreateDBCluster",
    "rds:RestoreDBInstanceFromDBSnapshot",
    "rds:RestoreDBInstanceToPointInTime",
    "rds:RestoreDBInstanceFromS3",
    "rds:RestoreDBClusterFromSnapshot",
]
MAY_NOT = [
    *[("deploy", "managed", way, DATABASE, context) for way in CREDENTIAL_WAYS for context in (NOTHING, UNMANAGED)],
    *[
        ("deploy", mode, way, DATABASE, context)
        for mode in ("adopted", "external")
        for way in CREDENTIAL_WAYS
        for context in (NOTHING, UNMANAGED, MANAGED)
    ],
    *[
        ("deploy", mode, action, SECRET, NOTHING)
        for mode in ("adopted", "external")
        for action in ("secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue", "secretsmanager:DeleteSecret")
    ],
    *[("deploy", mode, "rds:ModifyDBParameterGroup", GROUP, NOTHING) for mode in ("adopted", "external")],
    *[
        (role, mode, "rds:DeleteDBInstance", DATABASE, MANAGED)
        for role in BY_NAME
        for mode in ("managed", "adopted", "external")
    ],
    *[
        ("deploy", "managed", *rest)
        for rest in (
            ("secretsmanager:GetSecretValue", RDS_SECRET, NOTHING),
            ("secretsmanager:GetSecretValue", OTHER_SECRET, NOTHING),
            ("secretsmanager:DeleteSecret", SECRET, NOTHING),
            ("iam:UpdateAssumeRolePolicy", IAM + "bmx-shop-staging-deploy", NOTHING),
            ("iam:AttachRolePolicy", IAM + "bmx-shop-staging-break-glass", NOTHING),
            ("iam:PutRolePolicy", IAM + "shop-staging-api", NOTHING),
            ("iam:PassRole", IAM + "shop-staging-api", NOTHING),
            ("iam:PassRole", IAM + "shop-staging-api", {"iam:passedtoservice": "ec2.amazonaws.com"}),
            ("iam:PassRole", IAM + "admin", LAMBDA),
            ("sts:AssumeRole", IAM + "bmx-shop-staging-break-glass", NOTHING),
            ("kms:PutKeyPolicy", STATE_KEY, NOTHING),
            ("kms:ScheduleKeyDeletion", STATE_KEY, NOTHING),
            ("kms:ScheduleKeyDeletion", OTHER_KEY, NOTHING),
            ("kms:Decrypt", OTHER_KEY, NOTHING),
            ("s3:DeleteBucket", "arn:aws:s3:::shop-state", NOTHING),
            ("s3:PutBucketVersioning", "arn:aws:s3:::shop-state", NOTHING),
            ("sqs:DeleteQueue", OTHER_QUEUE, NOTHING),
        )
    ],
    *[
        (role, mode, *rest)
        for role in ("preview", "drift")
        for mode in ("managed", "adopted")
        for rest in (
            ("s3:PutObject", STATE, NOTHING),
            ("s3:DeleteObject", STATE, NOTHING),
            ("s3:PutObject", "arn:aws:s3:::shop-staging-releases/1.json", NOTHING),
            ("secretsmanager:GetSecretValue", SECRET, NOTHING),
            ("secretsmanager:GetSecretValue", RDS_SECRET, NOTHING),
            ("secretsmanager:BatchGetSecretValue", "*", NOTHING),
            ("rds:ModifyDBInstance", DATABASE, MANAGED),
            ("sqs:SendMessage", QUEUE, NOTHING),
            ("sqs:ReceiveMessage", QUEUE, NOTHING),
            ("lambda:InvokeFunction", FUNCTION, NOTHING),
            ("lambda:UpdateFunctionCode", FUNCTION, NOTHING),
            ("iam:CreateRole", IAM + "shop-staging-api", NOTHING),
        )
    ],
    ("break-glass", "adopted", "rds:ModifyDBInstance", arn("rds", "db:payroll"), NOTHING),
    ("break-glass", "adopted", "secretsmanager:GetSecretValue", OTHER_SECRET, NOTHING),
    ("break-glass", "adopted", "secretsmanager:DeleteSecret", SECRET, NOTHING),
    ("break-glass", "adopted", "lambda:UpdateFunctionCode", MIGRATE, NOTHING),
    ("break-glass", "adopted", "s3:PutObject", STATE, NOTHING),
    ("break-glass", "adopted", "logs:DeleteLogGroup", arn("logs", "log-group:/shop-staging/operations"), NOTHING),
]


def shown(case):
    role, mode, action, resource, context = case
    return "-".join([role, mode, action, resource.rsplit(":", 1)[-1], *context.values()])


@pytest.fixture(autouse=True)
def _pass_role_is_known(monkeypatch):
    # The embedded cloud never fills it in; here the table does.
    monkeypatch.setattr(iam_policy, "SUPPORTED_KEYS", iam_policy.SUPPORTED_KEYS | {"iam:passedtoservice"})


def verdict(role, mode, action, resource, context):
    documents = policies(BY_NAME[role], mode, VALUES)
    statements = [each for name, text in documents.items() for each in parse(text, f"{name} of {mode}", "identity")]
    return decide(Principal(ACCOUNT), Access(action, resource, context), statements, ())


@pytest.mark.parametrize("case", MAY, ids=shown)
def test_the_role_may(case):
    found = verdict(*case)
    assert found.allowed, found


@pytest.mark.parametrize("case", MAY_NOT, ids=shown)
def test_the_role_may_not(case):
    assert not verdict(*case).allowed


@pytest.mark.parametrize("way", CREDENTIAL_WAYS)
def test_a_managed_deployment_without_the_key_is_denied_and_not_only_not_allowed(way):
    assert "explicit deny" in verdict("deploy", "managed", way, DATABASE, NOTHING).reason
    assert "explicit deny" in verdict("deploy", "managed", way, DATABASE, UNMANAGED).reason


def test_only_break_glass_modifies_a_database_whose_password_rds_does_not_keep():
    able = [
        name
        for name in BY_NAME
        for mode in ("managed", "adopted", "external")
        if verdict(name, mode, "rds:ModifyDBInstance", DATABASE, NOTHING).allowed
    ]
    assert set(able) == {"break-glass"}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
@pytest.mark.parametrize("mode", ["managed", "adopted", "external"])
def test_a_roles_policies_fit_and_every_file_is_somebodys(role, mode):
    texts = policies(role, mode, {**VALUES, "PREFIX": "a-prefix-of-thirty-two-characters"})
    assert sum(map(len, texts.values())) <= LONGEST_INLINE
    assert "@" not in "".join(texts.values())


def test_no_file_of_the_folder_is_nobodys():
    used = {name for role in ROLES for mode in ("managed", "adopted") for name in policies(role, mode, VALUES)}
    assert {path.stem for path in FOLDER.glob("*.json")} == used | {"trust", "trust-break-glass"}


@pytest.mark.parametrize("role", [role for role in ROLES if role.github is not None], ids=lambda role: role.name)
def test_a_role_trusts_one_environment_of_one_repository_and_nothing_wider(role):
    # Conditions on the token are not modelled by the evaluator: the document is held to its exact form instead.
    (statement,) = json.loads(trust(role, VALUES, "staging"))["Statement"]
    assert statement["Principal"] == {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER}"}
    assert (statement["Effect"], statement["Action"]) == ("Allow", "sts:AssumeRoleWithWebIdentity")
    branch = {f"{ISSUER}:ref": "refs/heads/main"} if role.name in {"deploy", "drift"} else {}
    subject = f"repo:owner/name:environment:staging{role.github}"
    claims = {f"{ISSUER}:aud": "sts.amazonaws.com", f"{ISSUER}:sub": subject} | branch
    assert statement["Condition"] == {"StringEquals": claims}


def test_where_the_ids_are_known_both_forms_of_the_subject_are_trusted_and_the_id_is_asked_for():
    ids = {"IMMUTABLE_REPOSITORY": "owner@12/name@34", "REPOSITORY_ID": "34"}
    (statement,) = json.loads(trust(BY_NAME["preview"], VALUES | ids, "staging"))["Statement"]
    assert statement["Condition"]["StringEquals"] == {
        f"{ISSUER}:aud": "sts.amazonaws.com",
        f"{ISSUER}:sub": [f"repo:{named}:environment:staging-preview" for named in ("owner/name", "owner@12/name@34")],
        f"{ISSUER}:repository_id": "34",
    }


def test_break_glass_trusts_no_workflow_and_asks_for_a_second_factor():
    (statement,) = json.loads(trust(BY_NAME["break-glass"], VALUES, "staging"))["Statement"]
    assert statement["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    assert statement["Condition"] == {"Bool": {"aws:MultiFactorAuthPresent": "true"}}


def test_every_environment_that_a_workflow_takes_a_role_in_has_one():
    asked = set()
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            if "environment" in job:
                asked.add(job["environment"].replace("${{ matrix.stack }}", "staging").replace("prod", "staging"))
    assert asked == {f"staging{role.github}" for role in ROLES if role.github is not None}


def test_a_role_is_not_among_what_the_deployment_may_change():
    assert not any(role_name(role, "shop-staging").startswith("shop-staging-") for role in ROLES)
