"""Package: the zip of a function whose code lies in this project.

The same files give the same bytes on every machine and in every preview: names are sorted, only files of the types that
a function reads go in, no link is followed, and what pip installs is kept by the hash of its requirements.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi

from components.refused import RefusedError

PYTHON = "3.13"
# What wheels for Amazon Linux 2023 (glibc 2.34) on x86_64 may call their platform; pip derives none from another.
PLATFORMS = ("manylinux_2_34_x86_64", "manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")

#: What of a folder goes in; a new type of file is entered here. All else is an editor's, a tool's or a secret.
TYPES = frozenset({".css", ".html", ".js", ".json", ".mako", ".py", ".svg", ".toml"})
# Nothing of these is read by a running function, and compiled files differ by machine.
_LEFT_OUT_FOLDERS = frozenset({"__pycache__", "tests"})
_COMPILED = (".pyc", ".pyo")
# Written by pip with the path of its own interpreter, or with hashes of what is removed here.
_LEFT_OUT_METADATA = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


@dataclass(frozen=True)
class Package:
    """A function's code.

    Attributes
    ----------
    archive
        What Pulumi uploads; paths in it are relative to the project's folder, so that state is the same everywhere.
    sha256
        Hash over names and contents, hexadecimal; changes exactly when the zip does.
    """

    archive: pulumi.AssetArchive
    sha256: str


def package(
    sources: Sequence[str],
    *,
    generated: Mapping[str, str] | None = None,
    requirements: str | None = None,
    root: Path | None = None,
    cache: str = ".build/packages",
) -> Package:
    """Put together the zip of one function.

    Parameters
    ----------
    sources
        Files and folders, relative to the project; each keeps its path in the zip. Of a folder go in the files of
        `TYPES` that are neither hidden nor in a hidden folder.
    generated
        Files that the program writes: path in the zip to text.
    requirements
        A file of pinned, hashed requirements to install beside the sources; none on a stack where the functions run
        under an interpreter that has them.
    root
        The project's folder; the working directory unless given, which is where Pulumi runs a program.
    cache
        Where installed requirements are kept, relative to the project.

    Raises
    ------
    RefusedError
        A source is not there, a link lies in the way, two things would have the same name, or pip could not install the
        requirements.
    """
    root = root or Path.cwd()
    assets: dict[str, pulumi.Asset | pulumi.Archive] = {}
    digest = hashlib.sha256()

    def add(name: str, asset: pulumi.Asset | pulumi.Archive, content: bytes) -> None:
        if name in assets:
            raise RefusedError(f"Two files of the package are called {name!r}; rename one.")
        assets[name] = asset
        digest.update(f"{name}\0{len(content)}\0".encode() + content)

    for name in sorted(_names(root, sources)):
        add(name, pulumi.FileAsset(name), (root / name).read_bytes())
    for name, text in sorted((generated or {}).items()):
        add(name, pulumi.StringAsset(text), text.encode())
    if requirements is not None:
        folder = _installed(root, requirements, cache)
        for entry in sorted((root / folder).iterdir()):
            path = f"{folder}/{entry.name}"
            # The folder's name holds the hash of the requirements, so its content need not be read again.
            add(entry.name, pulumi.FileArchive(path) if entry.is_dir() else pulumi.FileAsset(path), path.encode())
    return Package(pulumi.AssetArchive(assets), digest.hexdigest())


def _names(root: Path, sources: Sequence[str]) -> Iterator[str]:
    for source in sources:
        path = root / source
        _refuse_link(root, path)
        if path.is_file():
            yield source
        elif path.is_dir():
            yield from (file.relative_to(root).as_posix() for file in _walk(root, path))
        else:
            raise RefusedError(
                f"The package needs {source!r}, which is not in {root.name!r}; run this in the project's folder."
            )


def _walk(root: Path, folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        _refuse_link(root, path)
        if path.is_dir():
            if path.name not in _LEFT_OUT_FOLDERS:
                yield from _walk(root, path)
        elif path.suffix in TYPES and path.is_file():
            yield path


def _refuse_link(root: Path, path: Path) -> None:
    # What it leads to may lie outside the project, be another thing on another machine, or not be there.
    if path.is_symlink():
        raise RefusedError(
            f"{path.relative_to(root).as_posix()!r} is a link, and a package holds none; put the file itself there, or "
            "remove the link."
        )


def _installed(root: Path, requirements: str, cache: str) -> str:
    """Install hashed requirements for Lambda's platform, once per content of the file; return the folder."""
    source = root / requirements
    if not source.is_file():
        raise RefusedError(f"The package needs the requirements {requirements!r}, which are not there.")
    key = hashlib.sha256(source.read_bytes() + repr((PYTHON, PLATFORMS)).encode()).hexdigest()[:32]
    folder = f"{cache}/{source.stem}-{key}"
    if (root / folder).is_dir():
        return folder
    (root / cache).mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{source.stem}-", dir=root / cache))
    try:
        _pip_install(source, work)
        _prune(work)
        try:
            work.rename(root / folder)
        except OSError:
            # Another run of the program was first; what it installed is the same.
            if not (root / folder).is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def _pip_install(source: Path, target: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
        "--no-deps",
    ]
    command += ["--require-hashes", "--only-binary=:all:", f"--python-version={PYTHON}", "--implementation=cp"]
    command += [f"--platform={platform}" for platform in PLATFORMS]
    command += [f"--target={target}", f"--requirement={source}"]
    # Variables of the program's own run (credentials of the cloud among them) are no business of pip's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PULUMI_"))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RefusedError(f"pip could not install {source.name} for Lambda: {done.stderr.strip()[-2000:]}")


def _prune(folder: Path) -> None:
    # Scripts begin with the path of the interpreter that installed them.
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for path in sorted(folder.rglob("*"), reverse=True):
        metadata = path.parent.name.endswith(".dist-info") and path.name in _LEFT_OUT_METADATA
        if path.is_dir() and path.name in _LEFT_OUT_FOLDERS:
            shutil.rmtree(path)
        elif metadata or path.name.endswith(_COMPILED):
            path.unlink(missing_ok=True)
