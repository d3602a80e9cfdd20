"""Event source mappings of SQS queues: pollers that act under the function's role.

A poller receives, invokes and deletes what succeeded. What failed or was throttled keeps its visibility timeout and its
receive count, so redrive is the queue's own doing, as on AWS
(https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html).
"""

from __future__ import annotations

import base64
import json
import logging
import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.awslambda.models import lambda_backends

from local.invocation import REQUEST_LIMIT, InvokeError, Throttled

if TYPE_CHECKING:
    from local.lambda_runtime import LambdaRuntime

# Batches that a mapping without ScalingConfig works on at once; Lambda begins with five pollers, too.
_DEFAULT_CONCURRENCY = 5
# Short enough to stop soon, long enough not to keep the machine busy; a new message ends it at once.
_POLL_SECONDS = 2
_RETRY_SECONDS = 1.0
_RECEIVE_LIMIT = 10
_log = logging.getLogger(__name__)


class Mappings:
    """One poller for each enabled mapping in moto's backend."""

    def __init__(self, runtime: LambdaRuntime) -> None:
        self._runtime = runtime
        self._lock = threading.Lock()
        self._pollers: dict[str, Poller] = {}
        self._draining: list[Poller] = []
        self._stopping = False

    def start(self) -> None:
        """Poll what is there already."""
        self.reconcile()

    def signal_stop(self) -> None:
        """Receive no more, do not wait."""
        with self._lock:
            self._stopping = True
            for poller in self._pollers.values():
                poller.signal_stop()

    def stop(self) -> None:
        """Receive no more and wait for the pollers, whose invocations must have been ended."""
        self.signal_stop()
        for poller in [*self._pollers.values(), *self._draining]:
            poller.join(_POLL_SECONDS + 3)

    def reconcile(self) -> None:
        """Start and stop pollers until they are those of the mappings in moto."""
        runtime = self._runtime
        mappings = lambda_backends[runtime.account][runtime.region].list_event_source_mappings("", "")
        wanted = {mapping.uuid: mapping for mapping in mappings if mapping.enabled}
        with self._lock:
            if self._stopping:
                return
            self._draining = [poller for poller in self._draining if poller.alive]
            for uuid in [each for each in self._pollers if each not in wanted]:
                self._pollers[uuid].signal_stop()
                self._draining.append(self._pollers.pop(uuid))
            for uuid, mapping in wanted.items():
                if uuid not in self._pollers:
                    self._pollers[uuid] = Poller(runtime, mapping)
                    self._pollers[uuid].start()

    def status(self, mapping: Any) -> dict[str, str]:
        """State and LastProcessingResult of `mapping`, as GetEventSourceMapping answers them."""
        with self._lock:
            poller = self._pollers.get(mapping.uuid)
            draining = any(each.uuid == mapping.uuid and each.alive for each in self._draining)
        if poller is None:
            return {"State": "Disabling" if draining else "Disabled", "LastProcessingResult": "No records processed"}
        state = "Enabled" if poller.polling else "Creating"
        return {"State": state, "LastProcessingResult": poller.last_result}


class Poller:
    """Receives for one mapping; settings are read from it anew for each batch."""

    def __init__(self, runtime: LambdaRuntime, mapping: Any) -> None:
        self.uuid: str = mapping.uuid
        self.last_result = "No records processed"
        self.polling = False
        self._runtime = runtime
        self._mapping = mapping
        self._stop = threading.Event()
        self._free = threading.Condition()
        self._in_flight = 0
        name = mapping.event_source_arn.rsplit(":", 1)[-1]
        self._queue_url = f"{runtime.endpoint}/{runtime.account}/{name}"
        self._thread = runtime.background.thread(f"poll-{name}", self._run, self._stop)
        self._workers = ThreadPoolExecutor(64, thread_name_prefix=f"batch-{name}")

    @property
    def alive(self) -> bool:
        """Whether it still receives, or works on what it has received."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def signal_stop(self) -> None:
        """Receive no more."""
        self._stop.set()

    def join(self, timeout: float) -> None:
        """Wait until it has ended."""
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._wait_for_slot() and not self._poll():
                self._stop.wait(_RETRY_SECONDS)
        self._workers.shutdown(wait=True)

    def _poll(self) -> bool:
        """Receive once and hand on what there is; whether that went well."""
        try:
            messages = self._collect()
            self.polling = True
            for batch in _within_limit([self._record(each) for each in messages]):
                with self._free:
                    self._in_flight += 1
                self._workers.submit(self._process, batch)
        except (ClientError, BotoCoreError, InvokeError, LookupError) as error:
            self._problem(f"PROBLEM: {error}")
            return False
        except Exception as error:  # noqa: BLE001  told; the mapping goes on
            self._fault(error)
            return False
        return True

    def _wait_for_slot(self) -> bool:
        scaling = self._mapping.scaling_config or {}
        limit = scaling.get("MaximumConcurrency") or _DEFAULT_CONCURRENCY
        with self._free:
            return self._in_flight < limit or (self._free.wait(0.5) and self._in_flight < limit)

    def _collect(self) -> list[dict[str, Any]]:
        """One batch: what is there, and with a batching window what comes until it closes or the batch is full."""
        size = int(self._mapping.batch_size)
        messages = self._receive(size, _POLL_SECONDS)
        clock = self._runtime.clock
        closes = clock.now() + float(self._mapping.max_batch_window or 0)
        while messages and len(messages) < size and not self._stop.is_set():
            remaining = closes - clock.now()
            if remaining <= 0 or sum(len(each["Body"]) for each in messages) >= REQUEST_LIMIT:
                break
            messages += self._receive(size - len(messages), min(_POLL_SECONDS, math.ceil(remaining)))
        return messages

    def _receive(self, wanted: int, seconds: int) -> list[dict[str, Any]]:
        answer = self._sqs().receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=min(wanted, _RECEIVE_LIMIT),
            WaitTimeSeconds=seconds,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return list(answer.get("Messages", []))

    def _process(self, records: list[dict[str, Any]]) -> None:
        try:
            failed = self._invoke(records)
            self._delete([each for each in records if each["messageId"] not in failed])
        except (ClientError, BotoCoreError) as error:
            self._problem(f"PROBLEM: {error}")
        except Exception as error:  # noqa: BLE001  told; its messages come back when they are visible again
            self._fault(error)
        finally:
            with self._free:
                self._in_flight -= 1
                self._free.notify()

    def _invoke(self, records: list[dict[str, Any]]) -> set[str]:
        """Ids of the messages that go back to the queue."""
        everything = {each["messageId"] for each in records}
        try:
            invocation = self._runtime.invoke(self._mapping.function_arn, {"Records": records})
        except Throttled:
            self._problem("PROBLEM: Function call throttled")
            return everything
        except InvokeError as error:
            self._problem(f"PROBLEM: {error}")
            return everything
        if invocation.function_error is not None:
            self.last_result = "PROBLEM: Function call failed"
            return everything
        self.last_result = "OK"
        if "ReportBatchItemFailures" not in (self._mapping.function_response_types or []):
            return set()
        failed = batch_item_failures(invocation.payload, everything)
        if failed is None:
            self._problem("PROBLEM: the function's answer is no batch response, all of its messages count as failed")
            return everything
        return failed

    def _delete(self, records: list[dict[str, Any]]) -> None:
        for start in range(0, len(records), _RECEIVE_LIMIT):
            chunk = records[start : start + _RECEIVE_LIMIT]
            entries = [{"Id": str(i), "ReceiptHandle": each["receiptHandle"]} for i, each in enumerate(chunk)]
            answer = self._sqs().delete_message_batch(QueueUrl=self._queue_url, Entries=entries)
            for failure in answer.get("Failed", []):
                self._problem(f"PROBLEM: DeleteMessage: {failure.get('Message')}")

    def _sqs(self) -> Any:
        function = self._runtime.function(self._mapping.function_arn)
        return self._runtime.roles.client(function.role, function.function_name, "sqs")

    def _problem(self, result: str) -> None:
        if result != self.last_result and not self._stop.is_set():
            _log.warning("mapping of %s: %s", self._mapping.event_source_arn, result)
        self.last_result = result

    def _fault(self, error: Exception) -> None:
        """Tell of an error that neither AWS nor the function made."""
        self._runtime.background.failed(f"mapping of {self._mapping.event_source_arn}", error)
        self.last_result = f"PROBLEM: {type(error).__name__}: {error}"

    def _record(self, message: dict[str, Any]) -> dict[str, Any]:
        return sqs_record(message, self._mapping.event_source_arn, self._runtime.region)


def sqs_record(message: dict[str, Any], queue_arn: str, region: str) -> dict[str, Any]:
    """An SQS message as Lambda shows it to a function.

    Shape: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event.
    """
    record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {name: _attribute(value) for name, value in message.get("MessageAttributes", {}).items()},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    }
    if "MD5OfMessageAttributes" in message:
        record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return record


def batch_item_failures(payload: bytes, sent: set[str]) -> set[str] | None:
    """Message ids that a function reports as failed; None if its answer makes the whole batch fail.

    The rules: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html (success and failure
    conditions).
    """
    try:
        answer = json.loads(payload or b"null")
    except ValueError:
        return None
    if not isinstance(answer, dict | None):
        return None
    failures = (answer or {}).get("batchItemFailures") or []
    if not isinstance(failures, list) or not all(isinstance(each, dict) for each in failures):
        return None
    failed = {each.get("itemIdentifier") for each in failures}
    return failed if failed <= sent else None


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "StringValue" in value:
        shown["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        shown["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    return shown


def _within_limit(records: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Batches whose event stays below Lambda's request limit."""
    batch: list[dict[str, Any]] = []
    size = 0
    for record in records:
        length = len(json.dumps(record)) + 2
        if batch and size + length > REQUEST_LIMIT - 64:
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += length
    if batch:
        yield batch
