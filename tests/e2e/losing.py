"""Jobs and uploads held in a state, things taken away from under them, and the time until somebody is told."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from flows import catalogue
from handlers.common.jobs import MAX_SENDS, SEND_GRACE
from ops import alarms, health
from ops.client import ApiError
from ops.jobs.losses import GONE, JOBS, UPLOADED, UPLOADS, Told
from ops.photos import Photo
from tests.deployed import Deployed
from tests.e2e.drive import Drive
from tests.e2e.pictures import photo_of, small_photo
from tests.e2e.waiting import eventually, kill, nobody_polls, wait_until_processing

PREFIX = "bluemoxon-local"
FLOW = catalogue(PREFIX)[0]
WORKER, SWEEPER = FLOW.function_name(PREFIX), f"{PREFIX}-job-sweeper"
API, RULE = f"{PREFIX}-api", SWEEPER
WATCHERS = {told for loss in (*JOBS, *UPLOADS) for told in loss.told if told.by == "alarm"}
STEP = timedelta(minutes=5, seconds=1)
DELIVERY = timedelta(seconds=FLOW.visibility_timeout + 2)
Taking = Callable[[dict[str, Any]], None]


class Walk(Drive):
    """The deployed stack with nothing in it: no books, no messages, no alarm."""

    def __init__(self, deployed: Deployed, folder: Path) -> None:
        super().__init__(deployed, folder)
        self.begun = self.cloud.clock.utcnow()
        self.functions, self.events, self.secrets = (
            self.cloud.client(name) for name in ("lambda", "events", "secretsmanager")
        )

    def clear(self) -> None:
        """Delete every book, and let every alarm come to rest."""
        self.execute("delete from books")
        self.purge()
        for _ in range(10):
            told = self.on() & {each.name for each in WATCHERS} | self.codes() - {"reachable"}
            if not told:
                return
            self.advance(STEP)
        raise AssertionError(told)

    # who tells

    def codes(self) -> set[str]:
        """What the health of the flow says."""
        checks = health.ask(self.deployed.handle)["checks"]
        return set(checks["sqs"]["queues"][FLOW.key]["diagnosis_codes"])

    def on(self) -> set[str]:
        """The alarms that ring, by the ends of their names."""
        found = alarms.alarms(self.deployed.handle.client, f"{PREFIX}-")
        return {each.name.removeprefix(f"{PREFIX}-") for each in found if each.state == "ALARM"}

    def is_told(self, told: Told) -> bool:
        return told.name in (self.codes() if told.by == "health" else self.on())

    # time

    def begin(self) -> None:
        """Count the time from now."""
        self.begun = self.cloud.clock.utcnow()

    def advance(self, length: timedelta) -> None:
        """Move the clock between invocations: one that runs would have used up its time."""
        self.come_to_rest()
        self.cloud.clock.advance(length.total_seconds())
        time.sleep(1.2)  # schedules, mappings and alarms look at the clock twice a second
        self.come_to_rest()

    def come_to_rest(self) -> None:
        eventually(lambda: not sum(self.cloud.runtime._in_flight.values()), "a function does not end", 90)

    def until(self, condition: Callable[[], bool], within: timedelta, what: str) -> None:
        """Let time pass until it holds, at the latest `within` from when it began."""
        deadline, steps = self.begun + within, 0
        while not condition():
            left = deadline - self.cloud.clock.utcnow()
            if left <= timedelta(0):
                break
            # At first as the sweeper goes, which a jump wakes only once: a lease ends, and it is taken off.
            self.advance(min(STEP, left) if steps < 3 else _step(left))
            steps += 1
        eventually(condition, f"not within {within}: {what}", 45)

    # states

    def reserved(self, photo: Photo) -> dict[str, Any]:
        """What taking away needs to know of a new upload without its object, and where the object goes."""
        book = self.api.create_book("Lost")["id"]
        reserved = self.reserve(book, photo.path.stat().st_size)
        return reserved | {"book_id": book, "key": reserved["upload"]["fields"]["key"]}

    def uploaded(self, photo: Photo | None = None) -> dict[str, Any]:
        """The same of an upload with its object."""
        photo = photo or small_photo(self.folder)
        reserved = self.reserved(photo)
        assert self.put(reserved, photo.path.read_bytes()).ok
        return reserved

    def accepted(self, photo: Photo | None = None) -> dict[str, Any]:
        """The same of a photograph with its job."""
        uploaded = self.uploaded(photo)
        answer = self.complete(uploaded["book_id"], uploaded["image_id"])
        assert answer.ok, answer.text
        return uploaded | {"job": answer.json()["job"]}

    def state_of_upload(self, answer: dict[str, Any]) -> str | None:
        """`GONE`, `UPLOADED`, or None while it waits."""
        image = (answer["image_id"],)
        if self.execute("select 1 from image_uploads where image_id = %s", image):
            return None
        return UPLOADED if self.execute("select 1 from book_images where id = %s", image) else GONE

    def status(self, job_id: str) -> str:
        try:
            return str(self.api.job(job_id)["status"])
        except ApiError as error:
            if "HTTP 404" in str(error):
                return GONE
            raise

    @contextmanager
    def held(self, state: str) -> Iterator[dict[str, Any]]:
        """An image job that stays in a state until the block ends."""
        with {
            "pending": self._pending,
            "processing": self._processing,
            "queue_failed": self._queue_failed,
            "permanently_failed": self._permanently_failed,
            "completed": self._completed,
            "failed": self._failed,
        }[state]() as answer:
            assert self.status(answer["job"]["id"]) == state
            yield answer

    @contextmanager
    def _pending(self) -> Iterator[dict[str, Any]]:
        with nobody_polls(self.deployed.handle, WORKER):
            yield self.accepted()

    @contextmanager
    def _processing(self) -> Iterator[dict[str, Any]]:
        answer = self.accepted(photo_of(self.folder, (4000, 3000)))
        wait_until_processing(self.api, answer["job"]["id"])
        kill(self.cloud, WORKER)
        time.sleep(1)
        yield answer

    @contextmanager
    def _queue_failed(self) -> Iterator[dict[str, Any]]:
        with self.denied(API, "sqs:SendMessage"), self.denied(SWEEPER, "sqs:SendMessage"):
            answer = self.accepted()
            count = "select queue_retry_count from image_processing_jobs where id = %s"
            for refused in range(1, MAX_SENDS):
                self.advance(SEND_GRACE * 2 ** (refused - 1) + STEP)
                tried_again = lambda more=refused: self.execute(count, (answer["job"]["id"],)) > [(more,)]  # noqa: E731
                eventually(tried_again, "the sweeper does not try")
            yield answer

    @contextmanager
    def _permanently_failed(self) -> Iterator[dict[str, Any]]:
        with self.denied(WORKER, "s3:PutObject"):
            answer = self.accepted()
            for attempt in range(1, FLOW.receives + 1):

                def given_back(attempt: int = attempt) -> bool:
                    job = self.api.job(answer["job"]["id"])
                    return bool(job["attempt_count"] == attempt and job["status"] != "processing")

                eventually(given_back, f"attempt {attempt} does not end")
                # The last time the message becomes a dead letter.
                self.advance(DELIVERY)
        yield answer

    @contextmanager
    def _completed(self) -> Iterator[dict[str, Any]]:
        answer = self.accepted()
        eventually(lambda: self.status(answer["job"]["id"]) == "completed", "it does not complete", 60)
        yield answer

    @contextmanager
    def _failed(self) -> Iterator[dict[str, Any]]:
        with nobody_polls(self.deployed.handle, WORKER):
            answer = self.accepted()
            self.delete_photograph(answer)
        yield answer

    @contextmanager
    def taken(self, state: str, things: Sequence[str], variant: str) -> Iterator[dict[str, Any]]:
        """An image job that was held in a state until things were taken from under it."""
        with ExitStack() as undone:
            with self.held(state) as answer:
                for thing in things:
                    undone.enter_context(self.without(thing, variant, answer))
            yield answer

    # taking away; what can be brought back is, when the block ends

    @contextmanager
    def without(self, thing: str, variant: str, answer: dict[str, Any]) -> Iterator[None]:
        """Take a thing away from under a job or an upload, whose answer of the API this is."""
        messages: dict[str, Taking] = {"never sent": self.never_send, "discarded": self.discard}
        deleted: dict[str, Taking] = {
            "message": messages.get(variant, self.purge),
            "row": self.delete_book,
            "photograph": self.delete_photograph,
            "object": self.delete_object,
        }
        replaced: dict[str, Callable[[], Any]] = {
            "function": lambda: self.functions.delete_function(FunctionName=WORKER if "job" in answer else SWEEPER),
            "mapping": lambda: self.functions.delete_event_source_mapping(UUID=self.mapping()),
            "queue": lambda: self.sqs.delete_queue(QueueUrl=self.url(FLOW.queue_name(PREFIX))),
        }
        with ExitStack() as undone:
            self.begin()
            if thing in deleted:
                deleted[thing](answer)
            elif thing in replaced:
                replaced[thing]()
                undone.callback(self.up)
            elif thing == "secret":
                self.delete_secret()
                undone.callback(self.restore_secret)
            elif thing == "schedule":
                self.events.disable_rule(Name=RULE)
                undone.callback(self.events.enable_rule, Name=RULE)
            elif thing == "permission":
                undone.enter_context(self.denied(SWEEPER, "sqs:SendMessage", "s3:GetObject", "s3:DeleteObject"))
            else:
                raise AssertionError(thing)
            yield

    def never_send(self, answer: dict[str, Any]) -> None:
        """Leave what the API leaves that dies between the commit of the job and its message."""
        self.purge()
        never = "update image_processing_jobs set sent_at = null, send_after = null, message_number = 0 where id = %s"
        self.execute(never, (answer["job"]["id"],))

    def purge(self, _: dict[str, Any] | None = None) -> None:
        """Delete every message of the flow, those that are being delivered too, as the console does."""
        self.advance(timedelta(minutes=1))  # between two purges
        for name in (FLOW.queue_name(PREFIX), FLOW.dead_letter_queue_name(PREFIX)):
            self.sqs.purge_queue(QueueUrl=self.url(name))

    def discard(self, answer: dict[str, Any]) -> None:
        """Discard the job's dead letter, which it becomes first where it is not."""
        url, dead = self.url(FLOW.queue_name(PREFIX)), self.url(FLOW.dead_letter_queue_name(PREFIX))
        for _ in range(FLOW.receives + 1):
            self.sqs.receive_message(QueueUrl=url, VisibilityTimeout=0, WaitTimeSeconds=0)
            time.sleep(0.05)
        listed = self.api._call("GET", f"/api/v1/admin/dead-letters?flow={FLOW.key}")["dead_letters"]
        [letter] = [each["id"] for each in listed if each["job_id"] == answer["job"]["id"]]
        body = {"flow": FLOW.key, "ids": [letter], "confirm": "discard 1"}
        [result] = self.api._call("POST", "/api/v1/admin/dead-letters/discard", body)["results"]
        assert result["outcome"] == "discarded", result
        assert not self.sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=0).get("Messages")

    def delete_book(self, answer: dict[str, Any]) -> None:
        self.execute("delete from books where id = %s", (answer["book_id"],))

    def delete_photograph(self, answer: dict[str, Any]) -> None:
        self.api._call("DELETE", f"/api/v1/books/{answer['book_id']}/images/{answer['image_id']}")

    def delete_object(self, answer: dict[str, Any]) -> None:
        """Delete every version of a photograph."""
        s3, bucket = self.cloud.client("s3"), self.deployed.stack.output("images_bucket")
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=answer["key"]):
            for each in page.get("Versions", []):
                s3.delete_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])

    def delete_secret(self) -> None:
        """Delete where the database is; a process that has a connection would not notice."""
        self.secrets.delete_secret(SecretId=self.deployed.stack.output("database_secret_arn"), RecoveryWindowInDays=7)
        for function in (API, SWEEPER, WORKER):
            kill(self.cloud, function)

    def restore_secret(self) -> None:
        self.secrets.restore_secret(SecretId=self.deployed.stack.output("database_secret_arn"))

    def up(self) -> None:
        """Make what is not there again, as an operator does."""
        outcome = self.deployed.operate("up", refresh=True)
        assert outcome.ok, outcome.diagnostics

    def mapping(self) -> str:
        [mapping] = self.functions.list_event_source_mappings(FunctionName=WORKER)["EventSourceMappings"]
        return str(mapping["UUID"])

    @contextmanager
    def denied(self, role: str, *actions: str) -> Iterator[None]:
        """Deny a role some actions, whatever it is granted."""
        iam, name = self.cloud.client("iam"), f"taken-away-{uuid.uuid4().hex}"
        statement = {"Effect": "Deny", "Action": actions, "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=policy)
        try:
            yield
        finally:
            with suppress(iam.exceptions.NoSuchEntityException):
                iam.delete_role_policy(RoleName=role, PolicyName=name)

    # what a person does

    def retry(self, job_id: str) -> None:
        """Ask for another try."""
        self.api._call("POST", f"/api/v1/image-jobs/{job_id}/retry")

    def redrive(self) -> None:
        """Send every dead letter of the flow back."""
        path = "/api/v1/admin/dead-letters"
        if ids := [each["id"] for each in self.api._call("GET", f"{path}?flow={FLOW.key}")["dead_letters"]]:
            answer = self.api._call("POST", f"{path}/redrive", {"flow": FLOW.key, "ids": ids})
            assert {each["outcome"] for each in answer["results"]} == {"redriven"}, answer


def _step(left: timedelta) -> timedelta:
    """How far the clock goes at once: over days, then twice for each delivery, so that none is late, then by sweeps."""
    if left > 8 * DELIVERY:
        return left - 4 * DELIVERY
    return min(DELIVERY / 2 if left > DELIVERY / 2 else STEP, left)
