"""Cases by hand: for each rule what passes, what fails, and what it does with values that are not known yet.

The cases with secrets are made from these in `test_rules.py`: what fails, marked secret.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from policies import tokens as t
from policies.model import Resource
from tests.policies.building import ANYBODY, CANARY, DIGEST, TAGS, allow, altered, deny_http, document, thing
from tests.policies.wire import UNSETTLED


@dataclass(frozen=True)
class Case:
    """One rule's cases over one resource.

    Attributes
    ----------
    good
        A resource that passes.
    bad
        Changes that make it fail, each with the properties that are to be named.
    unknown
        Changes to values that are not known yet, each with the properties named all the same.
    fine
        Further changes that pass.
    """

    good: Resource
    bad: list[Any]
    unknown: list[Any]
    fine: list[Any] = field(default_factory=list)


PASSWORDS = ("password", "passwordWo", "passwordWoVersion")
INSTANCE = thing(
    t.INSTANCE,
    protect=True,
    ignored=PASSWORDS,
    delete_before_replace=True,
    identifier="bluemoxon-staging",
    deletionProtection=True,
    storageEncrypted=True,
    publiclyAccessible=False,
    backupRetentionPeriod=7,
    skipFinalSnapshot=False,
    finalSnapshotIdentifier="last",
    enabledCloudwatchLogsExports=["postgresql"],
    autoMinorVersionUpgrade=True,
    copyTagsToSnapshot=True,
    tags=TAGS,
)
UNLOCKED = ["protect", "ignoreChanges", "deleteBeforeReplace"]
QUEUE = thing(
    t.QUEUE,
    name="queue",
    sqsManagedSseEnabled=True,
    redrivePolicy=json.dumps({"deadLetterTargetArn": "arn:d", "maxReceiveCount": 5}),
)
FUNCTION = thing(
    t.FUNCTION,
    imageUri=f"1.dkr/worker@{DIGEST}",
    tracingConfig={"mode": "Active"},
    environment={"variables": {"DATABASE_SECRET_ARN": "arn:aws:secretsmanager:x", "LEVEL": "INFO"}},
)
ZIP = {"imageUri": None, "s3Key": "code.zip", "sourceCodeHash": "h", "runtime": "python3.12"}


def variables(**given):
    return {"environment": {"variables": given}}


def on_policy(bad, unknown=UNSETTLED, prop="policy"):
    return [({prop: each}, [prop]) for each in bad], [({prop: unknown}, [])]


GRANTS = thing(t.POLICY, policy=document(allow("sqs:SendMessage"), allow("xray:PutTraceSegments", "*")))
BAD_ACTIONS, UNKNOWN_POLICY = on_policy([document(allow("sqs:*")), document({"Effect": "Allow", "NotAction": "x:Y"})])
BAD_RESOURCES, _ = on_policy(
    [
        document(allow(["sqs:SendMessage"], "*")),
        document(allow("s3:GetObject", "arn:aws:s3:::*")),
        document(allow("sqs:SendMessage", "arn:aws:sqs:us-west-2:1:other-*")),
        document({"Effect": "Allow", "Action": "sqs:SendMessage", "NotResource": "x"}),
    ]
)
TRUST = document({"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"})
STRANGER = document({"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::2:root"}, "Action": "sts:AssumeRole"})

CASES = {
    "database-no-password": Case(
        INSTANCE,
        bad=[({name: CANARY}, [name]) for name in PASSWORDS],
        # Asking for the property is wrong, whatever its value is.
        unknown=[({"password": UNSETTLED}, ["password"])],
    ),
    "database-locked": Case(
        INSTANCE,
        bad=[({"protect": False, "ignored": ("password",), "delete_before_replace": None}, UNLOCKED)],
        # Options are never unknown, and unknown properties are none of this rule's business.
        unknown=[({"identifier": UNSETTLED}, [])],
    ),
    "database-deletion-protection": Case(
        INSTANCE,
        bad=[({"deletionProtection": value}, ["deletionProtection"]) for value in (False, None)],
        unknown=[({"deletionProtection": UNSETTLED}, [])],
    ),
    "database-encrypted": Case(
        INSTANCE,
        bad=[({"storageEncrypted": value}, ["storageEncrypted"]) for value in (False, None)],
        unknown=[({"storageEncrypted": UNSETTLED}, [])],
    ),
    "database-not-public": Case(
        INSTANCE,
        bad=[({"publiclyAccessible": value}, ["publiclyAccessible"]) for value in (True, None)],
        unknown=[({"publiclyAccessible": UNSETTLED}, [])],
    ),
    "database-backups": Case(
        INSTANCE,
        bad=[
            ({"backupRetentionPeriod": 6}, ["backupRetentionPeriod"]),
            (
                {"backupRetentionPeriod": None, "skipFinalSnapshot": True, "finalSnapshotIdentifier": None},
                ["backupRetentionPeriod", "skipFinalSnapshot", "finalSnapshotIdentifier"],
            ),
        ],
        unknown=[
            (dict.fromkeys(("backupRetentionPeriod", "skipFinalSnapshot", "finalSnapshotIdentifier"), UNSETTLED), [])
        ],
    ),
    "database-logs": Case(
        INSTANCE,
        bad=[
            ({"enabledCloudwatchLogsExports": value}, ["enabledCloudwatchLogsExports"]) for value in (["upgrade"], None)
        ],
        unknown=[({"enabledCloudwatchLogsExports": value}, []) for value in (UNSETTLED, [UNSETTLED])],
    ),
    "database-upkeep": Case(
        INSTANCE,
        bad=[
            (
                {"autoMinorVersionUpgrade": False, "copyTagsToSnapshot": None},
                ["autoMinorVersionUpgrade", "copyTagsToSnapshot"],
            )
        ],
        unknown=[({"autoMinorVersionUpgrade": UNSETTLED, "copyTagsToSnapshot": UNSETTLED}, [])],
    ),
    "ignored-for-an-import": Case(
        INSTANCE,
        bad=[
            ({"ignored": (*PASSWORDS, "storageEncrypted")}, ["ignoreChanges"]),
            ({"ignored": (*PASSWORDS, "tags"), "protect": False}, ["ignoreChanges"]),
        ],
        unknown=[({"tags": UNSETTLED}, [])],
        fine=[{"ignored": (*PASSWORDS, "deletionProtection")}],
    ),
    "import-ends": Case(
        INSTANCE,
        bad=[({"ignored": (*PASSWORDS, "tags")}, ["ignoreChanges"])],
        unknown=[({"tags": UNSETTLED}, [])],
    ),
    "queue-encrypted": Case(
        QUEUE,
        bad=[({"sqsManagedSseEnabled": value}, ["sqsManagedSseEnabled"]) for value in (False, None)],
        unknown=[
            ({"sqsManagedSseEnabled": UNSETTLED}, []),
            ({"sqsManagedSseEnabled": None, "kmsMasterKeyId": UNSETTLED}, []),
        ],
    ),
    "queue-receives": Case(
        QUEUE,
        bad=[
            ({"redrivePolicy": json.dumps({"maxReceiveCount": 2})}, ["redrivePolicy"]),
            ({"redrivePolicy": f"not JSON {CANARY}"}, ["redrivePolicy"]),
        ],
        unknown=[({"redrivePolicy": UNSETTLED}, [])],
        fine=[{"redrivePolicy": None}],
    ),
    "queue-policy-closed": Case(
        thing(t.QUEUE_POLICY, policy=document(deny_http("sqs:*"))),
        bad=[
            ({"policy": document(allow("sqs:SendMessage"))}, ["policy"]),
            ({"policy": document(deny_http("sqs:SendMessage"))}, ["policy"]),
            ({"policy": document(deny_http("sqs:*"), ANYBODY)}, ["policy"]),
            ({"policy": f"not JSON {CANARY}"}, ["policy"]),
        ],
        unknown=UNKNOWN_POLICY,
        fine=[
            {"policy": document(deny_http("sqs:*"), {**ANYBODY, "Condition": {"ArnEquals": {"aws:SourceArn": "x"}}})}
        ],
    ),
    "mapping-partial-failures": Case(
        thing(t.MAPPING, functionResponseTypes=["ReportBatchItemFailures"]),
        bad=[({"functionResponseTypes": value}, ["functionResponseTypes"]) for value in (list[str](), None)],
        unknown=[({"functionResponseTypes": value}, []) for value in (UNSETTLED, [UNSETTLED])],
    ),
    "mapping-maximum-concurrency": Case(
        thing(t.MAPPING, scalingConfig={"maximumConcurrency": 2}),
        bad=[({"scalingConfig": value}, ["scalingConfig.maximumConcurrency"]) for value in (dict[str, str](), None)],
        unknown=[({"scalingConfig": value}, []) for value in (UNSETTLED, {"maximumConcurrency": UNSETTLED})],
    ),
    "function-pinned-code": Case(
        FUNCTION,
        bad=[
            ({"imageUri": f"worker:{CANARY}"}, ["imageUri"]),
            ({**ZIP, "sourceCodeHash": None}, ["sourceCodeHash"]),
        ],
        unknown=[({"imageUri": UNSETTLED}, []), ({**ZIP, "sourceCodeHash": UNSETTLED}, [])],
        fine=[ZIP, {"imageUri": None}],
    ),
    "function-supported-runtime": Case(
        altered(FUNCTION, ZIP),
        bad=[({"runtime": "python3.9"}, ["runtime"]), ({"runtime": CANARY}, ["runtime"])],
        unknown=[({"runtime": UNSETTLED}, [])],
        fine=[{"runtime": None}],
    ),
    "function-traced": Case(
        FUNCTION,
        bad=[({"tracingConfig": value}, ["tracingConfig.mode"]) for value in ({"mode": "PassThrough"}, None)],
        unknown=[({"tracingConfig": {"mode": UNSETTLED}}, [])],
    ),
    "function-no-secret-in-environment": Case(
        FUNCTION,
        bad=[
            (variables(DB_PASSWORD=CANARY), ["environment.variables.DB_PASSWORD"]),
            (variables(URL_OF_DB=f"postgres://user:{CANARY}@host/db"), ["environment.variables.URL_OF_DB"]),
            (variables(WHO="AKIA" + "A" * 16), ["environment.variables.WHO"]),
        ],
        # A variable named like a credential is one, whatever its value will be.
        unknown=[
            ({"environment": {"variables": UNSETTLED}}, []),
            (variables(LEVEL=UNSETTLED), []),
            (variables(API_KEY=UNSETTLED), ["environment.variables.API_KEY"]),
        ],
        fine=[{"environment": None}],
    ),
    "function-invoked-by-name": Case(
        thing(t.PERMISSION, principal="events.amazonaws.com", sourceArn="arn:rule"),
        bad=[({"principal": "*"}, ["principal"]), ({"sourceArn": None}, ["sourceArn"])],
        unknown=[({"sourceArn": UNSETTLED}, []), ({"principal": UNSETTLED, "sourceArn": None}, [])],
        fine=[{"sourceArn": None, "sourceAccount": "1"}],
    ),
    "log-group-retention": Case(
        thing(t.LOG_GROUP, retentionInDays=30),
        bad=[({"retentionInDays": value}, ["retentionInDays"]) for value in (0, None)],
        unknown=[({"retentionInDays": UNSETTLED}, [])],
    ),
    "api-access-log": Case(
        thing(t.API_STAGE, accessLogSettings={"destinationArn": "a"}, defaultRouteSettings={"throttlingRateLimit": 5}),
        bad=[
            ({"accessLogSettings": None}, ["accessLogSettings.destinationArn"]),
            ({"defaultRouteSettings": {"throttlingRateLimit": 0}}, ["defaultRouteSettings.throttlingRateLimit"]),
        ],
        unknown=[({"accessLogSettings": {"destinationArn": UNSETTLED}, "defaultRouteSettings": UNSETTLED}, [])],
    ),
    "iam-no-wildcard-action": Case(
        GRANTS,
        bad=[*BAD_ACTIONS, ({"policy": CANARY}, ["policy"]), ({"policy": None}, ["policy"])],
        unknown=UNKNOWN_POLICY,
        fine=[{"policy": document({"Effect": "Deny", "Action": "sqs:*", "Resource": "x"})}],
    ),
    "iam-no-wildcard-resource": Case(
        GRANTS,
        bad=BAD_RESOURCES,
        unknown=UNKNOWN_POLICY,
        fine=[{"policy": document(allow("s3:GetObject", "arn:aws:s3:::bucket/books/*"))}],
    ),
    "iam-no-escalation": Case(
        GRANTS,
        bad=[({"policy": document(allow("iam:PassRole", "arn:aws:iam::1:role/x"))}, ["policy"])],
        unknown=UNKNOWN_POLICY,
    ),
    "iam-role-for-services": Case(
        thing(t.ROLE, assumeRolePolicy=TRUST),
        bad=[
            ({"assumeRolePolicy": STRANGER}, ["assumeRolePolicy"]),
            ({"managedPolicyArns": ["arn:aws:iam::1:policy/x"]}, ["managedPolicyArns"]),
            ({"inlinePolicies": [{"name": "x", "policy": CANARY}]}, ["inlinePolicies"]),
        ],
        unknown=[({"assumeRolePolicy": UNSETTLED, "managedPolicyArns": UNSETTLED}, [])],
        # The provider's word for none.
        fine=[{"inlinePolicies": [{}]}],
    ),
    "iam-own-policies": Case(
        thing(t.ATTACHMENT, policyArn="arn:aws:iam::1:policy/own"),
        bad=[({"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}, ["policyArn"])],
        unknown=[({"policyArn": UNSETTLED}, [])],
    ),
    "bucket-protected": Case(
        thing(t.BUCKET, protect=True),
        bad=[({"protect": False}, ["protect"]), ({"forceDestroy": True}, ["forceDestroy"])],
        unknown=[({"forceDestroy": UNSETTLED}, [])],
    ),
    "bucket-not-public": Case(
        thing(
            t.BUCKET_PUBLIC_ACCESS,
            blockPublicAcls=True,
            blockPublicPolicy=True,
            ignorePublicAcls=True,
            restrictPublicBuckets=True,
        ),
        bad=[({"blockPublicPolicy": False, "ignorePublicAcls": None}, ["blockPublicPolicy", "ignorePublicAcls"])],
        unknown=[({"restrictPublicBuckets": UNSETTLED}, [])],
    ),
    "bucket-tls-only": Case(
        thing(t.BUCKET_POLICY, policy=document(deny_http("s3:*"))),
        bad=[
            ({"policy": document()}, ["policy"]),
            (
                {"policy": document(deny_http("s3:*"), {"Effect": "Allow", "NotPrincipal": "x", "Action": "s3:Get"})},
                ["policy"],
            ),
        ],
        unknown=UNKNOWN_POLICY,
    ),
    "bucket-versioned": Case(
        thing(t.BUCKET_VERSIONING, versioningConfiguration={"status": "Enabled"}),
        bad=[({"versioningConfiguration": {"status": "Suspended"}}, ["versioningConfiguration.status"])],
        unknown=[({"versioningConfiguration": {"status": UNSETTLED}}, [])],
    ),
    "bucket-no-acls": Case(
        thing(t.BUCKET_OWNERSHIP, rule={"objectOwnership": "BucketOwnerEnforced"}),
        bad=[({"rule": {"objectOwnership": "ObjectWriter"}}, ["rule.objectOwnership"])],
        unknown=[({"rule": {"objectOwnership": UNSETTLED}}, [])],
    ),
    "key-rotated": Case(
        thing(t.KEY, enableKeyRotation=True, policy=document(allow("kms:*", Principal={"AWS": "arn:aws:iam::1:root"}))),
        bad=[
            ({"enableKeyRotation": None}, ["enableKeyRotation"]),
            ({"policy": document(allow("kms:*", Principal="*"))}, ["policy"]),
        ],
        unknown=[({"enableKeyRotation": UNSETTLED, "policy": UNSETTLED}, [])],
    ),
    "ingress-from-known": Case(
        thing(t.INGRESS, referencedSecurityGroupId="sg-1"),
        bad=[({"cidrIpv4": "0.0.0.0/0"}, ["cidrIpv4"]), ({"cidrIpv6": "::/0"}, ["cidrIpv6"])],
        unknown=[({"cidrIpv4": UNSETTLED}, [])],
        fine=[{"cidrIpv4": "10.0.0.0/8"}],
    ),
    "secret-no-placeholder": Case(
        thing(t.SECRET_VERSION, secretString=json.dumps({"host": "db.internal", "ports": [5432]})),
        bad=[
            ({"secretString": "not-used"}, ["secretString"]),
            ({"secretString": ""}, ["secretString"]),
            ({"secretString": json.dumps({"a": ["changeme"], "b": "dummy"})}, ["secretString.a[0]", "secretString.b"]),
        ],
        unknown=[({"secretString": UNSETTLED}, [])],
        fine=[{"secretString": "{ good, though no JSON"}],
    ),
    "secret-no-credential": Case(
        thing(t.SECRET_VERSION, secretString=json.dumps({"host": "h", "credentials_secret_arn": "arn:x"})),
        bad=[({"secretString": json.dumps({"password": CANARY})}, ["secretString.password"])],
        unknown=[({"secretString": UNSETTLED}, [])],
    ),
    "secret-recoverable": Case(
        thing(t.SECRET),
        bad=[({"recoveryWindowInDays": 0}, ["recoveryWindowInDays"])],
        unknown=[({"recoveryWindowInDays": UNSETTLED}, [])],
        fine=[{"recoveryWindowInDays": 7}],
    ),
    "alarm-has-action": Case(
        thing(t.ALARM, alarmActions=["arn:topic"]),
        bad=[({"alarmActions": []}, ["alarmActions"]), ({"actionsEnabled": False}, ["actionsEnabled"])],
        unknown=[({"alarmActions": UNSETTLED, "actionsEnabled": UNSETTLED}, [])],
    ),
    "topic-encrypted": Case(
        thing(t.TOPIC, kmsMasterKeyId="arn:aws:kms:us-west-2:1:key/x"),
        bad=[({"kmsMasterKeyId": value}, ["kmsMasterKeyId"]) for value in (None, "alias/aws/sns")],
        unknown=[({"kmsMasterKeyId": UNSETTLED}, [])],
    ),
    "topic-closed": Case(
        thing(t.TOPIC_POLICY, policy=document(allow("sns:Publish", Principal={"Service": "cloudwatch.amazonaws.com"}))),
        bad=[({"policy": document(allow("sns:Publish", Principal="*"))}, ["policy"])],
        unknown=UNKNOWN_POLICY,
    ),
    "tags-project-environment": Case(
        thing(t.QUEUE, tags=TAGS),
        bad=[
            ({"tags": None}, ["tags.project", "tags.environment"]),
            ({"tags": {**TAGS, "environment": CANARY}}, ["tags.environment"]),
        ],
        unknown=[({"tags": UNSETTLED}, []), ({"tags": {**TAGS, "project": UNSETTLED}}, [])],
    ),
    "name-one-per-environment": Case(
        altered(thing(t.LOG_GROUP), {"name": "/aws/lambda/bluemoxon-staging-api"}),
        bad=[({"name": value}, ["name"]) for value in (f"bluemoxon-{CANARY}", "bluemoxon-stagingx", None)],
        unknown=[({"name": UNSETTLED}, [])],
        fine=[
            {"name": value}
            for value in ("bluemoxon-staging", "/bluemoxon-staging/operations", "bluemoxon-staging/database")
        ],
    ),
}
