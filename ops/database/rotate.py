"""Rotation: a new password in database and secret, a login proven, the old one back on failure.

For an adopted instance the order is that of AWS's rotation functions: a pending version of the secret, the database, a
login with it, and only then is it the current one. Whoever logs in between the second step and the last is refused and
reads the secret again; messages wait in their queues meanwhile.
"""

from __future__ import annotations

import json

from handlers.common.secrets import SecretError
from ops.database.passwords import new_password
from ops.database.target import CURRENT, PENDING, Login, Target, usable
from ops.errors import UserError

THEN = "Then: ./bmx db repair"


def rotate(target: Target) -> None:
    """Give the database a new password.

    Raises
    ------
    UserError
        It could not be done; the old password holds, or the message says what does.
    """
    target.require("managed", "adopted")
    if target.mode == "managed":
        rotate_managed(target, target.must_log_in())
    else:
        _rotate_adopted(target)


def rotate_managed(target: Target, before: Login) -> None:
    """Have RDS rotate the password that it keeps, and prove a login with another version than that of `before`."""
    target.change(
        f"have RDS rotate the master password of {target.identifier}",
        lambda: target.modify(RotateMasterUserPassword=True),
    )
    target.prove("RDS rotated the password, and no login works with it", fix=THEN, after=before.version)


def _rotate_adopted(target: Target) -> None:
    owner = str(target.instance()["MasterUsername"])
    target.must_log_in()
    current = _readable(target)
    if why := usable(current, owner):
        raise UserError(f"The secret's current version cannot be gone back to: {why}.", "First: ./bmx db repair")
    if target.version_id(PENDING) not in {None, target.version_id(CURRENT)}:
        raise UserError("A rotation was interrupted: the secret has a pending version.", "First: ./bmx db repair")
    value = {**current, "password": new_password()}
    target.change(
        "write the new password into the secret, as its pending version",
        lambda: target.secrets.put_secret_value(
            SecretId=target.secret_arn, SecretString=json.dumps(value), VersionStages=[PENDING]
        ),
    )
    try:
        target.change(
            f"set the master password of {target.identifier} to the pending one",
            lambda: target.modify(MasterUserPassword=value["password"]),
        )
        target.prove("the database got the new password, and no login works with it", PENDING, fix=THEN)
    except (UserError, KeyboardInterrupt):
        back(target, str(current["password"]))
        raise
    promote(target)


def promote(target: Target) -> None:
    """Make the pending version the current one, and prove a login."""
    pending, current = target.version_id(PENDING), target.version_id(CURRENT)
    target.change(
        "make the pending version of the secret the current one",
        lambda: target.label(CURRENT, onto=pending, off=current),
    )
    forget_pending(target)
    target.prove("the secret was changed, and no login works with it", fix=THEN)


def forget_pending(target: Target) -> None:
    """Take the pending label away, where there is one; the version goes with it unless it is the current one."""
    pending = target.version_id(PENDING)
    if pending is not None:
        target.change("take the pending label off the secret", lambda: target.label(PENDING, onto=None, off=pending))


def back(target: Target, password: str) -> None:
    """Give the database a password that worked before, and forget the pending one."""
    target.change(
        f"roll back: set the master password of {target.identifier} to the one before",
        lambda: target.modify(MasterUserPassword=password),
    )
    forget_pending(target)


def _readable(target: Target) -> dict[str, object]:
    try:
        return dict(target.version(CURRENT) or {})
    except SecretError as error:
        raise UserError(str(error), "First: ./bmx db repair", exit_code=1) from error
