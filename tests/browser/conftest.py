"""A real Chromium on the deployed page. Where there is none, every test here is reported as skipped, by name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.visit import Visit
from tests.deployed import Deployed

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HERE = Path(__file__).parent
Open = Callable[..., Visit]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip before anything is deployed for nobody to look at."""
    if CHROMIUM is None:
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="there is no Chromium (Debian: apt-get install chromium)"))


@pytest.fixture(scope="module")
def browser(deployed: Deployed) -> Iterator[Browser]:
    """A browser for one file: while Playwright runs, its thread can run no other event loop."""
    # Chromium's sandbox does not start for root; nothing but this machine's addresses can be reached in any case.
    arguments = [
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def key(deployed: Deployed, request: pytest.FixtureRequest) -> str:
    return deployed.key(f"browser-{Path(request.node.path).stem.replace('_', '-')}")


@pytest.fixture
def visit(browser: Browser, deployed: Deployed, key: str) -> Iterator[Open]:
    """Open the page; at the end of the test no visit may have met an error or asked a host that is not named."""
    visits: list[Visit] = []

    def open_page(tab: str = "flows", *, enter: bool = True, scheme: str = "light", width: int = 1280) -> Visit:
        context = browser.new_context(
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": width, "height": 900 if width > 600 else 844},
            reduced_motion="reduce",
        )
        visits.append(Visit(context.new_page(), deployed.cloud.gateway_url, deployed.cloud.info.endpoint))
        visits[-1].open(tab)
        if enter:
            visits[-1].enter(key)
        return visits[-1]

    yield open_page
    for each in visits:
        each.page.context.close()
    assert [error for each in visits for error in each.errors] == []
    assert [url for each in visits for url in each.strangers()] == []
