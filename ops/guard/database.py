"""Rules on the database: its credential, its loss, and who reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from components.credential import CLUSTER, INSTANCE, OWNERSHIP, PASSWORDS
from ops.guard.findings import ROTATION, Finding
from ops.guard.preview import LOSSES, SECRET, UNKNOWN, Preview, State, Step

DATABASES = frozenset({INSTANCE, CLUSTER, "aws:rds/clusterInstance:ClusterInstance"})
SECRET_TYPE = "aws:secretsmanager/secret:Secret"  # noqa: S105
SECRET_VERSION = "aws:secretsmanager/secretVersion:SecretVersion"  # noqa: S105
FUNCTION, POLICIES = (
    "aws:lambda/function:Function",
    frozenset({"aws:iam/policy:Policy", "aws:iam/rolePolicy:RolePolicy"}),
)

# Whatever kind of database has them.
_PASSWORDS = frozenset().union(*PASSWORDS.values())
CREDENTIAL = _PASSWORDS.union(*OWNERSHIP.values())
_VALUES = frozenset({"secretString", "secretBinary", "secretStringWo", "secretStringWoVersion"})
_READ = "secretsmanager:GetSecretValue"


def credential(preview: Preview, _: State | None) -> Iterator[Finding]:
    """Changes of a credential, known from the difference and never from the masked values."""
    made = any(step.type in DATABASES and step.op == "create" for step in preview.steps)
    for step in preview.steps:
        if step.type in DATABASES:
            properties = _credential_of(step)
        elif step.type == SECRET_VERSION and step.under("Database"):
            # Made together with the database it says where that lies; later it may only follow it.
            properties = [] if made and step.op == "create" else _secret_value_of(step)
        else:
            continue
        for name in properties:
            yield Finding(
                "credential-change",
                step.urn,
                step.op,
                name,
                f"the {step.op} of {step.name!r} would change {name}, and with it the credential",
                f"To change the password, rotate it: {ROTATION}. Otherwise take the change out of the program.",
            )


def _credential_of(step: Step) -> list[str]:
    if step.op in {"create", "import", "create-replacement", "replace", "import-replacement"}:
        # What is made or taken over has no credential of the program's at all.
        found = {name for name in _PASSWORDS if step.new.get(name) is not None}
    else:
        found = set()
    if step.op in {"update", "replace", "create-replacement", "import", "import-replacement"}:
        found |= step.changed_properties & CREDENTIAL
        # A provider may give no detail; then what is masked or unknown cannot be told from a change.
        if not step.changed and not step.op.startswith("import"):
            found |= {name for name in CREDENTIAL if _differs_or_hidden(step.old.get(name), step.new.get(name))}
    return sorted(found)


def _secret_value_of(step: Step) -> list[str]:
    if step.op in {"create", "import"}:
        return sorted(name for name in _VALUES if step.new.get(name) is not None)
    if not step.changes_it:
        return []
    return sorted(step.changed_properties & _VALUES) or (
        [] if step.changed and step.op == "update" else ["secretString"]
    )


def _differs_or_hidden(old: Any, new: Any) -> bool:
    return old != new or new in (SECRET, UNKNOWN)


def loss(preview: Preview, state: State | None) -> Iterator[Finding]:
    """Loss of the database or of its secret, and of anything protected."""
    for step in preview.steps:
        precious = step.type in DATABASES or (step.type == SECRET_TYPE and step.under("Database"))
        protected = step.was_protected or (state is not None and state.protected(step.urn))
        if step.op in LOSSES and (precious or protected):
            yield Finding(
                "database-loss" if precious else "protected-loss",
                step.urn,
                step.op,
                "the resource",
                f"{step.name!r} would be subject to {step.op}",
                "Nothing here needs that. The deliberate way to lose a database is in docs/database.md."
                if precious
                else "Keep it; or say why it may go: --allow protected-loss=REASON.",
            )
        elif protected and (step.changes_it or step.op == "same") and not step.is_protected and step.op not in LOSSES:
            yield Finding(
                "database-loss" if precious else "protected-loss",
                step.urn,
                step.op,
                "protect",
                f"{step.name!r} would no longer be protected",
                "Leave protect on.",
            )


def taken_in(preview: Preview, state: State | None) -> Iterator[Finding]:
    """Imports of a database beside, or in the place of, one that the program has; the state tells, not the preview."""
    held = sorted(urn for urn, (type_, _) in state.resources.items() if type_ in DATABASES) if state else []
    for step in preview.steps:
        if step.type not in DATABASES or not step.op.startswith("import") or (state is not None and not held):
            continue
        if state is None:
            reason = f"{step.name!r} would be taken in, and without the state nobody knows what it would be beside"
            fix = "Give the state: pulumi stack export > state.json, then ./bmx guard PREVIEW --state state.json."
        else:
            reason = f"{step.name!r} would be taken in while the state still has {held[0].rsplit('::', 1)[-1]!r}"
            fix = "Let the old one go from the state first: docs/database.md, Restoring from a snapshot."
        yield Finding("database-import", step.urn, step.op, "the resource", reason, fix)


def readers(preview: Preview, _: State | None) -> Iterator[Finding]:
    """What reads the credential, pointed elsewhere while neither the database nor its secret moves."""
    moves = DATABASES | {SECRET_TYPE}
    if any(step.type in moves and step.changes_it for step in preview.steps):
        return
    for step in preview.steps:
        if step.op not in {"update", "replace"}:
            continue
        for what in _reading(step):
            yield Finding(
                "reader-moves-alone",
                step.urn,
                step.op,
                what,
                f"{step.name!r} would read another secret ({what}), and the database stays as it is",
                "Change it together with the database, or say why: --allow reader-moves-alone=REASON.",
            )


def _reading(step: Step) -> list[str]:
    if step.type == FUNCTION:
        old, new = (_variables(inputs) for inputs in (step.old, step.new))
        names = {name for name in old | new if "DATABASE" in name.upper() and "SECRET" in name.upper()}
        return [f"environment variable {name}" for name in sorted(names) if old.get(name) != new.get(name)]
    if step.type in POLICIES:
        before, after = (_secrets_read(inputs.get("policy")) for inputs in (step.old, step.new))
        # Only more of them is a wider grant, which has a rule of its own.
        if before is None or after is None or before <= after:
            return []
        return [f"{_READ} on {len(before - after)} secret(s) taken away"]
    return []


def _variables(inputs: Mapping[str, Any]) -> dict[str, Any]:
    environment = inputs.get("environment")
    variables = environment.get("variables") if isinstance(environment, Mapping) else None
    return dict(variables) if isinstance(variables, Mapping) else {}


def _secrets_read(document: Any) -> set[str] | None:
    try:
        statements = json.loads(document)["Statement"]
        listed = [each for each in statements if each.get("Effect") == "Allow" and _READ in _texts(each.get("Action"))]
    except (TypeError, ValueError, KeyError, AttributeError):
        return None
    return {resource for each in listed for resource in _texts(each.get("Resource"))}


def _texts(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
