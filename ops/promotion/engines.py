"""Who previews and deploys: the embedded engine for the stack on this machine, the Pulumi CLI for every other."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from local.engine import Options, Outcome, StateStore
from ops.errors import UserError
from ops.guard import Preview, parse_preview
from ops.paths import HOME, ROOT
from ops.promotion.stack_file import set_artefacts
from ops.pulumi_cli import PACK, Done, pulumi
from ops.stacks import LOCAL, StackHandle, stack


@dataclass(frozen=True)
class Plan:
    """What is asked of an engine.

    Attributes
    ----------
    folder
        The program. It is changed where `artefacts` are given and the CLI runs it: give a worktree.
    artefacts
        Instead of the configuration's, whole; None for the configuration's.
    excludes
        URN patterns of what must stay as it is.
    """

    folder: Path
    artefacts: Mapping[str, Any] | None = None
    excludes: Sequence[str] = ()


class Deploys(Protocol):
    """An engine on one stack; both judge by the policy pack."""

    def preview(self, plan: Plan, *, refresh: bool = False) -> Preview:
        """Show what a deployment would do; with `refresh` reality is read first."""

    def up(self, plan: Plan) -> None:
        """Deploy."""

    def last_update(self) -> datetime:
        """Say when the last deployment was; refuses where it did not succeed."""


class Embedded:
    """The embedded engine.

    Parameters
    ----------
    name
        The stack.
    state
        Where its state is.
    run
        Runs the program of a folder with options and `key=value` configuration.
    """

    def __init__(self, name: str, state: StateStore, run: Callable[[Path, Options, list[str]], Outcome]) -> None:
        self._name, self._state, self._run = name, state, run

    def preview(self, plan: Plan, *, refresh: bool = False) -> Preview:
        """Show what a deployment would do; with `refresh` reality is read first."""
        outcome = self._run(plan.folder, Options("preview", excludes=plan.excludes, refresh=refresh), _overrides(plan))
        return parse_preview(json.dumps(outcome.to_json()), f"the preview of {self._name}")

    def up(self, plan: Plan) -> None:
        """Deploy.

        Raises
        ------
        UserError
            It failed.
        """
        outcome = self._run(plan.folder, Options("up", excludes=plan.excludes), _overrides(plan))
        if not outcome.ok:
            words = " ".join(outcome.errors())
            raise UserError(f"The deployment of {self._name} failed: {words}", exit_code=1)

    def last_update(self) -> datetime:
        """Say when the state was written last; refuses where operations are pending.

        Raises
        ------
        UserError
            The last deployment was cut off, or there was none.
        """
        if self._state.load()[1]:
            raise _unfinished(self._name)
        if not self._state.path.exists():
            raise UserError(f"Nothing was deployed to {self._name}.", exit_code=1)
        return datetime.fromtimestamp(self._state.path.stat().st_mtime, UTC)


class PulumiCli:
    """The Pulumi CLI, for a stack as it knows it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def preview(self, plan: Plan, *, refresh: bool = False) -> Preview:
        """Show what a deployment would do; with `refresh` reality is read first.

        Raises
        ------
        UserError
            The CLI gave no whole preview.
        """
        extra = ["--refresh", "--expect-no-changes"] if refresh else []
        done = self._cli(plan, "preview", "--json", *extra, PACK, *_excluded(plan), capture=True)
        if not done.output.strip():
            raise self._ended("preview", done)
        preview = parse_preview(done.output, f"the preview of {self._name}")
        # --expect-no-changes ends with an error of its own where there are some; any other is not to be passed over.
        if done.code and not preview.errors and not any(step.changes_it for step in preview.steps):
            raise self._ended("preview", done)
        return preview

    def up(self, plan: Plan) -> None:
        """Deploy.

        Raises
        ------
        UserError
            It failed.
        """
        done = self._cli(plan, "up", "--yes", PACK, *_excluded(plan))
        if done.code:
            raise self._ended("up", done)

    def last_update(self) -> datetime:
        """Say when the last update began.

        Raises
        ------
        UserError
            There was none, or it did not succeed.
        """
        done = pulumi(["stack", "history", "--json", "--page-size=20"], self._name, capture=True)
        if done.code:
            raise self._ended("stack history", done)
        try:
            updates = [each for each in json.loads(done.output) if each["kind"] == "update"]
            last = updates[0]
            result, began = last["result"], datetime.fromisoformat(last["startTime"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"pulumi stack history of {self._name} cannot be read: {error!r}", exit_code=1) from error
        except IndexError:
            raise UserError(f"Nothing was deployed to {self._name}.", exit_code=1) from None
        if result != "succeeded":
            raise _unfinished(self._name)
        return began

    def _cli(self, plan: Plan, *operation: str, capture: bool = False) -> Done:
        if plan.artefacts is not None:
            set_artefacts(plan.folder / f"Pulumi.{self._name}.yaml", plan.artefacts)
        return pulumi(operation, self._name, capture=capture, folder=plan.folder)

    def _ended(self, operation: str, done: Done) -> UserError:
        return UserError(
            f"pulumi {operation} of {self._name} ended with {done.code}; see the lines above.", exit_code=1
        )


@dataclass(frozen=True)
class Place:
    """A deployed stack, the engine that deploys it, and the checkout that it is compared with.

    Attributes
    ----------
    find
        Finds the stack; its outputs are those of the last deployment at that moment.
    """

    handle: StackHandle
    engine: Deploys
    find: Callable[[], StackHandle]
    project: Path = ROOT

    def again(self) -> Place:
        """Look at the stack anew, after a deployment."""
        return replace(self, handle=self.find())


def place(name: str) -> Place:
    """Find a stack by its name.

    Raises
    ------
    UserError
        There is no such stack, or nothing that could reach it.
    """
    handle = stack(name)
    return Place(handle, _embedded() if name == LOCAL else PulumiCli(name), lambda: stack(name))


def _embedded() -> Embedded:
    from rich.console import Console  # noqa: PLC0415  only the local stack needs all this

    from local.attach import attach  # noqa: PLC0415
    from ops import images  # noqa: PLC0415
    from ops.local_stack import LocalStack  # noqa: PLC0415

    info, worker = attach(HOME), images.worker_image(Console(stderr=True, quiet=True))

    def run(folder: Path, options: Options, overrides: list[str]) -> Outcome:
        return LocalStack(info, worker, project=folder).run(options, overrides)

    return Embedded(LOCAL, StateStore(HOME / "state" / f"{LOCAL}.json"), run)


def _overrides(plan: Plan) -> list[str]:
    return [] if plan.artefacts is None else [f"artefacts={json.dumps(plan.artefacts, sort_keys=True)}"]


def _excluded(plan: Plan) -> list[str]:
    return [f"--exclude={pattern}" for pattern in plan.excludes]


def _unfinished(name: str) -> UserError:
    return UserError(f"The last deployment of {name} did not succeed.", "Deploy it again first.", exit_code=1)
