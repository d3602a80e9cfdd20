"""EventBridge: rules and their targets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, ClassVar, Final

from botocore.exceptions import ClientError

from local.resources.driver import Aws, Driver, gone, pairs, repeated, sync_tags, unpaired
from local.resources.schema import ARN, Failure, Property
from local.resources.values import Values

LIMITS: Final = (
    "Rules on event patterns are stored and never matched; schedules are run by the embedded Lambda.",
    "Dead-letter queues of targets and targets other than by ARN and input are refused by name.",
)

_MISSING: Final = ("ResourceNotFoundException", "ResourceNotFound")


class EventRule(Driver):
    """A rule. Its id is its name, or `<bus>/<name>` off the default bus; imported by it."""

    type_name = "aws:cloudwatch/eventRule:EventRule"
    source = "terraform-provider-aws internal/service/events/rule.go"
    properties: ClassVar = {
        "description": Property(longest=512),
        "eventBusName": Property(default="default", replaces=True),
        "eventPattern": Property("json", longest=4096),
        "forceDestroy": Property("boolean", default=False, written_only=True),
        "name": Property(replaces=True, longest=64, pattern=r"[0-9A-Za-z._-]+"),
        "roleArn": Property(pattern=ARN),
        "scheduleExpression": Property(longest=256),
        "state": Property(
            computed=True, choices=("ENABLED", "DISABLED", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS")
        ),
    }
    outputs = frozenset({"arn", "tagsAll"})
    autoname = ("name", 64)
    taggable = True

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Ask for a schedule or a pattern, and hold the schedule to its grammar."""
        if not given & {"scheduleExpression", "eventPattern"}:
            yield Failure("scheduleExpression", "one of scheduleExpression and eventPattern is required")
        schedule = known.get("scheduleExpression", "rate(2 minutes)")
        rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)(s?)\)", schedule)
        # AWS takes "rate(1 minute)" and "rate(2 minutes)", and refuses either the other way round.
        if not (
            re.fullmatch(r"cron\(\S+( \S+){5}\)", schedule)
            or (rate and (rate[1] != "1") == bool(rate[3]) and int(rate[1]))
        ):
            yield Failure(
                "scheduleExpression",
                f"api error ValidationException: Parameter ScheduleExpression is not valid: {schedule!r} "
                "(rate(1 hour), rate(5 minutes) or cron(six fields))",
            )

    def create(self, aws: Aws, inputs: Values) -> str:
        """PutRule."""
        aws.client("events").put_rule(Tags=pairs(inputs["tagsAll"]), **_rule(inputs))
        return _rule_id(inputs["eventBusName"], inputs["name"])

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """DescribeRule."""
        client = aws.client("events")
        bus, name = _bus_and_rule(identifier)
        try:
            found = client.describe_rule(Name=name, EventBusName=_bus_name(bus))
        except ClientError as error:
            if gone(error, *_MISSING):
                return None
            raise
        return {
            "name": found["Name"],
            "arn": found["Arn"],
            "description": found.get("Description") or None,
            "eventBusName": bus,
            "eventPattern": found.get("EventPattern") or None,
            "scheduleExpression": found.get("ScheduleExpression") or None,
            "roleArn": found.get("RoleArn") or None,
            "state": found["State"],
            "tagsAll": unpaired(client.list_tags_for_resource(ResourceARN=found["Arn"])["Tags"]),
        }

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """PutRule, and tags."""
        client = aws.client("events")
        client.put_rule(**_rule(new))
        sync_tags(
            old,
            new,
            lambda tags: client.tag_resource(ResourceARN=old["arn"], Tags=pairs(tags)),
            lambda keys: client.untag_resource(ResourceARN=old["arn"], TagKeys=keys),
        )

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """DeleteRule; EventBridge refuses while the rule has targets."""
        bus, name = _bus_and_rule(identifier)
        try:
            client = aws.client("events")
            repeated(lambda: client.delete_rule(Name=name, EventBusName=_bus_name(bus)), "ValidationException")
        except ClientError as error:
            if not gone(error, *_MISSING):
                raise


def _rule(inputs: Values) -> dict[str, Any]:
    names = {
        "description": "Description",
        "eventPattern": "EventPattern",
        "roleArn": "RoleArn",
        "scheduleExpression": "ScheduleExpression",
    }
    wanted = {api: inputs[key] for key, api in names.items() if inputs.get(key)}
    if inputs.get("state"):
        wanted["State"] = inputs["state"]
    return {**wanted, "Name": inputs["name"], "EventBusName": _bus_name(inputs["eventBusName"])}


def _bus_name(given: str) -> str:
    """Return a bus's name; the provider keeps it as given, and that may be its ARN."""
    return given.rpartition("event-bus/")[2]


def _rule_id(bus: str, name: str) -> str:
    return name if bus == "default" else f"{bus}/{name}"


def _bus_and_rule(identifier: str) -> tuple[str, str]:
    bus, _, name = identifier.rpartition("/")
    return bus or "default", name


class EventTarget(Driver):
    """A target of a rule. Its id is `<rule>-<target id>`; imported as `<bus>/<rule>/<target id>`."""

    type_name = "aws:cloudwatch/eventTarget:EventTarget"
    source = "terraform-provider-aws internal/service/events/target.go"
    properties: ClassVar = {
        "arn": Property(required=True, pattern=ARN),
        "eventBusName": Property(default="default", replaces=True),
        "forceDestroy": Property("boolean", default=False, written_only=True),
        "input": Property(longest=8192, conflicts=("inputPath",)),
        "inputPath": Property(longest=256, conflicts=("input",)),
        "retryPolicy": Property(
            "object",
            fields={
                "maximumEventAgeInSeconds": Property("integer", minimum=60, maximum=86_400),
                "maximumRetryAttempts": Property("integer", minimum=0, maximum=185),
            },
        ),
        "roleArn": Property(pattern=ARN),
        "rule": Property(required=True, replaces=True),
        "targetId": Property(replaces=True, longest=64, pattern=r"[0-9A-Za-z._-]+"),
    }
    autoname = ("targetId", 255)

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Hold the constant input to JSON, as EventBridge does."""
        try:
            json.loads(known.get("input", "{}"))
        except ValueError as error:
            yield Failure("input", f"input contains an invalid JSON document: {error}")

    def create(self, aws: Aws, inputs: Values) -> str:
        """PutTargets."""
        _put_target(aws, inputs)
        rule, target = inputs["rule"], inputs["targetId"]
        return (
            f"{rule}-{target}" if inputs["eventBusName"] == "default" else f"{inputs['eventBusName']}-{rule}-{target}"
        )

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """ListTargetsByRule. Where the rule's name ends in the id, state says, or in an import the slashes."""
        bus, rule, target = known.get("eventBusName", "default"), known.get("rule"), known.get("targetId")
        if not rule:
            *front, rule, target = identifier.split("/")
            bus = "/".join(front) or "default"
        try:
            listed = aws.client("events").list_targets_by_rule(Rule=rule, EventBusName=_bus_name(bus))["Targets"]
        except ClientError as error:
            if gone(error, *_MISSING):
                return None
            raise
        found = next((item for item in listed if item["Id"] == target), None)
        if found is None:
            return None
        retry = found.get("RetryPolicy") or {}
        names = {"maximumEventAgeInSeconds": "MaximumEventAgeInSeconds", "maximumRetryAttempts": "MaximumRetryAttempts"}
        return {
            "id": f"{rule}-{target}" if bus == "default" else f"{bus}-{rule}-{target}",
            "rule": rule,
            "targetId": target,
            "eventBusName": bus,
            "arn": found["Arn"],
            "input": found.get("Input") or None,
            "inputPath": found.get("InputPath") or None,
            "roleArn": found.get("RoleArn") or None,
            "retryPolicy": {key: retry[api] for key, api in names.items() if api in retry} or None,
        }

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """PutTargets."""
        _put_target(aws, {**new, "targetId": old["targetId"]})

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """RemoveTargets."""
        try:
            aws.client("events").remove_targets(
                Rule=state["rule"],
                EventBusName=_bus_name(state.get("eventBusName", "default")),
                Ids=[state["targetId"]],
            )
        except ClientError as error:
            if not gone(error, *_MISSING):
                raise


def _put_target(aws: Aws, inputs: Values) -> None:
    names = {"input": "Input", "inputPath": "InputPath", "roleArn": "RoleArn"}
    target: dict[str, Any] = {api: inputs[key] for key, api in names.items() if inputs.get(key)}
    retry = inputs.get("retryPolicy") or {}
    members = {"maximumEventAgeInSeconds": "MaximumEventAgeInSeconds", "maximumRetryAttempts": "MaximumRetryAttempts"}
    if retry:
        target["RetryPolicy"] = {api: retry[key] for key, api in members.items() if key in retry}
    target |= {"Id": inputs["targetId"], "Arn": inputs["arn"]}
    answer = aws.client("events").put_targets(
        Rule=inputs["rule"], EventBusName=_bus_name(inputs["eventBusName"]), Targets=[target]
    )
    if answer.get("FailedEntryCount"):
        entry = answer["FailedEntries"][0]
        raise ClientError({"Error": {"Code": entry["ErrorCode"], "Message": entry["ErrorMessage"]}}, "PutTargets")


DRIVERS: Final = (EventRule, EventTarget)
