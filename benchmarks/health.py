"""What the deep health check costs over 25 flows beside one, uncached.

`python -m benchmarks.health` prints a table: median and spread of five rounds, both taking turns so that a busy machine
hits them alike. botocore signs, sends and parses as always, up to the socket: there each call waits `LATENCY`, a call's
within a region, and gets a canned answer. The login is that of three such calls; no PostgreSQL runs.
"""

import io
import json
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from handlers.api import health_questions as questions
from handlers.api.health import DeepCheck
from handlers.api.health_config import VARIABLES
from handlers.common.registry import RegisteredFlow, Registry

ROUNDS = 5
FLOWS = 25
LATENCY = 0.02
MOST = 3.0
SERVICES = ("sqs", "lambda", "cloudwatch", "s3", "sts", "secretsmanager")
ANSWERS = {
    "GetQueueUrl": {"QueueUrl": "https://sqs.us-west-2.amazonaws.com/123456789012/q"},
    "GetQueueAttributes": {
        "Attributes": {f"ApproximateNumberOfMessages{kind}": "0" for kind in ("", "NotVisible", "Delayed")}
    },
    "GetFunctionConfiguration": {"State": "Active", "LastUpdateStatus": "Successful"},
    "ListEventSourceMappings": {
        "EventSourceMappings": [
            {
                "UUID": "u",
                "State": "Enabled",
                "EventSourceArn": f"arn:aws:sqs:us-west-2:123456789012:q{number}",
                "FunctionArn": f"arn:aws:lambda:us-west-2:123456789012:function:f{number}",
            }
            for number in range(FLOWS)
        ]
    },
    "GetMetricData": {"MetricDataResults": []},
}
CALLER = (
    b"<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:sts::1:assumed-role/r/s</Arn>"
    b"<Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
)
# RFC 8949: a map of one pair, a text of 17 characters and an empty array.
NO_METRICS = b"\xa1\x71MetricDataResults\x80"


class _Raw(io.BytesIO):
    """A body as urllib3 gives it."""

    def stream(self, **_: Any) -> Any:
        yield self.read()


def answer(request: Any, event_name: str, **_: Any) -> AWSResponse:
    """Answer a signed request after a call's time."""
    operation = event_name.rpartition(".")[2]
    time.sleep(LATENCY)
    body = b"" if operation == "HeadBucket" else json.dumps(ANSWERS.get(operation, {})).encode()
    if operation == "GetCallerIdentity":
        body = CALLER
    elif operation == "GetMetricData" and b"cbor" in str(request.headers).encode():
        body = NO_METRICS
    return AWSResponse(request.url, 200, HTTPHeaders(), _Raw(body))


def clients() -> questions.Clients:
    """Real clients whose answers are `answer`'s."""
    made = []
    for service in SERVICES:
        client = boto3.client(  # type: ignore[call-overload]
            service,
            region_name="us-west-2",
            aws_access_key_id="benchmark",
            aws_secret_access_key="benchmark",  # noqa: S106 (signs requests that are never sent)
        )
        client.meta.events.register("before-send.*", answer)
        made.append(client)
    return questions.Clients(*made)


def check(count: int, using: questions.Clients) -> DeepCheck:
    """A check over so many flows."""
    flows = tuple(
        RegisteredFlow(
            key=f"k{number}",
            queue_name=f"q{number}",
            dead_letter_queue_name=f"q{number}-dlq",
            function_name=f"f{number}",
            deployed=True,
            variable=f"BMX_K{number}_QUEUE_NAME",
            timeout=60,
            receives=5,
            visibility_timeout=360,
            oldest_message_threshold=720,
            backlog_threshold=1000,
            producers=(),
            schedule=None,
        )
        for number in range(count)
    )
    return DeepCheck(lambda: using, lambda: Registry("p", "local", flows))


def login(*_: Any, **__: Any) -> questions.DatabaseSight:
    """Two reads of secrets and a connection."""
    time.sleep(3 * LATENCY)
    return questions.DatabaseSight()


def main() -> None:
    """Measure, print, and fail where the ratio is not below `MOST`."""
    os.environ.update({name: "benchmark" for name in VARIABLES})
    questions.database = login  # type: ignore[assignment]
    using = clients()
    checks = {count: check(count, using) for count in (1, FLOWS)}
    seconds: dict[int, list[float]] = {count: [] for count in checks}
    for number in range(ROUNDS + 1):
        for count, each in checks.items():
            began = time.perf_counter()
            health = each.fresh()
            took = time.perf_counter() - began
            assert {queue.status for queue in health.checks.sqs.queues.values()} == {"healthy"}, health
            if number:  # the first round loads what botocore loads once
                seconds[count].append(took)
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    ratio = statistics.median(many / one for one, many in zip(*seconds.values(), strict=True))
    print(f"{model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()};")
    print(f"{LATENCY * 1000:.0f} ms a call, {ROUNDS} rounds\n\n| flows | ms, median (least to most) |\n|---|---|")
    for count, took_each in seconds.items():
        low, high = min(took_each) * 1000, max(took_each) * 1000
        print(f"| {count} | {statistics.median(took_each) * 1000:.0f} ({low:.0f} to {high:.0f}) |")
    print(f"\nratio {ratio:.2f}; it must be below {MOST:g}")
    if ratio >= MOST:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
