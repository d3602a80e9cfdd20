"""GitHub's REST interface as far as the workflows need it, told by the runner's own variables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from ops.errors import UserError

SECONDS = 30
PER_PAGE, PAGES = 100, 30


class GitHub:
    """One repository; address, name and token come from GITHUB_API_URL, GITHUB_REPOSITORY and GITHUB_TOKEN.

    Raises
    ------
    UserError
        One of them is missing.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        names = ("GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_TOKEN")
        if missing := [name for name in names if not environment.get(name)]:
            raise UserError(f"{' and '.join(missing)} not set.", "A workflow has the first two; pass the token by env.")
        self._base = f"{environment['GITHUB_API_URL'].rstrip('/')}/repos/{environment['GITHUB_REPOSITORY']}"
        self._session = requests.Session()
        # Not the header alone: requests would put a .netrc entry in its place.
        self._session.trust_env = False
        self._session.headers.update(
            {"Authorization": f"Bearer {environment['GITHUB_TOKEN']}", "Accept": "application/vnd.github+json"}
        )

    def get(self, path: str, **query: Any) -> Any:
        """Return what a GET answers."""
        return self._call("GET", path, params=query).json()

    def pages(self, path: str) -> Iterator[Any]:
        """Yield the entries of a list, page by page."""
        for page in range(1, PAGES + 1):
            entries = self.get(path, per_page=PER_PAGE, page=page)
            yield from entries
            if len(entries) < PER_PAGE:
                return
        raise UserError(f"GitHub lists more than {PER_PAGE * PAGES} entries at {path}.", exit_code=1)

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Send JSON and return the answer."""
        return self._call(method, path, json=dict(body)).json()

    def download(self, path: str) -> bytes:
        """Return the bytes at a path; the token is not sent along to where it redirects."""
        return self._call("GET", path).content

    def _call(self, method: str, path: str, **rest: Any) -> requests.Response:
        try:
            answer = self._session.request(method, f"{self._base}/{path}", timeout=SECONDS, **rest)
        except requests.RequestException as error:
            raise UserError(f"GitHub cannot be reached for {method} {path}: {error}", exit_code=1) from error
        if not answer.ok:
            fix = "The job lacks a permission, or the token does." if answer.status_code in {401, 403, 404} else ""
            raise UserError(f"GitHub answered {answer.status_code} to {method} {path}.", fix, exit_code=1)
        return answer
