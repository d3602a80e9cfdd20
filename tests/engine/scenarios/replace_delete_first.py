"""``delete_before_replace``: the old object goes first, with the dependents that cannot live without it."""

import pulumi

from tests.engine.scenario import Step, Thing

ORDERED = True
STEPS = [
    Step("make", config={"identity": "one"}),
    Step("preview of the replacement", "preview", {"identity": "two"}),
    Step("replace", config={"identity": "two"}),
    Step("destroy", "destroy"),
]


def program() -> None:
    """``b`` would be replaced by another ``a``, so it is deleted with it; ``c`` is only updated."""
    first = pulumi.ResourceOptions(delete_before_replace=True)
    a = Thing("a", first, identity=pulumi.Config().require("identity"))
    b = Thing("b", identity=a.arn)
    Thing("c", of=b.arn)
