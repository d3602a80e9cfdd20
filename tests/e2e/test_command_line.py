"""`./bmx` as a person uses it: two terminals, Ctrl-C, a machine without a network."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.engine import StateStore
from tests.e2e.pictures import small_photo
from tests.e2e.terminal import BMX, Terminal

#: Brings the loopback interface of a new network namespace up, which has no other, then becomes the command.
ALONE = """
import fcntl, os, socket, struct, sys
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory, worker_image: str) -> Terminal:
    return Terminal(tmp_path_factory.mktemp("command-line") / "cloud")


@pytest.fixture(scope="module")
def up(terminal: Terminal) -> Iterator[list[str]]:
    process, lines = terminal.up()
    try:
        yield lines
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@pytest.mark.slow
def test_a_preview_from_another_terminal_finds_no_changes(terminal: Terminal, up: list[str]) -> None:
    shown = terminal.run("preview", "--json", "--expect-no-changes")
    assert shown.returncode == 0, shown.stderr
    assert set(json.loads(shown.stdout)["changeSummary"]) == {"same"}


@pytest.mark.slow
def test_the_key_is_shown_once_and_is_not_kept(terminal: Terminal, up: list[str]) -> None:
    [key] = [match[1] for line in up if (match := re.match(r"key:\s+(\S+)", line))]
    files = [path for path in terminal.home.rglob("*") if path.is_file() and "postgres" not in path.parts]
    assert not [path for path in files if key.encode() in path.read_bytes()]


@pytest.mark.slow
def test_a_password_in_the_configuration_is_refused_by_name(terminal: Terminal, up: list[str]) -> None:
    refused = terminal.run("deploy", "--config", "bluemoxon:dbPassword=not-used")
    assert refused.returncode == 1
    assert "dbPassword" in refused.stdout
    assert "not-used" not in refused.stdout + refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ["up", "run"])
def test_a_second_cloud_is_refused_with_the_firsts_process(terminal: Terminal, up: list[str], command: str) -> None:
    refused = terminal.run(command)
    assert refused.returncode == 1
    assert "already up" in refused.stderr
    assert "./bmx deploy" in refused.stderr


@pytest.mark.slow
def test_a_flow_that_is_not_in_the_catalogue_is_refused(terminal: Terminal, up: list[str]) -> None:
    refused = terminal.run("preview", "--target", "flow:images")
    assert refused.returncode == 2
    assert "image_processing" in refused.stderr


@pytest.mark.slow
def test_a_protected_stack_is_not_destroyed(terminal: Terminal, up: list[str]) -> None:
    refused = terminal.run("destroy", "--run-program")
    assert refused.returncode == 1
    assert "Refused: this would delete 'database-instance'" in refused.stdout


@pytest.mark.slow
def test_ctrl_c_stops_everything_and_leaves_only_logs(tmp_path: Path, worker_image: str) -> None:
    terminal = Terminal(tmp_path / "cloud")
    process, _ = terminal.up()
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert {path.name for path in terminal.home.iterdir()} <= {"lock", "logs"}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", ["starting", "deploying"])
def test_up_interrupted_in_the_middle_says_one_sentence_and_leaves_nothing(
    tmp_path: Path, worker_image: str, number: signal.Signals, after: str
) -> None:
    terminal = Terminal(tmp_path / "cloud")
    process = subprocess.Popen(
        [BMX, "up"], env=terminal.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    state = terminal.home / "state" / "local.json"
    begun = terminal.home / "lock" if after == "starting" else state
    while process.poll() is None and not begun.exists():
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 130, out + err
    assert err.strip().splitlines()[-1:] == ["bmx: interrupted; everything that was started has been stopped."]
    assert "Traceback" not in out + err and len(err.splitlines()) == 1
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


@pytest.mark.slow
def test_a_second_operation_is_refused_in_one_sentence_and_a_preview_is_not(terminal: Terminal, up: list[str]) -> None:
    with StateStore(terminal.home / "state" / "local.json"):
        busy, preview = terminal.run("deploy"), terminal.run("preview")
    assert (busy.returncode, busy.stdout) == (1, "")
    assert len(busy.stderr.splitlines()) == 1 and "locked by another process" in busy.stderr
    assert preview.returncode == 0, preview.stdout + preview.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_deployment_interrupted_in_the_middle_says_one_sentence_and_the_next_goes_on(
    terminal: Terminal, up: list[str]
) -> None:
    change = ("deploy", "--config", "bluemoxon:version=interrupted")
    process = subprocess.Popen(
        [BMX, *change], env=terminal.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    lock = terminal.home / "state" / "local.lock"
    while process.poll() is None and not _held(lock):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 130, out + err
    assert err.startswith("bmx: interrupted; ") and len(err.splitlines()) == 1 and out == ""
    again = terminal.run("deploy")
    assert again.returncode == 0, again.stdout + again.stderr


def _held(lock: Path) -> bool:
    if not lock.exists():
        return False
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.slow
def test_what_a_killed_cloud_left_is_moved_aside_and_the_run_begins_anew(tmp_path: Path, worker_image: str) -> None:
    terminal = Terminal(tmp_path / "cloud")
    process, _ = terminal.up()
    process.kill()
    process.wait(30)
    done = terminal.run("run", str(small_photo(tmp_path).path), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cloud.stale-" in done.stdout
    assert list(tmp_path.glob("cloud.stale-*"))


@pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("unshare") or os.geteuid() != 0,
    reason="cutting the network off takes unshare and root",
)
@pytest.mark.as_root
@pytest.mark.slow
def test_a_second_run_needs_no_network(tmp_path: Path, worker_image: str) -> None:
    alone = ("unshare", "--net", sys.executable, "-c", ALONE)
    photo = small_photo(tmp_path).path
    done = Terminal(tmp_path / "cloud").run("run", str(photo), "--out", str(tmp_path / "out"), prefix=alone)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"book.png", "book.thumb.jpg"}


def test_a_photograph_that_is_not_there_is_named_before_anything_starts(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "cloud")
    refused = terminal.run("run", str(tmp_path / "gone.jpg"))
    assert refused.returncode == 2
    assert "gone.jpg: does not exist" in refused.stderr
    assert not terminal.home.exists()


def test_a_taken_port_is_named(tmp_path: Path, worker_image: str) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        refused = Terminal(tmp_path / "cloud").run("run", "--port", str(port))
    assert refused.returncode == 1
    assert f"port {port}" in refused.stderr
    assert "--port" in refused.stderr
