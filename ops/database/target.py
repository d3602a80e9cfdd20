"""The database of one stack as operators reach it: RDS, Secrets Manager, and a login tried from inside the network."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from handlers.common.secrets import CURRENT, NoSecretValueError, SecretError, UnreadableSecretError, read_json
from ops.database.passwords import objection
from ops.errors import UserError
from ops.stacks import StackHandle

#: Whatever a call to AWS may raise; an answer that is not AWS's is none of botocore's own kinds.
AWS_ERRORS = (BotoCoreError, ClientError, ResponseParserError)
PENDING, PREVIOUS = "AWSPENDING", "AWSPREVIOUS"
Mode = Literal["managed", "adopted", "external"]
#: A change of the master password is done within seconds to minutes; RDS says `available` again then.
WAIT_SECONDS, POLL_SECONDS = 900.0, 2.0
#: RDS may say `available` before it has begun; until then the server takes the old password.
LOGIN_SECONDS = 120.0
Cause = Literal["", "password", "user", "secret", "unknown"]


@dataclass(frozen=True)
class Login:
    """What came of a login.

    Parameters
    ----------
    ok, secret
        Whether it worked, and the ARN that was begun with.
    user, database
        As the server names them, where it worked.
    reason, cause
        Where it did not, why. Only of a `password` is it known that it is wrong: the server itself said so. A `user`
        who is not the master user, a `secret` that says no login, and the `unknown` prove nothing of it.
    version
        Id of the version of the credentials that was tried.
    callers
        Why nobody logs in at the address that the secret names, where that is not the instance's own; empty if one can.
    """

    ok: bool
    secret: str
    user: str = ""
    database: str = ""
    reason: str = ""
    cause: Cause = ""
    version: str = ""
    callers: str = ""


class Target:
    """One stack's database.

    Parameters
    ----------
    stack
        The deployed stack; its outputs name mode, instance, secret and the function inside the network.
    say
        Told of every step.
    dry_run
        Whether to say what would be done, and only look.
    record
        Told of every change before it is made, and must not return unless that is on record.
    """

    def __init__(
        self,
        stack: StackHandle,
        say: Callable[[str], None],
        record: Callable[[str], None],
        *,
        dry_run: bool = False,
    ) -> None:
        self.stack, self.say, self.dry_run, self._record = stack, say, dry_run, record
        described: Mapping[str, Any] = stack.output("database")
        self.mode: Mode = described["mode"]
        self.identifier = str(described.get("identifier") or "")
        self.secret_arn = str(stack.output("database_secret_arn"))

    @property
    def rds(self) -> Any:
        """boto3's client."""
        return self.stack.client("rds")

    @property
    def secrets(self) -> Any:
        """boto3's client."""
        return self.stack.client("secretsmanager")

    def require(self, *modes: Mode) -> None:
        """Refuse a mode that the command is not for.

        Raises
        ------
        UserError
            Another mode.
        """
        if self.mode in modes:
            return
        if self.mode == "external":
            raise UserError(
                f"The database of {self.stack.name} is external: outside of this stack, its password its owner's.",
                f"Ask whoever runs it; the secret is {self.secret_arn}.",
            )
        raise UserError(f"The database of {self.stack.name} is {self.mode}; this is for {' or '.join(modes)}.")

    def change(self, what: str, work: Callable[[], Any]) -> None:
        """Make one change, on record first; with `dry_run` only say it.

        Raises
        ------
        UserError
            AWS refused it.
        """
        if self.dry_run:
            self.say(f"would {what}")
            return
        self._record(what)
        self.say(what)
        try:
            work()
        except AWS_ERRORS as error:
            raise UserError(f"Could not {what}: {error}", exit_code=1) from error

    def login(self, stage: str = CURRENT) -> Login:
        """Try to log in from inside the network, with one version of the secret, at the instance's own endpoint.

        A pooler that the secret may name would answer for itself. An external instance has no other address.

        Raises
        ------
        UserError
            The function that tries it does not answer, or the instance cannot be described.
        """
        name = str(self.stack.output("migrate_function"))
        asked: dict[str, Any] = {"check": "login", "stage": stage}
        described = None if self.mode == "external" else self.instance()
        if described and described.get("Endpoint"):
            asked |= {"host": described["Endpoint"]["Address"], "port": described["Endpoint"]["Port"]}
        try:
            answer = self.stack.client("lambda").invoke(FunctionName=name, Payload=json.dumps(asked).encode())
            found = json.loads(answer["Payload"].read())
        except (*AWS_ERRORS, ValueError) as error:
            raise UserError(f"The function {name} cannot try the login: {error}", exit_code=1) from error
        if answer.get("FunctionError") or "ok" not in found or not (found["ok"] or "cause" in found):
            words = str(found.get("errorMessage", "it is older than this command"))
            raise UserError(f"The function {name} cannot try the login: {words}", "Deploy the stack.", exit_code=1)
        return _judged(found, described)

    def must_log_in(self) -> Login:
        """Return the login that works now.

        Raises
        ------
        UserError
            None does: nothing may be changed then, or a repair comes first.
        """
        login = self.login()
        if login.ok:
            return login
        self.refuse_unless_known(login)
        raise UserError(f"The secret does not log in. {login.reason}", "First: ./bmx db repair", exit_code=1)

    def refuse_unless_known(self, login: Login) -> None:
        """Refuse to go on where a change of the password would be a guess.

        Raises
        ------
        UserError
            The server has not said that the password is wrong, or the secret is of somebody else.
        """
        if login.cause == "unknown":
            raise UserError(
                f"Nothing is known of the password, so it was not touched. {login.reason}",
                "Mend that first, then ask again: ./bmx db check",
                exit_code=1,
            )
        if login.cause == "user":
            raise UserError(
                f"Nothing was changed. {login.reason}",
                f"Write the right user into {login.secret}, or make its previous version the current one "
                "(aws secretsmanager update-secret-version-stage); a managed instance writes its own secret: "
                "aws rds modify-db-instance --rotate-master-user-password --apply-immediately",
                exit_code=1,
            )

    def proven(self, stage: str = CURRENT, *, after: str = "") -> Login:
        """Try to log in until it works or `LOGIN_SECONDS` are over; with `dry_run` once.

        Parameters
        ----------
        after
            Id of the version of the credentials before a rotation: a login with that one proves nothing.
        """
        until = time.monotonic() + LOGIN_SECONDS
        while True:
            login = self.login(stage)
            stale = login.ok and bool(after) and login.version == after
            if self.dry_run or (login.ok and not stale):
                return login
            if time.monotonic() > until:
                reason = "RDS has not written a new password into its secret" if stale else login.reason
                return replace(login, ok=False, reason=f"{reason} (asked for {LOGIN_SECONDS:.0f} s)")
            time.sleep(POLL_SECONDS)

    def prove(self, refusal: str, stage: str = CURRENT, *, fix: str = "", after: str = "") -> None:
        """Prove a login and say so; with `dry_run` there is nothing new to prove. For `after` see `proven`.

        Raises
        ------
        UserError
            No login works: `refusal`, with the server's reason, and what to do.
        """
        if self.dry_run:
            return
        login = self.proven(stage, after=after)
        if not login.ok:
            raise UserError(f"{refusal}: {login.reason}", fix, exit_code=1)
        self.say(f"proven: {login.user} logs in to {login.database}")

    def instance(self) -> Mapping[str, Any]:
        """Describe the instance.

        Raises
        ------
        UserError
            It is not there, or may not be looked at.
        """
        try:
            found: Mapping[str, Any] = self.rds.describe_db_instances(DBInstanceIdentifier=self.identifier)[
                "DBInstances"
            ][0]
        except AWS_ERRORS as error:
            raise UserError(f"The instance {self.identifier} cannot be described: {error}", exit_code=1) from error
        return found

    def modify(self, **change: Any) -> None:
        """Change the instance at once and wait until RDS has done it; for use inside `change`."""
        self.rds.modify_db_instance(DBInstanceIdentifier=self.identifier, ApplyImmediately=True, **change)
        self.settle(change.get("ManageMasterUserPassword"))

    def settle(self, managed: bool | None = None) -> None:
        """Wait until nothing of the credential is on its way, and RDS keeps it, or no longer, where that was asked for.

        RDS may not have begun when it is first asked: a new password is proven by a login, not by this.

        Raises
        ------
        UserError
            It takes more than `WAIT_SECONDS`.
        """
        until = time.monotonic() + WAIT_SECONDS
        while True:
            found = self.instance()
            pending = found.get("PendingModifiedValues") or {}
            secret = found.get("MasterUserSecret") or {}
            if (
                found["DBInstanceStatus"] == "available"
                and "MasterUserPassword" not in pending
                and secret.get("SecretStatus", "active") == "active"
                and managed in {None, bool(secret)}
            ):
                return
            if time.monotonic() > until:
                raise UserError(
                    f"RDS is not done with {self.identifier} in {WAIT_SECONDS:.0f} s: {found['DBInstanceStatus']}.",
                    "Wait, then run ./bmx db repair.",
                    exit_code=1,
                )
            time.sleep(POLL_SECONDS)

    def version(self, stage: str) -> Mapping[str, Any] | None:
        """Return one version of the secret's value, ``None`` where there is none.

        Raises
        ------
        SecretError
            It is not a JSON object.
        UserError
            It may not be read.
        """
        try:
            return read_json(self.secrets, self.secret_arn, stage)
        except NoSecretValueError:
            return None
        except UnreadableSecretError as error:
            raise UserError(f"{error}. Nothing is known of the password.", exit_code=1) from error

    def version_id(self, stage: str) -> str | None:
        """Return the id of the version with a label.

        Raises
        ------
        UserError
            The secret cannot be described.
        """
        try:
            described = self.secrets.describe_secret(SecretId=self.secret_arn)
        except AWS_ERRORS as error:
            raise UserError(f"The secret {self.secret_arn} cannot be described: {error}", exit_code=1) from error
        for version, stages in (described.get("VersionIdsToStages") or {}).items():
            if stage in stages:
                return str(version)
        return None

    def label(self, stage: str, *, onto: str | None, off: str | None) -> None:
        """Move a label between versions of the secret; for use inside `change`."""
        arguments = {"MoveToVersionId": onto, "RemoveFromVersionId": off}
        self.secrets.update_secret_version_stage(
            SecretId=self.secret_arn,
            VersionStage=stage,
            **{name: value for name, value in arguments.items() if value is not None},
        )


def _judged(found: Mapping[str, Any], described: Mapping[str, Any] | None) -> Login:
    """Make a `Login` of the function's answer and of what RDS says of the instance."""
    callers = found.get("callers") or {"ok": True}
    login = Login(
        bool(found["ok"]),
        str(found["secret"]),
        str(found.get("user", "")),
        str(found.get("database", "")),
        str(found.get("reason", "")),
        found.get("cause", ""),
        str(found.get("version", "")),
        "" if callers["ok"] else str(callers["reason"]),
    )
    if login.ok or described is None:
        return login
    owner, status = str(described.get("MasterUsername")), described.get("DBInstanceStatus")
    user = found.get("username", owner)
    if login.cause == "password" and user != owner:
        words = f"The secret's user is {user!r}, and the instance's master user is {owner!r}; the login was refused."
        return replace(login, cause="user", reason=words)
    if status != "available":
        return replace(login, reason=f"{login.reason} (RDS says that the instance is {status})")
    return login


def usable(version: Mapping[str, Any] | None, owner: str) -> str:
    """Say why the master password must not be set to what this version of the secret says; empty if it may."""
    if version is None:
        return "there is no such version"
    if version.get("username") != owner:
        return f"its user is not {owner!r}, the instance's master user"
    password = version.get("password")
    if not isinstance(password, str):
        return "it has no text under 'password'"
    return objection(password)


__all__ = ["AWS_ERRORS", "CURRENT", "PENDING", "PREVIOUS", "Login", "Mode", "SecretError", "Target", "usable"]
