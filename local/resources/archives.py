"""The zip file of a Lambda function, made the same byte for byte from the same files."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from local.resources.values import Archive, Asset

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip file can write
_FILE_MODE: Final = 0o644
_PROGRAM_MODE: Final = 0o755
_CACHED: Final = 8

# A file to pack: its name in the archive, and its text or where it lies with size and time of change.
_Entry = tuple[str, str | None, str | None, int, int]


def sha256(content: bytes) -> str:
    """Return the digest in base64, as Lambda's CodeSha256 has it."""
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def unpacked_size(archive: Archive, folder: Path) -> int:
    """Return the bytes of all files before compression.

    Raises
    ------
    FileNotFoundError
        If a file of the archive does not exist.
    """
    if archive.path and (folder / archive.path).is_file():
        with zipfile.ZipFile(folder / archive.path) as zipped:
            return sum(item.file_size for item in zipped.infolist())
    return sum(len(text.encode()) if text is not None else size for _, text, _, size, _ in _entries(archive, folder))


def pack(archive: Archive, folder: Path) -> bytes:
    """Return the bytes to upload: an archive that is a zip file as it is, anything else packed.

    Parameters
    ----------
    folder
        What relative paths start from.

    Raises
    ------
    FileNotFoundError
        If a file of the archive does not exist.
    ValueError
        If the archive or an asset lies at a remote address, which the embedded cloud does not fetch.
    """
    if archive.path and (folder / archive.path).is_file():
        return (folder / archive.path).read_bytes()
    return _pack(tuple(sorted(_entries(archive, folder), key=lambda entry: entry[0])))


@functools.lru_cache(maxsize=_CACHED)
def _pack(entries: tuple[_Entry, ...]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as zipped:
        for name, text, path, _, _ in entries:
            item = zipfile.ZipInfo(name, _EPOCH)
            item.compress_type = zipfile.ZIP_DEFLATED
            executable = path is not None and os.access(path, os.X_OK)
            item.external_attr = (_PROGRAM_MODE if executable else _FILE_MODE) << 16
            zipped.writestr(item, text.encode() if text is not None else Path(str(path)).read_bytes())
    return buffer.getvalue()


def _entries(archive: Archive, folder: Path) -> Iterator[_Entry]:
    if archive.uri:
        message = f"the archive {archive.uri} lies at a remote address: give a local path"
        raise ValueError(message)
    if archive.path:
        yield from _tree("", folder / archive.path)
        return
    for name, member in (archive.assets or {}).items():
        if isinstance(member, Archive):
            yield from ((f"{name}/{inner}", *rest) for inner, *rest in _entries(member, folder))  # type: ignore[misc]
        elif isinstance(member, Asset):
            yield _file(name, member, folder)


def _file(name: str, asset: Asset, folder: Path) -> _Entry:
    if asset.uri:
        message = f"the asset {name} lies at the remote address {asset.uri}: give a local path or text"
        raise ValueError(message)
    if asset.path is None:
        return name, asset.text or "", None, 0, 0
    path = folder / asset.path
    status = path.stat()
    return name, None, str(path), status.st_size, status.st_mtime_ns


def _tree(prefix: str, root: Path) -> Iterator[_Entry]:
    if not root.is_dir():
        raise FileNotFoundError(f"the archive's path {root} is neither a folder nor a zip file")
    for path in sorted(root.rglob("*")):
        # Byte code carries its source's time of change and would make every checkout another archive.
        if path.is_file() and "__pycache__" not in path.parts:
            yield _file(prefix + path.relative_to(root).as_posix(), Asset(path=str(path)), root)
