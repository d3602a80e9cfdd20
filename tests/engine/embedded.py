"""The embedded engine as the suite drives it; run as a module it plays one step in a process that can be killed."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from local.engine import Engine, Options, Outcome, StateStore
from tests.engine.scenario import PROJECT, STACK, Step
from tests.engine.transcript import Run, is_provider, of_state


class Embedded:
    """The embedded engine, with its state in a file and the providers by address."""

    def __init__(self, project: Path, ports: Mapping[str, int]) -> None:
        self._project = project
        self._ports = ports
        self._state = project.parent / "state.json"

    def version(self) -> str:
        """Say which engine this is."""
        return "embedded"

    def run(self, step: Step, until: Callable[[], object] | None = None) -> Run:
        """Run one step; with ``until``, kill the engine when that call returns."""
        if until is not None:
            return self._read(None, self._kill(step, until))
        begun: list[tuple[str, str]] = []
        return self._read(self.outcome(step, lambda urn, operation: begun.append((urn, operation))), begun)

    def outcome(self, step: Step, begin: Callable[[str, str], object]) -> Outcome:
        """Run one step in this process; ``begin`` hears of every operation as it begins."""
        providers = {package: f"127.0.0.1:{port}" for package, port in self._ports.items()}
        engine = Engine(self._project, STACK, StateStore(self._state), providers)
        config = {f"{PROJECT}:{key}": value for key, value in (*step.config.items(), *step.secrets.items())}
        options = Options(
            kind=step.run,
            targets=step.targets,
            excludes=step.excludes,
            replace=step.replace,
            target_dependents=step.target_dependents,
            ignore_protect=step.ignore_protect,
            run_program=step.run_program,
            refresh=step.refresh,
            skip_preview=True,
            on_event=lambda event: begin(event.urn, event.op) if event.kind == "step" else None,
        )
        return engine.run(options, config, frozenset(f"{PROJECT}:{key}" for key in step.secrets))

    def _kill(self, step: Step, until: Callable[[], object]) -> list[tuple[str, str]]:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            pickle.dump((self, step), process.stdin)
            process.stdin.close()
            until()
        finally:
            os.killpg(process.pid, 9)
            process.wait()
        with process.stdout:
            return [tuple(json.loads(line)) for line in process.stdout]

    def _read(self, outcome: Outcome | None, begun: list[tuple[str, str]]) -> Run:
        text = self._state.read_text() if self._state.exists() else '{"deployment": {}}'
        deployment = json.loads(text)["deployment"]
        return Run(
            exit_code=None if outcome is None else int(not outcome.ok),
            operations=[(urn, operation) for urn, operation in begun if not is_provider(urn)],
            errors=outcome.errors() if outcome else [],
            state=of_state(deployment.get("resources", [])),
            pending=[(p["type"], p["resource"]["urn"]) for p in deployment.get("pending_operations", [])],
            output=json.dumps([outcome.to_json(), outcome.diagnostics, outcome.outputs]) if outcome else "",
            state_text=text,
        )


def _tell(urn: str, operation: str) -> None:
    print(json.dumps([urn, operation]), flush=True)  # noqa: T201


if __name__ == "__main__":
    embedded, told = pickle.load(sys.stdin.buffer)  # noqa: S301  (from the parent process, see `_kill`)
    embedded.outcome(told, _tell)
