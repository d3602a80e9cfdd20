"""Asks rules, as the pack does: resource rules of inputs, stack rules of outputs."""

from policies.rules import RULES


def found(resources, stack, rules=RULES):
    """Return rule's name to what it found."""
    answers = {}
    for rule in rules:
        subjects = [r for r in resources if r.type in rule.types] if rule.types else [stack]
        findings = [finding for subject in subjects for finding in rule.findings(subject)]
        if findings:
            answers[rule.name] = findings
    return answers


def mandatory(answers):
    """Return the names of the mandatory rules among the answers."""
    return {rule.name for rule in RULES if rule.mandatory} & set(answers)
