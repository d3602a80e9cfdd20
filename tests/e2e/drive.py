"""A full run of the deployed stack, the ways that fail among them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import requests

from flows import catalogue
from ops.client import ApiClient
from samples.stand_ins.worker import BODIES
from tests.e2e.conftest import Deployed
from tests.e2e.pictures import small_photo
from tests.e2e.waiting import eventually, finished

PREFIX = "bluemoxon-local"
FLOWS = catalogue(PREFIX)
FLOW = FLOWS[0]


class Drive:
    """Takes the deployed stack through everything that its functions do, the ways that fail among them."""

    def __init__(self, deployed: Deployed, folder: Path) -> None:
        self.deployed, self.cloud, self.folder = deployed, deployed.cloud, folder
        self.api: ApiClient = deployed.api("iam-both-ways")
        self.http = requests.Session()
        self.http.trust_env = False
        self.sqs = self.cloud.client("sqs")

    def steps(self) -> dict[str, Callable[[], object]]:
        return {
            "health": self.health,
            "a photograph": self.photograph,
            "a refused upload": self.refused_upload,
            "a missing object": self.missing_object,
            "an import": self.imported,
            "a rotated password": self.rotated_password,
            "the sweeper": self.swept,
            "a poisoned message": self.poisoned,
            "dead letters of every flow": self.dead_letters,
            "the deep health check": self.deep_health,
            "an alarm that is heard": self.alarmed,
            "the dispatcher": self.dispatched,
            "the migration": self.migrated,
        }

    def health(self) -> None:
        for path in ("live", "ready", "version"):
            assert self.http.get(f"{self.cloud.gateway_url}/api/v1/health/{path}", timeout=60).status_code == 200, path

    def photograph(self) -> dict[str, Any]:
        """A photograph becomes a cut-out, and both are looked at."""
        book = self.api.create_book("Both ways")
        photo = small_photo(self.folder)
        job = finished(self.api, self.api.upload(book["id"], photo.path, photo.content_type)["job"]["id"])
        assert job["status"] == "completed", job
        for image in self.api.book(book["id"])["images"]:
            assert self.api.fetch(image["url"])
        return job

    def refused_upload(self) -> None:
        """S3 refuses what is longer than was said, the API what is no picture."""
        book = self.api.create_book("Refused")
        reserved = self.reserve(book["id"], 10)
        assert self.put(reserved, b"more than ten bytes").status_code == 400
        text = b"no picture"
        reserved = self.reserve(book["id"], len(text))
        assert self.put(reserved, text).ok
        assert self.complete(book["id"], reserved["image_id"]).status_code == 422

    def missing_object(self) -> None:
        """To complete what was never uploaded is told apart from what may not be read."""
        book = self.api.create_book("Missing")
        assert self.complete(book["id"], self.reserve(book["id"], 10)["image_id"]).status_code == 409

    def imported(self) -> None:
        """A book from an object that lies in the bucket, and one from an object that does not."""
        key = f"imports/{uuid.uuid4().hex}.jpg"
        self.cloud.client("s3").put_object(
            Bucket=self.deployed.stack.output("images_bucket"),
            Key=f"books/{key}",
            Body=small_photo(self.folder).path.read_bytes(),
            ContentType="image/jpeg",
        )
        answer = self.api._call("POST", "/api/v1/import", {"title": "Imported", "images": [{"key": key}]})
        assert finished(self.api, answer["job"]["id"])["status"] == "completed"
        missing = {"title": "Not imported", "images": [{"key": f"imports/{uuid.uuid4().hex}.jpg"}]}
        refused = self.api._session.post(f"{self.cloud.gateway_url}/api/v1/import", json=missing, timeout=60)
        assert 400 <= refused.status_code < 500, refused.text

    def rotated_password(self) -> None:
        """RDS rotates, every connection ends, and the next request of each function logs in anew."""
        secret = self.secret()
        identifier = next(
            each["DBInstanceIdentifier"]
            for each in self.cloud.client("rds").describe_db_instances()["DBInstances"]
            if each["DBInstanceIdentifier"].startswith(PREFIX)
        )
        self.cloud.client("rds").modify_db_instance(
            DBInstanceIdentifier=identifier, RotateMasterUserPassword=True, ApplyImmediately=True
        )
        assert self.secret()["password"] != secret["password"]
        self.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = current_user and pid <> pg_backend_pid()"
        )
        self.photograph()

    def swept(self) -> None:
        """The sweeper finds a job whose sender died before the message, and uploads that were left behind."""
        job = self.photograph()
        book = self.api.create_book("Left behind")["id"]
        photo = small_photo(self.folder)
        left, text, never = (self.reserve(book, size) for size in (photo.path.stat().st_size, 4, 4))
        assert self.put(left, photo.path.read_bytes()).ok
        assert self.put(text, b"text").ok
        self.execute(
            "update image_uploads set created_at = %s where book_id = %s",
            (self.cloud.clock.utcnow() - timedelta(days=1, minutes=1), book),
        )
        orphan, then = uuid.uuid4(), self.cloud.clock.utcnow() - timedelta(minutes=30)
        self.execute(
            "insert into image_processing_jobs (id, book_id, source_image_id, status, created_at, updated_at)"
            " values (%s, %s, %s, 'pending', %s, %s)",
            (orphan, job["book_id"], job["source_image_id"], then, then),
        )
        self.cloud.clock.advance(5 * 60 + 1)
        assert finished(self.api, str(orphan))["status"] == "completed"
        for reserved in (text, never):
            removed = lambda image=reserved["image_id"]: self.complete(book, image).status_code == 404  # noqa: E731
            eventually(removed, "an upload of a day ago is still there")
        [caused] = [each for each in self.api._call("GET", "/api/v1/image-jobs")["jobs"] if each["book_id"] == book]
        assert caused["source_image_id"] == left["image_id"]
        self.cloud.clock.advance(5 * 60 + 1)
        assert finished(self.api, caused["id"])["status"] == "completed"

    def poisoned(self) -> None:
        """A message that is none of the flow's ends among the dead letters."""
        queue, dead = (self.url(name) for name in (FLOW.queue_name(PREFIX), FLOW.dead_letter_queue_name(PREFIX)))
        body = f"poison {uuid.uuid4()}"
        self.sqs.send_message(QueueUrl=queue, MessageBody=body)
        deadline = time.monotonic() + 90
        while not (found := self.dead_letter(dead, body)):
            assert time.monotonic() < deadline, "no dead letter"
            if self.in_flight(queue):
                time.sleep(1.0)  # the function answers meanwhile
                self.cloud.clock.advance(FLOW.visibility_timeout + 1)
            time.sleep(0.2)
        self.sqs.delete_message(QueueUrl=dead, ReceiptHandle=found)

    def dead_letters(self) -> None:
        """A dead letter of every flow is seen, sent back by the API, and worked through by its function."""
        job = self.photograph()
        for flow in FLOWS:
            dead, queue = self.url(flow.dead_letter_queue_name(PREFIX)), self.url(flow.queue_name(PREFIX))
            body = json.dumps(body_of(flow.key, job))
            letter = self.sqs.send_message(QueueUrl=dead, MessageBody=body)["MessageId"]
            path = "/api/v1/admin/dead-letters"
            listed = self.api._call("GET", f"{path}?flow={flow.key}")["dead_letters"]
            assert letter in {each["id"] for each in listed}
            answer = self.api._call("POST", f"{path}/redrive", {"flow": flow.key, "ids": [letter]})
            assert [each["outcome"] for each in answer["results"]] == ["redriven"], answer
            self.emptied(queue)

    def deep_health(self) -> None:
        """Every inspection of every flow, by who has a key."""
        answer = self.api._session.get(f"{self.cloud.gateway_url}/api/v1/health/deep", timeout=60)
        assert answer.status_code == 200, answer.text
        queues = answer.json()["checks"]["sqs"]["queues"]
        assert set(queues) == {flow.key for flow in FLOWS}
        self.api._call("GET", "/api/v1/admin/system-info")

    def alarmed(self) -> None:
        """CloudWatch publishes on the encrypted topic when a dead letter lies there."""
        dead = self.url(FLOWS[1].dead_letter_queue_name(PREFIX))
        self.sqs.send_message(QueueUrl=dead, MessageBody="{}")
        before = len(self.cloud.monitoring.actions.deliveries)
        deadline = time.monotonic() + 60
        while len(self.cloud.monitoring.actions.deliveries) == before:
            assert time.monotonic() < deadline, "no alarm was heard"
            self.cloud.clock.advance(60)
            time.sleep(1.0)
        self.sqs.purge_queue(QueueUrl=dead)

    def dispatched(self) -> None:
        """An hour passes, and every book is told to the tracking flow."""
        role, deadline = f"{PREFIX}-tracking-dispatcher", time.monotonic() + 60
        self.cloud.clock.advance(60 * 60 + 1)
        while ("sqs:SendMessage", role) not in {(each.action, each.role) for each in self.cloud.iam.decisions}:
            assert time.monotonic() < deadline, "nothing was dispatched"
            time.sleep(0.5)
        self.emptied(self.url(f"{PREFIX}-tracking-jobs"))

    def emptied(self, url: str) -> None:
        """Wait until a queue is worked through."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        deadline = time.monotonic() + 60
        while set(self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()) != {"0"}:
            assert time.monotonic() < deadline, f"{url} is not worked through"
            time.sleep(0.2)

    def migrated(self) -> None:
        """The migration, invoked as a deployment does."""
        answer = self.cloud.client("lambda").invoke(FunctionName=f"{PREFIX}-migrate", Payload=b"{}")
        assert "FunctionError" not in answer, answer["Payload"].read()
        assert json.load(answer["Payload"])["applied"] == []

    def reserve(self, book_id: int, size: int) -> dict[str, Any]:
        body = {"filename": "x.jpg", "content_type": "image/jpeg", "size": size}
        return self.api._call("POST", f"/api/v1/books/{book_id}/images", body)

    def put(self, reserved: dict[str, Any], content: bytes) -> requests.Response:
        upload = reserved["upload"]
        return self.http.post(
            upload["url"], data=upload["fields"], files={"file": ("x.jpg", content, "image/jpeg")}, timeout=60
        )

    def complete(self, book_id: int, image_id: int) -> requests.Response:
        path = f"/api/v1/books/{book_id}/images/{image_id}/complete"
        return self.api._session.post(self.cloud.gateway_url + path, timeout=60)

    def secret(self) -> dict[str, Any]:
        """Where the database is and how one logs in, as the application's readers find it."""
        client = self.cloud.client("secretsmanager")

        def read(arn: str) -> dict[str, Any]:
            return dict(json.loads(client.get_secret_value(SecretId=arn)["SecretString"]))

        contract = read(self.deployed.stack.output("database_secret_arn"))
        return contract | read(contract["credentials_secret_arn"])

    def execute(self, statement: Any, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Rows, where the statement has any."""
        to = self.secret()
        with psycopg.connect(
            host=to["host"],
            port=int(to["port"]),
            user=to["username"],
            password=to["password"],
            dbname=to["database"],
            autocommit=True,
        ) as connection:
            found = connection.execute(statement, values)
            return found.fetchall() if found.description else []

    def url(self, queue: str) -> str:
        return str(self.sqs.get_queue_url(QueueName=queue)["QueueUrl"])

    def in_flight(self, url: str) -> bool:
        name = "ApproximateNumberOfMessagesNotVisible"
        return bool(self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name] != "0")

    def dead_letter(self, url: str, body: str) -> str | None:
        """Receipt handle of the dead letter with this body, once it is there."""
        messages = self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0, VisibilityTimeout=0
        )
        return next((each["ReceiptHandle"] for each in messages.get("Messages", []) if each["Body"] == body), None)


def body_of(flow: str, job: dict[str, Any]) -> dict[str, Any]:
    """A message of a flow: the image flow's of a job that is done, another's as its stand-in checks it."""
    if flow == FLOW.key:
        return {"job_id": job["id"], "book_id": job["book_id"], "image_id": job["source_image_id"]}
    return {key: 1 if kind is int else "x" for key, kind in BODIES[flow].items()}
