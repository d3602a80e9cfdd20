"""`./bmx health`: what it prints and its exit code, with a function that answers from memory."""

import io
import json

import pytest
from typer.testing import CliRunner

from local.background import Background
from ops import health
from ops.cli import app
from ops.errors import UserError
from ops.stacks import StackHandle

QUEUE = {
    "status": "healthy",
    "queue_name": "p-a",
    "messages": 3,
    "in_flight": 1,
    "delayed": 0,
    "dead_letters": 0,
    "oldest_message_age": 61.0,
    "last_success": None,
    "mapping": {"state": "Enabled", "uuid": "u"},
    "diagnosis": "Reachable.",
}
FINE = {"status": "healthy", "latency_ms": 5.0, "error": None}


def document(overall="healthy", **queue):
    return {
        "status": overall,
        "version": "1.2.3",
        "environment": "local",
        "total_latency_ms": 9.0,
        "checks": {
            **{name: FINE for name in ("database", "s3", "config")},
            "sqs": FINE | {"queues": {"a": QUEUE | queue}},
            "lambdas": FINE | {"lambdas": {"a": {"state": "Active"}}},
        },
    }


class Function:
    """Answers invocations in turn."""

    def __init__(self, *answers, **more):
        self.answers, self.more, self.events = list(answers), more, []

    def invoke(self, FunctionName, Payload):  # noqa: N803  boto3's names
        self.events.append((FunctionName, json.loads(Payload)))
        return {"Payload": io.BytesIO(json.dumps(self.answers.pop(0)).encode()), **self.more}


@pytest.fixture
def answers(monkeypatch):
    def give(*documents, **more):
        function = Function(*documents, **more)
        monkeypatch.setattr(health, "stack", lambda name: StackHandle(name, {"api_function": "f"}, lambda _: function))
        return function

    return give


@pytest.mark.parametrize(("status", "code"), [("healthy", 0), ("degraded", 0), ("unhealthy", 1)])
def test_the_exit_code_is_1_only_when_something_is_unhealthy(answers, status, code):
    function = answers(document(status))
    assert CliRunner().invoke(app, ["health", "--stack", "staging"]).exit_code == code
    assert function.events == [("f", {"health": "deep"})]


def test_each_flow_has_a_line_and_what_is_wrong_its_words(answers):
    answers(document("degraded", status="degraded", diagnosis="2 dead letters wait in [p-a-dlq]."))
    shown = CliRunner().invoke(app, ["health"]).output
    [line] = [line for line in shown.splitlines() if line.startswith("a ")]
    assert line.split() == ["a", "degraded", "3", "1", "61", "s", "0", "Active", "Enabled", "-"]
    assert "a: 2 dead letters wait in [p-a-dlq]." in shown


def test_what_fails_in_the_background_of_the_embedded_cloud_has_a_line(answers, monkeypatch, tmp_path):
    monkeypatch.setattr(health, "HOME", tmp_path)
    Background(tmp_path, lambda: 0.0).run("rule [nightly]", lambda: 1 / 0)
    answers(document(), document())
    words = "embedded cloud: rule [nightly] failed once, last at 1970-01-01T00:00:00Z: ZeroDivisionError: division by"
    assert words in CliRunner().invoke(app, ["health"]).output
    assert words not in CliRunner().invoke(app, ["health", "--stack", "staging"]).output


def test_json_is_the_functions_answer(answers):
    answers(document())
    assert json.loads(CliRunner().invoke(app, ["health", "--json"]).output) == document()


def test_watching_asks_again_and_again(answers, capsys):
    answers(document("healthy"), document("degraded"))
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        health.show("local", watch=True, as_json=True, sleep=pause)
    assert [json.loads(line)["status"] for line in capsys.readouterr().out.splitlines()] == ["healthy", "degraded"]


def test_a_function_that_fails_and_one_that_is_older_are_said_in_words(answers):
    answers({"errorMessage": "boom"}, FunctionError="Unhandled")
    with pytest.raises(UserError, match=r"failed: .*boom"):
        health.show("local")
    answers({"statusCode": 401})
    with pytest.raises(UserError, match="does not know the deep health check"):
        health.show("local")
