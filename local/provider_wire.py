"""How the provider answers on the wire: refusals, differences, and errors that the engine can show."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn

import grpc
from botocore.exceptions import BotoCoreError, ClientError
from google.protobuf import any_pb2
from pulumi.runtime.proto import provider_pb2, status_pb2

from local.resources import DRIVERS
from local.resources.driver import AwsError
from local.resources.schema import Difference, Failure
from local.resources.values import Values, decode, encode
from local.wire import UNKNOWN

LOG = logging.getLogger(__name__)

_Kind = provider_pb2.PropertyDiff.Kind
_KINDS: Final = {
    ("add", False): _Kind.ADD,
    ("add", True): _Kind.ADD_REPLACE,
    ("delete", False): _Kind.DELETE,
    ("delete", True): _Kind.DELETE_REPLACE,
    ("update", False): _Kind.UPDATE,
    ("update", True): _Kind.UPDATE_REPLACE,
}


class HalfMadeError(Exception):
    """A resource that exists and could not be brought to its inputs."""

    def __init__(self, identifier: str, state: Values, reason: str) -> None:
        super().__init__(reason)
        self.identifier = identifier
        self.state = state
        self.reason = reason


@dataclass(frozen=True)
class _Status(grpc.Status):  # type: ignore[misc]
    """An error with details, as grpc_status would make it."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: Any


def type_of(request: Any) -> str:
    """Return the type token of the resource that a request is about."""
    return str(request.type or request.urn.split("::")[2].split("$")[-1])


def check_failures(found: Sequence[Failure]) -> Iterator[Any]:
    """Return refused inputs as Check answers them."""
    return (provider_pb2.CheckFailure(property=item.property, reason=item.reason) for item in found)


def diff_response(found: Sequence[Difference], *, stables: Sequence[str], before: bool) -> Any:
    """Return differences as Diff answers them; `before` says that the old resource has to go first."""
    changes = provider_pb2.DiffResponse.DiffChanges
    tops = [item.path.split(".")[0].split("[")[0] for item in found]
    return provider_pb2.DiffResponse(
        changes=changes.DIFF_SOME if found else changes.DIFF_NONE,
        diffs=sorted(set(tops)),
        replaces=sorted({top for top, item in zip(tops, found, strict=True) if item.replaces}),
        stables=stables,
        deleteBeforeReplace=before,
        detailedDiff={item.path: provider_pb2.PropertyDiff(kind=_KINDS[item.change, item.replaces]) for item in found},
        hasDetailedDiff=True,
    )


class ErrorsAs:
    """Turn what a driver raises into the error that the engine shows: what was tried, on what, and AWS's sentence."""

    def __init__(self, context: grpc.ServicerContext, verb: str, request: Any) -> None:
        self._context, self._verb, self._request = context, verb, request

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> Literal[False]:
        if error is None or not isinstance(error, Exception):
            return False
        subject = getattr(self._request, "urn", "") or getattr(self._request, "tok", "")
        if isinstance(error, HalfMadeError):
            self._initialisation_failed(error, f"{self._verb} {subject}: {error.reason}")
        if not isinstance(error, AwsError | ClientError | BotoCoreError | OSError | LookupError | ValueError):
            LOG.exception("the driver failed while %s %s", self._verb, subject)
        self._context.abort(grpc.StatusCode.UNKNOWN, f"{self._verb} {subject}: {sentence(error)}")
        return False

    def _initialisation_failed(self, error: HalfMadeError, reason: str) -> NoReturn:
        driver = DRIVERS[type_of(self._request)]
        secrets = decode(self._request.properties)[1] | driver.sensitive
        known = {key: value for key, value in error.state.items() if value is not UNKNOWN}
        detail = provider_pb2.ErrorResourceInitFailed(
            id=error.identifier, properties=encode(known, secrets), reasons=[reason], inputs=self._request.properties
        )
        packed = any_pb2.Any()
        packed.Pack(detail)
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=reason, details=[packed])
        trailer = (("grpc-status-details-bin", status.SerializeToString()),)
        self._context.abort_with_status(_Status(grpc.StatusCode.UNKNOWN, reason, trailer))
        raise AssertionError  # abort_with_status always raises


def sentence(error: Exception) -> str:
    """Return what went wrong as AWS says it, or as Python does."""
    if isinstance(error, ClientError):
        said = error.response.get("Error", {})
        return f"operation error {error.operation_name}, api error {said.get('Code')}: {said.get('Message')}"
    return f"{error}" if isinstance(error, AwsError) else f"{type(error).__name__}: {error}"
