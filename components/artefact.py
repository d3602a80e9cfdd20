"""Where a function's code comes from when it was built elsewhere: an image by digest, or a zip by hash.

Both name content, never a place that somebody can fill anew: what was tested is what is deployed.
"""

import base64
from collections.abc import Mapping
from typing import Annotated, Any

import pulumi
import pulumi_aws as aws
from pydantic import Discriminator, StringConstraints, Tag

from components.arguments import Arguments, Text

_DIGEST = r"^[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}$"
_SHA256 = r"^[0-9a-f]{64}$"


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


def _kind(value: Any) -> str:
    return "zip" if isinstance(value, ZipArtefact) or (isinstance(value, Mapping) and "zip" in value) else "image"


#: Code by one of the two; what is wrong is said of the one that was meant.
Artefact = Annotated[Annotated[ImageArtefact, Tag("image")] | Annotated[ZipArtefact, Tag("zip")], Discriminator(_kind)]


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
