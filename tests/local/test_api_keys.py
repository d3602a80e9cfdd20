"""Keys in the database: what lets in, what refuses, and what is said while the database is down."""

import datetime
import json
import secrets
import threading

import boto3
import pytest
import sqlalchemy as sa

from handlers.api.health import deep_check
from handlers.common import clock
from handlers.common.keys import KEY_BYTES, digest_of
from handlers.common.stored_keys import StoredKeys
from handlers.common.tables import api_keys as table
from handlers.migrate import handler as migrate
from handlers.migrate.api_keys import KeysEventError
from tests.local.api_caller import KEY, KEYS_SECRET, Context, call, keys_document

JOB = "/api/v1/image-jobs/00000000-0000-0000-0000-000000000000"  # 404 to whoever is let in
NOW = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.UTC)


def ask(**event):
    return migrate.handler(event, Context())


def added(name="alice"):
    key = secrets.token_urlsafe(KEY_BYTES)
    assert ask(keys="add", name=name, digest=digest_of(key)) == {"digest": digest_of(key)}
    return key


def rows(database, *columns):
    with database.begin() as connection:
        return connection.execute(sa.select(*columns)).all()


@pytest.fixture
def cut_off(api, secret_arn):
    """The database takes no login any more."""
    contract = json.loads(boto3.client("secretsmanager").get_secret_value(SecretId=secret_arn)["SecretString"])
    boto3.client("secretsmanager").put_secret_value(
        SecretId=secret_arn, SecretString=json.dumps(contract | {"port": 1})
    )


def test_a_key_works_from_the_moment_it_was_added_and_a_revoked_one_never_again(api):
    key, other = added(), added()
    assert call("GET", JOB, key=key).status == 404
    first = ask(keys="revoke", digest=digest_of(key))
    assert call("GET", JOB, key=key).status == 401
    # neither adding it again, as a repeated call does, nor revoking it again changes anything
    ask(keys="add", name="alice", digest=digest_of(key))
    assert ask(keys="revoke", digest=digest_of(key)) == first
    assert call("GET", JOB, key=key).status == 401
    assert call("GET", JOB, key=other).status == 404
    assert call("GET", JOB).status == 404  # the first key


def test_the_database_holds_a_digest_and_the_list_no_key(api):
    key = added("bob")
    (row,) = rows(api, table)
    assert (row.digest, row.name, row.revoked_at, row.last_used_on) == (digest_of(key), "bob", None, None)
    (listed,) = ask(keys="list")["keys"]
    assert (listed["digest"], listed["name"], listed["revoked_at"]) == (digest_of(key), "bob", None)
    assert key not in json.dumps(listed)


def test_many_added_at_once_all_stand(api):
    made, faults = [], []

    def add():
        try:
            made.append(added("many"))
        except Exception as error:  # noqa: BLE001
            faults.append(error)

    threads = [threading.Thread(target=add) for _ in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert faults == []
    assert [call("GET", JOB, key=key).status for key in made] == [404] * 20


def test_while_the_database_is_down_nobody_is_told_that_a_key_is_wrong(api, cut_off):
    for key in (secrets.token_urlsafe(KEY_BYTES), "x" * 43):
        answer = call("GET", JOB, key=key)
        assert answer.status == 503
        assert answer.headers["Retry-After"]
        assert "127.0.0.1" not in answer.text
    assert call("GET", JOB, key="what cannot be a key").status == 401
    assert call("GET", JOB, key=None).status == 401


def test_a_database_that_answers_with_an_error_is_503_too(api):
    key = added()
    with api.begin() as connection:
        connection.execute(sa.text("ALTER TABLE api_keys RENAME TO away"))
    try:
        assert call("GET", JOB, key=key).status == 503
    finally:
        with api.begin() as connection:
            connection.execute(sa.text("ALTER TABLE away RENAME TO api_keys"))
    assert call("GET", JOB, key=key).status == 404


def test_the_first_key_opens_the_deep_health_check_while_the_database_is_down(api, cut_off):
    answer = call("GET", "/api/v1/health/deep")
    assert answer.status == 503
    assert answer.json["checks"]["database"]["status"] == "unhealthy"
    deep_check.cache_clear()
    assert call("GET", "/api/v1/health/deep", key="y" * 43).json.keys().isdisjoint({"checks"})


def test_while_the_secret_cannot_be_read_the_databases_keys_work_and_others_are_not_called_wrong(api):
    key = added()
    boto3.client("secretsmanager").put_secret_value(SecretId=KEYS_SECRET, SecretString="broken")
    assert call("GET", JOB, key=key).status == 404
    assert call("GET", JOB, key="z" * 43).status == 503
    assert call("GET", JOB, key=KEY).status == 503


def test_keys_that_earlier_versions_put_into_the_secret_go_on_working(api):
    old = keys_document(tests=KEY, ann="a key of old", bob="another key of old")
    boto3.client("secretsmanager").put_secret_value(SecretId=KEYS_SECRET, SecretString=old)
    added()
    assert [call("GET", JOB, key=key).status for key in ("a key of old", "another key of old")] == [404, 404]


def test_the_day_of_use_is_written_once_a_day_and_never_back(database):
    moment = [NOW]
    with database.begin() as connection:
        connection.execute(sa.insert(table).values(digest=digest_of("k" * 43), name="kay", made_at=NOW))
    writes = []
    sa.event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: writes.append(statement) if statement.startswith("UPDATE") else None,
    )
    known = StoredKeys(database, lambda: moment[0])
    seen = []
    for hours in (0, 1, 11, 13, -30):
        moment[0] = NOW + datetime.timedelta(hours=hours)
        assert known.owner("k" * 43) == "kay"
        seen.append((rows(database, table.c.last_used_on)[0][0].day, len(writes)))
    assert seen == [(1, 1), (1, 1), (1, 1), (2, 2), (2, 2)]


def test_a_database_that_only_reads_refuses_no_key(database):
    with database.begin() as connection:
        connection.execute(sa.insert(table).values(digest=digest_of("k" * 43), name="kay", made_at=clock.now()))
    sa.event.listen(database.engine, "begin", lambda each: each.exec_driver_sql("SET TRANSACTION READ ONLY"))
    assert StoredKeys(database).owner("k" * 43) == "kay"
    assert rows(database, table.c.last_used_on) == [(None,)]


@pytest.mark.parametrize(
    "event",
    [
        {"keys": ""},
        {"keys": "drop"},
        {"keys": ["list"]},
        {"keys": "add", "name": "alice"},
        {"keys": "add", "name": "alice", "digest": "a" * 63},
        {"keys": "add", "name": "alice", "digest": "A" * 64},
        {"keys": "add", "name": "Alice", "digest": "a" * 64},
        {"keys": "add", "name": "a" * 64, "digest": "a" * 64},
        {"keys": "add", "name": None, "digest": "a" * 64},
        {"keys": "revoke", "digest": "a" * 64},
        {"keys": "revoke", "digest": 5},
    ],
)
def test_an_event_that_is_not_whole_changes_nothing(api, event):
    with pytest.raises(KeysEventError):
        migrate.handler(event, Context())
    assert rows(api, table) == []
