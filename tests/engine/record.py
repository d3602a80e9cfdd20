"""Make the transcripts anew with the real engine: ``python -m tests.engine.record [scenario ...]``."""

import sys
import tempfile
from pathlib import Path

from tests.engine.engines import PulumiCli
from tests.engine.runner import play
from tests.engine.scenario import scenarios
from tests.engine.transcript import write


def main(names: list[str]) -> None:
    """Record these scenarios, or all of them."""
    for scenario in scenarios():
        if not names or scenario.name in names:
            with tempfile.TemporaryDirectory() as folder:
                write(scenario.name, play(scenario, Path(folder), PulumiCli))
            print(scenario.name)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
