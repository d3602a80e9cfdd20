"""What is written down: secrets, pending operations, failures in the middle, cancellation, locks."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from local.engine import EngineError, StateStore
from local.engine.registry import ProviderRegistry
from tests.program.harness import Harness, said, steps, urn
from tests.program.recording import ScriptedError

SECRET = """
import pulumi
from tests.program.things import Thing, options
config = pulumi.Config()
a = Thing("a", token=config.require_secret("token"), nested={"deep": [pulumi.Output.secret("inner-secret")]})
b = Thing("b", copy=a.arn, opts=options(additional_secret_outputs=["url"]))
pulumi.export("token", config.require_secret("token"))
"""


@pytest.mark.parametrize("knows_secrets", [True, False])
def test_no_secret_is_in_plain_text_in_state_or_output(tmp_path, knows_secrets):
    config = {"probe:token": "hunter2-secret"}
    with Harness(tmp_path, SECRET, config=config, secret_keys=["probe:token"]) as run:
        run.provider.drop_secrets = not knows_secrets
        outcome = run.up()
        written = run.store.path.read_text()
        for text in (written, json.dumps(outcome.to_json()), repr(outcome)):
            assert "hunter2" not in text
            assert "inner-secret" not in text
        assert run.resources()["a"].inputs["token"].value == "hunter2-secret"
        assert run.resources()["b"].outputs["url"].value.startswith("https://")
        assert "https://example.invalid/b" not in written
        assert oct(run.store.path.stat().st_mode & 0o777) == "0o600"
        assert oct(run.store.path.with_suffix(".key").stat().st_mode & 0o777) == "0o600"
        assert steps(run.up()) == []


def test_a_missing_key_is_named(tmp_path):
    with Harness(tmp_path, SECRET, config={"probe:token": "x"}, secret_keys=["probe:token"]) as run:
        run.up()
        run.store.path.with_suffix(".key").unlink()
        with pytest.raises(EngineError, match=r"dev\.key, the key of the secrets in .* is missing"):
            StateStore(run.store.path).resources()


def test_a_damaged_state_is_refused(tmp_path):
    path = tmp_path / "dev.json"
    path.write_text('{"deployment": {}')
    with pytest.raises(EngineError, match="is damaged"):
        StateStore(path).resources()


FAN = """
import pulumi
from tests.program.things import Thing
first = Thing("first")
for i in range(4):
    Thing(f"t{i}", of=first.arn)
Thing("late", of=first.url)
"""


def test_a_failure_lets_the_others_finish_and_the_state_stays_exact(tmp_path):
    with Harness(tmp_path, FAN) as run:
        begun = threading.Barrier(2)

        def slow(call):
            if not call.preview:
                begun.wait(10)
                time.sleep(0.3)

        def broken(call):
            if not call.preview:
                begun.wait(10)
                raise ScriptedError("the provider says no")

        run.provider.script("Create", "t0", slow)
        run.provider.script("Create", "t1", broken)
        outcome = run.up(ok=False)
        assert "the provider says no" in said(outcome)
        assert "update failed" in said(outcome)
        recorded = {state.id for state in run.resources().values()}
        assert recorded == run.provider.live.keys()
        assert "t0" in run.resources()
        assert "t1" not in run.resources()
        run.provider._scripts.clear()
        run.up()
        assert len(run.provider.live) == 6


def test_a_resource_whose_initialisation_failed_is_recorded_and_repaired(tmp_path):
    with Harness(tmp_path, FAN) as run:
        run.provider.fail("Create", "first", "not healthy", reasons=["it never became ready"])
        outcome = run.up(ok=False)
        assert "it never became ready" in said(outcome)
        assert run.resources()["first"].init_errors == ["it never became ready"]
        outcome = run.up()
        assert ("update", "first") in steps(outcome)
        assert run.resources()["first"].init_errors == []


def test_cancel_finishes_what_is_under_way_and_begins_nothing_new(tmp_path):
    with Harness(tmp_path, FAN) as run:

        def cancel(call):
            if not call.preview:
                run.engine.cancel()
                time.sleep(0.3)

        run.provider.script("Create", "first", cancel)
        outcome = run.up(ok=False)
        assert outcome.cancelled
        assert "update canceled" in said(outcome)
        assert list(run.resources()) == ["first"]
        assert len(run.provider.live) == 1


def eventually(condition, seconds=30.0):
    limit = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < limit:
        time.sleep(0.02)
    return found


def test_a_cancelled_run_tells_the_providers_as_the_cli_does(tmp_path):
    # pkg/resource/deploy/deployment_executor.go: SignalCancellation, once the caller's context is cancelled
    with Harness(tmp_path, FAN) as run:

        def told():
            return "Cancel" in [call.method for call in run.provider.calls]

        def cancel(call):
            if not call.preview:
                run.engine.cancel()
                assert eventually(told)

        run.provider.script("Create", "first", cancel)
        assert run.up(ok=False).cancelled and told()
        run.provider.calls.clear()
        run.provider._scripts.clear()
        run.up()
        assert not told()


def test_a_signal_that_comes_when_all_is_done_is_heard(tmp_path, monkeypatch):
    close = ProviderRegistry.close

    def interrupted(registry):
        os.kill(os.getpid(), signal.SIGTERM)
        close(registry)

    with Harness(tmp_path, FAN) as run:
        run.up()
        with monkeypatch.context() as late:
            late.setattr(ProviderRegistry, "close", interrupted)
            outcome = run.preview()
        assert outcome.cancelled and not outcome.ok
        assert run.preview().ok


def test_a_preview_needs_no_lock_and_an_update_waits_for_nobody(tmp_path):
    with Harness(tmp_path, FAN) as run:
        run.up()
        with StateStore(run.store.path):
            assert run.preview().changes["same"]
            with pytest.raises(EngineError, match="the stack is locked by another process"):
                run.up()


def test_an_interrupt_during_deletion_keeps_the_rest(tmp_path):
    with Harness(tmp_path, FAN) as run:
        run.up()

        def interrupt(call):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)

        run.provider.script("Delete", "late", interrupt)
        outcome = run.destroy()
        assert outcome.cancelled
        assert "first" in run.resources()
        assert {state.id for state in run.resources().values()} == run.provider.live.keys()


CRASH = """
import sys
from pathlib import Path
from local.engine import Engine, Options, StateStore
folder, state, address = sys.argv[1:]
Engine(Path(folder), "dev", StateStore(Path(state)), {"test": address}).run(Options("up", skip_preview=True), {})
"""


@pytest.mark.parametrize(("method", "operation"), [("Create", "creating"), ("Update", "updating")])
def test_a_killed_engine_leaves_a_pending_operation_and_the_next_update_goes_on(tmp_path, method, operation):
    with Harness(tmp_path, "from tests.program.things import Thing\nThing('a', size=1)\n") as run:
        if method == "Update":
            run.up()
            run.write("from tests.program.things import Thing\nThing('a', size=2)\n")
        reached, go = threading.Event(), threading.Event()

        def hold(call):
            reached.set()
            go.wait(20)

        run.provider.script(method, "a", hold)
        script = tmp_path / "crash.py"
        script.write_text(CRASH)
        arguments = [str(run.folder), str(run.store.path), run.provider.address]
        root = str(Path(__file__).parents[2])
        env = {**os.environ, "PYTHONPATH": root}
        engine = subprocess.Popen([sys.executable, str(script), *arguments], env=env)
        assert reached.wait(20)
        engine.kill()
        engine.wait()
        go.set()
        run.provider._scripts.clear()
        (pending,) = run.store.load()[1]
        assert (pending.type, pending.state.urn) == (operation, urn("a"))
        run.provider.calls.clear()
        outcome = run.up()
        assert f"{urn('a')}, interrupted while {operation}" in said(outcome)
        assert run.resources()["a"].inputs == {"size": 1 if method == "Create" else 2}
        if method == "Create":
            # As in Pulumi, a possible orphan is told of until a refresh strikes it off.
            assert [op.state.urn for op in run.store.load()[1]] == [urn("a")]
            assert "is struck off" in said(run.refresh())
        assert run.store.load()[1] == []


def test_refresh_records_drift_and_what_is_gone(tmp_path):
    with Harness(tmp_path, FAN) as run:
        run.up()
        ids = {name: state.id for name, state in run.resources().items()}
        type_, inputs, outputs = run.provider.live[ids["first"]]
        run.provider.live[ids["first"]] = (type_, {**inputs, "size": 7}, {**outputs, "size": 7})
        del run.provider.live[ids["t3"]]
        dry = run.refresh(dry_run=True)
        assert dry.changes == {"delete": 1, "same": 5, "update": 1}
        assert "t3" in run.resources()
        outcome = run.refresh()
        assert outcome.changes == {"delete": 1, "same": 5, "update": 1}
        assert "t3" not in run.resources()
        assert run.resources()["first"].outputs["size"] == 7
        assert run.up().changes == {"create": 1, "same": 5, "update": 1}


def test_an_update_can_refresh_first(tmp_path):
    with Harness(tmp_path, FAN) as run:
        run.up()
        del run.provider.live[run.resources()["t3"].id]
        assert ("create", "t3") in steps(run.up(refresh=True))
        assert len(run.provider.live) == 6


def test_a_program_that_raises_changes_nothing_more_and_deletes_nothing(tmp_path):
    with Harness(tmp_path, FAN) as run:
        run.up()
        run.write("import pulumi\nraise RuntimeError('wrong setting')\n")
        outcome = run.up(ok=False)
        assert "wrong setting" in said(outcome)
        assert len(run.provider.live) == 6
        assert len(run.resources()) == 6


def test_a_program_that_dies_is_reported_with_its_last_words(tmp_path):
    with Harness(tmp_path, "import os, sys\nprint('last words', file=sys.stderr, flush=True)\nos._exit(3)\n") as run:
        outcome = run.up(ok=False)
        assert "the program ended with code 3" in said(outcome)
        assert "last words" in said(outcome)


@pytest.mark.parametrize("seconds", [6, pytest.param(30, marks=pytest.mark.slow)])
def test_a_program_that_is_slow_to_exit_deploys(tmp_path, seconds):
    program = f"""
        import atexit, time
        from tests.program.things import Thing
        Thing("one")
        atexit.register(time.sleep, {seconds})
    """
    with Harness(tmp_path, program) as run:
        outcome = run.up()
        assert run.provider.changes() == [("Create", "one")]
        assert outcome.duration > seconds
        assert ("waiting for the program to exit" in said(outcome)) is (seconds > 10)


def test_a_program_that_does_not_exit_can_be_interrupted_and_the_kill_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("local.engine.engine._GRACE", 0.5)
    program = """
        import atexit, os, signal, threading, time
        from tests.program.things import Thing
        Thing("one")
        def interrupt():
            os.kill(os.getppid(), signal.SIGINT)
            time.sleep(600)
        atexit.register(interrupt)
    """
    with Harness(tmp_path, program) as run:
        outcome = run.up(ok=False)
        assert outcome.cancelled
        assert "did not exit within 0.5 s of being stopped and was killed" in said(outcome)
        assert "ended with code" not in said(outcome)
        assert list(run.resources()) == ["one"]


def test_the_state_is_the_same_whatever_order_registrations_arrive_in(tmp_path):
    orders = []
    for number in range(2):
        with Harness(tmp_path / str(number), FAN) as run:
            outcome = run.up()
            orders.append(([s.urn for s in outcome.steps], [r.urn for r in run.store.resources()]))
    assert orders[0] == orders[1]
