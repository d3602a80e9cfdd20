"""The workflows' roles: which there are, whom each trusts, and its policies out of `docs/iam`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ops.paths import ROOT

Mode = Literal["managed", "adopted", "external"]
FOLDER = ROOT / "docs" / "iam"
ISSUER = "token.actions.githubusercontent.com"
_PLACEHOLDER = re.compile(r"@([A-Z_]+)@")


@dataclass(frozen=True)
class Role:
    """One role.

    Attributes
    ----------
    name
        On AWS ``bmx-PREFIX-NAME``: no `PREFIX-*`, which is what the deployment may change.
    github
        What is added to the environment's name for the GitHub environment that it trusts; None: people, by MFA.
    branch
        The branch from which alone a workflow may take the role; None: any ref, as a pull request's.
    policy
        File of `docs/iam` without suffix; beside it counts the one with `-managed` or `-adopted`, where there is one.
    """

    name: str
    github: str | None
    policy: str
    branch: str | None = None


ROLES = (
    Role("deploy", "", "deploy", branch="main"),
    Role("preview", "-preview", "preview"),
    Role("drift", "-drift", "drift", branch="main"),
    Role("break-glass", None, "break-glass"),
)


def role_name(role: Role, prefix: str) -> str:
    """Name the role on AWS."""
    return f"bmx-{prefix}-{role.name}"


def policies(role: Role, mode: Mode, values: Mapping[str, str]) -> dict[str, str]:
    """Give a role's policies for a mode of the database; name to document.

    A database that is external is like an adopted one to the deployment: nothing of it is the program's.

    Raises
    ------
    KeyError
        A placeholder that `values` lacks.
    """
    variant = f"{role.policy}-{'managed' if mode == 'managed' else 'adopted'}"
    names = [role.policy, *([variant] if (FOLDER / f"{variant}.json").exists() else [])]
    return {name: document(name, values) for name in names}


def trust(role: Role, values: Mapping[str, str], environment: str) -> str:
    """Give a role's trust policy.

    The subject is never left out: it names the repository and the environment, in both forms that GitHub writes where
    the repository's ids are known. AWS looks at `repository_id` and `ref` besides ("AWS STS supports validation of
    identity provider claims", AWS What's New, January 2026).

    Raises
    ------
    KeyError
        A placeholder that `values` lacks.
    """
    if role.github is None:
        return document("trust-break-glass", values)
    trusted = json.loads(document("trust", {**values, "GITHUB_ENVIRONMENT": environment + role.github}))
    claims = trusted["Statement"][0]["Condition"]["StringEquals"]
    if (immutable := values.get("IMMUTABLE_REPOSITORY")) is not None:
        subject = f"{ISSUER}:sub"
        claims[subject] = [claims[subject], claims[subject].replace(values["REPOSITORY"], immutable, 1)]
        claims[f"{ISSUER}:repository_id"] = values["REPOSITORY_ID"]
    if role.branch is not None:
        claims[f"{ISSUER}:ref"] = f"refs/heads/{role.branch}"
    return json.dumps(trusted, separators=(",", ":"))


def document(name: str, values: Mapping[str, str]) -> str:
    """Read `docs/iam/NAME.json` with its placeholders (`@PREFIX@`) filled in; compact, as IAM counts it.

    Raises
    ------
    KeyError
        A placeholder that `values` lacks.
    """
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    filled = _PLACEHOLDER.sub(lambda match: values[match[1]], text)
    return json.dumps(json.loads(filled), separators=(",", ":"))
