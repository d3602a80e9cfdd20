"""Dead letters on moto's SQS: looked at, sent back, discarded, and interrupted at every call."""

import json
from collections import Counter
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sqs.models import sqs_backends

from handlers.common.dead_letter_ends import JobNotEndedError
from handlers.common.dead_letter_reasons import Reason
from handlers.common.dead_letter_sending import MOST_REDRIVES, attributes_of, digest
from handlers.common.dead_letter_walk import FlowQueues, Letter
from handlers.common.dead_letters import DeadLetters, Selection, UnknownFlowError, Work
from handlers.common.queues import REDRIVES

FLOWS = (FlowQueues("a", "p-a", "p-a-dlq", "f-a"), FlowQueues("b", "p-b", "p-b-dlq", "f-b"))
ALL = Selection()


@pytest.fixture
def sqs(aws_mock):
    client = boto3.client("sqs")
    for flow in FLOWS:
        client.create_queue(QueueName=flow.queue_name)
        client.create_queue(QueueName=flow.dead_letter_queue_name)
    return client


def put(sqs, body="{}", flow=FLOWS[0], **attributes):
    """A dead letter; its id."""
    url = sqs.get_queue_url(QueueName=flow.dead_letter_queue_name)["QueueUrl"]
    typed = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
    return sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=typed)["MessageId"]


def messages_in(name):
    """Everything in a queue, hidden or not, without receiving it."""
    backend = sqs_backends[DEFAULT_ACCOUNT_ID]["us-west-2"]
    return list(backend.queues[name]._messages)


def bodies(name):
    return Counter(message.body for message in messages_in(name))


def visible(sqs, name):
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return tuple(int(counts[each]) for each in names)


def letters(sqs, reasons=None):
    made = {} if reasons is None else {"reasons": reasons}
    return DeadLetters(sqs, FLOWS, wait_seconds=0, **made)


def look(sqs, keys=None, **changes):
    return letters(sqs).listing(keys, **({"limit": 100, "seconds": 20} | changes))


def work(**changes):
    return Work(**({"announce": lambda what: None} | changes))


def outcomes(results):
    return Counter(result.outcome for result in results)


# looking


def test_looking_shows_every_letter_of_every_flow_and_hides_none_afterwards(sqs):
    first = {put(sqs, f'{{"n":{n}}}') for n in range(25)}
    second = put(sqs, flow=FLOWS[1])
    found = look(sqs)
    assert {each.letter.id for each in found.letters} == first | {second}
    assert (found.complete, found.problems) == (True, ())
    assert visible(sqs, "p-a-dlq") == (25, 0)
    assert visible(sqs, "p-b-dlq") == (1, 0)


def test_looking_at_one_flow_leaves_the_others_alone(sqs):
    put(sqs)
    put(sqs, flow=FLOWS[1])
    assert [each.letter.flow for each in look(sqs, ["b"]).letters] == ["b"]
    assert [message.approximate_receive_count for message in messages_in("p-a-dlq")] == [0]


def test_a_listing_that_stops_at_its_limit_says_that_there_is_more(sqs):
    for _ in range(15):
        put(sqs)
    found = look(sqs, ["a"], limit=12)
    assert (len(found.letters), found.complete) == (12, False)
    assert visible(sqs, "p-a-dlq") == (15, 0)


def test_letters_that_another_reader_hides_make_the_listing_incomplete(sqs):
    put(sqs)
    put(sqs)
    url = sqs.get_queue_url(QueueName="p-a-dlq")["QueueUrl"]
    sqs.receive_message(QueueUrl=url, VisibilityTimeout=30)
    found = look(sqs, ["a"])
    assert (len(found.letters), found.complete) == (1, False)


def test_a_queue_that_is_gone_is_named_and_hides_nothing_of_the_others(sqs):
    there = put(sqs, flow=FLOWS[1])
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName="p-a-dlq")["QueueUrl"])
    found = look(sqs)
    assert [each.letter.id for each in found.letters] == [there]
    [problem] = found.problems
    assert problem.flow == "a"
    assert "p-a-dlq" in problem.error
    assert "sqs:GetQueueUrl" in problem.error
    assert not found.complete


def test_an_error_in_the_middle_of_a_look_gives_back_what_was_seen(sqs, monkeypatch):
    for _ in range(12):
        put(sqs)
    calls = Recorded(sqs, fail_at=2, only="receive_message", error=throttled())
    found = letters(calls).listing(["a"], limit=100, seconds=20)
    assert "RequestThrottled" in found.problems[0].error
    assert len(found.letters) == 10
    assert visible(sqs, "p-a-dlq") == (12, 0)


def test_an_unknown_flow_is_named_with_the_known_ones(sqs):
    for act in (
        lambda: look(sqs, ["c"]),
        lambda: letters(sqs).redrive("c", ALL, work()),
        lambda: letters(sqs).discard("c", ALL, work()),
    ):
        with pytest.raises(UnknownFlowError, match="no flow 'c'; the flows are a, b"):
            act()


HOSTILE = {
    "no JSON": "no { json",
    "HTML": "<script>alert(1)</script>",
    "a megabyte": "x" * (1024 * 1024 - 100),
    "control characters": '{"a":"\x1b[2J\x00\x9b\u202e"}',
    "a list": "[1]",
    "deep": "[" * 100_000,
    "a huge number": '{"job_id": ' + "9" * 5000 + "}",
    "a lone surrogate": '{"job_id": "\\ud800"}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_body_that_no_worker_could_read_is_shown_as_it_is(sqs, name):
    put(sqs, HOSTILE[name])
    [shown] = look(sqs, ["a"]).letters
    assert shown.letter.body == HOSTILE[name]
    assert shown.reason.job_id is None
    assert shown.reason.text or shown.reason.unknown


def test_reasons_come_with_their_jobs_and_their_absence_in_words(sqs):
    job = uuid4()
    put(sqs, json.dumps({"job_id": str(job)}))
    known = Reason("memory", job_id=job, job_status="permanently_failed")
    [shown] = letters(sqs, lambda flow, ids: {job: known}).listing(["a"], limit=9, seconds=9).letters
    assert shown.reason == known
    [shown] = letters(sqs, lambda flow, ids: "no database").listing(["a"], limit=9, seconds=9).letters
    assert (shown.reason.text, shown.reason.job_id) == (None, job)
    assert str(shown.reason.unknown).startswith("no database; what its function said is in /aws/lambda/f-a, from ")
    [shown] = letters(sqs, lambda flow, ids: {}).listing(["a"], limit=9, seconds=9).letters
    assert "no such job" in shown.reason.unknown


# sending back


def test_a_letter_goes_back_with_its_body_and_attributes_and_one_redrive_more(sqs):
    wanted, other = put(sqs, '{"n":1}', colour="red"), put(sqs, '{"n":2}')
    results = letters(sqs).redrive("a", Selection(frozenset({wanted})), work())
    assert [(each.id, each.outcome) for each in results] == [(wanted, "redriven")]
    [sent] = messages_in("p-a")
    assert sent.body == '{"n":1}'
    values = {name: each["StringValue"] for name, each in sent.message_attributes.items()}
    assert values == {"colour": "red", REDRIVES: "1"}
    assert [each.letter.id for each in look(sqs, ["a"]).letters] == [other]


def test_all_letters_go_back_when_none_is_named(sqs):
    for number in range(23):
        put(sqs, str(number))
    assert outcomes(letters(sqs).redrive("a", ALL, work())) == {"redriven": 23}
    assert bodies("p-a") == Counter(str(number) for number in range(23))
    assert visible(sqs, "p-a-dlq") == (0, 0)


def test_letters_are_chosen_by_the_text_of_their_reason(sqs):
    jobs = {uuid4(): text for text in ("out of Memory", "no subject")}
    for job in jobs:
        put(sqs, json.dumps({"job_id": str(job)}))
    known = {job: Reason(text, job_id=job, job_status="permanently_failed") for job, text in jobs.items()}
    [done] = letters(sqs, lambda flow, ids: known).redrive("a", Selection(error="memory"), work())
    assert done.outcome == "redriven"
    assert "out of Memory" in jobs[next(job for job in jobs if str(job) in messages_in("p-a")[0].body)]


def test_a_dry_run_moves_nothing_and_announces_nothing(sqs):
    put(sqs)
    announced: list[Any] = []
    results = letters(sqs).redrive("a", ALL, work(dry_run=True, announce=announced.append))
    results += letters(sqs).discard("a", ALL, work(dry_run=True, announce=announced.append))
    assert outcomes(results) == {"would_redrive": 1, "would_discard": 1}
    assert (visible(sqs, "p-a"), visible(sqs, "p-a-dlq"), announced) == ((0, 0), (1, 0), [])


def test_a_fourth_redrive_is_refused_unless_it_is_forced(sqs):
    for number in range(MOST_REDRIVES):
        put(sqs, **({REDRIVES: str(number)} if number else {}))
        assert outcomes(letters(sqs).redrive("a", ALL, work())) == {"redriven": 1}
    put(sqs, **{REDRIVES: str(MOST_REDRIVES)})
    [refused] = letters(sqs).redrive("a", ALL, work())
    assert (refused.outcome, "3 times" in refused.detail) == ("refused", True)
    assert visible(sqs, "p-a-dlq") == (1, 0)
    assert outcomes(letters(sqs).redrive("a", ALL, work(force=True))) == {"redriven": 1}
    assert {each.message_attributes[REDRIVES]["StringValue"] for each in messages_in("p-a")} == {"1", "2", "3", "4"}


def test_a_letter_whose_attributes_are_full_is_refused_and_goes_uncounted_when_forced(sqs):
    full = {f"a{number}": "x" for number in range(10)}
    put(sqs, **full)
    [refused] = letters(sqs).redrive("a", ALL, work())
    assert (refused.outcome, "10 attributes" in refused.detail) == ("refused", True)
    assert outcomes(letters(sqs).redrive("a", ALL, work(force=True))) == {"redriven": 1}
    assert set(messages_in("p-a")[0].message_attributes) == set(full)


def test_a_letter_as_large_as_its_queue_takes_is_refused_and_goes_uncounted_when_forced(sqs):
    limit = 2048
    for name in ("p-a", "p-a-dlq"):
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"MaximumMessageSize": str(limit)})
    put(sqs, json.dumps({"job_id": "x" * (limit - 20)}))
    (refused,) = letters(sqs).redrive("a", ALL, work())
    assert (refused.outcome, "its queue takes 2,048" in refused.detail) == ("refused", True)
    (sent,) = letters(sqs).redrive("a", ALL, work(force=True))
    assert sent.outcome == "redriven"
    assert not bodies("p-a-dlq")


class Ended:
    """Records which jobs were ended when, and refuses if told."""

    def __init__(self, sqs, error=None):
        self.sqs, self.error, self.seen = sqs, error, []

    def __call__(self, flow, letter):
        self.seen.append((flow, letter.id, sum(bodies("p-a-dlq").values())))
        if self.error:
            raise self.error


def test_a_discard_ends_the_job_before_it_deletes_the_letter(sqs):
    letter = put(sqs)
    end = Ended(sqs)
    (result,) = letters(sqs).discard("a", ALL, work(end_job=end))
    assert (result.outcome, end.seen) == ("discarded", [("a", letter, 1)])


def test_a_letter_whose_job_cannot_be_ended_stays_unless_it_is_forced(sqs):
    put(sqs)
    end = Ended(sqs, JobNotEndedError("the table of jobs cannot be reached"))
    (result,) = letters(sqs).discard("a", ALL, work(end_job=end))
    assert (result.outcome, "cannot be reached" in result.detail) == ("failed", True)
    assert sum(bodies("p-a-dlq").values()) == 1
    (forced,) = letters(sqs).discard("a", ALL, work(end_job=end, force=True))
    assert forced.outcome == "discarded"


def test_a_dry_discard_ends_no_job(sqs):
    put(sqs)
    end = Ended(sqs)
    letters(sqs).discard("a", ALL, work(end_job=end, dry_run=True))
    assert end.seen == []


@pytest.mark.parametrize("value", ["many", "-1", "9" * 38, "", "²"], ids=["word", "negative", "huge", "empty", "power"])
def test_what_is_no_count_of_redrives_counts_as_none(value):
    attributes = {REDRIVES: {"DataType": "String", "StringValue": value}}
    letter = SimpleNamespace(attributes=attributes)
    assert Letter.redrives.fget(letter) == 0  # type: ignore[attr-defined]


def test_the_digest_of_attributes_is_the_one_that_sqs_answers(sqs):
    attributes: dict[str, Any] = {
        "b": {"DataType": "Binary.png", "BinaryValue": b"\x00\xff"},
        "a": {"DataType": "String", "StringValue": "é"},
        "n": {"DataType": "Number", "StringValue": "1"},
    }
    url = sqs.get_queue_url(QueueName="p-a")["QueueUrl"]
    answer = sqs.send_message(QueueUrl=url, MessageBody="x", MessageAttributes=attributes)
    assert digest(attributes) == answer["MD5OfMessageAttributes"]


def test_what_sqs_does_not_confirm_is_not_deleted(sqs):
    put(sqs)
    for altered in ("MD5OfMessageBody", "MD5OfMessageAttributes"):
        calls = Recorded(sqs, alter=altered)
        [failed] = letters(calls).redrive("a", ALL, work())
        assert (failed.outcome, altered in failed.detail) == ("failed", True)
        assert visible(sqs, "p-a-dlq") == (1, 0)


def test_after_three_failures_in_a_row_the_rest_is_left_alone(sqs):
    ids = {put(sqs) for _ in range(5)}
    calls = Recorded(sqs, fail_at=1, only="send_message", error=throttled(), dead=True)
    results = letters(calls).redrive("a", Selection(frozenset(ids)), work())
    assert outcomes(results) == {"failed": 5}
    assert sum("not tried" in each.detail for each in results) == 2
    assert calls.made["send_message"] == 3
    assert visible(sqs, "p-a-dlq") == (5, 0)


def test_an_id_that_is_not_there_is_said(sqs):
    put(sqs)
    [missing] = letters(sqs).redrive("a", Selection(frozenset({"gone"})), work())
    assert (missing.id, missing.outcome) == ("gone", "not_found")
    assert visible(sqs, "p-a-dlq") == (1, 0)


# logging


@pytest.mark.parametrize("act", ["redrive", "discard"])
def test_what_cannot_be_announced_is_not_done(sqs, act):
    put(sqs)

    def refuse(what):
        raise RuntimeError("no log")

    with pytest.raises(RuntimeError, match="no log"):
        getattr(letters(sqs), act)("a", ALL, work(announce=refuse))
    assert (visible(sqs, "p-a"), visible(sqs, "p-a-dlq")) == ((0, 0), (1, 0))


def test_an_announcement_names_the_messages_and_holds_nothing_of_their_bodies(sqs):
    wanted = put(sqs, '{"secret":"swordfish"}')
    announced: list[Any] = []
    letters(sqs).discard("a", ALL, work(announce=announced.append))
    assert announced[0]["what"] == "dead_letters.discard"
    assert [each["id"] for each in announced[0]["messages"]] == [wanted]
    assert "swordfish" not in str(announced)


def test_discarded_letters_are_gone_and_the_others_stay(sqs):
    wanted, other = put(sqs), put(sqs)
    assert outcomes(letters(sqs).discard("a", Selection(frozenset({wanted})), work())) == {"discarded": 1}
    assert [each.letter.id for each in look(sqs, ["a"]).letters] == [other]
    assert visible(sqs, "p-a") == (0, 0)


# interruptions


class Killed(BaseException):
    """Ends the work wherever it is, as Ctrl-C or a signal does."""


class Recorded:
    """A client that counts its calls and ends the work before or after one of them.

    With `dead` every later call fails as well: the process is gone and cleans nothing up.
    """

    def __init__(self, sqs, *, fail_at=None, after=False, dead=False, only=None, error=None, alter=None):
        self._sqs, self._at, self._after, self._dead = sqs, fail_at, after, dead
        self._only, self._error, self._alter = only, error or Killed(), alter
        self.made: Counter[str] = Counter()

    @property
    def total(self):
        return sum(self.made.values())

    def __getattr__(self, name):
        def call(**arguments):
            self.made[name] += 1
            number = self.made[name] if self._only else self.total
            hit = self._at is not None and self._only in (None, name)
            if hit and ((number == self._at and not self._after) or (self._dead and number > self._at)):
                raise self._error
            answer = getattr(self._sqs, name)(**arguments)
            if hit and number == self._at and self._after:
                raise self._error
            if self._alter and self._alter in answer and name == "send_message":
                answer[self._alter] = "0" * 32
            return answer

        return call


def throttled():
    return ClientError({"Error": {"Code": "RequestThrottled", "Message": "slow down"}}, "SendMessage")


LOOKS = ("get_queue_url", "get_queue_attributes", "get_queue_url", "receive_message")
REDRIVE_OF_TWO = (*LOOKS, *("send_message", "delete_message") * 2)
RECEIVE = len(LOOKS)


def test_the_calls_of_a_redrive_are_the_ones_that_are_interrupted_below(sqs):
    ids = frozenset({put(sqs), put(sqs)})
    calls = Recorded(sqs)
    letters(calls).redrive("a", Selection(ids), work())
    assert list(calls.made.elements()) == sorted(REDRIVE_OF_TWO, key=list(calls.made).index)
    assert calls.total == len(REDRIVE_OF_TWO)


@pytest.mark.parametrize("dead", [False, True], ids=["ctrl-c", "killed"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, len(REDRIVE_OF_TWO) + 1))
def test_nothing_is_lost_when_a_redrive_is_stopped_at_any_of_its_calls(sqs, number, after, dead):
    texts = {'{"n":1}', '{"n":2}'}
    ids = frozenset(put(sqs, text) for text in sorted(texts))
    calls = Recorded(sqs, fail_at=number, after=after, dead=dead)
    with pytest.raises(Killed):
        letters(calls).redrive("a", Selection(ids), work())
    left, back = bodies("p-a-dlq"), bodies("p-a")
    assert set(left) | set(back) == texts
    assert sum((left + back).values()) <= 3  # at most the one in work is there twice
    if not dead and not (
        after and number == RECEIVE
    ):  # an answer that was lost hides its messages until their time is up
        assert visible(sqs, "p-a-dlq")[1] == 0

    again = letters(sqs)
    for message in messages_in("p-a-dlq"):
        message.change_visibility(0)  # as when the time for which they were hidden is up
    again.redrive("a", ALL, work())
    assert set(bodies("p-a")) == texts
    assert not bodies("p-a-dlq")


def test_attributes_are_sent_as_they_came():
    binary = {"DataType": "Binary", "BinaryValue": b"\x00", "StringListValues": []}
    letter = SimpleNamespace(attributes={"b": binary}, redrives=0, body="{}")
    assert attributes_of(letter, 1024) == {  # type: ignore[arg-type]
        "b": {"DataType": "Binary", "BinaryValue": b"\x00"},
        REDRIVES: {"DataType": "Number", "StringValue": "1"},
    }
