import pytest
from typer.main import get_command
from typer.testing import CliRunner

from ops.cli import app
from ops.display import console_for
from ops.errors import UserError
from ops.targets import expand

runner = CliRunner()


def commands() -> list[list[str]]:
    found: list[list[str]] = []

    def walk(command: object, path: list[str]) -> None:
        children = getattr(command, "commands", None)
        if children is None:
            found.append(path)
        for name, child in (children or {}).items():
            walk(child, [*path, name])

    walk(get_command(app), [])
    return found


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(path: list[str]) -> None:
    shown = runner.invoke(app, [*path, "--help"])
    assert shown.exit_code == 0
    assert f"Example: ./bmx {' '.join(path)}" in " ".join(shown.output.split())


def test_target_and_exclude_together_are_refused() -> None:
    refused = runner.invoke(app, ["preview", "--target", "a", "--exclude", "b"])
    assert isinstance(refused.exception, UserError)


def test_a_flow_stands_for_its_component_and_its_children() -> None:
    assert expand(["flow:image_processing"], ["image_processing"]) == (
        "urn:pulumi:*::*::**WorkerFlow::image_processing",
        "urn:pulumi:*::*::**WorkerFlow$**::image_processing-*",
    )


def test_urns_and_wildcards_pass_as_they_are() -> None:
    assert expand(["**", "urn:pulumi:a::b::c::d"], []) == ("**", "urn:pulumi:a::b::c::d")


def test_an_unknown_flow_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="no flow 'images'") as refused:
        expand(["flow:images"], ["image_processing"])
    assert "image_processing" in refused.value.fix


def test_an_arn_is_printed_as_it_is_and_its_colons_make_no_pictures(capsys):
    console_for().print("arn:aws:secretsmanager:us-west-2:1:secret:name", markup=False)
    assert "1:secret:name" in capsys.readouterr().out
