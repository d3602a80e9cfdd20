"""IAM: roles, managed policies and their attachment. IAM is global: its resources have no region in their ARN."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, ClassVar, Final
from urllib.parse import unquote

from botocore.exceptions import ClientError

from local.resources.driver import Aws, Driver, gone, pairs, sync_tags, unpaired
from local.resources.schema import ARN, Failure, Property
from local.resources.values import Values

LIMITS: Final = (
    "Roles and policies take effect at once; on AWS they spread over seconds, and a function made at "
    "once may be refused.",
    "Attaching more managed policies than the account's quota is refused at AWS's default of 10.",
)

_MISSING: Final = ("NoSuchEntity",)
_MANAGED_POLICY_CHARACTERS: Final = 6144  # whitespace not counted; so with the quotas below, from
_TRUST_POLICY_CHARACTERS: Final = 2048  # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
_ATTACHMENTS: Final = 10
_VERSIONS: Final = 5


def _document(value: Any) -> str:
    """Return a policy document as JSON; boto3 decodes it, IAM itself answers it URL-encoded."""
    return json.dumps(value) if isinstance(value, dict) else unquote(str(value))


def _too_long(name: str, text: str, most: int, operation: str) -> Iterable[Failure]:
    size = sum(1 for character in text if not character.isspace())
    if size > most:
        what = f"operation error IAM: {operation}, api error LimitExceeded: Cannot exceed quota for"
        yield Failure(
            name, f"{what} {'PolicySize' if most == _MANAGED_POLICY_CHARACTERS else 'ACLSizePerRole'}: {most} ({size})"
        )


def _statement_failures(name: str, text: str, *, identity: bool) -> Iterable[Failure]:
    """Refuse what IAM answers with MalformedPolicyDocument."""
    document = json.loads(text) if text else None
    malformed = f"api error MalformedPolicyDocument in {name}:"
    if not isinstance(document, dict) or not document.get("Statement"):
        yield Failure(name, f"{malformed} Syntax errors in policy.")
        return
    statements = document["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        if statement.get("Effect") not in ("Allow", "Deny"):
            yield Failure(name, f"{malformed} Effect must be Allow or Deny")
        if not statement.keys() & {"Action", "NotAction"}:
            yield Failure(name, f"{malformed} Policy statement must contain actions.")
        if identity and not statement.keys() & {"Resource", "NotResource"}:
            yield Failure(name, f"{malformed} Policy statement must contain resources.")
        if identity and statement.keys() & {"Principal", "NotPrincipal"}:
            yield Failure(name, f"{malformed} Policy document should not specify a principal.")


class Role(Driver):
    """A role. Its id is its name; imported by it."""

    type_name = "aws:iam/role:Role"
    regional = False
    source = "terraform-provider-aws internal/service/iam/role.go"
    properties: ClassVar = {
        "assumeRolePolicy": Property("policy", required=True),
        "description": Property(longest=1000, pattern="[^\u201c\u201d\u2018]*"),
        "forceDetachPolicies": Property("boolean", default=False, written_only=True),
        "maxSessionDuration": Property("integer", default=3600, minimum=3600, maximum=43_200),
        "name": Property(replaces=True, longest=64, pattern=r"[\w+=,.@-]+"),
        "path": Property(default="/", replaces=True, longest=512),
        "permissionsBoundary": Property(pattern=ARN),
    }
    outputs = frozenset({"arn", "createDate", "uniqueId", "tagsAll"})
    autoname = ("name", 64)
    taggable = True

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Hold the trust policy to IAM's grammar and length."""
        if "assumeRolePolicy" in known:
            yield from _statement_failures("assumeRolePolicy", known["assumeRolePolicy"], identity=False)
            yield from _too_long("assumeRolePolicy", known["assumeRolePolicy"], _TRUST_POLICY_CHARACTERS, "CreateRole")

    def create(self, aws: Aws, inputs: Values) -> str:
        """CreateRole."""
        optional = {"Description": inputs.get("description"), "PermissionsBoundary": inputs.get("permissionsBoundary")}
        answer = aws.client("iam").create_role(
            RoleName=inputs["name"],
            Path=inputs["path"],
            AssumeRolePolicyDocument=inputs["assumeRolePolicy"],
            MaxSessionDuration=inputs["maxSessionDuration"],
            Tags=pairs(inputs["tagsAll"]),
            **{key: value for key, value in optional.items() if value},
        )
        return str(answer["Role"]["RoleName"])

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """GetRole and ListRoleTags."""
        client = aws.client("iam")
        try:
            role = client.get_role(RoleName=identifier)["Role"]
            tags = unpaired(client.list_role_tags(RoleName=identifier)["Tags"])
        except ClientError as error:
            if gone(error, *_MISSING):
                return None
            raise
        return {
            "name": role["RoleName"],
            "path": role["Path"],
            "assumeRolePolicy": _document(role["AssumeRolePolicyDocument"]),
            "description": role.get("Description") or None,
            "maxSessionDuration": role.get("MaxSessionDuration", 3600),
            "permissionsBoundary": role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
            "arn": role["Arn"],
            "createDate": role["CreateDate"].isoformat(),
            "uniqueId": role["RoleId"],
            "tagsAll": tags,
        }

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """UpdateAssumeRolePolicy, UpdateRole, the boundary and tags."""
        client = aws.client("iam")
        client.update_assume_role_policy(RoleName=identifier, PolicyDocument=new["assumeRolePolicy"])
        client.update_role(
            RoleName=identifier, Description=new.get("description", ""), MaxSessionDuration=new["maxSessionDuration"]
        )
        boundary = new.get("permissionsBoundary")
        if boundary and boundary != old.get("permissionsBoundary"):
            client.put_role_permissions_boundary(RoleName=identifier, PermissionsBoundary=boundary)
        elif old.get("permissionsBoundary") and not boundary:
            client.delete_role_permissions_boundary(RoleName=identifier)
        sync_tags(
            old,
            new,
            lambda tags: client.tag_role(RoleName=identifier, Tags=pairs(tags)),
            lambda keys: client.untag_role(RoleName=identifier, TagKeys=keys),
        )

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """DeleteRole; with `forceDetachPolicies` what hangs on it goes first.

        Without it IAM refuses (DeleteConflict).
        """
        client = aws.client("iam")
        try:
            if state.get("forceDetachPolicies"):
                for policy in client.list_attached_role_policies(RoleName=identifier)["AttachedPolicies"]:
                    client.detach_role_policy(RoleName=identifier, PolicyArn=policy["PolicyArn"])
                for name in client.list_role_policies(RoleName=identifier)["PolicyNames"]:
                    client.delete_role_policy(RoleName=identifier, PolicyName=name)
            client.delete_role(RoleName=identifier)
        except ClientError as error:
            if not gone(error, *_MISSING):
                raise


class Policy(Driver):
    """A customer managed policy. Its id is its ARN; imported by it."""

    type_name = "aws:iam/policy:Policy"
    regional = False
    source = "terraform-provider-aws internal/service/iam/policy.go"
    properties: ClassVar = {
        "description": Property(replaces=True, longest=1000),
        "name": Property(replaces=True, longest=128, pattern=r"[\w+=,.@-]+"),
        "path": Property(default="/", replaces=True, longest=512),
        "policy": Property("policy", required=True),
    }
    outputs = frozenset({"arn", "attachmentCount", "policyId", "tagsAll"})
    autoname = ("name", 255)
    taggable = True

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Hold the document to IAM's grammar and to 6,144 characters."""
        if "policy" in known:
            yield from _statement_failures("policy", known["policy"], identity=True)
            yield from _too_long("policy", known["policy"], _MANAGED_POLICY_CHARACTERS, "CreatePolicy")

    def create(self, aws: Aws, inputs: Values) -> str:
        """CreatePolicy."""
        optional = {"Description": inputs["description"]} if inputs.get("description") else {}
        answer = aws.client("iam").create_policy(
            PolicyName=inputs["name"],
            Path=inputs["path"],
            PolicyDocument=inputs["policy"],
            Tags=pairs(inputs["tagsAll"]),
            **optional,
        )
        return str(answer["Policy"]["Arn"])

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """GetPolicy and its default version."""
        client = aws.client("iam")
        try:
            policy = client.get_policy(PolicyArn=identifier)["Policy"]
            version = client.get_policy_version(PolicyArn=identifier, VersionId=policy["DefaultVersionId"])
            tags = unpaired(client.list_policy_tags(PolicyArn=identifier)["Tags"])
        except ClientError as error:
            if gone(error, *_MISSING):
                return None
            raise
        return {
            "arn": policy["Arn"],
            "name": policy["PolicyName"],
            "path": policy["Path"],
            "description": policy.get("Description") or None,
            "policy": _document(version["PolicyVersion"]["Document"]),
            "policyId": policy["PolicyId"],
            "attachmentCount": policy.get("AttachmentCount", 0),
            "tagsAll": tags,
        }

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """CreatePolicyVersion as default, dropping the oldest of five first, as the provider does."""
        client = aws.client("iam")
        if old.get("policy") != new["policy"]:
            versions = client.list_policy_versions(PolicyArn=identifier)["Versions"]
            spare = sorted((v for v in versions if not v["IsDefaultVersion"]), key=lambda v: v["CreateDate"])
            if len(versions) >= _VERSIONS:
                client.delete_policy_version(PolicyArn=identifier, VersionId=spare[0]["VersionId"])
            client.create_policy_version(PolicyArn=identifier, PolicyDocument=new["policy"], SetAsDefault=True)
        sync_tags(
            old,
            new,
            lambda tags: client.tag_policy(PolicyArn=identifier, Tags=pairs(tags)),
            lambda keys: client.untag_policy(PolicyArn=identifier, TagKeys=keys),
        )

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """Delete the other versions, then the policy."""
        client = aws.client("iam")
        try:
            for version in client.list_policy_versions(PolicyArn=identifier)["Versions"]:
                if not version["IsDefaultVersion"]:
                    client.delete_policy_version(PolicyArn=identifier, VersionId=version["VersionId"])
            client.delete_policy(PolicyArn=identifier)
        except ClientError as error:
            if not gone(error, *_MISSING):
                raise


class RolePolicyAttachment(Driver):
    """A managed policy on a role. Its id is `<role>/<policy ARN>`; imported by it."""

    type_name = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    regional = False
    source = "terraform-provider-aws internal/service/iam/role_policy_attachment.go"
    deletes_first = True
    properties: ClassVar = {
        "policyArn": Property(required=True, replaces=True, pattern=r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/.+"),
        "role": Property(required=True, replaces=True),
    }

    def create(self, aws: Aws, inputs: Values) -> str:
        """AttachRolePolicy, within the quota."""
        client = aws.client("iam")
        attached = client.list_attached_role_policies(RoleName=inputs["role"])["AttachedPolicies"]
        if len(attached) >= _ATTACHMENTS and inputs["policyArn"] not in {item["PolicyArn"] for item in attached}:
            message = f"Cannot exceed quota for PoliciesPerRole: {_ATTACHMENTS}"
            raise ClientError({"Error": {"Code": "LimitExceeded", "Message": message}}, "AttachRolePolicy")
        client.attach_role_policy(RoleName=inputs["role"], PolicyArn=inputs["policyArn"])
        return f"{inputs['role']}/{inputs['policyArn']}"

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """ListAttachedRolePolicies."""
        role, _, arn = identifier.partition("/")
        try:
            attached = aws.client("iam").list_attached_role_policies(RoleName=role)["AttachedPolicies"]
        except ClientError as error:
            if gone(error, *_MISSING):
                return None
            raise
        return {"role": role, "policyArn": arn} if arn in {item["PolicyArn"] for item in attached} else None

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """DetachRolePolicy."""
        role, _, arn = identifier.partition("/")
        try:
            aws.client("iam").detach_role_policy(RoleName=role, PolicyArn=arn)
        except ClientError as error:
            if not gone(error, *_MISSING):
                raise


DRIVERS: Final = (Role, Policy, RolePolicyAttachment)
