"""``ignore_changes``: kept on update, by path too; without effect on create; drops what the old state lacks."""

import pulumi

from tests.engine.scenario import Step, Thing

STEPS = [
    Step("make without the password", config={"size": "1"}),
    Step("a password where the state has none", config={"size": "1", "password": "one"}),
    Step("and with another change", config={"size": "2", "password": "one"}),
    Step("make one with a password", config={"size": "2", "late": "one"}),
    Step("preview of another password", "preview", {"size": "2", "late": "two"}),
    Step("another password", config={"size": "2", "late": "two"}),
    Step("another password and size", config={"size": "3", "late": "two"}),
    Step("the password taken away", config={"size": "3", "late": ""}),
]


def program() -> None:
    """``a`` may get a password later; ``late`` comes with one; both ignore it, and one tag."""
    config = pulumi.Config()
    ignoring = pulumi.ResourceOptions(ignore_changes=["password", "tags.owner"])
    Thing("a", ignoring, size=config.get_int("size"), password=config.get("password"))
    late = config.get("late")
    if late is not None:
        tags = {"owner": late, "size": config.get("size")}
        Thing("late", ignoring, size=config.get_int("size"), password=late or None, tags=tags)
