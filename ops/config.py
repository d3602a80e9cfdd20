"""Stack configuration as the Pulumi CLI hands it to a program: files, schema defaults, `--config`, given values.

Sources: pulumi/pulumi sdk/go/common/workspace (project and stack files), "Project-level configuration" in its docs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ops.errors import UserError


def stack_config(project: Path, stack: str, given: Mapping[str, Any], overrides: Iterable[str] = ()) -> dict[str, str]:
    """Return every configuration value of a stack, key in full (`namespace:key`), value as the program's string.

    Later sources win: the project's defaults, the stack's file, `given` (what exists before the program: network,
    images, version), then `overrides` (`key=value`, from `--config`; this operation only, nothing is saved).

    Raises
    ------
    UserError
        A file that is missing or no YAML, an override without `=`, or an encrypted value.
    """
    definition = _read(project / "Pulumi.yaml")
    namespace = str(definition["name"])
    stack_file = project / f"Pulumi.{stack}.yaml"
    if not stack_file.exists():
        raise UserError(f"There is no stack {stack!r}: {stack_file.name} does not exist.")

    schema = {_full(key, namespace): value for key, value in (definition.get("config") or {}).items()}
    values: dict[str, str] = {}
    for key, entry in schema.items():
        default = entry.get("default", entry.get("value")) if isinstance(entry, dict) else entry
        if default is not None:
            values[key] = _text(default)
    configured = _read(stack_file).get("config") or {}
    encrypted = [key for key, value in configured.items() if isinstance(value, dict) and set(value) == {"secure"}]
    if encrypted:
        raise UserError(
            f"{stack_file.name}: {', '.join(encrypted)} is encrypted; the embedded engine cannot read it.",
            "Use the Pulumi CLI for that stack.",
        )
    values.update({_full(key, namespace): _text(value) for key, value in configured.items()})
    values.update({_full(key, namespace): _text(value) for key, value in given.items()})
    values.update(_overrides(overrides, namespace))

    # What is missing is for settings.py to say, with whatever else is wrong.
    return values


def _overrides(overrides: Iterable[str], namespace: str) -> dict[str, str]:
    values = {}
    for number, override in enumerate(overrides, start=1):
        key, separator, value = override.partition("=")
        if not separator or not key:
            # Not quoted: it may be a value whose key was forgotten, and a credential.
            raise UserError(
                f"--config number {number} is not KEY=VALUE.", "Example: --config bluemoxon:version=2026.11"
            )
        values[_full(key, namespace)] = value
    return values


def _full(key: str, namespace: str) -> str:
    return key if ":" in key else f"{namespace}:{key}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, dict | list) else str(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UserError(f"{path.name} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path.name} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path.name} holds no mapping.")
    return content
