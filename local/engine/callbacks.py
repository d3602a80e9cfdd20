"""Callbacks into the program: resource transforms and resource hooks."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final

import grpc
from pulumi.runtime.proto import callback_pb2, callback_pb2_grpc, resource_pb2

from local.engine.diagnostics import Diagnostics
from local.engine.errors import EngineError, UnsupportedError
from local.engine.properties import Marshal, unmarshal
from local.engine.provider import GRPC_OPTIONS
from local.engine.state import ResourceState
from local.engine.values import PropertyMap

HOOK_KINDS: Final = {
    "before_create": "BeforeCreate",
    "after_create": "AfterCreate",
    "before_update": "BeforeUpdate",
    "after_update": "AfterUpdate",
    "before_delete": "BeforeDelete",
    "after_delete": "AfterDelete",
}


@dataclass(frozen=True)
class Hook:
    """A registered resource hook."""

    callback: callback_pb2.Callback
    on_dry_run: bool
    ignore_errors: bool


class Callbacks:
    """Calls back into the program.

    Parameters
    ----------
    diagnostics
        Where the failure of a hook that ignores errors is told.
    dry_run
        Whether this is a preview, in which only hooks with ``on_dry_run`` are called.
    """

    def __init__(self, diagnostics: Diagnostics, *, dry_run: bool) -> None:
        self._diagnostics = diagnostics
        self._dry_run = dry_run
        self._hooks: dict[str, Hook] = {}
        self._channels: dict[str, grpc.Channel] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections to the program."""
        for channel in self._channels.values():
            channel.close()

    def register_hook(self, name: str, hook: Hook) -> None:
        """Register a hook under its name, which must be unique.

        Raises
        ------
        EngineError
            If the name is empty or taken.
        """
        if not name:
            raise EngineError("resource hook name cannot be empty")
        with self._lock:
            if name in self._hooks:
                raise EngineError(f'resource hook already registered for name "{name}"')
            self._hooks[name] = hook

    def transform(
        self, callback: callback_pb2.Callback, request: resource_pb2.TransformRequest, props: PropertyMap
    ) -> tuple[PropertyMap, resource_pb2.TransformResourceOptions]:
        """Run one transform over properties and options."""
        request.properties.CopyFrom(Marshal(outputs=True).struct(props))
        answer = resource_pb2.TransformResponse.FromString(self._invoke(callback, request))
        new_props = unmarshal(answer.properties) if answer.HasField("properties") else props
        return new_props, answer.options if answer.HasField("options") else request.options

    def run_hooks(self, kind: str, old: ResourceState | None, new: ResourceState | None) -> None:
        """Run the hooks of a kind (``before_update``) that the resource carries.

        A deletion runs the old state's hooks, everything else the new one's.

        Raises
        ------
        EngineError
            If a hook raises (and does not ignore errors) or was not registered.
        """
        owner = new or old
        if owner is None:
            raise ValueError("a hook needs a resource")
        when = "before" if kind.startswith("before") else "after"
        for name in owner.hooks.get(HOOK_KINDS[kind], ()):
            hook = self._hooks.get(name)
            if hook is None:
                raise EngineError(f'hook "{name}" was not registered')
            if self._dry_run and not hook.on_dry_run:
                continue
            error = self._run_hook(hook, owner, old, new, when)
            if not error:
                continue
            if not hook.ignore_errors:
                raise EngineError(f'{when} hook "{name}" failed: {error}')
            self._diagnostics.warning(owner.urn, f'{HOOK_KINDS[kind]} hook "{name}" failed: {error}')

    def _run_hook(
        self, hook: Hook, owner: ResourceState, old: ResourceState | None, new: ResourceState | None, when: str
    ) -> str:
        request = resource_pb2.ResourceHookRequest(urn=owner.urn, id=owner.id, name=owner.name, type=owner.type)
        how = Marshal(outputs=True)
        if new is not None:
            request.new_inputs.CopyFrom(how.struct(new.inputs))
            request.new_options.CopyFrom(_options(new))
            if when == "after":
                request.new_outputs.CopyFrom(how.struct(new.outputs))
        if old is not None:
            request.old_inputs.CopyFrom(how.struct(old.inputs))
            request.old_outputs.CopyFrom(how.struct(old.outputs))
            request.old_options.CopyFrom(_options(old))
        return resource_pb2.ResourceHookResponse.FromString(self._invoke(hook.callback, request)).error

    def _invoke(self, callback: callback_pb2.Callback, request: Any) -> bytes:
        with self._lock:
            channel = self._channels.get(callback.target)
            if channel is None:
                channel = self._channels[callback.target] = grpc.insecure_channel(callback.target, options=GRPC_OPTIONS)
        call = callback_pb2.CallbackInvokeRequest(token=callback.token, request=request.SerializeToString())
        try:
            return bytes(callback_pb2_grpc.CallbacksStub(channel).Invoke(call).response)
        except grpc.RpcError as error:
            raise EngineError(f"a callback into the program failed: {error.details()}") from error


def _options(state: ResourceState) -> resource_pb2.ResourceOptions:
    return resource_pb2.ResourceOptions(
        protect=state.protect,
        ignore_changes=state.ignore_changes,
        replace_on_changes=state.replace_on_changes,
        additional_secret_outputs=state.additional_secret_outputs,
        retain_on_delete=state.retain_on_delete,
        depends_on=sorted(state.dependencies),
        provider=state.provider,
        parent=state.parent,
    )


def hook_names(binding: resource_pb2.RegisterResourceRequest.ResourceHooksBinding) -> dict[str, list[str]]:
    """Read the names of the hooks a resource carries.

    Raises
    ------
    UnsupportedError
        If it carries error hooks.
    """
    if binding.on_error:
        raise UnsupportedError("an error hook (on_error)")
    names = {kind: list(getattr(binding, attribute)) for attribute, kind in HOOK_KINDS.items()}
    return {kind: given for kind, given in names.items() if given}
