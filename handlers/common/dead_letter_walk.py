"""One walk through a dead-letter queue: it hides what it sees and gives back what nobody took.

SQS shows a queue only by receiving from it. A walk ends at an answer without messages, after some that brought nothing
new, or when its time or number is up; `complete` says whether it saw everything.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from handlers.common.queues import NUMBER, REDRIVES, count_of

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

log = logging.getLogger(__name__)

BATCH = 10
"""Most messages of one call: "ReceiveMessage" and the batch actions, SQS API reference."""
STALE_ANSWERS = 3
"""So many answers in a row without anything new end a walk. One is not enough: in a large queue the messages seen first
are visible again before the last ones were shown, and SQS gives them in no order."""


@dataclass(frozen=True)
class FlowQueues:
    """The names of a flow's two queues and of its function."""

    key: str
    queue_name: str
    dead_letter_queue_name: str
    function_name: str


@dataclass(frozen=True)
class Letter:
    """A dead letter as SQS shows it.

    `sent_at` is the time at which the flow's producer sent it; SQS keeps it when it moves the message. `receives`
    counts deliveries to the worker and every look that was taken since.
    """

    id: str
    flow: str
    body: str
    attributes: Mapping[str, Mapping[str, Any]]
    system_attributes: Mapping[str, str]
    receipt: str = field(repr=False)

    @property
    def sent_at(self) -> datetime:
        """When the message was sent for the first time, or sent back the last time."""
        return datetime.fromtimestamp(int(self.system_attributes["SentTimestamp"]) / 1000, UTC)

    @property
    def receives(self) -> int:
        """How often it was received, from either queue."""
        return int(self.system_attributes["ApproximateReceiveCount"])

    @property
    def redrives(self) -> int:
        """How often it was sent back; 0 where the attribute is not there or is no number."""
        return count_of(self.attributes.get(REDRIVES, {}).get("StringValue"))

    @property
    def number(self) -> int:
        """The number of its sending, by which its job knows it; 0 where it has none."""
        return count_of(self.attributes.get(NUMBER, {}).get("StringValue"))

    @property
    def job_id(self) -> UUID | None:
        """The job that the body names, if it does."""
        try:
            value = json.loads(self.body)
            return UUID(value["job_id"])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None


def message_count(sqs: SQSClient, url: str) -> int:
    """Return about how many messages lie in a queue, those that a reader hides too.

    Raises
    ------
    botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError
        SQS refused, or did not answer.
    """
    names: Sequence[Any] = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(counts[name]) for name in names)


class Walk:
    """Goes through a dead-letter queue once.

    Parameters
    ----------
    sqs
        Client.
    url
        The dead-letter queue's address.
    flow
        The flow's key.
    hide
        Seconds for which SQS hides a message that was seen, should this process die before it gives it back.
    wait
        Seconds that an answer may wait for messages; above 0 SQS asks all of its servers, at 0 only some.
    seconds
        Time for the whole walk; no call is begun afterwards. None: without limit.
    size
        Most messages of one answer, 1 to 10.
    monotonic
        Where the time comes from.
    """

    def __init__(
        self,
        sqs: SQSClient,
        url: str,
        flow: str,
        *,
        hide: int,
        wait: int,
        seconds: float | None = None,
        size: int = BATCH,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sqs, self._url, self._flow = sqs, url, flow
        self._hide, self._wait, self._size, self._now = hide, wait, size, monotonic
        self._end = None if seconds is None else monotonic() + seconds
        self._held: dict[str, str] = {}
        self._seen: set[str] = set()
        self._exhausted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()

    @property
    def in_time(self) -> bool:
        """Whether the walk's time is not up."""
        return self._end is None or self._now() < self._end

    def batches(self) -> Iterator[list[Letter]]:
        """Yield the letters not seen before, as SQS answers them.

        Raises
        ------
        botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError
            SQS refused, or did not answer.
        """
        stale = 0
        while stale < STALE_ANSWERS and self.in_time:
            letters = self._receive()
            if not letters:
                self._exhausted = True
                return
            fresh = [letter for letter in letters if letter.id not in self._seen]
            self._seen |= {letter.id for letter in letters}
            stale = 0 if fresh else stale + 1
            if fresh:
                yield fresh
        self._exhausted = stale >= STALE_ANSWERS

    def settle(self, letter: Letter) -> None:
        """Tell that a letter is deleted, so that it is not given back."""
        self._held.pop(letter.id, None)

    def complete(self) -> bool:
        """Whether nothing is in the queue that the walk did not see; messages may be hidden by another reader.

        Raises
        ------
        botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError
            SQS refused, or did not answer.
        """
        if not self._exhausted:
            return False
        return message_count(self._sqs, self._url) <= len(self._seen)

    def _receive(self) -> list[Letter]:
        answer = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=self._size,
            VisibilityTimeout=self._hide,
            WaitTimeSeconds=self._wait,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        letters = [self._letter(message) for message in answer.get("Messages", [])]
        # A later receipt replaces the earlier one, which no longer moves the message.
        self._held |= {letter.id: letter.receipt for letter in letters}
        return letters

    def _letter(self, message: Any) -> Letter:
        return Letter(
            id=message["MessageId"],
            flow=self._flow,
            body=message["Body"],
            attributes=message.get("MessageAttributes", {}),
            system_attributes=message["Attributes"],
            receipt=message["ReceiptHandle"],
        )

    def _give_back(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  loaded with the client already

        receipts = list(self._held.values())
        self._held.clear()
        for start in range(0, len(receipts), BATCH):
            entries: Any = [
                {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for number, receipt in enumerate(receipts[start : start + BATCH])
            ]
            try:
                self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
            except (ClientError, BotoCoreError) as error:
                # Nothing is lost by it: what was not given back shows itself when it has been hidden long enough.
                log.warning("dead letters of %s stay hidden for up to %d s: %s", self._flow, self._hide, error)
                return
