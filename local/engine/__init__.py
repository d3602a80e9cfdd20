"""The embedded Pulumi engine: runs a Pulumi program against gRPC providers, with no CLI and no word of AWS."""

from local.engine.diagnostics import Event
from local.engine.diffing import PropertyDiff
from local.engine.engine import Engine, Options
from local.engine.errors import EngineError, ProviderError, Unsupported
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
    "Unsupported",
]
