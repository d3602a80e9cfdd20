"""Everything that has to agree with a flow is there in what was really deployed, and whatever lacks is named."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import requests

from flows import catalogue
from local.attach import ACCOUNT, REGION
from tests.deployed import Deployed
from tests.e2e.deployment_view import View, lacking, look

PREFIX = "bluemoxon-local"
FLOWS = catalogue(PREFIX)


@pytest.fixture(scope="module")
def view(deployed: Deployed) -> View:
    from moto.awslambda.models import lambda_backends

    headers = {"X-API-Key": deployed.key("conformance")}

    def ask(path: str) -> dict[str, Any]:
        answer = requests.get(deployed.cloud.gateway_url + path, headers=headers, timeout=60)
        return dict(answer.json())

    def read_zip(name: str) -> bytes:
        return bytes(lambda_backends[ACCOUNT][REGION].get_function(name).code_bytes)

    return look(deployed.cloud.client, PREFIX, read_zip, ask)


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.key)
def test_nothing_of_a_flow_lacks_in_what_was_deployed(view: View, flow) -> None:
    assert lacking(view, flow, PREFIX) == []


def _without_grant(action: str, role: str, end: str) -> Callable[[View], None]:
    def remove(view: View) -> None:
        view.grants -= {
            each
            for each in view.grants
            if each.role == f"{PREFIX}-{role}" and each.action == action and each.resource.endswith(f":{end}")
        }

    return remove


TRACKING = next(flow for flow in FLOWS if flow.key == "tracking")
QUEUE, DEAD = TRACKING.queue_name(PREFIX), TRACKING.dead_letter_queue_name(PREFIX)
FUNCTION = TRACKING.function_name(PREFIX)
VARIABLE = "BMX_TRACKING_QUEUE_NAME"


def _dead_letters_alarm(view: View) -> dict[str, Any]:
    return view.alarms[f"{FUNCTION}-dead-letters"]


def _topic(view: View) -> str:
    return str(_dead_letters_alarm(view)["AlarmActions"][0])


#: One part taken away, and the words that must name it.
BROKEN: dict[str, tuple[Callable[[View], object], str]] = {
    "queue": (lambda view: view.queues.pop(QUEUE), "tracking: queue"),
    "visibility": (lambda view: view.queues[QUEUE].update(VisibilityTimeout="60"), "tracking: queue"),
    "dead-letter queue": (lambda view: view.queues.pop(DEAD), "tracking: dead-letter queue"),
    "redrive policy": (lambda view: view.queues[QUEUE].pop("RedrivePolicy"), "tracking: redrive policy"),
    "function": (lambda view: view.functions.pop(FUNCTION), "tracking: function"),
    "mapping": (
        lambda view: view.mappings.remove(
            next(each for each in view.mappings if each["EventSourceArn"].endswith(f":{QUEUE}"))
        ),
        "tracking: mapping",
    ),
    "role": (_without_grant("sqs:ReceiveMessage", "tracking", QUEUE), "tracking: role"),
    "inspecting": (
        _without_grant("sqs:GetQueueAttributes", "api", DEAD),
        f"tracking: grant of the API: sqs:GetQueueAttributes on {DEAD}",
    ),
    "redriving": (
        _without_grant("sqs:DeleteMessage", "api", DEAD),
        f"tracking: grant of the API: sqs:DeleteMessage on {DEAD}",
    ),
    "sending": (
        _without_grant("sqs:SendMessage", "tracking-dispatcher", QUEUE),
        "tracking: grant of tracking_dispatcher to send",
    ),
    "variable": (
        lambda view: view.functions[f"{PREFIX}-tracking-dispatcher"]["Environment"]["Variables"].pop(VARIABLE),
        "tracking: variable of tracking_dispatcher",
    ),
    "registry entry": (lambda view: view.registry.pop("tracking"), "tracking: registry entry"),
    "health entry": (lambda view: view.health.pop("tracking"), "tracking: health entry"),
    "admin row": (lambda view: view.admin.pop("tracking_queue"), "tracking: admin row"),
    "alarm": (lambda view: view.alarms.pop(f"{FUNCTION}-backlog"), "tracking: alarm backlog"),
    "alarm's queue": (
        lambda view: _dead_letters_alarm(view).update(Dimensions=[{"Name": "QueueName", "Value": QUEUE}]),
        "tracking: alarm dead-letters",
    ),
    "alarm's action": (
        lambda view: _dead_letters_alarm(view).update(AlarmActions=[]),
        "tracking: action of alarm dead-letters",
    ),
    "topic": (lambda view: view.topics.pop(_topic(view)), "tracking: action of alarm dead-letters"),
    "subscriber": (lambda view: view.subscribers[_topic(view)].clear(), "tracking: subscriber of alarm dead-letters"),
    "key's policy": (
        lambda view: view.keys[view.topics[_topic(view)]["KmsMasterKeyId"]]["Statement"].pop(),
        "tracking: key of alarm dead-letters",
    ),
}


@pytest.mark.parametrize("part", BROKEN)
def test_a_part_that_is_taken_away_is_named(view: View, part: str) -> None:
    broken = copy.deepcopy(view)
    remove, named = BROKEN[part]
    remove(broken)
    assert named in lacking(broken, TRACKING, PREFIX)
