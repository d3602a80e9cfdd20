"""Which permissions an S3 request needs.

S3's requests carry no operation name: method, path, sub-resource and headers say what is asked
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from local.iam_actions import REFERENCE, Need, NotModelledError


@dataclass(frozen=True)
class S3Request:
    """One request, path-style; header names in lower case, `deleted` the keys that a DeleteObjects names."""

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    deleted: tuple[tuple[str, str | None], ...] = ()


# sub-resource -> actions of GET, PUT, DELETE on a bucket; None: no such request
_BUCKET = {
    "accelerate": ("GetAccelerateConfiguration", "PutAccelerateConfiguration", None),
    "acl": ("GetBucketAcl", "PutBucketAcl", None),
    "cors": ("GetBucketCORS", "PutBucketCORS", "PutBucketCORS"),
    "encryption": ("GetEncryptionConfiguration", "PutEncryptionConfiguration", "PutEncryptionConfiguration"),
    "lifecycle": ("GetLifecycleConfiguration", "PutLifecycleConfiguration", "PutLifecycleConfiguration"),
    "location": ("GetBucketLocation", None, None),
    "logging": ("GetBucketLogging", "PutBucketLogging", None),
    "notification": ("GetBucketNotification", "PutBucketNotification", None),
    "object-lock": ("GetBucketObjectLockConfiguration", "PutBucketObjectLockConfiguration", None),
    "ownershipControls": (
        "GetBucketOwnershipControls",
        "PutBucketOwnershipControls",
        "PutBucketOwnershipControls",
    ),
    "policy": ("GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"),
    "policyStatus": ("GetBucketPolicyStatus", None, None),
    "publicAccessBlock": (
        "GetBucketPublicAccessBlock",
        "PutBucketPublicAccessBlock",
        "PutBucketPublicAccessBlock",
    ),
    "replication": ("GetReplicationConfiguration", "PutReplicationConfiguration", "PutReplicationConfiguration"),
    "tagging": ("GetBucketTagging", "PutBucketTagging", "PutBucketTagging"),
    "uploads": ("ListBucketMultipartUploads", None, None),
    "versioning": ("GetBucketVersioning", "PutBucketVersioning", None),
    "versions": ("ListBucketVersions", None, None),
    "website": ("GetBucketWebsite", "PutBucketWebsite", "DeleteBucketWebsite"),
}
_BUCKET_DEFAULT = {"GET": "ListBucket", "HEAD": "ListBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}

# (method, sub-resource) on an object -> action, action for one version
_OBJECT = {
    ("GET", "acl"): ("GetObjectAcl", "GetObjectVersionAcl"),
    ("PUT", "acl"): ("PutObjectAcl", "PutObjectVersionAcl"),
    ("GET", "tagging"): ("GetObjectTagging", "GetObjectVersionTagging"),
    ("PUT", "tagging"): ("PutObjectTagging", "PutObjectVersionTagging"),
    ("DELETE", "tagging"): ("DeleteObjectTagging", "DeleteObjectVersionTagging"),
    ("GET", "retention"): ("GetObjectRetention", "GetObjectRetention"),
    ("PUT", "retention"): ("PutObjectRetention", "PutObjectRetention"),
    ("GET", "legal-hold"): ("GetObjectLegalHold", "GetObjectLegalHold"),
    ("PUT", "legal-hold"): ("PutObjectLegalHold", "PutObjectLegalHold"),
    # multipart uploads: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions
    ("POST", "uploads"): ("PutObject", "PutObject"),
    ("PUT", "uploadId"): ("PutObject", "PutObject"),
    ("POST", "uploadId"): ("PutObject", "PutObject"),
    ("GET", "uploadId"): ("ListMultipartUploadParts", "ListMultipartUploadParts"),
    ("DELETE", "uploadId"): ("AbortMultipartUpload", "AbortMultipartUpload"),
    ("POST", "restore"): ("RestoreObject", "RestoreObject"),
}
_OBJECT_DEFAULT = {
    "GET": ("GetObject", "GetObjectVersion"),
    "HEAD": ("GetObject", "GetObjectVersion"),
    "PUT": ("PutObject", "PutObject"),
    "DELETE": ("DeleteObject", "DeleteObjectVersion"),
}
# what asks for something else than the plain request, whether modelled or not
_SUBRESOURCES = (
    set(_BUCKET)
    | {name for _, name in _OBJECT}
    | {
        *(
            "analytics",
            "attributes",
            "intelligent-tiering",
            "inventory",
            "metrics",
            "requestPayment",
            "select",
            "torrent",
        ),
    }
)


def needs(request: S3Request) -> list[Need]:
    """Every permission that an S3 request needs, all of which must be allowed.

    Raises
    ------
    NotModelledError
        If the request is none of the tables'.
    """
    if not request.bucket:
        return [Need("s3:ListAllMyBuckets", "*")]
    if request.key:
        return _object_needs(request)
    return _bucket_needs(request)


def _not_modelled(request: S3Request) -> NotModelledError:
    what = "object" if request.key else "bucket"
    asked = "".join(f"?{name}" for name in request.query if name in _SUBRESOURCES)
    return NotModelledError(
        f"S3 {request.method} {what}{asked} is not modelled by the embedded cloud's IAM, so no role may call it; "
        f"add it to local/iam_s3.py after {REFERENCE['s3']}"
    )


def _subresource(request: S3Request) -> str | None:
    return next((name for name in request.query if name in _SUBRESOURCES), None)


def _bucket_needs(request: S3Request) -> list[Need]:
    arn = f"arn:aws:s3:::{request.bucket}"
    if request.method == "POST":
        if "delete" not in request.query:
            raise _not_modelled(request)
        return [
            Need("s3:DeleteObjectVersion" if version else "s3:DeleteObject", f"{arn}/{key}")
            for key, version in request.deleted
        ]
    subresource = _subresource(request)
    if subresource is None:
        return [Need("s3:" + _BUCKET_DEFAULT[request.method], arn, _listing(request))]
    actions = _BUCKET.get(subresource, (None, None, None))
    action = dict(zip(("GET", "PUT", "DELETE"), actions, strict=True)).get(request.method)
    if action is None:
        raise _not_modelled(request)
    return [Need("s3:" + action, arn, _listing(request))]


def _listing(request: S3Request) -> dict[str, str]:
    # a listing without a prefix does not carry the key, so a StringEquals on it does not match
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html
    names = {"prefix": "s3:prefix", "delimiter": "s3:delimiter"}
    return {key: request.query[name] for name, key in names.items() if name in request.query}


def _object_needs(request: S3Request) -> list[Need]:
    arn = f"arn:aws:s3:::{request.bucket}/{request.key}"
    subresource = _subresource(request)
    actions = _OBJECT_DEFAULT.get(request.method) if subresource is None else _OBJECT.get((request.method, subresource))
    if actions is None:
        raise _not_modelled(request)
    found = [Need("s3:" + actions["versionId" in request.query], arn, _writing(request))]
    if request.method == "PUT" and subresource is None:
        found += [Need("s3:" + action, arn) for action in _extras(request)]
    if source := request.headers.get("x-amz-copy-source"):
        found.append(_copy_source(source))
    return found


def _writing(request: S3Request) -> dict[str, str]:
    headers = ("x-amz-server-side-encryption", "x-amz-acl")
    return {f"s3:{name}": request.headers[name] for name in headers if name in request.headers}


def _extras(request: S3Request) -> list[str]:
    """What a PutObject sets beside the bytes needs its own permission.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
    """
    found = []
    if "x-amz-tagging" in request.headers:
        found.append("PutObjectTagging")
    if any(name == "x-amz-acl" or name.startswith("x-amz-grant-") for name in request.headers):
        found.append("PutObjectAcl")
    return found


def _copy_source(header: str) -> Need:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
    path, _, version = unquote(header).lstrip("/").partition("?versionId=")
    return Need("s3:GetObjectVersion" if version else "s3:GetObject", f"arn:aws:s3:::{path}")


def listing_for_missing(request: S3Request, exists: Callable[[str, str], bool]) -> Need | None:
    """The further permission that decides between "no such key" and "access denied" for an object that is not there.

    Without ListBucket, S3 does not tell whether an object exists
    (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, Permissions).
    """
    asks = request.method in ("GET", "HEAD") and request.key and _subresource(request) is None
    if not asks or "versionId" in request.query or exists(request.bucket, request.key):
        return None
    return Need("s3:ListBucket", f"arn:aws:s3:::{request.bucket}")
