"""The API as a caller sees it: requests with a key, problems as sentences."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests

from ops.errors import UserError

RETRY_PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before a request that got no answer, or found the service ailing, is sent again."""
_AILING = frozenset({500, 502, 503, 504})
# A POST does its work once because of its key, so it may be repeated as well; 500 is the API's word that it is our bug.
_NOT_AT_THE_MOMENT = frozenset({502, 503, 504})
IN_USE = "urn:bluemoxon:problem:idempotency-key-in-use"


class ApiError(UserError):
    """The API refused a request; the message is its problem document's sentence."""


class ApiClient:
    """Calls the API at `url` with `key`; never goes through a proxy.

    A GET changes nothing, and a POST carries an `Idempotency-Key`, so one that meets a server error or no answer at all
    is sent again a few times, as AWS's SDKs do; nothing else is.

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
            answer = self._send(
                "POST",
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
        answer = self._send("GET", url, headers={"X-API-Key": None})
        if not answer.ok:
            raise ApiError(f"The storage refused to hand out a picture (HTTP {answer.status_code}).")
        return answer.content

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Idempotency-Key": f'"{uuid4()}"'} if method == "POST" else {}
        answer = self._send(method, self.url + path, json=body, headers=headers)
        if not answer.ok:
            raise ApiError(f"{method} {path}: HTTP {answer.status_code}: {_sentence(answer)}", exit_code=1)
        try:
            result: dict[str, Any] = answer.json()
        except ValueError as error:
            raise ApiError(f"{method} {path}: the answer is no JSON: {answer.text[:300]}", exit_code=1) from error
        return result

    def _send(self, method: str, url: str, *, timeout: float = 60, **given: Any) -> requests.Response:
        repeatable = method == "GET" or "Idempotency-Key" in given.get("headers", {})
        for pause in (*(RETRY_PAUSES if repeatable else ()), None):
            try:
                answer = self._session.request(method, url, timeout=timeout, **given)
                if pause is None or not _again(method, answer):
                    return answer
            except requests.RequestException as error:
                if pause is None:
                    raise ApiError(f"{_service(url)} does not answer: {error}", exit_code=1) from error
            time.sleep(pause)
        raise AssertionError  # the last round returns or raises


def _service(url: str) -> str:
    # a presigned address is a credential: its query is not for terminals and logs
    return url.partition("?")[0]


def _again(method: str, answer: requests.Response) -> bool:
    if answer.status_code == requests.codes.conflict:
        return IN_USE in answer.text
    return answer.status_code in (_AILING if method == "GET" else _NOT_AT_THE_MOMENT)


def _sentence(answer: requests.Response) -> str:
    try:
        problem = answer.json()
    except ValueError:
        return answer.text[:300]
    return str(problem.get("detail") or problem.get("title") or problem.get("message") or problem)
