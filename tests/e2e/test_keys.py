"""`./bmx keys` on the deployed stack: through the function that reaches the database, from many sides, and killed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import requests

from handlers.common.keys import UNKNOWN_CACHE
from ops import keys, keys_command
from ops.cli_keys import keys_app
from ops.errors import UserError
from ops.paths import ROOT
from tests.e2e.conftest import Deployed
from tests.e2e.terminal import Terminal

MANY = 50
Typed = Callable[..., str]


@pytest.fixture(scope="module")
def terminal(deployed: Deployed) -> Terminal:
    return Terminal(deployed.cloud.home)


def status(deployed: Deployed, key: str) -> int:
    """What the API answers to a key: 404 to whoever is let in."""
    url = f"{deployed.cloud.gateway_url}/api/v1/image-jobs/00000000-0000-0000-0000-000000000000"
    return requests.get(url, headers={"X-API-Key": key}, timeout=60).status_code


@pytest.fixture
def typed(deployed: Deployed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Runs `./bmx keys ...` in this process; gives what it prints."""
    monkeypatch.setattr(keys_command, "stack", lambda name: deployed.handle)

    def run(*arguments: str) -> str:
        capsys.readouterr()
        with suppress(SystemExit):
            keys_app(list(arguments), standalone_mode=False)
        return capsys.readouterr().out

    return run


def test_a_key_is_added_listed_revoked_and_refused(deployed: Deployed, terminal: Terminal, typed: Typed) -> None:
    made = terminal.run("keys", "add", "typed")
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    assert status(deployed, key) == 404
    listed = typed("list", "--json")
    (mine,) = [each for each in json.loads(listed)["keys"] if each["name"] == "typed"]
    assert (mine["where"], mine["revoked_at"]) == ("database", None)
    assert mine["last_used_on"]
    table = typed("list")
    assert mine["id"] in table
    assert key not in table + listed
    assert "refused from now on" in typed("revoke", "typed")
    assert status(deployed, key) == 401
    assert json.loads(typed("revoke", mine["id"], "--json"))["revoked_at"]
    events = deployed.handle.client("logs").filter_log_events(
        logGroupName=deployed.handle.output("operations_log_group")
    )["events"]
    record = [json.loads(each["message"]) for each in events]
    assert {"keys add", "keys revoke"} == {each["what"] for each in record if each.get("id") == mine["id"]}
    assert key not in json.dumps(record)


def test_the_first_key_lies_in_the_secret_and_there_is_one(deployed: Deployed, typed: Typed) -> None:
    made = json.loads(typed("add", "chief", "--first", "--json"))
    time.sleep(UNKNOWN_CACHE.total_seconds())  # a function that has just read the secret does not know it yet
    assert status(deployed, made["key"]) == 404
    with pytest.raises(UserError, match="holds a key already: chief"):
        typed("add", "other", "--first")
    assert "refused within 5 s" in typed("revoke", "chief")
    kept = deployed.handle.client("secretsmanager").get_secret_value(
        SecretId=deployed.handle.output("api_keys_secret_arn")
    )
    assert json.loads(kept["SecretString"]) == {"keys": {}}


@pytest.mark.slow
def test_fifty_added_at_once_all_work_and_those_revoked_at_once_never_again(deployed: Deployed) -> None:
    handle, together = deployed.handle, threading.Barrier(MANY)
    for service in ("lambda", "logs", "sts"):
        handle.client(service)  # made before the threads: boto3's sessions are not safe in them

    def add(number: int) -> keys.Made:
        together.wait()
        return keys.add(handle, f"many-{number % 5}")  # names stand several times

    with ThreadPoolExecutor(MANY) as pool:
        made = list(pool.map(add, range(MANY)))
    assert len({each.key for each in made}) == MANY
    assert {status(deployed, each.key) for each in made} == {404}
    revoked, kept = made[: MANY // 2], made[MANY // 2 :]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda each: keys.revoke(handle, each.id), revoked))
    for _ in range(2):
        assert {status(deployed, each.key) for each in revoked} == {401}
        assert {status(deployed, each.key) for each in kept} == {404}


# For n = 0, 1, ... a process of its own ends itself by SIGKILL at the n-th line that it runs of what makes a key and
# prints it, until one comes to its end. Forked, so that imports are paid for once.
KILLED = """
import json, os, signal, sys
import boto3
from ops import audit, keys, keys_command
mine = {each.__file__ for each in (audit, keys, keys_command)}

def killed_at(left):
    def trace(frame, event, argument):
        nonlocal left
        if frame.f_code.co_filename not in mine:
            return None
        if event == "line":
            left -= 1
            if left < 0:
                sys.stdout.flush()
                os.kill(os.getpid(), signal.SIGKILL)
        return trace
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writing, 1)
        os.close(writing)
        sys.settrace(trace)
        keys_command.add("local", "killed", first=False, as_json=False)
        sys.settrace(None)
        sys.stdout.flush()
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        key = said.read().strip()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), key

ended, printed, line = -9, [], 0
while ended == -9:
    ended, key = killed_at(line)
    line += 1
    printed += [key] if key else []
print(json.dumps([ended, line, printed]))
"""


@pytest.mark.slow
def test_a_key_that_was_printed_works_wherever_the_command_is_killed(deployed: Deployed, terminal: Terminal) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED],
        env=terminal.environment | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ended, lines, printed = json.loads(done.stdout)
    assert (ended, lines > 30) == (0, True), done.stderr
    assert printed
    assert {status(deployed, key) for key in printed} == {404}
    rows = [each for each in keys.listing(deployed.handle) if each.name == "killed"]
    assert len(printed) < len(rows) < lines, (
        "some were killed between the row and the printing, and some before the row"
    )
