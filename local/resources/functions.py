"""Functions of the provider: who the program is, and where it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from local.resources.driver import Aws
from local.resources.values import Values


def _caller_identity(aws: Aws) -> Values:
    found = aws.client("sts").get_caller_identity()
    return {"accountId": found["Account"], "arn": found["Arn"], "userId": found["UserId"], "id": found["Account"]}


def _region(aws: Aws) -> Values:
    # `name` is what version 7 deprecates in favour of `region`; programs still read either.
    return {
        "region": aws.region,
        "name": aws.region,
        "id": aws.region,
        "description": aws.region,
        "endpoint": f"ec2.{aws.region}.amazonaws.com",
    }


def _partition(aws: Aws) -> Values:
    return {
        "partition": aws.partition,
        "id": aws.partition,
        "dnsSuffix": "amazonaws.com",
        "reverseDnsPrefix": "com.amazonaws",
    }


FUNCTIONS: Final[dict[str, Callable[[Aws], Values]]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": _caller_identity,
    "aws:index/getRegion:getRegion": _region,
    "aws:index/getPartition:getPartition": _partition,
}
