"""How long the policy pack takes: to start, and to judge the whole local program. `python -m benchmarks.policies`.

The program is shown once to a recorder; what that was asked is then asked of the pack, over the protocol, again and
again. Times are medians, with the fastest and the slowest beside them. For comparison: Python that only
imports the SDK, and a call that asks for nothing.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import analyzer_pb2_grpc

from ops.policies import serving
from tests.policies.wire import Recorder
from tests.program.stacks import harness

RUNS = 7
SDK = "import pulumi_policy"
#: Seconds that a start and a judgement may take.
START, WHOLE = 1.0, 2.0


def recorded() -> Recorder:
    """Show the local program to a recorder, as a first deployment."""
    recorder: Recorder = Recorder()  # type: ignore[no-untyped-call]
    server = grpc.server(futures.ThreadPoolExecutor(8))
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(recorder, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    with tempfile.TemporaryDirectory() as folder, harness("local", Path(folder)) as run:
        run.analyzers = [address]
        run.up()
    server.stop(grace=None).wait()
    return recorder


def timed(what: str, work: Callable[[], Any], limit: float | None = None) -> float:
    """Run some work `RUNS` times, print the median, return it."""
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    median = statistics.median(seconds)
    verdict = "" if limit is None else f"  {'within' if median < limit else 'ABOVE'} {limit:.0f} s"
    print(f"{what:34} {median:7.3f} s  ({min(seconds):.3f} to {max(seconds):.3f}){verdict}")
    return median


def main() -> None:
    """Measure and print."""
    asked = recorded()

    def start() -> None:
        with serving():
            pass

    imported = timed("Python and the SDK alone", lambda: subprocess.run([sys.executable, "-c", SDK], check=True))
    print(f"{'start, times that':34} {timed('start', start, START) / imported:7.2f}")
    with serving() as address, grpc.insecure_channel(address) as channel:
        pack: Any = analyzer_pb2_grpc.AnalyzerStub(channel)

        def resources() -> None:
            for request in asked.inputs:
                pack.Remediate(request)
                pack.Analyze(request)

        def stack() -> None:
            pack.AnalyzeStack(asked.stacks[-1])

        calls = 2 * len(asked.inputs) + 1
        bare = timed("a call that asks for nothing", lambda: pack.GetPluginInfo(empty_pb2.Empty()))
        each = timed(f"rules over {len(asked.inputs)} resources", resources)
        whole = timed("rules over the stack", stack)
        total = each + whole
        print(f"{'whole pack, one run':34} {total:7.3f} s  {'within' if total < WHOLE else 'ABOVE'} {WHOLE:.0f} s")
        print(f"{'of it, the protocol':34} {calls * bare / total:7.0%}")


if __name__ == "__main__":
    main()
