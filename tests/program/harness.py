"""Runs any Pulumi program in the embedded engine against recording providers.

A program is a folder, a text, or a Python function whose source is the program's body::

    def program():
        from tests.program.things import Thing
        Thing("queue", size=1)

    with Harness(tmp_path, program) as run:
        outcome = run.up()
        assert run.provider.changes() == [("Create", "queue")]

The real program is run with ``Harness(tmp_path, folder=repository, stack="staging", config=stack_config(...))``.
"""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from local.engine import Engine, Options, Outcome, StateStore
from local.engine.state import ResourceState
from tests.program.recording import RecordingProvider

PREFIX = "urn:pulumi:dev::probe::"


def urn(name: str, type_: str = "test:index:Thing", stack: str = "dev", project: str = "probe") -> str:
    """Write a URN of the programs in these tests."""
    return f"urn:pulumi:{stack}::{project}::{type_}::{name}"


def source_of(program: str | Callable[[], None]) -> str:
    """Give a program's text: the text itself, or a function's body."""
    if isinstance(program, str):
        return textwrap.dedent(program)
    lines = textwrap.dedent(inspect.getsource(program)).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("def ")) + 1
    return textwrap.dedent("\n".join(lines[start:]))


def stack_config(folder: Path, stack: str) -> tuple[dict[str, str], frozenset[str]]:
    """Read ``Pulumi.<stack>.yaml`` as the CLI hands it to a program: objects as JSON text, secrets as placeholders."""
    given = (yaml.safe_load((folder / f"Pulumi.{stack}.yaml").read_text()) or {}).get("config", {})
    secret = frozenset(key for key, value in given.items() if isinstance(value, dict) and set(value) == {"secure"})
    plain = {key: _text(value) for key, value in given.items() if key not in secret}
    return {**plain, **dict.fromkeys(secret, "secret-placeholder")}, secret


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class Harness:
    """One stack of one program, with its providers and its state.

    Parameters
    ----------
    tmp_path
        Where the state and an inline program are written.
    program
        The program's text or function; not needed if ``folder`` is given.
    folder
        A folder with a whole project.
    config, secret_keys
        The stack's configuration.
    providers
        Recording providers, by default one for ``test`` and one for ``aws``. The first is ``provider``.
    analyzers
        Addresses of policy packs.
    """

    def __init__(
        self,
        tmp_path: Path,
        program: str | Callable[[], None] | None = None,
        *,
        folder: Path | None = None,
        stack: str = "dev",
        config: Mapping[str, str] | None = None,
        secret_keys: Iterable[str] = (),
        providers: Iterable[RecordingProvider] | None = None,
        analyzers: Iterable[str] = (),
        parallel: int = 8,
    ) -> None:
        self.folder = folder or tmp_path / "project"
        self.stack = stack
        self.config = dict(config or {})
        self.secret_keys = frozenset(secret_keys)
        self.providers = (
            list(providers) if providers is not None else [RecordingProvider("test"), RecordingProvider("aws")]
        )
        self.analyzers = list(analyzers)
        self.parallel = parallel
        self.store = StateStore(tmp_path / "state" / f"{stack}.json")
        self.engine: Any = None
        if program is not None:
            self.write(program)

    def __enter__(self) -> Harness:
        return self

    def __exit__(self, *exc: object) -> None:
        for provider in self.providers:
            provider.stop()

    @property
    def provider(self) -> RecordingProvider:
        """The first provider."""
        return self.providers[0]

    def write(self, program: str | Callable[[], None]) -> None:
        """Replace the inline program."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "Pulumi.yaml").write_text("name: probe\nruntime: python\n")
        (self.folder / "__main__.py").write_text(source_of(program))

    def run(self, kind: Any, **options: Any) -> Outcome:
        """Run the engine; keywords are those of `Options`."""
        addresses = {provider.package: provider.address for provider in self.providers}
        self.engine = Engine(self.folder, self.stack, self.store, addresses, self.analyzers, parallel=self.parallel)
        outcome: Outcome = self.engine.run(Options(kind, **options), self.config, self.secret_keys)
        return outcome

    def preview(self, **options: Any) -> Outcome:
        """Run a preview."""
        return self.run("preview", **options)

    def up(self, *, ok: bool | None = True, **options: Any) -> Outcome:
        """Run an update without the preview before it, and look whether it ended as expected (None: do not look)."""
        outcome = self.run("up", **{"skip_preview": True, **options})
        assert ok is None or outcome.ok is ok, outcome.diagnostics
        return outcome

    def refresh(self, **options: Any) -> Outcome:
        """Run a refresh."""
        return self.run("refresh", **{"skip_preview": True, **options})

    def destroy(self, **options: Any) -> Outcome:
        """Run a destroy."""
        return self.run("destroy", **{"skip_preview": True, **options})

    def resources(self) -> dict[str, ResourceState]:
        """Give the recorded resources by name, without the stack and providers."""
        found = {}
        for state in self.store.resources():
            if not state.type.startswith("pulumi:"):
                found[state.name + ("(delete)" if state.delete else "")] = state
        return found


def steps(outcome: Outcome) -> list[tuple[str, str]]:
    """Give (op, name) of the steps about the program's own resources, without those that change nothing."""
    return [(s.op, s.name) for s in outcome.steps if s.op != "same" and not s.type.startswith("pulumi:")]


def said(outcome: Outcome) -> str:
    """Give all diagnostics as one text."""
    return "\n".join(f"{severity}: {message}" for severity, _, message in outcome.diagnostics)
