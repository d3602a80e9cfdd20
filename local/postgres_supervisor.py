"""Keeps one PostgreSQL alive exactly as long as whoever started it: `python -I postgres_supervisor.py OPTIONS`.

Made of the standard library alone, and one thread, since it changes its own user. It makes the data directory if there
is none, starts the server, and stops it when its standard input ends, which also happens when the parent is killed.
Once it has been told to keep the server, it starts it again whenever that ends, as RDS does; `REBOOT` makes it end.
PostgreSQL refuses to run as root, so root becomes an unprivileged user first.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

UNPRIVILEGED = 65534  # "nobody", on every Linux; no user has to be added

_PR_SET_PDEATHSIG = 1
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2
_STOP_SECONDS = 10
_PAUSE_SECONDS = 0.5  # what a killed server left holds its shared memory for a moment
KEEP, REBOOT = b"k", b"r"  # what may be written to standard input


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapPrm:"):
            return int(line.split()[1], 16)
    return 0


def _set_capabilities(mask: int, *, ambient: int | None) -> bool:
    libc = _libc()
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # effective, permitted, inheritable; then the same for capabilities 32 to 63
    data = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    if libc.capset(header, data) != 0:
        return False
    return ambient is None or libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, ambient, 0, 0) == 0


def _reachable(paths: list[Path]) -> bool:
    return all(os.access(path, os.R_OK | os.X_OK) for path in paths)


def become_unprivileged(data: Path, binaries: Path) -> None:
    """Give up root for good.

    A checkout under a folder that only root may enter (`/root`, `mktemp -d`) would be out of reach. The one capability
    that is kept then is to read and search regardless of permissions; SECBIT_NO_SETUID_FIXUP makes access(2), with
    which PostgreSQL looks for its own programs, honour it (capabilities(7)).
    """
    capabilities = _capabilities()
    kept = next((cap for cap in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE) if capabilities >> cap & 1), None)
    fixed = _libc().prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0) == 0
    os.setgroups([])
    os.setresgid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED)
    os.setresuid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED)
    needed = [data, binaries / "postgres"]
    if fixed and kept is not None:
        # without the fix-up root's capabilities are still there: give them up before looking what is in reach
        if not _set_capabilities(1 << kept, ambient=None):
            raise SystemExit("PostgreSQL's supervisor could not give up root's capabilities")
        with_it = _reachable(needed)
        _lower_effective()
        if not _reachable(needed) and with_it:
            _set_capabilities(1 << kept, ambient=kept)
        else:
            _set_capabilities(0, ambient=None)
    if not _reachable(needed):
        raise SystemExit(
            f"PostgreSQL does not run as root, and the unprivileged user {UNPRIVILEGED} cannot reach {data} or "
            f"{binaries}: run as an ordinary user, or from a folder that others may enter"
        )


def _lower_effective() -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    permitted = _capabilities() & 0xFFFFFFFF
    _libc().capset(header, (ctypes.c_uint32 * 6)(0, permitted, permitted, 0, 0, 0))


def _initdb(binaries: Path, data: Path, user: str) -> None:
    command = [str(binaries / "initdb"), "-D", str(data), "-U", user, "--auth=scram-sha-256", "-E", "UTF8"]
    command += ["--locale=C", "--no-sync", "--no-instructions", f"--pwfile={data.parent / 'password'}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=data)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT, 0, 0, 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Runs one PostgreSQL until standard input ends.")
    parser.add_argument("--binaries", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--superuser", required=True)
    return parser.parse_args()


def main() -> None:
    """Run the server until standard input ends or the server does."""
    arguments = _arguments()
    # Ctrl-C reaches the whole process group; the parent decides when the database goes
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.geteuid() == 0:
        become_unprivileged(arguments.data, arguments.binaries)
    os.umask(0o077)
    if not (arguments.data / "PG_VERSION").exists():
        _initdb(arguments.binaries, arguments.data, arguments.superuser)
    command = [str(arguments.binaries / "postgres"), "-D", str(arguments.data), "-h", "127.0.0.1"]
    command += ["-p", str(arguments.port), "-k", "", "-c", "fsync=off", "-c", "max_connections=60"]
    # Without fsync a power cut would lose data, and nothing here has to survive one. Commits wait for their write and
    # pages are logged whole all the same: a killed process loses nothing that was acknowledged, as on RDS.
    command += ["-c", "timezone=UTC"]
    sys.exit(supervise(command, arguments.data))


def supervise(command: list[str], folder: Path) -> int:
    """Run a server until standard input ends, or until it ends before anybody wanted it kept; return its exit code."""
    # a signal without a handler wakes nobody
    signal.signal(signal.SIGCHLD, lambda *_: None)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    kept, server = False, _start(command, folder)
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 1024)
        if 0 in ready:
            said = os.read(0, 1024)
            if not said:
                return _stop(server)
            kept = True
            if REBOOT in said:
                server.send_signal(signal.SIGINT)  # fast shutdown
        if server.poll() is None:
            continue
        if not kept:
            return server.returncode
        time.sleep(_PAUSE_SECONDS)
        server = _start(command, folder)


def _start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        cwd=folder,
        start_new_session=True,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has one thread
    )


def _stop(server: subprocess.Popen[bytes]) -> int:
    server.send_signal(signal.SIGINT)  # fast shutdown
    try:
        return server.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.send_signal(signal.SIGQUIT)  # immediate shutdown
        return server.wait()


if __name__ == "__main__":
    main()
