"""Finding a deployed stack: by the embedded cloud's folder, or through the Pulumi CLI."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ops import stacks
from ops.errors import UserError

ARN = "arn:aws:secretsmanager:us-west-2:111122223333:secret:p/api-keys-AbCdEf"
OUTPUTS = {"api_keys_secret_arn": ARN, "flows": []}


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `pulumi` on the PATH that writes its arguments down, prints `answer` and ends with the number in `code`."""
    script = tmp_path / "pulumi"
    script.write_text(
        '#!/bin/sh\nhere=$(dirname "$0")\nprintf "%s\\n" "$@" > "$here/arguments"\n'
        'cat "$here/answer"\n[ -f "$here/complaint" ] && cat "$here/complaint" >&2 && exit 255\nexit 0\n'
    )
    script.chmod(0o755)
    (tmp_path / "answer").write_text(json.dumps(OUTPUTS))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def test_a_stack_on_aws_is_asked_for_by_the_cli_and_reached_in_its_own_region(
    cli: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    found = stacks.stack("staging")
    assert (found.outputs, found.is_local) == (OUTPUTS, False)
    assert (cli / "arguments").read_text().split() == [
        "stack", "output", "--json", "--non-interactive", "--stack=staging",
    ]  # fmt: skip
    assert found.client("sqs").meta.region_name == "us-west-2"
    assert found.client("sqs") is found.client("sqs")


def test_without_the_cli_a_stack_on_aws_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="the Pulumi CLI is not on the PATH"):
        stacks.stack("staging")


def test_the_clis_own_words_are_passed_on(cli: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (cli / "complaint").write_text("error: no stack named 'stagin' found\n")
    with pytest.raises(UserError, match="outputs of the stack stagin cannot be read"):
        stacks.stack("stagin")
    assert "no stack named 'stagin' found" in capfd.readouterr().err


@pytest.mark.parametrize("answer", ["", "[]", "nonsense"])
def test_what_is_no_object_of_outputs_is_refused(cli: Path, answer: str) -> None:
    (cli / "answer").write_text(answer)
    with pytest.raises(UserError, match="printed no"):
        stacks.stack("staging")


def test_no_embedded_cloud_is_said_with_the_command_that_starts_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No embedded cloud is up") as refused:
        stacks.stack("local", home=tmp_path)
    assert "./bmx up" in refused.value.fix


def handle(account: str) -> stacks.StackHandle:
    identity = {"Account": account, "Arn": f"arn:aws:iam::{account}:user/alice"}
    client: Any = SimpleNamespace(get_caller_identity=lambda: identity)
    return stacks.StackHandle("staging", OUTPUTS, lambda service: client)


def test_the_callers_arn_is_told() -> None:
    assert handle("111122223333").caller() == "arn:aws:iam::111122223333:user/alice"


def test_credentials_of_another_account_than_the_stacks_are_refused_with_both() -> None:
    with pytest.raises(UserError, match=r"111122223333 and these credentials are of 444455556666"):
        handle("444455556666").caller()


def test_an_output_that_is_not_exported_is_named() -> None:
    with pytest.raises(UserError, match="staging has no output 'operations_log_group'"):
        handle("111122223333").output("operations_log_group")
