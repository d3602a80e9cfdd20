"""Options: import, aliases, protect, retain, ignore_changes, transforms, hooks, providers, reads, functions."""

import pytest

from tests.program.harness import Harness, said, steps, urn
from tests.program.recording import RecordingProvider

HEAD = "import pulumi\nfrom tests.program.things import Box, Provider, Thing, options\n"


@pytest.fixture
def run(tmp_path):
    with Harness(tmp_path) as run:
        yield run


def live(run, id_, **inputs):
    run.provider.live[id_] = ("test:index:Thing", inputs, {**inputs, "arn": f"arn:{id_}"})


def test_an_import_takes_over_what_exists(run):
    live(run, "old-1", size=1)
    run.write(HEAD + "a = Thing('a', size=1, opts=options(import_='old-1'))\npulumi.export('arn', a.arn)\n")
    assert steps(run.preview()) == [("import", "a")]
    outcome = run.up()
    assert outcome.changes == {"create": 1, "import": 1}
    assert outcome.outputs == {"arn": "arn:old-1"}
    assert run.provider.changes() == []
    assert run.up().changes == {"same": 2}
    run.write(HEAD + "Thing('a', size=1)\n")
    assert run.up().changes == {"same": 2}


def test_an_import_with_other_inputs_is_followed_by_an_update(run):
    live(run, "old-1", size=1)
    run.write(HEAD + "Thing('a', size=2, opts=options(import_='old-1'))\n")
    assert steps(run.up()) == [("import", "a"), ("update", "a")]
    assert run.provider.live["old-1"][1] == {"size": 2}


def test_an_import_of_what_does_not_exist_is_refused(run):
    run.write(HEAD + "Thing('a', opts=options(import_='nobody'))\n")
    assert "resource 'nobody' does not exist" in said(run.up(ok=False))
    assert run.resources() == {}


def test_an_alias_keeps_a_renamed_resource_and_its_children(run):
    run.write(HEAD + "box = Box('box', size=1)\nThing('user', of=box.inner.arn)\n")
    run.up()
    run.write(
        HEAD
        + "crate = Box('crate', opts=options(aliases=[pulumi.Alias(name='box')]), size=1)\n"
        + "Thing('user', of=crate.inner.arn)\n"
    )
    outcome = run.up()
    assert steps(outcome) == []
    assert sorted(run.resources()) == ["crate", "crate-inner", "user"]
    assert run.resources()["user"].dependencies == [
        "urn:pulumi:dev::probe::test:index:Box$test:index:Thing::crate-inner"
    ]
    assert run.up().changes["same"] == 4


def test_an_alias_moves_a_resource_into_a_component(run):
    run.write(HEAD + "Thing('a', size=1)\n")
    run.up()
    run.write(
        HEAD + "box = pulumi.ComponentResource('test:index:Box', 'box')\n"
        "Thing('a', size=1, opts=options(parent=box, aliases=[pulumi.Alias(parent=pulumi.ROOT_STACK_RESOURCE)]))\n"
    )
    assert steps(run.up()) == [("create", "box")]
    assert run.provider.changes() == [("Create", "a")]


def test_a_protected_resource_is_not_deleted_while_the_others_are(run):
    run.write(HEAD + "a = Thing('a')\nb = Thing('b', of=a.arn, opts=options(protect=True))\nThing('c')\n")
    run.up()
    outcome = run.destroy()
    assert not outcome.ok
    assert f'resource "{urn("b")}" cannot be deleted\nbecause it is protected.' in said(outcome)
    # What the protected one needs stays as well.
    assert sorted(run.resources()) == ["a", "b"]
    assert run.destroy(ignore_protect=True).ok
    assert run.provider.live == {}


def test_protect_is_inherited_from_the_component(run):
    run.write(HEAD + "Box('box', opts=options(protect=True))\n")
    run.up()
    assert run.resources()["box-inner"].protect


def test_a_retained_resource_is_forgotten_but_not_deleted(run):
    run.write(HEAD + "Thing('a', opts=options(retain_on_delete=True))\n")
    run.up()
    assert run.destroy().ok
    assert run.provider.of("Delete") == []
    assert run.resources() == {}


def test_ignore_changes_reaches_into_nested_properties(run):
    program = HEAD + "Thing('a', tags={{'x': {0}, 'y': {0}}}, opts=options(ignore_changes=['tags.x']))\n"
    run.write(program.format(1))
    run.up()
    run.write(program.format(2))
    run.up()
    assert run.resources()["a"].inputs == {"tags": {"x": 1, "y": 2}}


def test_a_stack_transform_sees_every_resource_and_a_resource_transform_its_own(run):
    run.write(
        HEAD
        + """
def tag(args):
    if args.type_ == "test:index:Thing":
        return pulumi.ResourceTransformResult({**args.props, "tag": "all"}, args.opts)

def grow(args):
    opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(protect=True))
    return pulumi.ResourceTransformResult({**args.props, "size": 9}, opts)

pulumi.runtime.register_resource_transform(tag)
a = Thing("a", size=1)
Thing("b", size=1, of=a.arn, opts=options(transforms=[grow]))
"""
    )
    run.up()
    found = run.resources()
    assert found["a"].inputs == {"size": 1, "tag": "all"}
    assert {key: found["b"].inputs[key] for key in ("size", "tag")} == {"size": 9, "tag": "all"}
    assert (found["a"].protect, found["b"].protect) == (False, True)
    # The Python SDK writes a transform's result without output values, so that the engine (Pulumi's too) still learns
    # of the dependency, but no longer of the property it came by.
    assert found["b"].dependencies == [urn("a")]
    assert found["b"].property_dependencies["of"] == []
    assert steps(run.up()) == []


HOOKS = (
    HEAD
    + """
def note(kind):
    def hook(args):
        old, new, out = (bool(props) for props in (args.old_inputs, args.new_inputs, args.new_outputs))
        print(f"HOOK {{kind}} {{args.name}} old={{old}} new={{new}} out={{out}}")
    return hook

def bound():
    kinds = ("before_create", "after_create", "before_update", "after_update", "before_delete", "after_delete")
    return pulumi.ResourceHookBinding(**{{kind: [pulumi.ResourceHook(kind, note(kind))] for kind in kinds}})

hooks = bound()
{body}
"""
)


def hooked(outcome):
    return [line.removeprefix("HOOK ") for _, _, line in outcome.diagnostics if line.startswith("HOOK ")]


def test_hooks_run_around_create_update_and_delete(run):
    run.write(HOOKS.format(body="Thing('a', size=1, opts=options(hooks=hooks))"))
    assert hooked(run.preview()) == []
    assert hooked(run.up()) == [
        "before_create a old=False new=True out=False",
        "after_create a old=False new=True out=True",
    ]
    run.write(HOOKS.format(body="Thing('a', size=2, opts=options(hooks=hooks))"))
    assert hooked(run.up()) == [
        "before_update a old=True new=True out=False",
        "after_update a old=True new=True out=True",
    ]
    run.write(HOOKS.format(body=""))
    assert hooked(run.up()) == [
        "before_delete a old=True new=False out=False",
        "after_delete a old=True new=False out=False",
    ]


def test_a_deletion_whose_hook_the_program_no_longer_registers_is_refused(run):
    run.write(HOOKS.format(body="Thing('a', size=1, opts=options(hooks=hooks))"))
    run.up()
    run.write("import pulumi\n")
    assert 'hook "before_delete" was not registered' in said(run.up(ok=False))
    assert run.provider.of("Delete") == []


def test_a_failing_after_hook_keeps_the_resource_and_fails_the_update(run):
    run.write(
        HEAD
        + "def bad(args): raise Exception('not what I wanted')\n"
        + "hook = pulumi.ResourceHook('check', bad)\n"
        + "Thing('a', opts=options(hooks=pulumi.ResourceHookBinding(after_create=[hook])))\n"
    )
    outcome = run.up(ok=False)
    assert 'after hook "check" failed: not what I wanted' in said(outcome)
    assert "a" in run.resources()


def test_secret_inputs_reach_a_hook_as_outputs(run):
    run.write(
        HEAD
        + "def look(args): print('HOOK', isinstance(args.new_inputs['token'], pulumi.Output))\n"
        + "hook = pulumi.ResourceHook('look', look)\n"
        + "bind = pulumi.ResourceHookBinding(before_create=[hook])\n"
        + "Thing('a', token=pulumi.Output.secret('x'), opts=options(hooks=bind))\n"
    )
    assert hooked(run.up()) == ["True"]


def test_the_default_provider_is_configured_from_the_stack(tmp_path):
    config = {"test:region": "us-west-2", "probe:other": "x", "test:key": "s3cr3t"}
    with Harness(tmp_path, HEAD + "Thing('a')\n", config=config, secret_keys=["test:key"]) as run:
        run.up()
        (given,) = run.provider.configured
        assert given["region"] == "us-west-2"
        assert given["key"].value == "s3cr3t"
        (provider,) = [state for state in run.store.resources() if state.is_provider]
        assert provider.urn == "urn:pulumi:dev::probe::pulumi:providers:test::default"
        assert run.resources()["a"].provider == f"{provider.urn}::{provider.id}"
        assert steps(run.up()) == []


def test_an_explicit_provider_is_inherited_from_the_component(run):
    run.write(HEAD + "mine = Provider('mine', region='eu')\nBox('box', opts=options(providers=[mine]))\n")
    assert run.preview().ok
    run.up()
    assert run.resources()["box-inner"].provider.startswith("urn:pulumi:dev::probe::pulumi:providers:test::mine::")
    assert run.destroy().ok


def test_a_second_configuration_of_one_provider_process_is_refused(run):
    run.write(HEAD + "mine = Provider('mine', region='eu')\nThing('a', opts=options(provider=mine))\nThing('b')\n")
    assert "a second provider of package 'test' with another configuration" in said(run.up(ok=False))


def test_a_package_without_provider_is_named(tmp_path):
    with Harness(tmp_path, HEAD + "Thing('a')\n", providers=[RecordingProvider("aws")]) as run:
        assert "no provider of package 'test' was given to the embedded engine (given: aws)" in said(run.up(ok=False))


def test_a_resource_managed_elsewhere_is_read_and_never_deleted(run):
    live(run, "theirs", size=3)
    run.write(HEAD + "a = Thing('a', opts=options(id='theirs'))\nThing('b', of=a.arn)\n")
    assert ("read", "a") in steps(run.up())
    assert run.resources()["b"].inputs == {"of": "arn:theirs"}
    assert run.destroy().ok
    assert "theirs" in run.provider.live


def test_a_function_of_the_provider_is_called(tmp_path):
    program = """
    import pulumi
    answer = pulumi.runtime.invoke("aws:index/getCallerIdentity:getCallerIdentity", {})
    pulumi.export("account", answer.value["accountId"])
    """
    with Harness(tmp_path, program) as run:
        assert run.preview().outputs == {"account": "123456789012"}


def test_wrong_inputs_are_refused_with_the_property_named(run):
    run.provider.check_failures["a"] = [("size", "expected at most 10")]
    run.write(HEAD + "Thing('a', size=11)\n")
    outcome = run.up(ok=False)
    assert "test:index:Thing resource 'a': property size value {11} has a problem: expected at most 10" in said(outcome)
    assert run.provider.changes() == []


def test_two_resources_of_one_name_are_refused(run):
    run.write(HEAD + "Thing('a')\nThing('a')\n")
    assert f"Duplicate resource URN '{urn('a')}'; try giving it a unique name" in said(run.up(ok=False))


def test_unchanged_assets_are_no_difference_and_changed_ones_are(run):
    run.write(
        HEAD
        + """
code = pulumi.AssetArchive({"text": pulumi.StringAsset("hello"), "folder": pulumi.FileArchive("./code")})
Thing("a", code=code, file=pulumi.FileAsset("code/f.py"))
"""
    )
    (run.folder / "code").mkdir()
    (run.folder / "code" / "f.py").write_text("1")
    run.up()
    assert run.provider.of("Create")[-1].inputs["file"].path == str(run.folder / "code" / "f.py")
    assert steps(run.up()) == []
    (run.folder / "code" / "f.py").write_text("2")
    (step,) = [s for s in run.preview().steps if s.op == "update"]
    assert step.changed_keys == ("code", "file")


def test_custom_timeouts_are_recorded_in_seconds(run):
    run.write(HEAD + "Thing('a', opts=options(custom_timeouts=pulumi.CustomTimeouts(create='1m30s')))\n")
    run.up()
    assert run.resources()["a"].timeouts == {"create": 90}


@pytest.mark.parametrize(
    ("program", "named"),
    [
        ("pulumi.StackReference('other')", "pulumi:pulumi:StackReference"),
        ("Thing('a', opts=options(replacement_trigger='x'))", "replacement_trigger (test:index:Thing 'a')"),
        ("b = Thing('b')\nThing('a', opts=options(deleted_with=b))", "deleted_with (test:index:Thing 'a')"),
        (
            "pulumi.ComponentResource('test:index:Far', 'far', {}, None, True)",
            "a remote component (test:index:Far 'far')",
        ),
        (
            "b = Thing('b')\npulumi.runtime.call('test:index:Box/f', {'x': 1}, b).apply(print)",
            "a method call on a component",
        ),
        ("pulumi.ErrorHook('again', lambda args: True)", "an error hook (again)"),
    ],
)
def test_what_the_engine_does_not_do_is_refused_by_name(run, program, named):
    run.write(HEAD + program + "\n")
    text = said(run.up(ok=False))
    assert named in text
    assert "is not supported by the embedded engine; use the Pulumi CLI for it" in text
