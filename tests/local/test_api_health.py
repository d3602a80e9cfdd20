"""The deep health check and system-info through the API's handler, on moto and a real PostgreSQL."""

import json

import boto3
import pytest

from handlers.api.app import handler
from handlers.api.health import deep_check
from tests.local.api_caller import BUCKET, FLOW, QUEUE, Context, call, registry_text

DEEP, INFO = "/api/v1/health/deep", "/api/v1/admin/system-info"
ANOTHER = FLOW | {"key": "seventh", "queue_name": "p-seventh", "dead_letter_queue_name": "p-seventh-dlq"}


@pytest.fixture
def flows(api, registry_file):
    """Gives a function that writes another registry."""

    def write(*entries):
        registry_file.write_text(registry_text(*entries))
        deep_check.cache_clear()

    return write


def test_without_a_key_only_status_and_time_are_told(flows):
    answer = call("GET", DEEP, key=None)
    assert (answer.status, answer.json.keys()) == (200, {"status", "timestamp"})
    assert answer.json["status"] == "degraded"


@pytest.mark.parametrize("key", ["", "wrong"])
def test_a_key_that_is_sent_must_be_valid(flows, key):
    assert call("GET", DEEP, key=key).status == 401


def test_with_a_key_everything_is_told(flows):
    answer = call("GET", DEEP)
    document = answer.json
    assert answer.status == 200
    assert (document["version"], document["environment"]) == ("1.2.3", "local")
    checks = document["checks"]
    assert checks.keys() == {"database", "s3", "sqs", "lambdas", "config"}
    for name in ("database", "s3", "config"):
        assert checks[name]["status"] == "healthy", checks[name]
    queue = checks["sqs"]["queues"]["image_processing"]
    assert (queue["diagnosis_code"], queue["messages"], queue["dead_letters"]) == ("no_code_deployed", 0, 0)
    assert (queue["last_success"], queue["last_success_reason"]) == (None, "No image job has been completed yet.")


def test_a_queue_that_was_deleted_is_503_and_the_rest_is_whole(flows):
    sqs = boto3.client("sqs")
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"])
    answer = call("GET", DEEP)
    queue = answer.json["checks"]["sqs"]["queues"]["image_processing"]
    assert (answer.status, queue["diagnosis_code"]) == (503, "not_there_or_not_permitted")
    assert queue["dead_letters"] == 0
    assert answer.json["checks"]["database"]["status"] == "healthy"
    told = call("GET", DEEP, key=None)
    assert (told.status, told.json.keys()) == (503, {"status", "timestamp"})


def test_a_password_that_does_not_fit_is_said_to_operators_without_the_password(flows, secret_arn):
    secrets = boto3.client("secretsmanager")
    value = json.loads(secrets.get_secret_value(SecretId=secret_arn)["SecretString"])
    secrets.put_secret_value(SecretId=secret_arn, SecretString=json.dumps(value | {"password": "hunter2"}))
    answer = call("GET", DEEP)
    assert answer.status == 503
    assert "the server refuses the password" in answer.json["checks"]["database"]["error"]
    assert "hunter2" not in answer.text
    assert answer.json["checks"]["s3"]["status"] == "healthy"
    assert "jobs table cannot be read" in answer.text


def test_a_database_that_is_down_is_not_called_a_wrong_password(flows, secret_arn):
    secrets = boto3.client("secretsmanager")
    value = json.loads(secrets.get_secret_value(SecretId=secret_arn)["SecretString"])
    secrets.put_secret_value(SecretId=secret_arn, SecretString=json.dumps(value | {"port": 1}))
    error = call("GET", DEEP).json["checks"]["database"]["error"]
    assert "the server cannot be reached" in error
    assert "password" not in error


def test_a_missing_variable_is_named_and_a_key_is_still_known(flows, monkeypatch):
    monkeypatch.delenv("BMX_IMAGE_PROCESSING_QUEUE_NAME")
    monkeypatch.delenv("BMX_IMAGES_BUCKET")
    answer = call("GET", DEEP)
    assert answer.status == 503
    assert answer.json["checks"]["config"]["missing"] == ["BMX_IMAGES_BUCKET", "BMX_IMAGE_PROCESSING_QUEUE_NAME"]
    assert answer.json["checks"]["database"]["status"] == "healthy"


def test_an_invocation_without_a_request_gets_the_whole_answer_anew(flows):
    first = handler({"health": "deep"}, Context())
    assert first["checks"]["database"]["status"] == "healthy"
    assert handler({"health": "deep"}, Context())["timestamp"] > first["timestamp"]
    json.dumps(first)


def test_a_request_cannot_pass_for_an_invocation(flows):
    event = {"health": "deep", "requestContext": {}, "rawPath": "/nothing", "headers": {}}
    assert handler(event, Context())["statusCode"] == 401


def test_system_info_says_what_is_deployed_and_has_each_flow_of_the_registry(flows):
    assert call("GET", INFO, key=None).status == 401
    info = call("GET", INFO).json
    assert info.keys() == {
        *("is_cold_start", "timestamp", "system", "health", "infrastructure", "image_processing", "limits"),
        "uploads",
    }
    assert info["infrastructure"] == {
        "aws_region": "us-west-2",
        "images_bucket": BUCKET,
        "images_cdn_url": None,
        "image_processing_queue": QUEUE,
    }
    constants = {"brightness_threshold": 128, "max_input_side": 4096, "min_subject_side": 100}
    thumbnail = {"thumbnail_width": 300, "thumbnail_height": 300, "thumbnail_quality": 85}
    priority = {"source_priority": ["title_page", "binding", "cover", "spine"]}
    assert info["image_processing"] == constants | thumbnail | priority
    assert call("GET", INFO).json["is_cold_start"] is False


def test_a_flow_more_in_the_registry_appears_in_health_and_system_info(flows):
    flows(FLOW, ANOTHER)
    info = call("GET", INFO).json
    assert info["infrastructure"]["seventh_queue"] == "p-seventh"
    queues = info["health"]["checks"]["sqs"]["queues"]
    assert queues["seventh"]["diagnosis_code"] == "not_there_or_not_permitted"
