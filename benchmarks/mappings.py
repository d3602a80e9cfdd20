"""How soon a message reaches a warm function, and what waiting for one costs. `python -m benchmarks.mappings`.

The embedded cloud's own event source mappings. Beside each pick-up an invocation of the same function without a queue
is timed, taking turns, so that a busy machine hits both alike.
"""

import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from tests.local.lambda_cloud import LambdaCloud, eventually, lambda_cloud

ROUNDS = 5
IDLE_SECONDS = 4
#: Shares of a processor that one poller without messages may use.
IDLE = 0.03
#: Writes down when it began, in seconds since 1970.
WORKER = """
    import pathlib, time
    def handler(event, context):
        key = event["Records"][0]["body"]
        pathlib.Path(key).write_text(str(time.time()))
    """


def began(path: Path) -> float:
    """When the function that was told to write `path` began, in seconds since 1970."""
    written: float = eventually(lambda: path.exists() and path.read_text() and float(path.read_text()))
    return written


def measure(cloud: LambdaCloud, folder: Path) -> tuple[list[float], list[float]]:
    """Seconds until the function ran: asked for directly, and through its queue."""
    cloud.function("worker", WORKER)
    queue, _ = cloud.queue("worker")
    cloud.mapping("worker", "worker")
    sqs: Any = cloud.client("sqs")
    direct, queued = [], []
    for number in range(ROUNDS + 1):
        paths = [folder / f"{kind}-{number}" for kind in ("direct", "queued")]
        sent = time.time()
        cloud.runtime.invoke("worker", {"Records": [{"body": str(paths[0])}]})
        direct.append(began(paths[0]) - sent)
        time.sleep(0.3)
        sent = time.time()
        sqs.send_message(QueueUrl=queue, MessageBody=str(paths[1]))
        queued.append(began(paths[1]) - sent)
        time.sleep(0.3)
    return direct[1:], queued[1:]  # the first of each is a cold start


def idle(cloud: LambdaCloud) -> float:
    """Share of a processor that one poller uses while nothing comes."""
    process = psutil.Process()
    before, started = sum(process.cpu_times()[:2]), time.monotonic()
    time.sleep(IDLE_SECONDS)
    used = sum(process.cpu_times()[:2]) - before
    return float(used / (time.monotonic() - started) / len(cloud.runtime.mappings._pollers))


def main() -> None:
    """Measure, print, and fail where an idle poller uses more than `IDLE`."""
    with tempfile.TemporaryDirectory() as home, lambda_cloud(Path(home)) as cloud:
        direct, queued = measure(cloud, Path(home))
        used = idle(cloud)
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {ROUNDS} rounds\n")
    for what, seconds in (("invoked directly", direct), ("through its queue", queued)):
        low, middle, high = (1000 * each(seconds) for each in (min, statistics.median, max))
        print(f"{what:18} {middle:5.0f} ms  ({low:.0f} to {high:.0f})")
    print(f"ratio              {statistics.median(queued) / statistics.median(direct):5.1f}")
    print(f"an idle poller     {used:5.1%} of a processor; it must be below {IDLE:.0%}")
    if used >= IDLE:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
