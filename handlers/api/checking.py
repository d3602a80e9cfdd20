"""The check of a photograph, in words for the caller who brought it."""

from __future__ import annotations

from http import HTTPStatus

from handlers.api.parts import Parts
from handlers.api.problems import ProblemError, invalid
from handlers.common import photographs, storage


def check(parts: Parts, key: str, *, field: str, declared: str | None = None) -> storage.Fingerprint:
    """Check an object as `photographs.check` does; a refusal names the field.

    Raises
    ------
    ProblemError
        409 there is no object; 413 it is too large; 422 it cannot be a photograph.
    """

    def refuse(status: HTTPStatus, message: str) -> ProblemError:
        return ProblemError(status, f"{field}: {message}", [{"field": field, "message": message}])

    try:
        return photographs.check(parts.storage, key, declared=declared)
    except storage.ObjectMissingError:
        raise refuse(
            HTTPStatus.CONFLICT, "nothing is stored there yet: post the file to upload.url, then call again"
        ) from None
    except storage.ObjectTooLargeError:
        raise refuse(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the object has more than {storage.MAX_UPLOAD_BYTES} bytes"
        ) from None
    except photographs.NotAPhotographError as error:
        raise invalid(field, str(error)) from None
