"""The database of one stack as operators reach it: RDS, Secrets Manager, and a login tried from inside the network."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from handlers.common.secrets import CURRENT, NoSecretValueError, SecretError, read_json
from ops.database.passwords import objection
from ops.errors import UserError
from ops.stacks import StackHandle

PENDING, PREVIOUS = "AWSPENDING", "AWSPREVIOUS"
Mode = Literal["managed", "adopted", "external"]
#: A change of the master password is done within seconds to minutes; RDS says `available` again then.
WAIT_SECONDS, POLL_SECONDS = 900.0, 2.0
#: After RDS says so the server may still take the old password for a moment.
LOGIN_TRIES = 5


@dataclass(frozen=True)
class Login:
    """What came of a login; `reason` where it was refused."""

    ok: bool
    secret: str
    user: str = ""
    database: str = ""
    reason: str = ""


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
        except (BotoCoreError, ClientError) as error:
            raise UserError(f"Could not {what}: {error}", exit_code=1) from error

    def login(self, stage: str = CURRENT) -> Login:
        """Try to log in from inside the network, with one version of the secret.

        Raises
        ------
        UserError
            The function that tries it does not answer.
        """
        name = str(self.stack.output("migrate_function"))
        try:
            answer = self.stack.client("lambda").invoke(
                FunctionName=name, Payload=json.dumps({"check": "login", "stage": stage}).encode()
            )
            found = json.loads(answer["Payload"].read())
        except (BotoCoreError, ClientError, ValueError) as error:
            raise UserError(f"The function {name} cannot try the login: {error}", exit_code=1) from error
        if answer.get("FunctionError") or "ok" not in found:
            words = str(found.get("errorMessage", "it is older than this command"))
            raise UserError(f"The function {name} cannot try the login: {words}", "Deploy the stack.", exit_code=1)
        return Login(
            bool(found["ok"]),
            str(found["secret"]),
            str(found.get("user", "")),
            str(found.get("database", "")),
            str(found.get("reason", "")),
        )

    def proven(self, stage: str = CURRENT) -> Login:
        """Try to log in a few times; with `dry_run` once."""
        login = self.login(stage)
        for _ in range(0 if self.dry_run else LOGIN_TRIES - 1):
            if login.ok:
                break
            time.sleep(POLL_SECONDS)
            login = self.login(stage)
        return login

    def prove(self, refusal: str, stage: str = CURRENT, *, fix: str = "") -> None:
        """Prove a login and say so; with `dry_run` there is nothing new to prove.

        Raises
        ------
        UserError
            No login works: `refusal`, with the server's reason, and what to do.
        """
        if self.dry_run:
            return
        login = self.proven(stage)
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
        except (BotoCoreError, ClientError) as error:
            raise UserError(f"The instance {self.identifier} cannot be described: {error}", exit_code=1) from error
        return found

    def modify(self, **change: Any) -> None:
        """Change the instance at once and wait until RDS has done it; for use inside `change`."""
        self.rds.modify_db_instance(DBInstanceIdentifier=self.identifier, ApplyImmediately=True, **change)
        self.settle()

    def settle(self) -> None:
        """Wait until nothing of the credential is on its way.

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
            It is not a JSON object, or may not be read.
        """
        try:
            return read_json(self.secrets, self.secret_arn, stage)
        except NoSecretValueError:
            return None

    def version_id(self, stage: str) -> str | None:
        """Return the id of the version with a label."""
        described = self.secrets.describe_secret(SecretId=self.secret_arn)
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


__all__ = ["CURRENT", "PENDING", "PREVIOUS", "Login", "Mode", "SecretError", "Target", "usable"]
