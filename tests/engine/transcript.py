"""A transcript: what one engine did in a scenario, step by step, without paths, addresses or times.

Of each step: the exit code, the sentence of a refusal, the operations and the provider's calls by URN, and what the
state holds afterwards. Two engines agree when their transcripts are equal but for ``diagnostics``, which is the real
engine's own wording, kept for the reader.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from tests.engine.scenario import PROJECT, STACK

RECORDED = Path(__file__).parent / "recorded"
#: What the engines are not held to: wording for the reader.
FOR_THE_READER = ("diagnostics",)
_OF_A_RESOURCE = ("id", "protect", "retainOnDelete", "delete", "parent")
_DEPTH = 4  # document, steps, step, field


@dataclasses.dataclass
class Run:
    """What an engine says about one run, in the words of Pulumi's event log.

    Attributes
    ----------
    exit_code
        None where it was killed.
    operations
        (URN, operation) of every step begun or failed; default providers are left out.
    errors
        Messages of severity error, without colours.
    state
        What a state holds of each resource afterwards, by URN; see `of_state`.
    pending
        (operation, URN) that were begun and never ended.
    output
        Everything that it printed, to look for secrets in.
    state_text
        The state as it lies on the disk, to look for secrets in.
    """

    exit_code: int | None
    operations: list[tuple[str, str]]
    errors: list[str]
    state: dict[str, Any]
    pending: list[tuple[str, str]]
    output: str
    state_text: str


def of_state(resources: list[dict[str, Any]]) -> dict[str, Any]:
    """Reduce a deployment's ``resources`` (the form of ``pulumi stack export``) to what is held, by URN.

    A URN has several entries while an old object waits for its deletion.
    """
    held: dict[str, Any] = {}
    for resource in resources:
        if resource["type"] == "pulumi:pulumi:Stack" or is_provider(resource["urn"]):
            continue
        entry = {key: resource[key] for key in _OF_A_RESOURCE if resource.get(key)}
        if entry.get("parent", "").endswith(f"pulumi:pulumi:Stack::{PROJECT}-{STACK}"):
            del entry["parent"]
        entry["inputs"] = _masked(resource.get("inputs") or {})
        if resource.get("dependencies"):
            entry["dependencies"] = sorted(short(urn) for urn in resource["dependencies"])
        if resource.get("initErrors"):
            entry["initErrors"] = resource["initErrors"]
        held.setdefault(short(resource["urn"]), []).append(entry)
    return dict(sorted(held.items()))


def short(urn: str) -> str:
    """Leave off what every URN of the suite begins with."""
    return urn.removeprefix(f"urn:pulumi:{STACK}::{PROJECT}::")


def is_provider(urn: str) -> bool:
    """Whether this is a provider resource; which of those an engine registers is its own affair."""
    return urn.split("::")[2].startswith("pulumi:providers:")


def differences(recorded: dict[str, Any], made: dict[str, Any]) -> list[str]:
    """Say where two transcripts of one scenario differ, one line each; empty when they agree."""
    found = []
    for old, new in zip(recorded["steps"], made["steps"], strict=True):
        for key in sorted((old.keys() | new.keys()) - set(FOR_THE_READER)):
            found += [f"{old['step']}: {line}" for line in _compare(key, old.get(key), new.get(key))]
    return found


def _compare(where: str, recorded: Any, made: Any) -> list[str]:
    if isinstance(recorded, dict) and isinstance(made, dict):
        keys = sorted(recorded.keys() | made.keys())
        return [line for key in keys for line in _compare(f"{where} {key}", recorded.get(key), made.get(key))]
    if recorded == made:
        return []
    return [f"{where}: recorded {json.dumps(recorded)}, made {json.dumps(made)}"]


def read(scenario: str) -> dict[str, Any]:
    """The committed transcript of a scenario."""
    held: dict[str, Any] = json.loads((RECORDED / f"{scenario}.json").read_text())
    return held


def write(scenario: str, transcript: dict[str, Any]) -> None:
    """Commit a transcript to its file."""
    file = RECORDED / f"{scenario}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_lines(transcript) + "\n")


def _lines(value: Any, depth: int = 0) -> str:
    """JSON with one line for each thing that a reader compares: a field of a step, and there each URN."""
    wrapped = isinstance(value, dict | list) and value and depth < _DEPTH
    if not wrapped or (isinstance(value, list) and isinstance(value[0], str)):
        return json.dumps(value, ensure_ascii=False)
    pad, end = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {_lines(item, depth + 1)}" for key, item in value.items()]
        return "{" + pad + f",{pad}".join(items) + end + "}"
    return "[" + pad + f",{pad}".join(_lines(item, depth + 1) for item in value) + end + "]"


def _masked(value: Any) -> Any:
    """Say of a secret only that it is one: its ciphertext is another each time."""
    if isinstance(value, dict):
        if "4dabf18193072939515e22adb298388d" in value:
            return "[secret]"
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return value
