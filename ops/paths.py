"""Where things lie on this machine; every other module asks here."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("BMX_HOME") or ROOT / ".local").absolute()
"""The embedded cloud's folder: lock, state, PostgreSQL directory, logs. Gone with the cloud; BMX_HOME moves it."""
IMAGES = ROOT / ".build" / "images"
"""Container images as plain folders; kept between runs."""
OUT = ROOT / "out"


def cache() -> Path:
    """Return the folder outside the repository that keeps model weights between clones."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "bluemoxon"
