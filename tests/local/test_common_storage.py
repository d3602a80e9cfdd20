"""Pictures in S3: limits that hold whatever S3 says, writes not repeated, addresses not redirected."""

import hashlib
from typing import TYPE_CHECKING, cast

import boto3
import pytest
from botocore.exceptions import ClientError

from handlers.common import aws
from handlers.common.storage import Fingerprint, ObjectMissingError, ObjectTooLargeError, Storage, StorageError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "pictures"


@pytest.fixture
def s3(aws_mock):
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return s3


@pytest.fixture
def storage(s3):
    return Storage(BUCKET)


def versions(s3, key):
    return len(s3.list_object_versions(Bucket=BUCKET, Prefix=key).get("Versions", []))


@pytest.mark.parametrize("key", ["a.png", "books/a.png"])
def test_an_object_is_found_however_its_row_writes_the_key(s3, storage, key):
    s3.put_object(Bucket=BUCKET, Key="books/a.png", Body=b"picture", ContentType="image/png")
    assert storage.download(key) == b"picture"
    head = storage.head(key)
    assert (head.size, head.content_type) == (7, "image/png")


def test_the_same_bytes_are_written_once_and_other_bytes_again(s3, storage):
    assert storage.upload("a.png", b"one", "image/png")
    assert not storage.upload("books/a.png", b"one", "image/png")
    assert versions(s3, "books/a.png") == 1
    assert storage.upload("a.png", b"two", "image/png")  # as long, but different
    assert storage.download("a.png") == b"two"
    assert s3.head_object(Bucket=BUCKET, Key="books/a.png")["ContentType"] == "image/png"


def test_an_object_exactly_at_the_limit_is_read_and_one_byte_more_is_not(storage):
    storage.upload("a.png", b"x" * 10, "image/png")
    assert storage.download("a.png", max_bytes=10) == b"x" * 10
    for read in (storage.download, storage.fingerprint):
        with pytest.raises(ObjectTooLargeError, match=r"books/a\.png has more than 9 bytes"):
            read("a.png", max_bytes=9)


def test_a_fingerprint_is_of_the_whole_object_and_keeps_only_its_head(s3, storage):
    body = bytes(range(256)) * 9000  # more than two chunks
    version = s3.put_object(Bucket=BUCKET, Key="books/a.png", Body=body)["VersionId"]
    assert storage.fingerprint("a.png") == Fingerprint(len(body), body[:32], hashlib.sha256(body).hexdigest(), version)


def test_a_version_is_read_whatever_was_written_since(s3, storage):
    first = s3.put_object(Bucket=BUCKET, Key="books/a.png", Body=b"first")["VersionId"]
    s3.put_object(Bucket=BUCKET, Key="books/a.png", Body=b"second")
    assert (storage.download("a.png", version=first), storage.download("a.png")) == (b"first", b"second")


def test_an_empty_object_has_a_fingerprint_without_a_head(s3, storage):
    s3.put_object(Bucket=BUCKET, Key="books/a.png", Body=b"")
    assert (storage.fingerprint("a.png").size, storage.fingerprint("a.png").head) == (0, b"")


def test_a_missing_object_is_named(storage):
    for read in (storage.head, storage.download, storage.fingerprint):
        with pytest.raises(ObjectMissingError, match=r"s3://pictures/books/a\.png"):
            read("a.png")


def test_a_refusal_is_no_missing_object_and_keeps_awss_words():
    refused = ClientError({"Error": {"Code": "AccessDenied", "Message": "not authorized to s3:GetObject"}}, "GetObject")

    class Refusing:
        def get_object(self, **_):
            raise refused

    with pytest.raises(StorageError, match="not authorized to s3:GetObject") as error:
        Storage(BUCKET, cast("S3Client", Refusing())).download("a.png")
    assert not isinstance(error.value, ObjectMissingError)


def test_presigned_addresses_name_the_region_so_that_no_redirect_meets_the_form(storage):
    assert storage.presigned_upload("a.jpg", "image/jpeg").url == "https://pictures.s3.us-west-2.amazonaws.com/"
    assert storage.presigned_url("a.jpg").startswith("https://pictures.s3.us-west-2.amazonaws.com/books/a.jpg?")


def test_presigned_addresses_of_an_endpoint_by_number_are_path_style(aws_mock, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:5000")
    aws.forget_clients()
    assert Storage(BUCKET).presigned_upload("a.jpg", "image/jpeg").url == "http://127.0.0.1:5000/pictures"
