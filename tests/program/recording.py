# ruff: noqa: N802  the methods are named as in the protocol
"""A provider for tests: echoes inputs, makes up what AWS would answer, fails on demand and records every call."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent import futures
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import any_pb2, empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from local.engine.properties import Marshal, unmarshal
from local.engine.values import contains_unknowns, deep_equal, unwrap
from local.wire import UNKNOWN
from tests.program.made_up import INVOKES, made_up


@dataclass(frozen=True)
class Call:
    """One call of a provider method; property maps as received, secrets and unknowns included."""

    method: str
    urn: str = ""
    type: str = ""
    name: str = ""
    id: str = ""
    inputs: Mapping[str, Any] | None = None
    old_inputs: Mapping[str, Any] | None = None
    outputs: Mapping[str, Any] | None = None
    preview: bool = False


class ScriptedError(Exception):
    """Raised by a scripted call to make it fail; ``reasons`` make it a failed initialisation (the resource exists)."""

    def __init__(self, message: str, reasons: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.reasons = list(reasons)


class RecordingProvider(provider_pb2_grpc.ResourceProviderServicer):
    """One provider process, in this process.

    Parameters
    ----------
    package
        The package it serves.
    force_new
        Type token to the input properties that force a replacement when they change.
    delete_first
        Type tokens that have to be deleted before their replacement is created.

    Attributes
    ----------
    calls
        Every call of a resource or function method, in order.
    live
        What exists: id to (type, inputs, outputs). Change it to make drift.
    drop_secrets
        Set to make the provider say that it does not know secrets.
    """

    def __init__(
        self,
        package: str = "aws",
        force_new: Mapping[str, Iterable[str]] | None = None,
        delete_first: Iterable[str] = (),
    ) -> None:
        self.package = package
        self.force_new = {type_: set(keys) for type_, keys in (force_new or {}).items()}
        self.delete_first = set(delete_first)
        self.calls: list[Call] = []
        self.live: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {}
        self.configured: list[dict[str, Any]] = []
        self.invokes: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = dict(INVOKES)
        self.drop_secrets = False
        self.supports_preview = True
        self.check_failures: dict[str, list[tuple[str, str]]] = {}
        self.defaults: dict[str, dict[str, Any]] = {}
        self._scripts: list[tuple[str, str, Callable[[Call], None]]] = []
        self._made: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = grpc.server(futures.ThreadPoolExecutor(32))
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.stop(grace=None).wait()

    def script(self, method: str, name: str, action: Callable[[Call], None]) -> None:
        """Run an action at each call of a method for a resource; it may raise `ScriptedError`, wait, or look around."""
        self._scripts.append((method, name, action))

    def fail(self, method: str, name: str, message: str, *, reasons: Iterable[str] = (), times: int = 1) -> None:
        """Make the next ``times`` calls of a method for a resource name fail."""
        left = [times]

        def action(call: Call) -> None:
            if left[0] and not call.preview:
                left[0] -= 1
                raise ScriptedError(message, reasons)

        self.script(method, name, action)

    def of(self, *methods: str, preview: bool | None = None) -> list[Call]:
        """List the calls of the given methods."""
        return [c for c in self.calls if c.method in methods and preview in (None, c.preview)]

    def changes(self) -> list[tuple[str, str]]:
        """List (method, name) of every call that changed something, in order."""
        return [(c.method, c.name) for c in self.of("Create", "Update", "Delete", preview=False)]

    # --- the service ----------------------------------------------------------------------------------------------

    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version="7.51.1")

    def Attach(self, request, context):
        return empty_pb2.Empty()

    def CheckConfig(self, request, context):
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request, context):
        return provider_pb2.DiffResponse()

    def Configure(self, request, context):
        self.configured.append(unmarshal(request.args))
        return provider_pb2.ConfigureResponse(
            acceptSecrets=not self.drop_secrets,
            acceptResources=True,
            acceptOutputs=False,
            supportsPreview=self.supports_preview,
        )

    def Cancel(self, request, context):
        self.calls.append(Call("Cancel"))
        return empty_pb2.Empty()

    def Check(self, request, context):
        news = unmarshal(request.news)
        call = self._record(request, "Check", context, inputs=news, old_inputs=unmarshal(request.olds))
        inputs = {**self.defaults.get(call.type, {}), **news}
        failures = self.check_failures.get(call.name, [])
        return provider_pb2.CheckResponse(
            inputs=Marshal().struct(inputs),
            failures=[provider_pb2.CheckFailure(property=key, reason=why) for key, why in failures],
        )

    def Diff(self, request, context):
        old, new = unmarshal(request.old_inputs), unmarshal(request.news)
        call = self._record(request, "Diff", context, inputs=new, old_inputs=old, outputs=unmarshal(request.olds))
        changed = [k for k in sorted(old.keys() | new.keys()) if not _equal(old.get(k), new.get(k))]
        changed = [k for k in changed if k not in request.ignoreChanges]
        forced = [k for k in changed if k in self.force_new.get(call.type, ())]
        kinds = provider_pb2.PropertyDiff
        detailed = {}
        for key in changed:
            kind = "ADD" if key not in old else "DELETE" if key not in new else "UPDATE"
            detailed[key] = kinds(kind=kinds.Kind.Value(f"{kind}_REPLACE" if key in forced else kind), inputDiff=True)
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE,
            replaces=forced,
            diffs=changed,
            detailedDiff=detailed,
            hasDetailedDiff=True,
            deleteBeforeReplace=call.type in self.delete_first,
        )

    def Create(self, request, context):
        inputs = unmarshal(request.properties)
        call = self._record(request, "Create", context, inputs=inputs, preview=request.preview)
        number = self._made[call.urn] + 1
        id_, extra = made_up(call.type, call.name, number, inputs)
        if request.preview:
            outputs = {**dict.fromkeys(extra, UNKNOWN), **inputs}
            return provider_pb2.CreateResponse(properties=Marshal().struct(outputs))
        outputs = {**extra, **inputs}
        with self._lock:
            self._made[call.urn] = number
            self.live[id_] = (call.type, inputs, outputs)
        self._scripted(call, context, id_, outputs, inputs)
        return provider_pb2.CreateResponse(id=id_, properties=Marshal().struct(outputs))

    def Update(self, request, context):
        inputs = unmarshal(request.news)
        old = unmarshal(request.olds)
        old_inputs = unmarshal(request.old_inputs)
        call = self._record(
            request, "Update", context, inputs=inputs, old_inputs=old_inputs, id=request.id, preview=request.preview
        )
        kept = {k: v for k, v in old.items() if k not in old_inputs}
        outputs = {**kept, **inputs}
        if not request.preview:
            self.live[request.id] = (call.type, inputs, outputs)
            self._scripted(call, context, request.id, outputs, inputs)
        return provider_pb2.UpdateResponse(properties=Marshal().struct(outputs))

    def Read(self, request, context):
        self._record(request, "Read", context, id=request.id, inputs=unmarshal(request.inputs))
        found = self.live.get(request.id)
        if found is None:
            return provider_pb2.ReadResponse()
        _, inputs, outputs = found
        return provider_pb2.ReadResponse(
            id=request.id, inputs=Marshal().struct(inputs), properties=Marshal().struct(outputs)
        )

    def Delete(self, request, context):
        self._record(request, "Delete", context, id=request.id, old_inputs=unmarshal(request.old_inputs))
        self.live.pop(request.id, None)
        return empty_pb2.Empty()

    def Invoke(self, request, context):
        args = unmarshal(request.args)
        self.calls.append(Call("Invoke", name=request.tok, inputs=args, preview=request.preview))
        function = self.invokes.get(request.tok)
        if function is None:
            return context.abort(grpc.StatusCode.UNKNOWN, f"the recording provider has no function {request.tok}")
        response = provider_pb2.InvokeResponse()
        getattr(response, "return").CopyFrom(Marshal().struct(function(unwrap(args))))
        return response

    # --- how ------------------------------------------------------------------------------------------------------

    def _record(self, request, method, context, **values):
        call = Call(
            method, request.urn, request.urn.split("::")[2].split("$")[-1], request.urn.split("::", 3)[3], **values
        )
        with self._lock:
            self.calls.append(call)
        if method not in {"Create", "Update"}:
            self._scripted(call, context, "", {}, {})
        return call

    def _scripted(self, call, context, id_, outputs, inputs):
        for method, name, action in self._scripts:
            if method != call.method or name != call.name:
                continue
            try:
                action(call)
            except ScriptedError as failure:
                if not failure.reasons:
                    self.live.pop(id_, None) if call.method == "Create" else None
                    context.abort(grpc.StatusCode.UNKNOWN, str(failure))
                _abort_initialised(context, failure, id_, outputs, inputs)


def _abort_initialised(context, failure, id_, outputs, inputs):
    detail = any_pb2.Any()
    detail.Pack(
        provider_pb2.ErrorResourceInitFailed(
            id=id_, properties=Marshal().struct(outputs), inputs=Marshal().struct(inputs), reasons=failure.reasons
        )
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(failure), details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, str(failure))


def _equal(old, new):
    return not contains_unknowns(new) and deep_equal(unwrap(old), unwrap(new))
