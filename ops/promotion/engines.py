"""Who previews and deploys: the embedded engine for the stack on this machine, the Pulumi CLI for every other."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from local.engine import Options, Outcome, StateStore
from ops.errors import UserError
from ops.guard import Preview, parse_preview
from ops.paths import HOME, ROOT
from ops.promotion.checkout import PACK
from ops.promotion.stack_file import set_artefacts
from ops.stacks import LOCAL, StackHandle, stack

_CLI_SECONDS = 3600


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
    """The Pulumi CLI, started from lists of arguments.

    Parameters
    ----------
    name
        The stack, as the CLI knows it.
    pack
        Folder of the policy pack.
    """

    def __init__(self, name: str, pack: Path) -> None:
        self._name, self._pack = name, pack

    def preview(self, plan: Plan, *, refresh: bool = False) -> Preview:
        """Show what a deployment would do; with `refresh` reality is read first.

        Raises
        ------
        UserError
            The CLI gave no whole preview.
        """
        extra = ["--refresh", "--expect-no-changes"] if refresh else []
        done = self._cli(plan, "preview", "--json", *extra, f"--policy-pack={self._pack}", *_excluded(plan))
        if not done.stdout.strip():
            raise UserError(f"pulumi preview of {self._name}: {_words(done)}", exit_code=1)
        preview = parse_preview(done.stdout, f"the preview of {self._name}")
        # --expect-no-changes ends with an error of its own where there are some; any other is not to be passed over.
        if done.returncode and not preview.errors and not any(step.changes_it for step in preview.steps):
            raise UserError(f"pulumi preview of {self._name}: {_words(done)}", exit_code=1)
        return preview

    def up(self, plan: Plan) -> None:
        """Deploy.

        Raises
        ------
        UserError
            It failed.
        """
        done = self._cli(plan, "up", "--yes", f"--policy-pack={self._pack}", *_excluded(plan))
        if done.returncode:
            raise UserError(f"The deployment of {self._name} failed: {_words(done)}", exit_code=1)

    def last_update(self) -> datetime:
        """Say when the last update began.

        Raises
        ------
        UserError
            There was none, or it did not succeed.
        """
        done = self._cli(Plan(ROOT), "stack", "history", "--json", "--page-size=20")
        if done.returncode:
            raise UserError(f"pulumi stack history of {self._name}: {_words(done)}", exit_code=1)
        try:
            updates = [each for each in json.loads(done.stdout) if each["kind"] == "update"]
            last = updates[0]
            result, began = last["result"], datetime.fromisoformat(last["startTime"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"pulumi stack history of {self._name} cannot be read: {error!r}", exit_code=1) from error
        except IndexError:
            raise UserError(f"Nothing was deployed to {self._name}.", exit_code=1) from None
        if result != "succeeded":
            raise _unfinished(self._name)
        return began

    def _cli(self, plan: Plan, *arguments: str) -> subprocess.CompletedProcess[str]:
        pulumi = shutil.which("pulumi")
        if pulumi is None:
            raise UserError(
                f"The stack {self._name} is on AWS, and the Pulumi CLI is not on the PATH.",
                "Install the CLI and log in to the state's backend.",
            )
        if plan.artefacts is not None:
            set_artefacts(plan.folder / f"Pulumi.{self._name}.yaml", plan.artefacts)
        # "=" keeps a name that begins with a dash from being read as an option.
        command = [pulumi, *arguments, "--non-interactive", f"--stack={self._name}"]
        try:
            return subprocess.run(
                command, cwd=plan.folder, capture_output=True, text=True, timeout=_CLI_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UserError(f"pulumi {arguments[0]} of {self._name}: {error}", exit_code=1) from error


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
    return Place(handle, _embedded() if name == LOCAL else PulumiCli(name, ROOT / PACK), lambda: stack(name))


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


def _words(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join(done.stderr.split())[-2000:] or f"exit code {done.returncode}"


def _unfinished(name: str) -> UserError:
    return UserError(f"The last deployment of {name} did not succeed.", "Deploy it again first.", exit_code=1)
