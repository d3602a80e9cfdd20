"""Policies: each grant limited to what its need names, packed into documents that IAM takes."""

import json

import pulumi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components import iam
from components.iam import LONGEST_ARN, LONGEST_POLICY, Statement, documents
from components.needs import DeleteObjects, ReadObjects, TellMissingObjects, WriteObjects
from components.refused import RefusedError
from components.unscoped import RUNNING_ACTIONS, UNSCOPED_ACTIONS

BUCKET = "arn:aws:s3:::shop-images"
QUEUE = "arn:aws:sqs:us-west-2:123456789012:shop-orders"
GROUP = "arn:aws:logs:us-west-2:123456789012:log-group:/aws/lambda/shop-orders"


async def known(output):
    return await pulumi.Output.from_input(output).future()


def run(awaitable):
    import asyncio

    return asyncio.run(awaitable)


def allowed(statements) -> set[tuple[str, str]]:
    """Render statements, and return every pair of action and resource that they allow."""

    async def render():
        return [json.loads(await known(iam.policy(document))) for document in documents(statements())]

    pairs = set()
    for document in run(render()):
        assert document["Version"] == "2012-10-17"
        for statement in document["Statement"]:
            assert statement.keys() == {"Effect", "Action", "Resource"}
            assert statement["Effect"] == "Allow"
            pairs |= {(action, resource) for action in statement["Action"] for resource in statement["Resource"]}
    return pairs


def test_reading_is_limited_to_the_prefix():
    assert allowed(lambda: iam.object_statements(ReadObjects("books/"), BUCKET)) == {
        ("s3:GetObject", f"{BUCKET}/books/*")
    }


def test_writing_is_limited_to_the_prefix_and_reads_nothing():
    assert allowed(lambda: iam.object_statements(WriteObjects("books/"), BUCKET)) == {
        ("s3:PutObject", f"{BUCKET}/books/*")
    }


def test_deleting_is_limited_to_the_prefix_and_neither_reads_nor_writes():
    assert allowed(lambda: iam.object_statements(DeleteObjects("books/"), BUCKET)) == {
        ("s3:DeleteObject", f"{BUCKET}/books/*")
    }


def test_telling_missing_objects_apart_is_the_buckets_own_action():
    assert allowed(lambda: iam.object_statements(TellMissingObjects(), BUCKET)) == {("s3:ListBucket", BUCKET)}


def test_a_producer_finds_its_queue_and_sends_to_it_and_no_more():
    assert allowed(lambda: iam.producer_statements(QUEUE)) == {
        ("sqs:SendMessage", QUEUE),
        ("sqs:GetQueueUrl", QUEUE),
    }


def test_a_consumer_gets_what_its_mapping_asks_for_and_cannot_send():
    assert allowed(lambda: iam.consumer_statements(QUEUE)) == {
        ("sqs:ReceiveMessage", QUEUE),
        ("sqs:DeleteMessage", QUEUE),
        ("sqs:GetQueueAttributes", QUEUE),
    }


def test_a_function_writes_to_its_own_log_group_and_cannot_make_one():
    assert allowed(lambda: iam.log_statements(GROUP)) == {
        ("logs:CreateLogStream", f"{GROUP}:*"),
        ("logs:PutLogEvents", f"{GROUP}:*"),
    }


def test_every_action_on_everything_is_listed_with_a_reason():
    pairs = allowed(iam.unscoped_statements)
    assert pairs == {(action, "*") for action in RUNNING_ACTIONS}
    assert all(len(reason.split()) > 3 for reason in UNSCOPED_ACTIONS.values())


@pytest.mark.parametrize("action", ["sqs:*", "s3:Get*", "*", "s3:GetObjec?"])
def test_a_wildcard_in_an_action_is_refused(action):
    with pytest.raises(RefusedError, match="without a wildcard"):
        Statement((action,), (QUEUE,))


def test_everything_as_a_resource_is_refused_for_an_action_that_aws_limits():
    with pytest.raises(RefusedError, match=r"sqs:SendMessage would be allowed on every resource"):
        Statement(("xray:PutTraceSegments", "sqs:SendMessage"), ("*",))


@pytest.mark.parametrize(
    "resource",
    [
        f"{BUCKET}/*",
        f"{BUCKET}*",
        "arn:aws:s3:::*",
        "arn:aws:s3:::*/books/*",
        f"{BUCKET}/books/*/x",
        "arn:aws:sqs:us-west-2:123456789012:*",
        "arn:aws:sqs:*:123456789012:shop-orders",
        "arn:aws:logs:us-west-2:123456789012:log-group:*",
        "arn:aws:logs:us-west-2:123456789012:log-group:*:*",
        "arn:aws:secretsmanager:us-west-2:123456789012:secret:shop/*",
        "**",
    ],
)
def test_a_resource_that_reaches_further_than_one_thing_is_refused(resource):
    with pytest.raises(RefusedError, match="name one resource"):
        Statement(("s3:GetObject",), (resource,))


def test_a_resource_that_turns_out_to_be_everything_is_refused_when_it_is_known():
    async def render():
        return await known(iam.policy([Statement(("s3:GetObject",), (pulumi.Output.from_input("*"),))]))

    with pytest.raises(RefusedError, match="every resource"):
        run(render())


@pytest.mark.parametrize("resource", [f"{BUCKET}/books/*", f"{GROUP}:*", QUEUE, BUCKET])
def test_one_thing_or_one_folder_is_taken(resource):
    assert Statement(("s3:GetObject",), (resource,)).resources == (resource,)


arns = st.integers(0, 10**6).map(lambda number: f"arn:aws:sqs:us-west-2:123456789012:{number:x>60}")
statements = st.lists(
    st.builds(
        lambda actions, resources: Statement(tuple(actions), tuple(resources)),
        st.sets(st.sampled_from(["sqs:SendMessage", "sqs:GetQueueUrl", "s3:GetObject", "s3:PutObject"]), min_size=1),
        st.lists(arns, min_size=1, max_size=30),
    ),
    min_size=1,
    max_size=12,
)


@given(statements)
@settings(max_examples=50, deadline=None)
def test_packing_allows_exactly_what_was_stated_in_documents_that_iam_takes(stated):
    packed = documents(stated)
    pairs = {(a, r) for document in packed for s in document for a in s.actions for r in s.resources}
    assert pairs == {(a, r) for s in stated for a in s.actions for r in s.resources}
    for document in packed:
        assert len(run(known_policy(document))) <= LONGEST_POLICY


async def known_policy(document):
    return await known(iam.policy(document))


@given(st.integers(1, 200))
@settings(max_examples=25, deadline=None)
def test_documents_are_counted_for_the_longest_arns_before_any_is_known(queues):
    async def render():
        unknown = [pulumi.Output.from_input(f"{number:x>{LONGEST_ARN}}") for number in range(queues)]
        packed = documents([Statement(("sqs:SendMessage",), tuple(unknown))])
        return [await known(iam.policy(document)) for document in packed]

    written = run(render())
    assert all(len(document) <= LONGEST_POLICY for document in written)
    assert sum(len(json.loads(document)["Statement"][0]["Resource"]) for document in written) == queues


def test_the_grants_of_a_producer_of_25_flows_fit_a_role():
    def every_flow():
        for number in range(25):
            yield from iam.producer_statements(pulumi.Output.from_input(f"{QUEUE}-{number}"))

    assert len(allowed(every_flow)) == 25 * 2


def test_more_grants_than_a_role_takes_are_refused():
    many = [Statement(("sqs:SendMessage",), (f"{number:x>{LONGEST_ARN}}",)) for number in range(400)]
    with pytest.raises(RefusedError, match=r"a role takes 10"):
        documents(many)


def test_an_arn_longer_than_was_reckoned_with_is_refused_rather_than_cut():
    async def render():
        long = tuple(pulumi.Output.from_input(f"{number:x>1500}") for number in range(5))
        return [await known(iam.policy(document)) for document in documents([Statement(("s3:GetObject",), long)])]

    with pytest.raises(RefusedError, match="AWS takes 6,144"):
        run(render())


def test_the_tls_only_policy_denies_everybody_every_call_without_tls():
    async def render():
        return json.loads(await known(iam.tls_only("sqs:*", QUEUE)))

    (statement,) = run(render())["Statement"]
    assert statement == {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:*",
        "Resource": QUEUE,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
