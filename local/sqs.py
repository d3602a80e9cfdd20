"""SQS as moto does not have it.

* the redrive-allow policy in its answers;
* message sizes in bytes, attributes among them, where moto counts the characters of a body
  (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html);
* bodies and attributes that SQS refuses: empty ones, and characters that XML cannot hold;
* messages that are gone when their queue's retention has passed, whoever looks, counts and metrics included;
* one receiver at a time in a queue: of moto's, two at once move a message to the dead letters twice, or fail.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from moto.core.utils import unix_time_millis
from moto.sqs.constants import MAXIMUM_MESSAGE_LENGTH
from moto.sqs.exceptions import BatchRequestTooLong, InvalidParameterValue, MissingParameter, SQSException
from moto.sqs.models import Message, Queue, SQSBackend

from local.patching import Patches

ATTRIBUTE = "RedriveAllowPolicy"
# The characters of XML 1.0, https://www.w3.org/TR/REC-xml/#charsets; SQS takes no others.
_REFUSED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ALLOWED = "#x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF]"


class InvalidMessageContents(SQSException):  # type: ignore[misc]
    """A body with a character outside the allowed set."""

    def __init__(self, message: str) -> None:
        super().__init__("InvalidMessageContents", message)


def install() -> Patches:
    """Put all of it in moto's place, until undone."""
    patches = Patches()
    _answer_redrive_allow_policy(patches)
    _check_what_is_sent(patches)
    _let_go(patches)
    return patches


def _answer_redrive_allow_policy(patches: Patches) -> None:
    known: property = vars(Queue)["attributes"]

    def attributes(queue: Queue) -> dict[str, Any]:
        answer: dict[str, Any] = known.__get__(queue)
        redrive = answer.get("RedrivePolicy")
        if redrive:
            # As it was set but for blanks, which SQS takes out and moto puts in; clients compare the text.
            answer = answer | {"RedrivePolicy": json.dumps(json.loads(redrive), separators=(",", ":"))}
        policy = getattr(queue, "redrive_allow_policy", None)
        return answer | {ATTRIBUTE: policy} if policy else answer

    patches.set(Queue, "attributes", property(attributes))


def _check_what_is_sent(patches: Patches) -> None:
    send, send_batch = SQSBackend.send_message, SQSBackend.send_message_batch

    def send_message(
        backend: SQSBackend,
        queue_name: str,
        message_body: str,
        message_attributes: Mapping[str, Any] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        attributes = message_attributes or {}
        if refusal := content_refusal(message_body, attributes):
            raise refusal
        _check(backend.get_queue(queue_name), message_size(message_body, attributes))
        return send(backend, queue_name, message_body, message_attributes, *args, **kwargs)

    def send_message_batch(backend: SQSBackend, queue_name: str, entries: Mapping[str, Mapping[str, Any]]) -> Any:
        refused = {key: error for key, each in entries.items() if (error := _refusal(each))}
        taken = {key: each for key, each in entries.items() if key not in refused}
        sizes = [message_size(each["MessageBody"], each.get("MessageAttributes") or {}) for each in taken.values()]
        if sum(sizes) > MAXIMUM_MESSAGE_LENGTH:
            raise BatchRequestTooLong(sum(sizes))
        for size in sizes:  # all of them before the first is in the queue
            _check(backend.get_queue(queue_name), size)
        sent, failed = send_batch(backend, queue_name, taken)
        return sent, [*failed, *(_failure(entries[key]["Id"], error) for key, error in refused.items())]

    patches.set(SQSBackend, "send_message", send_message)
    patches.set(SQSBackend, "send_message_batch", send_message_batch)


def _let_go(patches: Patches) -> None:
    get_queue, receive = SQSBackend.get_queue, SQSBackend.receive_message

    def looked_up(backend: SQSBackend, queue_name: str) -> Queue:
        queue = get_queue(backend, queue_name)
        _expire(queue)
        return queue

    def received(backend: SQSBackend, queue_name: str, *args: Any, **kwargs: Any) -> Any:
        # waiting for messages gives the lock back
        with get_queue(backend, queue_name)._messages_lock:
            return receive(backend, queue_name, *args, **kwargs)

    patches.set(SQSBackend, "get_queue", looked_up)
    patches.set(SQSBackend, "receive_message", received)


def expires_at(queue: Queue, message: Message) -> float:
    """When SQS drops a message, in milliseconds since the epoch; a dead letter is as old as it was before.

    "Amazon SQS dead-letter queues", SQS developer guide, on the enqueue timestamp of standard queues; the embedded
    cloud takes FIFO queues, where moving begins the retention anew, for standard ones.
    """
    return float(message.sent_timestamp) + float(queue.message_retention_period) * 1000


def _expire(queue: Queue) -> None:
    now = unix_time_millis()
    with queue._messages_lock:
        old = [message for message in queue._messages if expires_at(queue, message) <= now]
        for message in old:
            queue._messages.remove(message)
            queue.pending_messages.discard(message)
            # its receipt is one of a message that is deleted already, which is no error
            queue.deleted_messages.update(handle for handle in message.all_receipt_handles if handle)


def content_refusal(body: str, attributes: Mapping[str, Any]) -> SQSException | None:
    """Why SQS does not take a message, whatever its size.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
    """
    if not body:
        return MissingParameter("MessageBody")
    if found := _REFUSED.search(body):
        return InvalidMessageContents(_invalid(found[0], "message body"))
    for name, attribute in attributes.items():
        kind = str(attribute.get("DataType"))
        value = attribute.get("BinaryValue" if kind.startswith("Binary") else "StringValue")
        if not value:
            words = f"Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'."
            return InvalidParameterValue(words)
        if isinstance(value, str) and (found := _REFUSED.search(value)):
            return InvalidParameterValue(_invalid(found[0], f"message attribute '{name}' value"))
    return None


def _invalid(character: str, where: str) -> str:
    return (
        f"Invalid binary character '#x{ord(character):X}' was found in the {where}, the set of allowed characters is "
        f"{_ALLOWED}."
    )


def _refusal(entry: Mapping[str, Any]) -> SQSException | None:
    return content_refusal(entry.get("MessageBody") or "", entry.get("MessageAttributes") or {})


def _failure(entry_id: str, error: SQSException) -> dict[str, Any]:
    """An entry of a batch's `Failed`: "the result of sending each message is reported individually"."""
    return {"Id": entry_id, "SenderFault": True, "Code": error.code, "Message": error.message}


def message_size(body: str, attributes: Mapping[str, Any]) -> int:
    """Bytes that a message counts for: its body, and each attribute's name, type and value.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html (MessageAttributes)
    """
    size = len(body.encode())
    for name, attribute in attributes.items():
        binary = attribute.get("BinaryValue")
        value = str(attribute.get("StringValue") or "").encode() if binary is None else _raw(binary)
        size += len(name.encode()) + len(str(attribute.get("DataType")).encode()) + len(value)
    return size


def _raw(value: bytes | str) -> bytes:
    # over the wire, in JSON, binary values are base64
    return base64.b64decode(value) if isinstance(value, str) else value


def _check(queue: Any, size: int) -> None:
    if size > queue.maximum_message_size:
        raise InvalidParameterValue(
            "One or more parameters are invalid. Reason: Message must be shorter than "
            f"{queue.maximum_message_size} bytes."
        )
