"""Does the secret log in, as whom, and which secret: asked by operators, who cannot reach the database themselves."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from handlers.common.aws import client
from handlers.common.database import CONNECT_SECONDS, Login, connection_string, read_login
from handlers.common.secrets import CURRENT, SecretError, UnreadableSecretError
from handlers.common.settings import DatabaseSettings
from handlers.common.start_up import Accepted, Refusal, exchange

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

#: Why there was no login. Only `PASSWORD` and `SECRET` say something of the credential.
PASSWORD, SECRET, UNKNOWN = "password", "secret", "unknown"


@dataclass(frozen=True)
class Endpoint:
    """Where the instance itself listens, whatever pooler the secret may name."""

    host: str
    port: int


def try_login(
    settings: DatabaseSettings,
    stage: str = CURRENT,
    endpoint: Endpoint | None = None,
    secrets: SecretsManagerClient | None = None,
) -> dict[str, Any]:
    """Log in once, at the instance, and once more at the secret's address where that is another one.

    Parameters
    ----------
    settings
        Which secret leads to the database.
    stage
        Which version of the credentials is tried.
    endpoint
        The instance's own address; the secret's if not given.
    secrets
        Client; the process's own if not given.

    Returns
    -------
    dict
        ``ok``, ``stage``, ``secret`` (the ARN that was begun with), ``username`` and ``version`` of the credentials;
        with a login also ``user`` and ``database`` as the server names them, otherwise ``reason`` and ``cause``:
        ``password`` where the server itself refused it, ``secret`` where that says no login, else ``unknown``.
        ``callers`` is what the secret's own address said, where it is another one. Never a password.
    """
    answer: dict[str, Any] = {"ok": False, "stage": stage, "secret": settings.secret_arn}
    try:
        login = read_login(secrets or client("secretsmanager"), settings.secret_arn, stage)
    except SecretError as error:
        cause = UNKNOWN if isinstance(error, UnreadableSecretError) else SECRET
        return {**answer, "cause": cause, "reason": str(error)}
    answer |= {"username": login.username, "version": login.version}
    tried = replace(login, **asdict(endpoint)) if endpoint else login
    answer |= _attempt(tried, settings)
    if tried != login:
        answer["callers"] = _attempt(login, settings)
    return answer


def _attempt(login: Login, settings: DatabaseSettings) -> dict[str, Any]:
    # The address may come from the event: no server that asks for it gets the password as it is.
    found = exchange(connection_string(login, settings, require_auth="!password"), CONNECT_SECONDS)
    if isinstance(found, Accepted):
        return {"ok": True, "user": found.user, "database": found.database}
    return {"ok": False, "cause": _cause(found), "reason": _reason(found, login)}


def _cause(refusal: Refusal) -> str:
    return PASSWORD if refusal.wrong_password else UNKNOWN


def _reason(refusal: Refusal, login: Login) -> str:
    words = str(refusal).replace(login.password, "***")
    return f"{login.host}:{login.port} as {login.username!r}: {words}"
