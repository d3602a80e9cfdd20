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
        A file that is missing or no YAML, an override without `=`, an encrypted value, or a key that the project
        requires and nobody gave.
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
    for key, value in (_read(stack_file).get("config") or {}).items():
        if isinstance(value, dict) and set(value) == {"secure"}:
            raise UserError(
                f"{stack_file.name}: {key} is encrypted; the embedded engine cannot read it.",
                "Use the Pulumi CLI for that stack.",
            )
        values[_full(key, namespace)] = _text(value)
    values.update({_full(key, namespace): _text(value) for key, value in given.items()})
    values.update(_overrides(overrides, namespace))

    missing = [key for key, entry in schema.items() if key not in values and not _optional(entry)]
    if missing:
        raise UserError(
            f"Stack {stack!r} is missing the configuration value {missing[0]!r}.", f"Set it in {stack_file.name}."
        )
    return values


def _optional(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("description", "").startswith("Optional")


def _overrides(overrides: Iterable[str], namespace: str) -> dict[str, str]:
    values = {}
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator or not key:
            raise UserError(f"--config {override!r} is not KEY=VALUE.", "Example: --config bluemoxon:version=2026.11")
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
