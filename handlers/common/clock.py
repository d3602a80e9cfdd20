"""The time, in one place, so that the embedded cloud's clock reaches every decision that depends on it."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return the present moment, aware, in UTC.

    It goes through :func:`time.time` because that is the one clock which the embedded cloud can move;
    ``datetime.now`` reads the machine's clock behind its back.
    """
    return datetime.fromtimestamp(time.time(), UTC)
