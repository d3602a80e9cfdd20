"""The real programs as the engine shows them to a policy pack: each stack once a session."""

from concurrent import futures
from dataclasses import dataclass
from functools import cache
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import analyzer_pb2_grpc

from policies.model import Resource, Stack
from tests.policies.wire import Recorder, resource_of, resources_of
from tests.program.harness import said
from tests.program.stacks import harness


@dataclass(frozen=True)
class Shown:
    """What one run of a stack showed: the requests themselves, and the same as plain data."""

    inputs: list[Any]
    stack: object
    resources: list[Resource]
    outputs: Stack


@pytest.fixture(scope="session")
def shown(tmp_path_factory):
    """Return what `shown(stack, kind)` showed, asked once each."""
    recorder = Recorder()
    server = grpc.server(futures.ThreadPoolExecutor(8))
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(recorder, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()

    @cache
    def show(stack, kind="up"):
        recorder.inputs.clear()
        with harness(stack, tmp_path_factory.mktemp(stack)) as run:
            run.analyzers = [address]
            outcome = run.preview() if kind == "preview" else run.up(ok=None)
        assert outcome.ok, said(outcome)
        asked = recorder.stacks[-1]
        inputs = list(recorder.inputs)
        return Shown(inputs, asked, [resource_of(each) for each in inputs], Stack(resources_of(asked)))

    yield show
    server.stop(grace=None).wait()
