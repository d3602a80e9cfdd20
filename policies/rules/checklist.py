"""The checklist: what every flow has, over the registry of flows that the stack gives out.

A flow was about 14 resources and 7 edits by hand; two flows never got their permission, variable, health check or row,
and one had a sender and a handler but no queue.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from policies.model import UNKNOWN, Finding, Resource, Stack, rule
from policies.rules.alarms import watches
from policies.tokens import ALARM, FUNCTION, LOG_GROUP, MAPPING, QUEUE, STACK

#: Metrics of which each flow has an alarm, on its queue, its dead letters and its function.
ON_QUEUE = ("ApproximateAgeOfOldestMessage",)
ON_DEAD_LETTERS = ("ApproximateNumberOfMessagesVisible",)
ON_FUNCTION = ("Errors", "Throttles", "Duration")


def flows_of(stack: Stack) -> list[Mapping[str, Any]]:
    """Return the registry: the stack's output `flows`, none where it is not known yet."""
    root = stack.root
    given = root.get("flows", default=()) if root else ()
    return [] if given is UNKNOWN else [flow for flow in given if isinstance(flow, Mapping)]


@rule(
    "flow-complete",
    asks="Every flow of the registry has queue, dead letters, alarms, and, where its code is there, function, log "
    "group, mapping; every producer has the variable.",
    why="What was forgotten was found by users: messages dropped with a warning, a queue that looked healthy.",
    fix="Declare the flow in flows.py and let WorkerFlow make it; make nothing of a flow by hand.",
)
def complete(stack: Stack) -> Iterator[Finding]:
    """Report what a flow of the registry lacks; names that are not known yet are looked at when they are."""
    for flow in flows_of(stack):
        queue, letters = (_named(stack, QUEUE, flow.get(f"{end}queue_name")) for end in ("", "dead_letter_"))
        yield from _queues(stack, flow, queue, letters)
        if flow.get("deployed", True):
            yield from _worker(stack, flow, queue)
        yield from _producers(stack, flow)


@rule(
    "flow-registered",
    asks="Every queue that a function works through is a flow of the registry.",
    why="Health check, admin page and dashboard are made from the registry; what is not in it is seen by nobody.",
    fix="Declare the flow in flows.py.",
)
def registered(stack: Stack) -> Iterator[Finding]:
    """Report a mapping whose queue no flow of the registry has."""
    names = {flow.get("queue_name") for flow in flows_of(stack)}
    for mapping in stack.of(MAPPING) if _registry_known(stack) else ():
        for queue in stack.pointed_at(mapping, "eventSourceArn", [QUEUE]):
            if queue.get("name") not in names | {UNKNOWN}:
                yield Finding(queue, "an entry of the registry", "is missing")


def _registry_known(stack: Stack) -> bool:
    return stack.root is not None and stack.root.get("flows") is not UNKNOWN


def _named(stack: Stack, type_: str, name: object) -> Resource | None:
    return next((resource for resource in stack.of(type_) if resource.get("name") == name), None)


def _missing(stack: Stack, flow: Mapping[str, Any], what: str) -> Finding:
    # Flows are read from the root, so there is one.
    return Finding(stack.of(STACK)[0], what, f"of the flow {flow.get('key')!r} is missing")


def _queues(
    stack: Stack, flow: Mapping[str, Any], queue: Resource | None, letters: Resource | None
) -> Iterator[Finding]:
    for resource, what, metrics in (
        (queue, "the queue", ON_QUEUE),
        (letters, "the dead-letter queue", ON_DEAD_LETTERS),
    ):
        if resource is None:
            yield _missing(stack, flow, what)
        else:
            yield from _alarms(stack, flow, resource, metrics)


def _worker(stack: Stack, flow: Mapping[str, Any], queue: Resource | None) -> Iterator[Finding]:
    function = _named(stack, FUNCTION, flow.get("function_name"))
    if function is None:
        yield _missing(stack, flow, "the function")
        return
    if _named(stack, LOG_GROUP, f"/aws/lambda/{flow.get('function_name')}") is None:
        yield _missing(stack, flow, "the log group")
    yield from _alarms(stack, flow, function, ON_FUNCTION)
    mappings = stack.pointing_at(queue, "eventSourceArn", MAPPING) if queue else []
    if not any(function in stack.pointed_at(mapping, "functionName", [FUNCTION]) for mapping in mappings):
        yield _missing(stack, flow, "the mapping")


def _alarms(stack: Stack, flow: Mapping[str, Any], target: Resource, metrics: tuple[str, ...]) -> Iterator[Finding]:
    for metric in metrics:
        alarms = [alarm for alarm in stack.of(ALARM) if alarm.get("metricName") in {metric, UNKNOWN}]
        if not any(watches(stack, alarm, target) for alarm in alarms):
            yield _missing(stack, flow, f"the alarm on {metric}")


def _producers(stack: Stack, flow: Mapping[str, Any]) -> Iterator[Finding]:
    for producer in flow.get("producers") or ():
        function = next((f for f in stack.of(FUNCTION) if f.name == producer), None)
        variable = function.get("environment", "variables", flow.get("variable", "")) if function else None
        if function is not None and variable is None:
            yield Finding(function, f"environment.variables.{flow.get('variable')}", "is missing")


RULES = (complete, registered)
