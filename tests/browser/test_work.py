"""What operators do on the page: photographs in, failed messages back or out."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from ops.photos import samples
from tests.browser.conftest import Open
from tests.browser.visit import PATIENCE, shows_a_picture
from tests.deployed import Deployed
from tests.e2e.pictures import small_photo
from tests.e2e.waiting import finished

MARKUP = "<img src=x onerror=\"document.title='markup'\"><b id=markup>bold</b>"
DROP = """([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
  document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
}"""
WATCH = """() => {
  window.kept = true;
  window.seen = [];
  const note = () => window.seen.push(document.getElementById("uploads").innerText);
  new MutationObserver(note).observe(document.getElementById("uploads"),
    { childList: true, subtree: true, characterData: true });
}"""


class Queue:
    """A queue of the image flow, as an administrator."""

    def __init__(self, deployed: Deployed, name: str) -> None:
        self._sqs = deployed.cloud.client("sqs")
        self._url = self._sqs.get_queue_url(QueueName=name)["QueueUrl"]

    def send(self, body: str) -> None:
        self._sqs.send_message(QueueUrl=self._url, MessageBody=body)

    def take(self) -> str:
        """Take the one message that is there out of the queue."""
        message = self._sqs.receive_message(QueueUrl=self._url, WaitTimeSeconds=10)["Messages"][0]
        self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return str(message["Body"])


def entry(deployed: Deployed) -> dict[str, Any]:
    """What the registry says of the image flow."""
    return dict(deployed.stack.output("flows")[0])


@pytest.fixture
def dead(deployed: Deployed) -> Queue:
    return Queue(deployed, entry(deployed)["dead_letter_queue_name"])


@contextmanager
def mapping_off(deployed: Deployed) -> Iterator[None]:
    """Nothing takes messages to the worker meanwhile."""
    client: Any = deployed.cloud.client("lambda")
    name = entry(deployed)["function_name"]
    uuid = client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"][0]["UUID"]

    def enable(value: bool, state: str) -> None:
        client.update_event_source_mapping(UUID=uuid, Enabled=value)
        deadline = time.monotonic() + 30
        while client.get_event_source_mapping(UUID=uuid)["State"] != state:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    enable(False, "Disabled")
    try:
        time.sleep(1)  # a poll that is under way may still take one
        yield
    finally:
        enable(True, "Enabled")


def test_an_uploaded_photograph_shows_its_cut_out_without_a_reload(visit: Open, tmp_path: Path) -> None:
    opened = visit("images")
    opened.page.evaluate(WATCH)
    opened.page.fill("#book-title", "A book of one's own")
    opened.page.set_input_files("#files", small_photo(tmp_path).path)
    expect(opened.page.locator("#uploads .chip")).to_have_text("completed", timeout=PATIENCE)
    expect(opened.page.locator("#viewer-title")).to_have_text("A book of one's own", timeout=PATIENCE)
    for picture in ("before", "after"):
        shows_a_picture(opened, f".stage .{picture}")
    assert opened.page.evaluate("window.kept"), "the page was loaded anew"
    seen = "\n".join(opened.page.evaluate("window.seen"))
    assert "100 % uploaded" in seen
    assert "In the queue" in seen
    uploads = [url for url in opened.requested if not url.startswith(opened.site)]
    assert uploads, "nothing went to the pictures' origin"


def test_the_slider_moves_between_photograph_and_result_by_key(visit: Open) -> None:
    opened = visit("images")
    opened.page.locator("#jobs li", has_text="completed").first.get_by_role("button").click()
    slider = opened.page.locator(".stage input")
    slider.focus()
    opened.page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuetext") == "0 % photograph"
    opened.page.keyboard.press("ArrowRight")
    assert opened.page.eval_on_selector(".stage", "stage => stage.style.getPropertyValue('--at')") == "1%"


def test_a_dropped_photograph_with_markup_for_a_name_says_why_it_failed(visit: Open) -> None:
    opened = visit("images")
    path = next(sample.path for sample in samples() if sample.path.name == "no_subject.jpg")
    opened.page.evaluate(DROP, [f"{MARKUP}.jpg", base64.b64encode(path.read_bytes()).decode()])
    expect(opened.page.locator("#uploads .chip")).to_have_text("failed", timeout=PATIENCE)
    expect(opened.page.locator("#uploads")).to_contain_text("no subject was found")
    expect(opened.page.locator("#uploads .name")).to_have_text(f"{MARKUP}.jpg")
    assert opened.page.locator("#markup").count() == 0
    assert opened.page.title() != "markup"


def test_what_is_no_photograph_is_refused_in_words(visit: Open, tmp_path: Path) -> None:
    opened = visit("images")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "liar.jpg").write_text("no picture either")
    opened.allow("status of 422")
    opened.page.set_input_files("#files", [tmp_path / name for name in ("notes.txt", "empty.jpg", "liar.jpg")])
    for words in ("no JPEG, PNG or WebP file", "The file is empty", "is no JPEG, PNG or WebP by its first bytes"):
        expect(opened.page.locator("#uploads li", has_text=words)).to_be_visible(timeout=PATIENCE)


def test_a_dead_letter_full_of_markup_is_text_and_is_discarded_by_the_typed_words(visit: Open, dead: Queue) -> None:
    dead.send(f"{MARKUP}\u202eleft \t tab")
    opened = visit("failed")
    letter = opened.letters("onerror")
    assert MARKUP in letter.locator("pre").inner_text()
    assert "⟨U+202E⟩" in letter.locator("pre").inner_text()
    assert opened.page.locator("#markup").count() == 0
    letter.get_by_role("checkbox").check()
    opened.page.click("#discard")
    confirm = opened.page.locator("#discard-confirm")
    for words, enough in (("discard", False), ("discard 2", False), ("discard 1", True)):
        opened.page.fill("#discard-phrase", words)
        expect(confirm).to_be_enabled() if enough else expect(confirm).to_be_disabled()
    confirm.click()
    expect(letter.locator(".outcome")).to_contain_text("discarded", timeout=PATIENCE)
    assert opened.page.title() != "markup"


def test_redrive_from_the_page_completes_the_job_after_a_dry_run_that_moves_nothing(
    visit: Open, deployed: Deployed, dead: Queue, tmp_path: Path
) -> None:
    api = deployed.api("browser-redrive")
    with mapping_off(deployed):
        photo = small_photo(tmp_path)
        job = api.upload(api.create_book("Poisoned")["id"], photo.path, photo.content_type)["job"]["id"]
        dead.send(Queue(deployed, entry(deployed)["queue_name"]).take())
    opened = visit("failed")
    letter = opened.letters(job)
    letter.get_by_role("checkbox").check()
    opened.page.click("#dry-run")
    expect(letter.locator(".outcome .chip")).to_have_text("would redrive", timeout=PATIENCE)
    assert api.job(job)["status"] == "pending"
    opened.page.click("#redrive")
    expect(letter.locator(".outcome .chip")).to_have_text("redriven", timeout=PATIENCE)
    expect(opened.page.locator("#failed-result")).to_have_text("1 redriven.")
    assert finished(api, job)["status"] == "completed"
