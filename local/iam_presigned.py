"""S3 requests that carry their signature in the query string or in a form: presigned URLs and presigned POSTs.

Their holder has no credentials, so what binds him is the signature: it is recomputed here, with the signer's secret.
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"
_WEEK = 7 * 24 * 3600
# Fields of a form that its policy need not speak of.
_FREE_FIELDS = {"x-amz-signature", "file", "policy", "awsaccesskeyid", "signature"}


class S3SignatureError(Exception):
    """A signed request that S3 refuses, with S3's error code and message, and extra elements of the error."""

    def __init__(self, code: str, message: str, **elements: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.elements = elements


@dataclass(frozen=True)
class Scope:
    """Credential scope of a signature: who signed, for which day, region and service."""

    access_key_id: str
    date: str
    region: str
    service: str

    @classmethod
    def parse(cls, credential: str) -> Scope:
        """Read `KEY/20250101/us-west-2/s3/aws4_request`."""
        try:
            key, date, region, service, terminator = credential.split("/")
        except ValueError:
            terminator = ""
        if terminator != "aws4_request":
            raise S3SignatureError(
                "AuthorizationQueryParametersError", "Error parsing the X-Amz-Credential parameter; it is malformed."
            )
        return cls(key, date, region, service)

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(secret: str, scope: Scope, text: str) -> str:
    """Signature Version 4 of a string to sign.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    key = ("AWS4" + secret).encode()
    for part in (scope.date, scope.region, scope.service, "aws4_request"):
        key = _hmac(key, part)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _require(matches: bool) -> None:
    if not matches:
        raise S3SignatureError(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
        )


def check_url(
    *, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], secret: str, now: datetime
) -> None:
    """Check a presigned URL.

    Parameters
    ----------
    path : str
        As it came over the wire, still percent-encoded.
    query, headers : mapping
        Decoded query parameters; headers with names in lower case.
    secret : str
        The signer's secret access key.

    Raises
    ------
    S3SignatureError
        If the signature is not the signer's, or the URL has expired.
    """
    scope = Scope.parse(query["X-Amz-Credential"])
    signed = query.get("X-Amz-SignedHeaders", "").split(";")
    pairs = sorted((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in query.items() if k != "X-Amz-Signature")
    canonical = "\n".join(
        [
            method,
            path,
            "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in signed),
            "",
            ";".join(signed),
            headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ]
    )
    date = query.get("X-Amz-Date", "")
    text = "\n".join([ALGORITHM, date, str(scope), hashlib.sha256(canonical.encode()).hexdigest()])
    _require(hmac.compare_digest(signature(secret, scope, text), query.get("X-Amz-Signature", "")))
    try:
        age = now.timestamp() - datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        lifetime = int(query["X-Amz-Expires"])
    except (ValueError, KeyError):
        raise S3SignatureError(
            "AuthorizationQueryParametersError", "X-Amz-Date and X-Amz-Expires must be a date and seconds"
        ) from None
    if not 0 < lifetime <= _WEEK:
        raise S3SignatureError(
            "AuthorizationQueryParametersError", "X-Amz-Expires must be less than a week (in seconds) and positive"
        )
    if age > lifetime:
        raise S3SignatureError("AccessDenied", "Request has expired")


def check_post(form: Mapping[str, str], bucket: str, size: int, secret: str, now: datetime) -> None:
    """Check a presigned POST: its signature, its expiration, and each condition of its policy.

    Parameters
    ----------
    form : mapping
        Fields as sent, without the file.
    size : int
        Bytes of the file.

    Raises
    ------
    S3SignatureError
        With S3's code: SignatureDoesNotMatch, AccessDenied, EntityTooLarge, EntityTooSmall, InvalidPolicyDocument.
    """
    fields = {name.lower(): value for name, value in form.items()}
    document = fields.get("policy", "")
    scope = Scope.parse(fields.get("x-amz-credential", ""))
    _require(hmac.compare_digest(signature(secret, scope, document), fields.get("x-amz-signature", "")))
    expiration, conditions = _policy(document)
    if now >= expiration:
        raise S3SignatureError("AccessDenied", "Invalid according to Policy: Policy expired.")
    covered = set(_FREE_FIELDS)
    for condition in conditions:
        covered |= _check_condition(condition, fields | {"bucket": bucket}, size)
    if extra := sorted(name for name in fields if name not in covered and not name.startswith("x-ignore-")):
        raise S3SignatureError("AccessDenied", f"Invalid according to Policy: Extra input fields: {', '.join(extra)}")


def _policy(document: str) -> tuple[datetime, Sequence[Any]]:
    try:
        policy = json.loads(base64.b64decode(document, validate=True))
        expiration = datetime.fromisoformat(policy["expiration"])
        return expiration if expiration.tzinfo else expiration.replace(tzinfo=UTC), policy["conditions"]
    except (ValueError, KeyError, TypeError) as error:
        raise S3SignatureError("InvalidPolicyDocument", f"Invalid Policy: {error}") from error


def _check_condition(condition: Any, fields: Mapping[str, str], size: int) -> set[str]:
    """Hold the fields against one condition; the names it speaks of."""
    if isinstance(condition, dict):
        for name, value in condition.items():
            _compare(["eq", f"${name}", value], fields)
        return {name.lower() for name in condition}
    if condition[0] == "content-length-range":
        _check_size(int(condition[1]), int(condition[2]), size)
        return set()
    _compare(condition, fields)
    return {str(condition[1]).removeprefix("$").lower()}


def _compare(condition: Sequence[Any], fields: Mapping[str, str]) -> None:
    operator, name, wanted = condition
    given = fields.get(str(name).removeprefix("$").lower())
    if operator not in ("eq", "starts-with"):
        raise S3SignatureError("InvalidPolicyDocument", f"Invalid Policy: unknown operation {operator!r}")
    met = given is not None and (given == wanted if operator == "eq" else given.startswith(str(wanted)))
    if not met:
        raise S3SignatureError(
            "AccessDenied", f"Invalid according to Policy: Policy Condition failed: {json.dumps(list(condition))}"
        )


def _check_size(smallest: int, largest: int, size: int) -> None:
    if size > largest:
        raise S3SignatureError(
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed size",
            ProposedSize=str(size),
            MaxSizeAllowed=str(largest),
        )
    if size < smallest:
        raise S3SignatureError(
            "EntityTooSmall",
            "Your proposed upload is smaller than the minimum allowed size",
            ProposedSize=str(size),
            MinSizeAllowed=str(smallest),
        )
