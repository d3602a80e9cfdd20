"""The pack as a process, asked over the analyzer protocol as the CLI asks it."""

import datetime
import json
import shutil

import grpc
import pytest
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from ops.errors import UserError
from ops.paths import ROOT
from ops.policies import serving
from policies import tokens as t
from policies.rules import RULES
from tests.policies.building import CANARY
from tests.policies.wire import UNSETTLED, secret
from tests.program.harness import Harness, said

MANDATORY, ADVISORY = analyzer_pb2.MANDATORY, analyzer_pb2.ADVISORY


@pytest.fixture(scope="module")
def pack():
    with serving() as address, grpc.insecure_channel(address) as channel:
        yield analyzer_pb2_grpc.AnalyzerStub(channel)


def copied(folder, waivers):
    """Copy the pack, to serve it with other waivers."""
    shutil.copytree(ROOT / "policies", folder / "policies", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "components", folder / "components", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "policies" / "waivers.toml").write_text(waivers)
    return folder / "policies"


def queue(**props):
    struct = struct_pb2.Struct()
    tags = {"project": "probe", "environment": "dev"}
    json_format.ParseDict({"name": "probe-dev-q", "tags": tags, **props}, struct)
    urn = f"urn:pulumi:dev::probe::{t.QUEUE}::q"
    return analyzer_pb2.AnalyzeRequest(type=t.QUEUE, name="q", urn=urn, properties=struct)


def answers(response):
    return {(d.policyName, d.enforcementLevel) for d in response.diagnostics}


def test_the_pack_has_every_rule_and_each_is_mandatory_unless_it_says_otherwise(pack):
    levels = {p.name: p.enforcementLevel for p in pack.GetAnalyzerInfo(empty_pb2.Empty()).policies}
    expected = {rule.name: MANDATORY if rule.mandatory else ADVISORY for rule in RULES}
    assert levels == {**expected, "waiver-expired": MANDATORY, "waiver-unused": ADVISORY}
    assert [rule.name for rule in RULES if not rule.mandatory] == ["import-ends"]


def test_a_violation_names_resource_property_and_remedy_and_the_urn(pack):
    (only,) = pack.Analyze(queue(sqsManagedSseEnabled=False)).diagnostics
    assert only.policyName == "queue-encrypted"
    assert "sqsManagedSseEnabled of 'q' is not true, and there is no kmsMasterKeyId. Set sqsManaged" in only.message
    assert only.urn.endswith("::q")


def test_an_unknown_value_is_neither_reported_nor_does_it_skip_the_rule(pack):
    redrive = json.dumps({"maxReceiveCount": 1})
    assert not pack.Analyze(queue(sqsManagedSseEnabled=UNSETTLED)).diagnostics
    found = answers(pack.Analyze(queue(name=UNSETTLED, sqsManagedSseEnabled=UNSETTLED, redrivePolicy=redrive)))
    assert found == {("queue-receives", MANDATORY)}


def test_a_secret_value_is_judged_and_never_told(pack):
    request = queue(sqsManagedSseEnabled=secret(True), redrivePolicy=secret(CANARY))
    (only,) = pack.Analyze(request).diagnostics
    assert only.policyName == "queue-receives"
    assert CANARY not in str(only)


@pytest.mark.slow
def test_the_real_program_passes_through_the_real_protocol(pack, shown):
    local = shown("local")
    found = [d for each in local.inputs for d in pack.Analyze(each).diagnostics]
    assert not [*found, *pack.AnalyzeStack(local.stack).diagnostics]


PROGRAM = """
import pulumi
class Queue(pulumi.CustomResource):
    def __init__(self):
        tags = {"project": "probe", "environment": "dev"}
        super().__init__("aws:sqs/queue:Queue", "q", {"name": "probe-dev-q", "tags": tags})
Queue()
"""


def test_a_deployment_that_violates_a_rule_makes_nothing(tmp_path):
    with serving() as address, Harness(tmp_path, PROGRAM, analyzers=[address]) as run:
        for outcome in (run.preview(), run.up(ok=False)):
            assert not outcome.ok
            assert "[bluemoxon: queue-encrypted] A queue is encrypted at rest." in said(outcome)
        assert run.provider.changes() == []


WAIVER = """
[[waiver]]
rule = "queue-encrypted"
resource = "q"
stack = "dev"
owner = "somebody@example.com"
reason = "a test"
expires = {expires}
"""


@pytest.mark.parametrize("days", [1, -1])
def test_a_waiver_waives_until_its_day_and_fails_the_run_after_it(tmp_path, days):
    expires = datetime.datetime.now(tz=datetime.UTC).date() + datetime.timedelta(days=days)
    folder = copied(tmp_path, WAIVER.format(expires=expires))
    with serving(folder) as address, grpc.insecure_channel(address) as channel:
        pack = analyzer_pb2_grpc.AnalyzerStub(channel)
        request = queue()
        resource = analyzer_pb2.AnalyzerResource(type=t.STACK, name="s", urn=f"urn:pulumi:dev::probe::{t.STACK}::s")
        whole = analyzer_pb2.AnalyzeStackRequest(resources=[resource])
        if days > 0:
            assert answers(pack.AnalyzeStack(whole)) == {("waiver-unused", ADVISORY)}
            assert not pack.Analyze(request).diagnostics
            assert not pack.AnalyzeStack(whole).diagnostics
        else:
            assert answers(pack.Analyze(request)) == {("queue-encrypted", MANDATORY)}
            assert answers(pack.AnalyzeStack(whole)) == {("waiver-expired", MANDATORY)}


def test_a_waiver_without_expiry_keeps_the_pack_from_starting_and_says_why(tmp_path):
    folder = copied(tmp_path, WAIVER.format(expires="").replace("expires = ", ""))
    with (
        pytest.raises(UserError, match=r"did not start: policies: waivers.toml, waiver 1: expires is missing"),
        serving(folder),
    ):
        pass


def test_the_packs_process_ends_with_the_block():
    with serving() as address:
        pass
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.FutureTimeoutError):
        grpc.channel_ready_future(channel).result(0.5)
