"""A changed force-new property: the new object is made, what depends on it follows, the old one goes last."""

import pulumi

from tests.engine.scenario import Step, Thing

ORDERED = True
STEPS = [
    Step("make", config={"identity": "one"}),
    Step("preview of the replacement", "preview", {"identity": "two"}),
    Step("replace", config={"identity": "two"}),
    Step("a forced replacement", config={"identity": "two"}, replace=("**::a",)),
    Step("destroy", "destroy"),
]


def program() -> None:
    """``b`` holds the identity of ``a``'s object and can be updated in place."""
    a = Thing("a", identity=pulumi.Config().require("identity"))
    Thing("b", of=a.arn)
