"""``import_``: an object that exists is adopted; its inputs must match the program's; then it is like any other."""

import pulumi

from tests.engine.provider import Script
from tests.engine.scenario import Step, Thing

THERE = Script(existing={"there-1": {"size": 7, "colour": "red"}})
OTHER = Script(existing={"there-2": {"size": 8}})
STEPS = [
    Step("preview of the adoption", "preview", {"id": "there-1", "size": "7"}, script=THERE),
    Step("adopt", config={"id": "there-1", "size": "7"}),
    Step("again, the option still on", config={"id": "there-1", "size": "7"}),
    Step("change it", config={"id": "there-1", "size": "8"}),
    Step("the option taken away", config={"size": "8"}),
    Step("another id replaces", config={"id": "there-2", "size": "8"}, script=OTHER),
    Step(
        "one that is not there",
        config={"size": "8", "second": "nowhere-1"},
        says="resource 'nowhere-1' does not exist",
    ),
    Step(
        "one whose inputs differ is changed at once",
        config={"size": "8", "second": "other-1"},
        script=Script(existing={"other-1": {"size": 99, "colour": "blue"}}),
    ),
    Step(
        "a difference that is ignored",
        config={"size": "8", "second": "third-1", "ignore": "yes"},
        script=Script(existing={"third-1": {"size": 99, "colour": "green", "password": "kept"}}),
    ),
    Step("and another size ignored", config={"size": "8", "ignore": "yes", "second": "third-1"}),
]


def program() -> None:
    """``there`` is imported by the configured id; ``second`` later."""
    config = pulumi.Config()
    size = config.get_int("size")
    there = pulumi.ResourceOptions(import_=config.get("id"))
    colour = "red" if config.get("id") != "there-2" else None
    first = Thing("there", there, size=size, colour=colour)
    if config.get("second"):
        ignore = ["size", "colour", "password"] if config.get("ignore") else []
        # One after the other: a failed import ends what has not begun, which would be chance otherwise.
        second = pulumi.ResourceOptions(import_=config.get("second"), ignore_changes=ignore, depends_on=[first])
        Thing("second", second, size=1, colour="blue")
