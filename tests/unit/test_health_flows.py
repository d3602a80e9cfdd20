"""The deep check over clients that answer from memory: each diagnosis, and that none hides the rest."""

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from handlers.api import health as deep
from handlers.api import health_questions as questions
from handlers.api.health import DeepCheck
from handlers.api.health_config import VARIABLES
from handlers.api.health_jobs import JobsSight
from handlers.common.registry import RegisteredFlow, Registry, RegistryError

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
JOBS = JobsSight(
    last_success=NOW,
    waiting=0,
    abandoned=0,
    queue_failed=0,
    permanently_failed=0,
    swept_at=NOW,
    left_undone=0,
)
ROLE = "bluemoxon-local-api"
ARN = f"arn:aws:sts::123456789012:assumed-role/{ROLE}/session"
MISSING = ("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")


def flow(key, **changed):
    values = {
        "key": key,
        "queue_name": f"p-{key}",
        "dead_letter_queue_name": f"p-{key}-dlq",
        "function_name": f"f-{key}",
        "deployed": True,
        "variable": f"BMX_{key.upper()}_QUEUE_NAME",
        "timeout": 60,
        "receives": 5,
        "visibility_timeout": 360,
        "oldest_message_threshold": 720,
        "backlog_threshold": 1000,
        "producers": ("api",),
        "schedule": None,
    }
    return RegisteredFlow(**values | changed)


def refusal(code, message="no"):
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


def forbidden(action):
    message = f"User: {ARN} is not authorized to perform: {action} because no identity-based policy allows it"
    return refusal("AccessDenied", message)


class Cloud:
    """AWS as far as the check asks it; `fails` maps an action, or (action, name), to what is raised or done."""

    def __init__(self, *flows):
        self.flows = flows
        self.counts = {}
        self.states = {each.function_name: {"State": "Active"} for each in flows}
        self.mappings = [
            {
                "UUID": "u",
                "State": "Enabled",
                "EventSourceArn": f"arn:aws:sqs:r:1:{each.queue_name}",
                "FunctionArn": f"arn:aws:lambda:r:1:function:{each.function_name}",
            }
            for each in flows
        ]
        self.values = {}
        self.fails = {}
        self.meta = SimpleNamespace(endpoint_url="https://sqs")

    def act(self, action, name=""):
        for key in (action, (action, name)):
            found = self.fails.get(key)
            if isinstance(found, Exception):
                raise found
            if found is not None:
                found()

    def get_queue_url(self, QueueName):  # noqa: N803
        self.act("sqs:GetQueueUrl", QueueName)
        return {"QueueUrl": f"https://sqs/123456789012/{QueueName}"}

    def get_queue_attributes(self, QueueUrl, AttributeNames):  # noqa: N803
        name = QueueUrl.rpartition("/")[2]
        self.act("sqs:GetQueueAttributes", name)
        values = dict(zip(AttributeNames, self.counts.get(name, (0, 0, 0)), strict=True))
        return {"Attributes": {each: str(value) for each, value in values.items()}}

    def get_function_configuration(self, FunctionName):  # noqa: N803
        self.act("lambda:GetFunctionConfiguration", FunctionName)
        return self.states[FunctionName]

    def get_caller_identity(self):
        self.act("sts:GetCallerIdentity")
        return {"Account": "123456789012", "Arn": ARN}

    def head_bucket(self, Bucket):  # noqa: N803
        self.act("s3:ListBucket", Bucket)

    def get_paginator(self, operation):
        return SimpleNamespace(paginate=getattr(self, operation))

    def list_event_source_mappings(self):
        self.act("lambda:ListEventSourceMappings")
        return [{"EventSourceMappings": [each]} for each in self.mappings]

    def get_metric_data(self, MetricDataQueries, **_):  # noqa: N803
        self.act("cloudwatch:GetMetricData")
        results = []
        for query in MetricDataQueries:
            metric = query["MetricStat"]["Metric"]
            values = self.values.get((metric["Dimensions"][0]["Value"], metric["MetricName"]), [])
            results.append(
                {"Id": query["Id"], "Timestamps": [at for at, _ in values], "Values": [value for _, value in values]}
            )
        return [{"MetricDataResults": results}]


@pytest.fixture
def environ(monkeypatch):
    for name in VARIABLES:
        monkeypatch.setenv(name, "local")
    for key in ("a", "b"):
        monkeypatch.setenv(f"BMX_{key.upper()}_QUEUE_NAME", f"p-{key}")
    sight = questions.DatabaseSight(JOBS)
    monkeypatch.setattr(questions, "database", lambda *_, **__: sight)
    monkeypatch.setattr(deep, "SECONDS", 0.5)
    monkeypatch.setattr(deep, "DATABASE_SECONDS", 0.5)
    return monkeypatch


@pytest.fixture
def cloud(environ):
    return Cloud(flow("a"), flow("b"))


def check(cloud, moment=lambda: NOW):
    clients = questions.Clients(*[cloud] * 6)
    return DeepCheck(lambda: clients, lambda: Registry("p", "local", tuple(cloud.flows)), moment)


def look(cloud):
    health = check(cloud).fresh()
    assert health.checks.sqs.queues["b"].diagnosis_code == "reachable", "the other flow is whole"
    return health, health.checks.sqs.queues["a"]


def test_where_nothing_is_wrong_everything_is_healthy(cloud):
    cloud.counts = {"p-a": (3, 2, 1)}
    health, queue = look(cloud)
    assert (health.status, queue.status, queue.diagnosis_code) == ("healthy", "healthy", "reachable")
    assert (queue.messages, queue.in_flight, queue.delayed, queue.dead_letters) == (3, 2, 1, 0)
    assert (queue.mapping.state, queue.error) == ("Enabled", None)
    assert health.checks.lambdas.lambdas["a"].state == "Active"


def test_a_queue_that_sqs_does_not_know_by_name_nor_address_is_unhealthy_and_both_reasons_are_said(cloud):
    cloud.fails = {(action, "p-a"): refusal(*MISSING) for action in ("sqs:GetQueueUrl", "sqs:GetQueueAttributes")}
    health, queue = look(cloud)
    assert (health.status, queue.status) == ("unhealthy", "unhealthy")
    assert queue.diagnosis_code == "not_there_or_not_permitted"
    assert f"p-a is not there, or the role {ROLE} lacks sqs:GetQueueUrl on it" in queue.diagnosis


@pytest.mark.parametrize(("producers", "status"), [(("api",), "unhealthy"), (("other",), "degraded")])
def test_a_queue_that_answers_at_its_address_is_there_and_only_the_permission_lacks(environ, producers, status):
    cloud = Cloud(flow("a", producers=producers), flow("b"))
    cloud.counts = {"p-a": (7, 0, 0)}
    cloud.fails = {("sqs:GetQueueUrl", "p-a"): refusal(*MISSING)}
    _, queue = look(cloud)
    assert (queue.status, queue.diagnosis_code, queue.messages) == (status, "not_permitted", 7)
    assert f"p-a is there, but the role {ROLE} lacks sqs:GetQueueUrl on it" in queue.diagnosis


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ("sqs:GetQueueAttributes", "p-a"),
        ("sqs:GetQueueAttributes", "p-a-dlq"),
        ("lambda:GetFunctionConfiguration", "f-a"),
    ],
)
def test_a_missing_permission_is_named_with_its_role_and_degrades(cloud, action, name):
    cloud.fails = {(action, name): forbidden(action.lower())}  # SQS writes actions in lower case
    health, queue = look(cloud)
    assert (health.status, queue.status, queue.diagnosis_code) == ("degraded", "degraded", "not_permitted")
    assert f"the role {ROLE} lacks {action} on it" in queue.diagnosis
    assert name in queue.diagnosis


@pytest.mark.parametrize("action", ["lambda:ListEventSourceMappings", "cloudwatch:GetMetricData"])
def test_a_missing_permission_on_everything_is_named_at_each_flow_and_hides_no_count(cloud, action):
    cloud.counts = {"p-a": (1, 0, 0), "p-b": (2, 0, 0)}
    cloud.fails = {action: forbidden(action)}
    health = check(cloud).fresh()
    queues = health.checks.sqs.queues
    assert [queue.messages for queue in queues.values()] == [1, 2]
    for queue in queues.values():
        assert (queue.status, queue.diagnosis_code) == ("degraded", "not_permitted")
        assert f"the role {ROLE} lacks {action}" in queue.diagnosis


def test_what_is_missing_behind_the_action_that_was_asked_is_named_too(cloud):
    cloud.fails = {("sqs:GetQueueAttributes", "p-a"): forbidden("kms:Decrypt")}
    _, queue = look(cloud)
    assert "lacks kms:Decrypt, which sqs:GetQueueAttributes needs, on it" in queue.diagnosis


@pytest.mark.parametrize("code", ["RequestThrottled", "ThrottlingException"])
def test_throttling_has_its_own_words(cloud, code):
    cloud.fails = {("sqs:GetQueueUrl", "p-a"): refusal(code)}
    health, queue = look(cloud)
    assert (health.status, queue.diagnosis_code) == ("degraded", "throttled")
    assert f"AWS throttles sqs:GetQueueUrl ({code})" in queue.diagnosis


def test_a_mapping_that_is_disabled_degrades_and_none_at_all_is_unhealthy(cloud):
    cloud.mappings[0]["State"] = "Disabled"
    _, queue = look(cloud)
    assert (queue.status, queue.diagnosis_code, queue.mapping.state) == ("degraded", "mapping_disabled", "Disabled")
    del cloud.mappings[0]
    _, queue = look(cloud)
    assert (queue.status, queue.diagnosis_code, queue.mapping) == ("unhealthy", "mapping_disabled", None)


@pytest.mark.parametrize(("messages", "code"), [(999, "reachable"), (1000, "backlog")])
def test_a_backlog_degrades_from_its_threshold_on(cloud, messages, code):
    cloud.counts = {"p-a": (messages, 0, 0)}
    assert look(cloud)[1].diagnosis_code == code


def test_dead_letters_degrade_also_while_somebody_looks_at_them(cloud):
    cloud.counts = {"p-a-dlq": (0, 2, 0)}
    health, queue = look(cloud)
    assert (health.status, queue.diagnosis_code, queue.dead_letters) == ("degraded", "dead_letters", 2)


def test_a_flow_without_code_degrades_and_is_asked_for_no_function(environ):
    cloud = Cloud(flow("a", deployed=False), flow("b"))
    del cloud.mappings[0], cloud.states["f-a"]
    health, queue = look(cloud)
    assert (health.status, queue.diagnosis_code) == ("degraded", "no_code_deployed")
    assert health.checks.lambdas.lambdas["a"].error.startswith("No code deployed")


def test_what_is_wrong_at_once_is_all_said_and_the_worst_leads(cloud):
    cloud.counts = {"p-a": (5000, 0, 0), "p-a-dlq": (1, 0, 0)}
    del cloud.mappings[0]
    _, queue = look(cloud)
    assert (queue.status, queue.diagnosis_code) == ("unhealthy", "mapping_disabled")
    assert "1 dead letter waits" in queue.diagnosis
    assert "Backlog: 5,000 messages" in queue.diagnosis


@pytest.mark.parametrize(
    ("number", "dead", "waiting"),
    [
        (1, "1 dead letter waits in p-a-dlq: find the cause, then redrive it.", "Backlog: 1 message waits; "),
        (2, "2 dead letters wait in p-a-dlq: find the cause, then redrive them.", "Backlog: 2 messages wait; "),
    ],
)
def test_one_is_said_as_one_and_several_as_several(environ, number, dead, waiting):
    cloud = Cloud(flow("a", backlog_threshold=1), flow("b"))
    cloud.counts = {"p-a": (number, 0, 0), "p-a-dlq": (number, 0, 0)}
    words = look(cloud)[1].diagnosis
    assert dead in words
    assert waiting in words


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"State": "Inactive"}, "healthy"),
        ({"State": "Pending"}, "degraded"),
        ({"State": "Active", "LastUpdateStatus": "Failed"}, "degraded"),
        ({"State": "Failed", "StateReason": "no subnet"}, "unhealthy"),
    ],
)
def test_a_functions_state_decides_its_status(cloud, answer, status):
    cloud.states["f-a"] = answer
    assert look(cloud)[0].checks.lambdas.lambdas["a"].status == status


def test_a_function_that_is_gone_is_unhealthy(cloud):
    cloud.fails = {("lambda:GetFunctionConfiguration", "f-a"): refusal("ResourceNotFoundException")}
    health, queue = look(cloud)
    assert (health.checks.lambdas.lambdas["a"].status, queue.status) == ("unhealthy", "unhealthy")
    assert "f-a is not there" in queue.diagnosis


def test_metrics_count_only_while_they_are_fresh(cloud):
    cloud.counts = {"p-a": (1, 0, 0), "p-b": (1, 0, 0)}
    new, old = NOW - timedelta(minutes=5), NOW - timedelta(minutes=30)
    cloud.values = {
        ("p-a", "ApproximateAgeOfOldestMessage"): [(new, 70.0), (old, 9000.0)],
        ("p-a", "NumberOfMessagesDeleted"): [(new, 0.0), (old, 2.0)],
        ("p-b", "ApproximateAgeOfOldestMessage"): [(old, 9000.0)],
    }
    health, queue = look(cloud)
    assert (queue.oldest_message_age, queue.oldest_message_age_reason) == (70.0, None)
    assert (queue.last_success, queue.last_success_reason) == (old, None)
    other = health.checks.sqs.queues["b"]
    assert (other.oldest_message_age, other.last_success) == (None, None)
    assert "no value of the last 10 minutes" in other.oldest_message_age_reason
    assert "in the last 3 hours" in other.last_success_reason


def test_an_oldest_message_over_its_threshold_is_a_backlog(cloud):
    cloud.counts = {"p-a": (1, 0, 0)}
    cloud.values = {("p-a", "ApproximateAgeOfOldestMessage"): [(NOW, 721.0)]}
    assert look(cloud)[1].diagnosis_code == "backlog"


MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("taken", "done", "says"),
    [
        ([(2, 1)], [], "1 delivery since 2026-05-01 11:58 UTC, and it was not worked through"),
        ([(2, 1), (9, 2)], [(30, 1)], "3 deliveries since 2026-05-01 11:51 UTC, and none was worked through"),
        ([(2, 1), (9, 2)], [(5, 1)], "1 delivery since 2026-05-01 11:58 UTC"),
        ([(2, 1)], [(2, 1)], ""),  # it may have been the one
        ([(9, 2)], [(1, 1)], ""),
        ([(1, 1)], [], ""),  # it may still be at work: the function has 60 s, and was begun within a minute
        ([(2, 0)], [], ""),
    ],
)
def test_deliveries_that_ended_without_a_success_are_failing_before_they_are_old(cloud, taken, done, says):
    cloud.counts = {"p-a": (0, 1, 0)}
    cloud.values = {
        ("p-a", metric): [(NOW - ago * MINUTE, float(count)) for ago, count in values]
        for metric, values in (("NumberOfMessagesReceived", taken), ("NumberOfMessagesDeleted", done))
    }
    health, queue = look(cloud)
    assert (health.status, queue.diagnosis_code) == (("degraded", "failing") if says else ("healthy", "reachable"))
    assert says in queue.diagnosis
    assert ("/aws/lambda/f-a says why; SQS delivers again after 360 s, 5 times in all." in queue.diagnosis) is bool(
        says
    )


def test_a_delivery_that_may_still_wait_in_its_batching_window_has_not_failed(environ):
    cloud = Cloud(flow("a", visibility_timeout=6 * 60 + 300), flow("b"))
    cloud.counts = {"p-a": (0, 1, 0)}
    for minutes, code in ((6, "reachable"), (7, "failing")):
        cloud.values = {("p-a", "NumberOfMessagesReceived"): [(NOW - minutes * MINUTE, 1.0)]}
        assert look(cloud)[1].diagnosis_code == code


def test_an_empty_queue_fails_nothing_any_more(cloud):
    cloud.values = {("p-a", "NumberOfMessagesReceived"): [(NOW - 9 * MINUTE, 5.0)]}
    assert look(cloud)[1].diagnosis_code == "reachable"


def test_the_last_image_job_is_the_jobs_tables(environ):
    environ.setenv("BMX_IMAGE_PROCESSING_QUEUE_NAME", "p-image_processing")
    health = check(Cloud(flow("image_processing"))).fresh()
    assert health.checks.sqs.queues["image_processing"].last_success == NOW


@pytest.mark.parametrize(
    ("found", "code", "words"),
    [
        ({"waiting": 1_200}, "jobs_waiting", "1,200 image jobs have waited for their message for more than 720 s"),
        ({"abandoned": 2}, "jobs_waiting", "Workers died at 2 image jobs more than 720 s ago"),
        ({"queue_failed": 3}, "jobs_not_sent", "3 image jobs could not be queued"),
        ({"permanently_failed": 4}, "jobs_given_up", "4 image jobs were given up"),
        ({"left_undone": 5}, "sweeper_late", "could not send or free 5 image jobs"),
        ({"swept_at": NOW - timedelta(minutes=15)}, "sweeper_late", "last ended a run 15 minutes ago"),
    ],
)
def test_jobs_that_nobody_may_forget_degrade_their_flow_and_no_other(environ, found, code, words):
    environ.setenv("BMX_IMAGE_PROCESSING_QUEUE_NAME", "p-image_processing")
    environ.setattr(questions, "database", lambda *_, **__: questions.DatabaseSight(replace(JOBS, **found)))
    queues = check(Cloud(flow("image_processing"), flow("a"))).fresh().checks.sqs.queues
    mine = queues["image_processing"]
    assert (mine.status, mine.diagnosis_code, words in mine.diagnosis) == ("degraded", code, True)
    assert (queues["a"].status, queues["a"].jobs) == ("healthy", None)


def test_a_sweeper_that_ran_a_moment_ago_is_well(environ):
    environ.setenv("BMX_IMAGE_PROCESSING_QUEUE_NAME", "p-image_processing")
    just = replace(JOBS, swept_at=NOW - timedelta(minutes=14, seconds=59))
    environ.setattr(questions, "database", lambda *_, **__: questions.DatabaseSight(just))
    assert check(Cloud(flow("image_processing"))).fresh().checks.sqs.queues["image_processing"].status == "healthy"


def test_a_database_that_does_not_answer_delays_by_its_deadline_and_hides_nothing(cloud, environ):
    hangs = threading.Event()
    environ.setattr(questions, "database", lambda *_, **__: hangs.wait(30))
    began = time.monotonic()
    health, queue = look(cloud)
    took = time.monotonic() - began
    hangs.set()
    assert 0.5 <= took < 10
    assert (health.status, health.checks.database.status, queue.status) == ("unhealthy", "unhealthy", "healthy")
    assert "no answer within 0.5 s" in health.checks.database.error


def test_one_queue_that_hangs_hides_no_other(cloud):
    hangs = threading.Event()
    cloud.fails = {("sqs:GetQueueUrl", "p-a"): lambda: hangs.wait(30)}
    health, queue = look(cloud)
    hangs.set()
    assert (queue.status, queue.diagnosis_code) == ("unhealthy", "timed_out")
    assert queue.dead_letters == 0
    assert health.checks.database.status == "healthy"


def test_a_time_out_of_the_clients_own_is_one_too(cloud):
    cloud.fails = {("sqs:GetQueueAttributes", "p-a"): ReadTimeoutError(endpoint_url="x")}
    assert look(cloud)[1].diagnosis_code == "timed_out"


def test_without_an_identity_the_function_is_named_instead_of_its_role(cloud, environ):
    environ.setenv("AWS_LAMBDA_FUNCTION_NAME", "p-api")
    cloud.fails = {"sts:GetCallerIdentity": refusal("Boom"), ("sqs:GetQueueUrl", "p-a"): refusal(*MISSING)}
    assert "the role of the function p-api lacks sqs:GetQueueUrl" in look(cloud)[1].diagnosis


def test_a_variable_that_is_missing_is_named_only_where_the_api_sends(environ):
    environ.delenv("BMX_A_QUEUE_NAME")
    health, _ = look(Cloud(flow("a"), flow("b")))
    assert (health.status, health.checks.config.missing) == ("unhealthy", ["BMX_A_QUEUE_NAME"])
    assert look(Cloud(flow("a", producers=("x",)), flow("b")))[0].status == "healthy"


def test_a_variable_that_names_another_queue_and_another_environment_are_said(cloud, environ):
    environ.setenv("BMX_A_QUEUE_NAME", "p-other")
    environ.setenv("BMX_ENVIRONMENT", "production")
    config = look(cloud)[0].checks.config
    assert "BMX_A_QUEUE_NAME is 'p-other' and the registry of flows says 'p-a'" in config.error
    assert "'production'" in config.error


def test_without_a_registry_the_rest_is_still_looked_at(cloud):
    def none():
        raise RegistryError("the registry of flows registry.json is not in the package")

    health = DeepCheck(lambda: questions.Clients(*[cloud] * 6), none, lambda: NOW).fresh()
    assert (health.status, health.checks.database.status, health.checks.s3.status) == ("unhealthy", *["healthy"] * 2)
    for each in (health.checks.sqs, health.checks.lambdas, health.checks.config):
        assert "registry.json is not in the package" in str(each.error)


def test_an_answer_is_kept_for_a_few_seconds_and_not_longer_nor_by_a_clock_set_back(cloud):
    moment = [NOW]
    kept = check(cloud, lambda: moment[0])
    first = kept.recent()
    moment[0] += timedelta(seconds=4.9)
    assert kept.recent() is first
    moment[0] += timedelta(seconds=0.1)
    second = kept.recent()
    assert second is not first
    moment[0] -= timedelta(seconds=1)
    assert kept.recent() is not second


def test_s3_and_its_permission_are_said(cloud):
    cloud.fails = {"s3:ListBucket": refusal("403", "Forbidden")}
    bucket = look(cloud)[0].checks.s3
    assert bucket.status == "unhealthy"
    assert f"the role {ROLE} lacks s3:ListBucket" in bucket.error
