"""A dead letter goes back to its queue: sent first, verified, only then deleted.

An interruption between any two calls leaves the message in both queues or in the dead-letter queue, never in none.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from handlers.common.dead_letter_walk import Letter
from handlers.common.queues import REDRIVES

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MOST_ATTRIBUTES = 10
"""Attributes that one message can have ("SendMessage", MessageAttribute, SQS API reference)."""
MOST_REDRIVES = 3
"""What failed after being sent back so often fails again; a further time has to be asked for."""
_TRACE = "AWSTraceHeader"
"""The one system attribute that a sender can set."""
_TEXT, _BINARY = b"\x01", b"\x02"


class NotVerifiedError(RuntimeError):
    """SQS confirmed other bytes than were sent; the dead letter was left where it is."""


def objection(letter: Letter, *, largest: int, force: bool) -> str | None:
    """Say why a letter is not sent back to a queue that takes messages of `largest` bytes, or None."""
    if force:
        return None
    if letter.redrives >= MOST_REDRIVES:
        return (
            f"it was sent back {letter.redrives} times already and failed each time: look for the cause first; "
            "with force it is sent once more"
        )
    if why := _uncounted(letter, largest):
        return (
            f"{why}, so {REDRIVES} cannot be added and its redrives would not be counted; "
            "with force it is sent uncounted"
        )
    return None


def _uncounted(letter: Letter, largest: int) -> str | None:
    """Say why one attribute more does not fit, or None where it does."""
    if REDRIVES in letter.attributes:
        return None
    if len(letter.attributes) >= MOST_ATTRIBUTES:
        return f"it carries {len(letter.attributes)} attributes, as many as SQS takes"
    counted = size(letter.body, _kept(letter) | {REDRIVES: _count(letter)})
    if counted > largest:
        return f"with its count it would have {counted:,} bytes and its queue takes {largest:,}"
    return None


def size(body: str, attributes: Mapping[str, Mapping[str, Any]]) -> int:
    """Return a message's size in bytes as SQS counts it: body, and name, type and value of each attribute."""
    total = len(body.encode())
    for name, attribute in attributes.items():
        value = attribute.get("BinaryValue") or str(attribute.get("StringValue", "")).encode()
        total += len(name.encode()) + len(str(attribute["DataType"]).encode()) + len(value)
    return total


def _kept(letter: Letter) -> dict[str, dict[str, Any]]:
    return {
        name: {part: value[part] for part in ("DataType", "StringValue", "BinaryValue") if part in value}
        for name, value in letter.attributes.items()
    }


def _count(letter: Letter) -> dict[str, Any]:
    return {"DataType": "Number", "StringValue": str(letter.redrives + 1)}


def attributes_of(letter: Letter, largest: int) -> dict[str, dict[str, Any]]:
    """Return the attributes with which a letter is sent back: its own, and one redrive more where that fits."""
    return _kept(letter) if _uncounted(letter, largest) else _kept(letter) | {REDRIVES: _count(letter)}


def largest_message(sqs: SQSClient, url: str) -> int:
    """Return how many bytes a queue takes: body and attributes together ("SetQueueAttributes", MaximumMessageSize)."""
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["MaximumMessageSize"])["Attributes"]
    return int(attributes["MaximumMessageSize"])


def send(sqs: SQSClient, url: str, letter: Letter, *, largest: int) -> None:
    """Send a letter's message to the queue at `url` and make sure that it arrived as it left.

    Raises
    ------
    NotVerifiedError
        The answer's digests are not those of body and attributes.
    botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError
        SQS refused, or did not answer; the message may be in the queue nevertheless.
    """
    attributes: Any = attributes_of(letter, largest)
    system: dict[str, Any] = {}
    if _TRACE in letter.system_attributes:
        trace = {"DataType": "String", "StringValue": letter.system_attributes[_TRACE]}
        system = {"MessageSystemAttributes": {_TRACE: trace}}
    answer = sqs.send_message(QueueUrl=url, MessageBody=letter.body, MessageAttributes=attributes, **system)
    expected = {"MD5OfMessageBody": _md5(letter.body.encode())}
    if attributes:  # SQS answers no digest of none
        expected["MD5OfMessageAttributes"] = digest(attributes)
    for name, value in expected.items():
        confirmed = str(answer.get(name, ""))
        if not hmac.compare_digest(confirmed, value):
            raise NotVerifiedError(f"SQS answered {name} {confirmed or 'not at all'} where {value} was sent")


def digest(attributes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the MD5 of message attributes as SQS makes it.

    Source: "Calculating the MD5 message digest for message attributes", SQS developer guide: sorted by name; of each
    the name, the type and the value, every one after its length in bytes (4 bytes, big-endian), the value also after
    one byte that tells text (1) from bytes (2).
    """
    encoded = b""
    for name in sorted(attributes):
        attribute = attributes[name]
        encoded += _measured(name.encode()) + _measured(str(attribute["DataType"]).encode())
        if "BinaryValue" in attribute:
            encoded += _BINARY + _measured(bytes(attribute["BinaryValue"]))
        else:
            encoded += _TEXT + _measured(str(attribute["StringValue"]).encode())
    return _md5(encoded)


def _measured(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def _md5(value: bytes) -> str:
    # A checksum against accidents, as SQS offers it; nothing is kept secret or authentic by it.
    return hashlib.md5(value, usedforsecurity=False).hexdigest()
