"""Secrets: masked wherever they are shown, encrypted in the state, and secret for whoever depends on them."""

import pulumi

from tests.engine.provider import Script
from tests.engine.scenario import Step, Thing

FIRST, SECOND = "tropical-fish-7", "heavy-water-9"
STEPS = [
    Step("preview", "preview", secrets={"word": FIRST}),
    Step("make", secrets={"word": FIRST}),
    Step("nothing changed", secrets={"word": FIRST}),
    Step("preview of another", "preview", secrets={"word": SECOND}),
    Step("another", secrets={"word": SECOND}),
    Step(
        "beside an error",
        secrets={"word": SECOND},
        config={"more": "yes"},
        script=Script(refuses={"refused": "word: the provider would not have it"}),
        says="the provider would not have it",
    ),
    Step("refresh", "refresh", secrets={"word": SECOND}),
    Step("destroy", "destroy", secrets={"word": SECOND}),
]


def program() -> None:
    """A secret as an input, as an output by option, within a structure, in a value made of it, and exported."""
    config = pulumi.Config()
    word = config.require_secret("word")
    a = Thing("a", word=word, nested={"inner": [word]}, made=pulumi.Output.concat("user:", word, "@host"))
    marked = Thing("marked", pulumi.ResourceOptions(additional_secret_outputs=["arn"]), size=1)
    Thing("reader", of=a.arn, by=marked.arn)
    pulumi.export("word", word)
    pulumi.export("marked", marked.arn)
    if config.get("more"):
        Thing("refused", word=word)
