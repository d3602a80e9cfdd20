"""What runs beside the requests goes on after any error, and says so; what it writes down may find the disk full."""

import json
import logging
import os
import threading
import time
from functools import partial

import pytest
from moto.awslambda.models import lambda_backends

from local.background import Background, troubles
from tests.local.lambda_cloud import ACCOUNT, REGION, arn_of, eventually, lambda_cloud

PRINTS = "def handler(event, context): print('RAN')"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with lambda_cloud(tmp_path_factory.mktemp("home")) as made:
        yield made


def told(cloud, what):
    return [each for each in cloud.runtime.background.troubles if what in each.what]


def ran(cloud, name):
    path = cloud.home / "logs" / f"{name}.log"
    return path.read_text().count("RAN") if path.exists() else 0


def scheduled(cloud, name, **permission):
    cloud.function(name, PRINTS)
    events, function = cloud.client("events"), f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    arn = events.put_rule(Name=name, ScheduleExpression="rate(5 minutes)")["RuleArn"]
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": function}])
    cloud.client("lambda").add_permission(
        FunctionName=name,
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=arn,
        **permission,
    )


def test_a_rule_that_cannot_be_decided_ends_no_other_rule(cloud, caplog):
    # the evaluator knows no aws:PrincipalOrgID
    scheduled(cloud, "undecided", PrincipalOrgID="o-1234567890")
    scheduled(cloud, "decided")
    time.sleep(0.8)
    for count in (1, 2):
        cloud.clock.advance(300)
        assert eventually(partial(lambda wanted: ran(cloud, "decided") == wanted, count))
    assert ran(cloud, "undecided") == 0
    assert [each.levelname for each in caplog.records if "rule undecided" in each.getMessage()]


def test_a_schedule_that_fails_in_a_way_nobody_thought_of_is_told_and_the_others_run(cloud, monkeypatch):
    scheduled(cloud, "broken")
    scheduled(cloud, "whole")
    time.sleep(0.8)
    fire = cloud.runtime.schedules._fire

    def breaks(rule, due):
        if rule.name == "broken":
            raise ZeroDivisionError("a fault of ours")
        fire(rule, due)

    monkeypatch.setattr(cloud.runtime.schedules, "_fire", breaks)
    cloud.clock.advance(300)
    assert eventually(lambda: ran(cloud, "whole") == 1)
    [trouble] = told(cloud, "rule broken")
    assert "ZeroDivisionError: a fault of ours" in str(trouble) and "once" in str(trouble)
    assert "breaks" in (cloud.home / "logs" / "background.log").read_text(), "the traceback is kept"


def test_the_thread_of_the_schedules_begins_again(cloud, monkeypatch):
    scheduled(cloud, "again")
    with monkeypatch.context() as broken:
        broken.setattr("local.schedules.events_backends", {})
        assert eventually(lambda: told(cloud, "schedules"))

    def later():
        cloud.clock.advance(300)
        time.sleep(0.6)
        return ran(cloud, "again")

    assert eventually(later)


def test_idle_processes_are_dropped_after_the_reaper_has_failed(tmp_path, monkeypatch):
    monkeypatch.setattr("local.lambda_runtime._REAP_SECONDS", 0.05)
    with lambda_cloud(tmp_path) as made:
        made.function("idle", PRINTS)
        made.runtime.invoke("idle", {})
        monkeypatch.setattr(made.runtime, "_keep_warm", None)
        assert eventually(lambda: told(made, "reaper"))
        assert made.runtime.processes("idle")
        monkeypatch.setattr(made.runtime, "_keep_warm", 300.0)
        made.clock.advance(301)
        assert eventually(lambda: not made.runtime.processes("idle"))


@pytest.mark.parametrize("where", ["receiving", "working"])
def test_a_mapping_that_fails_says_so_and_works_on(cloud, monkeypatch, where):
    name = f"mapped-{where}"
    cloud.function(name, PRINTS)
    queue, _ = cloud.queue(name, visibility=60)
    uuid = cloud.mapping(name, name)
    mapping = lambda_backends[ACCOUNT][REGION].get_event_source_mapping(uuid)
    result = lambda: cloud.runtime.mappings.status(mapping)["LastProcessingResult"]  # noqa: E731
    with monkeypatch.context() as broken:
        if where == "receiving":
            broken.setattr(mapping, "max_batch_window", "soon")
        else:
            broken.setattr("local.mappings.batch_item_failures", lambda *_: 1 / 0)
        cloud.client("sqs").send_message(QueueUrl=queue, MessageBody="go")
        assert eventually(lambda: told(cloud, arn_of(name)))
        assert eventually(lambda: result().startswith("PROBLEM: "))
    cloud.clock.advance(61)
    assert eventually(lambda: cloud.counts(queue) == (0, 0)) and result() == "OK"


def test_an_event_that_cannot_be_delivered_for_a_fault_of_ours_is_told(cloud, monkeypatch):
    cloud.function("evented", PRINTS)
    monkeypatch.setattr(cloud.runtime, "invoke", lambda *_: 1 / 0)
    cloud.runtime.invoke_async("evented", {})
    assert eventually(lambda: told(cloud, "event for function evented"))


def test_log_lines_that_cannot_be_delivered_for_a_fault_of_ours_are_told(cloud, monkeypatch):
    cloud.function("logging", PRINTS)

    class Broken:
        def create_log_stream(self, **_):
            raise ZeroDivisionError

    monkeypatch.setattr(cloud.runtime.roles, "client", lambda *_: Broken())
    cloud.runtime.invoke("logging", {})
    assert eventually(lambda: told(cloud, "log lines of /aws/lambda/logging"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_of_any_kind_that_dies_is_told(tmp_path):
    background = Background(tmp_path, time.time)
    patches = background.install()
    thread = threading.Thread(target=lambda: 1 / 0, name="stray")
    try:
        thread.start()
        thread.join()
    finally:
        patches.undo()
    [trouble] = background.troubles
    assert trouble.what == "thread stray" and trouble.error.startswith("ZeroDivisionError")


def test_the_same_failure_again_is_counted_and_not_logged_again(tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    background = Background(tmp_path, lambda: 0.0)
    for _ in range(3):
        background.run("sweeping", lambda: os.environ["ABSENT"])
    assert str(background.troubles[0]) == "sweeping failed 3 times, last at 1970-01-01T00:00:00Z: KeyError: 'ABSENT'"
    assert troubles(tmp_path) == background.troubles
    assert len(caplog.records) == 1
    background.run("sweeping", lambda: int("one"))
    assert len(caplog.records) == 2


def test_what_failed_is_told_on_a_full_disk_as_well(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "background.log").symlink_to("/dev/full")
    (tmp_path / "troubles.new").symlink_to("/dev/full")
    background = Background(tmp_path, time.time)
    background.run("sweeping", lambda: 1 / 0)
    assert background.troubles


def test_a_record_that_cannot_be_read_is_said(tmp_path):
    assert troubles(tmp_path) == []
    (tmp_path / "troubles.json").write_text(json.dumps([{"who": "?"}]))
    assert "troubles.json" in str(troubles(tmp_path)[0])
