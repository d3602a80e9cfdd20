"""A message that no worker can do: shown with its reason by command and API, sent back once the cause is mended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flows import catalogue
from ops import health
from ops.client import ApiClient
from ops.paths import ROOT
from tests.deployed import Deployed
from tests.e2e.pictures import small_photo
from tests.e2e.waiting import failing, lines, nobody_polls

pytestmark = pytest.mark.slow

PREFIX = "bluemoxon-local"
FLOW = catalogue(PREFIX)[0]
ROLE = FLOW.function_name(PREFIX)
POLICY = "no-writes-for-a-test"
NO_WRITES = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*"}],
}


@contextmanager
def without_writes(deployed: Deployed) -> Iterator[Callable[[], None]]:
    """Deny the worker every write; what is yielded mends it."""
    iam = deployed.cloud.client("iam")
    iam.put_role_policy(RoleName=ROLE, PolicyName=POLICY, PolicyDocument=json.dumps(NO_WRITES))

    def mend() -> None:
        with suppress(iam.exceptions.NoSuchEntityException):
            iam.delete_role_policy(RoleName=ROLE, PolicyName=POLICY)

    try:
        yield mend
    finally:
        mend()


def dlq(deployed: Deployed, *arguments: str) -> dict[str, Any]:
    """What `./bmx dlq` prints for machines, in another terminal than the cloud's."""
    done = subprocess.run(
        [str(ROOT / "bmx"), "dlq", *arguments, "--flow", FLOW.key, "--json"],
        env=os.environ | {"BMX_HOME": str(deployed.cloud.home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def until(reached: Callable[[], bool], what: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, what()
        time.sleep(0.2)


class Queues:
    """The flow's two queues and its worker's invocations, as an administrator sees them."""

    def __init__(self, deployed: Deployed) -> None:
        self.sqs, self.cloud = deployed.cloud.client("sqs"), deployed.cloud
        self.dead = self.sqs.get_queue_url(QueueName=FLOW.dead_letter_queue_name(PREFIX))["QueueUrl"]

    def dead_letters(self) -> int:
        """How many lie in the dead-letter queue, hidden ones too."""
        return waiting(self.sqs, self.dead)

    def reports(self) -> int:
        """How many invocations of the worker have ended and been written down."""
        return sum(line.startswith("REPORT") for line in lines(self.cloud, f"/aws/lambda/{ROLE}"))

    def drop(self, job_id: str) -> None:
        """Delete the job's dead letter, if one is there: a test that failed leaves nothing to others."""
        found = self.sqs.receive_message(
            QueueUrl=self.dead, MaxNumberOfMessages=10, VisibilityTimeout=0, WaitTimeSeconds=0
        )
        for message in found.get("Messages", []):
            if job_id in message["Body"]:
                self.sqs.delete_message(QueueUrl=self.dead, ReceiptHandle=message["ReceiptHandle"])


def give_up(deployed: Deployed, api: ApiClient, queues: Queues, job_id: str, ended: int) -> None:
    """Let every attempt fail, until the message is a dead letter; `ended` invocations had ended before the upload."""
    letters = queues.dead_letters()
    for attempt in range(1, FLOW.receives + 1):
        # The worker's time runs by the same clock, so it has to have answered before the clock moves.
        until(lambda done=ended + attempt: queues.reports() >= done, lambda: api.job(job_id))  # type: ignore[misc]
        job = api.job(job_id)
        status = "pending" if attempt < FLOW.receives else "permanently_failed"
        assert (job["status"], job["attempt_count"]) == (status, attempt)
        deployed.cloud.clock.advance(FLOW.visibility_timeout + 1)
    until(lambda: queues.dead_letters() == letters + 1, lambda: api.job(job_id))


def test_a_dead_letter_is_shown_with_its_reason_and_its_job_completes_once_the_cause_is_mended(
    deployed: Deployed, tmp_path: Path
) -> None:
    api, queues = deployed.api("dead-letters"), Queues(deployed)
    book, photo = api.create_book("Given up"), small_photo(tmp_path)
    began = datetime.now(UTC)  # the command runs by the machine's clock
    with without_writes(deployed) as mend:
        ended = queues.reports()
        job_id = str(api.upload(book["id"], photo.path, photo.content_type)["job"]["id"])
        try:
            give_up(deployed, api, queues, job_id, ended)
            [by_command] = [each for each in dlq(deployed, "list")["dead_letters"] if each["job_id"] == job_id]
            page = api._call("GET", f"/api/v1/admin/dead-letters?flow={FLOW.key}")
            [by_api] = [each for each in page["dead_letters"] if each["job_id"] == job_id]
            for shown in (by_command, by_api):
                assert "the pictures' storage refused" in shown["reason"]
                assert ROLE not in shown["reason"]
                assert shown["job_status"] == "permanently_failed"
                assert json.loads(shown["body"])["job_id"] == job_id
                assert (shown["redrives"], shown["flow"]) == (0, FLOW.key)
            assert by_command["id"] == by_api["id"]

            mend()
            [result] = dlq(deployed, "redrive", "--id", by_command["id"])["results"]
            assert (result["id"], result["outcome"]) == (by_command["id"], "redriven")
            until(lambda: api.job(job_id)["status"] == "completed", lambda: api.job(job_id))
        finally:
            queues.drop(job_id)
    job = api.job(job_id)
    assert (job["attempt_count"], job["failure_reason"]) == (1, None)
    assert [each["is_background_processed"] for each in api.book(book["id"])["images"]] == [True, False]
    left = dlq(deployed, "list")["dead_letters"]
    assert not [each for each in left if each["job_id"] == job_id]

    [entry] = entries(deployed, by_command["id"])
    assert entry["who"] == deployed.cloud.client("sts").get_caller_identity()["Arn"]
    assert (entry["what"], entry["flow"], entry["stack"]) == ("dead_letters.redrive", FLOW.key, "local")
    assert began < datetime.fromisoformat(entry["when"]) < datetime.now(UTC)


def test_a_flow_whose_deliveries_fail_is_not_healthy_long_before_its_message_is_given_up(deployed: Deployed) -> None:
    flow = next(each for each in catalogue(PREFIX) if each.key == "analysis")
    group = f"/aws/lambda/{flow.function_name(PREFIX)}"

    def said() -> Any:
        return health.ask(deployed.handle)["checks"]["sqs"]["queues"][flow.key]

    with failing(deployed.cloud, flow, PREFIX):
        until(lambda: said()["diagnosis_code"] == "failing", said)
        queue = said()
        assert (queue["status"], queue["in_flight"]) == ("degraded", 1)
        assert "Failing: 1 delivery since" in queue["diagnosis"]
        assert f"{group} says why" in queue["diagnosis"]
    assert said()["diagnosis_code"] != "failing"


def test_an_interrupted_redrive_says_what_went_and_loses_none(deployed: Deployed) -> None:
    flow = next(each for each in catalogue(PREFIX) if each.key == "analysis")
    sqs = deployed.cloud.client("sqs")
    dead, queue = (
        sqs.get_queue_url(QueueName=name)["QueueUrl"]
        for name in (flow.dead_letter_queue_name(PREFIX), flow.queue_name(PREFIX))
    )
    with nobody_polls(deployed.handle, flow.function_name(PREFIX)):
        for number in range(8):
            sqs.send_message(QueueUrl=dead, MessageBody=json.dumps({"job_id": f"interrupted-{number}"}))
        before, lying = waiting(sqs, queue), waiting(sqs, dead)
        process = subprocess.Popen(
            [str(ROOT / "bmx"), "dlq", "redrive", "--flow", flow.key, "--yes", "--rate", "1"],
            env=os.environ | {"BMX_HOME": str(deployed.cloud.home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        went = int(said.splitlines()[-1].removesuffix(" redriven"))
        assert "1 of " in first
        assert process.returncode == 130
        assert 1 <= went < lying
        # A letter may lie in both queues when the command ends between sending and deleting it; none lies in neither.
        assert waiting(sqs, queue) - before >= went
        assert waiting(sqs, queue) - before + waiting(sqs, dead) >= lying
        for url in (queue, dead):
            with suppress(sqs.exceptions.PurgeQueueInProgress):
                sqs.purge_queue(QueueUrl=url)


def waiting(sqs: Any, url: str) -> int:
    """How many messages lie in a queue, hidden ones too."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


def entries(deployed: Deployed, message_id: str) -> list[dict[str, Any]]:
    """What the operators' log says of a message."""
    group = deployed.stack.output("operations_log_group")
    found = [json.loads(line) for line in lines(deployed.cloud, group)]
    return [entry for entry in found if message_id in [each["id"] for each in entry.get("messages", [])]]
