"""Calls the API's handler as API Gateway does: payload format 2.0 events in, JSON out."""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.api.app import handler

KEY = "a-key-of-the-tests"
KEYS_SECRET = "api-keys"
QUEUE = "p-image-processing"
BUCKET = "p-images"
FLOW = {
    "key": "image_processing",
    "queue_name": QUEUE,
    "dead_letter_queue_name": f"{QUEUE}-dlq",
    "function_name": "p-image-processing",
    "deployed": False,  # moto runs no mapping; those are seen to in the deployed cloud
    "variable": "BMX_IMAGE_PROCESSING_QUEUE_NAME",
    "timeout": 300,
    "receives": 5,
    "visibility_timeout": 1800,
    "oldest_message_threshold": 3600,
    "backlog_threshold": 1000,
    "producers": ["api"],
    "schedule": None,
}


def registry_text(*flows: dict[str, Any]) -> str:
    """The registry as the program writes it."""
    return json.dumps({"prefix": "p", "environment": "local", "flows": flows})


class Context(LambdaContext):
    """What the runtime passes beside the event."""

    def __init__(self) -> None:
        self._function_name, self._memory_limit_in_mb = "api", 512
        self._invoked_function_arn, self._aws_request_id = "arn", "request"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def keys_document(**keys: str) -> str:
    entries = {
        name: {"sha256": hashlib.sha256(key.encode()).hexdigest(), "created": "2026-01-01T00:00:00Z"}
        for name, key in keys.items()
    }
    return json.dumps({"keys": entries})


def call(
    method: str,
    path: str,
    body: Any = None,
    *,
    key: str | None = KEY,
    raw: str | bytes | None = None,
    content_type: str | None = "application/json",
    query: str = "",
    headers: dict[str, str] | None = None,
) -> Answer:
    headers = {"host": "localhost", **(headers or {})}
    if key is not None:
        headers["x-api-key"] = key
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api",
            "domainName": "localhost",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            "requestId": "id",
            "routeKey": "$default",
            "stage": "$default",
            "timeEpoch": 0,
        },
        "isBase64Encoded": isinstance(raw, bytes),
    }
    if query:
        # Payload format 2.0 joins the values of one name with commas.
        values = parse_qs(query, keep_blank_values=True)
        event["queryStringParameters"] = {name: ",".join(each) for name, each in values.items()}
    if raw is not None:
        event["body"] = base64.b64encode(raw).decode() if isinstance(raw, bytes) else raw
    elif body is not None:
        event["body"] = json.dumps(body)
    if "body" in event and content_type is not None:
        headers["content-type"] = content_type
    answer = handler(event, Context())
    return Answer(answer["statusCode"], answer["headers"], answer["body"])
