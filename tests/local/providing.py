"""A client of the provider as the engine is one, over gRPC, against moto in a server of its own."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import grpc
import pytest
from moto.server import ThreadedMotoServer
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from local import apigateway, ec2, rds_groups, rds_record, sqs
from local.provider import serve
from local.resources.values import Values, decode, encode

CREDENTIALS = ("test", "test", None)
REGION = "us-west-2"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}},
        ],
    }
)

# What an instance needs at least; who looks at its password says whose it is.
DATABASE: Values = {
    "identifier": "db",
    "instanceClass": "db.t4g.micro",
    "engine": "postgres",
    "engineVersion": "16",
    "allocatedStorage": 20,
    "username": "master",
    "skipFinalSnapshot": True,
}


@dataclass
class Made:
    """A resource as the engine's state would hold it."""

    type: str
    name: str
    id: str
    inputs: Values
    outputs: Values
    secrets: frozenset[str]


@dataclass
class Difference:
    """What Diff answered."""

    changed: bool
    detailed: dict[str, str]
    replaces: list[str]
    before: bool


@dataclass
class Providing:
    """The calls that an engine makes, with plain values."""

    endpoint: str
    stub: Any
    names: int = 0
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """Return an administrator's boto3 client of the same cloud."""
        if service not in self._clients:
            connect_to: Any = boto3.client
            self._clients[service] = connect_to(
                service,
                endpoint_url=self.endpoint,
                region_name=REGION,
                aws_access_key_id="test",
                aws_secret_access_key="test",
            )
        return self._clients[service]

    def check(self, kind: str, inputs: Values, *, name: str = "thing", old: Values | None = None, secret=()):
        """Return (inputs, {property: reason})."""
        answer = self.stub.Check(
            provider_pb2.CheckRequest(
                urn=_urn(kind, name), name=name, type=kind, news=encode(inputs, secret), olds=encode(old or {})
            )
        )
        return decode(answer.inputs)[0], {item.property: item.reason for item in answer.failures}

    def checked(self, kind: str, inputs: Values, *, name: str = "thing", old: Values | None = None) -> Values:
        """Return the inputs with defaults, which must pass."""
        values: Values
        values, failures = self.check(kind, inputs, name=name, old=old)
        assert failures == {}
        return values

    def create(self, kind: str, inputs: Values, *, name: str = "thing", secret=()) -> Made:
        """Check and create."""
        values = self.checked(kind, inputs, name=name)
        answer = self.stub.Create(
            provider_pb2.CreateRequest(urn=_urn(kind, name), name=name, type=kind, properties=encode(values, secret))
        )
        outputs, secrets = decode(answer.properties)
        return Made(kind, name, answer.id, values, outputs, secrets)

    def planned(self, kind: str, inputs: Values) -> Values:
        """Return what a preview of a create promises."""
        values = self.checked(kind, inputs)
        answer = self.stub.Create(
            provider_pb2.CreateRequest(urn=_urn(kind, "thing"), type=kind, properties=encode(values), preview=True)
        )
        return decode(answer.properties)[0]

    def diff(self, made: Made, inputs: Values, ignore: tuple[str, ...] = ()) -> Difference:
        """Check the new inputs and compare them with the state."""
        news = self.checked(made.type, inputs, name=made.name, old=made.inputs)
        answer = self.stub.Diff(
            provider_pb2.DiffRequest(
                id=made.id,
                urn=_urn(made.type, made.name),
                type=made.type,
                olds=encode(made.outputs),
                old_inputs=encode(made.inputs),
                news=encode(news),
                ignoreChanges=ignore,
            )
        )
        kinds = {path: provider_pb2.PropertyDiff.Kind.Name(item.kind) for path, item in answer.detailedDiff.items()}
        changed = answer.changes == provider_pb2.DiffResponse.DIFF_SOME
        return Difference(changed, kinds, list(answer.replaces), answer.deleteBeforeReplace)

    def update(self, made: Made, inputs: Values, *, preview: bool = False) -> Made:
        """Check the new inputs and update in place."""
        news = self.checked(made.type, inputs, name=made.name, old=made.inputs)
        answer = self.stub.Update(
            provider_pb2.UpdateRequest(
                id=made.id,
                urn=_urn(made.type, made.name),
                type=made.type,
                olds=encode(made.outputs),
                old_inputs=encode(made.inputs),
                news=encode(news),
                preview=preview,
            )
        )
        outputs, secrets = decode(answer.properties)
        return Made(made.type, made.name, made.id, news, outputs, secrets)

    def read(self, made: Made) -> Made | None:
        """Refresh."""
        return self._read(made.type, made.id, made.inputs, made.outputs, made.name)

    def imported(self, kind: str, identifier: str) -> Made | None:
        """Read without state, as an import does."""
        return self._read(kind, identifier, {}, {}, "thing")

    def _read(self, kind: str, identifier: str, inputs: Values, outputs: Values, name: str) -> Made | None:
        answer = self.stub.Read(
            provider_pb2.ReadRequest(
                id=identifier, urn=_urn(kind, name), type=kind, inputs=encode(inputs), properties=encode(outputs)
            )
        )
        if not answer.id:
            return None
        values, secrets = decode(answer.properties)
        return Made(kind, name, answer.id, decode(answer.inputs)[0], values, secrets)

    def delete(self, made: Made) -> None:
        """Delete."""
        self.stub.Delete(
            provider_pb2.DeleteRequest(
                id=made.id, urn=_urn(made.type, made.name), type=made.type, properties=encode(made.outputs)
            )
        )

    def role(self, name: str) -> str:
        """Make a role by hand and return its ARN."""
        return str(self.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"])


def connect(endpoint: str, address: str) -> Providing:
    """Return a client of the provider at `address`."""
    return Providing(endpoint, provider_pb2_grpc.ResourceProviderStub(grpc.insecure_channel(address)))


def lifecycle(
    providing: Providing,
    kind: str,
    inputs: Values,
    *,
    imported_by: str | None = None,
    imported_under: str = "",
    not_imported: tuple[str, ...] = (),
) -> Made:
    """Make a resource and hold it to what is true of every driver.

    State equals what is read; the same inputs are no change; a refresh keeps the inputs; an import finds the same
    resource, whose program then shows no change; a preview promises every output.
    """
    planned = providing.planned(kind, inputs)
    made = providing.create(kind, inputs)
    assert made.id
    missing = made.outputs.keys() - planned.keys() - {"region"}
    assert not missing, f"preview did not promise {missing}"
    assert not providing.diff(made, inputs).changed, providing.diff(made, inputs).detailed
    again = providing.read(made)
    assert again is not None
    assert again.outputs == made.outputs
    assert again.inputs.keys() <= made.inputs.keys()
    assert not providing.diff(again, inputs).changed
    found = providing.imported(kind, imported_by or (f"{imported_under}/{made.id}" if imported_under else made.id))
    assert found is not None
    assert found.id == made.id
    difference = providing.diff(found, inputs)
    assert set(difference.detailed) <= set(not_imported), difference.detailed
    return made


def _urn(kind: str, name: str) -> str:
    return f"urn:pulumi:local::bluemoxon::{kind}::{name}"


@pytest.fixture(scope="module")
def sqs_as_aws() -> Iterator[None]:
    """Not for the session: it holds for the whole process, where later files send what it refuses."""
    patches = sqs.install()
    yield
    patches.undo()


@pytest.fixture(scope="session")
def provider_and_cloud() -> Iterator[tuple[str, str]]:
    """Serve moto and the provider over it, once: addresses of both."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    added = [each.install() for each in (apigateway, ec2, rds_groups, rds_record)]
    serving = serve(endpoint, CREDENTIALS)
    yield endpoint, serving.address
    serving.stop()
    for patches in reversed(added):
        patches.undo()
    server.stop()


@pytest.fixture
def providing(provider_and_cloud: tuple[str, str], sqs_as_aws: None) -> Providing:
    """Return a client of the provider over an empty cloud."""
    endpoint, address = provider_and_cloud
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")).close()  # noqa: S310
    return connect(endpoint, address)
