"""What is promoted from where, before anything is asked of a stack."""

import pytest

from ops.errors import UserError
from ops.promotion.engines import Place, PulumiCli
from ops.promotion.promote import prepare
from ops.stacks import StackHandle


def place(name, project):
    handle = StackHandle(name, {}, lambda service: pytest.fail(f"{service} was asked"))
    return Place(handle, PulumiCli(name), lambda: handle, project)


@pytest.mark.parametrize(
    ("source", "says"), [("prod", "cannot be promoted to itself"), ("local", "proves nothing for another stack")]
)
def test_neither_itself_nor_the_stack_on_this_machine_is_a_source(tmp_path, source, says):
    with pytest.raises(UserError, match=says) as refused:
        prepare(place(source, tmp_path), "prod")
    assert "./bmx promote staging prod" in refused.value.fix
