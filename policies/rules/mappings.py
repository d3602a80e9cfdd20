"""Event source mappings: partial failures told, concurrency bounded, visibility long enough."""

from collections.abc import Iterator

from components.flow import VISIBILITY_FACTOR
from policies.model import UNKNOWN, Finding, Resource, Stack, rule
from policies.tokens import FUNCTION, MAPPING, QUEUE

# What SQS and Lambda take when they are not told, seconds.
DEFAULT_VISIBILITY = 30
DEFAULT_TIMEOUT = 3


@rule(
    "mapping-partial-failures",
    MAPPING,
    asks="A worker tells which messages of a batch failed.",
    why="Otherwise one bad message brings its whole batch back, and what was done is done again.",
    fix='Set functionResponseTypes to ["ReportBatchItemFailures"].',
)
def partial_failures(resource: Resource) -> Iterator[Finding]:
    """Report a mapping that does not."""
    types = resource.get("functionResponseTypes", default=())
    if types is not UNKNOWN and UNKNOWN not in types and "ReportBatchItemFailures" not in types:
        yield Finding(resource, "functionResponseTypes", "has no ReportBatchItemFailures")


@rule(
    "mapping-maximum-concurrency",
    MAPPING,
    asks="A mapping says how many invocations it may have at once.",
    why="Without a maximum, pollers run ahead of the function's concurrency; throttled deliveries burn receives.",
    fix="Set scalingConfig.maximumConcurrency, 2 to 1,000.",
)
def maximum_concurrency(resource: Resource) -> Iterator[Finding]:
    """Report a mapping without a maximum."""
    if resource.get("scalingConfig", "maximumConcurrency") is None:
        yield Finding(resource, "scalingConfig.maximumConcurrency", "is missing")


def _ends(stack: Stack) -> Iterator[tuple[Resource, Resource, Resource]]:
    """Yield each mapping with its queue and its function, where both are the stack's."""
    for mapping in stack.of(MAPPING):
        for queue in stack.pointed_at(mapping, "eventSourceArn", [QUEUE]):
            for function in stack.pointed_at(mapping, "functionName", [FUNCTION]):
                yield mapping, queue, function


@rule(
    "mapping-within-reserved-concurrency",
    asks="A function that reserves concurrency reserves at least its mapping's maximum.",
    why="Deliveries above the reserve are throttled, and each throttle is a receive spent.",
    fix="Raise reservedConcurrentExecutions to the mapping's maximumConcurrency, or lower that.",
)
def within_reserved(stack: Stack) -> Iterator[Finding]:
    """Report a reserve below the maximum; -1 is AWS's word for none."""
    for mapping, _, function in _ends(stack):
        reserved = function.get("reservedConcurrentExecutions", default=-1)
        maximum = mapping.get("scalingConfig", "maximumConcurrency", default=UNKNOWN)
        if UNKNOWN not in {reserved, maximum} and 0 <= reserved < maximum:
            yield Finding(function, "reservedConcurrentExecutions", f"is {reserved}, below the mapping's {maximum}")


@rule(
    "mapping-visibility",
    asks="A message stays invisible six times as long as its function may take, and the batching window.",
    why="With 1.1 to 2 times the timeout, messages came back while they were still being worked on.",
    fix=f"Set visibilityTimeoutSeconds to {VISIBILITY_FACTOR} x timeout + maximumBatchingWindowInSeconds or more.",
)
def visibility(stack: Stack) -> Iterator[Finding]:
    """Report a queue whose visibility is too short for what reads it."""
    for mapping, queue, function in _ends(stack):
        visible = queue.get("visibilityTimeoutSeconds", default=DEFAULT_VISIBILITY)
        timeout = function.get("timeout", default=DEFAULT_TIMEOUT)
        window = mapping.get("maximumBatchingWindowInSeconds", default=0)
        if UNKNOWN in {visible, timeout, window}:
            continue
        least = VISIBILITY_FACTOR * timeout + window
        if visible < least:
            sum_ = f"{VISIBILITY_FACTOR} x {timeout} + {window} = {least}"
            yield Finding(queue, "visibilityTimeoutSeconds", f"is {visible}, below {sum_}")


RULES = (partial_failures, maximum_concurrency, within_reserved, visibility)
