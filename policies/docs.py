"""Writes docs/policies.md from the rules and `page.md`: `python -m policies.docs`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from policies.model import Rule
from policies.rules import RULES, SUBJECTS

FILE = Path(__file__).resolve().parent.parent / "docs" / "policies.md"
TEMPLATE = Path(__file__).with_name("page.md")
# From so many types on a rule is over everything that rules look at.
_MANY = 20


def page() -> str:
    """Return the page."""
    rules = "\n".join(_subjects()).strip()
    return TEMPLATE.read_text().replace("{count}", str(len(RULES))).replace("{rules}", rules)


def _subjects() -> Iterator[str]:
    for title, module in SUBJECTS.items():
        yield f"## {title}\n"
        for rule in module.RULES:
            yield _section(rule)


def _section(rule: Rule) -> str:
    over = ", ".join(f"`{type_.split(':')[-1]}`" for type_ in rule.types) if len(rule.types) < _MANY else "everything"
    answers = ", ".join((*(f"FSBP {control}" for control in rule.fsbp), *rule.checkov))
    facts = [f"over {over}" if rule.types else "over the stack"]
    facts += [] if rule.mandatory else ["*advisory*"]
    facts += [f"answers {answers}"] if answers else []
    return f"### {rule.name}\n\n{rule.asks} ({'; '.join(facts)})\n\n- Why: {rule.why}\n- Fix: {rule.fix}\n"


if __name__ == "__main__":
    FILE.write_text(page())
