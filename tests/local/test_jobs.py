"""Image jobs against a real PostgreSQL: leases, ends, and the order of a book's pictures."""

import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from handlers.common import job_states, jobs
from handlers.common.order import image_order, lock_book, record_choice, write_order
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
    """Accept a job of a photograph, which is primary by then, and take a number for its message."""
    with database.begin() as connection:
        connection.execute(sa.update(book_images).values(is_primary=book_images.c.id == image))
        job = jobs.accept(connection, book, image, now=now)
        return next(iter(jobs.begin_sending(connection, [job.id], now=now)), job)


def claim(database, job, now=NOW, lease=LEASE, message=None):
    """Claim a job, by the message that counts if none is given."""
    with database.begin() as connection:
        found = jobs.find(connection, job.id)
        assert found is not None
        counts = jobs.Message(found.message_number)
        return jobs.claim(connection, job.id, message or counts, now=now, lease=lease)


def row(database, job):
    with database.begin() as connection:
        return jobs.find(connection, job.id)


def processed(key="1_processed_ab.png"):
    return jobs.ProcessedImage(s3_key=key, content_hash="ab")


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


def test_asking_again_does_not_hide_how_long_a_job_has_waited(database, book):
    job = create(database, book)
    with database.begin() as connection:
        again = jobs.accept(connection, book, 1, now=LATER)
    assert (again.id, again.updated_at) == (job.id, NOW)


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
    [("completed", "finished"), ("failed", "finished"), ("queue_failed", "claimed"), ("permanently_failed", "spent")],
)
def test_a_message_that_comes_by_itself_never_revives_an_ended_job(database, book, status, outcome):
    job = create(database, book)
    with database.begin() as connection:
        connection.execute(sa.update(image_processing_jobs).values(status=status, completed_at=LATER))
    before = row(database, job)
    assert claim(database, job, message=jobs.Message(job.message_number, sent_at=NOW)).outcome == outcome
    assert outcome == "claimed" or row(database, job) == before


def dead(database, book):
    held = claim(database, create(database, book)).job
    with database.begin() as connection:
        return jobs.permanently_fail(connection, held, now=LATER, reason="memory")


@pytest.mark.parametrize(
    "message",
    [{"redrives": 1, "sent_at": NOW}, {"sent_at": LATER + LEASE}],
    ids=["by our command", "by SQS's own redrive"],
)
def test_what_an_operator_sends_back_revives_the_job_with_all_its_attempts(database, book, message):
    job = dead(database, book)
    again = claim(database, job, message=jobs.Message(job.message_number, **message), now=LATER + LEASE).job
    assert (again.status, again.attempt_count, again.failure_reason, again.completed_at) == (
        "processing",
        1,
        None,
        None,
    )


def test_one_redrive_revives_a_job_once(database, book):
    job = dead(database, book)
    sent_back = jobs.Message(job.message_number, redrives=1, sent_at=LATER + LEASE)
    again = claim(database, job, message=sent_back, now=LATER + LEASE).job
    with database.begin() as connection:
        jobs.permanently_fail(connection, again, now=LATER + 2 * LEASE, reason="memory")
    assert claim(database, job, message=sent_back, now=LATER + 3 * LEASE).outcome == "spent"


def test_a_redriven_letter_of_an_earlier_sending_counts_from_then_on(database, book):
    job = dead(database, book)
    with database.begin() as connection:
        jobs.retry(connection, job.id, now=LATER)
        (second,) = jobs.begin_sending(connection, [job.id], now=LATER)
    held = claim(database, second, now=LATER).job
    with database.begin() as connection:
        jobs.permanently_fail(connection, held, now=LATER, reason="memory")
    first_again = jobs.Message(job.message_number, redrives=1, sent_at=LATER + LEASE)
    assert claim(database, job, message=first_again, now=LATER + LEASE).outcome == "claimed"
    # Its worker dies: the same message comes again and goes on with the job.
    assert claim(database, job, message=first_again, now=LATER + 2 * LEASE).outcome == "claimed"
    assert claim(database, job, message=jobs.Message(second.message_number), now=LATER + 4 * LEASE).outcome == "stale"


def test_only_the_message_whose_number_counts_is_work(database, book):
    job = create(database, book)
    for number in (0, job.message_number - 1, job.message_number + 1):
        assert claim(database, job, message=jobs.Message(number)).outcome == "stale"
    assert row(database, job) == job
    assert claim(database, job).outcome == "claimed"
    assert claim(database, job, message=jobs.Message(0)).outcome == "stale"


def test_a_message_of_the_time_before_numbers_is_work_for_a_job_of_that_time(database, book):
    job = create(database, book)
    with database.begin() as connection:
        connection.execute(sa.update(image_processing_jobs).values(message_number=0))
    assert claim(database, job, message=jobs.Message(0)).outcome == "claimed"


def test_attempts_beyond_the_limit_are_refused_and_end_the_job(database, book):
    job, now = create(database, book), NOW
    for attempt in range(1, jobs.MAX_ATTEMPTS + 1):
        assert claim(database, job, now=now).job.attempt_count == attempt
        now += LEASE
    assert claim(database, job, now=now - timedelta(seconds=1)).outcome == "busy"
    refused = claim(database, job, now=now)
    assert (refused.outcome, refused.job.status, refused.job.attempt_count) == ("spent", "permanently_failed", 5)
    assert "5 times without an answer" in refused.job.failure_reason


def test_a_job_sent_back_from_the_dead_letters_gives_way_to_a_newer_one(database, book):
    job = dead(database, book)
    create(database, book)
    assert row(database, job).failure_reason == jobs.SUPERSEDED
    taken = claim(database, job, message=jobs.Message(job.message_number, redrives=1))
    assert (taken.outcome, taken.job.status) == ("finished", "failed")


def test_a_job_given_up_ends_too_when_one_beside_it_that_could_not_be_queued_is_asked_for_again(database, book):
    given_up, waits = dead(database, book), create(database, book)
    with database.begin() as connection:  # as the system before this one left them
        for job, status in ((given_up, "permanently_failed"), (waits, "queue_failed")):
            changed = sa.update(image_processing_jobs).where(image_processing_jobs.c.id == job.id)
            connection.execute(changed.values(status=status))
        assert jobs.accept(connection, book, 1, now=LATER).id == waits.id
    assert (row(database, given_up).status, row(database, waits).status) == ("failed", "pending")


def test_a_job_given_up_beside_a_newer_one_ends_when_it_is_sent_back(database, book):
    job = dead(database, book)
    create(database, book)
    with database.begin() as connection:  # as the system before this one left them
        connection.execute(
            sa.update(image_processing_jobs)
            .where(image_processing_jobs.c.id == job.id)
            .values(status="permanently_failed")
        )
    taken = claim(database, job, message=jobs.Message(job.message_number, redrives=1))
    assert (taken.outcome, taken.job.status) == ("superseded", "failed")


def test_a_job_that_was_sent_back_is_not_sent_again_while_that_message_lives(database, book):
    job, retention, week = dead(database, book), timedelta(days=4), NOW + timedelta(days=7)
    sent_back = jobs.Message(job.message_number, redrives=1, sent_at=week)
    taken = claim(database, job, now=week, message=sent_back).job
    with database.begin() as connection:
        jobs.release(connection, taken, now=week, reason="x")
        for later in (timedelta(), retention):
            assert jobs.begin_sending(connection, now=week + later, retention=retention) == []
        assert jobs.begin_sending(connection, now=week + retention + jobs.RETENTION_MARGIN, retention=retention)


def test_a_letter_that_a_redrive_left_behind_may_be_discarded_and_its_job_goes_on(database, book):
    job = dead(database, book)
    taken = claim(database, job, message=jobs.Message(job.message_number, redrives=1)).job
    with database.begin() as connection:
        jobs.release(connection, taken, now=NOW, reason="x")
        left = jobs.Message(job.message_number, redrives=0)
        assert jobs.discard(connection, job.id, left, who="ann", now=LATER) is None
        assert jobs.discard(connection, job.id, replace(left, redrives=1), who="ann", now=LATER) is not None


def test_an_old_letter_discarded_ends_no_job_that_has_another_message_by_now(database, book):
    job = dead(database, book)
    with database.begin() as connection:
        jobs.retry(connection, job.id, now=NOW)
        jobs.begin_sending(connection, [job.id], now=NOW)
        assert jobs.discard(connection, job.id, jobs.Message(job.message_number), who="ann", now=LATER) is None
    assert row(database, job).status == "pending"


def test_a_letter_discarded_while_a_worker_has_its_job_ends_nothing(database, book):
    job = create(database, book)
    assert claim(database, job).outcome == "claimed"
    with database.begin() as connection:
        assert jobs.discard(connection, job.id, jobs.Message(job.message_number), who="ann", now=NOW) is None
    assert row(database, job).status == "processing"


def test_a_job_is_given_up_only_as_it_was_seen_and_with_no_attempt_left(database, book):
    job = create(database, book)
    seen = claim(database, job).job
    taken_over = claim(database, job, now=LATER).job
    with database.begin() as connection:
        assert jobs.give_up(connection, taken_over, now=LATER, max_attempts=3) is None  # two were used
        assert jobs.give_up(connection, seen, now=LATER, max_attempts=2) is None  # another worker's by now
        assert jobs.give_up(connection, taken_over, now=LATER, max_attempts=2) is not None


def test_a_message_that_came_counts_as_sent_whatever_its_sender_could_record(database, book):
    job = create(database, book)  # numbered; the sender dies
    taken = claim(database, job).job
    with database.begin() as connection:
        jobs.release(connection, taken, now=LATER, reason="x")
        assert jobs.mark_send_failed(connection, job, now=LATER) is None  # it was slow, not dead
        assert jobs.begin_sending(connection, now=LATER + timedelta(hours=1)) == []


def test_a_redrive_counts_once_although_its_job_was_sent_again_since(database, book):
    job = dead(database, book)
    sent_back = jobs.Message(job.message_number, redrives=1)
    taken = claim(database, job, message=sent_back).job
    with database.begin() as connection:
        jobs.permanently_fail(connection, taken, now=NOW, reason="x")
        jobs.retry(connection, job.id, now=NOW)
        (again,) = jobs.begin_sending(connection, [job.id], now=NOW)
    taken = claim(database, again, message=jobs.Message(again.message_number)).job
    with database.begin() as connection:
        jobs.permanently_fail(connection, taken, now=NOW, reason="x")
    assert claim(database, job, message=sent_back).outcome == "stale"


def test_sqss_own_redrive_revives_a_job_of_the_old_system_that_lacks_every_time(database, book):
    job = dead(database, book)
    with database.begin() as connection:
        no_times = dict.fromkeys(("created_at", "updated_at", "completed_at"))
        connection.execute(
            sa.update(image_processing_jobs).where(image_processing_jobs.c.id == job.id).values(**no_times)
        )
    assert claim(database, job, message=jobs.Message(job.message_number, sent_at=NOW)).outcome == "claimed"


# sending


def numbers(database, *ids, **given):
    with database.begin() as connection:
        return [job.message_number for job in jobs.begin_sending(connection, ids or None, limit=9, **given)]


def accepted(database, book, now=NOW):
    with database.begin() as connection:
        return jobs.accept(connection, book, 1, now=now)


def test_of_many_senders_one_gets_the_number(database, book):
    job, got, barrier = accepted(database, book), [], threading.Barrier(4)

    def run():
        barrier.wait()
        got.extend(numbers(database, job.id, now=NOW))

    in_threads(run, run, run, run)
    assert len(got) == 1
    assert row(database, job).message_number == got[0]


def test_a_sender_has_its_grace_and_then_the_job_is_free_to_be_sent_with_another_number(database, book):
    job = accepted(database, book)
    (first,) = numbers(database, job.id, now=NOW)
    assert numbers(database, now=NOW + jobs.SEND_GRACE - timedelta(seconds=1)) == []
    (second,) = numbers(database, now=NOW + jobs.SEND_GRACE)
    assert second > first
    assert claim(database, job, message=jobs.Message(first)).outcome == "stale"


def test_a_sent_job_is_sent_again_only_when_its_queue_cannot_hold_its_message_any_more(database, book):
    job, keeps = create(database, book), timedelta(days=4)
    with database.begin() as connection:
        jobs.mark_sent(connection, job, now=NOW)
    over = NOW + keeps + jobs.RETENTION_MARGIN
    assert numbers(database, now=over - timedelta(seconds=1), retention=keeps) == []
    assert numbers(database, now=over) == []  # without knowing the retention
    (again,) = numbers(database, now=over, retention=keeps)
    assert again > job.message_number


def test_a_record_of_an_older_sending_changes_nothing(database, book):
    job = accepted(database, book)
    with database.begin() as connection:
        (old,) = jobs.begin_sending(connection, [job.id], now=NOW)
        (new,) = jobs.begin_sending(connection, [job.id], now=NOW + jobs.SEND_GRACE)
        jobs.mark_sent(connection, old, now=NOW)
        assert jobs.mark_send_failed(connection, old, now=NOW) is None
    assert row(database, job) == new


def test_pauses_between_sendings_double_up_to_an_hour_and_never_end(database, book):
    job, now, pauses = accepted(database, book), NOW, []
    for _ in range(12):
        with database.begin() as connection:
            (begun,) = jobs.begin_sending(connection, [job.id], now=now)
            failed = jobs.mark_send_failed(connection, begun, now=now)
        assert failed is not None and failed.send_after is not None
        pauses.append(failed.send_after - now)
        now = failed.send_after
    assert [pause / timedelta(minutes=1) for pause in pauses] == [2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60, 60]
    waiting = row(database, job)
    assert (waiting.status, waiting.failure_reason) == ("queue_failed", jobs.NOT_QUEUED)
    with database.begin() as connection:
        (begun,) = jobs.begin_sending(connection, [job.id], now=now)
        jobs.mark_sent(connection, begun, now=now)
    sent = row(database, job)
    assert (sent.status, sent.sent_at, sent.queue_retry_count, sent.failure_reason) == ("pending", now, 0, None)


def test_a_photograph_asked_for_again_revives_its_job_that_could_not_be_queued(database, book):
    job = create(database, book)
    with database.begin() as connection:
        connection.execute(sa.update(image_processing_jobs).values(status="queue_failed"))
    again = accepted(database, book, now=LATER)
    assert (again.id, again.status, again.send_after) == (job.id, "pending", None)


# states


def at(database, book, status):
    job = create(database, book)
    with database.begin() as connection:
        values = {"lease_id": uuid4(), "lease_expires_at": NOW} if status == "processing" else {}
        connection.execute(sa.update(image_processing_jobs).values(status=status, attempt_count=9, **values))
    return row(database, job)


def carry_out(connection, name, job):
    """Try one transition of a job by the function that carries it out."""
    message = jobs.Message(job.message_number)
    revival = jobs.Message(job.message_number + 1, redrives=1)  # one of an earlier sending does, too
    ends: dict[str, Any] = {"now": LATER, "reason": "x"}
    image: dict[str, Any] = {"processed": processed(), "model_used": "u2net", "result": {}, "now": LATER}
    acts = {
        "accept_again": lambda: jobs.accept(connection, job.book_id, 1, now=LATER),
        "claim": lambda: jobs.claim(connection, job.id, message, now=LATER, lease=LEASE, max_attempts=99),
        "revive": lambda: jobs.claim(connection, job.id, revival, now=LATER, lease=LEASE),
        "release": lambda: jobs.release(connection, job, **ends),
        "lease_ended": lambda: jobs.free(connection, job, now=LATER, max_attempts=99),
        "sent": lambda: jobs.mark_sent(connection, job, now=LATER),
        "not_sent": lambda: jobs.mark_send_failed(connection, replace(job, queue_retry_count=9), now=LATER),
        "complete": lambda: jobs.complete(connection, job, **image),
        "fail": lambda: jobs.fail(connection, job, **ends),
        "give_up": lambda: jobs.give_up(connection, job, now=LATER, max_attempts=5),
        "cancel": lambda: jobs.cancel_for(connection, 1, now=LATER),
        "discard": lambda: jobs.discard(connection, job.id, message, who="ann", now=LATER),
        "supersede": lambda: jobs.supersede(connection, job, now=LATER),
        "retry": lambda: jobs.retry(connection, job.id, now=LATER),
    }
    with suppress(jobs.LeaseLostError):
        acts[name]()


def ways(name):
    """The transitions that an act may carry out: what an operator sent back is claimed where nothing has ended, and a
    photograph asked for again gets a job beside one that was given up."""
    others = {"revive": "claim", "accept_again": "supersede"}
    return [job_states.TRANSITIONS[each] for each in (name, others.get(name, name))]


@pytest.mark.parametrize("status", job_states.STATES)
@pytest.mark.parametrize("name", job_states.TRANSITIONS)
def test_every_transition_leads_from_its_states_to_its_state_and_from_no_other(database, book, name, status):
    job = at(database, book, status)
    with database.begin() as connection:
        carry_out(connection, name, job)
    expected = next((way.after for way in ways(name) if status in way.before), status)
    assert row(database, job).status == expected


def test_a_letter_that_an_operator_sends_back_counts_although_it_lost_its_number(database, book):
    job = create(database, book)
    sent_back = jobs.Message(0, redrives=1)
    assert claim(database, job, message=sent_back).outcome == "claimed"
    assert claim(database, job, message=jobs.Message(job.message_number)).outcome == "stale"
    assert claim(database, job, message=sent_back, now=LATER).outcome == "claimed"


def test_a_message_without_a_job_is_unknown(database):
    with database.begin() as connection:
        unknown = jobs.claim(connection, uuid4(), jobs.Message(1), now=NOW, lease=LEASE)
    assert unknown == jobs.Claim("unknown", None)


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


def test_a_job_whose_source_was_deleted_writes_nothing(database, book):
    held = claim(database, create(database, book)).job
    with database.begin() as connection:
        connection.execute(sa.delete(book_images).where(book_images.c.id == 1))
    with pytest.raises(jobs.SourceDeletedError), database.begin() as connection:
        jobs.complete(connection, held, processed=processed(), model_used="u2net", result={}, now=NOW)
    assert [picture[0] for picture in pictures(database, book)] == [2, 3]
    with database.begin() as connection:
        assert jobs.fail(connection, held, now=NOW, reason=jobs.DELETED).status == "failed"


def test_the_source_of_a_job_stays_when_a_better_one_comes(database, book):
    job = create(database, book)
    with database.begin() as connection:
        connection.execute(sa.insert(book_images).values(book_id=book, s3_key="t.jpg", image_type="title_page"))
    assert row(database, job).source_image_id == 1
    better = accepted(database, book)
    assert (better.id == job.id, better.source_image_id, better.requested_image_id) == (False, 4, 1)


def choose(database, book, order):
    with database.begin() as connection:
        lock_book(connection, book)
        record_choice(connection, book)
        write_order(connection, book, order)


def test_the_last_choice_beats_a_job_accepted_before_it(database, book):
    held = claim(database, create(database, book)).job
    choose(database, book, [3, 1, 2])
    done = complete(database, held)
    assert [picture[0] for picture in pictures(database, book)] == [3, done.processed_image_id, 1, 2]


def test_a_job_accepted_after_the_last_choice_goes_first(database, book):
    choose(database, book, [2, 1, 3])
    done = complete(database, claim(database, create(database, book, image=2)).job)
    assert [picture[0] for picture in pictures(database, book)] == [done.processed_image_id, 1, 3, 2]


@pytest.mark.parametrize("reverse", [False, True])
def test_jobs_take_effect_in_the_order_of_their_acceptance_however_they_end(database, book, reverse):
    one = claim(database, create(database, book, image=1)).job
    two = claim(database, create(database, book, image=2)).job
    ends = [(one, processed("a.png")), (two, processed("b.png"))]
    for job, image in reversed(ends) if reverse else ends:
        complete(database, job, image)
    a, b = row(database, one).processed_image_id, row(database, two).processed_image_id
    assert [picture[0] for picture in pictures(database, book)] == [b, a, 3, 1, 2]


def test_two_jobs_of_one_book_cannot_interleave_its_order(database, book):
    one = claim(database, create(database, book, image=1)).job
    two = claim(database, create(database, book, image=2)).job
    second_done = threading.Event()

    def second():
        complete(database, two, processed("b.png"))
        second_done.set()

    thread = threading.Thread(target=second)
    with database.begin() as connection:
        jobs.complete(connection, one, processed=processed("a.png"), model_used="u2net", result={}, now=NOW)
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
