"""A function's variables: measured as Lambda does, and refused before anything is made."""

from functools import partial

import pytest

from components.function import LARGEST_ENVIRONMENT, environment_bytes
from local.lambda_limits import environment_refusals
from tests.program.harness import Harness, said

PROGRAM = """
import pulumi
from components import function
from components.iam import Grant
from tests.program.things import Thing

platform = function.Platform(prefix="shop", subnet_ids=[], security_group_ids=[])
thing = Thing("queue", size=1)
later = thing.id.apply(lambda id_: "x" * {later})
grant = Grant([], {{"A": "x" * {now}, "B": later}})
Thing("function", size=function._environment("shop-worker", platform, "worker", [grant]).apply(len))
"""


def test_the_size_is_that_of_the_json_which_lambda_quotes():
    assert environment_bytes({}) == len("{}")
    assert environment_bytes({"A": "1", "B": 'say "e"'}) == len(r'{"A":"1","B":"say \"e\""}')


@pytest.mark.parametrize("more", [0, 1])
def test_the_embedded_lambda_draws_the_line_at_the_same_byte(more):
    variables = {"A": "x" * (LARGEST_ENVIRONMENT - len('{"A":""}') + more)}
    assert environment_bytes(variables) == LARGEST_ENVIRONMENT + more
    assert bool(list(environment_refusals(variables))) == bool(more)


@pytest.mark.parametrize(
    ("now", "later", "previewed", "deployed"),
    [(10, 10, True, True), (5000, 10, False, False), (10, 5000, True, False)],
    ids=["small", "too large as far as it is known", "too large once all is known"],
)
def test_too_many_bytes_are_refused_in_the_preview_as_far_as_they_are_known(tmp_path, now, later, previewed, deployed):
    with Harness(tmp_path, PROGRAM.format(now=now, later=later)) as run:
        for operation, goes in ((run.preview, previewed), (partial(run.up, ok=None), deployed)):
            outcome = operation()
            assert outcome.ok is goes, said(outcome)
            if not goes:
                assert "variables of function 'shop-worker' have 5," in said(outcome)
                assert "function" not in {step.name for step in outcome.steps}
