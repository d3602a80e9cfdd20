"""The database: nobody's password, locked, encrypted, closed, kept."""

from collections.abc import Iterator

from components.backups import BACKUP_DAYS
from components.credential import PASSWORDS
from policies.model import UNKNOWN, Finding, Resource, rule
from policies.tokens import CLUSTER, INSTANCE


@rule(
    "database-no-password",
    INSTANCE,
    CLUSTER,
    asks="No program sets a database's master password.",
    why="A deployment with a dummy value overwrote the password of a running database and locked every caller out; "
    "Pulumi's protect stops deletion and replacement, never an update.",
    fix="Remove the property: let RDS own the password (manageMasterUserPassword), or leave it to its owner.",
)
def no_password(resource: Resource) -> Iterator[Finding]:
    """Report a password property, known or not: asking for it is wrong whatever it is."""
    for name in PASSWORDS[resource.type]:
        if resource.props.get(name) is not None:
            yield Finding(resource, name, "is set by the program")


@rule(
    "database-locked",
    INSTANCE,
    CLUSTER,
    asks="A database is protected, ignores changes of its password, and is never replaced by creating another first.",
    why="Measured on the engine: without the ignore list an import brings a password under the program's rule; without "
    "deleteBeforeReplace a refused replacement leaves a second database behind.",
    fix="Give it the options of components/credential_lock.py: protect, ignore_changes, delete_before_replace.",
)
def locked(resource: Resource) -> Iterator[Finding]:
    """Report a missing option; options are never unknown."""
    if not resource.protect:
        yield Finding(resource, "protect", "is off")
    missing = [name for name in PASSWORDS[resource.type] if name not in resource.ignored]
    if missing:
        yield Finding(resource, "ignoreChanges", f"lacks {', '.join(missing)}")
    if not resource.delete_before_replace:
        yield Finding(resource, "deleteBeforeReplace", "is off")


@rule(
    "database-deletion-protection",
    INSTANCE,
    CLUSTER,
    asks="RDS itself refuses to delete a database.",
    why="Pulumi's protect ends where another tool begins.",
    fix="Set deletionProtection to true.",
    fsbp=("RDS.7", "RDS.8"),
    checkov=("CKV_AWS_139", "CKV_AWS_293"),
)
def deletion_protection(resource: Resource) -> Iterator[Finding]:
    """Report what is not true."""
    if resource.get("deletionProtection") not in {True, UNKNOWN}:
        yield Finding(resource, "deletionProtection", "is not true")


@rule(
    "database-encrypted",
    INSTANCE,
    CLUSTER,
    asks="A database is encrypted at rest.",
    why="Storage cannot be encrypted later without making the database anew.",
    fix="Set storageEncrypted to true.",
    fsbp=("RDS.3", "RDS.27"),
    checkov=("CKV_AWS_16", "CKV_AWS_96"),
)
def encrypted(resource: Resource) -> Iterator[Finding]:
    """Report what is not true."""
    if resource.get("storageEncrypted") not in {True, UNKNOWN}:
        yield Finding(resource, "storageEncrypted", "is not true")


@rule(
    "database-not-public",
    INSTANCE,
    asks="A database has no public address.",
    why="Its callers lie in the same VPC; anybody else has no business there.",
    fix="Set publiclyAccessible to false.",
    fsbp=("RDS.2",),
    checkov=("CKV_AWS_17",),
)
def not_public(resource: Resource) -> Iterator[Finding]:
    """Report true; AWS's default depends on the subnets, so leaving it out is reported too."""
    if resource.get("publiclyAccessible") not in {False, UNKNOWN}:
        yield Finding(resource, "publiclyAccessible", "is not false")


@rule(
    "database-backups",
    INSTANCE,
    CLUSTER,
    asks=f"Backups are kept {BACKUP_DAYS} days, and a deletion leaves a final snapshot.",
    why="What was overwritten by mistake is found out days later.",
    fix=f"Set backupRetentionPeriod to {BACKUP_DAYS} or more, skipFinalSnapshot to false, and finalSnapshotIdentifier.",
    fsbp=("RDS.11",),
    checkov=("CKV_AWS_133",),
)
def backups(resource: Resource) -> Iterator[Finding]:
    """Report too few days, or no final snapshot."""
    days = resource.get("backupRetentionPeriod", default=0)
    if days is not UNKNOWN and days < BACKUP_DAYS:
        yield Finding(resource, "backupRetentionPeriod", f"is {days}, below {BACKUP_DAYS}")
    if resource.get("skipFinalSnapshot", default=False) not in {False, UNKNOWN}:
        yield Finding(resource, "skipFinalSnapshot", "is true")
    if resource.get("finalSnapshotIdentifier") is None:
        yield Finding(resource, "finalSnapshotIdentifier", "is missing")


@rule(
    "database-logs",
    INSTANCE,
    CLUSTER,
    asks="A PostgreSQL sends its log to CloudWatch.",
    why="A refused login is seen there first.",
    fix='Add "postgresql" to enabledCloudwatchLogsExports.',
    fsbp=("RDS.9", "RDS.36", "RDS.37"),
    checkov=("CKV_AWS_129", "CKV_AWS_324"),
)
def logs(resource: Resource) -> Iterator[Finding]:
    """Report a list without the log."""
    exports = resource.get("enabledCloudwatchLogsExports", default=())
    if exports is not UNKNOWN and UNKNOWN not in exports and "postgresql" not in exports:
        yield Finding(resource, "enabledCloudwatchLogsExports", "has no postgresql")


@rule(
    "database-upkeep",
    INSTANCE,
    asks="Minor versions install themselves, and snapshots carry the database's tags.",
    why="Fixes of PostgreSQL arrive as minor versions; a snapshot without tags belongs to nobody.",
    fix="Set autoMinorVersionUpgrade and copyTagsToSnapshot to true.",
    fsbp=("RDS.13", "RDS.17"),
    checkov=("CKV_AWS_226", "CKV2_AWS_60"),
)
def upkeep(resource: Resource) -> Iterator[Finding]:
    """Report what is not true; AWS's default of the first is true, of the second false."""
    for name, default in (("autoMinorVersionUpgrade", True), ("copyTagsToSnapshot", False)):
        if resource.get(name, default=default) not in {True, UNKNOWN}:
            yield Finding(resource, name, "is not true")


RULES = (no_password, locked, deletion_protection, encrypted, not_public, backups, logs, upkeep)
