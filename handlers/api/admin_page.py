"""The operators' page at ``/admin``: static files from an allow-list, under a policy that names the pictures' origin.

The files are the same for everybody and hold nothing of the deployment; what they show comes through the API, with a
key.
"""

import hashlib
from functools import cache
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from handlers.api.parts import parts
from handlers.api.problems import not_found

FOLDER = Path(__file__).with_name("admin")
PATH = "/admin"
TYPES = {
    "admin.css": "text/css; charset=utf-8",
    "api.js": "text/javascript; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "dom.js": "text/javascript; charset=utf-8",
    "failed.js": "text/javascript; charset=utf-8",
    "flows.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "images.js": "text/javascript; charset=utf-8",
}
PUBLIC_PATHS = frozenset({PATH, f"{PATH}/", *(f"{PATH}/{name}" for name in TYPES)})

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


@router.get(PATH, include_in_schema=False)
def show_page() -> Response[str]:
    """Show the page."""
    return _answer("index.html", "text/html; charset=utf-8", {"Content-Security-Policy": _policy()})


@router.get(f"{PATH}/", include_in_schema=False)
def show_page_by_folder() -> Response[str]:
    """Lead to the page: its files are named relative to its own path."""
    return Response(HTTPStatus.PERMANENT_REDIRECT, "text/plain", "", headers={"Location": "../admin"})


@router.get(f"{PATH}/<name>", include_in_schema=False)
def show_file(name: str) -> Response[str]:
    """Show one of the page's files."""
    if name not in TYPES:
        raise not_found("The page has no such file.")
    return _answer(name, TYPES[name], {})


def policy(uploads: str, pictures: str | None) -> str:
    """Return the page's Content-Security-Policy.

    Parameters
    ----------
    uploads
        An address in the bucket, where photographs are posted to and, without a CDN, seen.
    pictures
        The CDN's address, where there is one.

    Returns
    -------
    str
        Own scripts, styles and requests, and the pictures' origins; strings never become markup in any script.
    """
    origins = [_origin(uploads)] if pictures is None else [_origin(uploads), _origin(pictures)]
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"connect-src 'self' {origins[0]}",
            f"img-src 'self' {' '.join(origins)}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _policy() -> str:
    # Signing is done here, without a request; the address is the one that uploads and pictures are given.
    return policy(parts().storage.presigned_url("any"), parts().cdn_url)


def _origin(url: str) -> str:
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc}"


def _answer(name: str, content_type: str, headers: dict[str, str]) -> Response[str]:
    text, tag = _file(name)
    held = router.current_event.headers.get("if-none-match")
    common: dict[str, str | list[str]] = {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-cache",  # asked for each time, sent once: a new version is never half there
        "ETag": tag,
        **headers,
    }
    if held == tag:
        return Response(HTTPStatus.NOT_MODIFIED, content_type, "", headers=common)
    return Response(HTTPStatus.OK, content_type, text, headers=common)


@cache
def _file(name: str) -> tuple[str, str]:
    text = (FOLDER / name).read_text(encoding="utf-8")
    return text, f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
