"""What the engine raises: one error for what it refuses, one for what a provider answered."""

from __future__ import annotations


class EngineError(Exception):
    """The engine refuses; the message says what and why."""


class BailError(EngineError):
    """Stop the deployment; what was wrong has been reported already."""


class UnsupportedError(EngineError):
    """Something the embedded engine does not do."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not supported by the embedded engine; use the Pulumi CLI for it")


class ProviderError(EngineError):
    """A provider call failed.

    Attributes
    ----------
    partial
        For a resource that exists but is unhealthy: its id, properties, inputs and the reasons; otherwise None.
    uncertain
        True when it is not known whether the call took effect.
    """

    def __init__(self, message: str, *, partial: PartialState | None = None, uncertain: bool = False) -> None:
        super().__init__(message)
        self.partial = partial
        self.uncertain = uncertain


class PartialState:
    """What a provider says of a resource whose initialisation failed."""

    def __init__(self, id_: str, outputs: dict[str, object], inputs: dict[str, object], reasons: list[str]) -> None:
        self.id = id_
        self.outputs = outputs
        self.inputs = inputs
        self.reasons = reasons
