"""Lambda's edge of the image worker: SQS messages in, batch item failures out. The work is in `job.py`."""

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.common import clock, jobs, services, settings
from handlers.common.entry import entry, logger
from handlers.common.queues import NUMBER, REDRIVES, count_of
from handlers.image_processor import cutout, job, memory, models

LEASE_MARGIN = timedelta(seconds=15)
"""Between the end of the function's time and that of its lease: a killed process may still have a statement on its way.
The message stays invisible for six timeouts, so that the lease always ends first."""
TASK_ROOT = Path(__file__).parents[2]

memory.keep_freed_memory()
# A message that failed alone must not become a failed invocation as well: its return to the queue says it all.
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


class GivenBackError(Exception):
    """A message is left in the queue on purpose: the job is busy, or did not work this time."""


@cache
def network() -> cutout.Network:
    """Load the network once a process, on the first photograph."""
    return cutout.Network(TASK_ROOT / settings.required("MODEL_FILE"))


@cache
def worker() -> job.Worker:
    """Connect the job to this deployment, once a process."""
    return job.Worker(
        database=services.database(),
        images=services.pictures(),
        network=network,
        model=models.load(settings.required("MODEL_NAME")),
        now=clock.now,
        cdn_url=settings.ImageSettings.from_environment().cdn_url,
        max_attempts=max_receives(),
    )


def max_receives() -> int:
    """After how many receives the queue moves a message to its dead-letter queue, as the program declares it."""
    return int(settings.optional("BMX_MAX_RECEIVES") or jobs.MAX_ATTEMPTS)


def message_of(record: SQSRecord) -> jobs.Message:
    """Read what a message says of its own sending; 0 for an attribute that is not there or is no number."""

    def number(name: str) -> int:
        attribute = record.message_attributes[name]  # None where there is none
        return count_of(attribute.string_value if attribute else None)

    sent = record.attributes.sent_timestamp
    sent_at = datetime.fromtimestamp(int(sent) / 1000, UTC) if sent else None
    return jobs.Message(number=number(NUMBER), redrives=number(REDRIVES), sent_at=sent_at)


def handle_record(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """Do one message's job.

    Raises
    ------
    GivenBackError
        The message must come again.
    ValueError, KeyError
        It is no message of this flow; it ends in the dead-letter queue, where an operator sees it.
    """
    job_id = UUID(record.json_body["job_id"])
    logger().append_keys(job_id=str(job_id))
    verdict = job.process(
        worker(),
        job_id,
        message_of(record),
        lease=timedelta(milliseconds=lambda_context.get_remaining_time_in_millis()) + LEASE_MARGIN,
        last_receive=int(record.attributes.approximate_receive_count) >= max_receives(),
    )
    if verdict == "give_back":
        raise GivenBackError(f"image job {job_id} is given back")


@entry()
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do the jobs of an SQS batch; answers ``{"batchItemFailures": [...]}``, the messages that are given back."""
    return dict(
        process_partial_response(event=event, record_handler=handle_record, processor=processor, context=context)
    )
