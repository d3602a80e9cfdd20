"""The walk over `ops.jobs.losses`: each thing is taken from each state, and what the table promises is seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from handlers.common.job_states import RETRY
from handlers.common.jobs import LONGEST_PAUSE
from ops.jobs.losses import AT_ONCE, GONE, JOBS, UPLOADED, UPLOADS, VISIBILITY, Loss, Told
from tests.deployed import Deployed
from tests.e2e.losing import Walk
from tests.e2e.pictures import small_photo
from tests.turns import share

# Days pass for a job, and twice a deployment: on a busy machine that is long.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ENDED = ("completed", "failed")
WAITS_FOR_NOTHING = (*ENDED, "permanently_failed")


def walks(losses: Sequence[Loss]) -> list[object]:
    """This commit's share of each loss, state and thing; where nothing happens whatever vanishes, all at once."""
    pairs = [
        pytest.param(loss, state, things, id=" ".join(filter(None, [state, *things, loss.variant])))
        for loss in losses
        for state in loss.states
        for things in _apart(state, loss)
    ]
    return share(pairs, 3)


def _apart(state: str, loss: Loss) -> list[tuple[str, ...]]:
    return [loss.gone] if state in WAITS_FOR_NOTHING or not loss.gone else [(thing,) for thing in loss.gone]


@pytest.fixture
def walk(deployed: Deployed, tmp_path: Path) -> Iterator[Walk]:
    with deployed.with_another_program():  # what is denied here is none of the program's own grants
        walk = Walk(deployed, tmp_path)
        walk.clear()
        yield walk


@pytest.mark.parametrize(("loss", "state", "things"), walks(JOBS))
def test_a_job_ends_or_somebody_is_told(walk: Walk, loss: Loss, state: str, things: tuple[str, ...]) -> None:
    with walk.taken(state, things, loss.variant) as answer:
        job_id = answer["job"]["id"]
        everybody_is_told(walk, loss.told)
        if loss.end is not None and loss.within is not None:
            walk.until(lambda: walk.status(job_id) == loss.end, loss.within, f"{loss.end}")
        elif not loss.told:
            walk.advance(VISIBILITY)
    if state in ENDED and loss.end is None:  # asked once the API can answer again: without the secret it cannot
        assert walk.status(job_id) == state
    if loss.then is None:
        return
    walk.begin()
    if "redrive" in loss.person:
        walk.redrive()
    if "retry" in loss.person and walk.status(job_id) in {*RETRY.before, "pending"}:
        walk.retry(job_id)
    walk.until(lambda: walk.status(job_id) == loss.then, LONGEST_PAUSE + AT_ONCE, f"{loss.then}")


@pytest.mark.parametrize(("loss", "state", "things"), walks(UPLOADS))
def test_an_upload_ends_or_somebody_is_told(walk: Walk, loss: Loss, state: str, things: tuple[str, ...]) -> None:
    answer = walk.reserved(small_photo(walk.folder)) if state == "reserved" else walk.uploaded()
    walk.begin()
    with ExitStack() as undone:
        for thing in things:
            undone.enter_context(walk.without(thing, loss.variant, answer))
        everybody_is_told(walk, loss.told)
        if loss.end is not None and loss.within is not None:
            walk.until(lambda: walk.state_of_upload(answer) == loss.end, loss.within, loss.end)
    if loss.end is None:
        end = GONE if state == "reserved" else UPLOADED
        walk.begin()
        walk.until(lambda: walk.state_of_upload(answer) == end, LONGEST_PAUSE * 25, end)


def everybody_is_told(walk: Walk, told: Sequence[Told]) -> None:
    for each in sorted(told, key=lambda each: each.within):
        walk.until(partial(walk.is_told, each), each.within, f"{each.by} {each.name}")
