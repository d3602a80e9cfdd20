"""Rules on who may do what: widened policies, and what anybody can reach."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ops.guard.access import ANYBODY, UnreadableError, open_to_anybody, permissions, widened
from ops.guard.findings import Finding
from ops.guard.preview import SECRET, UNKNOWN, Preview, State, Step

ROLE, PERMISSION = "aws:iam/role:Role", "aws:lambda/permission:Permission"
KEY = "aws:kms/key:Key"
IDENTITY = {
    "aws:iam/policy:Policy": "policy",
    "aws:iam/rolePolicy:RolePolicy": "policy",
    "aws:iam/userPolicy:UserPolicy": "policy",
    "aws:iam/groupPolicy:GroupPolicy": "policy",
    "aws:iam/role:Role": "assumeRolePolicy",
}
"""Types whose documents say what somebody may do, with the property that holds the document."""
RESOURCE = {
    "aws:sqs/queuePolicy:QueuePolicy": "policy",
    "aws:sqs/queue:Queue": "policy",
    "aws:s3/bucketPolicy:BucketPolicy": "policy",
    "aws:s3/bucket:Bucket": "policy",
    "aws:sns/topicPolicy:TopicPolicy": "policy",
    "aws:sns/topic:Topic": "policy",
    KEY: "policy",
    "aws:secretsmanager/secretPolicy:SecretPolicy": "policy",
    "aws:secretsmanager/secret:Secret": "policy",
    "aws:ecr/repositoryPolicy:RepositoryPolicy": "policy",
}
"""Types whose documents say who may use something, with the property that holds the document."""
ATTACHMENTS = {
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "role",
    "aws:iam/userPolicyAttachment:UserPolicyAttachment": "user",
    "aws:iam/groupPolicyAttachment:GroupPolicyAttachment": "group",
    "aws:iam/rolePolicy:RolePolicy": "role",
}
_ACCOUNT = re.compile(r"AWS:arn:aws[a-z-]*:iam::\d{12}:root")
_MAKES = frozenset({"create", "create-replacement", "replace", "import", "import-replacement"})
_FLAGS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_EVERYWHERE = frozenset({"0.0.0.0/0", "::/0"})


def iam_widened(preview: Preview, _: State | None) -> Iterator[Finding]:
    """Documents that allow more, and attachments to roles that exist already."""
    new_roles = {
        name for step in preview.steps if step.type == ROLE and step.op == "create" and (name := step.new.get("name"))
    }
    for step in preview.steps:
        if not step.changes_it:
            continue
        for what, reason in (*_documents(step), *_attached(step, new_roles), *_role(step)):
            yield Finding(
                "iam-widened",
                step.urn,
                step.op,
                what,
                f"{step.name!r}: {reason}",
                "Narrow it, or say why it is needed: --allow iam-widened=REASON.",
            )


def _documents(step: Step) -> Iterator[tuple[str, str]]:
    name = IDENTITY.get(step.type) or RESOURCE.get(step.type)
    if name is None:
        return
    if step.op == "delete":
        # Without its policy, what a resource's policy denied is denied no more.
        old, new = (step.old.get(name), None) if step.type in RESOURCE else (None, None)
    elif step.op in {"create", "import"}:
        # A policy of its own grants nobody anything before it is attached; a role's trust does.
        if step.type in IDENTITY and step.type not in {ROLE, "aws:iam/rolePolicy:RolePolicy"}:
            return
        old, new = None, step.new.get(name)
        if step.type in ATTACHMENTS or _as_a_new_thing_may(step.type, new):
            return
    else:
        old, new = step.old.get(name), step.new.get(name)
    if new is None and old is None:
        return
    if step.op == "update" and step.changed and name not in step.changed_properties:
        return
    try:
        found = widened(old, new)
    except UnreadableError as error:
        yield name, f"{error}, so it counts as widened"
        return
    if found:
        yield name, found


def _as_a_new_thing_may(type_: str, document: Any) -> bool:
    """Whether a new thing's own policy only denies, or lets in nobody but AWS's services, which act for its owner.

    A key's also names an account: without one nobody could ever manage it ("Default key policy", KMS developer guide),
    and a new key opens nothing that exists.
    """
    try:
        return all(
            each.effect == "Deny"
            or each.principal.startswith("Service:")
            or (type_ == KEY and _ACCOUNT.fullmatch(each.principal))
            for each in permissions(document)
        )
    except UnreadableError:
        return bool(document == UNKNOWN)


def _attached(step: Step, new_roles: set[str]) -> Iterator[tuple[str, str]]:
    holder = ATTACHMENTS.get(step.type)
    if holder is None or step.op not in _MAKES:
        return
    name = step.new.get(holder)
    if name == UNKNOWN or name in new_roles:
        return
    yield holder, f"another policy would be attached to the {holder} {name!r}, which exists"


def _role(step: Step) -> Iterator[tuple[str, str]]:
    if step.type != ROLE or step.op not in {"update", "replace"}:
        return
    if step.old.get("permissionsBoundary") and step.old.get("permissionsBoundary") != step.new.get(
        "permissionsBoundary"
    ):
        yield "permissionsBoundary", "its boundary would be another one, or none"
    for name in ("managedPolicyArns", "inlinePolicies"):
        if step.old.get(name) != step.new.get(name):
            yield name, "its policies would be others"


def public_exposure(preview: Preview, _: State | None) -> Iterator[Finding]:
    """What anybody could reach afterwards."""
    for step in preview.steps:
        if not step.changes_it:
            continue
        for what, reason in _exposed(step):
            yield Finding(
                "public-exposure",
                step.urn,
                step.op,
                what,
                f"{step.name!r}: {reason}",
                "Name who may reach it, or say why everybody may: --allow public-exposure=REASON.",
            )


def _exposed(step: Step) -> Iterator[tuple[str, str]]:
    yield from _unblocked(step)
    if step.op == "delete":
        return
    if step.type.startswith("aws:rds/") and step.new.get("publiclyAccessible") not in {None, False}:
        yield "publiclyAccessible", "the database would have a public address"
    if step.type == "aws:lambda/functionUrl:FunctionUrl" and step.new.get("authorizationType") != "AWS_IAM":
        yield "authorizationType", "the function would answer anybody"
    if step.type == PERMISSION:
        yield from _invokable(step)
    yield from _reachable(step)
    yield from _welcoming(step)


def _unblocked(step: Step) -> Iterator[tuple[str, str]]:
    if step.type != "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock":
        return
    if step.op == "delete":
        yield "the resource", "the bucket's block on public access would be gone"
    elif off := [name for name in _FLAGS if step.new.get(name) is not True]:
        yield off[0], "the bucket's block on public access would be open"


def _welcoming(step: Step) -> Iterator[tuple[str, str]]:
    name = RESOURCE.get(step.type)
    if name is None:
        return
    document = step.new.get(name)
    if document in (None, UNKNOWN, SECRET):
        return  # said by `iam-widened` where it changes
    try:
        if open_to_anybody(document):
            yield name, "its policy lets everybody in"
    except UnreadableError:
        return


def _invokable(step: Step) -> Iterator[tuple[str, str]]:
    principal = step.new.get("principal")
    bound = step.new.get("sourceArn") or step.new.get("sourceAccount") or step.new.get("principalOrgId")
    if principal == ANYBODY:
        yield "principal", "everybody could invoke the function"
    elif isinstance(principal, str) and principal.endswith(".amazonaws.com") and not bound:
        yield "sourceArn", f"{principal} could invoke the function for any account"


def _reachable(step: Step) -> Iterator[tuple[str, str]]:
    rules: list[Any] = []
    if step.type == "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule":
        rules = [step.new]
    elif step.type == "aws:ec2/securityGroup:SecurityGroup":
        rules = step.new.get("ingress") or []
    elif step.type == "aws:ec2/securityGroupRule:SecurityGroupRule" and step.new.get("type") == "ingress":
        rules = [step.new]
    for rule in rules:
        if not isinstance(rule, dict):
            continue
        blocks = {
            rule.get("cidrIpv4"),
            rule.get("cidrIpv6"),
            *(rule.get("cidrBlocks") or ()),
            *(rule.get("ipv6CidrBlocks") or ()),
        }
        if blocks & _EVERYWHERE:
            yield "ingress", "every address could connect"
