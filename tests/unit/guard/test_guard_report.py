"""What the gate reads and refuses to read, its options, and how it tells what it found."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ops.cli import app
from ops.errors import UserError
from ops.guard import judge, parse_preview, parse_state
from ops.guard.command import run
from ops.guard.preview import GuardInputError
from ops.guard.report import LONGEST_COMMENT
from tests.unit.guard.plans import INSTANCE, ROLE, preview, step

QUEUE = "aws:sqs/queue:Queue"
ORDINARY = preview(step("update", QUEUE, "one", diff=["tags"]), step("create", QUEUE, "two"))
DANGEROUS = preview(step("create", QUEUE, "aaa"), step("delete", INSTANCE, "zzz"))


@given(st.integers(min_value=0, max_value=len(ORDINARY) - 1))
def test_a_preview_that_is_cut_off_anywhere_is_refused(end):
    with pytest.raises(GuardInputError):
        parse_preview(ORDINARY[:end])


@pytest.mark.parametrize("lost", [0, 1])
def test_a_preview_from_which_a_step_was_taken_is_refused(lost):
    raw = json.loads(ORDINARY)
    del raw["steps"][lost]
    with pytest.raises(GuardInputError, match="its summary counts 1"):
        parse_preview(json.dumps(raw))


def test_a_preview_that_refreshed_first_is_whole_though_the_cli_does_not_count_the_refreshes():
    raw = json.loads(ORDINARY)
    refreshed = step("refresh", QUEUE, "looked at", old={"name": "q"}, new={"name": "q"})
    found = parse_preview(json.dumps({**raw, "steps": [refreshed, *raw["steps"]]}))
    assert [each.op for each in found.steps if not each.changes_it] == ["refresh"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"resources": []}, "the field 'resources' is not known"),
        ({"changeSummary": None}, "did not come to its end"),
        ({"changeSummary": {"update": 1, "create": 1, "melt": 1}}, "'melt' in its summary is not known"),
        ({"changeSummary": {"update": 1}}, "its steps have 'create'"),
        ({"steps": {}, "changeSummary": {}}, None),
        ({"steps": [1]}, "no operation or no URN"),
        ({"steps": [{"op": "melt", "urn": "urn:pulumi:a::b::c::d"}]}, "the operation 'melt' on 'd' is not known"),
        ({"steps": [{"op": "same", "urn": "not a urn"}]}, "a URN that is none"),
        ({"steps": [{"op": "same", "urn": "urn:pulumi:a::b::c::d", "mood": 1}]}, "unknown field 'mood'"),
        ({"steps": [{"op": "same", "urn": "urn:pulumi:a::b::c::d", "newState": 1}]}, "no readable newState"),
        ({"steps": [{"op": "same", "urn": "urn:pulumi:a::b::c::d", "diffReasons": [1]}]}, "cannot be read"),
    ],
)
def test_a_preview_in_another_form_is_refused_and_says_where(change, sentence):
    text = json.dumps({**json.loads(ORDINARY), **change})
    if sentence is None:  # an empty list by another name
        assert parse_preview(text).steps == ()
        return
    with pytest.raises(GuardInputError, match=sentence):
        parse_preview(text)


@pytest.mark.parametrize("text", ["", "null", "[]", "7", '"x"', "{", "[" * 100_000])
def test_what_is_no_object_is_refused(text):
    with pytest.raises(GuardInputError):
        parse_preview(text)


def test_a_preview_that_ended_in_an_error_is_refused_without_its_words():
    text = preview(diagnostics=[{"message": "password hunter2 refused", "severity": "error"}])
    report = judge(parse_preview(text))
    assert [finding.rule for finding in report.refused] == ["preview-failed"]
    assert "hunter2" not in report.markdown() + "\n".join(report.lines()) + json.dumps(report.to_json())


def test_a_warning_is_no_error():
    assert judge(parse_preview(preview(diagnostics=[{"message": "old", "severity": "warning"}]))).passed


def test_a_preview_of_another_state_is_refused():
    state = parse_state('{"version": 3, "deployment": {"resources": [{"urn": "urn:pulumi:a::b::c::d"}]}}')
    with pytest.raises(GuardInputError, match="the given state does not have"):
        judge(parse_preview(ORDINARY), state)


@pytest.mark.parametrize(
    "text", ["{}", '{"version": 1, "deployment": {}}', '{"version": 3, "deployment": {"resources": [{}]}}']
)
def test_a_state_that_is_none_is_refused(text):
    with pytest.raises(GuardInputError):
        parse_state(text)


def test_a_reason_lets_an_allowable_rule_pass_and_is_told():
    text = preview(step("delete", "aws:s3/bucket:Bucket", above="", protect=(True, False)))
    report = judge(parse_preview(text), allow={"protected-loss": "the old bucket is empty"})
    assert report.passed
    assert "the old bucket is empty" in report.markdown()
    assert report.to_json()["allowed"][0]["because"] == "the old bucket is empty"


@pytest.mark.parametrize(
    ("allow", "sentence"),
    [
        ({"credential-change": "x"}, "cannot be allowed"),
        ({"database-loss": "x"}, "cannot be allowed"),
        ({"preview-failed": "x"}, "cannot be allowed"),
        ({"iam-widened": "  "}, "gives no reason"),
        ({"nothing-such": "x"}, "There is no rule"),
    ],
)
def test_what_cannot_be_allowed_is_refused(allow, sentence):
    with pytest.raises(UserError, match=sentence):
        judge(parse_preview(ORDINARY), allow=allow)


def test_what_is_refused_stands_on_top():
    report = judge(parse_preview(DANGEROUS))
    assert report.steps[0].name == "zzz"
    text = report.markdown()
    assert text.index("plan gate") < text.index("database-loss") < text.index("aaa")


def test_a_comment_stays_below_its_limit_and_keeps_what_is_refused():
    steps = [step("create", QUEUE, f"queue-{number:05}") for number in range(3_000)]
    text = judge(parse_preview(preview(*steps, step("delete", INSTANCE, "db")))).markdown()
    assert len(text) < LONGEST_COMMENT
    assert "database-loss" in text
    assert "more lines" in text


@given(st.text(max_size=60).filter(str.strip))
def test_no_name_becomes_markup(name):
    text = judge(parse_preview(preview(step("delete", INSTANCE, name)))).markdown()
    (row,) = [line for line in text.splitlines() if line.startswith("| delete")]
    assert row.replace("\\|", "").count("|") == 5
    assert "<" not in text.replace("\\<", "").replace(f"`{name}`", "") or "`" in row


def test_the_command_exits_1_on_a_refusal_and_0_otherwise(tmp_path, capsys):
    good, bad, comment = tmp_path / "good.json", tmp_path / "bad.json", tmp_path / "comment.md"
    good.write_text(ORDINARY)
    bad.write_text(DANGEROUS)
    assert run(str(good), None, [], None, as_json=False) == 0
    assert run(str(bad), None, [], comment, as_json=True) == 1
    assert "database-loss" in comment.read_text()
    told = capsys.readouterr().out
    assert json.loads(told[told.index("{") :])["verdict"] == "refused"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "p.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"p\.json"):
        run(str(path), None, [], None, as_json=False)


WIDENED = step("create", ROLE, new={"assumeRolePolicy": "[secret]"})


@pytest.mark.parametrize(
    ("environment", "options", "code"),
    [
        ("", [], 1),
        ("public-exposure=a bucket of pictures", [], 1),
        ("\n  iam-widened=the flow thumbnails = new\n\n", [], 0),
        ("public-exposure=pictures\niam-widened=the flow thumbnails = new", [], 0),
        ("iam-widened=another", ["--allow", "iam-widened=the flow thumbnails = new"], 0),
    ],
)
def test_reasons_in_the_environment_count_line_by_line_and_the_options_before_them(
    environment, options, code, tmp_path, monkeypatch
):
    (tmp_path / "p.json").write_text(preview(WIDENED))
    monkeypatch.setenv("BMX_GUARD_ALLOW", environment)
    done = CliRunner().invoke(app, ["guard", str(tmp_path / "p.json"), "--json", *options])
    assert done.exit_code == code
    because = [each["because"] for each in json.loads(done.stdout)["allowed"]]
    assert because == ([] if code else ["the flow thumbnails = new"])


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ("iam-widened", "BMX_GUARD_ALLOW 'iam-widened' gives no reason"),
        ("iam-widened=", "gives no reason"),
        ("credential-change=please", "cannot be allowed"),
        ("no-such=rule", "There is no rule 'no-such'"),
    ],
)
def test_a_reason_in_the_environment_is_held_to_the_same_form(environment, sentence, tmp_path, monkeypatch):
    (tmp_path / "p.json").write_text(preview(WIDENED))
    monkeypatch.setenv("BMX_GUARD_ALLOW", environment)
    error = CliRunner().invoke(app, ["guard", str(tmp_path / "p.json")]).exception
    assert isinstance(error, UserError)
    assert sentence in error.message
