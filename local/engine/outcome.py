"""What a run ended with, in Python and in the form of ``pulumi preview --json``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.credential import names_a_credential
from local.engine import urns
from local.engine.diagnostics import Severity
from local.engine.diffing import PropertyDiff
from local.engine.executor import Done
from local.engine.graph import sort_keys
from local.engine.properties import Marshal
from local.engine.state import ResourceState
from local.engine.steps import ImportStep
from local.engine.values import MASKED, PropertyMap, annotate_secrets, mask


@dataclass(frozen=True)
class StepRecord:
    """One step, as planned in a preview or as carried out.

    Attributes
    ----------
    op
        As in the CLI: ``same``, ``create``, ``update``, ``delete``, ``replace``, ``create-replacement``,
        ``delete-replaced``, ``read``, ``import``, ``refresh`` and so on.
    old, new
        The states in the CLI's JSON form, secrets masked; None where there is none.
    detailed_diff
        Property path to how it differs; None if the provider gives no detail.
    changed_keys, replace_keys
        Property names that differ, that force the replacement.
    logical
        False for the halves of a replacement.
    internal
        True for what the CLI hides, a default provider.
    """

    op: str
    urn: str
    type: str
    name: str
    provider: str
    old: dict[str, Any] | None
    new: dict[str, Any] | None
    detailed_diff: dict[str, PropertyDiff] | None = None
    changed_keys: tuple[str, ...] = ()
    replace_keys: tuple[str, ...] = ()
    logical: bool = True
    internal: bool = False

    def to_json(self) -> dict[str, Any]:
        """Give the step as ``pulumi preview --json`` has it."""
        detailed = None
        if self.detailed_diff is not None:
            detailed = {
                path: {"kind": diff.kind, "inputDiff": diff.input_diff} for path, diff in self.detailed_diff.items()
            }
        form = {
            "op": self.op,
            "urn": self.urn,
            "provider": self.provider,
            "oldState": self.old,
            "newState": self.new,
            "diffReasons": list(self.changed_keys),
            "replaceReasons": list(self.replace_keys),
        }
        return {**{key: value for key, value in form.items() if value}, "detailedDiff": detailed}

    @property
    def shown(self) -> bool:
        """Whether ``pulumi preview --json`` lists the step."""
        if self.internal:
            return False
        if self.op == "same":
            protect = [bool((state or {}).get("protect")) for state in (self.old, self.new)]
            return self.type == urns.ROOT_STACK_TYPE or protect[0] != protect[1]
        return self.logical


@dataclass
class Outcome:
    """What a run ended with.

    Attributes
    ----------
    ok
        True if everything that was asked for was done (or, in a preview, could be).
    steps
        In an order that does not change from run to run: dependencies first, deletions last.
    outputs
        The stack's outputs, secrets masked.
    diagnostics
        (severity, URN or empty, message), in the order in which they came.
    changes
        How many resources each operation is for, as in the CLI's summary.
    config
        The configuration, secrets masked.
    dry_run
        True if nothing was carried out: a preview, or an update whose preview failed.
    cancelled
        True if the run was stopped from outside.
    maybe_corrupt
        True if a provider's failure leaves open whether its operation took effect.
    duration
        Seconds.
    """

    ok: bool
    steps: list[StepRecord] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    diagnostics: list[tuple[Severity, str, str]] = field(default_factory=list)
    changes: dict[str, int] = field(default_factory=dict)
    config: dict[str, str] = field(default_factory=dict)
    dry_run: bool = False
    cancelled: bool = False
    maybe_corrupt: bool = False
    duration: float = 0.0

    def errors(self) -> list[str]:
        """Give the messages of the errors."""
        return [message for severity, _, message in self.diagnostics if severity == "error"]

    def to_json(self) -> dict[str, Any]:
        """Give the outcome in the form of ``pulumi preview --json``."""
        form = {
            "config": self.config,
            "steps": [step.to_json() for step in self.steps if step.shown],
            "diagnostics": [
                {key: value for key, value in (("urn", urn), ("message", message), ("severity", severity)) if value}
                for severity, urn, message in self.diagnostics
            ],
            "duration": int(self.duration * 1e9),  # nanoseconds, as Go writes a duration
            "changeSummary": self.changes,
            "maybeCorrupt": self.maybe_corrupt,
        }
        return {key: value for key, value in form.items() if value}


def records(done: Sequence[Done]) -> list[StepRecord]:
    """Give the steps in a stable order: as registered, dependencies first, then each wave of deletions."""
    edges: dict[str, set[str]] = {}
    for item in done:
        if item.wave == 0:
            edges.setdefault(item.chain, set()).update(item.step.state.dependency_urns(with_parent=True))
    rank = {urn: number for number, urn in enumerate(sort_keys(edges))}
    ordered = sorted(done, key=lambda item: (item.wave, rank.get(item.chain, 0), item.chain, item.position))
    return [_record(item) for item in ordered]


def _record(item: Done) -> StepRecord:
    step, state = item.step, item.step.state
    # A property that is secret on one side is shown on neither: a provider may read back in plain what was a secret.
    hidden = [side.inputs for side in (step.old, step.new) if side is not None]
    if isinstance(step, ImportStep):
        hidden.append(step.wanted)
    return StepRecord(
        op=step.op,
        urn=state.urn,
        type=state.type,
        name=state.name,
        provider=state.provider,
        old=None if step.skipped_create else masked_json(step.old, hidden),
        new=masked_json(step.new, hidden),
        detailed_diff=step.detailed,
        changed_keys=step.changed,
        replace_keys=step.keys,
        logical=step.logical,
        internal=step.internal,
    )


def masked_json(state: ResourceState | None, hidden: Sequence[PropertyMap] = ()) -> dict[str, Any] | None:
    """Give a state as ``pulumi preview --json`` shows it: ``[secret]`` in place of every secret.

    Parameters
    ----------
    hidden
        Property maps whose secrets are masked too where the state has properties of the same name.
    """

    def masked(props: PropertyMap) -> PropertyMap:
        for other in hidden:
            props = annotate_secrets(props, other)
        return Marshal().plain(mask(props))

    return None if state is None else state.to_json(masked)


def count(steps: Sequence[StepRecord]) -> dict[str, int]:
    """Count the operations as the CLI's summary does."""
    return dict(sorted(Counter(step.op for step in steps if step.logical and not step.internal).items()))


def masked_config(config: Mapping[str, str], secret_keys: frozenset[str]) -> dict[str, str]:
    """Give the configuration with its secrets masked, and whatever else looks like a credential."""
    masked = {key for key, value in config.items() if key in secret_keys or _looks_secret(key, value)}
    return {key: MASKED if key in masked else value for key, value in sorted(config.items())}


def _looks_secret(key: str, value: str) -> bool:
    """Look into a value that is an object, as far as it has names."""
    if names_a_credential(key):
        return True
    try:
        held = json.loads(value)
    except ValueError:
        return False
    return _holds_a_credential(held)


def _holds_a_credential(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(names_a_credential(name) or _holds_a_credential(each) for name, each in value.items())
    return isinstance(value, list) and any(_holds_a_credential(each) for each in value)
