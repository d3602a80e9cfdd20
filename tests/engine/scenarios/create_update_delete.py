"""A resource is made, left alone, changed, and deleted once the program no longer has it."""

import pulumi

from tests.engine.scenario import Step, Thing

STEPS = [
    Step("preview of the first", "preview", {"size": "1"}),
    Step("make", config={"size": "1"}),
    Step("again, nothing changed", config={"size": "1"}),
    Step("preview of a change", "preview", {"size": "2"}),
    Step("change", config={"size": "2"}),
    Step("preview of the program without it", "preview"),
    Step("the program without it"),
    Step("make once more", config={"size": "3"}),
    Step("destroy", "destroy"),
]


def program() -> None:
    """One thing, where a size is configured."""
    size = pulumi.Config().get("size")
    if size:
        thing = Thing("a", size=int(size), colour="red")
        pulumi.export("arn", thing.arn)
