"""Hashes of assets and archives, the same as the Pulumi engine's, so that unchanged content is no difference.

A path to an archive file is hashed as its bytes; a folder or a map of assets as the tar stream that Go's writer makes.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from local.engine.errors import EngineError
from local.engine.values import Archive, Asset

_ARCHIVE_SUFFIXES: Final = (".tar", ".tgz", ".tar.gz", ".zip", ".jar")
_BLOCK: Final = 512
_NAME_BYTES: Final = 100
_PREFIX_BYTES: Final = 155


def with_hash(value: Asset | Archive, folder: Path) -> Asset | Archive:
    """Fill in the hash of an asset or archive that has none.

    Parameters
    ----------
    value
        What the program passed.
    folder
        The program's folder, which relative paths start from.

    Raises
    ------
    EngineError
        If the file cannot be read, or the URI is one that would need the network.
    """
    if value.hash:
        return value
    digest = hashlib.sha256()
    try:
        if isinstance(value, Asset):
            digest.update(_read(value, folder))
        elif value.path is not None and value.path.endswith(_ARCHIVE_SUFFIXES):
            digest.update(_resolve(value.path, folder).read_bytes())
        else:
            for block in _tar(value, folder):
                digest.update(block)
    except OSError as error:
        raise EngineError(f"failed to compute asset hash: cannot read {error.filename}: {error.strerror}") from error
    return replace(value, hash=digest.hexdigest())


def absolute(value: Any, folder: Path) -> Any:
    """Give the asset or archive with absolute paths: a provider does not run in the program's folder."""
    if isinstance(value, Archive) and value.assets is not None:
        return replace(value, assets={name: absolute(part, folder) for name, part in value.assets.items()})
    if isinstance(value, Asset | Archive) and value.path is not None:
        return replace(value, path=str(_resolve(value.path, folder)))
    return value


def _resolve(path: str, folder: Path) -> Path:
    return Path(path) if Path(path).is_absolute() else folder / path


def _read(asset: Asset, folder: Path) -> bytes:
    if asset.path is not None:
        return _resolve(asset.path, folder).read_bytes()
    if asset.uri is not None:
        raise _no_uri(asset.uri)
    return (asset.text or "").encode()


def _no_uri(uri: str) -> EngineError:
    return EngineError(f"a remote asset ({uri}) is not supported by the embedded engine: use a file, or the Pulumi CLI")


def _entries(archive: Archive, folder: Path) -> Iterator[tuple[str, bytes]]:
    if archive.assets is not None:
        for name in sorted(archive.assets):
            part = archive.assets[name]
            if isinstance(part, Asset):
                yield name, _read(part, folder)
            else:
                for inner, content in _entries(part, folder):
                    yield posixpath.join(name, inner), content
        return
    if archive.path is None:
        raise _no_uri(archive.uri or "no path")
    root = _resolve(archive.path, folder)
    if not root.is_dir():
        raise EngineError(f"'{archive.path}' is neither a recognized archive type nor a directory")
    for path in _walk(root):
        yield path.relative_to(root).as_posix(), path.read_bytes()


def _walk(folder: Path) -> Iterator[Path]:
    # Go's filepath.Walk: names of one folder in byte order, symlinks to folders not followed, .pulumi left out.
    for path in sorted(folder.iterdir(), key=lambda path: os.fsencode(path.name)):
        if path.name == ".pulumi" or (path.is_symlink() and path.is_dir()):
            continue
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


def _tar(archive: Archive, folder: Path) -> Iterator[bytes]:
    seen: set[str] = set()
    for name, content in _entries(archive, folder):
        if name in seen:
            continue
        seen.add(name)
        yield _header(name, len(content))
        yield content + b"\0" * (-len(content) % _BLOCK)
    yield b"\0" * (2 * _BLOCK)


def _header(name: str, size: int) -> bytes:
    prefix, short = _split(name)
    info = tarfile.TarInfo(short)
    info.size, info.mode = size, 0o600
    try:
        block = bytearray(info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict"))
    except ValueError:
        # A name that fits no plain header: an extended one, whose hash is ours alone.
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
    # Go writes zeros as the device numbers of a plain file, Python leaves them blank; the checksum covers both.
    block[329:345] = b"0000000\0" * 2
    block[345 : 345 + len(prefix)] = prefix
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _split(name: str) -> tuple[bytes, str]:
    """Split a long name where Go does, at the last slash that the header's prefix field can reach."""
    slash = name.rfind("/", 0, _PREFIX_BYTES + 1)
    if len(name) <= _NAME_BYTES or slash < 0 or not name.isascii() or len(name) - slash - 1 > _NAME_BYTES:
        return b"", name
    return name[:slash].encode(), name[slash + 1 :]
