"""A target whose dependency was never made, and is no target, is refused."""

import pulumi

from tests.engine.scenario import Step, Thing, urn

MISSING = "which was was not specified in --target list"
STEPS = [
    Step("make the first"),
    Step("preview of the dependent alone", "preview", {"more": "yes"}, targets=(urn("newer"),), says=MISSING),
    Step("the dependent alone", config={"more": "yes"}, targets=(urn("newer"),), says=MISSING),
    Step("both", config={"more": "yes"}, targets=(urn("new"), urn("newer"))),
]


def program() -> None:
    """``newer`` depends on ``new``, which comes later."""
    Thing("a")
    if pulumi.Config().get("more"):
        new = Thing("new")
        Thing("newer", of=new.arn)
