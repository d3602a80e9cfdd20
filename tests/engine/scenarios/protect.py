"""``protect`` stops deletion and replacement, never an update, and ``--ignore-protect`` lifts it."""

import pulumi

from tests.engine.scenario import Step, Thing, urn

NO_REPLACE = "as it is currently marked for protection"
NO_DELETE = "because it is protected"
ON = {"identity": "one", "size": "1"}
STEPS = [
    Step("make", config=ON),
    Step("an update goes through", config=ON | {"size": "2"}),
    Step("preview of a replacement", "preview", ON | {"identity": "two", "size": "2"}, says=NO_REPLACE),
    Step("a replacement", config=ON | {"identity": "two", "size": "2"}, says=NO_REPLACE),
    Step("a forced replacement", config=ON | {"size": "2"}, replace=(urn("a"),), says=NO_REPLACE),
    Step("preview of the program without it", "preview", says=NO_DELETE),
    Step("the program without it", says=NO_DELETE),
    Step("destroy", "destroy", says=NO_DELETE),
    Step("the same replacement, ignoring it", config=ON | {"identity": "two", "size": "2"}, ignore_protect=True),
    Step("the program without it, ignoring it", ignore_protect=True),
    Step("make again", config=ON),
    Step("destroy, ignoring it", "destroy", ignore_protect=True),
]


def program() -> None:
    """One protected thing and one that is not."""
    config = pulumi.Config()
    Thing("free")
    if config.get("identity"):
        Thing("a", pulumi.ResourceOptions(protect=True), identity=config.get("identity"), size=config.get_int("size"))
