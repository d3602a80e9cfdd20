"""What a credential is: the properties of a database that decide one, and names that look like one.

Plain data. The lock on the database, the policy pack, the plan gate and the settings all read it here, so that what one
of them guards the others do too.
"""

import re
from collections.abc import Mapping

INSTANCE = "aws:rds/instance:Instance"
CLUSTER = "aws:rds/cluster:Cluster"

#: Properties that set a master password: set by nobody, and ignored, so that an import may bring them.
PASSWORDS: Mapping[str, tuple[str, ...]] = {
    INSTANCE: ("password", "passwordWo", "passwordWoVersion"),
    CLUSTER: ("masterPassword", "masterPasswordWo", "masterPasswordWoVersion"),
}
#: Properties whose change would change who owns the credential, or the data that it opens.
OWNERSHIP: Mapping[str, tuple[str, ...]] = {
    INSTANCE: (
        "manageMasterUserPassword",
        "masterUserSecretKmsKeyId",
        "replicateSourceDb",
        "restoreToPointInTime",
        "snapshotIdentifier",
        "username",
    ),
    CLUSTER: (
        "manageMasterUserPassword",
        "masterUserSecretKmsKeyId",
        "masterUsername",
        "replicationSourceIdentifier",
        "restoreToPointInTime",
        "snapshotIdentifier",
    ),
}

_NAME = re.compile(
    r"pass(w|phrase|code)|pwd|secret|token|credential|(api|access|private)_?key|auth(?!or)|authoriz", re.IGNORECASE
)
# A name that says where a secret lies is what it should be.
_SIGNPOST = re.compile(r"_(?i:arn|name|id|url|prefix|ttl|seconds)$|[a-z](Arn|Name|Id|Url)$")


def names_a_credential(name: str) -> bool:
    """Tell whether what goes by this name would be a credential, and no pointer to one."""
    return bool(_NAME.search(name)) and not _SIGNPOST.search(name)
