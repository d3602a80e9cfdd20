"""Flow: what follows from the declaration, and what is refused where it is declared."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.flow import DAY, Flow, together
from components.needs import DeleteObjects, ReadObjects, ReadObjectVersions, SendTo, UseDatabase, WriteObjects
from components.refused import RefusedError
from flows import catalogue

FLOW = Flow(key="image_processing", queue="image-processing", code="image_processing", timeout=300, memory=7168)

keys = st.from_regex(r"[a-z][a-z0-9]{0,5}(_[a-z0-9]{1,5}){0,3}", fullmatch=True)


@st.composite
def flows(draw) -> Flow:
    window = draw(st.integers(0, 300))
    maximum = draw(st.integers(2, 1000))
    return Flow(
        key=draw(keys),
        queue=draw(keys).replace("_", "-"),
        code="code",
        timeout=draw(st.integers(1, 900)),
        memory=draw(st.integers(128, 10_240)),
        batch_size=draw(st.integers(1, 10_000 if window else 10)),
        batch_window=window,
        maximum_concurrency=maximum,
        reserved_concurrency=draw(st.none() | st.integers(maximum, 1000)),
        receives=draw(st.integers(5, 30)),
    )


@given(flows())
def test_a_message_stays_hidden_for_six_timeouts_and_the_window(flow):
    assert flow.visibility_timeout == 6 * flow.timeout + flow.batch_window


@given(flows())
def test_every_derived_number_is_one_that_sqs_and_lambda_take(flow):
    assert flow.timeout <= flow.visibility_timeout <= 43_200
    assert 0 < flow.duration_threshold < flow.timeout * 1000
    assert flow.oldest_message_threshold > flow.visibility_timeout
    assert 60 <= flow.retention < flow.dead_letter_retention <= 14 * DAY


@given(flows(), st.integers(1, 900))
def test_another_timeout_moves_every_number_that_follows_from_it(flow, timeout):
    other = dataclasses.replace(flow, timeout=timeout)
    moved = timeout - flow.timeout
    assert other.visibility_timeout - flow.visibility_timeout == 6 * moved
    assert other.oldest_message_threshold - flow.oldest_message_threshold == 12 * moved
    assert other.duration_threshold - flow.duration_threshold == 900 * moved


@given(flows())
def test_names_are_the_contracts_forms(flow):
    assert flow.queue_name("shop-prod") == f"shop-prod-{flow.queue}"
    assert flow.dead_letter_queue_name("shop-prod") == f"shop-prod-{flow.queue}-dlq"
    assert flow.variable == f"{flow.key.upper()}_QUEUE_NAME"
    assert "_" not in flow.function_name("shop-prod")


def test_the_defaults_are_five_receives_and_four_and_fourteen_days():
    assert (FLOW.receives, FLOW.retention, FLOW.dead_letter_retention) == (5, 345_600, 1_209_600)


def test_a_given_visibility_is_kept():
    assert dataclasses.replace(FLOW, visibility=4000).visibility_timeout == 4000


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"visibility": 1799}, ("visibility 1799 s", "timeout 300 s", "batch_window 0 s", "1800 s")),
        ({"visibility": 0}, ("visibility 0 s", "timeout 300 s")),
        ({"visibility": 1800, "batch_window": 20}, ("visibility 1800 s", "batch_window 20 s", "1820 s")),
        ({"visibility": 43_201}, ("visibility is 43201 s", "43,200 s")),
        ({"batch_size": 11}, ("batch_size 11", "batch_window is 0 s", "at least 1 s")),
        ({"batch_size": 0}, ("batch_size is 0", "1 to 10,000")),
        ({"batch_size": 10_001, "batch_window": 1}, ("batch_size is 10001", "1 to 10,000")),
        ({"batch_window": 301}, ("batch_window is 301 s", "0 to 300 s")),
        ({"reserved_concurrency": 4}, ("reserved_concurrency 4", "maximum_concurrency 5", "at least 5")),
        ({"maximum_concurrency": 1}, ("maximum_concurrency is 1", "2 to 1,000")),
        ({"maximum_concurrency": 1001}, ("maximum_concurrency is 1001", "2 to 1,000")),
        ({"timeout": 0}, ("timeout is 0 s", "1 to 900 s")),
        ({"timeout": 901}, ("timeout is 901 s", "1 to 900 s")),
        ({"memory": 127}, ("memory is 127 MB", "128 to 10,240 MB")),
        ({"memory": 10_241}, ("memory is 10241 MB", "128 to 10,240 MB")),
        ({"receives": 4}, ("receives is 4 times", "5 to 1,000")),
        ({"receives": 200}, ("receives 200", "visibility 1800 s", "360000 s", "retention 345600 s")),
        ({"retention": 9_000}, ("receives 5", "visibility 1800 s", "9000 s", "retention 9000 s")),
        ({"retention": 59}, ("retention is 59 s", "60 to 1,209,600 s")),
        ({"memory": "256"}, ("memory is '256'", "whole number", "256")),
        ({"timeout": True}, ("timeout is True", "whole number")),
        ({"timeout": 60.0}, ("timeout is 60.0", "whole number")),
        ({"maximum_concurrency": None}, ("maximum_concurrency is None", "whole number")),
        ({"reserved_concurrency": "9"}, ("reserved_concurrency is '9'", "whole number")),
        ({"needs": UseDatabase()}, ("needs is UseDatabase()", "needs=(UseDatabase(),)")),
        ({"needs": ("database",)}, ("needs holds 'database'", "UseDatabase()")),
        ({"needs": (UseDatabase,)}, ("needs holds", "UseDatabase", "UseDatabase()")),
        ({"producers": "api"}, ("producers is 'api'", "producers=('api',)")),
        ({"producers": (1,)}, ("producers holds 1", "name")),
        ({"handler": "worker"}, ("handler 'worker'", "module.function")),
        ({"handler": ".handler"}, ("handler '.handler'", "module.function")),
        ({"handler": "worker.handler "}, ("handler 'worker.handler '", "module.function")),
        ({"handler": "a." + "b" * 127}, ("handler", "128 characters")),
        ({"code": ""}, ("code ''", "name")),
        ({"code": None}, ("code is None", "text")),
        ({"queue": None}, ("queue is None", "text")),
        ({"retention": 14 * DAY}, ("dead_letter_retention 1209600 s", "retention 1209600 s")),
        ({"dead_letter_retention": 4 * DAY}, ("dead_letter_retention 345600 s", "retention 345600 s")),
        ({"dead_letter_retention": 14 * DAY + 1}, ("dead_letter_retention is 1209601 s",)),
        ({"ephemeral_storage": 511}, ("ephemeral_storage is 511 MB", "512 to 10,240 MB")),
        ({"queue": "Image_Processing"}, ("queue 'Image_Processing'", "image-processing")),
        ({"queue": "image-processing-dlq"}, ("image-processing-dlq", "'-dlq'")),
        ({"producers": ("api", "api")}, ("producer 'api'", "twice")),
        (
            {"producers": ("api",), "schedule": "rate(1 hour)", "dispatcher": "api"},
            ("producer 'api'", "twice"),
        ),
        ({"schedule": "rate(1 hour)"}, ("schedule is 'rate(1 hour)'", "dispatcher is None", "give both, or neither")),
        ({"dispatcher": "caller"}, ("schedule is None", "dispatcher is 'caller'")),
        ({"schedule": "rate(1 hours)", "dispatcher": "caller"}, ("'rate(1 hours)'", "rate(1 hour)")),
        ({"schedule": "hourly", "dispatcher": "caller"}, ("'hourly'",)),
        ({"schedule": "cron(0 12 * * * *)", "dispatcher": "caller"}, ("day-of-month is '*'", "day-of-week is '*'")),
        ({"schedule": "cron(99 12 * * ? *)", "dispatcher": "caller"}, ("minutes takes 0 to 59", "'99'")),
        ({"schedule": "cron(0 12 * * ?)", "dispatcher": "caller"}, ("six fields",)),
        ({"schedule": "rate(1 hour)", "dispatcher": "Tracking-Caller"}, ("dispatcher 'Tracking-Caller'", "'_'")),
        ({"backlog_threshold": 0}, ("backlog_threshold is 0 messages", "1 to 120,000")),
    ],
)
def test_what_cannot_be_true_is_refused_with_the_flow_the_values_and_the_fix(changed, named):
    with pytest.raises(RefusedError) as refused:
        dataclasses.replace(FLOW, **changed)
    assert str(refused.value).startswith("Flow 'image_processing': ")
    for words in named:
        assert words in str(refused.value)


@pytest.mark.parametrize(
    "allowed",
    [
        {"visibility": 1800},
        {"visibility": 1801},
        {"retention": 9001},
        {"handler": "worker.handler"},
        {"handler": "package/module.handler"},
        {"batch_size": 10},
        {"batch_size": 11, "batch_window": 1},
        {"reserved_concurrency": 5},
        {"dead_letter_retention": 4 * DAY + 1},
        {"timeout": 900, "batch_window": 300},
    ],
)
def test_what_is_just_allowed_is_not_refused(allowed):
    assert dataclasses.replace(FLOW, **allowed)


@pytest.mark.parametrize(
    "key", [None, 1, "", "Image", "image-processing", "image__processing", "_image", "1st", "image_"]
)
def test_a_key_that_gives_no_variable_name_is_refused(key):
    with pytest.raises(RefusedError, match=r"^Flow .*key .*(lower-case|give a text)"):
        dataclasses.replace(FLOW, key=key)


def test_two_flows_of_one_key_are_refused():
    with pytest.raises(RefusedError, match="Two flows have the key 'image_processing'"):
        together([FLOW, dataclasses.replace(FLOW, queue="other")], "shop")


def test_two_flows_on_one_queue_are_refused():
    with pytest.raises(RefusedError, match="Two flows have the queue 'image-processing'"):
        together([FLOW, dataclasses.replace(FLOW, key="other")], "shop")


@pytest.mark.parametrize(("length", "fits"), [(71, True), (72, False)])
def test_a_dead_letter_queues_name_has_at_most_80_characters(length, fits):
    flow = dataclasses.replace(FLOW, key="short", queue="q" * length)
    if fits:
        assert len(together([flow], "shop")[0].dead_letter_queue_name("shop")) == 80
    else:
        with pytest.raises(RefusedError, match=r"has 81 characters and AWS takes 80; shorten"):
            together([flow], "shop")


@pytest.mark.parametrize(("length", "fits"), [(59, True), (60, False)])
def test_a_functions_name_has_at_most_64_characters(length, fits):
    flow = dataclasses.replace(FLOW, key="k" * length)
    if fits:
        assert len(together([flow], "shop")[0].function_name("shop")) == 64
    else:
        with pytest.raises(RefusedError, match=r"has 65 characters and AWS takes 64"):
            together([flow], "shop")


@pytest.mark.parametrize(("length", "fits"), [(59, True), (60, False)])
def test_a_dispatchers_name_has_at_most_64_characters(length, fits):
    flow = dataclasses.replace(FLOW, schedule="rate(1 hour)", dispatcher="d" * length)
    if fits:
        assert together([flow], "shop")
    else:
        with pytest.raises(RefusedError, match=r"'image_processing'.*dispatcher.*has 65 characters and AWS takes 64"):
            together([flow], "shop")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"key": "api"}, "key 'api' is the name of the program's own function 'api'"),
        ({"key": "job_sweeper"}, "key 'job_sweeper' is the name of the program's own function"),
        ({"schedule": "rate(1 hour)", "dispatcher": "api"}, "dispatcher 'api' is the name of the program's own"),
        ({"schedule": "rate(1 hour)", "dispatcher": "image_processing"}, "dispatcher 'image_processing' .* the flow"),
        ({"schedule": "rate(1 hour)", "dispatcher": "other"}, "dispatcher 'other' is the name of the flow 'other'"),
    ],
)
def test_a_function_that_the_stack_has_already_is_refused(changed, words):
    other = dataclasses.replace(FLOW, key="other", queue="other")
    with pytest.raises(RefusedError, match=words):
        together([dataclasses.replace(FLOW, **changed), other], "shop", functions=("api", "job_sweeper", "migrate"))


def test_all_that_is_wrong_with_a_flow_is_said_at_once():
    with pytest.raises(RefusedError) as refused:
        dataclasses.replace(FLOW, timeout=901, memory=1, queue="Images", producers=("api", "api"))
    for words in ("timeout is 901 s", "memory is 1 MB", "queue 'Images'", "producer 'api'"):
        assert words in str(refused.value)
    kinds: dict[str, Any] = {"timeout": "60", "memory": "256", "producers": "api"}
    with pytest.raises(RefusedError, match=r"timeout is '60'.* memory is '256'.* producers is 'api'"):
        dataclasses.replace(FLOW, **kinds)


def test_all_that_is_wrong_with_the_flows_of_a_stack_is_said_at_once():
    flow = dataclasses.replace(FLOW, producers=("apii",))
    with pytest.raises(RefusedError) as refused:
        together([flow, flow, dataclasses.replace(FLOW, key="k" * 70, queue="other")], "shop", producers=("api",))
    for words in ("the key 'image_processing'", "the queue 'image-processing'", "'apii'", "has 75 characters"):
        assert words in str(refused.value)


def test_a_producer_that_no_function_is_would_get_its_grants_nowhere_and_is_refused():
    flow = dataclasses.replace(FLOW, producers=("apii",))
    with pytest.raises(RefusedError, match=r"producer 'apii' is no function .* one of api, sweeper"):
        together([flow], "shop", producers=("sweeper", "api"))


@pytest.mark.parametrize("prefix", [None, ("books/",), "", "books", "/books/", "books/*", "*/", "b?/"])
@pytest.mark.parametrize("need", [ReadObjects, ReadObjectVersions, WriteObjects, DeleteObjects])
def test_a_need_that_names_no_folder_is_refused(need, prefix):
    with pytest.raises(RefusedError, match=need.__name__):
        need(prefix)


def test_the_registrys_entry_is_the_declaration_under_the_stacks_names():
    flow = dataclasses.replace(FLOW, producers=("b", "a"), needs=(SendTo("x"),))
    assert flow.registry_entry("shop-prod", "SHOP_", deployed=True) == {
        "key": "image_processing",
        "queue_name": "shop-prod-image-processing",
        "dead_letter_queue_name": "shop-prod-image-processing-dlq",
        "function_name": "shop-prod-image-processing",
        "deployed": True,
        "variable": "SHOP_IMAGE_PROCESSING_QUEUE_NAME",
        "timeout": 300,
        "receives": 5,
        "visibility_timeout": 1800,
        "oldest_message_threshold": 3600,
        "backlog_threshold": 1000,
        "producers": ["a", "b"],
        "schedule": None,
    }


def test_a_dispatcher_is_one_of_the_senders_and_no_producer():
    flow = dataclasses.replace(FLOW, producers=("api",), schedule="rate(1 hour)", dispatcher="caller")
    assert (flow.producers, flow.senders) == (("api",), ("api", "caller"))
    entry = flow.registry_entry("shop", deployed=True)
    assert (entry["producers"], entry["schedule"], entry["deployed"]) == (["api", "caller"], "rate(1 hour)", True)
    entry = flow.registry_entry("shop", deployed=False)
    assert (entry["producers"], entry["schedule"], entry["deployed"]) == (["api"], None, False)
    assert together([flow], "shop", producers=("api",)) == (flow,)


def test_two_flows_of_one_dispatcher_are_refused():
    flow = dataclasses.replace(FLOW, schedule="rate(1 hour)", dispatcher="caller")
    with pytest.raises(RefusedError, match="Two flows have the dispatcher 'caller'"):
        together([flow, dataclasses.replace(flow, key="other", queue="other")], "shop")


@pytest.mark.parametrize("schedule", ["rate(5 minutes)", "rate(1 day)", "rate(10 hours)", "cron(0 12 * * ? *)"])
def test_a_schedule_of_eventbridge_is_taken(schedule):
    assert dataclasses.replace(FLOW, schedule=schedule, dispatcher="caller")


#: facts of the system that is replaced: suffix of the queue, timeout s, memory MB, who sends
FACTS = {
    "image_processing": ("image-processing", 300, 7168, {"api", "job_sweeper"}),
    "analysis": ("analysis-jobs", 600, 256, {"api"}),
    "eval_runbook": ("eval-runbook-jobs", 600, 256, {"api"}),
    "profile_generation": ("profile-generation-jobs", 600, 256, {"api"}),
    "entity_enrichment": ("entity-enrichment-jobs", 600, 256, {"api"}),
    "tracking": ("tracking-jobs", 60, 512, {"tracking_dispatcher"}),
}


@pytest.mark.parametrize("prefix", ["bluemoxon-local", "bluemoxon-staging", "bluemoxon-prod"])
def test_the_catalogue_is_the_contracts_six_flows(prefix):
    made = {
        flow.key: (flow.queue_name(prefix), flow.timeout, flow.memory, set(flow.senders)) for flow in catalogue(prefix)
    }
    assert made == {key: (f"{prefix}-{suffix}", *others) for key, (suffix, *others) in FACTS.items()}


@pytest.mark.parametrize("prefix", ["bluemoxon-local", "bluemoxon-staging", "bluemoxon-prod"])
def test_the_catalogue_keeps_the_contract_of_the_image_flow(prefix):
    (flow,) = [flow for flow in catalogue(prefix) if flow.key == "image_processing"]
    assert flow.queue_name(prefix) == f"{prefix}-image-processing"
    assert flow.dead_letter_queue_name(prefix) == f"{prefix}-image-processing-dlq"
    assert "BMX_" + flow.variable == "BMX_IMAGE_PROCESSING_QUEUE_NAME"
    assert (flow.timeout, flow.memory) == (300, 7168)
    assert "api" in flow.producers
