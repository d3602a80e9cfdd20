"""IAM both ways: a full run with its failures, held against what every role was granted."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from components.unscoped import RUNNING_ACTIONS, UNSCOPED_ACTIONS
from flows import catalogue
from local import iam_actions
from ops.client import ApiClient
from tests.e2e.conftest import Deployed
from tests.e2e.grants import Grant, Use, differences, granted_to_roles, granted_to_services, uses
from tests.e2e.pictures import small_photo
from tests.e2e.waiting import finished

pytestmark = pytest.mark.slow

PREFIX = "bluemoxon-local"
FLOW = catalogue(PREFIX)[0]
ROLES = (
    *(f"{PREFIX}-{name}" for name in ("api", "job-sweeper", "migrate", "tracking-dispatcher")),
    *(flow.function_name(PREFIX) for flow in catalogue(PREFIX)),
)

#: Actions that every function's role has and that only AWS itself exercises: the one place where that is written down.
ONLY_AWS_ACTS = {
    "ec2:AssignPrivateIpAddresses": "Lambda's service attaches functions to the VPC; here there is no interface",
    "ec2:CreateNetworkInterface": "as above",
    "ec2:DeleteNetworkInterface": "as above",
    "ec2:DescribeNetworkInterfaces": "as above",
    "ec2:DescribeSubnets": "as above",
    "ec2:UnassignPrivateIpAddresses": "as above",
    "xray:PutTelemetryRecords": "Lambda's service sends the traces of active tracing; here nobody does",
    "xray:PutTraceSegments": "as above",
}
#: What a service may do by a resource's policy, and only AWS's own service would.
ONLY_AWS_SERVES = {
    ("cloudwatch.amazonaws.com", "sns:Publish"): "alarms change their state in CloudWatch, which does not run here",
}


@dataclass
class Run:
    """The record of the deployment and of the drive, and where the drive stopped, if it did."""

    grants: set[Grant]
    used: set[Use]
    denied: set[Use]
    steps: dict[str, Exception | None] = field(default_factory=dict)

    @property
    def only_aws(self) -> set[Grant]:
        """The grants that no run here can use."""
        served = {grant for grant in self.grants if (grant.role, grant.action) in ONLY_AWS_SERVES}
        return served | {Grant(role, action, "*") for role in ROLES for action in ONLY_AWS_ACTS}


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
        """A job whose sender died before the message is found by the sweeper's schedule."""
        job = self.photograph()
        orphan, then = uuid.uuid4(), self.cloud.clock.utcnow() - timedelta(minutes=30)
        self.execute(
            "insert into image_processing_jobs (id, book_id, source_image_id, status, created_at, updated_at)"
            " values (%s, %s, %s, 'pending', %s, %s)",
            (orphan, job["book_id"], job["source_image_id"], then, then),
        )
        self.cloud.clock.advance(5 * 60 + 1)
        assert finished(self.api, str(orphan))["status"] == "completed"

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

    def execute(self, statement: Any, values: tuple[object, ...] = ()) -> None:
        to = self.secret()
        with psycopg.connect(
            host=to["host"],
            port=int(to["port"]),
            user=to["username"],
            password=to["password"],
            dbname=to["database"],
            autocommit=True,
        ) as connection:
            connection.execute(statement, values)

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


def resource_policies(deployed: Deployed) -> list[str]:
    """The policies that functions, topics, queues, buckets and secrets carry themselves."""
    cloud, found = deployed.cloud, []
    functions = cloud.client("lambda")
    for function in functions.list_functions()["Functions"]:
        try:
            found.append(functions.get_policy(FunctionName=function["FunctionName"])["Policy"])
        except functions.exceptions.ResourceNotFoundException:
            continue  # invoked by nobody but operators and its queue
    sns, sqs, s3, secrets = (cloud.client(name) for name in ("sns", "sqs", "s3", "secretsmanager"))
    for topic in sns.list_topics()["Topics"]:
        found.append(sns.get_topic_attributes(TopicArn=topic["TopicArn"])["Attributes"]["Policy"])
    for url in sqs.list_queues().get("QueueUrls", []):
        found.append(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"].get("Policy"))
    found.append(s3.get_bucket_policy(Bucket=deployed.stack.output("images_bucket"))["Policy"])
    for secret in secrets.list_secrets()["SecretList"]:
        found.append(secrets.get_resource_policy(SecretId=secret["ARN"]).get("ResourcePolicy"))
    return [policy for policy in found if policy]


@pytest.fixture(scope="module")
def run(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Run:
    record = deployed.cloud.iam
    before = len(record.decisions)
    drive = Drive(deployed, tmp_path_factory.mktemp("photos"))
    steps: dict[str, Exception | None] = {}
    for name, step in drive.steps().items():
        # a step that fails must not hide the permission that it failed for
        try:
            step()
            steps[name] = None
        except Exception as error:  # noqa: BLE001
            steps[name] = error
    time.sleep(2)  # logs are delivered behind the invocations
    decisions = record.decisions
    # What a function has read in an earlier test it does not read again, so uses are those of the whole session.
    return Run(
        grants=granted_to_roles(deployed.cloud.client("iam")) | granted_to_services(resource_policies(deployed)),
        used=uses(decisions, allowed=True),
        denied=uses(decisions[: deployed.decided] + decisions[before:], allowed=False),
        steps=steps,
    )


def test_nothing_was_denied(run: Run) -> None:
    assert sorted(map(str, run.denied)) == []


def test_every_step_went_as_it_must(run: Run) -> None:
    assert {name: error for name, error in run.steps.items() if error} == {}


def test_what_was_granted_is_what_was_used_and_what_only_aws_uses(run: Run) -> None:
    assert differences(run.grants, run.used, run.denied, run.only_aws) == []


def test_only_the_functions_have_roles(run: Run) -> None:
    services = {"apigateway.amazonaws.com", "cloudwatch.amazonaws.com", "events.amazonaws.com"}
    assert {grant.role for grant in run.grants} == {*ROLES, *services}


def test_the_program_takes_no_more_for_unscoped_than_aws_alone_exercises() -> None:
    assert set(RUNNING_ACTIONS) == set(ONLY_AWS_ACTS)


def test_every_grant_taken_away_is_missed_by_name(run: Run) -> None:
    unmissed = [
        str(grant)
        for grant in sorted(run.grants)
        if not any(missed(grant, said) for said in differences(run.grants - {grant}, run.used, set(), run.only_aws))
    ]
    assert unmissed == []


def missed(grant: Grant, said: str) -> bool:
    """Whether a difference speaks of this role's lack of this action."""
    return said.startswith((f"used and not granted: {grant.role}: {grant.action} on ",)) or said == (
        f"said to be AWS's own and not granted: {grant}"
    )


def every_further_grant(grants: set[Grant]) -> set[Grant]:
    """Every modelled action, for every role, on every resource that any grant names and on everything."""
    actions = {f"{service}:{name}" for service, table in iam_actions.TABLES.items() for name in table}
    actions |= {f"s3:{name}" for name in ("GetObject", "PutObject", "DeleteObject", "ListBucket", "GetObjectVersion")}
    actions |= set(UNSCOPED_ACTIONS) | {"s3:*", "sqs:*", "*"}
    resources = {grant.resource for grant in grants}
    return {
        Grant(role, action, resource)
        for role in {grant.role for grant in grants}
        for action in actions
        for resource in resources
        if resource == "*" or action == "*" or resource.split(":")[2] == action.split(":")[0]
    } - grants


def test_every_grant_added_is_found_by_name(run: Run) -> None:
    further = every_further_grant(run.grants)
    assert len(further) > 1000
    unfound = [
        str(grant)
        for grant in sorted(further)
        if f"granted and not needed: {grant}" not in differences(run.grants | {grant}, run.used, set(), run.only_aws)
    ]
    assert unfound == []
