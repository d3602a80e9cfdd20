"""The three tabs as they look: rows, accessibility, width, and the pictures of them in docs/."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from flows import catalogue
from ops.paths import ROOT
from ops.photos import samples
from tests.browser.conftest import Open
from tests.browser.visit import PATIENCE, TABS, Visit, shows_a_picture
from tests.deployed import Deployed
from tests.e2e.waiting import failing, finished

FLOWS = catalogue("bluemoxon-local")
BODY = '{"job_id": "5f0c1f1e-6a4e-4a53-9a5e-1d7b0f3f9a11", "book_id": 1204, "image_id": 3377}'
SHOTS = {
    "admin-flows": ("flows", "light", 1280),
    "admin-flows-390": ("flows", "dark", 390),
    "admin-images": ("images", "light", 1280),
    "admin-images-390": ("images", "light", 390),
    "admin-failed": ("failed", "light", 1280),
    "admin-failed-dark": ("failed", "dark", 1280),
}
"""Tab, colours and width of each picture; `BMX_SCREENSHOTS=1` writes them to docs/."""


@pytest.fixture(scope="module", autouse=True)
def scene(deployed: Deployed) -> None:
    """Something to see: a book cut out, one without a subject, two dead letters."""
    api = deployed.api("browser-scene")
    chosen = {sample.path.name: sample for sample in samples()}
    for title, name in (("Photograph without a book", "no_subject.jpg"), ("Travels in Arabia", "calf_on_oak.jpg")):
        photo = chosen[name]
        finished(api, api.upload(api.create_book(title)["id"], photo.path, photo.content_type)["job"]["id"])
    sqs = deployed.cloud.client("sqs")
    flows = deployed.stack.output("flows")
    for flow, body in ((flows[0], BODY), (flows[-1], "not JSON at all, as an old sender wrote it")):
        name = flow["dead_letter_queue_name"]
        sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"], MessageBody=body)


def settled(visit: Visit, tab: str) -> Visit:
    """Wait until a tab shows the scene."""
    if tab == "flows":
        expect(visit.page.locator("#flows-rows tr")).to_have_count(len(FLOWS), timeout=PATIENCE)
    elif tab == "images":
        visit.page.locator("#jobs li", has_text="completed").first.get_by_role("button").click()
        expect(visit.page.locator(".stage .after")).to_have_js_property("complete", True, timeout=PATIENCE)
        shows_a_picture(visit, ".stage .before")
    else:
        visit.letters("book_id")
    return visit


def test_every_flow_of_the_catalogue_has_a_row(visit: Open) -> None:
    page = settled(visit("flows"), "flows").page
    assert page.eval_on_selector_all("#flows-rows tr", "rows => rows.map(row => row.dataset.flow)") == [
        flow.key for flow in FLOWS
    ]
    for title in ("Database", "Storage", "Configuration", "Constants of the image worker", "Deployment"):
        expect(page.locator("#facts h3", has_text=title)).to_be_visible()
    expect(page.locator("#facts")).to_contain_text("4,096")


def test_a_flow_whose_deliveries_fail_is_not_said_to_do_its_work(visit: Open, deployed: Deployed) -> None:
    flow = next(each for each in FLOWS if each.key == "analysis")
    with failing(deployed.cloud, flow, "bluemoxon-local"):
        page = settled(visit("flows"), "flows").page
        row = page.locator(f"tr[data-flow={flow.key}]")
        expect(row).to_contain_text("Failing: 1 delivery since", timeout=PATIENCE)
        expect(row).to_contain_text(f"/aws/lambda/{flow.function_name('bluemoxon-local')} says why")
        expect(row.locator(".chip").first).to_have_text("degraded")
        expect(page.locator("#flows-summary")).to_contain_text("attention")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_against_wcag_on_any_tab(visit: Open, scheme: str) -> None:
    opened = visit("flows", scheme=scheme)
    found = {}
    for tab in TABS:
        opened.choose(tab)
        settled(opened, tab)
        rules = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa"]}}
        answer = Axe().run(opened.page, options=rules).response
        assert answer["passes"]
        found[tab] = [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in answer["violations"]]
    assert found == {tab: [] for tab in TABS}


def test_at_390_pixels_nothing_scrolls_sideways(visit: Open) -> None:
    opened = visit("flows", width=390)
    for tab in TABS:
        opened.choose(tab)
        settled(opened, tab)
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390, tab
    opened.choose("flows")
    tops = opened.page.eval_on_selector_all(
        "#flows-rows tr:first-child > *", "cells => cells.map(c => c.getBoundingClientRect().top)"
    )
    assert len(set(tops)) > 1, "the row did not become a card"


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOTS)
def test_a_picture_is_made_of_each_tab(visit: Open, name: str, tmp_path: Path) -> None:
    tab, scheme, width = SHOTS[name]
    opened = settled(visit(tab, scheme=scheme, width=width), tab)
    folder = ROOT / "docs" if os.environ.get("BMX_SCREENSHOTS") else tmp_path
    opened.page.evaluate("document.activeElement.blur()")
    opened.page.screenshot(path=folder / f"{name}.png", full_page=width > 600)
    with Image.open(folder / f"{name}.png") as picture:
        assert picture.width == width
        assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 100
