"""Every rule: what passes, what fails, what is not known yet, what is secret; and no line of a rule unreached."""

import ast
from pathlib import Path

import coverage
import pytest

from policies import documents
from policies.rules import RULES, SUBJECTS
from tests.policies.building import CANARY, altered
from tests.policies.cases import CASES
from tests.policies.stack_cases import COMPLETE, STACK_CASES, stack_with
from tests.policies.wire import received, secret

BY_NAME = {rule.name: rule for rule in RULES}
OPTIONS = ("protect", "ignored", "delete_before_replace", "depends")


def told(rule, subject):
    """Return what a rule names, and look at every message."""
    findings = list(rule.findings(subject))
    for finding in findings:
        message = rule.message(finding)
        assert finding.prop in message
        assert finding.resource.name in message
        assert CANARY not in message
        assert "Unknown" not in message
    return findings


def props(rule, subject):
    return [finding.prop for finding in told(rule, subject)]


def pairs(rule, subject):
    return [(finding.resource.name, finding.prop) for finding in told(rule, subject)]


def as_secret(change):
    """Return a change with every value of it marked secret, as the wire has it."""
    return {key: value if key in OPTIONS or value is None else secret(value) for key, value in change.items()}


def over_resources():
    for name, case in CASES.items():
        rule = BY_NAME[name]
        yield rule, case.good, []
        for change in case.fine:
            yield rule, altered(case.good, change), []
        for change, expected in (*case.bad, *case.unknown):
            yield rule, altered(case.good, change), expected


def over_stacks():
    for name, case in STACK_CASES.items():
        rule = BY_NAME[name]
        yield rule, stack_with({}), []
        for change in case.fine:
            yield rule, stack_with(change), []
        for change, expected in (*case.bad, *case.unknown):
            yield rule, stack_with(change), expected


def test_every_rule_has_cases_that_fail_and_cases_with_values_not_known_yet():
    assert len(RULES) == len(BY_NAME)
    assert {rule.name for rule in RULES if rule.types} == set(CASES)
    assert {rule.name for rule in RULES if not rule.types} == set(STACK_CASES)
    cases = [(case.bad, case.unknown) for case in CASES.values()]
    cases += [(case.bad, case.unknown) for case in STACK_CASES.values()]
    assert all(bad and unknown for bad, unknown in cases)


@pytest.mark.parametrize("name", CASES)
def test_a_rule_names_the_property_that_is_wrong_and_only_that(name):
    for rule, subject, expected in over_resources():
        if rule.name == name:
            assert props(rule, subject) == expected, (subject.props, subject.ignored)


@pytest.mark.parametrize("name", STACK_CASES)
def test_a_rule_over_the_stack_names_resource_and_property_and_only_those(name):
    for rule, subject, expected in over_stacks():
        if rule.name == name:
            assert sorted(pairs(rule, subject)) == sorted(expected)


@pytest.mark.parametrize("name", CASES)
def test_a_secret_value_is_judged_as_a_plain_one_and_never_told(name):
    rule, case = BY_NAME[name], CASES[name]
    for change, expected in case.bad:
        assert props(rule, altered(case.good, as_secret(change))) == expected
    everything = {key: secret(value) for key, value in case.good.props.items()}
    assert props(rule, altered(case.good, everything)) == []


@pytest.mark.parametrize("name", STACK_CASES)
def test_a_secret_output_is_judged_as_a_plain_one(name):
    rule, case = BY_NAME[name], STACK_CASES[name]
    for change, expected in case.bad:
        marked = {key: value if value is None else as_secret(value) for key, value in change.items()}
        assert sorted(pairs(rule, stack_with(marked))) == sorted(expected)
    everything = {r.name: {key: secret(value) for key, value in r.props.items() if value} for r in COMPLETE}
    known = {
        name: {k: v for k, v in change.items() if isinstance(v["value"], str)} for name, change in everything.items()
    }
    assert pairs(rule, stack_with(known)) == []


def test_a_value_in_a_secret_reaches_the_rule():
    assert received({"password": secret("x"), "deep": {"list": [secret({"a": 1.0})]}}) == {
        "password": "x",
        "deep": {"list": [{"a": 1}]},
    }


def test_every_message_says_how_to_put_it_right():
    for rule in RULES:
        for text in (rule.asks, rule.why, rule.fix):
            assert text.endswith((".", ")."))
            assert len(text.split()) > 3
        assert all(control[0].isupper() and "." in control for control in rule.fsbp)
        assert all(each.startswith(("CKV_AWS_", "CKV2_AWS_")) for each in rule.checkov)


def test_the_cases_reach_every_line_of_every_rule():
    modules = [*SUBJECTS.values(), documents]
    files = [str(module.__file__) for module in modules]
    measured = coverage.Coverage(include=files, data_file=None, branch=False)
    with measured.collect():
        for rule, subject, _ in (*over_resources(), *over_stacks()):
            list(rule.findings(subject))
    for file in files:
        missing = [line for line in measured.analysis2(file)[3] if line in bodies(file)]
        assert not missing, f"{file}: lines {missing}"


def bodies(file):
    """Return the lines inside functions; what a module says of itself ran when it was imported."""
    tree = ast.parse(Path(file).read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {line for f in functions for each in f.body for line in range(each.lineno, (each.end_lineno or 0) + 1)}
