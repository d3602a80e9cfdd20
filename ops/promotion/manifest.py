"""The manifest of a deployment: what runs, from which commit, under which policies, how it was found.

JSON in one canonical form (sorted keys, one space of indent, ASCII, one line feed at the end) with the SHA-256 of the
rest in it, so that any other byte is noticed. It guards against mistakes, not against somebody who may write the
bucket; who wrote one is in the stack's operations log.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError

from ops.errors import UserError

FORMAT: Literal[1] = 1
_FIX = "Deploy the stack again and write a new one: ./bmx manifest write --stack NAME"

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]


class ManifestError(UserError):
    """A manifest that cannot be relied on."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"The manifest {where} is refused: {why}.", _FIX, exit_code=1)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Code(_Part):
    """What a function runs: an image by digest, or a zip by the SHA-256 of its bytes; both hexadecimal."""

    kind: Literal["image", "zip"]
    sha256: Sha256
    artefact: str | None
    """Name under `artefacts` in the configuration; None for code of this project."""


class Pack(_Part):
    """The policy pack that judged the deployment."""

    sha256: Sha256
    result: Literal["passed", "failed"]


class Health(_Part):
    """The deep check: its status, and for every check and flow that is not healthy why."""

    status: Literal["healthy", "degraded", "unhealthy"]
    troubles: dict[str, str]


class Letters(_Part):
    """Dead letters of one flow; `newest` is when the newest was sent."""

    count: int
    newest: AwareDatetime | None


class Manifest(_Part):
    """What was deployed.

    Attributes
    ----------
    written_at, deployed_at
        When this was written; when the deployment that it tells of began (AWS) or ended (embedded cloud).
    by
        ARN of whoever wrote it.
    artefacts
        The configuration's `artefacts`, by name, every one by content.
    functions
        What every function really runs, by its name on AWS.
    requirements
        SHA-256 of every requirements/*.txt.
    restores
        SHA-256 of the manifest that a rollback brought back; None after an ordinary deployment.
    """

    format: Literal[1] = FORMAT
    stack: str
    commit: Commit
    written_at: AwareDatetime
    deployed_at: AwareDatetime
    by: str
    artefacts: dict[str, dict[str, Any]]
    functions: dict[str, Code]
    requirements: dict[str, Sha256]
    policies: Pack
    health: Health
    dead_letters: dict[str, Letters]
    restores: Sha256 | None = None

    @property
    def sha256(self) -> str:
        """The hash over everything else."""
        return _hash(self.model_dump(mode="json"))

    def to_bytes(self) -> bytes:
        """Write it in its one form."""
        document = self.model_dump(mode="json")
        return _canonical({**document, "sha256": _hash(document)})


def parse(data: bytes, where: str) -> Manifest:
    """Read a manifest, byte for byte.

    Parameters
    ----------
    data
        What lies in the bucket.
    where
        Its key, for errors.

    Raises
    ------
    ManifestError
        It is not in its one form, its hash is another, it is of another format, or a value cannot be.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise ManifestError(where, "it is not JSON, or cut off") from None
    if not isinstance(document, dict):
        raise ManifestError(where, "it is no JSON object")
    if _canonical(document) != data:
        raise ManifestError(where, "its bytes are not those that were written (another order, spacing or spelling)")
    claimed = document.pop("sha256", None)
    if claimed != _hash(document):
        raise ManifestError(where, "it was changed after it was written: its SHA-256 is not that of its content")
    if document.get("format") != FORMAT:
        raise ManifestError(where, f"it has the format {document.get('format')!r}, and this is {FORMAT}")
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ManifestError(where, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if manifest.sha256 != claimed:
        raise ManifestError(where, "its values are not spelled as they are written here")
    return manifest


def stamp(moment: datetime) -> str:
    """Write a moment so that sorting names sorts times."""
    return moment.strftime("%Y%m%dT%H%M%S.%fZ")


def _canonical(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, sort_keys=True, indent=1, ensure_ascii=True) + "\n").encode("ascii")


def _hash(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(document)).hexdigest()
