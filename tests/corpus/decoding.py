"""The process that decodes the corpus: a file's name and a step in, a line of JSON out; its parent keeps the time.

Steps: `decode`, and `cut`, which goes on through the smallest real network to the finished files.
"""

from __future__ import annotations

import gc
import io
import json
import re
import sys
import time
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from handlers.image_processor import cutout
from tests.corpus import corpus
from tests.model_files import weights_of

STATUS = Path("/proc/self/status")
CLEAR_PEAK = "5"
"""Written to /proc/self/clear_refs it resets VmHWM (proc_pid_clear_refs(5))."""


def kilobytes(field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", STATUS.read_text())
    assert found
    return int(found[1])


@cache
def network() -> cutout.Network:
    return cutout.Network(weights_of("u2netp"), threads=1)


def decode(data: bytes) -> dict[str, Any]:
    rgb = cutout.decode(data).rgb
    return {"size": rgb.size, "colour": rgb.getpixel((rgb.width // 2, rgb.height // 2))}


def cut(data: bytes) -> dict[str, Any]:
    made = cutout.cut_out(data, network())
    return {"size": Image.open(io.BytesIO(made.picture)).size}


STEPS = {"decode": decode, "cut": cut}


def outcome(name: str, step: str) -> dict[str, Any]:
    data = corpus()[name].make()
    gc.collect()
    Path("/proc/self/clear_refs").write_text(CLEAR_PEAK)
    before, began = kilobytes("VmRSS"), time.monotonic()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            found: dict[str, Any] = {"end": "decoded", **STEPS[step](data)}
        except cutout.PermanentError as error:
            found = {"end": type(error).__name__, "words": str(error)}
        except Exception as error:  # noqa: BLE001 (this is what is looked for)
            found = {"end": "crashed", "words": f"{type(error).__name__}: {error}"}
    seconds, peak = time.monotonic() - began, kilobytes("VmHWM")
    del data
    gc.collect()
    return found | {
        "seconds": seconds,
        "peak_mb": (peak - before) / 1024,
        "after_mb": kilobytes("VmRSS") / 1024,
        "warnings": len(said),
    }


def main() -> None:
    gc.freeze()  # what the imports made is not looked through for each file
    for line in sys.stdin:
        step, _, name = line.strip().partition(" ")
        print(json.dumps(outcome(name, step)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
