"""The real program broken once per rule: what is changed, and which other rules say so too.

A mutation takes the first resource of a type whose name ends as given, and changes its inputs and its outputs; None
leaves it away. Written down from the rules' own words, not from what they answered.
"""

import json
from dataclasses import dataclass
from typing import Any

from policies import tokens as t
from tests.policies.building import CANARY, allow, deny_http, document


@dataclass(frozen=True)
class Mutation:
    """One thing broken in the program.

    Attributes
    ----------
    type, ending
        Which resource: the first of the type whose name ends so.
    change
        Properties and options; None leaves the resource away.
    also
        Other rules that report it.
    """

    type: str
    ending: str
    change: dict[str, Any] | None
    also: frozenset[str] = frozenset()


def also(*names):
    return frozenset(names)


PASSWORDS = ("password", "passwordWo", "passwordWoVersion")
NO_TLS = document(allow("sqs:SendMessage", Principal={"Service": "events.amazonaws.com"}))
OPEN_KEY = document(allow("kms:*", "*", Principal="*"))

MUTATIONS = {
    "database-no-password": Mutation(t.INSTANCE, "", {"password": CANARY}),
    "database-locked": Mutation(t.INSTANCE, "", {"protect": False}),
    "database-deletion-protection": Mutation(t.INSTANCE, "", {"deletionProtection": False}),
    "database-encrypted": Mutation(t.INSTANCE, "", {"storageEncrypted": False}),
    "database-not-public": Mutation(t.INSTANCE, "", {"publiclyAccessible": True}),
    "database-backups": Mutation(t.INSTANCE, "", {"skipFinalSnapshot": True}),
    "database-logs": Mutation(t.INSTANCE, "", {"enabledCloudwatchLogsExports": ["upgrade"]}),
    "database-upkeep": Mutation(t.INSTANCE, "", {"copyTagsToSnapshot": False}),
    "ignored-for-an-import": Mutation(
        t.INSTANCE, "", {"ignored": (*PASSWORDS, "storageEncrypted")}, also("import-ends")
    ),
    "import-ends": Mutation(t.INSTANCE, "", {"ignored": (*PASSWORDS, "tags")}),
    "queue-encrypted": Mutation(t.QUEUE, "-queue", {"sqsManagedSseEnabled": None}),
    "queue-receives": Mutation(
        t.QUEUE,
        "image_processing-queue",
        {
            "redrivePolicy": json.dumps(
                {
                    "deadLetterTargetArn": "arn:aws:sqs:us-west-2:123456789012:bluemoxon-local-image-processing-dlq",
                    "maxReceiveCount": 3,
                }
            )
        },
    ),
    "queue-policy-closed": Mutation(t.QUEUE_POLICY, "-queue", {"policy": NO_TLS}),
    "queue-has-policy": Mutation(t.QUEUE_POLICY, "-dead-letters", None),
    # Without it the dead letters are a queue like any other, without dead letters of their own.
    "queue-has-dead-letters": Mutation(t.QUEUE, "image_processing-queue", {"redrivePolicy": None, "depends": {}}),
    "dead-letters-admit-own-queue": Mutation(t.REDRIVE_ALLOW, "", None),
    "mapping-partial-failures": Mutation(t.MAPPING, "", {"functionResponseTypes": []}),
    "mapping-maximum-concurrency": Mutation(t.MAPPING, "", {"scalingConfig": None}),
    "mapping-within-reserved-concurrency": Mutation(
        t.FUNCTION, "image_processing-function", {"reservedConcurrentExecutions": 1}
    ),
    "mapping-visibility": Mutation(t.FUNCTION, "image_processing-function", {"timeout": 900}),
    "function-pinned-code": Mutation(t.FUNCTION, "image_processing-function", {"imageUri": "worker:latest"}),
    "function-supported-runtime": Mutation(t.FUNCTION, "api", {"runtime": "python3.8"}),
    "function-traced": Mutation(t.FUNCTION, "api", {"tracingConfig": {"mode": "PassThrough"}}),
    "function-no-secret-in-environment": Mutation(
        t.FUNCTION,
        "image_processing-function",
        {"environment": {"variables": {"DATABASE_URL": f"postgresql://bluemoxon:{CANARY}@host/db"}}},
    ),
    "function-invoked-by-name": Mutation(t.PERMISSION, "", {"sourceArn": None}),
    "log-group-retention": Mutation(t.LOG_GROUP, "", {"retentionInDays": 0}),
    "function-has-log-group": Mutation(t.LOG_GROUP, "migrate-logs", None),
    "api-access-log": Mutation(t.API_STAGE, "", {"accessLogSettings": None}),
    "iam-no-wildcard-action": Mutation(
        t.POLICY,
        "migrate-role-1",
        {"policy": document(allow("secretsmanager:*", "arn:aws:secretsmanager:x:1:secret:y"))},
    ),
    "iam-no-wildcard-resource": Mutation(
        t.POLICY, "migrate-role-1", {"policy": document(allow("secretsmanager:GetSecretValue", "*"))}
    ),
    "iam-no-escalation": Mutation(
        t.POLICY, "migrate-role-1", {"policy": document(allow("iam:PassRole", "arn:aws:iam::1:role/admin"))}
    ),
    "iam-role-for-services": Mutation(
        t.ROLE,
        "migrate-role",
        {"assumeRolePolicy": document({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})},
    ),
    "iam-own-policies": Mutation(
        t.ATTACHMENT, "migrate-role-1", {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}
    ),
    "iam-producers-own-queues": Mutation(
        t.POLICY,
        "migrate-role-1",
        {
            "policy": document(
                allow("sqs:SendMessage", "arn:aws:sqs:us-west-2:123456789012:bluemoxon-local-image-processing")
            )
        },
    ),
    "bucket-complete": Mutation(t.BUCKET_VERSIONING, "", None),
    "bucket-protected": Mutation(t.BUCKET, "", {"protect": False}),
    "bucket-not-public": Mutation(t.BUCKET_PUBLIC_ACCESS, "", {"blockPublicPolicy": False}),
    "bucket-tls-only": Mutation(t.BUCKET_POLICY, "", {"policy": document(deny_http("s3:GetObject"))}),
    "bucket-versioned": Mutation(t.BUCKET_VERSIONING, "", {"versioningConfiguration": {"status": "Suspended"}}),
    "bucket-no-acls": Mutation(t.BUCKET_OWNERSHIP, "", {"rule": {"objectOwnership": "ObjectWriter"}}),
    "key-rotated": Mutation(t.KEY, "", {"policy": OPEN_KEY}),
    "ingress-from-known": Mutation(t.INGRESS, "", {"cidrIpv4": "0.0.0.0/0"}),
    "secret-no-placeholder": Mutation(t.SECRET_VERSION, "", {"secretString": '{"host": "changeme"}'}),
    "secret-no-credential": Mutation(t.SECRET_VERSION, "", {"secretString": json.dumps({"password": CANARY})}),
    "secret-recoverable": Mutation(t.SECRET, "", {"recoveryWindowInDays": 0}),
    "alarm-has-action": Mutation(t.ALARM, "", {"alarmActions": []}),
    "dead-letters-alarm": Mutation(t.ALARM, "image_processing-dead-letters", None, also("flow-complete")),
    "alarm-topic-heard": Mutation(t.SUBSCRIPTION, "", None),
    "topic-encrypted": Mutation(t.TOPIC, "", {"kmsMasterKeyId": None}),
    "topic-closed": Mutation(t.TOPIC_POLICY, "", {"policy": document(allow("sns:Publish", Principal="*"))}),
    "tags-project-environment": Mutation(t.QUEUE, "-queue", {"tags": {"project": "bluemoxon"}}),
    "name-one-per-environment": Mutation(t.SECRET, "", {"name": "bluemoxon-production/database"}),
    "flow-complete": Mutation(t.ALARM, "image_processing-errors", None),
    "flow-registered": Mutation(t.STACK, "", {"flows": []}, also("iam-producers-own-queues")),
}
