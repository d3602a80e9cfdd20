"""The state file: JSON in the CLI's form, secrets encrypted, with a lock and the operations that are under way."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from filelock import FileLock, Timeout

from local.engine import urns
from local.engine.errors import EngineError
from local.engine.graph import sort_states
from local.engine.properties import Marshal, unmarshal_plain
from local.engine.state import ResourceState
from local.engine.values import PropertyMap, Secret, contains_unknowns, mask, unwrap
from local.wire import SECRET, SIGNATURE

_NONCE_BYTES: Final = 12  # NIST SP 800-38D, 8.2.2: 96 bits for random nonces
_KEY_BITS: Final = 256


@dataclass(frozen=True)
class PendingOperation:
    """An operation that was under way: ``creating``, ``updating``, ``deleting``, ``reading`` or ``importing``."""

    type: str
    state: ResourceState


class StateStore:
    """A stack's state in one file.

    Parameters
    ----------
    path
        The JSON file. Beside it lie a key (``.key``, mode 0600, made on first use) and a lock (``.lock``).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._key_path = path.with_suffix(".key")
        self._lock = FileLock(path.with_suffix(".lock"), timeout=0)
        self._cipher: AESGCM | None = None
        self._written: dict[int, tuple[PropertyMap, PropertyMap]] = {}

    def __enter__(self) -> StateStore:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            raise EngineError(
                f"the stack is locked by another process (lock file {self.path.with_suffix('.lock').name}): "
                "wait until that update has ended"
            ) from None
        return self

    def __exit__(self, *exc: object) -> None:
        self._lock.release()

    def load(self) -> tuple[list[ResourceState], list[PendingOperation]]:
        """Read resources and pending operations; an absent file is an empty stack.

        Raises
        ------
        EngineError
            If the file is damaged or its key is missing or wrong.
        """
        if not self.path.exists():
            return [], []
        try:
            deployment = json.loads(self.path.read_text())["deployment"]
            resources = [self._read(form) for form in deployment["resources"]]
            pending = [
                PendingOperation(op["type"], self._read(op["resource"])) for op in deployment["pending_operations"]
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise EngineError(f"the state file {self.path} is damaged ({error}): restore it from a copy") from error
        return resources, pending

    def save(self, resources: Iterable[ResourceState], pending: Iterable[PendingOperation]) -> None:
        """Write the state, replacing the file at once; dependencies come before what depends on them."""
        write = self._once_each()
        form = {
            "version": 3,
            "deployment": {
                "resources": [state.to_json(write) for state in sort_states(resources)],
                "pending_operations": [{"type": op.type, "resource": op.state.to_json(write)} for op in pending],
            },
        }
        draft = self.path.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(json.dumps(form))  # not indented: that takes Python's slow encoder, after every step
        # No fsync: the state is written after every step and has to outlive this process, not the machine.
        draft.replace(self.path)

    def outputs(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """Give the stack's outputs, secrets masked unless asked for."""
        for state in self.load()[0]:
            if state.type == urns.ROOT_STACK_TYPE:
                return Marshal().plain(unwrap(state.outputs) if show_secrets else mask(state.outputs))
        return {}

    def resources(self) -> list[ResourceState]:
        """Give the resources."""
        return self.load()[0]

    def _read(self, form: dict[str, Any]) -> ResourceState:
        return ResourceState.from_json(form, self._decrypt)

    def _once_each(self) -> Callable[[PropertyMap], PropertyMap]:
        """Encrypt as `_encrypt` does, but a property map that the last save wrote is not written anew.

        The state is saved twice a resource, so writing every map each time made a deployment quadratic in its
        resources: 90 % of its time at 200. The engine never changes a property map in place, it puts another in its
        stead; keeping the map beside what was written keeps its identity from being given to another.
        """
        before, self._written = self._written, {}

        def write(props: PropertyMap) -> PropertyMap:
            known = before.get(id(props)) or self._written.get(id(props)) or (props, self._encrypt(props))
            self._written[id(props)] = known
            return known[1]

        return write

    def _encrypt(self, props: PropertyMap) -> PropertyMap:
        return {key: self._encrypt_value(value) for key, value in props.items() if not contains_unknowns(value)}

    def _encrypt_value(self, value: Any) -> Any:
        if isinstance(value, Secret):
            plain = json.dumps(Marshal().plain({"v": value.value})["v"]).encode()
            nonce = secrets.token_bytes(_NONCE_BYTES)
            sealed = nonce + self._key().encrypt(nonce, plain, None)
            return {SIGNATURE: SECRET, "ciphertext": base64.b64encode(sealed).decode()}
        if isinstance(value, dict):
            return {key: self._encrypt_value(part) for key, part in value.items()}
        if isinstance(value, list):
            return [self._encrypt_value(part) for part in value]
        return Marshal().plain({"v": value})["v"]

    def _decrypt(self, value: Any) -> Any:
        if isinstance(value, dict):
            if value.get(SIGNATURE) == SECRET and "ciphertext" in value:
                return Secret(unmarshal_plain(self._open(value["ciphertext"])))
            read = {key: self._decrypt(part) for key, part in value.items()}
            return unmarshal_plain(read) if SIGNATURE in read else read
        if isinstance(value, list):
            return [self._decrypt(part) for part in value]
        return unmarshal_plain(value)

    def _open(self, ciphertext: str) -> Any:
        sealed = base64.b64decode(ciphertext)
        try:
            return json.loads(self._key(create=False).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None))
        except InvalidTag:
            raise EngineError(f"{self._key_path} is not the key that {self.path} was written with") from None

    def _key(self, *, create: bool = True) -> AESGCM:
        if self._cipher is None:
            if not self._key_path.exists():
                if not create:
                    raise EngineError(f"{self._key_path}, the key of the secrets in {self.path}, is missing")
                with os.fdopen(os.open(self._key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(AESGCM.generate_key(_KEY_BITS))
            self._cipher = AESGCM(self._key_path.read_bytes())
        return self._cipher
