"""The page's key, its loss, the network's loss, and the way through by keyboard alone."""

from __future__ import annotations

import requests
from playwright.sync_api import expect

from ops import keys
from tests.browser.conftest import Open
from tests.browser.visit import PATIENCE, Visit
from tests.deployed import Deployed


def test_a_wrong_key_is_refused_in_words_and_asked_for_again(visit: Open) -> None:
    opened = visit("flows", enter=False)
    opened.allow("status of 401")
    for key, words in (("wrong", "does not know this key"), ("wr\u00f6ng", "cannot be a key")):
        opened.page.fill("#key", key)
        opened.page.keyboard.press("Enter")
        expect(opened.page.locator("#key-words")).to_contain_text(words, timeout=PATIENCE)
    opened.page.keyboard.press("Escape")
    expect(opened.page.locator("#key-dialog")).to_be_visible()
    assert opened.page.locator("#flows-rows tr").count() == 0


def test_a_key_revoked_under_the_open_page_is_asked_for_again_and_nothing_is_lost(
    visit: Open, deployed: Deployed
) -> None:
    opened = visit("flows", enter=False)
    opened.allow("status of 401")
    opened.enter(deployed.key("browser-revoked"))
    rows = opened.page.locator("#flows-rows tr")
    expect(rows.first).to_be_attached(timeout=PATIENCE)
    before = rows.count()
    keys.revoke(deployed.handle, "browser-revoked")
    key = deployed.key("browser-revoked")
    expect(opened.page.locator("#key-words")).to_contain_text("no longer valid", timeout=PATIENCE)
    assert rows.count() == before
    opened.enter(key)
    opened.page.click("#flows-refresh")
    expect(opened.page.locator("#notices")).to_be_empty()


def test_the_key_outlives_a_reload_and_is_gone_when_it_is_forgotten(visit: Open, key: str) -> None:
    opened = visit("images")
    opened.page.reload()
    expect(opened.page.locator("#deployment")).not_to_be_empty(timeout=PATIENCE)
    expect(opened.page.locator("#key-dialog")).to_be_hidden()
    opened.page.click("#forget")
    expect(opened.page.locator("#key-dialog")).to_be_visible(timeout=PATIENCE)
    expect(opened.page.locator("#deployment")).to_be_empty()
    kept = opened.page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])")
    assert key not in kept


def test_a_lost_network_is_said_and_taken_back(visit: Open) -> None:
    opened = visit("flows")
    opened.allow("ERR_INTERNET_DISCONNECTED")
    rows = opened.page.locator("#flows-rows tr")
    before = rows.count()
    opened.page.context.set_offline(True)
    opened.page.click("#flows-refresh")
    expect(opened.page.locator("#notices")).to_contain_text("cannot be reached", timeout=PATIENCE)
    assert rows.count() == before
    opened.page.context.set_offline(False)
    opened.page.click("#flows-refresh")
    expect(opened.page.locator("#notices")).to_be_empty(timeout=PATIENCE)


def tab_to(opened: Visit, selector: str) -> None:
    """Press Tab until the focus is there."""
    for _ in range(60):
        if opened.page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        opened.page.keyboard.press("Tab")
    raise AssertionError(f"no Tab leads to {selector}")


def test_the_whole_page_is_reached_by_keyboard_alone(visit: Open, deployed: Deployed) -> None:
    sqs = deployed.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName="bluemoxon-local-image-processing-dlq")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="by keyboard")
    opened = visit("flows")
    press = opened.page.keyboard.press
    tab_to(opened, "#tab-flows")
    press("ArrowRight")
    expect(opened.page.locator("#images")).to_be_visible()
    tab_to(opened, "#files")
    opened.page.keyboard.press("Shift+Tab")
    opened.page.evaluate("document.getElementById('tab-images').focus()")
    press("End")
    expect(opened.page.locator("#failed")).to_be_visible()
    letter = opened.letters("by keyboard")
    tab_to(opened, f".letter[data-id='{letter.get_attribute('data-id')}'] > input")
    press("Space")
    opened.page.evaluate("document.getElementById('tab-failed').focus()")
    tab_to(opened, "#dry-run")
    press("Enter")
    expect(letter.locator(".outcome .chip")).to_be_visible(timeout=PATIENCE)
    tab_to(opened, "#discard")
    press("Enter")
    expect(opened.page.locator("#discard-phrase")).to_be_focused()
    opened.page.keyboard.type("discard 1")
    press("Enter")
    expect(letter.locator(".outcome .chip")).to_have_text("discarded", timeout=PATIENCE)


def test_the_policy_names_the_pictures_origin_and_no_other(deployed: Deployed) -> None:
    answer = requests.get(f"{deployed.cloud.gateway_url}/admin", timeout=60)
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    pictures = deployed.cloud.info.endpoint
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["connect-src"] == policy["img-src"] == f"'self' {pictures}"
    again = requests.get(answer.url, headers={"If-None-Match": answer.headers["ETag"]}, timeout=60)
    assert (again.status_code, again.content) == (304, b"")


def test_only_listed_files_are_public(deployed: Deployed) -> None:
    for path in ("/admin/registry.json", "/admin/../app.py", "/admin/index.html", "/adminx"):
        assert requests.get(deployed.cloud.gateway_url + path, timeout=60).status_code == 401, path
    folder = requests.get(f"{deployed.cloud.gateway_url}/admin/", timeout=60)
    assert folder.url == f"{deployed.cloud.gateway_url}/admin"
