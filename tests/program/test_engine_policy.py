"""Policy packs: a mandatory violation stops the resource, an advisory one is told."""

import subprocess
import sys

import pytest

from tests.program.harness import Harness, said

PACK = """
from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy, StackValidationPolicy

def size(args, report):
    if args.props.get("size", 0) > 5:
        report(f"{args.name} is larger than 5")

def guarded(args, report):
    if args.props.get("guard") and not (args.opts.protect and "size" in args.opts.ignore_changes):
        report("a guarded thing is protected and ignores its size")

def stack(args, report):
    if sum(r.resource_type == "test:index:Thing" for r in args.resources) > 2:
        report("more than two things")

PolicyPack("probe", [
    ResourceValidationPolicy("size", "size", size, EnforcementLevel.MANDATORY),
    ResourceValidationPolicy("guarded", "guarded", guarded, EnforcementLevel.ADVISORY),
    StackValidationPolicy("count", "count", stack, EnforcementLevel.MANDATORY),
])
"""


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pack")
    (folder / "__main__.py").write_text(PACK)
    (folder / "PulumiPolicy.yaml").write_text("runtime: python\n")
    process = subprocess.Popen([sys.executable, "-u", str(folder)], stdout=subprocess.PIPE)
    assert process.stdout
    yield f"127.0.0.1:{int(process.stdout.readline())}"
    process.kill()
    process.wait()


def program(body):
    return f"from tests.program.things import Thing, options\n{body}\n"


def test_a_mandatory_violation_stops_the_resource(tmp_path, pack):
    with Harness(tmp_path, program("a = Thing('a', size=6)\nThing('b', of=a.arn)"), analyzers=[pack]) as run:
        for outcome in (run.preview(), run.up(ok=False)):
            assert not outcome.ok
            assert "error: [probe: size] size\na is larger than 5" in said(outcome)
        assert run.provider.changes() == []


def test_an_advisory_violation_is_only_told_and_sees_the_options(tmp_path, pack):
    text = "warning: [probe: guarded] guarded\na guarded thing is protected and ignores its size"
    with Harness(tmp_path, program("Thing('a', guard=True)"), analyzers=[pack]) as run:
        assert text in said(run.up())
        run.write(program("Thing('a', guard=True, opts=options(protect=True, ignore_changes=['size']))"))
        assert text not in said(run.up())


def test_a_violation_of_the_whole_stack_fails_the_run(tmp_path, pack):
    with Harness(tmp_path, program("for n in 'abc': Thing(n)"), analyzers=[pack]) as run:
        outcome = run.preview()
        assert not outcome.ok
        assert "more than two things" in said(outcome)


def test_a_pack_that_does_not_answer_fails_the_run(tmp_path):
    with Harness(tmp_path, program("Thing('a')"), analyzers=["127.0.0.1:1"]) as run:
        assert "the policy pack does not answer at 127.0.0.1:1" in said(run.up(ok=False))
