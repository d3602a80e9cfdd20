"""Keys as operators make and name them; the first one's secret is written only as it was read."""

import hashlib
import json
from typing import Any

import boto3
import pytest
from moto import mock_aws

from handlers.common.keys import KEY
from ops import keys
from ops.errors import UserError


@pytest.fixture
def secret():
    with mock_aws():
        client = boto3.client(
            "secretsmanager", region_name="us-west-2", aws_access_key_id="x", aws_secret_access_key="x"
        )
        yield client, client.create_secret(Name="keys")["ARN"]


def stored(client: Any, arn: str) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])["keys"]
    return kept


def test_the_secret_holds_the_first_keys_hash_and_never_the_key(secret) -> None:
    client, arn = secret
    made = keys.add_first(client, arn, "alice")
    assert KEY.fullmatch(made.key)
    assert made.key not in client.get_secret_value(SecretId=arn)["SecretString"]
    assert stored(client, arn)["alice"]["sha256"] == hashlib.sha256(made.key.encode()).hexdigest() == made.digest
    assert made.key not in repr(made)


def test_a_second_first_key_is_refused_and_the_first_one_stays(secret) -> None:
    client, arn = secret
    first = keys.add_first(client, arn, "alice")
    with pytest.raises(UserError, match="holds a key already: alice"):
        keys.add_first(client, arn, "bob")
    assert stored(client, arn)["alice"]["sha256"] == first.digest


def test_of_two_who_read_the_same_secret_one_writes_and_the_other_is_told(secret) -> None:
    client, arn = secret
    kept, version = keys._read(client, arn)
    assert (kept, version) == ({}, "")
    first = keys.add_first(client, arn, "alice")
    with pytest.raises(UserError, match="at the same moment; nothing was changed"):
        keys._write(client, arn, {"bob": {"sha256": "0" * 64}}, version)
    assert stored(client, arn)["alice"]["sha256"] == first.digest
    assert len(stored(client, arn)) == 1


def test_after_a_revocation_there_can_be_another_first_key(secret) -> None:
    client, arn = secret
    keys.add_first(client, arn, "alice")
    for name in ("bob", "cid"):
        _, version = keys._read(client, arn)
        keys._write(client, arn, {}, version)
        assert keys.add_first(client, arn, name).digest == stored(client, arn)[name]["sha256"]


@pytest.mark.parametrize("name", ["", "Alice", "-x", "a b", "a" * 64])
def test_a_name_that_is_none_is_refused(secret, name: str) -> None:
    with pytest.raises(UserError, match="no name"):
        keys.add_first(secret[0], secret[1], name)


def test_a_secret_that_is_not_there_is_told_apart_from_one_that_is_empty(secret) -> None:
    client, _ = secret
    with pytest.raises(UserError, match="cannot be read"):
        keys.add_first(client, "arn:aws:secretsmanager:us-west-2:123456789012:secret:gone", "alice")


@pytest.mark.parametrize("value", ["not json: hunter2", "[]", '{"keys": []}', '{"keys": {"a": "hunter2"}}'])
def test_a_secret_of_another_shape_is_not_overwritten_and_not_shown(secret, value: str) -> None:
    client, arn = secret
    client.put_secret_value(SecretId=arn, SecretString=value)
    with pytest.raises(UserError, match="does not hold") as refused:
        keys.add_first(client, arn, "alice")
    assert "hunter2" not in refused.value.message
    assert client.get_secret_value(SecretId=arn)["SecretString"] == value


def key(name: str, digest: str, revoked_at: str | None = None) -> keys.Key:
    return keys.Key(name, digest.ljust(64, "0"), "database", "2026-01-01", revoked_at)


KEYS = [
    key("alice", "aaaaaa1"),
    key("bob", "bbbbbb1", "2026-02-02"),
    key("bob", "bbbbbb2"),
    key("cid", "cccccc1"),
    key("cid", "cccccc2"),
    key("gone", "dddddd1", "2026-03-03"),
    key("eeeeee", "eeff001"),
    key("eve", "eeeeee1"),
]


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("alice", "aaaaaa1"),
        ("AAAAAA", "aaaaaa1"),
        ("bob", "bbbbbb2"),  # the one that works
        ("bbbbbb1", "bbbbbb1"),
        ("cccccc2", "cccccc2"),
        ("gone", "dddddd1"),
    ],
)
def test_a_key_is_named_by_id_or_by_a_name_that_one_working_key_has(named: str, found: str) -> None:
    assert keys.chosen(KEYS, named).digest.startswith(found)


@pytest.mark.parametrize("named", ["cid", "cccccc", "eeeeee"])
def test_a_name_that_means_several_keys_is_refused_with_their_ids(named: str) -> None:
    with pytest.raises(UserError, match=r"2 keys are meant by .*: [0-9a-f]{12}, [0-9a-f]{12}"):
        keys.chosen(KEYS, named)


@pytest.mark.parametrize("named", ["", "aaaaa", "zed", "0"])
def test_a_key_that_is_not_there_is_said(named: str) -> None:
    with pytest.raises(UserError, match="There is no key"):
        keys.chosen(KEYS, named)
