import re

import pytest

from local.resources import LIMITS
from ops.paths import ROOT

DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "tests" / "README.md"])


def test_every_limit_of_a_driver_is_told_to_operators() -> None:
    told = (ROOT / "docs" / "limits.md").read_text()
    assert [sentence for sentences in LIMITS.values() for sentence in sentences if sentence not in told] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_between_documents_leads_somewhere(document) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []
