import re

import pytest

from handlers.common.job_states import TRANSITIONS
from local.resources import LIMITS
from ops.paths import ROOT

DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "tests" / "README.md"])


def test_every_limit_of_a_driver_is_told_to_operators() -> None:
    told = (ROOT / "docs" / "limits.md").read_text()
    assert [sentence for sentences in LIMITS.values() for sentence in sentences if sentence not in told] == []


def test_every_way_between_the_states_of_a_job_is_told_to_operators() -> None:
    told = (ROOT / "docs" / "jobs.md").read_text().splitlines()
    ways = [
        f"| {', '.join(f'`{state}`' for state in way.before)} | `{way.after}` | {way.when} |"
        for way in TRANSITIONS.values()
    ]
    assert [line for line in told if line.startswith("| `") and "` | `" in line] == ways


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_between_documents_leads_somewhere(document) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []
