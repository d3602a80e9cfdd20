from pathlib import Path

import pytest

from ops import stack_yaml
from ops.config import stack_config
from ops.errors import UserError
from ops.paths import ROOT

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
        "shop:network": '{"vpcId":"vpc-1"}',
    }


def test_values_reach_the_program_as_the_cli_writes_them(tmp_path: Path) -> None:
    folder = project(tmp_path, "config: {colour: true, size: 3, list: [1, a]}")
    values = stack_config(folder, "dev", {})
    assert (values["shop:colour"], values["shop:size"], values["shop:list"]) == ("true", "3", '[1,"a"]')


@pytest.mark.parametrize(
    ("stack", "overrides", "sentence"),
    [
        ("config: {colour: {secure: AAAA}, size: {secure: BBBB}}", [], "shop:colour, shop:size is encrypted"),
        ("config: {colour: {secure: AAAA}}", [], "shop:colour|colour is encrypted"),
        ("config: [", [], "is not YAML"),
        ("config: {colour: red}", ["size"], "is not KEY=VALUE"),
        ("config: {colour: red}", ["=x"], "is not KEY=VALUE"),
        ("config: [red]", [], "Pulumi.dev.yaml: config is no mapping"),
        ("config: {colour: red, shop:colour: blue}", [], "shop:colour is given twice, with its namespace and without"),
        ("config:\n  colour: red\n  colour: blue", [], "line 3: colour is given a second time, the first is in line 2"),
        ("config: {colour: {a: 1, a: 2}}", [], "line 1: a is given a second time"),
        ("config: {colour: red}\nconfig: {}", [], "line 2: config is given a second time"),
        ("config: {colour: red, 1: x}", [], "only text can be a key, not '1'"),
        ("config: {colour: red, ? [a] : x}", [], "only text can be a key"),
        ("config: {colour: !!str 1.10}", [], "is not read here"),
        ("- red", [], "holds no mapping"),
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


# What the CLI's own steps make of a plain scalar, recorded from gopkg.in/yaml.v3 3.0.1 and encoding/json: read, written
# and read again as `LoadProjectStackBytes` (sdk/go/common/workspace/loaders.go) does, then as `config.Value` prints it.
KEPT = {
    "22:15": "22:15",
    "190:20:30": "190:20:30",
    "no": "no",
    "yes": "yes",
    "on": "on",
    "off": "off",
    "y": "y",
    "N": "N",
    "true": "true",
    "True": "true",
    "FALSE": "false",
    "": "",
    "~": "",
    "null": "",
    "NULL": "",
    "0": "0",
    "16": "16",
    "-7": "-7",
    "1.5": "1.5",
    "0.1": "0.1",
    "100.25": "100.25",
    "1e-7": "1e-7",
    "1e400": "1e400",
    "9223372036854775807": "9223372036854775807",
    "18446744073709551615": "18446744073709551615",
    "-9223372036854775808": "-9223372036854775808",
    "3.11.4": "3.11.4",
    "v1.0": "v1.0",
    "1,000": "1,000",
    "=": "=",
    "'1.10'": "1.10",
    '"0123456"': "0123456",
    '"no"': "no",
    "'2024-01-01'": "2024-01-01",
    "|\n    a\n    b": "a\nb\n",
    "[1, 1.5, no, null, true]": '[1,1.5,"no",null,true]',
    "{a: 1.5, b: no, 'true': y}": '{"a":1.5,"b":"no","true":"y"}',
}
CHANGED = {
    "1.10": "1.1",
    "0123456": "42798",
    "1e3": "1000",
    "1.0": "1",
    "1.": "1",
    "+5": "5",
    "-0": "0",
    "0x1F": "31",
    "0o17": "15",
    "0b101": "5",
    "1_000": "1000",
    "08": "8",
    "007": "7",
    "00": "0",
    ".5": "0.5",
    "0.50": "0.5",
    "-1.50": "-1.5",
    "1E5": "100000",
    "123456789012345678901234": "1.2345678901234569e+23",
    "18446744073709551616": "18446744073709552000",
    "[1.10]": "1.1",
    "{a: {b: 0x1F}}": "31",
}


@pytest.mark.parametrize(("written", "handed_on"), KEPT.items(), ids=KEPT)
def test_a_value_is_what_the_cli_makes_of_it(tmp_path: Path, written: str, handed_on: str) -> None:
    folder = project(tmp_path, f"config:\n  colour: {written}\n")
    assert stack_config(folder, "dev", {})["shop:colour"] == handed_on


@pytest.mark.parametrize(("written", "handed_on"), CHANGED.items(), ids=CHANGED)
def test_what_the_cli_would_change_without_a_word_is_refused(tmp_path: Path, written: str, handed_on: str) -> None:
    folder = project(tmp_path, f"config:\n  colour: {written}\n")
    with pytest.raises(UserError) as error:
        stack_config(folder, "dev", {})
    assert error.value.message.endswith(f"which the Pulumi CLI hands to the program as {handed_on}.")
    assert error.value.message.startswith("Pulumi.dev.yaml, line 2: config.colour") and "quotes" in error.value.fix


@pytest.mark.parametrize("written", ["2024-01-01", "2024-1-2", "2024-01-01 10:00:00", "2024-01-01T10:00:00Z"])
def test_a_date_is_refused_in_words(tmp_path: Path, written: str) -> None:
    with pytest.raises(UserError, match="takes for a time"):
        stack_config(project(tmp_path, f"config:\n  colour: {written}\n"), "dev", {})


@pytest.mark.parametrize("written", [".inf", "-.inf", ".nan"])
def test_what_json_cannot_hold_is_refused(tmp_path: Path, written: str) -> None:
    with pytest.raises(UserError, match="has no number"):
        stack_config(project(tmp_path, f"config:\n  colour: {written}\n"), "dev", {})


def test_a_byte_order_mark_an_alias_and_an_empty_file_are_read(tmp_path: Path) -> None:
    folder = project(tmp_path, "\ufeffconfig: {colour: &red {a: b}, size: *red}")
    assert stack_config(folder, "dev", {})["shop:size"] == '{"a":"b"}'
    (folder / "Pulumi.dev.yaml").write_text("")
    assert stack_config(folder, "dev", {}, ["colour=red"])["shop:colour"] == "red"


def test_a_project_without_a_name_and_a_file_that_is_no_text_are_said(tmp_path: Path) -> None:
    folder = project(tmp_path, "config: {colour: red}")
    (folder / "Pulumi.dev.yaml").write_bytes(b"\xff")
    with pytest.raises(UserError, match="is not UTF-8"):
        stack_config(folder, "dev", {})
    (folder / "Pulumi.yaml").write_text("config: {}")
    with pytest.raises(UserError, match="has no `name`"):
        stack_config(folder, "dev", {})


def test_the_committed_files_are_read() -> None:
    for stack in ("local", "staging", "prod"):
        assert stack_yaml.read(ROOT / f"Pulumi.{stack}.yaml")["config"]
