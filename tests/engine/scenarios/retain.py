"""``retain_on_delete``: forgotten, not deleted; also as the old half of a replacement."""

import pulumi

from tests.engine.scenario import Step, Thing

STEPS = [
    Step("make", config={"identity": "one"}),
    Step("replace", config={"identity": "two"}),
    Step("preview of the program without it", "preview"),
    Step("the program without it"),
    Step("make again", config={"identity": "three"}),
    Step("destroy", "destroy"),
]


def program() -> None:
    """One retained resource, where it is configured."""
    identity = pulumi.Config().get("identity")
    if identity:
        Thing("a", pulumi.ResourceOptions(retain_on_delete=True), identity=identity)
