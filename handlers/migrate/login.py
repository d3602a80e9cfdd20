"""Does the secret log in, as whom, and which secret: asked by operators, who cannot reach the database themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from handlers.common.database import Database, DatabaseUnavailableError
from handlers.common.secrets import CURRENT, SecretError
from handlers.common.settings import DatabaseSettings

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


def try_login(
    settings: DatabaseSettings, stage: str = CURRENT, secrets: SecretsManagerClient | None = None
) -> dict[str, Any]:
    """Log in once.

    Parameters
    ----------
    settings
        Which secret leads to the database.
    stage
        Which version of the credentials is tried.
    secrets
        Client; the process's own if not given.

    Returns
    -------
    dict
        ``ok``, ``stage``, ``secret`` (the ARN that was begun with); with a login also ``user`` and ``database`` as the
        server names them, otherwise ``reason``. Never a password.
    """
    answer: dict[str, Any] = {"ok": False, "stage": stage, "secret": settings.secret_arn}
    database = Database(settings, secrets, stage=stage)
    try:
        with database.begin() as connection:
            row = connection.execute(sa.text("select current_user as who, current_database() as which")).one()
    except (SecretError, DatabaseUnavailableError) as error:
        return {**answer, "reason": str(error)}
    finally:
        database.dispose()
    return {**answer, "ok": True, "user": row.who, "database": row.which}
