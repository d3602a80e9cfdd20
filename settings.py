"""The stack's configuration, typed and checked: the only reader of Pulumi's configuration.

A key that is not declared here is refused by name, and one that looks like a credential also with the sentence who owns
it. No message holds a value: somebody may have put a password where none belongs.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import pulumi
from pulumi.runtime import config as runtime_config
from pydantic import Field, StringConstraints, ValidationError, model_validator

from components.arguments import Arguments, Text
from components.artefact import BuildArtefact, Configured
from components.database import DatabaseArguments, Managed, Network
from components.refused import RefusedError

_CREDENTIAL = re.compile(
    r"pass(w|phrase|code)|pwd|secret|token|credential|(api|access|private)_?key|auth", re.IGNORECASE
)
_WHO_OWNS_IT = (
    "The program takes no database password and no other credential: a password belongs to RDS (managed), to the owner "
    "of the adopted instance and its secret, or to whoever runs the external one. To change it, rotate it there; a "
    "value given here could only lock callers out."
)

#: The one environment in which images are built; every other gets them by digest.
BUILDS = "staging"

Prefix = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)]
Email = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
Url = Annotated[str, StringConstraints(pattern=r"^https://[^\s/?#]+(/[^\s?#]*)?$")]


class Settings(Arguments):
    """What one stack's configuration says; see `Pulumi.yaml` for what each key means."""

    environment: Literal["local", "staging", "prod"]
    prefix: Prefix
    network: Network
    database: DatabaseArguments
    artefacts: dict[str, Configured]
    alarm_emails: Annotated[tuple[Email, ...], Field(min_length=1)]
    images_cdn_url: Url | None = None
    bundle_dependencies: bool = True
    version: Text = "dev"

    @model_validator(mode="after")
    def _one_name_per_environment(self) -> "Settings":
        if not self.prefix.endswith(f"-{self.environment}"):
            raise ValueError(f"prefix must end with '-{self.environment}', so that names tell the environment")
        if isinstance(self.database, Managed) and not self.database.force_tls and self.environment != "local":
            raise ValueError("database.forceTls may be false only in the environment 'local'")
        for name, artefact in self.artefacts.items():
            if isinstance(artefact, BuildArtefact) and self.environment != BUILDS:
                raise ValueError(
                    f"artefacts.{name}.build is for the environment {BUILDS!r} alone; another takes what was proven "
                    f"there, by digest: ./bmx promote {BUILDS} {self.environment}"
                )
        return self

    def artefact(self, name: str) -> Configured | None:
        """Return the code configured under a name, ``None`` where there is none yet."""
        return self.artefacts.get(name)

    def refuse_stray_artefacts(self, names: Iterable[str]) -> None:
        """Hold the artefacts to the names that something of the program goes by.

        Raises
        ------
        RefusedError
            One goes by another name: a misspelt one would leave its flow without code.
        """
        known = sorted(set(names))
        strays = sorted(self.artefacts.keys() - known)
        if strays:
            raise RefusedError(
                f"artefacts.{strays[0]} is code that no flow goes by; correct its name, or remove it. "
                f"Flows go by: {', '.join(known)}."
            )


def load() -> Settings:
    """Return the configuration of the stack that is being run.

    Raises
    ------
    pulumi.RunError
        It is not as declared. One message says every key that is wrong, and what to do.
    """
    project, stack = pulumi.get_project(), pulumi.get_stack()
    try:
        return parse(_given(project), stack, _secrets(project))
    except ValueError as error:
        raise pulumi.RunError(f"Configuration of stack {stack!r}: {error}") from None


def parse(given: Mapping[str, str], stack: str, secrets: Iterable[str] = ()) -> Settings:
    """Check the configuration of a stack.

    Parameters
    ----------
    given
        Every key in the project's namespace, without the namespace, with its value as Pulumi hands it over: text, or
        the JSON of an object.
    stack
        Name of the stack.
    secrets
        Keys whose values are secrets.

    Raises
    ------
    ValueError
        It is not as declared.
    """
    refused = [f"{key} is a secret. {_WHO_OWNS_IT}" for key in sorted(secrets)]
    try:
        settings = Settings.model_validate(_values(given), by_alias=True, by_name=False)
    except ValidationError as error:
        refused += [_sentence(found) for found in error.errors(include_input=False, include_url=False)]
        raise ValueError(" ".join(dict.fromkeys(refused))) from None
    if refused:
        raise ValueError(" ".join(refused))
    if settings.environment != stack:
        raise ValueError(
            f"environment is {settings.environment!r} and the stack is {stack!r}; one environment has one name "
            "everywhere, so they must be equal."
        )
    return settings


_OBJECTS = frozenset({"network", "database", "artefacts", "alarmEmails"})
_MODES = frozenset({"managed", "adopted", "external"})


def _given(project: str) -> dict[str, str]:
    """Return all that was configured for the project, from the engine or from the environment, undeclared keys too."""
    namespace = f"{project}:"
    keys = {
        key for key in (*runtime_config.CONFIG.get(), *runtime_config.get_config_env()) if key.startswith(namespace)
    }
    # The SDK also takes single variables, PULUMI_CONFIG_<PROJECT>_<KEY>, from which the key cannot be read back.
    declared = {f"{namespace}{field.alias}" for field in Settings.model_fields.values()}
    by_variable = {runtime_config.get_config_env_key(key): key for key in declared | keys}
    stem = runtime_config.get_config_env_key(namespace)
    given = {}
    for name in sorted(variable for variable in os.environ if variable.startswith(stem)):
        if name in by_variable:
            keys.add(by_variable[name])
        else:
            given[name] = os.environ[name]
    given.update({key.removeprefix(namespace): runtime_config.get_config(key) for key in sorted(keys)})
    return given


def _secrets(project: str) -> list[str]:
    namespace = f"{project}:"
    keys = {*runtime_config.CONFIG.get(), *runtime_config.get_config_secret_keys_env()}
    from_environment = runtime_config.get_config_secret_keys_env()
    return [
        key.removeprefix(namespace)
        for key in sorted(keys)
        if key.startswith(namespace) and (key in from_environment or runtime_config.is_config_secret(key))
    ]


def _values(given: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, text in given.items():
        if key not in _OBJECTS:
            # An empty default in Pulumi.yaml is how a key is optional there.
            if text != "":
                values[key] = text
            continue
        try:
            values[key] = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{key} is not JSON (line {error.lineno}, column {error.colno}).") from None
    return values


def _sentence(error: Mapping[str, Any]) -> str:
    """Say what is wrong with one key; never its value."""
    path = _path(error["loc"])
    match error["type"]:
        case "extra_forbidden":
            owner = (
                f" {_WHO_OWNS_IT}" if _CREDENTIAL.search(str(error["loc"][-1])) else " Remove it, or correct its name."
            )
            return f"{path} is not declared.{owner}"
        case "missing":
            return f"{path} is missing."
        case "union_tag_not_found" | "union_tag_invalid":
            return f"{path}.mode must be one of {', '.join(sorted(_MODES))}."
        case _:
            message = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
            return f"{path}: {message}." if path else f"{message}."


def _path(location: tuple[str | int, ...]) -> str:
    """Write a place as Pulumi does, without the names that pydantic gives to the members of a union."""
    parts = [str(part) for part in location]
    if parts[:1] == ["database"] and _MODES.issuperset(parts[1:2]):
        del parts[1:2]
    if parts[:1] == ["artefacts"]:
        del parts[2:3]
    return ".".join(parts)
