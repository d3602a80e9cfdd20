"""One database of the password matrix: a copy of the program with its state, on the matrix's embedded cloud.

The program is small: this project's settings and its `Database`, and a worker that reads the database's secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from botocore.exceptions import ClientError

from local.cloud import Cloud
from local.engine import Engine, Options, Outcome, StateStore
from ops import config
from ops.matrix_rows import DUMMY, GOOD, Edit, Situation
from ops.program_copy import copy_of_the_program, edit

STACK = "local"
PROGRAM = """
import pulumi
import pulumi_aws as aws

import settings as configuration
from components.database import Database
from components.refused import RefusedError

try:
    settings = configuration.load()
    rotate = f"./bmx db rotate --stack {settings.environment}"
    database = Database("database", settings.prefix, settings.database, settings.network, rotate=rotate)
    tags = {"secret": database.secret_arn, "version": settings.version}
    after = pulumi.ResourceOptions(depends_on=database.ready)
    aws.sqs.Queue("worker", name=f"{settings.prefix}-worker", tags=tags, opts=after)
    pulumi.export("secret_arn", database.secret_arn)
except RefusedError as refusal:
    raise pulumi.RunError(str(refusal)) from None
"""
_USER, _NAME = "owner", "books"
_IMAGE = f"127.0.0.1/worker@sha256:{'0' * 64}"


class MatrixError(RuntimeError):
    """A situation that a row starts from could not be brought about."""


@dataclass(frozen=True)
class Known:
    """What is known of a database before a row: which it is, who logs in, and what the callers' secret says."""

    resource_id: str
    user: str
    password: str
    secret: dict[str, Any] | None


class Stack:
    """One copy of the program with its state, and the database that it makes or adopts."""

    def __init__(self, cloud: Cloud, folder: Path, prefix: str, course: tuple[Situation, ...]) -> None:
        self.situation: Situation = course[0]
        self.managed = "managed" in course
        self._course, self._cloud, self._prefix, self._folder = course, cloud, prefix, folder
        self._rds, self._secrets = cloud.client("rds"), cloud.client("secretsmanager")
        self._identifier = f"{prefix}-database"
        self._state = StateStore(folder / "state.json")
        self._edits: tuple[Edit, ...] | None = None
        self._runs = self._dummies = 0
        self._secret_arn = ""
        self._existing: dict[str, Any] = {}

    def edit(self, edits: tuple[Edit, ...]) -> None:
        """Let the program be this project's with these changes."""
        edits = tuple(dict.fromkeys(edits))
        if edits == self._edits:
            return
        self._runs += 1
        self._project = copy_of_the_program(self._folder / f"program-{self._runs}")
        (self._project / "__main__.py").write_text(PROGRAM)
        for change in edits:
            edit(self._project, change.file, change.before, change.after)
        self._edits = edits
        self._engine = Engine(self._project, STACK, self._state, {"aws": self._cloud.provider_address})

    def run(self, options: Options, values: Mapping[str, Any]) -> Outcome:
        """Run the engine; `values` are configuration without the namespace."""
        network = self._cloud.network
        given = {
            "prefix": self._prefix,
            "network": {"vpcId": network.vpc_id, "subnetIds": list(network.subnet_ids)},
            "artefacts": {"image_processing": {"image": _IMAGE}},
            "database": self._database(),
        }
        outcome = self._engine.run(options, config.stack_config(self._project, STACK, {**given, **values}))
        if outcome.cancelled:
            # The engine took the signal and ended in order; what was cut short says nothing about the row.
            raise KeyboardInterrupt
        return outcome

    def begin(self, values: Mapping[str, Any]) -> None:
        """Bring the first situation about: a creation that failed, or a database made by somebody else."""
        if not self.managed:
            self._make_existing()
            return
        wrong = {**self._database(), "engineVersion": "15"}
        outcome = self.run(Options(kind="up", skip_preview=True), {**values, "database": wrong})
        if outcome.ok or "Cannot find version" not in " ".join(outcome.errors()):
            raise MatrixError(f"the creation that should have failed: {outcome.errors()}")

    def advance(self, values: Mapping[str, Any]) -> None:
        """Go on to the next situation of the course."""
        outcome = self.run(Options(kind="up", skip_preview=True), values)
        if not outcome.ok:
            raise MatrixError(f"after {self.situation!r}: {outcome.errors()}")
        self.situation = self._course[self._course.index(self.situation) + 1]

    def reset(self) -> Known:
        """Say what is known before a row; an adopted database has its owner's password again, if a row took it."""
        instance, secret = self.instance(), self.secret()
        if instance and not self.managed and not instance.get("MasterUserSecret"):
            self._rds.modify_db_instance(DBInstanceIdentifier=self._identifier, MasterUserPassword=GOOD)
        password = GOOD if secret is None or not self.managed else secret["password"]
        return Known(instance["DbiResourceId"] if instance else "", _USER, password, secret)

    def dummy(self) -> str:
        """Make up a password, never the same twice: what an earlier row left in the state would be no change."""
        self._dummies += 1
        return f"{DUMMY}-{self._dummies}"

    def logs_in(self, known: Known) -> bool:
        """Whether the password that was good before opens the same database; of a new one, what its secret says."""
        instance = self.instance()
        if instance is None or known.resource_id not in ("", instance["DbiResourceId"]):
            return False
        secret = self.secret() if not known.resource_id else None
        password = (secret or {}).get("password", known.password)
        endpoint = instance["Endpoint"]
        try:
            psycopg.connect(
                host=endpoint["Address"],
                port=endpoint["Port"],
                user=known.user,
                password=password,
                dbname=_NAME,
                connect_timeout=5,
            ).close()
        except psycopg.OperationalError as error:
            if "password authentication failed" not in str(error):
                raise
            return False
        return True

    def instance(self) -> dict[str, Any] | None:
        """Describe the instance at AWS; None if there is none."""
        try:
            answer = self._rds.describe_db_instances(DBInstanceIdentifier=self._identifier)
        except self._rds.exceptions.DBInstanceNotFoundFault:
            return None
        found: dict[str, Any] = answer["DBInstances"][0]
        return found

    def secret(self) -> dict[str, Any] | None:
        """Read what the callers find, as they find it; None if there is nothing."""
        arn = self._secret_arn or str(self._state.outputs().get("secret_arn") or "")
        if not arn:
            return None
        try:
            found: dict[str, Any] = self._read(arn)
            owned = found.get("credentials_secret_arn")
            return found | self._read(owned) if owned else found
        except ClientError:
            return None

    def holds(self) -> tuple[set[str], str, str]:
        """Say what must not have moved for another row to begin here: URNs, the instance, the secret that RDS keeps."""
        instance = self.instance() or {}
        owned = instance.get("MasterUserSecret", {}).get("SecretArn", "")
        return {resource.urn for resource in self._state.resources()}, instance.get("DbiResourceId", ""), owned

    def delete(self) -> None:
        """Delete the instance at AWS, past Pulumi, as another hand would."""
        self._rds.delete_db_instance(DBInstanceIdentifier=self._identifier, SkipFinalSnapshot=True)

    def remove(self) -> None:
        """Take the database away, whatever guards it."""
        if self.instance():
            self._rds.modify_db_instance(DBInstanceIdentifier=self._identifier, DeletionProtection=False)
            self.delete()

    def _read(self, arn: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._secrets.get_secret_value(SecretId=arn)["SecretString"])
        return found

    def _database(self) -> dict[str, Any]:
        size = {"instanceClass": "db.t4g.micro", "databaseName": _NAME, "username": _USER}
        if self.managed:
            return {"mode": "managed", "forceTls": False, **size}
        # The import is the one deployment with the switch on.
        return {"mode": "adopted", "importing": self.situation == "importable", **size, **self._existing}

    def _make_existing(self) -> None:
        """Make what Terraform left: an instance with a password of its owner's, and the secret that says it."""
        name, network = self._identifier, self._cloud.network
        group = self._cloud.client("ec2").create_security_group(
            GroupName=name, Description="existing", VpcId=network.vpc_id
        )["GroupId"]
        self._rds.create_db_subnet_group(
            DBSubnetGroupName=name, DBSubnetGroupDescription="existing", SubnetIds=list(network.subnet_ids)
        )
        self._rds.create_db_parameter_group(
            DBParameterGroupName=name, DBParameterGroupFamily="postgres16", Description="existing"
        )
        self._rds.create_db_instance(
            DBInstanceIdentifier=name,
            Engine="postgres",
            EngineVersion="16",
            DBInstanceClass="db.t4g.micro",
            DBName=_NAME,
            MasterUsername=_USER,
            MasterUserPassword=GOOD,
            AllocatedStorage=20,
            StorageEncrypted=True,
            PubliclyAccessible=False,
            MultiAZ=False,
            Port=5432,
            DBSubnetGroupName=name,
            DBParameterGroupName=name,
            VpcSecurityGroupIds=[group],
        )
        text = json.dumps({"username": _USER, "password": GOOD, "dbname": _NAME})
        self._secret_arn = self._secrets.create_secret(Name=f"{self._prefix}/database", SecretString=text)["ARN"]
        self._existing = {
            "identifier": name,
            "subnetGroup": name,
            "parameterGroup": name,
            "securityGroupId": group,
            "secretName": f"{self._prefix}/database",
            "secretArn": self._secret_arn,
        }
