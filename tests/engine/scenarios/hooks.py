"""``before`` hooks: a raising one refuses the step, in a preview too where it says ``on_dry_run``, for any options."""

import pulumi

from tests.engine.scenario import Step, Thing

ON = {"size": "1", "identity": "one"}
NO_UPDATE, NO_DELETE = "the size is not for changing", "this is not for deleting"
NOT_REGISTERED = 'hook "no-delete" was not registered'
STEPS = [
    Step("make", config=ON),
    Step("a change that no hook minds", config=ON | {"colour": "red"}),
    Step("preview of a refused update", "preview", ON | {"size": "2"}, says=NO_UPDATE),
    Step("a refused update", config=ON | {"size": "2"}, says=NO_UPDATE),
    Step("the same, ignoring protect", config=ON | {"size": "2"}, ignore_protect=True, says=NO_UPDATE),
    Step("preview of a refused deletion", "preview", says=NO_DELETE),
    Step("a refused deletion", says=NO_DELETE),
    Step("preview of the program without the hook", "preview", {"unhooked": "yes"}, says=NOT_REGISTERED),
    Step("the program without the hook", config={"unhooked": "yes"}, says=NOT_REGISTERED),
    Step("preview of a replacement", "preview", ON | {"identity": "two"}, says=NO_DELETE),
    Step("a replacement makes the new one and then may not delete", config=ON | {"identity": "two"}, says=NO_DELETE),
    Step("preview of what was left in between", "preview", ON | {"identity": "two"}, says=NO_DELETE),
    Step("destroy without the program", "destroy", says="run with the `--run-program` flag to use delete hooks"),
    Step("destroy with it", "destroy", config=ON, run_program=True, says=NO_DELETE),
    Step("a refresh minds no hook", "refresh"),
]


def _same_size(args: pulumi.ResourceHookArgs) -> None:
    if (args.old_inputs or {}).get("size") != (args.new_inputs or {}).get("size"):
        raise ValueError(NO_UPDATE)


def _no_delete(_: pulumi.ResourceHookArgs) -> None:
    raise ValueError(NO_DELETE)


def program() -> None:
    """One resource that refuses another size and its deletion."""
    config = pulumi.Config()
    if config.get("unhooked"):
        return
    always = pulumi.ResourceHookOptions(on_dry_run=True)
    binding = pulumi.ResourceHookBinding(
        before_update=[pulumi.ResourceHook("same-size", _same_size, always)],
        before_delete=[pulumi.ResourceHook("no-delete", _no_delete, always)],
    )
    if config.get("size"):
        inputs = {"size": config.get_int("size"), "identity": config.get("identity"), "colour": config.get("colour")}
        Thing("a", pulumi.ResourceOptions(hooks=binding), **inputs)
