"""The deployment's role against the permissions that AWS's schemas name for the types that the program makes.

CloudFormation's handlers call more than the provider does, so each permission that they name is granted or stands below
with the reason. What the provider calls was read in hashicorp/terraform-provider-aws.
"""

import json

import pytest

from local import iam_policy
from local.iam_policy import Access, Principal, action_matches, decide, parse
from ops.bootstrap.roles import ROLES, Mode, policies
from tests.environment import ACCOUNT, VALUES
from tests.program.stacks import deployed
from tests.schemas.published import permissions
from tests.schemas.translation import TABLES

DEPLOY = next(role for role in ROLES if role.name == "deploy")
# Only the local stack's database is `managed`; what it makes is what such an environment makes on AWS.
MODES: dict[Mode, str] = {"adopted": "staging", "external": "prod", "managed": "local"}

# "Configure logging for HTTP APIs in API Gateway", section "Permissions to activate logging": on every resource.
TO_ACTIVATE_LOGGING = (
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
)

NOT_GRANTED: dict[str, tuple[str, ...]] = {
    "finds resources that nobody named; the provider reads those that it made, by name": (
        "cloudwatch:ListDashboards",
        "events:ListRules",
        "kms:ListKeys",
        "secretsmanager:ListSecrets",
        "sqs:ListQueues",
    ),
    "an administrator's, once an account: `./bmx bootstrap` makes the role where the database is managed": (
        "iam:CreateServiceLinkedRole",
    ),
    "takes away what cannot be had back; a person does that, in a session of an administrator": (
        "kms:DisableKey",
        "kms:EnableKey",
        "kms:ScheduleKeyDeletion",
        "rds:CreateDBSnapshot",
        "rds:DeleteDBInstance",
        "s3:DeleteBucket",
        "secretsmanager:DeleteSecret",
    ),
    "an adopted database is imported and never made or changed by the deployment, nor its secret's value read": (
        "rds:CreateDBInstance",
        "rds:ModifyDBInstance",
        "secretsmanager:GetSecretValue",
    ),
    "another way to a database: by restoring, replicating or lending it a role; the program makes and modifies one": (
        "rds:AddRoleToDBInstance",
        "rds:CreateDBInstanceReadReplica",
        "rds:PromoteReadReplica",
        "rds:RebootDBInstance",
        "rds:RemoveRoleFromDBInstance",
        "rds:RestoreDBInstanceFromDBSnapshot",
        "rds:RestoreDBInstanceToPointInTime",
        "rds:StartDBInstanceAutomatedBackupsReplication",
        "rds:StopDBInstanceAutomatedBackupsReplication",
    ),
    "policies are attached to roles here, never to users or groups, and none stands inside a role": (
        "iam:AttachGroupPolicy",
        "iam:AttachUserPolicy",
        "iam:DeleteRolePolicy",
        "iam:DetachGroupPolicy",
        "iam:DetachUserPolicy",
        "iam:GetRolePolicy",
        "iam:PutRolePolicy",
    ),
    "the program sets no permissions boundary, and a description of a role neither": (
        "iam:DeleteRolePermissionsBoundary",
        "iam:PutRolePermissionsBoundary",
        "iam:UpdateRoleDescription",
    ),
    "goes with a key of the customer's own, which no function, repository or database here has": (
        "kms:CreateGrant",
        "kms:RetireGrant",
        "logs:AssociateKmsKey",
        "logs:DisassociateKmsKey",
    ),
    "switches off what the program always switches on: rotation of a key, retention of a log": (
        "kms:DisableKeyRotation",
        "logs:DeleteRetentionPolicy",
    ),
    "settings of a log group that the program does not make and the provider has as resources of their own": (
        "firehose:TagDeliveryStream",
        "logs:DeleteDataProtectionPolicy",
        "logs:DeleteIndexPolicy",
        "logs:DeleteResourcePolicy",
        "logs:DescribeIndexPolicies",
        "logs:GetDataProtectionPolicy",
        "logs:PutBearerTokenAuthentication",
        "logs:PutDataProtectionPolicy",
        "logs:PutIndexPolicy",
        "logs:PutLogGroupDeletionProtection",
    ),
    "settings of a bucket that the program does not make and the provider has as resources of their own": (
        "s3:CreateBucketMetadataTableConfiguration",
        "s3:DeleteBucketMetadataTableConfiguration",
        "s3:DeleteBucketWebsite",
        "s3:PutAccelerateConfiguration",
        "s3:PutAnalyticsConfiguration",
        "s3:PutIntelligentTieringConfiguration",
        "s3:PutInventoryConfiguration",
        "s3:PutMetricsConfiguration",
        "s3:PutObjectAcl",
        "s3:PutReplicationConfiguration",
        "s3:UpdateBucketMetadataInventoryTableConfiguration",
        "s3:UpdateBucketMetadataJournalTableConfiguration",
        "s3tables:CreateNamespace",
        "s3tables:CreateTable",
        "s3tables:CreateTableBucket",
        "s3tables:GetTable",
        "s3tables:GetTableMetadataLocation",
        "s3tables:PutTableBucketPolicy",
        "s3tables:PutTableEncryption",
        "s3tables:PutTablePolicy",
        "s3tables:UpdateTableMetadataLocation",
    ),
    "no action of IAM: it allows these calls by others, such as s3:PutBucketCORS for taking the rules away": (
        "s3:DeleteBucketAnalyticsConfiguration",
        "s3:DeleteBucketCors",
        "s3:DeleteBucketEncryption",
        "s3:DeleteBucketLifecycle",
        "s3:DeleteBucketMetricsConfiguration",
        "s3:DeleteBucketReplication",
        "s3:PutObjectLockConfiguration",
        "s3:REST.PUT.OBJECT",
        "s3:UpdateBucketMetadataAnnotationTableConfiguration",
        "s3files:ListMountTargets",
    ),
    "the provider changes a rule as a whole, by ec2:ModifySecurityGroupRules": (
        "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
        "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
    ),
    "functions here mount no file system": ("elasticfilesystem:DescribeMountTargets",),
    "Secrets Manager neither invents a password for the program nor copies a secret into other regions": (
        "secretsmanager:GetRandomPassword",
        "secretsmanager:RemoveRegionsFromReplication",
        "secretsmanager:ReplicateSecretToRegions",
    ),
}


def documents(mode: Mode) -> dict[str, str]:
    return policies(DEPLOY, mode, VALUES)


def ungranted(mode: Mode, granted: dict[str, str]) -> dict[str, list[str]]:
    """Return what the schemas name for a mode's types and no statement allows on anything: action to handlers."""
    allowed = [
        action
        for text in granted.values()
        for statement in json.loads(text)["Statement"]
        if statement["Effect"] == "Allow"
        for action in statement["Action"]
    ]
    types = {TABLES[state.type].type for state in deployed(MODES[mode]).resources.values() if state.type in TABLES}
    return {
        action: handlers
        for action, handlers in permissions(types).items()
        if not any(action_matches(pattern, action) for pattern in allowed)
    }


def unexplained(mode: Mode, granted: dict[str, str]) -> list[str]:
    listed = {action for actions in NOT_GRANTED.values() for action in actions}
    return [
        f"{action} ({', '.join(handlers)}): grant it in docs/iam/deploy.json or say in NOT_GRANTED why not"
        for action, handlers in ungranted(mode, granted).items()
        if action not in listed
    ]


@pytest.mark.parametrize("mode", MODES)
def test_every_permission_that_the_schemas_name_is_granted_or_listed_with_the_reason(mode):
    assert unexplained(mode, documents(mode)) == []


def test_each_permission_is_listed_once_and_because_it_is_named_and_not_granted():
    listed = [action for actions in NOT_GRANTED.values() for action in actions]
    assert sorted(listed) == sorted(set(listed))
    assert set(listed) == {action for mode in MODES for action in ungranted(mode, documents(mode))}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("action", ["logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "sqs:CreateQueue"])
def test_a_permission_that_is_taken_out_is_missed_by_name(mode, action):
    short = {name: text.replace(f'"{action}"', '"sts:GetCallerIdentity"') for name, text in documents(mode).items()}
    assert [line.split()[0] for line in unexplained(mode, short)] == [action]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("action", TO_ACTIVATE_LOGGING)
def test_the_deployment_may_activate_a_stages_access_log(mode, action):
    statements = [each for name, text in documents(mode).items() for each in parse(text, name, "identity")]
    assert decide(Principal(ACCOUNT), Access(action, "*", {}), statements, ()).allowed


@pytest.fixture(autouse=True)
def _pass_role_is_known(monkeypatch):
    # The embedded cloud never fills it in; no action above asks for it.
    monkeypatch.setattr(iam_policy, "SUPPORTED_KEYS", iam_policy.SUPPORTED_KEYS | {"iam:passedtoservice"})
