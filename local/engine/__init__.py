"""The embedded Pulumi engine: runs a Pulumi program against gRPC providers, with no CLI and no word of AWS."""

import importlib
import os
from typing import TYPE_CHECKING, Any

# gRPC's C core writes its own notices to standard error when a peer goes away, which here happens at each run's end.
# It reads this once, when it is first imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

if TYPE_CHECKING:
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

_MODULES = {
    "Event": "diagnostics",
    "PropertyDiff": "diffing",
    "Engine": "engine",
    "Options": "engine",
    "EngineError": "errors",
    "ProviderError": "errors",
    "UnsupportedError": "errors",
    "Outcome": "outcome",
    "StepRecord": "outcome",
    "PendingOperation": "store",
    "StateStore": "store",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: each run's child process needs `local.engine.program` alone, and starts a quarter faster.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
