"""The set-up that `./bmx` does in shell, with a stand-in for uv that says what it was given."""

import os
import shutil
import subprocess

import pytest

from ops.paths import ROOT


@pytest.fixture
def clone(tmp_path):
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "local.txt").write_text("")
    shutil.copy(ROOT / "bmx", tmp_path)
    uv = tmp_path / ".venv" / "bin" / "uv"
    uv.write_text('#!/bin/sh\necho "certs=$UV_SYSTEM_CERTS" >&2\nexit 1\n')
    uv.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(("given", "used"), [({}, "true"), ({"UV_SYSTEM_CERTS": "false"}, "false")])
def test_uv_takes_the_systems_authorities_and_a_failure_says_what_to_do_behind_a_proxy(clone, given, used):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "BMX_"))} | given
    done = subprocess.run([clone / "bmx", "run"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"certs={used}" in done.stderr
    assert "could not install requirements/local.txt" in done.stderr
    assert "SSL_CERT_FILE" in done.stderr
    assert not (clone / ".venv" / ".installed-local").exists()
