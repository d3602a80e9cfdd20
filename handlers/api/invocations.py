"""What the API's function does when it is invoked directly, without a request: only whom IAM lets invoke it can ask.

Operators' machines do not reach the database, which lies in private subnets; this function does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from handlers.api.health import deep_check
from handlers.common import services
from handlers.common.clock import now
from handlers.common.dead_letter_ends import JobNotEndedError, end_image_job


class EndJob(BaseModel):
    """End the image job whose dead letter is being discarded."""

    model_config = ConfigDict(extra="forbid")

    job_id: UUID
    number: Annotated[int, Field(ge=0, lt=2**63)]
    redrives: Annotated[int, Field(ge=0, lt=2**31)] = 0
    who: Annotated[str, Field(min_length=1, max_length=300)]


def answer(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """Answer an invocation; ``None`` for anything that is not one of these, as a request."""
    if "requestContext" in event:
        return None
    if event.get("health") == "deep":
        return deep_check().fresh().model_dump(mode="json")
    if "end_job" in event:
        return _end_job(event["end_job"])
    return None


def _end_job(given: object) -> dict[str, Any]:
    try:
        asked = EndJob.model_validate(given)
        end_image_job(services.database(), asked.job_id, asked.number, asked.redrives, who=asked.who, now=now())
    except ValidationError as error:
        return {"ended": False, "error": f"end_job: {error.errors()[0]['msg']}"}
    except JobNotEndedError as error:
        return {"ended": False, "error": str(error)}
    return {"ended": True}
