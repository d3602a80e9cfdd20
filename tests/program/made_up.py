"""What the recording provider makes up: ids, ARNs and other outputs per type, and the answers of functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

ACCOUNT = "123456789012"
REGION = "us-west-2"

# Input property that AWS uses as the id, where it is a name that the program may give.
_NAMED_BY = ("bucket", "identifier", "functionName", "name")


def made_up(type_: str, name: str, number: int, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Make up id and outputs of the ``number``-th resource of a URN."""
    physical = next((inputs[key] for key in _NAMED_BY if isinstance(inputs.get(key), str)), f"{name}-{number:07x}")
    service = type_.split(":", 2)[1].split("/", 1)[0]
    arn = f"arn:aws:{service}:{REGION}:{ACCOUNT}:{physical}"
    outputs: dict[str, Any] = {"arn": arn, "name": physical, "tagsAll": inputs.get("tags", {})}
    id_, extra = _BY_TYPE.get(type_, _plain)(physical, arn)
    # A second resource of one URN is another thing, even where AWS would give it the same name.
    return (id_ if number == 1 else f"{id_}#{number}"), {**outputs, **extra}


def _plain(physical: str, arn: str) -> tuple[str, dict[str, Any]]:
    return physical, {"url": f"https://example.invalid/{physical}"}


def _queue(physical: str, arn: str) -> tuple[str, dict[str, Any]]:
    url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{physical}"
    return url, {"url": url}


def _topic(physical: str, arn: str) -> tuple[str, dict[str, Any]]:
    return arn, {}


def _function(physical: str, arn: str) -> tuple[str, dict[str, Any]]:
    function = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{physical}"
    invoke = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function}/invocations"
    qualified = f"{function}:$LATEST"
    return physical, {"arn": function, "invokeArn": invoke, "qualifiedArn": qualified, "version": "$LATEST"}


def _role(physical: str, arn: str) -> tuple[str, dict[str, Any]]:
    return physical, {"arn": f"arn:aws:iam::{ACCOUNT}:role/{physical}", "uniqueId": f"AROA{physical.upper()}"}


def _policy(physical: str, arn: str) -> tuple[str, dict[str, Any]]:
    policy = f"arn:aws:iam::{ACCOUNT}:policy/{physical}"
    return policy, {"arn": policy, "policyId": f"ANPA{physical.upper()}"}


def _bucket(physical: str, arn: str) -> tuple[str, dict[str, Any]]:
    domain = f"{physical}.s3.amazonaws.com"
    regional = f"{physical}.s3.{REGION}.amazonaws.com"
    return physical, {
        "arn": f"arn:aws:s3:::{physical}",
        "bucket": physical,
        "bucketDomainName": domain,
        "bucketRegionalDomainName": regional,
        "region": REGION,
    }


def _key(physical: str, arn: str) -> tuple[str, dict[str, Any]]:
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{physical}"
    return physical, {"arn": key, "keyId": physical}


def _database(physical: str, arn: str) -> tuple[str, dict[str, Any]]:
    address = f"{physical}.abc123.{REGION}.rds.amazonaws.com"
    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-{physical}-AbCdEf"
    return f"db-{physical}", {
        "arn": f"arn:aws:rds:{REGION}:{ACCOUNT}:db:{physical}",
        "identifier": physical,
        "address": address,
        "endpoint": f"{address}:5432",
        "port": 5432,
        "resourceId": f"db-{physical}",
        "masterUserSecrets": [
            {"kmsKeyId": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1", "secretArn": secret, "secretStatus": "active"}
        ],
    }


def _secret(physical: str, arn: str) -> tuple[str, dict[str, Any]]:
    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{physical}-AbCdEf"
    return secret, {"arn": secret}


def _secret_version(physical: str, arn: str) -> tuple[str, dict[str, Any]]:
    version = "00000000-0000-0000-0000-000000000001"
    return f"{physical}|{version}", {"versionId": version}


def _api(physical: str, arn: str) -> tuple[str, dict[str, Any]]:
    return f"api-{physical}", {
        "arn": f"arn:aws:apigateway:{REGION}::/apis/api-{physical}",
        "apiEndpoint": f"https://api-{physical}.execute-api.{REGION}.amazonaws.com",
        "executionArn": f"arn:aws:execute-api:{REGION}:{ACCOUNT}:api-{physical}",
    }


def _stage(physical: str, arn: str) -> tuple[str, dict[str, Any]]:
    return physical, {
        "invokeUrl": f"https://api.execute-api.{REGION}.amazonaws.com/{physical}",
        "executionArn": f"arn:aws:execute-api:{REGION}:{ACCOUNT}:api/{physical}",
    }


def _log_group(physical: str, arn: str) -> tuple[str, dict[str, Any]]:
    return physical, {"arn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{physical}"}


def _security_group(physical: str, arn: str) -> tuple[str, dict[str, Any]]:
    return f"sg-{physical}", {"arn": f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/sg-{physical}", "ownerId": ACCOUNT}


def _invocation(physical: str, arn: str) -> tuple[str, dict[str, Any]]:
    return physical, {"result": "{}"}


_BY_TYPE: dict[str, Callable[[str, str], tuple[str, dict[str, Any]]]] = {
    "aws:sqs/queue:Queue": _queue,
    "aws:sns/topic:Topic": _topic,
    "aws:lambda/function:Function": _function,
    "aws:lambda/invocation:Invocation": _invocation,
    "aws:iam/role:Role": _role,
    "aws:kms/key:Key": _key,
    "aws:iam/policy:Policy": _policy,
    "aws:s3/bucket:Bucket": _bucket,
    "aws:rds/instance:Instance": _database,
    "aws:secretsmanager/secret:Secret": _secret,
    "aws:secretsmanager/secretVersion:SecretVersion": _secret_version,
    "aws:apigatewayv2/api:Api": _api,
    "aws:apigatewayv2/stage:Stage": _stage,
    "aws:cloudwatch/logGroup:LogGroup": _log_group,
    "aws:ec2/securityGroup:SecurityGroup": _security_group,
    "aws:ecr/repository:Repository": lambda name, arn: (name, {"repositoryUrl": f"registry.invalid/{name}"}),
    "docker-build:index:Image": lambda name, arn: (name, {"digest": f"sha256:{'d' * 64}"}),
}


def _policy_document(args: dict[str, Any]) -> dict[str, Any]:
    return {"id": "1", "json": json.dumps(args, sort_keys=True)}


INVOKES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": lambda args: {
        "accountId": ACCOUNT,
        "arn": f"arn:aws:iam::{ACCOUNT}:user/test",
        "id": ACCOUNT,
        "userId": "AIDATEST",
    },
    "aws:index/getRegion:getRegion": lambda args: {
        "id": REGION,
        "name": REGION,
        "region": REGION,
        "description": "US West (Oregon)",
        "endpoint": f"ec2.{REGION}.amazonaws.com",
    },
    "aws:index/getPartition:getPartition": lambda args: {
        "id": "aws",
        "partition": "aws",
        "dnsSuffix": "amazonaws.com",
        "reverseDnsPrefix": "com.amazonaws",
    },
    "aws:iam/getPolicyDocument:getPolicyDocument": _policy_document,
}
