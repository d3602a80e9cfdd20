"""Presigned URLs and POSTs, signed by botocore and held against what S3 does with them."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import boto3
import pytest
from botocore.config import Config

from local.iam_presigned import S3SignatureError, check_post, check_url

SECRET = "the signer's secret"
LIMIT = 1000


@pytest.fixture(scope="module")
def s3():
    session = boto3.session.Session(aws_access_key_id="ASIA", aws_secret_access_key=SECRET, region_name="us-west-2")
    return session.client(
        "s3",
        endpoint_url="http://127.0.0.1:1",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )


def url_error(s3, change=lambda url: url, *, method="GET", after=0.0, secret=SECRET, expires=60, headers=None):
    url = change(s3.generate_presigned_url("get_object", {"Bucket": "pictures", "Key": "books/1 ü.png"}, expires))
    parts = urlsplit(url)
    now = datetime.now(UTC) + timedelta(seconds=after)
    query = dict(parse_qsl(parts.query))
    try:
        check_url(
            method=method,
            path=parts.path,
            query=query,
            headers=headers or {"host": parts.netloc},
            secret=secret,
            now=now,
        )
    except S3SignatureError as error:
        return error.code, error.message
    return None


def test_a_url_as_it_was_signed_passes(s3):
    assert url_error(s3) is None


@pytest.mark.parametrize(
    ("changed", "to"), [("/books/", "/secrets/"), ("/pictures/", "/other/"), ("X-Amz-Expires=60", "X-Amz-Expires=600")]
)
def test_a_url_changed_after_signing_is_refused(s3, changed, to):
    code, _ = url_error(s3, lambda url: url.replace(changed, to))
    assert code == "SignatureDoesNotMatch"


def test_a_url_signed_for_reading_does_not_write(s3):
    assert url_error(s3, method="PUT")[0] == "SignatureDoesNotMatch"


def test_a_url_signed_with_another_secret_is_refused(s3):
    assert url_error(s3, secret="guessed")[0] == "SignatureDoesNotMatch"


def test_a_url_for_another_host_is_refused(s3):
    assert url_error(s3, headers={"host": "elsewhere"})[0] == "SignatureDoesNotMatch"


def test_an_expired_url_is_refused_in_s3s_words(s3):
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/ShareObjectPreSignedURL.html
    assert url_error(s3, after=59) is None
    assert url_error(s3, after=62) == ("AccessDenied", "Request has expired")


def test_a_url_lives_at_most_a_week(s3):
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html, X-Amz-Expires
    assert url_error(s3, expires=7 * 24 * 3600 + 1)[0] == "AuthorizationQueryParametersError"


def post_error(s3, changes=None, *, size=10, after=0.0, bucket="pictures", extra=()):
    conditions = [
        {"Content-Type": "image/png"},
        ["content-length-range", 1, LIMIT],
        ["starts-with", "$x-amz-meta-a", "b"],
    ]
    post = s3.generate_presigned_post(
        "pictures", "uploads/1.png", {"Content-Type": "image/png", "x-amz-meta-a": "bc"}, [*conditions, *extra], 60
    )
    now = datetime.now(UTC) + timedelta(seconds=after)
    fields = {k: v for k, v in (post["fields"] | (changes or {})).items() if v is not None}
    try:
        check_post(fields, bucket, size, SECRET, now)
    except S3SignatureError as error:
        return error.code, error.message
    return None


def test_a_post_that_keeps_to_its_policy_passes(s3):
    assert post_error(s3) is None
    assert post_error(s3, size=LIMIT) is None


@pytest.mark.parametrize(
    "changes",
    [{"key": "uploads/2.png"}, {"Content-Type": "text/html"}, {"x-amz-meta-a": "c"}, {"Content-Type": None}],
    ids=["key", "content type", "prefix", "field left out"],
)
def test_a_post_that_breaks_a_condition_is_refused(s3, changes):
    code, message = post_error(s3, changes)
    assert code == "AccessDenied"
    assert message.startswith("Invalid according to Policy: Policy Condition failed: [")


def test_a_post_to_another_bucket_is_refused(s3):
    assert post_error(s3, bucket="other")[0] == "AccessDenied"


def test_a_field_that_the_policy_does_not_speak_of_is_refused(s3):
    assert post_error(s3, {"acl": "public-read"}) == (
        "AccessDenied",
        "Invalid according to Policy: Extra input fields: acl",
    )
    assert post_error(s3, {"x-ignore-this": "x"}) is None


def test_a_picture_above_the_length_range_is_too_large(s3):
    assert post_error(s3, size=LIMIT + 1)[0] == "EntityTooLarge"


def test_an_empty_picture_is_too_small(s3):
    assert post_error(s3, size=0)[0] == "EntityTooSmall"


def test_a_post_after_its_expiration_is_refused(s3):
    assert post_error(s3, after=61) == ("AccessDenied", "Invalid according to Policy: Policy expired.")


@pytest.mark.parametrize("field", ["policy", "x-amz-signature", "x-amz-credential"])
def test_a_post_whose_policy_or_signature_was_changed_is_refused(s3, field):
    changed = {"x-amz-credential": "ASIA/20200101/us-west-2/s3/aws4_request"}.get(field, "e30=")
    assert post_error(s3, {field: changed})[0] == "SignatureDoesNotMatch"


def test_an_unknown_operation_in_the_policy_is_refused(s3):
    assert post_error(s3, extra=[["like", "$key", "*"]])[0] == "InvalidPolicyDocument"
