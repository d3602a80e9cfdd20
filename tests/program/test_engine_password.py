"""The facts about Pulumi of docs on the password, row by row, on a resource like a database with a password."""

import pytest

from tests.program.harness import Harness, said, steps
from tests.program.recording import RecordingProvider

PROGRAM = """
import pulumi
from tests.program.things import Thing, options

def refuse(args):
    raise Exception("the database's credentials do not change here")

update = pulumi.ResourceHook("guard-update", refuse, opts=pulumi.ResourceHookOptions(on_dry_run=True))
delete = pulumi.ResourceHook("guard-delete", refuse, opts=pulumi.ResourceHookOptions(on_dry_run=True))
worker = Thing("worker", size=1)
database = Thing(
    "database",
    type_="test:rds:Instance",
    engine={engine!r},
    password=pulumi.Output.secret({password!r}),
    opts=options({options}),
)
"""
SENTENCE = "the database's credentials do not change here"
PROTECT = "protect=True"
IGNORE = PROTECT + ', ignore_changes=["password"]'
HOOK = PROTECT + ", hooks=pulumi.ResourceHookBinding(before_update=[update])"
LOCKED = IGNORE + ", hooks=pulumi.ResourceHookBinding(before_update=[update])"
DELETE = IGNORE + ", hooks=pulumi.ResourceHookBinding(before_update=[update], before_delete=[delete])"
FIRST = DELETE + ", delete_before_replace=True"
DATABASE = "urn:pulumi:dev::probe::test:rds:Instance::database"


def program(options, password="good", engine="15"):  # noqa: S107
    return PROGRAM.format(options=options, password=password, engine=engine)


@pytest.fixture
def stack(tmp_path):
    """A stack with a database under the given options, its recorded calls forgotten."""
    provider = RecordingProvider("test", force_new={"test:rds:Instance": ["engine"]})
    runs = []

    def make(options):
        run = Harness(tmp_path, program(options), providers=[provider])
        runs.append(run)
        run.up()
        provider.calls.clear()
        return run

    yield make
    for run in runs:
        run.__exit__()


def password_of(run):
    (database,) = [inputs for type_, inputs, _ in run.provider.live.values() if type_ == "test:rds:Instance"]
    return database["password"].value


@pytest.mark.parametrize("ignore_protect", [False, True])
def test_protect_alone_lets_the_password_be_overwritten(stack, ignore_protect):
    run = stack(PROTECT)
    run.write(program(PROTECT, password="not-used"))
    run.up(ignore_protect=ignore_protect)
    assert password_of(run) == "not-used"


def test_an_ignored_password_is_kept_and_nobody_is_told(stack):
    run = stack(LOCKED)
    run.write(program(LOCKED, password="not-used"))
    outcome = run.up(skip_preview=False)
    assert (steps(outcome), outcome.diagnostics, password_of(run)) == ([], [], "good")


@pytest.mark.parametrize(
    "options",
    [{"kind": "preview"}, {"kind": "up"}, {"kind": "up", "skip_preview": True}, {"kind": "up", "ignore_protect": True}],
)
def test_a_before_update_hook_refuses_a_changed_password_everywhere(stack, options):
    run = stack(HOOK)
    run.write(program(HOOK, password="not-used"))
    outcome = run.run(**options)
    assert not outcome.ok
    assert f'before hook "guard-update" failed: {SENTENCE}' in said(outcome)
    assert run.provider.of("Update") == []


@pytest.mark.parametrize("choice", [{"targets": ["**::worker"]}, {"excludes": ["**::database"]}])
def test_a_database_outside_the_targets_is_untouched(stack, choice):
    run = stack(HOOK)
    run.write(program(HOOK, password="not-used"))
    outcome = run.up(**choice)
    assert steps(outcome) == []
    assert password_of(run) == "good"


def test_a_forced_replacement_of_a_protected_database_is_refused_in_preview(stack):
    run = stack(LOCKED)
    run.write(program(LOCKED, engine="16"))
    outcome = run.preview()
    assert not outcome.ok
    assert f'unable to replace resource "{DATABASE}"' in said(outcome)
    run.up(ok=False)
    assert run.provider.changes() == []


def test_ignoring_protect_a_forced_replacement_goes_past_ignore_list_and_update_hook(stack):
    run = stack(LOCKED)
    run.write(program(LOCKED, engine="16", password="not-used"))
    run.up(ignore_protect=True)
    assert run.provider.changes() == [("Create", "database"), ("Delete", "database")]
    assert password_of(run) == "not-used"  # ignore_changes does nothing on a recreation


def test_with_a_delete_hook_the_second_database_is_created_before_the_refusal(stack):
    run = stack(DELETE)
    run.write(program(DELETE, engine="16"))
    outcome = run.up(ok=False, ignore_protect=True)
    assert SENTENCE in said(outcome)
    assert run.provider.changes() == [("Create", "database")]
    assert {"database", "database(delete)"} <= run.resources().keys()


def test_with_delete_before_replace_as_well_nothing_is_made(stack):
    run = stack(FIRST)
    run.write(program(FIRST, engine="16"))
    for outcome in (run.preview(ignore_protect=True), run.up(ok=False, ignore_protect=True)):
        assert SENTENCE in said(outcome)
        assert not outcome.ok
    assert run.provider.changes() == []


def test_destroy_with_a_delete_hook_needs_the_program(stack):
    run = stack(DELETE)
    outcome = run.destroy(ignore_protect=True)
    assert not outcome.ok
    assert "You must run with the `--run-program` flag to use delete hooks during destroy." in said(outcome)
    assert run.provider.changes() == []


def test_destroy_that_runs_the_program_is_refused_by_the_hook(stack):
    run = stack(DELETE)
    outcome = run.destroy(run_program=True, ignore_protect=True)
    assert not outcome.ok
    assert f'before hook "guard-delete" failed: {SENTENCE}' in said(outcome)
    assert ("Delete", "database") not in run.provider.changes()


def test_destroy_that_runs_the_program_deletes_what_no_hook_refuses(stack):
    run = stack("protect=False")
    outcome = run.destroy(run_program=True)
    assert outcome.ok, said(outcome)
    assert sorted(run.provider.changes()) == [("Delete", "database"), ("Delete", "worker")]
    assert run.store.resources() == []


def test_an_ignored_property_that_the_old_state_lacks_is_dropped(stack, tmp_path):
    run = stack(IGNORE)
    ((type_, _, outputs),) = [found for found in run.provider.live.values() if found[0] == "test:rds:Instance"]
    run.provider.live["imported"] = (type_, {"engine": "15"}, {**outputs, "engine": "15"})
    imported = IGNORE + ', import_="imported"'
    run.write(program(imported).replace('"database"', '"second"'))
    run.up(ignore_protect=True, ok=None)
    assert run.resources()["second"].inputs == {"engine": "15"}


def test_a_hook_without_on_dry_run_is_not_called_in_a_preview(stack):
    run = stack(HOOK)
    run.write(program(HOOK, password="not-used").replace("on_dry_run=True", "on_dry_run=False"))
    assert run.preview().ok
    assert SENTENCE in said(run.up(ok=False))


def test_preview_json_masks_the_password_on_both_sides(stack):
    run = stack(PROTECT)
    run.write(program(PROTECT, password="not-used"))
    (step,) = [s for s in run.preview().to_json()["steps"] if s["op"] == "update"]
    assert (step["oldState"]["inputs"]["password"], step["newState"]["inputs"]["password"]) == ("[secret]", "[secret]")
    assert step["detailedDiff"] == {"password": {"kind": "update", "inputDiff": True}}
    assert "not-used" not in str(step)
    assert "good" not in run.store.path.read_text()


def test_a_password_that_the_provider_reads_back_in_plain_is_not_shown(stack):
    run = stack(PROTECT)
    ((type_, _, outputs),) = [found for found in run.provider.live.values() if found[0] == "test:rds:Instance"]
    run.provider.live["there"] = (
        type_,
        {"engine": "15", "password": "plain-one"},
        {**outputs, "password": "plain-one"},
    )
    run.write(program(PROTECT + ', import_="there"').replace('"database"', '"second"'))
    outcome = run.preview()
    assert ("import", "second") in steps(outcome)
    assert ("update", "second") in steps(outcome)
    assert "plain-one" not in str(outcome.to_json())
