"""The API as a caller sees it: requests with a key, problems as sentences."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests

from ops.errors import UserError

# A request that got no answer, or was not done at the moment, is sent again: its key lets it do its work once.
TRIES = 4
PAUSE_SECONDS = 1.0
NOT_AT_THE_MOMENT = frozenset({502, 503, 504})
IN_USE = "urn:bluemoxon:problem:idempotency-key-in-use"


class ApiError(UserError):
    """The API refused a request; the message is its problem document's sentence."""


class ApiClient:
    """Calls the API at `url` with `key`; never goes through a proxy.

    Parameters
    ----------
    url
        The API's address, without a trailing slash.
    key
        Value of the `X-API-Key` header.
    """

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["X-API-Key"] = key

    def create_book(self, title: str) -> dict[str, Any]:
        """POST /api/v1/books."""
        return self._call("POST", "/api/v1/books", {"title": title})

    def book(self, book_id: int) -> dict[str, Any]:
        """GET /api/v1/books/{id}."""
        return self._call("GET", f"/api/v1/books/{book_id}")

    def job(self, job_id: str) -> dict[str, Any]:
        """GET /api/v1/image-jobs/{id}."""
        return self._call("GET", f"/api/v1/image-jobs/{job_id}")

    def upload(self, book_id: int, photo: Path, content_type: str) -> dict[str, Any]:
        """Reserve, put the bytes, complete; return the answer of `…/complete` (image and job)."""
        reserved = self._call(
            "POST",
            f"/api/v1/books/{book_id}/images",
            {"filename": photo.name, "content_type": content_type, "size": photo.stat().st_size},
        )
        upload = reserved["upload"]
        with photo.open("rb") as stream:
            answer = self._session.post(
                upload["url"],
                data=upload["fields"],
                files={"file": (photo.name, stream, content_type)},
                headers={"X-API-Key": None},  # the storage is another service and must not see the key
                timeout=120,
            )
        if not answer.ok:
            raise ApiError(
                f"{photo.name}: the storage refused the upload (HTTP {answer.status_code}): {answer.text[:300]}"
            )
        return self._call("POST", f"/api/v1/books/{book_id}/images/{reserved['image_id']}/complete")

    def fetch(self, url: str) -> bytes:
        """Return the bytes behind a presigned URL."""
        answer = self._session.get(url, headers={"X-API-Key": None}, timeout=60)
        if not answer.ok:
            raise ApiError(f"The storage refused to hand out a picture (HTTP {answer.status_code}).")
        return answer.content

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Idempotency-Key": f'"{uuid4()}"'} if method == "POST" else {}
        for left in reversed(range(TRIES)):
            try:
                answer = self._session.request(method, self.url + path, json=body, headers=headers, timeout=60)
            except requests.RequestException as error:
                if left == 0:
                    raise ApiError(f"The API at {self.url} does not answer: {error}", exit_code=1) from error
            else:
                if left == 0 or not _again(answer):
                    break
            time.sleep(PAUSE_SECONDS)
        if not answer.ok:
            raise ApiError(f"{method} {path}: HTTP {answer.status_code}: {_sentence(answer)}", exit_code=1)
        result: dict[str, Any] = answer.json()
        return result


def _again(answer: requests.Response) -> bool:
    if answer.status_code == requests.codes.conflict:
        return IN_USE in answer.text
    return answer.status_code in NOT_AT_THE_MOMENT


def _sentence(answer: requests.Response) -> str:
    try:
        problem = answer.json()
    except ValueError:
        return answer.text[:300]
    return str(problem.get("detail") or problem.get("title") or problem.get("message") or problem)
