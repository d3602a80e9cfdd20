"""Builds resources and policy documents for the cases."""

import json
from dataclasses import replace

from policies.model import Resource
from tests.policies.wire import received

DIGEST = "sha256:" + "a" * 64
TAGS = {"project": "bluemoxon", "environment": "staging"}
OPTIONS = ("protect", "ignored", "delete_before_replace", "depends", "name")


def thing(type_, name="thing", **given):
    """Return a resource with properties as on the wire; options by their own names."""
    options = {key: given.pop(key) for key in OPTIONS[:4] if key in given}
    return Resource(type_, name, f"urn:pulumi:staging::bluemoxon::{type_}::{name}", received(given), **options)


def altered(resource, change):
    """Return a resource with other properties or options; properties of None are gone."""
    options = {key: value for key, value in change.items() if key in OPTIONS and key != "name"}
    props = {key: value for key, value in change.items() if key not in options}
    return replace(resource, props={**resource.props, **received(props)}, **options)


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource="arn:aws:sqs:us-west-2:1:one", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny_http(action):
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    return {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": "x", "Condition": condition}


ANYBODY = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sqs:SendMessage", "Resource": "x"}
CANARY = "canary-8c1f"
