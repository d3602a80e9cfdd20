"""Aliases: a renamed, a re-parented and a re-typed resource keep their objects; without one they are replaced."""

from typing import Any

import pulumi

from tests.engine.scenario import Group, Step, Thing, urn

STEPS = [
    Step("make", config={"name": "a"}),
    Step("preview of the new name", "preview", {"name": "b", "alias": "name"}),
    Step("a new name", config={"name": "b", "alias": "name"}),
    Step("nothing changed", config={"name": "b", "alias": "name"}),
    Step("under a component", config={"name": "b", "alias": "parent", "group": "yes"}),
    Step("out of it, by URN", config={"name": "c", "alias": "urn"}),
    Step("a component renamed, the child follows", config={"name": "c", "family": "old"}),
    Step("the same under the new name", config={"name": "c", "family": "new"}),
    Step("a new name without an alias", config={"name": "d", "family": "new"}),
]


def program() -> None:
    """One resource that moves about, and a component with a child."""
    config = pulumi.Config()
    aliases: Any = {
        None: [],
        "name": [pulumi.Alias(name="a")],
        "parent": [pulumi.Alias(parent=pulumi.ROOT_STACK_RESOURCE)],
        "urn": [urn("b", "scripted:index:Thing", "scripted:index:Group")],
    }[config.get("alias")]
    parent = Group("group") if config.get("group") else None
    Thing(config.require("name"), pulumi.ResourceOptions(aliases=aliases, parent=parent), size=1)
    family = config.get("family")
    if family:
        renamed = pulumi.ResourceOptions(aliases=[pulumi.Alias(name="old")] if family == "new" else [])
        Thing(f"{family}-child", pulumi.ResourceOptions(parent=Group(family, renamed)), size=1)
