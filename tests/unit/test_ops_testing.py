"""`./bmx` and `./bmx test`: where the tools are installed, and when the linters run."""

import os
import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from ops import testing
from ops.cli import app
from ops.paths import ROOT


def test_bmx_venv_keeps_the_environment_outside_the_clone(tmp_path):
    clone = tmp_path / "clone"
    clone.mkdir()
    shutil.copy(ROOT / "bmx", clone)
    for needed in ("ops", "requirements", "components", "policies"):
        (clone / needed).symlink_to(ROOT / needed)
    told = os.environ | {"BMX_VENV": sys.prefix}
    done = subprocess.run([clone / "bmx", "test", "--help"], env=told, capture_output=True, text=True, check=False)
    assert (done.returncode, "Usage: ./bmx test" in done.stdout) == (0, True), done.stderr
    assert not (clone / ".venv").exists()


@pytest.mark.parametrize(
    ("arguments", "linted"),
    [([], True), (["unit"], False), (["-k", "x"], False), (["--lint", "unit"], True)],
)
def test_the_linters_run_unless_only_some_suites_are_asked_for(monkeypatch, arguments, linted):
    ran = []

    def lint(_console, name, _command):
        ran.append(name)
        return True

    monkeypatch.setattr(testing, "_lint", lint)
    monkeypatch.setattr(testing, "_side_by_side", lambda commands: [0 for _ in commands])
    CliRunner().invoke(app, ["test", *arguments])
    assert ran == (list(testing.LINTERS) if linted else [])


@pytest.fixture
def ci(tmp_path):
    """Return a function that runs .ci/run over a ./bmx which writes down what it was called with, and may fail.

    Who runs it is told by stand-ins for `id` and what root would do.
    """
    clone, path, calls = tmp_path / "clone", tmp_path / "path", tmp_path / "calls"
    for folder in (clone / ".ci", clone / ".venv" / "bin", path):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", clone / ".ci")
    (clone / ".venv" / "bin" / "python").symlink_to(sys.executable)
    # An old, a new and a broken Python, as their answers to the question which they are.
    answers = {"python3.90": "3.90 /old", "python3.99": "3.99 /new", "python3.95": "3.95 /between", "python3.98": ""}
    for name, answer in answers.items():
        (path / name).write_text(f"#!/bin/sh\n[ -n '{answer}' ] || exit 1\necho '{answer}'\n")
    for name in ("chromium", "pgbouncer", "faketime", "useradd", "chown"):
        (path / name).write_text("#!/bin/sh\n")
    (path / "id").write_text(
        '#!/bin/sh\n[ "$1" = -un ] && echo "$IS" && exit\n[ "$IS" = root ] && echo 0 || echo 1000\n'
    )
    (path / "runuser").write_text('#!/bin/sh\nIS=$2\nshift 3\nIS=$IS exec "$@"\n')
    (clone / "bmx").write_text(f"""#!/bin/sh
mkdir -p .venv/bin && ln -sf {sys.executable} .venv/bin/python
echo "${{BMX_PYTHON-default}}|${{BMX_VENV-default}}|$IS|$HOME|$*" >>{calls}
case "$*" in *"$FAILS"*) exit 1 ;; esac
""")
    for script in (*path.iterdir(), clone / "bmx"):
        script.chmod(0o755)

    def run(fails="nothing", user="ann"):
        told = {"PATH": f"{path}:/usr/bin:/bin", "PYENV_ROOT": str(tmp_path), "HOME": str(tmp_path), "FAILS": fails}
        told |= {"IS": user, "BMX_CI_CACHE": str(tmp_path / "cache")}
        done = subprocess.run([clone / ".ci" / "run"], env=told, capture_output=True, text=True, check=False)
        ran = [line.split("|") for line in calls.read_text().splitlines()]
        return done.returncode, done.stderr, ran

    return run


def test_ci_runs_both_commands_on_the_newest_python_too_in_an_environment_of_its_own(ci):
    code, _, ran = ci()
    assert code == 0
    by_python = {python: [call for name, *_, call in ran if name == python] for python, *_ in ran}
    assert "/between" not in by_python
    assert "test --lint unit" in by_python["/new"]
    assert "test --all" in by_python["default"]
    for calls in by_python.values():
        assert any(call.startswith("run samples/") for call in calls)
    places = {python: {venv for name, venv, *_ in ran if name == python} for python in by_python}
    assert all(len(found) == 1 for found in places.values())
    assert len(set.union(*places.values())) == len(places)


def test_ci_goes_on_after_a_failure_names_it_and_fails(ci):
    code, said, ran = ci(fails="--lint unit")
    assert code == 1
    assert "ci: failed: Python 3.99: linters, types and unit tests" in said
    assert ran[-1][-1] == "test --all"


def test_where_ci_is_root_an_ordinary_user_with_a_home_of_its_own_does_all_but_what_only_root_can(ci, tmp_path):
    code, said, ran = ci(user="root")
    assert code == 0, said
    as_root = [call for _, _, user, _, call in ran if user == "root" and "test --lint" not in call]
    assert "test --all local e2e -k as_root" in as_root
    assert not {"test --all", "test --help"} & set(as_root)
    homes = {home for _, _, user, home, _ in ran if user == "bmx-ci"}
    assert len(homes) == 1 and str(tmp_path) not in homes
    by_user = [call for _, _, user, _, call in ran if user == "bmx-ci"]
    assert sum(call.startswith("run samples/") for call in by_user) >= 2
    assert "test --all" in by_user


def test_where_ci_is_root_what_fails_for_the_user_fails_it(ci):
    code, said, _ = ci(fails="run samples", user="root")
    assert code == 1
    assert "ci: failed: what an ordinary user does" in said
