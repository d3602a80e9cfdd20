"""Rules as policies of pulumi_policy: what the SDK hands over made plain, what a rule finds reported.

pulumi_policy raises on the first unknown value that anybody touches and so skips the whole rule; here unknowns are
`UNKNOWN`, and each rule decides for itself.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
    proxy,
)

from policies.model import UNKNOWN, Finding, Resource, Rule, Stack
from policies.rules import RULES
from policies.rules.names import stack_and_project
from policies.waivers import FILE, Ledger, load

NAME = "bluemoxon"
_UNKNOWN_VALUES = frozenset(value for name, value in vars(proxy).items() if name.startswith("UNKNOWN_"))
_LEVELS = {True: EnforcementLevel.MANDATORY, False: EnforcementLevel.ADVISORY}


def policies(rules: Sequence[Rule] = RULES, ledger: Ledger | None = None) -> list[Policy]:
    """Return every rule as a policy, and the two that speak of the waivers.

    Raises
    ------
    policies.waivers.WaiverError
        The file of waivers cannot be used.
    """
    today = datetime.datetime.now(tz=datetime.UTC).date()
    book = ledger or Ledger(load(FILE, (rule.name for rule in rules)), today)
    return [*(_policy(rule, book) for rule in rules), *_about_waivers(book)]


def plain(value: Any) -> Any:
    """Return a value of the SDK's without its proxies: unknowns as `UNKNOWN`, whole numbers as integers.

    Assets and archives stay as they are; no rule looks into them.
    """
    if isinstance(value, str):
        return UNKNOWN if value in _UNKNOWN_VALUES else value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        raw = value if isinstance(value, dict) else value["__target"]
        return {key: plain(each) for key, each in raw.items()}
    if isinstance(value, Sequence):
        raw = value if isinstance(value, list) else value["__target"]  # type: ignore[call-overload]
        return [plain(each) for each in raw]
    return value


def _policy(rule: Rule, ledger: Ledger) -> Policy:
    level = _LEVELS[rule.mandatory]
    if rule.types:
        return ResourceValidationPolicy(rule.name, rule.asks, _resource_check(rule, ledger), level)
    return StackValidationPolicy(rule.name, rule.asks, _stack_check(rule, ledger), level)


def _resource_check(rule: Rule, ledger: Ledger) -> Callable[[ResourceValidationArgs, ReportViolation], None]:
    def check(args: ResourceValidationArgs, report: ReportViolation) -> None:
        if args.resource_type in rule.types:
            _tell(rule, rule.findings(_resource(args)), ledger, report)

    return check


def _stack_check(rule: Rule, ledger: Ledger) -> Callable[[StackValidationArgs, ReportViolation], None]:
    def check(args: StackValidationArgs, report: ReportViolation) -> None:
        _tell(rule, rule.findings(_stack(args.resources)), ledger, report)

    return check


def _tell(rule: Rule, findings: Iterable[Finding], ledger: Ledger, report: ReportViolation) -> None:
    for finding in findings:
        resource = finding.resource
        if not ledger.waives(rule.name, resource.name, stack_and_project(resource)[0]):
            report(rule.message(finding), resource.urn)


def _resource(given: ResourceValidationArgs | PolicyResource) -> Resource:
    depends = getattr(given, "property_dependencies", {})
    return Resource(
        type=given.resource_type,
        name=given.name,
        urn=given.urn,
        props=plain(given.props),
        protect=given.opts.protect,
        ignored=tuple(given.opts.ignore_changes),
        delete_before_replace=given.opts.delete_before_replace,
        parent=given.opts.parent,
        depends={key: frozenset(each.urn for each in made_from) for key, made_from in depends.items()},
    )


def _stack(resources: Iterable[PolicyResource]) -> Stack:
    return Stack([_resource(resource) for resource in resources])


def _about_waivers(ledger: Ledger) -> list[Policy]:
    def of(args: StackValidationArgs) -> str:
        return next((r.urn for r in args.resources), "urn:pulumi:::").removeprefix("urn:pulumi:").split("::")[0]

    def expired(args: StackValidationArgs, report: ReportViolation) -> None:
        for waiver in ledger.verdict(of(args)).expired:
            report(f"{waiver} is over. Put the resource right, or have the waiver renewed by its owner.")

    def unused(args: StackValidationArgs, report: ReportViolation) -> None:
        for waiver in ledger.verdict(of(args)).unused:
            report(f"{waiver} waives nothing. Remove it from policies/waivers.toml.")

    return [
        StackValidationPolicy("waiver-expired", "A waiver ends on its day.", expired, EnforcementLevel.MANDATORY),
        StackValidationPolicy("waiver-unused", "A waiver is needed.", unused, EnforcementLevel.ADVISORY),
    ]
