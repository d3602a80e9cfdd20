"""The engine dies in the middle of a creation, an update and a deletion; the next run finds what was under way."""

import pulumi

from tests.engine.provider import Script
from tests.engine.scenario import Step, Thing

STEPS = [
    Step("killed while it makes", config={"size": "1"}, script=Script(hangs="create b"), killed=True),
    Step("the up after the making", config={"size": "1"}),
    Step("killed while it changes", config={"size": "2"}, script=Script(hangs="update b"), killed=True),
    Step("the up after the change", config={"size": "2"}),
    Step("killed while it deletes", script=Script(hangs="delete b"), killed=True),
    Step("the up after the deletion"),
    Step("destroy", "destroy"),
]


def program() -> None:
    """``b`` depends on ``a``, so ``a`` is finished when the engine dies."""
    size = pulumi.Config().get_int("size")
    a = Thing("a", size=1)
    if size:
        Thing("b", of=a.arn, size=size)
