"""Invokes reach the provider in preview and up; one whose argument is not known yet waits."""

import pulumi

from tests.engine.scenario import Step, Thing

STEPS = [Step("preview", "preview"), Step("make"), Step("nothing changed")]


def _ask(word: str) -> str:
    answer: str = pulumi.runtime.invoke("scripted:index:ask", {"word": word}).value["answer"]
    return answer


def program() -> None:
    """One answer at once, one for an output."""
    a = Thing("a", answer=_ask("now"))
    Thing("b", answer=a.arn.apply(_ask))
