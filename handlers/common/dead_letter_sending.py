"""A dead letter goes back to its queue: sent first, verified, only then deleted.

An interruption between any two calls leaves the message in both queues or in the dead-letter queue, never in none.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from handlers.common.dead_letter_walk import REDRIVES, Letter

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


def objection(letter: Letter, *, force: bool) -> str | None:
    """Say why a letter is not sent back, or None where nothing speaks against it."""
    if force:
        return None
    if letter.redrives >= MOST_REDRIVES:
        return (
            f"it was sent back {letter.redrives} times already and failed each time: look for the cause first; "
            "with force it is sent once more"
        )
    if REDRIVES not in letter.attributes and len(letter.attributes) >= MOST_ATTRIBUTES:
        return (
            f"it carries {len(letter.attributes)} attributes, as many as SQS takes, so {REDRIVES} cannot be added and "
            "its redrives would not be counted; with force it is sent uncounted"
        )
    return None


def attributes_of(letter: Letter) -> dict[str, dict[str, Any]]:
    """Return the attributes with which a letter is sent back: its own, and one redrive more."""
    kept = {
        name: {part: value[part] for part in ("DataType", "StringValue", "BinaryValue") if part in value}
        for name, value in letter.attributes.items()
    }
    if REDRIVES in kept or len(kept) < MOST_ATTRIBUTES:
        kept[REDRIVES] = {"DataType": "Number", "StringValue": str(letter.redrives + 1)}
    return kept


def send(sqs: SQSClient, url: str, letter: Letter) -> None:
    """Send a letter's message to the queue at `url` and make sure that it arrived as it left.

    Raises
    ------
    NotVerifiedError
        The answer's digests are not those of body and attributes.
    botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError
        SQS refused, or did not answer; the message may be in the queue nevertheless.
    """
    attributes: Any = attributes_of(letter)
    system: dict[str, Any] = {}
    if _TRACE in letter.system_attributes:
        trace = {"DataType": "String", "StringValue": letter.system_attributes[_TRACE]}
        system = {"MessageSystemAttributes": {_TRACE: trace}}
    answer = sqs.send_message(QueueUrl=url, MessageBody=letter.body, MessageAttributes=attributes, **system)
    expected = {"MD5OfMessageBody": _md5(letter.body.encode()), "MD5OfMessageAttributes": digest(attributes)}
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
