"""Refresh takes the cloud's word: a property changed by hand, an object deleted by hand; the next up repairs both."""

import pulumi

from tests.engine.provider import Script
from tests.engine.scenario import Step, Thing, urn

DENIED = "access denied by the cloud"
STEPS = [
    Step("make", config={"size": "1"}),
    Step("nothing to tell", "refresh", {"size": "1"}),
    Step("a property by hand", "refresh", {"size": "1"}, script=Script(drift={"a": {"size": 99}})),
    Step("repair", config={"size": "1"}),
    Step("by hand, found on the way", config={"size": "1"}, refresh=True, script=Script(drift={"a": {"size": 98}})),
    Step("preview with a refresh", "preview", {"size": "1"}, refresh=True, script=Script(drift={"a": {"size": 97}})),
    Step("only one of two", "refresh", targets=(urn("b"),), script=Script(drift={"b": {"colour": "blue"}})),
    Step("repair both", config={"size": "1"}, refresh=True),
    Step("deleted by hand", "refresh", {"size": "1"}, script=Script(vanished=("a",))),
    Step("made anew", config={"size": "1"}),
    Step("not readable", "refresh", script=Script(fails={"read a": DENIED}), says=DENIED),
]


def program() -> None:
    """``b`` depends on ``a``."""
    a = Thing("a", size=pulumi.Config().get_int("size"))
    Thing("b", of=a.arn)
