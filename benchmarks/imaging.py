"""What the cut-out costs beside the inference that it cannot do without, and beside rembg.

`python -m benchmarks.imaging` prints a table: median and spread of five rounds, the contestants taking turns so that a
busy machine hits all of them alike. Each runs in a process of its own, so that each peak is its own.
"""

import argparse
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from handlers.image_processor import cutout, memory
from ops.weights import ensure
from samples.catalogue import HERE as SAMPLES

ROUNDS = 5
MEGAPIXELS_12 = (4000, 3000)
CONTESTANTS = ("inference", "lean job", "rembg")


def photograph(size: tuple[int, int]) -> bytes:
    """A JPEG of `size` pixels."""
    out = io.BytesIO()
    with Image.open(SAMPLES / "rendered" / "calf_on_oak.jpg") as picture:
        picture.resize(size, Image.Resampling.LANCZOS).save(out, "JPEG", quality=88)
    return out.getvalue()


def contestant(name: str, data: bytes) -> Callable[[], object]:
    """What is measured; loading the network and importing rembg are not part of it."""
    weights = ensure("u2net")
    if name == "rembg":
        os.environ["U2NET_HOME"] = str(weights.parent)
        import rembg  # noqa: PLC0415 (its import takes up to a minute)

        session = rembg.new_session("u2net", providers=["CPUExecutionProvider"])
        return lambda: rembg.remove(data, session=session)
    memory.keep_freed_memory()
    network = cutout.Network(weights)
    if name == "lean job":
        return lambda: cutout.cut_out(data, network)
    small = cutout._small(cutout.decode(data))
    return lambda: network.infer(small)


def serve(name: str, data: bytes) -> None:
    """Run one contestant: for each line read, one round; answers its seconds and the process's peak so far."""
    work = contestant(name, data)
    work()
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        work()
        print(json.dumps([time.perf_counter() - started, memory.peak_megabytes()]), flush=True)


def measure(rounds: int) -> dict[str, list[tuple[float, int]]]:
    """Let every contestant take its turn in every round; give (seconds, peak in MiB) per round."""
    results: dict[str, list[tuple[float, int]]] = {name: [] for name in CONTESTANTS}
    processes = {
        name: subprocess.Popen(
            [sys.executable, "-m", "benchmarks.imaging", "--serve", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in CONTESTANTS
    }
    try:
        for name, process in processes.items():
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                raise RuntimeError(f"the contestant {name!r} did not start")
        for _ in range(rounds):
            for name, process in processes.items():
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write("\n")
                process.stdin.flush()
                seconds, peak = json.loads(process.stdout.readline())
                results[name].append((seconds, peak))
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    return results


def table(results: dict[str, list[tuple[float, int]]]) -> str:
    """The results as Markdown; the ratio is the median of the rounds' own ratios, which a busy machine moves least."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    lines = [
        f"{model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}; "
        f"12 megapixel JPEG, u2net, {ROUNDS} rounds",
        "",
        "| | seconds, median (least to most) | x inference | peak memory, MiB |",
        "|---|---|---|---|",
    ]
    base = [seconds for seconds, _ in results["inference"]]
    for name, rounds in results.items():
        seconds = [value for value, _ in rounds]
        ratio = statistics.median(mine / theirs for mine, theirs in zip(seconds, base, strict=True))
        spread = f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"
        lines.append(f"| {name} | {spread} | {ratio:.2f} | {rounds[-1][1]:,} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", choices=CONTESTANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, photograph(MEGAPIXELS_12))
    else:
        print(table(measure(ROUNDS)))


if __name__ == "__main__":
    main()
