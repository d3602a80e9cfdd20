"""Create, update, delete, outputs and previews, as the engine carries them out."""

from tests.program.harness import Harness, said, steps, urn


def one():
    import pulumi

    from tests.program.things import Thing

    a = Thing("a", size=1)
    b = Thing("b", of=a.arn)
    pulumi.export("arn", b.arn)
    pulumi.export("hidden", pulumi.Output.secret("s3cr3t"))


def test_an_update_creates_in_dependency_order_and_exports_outputs(tmp_path):
    with Harness(tmp_path, one) as run:
        outcome = run.up()
        assert run.provider.changes() == [("Create", "a"), ("Create", "b")]
        assert outcome.changes == {"create": 3}
        assert outcome.outputs == {"arn": "arn:aws:index:us-west-2:123456789012:b-0000001", "hidden": "[secret]"}
        assert run.resources()["b"].inputs == {"of": "arn:aws:index:us-west-2:123456789012:a-0000001"}
        assert run.resources()["b"].dependencies == [urn("a")]
        assert run.resources()["b"].property_dependencies["of"] == [urn("a")]
        assert run.store.outputs(show_secrets=True)["hidden"] == "s3cr3t"


def test_a_preview_changes_nothing_and_knows_what_is_unknown(tmp_path):
    with Harness(tmp_path, one) as run:
        outcome = run.preview()
        assert outcome.ok, said(outcome)
        assert steps(outcome) == [("create", "a"), ("create", "b")]
        assert run.provider.changes() == []
        assert not run.store.path.exists()
        (create,) = [s for s in outcome.steps if s.name == "b"]
        assert (create.new or {})["inputs"] == {"of": "04da6b54-80e4-46f7-96ec-b56ff0331ba9"}


def test_a_second_update_changes_nothing(tmp_path):
    with Harness(tmp_path, one) as run:
        run.up()
        before = run.store.path.read_text()
        outcome = run.up()
        assert steps(outcome) == []
        assert outcome.changes == {"same": 3}
        assert len(run.provider.changes()) == 2
        assert len(before) == len(run.store.path.read_text())
