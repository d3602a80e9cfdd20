"""A GitHub on 127.0.0.1, made by the tests."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class FakeGitHub:
    """Keeps comments as GitHub does; answers other paths with what a test put there; writes requests down."""

    def __init__(self):
        self.comments, self.answers, self.seen, self.fails = [], {}, [], None

    def respond(self, method, path, query, body):
        if self.fails:
            return self.fails, {}
        if method == "GET" and path.endswith("/comments"):
            page, size = (int(dict(part.split("=") for part in query.split("&"))[key]) for key in ("page", "per_page"))
            return 200, self.comments[(page - 1) * size : page * size]
        if method == "POST" and path.endswith("/comments"):
            self.comments.append({"id": len(self.comments) + 1, "user": {"type": "Bot"}, **body})
            return 201, self.comments[-1]
        if method == "PATCH":
            found = next(each for each in self.comments if each["id"] == int(path.rsplit("/", 1)[1]))
            found.update(body)
            return 200, found
        return (200, self.answers[path]) if path in self.answers else (404, {})


@pytest.fixture
def github(monkeypatch):
    fake = FakeGitHub()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self):
            path, _, query = self.path.partition("?")
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            short = path.removeprefix("/repos/o/r/")
            fake.seen.append((self.command, short, query, self.headers.get("Authorization")))
            code, answer = fake.respond(self.command, short, query, body)
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815 (http.server's names)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
    monkeypatch.setenv("GITHUB_TOKEN", "token-of-the-job")
    monkeypatch.delenv("GITHUB_RUN_ID", raising=False)
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()
