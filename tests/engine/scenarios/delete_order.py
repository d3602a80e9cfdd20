"""Deletion goes against the dependencies: by value, by ``depends_on`` and from children to parents."""

import pulumi

from tests.engine.scenario import Group, Step, Thing

ORDERED = True
STEPS = [
    Step("make", config={"whole": "yes"}),
    Step("the program without them"),
    Step("make again", config={"whole": "yes"}),
    Step("destroy", "destroy"),
]


def program() -> None:
    """One chain: d -> c (depends_on) -> b (value) -> a, with b and c under a component."""
    if not pulumi.Config().get("whole"):
        return
    a = Thing("a", size=1)
    group = Group("group")
    b = Thing("b", pulumi.ResourceOptions(parent=group), of=a.arn)
    c = Thing("c", pulumi.ResourceOptions(parent=b))
    Thing("d", pulumi.ResourceOptions(depends_on=[c, group]))
