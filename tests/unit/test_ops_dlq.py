"""`./bmx dlq` on moto: what it asks, logs, refuses and prints."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from ops import dlq
from ops.errors import UserError
from ops.stacks import StackHandle

GROUP = "/p/operations"
FLOW = {"key": "tracking", "queue_name": "p-t", "dead_letter_queue_name": "p-t-dlq", "function_name": "f-t"}
OUTPUTS = {
    "flows": [FLOW],
    "operations_log_group": GROUP,
    "database_secret_arn": "arn:aws:secretsmanager:us-west-2:123456789012:secret:none-AbCdEf",
    "api_keys_secret_arn": "arn:aws:secretsmanager:us-west-2:123456789012:secret:k-AbCdEf",
}


@pytest.fixture
def handle(monkeypatch: pytest.MonkeyPatch, aws_keys: None) -> Iterator[StackHandle]:
    with mock_aws():
        clients: dict[str, Any] = {}
        for each in ("sqs", "logs", "sts", "secretsmanager"):
            clients[each] = boto3.client(each, "us-west-2")  # type: ignore[call-overload]
        for name in ("p-t", "p-t-dlq"):
            clients["sqs"].create_queue(QueueName=name)
        clients["logs"].create_log_group(logGroupName=GROUP)
        made = StackHandle("staging", OUTPUTS, clients.__getitem__)
        monkeypatch.setattr(dlq, "stack", lambda name: made)
        yield made


def put(handle: StackHandle, body: str = "{}") -> str:
    sqs = handle.client("sqs")
    url = sqs.get_queue_url(QueueName="p-t-dlq")["QueueUrl"]
    return str(sqs.send_message(QueueUrl=url, MessageBody=body)["MessageId"])


def left(handle: StackHandle, queue: str = "p-t-dlq") -> int:
    sqs = handle.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    name = "ApproximateNumberOfMessages"
    return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def logged(handle: StackHandle) -> list[dict[str, Any]]:
    events = handle.client("logs").filter_log_events(logGroupName=GROUP)["events"]
    return [json.loads(event["message"]) for event in events]


def refusing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Somebody who says no; what they are asked."""
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return "no"

    monkeypatch.setattr("builtins.input", answer)
    return asked


def test_a_redrive_is_logged_with_who_and_what_and_moves_the_letter(handle: StackHandle) -> None:
    wanted = put(handle)
    assert dlq.redrive(dlq.Request("staging", "tracking", [wanted])) == 0
    assert (left(handle), left(handle, "p-t")) == (0, 1)
    [entry] = logged(handle)
    assert (entry["what"], entry["messages"][0]["id"]) == ("dead_letters.redrive", wanted)
    assert entry["who"].startswith("arn:aws:")


@pytest.mark.parametrize(
    ("chosen", "says"),
    [({}, "2 of about 2: "), ({"error": "NOT JSON"}, "2 of 2: ")],
    ids=["a whole queue", "those of one reason"],
)
def test_progress_says_how_many_there_are_where_that_can_be_known(
    handle: StackHandle, capsys: pytest.CaptureFixture[str], chosen: dict[str, Any], says: str
) -> None:
    put(handle, "no")
    put(handle, "neither")
    assert dlq.redrive(dlq.Request("staging", "tracking", yes=True, **chosen)) == 0
    assert f"\n{says}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("chosen", "words"),
    [({}, "Send back about 2 dead letters of t"), ({"error": "not json"}, "Send back 1 dead letter of tracking whose")],
    ids=["a whole queue", "those of one reason"],
)
def test_a_redrive_looks_before_it_asks_and_says_how_many(
    handle: StackHandle, monkeypatch: pytest.MonkeyPatch, chosen: dict[str, Any], words: str
) -> None:
    put(handle, "no JSON")
    put(handle)
    asked = refusing(monkeypatch)
    with pytest.raises(UserError, match="Not confirmed"):
        dlq.redrive(dlq.Request("staging", "tracking", **chosen))
    assert [prompt.startswith(words) for prompt in asked] == [True], asked
    assert (left(handle), left(handle, "p-t")) == (2, 0)


@pytest.mark.parametrize("chosen", [{}, {"error": "no such reason"}], ids=["an empty queue", "no such reason"])
def test_where_nothing_fits_nobody_is_asked(
    handle: StackHandle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], chosen: dict[str, Any]
) -> None:
    if chosen:
        put(handle)
    monkeypatch.setattr("builtins.input", pytest.fail)
    assert dlq.redrive(dlq.Request("staging", "tracking", **chosen)) == 0
    assert "no dead letter of tracking fits" in capsys.readouterr().out
    assert left(handle) == len(chosen)


def test_a_managed_redrive_says_how_many_before_it_is_agreed_to(
    handle: StackHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(handle)
    asked = refusing(monkeypatch)
    with pytest.raises(UserError, match="Not confirmed"):
        dlq.managed(dlq.Request("staging", "tracking"))
    assert "about 1 dead letter of tracking, by SQS" in asked[0]


def test_a_queue_that_cannot_be_counted_is_named_before_anything_is_sent(handle: StackHandle) -> None:
    sqs = handle.client("sqs")
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName="p-t-dlq")["QueueUrl"])
    with pytest.raises(UserError, match="p-t-dlq cannot be read"):
        dlq.redrive(dlq.Request("staging", "tracking", yes=True))
    assert logged(handle) == []


def test_what_cannot_be_logged_is_not_done(handle: StackHandle) -> None:
    wanted = put(handle)
    handle.client("logs").delete_log_group(logGroupName=GROUP)
    with pytest.raises(UserError, match="cannot be logged"):
        dlq.redrive(dlq.Request("staging", "tracking", [wanted]))
    assert (left(handle), left(handle, "p-t")) == (1, 0)


def test_a_dry_run_moves_and_logs_nothing(handle: StackHandle) -> None:
    put(handle)
    assert dlq.redrive(dlq.Request("staging", "tracking", dry_run=True)) == 0
    assert dlq.discard(dlq.Request("staging", "tracking", dry_run=True)) == 0
    assert (left(handle), logged(handle)) == (1, [])


@pytest.mark.parametrize(("words", "stays"), [("discard 2", 2), ("yes", 2), ("discard 1", 2), ("discard 3", 0)])
def test_a_discard_takes_exactly_its_words(handle: StackHandle, words: str, stays: int) -> None:
    for _ in range(3):
        put(handle)
    request = dlq.Request("staging", "tracking", confirm=words)
    if stays:
        with pytest.raises(UserError, match="'discard 3'"):
            dlq.discard(request)
    else:
        assert dlq.discard(request) == 0
    assert left(handle) == (3 if stays else 0)


def test_an_unknown_flow_is_named_with_the_known_ones(handle: StackHandle) -> None:
    for act in (dlq.listing, dlq.redrive, dlq.discard, dlq.managed):
        with pytest.raises(UserError, match="no flow 'x'; the flows are tracking"):
            act(dlq.Request("staging", "x"))


def test_the_terminal_sees_escapes_and_json_the_exact_body(
    handle: StackHandle, capsys: pytest.CaptureFixture[str]
) -> None:
    body = "a\x1b[2J\x9b\u202e[bold]é\n"
    wanted = put(handle, body)
    for act in (dlq.listing, dlq.show):
        act(dlq.Request("staging", ids=[wanted]))
        shown = capsys.readouterr().out
        assert r"a\x1b[2J\x9b\u202e[bold]é" in shown
        assert not {"\x1b", "\x9b", "\u202e"} & set(shown)
    dlq.show(dlq.Request("staging", ids=[wanted], as_json=True))
    assert json.loads(capsys.readouterr().out)["dead_letters"][0]["body"] == body


def test_the_list_tells_a_guess_as_one_and_where_to_look(
    handle: StackHandle, capsys: pytest.CaptureFixture[str]
) -> None:
    put(handle, "no JSON")
    dlq.listing(dlq.Request("staging"))
    shown = " ".join(capsys.readouterr().out.split())
    assert "in /aws/lambda/f-t, from" in shown
    assert "a guess: the body is not JSON" in shown


def test_letters_are_chosen_by_the_text_of_their_reason(handle: StackHandle) -> None:
    put(handle, "no JSON")
    put(handle)
    assert dlq.redrive(dlq.Request("staging", "tracking", error="NOT JSON", yes=True)) == 0
    assert (left(handle), left(handle, "p-t")) == (1, 1)


def test_a_managed_redrive_starts_sqss_own_task_at_the_rate(handle: StackHandle) -> None:
    with Stubber(handle.client("sqs")) as stubber:
        arns = []
        for name in ("p-t-dlq", "p-t"):
            arns.append(f"arn:aws:sqs:us-west-2:123456789012:{name}")
            stubber.add_response("get_queue_url", {"QueueUrl": f"https://q/{name}"}, {"QueueName": name})
            stubber.add_response(
                "get_queue_attributes",
                {"Attributes": {"QueueArn": arns[-1]}},
                {"QueueUrl": f"https://q/{name}", "AttributeNames": ["QueueArn"]},
            )
        expected = {"SourceArn": arns[0], "DestinationArn": arns[1], "MaxNumberOfMessagesPerSecond": 25}
        stubber.add_response("start_message_move_task", {"TaskHandle": "h"}, expected)
        assert dlq.managed(dlq.Request("staging", "tracking", rate=25, yes=True)) == 0
        stubber.assert_no_pending_responses()
    assert [entry["what"] for entry in logged(handle)] == ["dead_letters.managed_redrive"]


def test_a_managed_redrive_is_refused_where_it_cannot_be_meant(
    handle: StackHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="whole queue"):
        dlq.managed(dlq.Request("staging", "tracking", ["x"]))
    monkeypatch.setattr(dlq, "stack", lambda name: StackHandle("local", OUTPUTS, handle.client))
    with pytest.raises(UserError, match="the embedded cloud has none"):
        dlq.managed(dlq.Request("local", "tracking"))
