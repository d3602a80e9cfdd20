"""A terminal in which somebody types `./bmx`."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ops.paths import ROOT

BMX = str(ROOT / "bmx")


@dataclass
class Terminal:
    """A terminal with an embedded cloud's folder of its own."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"BMX_HOME": str(self.home)}

    def run(self, *arguments: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        command = [*prefix, BMX, *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=280, check=False)

    def up(self) -> tuple[subprocess.Popen[str], list[str]]:
        """Start `./bmx up`; return it and the lines up to the key."""
        process = subprocess.Popen(
            [BMX, "up"], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("From another terminal"):
                return process, lines
        raise AssertionError("".join(lines))
