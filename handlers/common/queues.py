"""Messages to the flows' queues, addressed by the queue's name as the program declares it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# "SendMessageBatch", SQS API reference: messages in one call.
LARGEST_BATCH = 10


class QueueError(RuntimeError):
    """A message could not be sent."""


class Queues:
    """Sends messages; remembers the queues' addresses for the life of the process."""

    def __init__(self, sqs: SQSClient | None = None) -> None:
        self._client = sqs
        self._urls: dict[str, str] = {}

    def send(self, queue_name: str, body: Mapping[str, Any]) -> str:
        """Send one message and return its id.

        Parameters
        ----------
        queue_name
            Name, not address: the declaration knows the name before the queue exists.
        body
            The message's body by the flow's contract; sent as compact JSON.

        Raises
        ------
        QueueError
            SQS refused or did not answer. Names the queue, and what AWS's answer leaves open.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  loaded with the client already

        try:
            return self._sqs().send_message(QueueUrl=self._url(queue_name), MessageBody=_text(body))["MessageId"]
        except (BotoCoreError, ClientError) as error:
            # A queue that was made again has another address on some endpoints; ask anew next time.
            self._urls.pop(queue_name, None)
            raise QueueError(f"no message could be sent to the queue {queue_name}: {_words(error)}") from error

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

    def _sqs(self) -> SQSClient:
        if self._client is None:
            from handlers.common.aws import client  # noqa: PLC0415

            self._client = client("sqs")
        return self._client

    def _url(self, queue_name: str) -> str:
        if queue_name not in self._urls:
            self._urls[queue_name] = self._sqs().get_queue_url(QueueName=queue_name)["QueueUrl"]
        return self._urls[queue_name]


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
