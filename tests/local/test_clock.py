"""One clock for the embedded cloud, for moto and for other processes."""

import threading
import time

import pytest
from moto.core import utils

from local.clock import Clock, read_offset
from local.moto_server import install_clock


def test_the_clock_follows_the_machines_until_it_is_advanced():
    clock = Clock()
    assert abs(clock.now() - time.time()) < 0.1
    clock.advance(1800)
    assert abs(clock.now() - time.time() - 1800) < 0.1
    assert abs(clock.utcnow().timestamp() - clock.now()) < 0.1


def test_the_clock_does_not_run_backwards():
    with pytest.raises(ValueError, match="only moves forward"):
        Clock().advance(-1)


def test_another_process_reads_the_offset_from_the_same_file(tmp_path):
    clock = Clock()
    clock.advance(5)
    clock.share(tmp_path / "clock")
    assert read_offset(tmp_path / "clock") == 5
    inode = (tmp_path / "clock").stat().st_ino
    clock.advance(0.25)
    assert read_offset(tmp_path / "clock") == 5.25
    assert (tmp_path / "clock").stat().st_ino == inode  # whoever has it mapped follows


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
