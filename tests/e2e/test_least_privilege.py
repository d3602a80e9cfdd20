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
    logged = without_write.cloud.client("logs").filter_log_events(
        logGroupName="/aws/lambda/bluemoxon-local-image-processing"
    )
    [line, *_] = [event["message"] for event in logged["events"] if "not authorized" in event["message"]]
    assert "is not authorized to perform: s3:PutObject" in line
    assert "assumed-role/bluemoxon-local-image-processing" in line
    assert result.job["id"] in line
