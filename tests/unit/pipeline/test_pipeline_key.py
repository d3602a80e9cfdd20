"""A stack whose file lacks what its secrets are encrypted with is refused before the CLI asks for a passphrase."""

import pytest

from ops import pulumi_cli
from ops.errors import UserError

BOTH = "secretsprovider: awskms://alias/x\nencryptedkey: abc\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)
    return tmp_path


@pytest.mark.parametrize("lacks", ["secretsprovider", "encryptedkey"])
def test_what_it_lacks_is_named(folder, lacks):
    text = "".join(line + "\n" for line in BOTH.splitlines() if not line.startswith(lacks))
    (folder / "Pulumi.staging.yaml").write_text(text)
    with pytest.raises(UserError, match=f"Pulumi.staging.yaml lacks {lacks}, so") as refused:
        pulumi_cli.refuse_without_its_key("staging", folder)
    assert "commit them" in refused.value.fix


def test_with_both_or_a_passphrase_it_goes_on(folder, monkeypatch):
    (folder / "Pulumi.staging.yaml").write_text(BOTH)
    pulumi_cli.refuse_without_its_key("staging", folder)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    pulumi_cli.refuse_without_its_key("elsewhere", folder)
