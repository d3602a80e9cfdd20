"""AWS's own resource schemas, as cfn-lint carries them: read here and nowhere else."""

from collections.abc import Iterable
from functools import cache
from typing import Any

REGION = "us-west-2"


@cache
def schema(type_: str) -> dict[str, Any]:
    """Return the schema of a CloudFormation type, ``AWS::SQS::Queue``, in the program's region."""
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    found: dict[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, type_).schema
    return found


def permissions(types: Iterable[str]) -> dict[str, list[str]]:
    """Return what CloudFormation's own handlers of the types call: action to ``TYPE handler``, sorted."""
    named: dict[str, set[str]] = {}
    for type_ in types:
        for handler, said in schema(type_)["handlers"].items():
            for action in said["permissions"]:
                named.setdefault(action, set()).add(f"{type_} {handler}")
    return {action: sorted(named[action]) for action in sorted(named)}
