"""Cases over the stack: one small stack that is complete, and what is changed in it for each rule.

A change is resource's name to its changes, None to leave it away; expected are (resource, property) pairs.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from policies import tokens as t
from policies.model import Stack
from tests.policies.building import allow, altered, deny_http, document, thing
from tests.policies.wire import UNSETTLED

PREFIX = "bluemoxon-staging"
ARN = f"arn:aws:sqs:us-west-2:1:{PREFIX}-jobs"
FLOW = {
    "key": "work",
    "queue_name": f"{PREFIX}-jobs",
    "dead_letter_queue_name": f"{PREFIX}-jobs-dlq",
    "function_name": f"{PREFIX}-work",
    "deployed": True,
    "variable": "BMX_WORK_QUEUE_NAME",
    "producers": ["api", "stranger"],
}


def urns(*targets):
    """Return the URNs of things of this stack."""
    return frozenset(f"urn:pulumi:staging::bluemoxon::{type_}::{name}" for type_, name in targets)


def named(type_, name, on_aws, **given):
    return altered(thing(type_, name=name, **given), {"name": on_aws})


def alarm(metric, target, prop, on_aws, **more):
    return thing(
        t.ALARM,
        name=f"alarm-{metric}",
        metricName=metric,
        threshold=1,
        dimensions={prop: on_aws},
        alarmActions=["arn:topic"],
        depends={"dimensions": urns(target)},
        **more,
    )


QUEUE, LETTERS = (t.QUEUE, "queue"), (t.QUEUE, "letters")
COMPANIONS = (
    t.BUCKET_PUBLIC_ACCESS,
    t.BUCKET_ENCRYPTION,
    t.BUCKET_OWNERSHIP,
    t.BUCKET_POLICY,
    t.BUCKET_VERSIONING,
    t.BUCKET_LIFECYCLE,
)
COMPLETE = [
    thing(t.STACK, name="root", flows=[FLOW]),
    named(
        t.QUEUE,
        "queue",
        f"{PREFIX}-jobs",
        arn=ARN,
        url="https://sqs/jobs",
        visibilityTimeoutSeconds=190,
        messageRetentionSeconds=100,
        redrivePolicy=json.dumps({"deadLetterTargetArn": f"{ARN}-dlq", "maxReceiveCount": 5}),
        depends={"redrivePolicy": urns(LETTERS)},
    ),
    named(
        t.QUEUE, "letters", f"{PREFIX}-jobs-dlq", arn=f"{ARN}-dlq", url="https://sqs/dlq", messageRetentionSeconds=200
    ),
    thing(t.QUEUE_POLICY, name="queue-policy", queueUrl="https://sqs/jobs", policy=document(deny_http("sqs:*"))),
    thing(
        t.QUEUE_POLICY, name="letters-policy", queueUrl=UNSETTLED, policy=UNSETTLED, depends={"queueUrl": urns(LETTERS)}
    ),
    thing(
        t.REDRIVE_ALLOW,
        name="allow",
        queueUrl="https://sqs/dlq",
        redriveAllowPolicy=json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [ARN]}),
    ),
    thing(
        t.MAPPING,
        name="mapping",
        eventSourceArn=ARN,
        functionName=f"{PREFIX}-work",
        maximumBatchingWindowInSeconds=10,
        scalingConfig={"maximumConcurrency": 2},
    ),
    named(t.FUNCTION, "work", f"{PREFIX}-work", timeout=30, reservedConcurrentExecutions=-1),
    named(t.LOG_GROUP, "work-logs", f"/aws/lambda/{PREFIX}-work"),
    named(
        t.FUNCTION,
        "api",
        f"{PREFIX}-api",
        role="arn:aws:iam::1:role/api",
        loggingConfig={"logGroup": "/shared"},
        environment={"variables": {"BMX_WORK_QUEUE_NAME": f"{PREFIX}-jobs"}},
    ),
    named(t.LOG_GROUP, "shared-logs", "/shared"),
    named(t.ROLE, "api-role", f"{PREFIX}-api", arn="arn:aws:iam::1:role/api"),
    thing(t.ATTACHMENT, name="attachment", role=f"{PREFIX}-api", policyArn="arn:aws:iam::1:policy/api"),
    thing(t.POLICY, name="policy", arn="arn:aws:iam::1:policy/api", policy=document(allow("sqs:SendMessage", ARN))),
    alarm("ApproximateNumberOfMessagesVisible", LETTERS, "QueueName", f"{PREFIX}-jobs-dlq"),
    alarm("ApproximateAgeOfOldestMessage", QUEUE, "QueueName", f"{PREFIX}-jobs"),
    *(alarm(metric, (t.FUNCTION, "work"), "FunctionName", f"{PREFIX}-work") for metric in ("Errors", "Throttles")),
    alarm("Duration", (t.FUNCTION, "work"), "FunctionName", f"{PREFIX}-work"),
    thing(t.TOPIC, name="topic", arn="arn:topic"),
    thing(t.SUBSCRIPTION, name="subscription", topic="arn:topic"),
    thing(t.BUCKET, name="bucket", bucket=f"{PREFIX}-images"),
    *(thing(type_, name=type_.split(":")[-1], bucket=f"{PREFIX}-images") for type_ in COMPANIONS),
]


def stack_with(change):
    """Return the complete stack with changes."""
    assert set(change) <= {resource.name for resource in COMPLETE}
    kept = [resource for resource in COMPLETE if change.get(resource.name, {}) is not None]
    return Stack([altered(resource, change.get(resource.name, {})) for resource in kept])


@dataclass(frozen=True)
class StackCase:
    """One rule's cases over the stack: changes with what is reported, on known and on unknown values; what passes."""

    bad: list[Any]
    unknown: list[Any]
    fine: list[Any] = field(default_factory=list)


# A preview: what AWS gives is not known yet, and things are known by what they are made from.
PREVIEW = {
    "queue": {"arn": UNSETTLED, "url": UNSETTLED, "redrivePolicy": UNSETTLED},
    "letters": {"arn": UNSETTLED, "url": UNSETTLED},
    "queue-policy": {"queueUrl": UNSETTLED, "depends": {"queueUrl": urns(QUEUE)}},
    "allow": {"queueUrl": UNSETTLED, "redriveAllowPolicy": UNSETTLED, "depends": {"queueUrl": urns(LETTERS)}},
    "mapping": {
        "eventSourceArn": UNSETTLED,
        "functionName": UNSETTLED,
        "depends": {"eventSourceArn": urns(QUEUE), "functionName": urns((t.FUNCTION, "work"))},
    },
    "alarm-Errors": {"dimensions": UNSETTLED},
    "alarm-ApproximateNumberOfMessagesVisible": {
        "dimensions": {"QueueName": UNSETTLED},
        "alarmActions": UNSETTLED,
        "depends": {"dimensions": urns(LETTERS), "alarmActions": urns((t.TOPIC, "topic"))},
    },
    "topic": {"arn": UNSETTLED},
    "subscription": {"topic": UNSETTLED, "depends": {"topic": urns((t.TOPIC, "topic"))}},
    "policy": {"policy": UNSETTLED},
}
REDRIVES = document(allow("sqs:SendMessage", ARN), allow("sqs:ReceiveMessage", f"{ARN}-dlq"))
NOBODY = {"root": {"flows": [{**FLOW, "producers": []}]}}
ON_DEAD = "alarm-ApproximateNumberOfMessagesVisible"

STACK_CASES = {
    "queue-has-policy": StackCase(
        bad=[({"queue-policy": None}, [("queue", "a QueuePolicy")])],
        unknown=[(PREVIEW, []), ({**PREVIEW, "letters-policy": None}, [("letters", "a QueuePolicy")])],
    ),
    "queue-has-dead-letters": StackCase(
        bad=[
            (
                {"queue": {"redrivePolicy": None, "depends": {}}},
                [("queue", "redrivePolicy"), ("letters", "redrivePolicy")],
            ),
            ({"letters": {"messageRetentionSeconds": 100}}, [("letters", "messageRetentionSeconds")]),
        ],
        unknown=[(PREVIEW, []), ({"letters": {"messageRetentionSeconds": UNSETTLED}}, [])],
    ),
    "dead-letters-admit-own-queue": StackCase(
        bad=[
            ({"allow": None}, [("letters", "a RedriveAllowPolicy")]),
            ({"allow": {"redriveAllowPolicy": '{"redrivePermission": "allowAll"}'}}, [("allow", "redriveAllowPolicy")]),
        ],
        unknown=[(PREVIEW, [])],
        fine=[{"queue": {"redrivePolicy": None, "depends": {}}}],
    ),
    "mapping-within-reserved-concurrency": StackCase(
        bad=[({"work": {"reservedConcurrentExecutions": 1}}, [("work", "reservedConcurrentExecutions")])],
        unknown=[(PREVIEW, []), ({"work": {"reservedConcurrentExecutions": UNSETTLED}}, [])],
        fine=[{"work": {"reservedConcurrentExecutions": 2}}],
    ),
    "mapping-visibility": StackCase(
        bad=[({"queue": {"visibilityTimeoutSeconds": 189}}, [("queue", "visibilityTimeoutSeconds")])],
        unknown=[
            ({"queue": {"visibilityTimeoutSeconds": UNSETTLED}}, []),
            ({**PREVIEW, "work": {"timeout": 31}}, [("queue", "visibilityTimeoutSeconds")]),
        ],
    ),
    "function-has-log-group": StackCase(
        bad=[({"work-logs": None}, [("work", "a LogGroup")]), ({"shared-logs": None}, [("api", "a LogGroup")])],
        unknown=[({"work-logs": {"name": UNSETTLED}}, []), ({"work": {"name": UNSETTLED}}, [])],
    ),
    "iam-producers-own-queues": StackCase(
        bad=[
            (NOBODY, [("api", "role")]),
            ({**NOBODY, "policy": {"policy": document(allow("SQS:SendMessage", ARN))}}, [("api", "role")]),
        ],
        unknown=[({**NOBODY, "policy": {"policy": UNSETTLED}}, [])],
        # Whoever takes a queue's dead letters brings them back to it.
        fine=[{**NOBODY, "policy": {"policy": REDRIVES}}],
    ),
    "bucket-complete": StackCase(
        bad=[
            (
                {"BucketVersioning": None, "BucketPolicy": None},
                [("bucket", "a BucketPolicy"), ("bucket", "a BucketVersioning")],
            )
        ],
        unknown=[({"BucketPolicy": {"bucket": UNSETTLED, "depends": {"bucket": urns((t.BUCKET, "bucket"))}}}, [])],
    ),
    "dead-letters-alarm": StackCase(
        bad=[
            ({ON_DEAD: None}, [("letters", "an alarm on ApproximateNumberOfMessagesVisible")]),
            ({ON_DEAD: {"threshold": 5}}, [("letters", "an alarm on ApproximateNumberOfMessagesVisible")]),
        ],
        unknown=[(PREVIEW, []), ({ON_DEAD: {"metricName": UNSETTLED, "threshold": UNSETTLED}}, [])],
        fine=[{"queue": {"redrivePolicy": None, "depends": {}}}],
    ),
    "alarm-topic-heard": StackCase(
        bad=[({"subscription": None}, [("topic", "a TopicSubscription")])],
        unknown=[(PREVIEW, []), ({**PREVIEW, "subscription": None}, [("topic", "a TopicSubscription")])],
        fine=[{"subscription": None, **{r.name: None for r in COMPLETE if r.type == t.ALARM}}],
    ),
    "flow-complete": StackCase(
        bad=[
            ({"queue": None}, [("root", "the queue"), ("root", "the mapping")]),
            ({"letters": None}, [("root", "the dead-letter queue")]),
            ({"alarm-ApproximateAgeOfOldestMessage": None}, [("root", "the alarm on ApproximateAgeOfOldestMessage")]),
            ({"work": None}, [("root", "the function")]),
            ({"work-logs": None}, [("root", "the log group")]),
            ({"alarm-Duration": None}, [("root", "the alarm on Duration")]),
            ({"mapping": None}, [("root", "the mapping")]),
            ({"api": {"environment": None}}, [("api", "environment.variables.BMX_WORK_QUEUE_NAME")]),
        ],
        unknown=[(PREVIEW, []), ({"root": {"flows": UNSETTLED}, "queue": None}, [])],
        fine=[{"root": {"flows": [{**FLOW, "deployed": False}]}, "work": None, "mapping": None}, {"root": None}],
    ),
    "flow-registered": StackCase(
        bad=[({"root": {"flows": []}}, [("queue", "an entry of the registry")])],
        unknown=[({"root": {"flows": UNSETTLED}}, []), ({"queue": {"name": UNSETTLED}}, [])],
    ),
}
