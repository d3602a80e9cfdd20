"""ImageStore: the bucket of pictures, private and versioned, that functions reach by prefix.

- bucket, protected: a program that no longer names it cannot lose it
- versions kept, old ones and unfinished uploads cleaned up
- no public access, no ACLs, TLS only, encrypted
- `allow_uploads_from` lets a page of that origin put files by a presigned form
"""

import pulumi
import pulumi_aws as aws

from components import iam
from components.iam import Grant
from components.needs import Need, ReadObjects, TellMissingObjects, WriteObjects

OLD_VERSIONS_DAYS = 30
UNFINISHED_UPLOADS_DAYS = 1


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
        self.bucket = aws.s3.Bucket(
            f"{name}-bucket", bucket=bucket_name, opts=pulumi.ResourceOptions(parent=self, protect=True)
        )
        self._child = pulumi.ResourceOptions(parent=self)
        self._keep_versions(name)
        self._close(name)
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
            opts=self._child,
        )

    def grant(self, need: Need) -> Grant | None:
        """Grant what is needed of objects; the function learns the bucket's name, and the CDN's address if any."""
        if not isinstance(need, ReadObjects | WriteObjects | TellMissingObjects):
            return None
        variables: dict[str, pulumi.Input[str]] = {"IMAGES_BUCKET": self.bucket.bucket}
        if self._cdn_url:
            variables["IMAGES_CDN_URL"] = self._cdn_url
        return Grant(iam.object_statements(need, self.bucket.arn), variables)

    def _keep_versions(self, name: str) -> None:
        versioning = aws.s3.BucketVersioning(
            f"{name}-versioning",
            bucket=self.bucket.bucket,
            versioning_configuration={"status": "Enabled"},
            opts=self._child,
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=self.bucket.bucket,
            rules=[
                {
                    "id": "old-versions",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "noncurrent_version_expiration": {"noncurrent_days": OLD_VERSIONS_DAYS},
                },
                {
                    "id": "unfinished-uploads",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": UNFINISHED_UPLOADS_DAYS},
                },
            ],
            # Rules about old versions mean nothing to a bucket that keeps none yet.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning]),
        )

    def _close(self, name: str) -> None:
        bucket = self.bucket.bucket
        block = aws.s3.BucketPublicAccessBlock(
            f"{name}-public-access",
            bucket=bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._child,
        )
        aws.s3.BucketOwnershipControls(
            f"{name}-ownership", bucket=bucket, rule={"object_ownership": "BucketOwnerEnforced"}, opts=self._child
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=self._child,
        )
        aws.s3.BucketPolicy(
            f"{name}-policy",
            bucket=bucket,
            policy=iam.tls_only("s3:*", self.bucket.arn, pulumi.Output.concat(self.bucket.arn, "/*")),
            # S3 refuses two changes of a bucket's access at the same time (OperationAborted).
            opts=pulumi.ResourceOptions(parent=self, depends_on=[block]),
        )
