import re
from datetime import timedelta

import pytest

from local.resources import LIMITS
from ops.jobs import losses, page
from ops.paths import ROOT

DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "tests" / "README.md"])


def test_every_limit_of_a_driver_is_told_to_operators() -> None:
    told = (ROOT / "docs" / "limits.md").read_text()
    assert [sentence for sentences in LIMITS.values() for sentence in sentences if sentence not in told] == []


def test_the_page_on_jobs_is_what_states_and_losses_make() -> None:
    assert page.FILE.read_text() == page.page()


def test_no_state_of_a_job_or_an_upload_is_without_a_word_on_each_thing_that_can_vanish() -> None:
    assert losses.uncovered() == []


@pytest.mark.parametrize("loss", [*losses.JOBS, *losses.UPLOADS], ids=lambda loss: f"{loss.states} {loss.gone}")
def test_what_does_not_end_by_itself_within_an_hour_is_told_to_somebody(loss) -> None:
    ends_soon = loss.within is not None and loss.within <= timedelta(hours=1, minutes=15)
    ended = set(loss.states) <= {"completed", "failed"}
    kept_for_its_caller = loss in losses.UPLOADS and loss.end is not None
    assert ends_soon or ended or kept_for_its_caller or (loss.told and loss.person)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_between_documents_leads_somewhere(document) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []
