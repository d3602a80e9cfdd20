"""What health sees of image jobs in a real PostgreSQL: each that waits in vain is counted, and none that does not."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from handlers.api import health_jobs
from handlers.common.tables import IMAGE_JOBS_SWEEP, books, image_processing_jobs, sweeps

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
THRESHOLD = timedelta(hours=1)
LONG_AGO, LATELY = NOW - THRESHOLD, NOW - THRESHOLD + timedelta(seconds=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def put(database):
    def put(**values):
        with database.begin() as connection:
            book = connection.scalar(sa.insert(books).values(title="x").returning(books.c.id))
            row = {"id": uuid4(), "book_id": book, **values}
            connection.execute(sa.insert(image_processing_jobs).values(**row))

    return put


def look(database):
    with database.begin() as connection:
        return health_jobs.look(connection, now=NOW, threshold=THRESHOLD)


@pytest.mark.parametrize(
    ("row", "counted"),
    [
        ({"status": "pending", "updated_at": LONG_AGO}, "waiting"),
        ({"status": "pending", "updated_at": LATELY}, None),
        ({"status": "pending", "created_at": LONG_AGO}, "waiting"),
        ({"status": "pending"}, "waiting"),  # of the old system: nobody knows for how long
        ({"status": "processing", "updated_at": LONG_AGO, "lease_expires_at": LATELY}, None),
        ({"status": "processing", "updated_at": LONG_AGO, "lease_expires_at": LONG_AGO}, "abandoned"),
        ({"status": "processing"}, "abandoned"),
        ({"status": "queue_failed", "updated_at": NOW}, "queue_failed"),
        ({"status": "permanently_failed", "updated_at": NOW}, "permanently_failed"),
        ({"status": "completed", "completed_at": LONG_AGO}, None),
        ({"status": "failed"}, None),
    ],
)
def test_a_job_is_counted_where_somebody_must_know(database, put, row, counted):
    put(**row)
    found = look(database)
    counts = {name: getattr(found, name) for name in ("waiting", "abandoned", "queue_failed", "permanently_failed")}
    assert counts == dict.fromkeys(counts, 0) | ({counted: 1} if counted else {})
    said = [trouble.code for trouble in health_jobs.troubles(found, now=NOW, threshold=THRESHOLD)]
    assert len(said) == (counted is not None)


def test_the_last_success_is_the_newest(database, put):
    for end in (LONG_AGO, LATELY):
        put(status="completed", completed_at=end)
    assert look(database).last_success == LATELY


@pytest.mark.parametrize(
    ("ended", "left", "told"),
    [(NOW - health_jobs.SWEEP_LATE, 0, True), (NOW - health_jobs.SWEEP_LATE + SECOND, 0, False), (NOW, 3, True)],
)
def test_a_sweeper_that_is_late_or_left_something_is_told(database, ended, left, told):
    with database.begin() as connection:
        connection.execute(sa.insert(sweeps).values(name=IMAGE_JOBS_SWEEP, finished_at=ended, left_undone=left))
    said = list(health_jobs.troubles(look(database), now=NOW, threshold=THRESHOLD))
    assert [trouble.code for trouble in said] == (["sweeper_late"] if told else [])
