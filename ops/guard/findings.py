"""What the plan gate refuses: each rule's name, why it is there, and whether a reason may let it pass."""

from __future__ import annotations

from dataclasses import dataclass

ROTATION = "./bmx db rotate"


@dataclass(frozen=True)
class Rule:
    """A rule of the gate; `allowable` rules pass with `--allow NAME=REASON`."""

    name: str
    why: str
    allowable: bool


RULES = {
    rule.name: rule
    for rule in (
        Rule("preview-failed", "A preview that ended in an error shows only a part of what would happen.", False),
        Rule("credential-change", "A deployment that changes the credential locks out everybody who logs in.", False),
        Rule("database-loss", "The database, or the secret that leads to it, would be gone or made anew.", False),
        Rule("database-import", "Another database would be taken in while the program still has one.", False),
        Rule("protected-loss", "Something protected would be gone, made anew or no longer protected.", True),
        Rule("reader-moves-alone", "What reads the credential would be pointed elsewhere without the database.", True),
        Rule("iam-widened", "Somebody could do more than before, or it cannot be seen that nobody can.", True),
        Rule("public-exposure", "Something could be reached by anybody.", True),
    )
}


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is refused. No part of it holds a property's value.

    Attributes
    ----------
    rule
        Name in `RULES`.
    urn, op
        The step; empty for the preview as a whole.
    what
        The property, or what else it is about.
    reason, fix
        Why it is refused, what to do instead.
    """

    rule: str
    urn: str
    op: str
    what: str
    reason: str
    fix: str
