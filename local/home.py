"""The embedded cloud's folder: who holds it, what a dead cloud left in it, and where a running one is to be found."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_RECORD = "cloud.json"
_LOCK = "lock"
_LOGS = "logs"
# Whoever asks whether a cloud runs holds the lock for an instant.
_LOCK_PATIENCE = 0.5


class CloudError(RuntimeError):
    """The embedded cloud cannot be started or reached; the message says why and what to do."""


class CloudAlreadyUp(CloudError):  # noqa: N818 - named after what it says
    """Another process keeps the embedded cloud of this folder.

    Parameters
    ----------
    pid : int or None
        That process, if it has written it down already.
    """

    def __init__(self, home: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid else "a process that is just starting"
        super().__init__(f"the embedded cloud is already up: {who} keeps {home}")
        self.pid = pid


class CloudNotRunning(CloudError):  # noqa: N818 - named after what it says
    """No embedded cloud can be reached in this folder."""


@dataclass(frozen=True)
class Network:
    """What exists before the program: a VPC and its private subnets."""

    vpc_id: str
    subnet_ids: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """What `cloud.json` says about a running cloud; holds its admin key, so only its owner may read the file."""

    pid: int
    endpoint: str
    provider_address: str
    gateway_url: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    network: Network
    started_at: str


class Home:
    """The folder of one embedded cloud, held by a lock for as long as the cloud lives."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def claim(self) -> str | None:
        """Take the folder, moving aside what an earlier cloud left in it.

        Returns
        -------
        str or None
            A sentence about what was moved where.

        Raises
        ------
        CloudAlreadyUp
            If another process holds the folder.
        CloudError
            If the folder cannot be made or written.
        """
        try:
            self._lock = self._locked()
            return self._move_leftovers_aside()
        except OSError as error:
            self.release()
            raise CloudError(f"the embedded cloud's folder {self.path} cannot be used: {error}") from error

    def _locked(self) -> int:
        deadline = time.monotonic() + _LOCK_PATIENCE
        while True:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._close_to_others()
            lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = _pid(lock)
                os.close(lock)
                if time.monotonic() > deadline:
                    raise CloudAlreadyUp(self.path, pid) from None
                time.sleep(0.05)
                continue
            if _is_same(lock, self.path / _LOCK):
                os.ftruncate(lock, 0)
                os.write(lock, str(os.getpid()).encode())
                return lock
            os.close(lock)  # another process moved the folder aside meanwhile

    def _close_to_others(self) -> None:
        """Take a folder that others may look into from them: passwords and photographs will lie in it."""
        mode = self.path.stat().st_mode
        if mode & stat.S_ISVTX:
            raise CloudError(f"{self.path} is a folder that everybody shares: name one of your own by BMX_HOME")
        if mode & 0o077:
            self.path.chmod(0o700)

    def _move_leftovers_aside(self) -> str | None:
        if not {entry.name for entry in self.path.iterdir()} - {_LOCK, _LOGS}:
            return None
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        aside = self.path.with_name(f"{self.path.name}.stale-{stamp}")
        self.path.rename(aside)
        old, self._lock = self._lock, self._locked()
        if old is not None:
            os.close(old)
        return (
            f"The last embedded cloud did not stop cleanly. What it left was moved to {aside}; "
            "this one begins empty. Delete that folder when you need nothing from it."
        )

    def write(self, record: Record) -> None:
        """Say where the cloud is, in one step, readable to nobody else."""
        temporary = self.path / f"{_RECORD}.new"
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(record), file, indent=2)
        temporary.replace(self.path / _RECORD)

    def clear(self) -> None:
        """Delete what lived with the cloud; logs stay."""
        for entry in self.path.iterdir():
            if entry.name in (_LOCK, _LOGS):
                continue
            if entry.is_dir() and not entry.is_symlink():
                _remove(entry)
            else:
                entry.unlink()

    def release(self) -> None:
        """Give the folder back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _remove(tree: Path) -> None:
    """Delete a tree of ours; only root deletes from a folder that is read-only, as those with functions' code are."""
    for folder, _, _ in os.walk(tree):
        Path(folder).chmod(0o700)
    shutil.rmtree(tree)


def read(path: Path) -> Record:
    """Where the cloud that another process keeps in `path` is to be found.

    Raises
    ------
    CloudNotRunning
        If none is there, it is still starting, or its record cannot be read.
    """
    try:
        lock = os.open(path / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise CloudNotRunning(f"no embedded cloud is up in {path}: start one with ./bmx up") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read_record(path / _RECORD, _pid(lock))
    finally:
        os.close(lock)
    raise CloudNotRunning(f"no embedded cloud is up in {path}: start one with ./bmx up")


def _read_record(path: Path, pid: int | None) -> Record:
    try:
        return _record(json.loads(path.read_text()))
    except FileNotFoundError:
        raise CloudNotRunning(f"the embedded cloud (process {pid}) is starting or stopping: try again") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CloudNotRunning(
            f"{path} cannot be read ({error}): stop the embedded cloud, process {pid}, and start it again"
        ) from error


def _record(raw: Mapping[str, Any]) -> Record:
    network = Network(raw["network"]["vpc_id"], tuple(raw["network"]["subnet_ids"]))
    return Record(**{f.name: raw[f.name] for f in fields(Record)} | {"network": network})


def _pid(lock: int) -> int | None:
    text = os.pread(lock, 32, 0).decode("ascii", "replace")
    return int(text) if text.isdigit() else None


def _is_same(lock: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock), path.stat())
    except FileNotFoundError:
        return False
