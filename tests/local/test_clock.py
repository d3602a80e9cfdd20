"""One clock for the embedded cloud, for moto and for other processes."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from moto.core import utils

from local.clock import Clock
from local.moto_server import install_clock

ROOT = Path(__file__).resolve().parents[2]
FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


def test_the_clock_follows_the_machines_until_it_is_advanced():
    clock = Clock()
    assert abs(clock.now() - time.time()) < 0.1
    clock.advance(1800)
    assert abs(clock.now() - time.time() - 1800) < 0.1
    assert abs(clock.utcnow().timestamp() - clock.now()) < 0.1


def test_the_clock_does_not_run_backwards():
    with pytest.raises(ValueError, match="only moves forward"):
        Clock().advance(-1)


FOLLOWS = """
import sys, time
from datetime import datetime, UTC
from local.bootstrap import follow_clock
follow_clock(sys.argv[1])
print(time.time(), datetime.now(UTC).timestamp(), flush=True)
sys.stdin.readline()
print(time.time(), datetime.now(UTC).timestamp(), flush=True)
"""


def test_another_process_follows_the_clock_through_its_file(tmp_path):
    clock = Clock()
    clock.advance(500)
    clock.share(tmp_path / "clock")
    inode = (tmp_path / "clock").stat().st_ino
    with child(FOLLOWS, str(tmp_path / "clock")) as process:
        for _ in range(2):
            before = clock.now()
            read = [float(each) for each in process.stdout.readline().split()]
            assert all(before - 60 < each <= clock.now() for each in read)
            clock.advance(5000)
            process.stdin.write("\n")
            process.stdin.flush()
    assert (tmp_path / "clock").stat().st_ino == inode  # whoever has it mapped follows


def child(program: str, *arguments: str, **environment: str):
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
    )


SET_BACK = """
import sys, threading, time
from pathlib import Path
from local.bootstrap import follow_clock
from local.clock import Clock
clock = Clock()
clock.share(Path(sys.argv[1]))
began, wall = clock.now(), time.time()
threading.Timer(0.3, lambda: Path(sys.argv[2]).write_text("-1h\\n")).start()
waited = clock.wait(1.5, threading.Event())
print(time.time() - wall, clock.now() - began, flush=True)
follow_clock(sys.argv[1])
print(time.time() - began, flush=True)
"""


@pytest.mark.skipif(not FAKETIME, reason="no libfaketime on this machine (Debian: faketime)")
def test_the_machines_clock_set_back_an_hour_moves_nothing(tmp_path):
    (tmp_path / "faketime").write_text("+0\n")
    settings = {
        "LD_PRELOAD": str(FAKETIME[0]),
        "FAKETIME_TIMESTAMP_FILE": str(tmp_path / "faketime"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with child(SET_BACK, str(tmp_path / "clock"), str(tmp_path / "faketime"), **settings) as process:
        out, _ = process.communicate(timeout=100)
    machine, waited, follower = (float(each) for each in out.split())
    assert machine < -3000, "libfaketime did not set the clock back"
    assert 1.5 <= waited < 60 and waited <= follower < 60


def test_advancing_ends_a_wait():
    clock, stop = Clock(), threading.Event()
    timer = threading.Timer(0.1, clock.advance, [3600])
    timer.start()
    began = time.monotonic()
    assert clock.wait(3600, stop) is False
    assert time.monotonic() - began < 60


def test_advancing_by_less_does_not_end_a_wait():
    clock, stop = Clock(), threading.Event()
    timer = threading.Timer(0.05, clock.advance, [3599])
    timer.start()
    threading.Timer(0.3, stop.set).start()
    assert clock.wait(3600, stop) is True


def test_stopping_ends_a_wait():
    clock, stop = Clock(), threading.Event()
    threading.Timer(0.05, stop.set).start()
    began = time.monotonic()
    assert clock.wait(3600, stop) is True
    assert time.monotonic() - began < 60


def test_moto_follows_the_clock_until_that_is_undone():
    clock = Clock()
    clock.advance(7200)
    before = utils.utcnow
    patches = install_clock(clock)
    try:
        assert abs(utils.unix_time() - clock.now()) < 1
    finally:
        patches.undo()
    assert utils.utcnow is before
    assert abs(utils.unix_time() - time.time()) < 1
