"""A dead letter in the deployed stack, from the queue's own redrive to the log that says who would have been told."""

from __future__ import annotations

import time
from typing import Any

from flows import catalogue
from local.alarm_actions import Delivery
from ops import alarms
from tests.deployed import Deployed
from tests.e2e.waiting import eventually, nobody_polls

PREFIX = "bluemoxon-local"
FLOW = catalogue(PREFIX)[0]
ALARM = f"{FLOW.function_name(PREFIX)}-dead-letters"


def listed(deployed: Deployed) -> dict[str, alarms.Alarm]:
    return {each.name: each for each in alarms.alarms(deployed.handle.client, f"{PREFIX}-")}


def on(deployed: Deployed) -> set[str]:
    return {name for name, each in listed(deployed).items() if each.state == "ALARM"}


def give_up_a_message(sqs: Any, url: str) -> None:
    def received() -> bool:
        # without the queue's long polling, which would hold an empty receive for 20 s
        return "Messages" in sqs.receive_message(QueueUrl=url, VisibilityTimeout=0, WaitTimeSeconds=0)

    sqs.send_message(QueueUrl=url, MessageBody="poison")
    for _ in range(FLOW.receives):
        eventually(received, "no message", 5)
    time.sleep(0.01)
    assert not received(), "not given up"


def test_a_dead_letter_sets_off_its_alarm_alone_and_an_emptied_queue_ends_it(deployed: Deployed) -> None:
    cloud, sqs = deployed.cloud, deployed.handle.client("sqs")
    url, dead = (
        sqs.get_queue_url(QueueName=name)["QueueUrl"]
        for name in (FLOW.queue_name(PREFIX), FLOW.dead_letter_queue_name(PREFIX))
    )
    sqs.purge_queue(QueueUrl=dead)  # other tests leave some; the call wakes the queue, which then says 0
    cloud.clock.advance(60)
    eventually(lambda: listed(deployed)[ALARM].state == "OK", "not evaluated")
    before = on(deployed)
    # By time, and from before the letter: the minute may end on its own at any moment, and the alarm go off with it.
    since = cloud.clock.now()
    with nobody_polls(deployed.handle, FLOW.function_name(PREFIX)):
        give_up_a_message(sqs, url)
        cloud.clock.advance(60)
        eventually(lambda: listed(deployed)[ALARM].state == "ALARM", "no alarm")
    assert on(deployed) - before == {ALARM}
    alarm = listed(deployed)[ALARM]
    assert alarm.condition == (
        f"Maximum of ApproximateNumberOfMessagesVisible of {FLOW.dead_letter_queue_name(PREFIX)} at or above 1 in "
        "one minute"
    )

    def rung() -> list[Delivery]:
        return [
            each for each in list(cloud.monitoring.actions.deliveries) if each.at >= since and each.state == "ALARM"
        ]

    eventually(lambda: bool(rung()), "nobody was told")  # the state is there a moment before
    new = rung()
    assert [(each.alarm, each.outcome) for each in new] == [(ALARM, "recorded")]
    assert new[0].to == f"email:{alarm.subscribers[0].endpoint}"
    log = (cloud.home / "logs" / "alarms.log").read_text()
    assert f"ALARM {ALARM} (was OK): Threshold Crossed" in log and "NOT SENT" in log

    (letter,) = sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=0)["Messages"]
    assert letter["Body"] == "poison"
    sqs.delete_message(QueueUrl=dead, ReceiptHandle=letter["ReceiptHandle"])
    cloud.clock.advance(60)
    eventually(lambda: listed(deployed)[ALARM].state == "OK", "the alarm does not end")


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
