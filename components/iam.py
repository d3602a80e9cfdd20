"""Policies: what each need grants, limited to the resource and prefix that it names.

- statements for needs, producers, consumers, logs, tracing and network interfaces
- `documents` packs them into managed policies of at most 6,144 characters
- `RoleWithGrants` makes the role of a function and attaches them
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

from components.needs import DeleteObjects, Need, ReadObjects, ReadObjectVersions, WriteObjects
from components.refused import RefusedError
from components.unscoped import INSPECTING_ACTIONS, LIMITED, RUNNING_ACTIONS, UNSCOPED_ACTIONS

# "IAM and AWS STS quotas": characters of a managed policy, white space not counted; managed policies on a role.
LONGEST_POLICY = 6_144
MOST_POLICIES = 10
# How many policies there are is decided before ARNs are known, so an unknown one is taken to be as long as this.
# The longest here are secrets' (about 120); `_render` checks the real ones.
LONGEST_ARN = 200

_VERSION = "2012-10-17"
_TRUST = json.dumps(
    {
        "Version": _VERSION,
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    },
    sort_keys=True,
)


@dataclass(frozen=True)
class Statement:
    """Actions allowed on resources.

    Raises
    ------
    RefusedError
        An action holds a wildcard, or ``*`` is the resource of an action that is not in `UNSCOPED_ACTIONS`.
    """

    actions: tuple[str, ...]
    resources: tuple[pulumi.Input[str], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "actions", tuple(sorted(set(self.actions))))
        for action in self.actions:
            if "*" in action or "?" in action:
                raise RefusedError(f"A statement grants {action!r}; name each action, without a wildcard.")
        for resource in self.resources:
            if isinstance(resource, str):
                _refuse_unscoped(self.actions, resource)


@dataclass(frozen=True)
class Grant:
    """What a need comes to: statements for the role, and variables by which the function finds the resource."""

    statements: tuple[Statement, ...]
    variables: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


def object_statements(need: Need, bucket_arn: pulumi.Input[str]) -> tuple[Statement, ...]:
    """Grant reading, writing or deleting the objects under one prefix of one bucket."""
    match need:
        case ReadObjects(prefix):
            return (Statement(("s3:GetObject",), (pulumi.Output.concat(bucket_arn, "/", prefix, "*"),)),)
        case ReadObjectVersions(prefix):
            return (Statement(("s3:GetObjectVersion",), (pulumi.Output.concat(bucket_arn, "/", prefix, "*"),)),)
        case WriteObjects(prefix):
            return (Statement(("s3:PutObject",), (pulumi.Output.concat(bucket_arn, "/", prefix, "*"),)),)
        case DeleteObjects(prefix):
            return (Statement(("s3:DeleteObject",), (pulumi.Output.concat(bucket_arn, "/", prefix, "*"),)),)
        case _:
            return (Statement(("s3:ListBucket",), (bucket_arn,)),)


def secret_statements(secret_arns: Iterable[pulumi.Input[str]]) -> tuple[Statement, ...]:
    """Grant reading the value of the secrets named."""
    return (Statement(("secretsmanager:GetSecretValue",), tuple(secret_arns)),)


def producer_statements(queue_arn: pulumi.Input[str]) -> tuple[Statement, ...]:
    """Grant sending to one queue; neither looking at it nor anything on its dead letters.

    Asking for the address belongs to sending: a sender knows the queue by its name, and SQS answers "does not exist" to
    whoever may not ask.
    """
    return (Statement(("sqs:GetQueueUrl", "sqs:SendMessage"), (queue_arn,)),)


def consumer_statements(queue_arn: pulumi.Input[str]) -> tuple[Statement, ...]:
    """Grant what an event source mapping asks of its function's role ("Using Lambda with Amazon SQS", permissions)."""
    return (Statement(("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"), (queue_arn,)),)


def inspector_statements(
    queue_arn: pulumi.Input[str], dead_letters_arn: pulumi.Input[str], function_arn: pulumi.Input[str] | None
) -> tuple[Statement, ...]:
    """Grant looking at a queue, its dead letters, and the function that works through it, where there is one."""
    looks = [
        Statement(("sqs:GetQueueAttributes", "sqs:GetQueueUrl"), (queue_arn, dead_letters_arn)),
        Statement(tuple(INSPECTING_ACTIONS), ("*",)),
    ]
    if function_arn is not None:
        looks.append(Statement(("lambda:GetFunctionConfiguration",), (function_arn,)))
    return tuple(looks)


def redriver_statements(queue_arn: pulumi.Input[str], dead_letters_arn: pulumi.Input[str]) -> tuple[Statement, ...]:
    """Grant taking dead letters, hiding and showing them, deleting them, and sending them to their queue again."""
    takes = ("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage")
    return (Statement(takes, (dead_letters_arn,)), Statement(("sqs:SendMessage",), (queue_arn,)))


def log_statements(log_group_arn: pulumi.Input[str]) -> tuple[Statement, ...]:
    """Grant writing to one log group, but not making one: a group that a function makes itself keeps everything."""
    streams = pulumi.Output.concat(log_group_arn, ":*")
    return (Statement(("logs:CreateLogStream", "logs:PutLogEvents"), (streams,)),)


def unscoped_statements() -> tuple[Statement, ...]:
    """Grant tracing and network interfaces, which AWS does not limit to resources."""
    return (Statement(tuple(RUNNING_ACTIONS), ("*",)),)


def documents(statements: Iterable[Statement]) -> list[tuple[Statement, ...]]:
    """Pack statements into as few policy documents as their longest possible form allows.

    Statements with the same actions share one, and resources named twice are named once. A statement with many
    resources may be spread over several documents; what is allowed is the same.

    Returns
    -------
    list of tuple of Statement
        The statements of each document, at most 6,144 characters when written without white space.

    Raises
    ------
    RefusedError
        More than ten documents, which is as many as a role takes.
    """
    packed: list[dict[tuple[str, ...], list[pulumi.Input[str]]]] = [{}]
    for actions, resource in _atoms(statements):
        current = packed[-1]
        current.setdefault(actions, []).append(resource)
        if _longest(current) > LONGEST_POLICY:
            current[actions].pop()
            if not current[actions]:
                del current[actions]
            packed.append({actions: [resource]})
    if len(packed) > MOST_POLICIES:
        raise RefusedError(
            f"The grants of one role fill {len(packed)} policies and a role takes {MOST_POLICIES}; grant less to it."
        )
    return [
        tuple(Statement(actions, tuple(resources)) for actions, resources in document.items()) for document in packed
    ]


def policy(statements: Sequence[Statement]) -> pulumi.Output[str]:
    """Write statements as a policy document, once their ARNs are known."""
    return pulumi.Output.all(*[pulumi.Output.all(*statement.resources) for statement in statements]).apply(
        lambda resources: _render([(s.actions, tuple(r)) for s, r in zip(statements, resources, strict=True)])
    )


class RoleWithGrants:
    """The role of one function: trusted by Lambda, with the managed policies that its statements fill.

    Parameters
    ----------
    name
        Name of the role on AWS, and the stem of its policies' names.
    statements
        All that the role may do.
    parent
        The component that it belongs to.
    """

    def __init__(self, resource_name: str, name: str, statements: Iterable[Statement], parent: pulumi.Resource) -> None:
        opts = pulumi.ResourceOptions(parent=parent)
        self.role = aws.iam.Role(resource_name, name=name, assume_role_policy=_TRUST, opts=opts)
        self.attachments: list[aws.iam.RolePolicyAttachment] = []
        for number, document in enumerate(documents(statements), start=1):
            made = aws.iam.Policy(
                f"{resource_name}-{number}", name=f"{name}-{number}", policy=policy(document), opts=opts
            )
            self.attachments.append(
                aws.iam.RolePolicyAttachment(
                    f"{resource_name}-{number}", role=self.role.name, policy_arn=made.arn, opts=opts
                )
            )


def tls_only(action: str, *resources: pulumi.Input[str]) -> pulumi.Output[str]:
    """Write a resource policy that denies every call which does not come over TLS."""
    return pulumi.Output.json_dumps(
        {"Version": _VERSION, "Statement": [tls_only_statement(action, *resources)]}, sort_keys=True
    )


def tls_only_statement(action: str, *resources: pulumi.Input[str]) -> dict[str, Any]:
    """Return the statement of `tls_only`, for policies that say more."""
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": list(resources) if len(resources) > 1 else resources[0],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def _atoms(statements: Iterable[Statement]) -> list[tuple[tuple[str, ...], pulumi.Input[str]]]:
    """Return each pair of actions and resource once, those with the same actions side by side, in order."""
    grouped: dict[tuple[str, ...], list[pulumi.Input[str]]] = {}
    for statement in statements:
        resources = grouped.setdefault(statement.actions, [])
        for resource in statement.resources:
            # Outputs have no equality of values; the same one given twice is the same object.
            known = any(resource is other or (isinstance(resource, str) and resource == other) for other in resources)
            if not known:
                resources.append(resource)
    return [(actions, resource) for actions, resources in grouped.items() for resource in resources]


def _longest(document: Mapping[tuple[str, ...], Sequence[pulumi.Input[str]]]) -> int:
    longest = [
        (actions, tuple(r if isinstance(r, str) else f"{i:x>{LONGEST_ARN}}" for i, r in enumerate(resources)))
        for actions, resources in document.items()
    ]
    return len(_write(longest))


def _write(statements: Sequence[tuple[tuple[str, ...], tuple[str, ...]]]) -> str:
    written = [{"Effect": "Allow", "Action": list(a), "Resource": list(dict.fromkeys(r))} for a, r in statements]
    return json.dumps({"Version": _VERSION, "Statement": written}, separators=(",", ":"))


def _render(statements: Sequence[tuple[tuple[str, ...], tuple[str, ...]]]) -> str:
    for actions, resources in statements:
        for resource in resources:
            _refuse_unscoped(actions, resource)
    written = _write(statements)
    if len(written) > LONGEST_POLICY:
        raise RefusedError(
            f"A policy has {len(written):,} characters and AWS takes {LONGEST_POLICY:,}; an ARN exceeds {LONGEST_ARN}."
        )
    return written


def _refuse_unscoped(actions: Iterable[str], resource: str) -> None:
    if resource == "*":
        unlisted = [action for action in actions if action not in UNSCOPED_ACTIONS]
        if unlisted:
            raise RefusedError(
                f"{', '.join(unlisted)} would be allowed on every resource; name the resource. Only the actions in "
                "UNSCOPED_ACTIONS of components/unscoped.py may have '*', each with its reason."
            )
    elif not LIMITED.fullmatch(resource):
        raise RefusedError(
            f"{', '.join(actions)} would be allowed on {resource!r}; name one resource, or one folder of a bucket as "
            "'arn:…:::bucket/folder/*'."
        )
