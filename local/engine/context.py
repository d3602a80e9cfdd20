"""What the parts of one deployment share: options, the old state, what became of it, and the ways to the outside."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from local.engine.callbacks import Callbacks
from local.engine.diagnostics import Diagnostics
from local.engine.registry import ProviderRegistry
from local.engine.snapshot import Snapshot
from local.engine.state import ResourceState
from local.engine.targets import UrnTargets
from local.engine.values import PropertyMap, Secret

if TYPE_CHECKING:
    from local.engine.policy import Analyzer


@dataclass(frozen=True)
class Alias:
    """An earlier identity of a resource: a whole URN, or the parts that were different."""

    urn: str = ""
    name: str = ""
    type: str = ""
    stack: str = ""
    project: str = ""
    parent: str = ""
    no_parent: bool = False


@dataclass
class Goal:
    """What the program wants of one resource."""

    type: str
    name: str
    custom: bool
    props: PropertyMap
    parent: str = ""
    protect: bool | None = None
    dependencies: list[str] = field(default_factory=list)
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    provider: str = ""
    delete_before_replace: bool | None = None
    ignore_changes: list[str] = field(default_factory=list)
    replace_on_changes: list[str] = field(default_factory=list)
    additional_secret_outputs: list[str] = field(default_factory=list)
    aliases: list[Alias] = field(default_factory=list)
    import_id: str = ""
    timeouts: dict[str, float] = field(default_factory=dict)
    retain_on_delete: bool | None = None
    hooks: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Context:
    """One deployment: a preview or the real thing.

    Attributes
    ----------
    olds
        The old resources by URN, without those that only wait for deletion.
    all_olds
        All of them, dependencies first.
    news
        What the program's resources have become, by URN.
    goals
        What the program asked for, by URN.
    deletes
        URNs that are deleted in this run.
    post_step_failed
        Set when an after hook failed: the step stands, the deployment does not go on.
    """

    project: str
    stack: str
    folder: Path
    dry_run: bool
    destroying: bool
    ignore_protect: bool
    target_dependents: bool
    targets: UrnTargets
    excludes: UrnTargets
    replace_targets: UrnTargets
    registry: ProviderRegistry
    callbacks: Callbacks
    diagnostics: Diagnostics
    snapshot: Snapshot
    all_olds: list[ResourceState]
    config: Mapping[str, str] = field(default_factory=dict)
    secret_keys: frozenset[str] = frozenset()
    analyzers: Sequence[Analyzer] = ()
    olds: dict[str, ResourceState] = field(default_factory=dict)
    news: dict[str, ResourceState] = field(default_factory=dict)
    goals: dict[str, Goal] = field(default_factory=dict)
    deletes: set[str] = field(default_factory=set)
    post_step_failed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.rebase(self.all_olds)

    def rebase(self, states: Sequence[ResourceState]) -> None:
        """Take other resources as the old state, after a refresh."""
        self.all_olds = list(states)
        self.olds = {state.urn: state for state in states if not state.delete}

    def provider_config(self, package: str) -> PropertyMap:
        """Give the stack's configuration of a package (``package:key``) as the inputs of its default provider."""
        prefix = f"{package}:"
        return {
            key.removeprefix(prefix): Secret(value) if key in self.secret_keys else value
            for key, value in self.config.items()
            if key.startswith(prefix)
        }

    def now(self) -> str:
        """Give the time as the state records it."""
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
