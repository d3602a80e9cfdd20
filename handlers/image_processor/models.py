"""The networks that the worker may run, as `models.toml` names them, and the check that a file really is one.

`python -m handlers.image_processor.models NAME FILE` exits 1 unless FILE is that model: the Dockerfile's build check.
"""

import hashlib
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

MANIFEST = Path(__file__).with_name("models.toml")


@dataclass(frozen=True)
class Source:
    """Where a weight file can be had: a `url`, or the `member` of a Python `package` (``name==version``)."""

    url: str | None = None
    package: str | None = None
    member: str | None = None

    def __str__(self) -> str:
        return self.url or f"package {self.package}"


@dataclass(frozen=True)
class Model:
    """One network's weight file: its identity, licence and sources."""

    name: str
    file: str
    sha256: str
    md5: str
    bytes: int
    licence: str
    upstream: str
    sources: tuple[Source, ...]


class WrongWeightsError(Exception):
    """A weight file is not the one that `models.toml` names."""


def load(name: str | None = None, manifest: Path = MANIFEST) -> Model:
    """Read one model's entry.

    Parameters
    ----------
    name : str, optional
        The model's key; the manifest's `default` if not given.
    manifest : Path
        A file in the form of `models.toml`.

    Raises
    ------
    KeyError
        The manifest does not name that model.
    """
    document = tomllib.loads(manifest.read_text())
    name = name or document["default"]
    entry = document["models"].get(name)
    if entry is None:
        raise KeyError(f"{manifest.name} names no model {name!r}; it has {', '.join(document['models'])}")
    sources = tuple(Source(**source) for source in entry.pop("sources"))
    return Model(name=name, sources=sources, **entry)


def verify(model: Model, file: Path) -> None:
    """Refuse a file that is not the model, by size first (a truncated file costs no hashing), then by SHA-256.

    Raises
    ------
    WrongWeightsError
        Size or SHA-256 differ; the message has both values.
    OSError
        The file cannot be read.
    """
    size = file.stat().st_size
    if size != model.bytes:
        raise WrongWeightsError(f"{file.name} has {size:,} bytes, {model.name} has {model.bytes:,}")
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != model.sha256:
        raise WrongWeightsError(f"{file.name} has SHA-256 {digest}, {model.name} has {model.sha256}")


def main(arguments: list[str]) -> int:
    """Verify one file from the command line: ``NAME FILE``."""
    name, file = arguments
    try:
        verify(load(name), Path(file))
    except (WrongWeightsError, OSError, KeyError) as error:
        print(f"weights refused: {error}", file=sys.stderr)  # noqa: T201 (a build step's message)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
