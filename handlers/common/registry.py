"""The registry of flows: a JSON file that the program writes into the API's package.

A file and not variables, because a function's environment holds 4 KB in all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

PATH = Path(__file__).resolve().parents[1] / "api" / "registry.json"


class RegistryError(RuntimeError):
    """The registry is missing or does not say what it must."""


@dataclass(frozen=True)
class RegisteredFlow:
    """What producers and inspectors must know of one flow; `timeout` in seconds."""

    key: str
    queue_name: str
    dead_letter_queue_name: str
    variable: str
    function_name: str
    timeout: int


@dataclass(frozen=True)
class Registry:
    """Every flow of this deployment, in the catalogue's order."""

    prefix: str
    environment: str
    flows: tuple[RegisteredFlow, ...]


def load(path: Path = PATH) -> Registry:
    """Read the registry.

    Raises
    ------
    RegistryError
        The file is not there, is not JSON, or a flow lacks a field. Fields that are not known here are left alone:
        the program may be newer than the package's code.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return Registry(
            prefix=str(value["prefix"]),
            environment=str(value["environment"]),
            flows=tuple(_flow(entry) for entry in value["flows"]),
        )
    except OSError as error:
        raise RegistryError(f"the registry of flows {path.name} is not in the package: {error.strerror}") from error
    except KeyError as error:
        raise RegistryError(f"the registry of flows lacks {error}") from error
    except (TypeError, ValueError) as error:
        raise RegistryError(f"the registry of flows is malformed: {error}") from error


def _flow(entry: dict[str, Any]) -> RegisteredFlow:
    return RegisteredFlow(**{field.name: entry[field.name] for field in fields(RegisteredFlow)})
