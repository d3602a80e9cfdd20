"""What a function is told by its environment: the only reader of ``os.environ`` in the handlers.

Plain dataclasses, because the worker's container carries no pydantic.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

SSL_MODES = ("disable", "require", "verify-full")
DEFAULT_SSL_MODE = "require"


class SettingError(RuntimeError):
    """A setting is missing or has a value that cannot be meant."""


def required(name: str, environ: Mapping[str, str] | None = None) -> str:
    """Return a setting that the function cannot work without.

    Raises
    ------
    SettingError
        The variable is not set, or empty.
    """
    value = (os.environ if environ is None else environ).get(name, "").strip()
    if not value:
        raise SettingError(f"the environment variable {name} is not set; the program declares it for this function")
    return value


def optional(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """Return a setting, or ``None`` where it is absent or empty."""
    return (os.environ if environ is None else environ).get(name, "").strip() or None


def queue_variable(flow_key: str) -> str:
    """Name the variable that tells a producer the queue of a flow: ``BMX_<KEY>_QUEUE_NAME``."""
    return f"BMX_{flow_key.upper()}_QUEUE_NAME"


@dataclass(frozen=True)
class Deployment:
    """Which environment this is, and which version of the code."""

    environment: str
    version: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read ``BMX_ENVIRONMENT`` and ``BMX_VERSION``."""
        return cls(required("BMX_ENVIRONMENT", environ), required("BMX_VERSION", environ))


@dataclass(frozen=True)
class DatabaseSettings:
    """Where the database's address and login are kept, and how strictly its TLS is checked.

    ``sslmode`` is libpq's: ``require`` unless declared otherwise, ``verify-full`` together with the path of the
    authority's certificates, ``disable`` only for the PostgreSQL of the embedded cloud, whose build has no TLS.
    """

    secret_arn: str
    sslmode: str = DEFAULT_SSL_MODE
    sslrootcert: str | None = None

    def __post_init__(self) -> None:
        if self.sslmode not in SSL_MODES:
            raise SettingError(f"BMX_DATABASE_SSLMODE is {self.sslmode!r}; it must be one of {', '.join(SSL_MODES)}")
        if self.sslmode == "verify-full" and not self.sslrootcert:
            raise SettingError("BMX_DATABASE_SSLMODE is 'verify-full', so BMX_DATABASE_SSLROOTCERT must name a file")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read ``BMX_DATABASE_SECRET_ARN``, ``BMX_DATABASE_SSLMODE`` and ``BMX_DATABASE_SSLROOTCERT``."""
        return cls(
            required("BMX_DATABASE_SECRET_ARN", environ),
            optional("BMX_DATABASE_SSLMODE", environ) or DEFAULT_SSL_MODE,
            optional("BMX_DATABASE_SSLROOTCERT", environ),
        )


@dataclass(frozen=True)
class ImageSettings:
    """Where the pictures lie, and the address under which the world sees them, if there is one."""

    bucket: str
    cdn_url: str | None = None

    def __post_init__(self) -> None:
        if self.cdn_url is not None and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", self.cdn_url):
            raise SettingError(f"BMX_IMAGES_CDN_URL is {self.cdn_url!r}; it must be an http(s) address")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read ``BMX_IMAGES_BUCKET`` and ``BMX_IMAGES_CDN_URL``."""
        return cls(required("BMX_IMAGES_BUCKET", environ), optional("BMX_IMAGES_CDN_URL", environ))
