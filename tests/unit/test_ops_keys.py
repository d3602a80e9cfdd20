import hashlib
import json

import boto3
import pytest
from moto import mock_aws

from ops import keys
from ops.errors import UserError


@pytest.fixture
def secret():
    with mock_aws():
        client = boto3.client(
            "secretsmanager", region_name="us-west-2", aws_access_key_id="x", aws_secret_access_key="x"
        )
        yield client, client.create_secret(Name="keys")["ARN"]


def test_the_secret_holds_the_keys_hash_and_never_the_key(secret) -> None:
    client, arn = secret
    key = keys.add(client, arn, "alice")
    content = client.get_secret_value(SecretId=arn)["SecretString"]
    assert key not in content
    assert json.loads(content)["keys"]["alice"]["sha256"] == hashlib.sha256(key.encode()).hexdigest()


def test_a_second_name_leaves_the_first_key_valid(secret) -> None:
    client, arn = secret
    first = keys.add(client, arn, "alice")
    keys.add(client, arn, "bob")
    stored = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])["keys"]
    assert stored["alice"]["sha256"] == hashlib.sha256(first.encode()).hexdigest()
    assert sorted(stored) == ["alice", "bob"]


def test_an_existing_name_is_refused_unless_replacing_is_asked_for(secret) -> None:
    client, arn = secret
    first = keys.add(client, arn, "alice")
    with pytest.raises(UserError, match="already"):
        keys.add(client, arn, "alice")
    assert keys.add(client, arn, "alice", replace=True) != first


@pytest.mark.parametrize("name", ["", "Alice", "-x", "a b", "a" * 64])
def test_a_name_that_is_none_is_refused(secret, name: str) -> None:
    with pytest.raises(UserError, match="no name"):
        keys.add(secret[0], secret[1], name)


def test_a_secret_that_is_not_there_is_told_apart_from_one_that_is_empty(secret) -> None:
    client, _ = secret
    with pytest.raises(UserError, match="cannot be read"):
        keys.add(client, "arn:aws:secretsmanager:us-west-2:123456789012:secret:gone", "alice")
