"""Provider resources: each `pulumi:providers:x` in the stack, explicit or default, and the process that serves it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from local.engine import urns
from local.engine.diffing import Diff
from local.engine.errors import EngineError, ProviderError, UnsupportedError
from local.engine.provider import Checked, ProviderClient
from local.engine.state import ResourceState
from local.engine.values import PropertyMap, deep_equal
from local.wire import UNKNOWN_STRING

# Inputs of a provider resource that are meant for the engine.
_ENGINE_KEYS: Final = ("version", "pluginDownloadURL", "__internal")


class ProviderRegistry:
    """Finds, checks and configures providers.

    Parameters
    ----------
    addresses
        Where each package is served.
    folder
        The program's folder.
    """

    def __init__(self, addresses: Mapping[str, str], folder: Path) -> None:
        self._addresses = dict(addresses)
        self._folder = folder
        self._clients: dict[str, ProviderClient] = {}
        self._by_reference: dict[str, ProviderClient] = {}
        self._lock = threading.RLock()

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    def cancel(self) -> None:
        """Ask every provider to give up what it waits for; one that cannot be asked is left to end by itself."""
        with self._lock:
            clients = list(self._clients.values())
        for client in clients:
            with suppress(ProviderError, ValueError):  # gRPC's ValueError: the run has ended and closed its connections
                client.cancel()

    def client(self, package: str) -> ProviderClient:
        """Connect to the process that serves a package.

        Raises
        ------
        EngineError
            If no address was given for it.
        """
        with self._lock:
            if package not in self._addresses:
                known = ", ".join(sorted(self._addresses)) or "none"
                raise EngineError(
                    f"no provider of package {package!r} was given to the embedded engine (given: {known})"
                )
            if package not in self._clients:
                self._clients[package] = ProviderClient(package, self._addresses[package], self._folder)
            return self._clients[package]

    def find(self, reference: str) -> ProviderClient | None:
        """Give the configured provider of a reference, if it has been registered in this run."""
        return self._by_reference.get(reference)

    def of(self, state: ResourceState, olds: Mapping[str, ResourceState]) -> ProviderClient:
        """Give the provider that manages a resource, configured from the state if the program did not register it.

        Raises
        ------
        EngineError
            If the state does not hold the provider.
        """
        client = self.find(state.provider)
        if client is not None:
            return client
        urn, id_ = urns.split_reference(state.provider)
        old = olds.get(urn)
        if old is None or old.id != id_:
            raise EngineError(f"could not load provider for resource {state.urn}: unknown provider '{state.provider}'")
        self.same(old)
        return self._by_reference[state.provider]

    def check(self, urn: str, olds: PropertyMap, news: PropertyMap) -> Checked:
        """Check a provider's inputs; the engine's own keys pass by the provider."""
        client = self.client(urns.provider_package(urns.type_of(urn)))
        checked = client.check_config(urn, _own(olds), _own(news))
        kept: PropertyMap = {key: news[key] for key in _ENGINE_KEYS if key in news}
        return Checked({**checked.inputs, **kept}, checked.failures)

    def diff(self, old: ResourceState, urn: str, news: PropertyMap) -> Diff:
        """Compare a provider's inputs."""
        client = self.client(urns.provider_package(urns.type_of(urn)))
        diff = client.diff_config(urn, old, _own(old.inputs), _own(news))
        if diff.changes == "unknown":
            return Diff("none" if deep_equal(old.outputs, _own(news)) else "some")
        return diff

    def create(self, urn: str, inputs: PropertyMap, *, preview: bool) -> str:
        """Configure a new provider and give its id, unknown in a preview."""
        id_ = UNKNOWN_STRING if preview else str(uuid.uuid4())
        self._configure(urn, id_, inputs)
        return id_

    def update(self, urn: str, id_: str, inputs: PropertyMap) -> None:
        """Configure a provider anew."""
        client = self.client(urns.provider_package(urns.type_of(urn)))
        client.configured_with = None
        self._configure(urn, id_, inputs)

    def same(self, state: ResourceState) -> None:
        """Configure a provider as the state has it."""
        if f"{state.urn}::{state.id}" not in self._by_reference:
            self._configure(state.urn, state.id, state.inputs)

    def outputs(self, inputs: PropertyMap) -> PropertyMap:
        """Give what a provider resource has as outputs."""
        return _own(inputs)

    def _configure(self, urn: str, id_: str, inputs: PropertyMap) -> None:
        with self._lock:
            package = urns.provider_package(urns.type_of(urn))
            client = self.client(package)
            wanted = _own(inputs)
            if client.configured_with is None:
                client.configure(urn, id_, wanted)
            elif not deep_equal(client.configured_with, wanted):
                # One process serves a package and holds one configuration; a second one would silently rule both.
                raise UnsupportedError(f"a second provider of package {package!r} with another configuration ({urn})")
            self._by_reference[f"{urn}::{id_}"] = client


def _own(inputs: PropertyMap) -> PropertyMap:
    return {key: value for key, value in inputs.items() if key not in _ENGINE_KEYS}
