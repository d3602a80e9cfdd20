"""Secrets: no placeholder where a secret belongs, and no credential of the program's own making."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from components.credential import PASSWORDS, names_a_credential
from policies.documents import parsed
from policies.model import Finding, Resource, rule
from policies.tokens import SECRET, SECRET_VERSION

# Where values are secret; marks of secrecy do not reach a pack (pulumi_policy unwraps them before it asks).
_SECRET_PROPS = {
    SECRET_VERSION: ("secretString", "secretStringWo"),
    **{type_: tuple(name for name in names if not name.endswith("Version")) for type_, names in PASSWORDS.items()},
}
_PLACEHOLDER = re.compile(
    r"|not[-_ ]?used|unused|dummy|change[-_ ]?(me|it)|placeholder|example|secret|password|passw0rd|test|todo|tbd|none"
    r"|null|default|admin|x+|\*+|\.+|<.*>|\$\{.*\}|1234\d*|your[-_ ].*|replace[-_ ]?me"
    r"|(to[-_ ]?be[-_ ]?)?(set|replaced)",
    re.IGNORECASE,
)
_WHY = "A pipeline passed `not-used` for months; the day it reached the database, every login failed."


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield every value in a secret with the way to it; JSON text is looked into."""
    inside = parsed(value) if isinstance(value, str) and value.lstrip()[:1] in {"{", "["} else value
    if isinstance(inside, Mapping):
        for name, each in inside.items():
            yield from _leaves(each, f"{path}.{name}")
    elif isinstance(inside, list):
        for number, each in enumerate(inside):
            yield from _leaves(each, f"{path}[{number}]")
    else:
        yield path, value if inside is None else inside


@rule(
    "secret-no-placeholder",
    *_SECRET_PROPS,
    asks="Nothing that is secret is a placeholder.",
    why=_WHY,
    fix="Take the value away: a secret is written by its owner, never with a stand-in.",
)
def no_placeholder(resource: Resource) -> Iterator[Finding]:
    """Report a value that stands in for a secret, or is empty; what is unknown cannot be told from a good one."""
    for name in _SECRET_PROPS[resource.type]:
        if resource.props.get(name) is None:
            continue
        for path, value in _leaves(resource.props[name], name):
            if isinstance(value, str) and _PLACEHOLDER.fullmatch(value.strip()):
                yield Finding(resource, path, "is a placeholder")


@rule(
    "secret-no-credential",
    SECRET_VERSION,
    asks="The program writes no credential into a secret.",
    why="What a deployment writes, a deployment overwrites; and it lies in the state.",
    fix="Write where the credential lies (credentials_secret_arn), and let its owner write the credential itself.",
)
def no_credential(resource: Resource) -> Iterator[Finding]:
    """Report a field that is named like a credential, known or not; a secret unknown as a whole is read when known."""
    for name in _SECRET_PROPS[SECRET_VERSION]:
        for path, _ in _leaves(resource.get(name), name):
            field = path.rpartition(".")[2]
            if path != name and names_a_credential(field):
                yield Finding(resource, path, "is a credential")


@rule(
    "secret-recoverable",
    SECRET,
    asks="A deleted secret can be brought back.",
    why="With a recovery window of 0 a deletion is final at once.",
    fix="Leave recoveryWindowInDays out, or set it to 7 or more.",
)
def recoverable(resource: Resource) -> Iterator[Finding]:
    """Report 0; AWS's default is 30 days."""
    if resource.get("recoveryWindowInDays") == 0:
        yield Finding(resource, "recoveryWindowInDays", "is 0")


RULES = (no_placeholder, no_credential, recoverable)
