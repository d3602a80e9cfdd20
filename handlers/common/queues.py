"""Messages to the flows' queues, addressed by the queue's name as the program declares it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# "SendMessageBatch", SQS API reference: messages in one call.
LARGEST_BATCH = 10


NUMBER = "bmx_number"
"""Message attribute (Number) with the number of the sending. A body is a contract and holds nothing of it."""
REDRIVES = "bmx_redrives"
"""Message attribute (Number): how often an operator sent the message back."""


class QueueError(RuntimeError):
    """A message could not be sent, or a queue could not be looked at."""


@dataclass(frozen=True)
class NumberedMessage:
    """A message's body by the flow's contract, and the number of its sending."""

    body: Mapping[str, Any]
    number: int


class Queues:
    """Sends messages; remembers the queues' addresses for the life of the process."""

    def __init__(self, sqs: SQSClient | None = None) -> None:
        self._client = sqs
        self._urls: dict[str, str] = {}

    def send_batch(self, queue_name: str, bodies: Sequence[Mapping[str, Any]]) -> None:
        """Send at most ten messages in one call; those that SQS did not take once more.

        Parameters
        ----------
        queue_name
            Name of the queue.
        bodies
            The messages' bodies by the flow's contract.

        Raises
        ------
        QueueError
            SQS refused or did not answer, or did not take a message twice. The others are in the queue.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        waiting = {str(number): _text(body) for number, body in enumerate(bodies)}
        failed: list[str] = []
        for _ in range(2):
            entries = [{"Id": number, "MessageBody": text} for number, text in waiting.items()]
            try:
                answer = self._sqs().send_message_batch(QueueUrl=self._url(queue_name), Entries=entries)  # type: ignore[arg-type]
            except (BotoCoreError, ClientError) as error:
                self._urls.pop(queue_name, None)
                raise QueueError(_lost(len(waiting), len(bodies), queue_name, _words(error))) from error
            refused = answer.get("Failed", [])
            if not refused:
                return
            waiting = {each["Id"]: waiting[each["Id"]] for each in refused}
            failed = [each["Code"] for each in refused]
        raise QueueError(_lost(len(failed), len(bodies), queue_name, ", ".join(sorted(set(failed)))))

    def send_numbered(self, queue_name: str, messages: Sequence[NumberedMessage]) -> dict[int, str]:
        """Send at most ten messages in one call.

        Returns
        -------
        dict
            Position of each message that SQS did not take, to the reason. A message may be in the queue all the same
            where SQS did not answer.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        entries = [
            {
                "Id": str(position),
                "MessageBody": _text(message.body),
                "MessageAttributes": {NUMBER: {"DataType": "Number", "StringValue": str(message.number)}},
            }
            for position, message in enumerate(messages)
        ]
        try:
            answer = self._sqs().send_message_batch(QueueUrl=self._url(queue_name), Entries=entries)  # type: ignore[arg-type]
        except (BotoCoreError, ClientError) as error:
            self._urls.pop(queue_name, None)
            return dict.fromkeys(range(len(messages)), _words(error))
        return {int(each["Id"]): f"{each['Code']}: {each.get('Message', '')}" for each in answer.get("Failed", [])}

    def is_empty(self, queue_name: str) -> bool:
        """Tell whether SQS counts no message in a queue, visible, in flight or delayed.

        Raises
        ------
        QueueError
            SQS refused or did not answer.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        names: Any = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
        try:
            counts = self._sqs().get_queue_attributes(QueueUrl=self._url(queue_name), AttributeNames=names)
        except (BotoCoreError, ClientError) as error:
            self._urls.pop(queue_name, None)
            raise QueueError(f"the queue {queue_name} cannot be looked at: {_words(error)}") from error
        return not sum(int(counts["Attributes"][name]) for name in names)

    def _sqs(self) -> SQSClient:
        if self._client is None:
            from handlers.common.aws import client  # noqa: PLC0415

            self._client = client("sqs")
        return self._client

    def _url(self, queue_name: str) -> str:
        if queue_name not in self._urls:
            self._urls[queue_name] = self._sqs().get_queue_url(QueueName=queue_name)["QueueUrl"]
        return self._urls[queue_name]


def count_of(value: object) -> int:
    """Read a Number attribute's value; 0 for what is no count."""
    text = str(value)
    # SQS takes 38 digits as a Number; PostgreSQL's bigint holds 18, and int() of more would be an attacker's gift.
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0  # noqa: PLR2004


def _text(body: Mapping[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def _lost(count: int, of: int, queue_name: str, why: str) -> str:
    return f"{count} of {of} messages could not be sent to the queue {queue_name}: {why}"


def _words(error: Exception) -> str:
    response = getattr(error, "response", {})
    code = str(response.get("Error", {}).get("Code", ""))
    if "NonExistentQueue" in code or "QueueDoesNotExist" in code:
        # SQS gives the same answer to a caller that may not ask.
        return f"{error} (it is not there, or this role lacks sqs:GetQueueUrl on it)"
    return str(error)
