"""Stack configuration as the Pulumi CLI hands it to a program: files, schema defaults, `--config`, given values.

Sources: pulumi/pulumi sdk/go/common/workspace (project and stack files), "Project-level configuration" in its docs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ops import stack_yaml
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
    if not definition.get("name"):
        raise UserError("Pulumi.yaml has no `name`.")
    namespace = _text(definition["name"])
    stack_file = project / f"Pulumi.{stack}.yaml"
    if not stack_file.exists():
        raise UserError(f"There is no stack {stack!r}: {stack_file.name} does not exist.")

    schema = _in_full("Pulumi.yaml", definition, namespace)
    values: dict[str, str] = {}
    for key, entry in schema.items():
        default = entry.get("default", entry.get("value")) if isinstance(entry, dict) else entry
        if default is not None:
            values[key] = _text(default)
    configured = _in_full(stack_file.name, _read(stack_file), namespace)
    encrypted = [key for key, value in configured.items() if isinstance(value, dict) and set(value) == {"secure"}]
    if encrypted:
        raise UserError(
            f"{stack_file.name}: {', '.join(encrypted)} is encrypted; the embedded engine cannot read it.",
            "Use the Pulumi CLI for that stack.",
        )
    values.update({key: _text(value) for key, value in configured.items()})
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


def _in_full(file: str, content: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """The file's `config`, its keys in full; of two spellings of one key the CLI keeps either, as it happens."""
    config = content.get("config")
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise UserError(f"{file}: config is no mapping of keys to values.")
    found: dict[str, Any] = {}
    for key, value in config.items():
        full = _full(key, namespace)
        if full in found:
            raise UserError(f"{file}: {full} is given twice, with its namespace and without.", "Keep one of them.")
        found[full] = value
    return found


def _text(value: Any) -> str:
    """A value as the CLI hands it to the program: empty for null, compact JSON for what is no text."""
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return stack_yaml.written(value)
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _read(path: Path) -> dict[str, Any]:
    content = stack_yaml.read(path)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{path.name} holds no mapping.")
    return content
