"""Ctrl-C, SIGTERM and two operations at once: one sentence, the right exit code, no traceback."""

import io
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from local.attach import CloudInfo
from local.credentials import Credentials
from local.engine import EngineError, Options, Outcome
from local.home import Network
from ops import commands, local_stack, operations
from ops.errors import UserError
from ops.paths import ROOT


def outcome(*, dry_run: bool = False, cancelled: bool = True) -> Outcome:
    return Outcome(
        ok=False,
        steps=[],
        outputs={},
        diagnostics=[("error", "", "the program ended with code 1:\nTraceback (most recent call last):")],
        changes={"create": 3, "same": 2},
        config={},
        dry_run=dry_run,
        cancelled=cancelled,
        maybe_corrupt=False,
        duration=1.0,
    )


@pytest.mark.parametrize(
    ("kind", "dry_run", "words"),
    [
        ("up", False, "what was under way has ended and is recorded: 3 changes."),
        ("preview", True, "nothing was changed."),
    ],
)
def test_an_interrupted_operation_is_one_sentence_and_130(monkeypatch, capsys, kind, dry_run, words):
    stack = SimpleNamespace(run=lambda *_: outcome(dry_run=dry_run))
    monkeypatch.setattr(operations, "running", lambda: stack)
    assert operations.operate(operations.Request(kind), as_json=False) == 130
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(f"bmx: interrupted; {words}") and said.err.count("\n") == 1


def test_an_interrupted_operation_is_130_in_json_too(monkeypatch, capsys):
    monkeypatch.setattr(operations, "running", lambda: SimpleNamespace(run=lambda *_: outcome()))
    assert operations.operate(operations.Request("up"), as_json=True) == 130
    assert capsys.readouterr().out.startswith("{")


def test_a_first_deployment_that_is_interrupted_is_no_failure():
    written = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        commands._require(outcome(), Console(file=written))
    assert written.getvalue() == ""
    with pytest.raises(UserError, match="could not be deployed"):
        commands._require(outcome(cancelled=False), Console(file=written))


def test_what_the_engine_refuses_is_a_sentence(monkeypatch, tmp_path):
    class Busy:
        def __init__(self, *_, **__):
            pass

        def run(self, *_):
            raise EngineError("the stack is locked by another process: wait until that update has ended")

    monkeypatch.setattr(local_stack, "Engine", Busy)
    monkeypatch.setattr("ops.stand_ins.upload", lambda _: None)
    info = CloudInfo(1, "", "", "", Credentials("a", "b"), Network("vpc-1", ()))
    stack = local_stack.LocalStack(info, "r@sha256:0", home=tmp_path)
    with pytest.raises(UserError, match="locked by another process") as error:
        stack.run(Options("preview"))
    assert error.value.exit_code == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_any_command_with_130_after_its_clean_up(number):
    program = f"""
import os, time
from ops.cli_options import leave
def work():
    try:
        os.kill(os.getpid(), {int(number)})
        time.sleep(30)
    finally:
        print("cleaned up")
try:
    leave(work)
except Exception as error:
    raise SystemExit(error.exit_code)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (130, "cleaned up\n")
    assert done.stderr == "bmx: interrupted; everything that was started has been stopped.\n"


def test_up_hears_a_signal_that_wakes_no_lock(monkeypatch):
    """A signal given to another thread leaves a lock without a limit asleep; `up` then stayed for ever."""
    waits = []

    class Never:
        def wait(self, seconds=None):
            waits.append(seconds)
            if len(waits) == 3:
                raise KeyboardInterrupt
            return False

    monkeypatch.setattr("ops.commands.threading.Event", Never)
    commands._until_interrupted()
    assert len(waits) == 3 and all(waits)
