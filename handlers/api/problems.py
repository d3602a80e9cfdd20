"""Errors as callers see them: RFC 9457 problem documents that name the field, and never a stack trace."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError, ServiceError
from aws_lambda_powertools.event_handler.openapi.exceptions import (
    RequestUnsupportedContentType,
    RequestValidationError,
)
from sqlalchemy.exc import SQLAlchemyError

from handlers.common.database import DatabaseUnavailableError, is_passing
from handlers.common.order import BookMissingError
from handlers.common.secrets import SecretError
from handlers.common.settings import SettingError
from handlers.common.storage import StorageError

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"


class ProblemError(Exception):
    """A refusal in words for the caller.

    Parameters
    ----------
    status
        HTTP status.
    detail
        One sentence: what was wrong and what to do.
    errors
        ``{"field", "message"}`` for each field at fault; the field as a dotted path, ``body.title``.
    headers
        Headers that the status asks for.
    kind
        Type and title, where there is more to the problem than its status.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        errors: Sequence[dict[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        *,
        kind: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        # RFC 9457 4.2.1: of about:blank the title is the status's own phrase.
        self.type, self.title = kind or ("about:blank", status.phrase)

    def document(self) -> dict[str, Any]:
        """Return the problem document."""
        document: dict[str, Any] = {
            "type": self.type,
            "title": self.title,
            "status": int(self.status),
            "detail": self.detail,
        }
        return document | ({"errors": self.errors} if self.errors else {})

    def response(self) -> Response[str]:
        """Return the document as a response; already text, for Powertools encodes only ``application/json``."""
        return Response(int(self.status), CONTENT_TYPE, json.dumps(self.document()), headers=self._headers())

    def as_event(self) -> dict[str, Any]:
        """Return the document in API Gateway's own form, for a refusal before the routes."""
        headers = {"Content-Type": CONTENT_TYPE, **self._headers()}
        return {
            "statusCode": int(self.status),
            "headers": headers,
            "body": json.dumps(self.document()),
            "isBase64Encoded": False,
        }

    def _headers(self) -> dict[str, str | list[str]]:
        waits = {"Retry-After": "5"} if self.status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        return {**self.headers, **waits}


def not_found(detail: str) -> ProblemError:
    """Say that something is not there."""
    return ProblemError(HTTPStatus.NOT_FOUND, detail)


def invalid(field: str, message: str) -> ProblemError:
    """Say that one field is at fault."""
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{field}: {message}", [{"field": field, "message": message}])


def _validation(error: RequestValidationError) -> ProblemError:
    errors = [
        # `input` and `ctx` stay out: they repeat what the caller sent, at any length.
        {"field": ".".join(str(part) for part in item["loc"]), "message": str(item["msg"])}
        for item in error.errors()
    ]
    first = f"{errors[0]['field']}: {errors[0]['message']}"
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"The request is not valid. {first}.", errors)


def _unavailable(error: Exception) -> ProblemError:
    log.error("a dependency does not answer", exc_info=error)
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "The service cannot do this at the moment; try again.")


def _unexpected(error: Exception) -> ProblemError:
    log.error("a request failed", exc_info=error)
    return ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "The request failed; the log of the service says why.")


def _statement(error: SQLAlchemyError) -> ProblemError:
    return _unavailable(error) if is_passing(error) else _unexpected(error)


def _same(error: ProblemError) -> ProblemError:
    return error


# The first that fits; what fits none is a 500 whose cause only the log tells.
TRANSLATIONS: tuple[tuple[tuple[type[Exception], ...], Callable[[Any], ProblemError]], ...] = (
    ((ProblemError,), _same),
    ((BookMissingError,), lambda error: not_found(f"{str(error).capitalize()}.")),
    ((NotFoundError,), lambda _: not_found("There is no such path.")),
    ((ServiceError,), lambda error: ProblemError(HTTPStatus(error.status_code), str(error.msg))),
    ((RequestValidationError,), _validation),
    (
        (RequestUnsupportedContentType,),
        lambda _: ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send application/json."),
    ),
    ((DatabaseUnavailableError, StorageError, SecretError, SettingError), _unavailable),
    ((SQLAlchemyError,), _statement),
    ((Exception,), _unexpected),
)


def problem_of(error: Exception) -> ProblemError:
    """Translate any exception into what its caller may know."""
    return next(translate(error) for kinds, translate in TRANSLATIONS if isinstance(error, kinds))


def register(app: APIGatewayHttpResolver) -> None:
    """Let every exception that leaves a route become a problem document."""

    def answer(error: Exception) -> Response[str]:
        return problem_of(error).response()

    # Powertools looks its own errors up before their bases, and answers them itself where none is registered.
    app.exception_handler([NotFoundError, RequestValidationError, RequestUnsupportedContentType, Exception])(answer)
