"""Previews in the CLI's form, made of steps."""

import json
from collections import Counter

INSTANCE = "aws:rds/instance:Instance"
SECRET = "aws:secretsmanager/secret:Secret"
VERSION = "aws:secretsmanager/secretVersion:SecretVersion"
POLICY = "aws:iam/policy:Policy"
ROLE = "aws:iam/role:Role"
FUNCTION = "aws:lambda/function:Function"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def urn(type_, name, above="worker-flows:index:Database"):
    chain = f"{above}${type_}" if above else type_
    return f"urn:pulumi:staging::shop::{chain}::{name}"


def step(
    op, type_, name="it", *, old=None, new=None, diff=(), above="worker-flows:index:Database", protect=(False, False)
):
    """One step; a side that the operation does not have is left out."""
    shown = {
        "op": op,
        "urn": urn(type_, name, above),
        "detailedDiff": {path: {"kind": "update"} for path in diff} or None,
    }
    if op not in {"create", "import"}:
        shown["oldState"] = {"type": type_, "inputs": old or {}, **({"protect": True} if protect[0] else {})}
    if op != "delete":
        shown["newState"] = {"type": type_, "inputs": new or {}, **({"protect": True} if protect[1] else {})}
    return shown


def preview(*steps, **more):
    changes = dict(Counter(each["op"] for each in steps))
    return json.dumps({"steps": list(steps), "changeSummary": {**changes, "same": 3}, "duration": 1, **more})


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource="arn:aws:sqs:r:1:q", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}
