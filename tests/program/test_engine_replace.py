"""Replacement in both orders, its dependents, and deletion in reverse dependency order."""

import pytest

from tests.program.harness import Harness, said, steps
from tests.program.recording import RecordingProvider

CHAIN = """
import pulumi
from tests.program.things import Thing, options
a = Thing("a", fixed={fixed}, opts=options({options}))
b = Thing("b", of=a.arn)
c = Thing("c", of=b.arn, opts=options(depends_on=[a]))
"""


def chain(fixed, options=""):
    return CHAIN.format(fixed=fixed, options=options)


@pytest.fixture
def provider():
    return RecordingProvider("test", force_new={"test:index:Thing": ["fixed", "of"]})


def test_a_replacement_creates_first_and_deletes_last(tmp_path, provider):
    with Harness(tmp_path, chain(1), providers=[provider]) as run:
        run.up()
        provider.calls.clear()
        run.write(chain(2))
        preview = run.preview()
        assert steps(preview)[:2] == [("create-replacement", "a"), ("replace", "a")]
        outcome = run.up()
        assert provider.changes() == [
            ("Create", "a"),
            ("Create", "b"),
            ("Create", "c"),
            ("Delete", "c"),
            ("Delete", "b"),
            ("Delete", "a"),
        ]
        assert outcome.changes == {"replace": 3, "same": 1}
        assert sorted(run.resources()) == ["a", "b", "c"]
        assert len(provider.live) == 3


def test_an_unforced_change_is_an_update_in_place(tmp_path):
    with Harness(tmp_path, chain(1)) as run:
        run.up()
        run.write(chain(2))
        outcome = run.up()
        assert steps(outcome) == [("update", "a")]
        (update,) = [s for s in outcome.steps if s.op == "update"]
        assert update.changed_keys == ("fixed",)
        assert (update.detailed_diff or {})["fixed"].kind == "update"


@pytest.mark.parametrize("who", ["program", "provider"])
def test_delete_before_replace_takes_the_dependents_down_first(tmp_path, provider, who):
    if who == "provider":
        provider.delete_first = {"test:index:Thing"}
    text = "delete_before_replace=True" if who == "program" else ""
    with Harness(tmp_path, chain(1, text), providers=[provider]) as run:
        run.up()
        provider.calls.clear()
        run.write(chain(2, text))
        assert run.preview().changes == {"replace": 3, "same": 1}
        outcome = run.up()
        assert provider.changes() == [
            ("Delete", "c"),
            ("Delete", "b"),
            ("Delete", "a"),
            ("Create", "a"),
            ("Create", "b"),
            ("Create", "c"),
        ]
        assert outcome.changes == {"replace": 3, "same": 1}
        assert not any(state.pending_replacement for state in run.resources().values())
        assert steps(run.up()) == []


def test_a_dependent_whose_property_forces_nothing_is_not_taken_down(tmp_path, provider):
    provider.force_new = {"test:index:Thing": {"fixed"}}
    text = "delete_before_replace=True"
    with Harness(tmp_path, chain(1, text), providers=[provider]) as run:
        run.up()
        provider.calls.clear()
        run.write(chain(2, text))
        run.up()
        assert provider.changes()[:2] == [("Delete", "a"), ("Create", "a")]
        assert ("Delete", "b") not in provider.changes()


def test_a_protected_dependent_stops_a_replacement_that_deletes_first(tmp_path, provider):
    program = chain(1, "delete_before_replace=True").replace("of=a.arn)", "of=a.arn, opts=options(protect=True))")
    with Harness(tmp_path, program, providers=[provider]) as run:
        run.up()
        provider.calls.clear()
        run.write(program.replace("fixed=1", "fixed=2"))
        outcome = run.up(ok=False)
        assert 'as part of replacing "urn:pulumi:dev::probe::test:index:Thing::a"' in said(outcome)
        assert provider.changes() == []


def test_what_the_program_drops_is_deleted_in_reverse_order(tmp_path):
    with Harness(tmp_path, chain(1)) as run:
        run.up()
        run.provider.calls.clear()
        run.write("import pulumi")
        outcome = run.up()
        assert run.provider.changes() == [("Delete", "c"), ("Delete", "b"), ("Delete", "a")]
        assert outcome.changes == {"delete": 3, "same": 1}


def test_destroy_deletes_everything_in_reverse_order(tmp_path):
    with Harness(tmp_path, chain(1)) as run:
        run.up()
        run.provider.calls.clear()
        outcome = run.destroy()
        assert outcome.ok, said(outcome)
        assert run.provider.changes() == [("Delete", "c"), ("Delete", "b"), ("Delete", "a")]
        assert run.store.resources() == []
        assert outcome.changes == {"delete": 4}


def test_replace_on_changes_makes_an_update_a_replacement(tmp_path):
    with Harness(tmp_path, chain(1, 'replace_on_changes=["fixed"]')) as run:
        run.up()
        run.write(chain(2, 'replace_on_changes=["fixed"]'))
        outcome = run.up()
        assert ("replace", "a") in steps(outcome)
        (step,) = [s for s in outcome.steps if s.op == "replace"]
        assert (step.detailed_diff or {})["fixed"].kind == "update-replace"
        assert step.replace_keys == ("fixed",)


def test_the_replace_option_forces_a_replacement(tmp_path):
    with Harness(tmp_path, chain(1)) as run:
        run.up()
        outcome = run.up(replace=["urn:pulumi:dev::probe::test:index:Thing::c"])
        assert steps(outcome) == [("create-replacement", "c"), ("replace", "c"), ("delete-replaced", "c")]


def test_a_failed_creation_keeps_the_old_resource_and_the_next_update_goes_on(tmp_path, provider):
    with Harness(tmp_path, chain(1), providers=[provider]) as run:
        run.up()
        provider.fail("Create", "a", "no more room")
        run.write(chain(2))
        outcome = run.up(ok=False)
        assert "no more room" in said(outcome)
        assert run.resources()["a"].inputs == {"fixed": 1}
        assert run.up().changes == {"replace": 3, "same": 1}


def test_a_creation_that_fails_after_the_deletion_leaves_a_record_that_is_made_good(tmp_path, provider):
    text = "delete_before_replace=True"
    with Harness(tmp_path, chain(1, text), providers=[provider]) as run:
        run.up()
        provider.fail("Create", "a", "no more room")
        run.write(chain(2, text))
        run.up(ok=False)
        assert run.resources()["a"].pending_replacement
        provider.calls.clear()
        outcome = run.up()
        assert provider.changes() == [("Create", "a"), ("Create", "b"), ("Create", "c")]
        assert not any(state.pending_replacement for state in run.resources().values())
        assert outcome.changes["replace"] == 3


def test_a_resource_deleted_for_replacement_and_then_dropped_only_loses_its_record(tmp_path, provider):
    text = "delete_before_replace=True"
    with Harness(tmp_path, chain(1, text), providers=[provider]) as run:
        run.up()
        provider.fail("Create", "a", "no more room")
        run.write(chain(2, text))
        run.up(ok=False)
        provider.calls.clear()
        run.write("import pulumi")
        run.up()
        assert provider.changes() == []
        assert run.resources() == {}


def test_a_deletion_that_fails_after_a_replacement_is_tried_again(tmp_path, provider):
    with Harness(tmp_path, chain(1), providers=[provider]) as run:
        run.up()
        provider.fail("Delete", "c", "still in use")
        run.write(chain(2))
        run.up(ok=False)
        assert run.resources()["c(delete)"].delete
        run.up()
        assert sorted(run.resources()) == ["a", "b", "c"]
        assert len(provider.live) == 3
