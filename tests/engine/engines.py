"""The two engines under one call: the real Pulumi CLI, and the embedded engine.

Each is given a project folder whose program is one scenario, and a provider's port; each runs one `Step` and answers
with a `Run`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

from tests.engine.scenario import PROJECT, STACK, Scenario, Step
from tests.engine.transcript import Run, is_provider, of_state

ROOT = Path(__file__).parents[2]
PASSPHRASE = "only for scenarios"  # protects nothing: the stacks live in temporary folders
_COLOUR = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")


class Engine(Protocol):
    """What the suite needs of an engine."""

    def version(self) -> str:
        """Name and version, for the transcript."""

    def run(self, step: Step, until: Callable[[], object] | None = None) -> Run:
        """Run one step; with ``until``, kill the engine when that call returns."""


def lay_out(scenario: Scenario, folder: Path) -> Path:
    """Write the project folder of a scenario."""
    project = folder / "project"
    project.mkdir()
    description = {"name": PROJECT, "runtime": {"name": "python", "options": {"virtualenv": sys.prefix}}}
    (project / "Pulumi.yaml").write_text(json.dumps(description))
    (project / "__main__.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom {scenario.module.__name__} import program\nprogram()\n"
    )
    return project


class PulumiCli:
    """The real engine: ``pulumi`` from the PATH, with a state in a folder and the providers attached by port.

    The stack's file may lie in the project already; a step's configuration is added to it.
    """

    def __init__(self, project: Path, ports: Mapping[str, int], stack: str = STACK) -> None:
        self._binary = shutil.which("pulumi") or ""
        self.project = project
        self._settings = project / f"Pulumi.{stack}.yaml"
        self._given = yaml.safe_load(self._settings.read_text())["config"] if self._settings.exists() else {}
        self._home = project.parent / "pulumi"
        self._home.mkdir()
        (self._home / "state").mkdir()
        self._log = self._home / "events.json"
        plugins = self._home / "plugins-on-path"
        plugins.mkdir()
        for package in ports:
            # The CLI wants an installed plugin for a package even where it attaches to a running one.
            plugin = plugins / f"pulumi-resource-{package}"
            plugin.write_text("#!/bin/sh\nexit 1\n")
            plugin.chmod(0o755)
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PULUMI_"))}
        self.environment |= {
            "PATH": f"{plugins}{os.pathsep}{self.environment['PATH']}",
            "PULUMI_HOME": str(self._home),
            "PULUMI_BACKEND_URL": (self._home / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_DEBUG_COMMANDS": "true",
            "PULUMI_DEBUG_PROVIDERS": ",".join(f"{package}:{port}" for package, port in ports.items()),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self._pulumi("stack", "init", stack)

    @staticmethod
    def available() -> bool:
        """Whether the real engine is on the PATH."""
        return shutil.which("pulumi") is not None

    def version(self) -> str:
        """As ``pulumi version`` prints it."""
        return self._pulumi("version").stdout.strip()

    def run(self, step: Step, until: Callable[[], object] | None = None) -> Run:
        """Run one step; see `Engine`."""
        self._configure(step)
        self._log.unlink(missing_ok=True)
        command = [step.run, "--event-log", str(self._log), *step.options, *self._manners(step)]
        if until is None:
            done = self._pulumi(*command, check=False)
            exit_code, output = done.returncode, done.stdout + done.stderr
        else:
            exit_code, output = None, self._kill(command, until)
        return self._read(exit_code, output)

    @staticmethod
    def _manners(step: Step) -> list[str]:
        if step.run == "preview":
            return ["--json", "--non-interactive"]
        return ["--yes", "--skip-preview", "--non-interactive"]

    def _configure(self, step: Step) -> None:
        kept = yaml.safe_load(self._settings.read_text()) if self._settings.exists() else {}
        namespace = yaml.safe_load((self.project / "Pulumi.yaml").read_text())["name"]
        kept["config"] = self._given | {f"{namespace}:{key}": value for key, value in step.config.items()}
        self._settings.write_text(yaml.safe_dump(kept))
        for key, value in step.secrets.items():
            self._pulumi("config", "set", "--secret", key, value)

    def _read(self, exit_code: int | None, output: str) -> Run:
        events = [json.loads(line) for line in self._log.read_text().splitlines()] if self._log.exists() else []
        deployment = json.loads(self._pulumi("stack", "export").stdout)["deployment"]
        return Run(
            exit_code=exit_code,
            operations=_operations(events),
            errors=_errors(events, output),
            state=of_state(deployment.get("resources") or []),
            pending=[(p["type"], p["resource"]["urn"]) for p in deployment.get("pending_operations") or []],
            output=output,
            state_text=json.dumps(deployment),
        )

    def _kill(self, command: list[str], until: Callable[[], object]) -> str:
        process = subprocess.Popen(
            [self._binary, *command],
            cwd=self.project,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            until()
        finally:
            os.killpg(process.pid, 9)
        output = process.communicate()[0]
        self._pulumi("cancel", "--yes")  # a killed engine leaves its lock on the stack
        return output

    def _pulumi(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [self._binary, *arguments],
            cwd=self.project,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(f"pulumi {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
        return done


def _operations(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    begun = [event["resourcePreEvent"]["metadata"] for event in events if "resourcePreEvent" in event]
    return [(step["urn"], step["op"]) for step in begun if not is_provider(step["urn"])]


def _errors(events: list[dict[str, Any]], output: str) -> list[str]:
    messages = [event["diagnosticEvent"] for event in events if "diagnosticEvent" in event]
    errors = [_COLOUR.sub("", message["message"]).strip() for message in messages if message["severity"] == "error"]
    last = [line for line in _COLOUR.sub("", output).splitlines() if line.startswith("error:")]
    return errors + last


needs_the_real_engine = pytest.mark.skipif(
    not PulumiCli.available(), reason="the Pulumi CLI is not on the PATH: its recorded transcripts are used as they are"
)
