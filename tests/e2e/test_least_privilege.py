"""What happens when the flow's declaration forgets a need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from ops import run as runs
from ops.program_copy import edit
from tests.e2e.conftest import Deployed
from tests.e2e.pictures import small_photo

pytestmark = pytest.mark.slow

NEED = '                    WriteObjects("books/"),\n'
BEFORE = '                    ReadObjectVersions("books/"),\n'


@pytest.fixture
def without_write(deployed: Deployed) -> Iterator[Deployed]:
    edit(deployed.project, "flows.py", NEED, "")
    assert deployed.operate("up").ok
    yield deployed
    edit(deployed.project, "flows.py", BEFORE, BEFORE + NEED)
    assert deployed.operate("up").ok


def test_a_forgotten_need_fails_the_run_with_the_action_and_the_role(without_write: Deployed, tmp_path: Path) -> None:
    [result] = runs.process(
        without_write.api("forgotten"), [small_photo(tmp_path)], tmp_path / "out", Console(quiet=True)
    )
    assert result.state == runs.GIVEN_BACK
    assert not result.as_expected
    assert "is not authorized to perform: s3:PutObject" in result.reason
    assert "assumed-role/bluemoxon-local-image-processing" in result.reason
