"""`pulumi preview --json` and `pulumi stack export`, read strictly: what is not understood is refused, not skipped.

The form is `PreviewDigest` of pulumi/pkg/display/json.go; operations are those of pulumi/pkg/resource/deploy/step.go.
The embedded engine writes the same form.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ops.errors import UserError

SECRET = "[secret]"  # noqa: S105  what the CLI writes in place of one
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What stands for a value that only the deployment will know (pulumi/sdk/go/common/resource/plugin/rpc.go)."""

OPERATIONS = frozenset(
    {
        "same",
        "create",
        "update",
        "delete",
        "replace",
        "create-replacement",
        "delete-replaced",
        "read",
        "read-replacement",
        "refresh",
        "discard",
        "discard-replaced",
        "remove-pending-replace",
        "import",
        "import-replacement",
    }
)
LOSSES = frozenset({"delete", "replace", "create-replacement", "delete-replaced", "import-replacement"})
"""Operations after which the resource that was there is gone."""
NOT_COUNTED = frozenset({"same", "refresh", "create-replacement", "delete-replaced"})
"""Operations that may be among the steps and not in the summary: a preview that refreshes first counts no refreshes."""

_PREVIEW_KEYS = {"config", "steps", "diagnostics", "duration", "changeSummary", "maybeCorrupt"}
_STEP_KEYS = {
    "op",
    "urn",
    "provider",
    "oldState",
    "newState",
    "diffReasons",
    "replaceReasons",
    "detailedDiff",
}
_URN = re.compile(r"urn:pulumi:(?P<stack>[^:]+)::(?P<project>[^:]+)::(?P<types>.+?)::(?P<name>.+)", re.DOTALL)
_FIX = "Make it anew: pulumi preview --json > preview.json, or ./bmx preview --json > preview.json"


class GuardInputError(UserError):
    """A file that is no preview, or not a whole one."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}", _FIX)


@dataclass(frozen=True)
class Step:
    """One step of a preview.

    Attributes
    ----------
    op, urn, type
        As the engine names them; `type` is the resource's own, the last of the URN's chain.
    old, new
        Inputs before and after, secrets masked, unknown values as `UNKNOWN`; empty where there is no such state.
    was_protected, is_protected
        The `protect` of either state.
    changed
        Property paths that differ: the keys of `detailedDiff`, and the names in `diffReasons` and `replaceReasons`.
    """

    op: str
    urn: str
    type: str
    name: str
    old: Mapping[str, Any] = field(repr=False)
    new: Mapping[str, Any] = field(repr=False)
    was_protected: bool
    is_protected: bool
    changed: tuple[str, ...]

    @property
    def changed_properties(self) -> frozenset[str]:
        """The top-level properties of `changed`."""
        return frozenset(re.split(r"[.\[]", path, maxsplit=1)[0] for path in self.changed)

    def under(self, component: str) -> bool:
        """Whether a component of this type (its last part, as ``Database``) is above the resource."""
        match = _URN.fullmatch(self.urn)
        return any(part.endswith(f":{component}") for part in (match["types"] if match else "").split("$")[:-1])

    @property
    def changes_it(self) -> bool:
        """Whether the resource is another one, or none, afterwards."""
        return self.op not in {"same", "read", "refresh"}


@dataclass(frozen=True)
class Preview:
    """A whole preview; `errors` are the messages with which it ended, if it did."""

    steps: tuple[Step, ...]
    changes: Mapping[str, int]
    errors: tuple[str, ...]
    corrupt: bool = False


@dataclass(frozen=True)
class State:
    """What a stack's export says of its resources: URN to (type, protect)."""

    resources: Mapping[str, tuple[str, bool]]

    def protected(self, urn: str) -> bool:
        """Whether the resource is protected in this state."""
        return self.resources.get(urn, ("", False))[1]


def parse_preview(text: str, where: str = "the preview") -> Preview:
    """Read a preview.

    Parameters
    ----------
    text
        What `pulumi preview --json` wrote.
    where
        The file's name, for errors.

    Raises
    ------
    GuardInputError
        It is not JSON, is cut off, has a field or an operation that is not known here, or its summary and its steps
        disagree.
    """
    raw = _object(text, where)
    if unknown := sorted(set(raw) - _PREVIEW_KEYS):
        raise GuardInputError(where, f"the field {unknown[0]!r} is not known; another version of Pulumi wrote it")
    errors = tuple(
        str(each.get("message", "")).strip()
        for each in _list(raw, "diagnostics", where)
        if isinstance(each, Mapping) and each.get("severity") in {"error", "info#err"}
    )
    steps = tuple(_step(each, number, where) for number, each in enumerate(_list(raw, "steps", where)))
    changes = raw.get("changeSummary")
    if not errors:
        _check_whole(steps, changes, where)
    return Preview(steps, changes if isinstance(changes, dict) else {}, errors, bool(raw.get("maybeCorrupt")))


def parse_state(text: str, where: str = "the state") -> State:
    """Read `pulumi stack export`.

    Raises
    ------
    GuardInputError
        It is not an export of version 3.
    """
    raw = _object(text, where)
    deployment = raw.get("deployment")
    if raw.get("version") not in {3, 4} or not isinstance(deployment, Mapping):
        raise GuardInputError(where, "this is no stack's export (version 3 with a deployment is expected)")
    resources = {}
    for each in _list(deployment, "resources", where):
        if not isinstance(each, Mapping) or not isinstance(each.get("urn"), str):
            raise GuardInputError(where, "a resource in it has no URN")
        resources[each["urn"]] = (str(each.get("type", "")), bool(each.get("protect")))
    return State(resources)


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise GuardInputError(where, f"not JSON, or cut off (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise GuardInputError(where, "nested too deep to be a preview") from None
    if not isinstance(raw, dict):
        raise GuardInputError(where, "not a JSON object")
    return raw


def _list(raw: Mapping[str, Any], key: str, where: str) -> list[Any]:
    found = raw.get(key) or []
    if not isinstance(found, list):
        raise GuardInputError(where, f"{key!r} is not a list")
    return found


def _step(raw: Any, number: int, where: str) -> Step:
    if not isinstance(raw, Mapping) or not isinstance(raw.get("op"), str) or not isinstance(raw.get("urn"), str):
        raise GuardInputError(where, f"step {number} has no operation or no URN")
    if unknown := sorted(set(raw) - _STEP_KEYS):
        raise GuardInputError(where, f"step {number} has the unknown field {unknown[0]!r}; another version wrote it")
    match = _URN.fullmatch(raw["urn"])
    if match is None:
        raise GuardInputError(where, f"step {number} has a URN that is none")
    if raw["op"] not in OPERATIONS:
        raise GuardInputError(where, f"the operation {raw['op']!r} on {match['name']!r} is not known here")
    old, new = (_state(raw, key, number, where) for key in ("oldState", "newState"))
    detailed = raw.get("detailedDiff") or {}
    reasons = [*(raw.get("diffReasons") or ()), *(raw.get("replaceReasons") or ())]
    if not isinstance(detailed, Mapping) or not all(isinstance(each, str) for each in reasons):
        raise GuardInputError(where, f"step {number} has a difference that cannot be read")
    return Step(
        op=raw["op"],
        urn=raw["urn"],
        type=match["types"].rsplit("$", 1)[-1],
        name=match["name"],
        old=old.get("inputs") or {},
        new=new.get("inputs") or {},
        was_protected=bool(old.get("protect")),
        is_protected=bool(new.get("protect")),
        changed=tuple(sorted({*detailed, *reasons})),
    )


def _state(raw: Mapping[str, Any], key: str, number: int, where: str) -> Mapping[str, Any]:
    found = raw.get(key) or {}
    if not isinstance(found, Mapping) or not isinstance(found.get("inputs") or {}, Mapping):
        raise GuardInputError(where, f"step {number} has no readable {key}")
    return found


def _check_whole(steps: tuple[Step, ...], changes: Any, where: str) -> None:
    """A preview without errors ends with a summary; steps that it counts and the list lacks were cut out."""
    if not isinstance(changes, Mapping):
        raise GuardInputError(where, "it has no summary of changes, so it did not come to its end")
    listed = Counter(step.op for step in steps)
    for op, count in changes.items():
        if op not in OPERATIONS:
            raise GuardInputError(where, f"the operation {op!r} in its summary is not known here")
        if op != "same" and listed[op] != count:
            raise GuardInputError(where, f"its summary counts {count} of {op!r} and its steps {listed[op]}")
    if extra := sorted(set(listed) - set(changes) - NOT_COUNTED):
        raise GuardInputError(where, f"its steps have {extra[0]!r} and its summary does not")
