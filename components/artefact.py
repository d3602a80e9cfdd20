"""Where a function's code comes from: an image by digest, a zip by hash, or an image that the program itself builds.

Both name content, never a place that somebody can fill anew: what was tested is what is deployed.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import pulumi
import pulumi_aws as aws
from pydantic import Discriminator, StringConstraints, Tag

from components.arguments import Arguments, Text

_DIGEST = r"^[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}$"
_SHA256 = r"^[0-9a-f]{64}$"

Account = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]


class Zip(Arguments):
    """A zip in S3 with the SHA-256 of its bytes, hexadecimal."""

    bucket: Text
    key: Text
    sha256: Annotated[str, StringConstraints(pattern=_SHA256)]

    @property
    def source_code_hash(self) -> str:
        """The hash as Lambda writes it: base64."""
        return base64.b64encode(bytes.fromhex(self.sha256)).decode()


class ImageArtefact(Arguments):
    """A container image, ``repository@sha256:…``; a tag is refused.

    A repository without a host lies in the registry of the account and region that the stack is deployed to.
    """

    image: Annotated[str, StringConstraints(pattern=_DIGEST)]


class ZipArtefact(Arguments):
    """A zip that lies in S3."""

    zip: Zip


class Build(Arguments):
    """An image that the program builds; `pinned` deploys one that it built before, by digest, and builds none."""

    pull_accounts: tuple[Account, ...] = ()
    pinned: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None


class BuildArtefact(Arguments):
    """A container image that comes into being with the deployment; for the one environment that builds."""

    build: Build


@dataclass(frozen=True)
class BuiltImage:
    """An image of the same deployment.

    Attributes
    ----------
    reference
        ``repository@sha256:…``.
    access
        What lets Lambda pull it; a function made earlier would be refused.
    """

    reference: pulumi.Output[str]
    access: pulumi.Resource


def _kind(value: Any) -> str:
    if isinstance(value, ZipArtefact) or (isinstance(value, Mapping) and "zip" in value):
        return "zip"
    return "build" if isinstance(value, BuildArtefact) or (isinstance(value, Mapping) and "build" in value) else "image"


#: Code that exists.
Artefact = ImageArtefact | ZipArtefact
#: Code as a configuration names it; what is wrong is said of the kind that was meant.
Configured = Annotated[
    Annotated[ImageArtefact, Tag("image")]
    | Annotated[ZipArtefact, Tag("zip")]
    | Annotated[BuildArtefact, Tag("build")],
    Discriminator(_kind),
]


def image_uri(reference: str) -> pulumi.Input[str]:
    """Return where Lambda finds an image.

    A reference whose first part is a host is complete (it has a dot or a port, or is `localhost`: the rule of container
    references); to any other the host of the account's own registry is added, so that no stack's file names one.
    """
    first, slash, _ = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return reference
    host = pulumi.Output.all(
        aws.get_caller_identity_output().account_id,
        aws.get_region_output().region,
        aws.get_partition_output().dns_suffix,
    ).apply(lambda parts: f"{parts[0]}.dkr.ecr.{parts[1]}.{parts[2]}")
    return pulumi.Output.concat(host, "/", reference)
