"""A full disk, and what a killed cloud left: work that is done stays done, and the disk does not fill by itself."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from local import temporary
from local.gateway import Gateway
from local.log_file import LogFile
from local.temporary import TemporaryFolder, remove_leftovers
from tests.local.lambda_cloud import eventually, lambda_cloud

pytestmark = pytest.mark.as_root
ROOT = Path(__file__).resolve().parents[2]
PRINTS = "def handler(event, context):\n    print('RAN')\n    return 'done'"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here (it takes root on Linux)")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)  # noqa: S607


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return filler


def test_a_line_that_finds_the_disk_full_is_counted_and_the_next_says_so(small_disk):
    log = LogFile(small_disk / "a.log")
    log.write("before")
    filler = fill(small_disk)
    for _ in range(3):
        log.write("lost" * 2000)
    filler.unlink()
    log.write("after")
    log.close()
    lines = (small_disk / "a.log").read_text().splitlines()
    assert lines[0] == "before" and lines[-2:] == ["(3 lines before this one could not be written)", "after"]


def test_a_function_answers_on_a_full_disk_and_its_log_goes_on_afterwards(small_disk):
    with lambda_cloud(small_disk) as cloud:
        cloud.function("full", PRINTS)
        cloud.runtime.invoke("full", {})
        filler = fill(small_disk)
        for _ in range(40):  # more than what is left of the log's last block
            assert cloud.runtime.invoke("full", {}).payload == b'"done"'
        filler.unlink()
        cloud.runtime.invoke("full", {})
        lines = (cloud.home / "logs" / "full.log").read_text().splitlines()
        assert [line for line in lines if "could not be written" in line]
        assert lines[-2].startswith("END RequestId")


def test_a_request_that_was_done_is_answered_although_its_line_cannot_be_written(tmp_path):
    (tmp_path / "gateway.log").symlink_to("/dev/full")
    with lambda_cloud(tmp_path) as cloud:
        gateway = Gateway(cloud.runtime, tmp_path / "gateway.log")
        gateway.start()
        try:
            with pytest.raises(urllib.error.HTTPError) as answer:
                urllib.request.urlopen(f"{gateway.url}/nowhere", timeout=60)  # noqa: S310  our own
            assert answer.value.code == 404
        finally:
            gateway.stop()


LEAVES = """
import os, signal
from local.temporary import TemporaryFolder
print(TemporaryFolder().path, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_cloud_left_in_tmp_goes_with_the_next_start(tmp_path, monkeypatch):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    left = subprocess.run([sys.executable, "-c", LEAVES], env=environment, capture_output=True, text=True, check=False)
    folder, held = Path(left.stdout.strip()), TemporaryFolder()
    (folder / "big").write_bytes(b"x")
    try:
        remove_leftovers()
        assert folder.exists(), "it may have been made this very moment, and be locked in the next"
        monkeypatch.setattr(temporary, "_YOUNG_SECONDS", 0.0)
        time.sleep(0.01)
        with lambda_cloud(tmp_path) as cloud:
            assert not folder.exists() and held.path.exists()
            cloud.function("tidy", "import os\ndef handler(event, context): return os.environ['TMPDIR']")
            own = Path(cloud.runtime.invoke("tidy", {}).payload.decode().strip('"'))
            remove_leftovers()
            assert own.exists(), "a living process holds it"
        assert eventually(lambda: not own.exists())
    finally:
        held.remove()
    assert not held.path.exists()


def test_a_link_with_such_a_name_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(temporary, "_YOUNG_SECONDS", 0.0)
    monkeypatch.setattr(temporary, "_PARENT", tmp_path)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("")
    (tmp_path / "bmx-lambda-link").symlink_to(tmp_path / "kept")
    remove_leftovers()
    assert (tmp_path / "kept" / "file").exists()
