"""A client of Pulumi's ResourceProvider service: property maps in, property maps and plain answers out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import errors_pb2, plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from local.engine import urns
from local.engine.diffing import Diff, PropertyDiff
from local.engine.errors import PartialState, ProviderError
from local.engine.properties import Marshal, unmarshal
from local.engine.state import ResourceState
from local.engine.values import PropertyMap, annotate_secrets, contains_unknowns, unwrap

GRPC_OPTIONS: Final = [
    ("grpc.max_receive_message_length", 400 * 1024 * 1024),
    ("grpc.max_send_message_length", 400 * 1024 * 1024),
    # No proxy from the environment between two processes of one machine.
    ("grpc.enable_http_proxy", 0),
]
_KINDS: Final = {0: "add", 1: "add-replace", 2: "delete", 3: "delete-replace", 4: "update", 5: "update-replace"}
_CHANGES: Final = {0: "unknown", 1: "none", 2: "some"}
_UNCERTAIN: Final = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS, grpc.StatusCode.UNKNOWN})


@dataclass(frozen=True)
class Checked:
    """Checked inputs, or what is wrong with them as (property, reason) pairs."""

    inputs: PropertyMap
    failures: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Made:
    """What Create, Read or Update answered; no id from Read means that the resource is gone."""

    id: str
    outputs: PropertyMap
    inputs: PropertyMap | None = None
    reasons: list[str] = field(default_factory=list)


class ProviderClient:
    """One provider process.

    Parameters
    ----------
    package
        The package it serves.
    address
        Where it listens, ``127.0.0.1:N``.
    folder
        The program's folder, which relative asset paths start from.
    """

    def __init__(self, package: str, address: str, folder: Path) -> None:
        self.package = package
        self._address = address
        self._folder = folder
        self._channel = grpc.insecure_channel(address, options=GRPC_OPTIONS)
        self._stub = provider_pb2_grpc.ResourceProviderStub(self._channel)
        self._accept_secrets = False
        self._accept_resources = False
        self._supports_preview = False
        self.configured_with: PropertyMap | None = None

    def close(self) -> None:
        """Close the connection; the provider lives on."""
        self._channel.close()

    def cancel(self) -> None:
        """Ask the provider to give up what it waits for."""
        self._call("Cancel", empty_pb2.Empty())

    def version(self) -> str:
        """Ask for the provider's version."""
        info: plugin_pb2.PluginInfo = self._call("GetPluginInfo", empty_pb2.Empty())
        return info.version

    # --- configuration --------------------------------------------------------------------------------------------

    def check_config(self, urn: str, olds: PropertyMap, news: PropertyMap) -> Checked:
        """Check the provider's own inputs."""
        request = provider_pb2.CheckRequest(**_who(urn), olds=Marshal().struct(olds), news=Marshal().struct(news))
        try:
            answer = self._call("CheckConfig", request)
        except ProviderError as error:
            if isinstance(error.__cause__, grpc.RpcError) and error.__cause__.code() == grpc.StatusCode.UNIMPLEMENTED:
                return Checked(news)
            raise
        return Checked(unmarshal(answer.inputs), tuple((f.property, f.reason) for f in answer.failures))

    def diff_config(self, urn: str, old: ResourceState, old_inputs: PropertyMap, news: PropertyMap) -> Diff:
        """Compare the provider's own inputs."""
        request = provider_pb2.DiffRequest(
            id=old.id,
            **_who(urn),
            olds=Marshal().struct(old.outputs),
            old_inputs=Marshal().struct(old_inputs),
            news=Marshal().struct(news),
        )
        try:
            return _diff(self._call("DiffConfig", request))
        except ProviderError as error:
            if isinstance(error.__cause__, grpc.RpcError) and error.__cause__.code() == grpc.StatusCode.UNIMPLEMENTED:
                return Diff("unknown")
            raise

    def configure(self, urn: str, id_: str, inputs: PropertyMap) -> None:
        """Configure the provider; inputs that are still unknown are left out."""
        known = {key: value for key, value in inputs.items() if not contains_unknowns(value)}
        variables = {f"{self.package}:config:{key}": _config_text(value) for key, value in unwrap(known).items()}
        request = provider_pb2.ConfigureRequest(
            **_who(urn),
            id=id_,
            variables=variables,
            args=Marshal().struct(known),
            acceptSecrets=True,
            acceptResources=True,
            sends_old_inputs=True,
            sends_old_inputs_to_delete=True,
        )
        answer = self._call("Configure", request)
        self._accept_secrets = answer.acceptSecrets
        self._accept_resources = answer.acceptResources
        self._supports_preview = answer.supportsPreview
        self.configured_with = known

    # --- resources ------------------------------------------------------------------------------------------------

    def check(self, urn: str, olds: PropertyMap | None, news: PropertyMap, seed: bytes, *, preview: bool) -> Checked:
        """Check a resource's inputs and let the provider fill in its defaults."""
        request = provider_pb2.CheckRequest(
            **_who(urn),
            olds=self._struct(olds or {}, unknowns=preview),
            news=self._struct(news, unknowns=preview),
            randomSeed=seed,
        )
        answer = self._call("Check", request)
        inputs = self._received(answer.inputs, news)
        return Checked(inputs, tuple((failure.property, failure.reason) for failure in answer.failures))

    def diff(self, old: ResourceState, urn: str, inputs: PropertyMap, ignore: Sequence[str], *, unknowns: bool) -> Diff:
        """Compare a resource's state with new inputs."""
        request = provider_pb2.DiffRequest(
            id=old.id,
            **_who(urn),
            olds=self._struct(old.outputs, unknowns=unknowns),
            old_inputs=self._struct(old.inputs, unknowns=unknowns),
            news=self._struct(inputs, unknowns=unknowns),
            ignoreChanges=ignore,
        )
        return _diff(self._call("Diff", request))

    def create(self, urn: str, inputs: PropertyMap, *, timeout: float, preview: bool) -> Made:
        """Create a resource; in a preview, find out what is known of it beforehand."""
        if preview and not self._supports_preview:
            return Made("", inputs)
        request = provider_pb2.CreateRequest(
            **_who(urn), properties=self._struct(inputs, unknowns=preview), timeout=timeout, preview=preview
        )
        try:
            answer = self._call("Create", request)
        except ProviderError as error:
            return self._partial(error, inputs)
        if not answer.id and not preview:
            raise ProviderError(f"plugin returned empty resource.ID from create '{urn}'", uncertain=True)
        return Made(answer.id, self._received(answer.properties, inputs))

    def read(self, urn: str, id_: str, inputs: PropertyMap | None, outputs: PropertyMap, *, timeout: float = 0) -> Made:
        """Read a resource as it is; an empty id in the answer means that there is none."""
        request = provider_pb2.ReadRequest(
            id=id_,
            **_who(urn),
            inputs=None if inputs is None else self._struct(inputs),
            properties=self._struct(outputs),
            timeout=timeout,
        )
        try:
            answer = self._call("Read", request)
        except ProviderError as error:
            return self._partial(error, inputs or {})
        read_inputs = self._received(answer.inputs, inputs or {}) if answer.HasField("inputs") else None
        return Made(answer.id, self._received(answer.properties, outputs), read_inputs)

    def update(
        self, old: ResourceState, urn: str, inputs: PropertyMap, ignore: Sequence[str], *, timeout: float, preview: bool
    ) -> Made:
        """Update a resource in place."""
        if preview and not self._supports_preview:
            return Made(old.id, inputs)
        request = provider_pb2.UpdateRequest(
            id=old.id,
            **_who(urn),
            olds=self._struct(old.outputs),
            old_inputs=self._struct(old.inputs),
            news=self._struct(inputs, unknowns=preview),
            ignoreChanges=ignore,
            timeout=timeout,
            preview=preview,
        )
        try:
            answer = self._call("Update", request)
        except ProviderError as error:
            return self._partial(error, inputs, old.id)
        return Made(old.id, self._received(answer.properties, inputs))

    def delete(self, state: ResourceState) -> None:
        """Delete a resource."""
        request = provider_pb2.DeleteRequest(
            id=state.id,
            **_who(state.urn),
            properties=self._struct(state.outputs),
            old_inputs=self._struct(state.inputs),
            timeout=state.timeouts.get("delete", 0),
        )
        self._call("Delete", request)

    def invoke(self, token: str, args: PropertyMap, *, preview: bool) -> Checked:
        """Call a function of the provider; the answer's ``inputs`` are what it returned."""
        request = provider_pb2.InvokeRequest(tok=token, args=self._struct(args, unknowns=preview), preview=preview)
        answer = self._call("Invoke", request)
        failures = tuple((failure.property, failure.reason) for failure in answer.failures)
        return Checked(unmarshal(getattr(answer, "return")), failures)

    # --- how ------------------------------------------------------------------------------------------------------

    def _struct(self, props: PropertyMap, *, unknowns: bool = False) -> Any:
        how = Marshal(
            unknowns=unknowns, secrets=self._accept_secrets, resources=self._accept_resources, folder=self._folder
        )
        return how.struct(props)

    def _received(self, struct: Any, sent: PropertyMap) -> PropertyMap:
        props = unmarshal(struct)
        return props if self._accept_secrets else annotate_secrets(props, sent)

    def _partial(self, error: ProviderError, sent: PropertyMap, id_: str = "") -> Made:
        """Take over what exists although its initialisation failed; any other error goes on."""
        if error.partial is None:
            raise error
        outputs = error.partial.outputs
        if not self._accept_secrets:
            outputs = annotate_secrets(outputs, sent)
        return Made(error.partial.id or id_, outputs, error.partial.inputs or None, error.partial.reasons)

    def _call(self, method: str, request: Any) -> Any:
        try:
            return getattr(self._stub, method)(request)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                message = f"the provider of package {self.package!r} does not answer at {self._address} ({method})"
                raise ProviderError(message, uncertain=True) from error
            raise _failure(error) from error


def _who(urn: str) -> dict[str, Any]:
    return {"urn": urn, "name": urns.name_of(urn), "type": urns.type_of(urn)}


def _config_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _diff(answer: provider_pb2.DiffResponse) -> Diff:
    detailed = None
    if answer.hasDetailedDiff:
        parts = sorted(answer.detailedDiff.items())
        detailed = {path: PropertyDiff(_KINDS[part.kind], part.inputDiff) for path, part in parts}
    return Diff(
        changes=_CHANGES[answer.changes],  # type: ignore[arg-type]
        replace_keys=tuple(answer.replaces),
        stable_keys=tuple(answer.stables),
        changed_keys=tuple(answer.diffs),
        detailed=detailed,
        delete_before_replace=answer.deleteBeforeReplace,
    )


def _failure(error: grpc.RpcError) -> ProviderError:
    message, partial = str(error.details()), None
    for detail in _details(error):
        if detail.Is(provider_pb2.ErrorResourceInitFailed.DESCRIPTOR):
            failed = provider_pb2.ErrorResourceInitFailed()
            detail.Unpack(failed)
            reasons = list(failed.reasons)
            partial = PartialState(failed.id, unmarshal(failed.properties), unmarshal(failed.inputs), reasons)
        elif detail.Is(errors_pb2.InputPropertiesError.DESCRIPTOR):
            wrong = errors_pb2.InputPropertiesError()
            detail.Unpack(wrong)
            message += "".join(f"\n\t\t- property {e.property_path} has a problem: {e.reason}" for e in wrong.errors)
        elif detail.Is(errors_pb2.ErrorCause.DESCRIPTOR):
            cause = errors_pb2.ErrorCause()
            detail.Unpack(cause)
            message += f": {cause.message}"
    return ProviderError(message, partial=partial, uncertain=error.code() in _UNCERTAIN)


def _details(error: grpc.RpcError) -> list[Any]:
    metadata: Any = error.trailing_metadata() or ()
    found = (value for key, value in metadata if key == "grpc-status-details-bin")
    return [detail for value in found for detail in status_pb2.Status.FromString(value).details]
