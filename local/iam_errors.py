"""Refusals in AWS's words, in the protocol of the service that was called."""

from __future__ import annotations

from typing import Any, Protocol
from xml.sax.saxutils import escape

from moto.core import errors
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

# Error code and HTTP status where a service does not answer 400 AccessDeniedException, as JSON services do
# (https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html and each API's common errors).
_CODES = {
    "apigateway": ("AccessDeniedException", 403),
    "cloudwatch": ("AccessDenied", 403),
    "ec2": ("UnauthorizedOperation", 403),
    "iam": ("AccessDenied", 403),
    "lambda": ("AccessDeniedException", 403),
    "rds": ("AccessDenied", 403),
    "s3": ("AccessDenied", 403),
    "sns": ("AuthorizationError", 403),
    "sqs": ("AccessDenied", 403),
    "sts": ("AccessDenied", 403),
    "xray": ("AccessDeniedException", 403),
}
_S3_STATUS = {"EntityTooLarge": 400, "EntityTooSmall": 400, "InvalidPolicyDocument": 400, "InvalidRequest": 400}
_S3_STATUS |= {"AuthorizationQueryParametersError": 400, "EmbeddedCloudUnsupported": 400}

# moto warns of codes that are not in a service's own model; these are common to all of them
errors.COMMON_ERROR_CODES.extend(
    {code for code, _ in _CODES.values()}
    | {"AccessDeniedException", "EmbeddedCloudUnsupported", "InvalidClientTokenId", "MissingAuthenticationToken"}
    | {"UnrecognizedClientException"}
)


class _AwsError(ServiceException):  # type: ignore[misc]
    """An error for moto's serialisers; they look for the service of moto's own class in a package of that name."""


class Refusal(HTTPException):
    """An HTTP answer that ends a request before moto handles it."""

    def __init__(self, status: int, body: str | bytes, headers: dict[str, str]) -> None:
        super().__init__(description=body if isinstance(body, str) else body.decode("latin-1"))
        self.code = status
        self.response = Response(body, status, headers)


class Denial(Protocol):
    """What a refusal is told: session, action, resource, and the end of AWS's sentence."""

    @property
    def session(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def resource(self) -> str: ...
    @property
    def reason(self) -> str: ...


def denied(response: Any, service: str, denial: Denial) -> Refusal:
    """The refusal of one permission, worded as AWS words it for that service.

    Parameters
    ----------
    response : moto.core.responses.BaseResponse
        The request, which knows its protocol.
    """
    action = denial.action
    shown = {"sqs": action.lower(), "sns": action.replace("sns:", "SNS:")}.get(service, action)
    # SQS answers with the action in lower case, SNS with its prefix in upper case, S3 quotes the resource
    quoted = f'"{denial.resource}"' if service == "s3" else denial.resource
    reason = denial.reason.replace(action, shown)
    message = f"User: {denial.session} is not authorized to perform: {shown} on resource: {quoted} {reason}"
    code, status = _CODES.get(service, ("AccessDeniedException", 400))
    if action == "sqs:GetQueueUrl":
        # SQS does not tell a caller without permission whether the queue exists
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueUrl.html
        code, status = "QueueDoesNotExist", 400
        message = "The specified queue does not exist or you do not have access to it."
    return refusal(response, service, code, message, status)


def refusal(response: Any, service: str, code: str, message: str, status: int, **elements: str) -> Refusal:
    """A refusal with any code; `elements` are further elements of S3's XML."""
    if service == "s3":
        return s3_refusal(code, message, status, **elements)
    answered, headers, body = response.serialized(ActionResult(_AwsError(code, message)))
    kept = {str(name): str(value) for name, value in headers.items() if name.lower() != "status"}
    # call_action answers with these, not with the exception's own
    response.response_headers.update(kept)
    return Refusal(status or answered, body, kept)


def s3_refusal(code: str, message: str, status: int | None = None, **elements: str) -> Refusal:
    """S3's error document (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html)."""
    parts = {"Code": code, "Message": message, **elements}
    body = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in parts.items())
    document = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{body}<RequestId>LOCAL</RequestId></Error>'
    return Refusal(status or _S3_STATUS.get(code, 403), document, {"Content-Type": "application/xml"})
