"""What runs first inside a function process: ``python -P local/bootstrap.py PARENT -m MODULE [ARGUMENT ...]``.

Ties the process to its parent, makes time follow the embedded cloud's clock, refuses the network beyond this machine
and writes outside /tmp, then runs the module as ``python -m`` would. Run by path and made of the standard library
alone: a function sees nothing of this package, and an image's interpreter has nothing but the image.
"""

from __future__ import annotations

import ctypes
import datetime
import errno
import gc
import importlib.util
import os
import runpy
import signal
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Audit events whose first arguments are paths that get changed (https://docs.python.org/3/library/audit_events.html).
_CHANGING = {
    "os.mkdir": 1,
    "os.rmdir": 1,
    "os.remove": 1,
    "os.rename": 2,
    "os.link": 2,
    "os.symlink": 2,
    "os.truncate": 1,
    "os.chmod": 1,
    "os.chown": 1,
    "os.utime": 1,
}


def die_with(parent: int) -> None:
    """Let the kernel end this process when `parent` does, also when it was killed and could clean up nothing.

    Raises
    ------
    SystemExit
        If the parent is already gone.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the embedded cloud ended while this function started")


def _clock(path: str) -> Callable[[], float]:
    machine = time.time

    def now() -> float:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return time.monotonic() + float(struct.unpack("<d", os.read(descriptor, 8))[0])
        except struct.error:
            return machine()
        finally:
            os.close(descriptor)

    return now


def follow_clock(path: str) -> None:
    """Make `time` and `datetime` in this process follow the clock in the file `path` (see `local/clock.py`).

    `datetime.datetime` stays the very same type, only its class methods change: SDKs, drivers and validators compare
    types by identity, so a subclass in its place would not do.

    Raises
    ------
    RuntimeError
        If this interpreter does not let its methods be replaced.
    """
    now = _clock(path)
    real_gmtime, real_localtime, real_strftime = time.gmtime, time.localtime, time.strftime

    # Built-in functions do not bind when a class holds them (logging's `converter = time.gmtime`); nor do these.
    time.time = staticmethod(now)
    time.time_ns = staticmethod(lambda: int(now() * 1e9))
    time.gmtime = staticmethod(lambda secs=None: real_gmtime(now() if secs is None else secs))
    time.localtime = staticmethod(lambda secs=None: real_localtime(now() if secs is None else secs))
    time.strftime = staticmethod(lambda form, *tuples: real_strftime(form, *(tuples or (time.localtime(),))))

    def datetime_now(cls: type[datetime.datetime], tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return cls.fromtimestamp(now(), tz)

    def datetime_utcnow(cls: type[datetime.datetime]) -> datetime.datetime:
        return cls.fromtimestamp(now(), datetime.UTC).replace(tzinfo=None)

    # The dictionary behind the read-only view of a built-in type: there is no public way to it.
    methods = gc.get_referents(datetime.datetime.__dict__)[0]
    methods["now"] = classmethod(datetime_now)
    methods["utcnow"] = classmethod(datetime_utcnow)
    methods["today"] = classmethod(lambda cls: cls.fromtimestamp(now()))
    gc.get_referents(datetime.date.__dict__)[0]["today"] = classmethod(lambda cls: cls.fromtimestamp(now()))
    for changed in (datetime.datetime, datetime.date):
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(changed))
    if datetime.datetime.now.__func__ is not datetime_now:  # type: ignore[attr-defined]
        raise RuntimeError(f"datetime cannot follow the embedded cloud's clock under Python {sys.version}")


def read_only(task_root: str, writable: tuple[str, ...]) -> None:
    """Refuse every write outside `writable` with EROFS, as Lambda's file system does.

    It sees what Python does. A C library that opens files itself is not stopped, and neither is a child process.
    """
    roots = tuple(os.path.realpath(root) for root in writable)
    task_root = os.path.realpath(task_root)

    def inside(path: str, root: str) -> bool:
        return path == root or path.startswith(root.rstrip("/") + "/")

    def check(path: Any) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        real = os.path.realpath(os.fsdecode(path))
        if inside(real, task_root) or not any(inside(real, root) for root in roots):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fsdecode(path))

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            if isinstance(args[2], int) and args[2] & _WRITING:
                check(args[0])
        elif event in _CHANGING:
            for path in args[: _CHANGING[event]]:
                check(path)

    sys.addaudithook(hook)


def stay_on_this_machine() -> None:
    """Install `offline.py`, loaded by its path."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "offline.py")  # noqa: PTH100,PTH118,PTH120  fast start
    spec = importlib.util.spec_from_file_location("_offline", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path} is missing: a function must not start without it")
    module = importlib.util.module_from_spec(spec)
    sys.modules["_offline"] = module
    spec.loader.exec_module(module)
    module.install()


def main(arguments: list[str]) -> None:
    """Prepare this process, then run the module that `arguments` name."""
    if len(arguments) < 3 or arguments[1] != "-m":  # noqa: PLR2004
        raise SystemExit("usage: bootstrap.py PARENT -m MODULE [ARGUMENT ...]")
    die_with(int(arguments[0]))
    sys.dont_write_bytecode = True
    clock = os.environ.get("BMX_LOCAL_CLOCK")
    if clock:
        follow_clock(clock)
    stay_on_this_machine()
    read_only(os.environ["LAMBDA_TASK_ROOT"], ("/tmp", os.environ["TMPDIR"], "/dev"))  # noqa: S108  Lambda's own /tmp
    sys.argv = arguments[2:]
    runpy.run_module(arguments[2], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
