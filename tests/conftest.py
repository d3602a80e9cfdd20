"""What the suites share: who runs which file, and the one cloud of a session that `e2e` and `browser` look at.

Imported where it is used: most suites need nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadFileScheduling

    from tests.deployed import Deployed

ONE_DEPLOYMENT = frozenset(
    {
        *(f"tests/program/test_program_{part}.py" for part in ("database", "grants", "resources")),
        *(f"tests/schemas/test_schemas_{part}.py" for part in ("iam", "permissions", "resources")),
    }
)
"""Files that look at `tests.program.stacks.deployed`, which costs each process that asks the deployment of a stack."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Give each file to one worker, and all that look at the same deployments to the same one."""
    from xdist.scheduler import LoadFileScheduling

    class ByFileOrDeployment(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "one deployment" if file in ONE_DEPLOYMENT else file

    return ByFileOrDeployment(config, log)


@pytest.fixture(scope="session")
def worker_image() -> str:
    from tests.deployed import worker_image

    return worker_image()


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory, worker_image: str) -> Iterator[Deployed]:
    from tests.deployed import deployed

    with deployed(tmp_path_factory.mktemp("cloud"), worker_image) as made:
        yield made
