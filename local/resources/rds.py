"""RDS: instances, subnet groups and parameter groups.

The password is accepted as the real provider accepts it, because a control program has to be able to do what this
project's own program cannot. Endpoints, states and the managed secret are passed through from the API.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Any, ClassVar, Final

from botocore.exceptions import ClientError

from local.resources.driver import Aws, AwsError, Driver, gone, pairs, sync_tags, unpaired
from local.resources.schema import ARN, Failure, Property
from local.resources.values import Values

LIMITS: Final = (
    "An instance listens on a port that is free, which is what `port` says; the port asked for, and a "
    "change of it, mean nothing.",
    "Every change is applied at once, whatever `applyImmediately` says: there is no maintenance window, no reboot, no "
    "storage optimisation.",
    "Backups, snapshots, multi-AZ, replicas, encryption, IOPS and monitoring are stored settings, nothing more.",
    "Restoring from a snapshot, replication and restoring to a point in time are refused by name.",
    "Parameter groups are stored; the database does not run under them.",
)

_MISSING: Final = ("DBInstanceNotFound", "DBInstanceNotFoundFault")
_GROUP_MISSING: Final = ("DBSubnetGroupNotFoundFault", "DBParameterGroupNotFound", "DBParameterGroupNotFoundFault")
_IDENTIFIER: Final = r"(?!.*--)[a-z]([a-z0-9-]*[a-z0-9])?"
# Forms of the provider's validate.go and internal/verify, and its list of logs.
_TIME: Final = r"([01]\d|2[0-3]):[0-5]\d"
_DAY: Final = "(mon|tue|wed|thu|fri|sat|sun)"
_KMS_KEY: Final = (
    r"(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:)?(alias/[A-Za-z0-9/_-]+|(key/)?([0-9a-f-]{36}|mrk-[0-9a-f]{32}))"
)
_LOGS: Final = (
    r"agent|alert|audit|diag\.log|error|general|iam-db-auth-error|instance|listener|notify\.log|oemagent|postgresql|"
    "slowquery|trace|upgrade"
)
_PATIENCE: Final = 120  # seconds; a real PostgreSQL starts behind the API
_PAUSE: Final = 0.1

# Input property and the member of CreateDBInstance, ModifyDBInstance and DescribeDBInstances that it is.
_PLAIN: Final = {
    "allocatedStorage": "AllocatedStorage",
    "autoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
    "availabilityZone": "AvailabilityZone",
    "backupRetentionPeriod": "BackupRetentionPeriod",
    "backupWindow": "PreferredBackupWindow",
    "caCertIdentifier": "CACertificateIdentifier",
    "copyTagsToSnapshot": "CopyTagsToSnapshot",
    "deletionProtection": "DeletionProtection",
    "engineVersion": "EngineVersion",
    "iamDatabaseAuthenticationEnabled": "EnableIAMDatabaseAuthentication",
    "instanceClass": "DBInstanceClass",
    "iops": "Iops",
    "kmsKeyId": "KmsKeyId",
    "licenseModel": "LicenseModel",
    "maintenanceWindow": "PreferredMaintenanceWindow",
    "manageMasterUserPassword": "ManageMasterUserPassword",
    "masterUserSecretKmsKeyId": "MasterUserSecretKmsKeyId",
    "maxAllocatedStorage": "MaxAllocatedStorage",
    "monitoringInterval": "MonitoringInterval",
    "monitoringRoleArn": "MonitoringRoleArn",
    "multiAz": "MultiAZ",
    "parameterGroupName": "DBParameterGroupName",
    "password": "MasterUserPassword",
    "passwordWo": "MasterUserPassword",
    "performanceInsightsEnabled": "EnablePerformanceInsights",
    "publiclyAccessible": "PubliclyAccessible",
    "storageThroughput": "StorageThroughput",
    "storageType": "StorageType",
    "vpcSecurityGroupIds": "VpcSecurityGroupIds",
}
_CREATE_ONLY: Final = {
    "dbName": "DBName",
    "dbSubnetGroupName": "DBSubnetGroupName",
    "engine": "Engine",
    "port": "Port",
    "storageEncrypted": "StorageEncrypted",
    "username": "MasterUsername",
    "enabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
}


class Instance(Driver):
    """A database instance. Its id is its resource id (`db-…`); imported by its identifier."""

    type_name = "aws:rds/instance:Instance"
    source = "terraform-provider-aws internal/service/rds/instance.go"
    properties: ClassVar = {
        "allocatedStorage": Property("integer", computed=True, minimum=5),
        "allowMajorVersionUpgrade": Property("boolean", written_only=True),
        "applyImmediately": Property("boolean", default=False, written_only=True),
        "autoMinorVersionUpgrade": Property("boolean", default=True),
        "availabilityZone": Property(computed=True, replaces=True),
        "backupRetentionPeriod": Property("integer", computed=True, minimum=0, maximum=35),
        "backupWindow": Property(computed=True, pattern=f"{_TIME}-{_TIME}"),
        "caCertIdentifier": Property(computed=True),
        "copyTagsToSnapshot": Property("boolean", default=False),
        "dbName": Property(computed=True, replaces=True, pattern=r"[A-Za-z]\w{0,62}"),
        "dbSubnetGroupName": Property(computed=True),
        "deleteAutomatedBackups": Property("boolean", default=True, written_only=True),
        "deletionProtection": Property("boolean", default=False),
        "enabledCloudwatchLogsExports": Property("strings", unordered=True, each=_LOGS),
        "engine": Property(computed=True, replaces=True, caseless=True),
        "engineVersion": Property(computed=True),
        "finalSnapshotIdentifier": Property(written_only=True, pattern=r"[A-Za-z](?!.*--)[0-9A-Za-z-]*[0-9A-Za-z]"),
        "iamDatabaseAuthenticationEnabled": Property("boolean"),
        "identifier": Property(computed=True, longest=63, pattern=_IDENTIFIER),
        "instanceClass": Property(required=True, pattern=r"db\..+"),
        "iops": Property("integer", computed=True),
        "kmsKeyId": Property(computed=True, replaces=True, pattern=ARN),
        "licenseModel": Property(computed=True),
        "maintenanceWindow": Property(computed=True, caseless=True, pattern=f"(?i:{_DAY}:{_TIME}-{_DAY}:{_TIME})"),
        "manageMasterUserPassword": Property("boolean", written_only=True, conflicts=("password", "passwordWo")),
        "masterUserSecretKmsKeyId": Property(computed=True, pattern=_KMS_KEY),
        "maxAllocatedStorage": Property("integer"),
        "monitoringInterval": Property("integer", default=0, choices=(0, 1, 5, 10, 15, 30, 60)),
        "monitoringRoleArn": Property(computed=True, pattern=ARN),
        "multiAz": Property("boolean", computed=True),
        "parameterGroupName": Property(computed=True),
        "password": Property(secret=True, written_only=True, conflicts=("manageMasterUserPassword", "passwordWo")),
        "passwordWo": Property(
            secret=True,
            written_only=True,
            conflicts=("manageMasterUserPassword", "password"),
            needs=("passwordWoVersion",),
        ),
        "passwordWoVersion": Property("integer", written_only=True, needs=("passwordWo",)),
        "performanceInsightsEnabled": Property("boolean", default=False),
        "port": Property("integer", computed=True, minimum=1150, maximum=65_535),
        "publiclyAccessible": Property("boolean", default=False),
        "skipFinalSnapshot": Property("boolean", default=False, written_only=True),
        "storageEncrypted": Property("boolean", replaces=True),
        "storageThroughput": Property("integer", computed=True),
        "storageType": Property(computed=True, choices=("standard", "gp2", "gp3", "io1", "io2")),
        "username": Property(computed=True, replaces=True),
        "vpcSecurityGroupIds": Property("strings", computed=True, unordered=True),
    }
    outputs = frozenset(
        [
            "address",
            "arn",
            "endpoint",
            "engineVersionActual",
            "hostedZoneId",
            "latestRestorableTime",
            "listenerEndpoints",
            "masterUserSecrets",
            "replicas",
            "resourceId",
            "status",
            "tagsAll",
        ]
    )
    derived: ClassVar = {
        "engineVersionActual": ("engineVersion",),
        "masterUserSecrets": ("manageMasterUserPassword", "masterUserSecretKmsKeyId"),
    }
    autoname = ("identifier", 255)
    taggable = True

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Hold the instance to what CreateDBInstance takes."""
        if "engine" not in given or "username" not in given or "allocatedStorage" not in given:
            missing = [key for key in ("allocatedStorage", "engine", "username") if key not in given]
            yield Failure(missing[0], f"missing {', '.join(missing)}: a new instance needs them")
        if not given & {"password", "passwordWo", "manageMasterUserPassword"} and not given & {"arn"}:
            # An adopted instance gives none of them, and no create ever comes; CreateDBInstance itself refuses then.
            return
        shortest = 8
        for key in ("password", "passwordWo"):
            text = known.get(key)
            if text is not None and (len(text) < shortest or re.search(r'[/"@ ]', text)):
                message = (
                    "api error InvalidParameterValue: The parameter MasterUserPassword is not a valid password because "
                    "it is "
                    f"shorter than {shortest} characters, or has one of '/', '\"', '@', ' '."
                )
                yield Failure(key, message)

    def create(self, aws: Aws, inputs: Values) -> str:
        """CreateDBInstance."""
        if not any(inputs.get(key) for key in ("password", "passwordWo", "manageMasterUserPassword")):
            message = "The parameter MasterUserPassword must be provided and must not be blank."
            raise AwsError("RDS: CreateDBInstance", "InvalidParameterValue", message)
        wanted = {
            api: inputs[key] for key, api in {**_PLAIN, **_CREATE_ONLY}.items() if inputs.get(key) not in (None, "")
        }
        for name in ("ManageMasterUserPassword", "EnablePerformanceInsights"):
            if wanted.get(name) is False:
                del wanted[name]
        answer = aws.client("rds").create_db_instance(
            DBInstanceIdentifier=inputs["identifier"], Tags=pairs(inputs["tagsAll"]), **wanted
        )
        return str(answer["DBInstance"]["DbiResourceId"])

    def configure(self, aws: Aws, identifier: str, inputs: Values) -> None:
        """Wait until the instance is available and its managed secret active, as the provider does."""
        deadline = time.monotonic() + _PATIENCE
        while not _ready(aws.client("rds").describe_db_instances(DBInstanceIdentifier=inputs["identifier"])):
            if time.monotonic() > deadline:
                message = (
                    f"waiting for RDS DB Instance ({inputs['identifier']}) create: timeout after {_PATIENCE} seconds"
                )
                raise TimeoutError(message)
            time.sleep(_PAUSE)

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """DescribeDBInstances by the resource id; an import may give the identifier (findDBInstanceByID)."""
        client = aws.client("rds")
        if re.fullmatch(r"db-[0-9A-Z]{2,255}", identifier):
            by_resource_id = [{"Name": "dbi-resource-id", "Values": [identifier]}]
            listed = client.describe_db_instances(Filters=by_resource_id)["DBInstances"]
            return _instance(listed[0], known) if listed else None
        try:
            listed = client.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"]
        except ClientError as error:
            if gone(error, *_MISSING):
                return None
            raise
        return _instance(listed[0], known)

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """ModifyDBInstance with what changed, at once."""
        client = aws.client("rds")
        changed = {
            api: new[key]
            for key, api in {**_PLAIN, "dbSubnetGroupName": "DBSubnetGroupName"}.items()
            if key in new and key not in ("passwordWo", "kmsKeyId", "availabilityZone") and new[key] != old.get(key)
        }
        if _grown(old, new):
            changed.pop("AllocatedStorage", None)
        if new["identifier"] != old["identifier"]:
            changed["NewDBInstanceIdentifier"] = new["identifier"]
        if new.get("passwordWo") and new.get("passwordWoVersion") != old.get("passwordWoVersion"):
            changed["MasterUserPassword"] = new["passwordWo"]
        if old.get("manageMasterUserPassword") and not new.get("manageMasterUserPassword"):
            changed["ManageMasterUserPassword"] = False
        if "EngineVersion" in changed and new.get("allowMajorVersionUpgrade"):
            changed["AllowMajorVersionUpgrade"] = True
        before, after = (set(bag.get("enabledCloudwatchLogsExports") or ()) for bag in (old, new))
        exports = {"EnableLogTypes": sorted(after - before), "DisableLogTypes": sorted(before - after)}
        if before != after:
            changed["CloudwatchLogsExportConfiguration"] = {key: types for key, types in exports.items() if types}
        if changed:
            client.modify_db_instance(
                DBInstanceIdentifier=old["identifier"], ApplyImmediately=new["applyImmediately"], **changed
            )
        sync_tags(
            old,
            new,
            lambda tags: client.add_tags_to_resource(ResourceName=old["arn"], Tags=pairs(tags)),
            lambda keys: client.remove_tags_from_resource(ResourceName=old["arn"], TagKeys=keys),
        )

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """DeleteDBInstance, with a final snapshot unless that is skipped.

        Deletion protection is the API's to enforce.
        """
        name = state["identifier"]
        how: dict[str, Any] = {"SkipFinalSnapshot": True}
        if not state.get("skipFinalSnapshot"):
            if not state.get("finalSnapshotIdentifier"):
                message = "final_snapshot_identifier is required when skip_final_snapshot is false"
                raise AwsError("RDS: DeleteDBInstance", "InvalidParameterCombination", message)
            how = {"SkipFinalSnapshot": False, "FinalDBSnapshotIdentifier": state["finalSnapshotIdentifier"]}
        try:
            aws.client("rds").delete_db_instance(
                DBInstanceIdentifier=name, DeleteAutomatedBackups=state.get("deleteAutomatedBackups", True), **how
            )
        except ClientError as error:
            if not gone(error, *_MISSING):
                raise

    def diff(self, aws: Aws, state: Values, new: Values, ignored: Any = ()) -> list[Any]:
        """Compare, leaving out the write-only password: only its version number tells that it changed."""
        return super().diff(aws, state, new, (*ignored, "passwordWo"))

    def unchanged(self, aws: Aws, name: str, state: Values, inputs: Values) -> bool | None:
        """Storage that grew by itself is no change, nor are 0 and the allocated size as its limit (instance.go).

        The port is never a change: the embedded RDS listens where it is free, whatever was asked for.
        """
        if name == "port" or (name == "allocatedStorage" and _grown(state, inputs)):
            return True
        if name == "maxAllocatedStorage" and not state.get(name) and name in inputs:
            return True if inputs[name] == inputs.get("allocatedStorage") else None
        return None


def _grown(state: Values, inputs: Values) -> bool:
    """Whether autoscaling has made the storage larger than the program asks for."""
    sizes = state.get("allocatedStorage"), inputs.get("allocatedStorage"), inputs.get("maxAllocatedStorage")
    now, wanted, most = (size if isinstance(size, int) else 0 for size in sizes)
    return now > wanted > 0 and most > wanted


def _ready(answer: Any) -> bool:
    found = answer["DBInstances"][0]
    secret = found.get("MasterUserSecret")
    return found["DBInstanceStatus"] == "available" and (not secret or secret.get("SecretStatus") == "active")


def _instance(found: Any, known: Values) -> Values:
    secret = found.get("MasterUserSecret")
    address = found.get("Endpoint", {}).get("Address")
    port = found.get("Endpoint", {}).get("Port")
    state: Values = {
        key: found[api] for key, api in _PLAIN.items() if key not in _OTHERWISE and found.get(api) is not None
    }
    actual = found.get("EngineVersion", "")
    wanted = known.get("engineVersion")
    met = bool(wanted) and (actual == wanted or actual.startswith(f"{wanted}."))
    return {
        **state,
        **({} if known else _UNSAID),
        "id": found["DbiResourceId"],
        "identifier": found["DBInstanceIdentifier"],
        "resourceId": found["DbiResourceId"],
        "arn": found["DBInstanceArn"],
        "address": address,
        "port": port,
        "endpoint": f"{address}:{port}" if address else None,
        "engine": found["Engine"],
        "engineVersion": wanted if met else actual,
        "engineVersionActual": actual,
        "dbName": found.get("DBName") or None,
        "username": found.get("MasterUsername"),
        "dbSubnetGroupName": (found.get("DBSubnetGroup") or {}).get("DBSubnetGroupName"),
        "enabledCloudwatchLogsExports": found.get("EnabledCloudwatchLogsExports") or None,
        "iamDatabaseAuthenticationEnabled": found.get("IAMDatabaseAuthenticationEnabled") or None,
        "masterUserSecrets": [_secret(secret)] if secret else [],
        "masterUserSecretKmsKeyId": secret.get("KmsKeyId") if secret else None,
        "parameterGroupName": next((g["DBParameterGroupName"] for g in found.get("DBParameterGroups", [])), None),
        "performanceInsightsEnabled": found.get("PerformanceInsightsEnabled", False),
        "storageEncrypted": found.get("StorageEncrypted", False),
        "vpcSecurityGroupIds": [g["VpcSecurityGroupId"] for g in found.get("VpcSecurityGroups", [])],
        "hostedZoneId": found.get("Endpoint", {}).get("HostedZoneId", ""),
        "latestRestorableTime": "",
        "listenerEndpoints": [],
        "replicas": found.get("ReadReplicaDBInstanceIdentifiers", []),
        "status": found["DBInstanceStatus"],
        "tagsAll": unpaired(found.get("TagList")),
    }


# Read from another member than the one that is written, or never said back.
_OTHERWISE: Final = frozenset(
    [
        "engineVersion",
        "iamDatabaseAuthenticationEnabled",
        "manageMasterUserPassword",
        "masterUserSecretKmsKeyId",
        "parameterGroupName",
        "password",
        "passwordWo",
        "performanceInsightsEnabled",
        "vpcSecurityGroupIds",
    ]
)


# What AWS says of no instance, as an import has it (instance.go, resourceInstanceImport).
_UNSAID: Final = {"deleteAutomatedBackups": True, "skipFinalSnapshot": True}


def _secret(secret: Any) -> Values:
    return {
        "secretArn": secret.get("SecretArn"),
        "secretStatus": secret.get("SecretStatus"),
        "kmsKeyId": secret.get("KmsKeyId") or "",
    }


DRIVERS: Final = (Instance,)
