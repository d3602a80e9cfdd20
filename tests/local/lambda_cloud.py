"""A moto server with the function runtime on it, for the tests of this folder: functions are made from source text."""

from __future__ import annotations

import io
import json
import textwrap
import time
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from moto.moto_api._internal.models import moto_api_backend

from local.clock import Clock
from local.credentials import Credentials
from local.iam import Iam
from local.lambda_runtime import LambdaRuntime
from local.moto_server import MotoServer, install_clock

ACCOUNT, REGION = "123456789012", "us-west-2"
_QUEUE_ACTIONS = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
_LOG_ACTIONS = ["logs:CreateLogStream", "logs:PutLogEvents"]


class LambdaCloud:
    """What a test needs: `client`, `function`, `queue`, `mapping`."""

    def __init__(self, runtime: LambdaRuntime, iam: Iam, admin: Credentials):
        self.runtime, self.iam, self._admin = runtime, iam, admin
        self.home, self.endpoint, self.clock = runtime.home, runtime.endpoint, runtime.clock

    def client(self, service: str) -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self._admin.access_key_id,
            aws_secret_access_key=self._admin.secret_access_key,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def role(self, name: str, actions: list[str]) -> str:
        iam = self.client("iam")
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        if actions:
            allow = {"Effect": "Allow", "Action": actions, "Resource": "*"}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy)
        return str(arn)

    def function(self, name: str, source: str, actions: list[str] | None = None, **settings: Any) -> str:
        role = self.role(f"{name}-role", [*_QUEUE_ACTIONS, *_LOG_ACTIONS] if actions is None else actions)
        settings = {"Timeout": 10, "MemorySize": 512, "Runtime": "python3.13", "Handler": "app.handler"} | settings
        made = self.client("lambda").create_function(
            FunctionName=name, Role=role, Code={"ZipFile": zipped(source)}, **settings
        )
        return str(made["FunctionArn"])

    def queue(self, name: str, visibility: int = 60, receives: int = 3) -> tuple[str, str]:
        """URLs of a queue and of its dead-letter queue."""
        sqs = self.client("sqs")
        dead = sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
        redrive = {"deadLetterTargetArn": arn_of(f"{name}-dlq"), "maxReceiveCount": receives}
        attributes = {"VisibilityTimeout": str(visibility), "RedrivePolicy": json.dumps(redrive)}
        return sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"], dead

    def mapping(self, queue: str, function: str, **settings: Any) -> str:
        settings = {"BatchSize": 1, "FunctionResponseTypes": ["ReportBatchItemFailures"]} | settings
        made = self.client("lambda").create_event_source_mapping(
            EventSourceArn=arn_of(queue), FunctionName=function, **settings
        )
        return str(made["UUID"])

    def counts(self, url: str) -> tuple[int, int]:
        """Messages that are visible and those in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])


def arn_of(queue: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"


def zipped(source: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("app.py", textwrap.dedent(source))
    return content.getvalue()


def eventually(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait for `condition`; its last answer, true or not. Patient, so that a busy machine fails no test."""
    limit = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < limit:
        time.sleep(0.02)
    return found


@contextmanager
def lambda_cloud(home: Path, **settings: Any):
    moto_api_backend.reset()
    clock = Clock()
    clock.share(home / "clock")
    patches = [install_clock(clock)]
    admin = Credentials.new("AKIA", session=False)
    iam = Iam(ACCOUNT, REGION, admin, clock)
    patches.append(iam.install())
    server = MotoServer(0)
    runtime = LambdaRuntime(home, server.endpoint, iam, clock, **settings)
    runtime.start()
    try:
        yield LambdaCloud(runtime, iam, admin)
    finally:
        runtime.stop()
        server.stop()
        for each in reversed(patches):
            each.undo()
