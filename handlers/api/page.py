"""The page that shows the OpenAPI document: one static file that asks no other host for anything."""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("page.html")


@cache
def text() -> str:
    """Return the page."""
    return FILE.read_text(encoding="utf-8")


@cache
def headers() -> dict[str, str]:
    """Return the page's headers: it may run its own script, ask its own origin, and nothing else."""
    policy = (
        f"default-src 'none'; script-src '{_hash('script')}'; style-src '{_hash('style')}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }


def _hash(tag: str) -> str:
    found = re.search(f"<{tag}>(.*?)</{tag}>", text(), re.DOTALL)
    content = found.group(1) if found else ""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
