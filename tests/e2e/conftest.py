"""The suite works on the session's cloud; see `tests/conftest.py`."""

from tests.deployed import Deployed

__all__ = ["Deployed"]
