"""The evaluation logic, rule by rule; each row names the AWS page that its rule comes from."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from local.iam_policy import Access, Principal, UnsupportedPolicyError, decide, parse

GUIDE = "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
LOGIC = GUIDE + "reference_policies_evaluation-logic.html"
ACTION = GUIDE + "reference_policies_elements_action.html"
RESOURCE = GUIDE + "reference_policies_elements_resource.html"
PRINCIPAL = GUIDE + "reference_policies_elements_principal.html"
OPERATORS = GUIDE + "reference_policies_elements_condition_operators.html"
GRAMMAR = GUIDE + "reference_policies_grammar.html"
SINGLE = GUIDE + "reference_policies_condition-logic-multiple-context-keys-or-values.html"

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/api"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/api/api"
QUEUE = f"arn:aws:sqs:us-west-2:{ACCOUNT}:jobs"
CALLER = Principal(ACCOUNT, ROLE, SESSION)
EVENTS = Principal(ACCOUNT, service="events.amazonaws.com")


def statement(effect="Allow", action="sqs:SendMessage", resource=QUEUE, **rest):
    return {"Effect": effect, "Action": action, "Resource": resource, **rest}


def on(*principals, **rest):
    return statement(Principal={"AWS": list(principals)}, **rest)


def when(operator, key, *values):
    return {"Condition": {operator: {key: list(values)}}}


@dataclass
class Row:
    rule: str
    page: str
    allowed: bool
    identity: list[Any] = field(default_factory=list)
    resource: list[Any] = field(default_factory=list)
    action: str = "sqs:SendMessage"
    on: str = QUEUE
    context: dict[str, str] = field(default_factory=dict)
    who: Principal = CALLER


def by_events(operator, *arns):
    """EventBridge, allowed on a condition on the rule that it comes from."""
    return statement(Principal={"Service": "events.amazonaws.com"}, **when(operator, "aws:SourceArn", *arns))


NAMESPACE = {"cloudwatch:namespace": "worker"}
SOURCE = {"aws:sourcearn": "arn:aws:events:us-west-2:123456789012:rule/sweep"}
TABLE = [
    Row("nothing allows it: implicit deny", LOGIC, False),
    Row("an identity-based policy allows it", LOGIC, True, [statement()]),
    Row("a resource-based policy alone allows it in the same account", LOGIC, True, [], [on(ROLE)]),
    Row("an explicit deny wins over an allow", LOGIC, False, [statement(), statement("Deny")]),
    Row("its place does not matter", LOGIC, False, [statement("Deny"), statement()]),
    Row("a resource-based deny wins over an identity's allow", LOGIC, False, [statement()], [on("*", effect="Deny")]),
    Row("an identity's deny wins over a resource's allow", LOGIC, False, [statement("Deny")], [on(ROLE)]),
    Row("a deny of another action denies nothing", LOGIC, True, [statement(), statement("Deny", "sqs:PurgeQueue")]),
    # Action
    Row("another action is not allowed", ACTION, False, [statement(action="sqs:ReceiveMessage")]),
    Row("actions are not case-sensitive", ACTION, True, [statement(action="SQS:sendmessage")]),
    Row("one action of a list is enough", ACTION, True, [statement(action=["sqs:GetQueueUrl", "sqs:SendMessage"])]),
    Row("* in an action is any run", ACTION, True, [statement(action="sqs:Send*")]),
    Row("* alone is every action", ACTION, True, [statement(action="*")]),
    Row("? in an action is one character", ACTION, True, [statement(action="sqs:SendMessag?")]),
    Row("? is not no character", ACTION, False, [statement(action="sqs:SendMessage?")]),
    Row(
        "an action's name is matched whole",
        ACTION,
        False,
        [statement(action="sqs:SendMessage")],
        action="sqs:SendMessageX",
    ),
    # Resource
    Row("another resource is not allowed", RESOURCE, False, [statement(resource=QUEUE + "-dlq")]),
    Row("resources are case-sensitive", RESOURCE, False, [statement(resource=QUEUE.replace("jobs", "Jobs"))]),
    Row("* alone is every resource", RESOURCE, True, [statement(resource="*")]),
    Row("* inside the resource's name", RESOURCE, True, [statement(resource=QUEUE[:-2] + "*")]),
    Row("one resource of a list is enough", RESOURCE, True, [statement(resource=[QUEUE + "-dlq", QUEUE])]),
    Row(
        "a segment is matched whole",
        RESOURCE,
        False,
        [statement(resource=f"arn:aws:sqs:us-west:{ACCOUNT}:jobs")],
    ),
    Row(
        "* inside the account stays in it",
        RESOURCE,
        False,
        [statement(resource="arn:aws:sqs:us-west-2:1*2:jobs")],
        on="arn:aws:sqs:us-west-2:1:2:jobs",
    ),
    Row(
        "* in the resource's name spans colons",
        RESOURCE,
        True,
        [statement(action="logs:PutLogEvents", resource=f"arn:aws:logs:us-west-2:{ACCOUNT}:log-group:/aws/lambda/f:*")],
        action="logs:PutLogEvents",
        on=f"arn:aws:logs:us-west-2:{ACCOUNT}:log-group:/aws/lambda/f:log-stream:2026",
    ),
    Row("? inside the resource's name is one character", RESOURCE, True, [statement(resource=QUEUE[:-1] + "?")]),
    Row(
        "* that ends a segment reaches beyond the colons",
        RESOURCE,
        True,
        [statement(resource="arn:aws:sqs:us-*")],
    ),
    Row(
        "* inside a segment stays in it",
        RESOURCE,
        False,
        [statement(resource=f"arn:aws:sqs:us*2:{ACCOUNT}:jobs")],
        on=f"arn:aws:sqs:us-west-1:2:{ACCOUNT}:jobs",
    ),
    Row(
        "* in an object's key spans slashes",
        RESOURCE,
        True,
        [statement(action="s3:GetObject", resource="arn:aws:s3:::pictures/books/*")],
        action="s3:GetObject",
        on="arn:aws:s3:::pictures/books/1/a.png",
    ),
    Row(
        "a bucket's ARN is not its objects'",
        RESOURCE,
        False,
        [statement(action="s3:GetObject", resource="arn:aws:s3:::pictures")],
        action="s3:GetObject",
        on="arn:aws:s3:::pictures/books/1",
    ),
    Row(
        "a resource-less action needs Resource *",
        RESOURCE,
        False,
        [statement(action="xray:PutTraceSegments", resource="arn:aws:xray:*")],
        action="xray:PutTraceSegments",
        on="*",
    ),
    # Condition operators
    Row(
        "StringEquals matches the value",
        OPERATORS,
        True,
        [statement(**when("StringEquals", "cloudwatch:namespace", "worker"))],
        context=NAMESPACE,
    ),
    Row(
        "StringEquals is case-sensitive",
        OPERATORS,
        False,
        [statement(**when("StringEquals", "cloudwatch:namespace", "Worker"))],
        context=NAMESPACE,
    ),
    *(
        Row(
            f"{operator} compares the whole value",
            OPERATORS,
            operator == "StringNotEquals",
            [statement(**when(operator, "cloudwatch:namespace", "workers"))],
            context=NAMESPACE,
        )
        for operator in ("StringEquals", "StringNotEquals")
    ),
    Row(
        "StringEquals has no wildcards",
        OPERATORS,
        False,
        [statement(**when("StringEquals", "cloudwatch:namespace", "work*"))],
        context=NAMESPACE,
    ),
    Row(
        "StringLike has wildcards",
        OPERATORS,
        True,
        [statement(**when("StringLike", "cloudwatch:namespace", "work*"))],
        context=NAMESPACE,
    ),
    Row(
        "StringLike is case-sensitive",
        OPERATORS,
        False,
        [statement(**when("StringLike", "cloudwatch:namespace", "Work*"))],
        context=NAMESPACE,
    ),
    Row(
        "StringLike matches the whole value",
        OPERATORS,
        False,
        [statement(**when("StringLike", "cloudwatch:namespace", "wor?"))],
        context=NAMESPACE,
    ),
    Row(
        "StringLike's * is any run, colons among it",
        OPERATORS,
        True,
        [statement(**when("StringLike", "cloudwatch:namespace", "work*er"))],
        context={"cloudwatch:namespace": "work:a:er"},
    ),
    Row(
        "StringNotEquals is met by another value",
        OPERATORS,
        True,
        [statement(**when("StringNotEquals", "cloudwatch:namespace", "api"))],
        context=NAMESPACE,
    ),
    Row(
        "StringNotEquals is not met by the value",
        OPERATORS,
        False,
        [statement(**when("StringNotEquals", "cloudwatch:namespace", "worker"))],
        context=NAMESPACE,
    ),
    Row(
        "StringNotLike is not met by a match",
        OPERATORS,
        False,
        [statement(**when("StringNotLike", "cloudwatch:namespace", "wo*"))],
        context=NAMESPACE,
    ),
    Row(
        "StringNotLike is case-sensitive",
        OPERATORS,
        True,
        [statement(**when("StringNotLike", "cloudwatch:namespace", "Wo*"))],
        context=NAMESPACE,
    ),
    Row(
        "a boolean without quotes is its word in lower case",
        GRAMMAR,
        True,
        [statement(Condition={"StringEquals": {"aws:SecureTransport": True}})],
        context={"aws:securetransport": "true"},
    ),
    Row(
        "a missing key: not met",
        OPERATORS,
        False,
        [statement(**when("StringEquals", "cloudwatch:namespace", "worker"))],
    ),
    Row(
        "a missing key: met by a negated operator",
        OPERATORS,
        True,
        [statement(**when("StringNotEquals", "cloudwatch:namespace", "x"))],
    ),
    Row(
        "a missing key: met with IfExists",
        OPERATORS,
        True,
        [statement(**when("StringEqualsIfExists", "cloudwatch:namespace", "x"))],
    ),
    Row(
        "IfExists with the key there compares",
        OPERATORS,
        False,
        [statement(**when("StringEqualsIfExists", "cloudwatch:namespace", "x"))],
        context=NAMESPACE,
    ),
    Row(
        "Bool compares true and false",
        OPERATORS,
        True,
        [statement(Condition={"Bool": {"aws:SecureTransport": True}})],
        context={"aws:securetransport": "true"},
    ),
    Row(
        "Bool false is not true",
        OPERATORS,
        False,
        [statement(Condition={"Bool": {"aws:SecureTransport": "false"}})],
        context={"aws:securetransport": "true"},
    ),
    Row(
        "ArnEquals matches",
        OPERATORS,
        True,
        [],
        [
            statement(
                Principal={"Service": "events.amazonaws.com"},
                **when("ArnEquals", "aws:SourceArn", SOURCE["aws:sourcearn"]),
            )
        ],
        context=SOURCE,
        who=EVENTS,
    ),
    Row(
        "ArnLike matches component by component",
        OPERATORS,
        True,
        [],
        [
            statement(
                Principal={"Service": "events.amazonaws.com"},
                **when("ArnLike", "AWS:SourceArn", "arn:aws:events:*:123456789012:rule/*"),
            )
        ],
        context=SOURCE,
        who=EVENTS,
    ),
    Row(
        "ArnLike needs every component to match",
        OPERATORS,
        False,
        [],
        [
            statement(
                Principal={"Service": "events.amazonaws.com"},
                **when("ArnLike", "aws:SourceArn", "arn:aws:events:us-east-1:123456789012:rule/*"),
            )
        ],
        context=SOURCE,
        who=EVENTS,
    ),
    Row(
        "ArnLike's * does not cross components",
        OPERATORS,
        False,
        [],
        [
            statement(
                Principal={"Service": "events.amazonaws.com"},
                **when("ArnLike", "aws:SourceArn", "arn:aws:events:*:rule/*"),
            )
        ],
        context=SOURCE,
        who=EVENTS,
    ),
    Row(
        "ArnEquals's * does not cross components either",
        OPERATORS,
        False,
        [],
        [by_events("ArnEquals", "arn:aws:events:*:rule/*")],
        context=SOURCE,
        who=EVENTS,
    ),
    Row(
        "ArnLike is case-sensitive",
        OPERATORS,
        False,
        [],
        [by_events("ArnLike", "arn:aws:events:*:*:rule/Sweep")],
        context=SOURCE,
        who=EVENTS,
    ),
    Row(
        "what is no ARN is like none",
        OPERATORS,
        False,
        [],
        [by_events("ArnLike", "arn:aws:events:*:*:rule/*")],
        context={"aws:sourcearn": "arn:aws:events"},
        who=EVENTS,
    ),
    Row(
        "no ARN is like what is none",
        OPERATORS,
        False,
        [],
        [by_events("ArnLike", "arn:aws:events:*")],
        context=SOURCE,
        who=EVENTS,
    ),
    *(
        Row(
            f"{operator} is met where * would have to cross components",
            OPERATORS,
            True,
            [],
            [by_events(operator, "arn:aws:events:*:rule/*")],
            context=SOURCE,
            who=EVENTS,
        )
        for operator in ("ArnNotEquals", "ArnNotLike")
    ),
    Row(
        "ArnNotEquals is not met by a match",
        OPERATORS,
        False,
        [],
        [by_events("ArnNotEquals", SOURCE["aws:sourcearn"])],
        context=SOURCE,
        who=EVENTS,
    ),
    Row(
        "ArnNotLike is not met by a match",
        OPERATORS,
        False,
        [],
        [statement(Principal="*", **when("ArnNotLike", "aws:SourceArn", SOURCE["aws:sourcearn"]))],
        context=SOURCE,
        who=EVENTS,
    ),
    Row(
        "several values of a key are alternatives",
        SINGLE,
        True,
        [statement(**when("StringEquals", "cloudwatch:namespace", "api", "worker"))],
        context=NAMESPACE,
    ),
    Row(
        "a negated operator must match none of them",
        SINGLE,
        False,
        [statement(**when("StringNotEquals", "cloudwatch:namespace", "api", "worker"))],
        context=NAMESPACE,
    ),
    Row(
        "several keys must all be met",
        SINGLE,
        False,
        [statement(Condition={"StringEquals": {"cloudwatch:namespace": "worker", "aws:RequestedRegion": "x"}})],
        context=NAMESPACE,
    ),
    Row(
        "an unmet condition lifts a deny",
        LOGIC,
        True,
        [statement(), statement("Deny", **when("Bool", "aws:SecureTransport", "false"))],
        context={"aws:securetransport": "true"},
    ),
    # Principal
    Row("the session's ARN is a principal", PRINCIPAL, True, [], [on(SESSION)]),
    Row("* is everyone", PRINCIPAL, True, [], [on("*")]),
    Row("* alone is everyone", PRINCIPAL, True, [], [statement(Principal="*")]),
    Row(
        "* alone is every service",
        PRINCIPAL,
        False,
        [],
        [by_events("ArnEquals", SOURCE["aws:sourcearn"]), statement("Deny", Principal="*")],
        context=SOURCE,
        who=EVENTS,
    ),
    Row("another role is somebody else", PRINCIPAL, False, [], [on(ROLE + "2")]),
    Row("no wildcards inside a principal", PRINCIPAL, False, [], [on(f"arn:aws:iam::{ACCOUNT}:role/*")]),
    Row(
        "the account as principal leaves it to its policies", PRINCIPAL, False, [], [on(f"arn:aws:iam::{ACCOUNT}:root")]
    ),
    Row("the account denied is everyone in it", PRINCIPAL, False, [statement()], [on(ACCOUNT, effect="Deny")]),
    Row(
        "a service is allowed by name",
        PRINCIPAL,
        True,
        [],
        [statement(Principal={"Service": "events.amazonaws.com"})],
        who=EVENTS,
    ),
    Row(
        "another service is not",
        PRINCIPAL,
        False,
        [],
        [statement(Principal={"Service": "s3.amazonaws.com"})],
        who=EVENTS,
    ),
    Row(
        "a service is not of the account",
        PRINCIPAL,
        True,
        [],
        [statement(Principal={"Service": "events.amazonaws.com"}), on(ACCOUNT, effect="Deny")],
        who=EVENTS,
    ),
    Row("a role is no service", PRINCIPAL, False, [], [statement(Principal={"Service": "events.amazonaws.com"})]),
]


def decided(row):
    def read(statements, kind):
        return parse(json.dumps({"Version": "2012-10-17", "Statement": statements}), "policy", kind)

    return decide(
        row.who, Access(row.action, row.on, row.context), read(row.identity, "identity"), read(row.resource, "resource")
    )


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.rule} ({row.page.rsplit('/', 1)[-1]})")
def test_the_evaluator_decides_as_the_page_says(row):
    assert decided(row).allowed is row.allowed


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (TABLE[0], "because no identity-based policy allows the sqs:SendMessage action"),
        (TABLE[3], "with an explicit deny in an identity-based policy"),
        (TABLE[5], "with an explicit deny in a resource-based policy"),
        (Row("", LOGIC, False, who=EVENTS), "because no resource-based policy allows the sqs:SendMessage action"),
    ],
)
def test_a_refusal_ends_in_awss_words(row, reason):
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    assert decided(row).reason == reason


def test_the_decision_names_the_statement_that_matched():
    named = parse(json.dumps({"Statement": [statement(Sid="Send")]}), "inline policy flows", "identity")
    verdict = decide(CALLER, Access("sqs:SendMessage", QUEUE, {}), named, [])
    assert verdict.statement is not None
    assert verdict.statement.source == "inline policy flows#Send"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"NotAction": "sqs:*"}, "NotAction"),
        ({"NotResource": "*"}, "NotResource"),
        ({"Condition": {"DateLessThan": {"aws:CurrentTime": "2030-01-01"}}}, "DateLessThan"),
        ({"Condition": {"ForAllValues:StringEquals": {"aws:SourceArn": "x"}}}, "ForAllValues:StringEquals"),
        ({"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}, "aws:PrincipalOrgID"),
        ({"Resource": "arn:aws:s3:::b/${aws:username}/*"}, "${aws:username}"),
        ({"Effect": "allow"}, "'allow'"),
        ({"Principal": "*"}, "Principal"),
    ],
)
def test_what_is_not_modelled_is_refused_by_name(changed, named):
    document = json.dumps({"Statement": statement() | changed})
    with pytest.raises(UnsupportedPolicyError) as error:
        parse(document, "policy p", "identity")
    assert named in str(error.value)
    assert "policy p" in str(error.value)


@pytest.mark.parametrize(
    ("principal", "named"), [("everyone", "'everyone'"), ({"AWS": "*", "Federated": "x"}, "Federated")]
)
def test_a_principal_that_is_not_modelled_is_refused_by_name(principal, named):
    with pytest.raises(UnsupportedPolicyError, match=named):
        parse(json.dumps({"Statement": statement(Principal=principal)}), "p", "resource")


def test_a_resource_policy_without_a_principal_is_refused():
    with pytest.raises(UnsupportedPolicyError, match="Principal"):
        parse(json.dumps({"Statement": statement()}), "p", "resource")


@pytest.mark.parametrize("document", ["", "[]", "{}", "null", '"text"'])
def test_something_that_is_no_policy_is_refused(document):
    with pytest.raises(UnsupportedPolicyError, match="not a policy document"):
        parse(document, "p", "identity")
