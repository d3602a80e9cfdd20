"""The one shape of every driver: a table of properties, and create, configure, read, update, delete through boto3.

Check, diff, preview and state follow from the table and are written here once. A driver is stateless and shared by all
threads; everything that lasts lies in the cloud.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from local.resources.schema import (
    Difference,
    Failure,
    Property,
    Table,
    differences,
    empty,
    failures,
    same,
    with_defaults,
)
from local.resources.values import Values, contains_unknown
from local.wire import UNKNOWN

PATIENCE: Final = 5.0  # seconds for which a deletion is repeated while something else uses the resource
_PAUSE: Final = 0.2
_MAX_TAGS: Final = 50  # https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
_MAX_TAG_KEY: Final = 128
_MAX_TAG_VALUE: Final = 256

# Among the inputs, the names of those that were generated; the engine keeps the list and shows it to nobody.
DEFAULTS: Final = "__defaults"
TAGS: Final[Table] = {"tags": Property("string_map")}
REGION: Final[Table] = {"region": Property(computed=True, replaces=True)}


class AwsError(Exception):
    """An error in AWS's form for a limit that the embedded cloud itself does not enforce.

    Parameters
    ----------
    operation, code, message
        The API operation, AWS's error code and AWS's sentence.
    """

    def __init__(self, operation: str, code: str, message: str) -> None:
        super().__init__(f"operation error {operation}, api error {code}: {message}")
        self.operation, self.code, self.message = operation, code, message


@dataclass
class Aws:
    """What a driver reaches the cloud through.

    Parameters
    ----------
    endpoint
        URL of the embedded cloud; without one, AWS's own endpoints.
    credentials
        Access key id, secret access key, and session token or None.
    """

    endpoint: str | None
    credentials: tuple[str, str, str | None]
    region: str = "us-west-2"
    account: str = "123456789012"
    partition: str = "aws"
    default_tags: Mapping[str, str] = field(default_factory=dict)
    folder: Path = field(default_factory=Path.cwd)
    _clients: dict[str, Any] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @cached_property
    def _session(self) -> Any:
        # One for all clients: each session reads botocore's endpoint tables anew.
        key, secret, token = self.credentials
        return boto3.session.Session(key, secret, token, region_name=self.region)

    def client(self, service: str) -> Any:
        """Return the boto3 client of a service (clients are safe to share between threads, making them is not)."""
        with self._lock:
            if service not in self._clients:
                # A Lambda invocation may take 15 minutes, and sending it twice would do its work twice.
                settings = Config(
                    retries={"total_max_attempts": 1},
                    read_timeout=930,
                    s3={"addressing_style": "path"},
                    max_pool_connections=32,
                )
                self._clients[service] = self._session.client(service, endpoint_url=self.endpoint, config=settings)
            return self._clients[service]


class Driver:
    """One resource type.

    Attributes
    ----------
    type_name
        Pulumi's type token.
    source
        Where it is written which properties force replacement.
    properties
        Inputs by name; `region` and, where `taggable`, `tags` are added to every table.
    outputs
        Names that only the cloud computes.
    derived
        Outputs that an update in place may change, each with the inputs whose change does it.
    deletes_first
        Whether every replacement deletes the old resource first (pulumi-aws, provider/resource_overrides.go).
    regional
        Whether `region` is an input.
    autoname
        The input that gets a name made from the resource's name when left out, and its greatest length. Where the
        program gives that name itself, every replacement deletes the old resource first.
    """

    type_name: ClassVar[str]
    source: ClassVar[str]
    properties: ClassVar[Table]
    outputs: ClassVar[frozenset[str]] = frozenset()
    derived: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    deletes_first: ClassVar[bool] = False
    regional: ClassVar[bool] = True
    autoname: ClassVar[tuple[str, int] | None] = None
    taggable: ClassVar[bool] = False

    @property
    def table(self) -> Table:
        """Every input property, the common ones included."""
        return {**self.properties, **(REGION if self.regional else {}), **(TAGS if self.taggable else {})}

    # ---- what a driver writes -------------------------------------------------------------------------------------

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Refuse what the table cannot say.

        Parameters
        ----------
        known
            The inputs whose values are known already, defaults included.
        given
            Names of all inputs, those not known yet included.
        """
        del known, given
        return ()

    def create(self, aws: Aws, inputs: Values) -> str:
        """Make the resource in one call and return its id.

        `inputs["tagsAll"]` holds the tags to set. What only this call's answer says is put into `inputs`, which
        `read` then gets as `known`.
        """
        raise NotImplementedError

    def configure(self, aws: Aws, identifier: str, inputs: Values) -> None:
        """Bring the new resource to its inputs where that takes further calls.

        A failure leaves it half-made, and said.
        """

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """Return inputs and outputs as the cloud has them, or None where the resource is gone.

        Parameters
        ----------
        known
            What state has of the resource; empty in an import.
        """
        raise NotImplementedError

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """Bring an existing resource to its new inputs. `old` is the state, `tagsAll` in both."""
        raise NotImplementedError

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """Remove the resource; one that is gone already is no error."""
        raise NotImplementedError

    def unchanged(self, aws: Aws, name: str, state: Values, inputs: Values) -> bool | None:
        """Say whether a property is unchanged where comparing the values cannot tell; None: compare the values."""
        del aws, name, state, inputs
        return None

    # ---- what follows from the table ------------------------------------------------------------------------------

    def check(
        self, aws: Aws, name: str, old: Values, new: Values, proposed: str | None
    ) -> tuple[Values, list[Failure]]:
        """Return the inputs with defaults and generated name, and why they are refused, if they are."""
        inputs = with_defaults(self.table, new)
        if self.autoname and self.autoname[0] not in inputs:
            key = self.autoname[0]
            # A name that the program gave once is not kept for it once it gives none.
            kept = old.get(key) if key in old.get(DEFAULTS, ()) else None
            inputs[key] = kept or self.generated(name, proposed, inputs)
            inputs[DEFAULTS] = [key]
        given = {key: value for key, value in inputs.items() if key != DEFAULTS}
        found = list(failures(self.table, given, known_to=f"{self.type_name} ({type(self).__module__})"))
        region = inputs.get("region")
        if isinstance(region, str) and region != aws.region:
            found.append(Failure("region", f"this provider is configured for {aws.region}, and {region} was given"))
        found.extend(_tag_failures(inputs.get("tags")))
        if not found:
            known = {key: value for key, value in given.items() if not contains_unknown(value)}
            found.extend(self.validate(known, frozenset(given)))
        return inputs, found

    def generated(self, name: str, proposed: str | None, inputs: Values) -> str:
        """Make a name from the resource's (pulumi-terraform-bridge, pkg/tfbridge/names.go)."""
        del inputs
        longest = self.autoname[1] if self.autoname else 0
        return proposed or f"{name[: longest - 8]}-{secrets.token_hex(4)[:7]}"

    def diff(self, aws: Aws, state: Values, new: Values, ignored: Sequence[str] = ()) -> list[Difference]:
        """Compare the state with new inputs, leaving out the ignored property paths."""
        table = {key: spec for key, spec in self.table.items() if key not in ignored}
        found: list[Difference] = []
        for key, spec in table.items():
            verdict = self.unchanged(aws, key, state, new)
            if verdict is None:
                found.extend(differences({key: spec}, state, new))
            elif not verdict:
                found.append(Difference(key, "update" if key in state else "add", spec.replaces))
        if self.taggable and not any(item.path.startswith("tags") for item in found):
            found.extend(differences({"tagsAll": Property("string_map")}, state, self.tagged(aws, new)))
        return [item for item in found if not _ignored(item.path, ignored)]

    def planned(self, inputs: Values, aws: Aws, state: Values | None = None, changed: Iterable[str] = ()) -> Values:
        """Return the outputs that a preview can promise: of a create, or of an update of `state`."""
        inputs = self.tagged(aws, inputs)
        if state is None:
            open_names = self.outputs | {key for key, spec in self.table.items() if spec.computed}
            return {**dict.fromkeys(open_names, UNKNOWN), **inputs}
        given = frozenset(inputs)
        touched = {path.split(".")[0].split("[")[0] for path in changed}
        # What did not change stays as the cloud has it, whatever its spelling in the program.
        kept = {key: value for key, value in state.items() if key in inputs or self._stays(key)}
        inputs = {key: value for key, value in inputs.items() if key in touched or key not in kept or key == "tagsAll"}
        moving = {key: UNKNOWN for key, causes in self.derived.items() if key not in given and touched & set(causes)}
        return {**kept, **inputs, **moving}

    def _stays(self, key: str) -> bool:
        return key not in self.table or self.table[key].computed

    def state(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """Read the cloud and add what it never says back; equal meaning keeps the program's spelling."""
        seen = self.read(aws, identifier, known)
        if seen is None:
            return None
        result: Values = {"region": aws.region} if self.regional else {}
        result |= {key: value for key, value in seen.items() if value is not None}
        for key, spec in self.table.items():
            if key not in known:
                continue
            if spec.written_only or (key in result and same(spec, known[key], result[key])):
                result[key] = known[key]
        if self.taggable:
            own, everything = known.get("tags", {}), result.setdefault("tagsAll", {})
            tags = {key: text for key, text in everything.items() if key in own or aws.default_tags.get(key) != text}
            if tags or "tags" in known:
                result["tags"] = tags
        return result

    def inputs_of(self, state: Values, old: Values | None) -> Values:
        """Return the inputs that belong to a state: those that were given, or in an import all that are set."""
        table = self.table
        if old:
            made = {DEFAULTS: old[DEFAULTS]} if DEFAULTS in old else {}
            return made | {key: state.get(key) for key in old if key in table and state.get(key) is not None}
        return {key: value for key, value in state.items() if key in table and key != "region" and not empty(value)}

    @property
    def sensitive(self) -> frozenset[str]:
        """Properties that are secret whatever the program says."""
        return frozenset(key for key, spec in self.table.items() if spec.secret)

    @property
    def stable(self) -> frozenset[str]:
        """Properties that no update in place changes."""
        fixed = {key for key, spec in self.table.items() if spec.replaces}
        return frozenset(fixed | (self.outputs - self.derived.keys() - {"tagsAll"}))

    def before(self, new: Values) -> bool:
        """Whether a replacement deletes the old resource first, as pulumi-terraform-bridge answers it.

        That is so wherever the program names the resource itself, whatever else changed (pkg/tfbridge/schema.go,
        nameRequiresDeleteBeforeReplace); a `delete_before_replace` that the program gives wins over it.
        """
        return self.deletes_first or (
            self.autoname is not None and self.autoname[0] in new and self.autoname[0] not in new.get(DEFAULTS, ())
        )

    def tagged(self, aws: Aws, inputs: Values) -> Values:
        """Return the inputs with `tagsAll`: the provider's default tags and the resource's own above them."""
        inputs = {key: value for key, value in inputs.items() if key != DEFAULTS}
        if not self.taggable:
            return inputs
        tags = inputs.get("tags", {})
        return {**inputs, "tagsAll": UNKNOWN if tags is UNKNOWN else {**aws.default_tags, **tags}}


def _ignored(path: str, ignored: Sequence[str]) -> bool:
    return any(path == name or path.startswith((name + ".", name + "[")) for name in ignored)


def _tag_failures(tags: Any) -> Iterator[Failure]:
    if not isinstance(tags, dict):
        return
    if len(tags) > _MAX_TAGS:
        yield Failure("tags", f"{len(tags)} tags are given, and AWS allows {_MAX_TAGS} on a resource")
    for key, value in tags.items():
        too_long = len(key) > _MAX_TAG_KEY or (isinstance(value, str) and len(value) > _MAX_TAG_VALUE)
        if too_long or key.lower().startswith("aws:"):
            yield Failure(
                "tags",
                f"tag {key!r}: a key has at most {_MAX_TAG_KEY} characters and no prefix 'aws:', a value at most "
                f"{_MAX_TAG_VALUE}",
            )


@cache
def enumerated(service: str, shape: str) -> frozenset[str]:
    """Return the values of an enumeration of a service, as the SDK knows them (the provider asks its own SDK)."""
    known: Any = botocore.session.get_session().get_service_model(service).shape_for(shape)
    return frozenset(known.enum)


def gone(error: ClientError, *codes: str) -> bool:
    """Whether an error says that the resource does not exist, by one of AWS's codes for that."""
    return str(error.response.get("Error", {}).get("Code", "")) in codes


def repeated(call: Callable[[], object], *codes: str) -> None:
    """Call until it is not refused with one of the codes, or for `PATIENCE` seconds.

    The provider repeats such a deletion for 3 to 15 minutes, because on AWS the last user of a resource lets go late.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            call()
        except ClientError as error:
            if not gone(error, *codes) or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)
        else:
            return


def pairs(tags: Mapping[str, str], key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """Write tags as the list of pairs that most services take."""
    return [{key: name, value: text} for name, text in sorted(tags.items())]


def unpaired(tags: Iterable[Mapping[str, str]] | None, key: str = "Key", value: str = "Value") -> dict[str, str]:
    """Read a list of pairs, AWS's own tags left out."""
    return {item[key]: item.get(value, "") for item in tags or () if not item[key].startswith("aws:")}


def sync_tags(
    old: Values, new: Values, tag: Callable[[dict[str, str]], object], untag: Callable[[list[str]], object]
) -> None:
    """Set the tags that are new or changed and take away those that are gone."""
    before, after = old.get("tagsAll", {}), new.get("tagsAll", {})
    if removed := sorted(before.keys() - after.keys()):
        untag(removed)
    if changed := {key: value for key, value in after.items() if before.get(key) != value}:
        tag(changed)
