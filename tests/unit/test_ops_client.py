"""The command line's client: what got no answer is sent again, under the same key."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from handlers.api import once
from ops import client as clients
from ops.client import ApiClient, ApiError


@pytest.fixture
def serve(monkeypatch):
    """Serve the given answers, one a request: a status and a body, or None to hang up; gives what was asked."""
    monkeypatch.setattr(clients, "RETRY_PAUSES", (0, 0, 0))
    servers = []

    def start(*answers):
        asked, left = [], list(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked.append((self.command, self.headers.get("Idempotency-Key")))
                answer = left.pop(0)
                if answer is None:
                    self.connection.close()
                    return
                body = json.dumps(answer[1]).encode()
                self.send_response(answer[0])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return ApiClient(f"http://127.0.0.1:{server.server_port}", "k"), asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


BOOK = (201, {"id": 1, "title": "x"})
UNAVAILABLE = (503, {"detail": "try again"})


@pytest.mark.parametrize("first", [None, UNAVAILABLE, (409, {"type": once.IN_USE}), (504, {})])
def test_a_post_without_an_answer_is_sent_again_under_the_same_key(serve, first):
    api, asked = serve(first, BOOK, BOOK)
    assert api.create_book("x")["id"] == 1
    assert len({key for _, key in asked}) == 1
    assert once.KEY.fullmatch(asked[0][1])
    api.create_book("x")
    assert len({key for _, key in asked}) == 2


def test_a_get_is_asked_again_and_carries_no_key(serve):
    api, asked = serve(None, UNAVAILABLE, (200, {"id": 1}))
    assert api.book(1) == {"id": 1}
    assert asked == [("GET", None)] * 3


@pytest.mark.parametrize("answer", [(409, {"type": "about:blank", "detail": "no"}), (422, {}), (500, {})])
def test_what_was_refused_is_not_sent_again(serve, answer):
    api, asked = serve(answer)
    with pytest.raises(ApiError, match=str(answer[0])):
        api.create_book("x")
    assert len(asked) == 1


def test_it_gives_up_with_the_last_reason(serve):
    api, asked = serve(*[UNAVAILABLE] * (len(clients.RETRY_PAUSES) + 1))
    with pytest.raises(ApiError, match="try again"):
        api.create_book("x")
    assert len(asked) == (len(clients.RETRY_PAUSES) + 1)
