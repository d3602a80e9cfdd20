"""What a function needs, as small values of plain data.

`iam.py` makes statements of them, each limited to the resource and prefix named here; the component that owns the
resource adds the variables by which the function finds it. A function that needs nothing can do nothing.
"""

from dataclasses import dataclass

from components.refused import RefusedError


@dataclass(frozen=True)
class _Prefixed:
    prefix: str

    def __post_init__(self) -> None:
        if not isinstance(self.prefix, str):
            raise RefusedError(f"{type(self).__name__}({self.prefix!r}): a prefix is a text, as 'photos/'.")
        if not self.prefix.endswith("/") or self.prefix.startswith("/") or "*" in self.prefix or "?" in self.prefix:
            raise RefusedError(
                f"{type(self).__name__}({self.prefix!r}): a prefix names a folder, as 'photos/'; it ends with '/', "
                "does not begin with one, and holds no wildcard."
            )


class ReadObjects(_Prefixed):
    """Read the objects under a prefix of the image store."""


class ReadObjectVersions(_Prefixed):
    """Read one version of an object under a prefix, the one that was checked, whatever was written there since."""


class WriteObjects(_Prefixed):
    """Write objects under a prefix of the image store."""


class DeleteObjects(_Prefixed):
    """Delete objects under a prefix of the image store."""


@dataclass(frozen=True)
class TellMissingObjects:
    """Learn that an object is not there: without s3:ListBucket, S3 answers 403 instead of 404 for a missing key.

    Source: "HeadObject", section Permissions, in the S3 API reference. The permission is the bucket's, and a condition
    on the prefix would not hold for HeadObject, which carries none.
    """


@dataclass(frozen=True)
class UseDatabase:
    """Reach the database, and read the secrets by which one logs in."""


@dataclass(frozen=True)
class SendTo:
    """Send messages to a flow's queue, which one knows by its name; made from `Flow.producers`."""

    flow: str


@dataclass(frozen=True)
class InspectFlow:
    """Look at a flow: its queue, its dead letters, their metrics, its function and mapping. Changes nothing."""

    flow: str


@dataclass(frozen=True)
class RedriveFlow:
    """Take a flow's dead letters and send them to its queue again, or discard them."""

    flow: str


@dataclass(frozen=True)
class ReadSecret:
    """Read one secret that the program made, by the name that its component knows it under."""

    name: str


Need = (
    ReadObjects
    | ReadObjectVersions
    | WriteObjects
    | DeleteObjects
    | TellMissingObjects
    | UseDatabase
    | SendTo
    | InspectFlow
    | RedriveFlow
    | ReadSecret
)
