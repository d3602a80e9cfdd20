"""The one cloud of a session, for the suites that look at what is deployed: `e2e` and `browser` share it.

Imported where it is used: most suites need nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.deployed import Deployed


@pytest.fixture(scope="session")
def worker_image() -> str:
    from tests.deployed import worker_image

    return worker_image()


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory, worker_image: str) -> Iterator[Deployed]:
    from tests.deployed import deployed

    with deployed(tmp_path_factory.mktemp("cloud"), worker_image) as made:
        yield made
