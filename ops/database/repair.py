"""Repair: bring the database and its secret back together, whichever of them was changed behind the other's back.

Each step leaves a state that this can begin from again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from handlers.common.secrets import SecretError
from ops.database.rotate import forget_pending, promote, rotate_managed
from ops.database.target import CURRENT, PENDING, PREVIOUS, Login, Target, usable
from ops.errors import UserError


def repair(target: Target) -> None:
    """Make the secret log in again.

    Raises
    ------
    UserError
        It does not afterwards; the message says what holds, and what is left to do.
    """
    target.require("managed", "adopted")
    if target.mode == "managed":
        _mend_signpost(target)
    login = target.login()
    if login.ok and login.callers:
        raise UserError(
            f"{login.user} logs in at the instance, and nobody at the address that the secret names: {login.callers}",
            f"Write the right host and port into {target.secret_arn}, or mend what listens there.",
            exit_code=1,
        )
    if login.ok:
        target.say(f"{login.user} logs in to {login.database}: database and secret agree")
        if target.mode == "adopted" and target.version_id(PENDING) not in {None, target.version_id(CURRENT)}:
            forget_pending(target)
        return
    target.refuse_unless_known(login)
    target.say(f"no login: {login.reason}")
    if target.mode == "managed":
        if login.cause != "password":
            raise UserError(
                f"RDS's own secret says no login, so the password was not touched. {login.reason}", exit_code=1
            )
        rotate_managed(target, login)
    else:
        _repair_adopted(target)


def _mend_signpost(target: Target) -> None:
    """The secret that says where the database and its credentials lie must say what RDS says."""
    found = target.instance()
    try:
        right = {
            "host": found["Endpoint"]["Address"],
            "port": found["Endpoint"]["Port"],
            "database": found["DBName"],
            "credentials_secret_arn": found["MasterUserSecret"]["SecretArn"],
        }
    except KeyError as error:
        raise UserError(
            f"RDS does not say {error} of {target.identifier}, so nothing was changed.",
            "Without MasterUserSecret RDS does not keep the password; otherwise wait until it is available.",
            exit_code=1,
        ) from error
    said: Mapping[str, Any] | None
    try:
        said = target.version(CURRENT)
    except SecretError as error:
        target.say(str(error))
        said = None
    if said != right:
        target.change(
            f"write into {target.secret_arn} where the database and its credentials are",
            lambda: target.secrets.put_secret_value(
                SecretId=target.secret_arn, SecretString=json.dumps(right, sort_keys=True)
            ),
        )


def _repair_adopted(target: Target) -> None:
    owner = str(target.instance()["MasterUsername"])
    pending, current, previous = (_version(target, stage) for stage in (PENDING, CURRENT, PREVIOUS))
    tried = {stage: target.login(stage) for stage in (PENDING, PREVIOUS) if target.version_id(stage)}
    for login in tried.values():
        if login.cause == "unknown":
            target.refuse_unless_known(login)
    works = {stage for stage, login in tried.items() if login.ok}
    if PENDING in works and not usable(pending, owner):
        target.say("a rotation was interrupted: the pending version logs in")
        promote(target)
    elif why := usable(current, owner):
        target.say(f"the secret's current version cannot be the database's: {why}")
        _return_to_previous(target, previous, owner, tried.get(PREVIOUS))
    else:
        _set_to_secret(target, str((current or {})["password"]), previous if PREVIOUS in works else None)
    forget_pending(target)


def _return_to_previous(target: Target, previous: Mapping[str, Any] | None, owner: str, tried: Login | None) -> None:
    why = usable(previous, owner) or (tried.reason if tried and tried.cause == "secret" else "")
    if why:
        raise UserError(
            f"The secret's previous version cannot be gone back to either: {why}.",
            f"Write username, password, host, port and database into {target.secret_arn}, then run this again.",
            exit_code=1,
        )
    if tried and tried.cause == "password":
        target.change(
            f"set the master password of {target.identifier} to the secret's previous one",
            lambda: target.modify(MasterUserPassword=str((previous or {})["password"])),
        )
    onto, off = target.version_id(PREVIOUS), target.version_id(CURRENT)
    target.change(
        "make the secret's previous version the current one", lambda: target.label(CURRENT, onto=onto, off=off)
    )
    target.prove("The secret still does not log in")


def _set_to_secret(target: Target, password: str, worked: Mapping[str, Any] | None) -> None:
    """The secret is what the callers have, so the database follows it."""
    try:
        target.change(
            f"set the master password of {target.identifier} to the secret's",
            lambda: target.modify(MasterUserPassword=password),
        )
        target.prove("The secret still does not log in")
    except (UserError, KeyboardInterrupt):
        if worked is not None:
            target.change(
                f"roll back: set the master password of {target.identifier} to the one that worked",
                lambda: target.modify(MasterUserPassword=str(worked["password"])),
            )
        raise


def _version(target: Target, stage: str) -> Mapping[str, Any] | None:
    try:
        return target.version(stage)
    except SecretError as error:
        target.say(str(error))
        return None
