"""What was really deployed, read through boto3, as one value; and whether all parts of each flow agree in it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from components.flow import Flow
from flows import API
from local.iam_policy import action_matches, resource_matches
from tests.e2e.grants import Grant, granted_to_roles

ALARMS_ON_QUEUES = ("dead-letters", "oldest-message", "backlog")
ALARMS_ON_FUNCTIONS = ("errors", "throttles", "duration")


@dataclass
class View:
    """A deployment: everything by the name that AWS knows it under.

    Attributes
    ----------
    queues
        Attributes of each queue.
    functions
        Configuration of each function.
    mappings, alarms, grants
        Every event source mapping, every alarm by name, every grant of every role.
    topics, keys, subscribers
        Attributes of each topic, policy of each key, subscriptions of each topic, by ARN.
    registry
        The registry in the zip of the API's function.
    health, admin
        What the API answers for the deep check and for the system's information.
    """

    queues: dict[str, dict[str, str]]
    functions: dict[str, dict[str, Any]]
    mappings: list[dict[str, Any]]
    alarms: dict[str, dict[str, Any]]
    grants: set[Grant]
    topics: dict[str, dict[str, str]]
    keys: dict[str, dict[str, Any]]
    subscribers: dict[str, list[dict[str, Any]]]
    registry: dict[str, dict[str, Any]]
    health: dict[str, dict[str, Any]]
    admin: dict[str, Any]


def look(
    client: Callable[[str], Any], prefix: str, read_zip: Callable[[str], bytes], ask: Callable[[str], dict[str, Any]]
) -> View:
    """Read a deployment.

    Parameters
    ----------
    client
        Returns the boto3 client of a service.
    prefix
        Prefix of the stack's names.
    read_zip
        Returns the zip that a function runs.
    ask
        Returns what the API answers on a path, with a key.
    """
    sqs, functions, sns, kms = client("sqs"), client("lambda"), client("sns"), client("kms")
    urls = [url for page in sqs.get_paginator("list_queues").paginate() for url in page.get("QueueUrls", [])]
    listed = [each for page in functions.get_paginator("list_functions").paginate() for each in page["Functions"]]
    topics = [topic["TopicArn"] for topic in sns.list_topics()["Topics"]]
    attributes = {arn: sns.get_topic_attributes(TopicArn=arn)["Attributes"] for arn in topics}
    keys = {each["KmsMasterKeyId"] for each in attributes.values() if each.get("KmsMasterKeyId")}
    paginator = client("cloudwatch").get_paginator("describe_alarms")
    with zipfile.ZipFile(io.BytesIO(read_zip(f"{prefix}-{API}"))) as archive:
        registry = json.loads(archive.read("handlers/api/registry.json"))
    return View(
        queues={
            url.rsplit("/", 1)[1]: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            for url in urls
        },
        functions={each["FunctionName"]: each for each in listed},
        mappings=functions.list_event_source_mappings()["EventSourceMappings"],
        alarms={alarm["AlarmName"]: alarm for page in paginator.paginate() for alarm in page["MetricAlarms"]},
        grants=granted_to_roles(client("iam")),
        topics=attributes,
        keys={key: json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]) for key in keys},
        subscribers={arn: sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"] for arn in topics},
        registry={entry["key"]: entry for entry in registry["flows"]},
        health=ask("/api/v1/health/deep")["checks"]["sqs"]["queues"],
        admin=ask("/api/v1/admin/system-info")["infrastructure"],
    )


def lacking(view: View, flow: Flow, prefix: str) -> list[str]:
    """Name every part of a flow that is missing, or does not agree with the others; empty where all is well."""
    parts: Mapping[str, bool] = {
        **_queues(view, flow, prefix),
        **_function(view, flow, prefix),
        **_producers(view, flow, prefix),
        **_told(view, flow, prefix),
        **_alarms(view, flow, prefix),
    }
    return [f"{flow.key}: {part}" for part, there in parts.items() if not there]


def _queues(view: View, flow: Flow, prefix: str) -> dict[str, bool]:
    queue = view.queues.get(flow.queue_name(prefix), {})
    dead = view.queues.get(flow.dead_letter_queue_name(prefix), {})
    redrive = json.loads(queue.get("RedrivePolicy", "{}"))
    return {
        "queue": bool(queue) and queue["VisibilityTimeout"] == str(flow.visibility_timeout),
        "dead-letter queue": bool(dead),
        "redrive policy": bool(dead)
        and redrive.get("deadLetterTargetArn") == dead["QueueArn"]
        # moto keeps the number as it was given, AWS as a number
        and str(redrive.get("maxReceiveCount")) == str(flow.receives),
    }


def _function(view: View, flow: Flow, prefix: str) -> dict[str, bool]:
    name = flow.function_name(prefix)
    function = view.functions.get(name, {})
    queue = view.queues.get(flow.queue_name(prefix), {}).get("QueueArn", "no queue")
    consumes = all(
        _may(view, name, f"sqs:{verb}", queue) for verb in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
    )
    return {
        "function": function.get("Timeout") == flow.timeout,
        "mapping": any(
            each["EventSourceArn"] == queue and each["FunctionArn"].endswith(f":{name}") for each in view.mappings
        ),
        "role": function.get("Role", "").endswith(f"/{name}") and consumes,
    }


def _producers(view: View, flow: Flow, prefix: str) -> dict[str, bool]:
    queue = view.queues.get(flow.queue_name(prefix), {}).get("QueueArn", "no queue")
    dead = view.queues.get(flow.dead_letter_queue_name(prefix), {}).get("QueueArn", "no queue")
    function = view.functions.get(flow.function_name(prefix), {}).get("FunctionArn", "no function")
    api = f"{prefix}-{API}"
    asked = {
        *((action, arn) for arn in (queue, dead) for action in ("sqs:GetQueueUrl", "sqs:GetQueueAttributes")),
        *((f"sqs:{verb}", dead) for verb in ("ReceiveMessage", "ChangeMessageVisibility", "DeleteMessage")),
        ("sqs:SendMessage", queue),
        ("lambda:GetFunctionConfiguration", function),
    }
    parts = {
        f"grant of the API: {action} on {arn.rsplit(':')[-1]}": _may(view, api, action, arn) for action, arn in asked
    }
    for sender in flow.senders:
        name = f"{prefix}-{sender.replace('_', '-')}"
        variables = view.functions.get(name, {}).get("Environment", {}).get("Variables", {})
        parts[f"grant of {sender} to send"] = _may(view, name, "sqs:SendMessage", queue)
        parts[f"variable of {sender}"] = variables.get(f"BMX_{flow.variable}") == flow.queue_name(prefix)
    return parts


def _told(view: View, flow: Flow, prefix: str) -> dict[str, bool]:
    queue = flow.queue_name(prefix)
    return {
        "registry entry": view.registry.get(flow.key) == flow.registry_entry(prefix, "BMX_", deployed=True),
        "health entry": view.health.get(flow.key, {}).get("queue_name") == queue,
        "admin row": queue in str(view.admin.get(f"{flow.key}_queue")),
    }


def _alarms(view: View, flow: Flow, prefix: str) -> dict[str, bool]:
    queue, dead, function = (
        flow.queue_name(prefix),
        flow.dead_letter_queue_name(prefix),
        flow.function_name(prefix),
    )
    watched = {"dead-letters": dead, "oldest-message": queue, "backlog": queue}
    watched |= dict.fromkeys(ALARMS_ON_FUNCTIONS, function)
    parts = {}
    for end, of in watched.items():
        alarm = view.alarms.get(f"{function}-{end}", {})
        parts[f"alarm {end}"] = [each["Value"] for each in alarm.get("Dimensions", [])] == [of]
        actions = alarm.get("AlarmActions", [])
        parts[f"action of alarm {end}"] = bool(actions) and set(actions) <= set(view.topics)
        for topic in actions:
            parts[f"subscriber of alarm {end}"] = bool(view.subscribers.get(topic))
            key = view.topics.get(topic, {}).get("KmsMasterKeyId", "")
            parts[f"key of alarm {end}"] = lets_cloudwatch_in(view.keys.get(key, {}))
    return parts


def lets_cloudwatch_in(policy: Mapping[str, Any]) -> bool:
    """Whether a key's policy lets CloudWatch encrypt what it publishes."""
    allowed = [
        action
        for statement in policy.get("Statement", [])
        if statement["Effect"] == "Allow" and statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        for action in statement["Action"]
    ]
    return all(
        any(action_matches(pattern, action) for pattern in allowed) for action in ("kms:Decrypt", "kms:GenerateDataKey")
    )


def _may(view: View, role: str, action: str, resource: str) -> bool:
    return any(
        grant.role == role and action_matches(grant.action, action) and resource_matches(grant.resource, resource)
        for grant in view.grants
    )
