"""The embedded Pulumi engine: runs a Pulumi program against gRPC providers, with no CLI and no word of AWS."""

import os

# gRPC's C core writes its own notices to standard error when a peer goes away, which here happens at each run's end.
# It reads this once, when it is first imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from local.engine.diagnostics import Event
from local.engine.diffing import PropertyDiff
from local.engine.engine import Engine, Options
from local.engine.errors import EngineError, ProviderError, UnsupportedError
from local.engine.outcome import Outcome, StepRecord
from local.engine.store import PendingOperation, StateStore

__all__ = [
    "Engine",
    "EngineError",
    "Event",
    "Options",
    "Outcome",
    "PendingOperation",
    "PropertyDiff",
    "ProviderError",
    "StateStore",
    "StepRecord",
    "UnsupportedError",
]
