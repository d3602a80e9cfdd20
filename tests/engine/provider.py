"""A provider in memory that does what a scenario's step tells it, and writes down what it was asked.

It serves any package and any resource type. The property ``identity`` forces replacement everywhere; a type may name
others (``REPLACES``). What it makes lives in ``objects`` and outlasts an engine that is killed, like a cloud.
It shares no line with the embedded engine, which is measured with it: not even how a secret is written on the wire.
"""

import copy
import dataclasses
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf import any_pb2, empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

#: Property names that force replacement, by type, as terraform-provider-aws has them
#: (``internal/service/rds/instance.go``, ``ForceNew: true``).
REPLACES = {"aws:rds/instance:Instance": frozenset({"identifier", "username", "dbName", "engine", "storageEncrypted"})}


@dataclasses.dataclass(frozen=True)
class Script:
    """What the provider does differently during one step; names are the resources' own.

    Attributes
    ----------
    fails
        ``"create name"`` (or update, delete, read) to the message that it fails with.
    half_made
        Names whose creation makes the object and then reports that it never became healthy.
    refuses
        ``name`` to ``property: reason``, a failure of Check.
    drift
        Objects by name, and the properties that somebody changed by hand beforehand.
    vanished
        Objects that somebody deleted by hand beforehand.
    existing
        Objects by id that nobody's program made, with their properties: what an import finds.
    hangs
        ``"create name"``: the call is taken and never answered; the runner kills the engine there.
    """

    fails: Mapping[str, str] = dataclasses.field(default_factory=dict)
    half_made: tuple[str, ...] = ()
    refuses: Mapping[str, str] = dataclasses.field(default_factory=dict)
    drift: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    vanished: tuple[str, ...] = ()
    existing: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    hangs: str = ""


def secret(value: Any) -> dict[str, Any]:
    """A value marked secret, as it is written on the wire."""
    return {SIGNATURE: SECRET, "value": value}


def plain(value: Any) -> Any:
    """Turn a wire value into what a transcript says: ``{"secret": …}``, ``"<unknown>"``, whole numbers as int."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            return {"secret": plain(value["value"])}
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return "<unknown>" if value == UNKNOWN else value


def bare(value: Any) -> Any:
    """Take the secret marks off, to compare values as a cloud would."""
    if isinstance(value, dict):
        return bare(value["value"]) if value.get(SIGNATURE) == SECRET else {k: bare(v) for k, v in value.items()}
    return [bare(item) for item in value] if isinstance(value, list) else value


def struct(values: dict[str, Any]) -> struct_pb2.Struct:
    """A protobuf Struct of these values."""
    return json_format.ParseDict(values, struct_pb2.Struct())


class ScriptedProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Create, read, update and delete objects in memory; see the module's docstring."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.objects: dict[str, dict[str, Any]] = {}
        self.hanging = threading.Event()
        self._released = threading.Event()
        self._made: Counter[str] = Counter()
        self._script = Script()
        self._lock = threading.Lock()

    def begin(self, script: Script) -> None:
        """Forget the calls so far and play ``script`` from now on."""
        self.calls, self._script = [], script
        self.hanging.clear()
        self._released.clear()
        for identifier in list(self.objects):
            name = identifier.rsplit("-", 1)[0]
            for key, value in script.drift.get(name, {}).items():
                self.objects[identifier][key] = _like(self.objects[identifier].get(key), value)
            if name in script.vanished:
                del self.objects[identifier]
        self.objects.update({key: dict(value) for key, value in copy.deepcopy(dict(script.existing)).items()})

    def release(self) -> None:
        """Let go of the call that hangs."""
        self._released.set()

    # What an engine asks before it begins.

    def Handshake(self, request, context):  # noqa: N802
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def GetPluginInfo(self, request, context):  # noqa: N802
        return plugin_pb2.PluginInfo(version="1.0.0")

    def GetSchema(self, request, context):  # noqa: N802
        return provider_pb2.GetSchemaResponse(schema="{}")

    def Attach(self, request, context):  # noqa: N802
        return empty_pb2.Empty()

    def Cancel(self, request, context):  # noqa: N802
        self.release()
        return empty_pb2.Empty()

    def CheckConfig(self, request, context):  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request, context):  # noqa: N802
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request, context):  # noqa: N802
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Invoke(self, request, context):  # noqa: N802
        arguments = json_format.MessageToDict(request.args)
        self.calls.append({"urn": request.tok, "method": "invoke", "inputs": plain(arguments)})
        answer: Any = {"return": struct({"answer": f"answer to {bare(arguments)}"})}
        return provider_pb2.InvokeResponse(**answer)

    # What it asks of one resource.

    def Check(self, request, context):  # noqa: N802
        refused = self._script.refuses.get(_name(request.urn))
        if refused is not None:
            name, _, reason = refused.partition(": ")
            failure = provider_pb2.CheckFailure(property=name, reason=reason)
            return provider_pb2.CheckResponse(failures=[failure])
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request, context):  # noqa: N802
        old, new = (json_format.MessageToDict(bag) for bag in (request.old_inputs, request.news))
        replaces = REPLACES.get(_type(request.urn), frozenset({"identity"}))
        answer = provider_pb2.DiffResponse(hasDetailedDiff=True, changes=provider_pb2.DiffResponse.DIFF_NONE)
        for key in sorted(old.keys() | new.keys()):
            if bare(old.get(key)) == bare(new.get(key)):
                continue
            kind = "ADD" if key not in old else "DELETE" if key not in new else "UPDATE"
            if key in replaces:
                kind += "_REPLACE"
                answer.replaces.append(key)
            answer.changes = provider_pb2.DiffResponse.DIFF_SOME
            answer.diffs.append(key)
            answer.detailedDiff[key].CopyFrom(
                provider_pb2.PropertyDiff(kind=getattr(provider_pb2.PropertyDiff, kind), inputDiff=True)
            )
        return answer

    def Create(self, request, context):  # noqa: N802
        inputs = json_format.MessageToDict(request.properties)
        name = _name(request.urn)
        if request.preview:
            return provider_pb2.CreateResponse(properties=struct(inputs | {"arn": UNKNOWN}))
        self._take("create", request.urn, "", inputs, context)
        with self._lock:
            self._made[name] += 1
            identifier = f"{name}-{self._made[name]}"
            outputs = inputs | {"arn": f"arn:{identifier}"}
            self.objects[identifier] = outputs
        if name in self._script.half_made:
            self._half_made(identifier, outputs, inputs, context)
        return provider_pb2.CreateResponse(id=identifier, properties=struct(outputs))

    def Read(self, request, context):  # noqa: N802
        self._take("read", request.urn, request.id, None, context)
        found = self.objects.get(request.id)
        if found is None:
            return provider_pb2.ReadResponse(id="")
        inputs = {key: value for key, value in found.items() if key != "arn"}
        outputs = {"arn": f"arn:{request.id}"} | found
        return provider_pb2.ReadResponse(id=request.id, inputs=struct(inputs), properties=struct(outputs))

    def Update(self, request, context):  # noqa: N802
        inputs = json_format.MessageToDict(request.news)
        outputs = inputs | {"arn": f"arn:{request.id}"}
        if request.preview:
            return provider_pb2.UpdateResponse(properties=struct(outputs))
        self._take("update", request.urn, request.id, inputs, context)
        self.objects[request.id] = outputs
        return provider_pb2.UpdateResponse(properties=struct(outputs))

    def Delete(self, request, context):  # noqa: N802
        self._take("delete", request.urn, request.id, None, context)
        self.objects.pop(request.id, None)
        return empty_pb2.Empty()

    def _take(self, method: str, urn: str, identifier: str, inputs: Any, context: grpc.ServicerContext) -> None:
        """Write the call down, then hang or fail where the script says so."""
        call: dict[str, Any] = {"urn": urn, "method": method}
        if identifier:
            call["id"] = identifier
        if inputs is not None:
            call["inputs"] = plain(inputs)
        self.calls.append(call)
        action = f"{method} {_name(urn)}"
        if action == self._script.hangs:
            self.hanging.set()
            self._released.wait(60)
            context.abort(grpc.StatusCode.CANCELLED, "the engine went away")
        if action in self._script.fails:
            context.abort(grpc.StatusCode.UNKNOWN, self._script.fails[action])

    @staticmethod
    def _half_made(identifier: str, outputs: Any, inputs: Any, context: grpc.ServicerContext) -> None:
        detail = provider_pb2.ErrorResourceInitFailed(
            id=identifier, properties=struct(outputs), inputs=struct(inputs), reasons=["it never became healthy"]
        )
        packed = any_pb2.Any()
        packed.Pack(detail)
        code = grpc.StatusCode.UNKNOWN
        status = status_pb2.Status(code=code.value[0], message="it never became healthy", details=[packed])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, "it never became healthy")


def by_urn(calls: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Group calls by URN; each resource's own are in the order in which they came."""
    grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for call in calls:
        grouped[call["urn"]].append({key: value for key, value in call.items() if key != "urn"})
    return dict(sorted(grouped.items()))


@contextmanager
def serving(provider: ScriptedProvider) -> Iterator[int]:
    """Serve ``provider`` on 127.0.0.1 and give the port."""
    server = grpc.server(futures.ThreadPoolExecutor(16))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        provider.release()
        server.stop(0).wait()


def _like(old: Any, value: Any) -> Any:
    """Mark the value secret where the old one is, as providers do with properties that are always sensitive."""
    return secret(value) if isinstance(old, dict) and old.get(SIGNATURE) == SECRET else value


def _name(urn: str) -> str:
    return urn.rsplit("::", 1)[1]


def _type(urn: str) -> str:
    return urn.split("::")[2].rsplit("$", 1)[-1]
