"""RDS with real databases behind it: moto keeps the record, a PostgreSQL keeps the data.

Whoever speaks the RDS API therefore moves a real database: a changed master password locks old logins out, a managed
password is random and stands in the secret that RDS makes, a deleted instance is gone.
"""

from __future__ import annotations

import json
import secrets
import string
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg
from moto.rds.exceptions import (
    InvalidParameterCombination,
    InvalidParameterValue,
    RDSClientError,
)
from moto.rds.models import DBInstance, MasterUserSecret, RDSBackend, rds_backends
from moto.secretsmanager.models import SecretsManagerBackend

from local.patching import Patches
from local.postgres import HOST, Postgres, PostgresError

_MAJOR_VERSION = "16"
_SHORTEST_PASSWORD = 8
# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html, MasterUserPassword
_NOT_IN_PASSWORDS = set("/\"@ '")
_RESERVED_USERS = {"admin", "rdsadmin"}
# What RDS's own passwords may hold: awkward in a URL, as its documentation shows them.
_PASSWORD_ALPHABET = string.ascii_letters + string.digits + "!#$%&()*+-.:;<=>?[]^_{|}~"
_PASSWORD_LENGTH = 28


def random_password() -> str:
    """A master password as RDS makes one."""
    return "".join(secrets.choice(_PASSWORD_ALPHABET) for _ in range(_PASSWORD_LENGTH))


class Rds:
    """Databases of one embedded cloud.

    Parameters
    ----------
    home : pathlib.Path
        A folder for each instance is made in it.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._servers: dict[str, Postgres] = {}
        self._lock = threading.RLock()

    def install(self) -> Patches:
        """Put the databases behind moto's RDS, until that is undone."""
        patches = Patches()
        create, modify = RDSBackend.create_db_instance, RDSBackend.modify_db_instance
        patches.set(RDSBackend, "create_db_instance", lambda backend, wanted: self.create(create, backend, wanted))
        patches.set(
            RDSBackend,
            "modify_db_instance",
            lambda backend, identifier, wanted: self.modify(modify, backend, identifier, wanted),
        )
        patches.set(RDSBackend, "delete_db_instance", self._deleting(RDSBackend.delete_db_instance))
        patches.set(RDSBackend, "describe_db_instances", self._describing(RDSBackend.describe_db_instances))
        for name, act in (
            ("stop_db_instance", Postgres.stop),
            ("start_db_instance", Postgres.start),
            ("reboot_db_instance", Postgres.restart),
        ):
            patches.set(RDSBackend, name, self._acting(getattr(RDSBackend, name), act))
        for name in (
            "restore_db_instance_from_db_snapshot",
            "restore_db_instance_to_point_in_time",
            "create_db_instance_read_replica",
        ):
            patches.set(RDSBackend, name, _no_data)
        made_up = DBInstance.address.fget
        patches.set(DBInstance, "address", property(lambda instance: self._address(instance) or made_up(instance)))
        # a bound method would not be given the secret it is called on
        patches.set(MasterUserSecret, "rotate_secret", lambda secret: self._rotate_managed(secret))  # noqa: PLW0108
        patches.set(MasterUserSecret, "_generate_secret_string", _first_secret_string)
        patches.set(SecretsManagerBackend, "rotate_secret", self._rotating(SecretsManagerBackend.rotate_secret))
        return patches

    def stop(self) -> None:
        """Stop every database."""
        with self._lock:
            servers, self._servers = list(self._servers.values()), {}
        for server in servers:
            server.stop()

    def server(self, identifier: str) -> Postgres | None:
        """The database of an instance, if it has one."""
        return self._servers.get(identifier)

    def create(self, create: Callable[..., Any], backend: Any, wanted: Mapping[str, Any]) -> Any:
        """CreateDBInstance."""
        _check_supported(wanted)
        _check_master(wanted)
        with self._lock:
            instance = create(backend, wanted)
            identifier = instance.db_instance_identifier
            server = Postgres(self.home / identifier)
            try:
                server.start()
                server.create_master(instance.master_username, _password(instance, wanted), instance.db_name)
            except (PostgresError, OSError, psycopg.Error) as error:
                server.remove()
                instance.deletion_protection = False
                backend.delete_db_instance(identifier, skip_final_snapshot=True)
                raise RDSClientError("InternalFailure", f"{identifier}: {error}") from error
            self._servers[identifier] = server
            instance.port = server.port
            return instance

    def modify(self, modify: Callable[..., Any], backend: Any, identifier: str, wanted: Any) -> Any:
        """ModifyDBInstance; a new master password counts at once, whatever ApplyImmediately says.

        https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Overview.DBInstance.Modifying.html
        """
        with self._lock:
            managed = bool(backend.describe_db_instances(identifier)[0].manage_master_user_password)
            _check_password_change(wanted, managed=managed)
            if _moves_password(wanted):
                self._must_answer(identifier)
            wanted.pop("db_port_number", None)  # it listens where it listens
            if managed and wanted.get("manage_master_user_password"):
                # already so; moto would make a second secret, whose password is nobody's
                wanted.pop("manage_master_user_password")
            instance = modify(backend, identifier, wanted)
            if instance.db_instance_identifier != identifier and identifier in self._servers:
                self._servers[instance.db_instance_identifier] = self._servers.pop(identifier)
            server = self._servers.get(instance.db_instance_identifier)
            becomes_managed = wanted.get("manage_master_user_password") and not managed
            if server and (wanted.get("master_user_password") or becomes_managed):
                _set_password(server, instance, _password(instance, wanted))
            return instance

    def rotate(self, secret: MasterUserSecret) -> None:
        """Give an instance a new managed password, in its database and in its secret.

        The database comes first: while it is changed nobody can log in with what the secret still says, and readers
        read again after a refused login.
        """
        instance = secret.resource
        password = random_password()
        with self._lock:
            server = self._servers.get(getattr(instance, "db_instance_identifier", ""))
            if server:
                _set_password(server, instance, password)
            secret.secretsmanager.put_secret_value(
                secret.secret.arn, _secret_string(instance.master_username, password), None, None, ["AWSCURRENT"]
            )

    def _rotate_managed(self, secret: Any) -> None:
        secret._status = "rotating"
        self.rotate(secret)

    def _rotating(self, rotate_secret: Callable[..., Any]) -> Callable[..., Any]:
        """RotateSecret: a secret that RDS owns is rotated by RDS, not by a function.

        https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_managed.html
        """

        def rotated(backend: Any, secret_id: str, *args: Any, **kwargs: Any) -> Any:
            found = backend.secrets.get(secret_id)
            for instance in _instances(backend):
                secret = getattr(instance, "master_user_secret", None)
                if found is not None and secret is not None and secret.secret.arn == found.arn:
                    self._rotate_managed(secret)
                    return backend.secrets[found.arn].to_short_dict()
            return rotate_secret(backend, secret_id, *args, **kwargs)

        return rotated

    def _deleting(self, delete: Callable[..., Any]) -> Callable[..., Any]:
        """DeleteDBInstance: the database goes when moto has let the record go."""

        def deleted(backend: Any, db_instance_identifier: str, *args: Any, **kwargs: Any) -> Any:
            instance = delete(backend, db_instance_identifier, *args, **kwargs)
            with self._lock:
                server = self._servers.pop(db_instance_identifier, None)
                if server:
                    server.remove()
            return instance

        return deleted

    def _describing(self, describe: Callable[..., Any]) -> Callable[..., Any]:
        """DescribeDBInstances, and whatever moto looks up itself: what a database does now, not what it once did."""

        def described(backend: Any, *args: Any, **kwargs: Any) -> Any:
            instances = describe(backend, *args, **kwargs)
            for instance in instances:
                server = self._servers.get(instance.db_instance_identifier)
                if server and instance.status in {"available", "rebooting", "failed"}:
                    down = "rebooting" if server.supervised else "failed"
                    instance.status = "available" if server.answers() else down
            return instances

        return described

    def _acting(self, change: Callable[..., Any], act: Callable[[Postgres], None]) -> Callable[..., Any]:
        """StopDBInstance, StartDBInstance and RebootDBInstance; a reboot has begun when it is answered, and no more."""

        def changed(backend: Any, db_instance_identifier: str, *args: Any, **kwargs: Any) -> Any:
            if act is Postgres.restart:
                (found,) = backend.describe_db_instances(db_instance_identifier)
                if found.status == "stopped":
                    raise RDSClientError(
                        "InvalidDBInstanceState", f"Instance {db_instance_identifier} is not in available state."
                    )
            instance = change(backend, db_instance_identifier, *args, **kwargs)
            with self._lock:
                server = self._servers.get(db_instance_identifier)
                if server:
                    try:
                        act(server)
                    except (PostgresError, OSError, psycopg.Error) as error:
                        raise RDSClientError("InternalFailure", f"{db_instance_identifier}: {error}") from error
                    instance.port = server.port
                    if act is Postgres.restart:
                        instance.status = "rebooting"
            return instance

        return changed

    def _must_answer(self, identifier: str) -> None:
        """Refuse a new password while the database is down, before anything is on record of it."""
        server = self._servers.get(identifier)
        if server and not server.answers():
            # "InvalidDBInstanceState: The DB instance isn't in a valid state", ModifyDBInstance
            raise RDSClientError("InvalidDBInstanceState", f"Database instance {identifier} is not in available state.")

    def _address(self, instance: Any) -> str | None:
        return HOST if instance.db_instance_identifier in self._servers else None


def _set_password(server: Postgres, instance: Any, password: str) -> None:
    try:
        server.set_password(instance.master_username, password)
    except (PostgresError, OSError, psycopg.Error) as error:
        raise RDSClientError("InternalFailure", f"{instance.db_instance_identifier}: {error}") from error


def _secret_string(user: str, password: str) -> str:
    return json.dumps({"username": user, "password": password})


def _password(instance: Any, wanted: Mapping[str, Any]) -> str:
    # what was asked for is not readable from the instance, on AWS as in moto
    if instance.manage_master_user_password:
        return str(json.loads(instance.master_user_secret.secret.secret_string)["password"])
    return str(wanted["master_user_password"])


def _check_supported(wanted: Mapping[str, Any]) -> None:
    engine = str(wanted.get("engine"))
    if engine != "postgres" or wanted.get("db_cluster_identifier"):
        raise InvalidParameterValue(f"the embedded cloud runs instances of engine postgres, not {engine} or clusters")
    version = str(wanted.get("engine_version") or _MAJOR_VERSION)
    if version.split(".", maxsplit=1)[0] != _MAJOR_VERSION:
        raise InvalidParameterCombination(f"Cannot find version {version} for postgres")


def _check_master(wanted: Mapping[str, Any]) -> None:
    user, password = wanted.get("master_username"), wanted.get("master_user_password")
    if not user:
        raise InvalidParameterValue("The parameter MasterUsername must be provided and must not be blank.")
    if user in _RESERVED_USERS:
        raise InvalidParameterValue(f"MasterUsername {user} cannot be used as it is a reserved word used by the engine")
    if wanted.get("manage_master_user_password"):
        if password is not None:
            raise InvalidParameterCombination(
                "You can't specify MasterUserPassword when ManageMasterUserPassword is enabled."
            )
        return
    if not password:
        raise InvalidParameterValue("The parameter MasterUserPassword must be provided and must not be blank.")
    _check_password(str(password))


def _check_password(password: str) -> None:
    if len(password) < _SHORTEST_PASSWORD:
        raise InvalidParameterValue(
            "The parameter MasterUserPassword is not a valid password because it is shorter than 8 characters."
        )
    if _NOT_IN_PASSWORDS & set(password) or not password.isascii() or not password.isprintable():
        raise InvalidParameterValue(
            "The parameter MasterUserPassword is not a valid password. Only printable ASCII characters besides "
            "'/', '@', '\"', ''', ' ' may be used."
        )


def _check_password_change(wanted: Mapping[str, Any], *, managed: bool) -> None:
    # https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
    password, manage = wanted.get("master_user_password"), wanted.get("manage_master_user_password")
    if password is not None:
        _check_password(str(password))
        if manage or (managed and manage is not False):
            raise InvalidParameterCombination(
                "You can't specify MasterUserPassword when ManageMasterUserPassword is enabled."
            )
    if managed and manage is False and password is None:
        raise InvalidParameterCombination(
            "You must specify MasterUserPassword when you turn off ManageMasterUserPassword."
        )
    if wanted.get("rotate_master_user_password") and not (managed or manage):
        raise InvalidParameterCombination(
            "You can't rotate the master user password of an instance that RDS does not manage it for."
        )


def _moves_password(wanted: Mapping[str, Any]) -> bool:
    return any(
        wanted.get(name)
        for name in ("master_user_password", "manage_master_user_password", "rotate_master_user_password")
    )


def _no_data(*args: Any, **kwargs: Any) -> Any:
    raise InvalidParameterCombination("the embedded cloud's snapshots hold no data, so nothing is restored from them")


def _first_secret_string(secret: Any) -> str:
    return _secret_string(secret.resource.master_username, random_password())


def _instances(secrets_backend: Any) -> list[Any]:
    return list(rds_backends[secrets_backend.account_id][secrets_backend.region_name].databases.values())
