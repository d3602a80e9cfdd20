"""A bucket that nobody outside reaches, that keeps versions, and that a deployment cannot lose.

- bucket, protected: a program that no longer names it cannot lose it
- versions kept, old ones and unfinished uploads cleaned up
- no public access, no ACLs, TLS only, encrypted
"""

import pulumi
import pulumi_aws as aws

from components import iam

OLD_VERSIONS_DAYS = 30
UNFINISHED_UPLOADS_DAYS = 1


def private_bucket(name: str, bucket_name: str, parent: pulumi.Resource) -> aws.s3.Bucket:
    """Make a bucket with everything that closes and keeps it.

    Parameters
    ----------
    name
        Beginning of the resources' names in the program.
    bucket_name
        Name of the bucket on AWS.
    parent
        The component that owns it.
    """
    bucket = aws.s3.Bucket(
        f"{name}-bucket", bucket=bucket_name, opts=pulumi.ResourceOptions(parent=parent, protect=True)
    )
    _keep_versions(name, bucket, parent)
    _close(name, bucket, parent)
    return bucket


def _keep_versions(name: str, bucket: aws.s3.Bucket, parent: pulumi.Resource) -> None:
    versioning = aws.s3.BucketVersioning(
        f"{name}-versioning",
        bucket=bucket.bucket,
        versioning_configuration={"status": "Enabled"},
        opts=pulumi.ResourceOptions(parent=parent),
    )
    aws.s3.BucketLifecycleConfiguration(
        f"{name}-lifecycle",
        bucket=bucket.bucket,
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
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[versioning]),
    )


def _close(name: str, made: aws.s3.Bucket, parent: pulumi.Resource) -> None:
    bucket, child = made.bucket, pulumi.ResourceOptions(parent=parent)
    block = aws.s3.BucketPublicAccessBlock(
        f"{name}-public-access",
        bucket=bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=child,
    )
    aws.s3.BucketOwnershipControls(
        f"{name}-ownership", bucket=bucket, rule={"object_ownership": "BucketOwnerEnforced"}, opts=child
    )
    aws.s3.BucketServerSideEncryptionConfiguration(
        f"{name}-encryption",
        bucket=bucket,
        rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
        opts=child,
    )
    aws.s3.BucketPolicy(
        f"{name}-policy",
        bucket=bucket,
        policy=iam.tls_only("s3:*", made.arn, pulumi.Output.concat(made.arn, "/*")),
        # S3 refuses two changes of a bucket's access at the same time (OperationAborted).
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[block]),
    )
