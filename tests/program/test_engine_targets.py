"""--target, --exclude and --target-dependents, with URNs and wildcards."""

import pytest

from tests.program.harness import Harness, said, steps, urn

PROGRAM = """
import pulumi
from tests.program.things import Box, Thing, options
a = Thing("a", size={size})
b = Thing("b", of=a.arn, size={size})
c = Thing("c", size={size})
box = Box("box", size={size})
"""
INNER = "urn:pulumi:dev::probe::test:index:Box$test:index:Thing::box-inner"


def program(size):
    return PROGRAM.format(size=size)


@pytest.fixture
def run(tmp_path):
    with Harness(tmp_path, program(1)) as run:
        run.up()
        run.provider.calls.clear()
        run.write(program(2))
        yield run


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([urn("a")], ["a"]),
        (["**::a", "**::c"], ["a", "c"]),
        (["urn:pulumi:dev::probe::test:index:Thing::*"], ["a", "b", "c"]),
        (["urn:pulumi:dev::probe::test:index:Box$**"], ["box-inner"]),
        ([INNER], ["box-inner"]),
        (["urn:pulumi:*::*::*:*:*::c"], ["c"]),
    ],
)
def test_only_targets_are_updated(run, targets, expected):
    outcome = run.up(targets=targets)
    assert steps(outcome) == [("update", name) for name in expected]


def test_only_what_is_not_excluded_is_updated(run):
    assert steps(run.up(excludes=[urn("a"), "**Box**"])) == [("update", "b"), ("update", "c")]


def test_target_dependents_takes_what_depends_on_a_target(run):
    assert steps(run.up(targets=[urn("a")], target_dependents=True)) == [("update", "a"), ("update", "b")]


def test_an_unknown_target_is_an_error(run):
    outcome = run.up(targets=[urn("nobody")], ok=False)
    assert f"Target '{urn('nobody')}' could not be found in the stack. Did you forget to escape $" in said(outcome)


def test_a_target_keeps_what_the_program_dropped(run):
    run.write(program(2).replace('c = Thing("c", size=2)', ""))
    assert steps(run.up(targets=[urn("a")])) == [("update", "a")]
    assert "c" in run.resources()


def test_a_dropped_resource_that_is_targeted_is_deleted(run):
    run.write(program(2).replace('c = Thing("c", size=2)', ""))
    assert steps(run.up(targets=[urn("c")])) == [("delete", "c")]


def test_a_new_resource_outside_the_targets_is_not_made(run):
    run.write(program(2) + 'Thing("new")\n')
    assert steps(run.up(targets=[urn("a")])) == [("update", "a")]
    assert "new" not in run.resources()


def test_a_target_that_needs_an_unmade_resource_is_refused(run):
    run.write(program(2) + 'new = Thing("new")\nThing("user", of=new.arn)\n')
    sentence = f"Resource '{urn('user')}' depends on '{urn('new')}' which was was not specified in --target list."
    assert sentence in said(run.preview(targets=[urn("user")]))
    assert sentence in said(run.up(targets=[urn("user")], ok=False))
    assert run.provider.changes() == []


def test_destroying_a_target_with_a_dependent_is_refused_without_target_dependents(run):
    outcome = run.destroy(targets=[urn("a")])
    assert not outcome.ok
    assert f"Resource '{urn('b')}' will be destroyed but was not specified in --target list." in said(outcome)
    assert run.provider.changes() == []
    assert run.destroy(targets=[urn("a")], target_dependents=True).ok
    assert run.provider.changes() == [("Delete", "b"), ("Delete", "a")]


def test_destroy_spares_what_is_excluded_and_what_that_needs(run):
    assert run.destroy(excludes=[urn("b")]).ok
    assert sorted(run.resources()) == ["a", "b"]


def test_targets_and_excludes_together_are_refused(run):
    from local.engine import EngineError

    with pytest.raises(EngineError, match="--target and --exclude cannot be used together"):
        run.up(targets=["a"], excludes=["b"])


def test_the_outputs_of_an_untargeted_resource_stay_readable(run):
    run.write(program(2) + 'pulumi.export("c", c.arn)\n')
    outcome = run.up(targets=[urn("a")])
    assert outcome.outputs["c"].endswith(":c-0000001")
