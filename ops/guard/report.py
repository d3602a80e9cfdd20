"""The gate's judgement, and how it is told: to people, to machines, to a pull request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ops.errors import UserError
from ops.guard import database, permissions
from ops.guard.findings import ROTATION, RULES, Finding
from ops.guard.preview import GuardInputError, Preview, State, Step

LONGEST_COMMENT = 60_000
"""Characters of a comment; GitHub takes 65,536, and what stands around it needs room."""
_CHECKS = (
    database.credential,
    database.loss,
    database.taken_in,
    database.readers,
    permissions.iam_widened,
    permissions.public_exposure,
)
_CUT = "\n\n… and {} more lines; the whole plan is in the job's log.\n"


@dataclass(frozen=True)
class Report:
    """What came of a preview.

    Attributes
    ----------
    refused
        What stands against deploying it.
    allowed
        What would, had it not been allowed, with the reason that was given.
    """

    preview: Preview
    refused: tuple[Finding, ...]
    allowed: tuple[tuple[Finding, str], ...]

    @property
    def passed(self) -> bool:
        """Whether it may be deployed."""
        return not self.refused

    @property
    def steps(self) -> list[Step]:
        """Steps that change something, those that were refused first, then losses, then the rest."""
        first = {finding.urn for finding in self.refused}
        order = {"delete": 1, "replace": 2, "update": 3}
        return sorted(
            (step for step in self.preview.steps if step.changes_it),
            key=lambda step: (step.urn not in first, order.get(step.op, 4), step.urn),
        )

    @property
    def summary(self) -> str:
        """One sentence."""
        changes = ", ".join(f"{count} to {op}" for op, count in sorted(self.preview.changes.items()) if op != "same")
        verdict = "passed" if self.passed else f"refused, {len(self.refused)} reason(s)"
        return f"plan gate: {verdict}; {changes or 'no changes'}"

    def to_json(self) -> dict[str, Any]:
        """Give the report for machines."""
        return {
            "verdict": "passed" if self.passed else "refused",
            "refused": [vars(finding) for finding in self.refused],
            "allowed": [{**vars(finding), "because": why} for finding, why in self.allowed],
            "changes": dict(self.preview.changes),
            "steps": [{"op": step.op, "urn": step.urn, "changed": list(step.changed)} for step in self.steps],
        }

    def lines(self) -> list[str]:
        """Give the report for a terminal."""
        lines = [self.summary]
        for finding in self.refused:
            lines += [
                f"REFUSED {finding.rule}: {finding.reason}",
                f"  {finding.urn or 'the preview'}",
                f"  {finding.fix}",
            ]
        lines += [f"allowed {finding.rule}: {finding.reason} (because: {why})" for finding, why in self.allowed]
        lines += [f"{step.op:>8}  {step.type}  {step.name}  {', '.join(step.changed)}".rstrip() for step in self.steps]
        return lines

    def markdown(self) -> str:
        """Give the report for a pull request: the verdict first, dangerous steps on top, under `LONGEST_COMMENT`."""
        lines = [f"**{_text(self.summary)}**", ""]
        for finding in self.refused:
            lines.append(f"- ❌ **{finding.rule}** {_text(finding.reason)}. {_text(finding.fix)}")
        for finding, why in self.allowed:
            lines.append(f"- ⚠️ **{finding.rule}** {_text(finding.reason)}. Allowed because: {_text(why)}")
        if self.steps:
            lines += ["", "| operation | type | name | properties |", "|---|---|---|---|"]
            lines += [
                f"| {step.op} | {_code(step.type)} | {_code(step.name)} | {_code(', '.join(step.changed))} |"
                for step in self.steps
            ]
        return _within(lines)


def judge(preview: Preview, state: State | None = None, allow: Mapping[str, str] | None = None) -> Report:
    """Hold a preview against every rule.

    Parameters
    ----------
    preview
        What would be done.
    state
        What there is, from the stack's export; says what is protected even where the preview does not.
    allow
        Rule to the reason why it may be passed this time.

    Raises
    ------
    UserError
        A rule that does not exist or that no reason passes, or an empty reason.
    GuardInputError
        The preview is of another state.
    """
    allow = allow or {}
    _check_allowed(allow)
    if state is not None:
        _check_same_state(preview, state)
    found = sorted({*_failed(preview), *(each for check in _CHECKS for each in check(preview, state))})
    return Report(
        preview,
        refused=tuple(each for each in found if each.rule not in allow),
        allowed=tuple((each, allow[each.rule]) for each in found if each.rule in allow),
    )


def _failed(preview: Preview) -> list[Finding]:
    # Only the number: a program's error may quote what it was given.
    reasons = [f"the preview ended with {len(preview.errors)} error(s)"] if preview.errors else []
    reasons += ["the preview says that its state may be corrupt"] if preview.corrupt else []
    fix = f"Mend what the preview says and preview again. If it refused a change of the password: {ROTATION}."
    return [Finding("preview-failed", "", "", "the preview", reason, fix) for reason in reasons]


def _check_allowed(allow: Mapping[str, str]) -> None:
    for name, reason in allow.items():
        rule = RULES.get(name)
        if rule is None:
            raise UserError(f"There is no rule {name!r}.", f"Rules: {', '.join(RULES)}.")
        if not rule.allowable:
            raise UserError(f"{name} cannot be allowed. {rule.why}", f"Rotation is its own command: {ROTATION}.")
        if not reason.strip():
            raise UserError(f"--allow {name} gives no reason.", f"Write --allow {name}=REASON.")


def _check_same_state(preview: Preview, state: State) -> None:
    for step in preview.steps:
        if step.op in {"update", "delete", "replace"} and step.urn not in state.resources:
            raise GuardInputError("the preview", f"it changes {step.name!r}, which the given state does not have")


def _within(lines: list[str]) -> str:
    text, taken = "", 0
    for number, line in enumerate(lines):
        if taken + len(line) + 1 > LONGEST_COMMENT - len(_CUT) - 10:
            return text + _CUT.format(len(lines) - number)
        text += line + "\n"
        taken += len(line) + 1
    return text


def _text(value: str) -> str:
    """Make text that is only text in Markdown: no markup, no mention, no line of its own."""
    plain = "".join(each if each.isprintable() else " " for each in value)
    return re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", plain).replace("@", "@\N{ZERO WIDTH JOINER}")


def _code(value: str) -> str:
    plain = "".join(each if each.isprintable() and each not in "`|" else " " for each in value)
    return f"`{plain}`" if plain.strip() else ""
