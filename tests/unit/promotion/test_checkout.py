"""What is checked out: only what a commit says may be deployed under its name."""

import hashlib
import shutil
import subprocess

import pytest

from ops.errors import UserError
from ops.promotion import checkout


def git(project, *arguments):
    identity = ["-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false"]
    command = [str(shutil.which("git")), "-C", str(project), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    for name, text in {
        "__main__.py": "first",
        "Pulumi.prod.yaml": "config: {}",
        "policies/rules/queues.py": "RULE = 1",
        "policies/waivers.toml": "",
        "requirements/api.txt": "one==1",
        "docs/page.md": "words",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder.parent, "init", "--quiet", str(folder))
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "First")
    return folder


def test_the_commit_is_told_whatever_lies_there_that_decides_nothing(project):
    (project / "docs" / "page.md").write_text("other words")
    (project / "Pulumi.prod.yaml").write_text("config: {a: b}")  # promotion itself changes it
    (project / "notes.txt").write_text("mine")
    assert checkout.commit(project) == git(project, "rev-parse", "HEAD")


@pytest.mark.parametrize("name", ["__main__.py", "policies/waivers.toml", "requirements/api.txt", "policies/new.py"])
def test_what_differs_from_the_commit_is_named(project, name):
    (project / name).write_text("another")
    with pytest.raises(UserError, match=f"{name} differ from the commit"):
        checkout.commit(project)


def test_more_than_one_difference_is_counted(project):
    for name in ("__main__.py", "policies/waivers.toml"):
        (project / name).write_text("another")
    with pytest.raises(UserError, match="and 1 more differ from the commit"):
        checkout.commit(project)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"git rev-parse: .*not a git repository"):
        checkout.commit(tmp_path)


def test_without_git_nothing_is_known(project, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="git is not on the PATH"):
        checkout.commit(project)


def test_requirements_are_known_by_their_hash(project):
    assert checkout.requirements(project) == {"requirements/api.txt": hashlib.sha256(b"one==1").hexdigest()}


@pytest.mark.parametrize(
    "change",
    [
        lambda pack: (pack / "waivers.toml").write_text("[[waiver]]"),
        lambda pack: (pack / "rules" / "queues.py").rename(pack / "rules" / "topics.py"),
        lambda pack: (pack / "rules" / "more.py").write_text(""),
        lambda pack: (pack / "rules" / "queues.py").unlink(),
    ],
    ids=["a waiver", "another name", "one more", "one less"],
)
def test_any_other_pack_has_another_hash(project, change):
    before = checkout.pack(project)
    change(project / "policies")
    assert checkout.pack(project) != before


def test_what_python_compiles_beside_it_is_no_part_of_the_pack(project):
    before = checkout.pack(project)
    (project / "policies" / "__pycache__").mkdir()
    (project / "policies" / "__pycache__" / "rules.cpython-311.pyc").write_bytes(b"compiled")
    assert checkout.pack(project) == before


def test_an_older_commit_lies_in_a_folder_of_its_own_for_as_long_as_it_is_wanted(project):
    first = git(project, "rev-parse", "HEAD")
    (project / ".venv").mkdir()
    (project / "__main__.py").write_text("second")
    git(project, "commit", "--quiet", "--all", "--message", "Second")
    with checkout.worktree(project, first) as folder:
        assert (folder / "__main__.py").read_text() == "first"
        assert (folder / ".venv").resolve() == project / ".venv"
        assert checkout.commit(folder) == first
        (folder / "Pulumi.prod.yaml").write_text("changed there alone")
    assert not folder.exists()
    assert (project / "__main__.py").read_text() == "second"
    assert git(project, "worktree", "list").count("\n") == 0


def test_an_error_in_the_block_leaves_no_folder_behind(project):
    with pytest.raises(KeyboardInterrupt), checkout.worktree(project, "HEAD") as folder:
        raise KeyboardInterrupt
    assert not folder.parent.exists()


def test_a_commit_that_is_not_there_is_refused_and_leaves_nothing(project):
    with pytest.raises(UserError, match="git worktree"), checkout.worktree(project, "0" * 40):
        pass
    assert git(project, "worktree", "list").count("\n") == 0
