"""Pictures in S3: their keys, presigned uploads and downloads, and reads that have an upper limit.

Objects lie under ``books/``. The database stores the key without that prefix, older rows with it; every function here
takes either. What begins with ``books/`` is read as having the prefix, so a key that would begin so without it is
stored with it: of ``books/books/x.jpg`` both are kept.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "books/"
MAX_KEY_LENGTH = 500  # book_images.s3_key, in characters
MAX_KEY_BYTES = 1024  # S3's keys, in UTF-8 ("Naming Amazon S3 objects"); the prefix is part of them
MAX_UPLOAD_BYTES = 30 * 1024 * 1024
UPLOAD_SECONDS = 15 * 60
VIEW_SECONDS = 15 * 60
CHUNK_BYTES = 1024 * 1024
HEAD_BYTES = 32
CACHE_CONTROL = "public, max-age=31536000, immutable"  # a key names its content; it is never written differently

CONTENT_TYPES = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}

NOT_FOUND = {"404", "NoSuchKey", "NoSuchVersion", "NotFound"}
UNVERSIONED = "null"
"""The version that S3 gives an object in a bucket that keeps none ("How S3 Versioning works")."""


class StorageError(RuntimeError):
    """S3 refused or did not answer."""


class ObjectMissingError(StorageError):
    """There is no object under that key."""


class ObjectTooLargeError(StorageError):
    """The object is larger than the reader allows."""


def stored_key(key: str) -> str:
    """Return a key as the database stores it: without ``books/``, unless it would begin with that once more.

    Raises
    ------
    ValueError
        The key is empty, too long, absolute, climbs out of its folder or holds control characters.
    """
    bare = key.removeprefix(PREFIX)
    stored = PREFIX + bare if bare.startswith(PREFIX) else bare
    parts = bare.split("/")
    if not bare or len(stored) > MAX_KEY_LENGTH or re.search(r"[\x00-\x1f\x7f]", bare):
        raise ValueError(f"{key[:80]!r} is no key: 1 to {MAX_KEY_LENGTH} characters, none of them a control character")
    if len((PREFIX + bare).encode("utf-8", "surrogatepass")) > MAX_KEY_BYTES:
        raise ValueError(f"{key[:80]!r} is no key: with {PREFIX!r} it has more than {MAX_KEY_BYTES} bytes in UTF-8")
    if any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"{key[:80]!r} is no key: it has an empty part, '.' or '..'")
    return stored


def object_key(key: str) -> str:
    """Return a key as S3 knows it: with ``books/``, however the row wrote it."""
    return PREFIX + stored_key(key).removeprefix(PREFIX)


def processed_key(book_id: int, digest: str) -> str:
    """Name a processed picture, ``<book_id>_processed_<digest>.png``, as the database stores it.

    The digest comes from the source's content and the parameters, so doing the work twice writes the same object.
    """
    return stored_key(f"{book_id}_processed_{digest}.png")


def thumbnail_key(key: str) -> str:
    """Name the thumbnail beside a picture: ``thumb_`` before the name, and ``.jpg`` because JPEG is what it holds."""
    path = PurePosixPath(stored_key(key))
    return stored_key(str(path.with_name(f"thumb_{path.stem}.jpg")))


def legacy_thumbnail_key(key: str) -> str:
    """Name the thumbnail as the system before this one did: JPEG bytes under the picture's own ending."""
    path = PurePosixPath(stored_key(key))
    return stored_key(str(path.with_name(f"thumb_{path.name}")))


def matte_key(key: str) -> str:
    """Name the 8-bit alpha matte that lies beside a processed picture."""
    path = PurePosixPath(stored_key(key))
    return stored_key(str(path.with_name(f"matte_{path.name}")))


def cdn_url(base: str, key: str) -> str:
    """Return the address of a picture behind the CDN whose origin is the bucket, percent-encoded (RFC 3986 2.1)."""
    return f"{base.rstrip('/')}/{quote(object_key(key), safe='/')}"


def image_type_of(head: bytes) -> str | None:
    """Tell a picture's content type from its first bytes, or ``None`` if it is none of those accepted.

    Signatures: ITU-T T.81 B.1.1.3 (SOI and the next marker), PNG 3rd edition 5.2, RFC 9649 2.4.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return None


@dataclass(frozen=True)
class PresignedUpload:
    """Where and with which form fields a caller may put one object."""

    url: str
    fields: dict[str, str]
    expires_in: int


@dataclass(frozen=True)
class ObjectHead:
    """What S3 says of an object: bytes, declared content type, entity tag."""

    size: int
    content_type: str
    etag: str


@dataclass(frozen=True)
class Fingerprint:
    """What was read of an object: bytes, the first of them, SHA-256 in hex, and the version that was read."""

    size: int
    head: bytes
    sha256: str
    version: str


class Storage:
    """The bucket of pictures.

    Parameters
    ----------
    bucket
        Its name.
    s3
        Client; the process's own if not given.
    """

    def __init__(self, bucket: str, s3: S3Client | None = None) -> None:
        self.bucket = bucket
        self._client = s3

    def presigned_upload(
        self,
        key: str,
        content_type: str,
        *,
        min_bytes: int = 1,
        max_bytes: int = MAX_UPLOAD_BYTES,
        expires_in: int = UPLOAD_SECONDS,
    ) -> PresignedUpload:
        """Allow one upload: this key, this content type, so many bytes, for `expires_in` seconds.

        Raises
        ------
        StorageError
            There are no credentials to sign it with at the moment.
        """
        post = self._signed(
            "generate_presigned_post",
            Bucket=self.bucket,
            Key=object_key(key),
            Fields={"Content-Type": content_type},
            Conditions=[{"Content-Type": content_type}, ["content-length-range", min_bytes, max_bytes]],
            ExpiresIn=expires_in,
        )
        return PresignedUpload(post["url"], dict(post["fields"]), expires_in)

    def presigned_url(self, key: str, *, expires_in: int = VIEW_SECONDS) -> str:
        """Return an address under which anyone may read the object for `expires_in` seconds; raises as the upload's."""
        parameters = {"Bucket": self.bucket, "Key": object_key(key)}
        return str(
            self._signed("generate_presigned_url", ClientMethod="get_object", Params=parameters, ExpiresIn=expires_in)
        )

    def head(self, key: str) -> ObjectHead:
        """Ask for an object's size and type.

        Raises
        ------
        ObjectMissingError
            It is not there. Without ``s3:ListBucket`` S3 answers 403 for that too, which is a `StorageError`.
        StorageError
            Anything else that S3 refuses.
        """
        answer = self._call("head_object", key, Key=object_key(key))
        return ObjectHead(int(answer["ContentLength"]), str(answer.get("ContentType", "")), answer["ETag"].strip('"'))

    def download(self, key: str, *, version: str | None = None, max_bytes: int = MAX_UPLOAD_BYTES) -> bytes:
        """Return an object's bytes, of the version that is named or else of the newest.

        Raises
        ------
        ObjectMissingError, StorageError
            As `head`; missing, too, where that version was deleted for good.
        ObjectTooLargeError
            It has more than `max_bytes`; no more than that is read, whatever S3 says the length is.
        """
        return b"".join(self._chunks(self._open(key, version), key, max_bytes))

    def fingerprint(self, key: str, *, max_bytes: int = MAX_UPLOAD_BYTES) -> Fingerprint:
        """Read an object once, keeping only its first bytes, its length and its SHA-256; raises as `download`."""
        digest, head, size = hashlib.sha256(), b"", 0
        opened = self._open(key)
        for chunk in self._chunks(opened, key, max_bytes):
            digest.update(chunk)
            head = head or chunk[:HEAD_BYTES]
            size += len(chunk)
        return Fingerprint(size, head, digest.hexdigest(), opened.get("VersionId", UNVERSIONED))

    def upload(self, key: str, body: bytes, content_type: str) -> bool:
        """Put an object, unless the same bytes are there already.

        Returns
        -------
        bool
            Whether anything was written: doing a job twice must not pile up versions.

        Raises
        ------
        StorageError
            S3 refused the write.
        """
        sha256 = hashlib.sha256(body).hexdigest()
        try:
            there = self._call("head_object", key, Key=object_key(key))
        except StorageError:
            # Missing, or a role that may write but not look: writing is right either way and reports its own refusal.
            there = {}
        if there.get("ContentLength") == len(body) and there.get("Metadata", {}).get("sha256") == sha256:
            return False
        self._call(
            "put_object",
            key,
            Key=object_key(key),
            Body=body,
            ContentType=content_type,
            CacheControl=CACHE_CONTROL,
            Metadata={"sha256": sha256},
        )
        return True

    def delete(self, key: str) -> None:
        """Take an object away; without effect where there is none. Raises `StorageError`."""
        self._call("delete_object", key, Key=object_key(key))

    def _s3(self) -> S3Client:
        if self._client is None:
            from handlers.common.aws import client  # noqa: PLC0415

            self._client = client("s3")
        return self._client

    def _signed(self, operation: str, **arguments: Any) -> Any:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415  loaded with the client already

        try:
            return getattr(self._s3(), operation)(**arguments)
        except BotoCoreError as error:
            raise StorageError(f"{operation} for s3://{self.bucket}: {error}") from error

    def _call(self, operation: str, key: str, **arguments: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  loaded with the client already

        try:
            return getattr(self._s3(), operation)(Bucket=self.bucket, **arguments)
        except ClientError as error:
            where = f"s3://{self.bucket}/{object_key(key)}"
            if error.response.get("Error", {}).get("Code") in NOT_FOUND:
                raise ObjectMissingError(f"there is no object {where}") from error
            raise StorageError(f"{operation} on {where}: {error}") from error
        except BotoCoreError as error:
            raise StorageError(f"{operation} on s3://{self.bucket}/{object_key(key)}: {error}") from error

    def _open(self, key: str, version: str | None = None) -> Any:
        versioned = {} if version in {None, UNVERSIONED} else {"VersionId": version}
        return self._call("get_object", key, Key=object_key(key), **versioned)

    def _chunks(self, answer: Any, key: str, max_bytes: int) -> Iterator[bytes]:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415  loaded with the client already

        size = 0
        try:
            for chunk in answer["Body"].iter_chunks(CHUNK_BYTES):
                size += len(chunk)
                if size > max_bytes:
                    raise ObjectTooLargeError(f"{object_key(key)} has more than {max_bytes} bytes")
                yield chunk
        except BotoCoreError as error:
            raise StorageError(f"reading s3://{self.bucket}/{object_key(key)} broke off: {error}") from error
        finally:
            answer["Body"].close()
