"""The operations log: written before anything is done; what cannot be logged is not done."""

import json
from types import SimpleNamespace

import boto3
import pytest
from botocore.stub import ANY, Stubber

from ops.audit import Audit
from ops.errors import UserError
from ops.stacks import StackHandle

GROUP, WHO = "/p/operations", "arn:aws:iam::111122223333:user/alice"


@pytest.fixture
def logs(aws_keys):
    client = boto3.client("logs", "us-west-2")
    with Stubber(client) as stub:
        yield client, stub
        stub.assert_no_pending_responses()


@pytest.fixture
def audit(logs):
    client, _ = logs
    sts = SimpleNamespace(get_caller_identity=lambda: {"Account": "111122223333", "Arn": WHO})
    return Audit(StackHandle("staging", {"operations_log_group": GROUP}, {"logs": client, "sts": sts}.__getitem__))


def test_an_entry_says_who_what_and_when(audit, logs):
    client, stub = logs
    written = []
    client.meta.events.register("before-parameter-build.logs.PutLogEvents", lambda params, **_: written.append(params))
    stub.add_response("create_log_stream", {}, {"logGroupName": GROUP, "logStreamName": ANY})
    for _ in range(2):  # the second goes into the same stream
        stub.add_response("put_log_events", {}, {"logGroupName": GROUP, "logStreamName": ANY, "logEvents": ANY})
        audit.record({"what": "redrive", "message": "m-1"})
    first, second = (json.loads(each["logEvents"][0]["message"]) for each in written)
    assert first.items() >= {"who": WHO, "stack": "staging", "what": "redrive", "message": "m-1"}.items()
    assert first["when"] <= second["when"]
    assert written[0]["logStreamName"] == written[1]["logStreamName"]


@pytest.mark.parametrize("call", ["create_log_stream", "put_log_events"])
def test_what_cannot_be_logged_is_not_done(audit, logs, call):
    _, stub = logs
    if call == "put_log_events":
        stub.add_response("create_log_stream", {})
    stub.add_client_error(call, "AccessDeniedException", "not authorized")
    with pytest.raises(UserError, match=f"Nothing is done, because it cannot be logged in {GROUP}: .*not authorized"):
        audit.record({"what": "redrive"})


def test_after_a_stream_that_could_not_be_made_the_next_entry_makes_one(audit, logs):
    _, stub = logs
    stub.add_client_error("create_log_stream", "ServiceUnavailableException")
    with pytest.raises(UserError):
        audit.record({"what": "redrive"})
    stub.add_response("create_log_stream", {})
    stub.add_response("put_log_events", {})
    audit.record({"what": "redrive"})


def test_an_entry_that_the_log_refuses_is_not_taken_for_written(audit, logs):
    _, stub = logs
    stub.add_response("create_log_stream", {})
    stub.add_response("put_log_events", {"rejectedLogEventsInfo": {"tooNewLogEventStartIndex": 0}})
    with pytest.raises(UserError, match="refused the entry"):
        audit.record({"what": "redrive"})
