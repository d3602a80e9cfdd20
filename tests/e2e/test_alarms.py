"""The alarms of the deployed stack: evaluated, and heard once their readers confirm."""

from __future__ import annotations

import time
from collections.abc import Callable

from ops import alarms
from tests.deployed import Deployed

PREFIX = "bluemoxon-local"


def eventually(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def listed(deployed: Deployed) -> dict[str, alarms.Alarm]:
    return {each.name: each for each in alarms.alarms(deployed.cloud.client, f"{PREFIX}-")}


def test_every_alarm_of_the_stack_would_be_heard_once_its_readers_confirm(deployed: Deployed) -> None:
    topic = str(deployed.stack.output("alarms_topic_arn")).rsplit(":", 1)[-1]
    found = listed(deployed)
    assert found
    assert {problem for each in found.values() for problem in each.problems} == {
        f"no subscriber of topic {topic} has confirmed: nobody is told yet"
    }


def test_every_alarm_of_the_stack_is_one_that_the_embedded_cloud_evaluates(deployed: Deployed) -> None:
    deployed.cloud.clock.advance(60)
    eventually(lambda: all(each.state != "INSUFFICIENT_DATA" for each in _judged(deployed)), "not evaluated")
    assert "NOT EVALUATED" not in (deployed.cloud.home / "logs" / "alarms.log").read_text()


def _judged(deployed: Deployed) -> list[alarms.Alarm]:
    return [each for each in listed(deployed).values() if not each.name.endswith("-dead-letters")]
