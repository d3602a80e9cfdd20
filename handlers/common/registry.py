"""The registry of flows: a JSON file that the program writes into the API's package.

A file and not variables, because a function's environment holds 4 KB in all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType
from typing import Any

#: The API's name among a flow's producers.
API = "api"
PATH = Path(__file__).resolve().parents[1] / "api" / "registry.json"


class RegistryError(RuntimeError):
    """The registry is missing or does not say what it must."""


def log_group(function_name: str) -> str:
    """Return the name of a function's log group; `components/function.py` makes it under this name, as Lambda would."""
    return f"/aws/lambda/{function_name}"


@dataclass(frozen=True)
class RegisteredFlow:
    """What producers, inspectors and operators must know of one flow.

    Parameters
    ----------
    key
        Name in health, admin and the variable.
    queue_name, dead_letter_queue_name, function_name
        Names on AWS.
    deployed
        Whether the flow has its code; without it there is neither function nor mapping.
    variable
        Variable by which producers know the queue's name.
    timeout, visibility_timeout, oldest_message_threshold
        Seconds.
    receives
        Times a message is delivered before it becomes a dead letter.
    backlog_threshold
        Waiting messages from which on the flow counts as not keeping up.
    producers
        Names of the functions that send.
    schedule
        EventBridge's expression where a schedule feeds the flow.
    """

    key: str
    queue_name: str
    dead_letter_queue_name: str
    function_name: str
    deployed: bool
    variable: str
    timeout: int
    receives: int
    visibility_timeout: int
    oldest_message_threshold: int
    backlog_threshold: int
    producers: tuple[str, ...]
    schedule: str | None

    @property
    def log_group(self) -> str:
        """Where the function writes what it says."""
        return log_group(self.function_name)

    @property
    def longest_delivery(self) -> int:
        """Seconds after which whatever was delivered has ended.

        One timeout, and before it the batching window, which the visibility timeout holds beside six timeouts.
        """
        return self.timeout + max(0, self.visibility_timeout - 6 * self.timeout)

    @property
    def fed_by_api(self) -> bool:
        """Whether the API sends to the flow, and so is told its queue by the variable."""
        return API in self.producers


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


# Checked one by one, because JSON would as well hold "false" for a truth and a text for a list of names.
_KINDS: Mapping[str, tuple[type, ...]] = {
    "deployed": (bool,),
    "timeout": (int,),
    "receives": (int,),
    "visibility_timeout": (int,),
    "oldest_message_threshold": (int,),
    "backlog_threshold": (int,),
    "producers": (list,),
    "schedule": (str, NoneType),
}


def _flow(entry: dict[str, Any]) -> RegisteredFlow:
    values = {field.name: entry[field.name] for field in fields(RegisteredFlow)}
    for name, value in values.items():
        kinds = _KINDS.get(name, (str,))
        if type(value) not in kinds:
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise TypeError(f"{name} of the flow {values['key']!r} is {value!r}; it must be {wanted}")
    return RegisteredFlow(**values | {"producers": tuple(map(str, values["producers"]))})
