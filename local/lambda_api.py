"""Where moto's Lambda backend hands over to the runtime.

Its Invoke runs the real function, its own queue trigger (which fires once and knows no partial failures) is taken off
every queue, and a mapping's State is that of its poller.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from moto.awslambda import models, responses
from moto.core.exceptions import JsonRESTError
from moto.sqs.models import sqs_backends

from local import lambda_limits
from local.invocation import InvokeError, encode
from local.patching import Patches

if TYPE_CHECKING:
    from local.lambda_runtime import LambdaRuntime

Answer = tuple[int, dict[str, str], bytes]


class ResourceConflictError(JsonRESTError):  # type: ignore[misc]  # moto has no types
    """409 ResourceConflictException."""

    code = 409


class LambdaApi:
    """Replaces the methods in moto that would stand in for running a function; `remove` puts them back."""

    def __init__(self, runtime: LambdaRuntime) -> None:
        self._runtime = runtime
        self._patches = Patches()

    def install(self) -> None:
        """Take over."""
        runtime = self._runtime
        self._replace(responses.LambdaResponse, "invoke", lambda original: _invoke_action(runtime))
        self._replace(responses.LambdaResponse, "invoke_async", lambda original: _invoke_async_action(runtime))
        self._replace(models.LambdaBackend, "invoke", lambda original: _backend_invoke(runtime))
        self._replace(models.LambdaBackend, "create_function", _creating_function)
        self._replace(models.LambdaFunction, "update_configuration", _updating_function)
        self._replace(models.LambdaBackend, "create_event_source_mapping", self._creating)
        self._replace(models.LambdaBackend, "update_event_source_mapping", self._updating)
        self._replace(models.LambdaBackend, "delete_event_source_mapping", self._deleting)
        self._replace(models.EventSourceMapping, "get_configuration", self._describing)

    def remove(self) -> None:
        """Give back to moto what was taken."""
        self._patches.undo()

    def _replace(self, owner: type, name: str, wrap: Callable[[Any], Any]) -> None:
        self._patches.set(owner, name, wrap(getattr(owner, name)))

    def _creating(self, original: Any) -> Any:
        runtime = self._runtime

        def create_event_source_mapping(backend: models.LambdaBackend, spec: dict[str, Any]) -> Any:
            queue = _queue(backend, spec.get("EventSourceArn", ""))
            function = backend.get_function(spec.get("FunctionName", ""))
            _check_mapping(runtime, backend, function, queue, spec)
            mapping = original(backend, spec)
            queue.lambda_event_source_mappings.clear()
            runtime.mappings.reconcile()
            return mapping

        return create_event_source_mapping

    def _updating(self, original: Any) -> Any:
        runtime = self._runtime

        def update_event_source_mapping(backend: models.LambdaBackend, uuid: str, spec: dict[str, Any]) -> Any:
            if found := backend.get_event_source_mapping(uuid):
                batch = {"BatchSize": found.batch_size, "MaximumBatchingWindowInSeconds": found.max_batch_window}
                function = backend.get_function(spec.get("FunctionName") or found.function_arn)
                _check_limits(function, _queue(backend, found.event_source_arn), batch | spec)
            mapping = original(backend, uuid, spec)
            runtime.mappings.reconcile()
            return mapping

        return update_event_source_mapping

    def _deleting(self, original: Any) -> Any:
        runtime = self._runtime

        def delete_event_source_mapping(backend: models.LambdaBackend, uuid: str) -> Any:
            mapping = original(backend, uuid)
            runtime.mappings.reconcile()
            return mapping

        return delete_event_source_mapping

    def _describing(self, original: Any) -> Any:
        runtime = self._runtime

        def get_configuration(mapping: Any) -> dict[str, Any]:
            return dict(original(mapping)) | runtime.mappings.status(mapping)

        return get_configuration


def _queue(backend: Any, arn: str) -> Any:
    for queue in sqs_backends[backend.account_id][backend.region_name].queues.values():
        if queue.queue_arn == arn:
            return queue
    raise JsonRESTError(
        "InvalidParameterValueException",
        f"Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue: {arn}",
    )


def _check_mapping(runtime: LambdaRuntime, backend: Any, function: Any, queue: Any, spec: dict[str, Any]) -> None:
    """Refuse what Lambda refuses when a mapping is made.

    The messages are Lambda's: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html and
    https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html.
    """
    if spec.get("FilterCriteria", {}).get("Filters"):
        raise JsonRESTError("InvalidParameterValueException", "FilterCriteria: the embedded cloud filters no messages")
    for other in backend.list_event_source_mappings(queue.queue_arn, None):
        if other.function_arn == function.function_arn:
            raise ResourceConflictError(
                "ResourceConflictException",
                f'The event source arn (" {queue.queue_arn} ") and function (" {function.function_name} ") provided '
                f"mapping already exists. Please update or delete the existing mapping with UUID {other.uuid}",
            )
    _check_limits(function, queue, spec)
    for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
        if not runtime.iam.authorize(function.role, f"sqs:{action}", queue.queue_arn).allowed:
            raise JsonRESTError(
                "InvalidParameterValueException",
                f"The provided execution role does not have permissions to call {action} on SQS",
            )


def _check_limits(function: Any, queue: Any, spec: dict[str, Any]) -> None:
    _check_ranges(spec)
    batch, window = int(spec.get("BatchSize") or 10), int(spec.get("MaximumBatchingWindowInSeconds") or 0)
    for refusal in (
        lambda_limits.batch_refusal(batch, window),
        lambda_limits.visibility_refusal(int(queue.visibility_timeout), int(function.timeout)),
    ):
        if refusal:
            raise JsonRESTError("InvalidParameterValueException", refusal)


def _check_ranges(spec: dict[str, Any]) -> None:
    if refusal := lambda_limits.range_refusal(spec):
        raise JsonRESTError("ValidationException", refusal)


def _check_function(spec: dict[str, Any]) -> None:
    """Refuse what Lambda refuses when a function is made or configured."""
    _check_ranges(spec)
    for refusal in lambda_limits.environment_refusals(spec.get("Environment", {}).get("Variables", {})):
        raise JsonRESTError("InvalidParameterValueException", refusal)


def _creating_function(original: Any) -> Any:
    def create_function(backend: models.LambdaBackend, spec: dict[str, Any]) -> Any:
        _check_function(spec)
        return original(backend, spec)

    return create_function


def _updating_function(original: Any) -> Any:
    def update_configuration(function: models.LambdaFunction, config_updates: dict[str, Any]) -> Any:
        _check_function(config_updates)
        return original(function, config_updates)

    return update_configuration


def _refusal(error: InvokeError) -> Answer:
    body = {"Type": "User" if error.status < 500 else "Service", "message": error.message} | error.details  # noqa: PLR2004
    return _answer(error.status, json.dumps(body).encode(), {"x-amzn-errortype": error.code})


def _answer(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
    # moto takes the status from this header, not from the tuple
    return status, {"status": str(status), "content-type": "application/json"} | (headers or {}), body


def _invoke_action(runtime: LambdaRuntime) -> Callable[[Any], Answer]:
    def invoke(response: Any) -> Answer:
        name = unquote(response.path.rsplit("/", 2)[-2])
        qualifier = response._get_param("Qualifier")
        body = response.body.encode() if isinstance(response.body, str) else response.body or b""
        kind = response.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        try:
            if kind == "DryRun":
                runtime.function(name, qualifier)
                return _answer(204)
            if kind == "Event":
                runtime.invoke_async(name, body)
                return _answer(202)
            invocation = runtime.invoke(name, body, qualifier=qualifier)
        except InvokeError as error:
            return _refusal(error)
        headers = {"x-amz-executed-version": invocation.executed_version}
        if invocation.function_error:
            headers["x-amz-function-error"] = invocation.function_error
        if response.headers.get("X-Amz-Log-Type") == "Tail":
            headers["x-amz-log-result"] = base64.b64encode(invocation.log_tail).decode()
        return _answer(invocation.status_code, invocation.payload, headers)

    return invoke


def _invoke_async_action(runtime: LambdaRuntime) -> Callable[[Any], Answer]:
    def invoke_async(response: Any) -> Answer:
        name = unquote(response.path.rstrip("/").rsplit("/", 2)[-2])
        body = response.body.encode() if isinstance(response.body, str) else response.body or b""
        try:
            runtime.invoke_async(name, body)
        except InvokeError as error:
            return _refusal(error)
        return _answer(202, b'{"Status": 202}')

    return invoke_async


def _backend_invoke(runtime: LambdaRuntime) -> Callable[..., bytes]:
    """What other services inside moto call (a topic's subscription, a bucket's notification): always an Event."""

    def invoke(backend: Any, function_name: str, qualifier: str | None, body: Any, *headers: Any, **more: Any) -> bytes:
        runtime.invoke_async(function_name, encode(body.encode() if isinstance(body, str) else body or b""))
        return b""

    return invoke
