"""One visit to the page: what it asked for, what it complained of, and the steps that tests share."""

from __future__ import annotations

import re
import time
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Locator, Page, expect

PATIENCE = 60_000
"""Milliseconds for what waits on a cold function or on the worker."""
TABS = ("flows", "images", "failed")


class Visit:
    """A page with its record.

    Parameters
    ----------
    page
        A fresh page of a context of its own.
    site, pictures
        The only addresses that the page may ask: the API's, and that of the bucket.

    Attributes
    ----------
    errors
        Exceptions of scripts and errors on the console; refused requests too, but for those that `allowed` expects.
    requested
        Every address that was asked for.
    """

    def __init__(self, page: Page, site: str, pictures: str) -> None:
        self.page = page
        self.site = site
        self.errors: list[str] = []
        self.requested: list[str] = []
        self._allowed: list[str] = []
        self._named = {_origin(site), _origin(pictures)}
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.errors.append(f"{error.name}: {error.message}"))
        page.on("console", self._said)
        page.on("request", lambda request: self.requested.append(request.url))

    def allow(self, pattern: str) -> None:
        """Expect that the browser reports a failed request, as it does for each on its own."""
        self._allowed.append(pattern)

    def open(self, tab: str) -> None:
        """Go to a tab."""
        self.page.goto(f"{self.site}/admin#{tab}")

    def enter(self, key: str) -> None:
        """Give the key, and wait for the page to take it."""
        self.page.fill("#key", key)
        self.page.keyboard.press("Enter")
        expect(self.page.locator("#key-dialog")).to_be_hidden(timeout=PATIENCE)
        expect(self.page.locator("#deployment")).not_to_be_empty(timeout=PATIENCE)

    def choose(self, tab: str) -> None:
        """Click a tab."""
        self.page.click(f"#tab-{tab}")
        expect(self.page.locator(f"#{tab}")).to_be_visible()

    def letters(self, text: str) -> Locator:
        """Wait for the dead letters whose body holds `text`; each look hides them from the next for some seconds."""
        found = self.page.locator(".letter", has_text=text)
        expect(self.page.locator("#failed")).to_have_attribute("aria-busy", "false", timeout=PATIENCE)
        for _ in range(15):
            if found.count():
                return found
            self.page.wait_for_timeout(1_000)
            self.page.click("#failed-refresh")
            expect(self.page.locator("#failed")).to_have_attribute("aria-busy", "false", timeout=PATIENCE)
        raise AssertionError(f"no dead letter shows {text!r}: {self.page.inner_text('#letters')}")

    def strangers(self) -> list[str]:
        """Return what was asked of hosts that are not named."""
        return [url for url in self.requested if _origin(url) not in self._named]

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(re.search(pattern, message.text) for pattern in self._allowed):
            self.errors.append(message.text)


def _origin(url: str) -> str:
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc}"


def shows_a_picture(visit: Visit, selector: str) -> None:
    """Wait until an image has come; asked from here, for the page's policy lets nothing be evaluated."""
    until = time.monotonic() + PATIENCE / 1_000
    while not visit.page.evaluate(f"document.querySelector('{selector}')?.naturalWidth ?? 0"):
        assert time.monotonic() < until, f"{selector} shows no picture"
        time.sleep(0.1)
