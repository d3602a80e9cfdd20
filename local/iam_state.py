"""What the evaluator reads from moto: a role's policies, a resource's own policy, the ARN behind a secret's id.

moto's backends are the only state of the cloud, so a policy counts from the moment it is attached.
"""

from __future__ import annotations

import json
from typing import Any, cast

from moto.awslambda.models import lambda_backends
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.s3.models import s3_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from local import iam_policy
from local.iam_policy import Statement, UnsupportedPolicyError


def _role(account: str, role_arn: str) -> Any:
    return next((role for role in iam_backends[account]["aws"].get_roles() if role.arn == role_arn), None)


def role_exists(account: str, role_arn: str) -> bool:
    """Whether the account has this role."""
    return _role(account, role_arn) is not None


def role_id(account: str, role_arn: str) -> str:
    """Unique id of a role, `AROA…`; empty once it is deleted."""
    role = _role(account, role_arn)
    return str(role.id) if role else ""


def identity_statements(account: str, role_arn: str) -> list[Statement]:
    """Statements of a role's inline and attached managed policies; none once the role is deleted.

    Raises
    ------
    UnsupportedPolicyError
        If a policy, or the role, uses what the evaluator does not model.
    """
    role = _role(account, role_arn)
    if role is None:
        return []
    if role.permissions_boundary_arn:
        raise UnsupportedPolicyError(f"role {role.name}: a permissions boundary is not modelled here")
    documents = [(f"inline policy {name}", document) for name, document in role.policies.items()]
    for policy in role.managed_policies.values():
        version = next(v for v in policy.versions if v.version_id == policy.default_version_id)
        documents.append((f"policy {policy.arn}", version.document))
    return [
        statement
        for source, document in documents
        for statement in iam_policy.parse(_text(document), source, "identity")
    ]


def resource_statements(arn: str) -> list[Statement]:
    """Statements of the policy that the resource behind `arn` carries, if it carries one."""
    service, region, account, name = _split(arn)
    readers = {"sqs": _queue_policy, "s3": _bucket_policy, "sns": _topic_policy}
    readers |= {"secretsmanager": _secret_policy, "lambda": _function_policy, "kms": _key_policy}
    document = readers[service](account, region, name) if service in readers else None
    return list(iam_policy.parse(_text(document), f"resource policy of {arn}", "resource")) if document else []


def _split(arn: str) -> tuple[str, str, str, str]:
    if not arn.startswith("arn:"):
        return "", "", "", ""
    _, _, service, region, account, name = arn.split(":", 5)
    return service, region, account, name


def _text(document: object) -> str:
    if isinstance(document, bytes):
        return document.decode()
    return document if isinstance(document, str) else json.dumps(document)


def _queue_policy(account: str, region: str, name: str) -> object:
    queue = sqs_backends[account][region].queues.get(name)
    return queue.policy if queue else None


def _bucket_policy(account: str, region: str, name: str) -> object:
    bucket = bucket_named(name.partition("/")[0])
    return bucket.policy if bucket else None


def _topic_policy(account: str, region: str, name: str) -> object:
    topic = sns_backends[account][region].topics.get(f"arn:aws:sns:{region}:{account}:{name}")
    return topic.policy if topic else None


def _secret_policy(account: str, region: str, name: str) -> object:
    secret = secretsmanager_backends[account][region].secrets.get(f"arn:aws:secretsmanager:{region}:{account}:{name}")
    return secret.policy if secret else None


def _key_policy(account: str, region: str, name: str) -> object:
    key = kms_backends[account][region].keys.get(name.removeprefix("key/"))
    return key.policy if key else None


def _function_policy(account: str, region: str, name: str) -> object:
    # "function:NAME" or "function:NAME:QUALIFIER"
    kind, _, rest = name.partition(":")
    backend = lambda_backends[account][region]
    functions = {function.function_name: function for function in backend.list_functions()}
    function = functions.get(rest.partition(":")[0]) if kind == "function" else None
    return {"Statement": function.policy.statements} if function and function.policy.statements else None


def bucket_named(name: str) -> Any:
    """moto's bucket of this name, in whichever account it lies, or None."""
    partition, account = s3_backends.bucket_accounts.get(name, (None, None))
    return s3_backends[account][partition].buckets.get(name) if account else None


def object_exists(bucket: str, key: str) -> bool:
    """Whether the bucket holds a current object under `key`."""
    found = bucket_named(bucket)
    return found is not None and found.keys.get(key) is not None


def secret_arn(account: str, region: str, secret_id: str) -> str | None:
    """ARN of the secret that a SecretId (name, ARN, or ARN without the random suffix) names."""
    secret = secretsmanager_backends[account][region].secrets.get(secret_id)
    return cast("str", secret.arn) if secret else None
