"""Lambda's limits on functions and mappings, in its own words; the drivers refuse by them before a call, the API on it.

Quotas: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

_ENVIRONMENT_BYTES: Final = 4096
_BATCH_WITHOUT_WINDOW: Final = 10
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
_RESERVED_VARIABLES: Final = frozenset(
    [
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    ]
)
# Member of a request -> least and greatest value: API_CreateFunction, API_CreateEventSourceMapping.
_RANGES: Final = {
    "BatchSize": (1, 10_000),
    "MaximumBatchingWindowInSeconds": (0, 300),
    "MaximumConcurrency": (2, 1_000),
    "MemorySize": (128, 10_240),
    "Timeout": (1, 900),
}


def environment_refusals(variables: Mapping[str, Any]) -> Iterator[str]:
    """Why a function may not have these variables; names only, where Lambda repeats the values."""
    start = "Lambda was unable to configure your environment variables because the environment variables you have"
    size = len(json.dumps(variables, separators=(",", ":")).encode())
    if size > _ENVIRONMENT_BYTES:
        yield f"{start} provided exceeded the 4KB limit: {size} bytes in {', '.join(sorted(variables))}"
    if reserved := sorted(variables.keys() & _RESERVED_VARIABLES):
        yield (
            f"{start} provided contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )


def batch_refusal(batch_size: int, window: int) -> str | None:
    """Why a mapping may not read such batches (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html).

    Parameters
    ----------
    window
        Seconds to wait for a full batch.
    """
    if batch_size <= _BATCH_WITHOUT_WINDOW or window > 0:
        return None
    return (
        "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10 "
        f"(batch size {batch_size}, window {window})"
    )


def visibility_refusal(visibility: int, timeout: int) -> str | None:
    """Why a queue may not feed a function: it would be visible again before the function's time is over; seconds."""
    if visibility >= timeout:
        return None
    return f"Queue visibility timeout: {visibility} seconds is less than Function timeout: {timeout} seconds"


def range_refusal(members: Mapping[str, Any]) -> str | None:
    """Why a request's numbers are not accepted; the first of them, as Lambda validates them."""
    flat = {**members, **(members.get("ScalingConfig") or {})}
    for name, (least, most) in _RANGES.items():
        value = flat.get(name)
        if value is not None and not least <= int(value) <= most:
            bound = f"greater than or equal to {least}" if int(value) < least else f"less than or equal to {most}"
            member = name[0].lower() + name[1:]
            return (
                f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: "
                f"Member must have value {bound}"
            )
    return None
