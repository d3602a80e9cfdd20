"""`./bmx alarms`: each alarm of a stack, its condition in words, its state and why, and who hears it.

Every link of the chain from a metric to a reader is looked at: the metric exists, the alarm has actions, its topics
exist, let CloudWatch in, are encrypted with a key that lets CloudWatch in, and have a subscriber who has confirmed.
The same on AWS and in the embedded cloud.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from local.iam_policy import Access, Principal, UnsupportedPolicyError, decide, parse
from ops.display import console_for
from ops.errors import UserError
from ops.paths import HOME
from ops.stacks import StackHandle, stack

Client = Callable[[str], Any]

CLOUDWATCH = "cloudwatch.amazonaws.com"
_PENDING = "PendingConfirmation"
_COMPARISONS = {
    "GreaterThanOrEqualToThreshold": "at or above",
    "GreaterThanThreshold": "above",
    "LessThanOrEqualToThreshold": "at or below",
    "LessThanThreshold": "below",
}
_COLOURS = {"OK": "green", "ALARM": "red", "INSUFFICIENT_DATA": "yellow"}
_UNITS = {"ApproximateAgeOfOldestMessage": " s", "Duration": " ms"}


@dataclass(frozen=True)
class Subscriber:
    """Somebody who hears a topic, once `confirmed`."""

    protocol: str
    endpoint: str
    confirmed: bool


@dataclass(frozen=True)
class Alarm:
    """An alarm as an operator sees it; `problems` says, link by link, why its going off would not be heard."""

    name: str
    state: str
    condition: str
    reason: str
    means: str
    since: str
    subscribers: tuple[Subscriber, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _Topic:
    subscribers: tuple[Subscriber, ...]
    problems: tuple[str, ...]


def show(name: str, *, as_json: bool, check: bool) -> int:
    """Print the alarms of the stack `name`; 0, or with `check` 1 if one is in ALARM or would not be heard."""
    handle = stack(name)
    try:
        found = alarms(handle.client, prefix_of(handle))
    except (ClientError, BotoCoreError) as error:
        raise UserError(f"The alarms of the stack {name} cannot be read: {error}", exit_code=1) from error
    if as_json:
        print(json.dumps({"alarms": [asdict(each) for each in found]}, indent=2))  # noqa: T201
    else:
        _print(console_for(), found, local=handle.is_local)
    return 1 if check and (not found or any(each.state == "ALARM" or each.problems for each in found)) else 0


def prefix_of(handle: StackHandle) -> str:
    """Begin of the names of the stack's alarms: the name of its topic of alarms, without its own last word.

    Raises
    ------
    UserError
        The deployed program exports no topic of alarms.
    """
    return str(handle.output("alarms_topic_arn")).rsplit(":", 1)[-1].removesuffix("alarms")


def alarms(client: Client, prefix: str) -> list[Alarm]:
    """Read the alarms whose names begin with `prefix`, and what their actions lead to; those in ALARM first.

    Parameters
    ----------
    client
        Gives the boto3 client of a service.

    Raises
    ------
    botocore.exceptions.ClientError
        If the alarms cannot be read; what cannot be read of a topic is a problem of its alarms.
    """
    pages = client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix)
    described = [each for page in pages for each in page.get("MetricAlarms", [])]
    topics: dict[str, _Topic] = {}
    for arn in sorted({action for each in described for action in _actions(each)}):
        speaking = [str(each["AlarmArn"]) for each in described if arn in _actions(each)]
        topics[arn] = _topic(client, arn, speaking)
    known = _known_names(client, described)
    found = [_alarm(each, topics, known) for each in described]
    return sorted(found, key=lambda each: (each.state != "ALARM", not each.problems, each.name))


def condition(alarm: Mapping[str, Any]) -> str:
    """Say when an alarm goes off, for example "Maximum of Duration of x at or above 5 ms in 5 minutes"."""
    comparison = _COMPARISONS.get(str(alarm.get("ComparisonOperator")), str(alarm.get("ComparisonOperator")))
    metric, threshold = str(alarm.get("MetricName")), float(alarm.get("Threshold") or 0)
    of = ", ".join(str(each["Value"]) for each in alarm.get("Dimensions", [])) or "the whole account"
    statistic = alarm.get("Statistic") or alarm.get("ExtendedStatistic")
    sentence = f"{statistic} of {metric} of {of} {comparison} {threshold:g}{_UNITS.get(metric, '')}"
    periods, needed = int(alarm.get("EvaluationPeriods") or 1), alarm.get("DatapointsToAlarm")
    span = _span(int(alarm.get("Period") or 0))
    if needed and needed != periods:
        return f"{sentence} in {needed} of {periods} periods of {span}"
    return f"{sentence} in {span}" if periods == 1 else f"{sentence} in {periods} periods of {span} in a row"


def _span(seconds: int) -> str:
    if seconds % 60:
        return f"{seconds} seconds"
    return "one minute" if seconds == 60 else f"{seconds // 60} minutes"  # noqa: PLR2004


def _actions(alarm: Mapping[str, Any]) -> list[str]:
    return [*alarm.get("AlarmActions", []), *alarm.get("OKActions", [])]


def _alarm(alarm: Mapping[str, Any], topics: Mapping[str, _Topic], known: Mapping[str, set[str] | str]) -> Alarm:
    heard = {subscriber: None for action in alarm.get("AlarmActions", []) for subscriber in topics[action].subscribers}
    problems = [
        *_own_problems(alarm, known),
        *(each for arn in _unique(_actions(alarm)) for each in topics[arn].problems),
    ]
    updated = alarm.get("StateUpdatedTimestamp")
    return Alarm(
        name=str(alarm["AlarmName"]),
        state=str(alarm.get("StateValue")),
        condition=condition(alarm),
        reason=str(alarm.get("StateReason", "")),
        means=str(alarm.get("AlarmDescription", "")),
        since=updated.isoformat() if updated else "",
        subscribers=tuple(heard),
        problems=tuple(problems),
    )


def _unique(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _own_problems(alarm: Mapping[str, Any], known: Mapping[str, set[str] | str]) -> Iterator[str]:
    if not alarm.get("AlarmActions"):
        yield "no action: nobody is told when it goes off"
    elif not alarm.get("ActionsEnabled", True):
        yield "its actions are disabled: nobody is told when it goes off"
    for each in alarm.get("Dimensions", []):
        names = known.get(str(each["Name"]))
        if isinstance(names, str):
            yield f"whether {each['Name']} {each['Value']} exists cannot be told: {names}"
        elif names is not None and each["Value"] not in names:
            yield f"its dimension is wrong: there is no {each['Name']} {each['Value']}, so it never goes off"


def _known_names(client: Client, described: Sequence[Mapping[str, Any]]) -> dict[str, set[str] | str]:
    """Queues and functions that exist, of those that alarms watch; or the error that keeps them from being told."""
    watched: dict[str, set[str]] = {}
    for alarm in described:
        for each in alarm.get("Dimensions", []):
            watched.setdefault(each["Name"], set()).add(each["Value"])
    looks: dict[str, Callable[[str], Any]] = {
        "QueueName": lambda name: client("sqs").get_queue_url(QueueName=name),
        "FunctionName": lambda name: client("lambda").get_function_configuration(FunctionName=name),
    }
    known: dict[str, set[str] | str] = {}
    for dimension in sorted(watched.keys() & looks.keys()):
        try:
            known[dimension] = {name for name in sorted(watched[dimension]) if _exists(looks[dimension], name)}
        except (ClientError, BotoCoreError) as error:
            known[dimension] = str(error)
    return known


def _exists(look: Callable[[str], Any], name: str) -> bool:
    try:
        look(name)
    except ClientError as error:
        # GetQueueUrl answers the same to somebody without permission; an operator's credentials are taken to have it
        if error.response["Error"]["Code"] in (
            "AWS.SimpleQueueService.NonExistentQueue",
            "QueueDoesNotExist",
            "ResourceNotFoundException",
        ):
            return False
        raise
    return True


def _topic(client: Client, arn: str, alarm_arns: Sequence[str]) -> _Topic:
    if ":sns:" not in arn:
        return _Topic((), (f"action {arn} is not a topic: whether anybody hears it cannot be told",))
    name = arn.rsplit(":", 1)[-1]
    try:
        attributes = client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]
        subscribers = tuple(_subscribers(client, arn))
    except (ClientError, BotoCoreError) as error:
        return _Topic((), (f"topic {name} cannot be read: {error}",))
    problems = []
    whose = f"the policy of topic {name}"
    if why := _kept_out(attributes.get("Policy", ""), whose, ("sns:Publish",), arn, alarm_arns):
        problems.append(why)
    problems += _key_problems(client, name, attributes.get("KmsMasterKeyId", ""), alarm_arns)
    if not subscribers:
        problems.append(f"topic {name} has no subscriber: nobody is told")
    elif not any(each.confirmed for each in subscribers):
        problems.append(f"no subscriber of topic {name} has confirmed: nobody is told yet")
    return _Topic(subscribers, tuple(problems))


def _subscribers(client: Client, arn: str) -> Iterator[Subscriber]:
    sns = client("sns")
    for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=arn):
        for each in page.get("Subscriptions", []):
            confirmed = each["SubscriptionArn"] not in (_PENDING, "Deleted")
            if confirmed:
                found = sns.get_subscription_attributes(SubscriptionArn=each["SubscriptionArn"])["Attributes"]
                confirmed = str(found.get(_PENDING, "false")).lower() != "true"
            yield Subscriber(each["Protocol"], each["Endpoint"], confirmed)


def _key_problems(client: Client, topic: str, key: str, alarm_arns: Sequence[str]) -> Iterator[str]:
    if not key:
        return
    if "alias/aws/" in key:
        yield f"topic {topic} is encrypted with {key}, AWS's own key, whose policy does not let {CLOUDWATCH} in"
        return
    try:
        described = client("kms").describe_key(KeyId=key)["KeyMetadata"]
        policy = client("kms").get_key_policy(KeyId=described["KeyId"], PolicyName="default")["Policy"]
    except (ClientError, BotoCoreError) as error:
        yield f"the key of topic {topic} cannot be read: {error}"
        return
    if described["KeyState"] != "Enabled":
        yield f"the key of topic {topic} is {described['KeyState']}: {CLOUDWATCH} cannot publish"
    whose = f"the policy of the key of topic {topic}"
    if why := _kept_out(policy, whose, ("kms:Decrypt", "kms:GenerateDataKey"), described["Arn"], alarm_arns):
        yield why


def _kept_out(policy: str, whose: str, actions: Sequence[str], resource: str, alarm_arns: Iterable[str]) -> str:
    """Say why a resource's policy keeps CloudWatch from one of `actions` for one of the alarms; empty if it does not.

    Weighed is the call that CloudWatch makes: over TLS, for an alarm of the topic's own account. It is decided as the
    embedded cloud decides it, so a Deny counts and a condition does, and what that does not model is said, not guessed.
    """
    account = resource.split(":")[4]
    try:
        statements = parse(policy, whose, "resource")
    except UnsupportedPolicyError as error:
        return f"whether {whose} lets {CLOUDWATCH} in cannot be told: {error}"
    for arn in alarm_arns:
        context = {
            "aws:securetransport": "true",
            "aws:sourceaccount": account,
            "aws:sourceowner": account,
            "aws:sourcearn": arn,
        }
        for action in actions:
            verdict = decide(Principal(account, service=CLOUDWATCH), Access(action, resource, context), (), statements)
            if not verdict.allowed:
                return f"{whose} does not let {CLOUDWATCH} in: {action} is denied {verdict.reason}"
    return ""


def _print(console: Console, found: Sequence[Alarm], *, local: bool) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("state", "alarm", "goes off at", "why it is so", "who hears"):
        table.add_column(heading, overflow="fold")
    for each in found:
        hears = ", ".join(
            f"{who.endpoint} ({who.protocol}{'' if who.confirmed else ', not confirmed'})" for who in each.subscribers
        )
        state = f"[{_COLOURS.get(each.state, 'red')}]{escape(each.state)}[/]"
        table.add_row(
            state, escape(each.name), escape(each.condition), escape(each.reason), escape(hears) or "[red]nobody[/]"
        )
    console.print(table if found else "There is no alarm.")
    for each in found:
        if each.state != "OK":
            says = f"{each.state} {each.name} since {each.since}: {each.means}"
            console.print(escape(says), soft_wrap=True)
    for problem in _unique([problem for each in found for problem in each.problems]):
        whose = [each.name for each in found if problem in each.problems]
        names = escape(", ".join(whose)) if len(whose) <= 3 else f"{len(whose)} alarms"  # noqa: PLR2004
        console.print(f"[yellow]not heard[/]: {names}: {escape(problem)}", soft_wrap=True)
    if local:
        log = escape(str(HOME / "logs" / "alarms.log"))
        console.print(f"The embedded cloud sends nothing: what would be told is written to {log}", soft_wrap=True)
