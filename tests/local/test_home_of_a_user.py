"""An ordinary user clears what the embedded cloud made read-only; root could delete it either way."""

import multiprocessing
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from local.home import Home

NOBODY = 65_534


@pytest.fixture
def folder():
    # Not below pytest's own folder, which is closed to other users.
    path = Path(tempfile.mkdtemp())
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


def clear(path: Path) -> None:
    if os.geteuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    code = path / "home" / "code" / "handlers"
    code.mkdir(parents=True)
    (code / "__init__.py").write_text("")
    for each in (code / "__init__.py", code, code.parent):
        each.chmod(0o555)
    home = Home(path / "home")
    home.clear()
    os._exit(0 if not (path / "home" / "code").exists() else 1)


def test_read_only_code_is_cleared(folder):
    process = multiprocessing.get_context("fork").Process(target=clear, args=(folder,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
