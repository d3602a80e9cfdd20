"""An adopted database's password, handed over to RDS: an operator's command of its own, never a deployment.

RDS makes a new password and a secret of its own for it, whose ARN nobody's role may read before the program knows it.
So it goes in two: first RDS takes over and the contract's secret gets a copy, by which everybody goes on logging in;
then, when the program has been deployed with `database.credentialsSecretArn`, the contract's secret becomes a signpost.
RDS rotates every seven days, and a copy does not follow: the second half is due before that.
"""

from __future__ import annotations

import json
from typing import Any

from handlers.common.secrets import SecretError, read_json
from ops.database.target import AWS_ERRORS, CURRENT, PREVIOUS, Target, usable
from ops.errors import UserError


def adopt_managed(target: Target) -> None:
    """Hand the password to RDS, or finish doing so.

    Raises
    ------
    UserError
        It could not be done; the message says what holds.
    """
    target.require("adopted")
    found = target.instance()
    contract = _contract(target)
    managed = found.get("MasterUserSecret") or {}
    if managed.get("SecretArn"):
        _continue(target, contract, str(managed["SecretArn"]))
        return
    target.must_log_in()
    if why := usable(contract, str(found["MasterUsername"])):
        raise UserError(f"The secret's current version cannot be gone back to: {why}.", "First: ./bmx db repair")
    target.change(
        f"have RDS make and keep the master password of {target.identifier}",
        lambda: target.modify(ManageMasterUserPassword=True),
    )
    if target.dry_run:
        target.say("would copy the new password into the contract's secret, prove a login, and say what comes next")
        return
    try:
        arn = str(target.instance()["MasterUserSecret"]["SecretArn"])
        _copy(target, contract, arn)
    except (UserError, KeyboardInterrupt):
        _give_back(target, contract)
        raise
    _say_what_is_next(target, arn)


def _continue(target: Target, contract: dict[str, Any], arn: str) -> None:
    if contract.get("credentials_secret_arn") == arn:
        login = target.proven()
        if not login.ok:
            raise UserError(f"RDS keeps the password, and the secret does not log in: {login.reason}", exit_code=1)
        target.say(f"done: RDS keeps the password, and {login.user} logs in to {login.database} by it")
        return
    known = target.stack.outputs.get("database", {}).get("credentials_secret_arn")
    if known != arn:
        # Interrupted, or rotated since: the copy is made anew, so that everybody logs in until the roles may follow.
        _copy(target, contract, arn)
        _say_what_is_next(target, arn)
        return
    signpost: dict[str, Any] = {
        "host": contract.get("host"),
        "port": contract.get("port"),
        "database": contract.get("database") or contract.get("dbname"),
        "credentials_secret_arn": arn,
    }
    target.change("point the contract's secret at RDS's own", lambda: _write(target, signpost))
    if target.dry_run:
        return
    login = target.proven()
    if not login.ok:
        target.change(
            "roll back: make the secret's previous version the current one",
            lambda: target.label(CURRENT, onto=target.version_id(PREVIOUS), off=target.version_id(CURRENT)),
        )
        raise UserError(f"Through RDS's secret nobody logs in: {login.reason}", exit_code=1)
    target.say(f"done: RDS keeps the password, and {login.user} logs in to {login.database} by it")


def _copy(target: Target, contract: dict[str, Any], arn: str) -> None:
    try:
        kept = read_json(target.secrets, arn)
    except SecretError as error:
        raise UserError(str(error), exit_code=1) from error
    value = {**contract, "username": kept["username"], "password": kept["password"]}
    if value != contract:
        target.change("copy RDS's new password into the contract's secret", lambda: _write(target, value))
    target.prove("The copied password does not log in")


def _give_back(target: Target, contract: dict[str, Any]) -> None:
    target.change(
        f"roll back: set the master password of {target.identifier} to the one before, kept by nobody but the secret",
        lambda: target.modify(ManageMasterUserPassword=False, MasterUserPassword=str(contract["password"])),
    )
    target.change("roll back: write the old password into the secret", lambda: _write(target, contract))


def _say_what_is_next(target: Target, arn: str) -> None:
    target.say(
        f"next, within seven days: set database.credentialsSecretArn of the stack {target.stack.name} to {arn}, "
        "deploy, and run this command again; until then a rotation by RDS would lock the callers out."
    )


def _contract(target: Target) -> dict[str, Any]:
    try:
        return dict(target.version(CURRENT) or {})
    except SecretError as error:
        raise UserError(str(error), "First: ./bmx db repair", exit_code=1) from error
    except AWS_ERRORS as error:
        raise UserError(f"The secret cannot be read: {error}", exit_code=1) from error


def _write(target: Target, value: dict[str, Any]) -> None:
    target.secrets.put_secret_value(SecretId=target.secret_arn, SecretString=json.dumps(value, sort_keys=True))
