"""A function's variables are measured alike by the program, which refuses them first, and by the embedded Lambda."""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from components.function import LARGEST_ENVIRONMENT, environment_bytes
from local.lambda_limits import environment_refusals

NAMES = st.text("ABC_", min_size=1, max_size=8)


def test_it_is_the_json_that_lambda_shows_in_its_refusal():
    assert environment_bytes({"A": 'say "x"', "B": ""}) == len('{"A":"say \\"x\\"","B":""}')


@given(st.dictionaries(NAMES, st.text(max_size=40), max_size=4), st.sampled_from([0, 1]), st.sampled_from('x"\\é\n'))
@example({}, 0, '"')
def test_program_and_lambda_draw_the_line_at_the_same_byte(variables, over, character):
    filled = variables | {"FILL": ""}
    room = LARGEST_ENVIRONMENT - environment_bytes(filled)
    width = len(json.dumps(character)) - 2
    # as many of the character as fit, the rest plain, and perhaps one byte too much
    filled["FILL"] = character * (room // width) + "x" * (room % width + over)
    assert environment_bytes(filled) == LARGEST_ENVIRONMENT + over
    assert bool(list(environment_refusals(filled))) == bool(over)
