"""A program that raises, or names a resource twice: what it registered is made, nothing is deleted for it."""

import pulumi

from tests.engine.scenario import Step, Thing

STEPS = [
    Step("make"),
    Step("preview of a program that raises", "preview", {"raise": "yes"}, says="the program has had enough"),
    Step("a program that raises", config={"raise": "yes"}, says="the program has had enough"),
    Step("two of one name", config={"twice": "yes"}, says="Duplicate resource URN"),
    Step("whole again"),
]


def program() -> None:
    """``b`` comes after the raise."""
    config = pulumi.Config()
    a = Thing("a", size=1)
    if config.get("raise"):
        raise ValueError("the program has had enough")
    Thing("b", of=a.arn)
    if config.get("twice"):
        Thing("b", of="another")
