"""A flow that is added to the catalogue is seen everywhere, with no other edit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import expect

from flows import catalogue
from ops.program_copy import edit
from tests.browser.conftest import Open
from tests.browser.visit import PATIENCE
from tests.deployed import Deployed

pytestmark = pytest.mark.slow

MARK = "        ],\n        prefix,\n"
ENTRY = (
    '            Flow(key="restoration", queue="restoration-jobs", code="restoration", timeout=60, memory=128,'
    ' handler="worker.handler", producers=(API,)),\n'
)
FLOWS = len(catalogue("bluemoxon-local"))


@pytest.fixture(scope="module")
def seventh(deployed: Deployed) -> Iterator[None]:
    with deployed.with_another_program():
        edit(deployed.project, "flows.py", MARK, ENTRY + MARK)
        assert deployed.operate("up").ok
        yield
        edit(deployed.project, "flows.py", ENTRY + MARK, MARK)
        assert deployed.operate("up").ok


@pytest.mark.usefixtures("seventh")
def test_a_seventh_flow_is_in_health_and_system_info(deployed: Deployed, key: str) -> None:
    def ask(path: str) -> str:
        answer = requests.get(deployed.cloud.gateway_url + path, headers={"X-API-Key": key}, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.text

    health, information = ask("/api/v1/health/deep"), ask("/api/v1/admin/system-info")
    assert "bluemoxon-local-restoration-jobs" in health
    assert "No code deployed" in health
    assert "bluemoxon-local-restoration-jobs" in information


@pytest.mark.usefixtures("seventh")
def test_a_seventh_flow_has_a_row_on_the_page(visit: Open) -> None:
    rows = visit("flows").page.locator("#flows-rows tr")
    expect(rows).to_have_count(FLOWS + 1, timeout=PATIENCE)
    expect(rows.filter(has_text="restoration")).to_contain_text("No code deployed")
