"""The folders that function processes get as their /tmp, and those that a cloud which was killed has left."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

_PARENT: Final = Path("/tmp")  # noqa: S108  Lambda's own
_PREFIX: Final = "bmx-lambda-"
# A folder is locked right after it was made; before that it only looks left.
_YOUNG_SECONDS: Final = 60.0


class TemporaryFolder:
    """A folder of this user alone, held by a lock that ends with this process."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_PARENT))
        self._lock: int | None = _locked(self.path)

    def remove(self) -> None:
        """Remove it with what lies in it; twice does no harm."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def remove_leftovers() -> None:
    """Remove this user's folders that no living process holds."""
    for path in _PARENT.glob(f"{_PREFIX}*"):
        # What is gone, another user's, or not to be opened is none of ours.
        with suppress(OSError):
            found = path.lstat()
            if found.st_uid != os.getuid() or time.time() - found.st_ctime < _YOUNG_SECONDS:
                continue
            if (lock := _locked(path)) is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def _locked(path: Path) -> int | None:
    """A descriptor that holds the folder; None where somebody else does."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
