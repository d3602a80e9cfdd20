"""Reads from one of moto's requests who signed it and what it asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from urllib.parse import unquote

import xmltodict  # type: ignore[import-untyped]
from botocore.model import OperationNotFoundError
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import determine_request_protocol
from moto.core.utils import get_service_model

from local import iam_presigned, iam_state
from local.iam_actions import Call
from local.iam_errors import Refusal, refusal, s3_refusal
from local.iam_presigned import S3SignatureError, Scope
from local.iam_s3 import S3Request

_AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 +Credential=([^,\s]+)")
# moto's name of a service -> prefix of its IAM actions, where they differ
_PREFIXES = {"apigatewayv2": "apigateway", "s3control": "s3"}
# moto answers X-Ray's paths under names of its own
_XRAY = {"TelemetryRecords": "PutTelemetryRecords", "TraceSegments": "PutTraceSegments"}


@dataclass(frozen=True)
class Signer:
    """Whose key signed a request, and whether the signature came in the URL or in a form."""

    access_key_id: str
    session_token: str | None
    presigned: bool = False


def service_of(response: Any) -> str:
    """IAM prefix of the service that a request is for."""
    name = str(response.boto3_service_name)
    return _PREFIXES.get(name, name)


def signer(response: Any, service: str) -> Signer:
    """Who signed a request.

    Raises
    ------
    local.iam_errors.Refusal
        If nobody did.
    local.iam_presigned.S3SignatureError
        If it is signed in a way that S3 no longer takes.
    """
    headers = response.headers
    if match := _AUTHORIZATION.match(headers.get("Authorization", "")):
        return Signer(match[1].split("/")[0], headers.get("X-Amz-Security-Token"))
    if service == "s3":
        if found := _presigned(response.normalized_request):
            return found
        raise s3_refusal("AccessDenied", "Access Denied")
    raise refusal(response, service, "MissingAuthenticationToken", "Request is missing Authentication Token", 403)


def _presigned(request: Any) -> Signer | None:
    form = {name.lower(): value for name, value in request.form.items()}
    if "X-Amz-Credential" in request.args:
        scope = Scope.parse(request.args["X-Amz-Credential"])
        return Signer(scope.access_key_id, request.args.get("X-Amz-Security-Token"), presigned=True)
    if "x-amz-credential" in form:
        scope = Scope.parse(form["x-amz-credential"])
        return Signer(scope.access_key_id, form.get("x-amz-security-token"), presigned=True)
    if "AWSAccessKeyId" in request.args or "awsaccesskeyid" in form:
        # Signature Version 2: not for buckets made after 24 June 2020
        # https://docs.aws.amazon.com/AmazonS3/latest/API/specify_signature_version.html
        raise S3SignatureError(
            "InvalidRequest",
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        )
    return None


def unknown_caller(response: Any, service: str, signer: Signer) -> Refusal:
    """The refusal of an access key that is nobody's, or of a session's key without its token."""
    if service == "s3":
        return s3_refusal(
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
            AWSAccessKeyId=signer.access_key_id,
        )
    code, status = "InvalidClientTokenId", 403
    if service in ("lambda", "xray", "apigateway"):
        code = "UnrecognizedClientException"  # the same, as JSON services call it
    elif response.headers.get("X-Amz-Target") and service != "sqs":
        code, status = "UnrecognizedClientException", 400
    return refusal(response, service, code, "The security token included in the request is invalid.", status)


def check_presigned(response: Any, secret: str, now: datetime) -> None:
    """Hold a presigned request against its signature, its expiry and, for a POST, its policy.

    Raises
    ------
    local.iam_presigned.S3SignatureError
        As S3 refuses it.
    """
    request = response.normalized_request
    if "X-Amz-Credential" in request.args:
        headers = {name.lower(): value for name, value in request.headers.items()}
        iam_presigned.check_url(
            method=request.method,
            path=request.raw_path,
            query=request.args.to_dict(),
            headers=headers,
            secret=secret,
            now=now,
        )
    else:
        body = response.body
        size = len(body if isinstance(body, bytes) else str(body).encode())
        iam_presigned.check_post(request.form.to_dict(), response.bucket_name or "", size, secret, now)


def call(response: Any, service: str, account: str, region: str) -> Call:
    """One call to any service but S3, its parameters read by moto's parser of the service's own model."""
    operation = response._get_action() or ""
    operation = _XRAY.get(operation, operation) if service == "xray" else operation
    return Call(
        service=service,
        operation=operation or f"{response.method} {response.path}",
        parameters=_parameters(response, operation),
        account=account,
        region=region,
        secrets=lambda secret_id: iam_state.secret_arn(account, region, secret_id),
    )


def _parameters(response: Any, operation: str) -> dict[str, Any]:
    model = get_service_model(response.boto3_service_name)
    try:
        operation_model = model.operation_model(operation)
    except OperationNotFoundError:
        # not an operation of the service: no table has it either, and it is refused there by name
        return {}
    request = response.normalized_request
    protocol = determine_request_protocol(model, request.content_type)
    parsed = PROTOCOL_PARSERS[protocol](operation_model, map_type=dict).parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": request.data,
            "url_path": request.path,
            "url_params": response.uri_match,
        }
    )
    return cast("dict[str, Any]", parsed)


def s3_request(response: Any) -> S3Request:
    """One S3 request, path-style."""
    request = response.normalized_request
    form = request.form.to_dict()
    bucket = response.bucket_name or ""
    key = unquote("/".join(response.raw_path.split("/")[2:]))
    method = request.method
    if method == "POST" and bucket and not key and "key" in form:
        # a browser's upload: the form names the object, and the permission is PutObject's
        # https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
        method, key = "PUT", response.querystring["key"][0]
    return S3Request(
        method=method,
        bucket=bucket,
        key=key,
        query=request.args.to_dict(),
        headers={name.lower(): value for name, value in request.headers.items()},
        deleted=_deleted(response) if method == "POST" and "delete" in request.args else (),
    )


def _deleted(response: Any) -> tuple[tuple[str, str | None], ...]:
    listed = xmltodict.parse(response.body, strip_whitespace=False, force_list=("Object",))["Delete"].get("Object", [])
    return tuple((entry["Key"], entry.get("VersionId")) for entry in listed)
