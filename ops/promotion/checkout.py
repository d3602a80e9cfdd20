"""What is checked out here: the commit, whether it is what lies here, hashes of what decides a deployment."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.errors import UserError
from ops.program_copy import PARTS

PACK = "policies"
#: What a deployment is made from. Stacks' files are their own: promotion itself changes one.
DECIDES = (*(part for part in PARTS if not part.startswith("Pulumi.") or part == "Pulumi.yaml"), PACK)
_PACK_SUFFIXES = (".py", ".toml", ".yaml")
_GIT_SECONDS = 120


def commit(project: Path) -> str:
    """Return the commit that lies here.

    Raises
    ------
    UserError
        This is no git checkout, or something that decides a deployment is not as committed.
    """
    found = _git(project, "rev-parse", "HEAD").strip()
    changed = _git(project, "status", "--porcelain", "--untracked-files=all", "--", *DECIDES).splitlines()
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise UserError(
            f"{changed[0][3:]}{more} differ from the commit {found[:12]}, so no commit says what this is.",
            "Commit or remove it first.",
            exit_code=1,
        )
    return found


def requirements(project: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of pinned requirements, by name."""
    files = sorted((project / "requirements").glob("*.txt"))
    return {f"requirements/{file.name}": hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def pack(project: Path) -> str:
    """Return the SHA-256 over the policy pack: names and contents of its modules, its waivers, its definition."""
    digest = hashlib.sha256()
    for file in sorted((project / PACK).rglob("*")):
        if file.is_file() and file.suffix in _PACK_SUFFIXES:
            content = file.read_bytes()
            digest.update(f"{file.relative_to(project).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


@contextmanager
def worktree(project: Path, at: str) -> Iterator[Path]:
    """Check a commit out into a folder of its own for as long as the block lasts; this checkout is left alone.

    Raises
    ------
    UserError
        Git does not have the commit.
    """
    base = Path(tempfile.mkdtemp(prefix="bmx-rollback-"))
    folder = base / "program"
    try:
        _git(project, "worktree", "add", "--detach", "--quiet", str(folder), at)
        try:
            if (project / ".venv").is_dir():
                # Pulumi.yaml names the environment relative to itself.
                (folder / ".venv").symlink_to((project / ".venv").resolve())
            yield folder
        finally:
            _git(project, "worktree", "remove", "--force", str(folder))
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _git(project: Path, *arguments: str) -> str:
    git = shutil.which("git")
    if git is None:
        raise UserError("git is not on the PATH; a manifest names the commit.", "Install git.")
    command = [git, "-C", str(project), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"git {arguments[0]}: {error}", exit_code=1) from error
    if done.returncode:
        words = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise UserError(f"git {arguments[0]}: {words}", "This has to run in a checkout that has the commit.")
    return done.stdout
