"""The stack's configuration, typed and checked: the only reader of Pulumi's configuration.

A key that is not declared here is refused by name, and one that looks like a credential also with the sentence who owns
it. All that is wrong is said at once. No message holds a text that was given: somebody may have put a password there.
"""

import difflib
import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pulumi
from pulumi.runtime import config as runtime_config
from pydantic import Field, StringConstraints, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from components.arguments import Arguments, Text
from components.artefact import Build, BuildArtefact, Configured, ImageArtefact, Zip, ZipArtefact
from components.credential import names_a_credential
from components.database import FEWEST_SUBNETS, Adopted, DatabaseArguments, External, Managed, Network
from components.refused import RefusedError

_WHO_OWNS_IT = (
    "The program takes no database password and no other credential: a password belongs to RDS (managed), to the owner "
    "of the adopted instance and its secret, or to whoever runs the external one. To change it, rotate it there; a "
    "value given here could only lock callers out."
)

#: The one environment in which images are built; every other gets them by digest.
BUILDS = "staging"

_PREFIX = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
_EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
# Nothing before an @, which would be shown to everybody who asks for a picture.
_URL = r"^https://[^\s/?#@]+(/[^\s?#]*)?$"
#: What a pattern asks for, in words.
_IN_WORDS = {
    _PREFIX: "must be lower-case words joined by '-', as 'books-staging'",
    _EMAIL: "must be an e-mail address",
    _URL: "must be an https address without credentials, query or fragment, as 'https://images.example.com'",
}
Prefix = Annotated[str, StringConstraints(pattern=_PREFIX, max_length=40)]
Email = Annotated[str, StringConstraints(pattern=_EMAIL)]
Url = Annotated[str, StringConstraints(pattern=_URL)]


@dataclass(frozen=True)
class Known:
    """What the program has that a configuration must agree with.

    Attributes
    ----------
    codes
        Names that code goes by in the stack of a prefix; any name unless given.
    builds
        Those of which the program can build an image; all unless given.
    """

    codes: Callable[[str], Iterable[str]] | None = None
    builds: Collection[str] | None = None


@dataclass(frozen=True)
class _Context:
    stack: str
    known: Known = field(default_factory=Known)


class Settings(Arguments):
    """What one stack's configuration says; see `Pulumi.yaml` for what each key means.

    A key is checked together with those above it, as far as they are right themselves.
    """

    environment: Literal["local", "staging", "prod"]
    prefix: Prefix
    network: Network
    database: DatabaseArguments
    artefacts: dict[str, Configured]
    alarm_emails: Annotated[tuple[Email, ...], Field(min_length=1)]
    images_cdn_url: Url | None = None
    bundle_dependencies: bool = True
    version: Text = "dev"

    @field_validator("environment")
    @classmethod
    def _is_the_stack(cls, environment: str, info: ValidationInfo) -> str:
        stack = _context(info).stack
        if environment != stack:
            raise _refused(
                f"environment is {environment!r} and the stack is {stack!r}; one environment has one name everywhere, "
                "so they must be equal"
            )
        return environment

    @field_validator("prefix")
    @classmethod
    def _tells_the_environment(cls, prefix: str, info: ValidationInfo) -> str:
        environment = info.data.get("environment", _context(info).stack)
        if not prefix.endswith(f"-{environment}"):
            raise _refused(f"prefix must end with '-{environment}', so that names tell the environment")
        return prefix

    @field_validator("database")
    @classmethod
    def _fits_network_and_environment(cls, database: DatabaseArguments, info: ValidationInfo) -> DatabaseArguments:
        faults = []
        if isinstance(database, Managed) and not database.force_tls and info.data.get("environment") != "local":
            faults.append("database.forceTls may be false only in the environment 'local'")
        network = info.data.get("network")
        if isinstance(database, Managed) and network and len(network.subnet_ids) < FEWEST_SUBNETS:
            faults.append(
                f"database.mode is managed and network.subnetIds has {len(network.subnet_ids)} entry; RDS needs at "
                f"least {FEWEST_SUBNETS} subnets, in two availability zones"
            )
        if faults:
            raise _refused(". ".join(faults))
        return database

    @field_validator("artefacts")
    @classmethod
    def _go_by_what_there_is(cls, artefacts: dict[str, Configured], info: ValidationInfo) -> dict[str, Configured]:
        known, environment = _context(info).known, info.data.get("environment", _context(info).stack)
        faults = _strays(artefacts, known, info.data.get("prefix"))
        for name, artefact in artefacts.items():
            if not isinstance(artefact, BuildArtefact):
                continue
            if environment != BUILDS:
                faults.append(
                    f"artefacts.{name}.build is for the environment {BUILDS!r} alone; another takes what was proven "
                    f"there, by digest: ./bmx promote {BUILDS} {environment}"
                )
            if known.builds is not None and name not in known.builds:
                faults.append(
                    f"artefacts.{name}.build: this project has no Dockerfile for it, only for {', '.join(known.builds)}"
                )
        if faults:
            raise _refused(". ".join(faults))
        return artefacts

    @field_validator("alarm_emails")
    @classmethod
    def _each_address_once(cls, emails: tuple[str, ...]) -> tuple[str, ...]:
        seen: dict[str, int] = {}
        for number, email in enumerate(emails):
            first = seen.setdefault(email.casefold(), number)
            if first != number:
                raise _refused(f"alarmEmails.{number} is the address of alarmEmails.{first} again; name each once")
        return emails

    def artefact(self, name: str) -> Configured | None:
        """Return the code configured under a name, ``None`` where there is none yet."""
        return self.artefacts.get(name)


def _context(info: ValidationInfo) -> _Context:
    if not isinstance(info.context, _Context):
        raise TypeError("settings are made by parse(), which knows the stack")
    return info.context


def _refused(sentence: str) -> PydanticCustomError:
    """Return a fault whose sentence names its key itself."""
    # pydantic fills in what stands in braces.
    return PydanticCustomError("sentence", "{said}", {"said": sentence})


def _strays(artefacts: Iterable[str], known: Known, prefix: str | None) -> list[str]:
    """Name the artefacts that nothing goes by: a misspelt one would leave its flow without code."""
    if known.codes is None or prefix is None:
        return []
    try:
        names = sorted(set(known.codes(prefix)))
    except RefusedError:
        # The catalogue is no fault of the configuration; the program says it when it is reached.
        return []
    return [
        f"artefacts.{stray} is code that no flow goes by; correct its name, or remove it. "
        f"Flows go by: {', '.join(names)}"
        for stray in sorted(set(artefacts).difference(names))
    ]


def load(known: Known | None = None) -> Settings:
    """Return the configuration of the stack that is being run.

    Parameters
    ----------
    known
        What the program has that the configuration must agree with.

    Raises
    ------
    pulumi.RunError
        It is not as declared. One message says every key that is wrong, and what to do.
    """
    project, stack = pulumi.get_project(), pulumi.get_stack()
    try:
        return parse(_given(project), stack, _secrets(project), known)
    except ValueError as error:
        raise pulumi.RunError(f"Configuration of stack {stack!r} (Pulumi.{stack}.yaml): {error}") from None


def parse(given: Mapping[str, str], stack: str, secrets: Iterable[str] = (), known: Known | None = None) -> Settings:
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
    known
        What the program has that the configuration must agree with.

    Raises
    ------
    ValueError
        It is not as declared; a sentence for each fault.
    """
    values, unread = _values(given)
    refused = [*(f"{key} is a secret. {_WHO_OWNS_IT}" for key in sorted(secrets)), *unread.values()]
    context = _Context(stack, known or Known())
    try:
        settings = Settings.model_validate(values, by_alias=True, by_name=False, context=context)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        refused += [_sentence(fault) for fault in faults if fault["loc"][:1] not in {(key,) for key in unread}]
        raise ValueError(" ".join(dict.fromkeys(refused))) from None
    if refused:
        raise ValueError(" ".join(refused))
    return settings


#: Keys whose values are no plain texts.
_KINDS: Mapping[str, tuple[type, str]] = {
    "network": (dict, "must be an object; write its keys on lines of their own below it, indented"),
    "database": (dict, "must be an object; write its keys on lines of their own below it, indented"),
    "artefacts": (dict, "must be an object; write its keys on lines of their own below it, indented"),
    "alarmEmails": (list, "must be a list; write each entry on a line of its own, behind '- '"),
}
_MODES = frozenset({"managed", "adopted", "external"})
_EVERY_KEY = sorted(
    {
        str(each.alias)
        for part in (Managed, Adopted, External, Network, Zip, ImageArtefact, ZipArtefact, BuildArtefact, Build)
        for each in part.model_fields.values()
    }
)


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


def _values(given: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values, and of each key that cannot be read why."""
    values: dict[str, Any] = {}
    unread = {}
    for key, text in given.items():
        if key not in _KINDS:
            # An empty default in Pulumi.yaml is how a key is optional there.
            if text != "":
                values[key] = text
            continue
        kind, words = _KINDS[key]
        try:
            values[key] = json.loads(text)
        except json.JSONDecodeError as error:
            broken = text.lstrip()[:1] in {"{", "["}
            place = f"is not JSON (line {error.lineno}, column {error.colno})"
            unread[key] = f"{key} {place if broken else words}."
        else:
            if not isinstance(values[key], kind):
                unread[key] = f"{key} {words}."
    return values, unread


def _sentence(error: Mapping[str, Any]) -> str:
    """Say what is wrong with one key; never its value."""
    path = _path(error["loc"])
    match error["type"]:
        case "extra_forbidden":
            sentence = f"{path} is not declared. {_of_a_stranger(error['loc'])}"
        case "missing":
            sentence = f"{path} is missing."
        case "union_tag_not_found" | "union_tag_invalid":
            sentence = f"{path}.mode must be one of {', '.join(sorted(_MODES))}."
        case "sentence":
            sentence = f"{error['ctx']['said']}."
        case "string_pattern_mismatch":
            words = _IN_WORDS.get(error["ctx"]["pattern"])
            sentence = f"{path} {words}." if words else f"{path}: {error['msg']}."
        case "value_error":
            sentence = f"{path}: {error['ctx']['error']}."
        case _:
            sentence = f"{path}: {str(error['msg']).rstrip('.')}."
    return sentence


def _of_a_stranger(location: tuple[str | int, ...]) -> str:
    """Say what to do about a key that is not declared."""
    name = str(location[-1])
    if names_a_credential(name):
        return _WHO_OWNS_IT
    top = [str(each.alias) for each in Settings.model_fields.values()]
    near = difflib.get_close_matches(name, top if len(location) == 1 else _EVERY_KEY, n=1)
    return f"Did you mean {near[0]!r}?" if near else "Remove it, or correct its name."


def _path(location: tuple[str | int, ...]) -> str:
    """Write a place as Pulumi does, without the names that pydantic gives to the members of a union."""
    parts = [str(part) for part in location]
    if parts[:1] == ["database"] and _MODES.issuperset(parts[1:2]):
        del parts[1:2]
    if parts[:1] == ["artefacts"]:
        del parts[2:3]
    return ".".join(parts)
