"""A provider that fails in the middle: what was made is kept, what depends on it is not begun, the next up goes on."""

import pulumi

from tests.engine.provider import Script
from tests.engine.scenario import Step, Thing

ON = {"size": "1", "identity": "one"}
TWO = {"size": "1", "identity": "two"}
FULL = "the disk is full"
STEPS = [
    Step("creation fails", config=ON, script=Script(fails={"create b": FULL}), says=FULL),
    Step("and is repaired", config=ON),
    Step("an update fails", config=ON | {"size": "2"}, script=Script(fails={"update b": FULL}), says=FULL),
    Step("and is repaired again", config=ON | {"size": "2"}),
    Step("inputs are refused", config=ON | {"size": "3"}, script=Script(refuses={"b": "size: is odd"}), says="is odd"),
    Step("a replacement's deletion fails", config=TWO, script=Script(fails={"delete b": FULL}), says=FULL),
    Step("the old object is deleted by the next up", config=TWO),
    Step("a deletion fails", script=Script(fails={"delete b": FULL}), says=FULL),
    Step("and is repaired at last"),
    Step("made, but never healthy", config=ON, script=Script(half_made=("b",)), says="it never became healthy"),
    Step("the next up tries to mend it", config=ON),
    Step("destroy fails", "destroy", script=Script(fails={"delete a": FULL}), says=FULL),
    Step("destroy", "destroy"),
]


def program() -> None:
    """A chain of three, where one is configured."""
    config = pulumi.Config()
    if config.get("size"):
        a = Thing("a", size=config.get_int("size"))
        b = Thing("b", of=a.arn, size=config.get_int("size"), identity=config.require("identity"))
        Thing("c", of=b.arn)
