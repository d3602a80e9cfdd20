"""Hooks around a creation: no preview runs them without ``on_dry_run``; one after it fails, and the object stays."""

import pulumi

from tests.engine.scenario import Step, Thing

NOT_MADE, TOO_LATE = "this is not for making", "afterwards it is too late"
STEPS = [
    Step("preview runs neither", "preview", {"before": "yes", "after": "yes"}),
    Step("refused before", config={"before": "yes"}, says=NOT_MADE),
    Step("refused after", config={"after": "yes"}, says=TOO_LATE),
    Step("made nevertheless", config={"after": "yes"}),
]


def _raising(sentence: str) -> pulumi.ResourceHook:
    def hook(_: pulumi.ResourceHookArgs) -> None:
        raise ValueError(sentence)

    return pulumi.ResourceHook(sentence.replace(" ", "-"), hook)


def program() -> None:
    """One resource with a hook before its creation, one with a hook after it."""
    config = pulumi.Config()
    if config.get("before"):
        hooks = pulumi.ResourceHookBinding(before_create=[_raising(NOT_MADE)])
        Thing("before", pulumi.ResourceOptions(hooks=hooks))
    if config.get("after"):
        hooks = pulumi.ResourceHookBinding(after_create=[_raising(TOO_LATE)])
        Thing("after", pulumi.ResourceOptions(hooks=hooks))
