"""The outcome in the form of `pulumi preview --json`."""

import json

from local.engine import Event
from tests.program.harness import Harness, steps, urn
from tests.program.recording import RecordingProvider


def program(size):
    return f"""
import pulumi
from tests.program.things import Box, Thing
print("a printed line")
a = Thing("a", size={size})
Thing("same", size=1)
Box("box", size={size})
"""


def test_a_preview_has_the_form_of_the_cli(tmp_path):
    provider = RecordingProvider("test", force_new={"test:index:Thing": ["size"]})
    config = {"probe:size": "1", "probe:secret": "x"}
    with Harness(tmp_path, program(1), providers=[provider], config=config, secret_keys=["probe:secret"]) as run:
        run.up()
        run.write(program(2))
        outcome = run.preview()
        digest = json.loads(json.dumps(outcome.to_json()))
        assert digest["config"] == {"probe:secret": "[secret]", "probe:size": "1"}
        assert digest["changeSummary"] == {"replace": 2, "same": 3}
        assert {"message": "a printed line", "severity": "info"} in digest["diagnostics"]
        # As in the CLI: the stack, and the logical steps that change something; no default provider, no halves.
        inner = "urn:pulumi:dev::probe::test:index:Box$test:index:Thing::box-inner"
        assert [(s["op"], s["urn"]) for s in digest["steps"]] == [
            ("same", urn("probe-dev", "pulumi:pulumi:Stack")),
            ("replace", inner),
            ("replace", urn("a")),
        ]
        step = digest["steps"][-1]
        assert step["diffReasons"] == ["size"]
        assert step["replaceReasons"] == ["size"]
        assert step["detailedDiff"] == {"size": {"kind": "update-replace", "inputDiff": True}}
        assert (step["oldState"]["inputs"], step["newState"]["inputs"]) == ({"size": 1}, {"size": 2})
        assert step["oldState"]["outputs"]["arn"].startswith("arn:")
        assert step["provider"].startswith("urn:pulumi:dev::probe::pulumi:providers:test::default::")


def test_a_change_of_protection_is_shown(tmp_path):
    text = "from tests.program.things import Thing, options\nThing('a', opts=options(protect={}))\n"
    with Harness(tmp_path, text.format(False)) as run:
        run.up()
        run.write(text.format(True))
        shown = run.preview().to_json()["steps"]
        assert [s["op"] for s in shown] == ["same", "same"]
        assert shown[-1]["newState"]["protect"] is True
        assert steps(run.up()) == []
        assert run.resources()["a"].protect


def test_the_preview_before_an_update_stops_it(tmp_path):
    with Harness(tmp_path, "from tests.program.things import Thing\nThing('a', size=1)\n") as run:
        run.provider.check_failures["a"] = [("", "not today")]
        outcome = run.up(skip_preview=False, ok=False)
        assert outcome.dry_run
        assert "preview failed" in outcome.errors()[-1]


def test_events_tell_progress(tmp_path):
    events: list[Event] = []
    with Harness(tmp_path, "from tests.program.things import Thing\nThing('a', size=1)\n") as run:
        run.up(on_event=events.append)
    assert [(e.kind, e.op) for e in events if e.urn == urn("a")] == [("step", "create"), ("done", "create")]
