"""ImageStore: the bucket of pictures, private and versioned, that functions reach by prefix.

- bucket, closed and kept as in `private_bucket`
- `allow_uploads_from` lets a page of that origin put files by a presigned form
"""

import pulumi
import pulumi_aws as aws

from components import iam
from components.iam import Grant
from components.needs import DeleteObjects, Need, ReadObjects, ReadObjectVersions, TellMissingObjects, WriteObjects
from components.private_bucket import private_bucket


class ImageStore(pulumi.ComponentResource):
    """The bucket of pictures.

    Parameters
    ----------
    name
        Name of the component in the program.
    bucket_name
        Name of the bucket.
    cdn_url
        Address under which the world sees the bucket, if there is one.
    """

    def __init__(
        self, name: str, bucket_name: str, *, cdn_url: str | None = None, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("worker-flows:index:ImageStore", name, {}, opts)
        self._name = name
        self._cdn_url = cdn_url
        self.bucket = private_bucket(name, bucket_name, self)
        self.register_outputs({"bucket": self.bucket.bucket})

    def allow_uploads_from(self, origin: pulumi.Input[str]) -> None:
        """Let pages of one origin put files by a presigned form.

        Parameters
        ----------
        origin
            Scheme and host, as ``https://pictures.example.com``.
        """
        aws.s3.BucketCorsConfiguration(
            f"{self._name}-cors",
            bucket=self.bucket.bucket,
            cors_rules=[
                {
                    "allowed_methods": ["POST"],
                    "allowed_origins": [origin],
                    "allowed_headers": ["*"],
                    "max_age_seconds": 3_000,
                }
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def grant(self, need: Need) -> Grant | None:
        """Grant what is needed of objects; the function learns the bucket's name, and the CDN's address if any."""
        if not isinstance(need, ReadObjects | ReadObjectVersions | WriteObjects | DeleteObjects | TellMissingObjects):
            return None
        variables: dict[str, pulumi.Input[str]] = {"IMAGES_BUCKET": self.bucket.bucket}
        if self._cdn_url:
            variables["IMAGES_CDN_URL"] = self._cdn_url
        return Grant(iam.object_statements(need, self.bucket.arn), variables)
