"""The files of an image: which ones COPY takes, how they are hashed, placed and counted."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Change = Callable[[Path], None]
"""What a step does to its folder."""


@dataclass(frozen=True)
class File:
    """A file or symbolic link to copy, and its path below the destination ("" for the destination itself)."""

    path: Path
    inside: str

    def digest(self) -> str:
        """Hash of content, kind and executable bit."""
        if self.path.is_symlink():
            return "link " + hashlib.sha256(os.fsencode(self.path.readlink())).hexdigest()
        with self.path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        return f"{'x' if self.path.stat().st_mode & 0o100 else '-'} {content}"


@dataclass(frozen=True)
class Ignored:
    """The patterns of a `.dockerignore` (https://docs.docker.com/build/concepts/context/#dockerignore-files)."""

    patterns: tuple[tuple[bool, re.Pattern[str]], ...] = ()

    @classmethod
    def read(cls, dockerfile: Path | None, context: Path) -> Ignored:
        """Those for `dockerfile`: beside it as `<its name>.dockerignore`, otherwise at the context's root."""
        beside = dockerfile.with_name(dockerfile.name + ".dockerignore") if dockerfile is not None else None
        path = beside if beside is not None and beside.is_file() else context / ".dockerignore"
        if not path.is_file():
            return cls()
        lines = (line.strip() for line in path.read_text().splitlines())
        found = []
        for line in lines:
            if line and not line.startswith("#"):
                excluded = not line.startswith("!")
                found.append((excluded, _pattern(line.lstrip("!").strip("/"))))
        return cls(tuple(found))

    def __call__(self, relative: str) -> bool:
        """Whether the path is left out; the last pattern that matches it or a folder above it decides."""
        parts = relative.split("/")
        above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        left_out = False
        for excluded, pattern in self.patterns:
            if excluded != left_out and any(pattern.fullmatch(path) for path in above):
                left_out = excluded
        return left_out


def _pattern(text: str) -> re.Pattern[str]:
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", text)
    return re.compile("".join(parts.get(piece, re.escape(piece)) for piece in pieces))


def select(source: Path, patterns: list[str], destination: str, ignored: Ignored) -> list[File]:
    """The files that COPY takes, in a fixed order.

    Raises
    ------
    FileNotFoundError
        If a pattern matches nothing.
    """
    root = source.resolve()
    found: list[File] = []
    for pattern in patterns:
        matches = _matches(root, pattern, ignored)
        if not matches:
            raise FileNotFoundError(f"{pattern} matches no file in {source}")
        into = destination.endswith("/") or destination in (".", "..") or len(patterns) > 1 or len(matches) > 1
        for path in matches:
            if path.is_dir() and not path.is_symlink():
                found += _tree(root, path, ignored)
            else:
                found.append(File(path, path.name if into else ""))
    return sorted(found, key=lambda file: file.inside)


def _matches(root: Path, pattern: str, ignored: Ignored) -> list[Path]:
    clean = os.path.normpath("/" + pattern).lstrip("/")
    if not clean:
        return [root]
    paths = [root / each for each in glob.glob(clean, root_dir=root, include_hidden=True)]  # noqa: PTH207  hidden files
    return sorted(path for path in paths if not ignored(path.relative_to(root).as_posix()) or path.is_dir())


def _tree(root: Path, folder: Path, ignored: Ignored) -> list[File]:
    files = [path for path in folder.rglob("*") if path.is_symlink() or path.is_file()]
    return [
        File(path, path.relative_to(folder).as_posix())
        for path in files
        if not ignored(path.relative_to(root).as_posix())
    ]


def place(files: list[File], target: Path, *, link: bool, mode: str | None) -> None:
    """Put the files below `target`, in place of what is there; as hard links if `link`."""
    for file in files:
        path = target / file.inside if file.inside else target
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or path.is_file():
            path.unlink()
        _put(file.path, path, link=link)
        if mode is not None and not path.is_symlink():
            path.chmod(int(mode, 8))


def clone(source: Path, target: Path, *, link: bool) -> None:
    """Copy the tree `source` to the folder `target`."""

    def put(origin: str, destination: str) -> None:
        _put(Path(origin), Path(destination), link=link)

    shutil.copytree(source, target, symlinks=True, copy_function=put, dirs_exist_ok=True)


def _put(origin: Path, destination: Path, *, link: bool) -> None:
    if link and not origin.is_symlink():
        destination.hardlink_to(origin)
    else:
        shutil.copy2(origin, destination, follow_symlinks=False)


def size(folder: Path) -> int:
    """Bytes of all files below `folder`."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_symlink() or path.is_file())


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of the last change of every file below `folder`."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            found[path.relative_to(folder).as_posix()] = (status.st_size, status.st_mtime_ns)
    return found
