"""Every resource of every stack's program, held against AWS's resource schemas by cfn-lint."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import pytest

from local.engine.state import ResourceState
from local.engine.values import unwrap
from tests.program.stacks import NETWORK, STACKS, deployed
from tests.schemas.published import REGION
from tests.schemas.translation import NO_TYPE, TABLES, Not, To, UntranslatedError, translate


class Finding(NamedTuple):
    """What a schema refuses: rule of cfn-lint, resource, property, sentence."""

    rule: str
    resource: str
    property: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.resource}: {self.property}: {self.sentence} ({self.rule})"


KEPT = {
    ("W3691", "Engine version '16' for engine 'postgres'"): (
        "The major version alone is meant: RDS takes it and chooses the minor one, and so does the provider "
        "(CreateDBInstance, EngineVersion; compareActualEngineVersion). The list holds full versions only."
    ),
}
"""Findings that are kept: rule and the beginning of the sentence, and the reason."""

# What AWS documents and its schemas leave out: type, property, longest value in characters, source.
LIMITS = (
    ("AWS::ApiGatewayV2::Api", "Name", 128, "API Gateway V2 API reference, CreateApi: name"),
    ("AWS::ApiGatewayV2::Stage", "StageName", 128, "API Gateway V2 API reference, CreateStage: stageName"),
    ("AWS::CloudWatch::Dashboard", "DashboardName", 255, "CloudWatch API reference, PutDashboard: DashboardName"),
    ("AWS::EC2::SecurityGroupEgress", "Description", 255, "EC2 API reference, IpRange: Description"),
    ("AWS::EC2::SecurityGroupIngress", "Description", 255, "EC2 API reference, IpRange: Description"),
    ("AWS::RDS::DBInstance", "DBName", 63, "RDS API reference, CreateDBInstance: DBName of PostgreSQL"),
    ("AWS::RDS::DBSubnetGroup", "DBSubnetGroupName", 255, "RDS API reference, CreateDBSubnetGroup"),
    ("AWS::SQS::Queue", "QueueName", 80, "SQS API reference, CreateQueue: QueueName"),
    ("AWS::IAM::ManagedPolicy", "ManagedPolicyName", 128, "IAM and AWS STS quotas: names of IAM resources"),
    ("AWS::IAM::ManagedPolicy", "PolicyDocument", 6_144, "IAM and AWS STS quotas, white space not counted"),
    ("AWS::IAM::Role", "AssumeRolePolicyDocument", 2_048, "IAM and AWS STS quotas: role trust policy length"),
)


def findings(states: Iterable[ResourceState]) -> list[Finding]:
    """Validate resources, all in one template."""
    from cfnlint.api import ManualArgs, lint

    made = translate(states)
    names = {f"R{number}": urn for number, urn in enumerate(made)}
    template = json.dumps(
        {"AWSTemplateFormatVersion": "2010-09-09", "Resources": {name: made[urn] for name, urn in names.items()}},
        indent=1,  # cfn-lint points to lines and columns
    )
    found = []
    for match in lint(template, config=ManualArgs(regions=[REGION])):
        _, name, _, *path = match.path
        found.append(Finding(match.rule.id, names[name], ".".join(map(str, path)), match.message))
    return [*found, *_too_long(made)]


def _too_long(made: dict[str, dict[str, Any]]) -> Iterable[Finding]:
    for urn, resource in made.items():
        for type_, name, longest, source in LIMITS:
            value = resource["Properties"].get(name) if resource["Type"] == type_ else None
            written = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
            if len(written) > longest:
                yield Finding("quota", urn, name, f"{len(written):,} characters, and AWS takes {longest:,}: {source}")


@cache
def program(stack: str) -> list[ResourceState]:
    """Return a stack's resources, with ids in AWS's form where the recording provider made some up."""
    states = list(deployed(stack).resources.values())
    groups = [state.id for state in states if state.type == "aws:ec2/securityGroup:SecurityGroup"]
    made_up = [*groups, NETWORK["vpcId"], *NETWORK["subnetIds"]]
    real = {
        str(each): f"{str(each).partition('-')[0]}-{hashlib.sha256(str(each).encode()).hexdigest()[:17]}"
        for each in made_up
    }
    return [replace(state, inputs=_exchanged(unwrap(state.inputs), real)) for state in states]


def _exchanged(value: Any, real: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _exchanged(each, real) for name, each in value.items()}
    if isinstance(value, list):
        return [_exchanged(each, real) for each in value]
    return real.get(value, value) if isinstance(value, str) else value


def one(type_: str, called: str, /, **inputs: Any) -> ResourceState:
    """Return a resource of staging, with other inputs."""
    state = next(each for each in program("staging") if (each.type, each.name) == (type_, called))
    return replace(state, inputs={**state.inputs, **inputs})


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return findings([state for stack in STACKS for state in program(stack)])


def kept(finding: Finding) -> tuple[str, str] | None:
    return next((each for each in KEPT if finding.rule == each[0] and finding.sentence.startswith(each[1])), None)


def test_aws_schemas_find_nothing_in_the_programs_but_what_is_kept_with_a_reason(found):
    assert [str(finding) for finding in found if kept(finding) is None] == []


def test_nothing_is_kept_that_is_no_longer_found(found):
    assert {kept(finding) for finding in found} - {None} == KEPT.keys()


def test_every_type_of_the_programs_has_a_table_or_a_reason_and_every_table_a_resource():
    made = {state.type for stack in STACKS for state in program(stack) if state.type.startswith(("aws:", "docker"))}
    assert made == TABLES.keys() | NO_TYPE.keys()
    assert all(NO_TYPE.values())


def test_every_property_of_a_table_is_one_that_the_programs_give():
    given: dict[str, set[str]] = {}
    for stack in STACKS:
        for state in program(stack):
            given.setdefault(state.type, set()).update(state.inputs)
    assert {type_: table.properties.keys() for type_, table in TABLES.items()} == {
        type_: given[type_] for type_ in TABLES
    }
    assert all(each.reason for table in TABLES.values() for each in table.properties.values() if isinstance(each, Not))


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (lambda: one("aws:sqs/queue:Queue", "analysis-queue", name="q" * 81), "QueueName: 81 characters"),
        (
            lambda: one(
                "aws:iam/policy:Policy",
                "migrate-role-1",
                policy=json.dumps({"Version": "2012-10-17", "Statement": [], "Id": "x" * 6_098}),
            ),
            "PolicyDocument: 6,145 characters",
        ),
        (
            lambda: one("aws:cloudwatch/logGroup:LogGroup", "http-access-log", retentionInDays=31),
            "RetentionInDays: 31 is not one of",
        ),
        (
            lambda: one("aws:sqs/queue:Queue", "analysis-queue", visibilityTimeoutSeconds=43_201),
            "VisibilityTimeout: 43201 is greater than the maximum of 43200",
        ),
        (
            lambda: one("aws:lambda/permission:Permission", "job_sweeper-schedule-permission", action="lambda invoke"),
            "Action: 'lambda invoke' does not match",
        ),
    ],
    ids=["queue name of 81 characters", "policy too long", "retention", "visibility timeout", "action"],
)
def test_one_broken_constraint_is_found_by_name(broken, named):
    state = broken()
    assert [str(each) for each in findings([state]) if each.resource == state.urn and named in str(each)]


def test_what_no_table_says_is_refused_by_name():
    queue = one("aws:sqs/queue:Queue", "analysis-queue", fifoQueue=True)
    with pytest.raises(UntranslatedError, match=re.escape("analysis-queue: its table does not have 'fifoQueue'")):
        translate([queue])
    with pytest.raises(UntranslatedError, match=r"no table in .* for aws:dynamodb/table:Table"):
        translate([replace(queue, type="aws:dynamodb/table:Table")])
    with pytest.raises(UntranslatedError, match="no AWS::S3::Bucket here"):
        translate([one("aws:s3/bucketVersioning:BucketVersioning", "images-versioning")])


def test_a_table_names_only_properties_that_the_schema_has():
    from tests.schemas.published import schema

    unknown = [
        f"{type_}: {name}"
        for type_, table in TABLES.items()
        for each in table.properties.values()
        if not isinstance(each, Not)
        and (name := (each.path if isinstance(each, To) else each).partition(".")[0])
        not in schema(table.type)["properties"]
    ]
    assert unknown == []
