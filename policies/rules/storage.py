"""Storage: buckets that are private, encrypted, versioned, protected; keys of our own that stay."""

from collections.abc import Iterator

from policies.documents import statements
from policies.model import UNKNOWN, Finding, Resource, Stack, rule
from policies.tokens import (
    BUCKET,
    BUCKET_ENCRYPTION,
    BUCKET_LIFECYCLE,
    BUCKET_OWNERSHIP,
    BUCKET_POLICY,
    BUCKET_PUBLIC_ACCESS,
    BUCKET_VERSIONING,
    INGRESS,
    KEY,
)

_COMPANIONS = {
    BUCKET_PUBLIC_ACCESS: "a BucketPublicAccessBlock",
    BUCKET_ENCRYPTION: "a BucketServerSideEncryptionConfiguration",
    BUCKET_OWNERSHIP: "a BucketOwnershipControls",
    BUCKET_POLICY: "a BucketPolicy",
    BUCKET_VERSIONING: "a BucketVersioning",
    BUCKET_LIFECYCLE: "a BucketLifecycleConfiguration",
}
_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


@rule(
    "bucket-complete",
    asks="A bucket has all that closes and keeps it: access block, encryption, ownership, policy, versions, lifecycle.",
    why="Each is a resource of its own, and AWS asks for none of them.",
    fix="Make it for this bucket, as components/image_store.py does.",
    fsbp=("S3.8", "S3.12", "S3.13"),
    checkov=("CKV_AWS_19", "CKV_AWS_21", "CKV2_AWS_6", "CKV2_AWS_61", "CKV2_AWS_65"),
)
def complete(stack: Stack) -> Iterator[Finding]:
    """Report each companion that no resource of the stack is."""
    for bucket in stack.of(BUCKET):
        for type_, called in _COMPANIONS.items():
            if not stack.pointing_at(bucket, "bucket", type_):
                yield Finding(bucket, called, "is missing")


@rule(
    "bucket-protected",
    BUCKET,
    asks="A bucket is protected, and not emptied when it is deleted.",
    why="A program that no longer names a bucket must not lose its pictures.",
    fix="Set the option protect, and forceDestroy to false.",
)
def protected(resource: Resource) -> Iterator[Finding]:
    """Report a bucket that a deployment could lose."""
    if not resource.protect:
        yield Finding(resource, "protect", "is off")
    if resource.get("forceDestroy", default=False) not in {False, UNKNOWN}:
        yield Finding(resource, "forceDestroy", "is true")


@rule(
    "bucket-not-public",
    BUCKET_PUBLIC_ACCESS,
    asks="A bucket's access block blocks everything.",
    why="Pictures are shown by presigned addresses or the CDN; nobody reads the bucket itself.",
    fix="Set all four properties to true.",
    fsbp=("S3.2", "S3.3", "S3.8"),
    checkov=("CKV_AWS_53", "CKV_AWS_54", "CKV_AWS_55", "CKV_AWS_56"),
)
def not_public(resource: Resource) -> Iterator[Finding]:
    """Report each of the four that is not true."""
    for name in _BLOCKS:
        if resource.get(name) not in {True, UNKNOWN}:
            yield Finding(resource, name, "is not true")


@rule(
    "bucket-tls-only",
    BUCKET_POLICY,
    asks="A bucket's policy denies what does not come over TLS and opens it to nobody.",
    why="Without the denial S3 takes plain HTTP.",
    fix='Deny "s3:*" to everybody under aws:SecureTransport false (components/iam.py, tls_only); name principals.',
    fsbp=("S3.2", "S3.3", "S3.5"),
    checkov=("CKV_AWS_379",),
)
def tls_only(resource: Resource) -> Iterator[Finding]:
    """Report a document without the denial, or that allows anybody; an unknown one is read when it is known."""
    if resource.get("policy") is UNKNOWN:
        return
    said = statements(resource.get("policy"))
    if not any(s.denies_plain_http and {"s3:*", "*"} & set(s.actions) for s in said):
        yield Finding(resource, "policy", "does not deny plain HTTP")
    if any(s.open_to_anybody for s in said):
        yield Finding(resource, "policy", "allows anybody")


@rule(
    "bucket-versioned",
    BUCKET_VERSIONING,
    asks="A bucket keeps versions.",
    why="A picture overwritten by mistake comes back from its version.",
    fix='Set versioningConfiguration.status to "Enabled".',
    checkov=("CKV_AWS_21",),
)
def versioned(resource: Resource) -> Iterator[Finding]:
    """Report another status."""
    if resource.get("versioningConfiguration", "status") not in {"Enabled", UNKNOWN}:
        yield Finding(resource, "versioningConfiguration.status", "is not Enabled")


@rule(
    "bucket-no-acls",
    BUCKET_OWNERSHIP,
    asks="A bucket has no access control lists.",
    why="They are a second way to say who may read, and no policy shows them.",
    fix='Set rule.objectOwnership to "BucketOwnerEnforced".',
    fsbp=("S3.12",),
    checkov=("CKV2_AWS_65",),
)
def no_acls(resource: Resource) -> Iterator[Finding]:
    """Report another ownership."""
    if resource.get("rule", "objectOwnership") not in {"BucketOwnerEnforced", UNKNOWN}:
        yield Finding(resource, "rule.objectOwnership", "is not BucketOwnerEnforced")


@rule(
    "key-rotated",
    KEY,
    asks="A key of our own rotates, and its policy is not open to anybody.",
    why="What a key encrypted stays readable; only new data gets the new material.",
    fix="Set enableKeyRotation to true, and name principals in its policy or bind them by a condition.",
    fsbp=("KMS.5",),
    checkov=("CKV_AWS_7", "CKV_AWS_33"),
)
def key_rotated(resource: Resource) -> Iterator[Finding]:
    """Report a key that does not rotate, or that anybody may use."""
    if resource.get("enableKeyRotation") not in {True, UNKNOWN}:
        yield Finding(resource, "enableKeyRotation", "is not true")
    if any(statement.open_to_anybody for statement in statements(resource.get("policy"))):
        yield Finding(resource, "policy", "allows anybody")


@rule(
    "ingress-from-known",
    INGRESS,
    asks="No security group lets the whole world in.",
    why="Everything that listens here lies in a VPC and is called from it.",
    fix="Set referencedSecurityGroupId, or a narrower range.",
    fsbp=("EC2.18", "EC2.19"),
    checkov=("CKV_AWS_260", "CKV_AWS_277"),
)
def ingress_from_known(resource: Resource) -> Iterator[Finding]:
    """Report a range that is everything."""
    for name in ("cidrIpv4", "cidrIpv6"):
        if str(resource.get(name)).endswith("/0"):
            yield Finding(resource, name, "is the whole world")


RULES = (complete, protected, not_public, tls_only, versioned, no_acls, key_rotated, ingress_from_known)
