"""What a credential is: one list, by which the lock, the plan gate, the policy pack and every printed word go."""

import pytest

from components.credential import CLUSTER, INSTANCE, OWNERSHIP, PASSWORDS, names_a_credential
from components.credential_lock import IGNORED, REFUSED
from local.engine.outcome import masked_config
from local.engine.values import MASKED
from ops.guard import database as gate
from ops.guard.preview import parse_preview
from tests.unit.guard.plans import preview, step

EVERY = [(type_, name) for type_ in (INSTANCE, CLUSTER) for name in (*PASSWORDS[type_], *OWNERSHIP[type_])]


@pytest.mark.parametrize(("type_", "name"), EVERY, ids=lambda value: value.rpartition(":")[2])
def test_the_gate_refuses_a_change_of_each(type_, name):
    plan = parse_preview(preview(step("update", type_, old={name: "a"}, new={name: "b"}, diff=[name])))
    assert [finding.what for finding in gate.credential(plan, None)] == [name]


def test_the_lock_guards_the_whole_of_an_instances():
    assert (*IGNORED, *REFUSED) == (*PASSWORDS[INSTANCE], *OWNERSHIP[INSTANCE])


@pytest.mark.parametrize(
    "name",
    [
        *("password", "DB_PASSWORD", "passwd", "PGPASSWD", "passphrase", "passcode", "pwd", "secret", "secretKey"),
        *("masterSecret", "apiToken", "apiKey", "api_key", "accessKey", "PRIVATE_KEY", "credentials", "auth"),
        *("AUTHORIZATION", "basicAuth"),
    ],
)
def test_these_names_are_a_credentials(name):
    assert names_a_credential(name)


@pytest.mark.parametrize(
    "name",
    [
        "secretArn",
        "credentials_secret_arn",
        "DATABASE_SECRET_ARN",
        "secret_name",
        "TOKEN_TTL",
        "username",
        "author",
        "key",
    ],
)
def test_these_names_are_of_something_else_or_point_to_one(name):
    assert not names_a_credential(name)


def test_no_configuration_that_looks_like_a_credential_is_printed():
    """`./bmx preview --json` repeats the configuration, whatever was given with --config."""
    plain = {"aws:region": "us-west-2", "a:database": '{"secretArn": "arn:s"}', "a:list": "[1]", "a:text": "[broken"}
    hidden = {"aws:secretKey": "X", "a:dbPassword": "X", "a:object": '{"in": [{"password": "X"}]}', "a:marked": "X"}
    printed = masked_config(plain | hidden, frozenset({"a:marked"}))
    assert printed == plain | dict.fromkeys(hidden, MASKED)
