"""What is ignored is nobody's word: only what an import needs may be, and only for a while."""

from collections.abc import Iterator

from components.credential import PASSWORDS
from policies import tokens
from policies.model import Finding, Resource, rule
from policies.tokens import INSTANCE, SECRET

#: Properties that an import may keep as they are until it is over; components/database.py has the same of the instance.
WHILE_IMPORTING = {
    INSTANCE: (
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
    ),
    SECRET: ("description", "tags"),
}
_ALL = tuple(sorted(value for name, value in vars(tokens).items() if name.isupper()))


def _beyond_passwords(resource: Resource) -> list[str]:
    return [name for name in resource.ignored if name not in PASSWORDS.get(resource.type, ())]


@rule(
    "ignored-for-an-import",
    *_ALL,
    asks="A resource ignores changes of what an import needs, and of nothing else.",
    why="Of an ignored property the rules see what exists and not what the program says, so they leave it alone; "
    "somebody could ignore a rule away.",
    fix="Take it from ignore_changes; what has to stay as it is belongs into the program.",
)
def for_an_import(resource: Resource) -> Iterator[Finding]:
    """Report every ignored property that is in no list; options are never unknown."""
    allowed = WHILE_IMPORTING.get(resource.type, ())
    strangers = [name for name in _beyond_passwords(resource) if name not in allowed]
    if strangers:
        yield Finding(resource, "ignoreChanges", f"has {', '.join(strangers)}")
    elif _beyond_passwords(resource) and not resource.protect:
        yield Finding(resource, "ignoreChanges", "is an import's, of something that is not protected")


@rule(
    "import-ends",
    INSTANCE,
    SECRET,
    asks="An import is over when it is done.",
    why="While it is on, deletion protection, backups and logs are as they were found.",
    fix="Remove `importing: true` from the stack's configuration after the first successful deployment.",
    mandatory=False,
)
def import_ends(resource: Resource) -> Iterator[Finding]:
    """Tell what the import still ignores."""
    if _beyond_passwords(resource):
        yield Finding(resource, "ignoreChanges", f"still has {', '.join(_beyond_passwords(resource))}")


RULES = (for_an_import, import_ends)
