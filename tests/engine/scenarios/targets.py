"""``--target`` and ``--exclude``: by URN, by wildcard, below a component, with and without dependents."""

import pulumi

from tests.engine.scenario import Group, Step, Thing, urn

GROUP = urn("group", "scripted:index:Group")
CHILD = urn("child", "scripted:index:Thing", "scripted:index:Group")
NOT_THERE = "could not be found in the stack"
NEEDED = "will be destroyed but was not specified in --target list"
STEPS = [
    Step("make", config={"size": "1"}),
    Step("preview one", "preview", {"size": "2"}, targets=(urn("a"),)),
    Step("one, its dependent left alone", config={"size": "2"}, targets=(urn("a"),)),
    Step("a component alone: not its children", config={"size": "3"}, targets=(GROUP,)),
    Step("a component and its children by wildcard", config={"size": "4"}, targets=("**Group**",)),
    Step("one star is not two", config={"size": "5"}, targets=("urn:pulumi:local::scenario::*::b",)),
    Step("two by two options", config={"size": "6"}, targets=(urn("a"), CHILD)),
    Step("dependents too", config={"size": "7"}, targets=(urn("a"),), target_dependents=True),
    Step("all but one", config={"size": "8"}, excludes=(urn("a"),)),
    Step("all but the component", config={"size": "9"}, excludes=(GROUP,)),
    Step("all but its children", config={"size": "10"}, excludes=("**Group$**",)),
    Step(
        "a target that is not there",
        config={"size": "11"},
        targets=(urn("nobody"),),
        says=NOT_THERE,
    ),
    Step("replace what is not a target", config={"size": "11"}, targets=(urn("a"),), replace=(urn("b"),)),
    Step("everything", config={"size": "12"}),
    Step("a new resource by target", config={"size": "12", "more": "yes"}, targets=(urn("new"),)),
    Step(
        "destroy one that others need",
        "destroy",
        targets=(urn("a"),),
        says=NEEDED,
    ),
    Step("destroy it with its dependents", "destroy", targets=(urn("a"),), target_dependents=True),
    Step("destroy all but the group", "destroy", excludes=("**Group**",)),
    Step("destroy the rest", "destroy"),
]


def program() -> None:
    """``b`` depends on ``a``; ``child`` lives under a component; ``newer`` depends on ``new``."""
    config = pulumi.Config()
    size = config.get_int("size")
    a = Thing("a", size=size)
    Thing("b", of=a.arn, size=size)
    Thing("child", pulumi.ResourceOptions(parent=Group("group")), size=size)
    if config.get("more"):
        new = Thing("new", size=size)
        Thing("newer", of=new.arn)
