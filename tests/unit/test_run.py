"""`./bmx run` beside an API that fails now and then: every photograph has its row, and the code says what happened."""

import http.server
import json
import threading
from pathlib import Path

import pytest
from rich.console import Console

from ops import client as clients
from ops import run as runs
from ops.client import ApiClient, ApiError
from ops.photos import Photo


@pytest.fixture
def api(monkeypatch):
    """An API that answers each request with the next status of `script`, then with 200."""
    monkeypatch.setattr(clients, "RETRY_PAUSES", (0.0, 0.0, 0.0))
    script: list[int | None] = []
    seen: list[str] = []

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(f"{self.command} {self.path}")
            status = script.pop(0) if script else 200
            if status is None:
                self.connection.close()
                return
            body = b"picture" if self.path.startswith("/picture") else json.dumps({"status": "completed"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield ApiClient(f"http://127.0.0.1:{server.server_address[1]}", "key"), script, seen
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("ailing", [[500], [502, 503, 504], [None], [None, 500]])
def test_a_get_that_finds_the_api_ailing_is_sent_again(api, ailing):
    client, script, seen = api
    script += ailing
    assert client.job("1")["status"] == "completed"
    assert client.fetch(f"{client.url}/picture?signature=secret") == b"picture"
    assert seen == ["GET /api/v1/image-jobs/1"] * (len(ailing) + 1) + ["GET /picture?signature=secret"]


@pytest.mark.parametrize("status", [400, 404, 409])
def test_a_get_that_is_refused_is_not(api, status):
    client, script, seen = api
    script.append(status)
    with pytest.raises(ApiError, match=f"HTTP {status}"):
        client.job("1")
    assert len(seen) == 1


@pytest.mark.parametrize("status", [400, 500])
def test_a_post_that_was_answered_is_not_sent_again(api, status):
    client, script, seen = api
    script.append(status)
    with pytest.raises(ApiError):
        client.create_book("book")
    assert len(seen) == 1


def test_an_api_that_stays_ill_is_said_and_no_signature_with_it(api):
    client, script, _ = api
    script += [None] * 10
    with pytest.raises(ApiError, match="does not answer") as error:
        client.fetch(f"{client.url}/picture?signature=secret")
    assert "does not answer" in error.value.message


class Failing:
    """An API that loses the job of one photograph, and cannot hand out the picture of another."""

    def __init__(self):
        self.photos = {}

    def create_book(self, title):
        return {"id": title}

    def upload(self, book_id, photo, content_type):
        return {"job": {"id": book_id}}

    def job(self, job_id):
        if job_id == "lost":
            raise ApiError("the API does not answer", exit_code=1)
        return {"status": "completed", "processed_image_id": 1}

    def book(self, book_id):
        return {"images": [{"id": 1, "url": book_id, "thumbnail_url": book_id}]}

    def fetch(self, url):
        if url == "unfetched":
            raise ApiError("the storage does not answer", exit_code=1)
        return b"picture"


def test_a_photograph_that_nobody_tells_of_ends_no_other(tmp_path: Path):
    names = ["first", "lost", "unfetched", "last"]
    photos = [Photo(Path(f"{name}.jpg")) for name in names]
    results = runs.process(Failing(), photos, tmp_path, Console(quiet=True))  # type: ignore[arg-type]
    assert [each.state for each in results] == ["completed", runs.NO_ANSWER, runs.NO_ANSWER, "completed"]
    assert [each.as_expected for each in results] == [True, False, False, True]
    assert results[1].reason == "the API does not answer"
    assert (tmp_path / "last.png").read_bytes() == b"picture"
    assert runs.table(results).row_count == 4
