"""How long a preview of the whole local stack takes: of an empty cloud, and of one where nothing is to change.

Beside it, in the same rounds, what every Python program pays before it begins: to start and to import the SDK and the
provider. The program runs under the embedded engine over a provider that answers at once, so the clouds cost nothing.
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.program.stacks import harness

ROUNDS = 5
IMPORTS = "import pulumi, pulumi_aws"


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, harness("local", Path(folder)) as run:

        def preview() -> None:
            assert run.preview().ok

        whats: dict[str, Callable[[], Any]] = {
            "start and imports": lambda: subprocess.run([sys.executable, "-c", IMPORTS], check=True),
            "everything is new": preview,
        }
        seconds = measured(whats)
        run.up(ok=None)
        seconds |= measured({"nothing changes": preview})
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {ROUNDS} rounds\n")
    least = statistics.median(seconds["start and imports"])
    for what, each in seconds.items():
        middle = statistics.median(each)
        print(f"{what:18} {middle:6.2f} s  ({min(each):.2f} to {max(each):.2f})  ratio {middle / least:5.2f}")


def measured(whats: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
    """Time each, in turn, after one round that does not count."""
    seconds: dict[str, list[float]] = {what: [] for what in whats}
    for number in range(ROUNDS + 1):
        for what, work in whats.items():
            began = time.perf_counter()
            work()
            if number:
                seconds[what].append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    main()
