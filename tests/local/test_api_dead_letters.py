"""Dead letters through the API: its own database, moto's queues."""

import datetime
import json
import logging
from typing import Any

import boto3
import pytest
import sqlalchemy as sa

from handlers.api import routes_dead_letters
from handlers.common import dead_letters
from handlers.common.dead_letter_walk import FlowQueues
from handlers.common.dead_letters import DeadLetters
from handlers.common.queues import REDRIVES
from handlers.common.tables import image_processing_jobs
from tests.local.api_caller import QUEUE, call
from tests.local.api_pictures import add, messages, new_book
from tests.local.test_api_edge import problem

PATH = "/api/v1/admin/dead-letters"
DEAD = f"{QUEUE}-dlq"


@pytest.fixture
def letters(api, monkeypatch):
    """The API with two flows; gives a function that adds a dead letter of the first one."""
    sqs = boto3.client("sqs")
    urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in (DEAD, "p-tracking", "p-tracking-dlq")}
    flows = (
        FlowQueues("image_processing", QUEUE, DEAD, "p-image-processing"),
        FlowQueues("tracking", "p-tracking", "p-tracking-dlq", "p-tracking"),
    )
    monkeypatch.setattr(routes_dead_letters, "_flows", lambda: flows)
    monkeypatch.setattr(DeadLetters.__init__, "__kwdefaults__", {"wait_seconds": 0})

    def put(body="{}", queue=DEAD, **attributes):
        typed: Any = {name: {"DataType": "Number", "StringValue": value} for name, value in attributes.items()}
        return sqs.send_message(QueueUrl=urls[queue], MessageBody=body, MessageAttributes=typed)["MessageId"]

    return put


def listed(query=""):
    answer = call("GET", PATH, query=query)
    assert answer.status == 200, answer.text
    return answer.json


def act(what, status=200, **body):
    answer = call("POST", f"{PATH}/{what}", {"flow": "image_processing"} | body)
    assert answer.status == status, answer.text
    return answer.json["results"] if status == 200 else problem(answer, status)


def test_a_dead_letter_shows_its_jobs_reason(letters, api):
    job = add(new_book())["job"]["id"]
    with api.begin() as connection:
        connection.execute(
            sa.update(image_processing_jobs).values(status="permanently_failed", failure_reason="S3 is down")
        )
    body = json.dumps({"job_id": job})
    made = letters(body, **{REDRIVES: "2"})
    page = listed()
    [letter] = page["dead_letters"]
    assert {name: letter[name] for name in ("id", "flow", "body", "body_bytes", "job_id")} == {
        "id": made, "flow": "image_processing", "body": body, "body_bytes": len(body), "job_id": job
    }  # fmt: skip
    assert (letter["reason"], letter["reason_unknown"], letter["job_status"]) == (
        "S3 is down", None, "permanently_failed"
    )  # fmt: skip
    assert (letter["redrives"], letter["receives"], letter["age_seconds"] < 60) == (2, 1, True)
    assert (page["problems"], page["complete"]) == ([], True)


def test_a_flow_whose_jobs_are_kept_elsewhere_says_so(letters):
    letters(json.dumps({"book_id": 1}), queue="p-tracking-dlq")
    [letter] = listed("flow=tracking")["dead_letters"]
    assert letter["reason"] is None
    sent = datetime.datetime.fromisoformat(letter["sent_at"])
    assert letter["reason_unknown"] == (
        "this flow's jobs are kept by its own backend; "
        f"what its function said is in /aws/lambda/p-tracking, from {sent:%Y-%m-%d %H:%M} UTC on"
    )


def test_of_another_flows_letter_we_only_guess(letters):
    letters("not JSON", queue="p-tracking-dlq")
    letters("not JSON either")
    found = {letter["flow"]: letter for letter in listed()["dead_letters"]}
    assert found["tracking"]["reason"] is None
    assert found["tracking"]["reason_unknown"].endswith("UTC on; a guess: the body is not JSON")
    assert found["image_processing"]["reason"] == "the body is not JSON"


def test_a_letter_without_a_job_says_where_its_functions_log_is(letters):
    letters(json.dumps({"job_id": "2a1eb66d-4618-441c-add3-497f16b0b2e9"}))
    letters(json.dumps({"book_id": 1}))
    for letter in listed()["dead_letters"]:
        assert "; what its function said is in /aws/lambda/p-image-processing, from 20" in letter["reason_unknown"]


def test_a_database_that_does_not_answer_hides_no_letter(letters, api, monkeypatch):
    body = json.dumps({"job_id": "2a1eb66d-4618-441c-add3-497f16b0b2e9"})
    letters(body)

    def refuse(*_):
        raise sa.exc.TimeoutError("no connection to 10.0.0.1 as bluemoxon")

    monkeypatch.setattr("handlers.common.database.Database.begin", refuse)
    answer = call("GET", PATH)
    [letter] = answer.json["dead_letters"]
    assert (letter["body"], letter["reason"]) == (body, None)
    assert "cannot be reached" in letter["reason_unknown"]
    assert "10.0.0.1" not in answer.text


def test_a_queue_that_is_gone_is_a_problem_beside_the_other_flows_letters(letters):
    sqs = boto3.client("sqs")
    letters(queue="p-tracking-dlq")
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=DEAD)["QueueUrl"])
    page = listed()
    assert [letter["flow"] for letter in page["dead_letters"]] == ["tracking"]
    assert [each["flow"] for each in page["problems"]] == ["image_processing"]
    assert page["complete"] is False
    assert DEAD in act("redrive", 503, ids=["x"])["detail"]


def test_long_bodies_are_cut_and_their_size_is_told(letters):
    for _ in range(3):
        letters("<b>é" * 10_000)
    page = listed()["dead_letters"]
    assert {letter["body"] for letter in page} == {("<b>é" * 10_000)[:10_000]}
    assert {letter["body_bytes"] for letter in page} == {50_000}


def test_an_answer_full_of_long_bodies_stays_below_lambdas_limit(letters, monkeypatch):
    # it is the size that counts here, however long a busy machine takes
    monkeypatch.setattr(routes_dead_letters, "SECONDS", 120)
    monkeypatch.setattr(dead_letters, "LOOK_SECONDS", 120)
    for _ in range(100):
        letters("\U0001f4d6" * 11_000, queue="p-tracking-dlq")
    answer = call("GET", PATH)
    assert len(answer.json["dead_letters"]) == 100
    assert len(answer.text.encode()) < 6 * 1024 * 1024


def test_a_letter_is_sent_back_and_who_did_it_is_logged(letters, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("handlers"), "handlers", [caplog.handler])
    wanted, other = letters('{"n": 1}'), letters('{"n": 2}')
    with caplog.at_level(logging.INFO):
        [result] = act("redrive", ids=[wanted])
    assert (result["id"], result["outcome"]) == (wanted, "redriven")
    assert messages() == [{"n": 1}]
    assert [letter["id"] for letter in listed()["dead_letters"]] == [other]
    before, after = (record for record in caplog.records if getattr(record, "who", None))
    assert (before.who, before.what, before.messages[0]["id"]) == ("key:tests", "dead_letters.redrive", wanted)
    assert after.outcomes == {wanted: "redriven"}


def test_a_dry_run_changes_nothing(letters):
    wanted = letters()
    assert [each["outcome"] for each in act("redrive", ids=[wanted], dry_run=True)] == ["would_redrive"]
    assert [each["outcome"] for each in act("discard", ids=[wanted], dry_run=True)] == ["would_discard"]
    assert [letter["id"] for letter in listed()["dead_letters"]] == [wanted]
    assert messages() == []


def test_a_fourth_redrive_needs_force(letters):
    wanted = letters(**{REDRIVES: "3"})
    assert [each["outcome"] for each in act("redrive", ids=[wanted])] == ["refused"]
    assert [each["outcome"] for each in act("redrive", ids=[wanted], force=True)] == ["redriven"]


@pytest.mark.parametrize("confirm", ["", "discard", "discard 1", "discard 3", "DISCARD 2"])
def test_a_discard_without_its_words_is_refused(letters, confirm):
    ids = [letters(), letters()]
    refused = act("discard", 422, ids=ids, confirm=confirm)
    assert "'discard 2'" in refused["detail"]
    assert len(listed()["dead_letters"]) == 2


def test_a_confirmed_discard_deletes_what_was_named(letters):
    wanted, other = letters(), letters()
    results = act("discard", ids=[wanted, "gone"], confirm="discard 2")
    assert {each["id"]: each["outcome"] for each in results} == {wanted: "discarded", "gone": "not_found"}
    assert [letter["id"] for letter in listed()["dead_letters"]] == [other]


def test_an_unknown_flow_is_named_with_the_known_ones(letters):
    expected = "there is no flow 'nope'; the flows are image_processing, tracking"
    assert expected in problem(call("GET", PATH, query="flow=nope"), 422)["detail"]
    assert expected in act("redrive", 422, flow="nope", ids=["x"])["detail"]
    assert expected in act("discard", 422, flow="nope", ids=["x"], confirm="discard 1")["detail"]


@pytest.mark.parametrize("ids", [[], ["a b"], ["x" * 101], [str(n) for n in range(101)], "x", [None]])
def test_ids_that_can_be_no_messages_are_refused(letters, ids):
    act("redrive", 422, ids=ids)


@pytest.mark.parametrize(("method", "path"), [("GET", PATH), ("POST", f"{PATH}/redrive"), ("POST", f"{PATH}/discard")])
def test_without_a_key_nothing_is_told(letters, method, path):
    problem(call(method, path, {} if method == "POST" else None, key=None), 401)
