"""A `pulumi` on the PATH that the tests made, and keys for AWS that open nothing."""

import json

import pytest


class FakePulumi:
    """Writes its arguments down; for a command answers with what a test put there, on standard output, and its code."""

    def __init__(self, folder):
        self.folder = folder

    def answers(self, command, output="", code=0):
        text = output if isinstance(output, str) else json.dumps(output)
        (self.folder / f"{command}.out").write_text(text)
        (self.folder / f"{command}.code").write_text(str(code))

    @property
    def calls(self):
        written = self.folder / "calls"
        return [line.split("\t") for line in written.read_text().splitlines()] if written.exists() else []


@pytest.fixture
def aws_keys(monkeypatch):
    """Keys that open nothing: boto3 signs with them what a stub or moto answers."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")


@pytest.fixture
def pulumi(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "pulumi"
    script.write_text(
        '#!/bin/sh\nhere=$(dirname "$0")\n'
        '(IFS="\t"; printf "%s\\n" "$*") >> "$here/calls"\n'
        'name=$1; for each in "$@"; do [ "$each" = --json ] && [ "$1" = preview ] && name=preview-json; done\n'
        '[ -f "$here/$name.out" ] || exit 99\n'
        'cat "$here/$name.out"; exit "$(cat "$here/$name.code")"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    # This repository's stacks were never initialised: their files lack what `pulumi stack init` writes.
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    return FakePulumi(folder)
