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
from tests.e2e.waiting import lines

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


def test_a_forgotten_need_fails_the_run_and_the_log_tells_action_and_role(
    without_write: Deployed, tmp_path: Path
) -> None:
    [result] = runs.process(
        without_write.api("forgotten"), [small_photo(tmp_path)], tmp_path / "out", Console(quiet=True)
    )
    assert result.state == runs.GIVEN_BACK
    assert not result.as_expected
    assert "the pictures' storage refused" in result.reason
    assert result.job
    # Other jobs may be in the log too: one that an earlier test left is tried again meanwhile.
    said = [
        line
        for line in lines(without_write.cloud, "/aws/lambda/bluemoxon-local-image-processing")
        if "not authorized" in line and result.job["id"] in line
    ]
    assert said
    assert "is not authorized to perform: s3:PutObject" in said[0]
    assert "assumed-role/bluemoxon-local-image-processing" in said[0]
