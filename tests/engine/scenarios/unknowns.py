"""Unknowns: what is not known before it is made, in a preview, through values, structures and force-new properties."""

import pulumi

from tests.engine.scenario import Step, Thing

STEPS = [
    Step("preview of everything", "preview", {"identity": "one"}),
    Step("make", config={"identity": "one"}),
    Step("preview of a replacement", "preview", {"identity": "two"}),
    Step("preview of an update", "preview", {"identity": "one", "size": "2"}),
    Step("update", config={"identity": "one", "size": "2"}),
    Step("replace", config={"identity": "two", "size": "2"}),
]


def program() -> None:
    """Three readers of one output: by value, inside a structure, and as a property that forces replacement."""
    config = pulumi.Config()
    a = Thing("a", identity=config.require("identity"), size=config.get_int("size"))
    Thing("by-value", of=a.arn)
    Thing("inside", nested={"list": [a.arn, "known"], "text": a.arn.apply(lambda arn: f"<{arn}>")})
    Thing("replaced", identity=a.arn)
    pulumi.export("arn", a.arn)
