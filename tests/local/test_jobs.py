"""Image jobs against a real PostgreSQL: leases, ends, and the order of a book's pictures."""

import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from handlers.common import jobs
from handlers.common.order import image_order
from handlers.common.tables import book_images, books, image_processing_jobs

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LEASE = timedelta(minutes=5)
LATER = NOW + LEASE


@pytest.fixture
def book(database):
    """A book with three pictures, 1 to 3; the first is primary."""
    with database.begin() as connection:
        book_id = connection.execute(sa.insert(books).values(title="Emma").returning(books.c.id)).scalar_one()
        for position in range(3):
            connection.execute(
                sa.insert(book_images).values(
                    book_id=book_id, s3_key=f"{position}.jpg", display_order=position, is_primary=position == 0
                )
            )
    return book_id


def create(database, book, image=1, now=NOW):
    with database.begin() as connection:
        return jobs.create(connection, book, image, now=now)


def claim(database, job, now=NOW, lease=LEASE):
    with database.begin() as connection:
        return jobs.claim(connection, job.id, now=now, lease=lease)


def row(database, job):
    with database.begin() as connection:
        return jobs.find(connection, job.id)


def processed(source=1, key="1_processed_ab.png"):
    return jobs.ProcessedImage(s3_key=key, source_image_id=source, content_hash="ab")


def complete(database, job, image=None, now=NOW):
    with database.begin() as connection:
        return jobs.complete(
            connection, job, processed=image or processed(), model_used="u2net", result={"model": "u2net"}, now=now
        )


def pictures(database, book):
    query = sa.select(book_images.c.id, book_images.c.display_order, book_images.c.is_primary)
    with database.begin() as connection:
        rows = connection.execute(query.where(book_images.c.book_id == book).order_by(book_images.c.display_order))
        return [tuple(row) for row in rows]


def test_a_new_job_is_pending_and_its_message_is_the_contracts(database, book):
    job = create(database, book)
    assert (job.status, job.attempt_count, job.sent_at, job.created_at) == ("pending", 0, None, NOW)
    assert job.message == {"job_id": str(job.id), "book_id": book, "image_id": 1}


def test_a_second_active_job_of_a_picture_is_the_first_one(database, book):
    first = create(database, book)
    assert create(database, book).id == first.id
    claim(database, first)
    assert create(database, book).id == first.id
    assert create(database, book, image=2).id != first.id


def test_a_picture_whose_job_ended_gets_a_new_one(database, book):
    first = claim(database, create(database, book)).job
    with database.begin() as connection:
        jobs.fail(connection, first, now=NOW, reason="no subject")
    assert create(database, book).id != first.id


def test_two_creators_at_once_get_one_job(database, book):
    made, barrier = [], threading.Barrier(2)

    def run():
        barrier.wait()
        made.append(create(database, book).id)

    in_threads(run, run)
    assert len(made) == 2
    assert len(set(made)) == 1


def in_threads(*functions):
    errors = []

    def guarded(function):
        try:
            function()
        except Exception as error:  # noqa: BLE001  shown below
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []


def test_a_claim_counts_the_attempt_and_ends_at_the_leases_end(database, book):
    taken = claim(database, create(database, book))
    assert taken.outcome == "claimed"
    assert (taken.job.status, taken.job.attempt_count, taken.job.lease_expires_at) == ("processing", 1, NOW + LEASE)
    assert isinstance(taken.job.lease_id, UUID)


def test_a_live_lease_keeps_others_out_until_its_very_end(database, book):
    job = create(database, book)
    claim(database, job)
    assert claim(database, job, now=LATER - timedelta(microseconds=1)).outcome == "busy"
    assert claim(database, job, now=LATER).outcome == "claimed"


def test_an_expired_lease_is_taken_over_and_its_old_holder_can_do_nothing(database, book):
    job = create(database, book)
    old = claim(database, job).job
    new = claim(database, job, now=LATER).job
    assert new.attempt_count == 2
    for leave in (jobs.release, jobs.fail, jobs.permanently_fail):
        with pytest.raises(jobs.LeaseLostError, match=str(job.id)), database.begin() as connection:
            leave(connection, old, now=LATER, reason="late")
    with pytest.raises(jobs.LeaseLostError):
        complete(database, old, now=LATER)
    assert row(database, job) == new
    assert len(pictures(database, book)) == 3


def test_a_caller_that_swallows_a_lost_lease_commits_nothing_of_the_picture(database, book):
    job = create(database, book)
    old = claim(database, job).job
    claim(database, job, now=LATER)
    with database.begin() as connection, pytest.raises(jobs.LeaseLostError):
        jobs.complete(connection, old, processed=processed(), model_used="u2net", result={}, now=LATER)
    assert [picture[0] for picture in pictures(database, book)] == [1, 2, 3]


def test_of_two_workers_that_claim_at_once_exactly_one_wins(database, book):
    for _ in range(10):
        job = create(database, book)
        barrier = threading.Barrier(2)
        outcomes: list[str] = []

        def run(job=job, barrier=barrier, outcomes=outcomes):
            barrier.wait()
            outcomes.append(claim(database, job).outcome)

        in_threads(run, run)
        assert sorted(outcomes) == ["busy", "claimed"]
        with database.begin() as connection:
            connection.execute(sa.delete(image_processing_jobs))


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("completed", "finished"), ("failed", "finished"), ("queue_failed", "claimed"), ("permanently_failed", "claimed")],
)
def test_a_message_of_an_ended_job_is_work_only_if_it_can_have_been_sent_back(database, book, status, outcome):
    job = create(database, book)
    with database.begin() as connection:
        connection.execute(sa.update(image_processing_jobs).values(status=status))
    assert claim(database, job).outcome == outcome


def test_a_job_sent_back_from_the_dead_letters_gives_way_to_a_newer_one(database, book):
    dead = claim(database, create(database, book)).job
    with database.begin() as connection:
        jobs.permanently_fail(connection, dead, now=NOW, reason="memory")
    create(database, book)
    taken = claim(database, dead)
    assert taken.outcome == "superseded"
    assert taken.job.status == "permanently_failed"


def test_a_job_sent_back_from_the_dead_letters_has_all_its_attempts_again(database, book):
    job, now = create(database, book), NOW
    for _ in range(jobs.MAX_ATTEMPTS):
        worn = claim(database, job, now=now).job
        now += LEASE
    with database.begin() as connection:
        freed = jobs.free(connection, worn, now=now)
    assert freed is not None
    assert freed.status == "permanently_failed"
    again = claim(database, job, now=now).job
    assert (again.attempt_count, again.failure_reason, again.completed_at) == (1, None, None)
    with database.begin() as connection:
        freed = jobs.free(connection, again, now=now + LEASE)
    assert freed is not None
    assert freed.status == "pending"


def test_a_message_without_a_job_is_unknown(database):
    with database.begin() as connection:
        assert jobs.claim(connection, uuid4(), now=NOW, lease=LEASE) == jobs.Claim("unknown", None)


def test_a_job_of_the_old_system_in_processing_without_a_lease_is_taken(database, book):
    job = create(database, book)
    with database.begin() as connection:
        connection.execute(sa.update(image_processing_jobs).values(status="processing"))
    assert claim(database, job).outcome == "claimed"


def test_a_released_job_can_be_claimed_at_once_and_keeps_its_reason_meanwhile(database, book):
    held = claim(database, create(database, book)).job
    with database.begin() as connection:
        freed = jobs.release(connection, held, now=NOW, reason="S3 is down")
    assert (freed.status, freed.failure_reason, freed.lease_id) == ("pending", "S3 is down", None)
    again = claim(database, held).job
    assert (again.attempt_count, again.failure_reason) == (2, None)


@pytest.mark.parametrize(("leave", "status"), [("fail", "failed"), ("permanently_fail", "permanently_failed")])
def test_a_job_that_ends_badly_says_why_and_when(database, book, leave, status):
    held = claim(database, create(database, book)).job
    with database.begin() as connection:
        ended = getattr(jobs, leave)(connection, held, now=LATER, reason="no subject" * 1000)
    assert (ended.status, ended.completed_at) == (status, LATER)
    assert ended.failure_reason.startswith("no subject")
    assert len(ended.failure_reason) == jobs.MAX_REASON_LENGTH


def test_a_completed_job_puts_its_picture_first_and_the_original_last(database, book):
    held = claim(database, create(database, book)).job
    done = complete(database, held, now=LATER)
    assert (done.status, done.completed_at, done.model_used) == ("completed", LATER, "u2net")
    assert done.result == {"model": "u2net"}
    new = done.processed_image_id
    assert pictures(database, book) == [(new, 0, True), (2, 1, False), (3, 2, False), (1, 3, False)]


def test_a_pictures_row_is_made_once_however_its_key_is_written(database, book):
    first = complete(database, claim(database, create(database, book)).job)
    again = claim(database, create(database, book, now=LATER), now=LATER).job
    second = complete(database, again, processed(key="books/1_processed_ab.png"), now=LATER)
    assert second.processed_image_id == first.processed_image_id
    assert len(pictures(database, book)) == 4


def test_a_job_whose_book_was_deleted_is_lost(database, book):
    held = claim(database, create(database, book)).job
    with database.begin() as connection:
        connection.execute(sa.delete(books))
    with pytest.raises(jobs.LeaseLostError, match=f"no book {book}"):
        complete(database, held)


def test_a_job_whose_source_was_deleted_still_completes(database, book):
    held = claim(database, create(database, book)).job
    with database.begin() as connection:
        connection.execute(sa.delete(book_images).where(book_images.c.id == 1))
    done = complete(database, held)
    assert [picture[0] for picture in pictures(database, book)] == [done.processed_image_id, 2, 3]


def test_two_jobs_of_one_book_cannot_interleave_its_order(database, book):
    one = claim(database, create(database, book, image=1)).job
    two = claim(database, create(database, book, image=2)).job
    second_done = threading.Event()

    def second():
        complete(database, two, processed(2, "b.png"))
        second_done.set()

    thread = threading.Thread(target=second)
    with database.begin() as connection:
        jobs.complete(connection, one, processed=processed(1, "a.png"), model_used="u2net", result={}, now=NOW)
        thread.start()
        assert not second_done.wait(0.5)  # it stands at the book's lock
    thread.join(10)
    assert second_done.is_set()
    a, b = row(database, one).processed_image_id, row(database, two).processed_image_id
    assert pictures(database, book) == [(b, 0, True), (a, 1, False), (3, 2, False), (1, 3, False), (2, 4, False)]


def test_pictures_without_a_position_come_last_oldest_first(database, book):
    with database.begin() as connection:
        for key in ("x", "y"):
            connection.execute(sa.insert(book_images).values(book_id=book, s3_key=key))
        assert image_order(connection, book) == [1, 2, 3, 4, 5]
        connection.execute(sa.update(book_images).where(book_images.c.id == 1).values(display_order=None))
        assert image_order(connection, book) == [2, 3, 1, 4, 5]


def test_the_newest_job_of_a_picture_is_found(database, book):
    first = claim(database, create(database, book)).job
    complete(database, first)
    second = create(database, book, now=LATER)
    with database.begin() as connection:
        assert jobs.latest_for(connection, 1) == second
        assert jobs.latest_for(connection, 2) is None
