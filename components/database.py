"""Database: a PostgreSQL whose password no program can touch, in one of three modes.

- managed: RDS makes, keeps and rotates the password; a secret of ours says where it lies
- adopted: instance and secret exist and are imported; neither gets a password or another owner of it
- external: given by id, and only reached
- every instance locked by `credential_lock.py`
- clients' security group, whose members reach the database, and nothing else does
"""

import re
from hashlib import sha256
from typing import Annotated, Literal

import pulumi
import pulumi_aws as aws
from pydantic import AfterValidator, Field, model_validator

from components import iam
from components.arguments import Arguments, Text
from components.backups import BACKUP_DAYS
from components.credential_lock import CredentialLock
from components.iam import Grant
from components.needs import Need, UseDatabase

PORT = 5432
#: Majors that RDS runs ("Release calendars for Amazon RDS for PostgreSQL") and the program was written for.
MAJORS = range(13, 18 + 1)
# "Quotas and constraints for Amazon RDS": subnets of a group; "VpcConfig", Lambda API reference: of a function.
FEWEST_SUBNETS = 2
MOST_SUBNETS = 16
# "Managing capacity automatically with Amazon RDS storage autoscaling": at least 10 % above what is allocated.
LEAST_GROWTH_PERCENT = 10
LARGEST_STORAGE = 65_536

# "CreateDBInstance", RDS API reference. A user name of more than 16 characters is refused since 2023; one that is older
# goes on (crossplane-contrib/provider-aws, issue 1701).
_NEW_USERNAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,15}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
# RDS keeps rdsadmin and refuses admin for PostgreSQL (cfn-lint, pull request 4425, tried on AWS). The words of
# PostgreSQL's grammar are those that pg_get_keywords() calls reserved.
_KEPT_BY_RDS = "admin rdsadmin rds_superuser rds_replication rds_password rds_iam rdsrepladmin rdstopmgr"
_KEPT_BY_POSTGRESQL = """
    public none template0 template1
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation
    column concurrently constraint create cross current_catalog current_date current_role current_schema current_time
    current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze
    from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit
    localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references
    returning right select session_user similar some symmetric system_user table tablesample then to trailing true
    union unique user using variadic verbose when where window with
"""
RESERVED_NAMES = frozenset(_KEPT_BY_RDS.split()).union(_KEPT_BY_POSTGRESQL.split())


def _major(version: str) -> str:
    if version not in {str(major) for major in MAJORS}:
        raise ValueError(
            f'must be a major version alone, {MAJORS[0]} to {MAJORS[-1]}, as "16": RDS installs minor versions by '
            "itself, and one that is named here would be a downgrade from then on, which it refuses"
        )
    return version


def _existing_version(version: str) -> str:
    major, _, minor = version.partition(".")
    if not (minor.isascii() and minor.isdigit()) and version != major:
        raise ValueError('must be the version that the instance has, as "16.6", or its major version alone')
    _major(major)
    return version


def _unreserved(name: str, allowed: re.Pattern[str], longest: int) -> str:
    if not allowed.fullmatch(name):
        raise ValueError(f"must be a letter and then letters, digits or '_', {longest} characters in all at most")
    if name.lower() in RESERVED_NAMES or name.lower().startswith("pg_"):
        raise ValueError("is a name that RDS or PostgreSQL keeps for itself; choose another")
    return name


def _new_username(name: str) -> str:
    return _unreserved(name, _NEW_USERNAME, 16)


def _name(name: str) -> str:
    return _unreserved(name, _NAME, 63)


def _each_once(subnets: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(subnets)) < len(subnets):
        raise ValueError("names a subnet twice; name each once")
    return subnets


#: For what others use until its replacement stands: AWS does not delete a group in use, and the provider would delete a
#: named resource first. The name then carries everything that forces the replacement, or the two would collide.
CREATED_FIRST = pulumi.ResourceOptions(delete_before_replace=False)


class Network(Arguments):
    """Where everything lies that has an address in a VPC.

    Attributes
    ----------
    vpc_id, subnet_ids
        An existing VPC and private subnets in it, in at least two availability zones for the database's sake.
    """

    vpc_id: Text
    subnet_ids: Annotated[tuple[Text, ...], Field(min_length=1, max_length=MOST_SUBNETS), AfterValidator(_each_once)]


class Size(Arguments):
    """What an instance is made of.

    Attributes
    ----------
    instance_class, engine_version
        RDS's names, as ``db.t4g.micro`` and ``16``; a major version alone, since RDS moves the minor one.
    database_name
        The database that is made with the instance.
    username
        Its owner. Only a name: see `credential_lock.py` for who owns the password.
    allocated_storage, max_allocated_storage
        GB; RDS grows from the one to the other by itself.
    backup_retention_days
        At least a week.
    multi_az
        Whether a standby lies in another zone.
    """

    instance_class: Text
    engine_version: Annotated[Text, AfterValidator(_major)] = "16"
    database_name: Annotated[Text, AfterValidator(_name)]
    username: Annotated[Text, AfterValidator(_name)]
    allocated_storage: Annotated[int, Field(ge=20, le=LARGEST_STORAGE)] = 20
    max_allocated_storage: Annotated[int, Field(ge=20, le=LARGEST_STORAGE)] = 100
    backup_retention_days: Annotated[int, Field(ge=BACKUP_DAYS, le=35)] = BACKUP_DAYS
    multi_az: bool = False

    @model_validator(mode="after")
    def _room_to_grow(self) -> "Size":
        least = -(-self.allocated_storage * (100 + LEAST_GROWTH_PERCENT) // 100)
        if self.max_allocated_storage < least:
            raise ValueError(
                f"maxAllocatedStorage is {self.max_allocated_storage} GB and allocatedStorage {self.allocated_storage} "
                f"GB, and RDS takes {LEAST_GROWTH_PERCENT} % above it at least; give {least} GB or more"
            )
        return self


class Managed(Size):
    """A new instance, whose password is RDS's.

    Attributes
    ----------
    force_tls
        Whether the server refuses connections without TLS. Off only where the server has none.
    """

    mode: Literal["managed"]
    username: Annotated[Text, AfterValidator(_new_username)]
    force_tls: bool = True


class Adopted(Size):
    """An instance and a secret that exist, to be imported as they are.

    Attributes
    ----------
    engine_version
        The one that the instance has, its minor version included: an import changes nothing only where they are equal
        (terraform-provider-aws, compareActualEngineVersion).
    identifier, subnet_group, parameter_group, security_group_id
        The instance and what it uses already.
    secret_arn, secret_name
        The secret that the callers log in by; its value stays its owner's.
    credentials_secret_arn
        The secret in which RDS keeps the password, once it was handed over to RDS by an operator; callers may read it.
    importing
        On for the one deployment that takes instance and secret into state. Where the program differs from what exists,
        Pulumi (measured with 3.260) imports and then updates in the same deployment; so while this is on,
        `IMPROVED_AFTER_IMPORT` keeps its values and nothing of the instance is changed. Off, the program's come into
        force.
    """

    mode: Literal["adopted"]
    engine_version: Annotated[Text, AfterValidator(_existing_version)] = "16"
    identifier: Text
    subnet_group: Text
    parameter_group: Text
    security_group_id: Text
    secret_arn: Text
    secret_name: Text
    credentials_secret_arn: Text | None = None
    importing: bool = False


class External(Arguments):
    """A database outside the program.

    Attributes
    ----------
    secret_arn
        The secret that the callers log in by.
    security_group_id
        Of the database; gets one rule that lets the clients in.
    endpoint
        Host name, for people and tools to see; the callers find it in the secret.
    port
        TCP port.
    """

    mode: Literal["external"]
    secret_arn: Text
    security_group_id: Text
    endpoint: Text
    port: Annotated[int, Field(ge=1, le=65_535)] = PORT


DatabaseArguments = Annotated[Managed | Adopted | External, Field(discriminator="mode")]

#: Properties of an adopted instance that may be worse than the program's until it is imported. The final snapshot and
#: the backups' end are always among them: AWS keeps nothing of either (terraform-provider-aws, rds/instance.go).
IMPROVED_AFTER_IMPORT = (
    "autoMinorVersionUpgrade",
    "backupRetentionPeriod",
    "copyTagsToSnapshot",
    "deleteAutomatedBackups",
    "deletionProtection",
    "enabledCloudwatchLogsExports",
    "finalSnapshotIdentifier",
    "maxAllocatedStorage",
    "skipFinalSnapshot",
    "tags",
)


class Database(pulumi.ComponentResource):
    """The database, and the way to it.

    Parameters
    ----------
    name
        Name of the component in the program.
    prefix
        Prefix of every name on AWS.
    database
        Which of the three modes, with its values; never inferred.
    network
        Where a new instance and its clients lie.
    rotate
        The command that changes the password properly, told to whoever is refused.
    """

    def __init__(
        self,
        name: str,
        prefix: str,
        database: Managed | Adopted | External,
        network: Network,
        *,
        rotate: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("worker-flows:index:Database", name, {}, opts)
        self._name, self._prefix, self._network, self._rotate = name, prefix, network, rotate
        self._child = pulumi.ResourceOptions(parent=self)
        self._tls = True
        self.clients = self._clients()
        #: What must be there before anybody logs in.
        self.ready: list[pulumi.Resource] = []
        match database:
            case Managed():
                self._make(database)
            case Adopted():
                self._adopt(database)
            case External():
                self._secret_arns: list[pulumi.Input[str]] = [database.secret_arn]
                self._open(database.security_group_id, database.port)
        self.secret_arn = self._secret_arns[0]
        #: What operators' tools must know: mode, the instance's identifier, the secret that RDS keeps.
        self.described = {
            "mode": database.mode,
            "identifier": self._identifier(database),
            "credentials_secret_arn": self._secret_arns[1] if len(self._secret_arns) > 1 else None,
        }
        self.register_outputs({"secret_arn": self.secret_arn})

    def grant(self, need: Need) -> Grant | None:
        """Grant reading the secrets that lead to the database; the function learns the first one's ARN."""
        if not isinstance(need, UseDatabase):
            return None
        variables = {"DATABASE_SECRET_ARN": self.secret_arn, "DATABASE_SSLMODE": "require" if self._tls else "disable"}
        return Grant(iam.secret_statements(self._secret_arns), variables)

    def _identifier(self, database: Managed | Adopted | External) -> str | None:
        match database:
            case Managed():
                return f"{self._prefix}-database"
            case Adopted():
                return database.identifier
            case External():
                return None

    def _make(self, database: Managed) -> None:
        identifier = f"{self._prefix}-database"
        group = self._security_group(f"{self._name}-server", identifier, "The database; only its clients reach it")
        subnets = aws.rds.SubnetGroup(
            f"{self._name}-subnets", name=identifier, subnet_ids=self._network.subnet_ids, opts=self._child
        )
        lock = CredentialLock(self._name, f"RDS owns it; {self._rotate}")
        instance = self._instance(
            database,
            identifier,
            lock.instance(),
            subnet_group=subnets.name,
            parameter_group=self._parameters(database, identifier).name,
            security_group_id=group.id,
            # A stack that was destroyed left its snapshot behind; the next one's must have another name.
            final_snapshot=group.id.apply(lambda id_: f"{identifier}-final-{id_.removeprefix('sg-')}"),
            manage_master_user_password=True,
            # Another major version is declared by name, and its parameter group comes with it: waiting for the
            # maintenance window would leave the old group in use when it is to be deleted.
            allow_major_version_upgrade=True,
            apply_immediately=True,
        )
        credentials = instance.master_user_secrets.apply(lambda secrets: secrets[0].secret_arn)
        self._secret_arns = [self._signpost(database, lock, instance, credentials), credentials]
        self._open(group.id, PORT)

    def _adopt(self, database: Adopted) -> None:
        lock = CredentialLock(
            self._name,
            f"it has to change in the database {database.identifier!r} and in the secret {database.secret_name!r} "
            f"together, and a login be proven; {self._rotate}",
        )
        importing = database.importing
        instance = self._instance(
            database,
            database.identifier,
            pulumi.ResourceOptions.merge(
                lock.instance(IMPROVED_AFTER_IMPORT if importing else ()),
                pulumi.ResourceOptions(import_=database.identifier if importing else None),
            ),
            subnet_group=database.subnet_group,
            parameter_group=database.parameter_group,
            security_group_id=database.security_group_id,
            final_snapshot=f"{database.identifier}-final",
        )
        # No version of it: its value stays its owner's.
        secret = aws.secretsmanager.Secret(
            f"{self._name}-secret",
            name=database.secret_name,
            opts=pulumi.ResourceOptions.merge(
                lock.secret(),
                pulumi.ResourceOptions(
                    parent=self,
                    import_=database.secret_arn if importing else None,
                    ignore_changes=["description", "tags"] if importing else None,
                ),
            ),
        )
        self._secret_arns = [secret.arn]
        if database.credentials_secret_arn:
            self._secret_arns.append(database.credentials_secret_arn)
        self.ready = [instance]
        self._open(database.security_group_id, PORT)

    def _instance(
        self,
        size: Size,
        identifier: str,
        lock: pulumi.ResourceOptions,
        *,
        subnet_group: pulumi.Input[str],
        parameter_group: pulumi.Input[str],
        security_group_id: pulumi.Input[str],
        final_snapshot: pulumi.Input[str],
        manage_master_user_password: bool | None = None,
        allow_major_version_upgrade: bool | None = None,
        apply_immediately: bool | None = None,
    ) -> aws.rds.Instance:
        return aws.rds.Instance(
            f"{self._name}-instance",
            identifier=identifier,
            engine="postgres",
            engine_version=size.engine_version,
            instance_class=size.instance_class,
            db_name=size.database_name,
            username=size.username,
            manage_master_user_password=manage_master_user_password,
            allow_major_version_upgrade=allow_major_version_upgrade,
            apply_immediately=apply_immediately,
            port=PORT,
            allocated_storage=size.allocated_storage,
            max_allocated_storage=size.max_allocated_storage,
            storage_encrypted=True,
            multi_az=size.multi_az,
            publicly_accessible=False,
            db_subnet_group_name=subnet_group,
            parameter_group_name=parameter_group,
            vpc_security_group_ids=[security_group_id],
            auto_minor_version_upgrade=True,
            backup_retention_period=size.backup_retention_days,
            copy_tags_to_snapshot=True,
            enabled_cloudwatch_logs_exports=["postgresql", "upgrade"],
            deletion_protection=True,
            skip_final_snapshot=False,
            final_snapshot_identifier=final_snapshot,
            opts=pulumi.ResourceOptions.merge(lock, self._child),
        )

    def _parameters(self, database: Managed, name: str) -> aws.rds.ParameterGroup:
        self._tls = database.force_tls
        if not database.force_tls:
            pulumi.log.warn(
                f"The database {name!r} takes logins without TLS (forceTls is false). That is for a PostgreSQL without "
                "TLS on one's own machine, and for nothing else.",
                self,
            )
        major = database.engine_version.partition(".")[0]
        return aws.rds.ParameterGroup(
            f"{self._name}-parameters",
            name=f"{name}-{major}",
            family=f"postgres{major}",
            parameters=[{"name": "rds.force_ssl", "value": "1" if database.force_tls else "0"}],
            opts=pulumi.ResourceOptions.merge(self._child, CREATED_FIRST),
        )

    def _signpost(
        self, database: Managed, lock: CredentialLock, instance: aws.rds.Instance, credentials: pulumi.Output[str]
    ) -> pulumi.Output[str]:
        """Make the secret that says where the database and its credentials lie; it holds neither name nor password."""
        secret = aws.secretsmanager.Secret(
            f"{self._name}-secret",
            name=f"{self._prefix}/database",
            description="Where the database is, and which secret holds its credentials",
            opts=pulumi.ResourceOptions.merge(lock.secret(), self._child),
        )
        version = aws.secretsmanager.SecretVersion(
            f"{self._name}-secret",
            secret_id=secret.id,
            secret_string=pulumi.Output.json_dumps(
                {
                    "host": instance.address,
                    "port": instance.port,
                    "database": database.database_name,
                    "credentials_secret_arn": credentials,
                },
                sort_keys=True,
            ),
            opts=self._child,
        )
        self.ready = [instance, version]
        arn: pulumi.Output[str] = secret.arn
        return arn

    def _clients(self) -> aws.ec2.SecurityGroup:
        group = self._security_group(
            f"{self._name}-clients", f"{self._prefix}-functions", "Functions: clients of the database and of AWS"
        )
        aws.vpc.SecurityGroupEgressRule(
            f"{self._name}-clients-to-aws",
            security_group_id=group.id,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            cidr_ipv4="0.0.0.0/0",
            description="APIs of AWS, over TLS",
            opts=self._child,
        )
        return group

    def _open(self, server: pulumi.Input[str], port: int) -> None:
        """Let the clients reach the server's port, and let it be reached by nobody else."""
        tcp = {"ip_protocol": "tcp", "from_port": port, "to_port": port, "description": "PostgreSQL"}
        to_server = aws.vpc.SecurityGroupEgressRule(
            f"{self._name}-clients-to-server",
            security_group_id=self.clients.id,
            referenced_security_group_id=server,
            opts=self._child,
            **tcp,
        )
        from_clients = aws.vpc.SecurityGroupIngressRule(
            f"{self._name}-server-from-clients",
            security_group_id=server,
            referenced_security_group_id=self.clients.id,
            opts=self._child,
            **tcp,
        )
        self.ready += [to_server, from_clients]

    def _security_group(self, resource_name: str, name: str, description: str) -> aws.ec2.SecurityGroup:
        # A name is unique in its VPC, so another VPC needs no other name.
        of_description = sha256(description.encode()).hexdigest()[:7]
        return aws.ec2.SecurityGroup(
            resource_name,
            name=f"{name}-{of_description}",
            description=description,
            vpc_id=self._network.vpc_id,
            opts=pulumi.ResourceOptions.merge(self._child, CREATED_FIRST),
        )
