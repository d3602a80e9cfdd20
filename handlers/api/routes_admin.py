"""``/api/v1/admin``: what is deployed here, for operators."""

import logging
import platform
from dataclasses import asdict
from datetime import datetime
from typing import Any

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import SQLAlchemyError

from handlers.api.edge import MAX_BODY_BYTES
from handlers.api.health import deep_check
from handlers.api.health_models import DeepHealth
from handlers.api.models import MAX_IMAGES, MAX_IMPORTED, MAX_PAGE
from handlers.common import image_constants, registry, services
from handlers.common.clock import now
from handlers.common.database import DatabaseUnavailableError
from handlers.common.secrets import SecretError
from handlers.common.settings import SettingError, optional
from handlers.common.storage import MAX_UPLOAD_BYTES, UPLOAD_SECONDS, VIEW_SECONDS
from handlers.common.uploads import COMPLETE_AFTER, REMOVE_AFTER, waiting_uploads

log = logging.getLogger(__name__)
router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]

_first_request = [True]
"""Of this process; a list, because routes are plain functions and this is all the state they have."""


class System(BaseModel):
    """Which code runs where."""

    version: str | None
    environment: str | None
    python: str
    function_name: str | None
    memory_mb: int | None


class InfrastructureConfig(BaseModel):
    """Names on AWS; besides these, one ``<key>_queue`` for each flow of the registry."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str]

    aws_region: str | None
    images_bucket: str | None
    images_cdn_url: str | None


class ImageProcessing(BaseModel):
    """The worker's constants: luma from 0 to 255, sides in pixels, quality as JPEG's."""

    brightness_threshold: float
    max_input_side: int
    min_subject_side: int
    thumbnail_width: int
    thumbnail_height: int
    thumbnail_quality: int
    source_priority: list[str]


class RequestLimits(BaseModel):
    """The largest request, upload and page, and how long addresses are valid."""

    max_body_bytes: int
    max_upload_bytes: int
    max_images_per_book_order: int
    max_images_per_import: int
    max_page: int
    upload_seconds: int
    view_seconds: int


class Uploads(BaseModel):
    """Uploads that are no pictures yet; an overdue one is completed by the sweeper, or removed after a day."""

    waiting: int
    overdue: int
    oldest_at: datetime | None
    completed_after_seconds: int
    removed_after_seconds: int


class SystemInfo(BaseModel):
    """What is deployed here, and how it is."""

    is_cold_start: bool
    timestamp: datetime
    system: System
    health: DeepHealth
    infrastructure: InfrastructureConfig
    image_processing: ImageProcessing
    limits: RequestLimits
    uploads: Uploads | None


@router.get("/system-info", summary="Show what is deployed here, and how it is")
def system_info() -> SystemInfo:
    """Show version, names on AWS, the worker's constants and the deep health check."""
    cold, _first_request[0] = _first_request[0], False
    return SystemInfo(
        is_cold_start=cold,
        timestamp=now(),
        system=_system(),
        health=deep_check().recent(),
        infrastructure=InfrastructureConfig(**_infrastructure()),
        image_processing=ImageProcessing(
            brightness_threshold=image_constants.BRIGHTNESS_THRESHOLD,
            max_input_side=image_constants.MAX_SIDE,
            min_subject_side=image_constants.MIN_SUBJECT_SIDE,
            thumbnail_width=image_constants.THUMBNAIL_SIDE,
            thumbnail_height=image_constants.THUMBNAIL_SIDE,
            thumbnail_quality=image_constants.THUMBNAIL_QUALITY,
            source_priority=list(image_constants.SOURCE_PRIORITY),
        ),
        limits=RequestLimits(
            max_body_bytes=MAX_BODY_BYTES,
            max_upload_bytes=MAX_UPLOAD_BYTES,
            max_images_per_book_order=MAX_IMAGES,
            max_images_per_import=MAX_IMPORTED,
            max_page=MAX_PAGE,
            upload_seconds=UPLOAD_SECONDS,
            view_seconds=VIEW_SECONDS,
        ),
        uploads=_uploads(),
    )


def _uploads() -> Uploads | None:
    """Count uploads; ``None`` where the database does not say, of which health tells."""
    try:
        with services.database().begin() as connection:
            found = waiting_uploads(connection, now=now())
    except (SQLAlchemyError, DatabaseUnavailableError, SecretError, SettingError):
        log.exception("uploads cannot be counted")
        return None
    return Uploads(
        **asdict(found),
        completed_after_seconds=int(COMPLETE_AFTER.total_seconds()),
        removed_after_seconds=int(REMOVE_AFTER.total_seconds()),
    )


def _system() -> System:
    memory = optional("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    return System(
        version=optional("BMX_VERSION"),
        environment=optional("BMX_ENVIRONMENT"),
        python=platform.python_version(),
        function_name=optional("AWS_LAMBDA_FUNCTION_NAME"),
        memory_mb=int(memory) if memory else None,
    )


def _infrastructure() -> dict[str, Any]:
    """Return names on AWS; one that is not set is null here, and health names it."""
    try:
        flows = registry.load().flows
    except registry.RegistryError:
        flows = ()  # health says that there is no registry, and why; the rest of the answer stands
    return {
        "aws_region": optional("AWS_REGION") or optional("AWS_DEFAULT_REGION"),
        "images_bucket": optional("BMX_IMAGES_BUCKET"),
        "images_cdn_url": optional("BMX_IMAGES_CDN_URL"),
        **{f"{flow.key}_queue": flow.queue_name for flow in flows},
    }
