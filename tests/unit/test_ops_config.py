from pathlib import Path

import pytest

from ops.config import stack_config
from ops.errors import UserError

PROJECT = """
name: shop
config:
  shop:size: {type: string, default: small}
  shop:colour: {type: string}
"""


def project(folder: Path, stack: str) -> Path:
    (folder / "Pulumi.yaml").write_text(PROJECT)
    (folder / "Pulumi.dev.yaml").write_text(stack)
    return folder


def test_later_sources_win_and_every_key_is_in_full(tmp_path: Path) -> None:
    folder = project(tmp_path, "config: {colour: red, aws:region: us-west-2}")
    values = stack_config(folder, "dev", {"network": {"vpcId": "vpc-1"}}, ["size=large"])
    assert values == {
        "shop:size": "large",
        "shop:colour": "red",
        "aws:region": "us-west-2",
        "shop:network": '{"vpcId": "vpc-1"}',
    }


def test_values_reach_the_program_as_the_cli_writes_them(tmp_path: Path) -> None:
    folder = project(tmp_path, "config: {colour: true, size: 3, list: [1, a]}")
    values = stack_config(folder, "dev", {})
    assert (values["shop:colour"], values["shop:size"], values["shop:list"]) == ("true", "3", '[1, "a"]')


@pytest.mark.parametrize(
    ("stack", "overrides", "sentence"),
    [
        ("config: {colour: {secure: AAAA}, size: {secure: BBBB}}", [], "colour, size is encrypted"),
        ("config: {colour: {secure: AAAA}}", [], "shop:colour|colour is encrypted"),
        ("config: [", [], "is not YAML"),
        ("config: {colour: red}", ["size"], "is not KEY=VALUE"),
        ("config: {colour: red}", ["=x"], "is not KEY=VALUE"),
    ],
)
def test_unusable_configuration_is_refused_in_words(
    tmp_path: Path, stack: str, overrides: list[str], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        stack_config(project(tmp_path, stack), "dev", {}, overrides)


def test_what_is_no_key_and_value_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--config number 2 is not KEY=VALUE") as refused:
        stack_config(project(tmp_path, "config: {}"), "dev", {}, ["size=1", "hunter2"])
    assert "hunter2" not in str(refused.value)


def test_a_key_without_a_value_is_left_to_the_program_whatever_its_description_says(tmp_path: Path) -> None:
    folder = project(tmp_path, "config: {}")
    (folder / "Pulumi.yaml").write_text("name: shop\nconfig: {shop:colour: {type: string, description: Optional. No.}}")
    assert stack_config(folder, "dev", {}) == {}


def test_a_stack_without_a_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no stack 'live'"):
        stack_config(project(tmp_path, "config: {colour: red}"), "live", {})
