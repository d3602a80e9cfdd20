"""A canary in each place where a secret or a private word lies, and a search of all that is written or shown."""

from __future__ import annotations

import base64
import json
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from flows import catalogue
from ops.guard import judge, parse_preview
from tests.deployed import Deployed
from tests.e2e.pictures import small_photo
from tests.e2e.terminal import Terminal
from tests.e2e.waiting import finished

FLOW = next(flow for flow in catalogue("bluemoxon-local") if flow.key == "analysis")
#: PostgreSQL's own folder is the database itself, not something written about it.
DATABASE = "postgres"
CONFIGURED, SPOKEN, NAMED = "canary-Configured-7Qd3", "canary-Spoken-9Zk1", "canary-Named-4Xw8"


@dataclass(frozen=True)
class Planted:
    """What must be found nowhere, and all that was written and shown after it was planted, by where it was seen."""

    canaries: Mapping[str, str]
    seen: Mapping[str, bytes]


def forms(text: str) -> set[bytes]:
    """A text as it may be written: plain, base64 at each offset, percent-encoded, escaped in JSON."""
    raw = text.encode()
    quoted = {urllib.parse.quote(text, safe=safe).encode() for safe in ("", "/")}
    found = {raw, *quoted, json.dumps(text)[1:-1].encode()}
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw + b"\0" * 3).rstrip(b"=")
        # Characters at either end depend on the neighbours; those between are the text's alone.
        found.add(encoded[4:-8] if shift else encoded[:-8])
    return {form for form in found if len(form) >= 8}


def leaks(planted: Planted) -> list[str]:
    """Name each canary and each place where it was seen."""
    return [
        f"{name} in {where}"
        for where, content in planted.seen.items()
        for name, value in planted.canaries.items()
        if any(form in content for form in forms(value))
    ]


def secret(deployed: Deployed) -> dict[str, Any]:
    client = deployed.cloud.client("secretsmanager")
    contract = json.loads(
        client.get_secret_value(SecretId=deployed.stack.output("database_secret_arn"))["SecretString"]
    )
    text = client.get_secret_value(SecretId=contract["credentials_secret_arn"])["SecretString"]
    return dict(json.loads(text))


def shown(deployed: Deployed, key: str) -> Iterator[tuple[str, bytes]]:
    """What operators and callers are shown."""
    terminal = Terminal(deployed.cloud.home)
    commands = (
        ("deploy", "--config", f"bluemoxon:dbPassword={CONFIGURED}"),
        ("preview", "--json"),
        ("health", "--json"),
        ("alarms", "--json"),
        ("db", "check"),
        ("db", "repair"),
        ("db", "rotate", "--dry-run"),
    )
    for command in commands:
        done = terminal.run(*command)
        # What was typed is the operator's own; what is printed is not.
        yield f"./bmx {' '.join(command[:2])}", (done.stdout + done.stderr).encode()
    for kind in ("preview", "up"):
        outcome = deployed.operate(kind)
        told = json.dumps(outcome.to_json())
        report = judge(parse_preview(told))
        yield f"outcome of {kind}", told.encode()
        yield (
            f"gate over {kind}",
            "\n".join([*report.lines(), report.markdown(), json.dumps(report.to_json())]).encode(),
        )
    for path in ("/admin", "/api/v1/docs", "/api/v1/health/deep", "/api/v1/admin/system-info", "/api/v1/openapi.json"):
        answer = requests.get(deployed.cloud.gateway_url + path, headers={"X-API-Key": key}, timeout=60)
        yield path, answer.content + str(answer.headers).encode()


def written(deployed: Deployed) -> Iterator[tuple[str, bytes]]:
    """What lies in the cloud's folder, and what functions and operators logged."""
    home = deployed.cloud.home
    for path in sorted(each for each in home.rglob("*") if each.is_file()):
        name = path.relative_to(home)
        if name.parts[0] != DATABASE:
            yield str(name), path.read_bytes()
    logs = deployed.cloud.client("logs")
    for group in logs.describe_log_groups()["logGroups"]:
        events = logs.filter_log_events(logGroupName=group["logGroupName"])["events"]
        yield group["logGroupName"], "\n".join(event["message"] for event in events).encode()


@pytest.fixture(scope="module")
def planted(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Planted:
    key = deployed.key("canary")
    api = deployed.api("canary-photographs")
    photo = small_photo(tmp_path_factory.mktemp("photos"))
    named = Path(photo.path).rename(photo.path.with_name(f"{NAMED}{photo.path.suffix}"))
    job = api.upload(api.create_book("Canary")["id"], named, photo.content_type)["job"]
    assert finished(api, job["id"])["status"] == "completed"
    sqs = deployed.cloud.client("sqs")
    queue = sqs.get_queue_url(QueueName=FLOW.queue_name("bluemoxon-local"))["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"job_id": SPOKEN}))
    time.sleep(3)  # refused by its worker once; its later deliveries would say the same
    canaries = {
        "the configured password": CONFIGURED,
        "a message's body": SPOKEN,
        "a photograph's name": NAMED,
        "the database's password": secret(deployed)["password"],
        "an API key": key,
    }
    found = dict(shown(deployed, key))
    found |= dict(written(deployed))
    sqs.purge_queue(QueueUrl=queue)
    return Planted(canaries, found)


@pytest.mark.slow
def test_the_canaries_are_found_nowhere(planted: Planted) -> None:
    assert leaks(planted) == []


@pytest.mark.slow
def test_the_search_saw_state_logs_previews_comments_and_pages(planted: Planted) -> None:
    seen = "\n".join(planted.seen)
    for place in (
        "state/local.json",
        "logs/",
        "/aws/lambda/bluemoxon-local-api",
        "gate over preview",
        "/admin",
        "db check",
    ):
        assert place in seen
    assert b"bluemoxon-local-images" in planted.seen["outcome of up"] + planted.seen["/api/v1/admin/system-info"]
    assert b"dbPassword" in planted.seen["./bmx deploy --config"]


@pytest.mark.parametrize(
    "write", [str, lambda text: base64.b64encode(f"x{text}".encode()).decode(), urllib.parse.quote]
)
def test_a_leak_would_be_found(write: Any) -> None:
    text = write("canary/Leaked=1234567890")
    leaked = Planted({"leaked": "canary/Leaked=1234567890"}, {"a log": f"before {text} after".encode()})
    assert leaks(leaked) == ["leaked in a log"]
