"""``replace_on_changes``: a property that the provider could update in place replaces the object."""

import pulumi

from tests.engine.scenario import Step, Thing

STEPS = [
    Step("make", config={"size": "1"}),
    Step("preview of a changed size", "preview", {"size": "2"}),
    Step("a changed size", config={"size": "2"}),
    Step("the program without it"),
]


def program() -> None:
    """One thing, where a size is configured."""
    size = pulumi.Config().get_int("size")
    if size:
        Thing("a", pulumi.ResourceOptions(replace_on_changes=["size"]), size=size, colour="red")
