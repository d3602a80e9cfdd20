"""The real programs under the real rules: nothing is wrong with them, and one thing broken is found."""

import pytest

from policies.model import Stack
from policies.rules import RULES
from tests.policies.asking import found, mandatory
from tests.policies.building import CANARY, altered
from tests.policies.mutations import MUTATIONS
from tests.program.stacks import STACKS

BY_NAME = {rule.name: rule for rule in RULES}


def test_every_rule_is_broken_once():
    assert set(MUTATIONS) == set(BY_NAME)


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_a_rule_is_for_is_found_in_the_real_program(shown, name):
    local, mutation = shown("local"), MUTATIONS[name]
    target = next(r for r in local.outputs.resources if r.type == mutation.type and r.name.endswith(mutation.ending))
    inputs, outputs = (
        [
            altered(each, mutation.change or {}) if each.urn == target.urn else each
            for each in resources
            if each.urn != target.urn or mutation.change is not None
        ]
        for resources in (local.resources, local.outputs.resources)
    )
    answers = found(inputs, Stack(outputs))
    assert set(answers) == {name, *mutation.also}
    messages = [BY_NAME[rule].message(finding) for rule, findings in answers.items() for finding in findings]
    assert not [message for message in messages if CANARY in message]


@pytest.mark.parametrize("stack", STACKS)
def test_no_program_violates_a_mandatory_rule(shown, stack):
    deployed = shown(stack)
    answers = found(deployed.resources, deployed.outputs)
    assert mandatory(answers) == set()
    # The one that only tells: staging's database is being imported.
    assert set(answers) == ({"import-ends"} if stack == "staging" else set())


@pytest.mark.slow
def test_a_preview_of_the_first_deployment_violates_nothing_though_little_is_known_yet(shown):
    preview = shown("local", "preview")
    assert found(preview.resources, preview.outputs) == {}


def test_rules_look_at_most_of_what_the_program_is_made_of(shown):
    looked_at = {type_ for rule in RULES if rule.name != "ignored-for-an-import" for type_ in rule.types}
    made = {r.type for r in shown("local").resources if r.type.startswith("aws:")}
    # Of these nothing is asked by themselves: glue, and what stack rules look at.
    assert made - looked_at == {
        "aws:apigatewayv2/integration:Integration",
        "aws:apigatewayv2/route:Route",
        "aws:cloudwatch/dashboard:Dashboard",
        "aws:cloudwatch/eventTarget:EventTarget",
        "aws:kms/alias:Alias",
        "aws:lambda/invocation:Invocation",
        "aws:s3/bucketCorsConfiguration:BucketCorsConfiguration",
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "aws:sns/topicSubscription:TopicSubscription",
        "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
    }


def test_the_list_of_what_an_import_may_ignore_is_the_components_own():
    from components.database import IMPROVED_AFTER_IMPORT
    from policies.rules.ignored import WHILE_IMPORTING
    from policies.tokens import INSTANCE

    assert set(WHILE_IMPORTING[INSTANCE]) == set(IMPROVED_AFTER_IMPORT)
