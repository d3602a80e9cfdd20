"""Our whole program, each stack of it, under the real Pulumi engine: it must do what the embedded one does.

Nothing of this is recorded: the program changes too often. Where the CLI is missing, ``tests/program`` still holds the
embedded engine's side.
"""

from pathlib import Path

import pytest

from ops.program_copy import copy_of_the_program
from tests.engine.engines import PulumiCli, needs_the_real_engine
from tests.engine.scenario import Step
from tests.engine.transcript import is_provider
from tests.program import stacks

pytestmark = needs_the_real_engine


def project(folder: Path) -> Path:
    """Copy the program with the interpreter that it names."""
    copy = copy_of_the_program(folder / "project")
    (copy / ".venv").symlink_to(stacks.ROOT / ".venv")
    return copy


@pytest.mark.parametrize("stack", stacks.STACKS)
def test_both_engines_make_the_same_of_the_whole_program(stack: str, tmp_path: Path):
    given = stacks.beside_the_file(stack)
    with stacks.harness(stack, tmp_path) as recording:
        provider = recording.provider
        port = int(provider.address.rsplit(":", 1)[1])
        cli = PulumiCli(project(tmp_path), {"aws": port}, stack)

        previewed = cli.run(Step("preview", "preview", given))
        assert previewed.errors == []
        assert provider.changes() == []

        made = cli.run(Step("up", config=given))
        assert made.errors == []
        inputs = {call.urn: dict(call.inputs or {}) for call in provider.of("Create", preview=False)}

        again = cli.run(Step("again", config=given))
        assert again.errors == []
        assert {operation for _, operation in again.operations} == {"same"}

    embedded = stacks.deployed(stack)
    assert set(previewed.operations) == set(made.operations)
    assert {urn for urn, _ in made.operations} == {urn for urn in embedded.resources if not is_provider(urn)}
    assert inputs == {urn: embedded.resources[urn].inputs for urn in inputs}
