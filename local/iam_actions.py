"""Which permissions a call needs: operation -> IAM actions and the ARNs they are checked against.

One table a service, after the Service Authorization Reference (`REFERENCE` has each service's page). An operation that
is not in a table is not modelled and is refused by name under a role. S3, which has no operation names on the wire, is
in `iam_s3`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_PAGES = "https://docs.aws.amazon.com/service-authorization/latest/reference/list_"
REFERENCE = {
    "apigateway": _PAGES + "amazonapigatewaymanagementv2.html",
    "cloudwatch": _PAGES + "amazoncloudwatch.html",
    "events": _PAGES + "amazoneventbridge.html",
    "kms": _PAGES + "awskeymanagementservice.html",
    "lambda": _PAGES + "awslambda.html",
    "logs": _PAGES + "amazoncloudwatchlogs.html",
    "rds": _PAGES + "amazonrds.html",
    "s3": _PAGES + "amazons3.html",
    "secretsmanager": _PAGES + "awssecretsmanager.html",
    "sns": _PAGES + "amazonsns.html",
    "sqs": _PAGES + "amazonsqs.html",
    "sts": _PAGES + "awssecuritytokenservice.html",
    "xray": _PAGES + "awsx-ray.html",
}


class NotModelledError(Exception):
    """A call whose permissions are not in the tables; the message names it."""


@dataclass(frozen=True)
class Call:
    """One API call as its service's model reads it.

    `service` is the IAM prefix (`sqs`), `operation` the API's name (`SendMessageBatch`), `parameters` its input in
    the model's names; `secrets` turns a SecretId into the ARN of the secret it names, if there is one.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]
    account: str
    region: str
    secrets: Callable[[str], str | None] = field(default=lambda secret_id: None)

    def arn(self, resource: str) -> str:
        """ARN of a resource of this call's service, account and region."""
        return f"arn:aws:{self.service}:{self.region}:{self.account}:{resource}"


@dataclass(frozen=True)
class Need:
    """One permission that a call needs."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


Resource = Callable[[Call], str]
Needs = Callable[[Call], list[Need]]


def _any(call: Call) -> str:
    # actions without resource types are only allowed by Resource "*"
    return "*"


def _named(prefix: str, parameter: str) -> Resource:
    """The resource whose name, or whose whole ARN, is the value of a parameter; without one, every such resource."""

    def resource(call: Call) -> str:
        name = str(call.parameters.get(parameter) or "*")
        return name if name.startswith("arn:") else call.arn(prefix + name)

    return resource


def _queue(call: Call) -> str:
    url_or_name = call.parameters.get("QueueUrl") or call.parameters.get("QueueName") or "*"
    return call.arn(str(url_or_name).rsplit("/", 1)[-1])


def _function(call: Call) -> str:
    name = str(call.parameters.get("FunctionName") or "*")
    # a name, a partial ARN ("account:function:name") or the whole one
    arn = name if name.startswith("arn:") else call.arn("function:" + name.rsplit("function:", 1)[-1])
    qualifier = call.parameters.get("Qualifier")
    return f"{arn}:{qualifier}" if qualifier else arn


def _secret(call: Call) -> str:
    secret_id = str(call.parameters.get("SecretId") or call.parameters.get("Name") or "*")
    found = call.secrets(secret_id)
    if found or secret_id.startswith("arn:"):
        return found or secret_id
    return call.arn(f"secret:{secret_id}")


def _log_streams(call: Call) -> str:
    # checked as "log-group:NAME:log-stream:STREAM"; that is why policies name a group with ":*" at its end
    group = call.parameters.get("logGroupName") or call.parameters.get("logGroupIdentifier") or "*"
    if str(group).startswith("arn:"):
        group = str(group).split(":log-group:", 1)[-1].removesuffix(":*")
    return call.arn(f"log-group:{group}:log-stream:{call.parameters.get('logStreamName') or ''}")


def _topic(call: Call) -> str:
    return str(call.parameters.get("TopicArn") or call.parameters.get("TargetArn") or "*")


def _key(call: Call) -> str:
    return _named("", "KeyId")(call) if "/" in str(call.parameters.get("KeyId")) else _named("key/", "KeyId")(call)


def each(
    service: str, resource: Resource, *operations: str, context: Callable[[Call], dict[str, str]] = lambda call: {}
) -> dict[str, Needs]:
    """Operations that need the action of their own name on one resource."""

    def need(operation: str) -> Needs:
        return lambda call: [Need(f"{service}:{operation}", resource(call), context(call))]

    return {operation: need(operation) for operation in operations}


def _as(action: str, resource: Resource) -> Needs:
    """An operation that is allowed by another operation's action."""
    return lambda call: [Need(action, resource(call))]


def _move_task(call: Call) -> list[Need]:
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
    source = str(call.parameters.get("SourceArn") or "*")
    needs = [
        Need(f"sqs:{action}", source)
        for action in ("StartMessageMoveTask", "ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
    ]
    if destination := call.parameters.get("DestinationArn"):
        needs.append(Need("sqs:SendMessage", str(destination)))
    return needs


SQS: dict[str, Needs] = {
    **each(
        "sqs",
        _queue,
        *("AddPermission", "ChangeMessageVisibility", "CreateQueue", "DeleteMessage", "DeleteQueue"),
        *("GetQueueAttributes", "GetQueueUrl", "ListDeadLetterSourceQueues", "ListQueueTags", "PurgeQueue"),
        *("ReceiveMessage", "RemovePermission", "SendMessage", "SetQueueAttributes", "TagQueue", "UntagQueue"),
    ),
    **each("sqs", _any, "ListQueues"),
    **each("sqs", lambda call: str(call.parameters.get("SourceArn") or "*"), "ListMessageMoveTasks"),
    "StartMessageMoveTask": _move_task,
    # a batch is allowed by the single message's action: there is no sqs:SendMessageBatch
    "SendMessageBatch": _as("sqs:SendMessage", _queue),
    "DeleteMessageBatch": _as("sqs:DeleteMessage", _queue),
    "ChangeMessageVisibilityBatch": _as("sqs:ChangeMessageVisibility", _queue),
}

LAMBDA: dict[str, Needs] = {
    "Invoke": _as("lambda:InvokeFunction", _function),
    "InvokeAsync": _as("lambda:InvokeFunction", _function),
    **each(
        "lambda",
        _function,
        *("AddPermission", "CreateFunction", "DeleteFunction", "DeleteFunctionConcurrency", "GetFunction"),
        *("GetFunctionConcurrency", "GetFunctionConfiguration", "GetPolicy", "ListVersionsByFunction"),
        *("PublishVersion", "PutFunctionConcurrency", "RemovePermission", "UpdateFunctionCode"),
        "UpdateFunctionConfiguration",
    ),
    **each("lambda", _any, "CreateEventSourceMapping", "GetAccountSettings"),
    **each("lambda", _any, "ListEventSourceMappings", "ListFunctions"),
    **each(
        "lambda",
        _named("event-source-mapping:", "UUID"),
        *("DeleteEventSourceMapping", "GetEventSourceMapping", "UpdateEventSourceMapping"),
    ),
}

SECRETS_MANAGER: dict[str, Needs] = {
    **each(
        "secretsmanager",
        _secret,
        *("CreateSecret", "DeleteSecret", "DescribeSecret", "GetResourcePolicy", "GetSecretValue"),
        *("ListSecretVersionIds", "PutSecretValue", "RestoreSecret", "RotateSecret", "TagResource", "UpdateSecret"),
        "UpdateSecretVersionStage",
    ),
    **each("secretsmanager", _any, "BatchGetSecretValue", "GetRandomPassword", "ListSecrets"),
}


def _managed_password(call: Call) -> dict[str, str]:
    # the key is in the request only where the parameter is
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html#rds-secrets-manager-auth
    given = call.parameters.get("ManageMasterUserPassword")
    return {} if given is None else {"rds:managemasteruserpassword": str(given).lower()}


_instance = _named("db:", "DBInstanceIdentifier")
_cluster = _named("cluster:", "DBClusterIdentifier")

RDS: dict[str, Needs] = {
    **each(
        "rds",
        _instance,
        *("CreateDBInstance", "ModifyDBInstance", "RestoreDBInstanceFromDBSnapshot", "RestoreDBInstanceFromS3"),
        context=_managed_password,
    ),
    **each(
        "rds",
        _named("db:", "TargetDBInstanceIdentifier"),
        "RestoreDBInstanceToPointInTime",
        context=_managed_password,
    ),
    **each(
        "rds",
        _cluster,
        *("CreateDBCluster", "ModifyDBCluster", "RestoreDBClusterFromSnapshot", "RestoreDBClusterFromS3"),
        "RestoreDBClusterToPointInTime",
        context=_managed_password,
    ),
    **each("rds", _instance, "DeleteDBInstance", "DescribeDBInstances", "RebootDBInstance", "StartDBInstance"),
    **each("rds", _instance, "StopDBInstance"),
    **each("rds", _cluster, "DeleteDBCluster", "DescribeDBClusters"),
    **each("rds", _named("", "ResourceName"), "AddTagsToResource", "ListTagsForResource", "RemoveTagsFromResource"),
}

LOGS: dict[str, Needs] = {
    **each(
        "logs",
        _log_streams,
        *("CreateLogGroup", "CreateLogStream", "DeleteLogGroup", "DescribeLogGroups", "DescribeLogStreams"),
        *("FilterLogEvents", "GetLogEvents", "PutLogEvents", "PutRetentionPolicy"),
    ),
}

CLOUDWATCH: dict[str, Needs] = {
    **each(
        "cloudwatch",
        _any,
        "PutMetricData",
        context=lambda call: {"cloudwatch:namespace": str(call.parameters.get("Namespace") or "")},
    ),
    **each("cloudwatch", _any, "GetMetricData", "GetMetricStatistics", "GetMetricWidgetImage", "ListMetrics"),
    **each("cloudwatch", lambda call: call.arn("alarm:*"), "DescribeAlarms"),
    **each("cloudwatch", _named("alarm:", "AlarmName"), "PutMetricAlarm", "SetAlarmState"),
}

SNS: dict[str, Needs] = {
    **each("sns", _topic, "GetTopicAttributes", "ListSubscriptionsByTopic", "Publish", "SetTopicAttributes"),
    **each("sns", _topic, "Subscribe"),
    "PublishBatch": _as("sns:Publish", _topic),
    **each("sns", _any, "ListSubscriptions", "ListTopics"),
}


def _buses(call: Call) -> list[Need]:
    names: Iterable[str] = {entry.get("EventBusName") or "default" for entry in call.parameters.get("Entries") or [{}]}
    return [
        Need("events:PutEvents", name if name.startswith("arn:") else call.arn(f"event-bus/{name}"))
        for name in sorted(names)
    ]


EVENTS: dict[str, Needs] = {
    "PutEvents": _buses,
    **each("events", _named("rule/", "Name"), "DescribeRule", "DisableRule", "EnableRule", "PutRule"),
    **each("events", _named("rule/", "Rule"), "ListTargetsByRule", "PutTargets", "RemoveTargets"),
    **each("events", lambda call: call.arn("rule/*"), "ListRules"),
}

KMS: dict[str, Needs] = each(
    "kms", _key, "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext"
)

XRAY: dict[str, Needs] = each(
    "xray", _any, "GetSamplingRules", "GetSamplingTargets", "PutTelemetryRecords", "PutTraceSegments"
)

# "No permissions are required to perform this operation", even under an explicit deny
# https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
STS: dict[str, Needs] = {"GetCallerIdentity": lambda call: []}

TABLES: dict[str, dict[str, Needs]] = {
    "cloudwatch": CLOUDWATCH,
    "events": EVENTS,
    "kms": KMS,
    "lambda": LAMBDA,
    "logs": LOGS,
    "rds": RDS,
    "secretsmanager": SECRETS_MANAGER,
    "sns": SNS,
    "sqs": SQS,
    "sts": STS,
    "xray": XRAY,
}


def needs(call: Call) -> list[Need]:
    """Every permission that `call` needs, all of which must be allowed.

    Raises
    ------
    NotModelledError
        If the operation is in no table.
    """
    try:
        entry = TABLES[call.service][call.operation]
    except KeyError:
        page = REFERENCE.get(call.service, _PAGES)
        raise NotModelledError(
            f"{call.service}:{call.operation} is not modelled by the embedded cloud's IAM, so no role may call it; "
            f"add it to local/iam_actions.py after {page}"
        ) from None
    return entry(call)
