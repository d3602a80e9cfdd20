"""What is decided before the routes: keys, bodies, paths; and that nothing is told that is nobody's business."""

import json
from datetime import timedelta

import boto3
import pytest
import sqlalchemy as sa
from botocore.exceptions import NoCredentialsError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.api.edge import MAX_BODY_BYTES
from handlers.api.parts import keys, whole
from handlers.common import clock
from handlers.common.keys import CACHE, UNKNOWN_CACHE, ApiKeys
from handlers.common.tables import image_uploads
from tests.local.api_caller import KEY, KEYS_SECRET, call, keys_document

JOB = "/api/v1/image-jobs/00000000-0000-0000-0000-000000000000"


def problem(answer, status):
    assert answer.status == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json
    assert document["status"] == status
    assert document.keys() >= {"type", "title", "status", "detail"}
    assert "Traceback" not in answer.text
    return document


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/books"),
        ("GET", "/api/v1/books/1"),
        ("POST", "/api/v1/books/1/images"),
        ("POST", "/api/v1/books/1/images/1/complete"),
        ("GET", JOB),
        ("POST", f"{JOB}/retry"),
        ("GET", "/api/v1/image-jobs"),
        ("GET", "/api/v1/books"),
        ("POST", "/api/v1/import"),
        ("POST", "/api/v1/books/1/images/1/primary"),
        ("POST", "/api/v1/books/1/images/reorder"),
        ("DELETE", "/api/v1/books/1/images/1"),
        ("GET", "/api/v1/openapi.json"),
        ("GET", "/api/v1/health/deep/"),
        ("GET", "/api/v1/health/live/"),
        ("GET", "/nothing"),
    ],
)
def test_without_a_valid_key_nothing_but_health_answers(api, method, path):
    for key in (None, "", "wrong", KEY + " ", KEY.upper(), "x" * 100_000, "\udcff"):
        problem(call(method, path, {"title": 5}, key=key), 401)


@pytest.mark.parametrize("path", ["live", "ready", "version"])
def test_health_needs_no_key(api, path):
    assert call("GET", f"/api/v1/health/{path}", key=None).status == 200


def test_a_key_that_was_revoked_stops_working_within_the_caches_time(api, monkeypatch):
    assert call("GET", JOB).status == 404
    secrets = boto3.client("secretsmanager")
    secrets.put_secret_value(SecretId=KEYS_SECRET, SecretString=keys_document(other="another"))
    assert call("GET", JOB).status == 404  # the copy of a moment ago
    later = clock.now() + CACHE
    monkeypatch.setattr(keys(), "_clock", lambda: later)
    assert call("GET", JOB).status == 401
    assert call("GET", JOB, key="another").status == 404


def test_a_key_that_was_added_works_a_second_later_and_guesses_do_not_read_the_secret_more_often(aws_mock, monkeypatch):
    moment = [clock.now()]
    secrets = boto3.client("secretsmanager")
    secrets.create_secret(Name="k", SecretString=keys_document(ann="1"))
    known = ApiKeys("k", secrets, lambda: moment[0])
    reads = []
    original = known._read

    def read():
        reads.append(1)
        return original()

    monkeypatch.setattr(known, "_read", read)
    assert known.owner("1") == "ann"
    secrets.put_secret_value(SecretId="k", SecretString=keys_document(ann="1", bob="2"))
    assert [known.owner(guess) for guess in ("2", "3", "4")] == [None, None, None]
    assert len(reads) == 1
    moment[0] += UNKNOWN_CACHE
    assert [known.owner(guess) for guess in ("2", "3", "4")] == ["bob", None, None]
    assert len(reads) == 2


def test_a_clock_that_is_set_back_does_not_keep_a_revoked_key_alive(api):
    moment = [clock.now()]
    secrets = boto3.client("secretsmanager")
    known = ApiKeys(KEYS_SECRET, secrets, lambda: moment[0])
    assert known.owner(KEY) == "tests"
    secrets.put_secret_value(SecretId=KEYS_SECRET, SecretString=keys_document())
    moment[0] -= timedelta(hours=1)
    assert known.owner(KEY) is None


def test_each_key_has_its_owner(aws_mock):
    secrets = boto3.client("secretsmanager")
    secrets.create_secret(Name="k", SecretString=keys_document(ann="1", bob="2"))
    known = ApiKeys("k", secrets)
    assert [known.owner("1"), known.owner("2"), known.owner("3")] == ["ann", "bob", None]


def test_every_key_is_compared_whether_one_matched_before_or_not(aws_mock, monkeypatch):
    compared = []

    def compare(one, other):
        compared.append(other)
        return one == other

    monkeypatch.setattr("handlers.common.keys.hmac.compare_digest", compare)
    secrets = boto3.client("secretsmanager")
    secrets.create_secret(Name="k", SecretString=keys_document(ann="1", bob="2", cid="3"))
    known = ApiKeys("k", secrets)
    for presented in ("1", "3", "none"):
        compared.clear()
        known.owner(presented)
        assert len(compared) == 3


@pytest.mark.parametrize("value", ["not json", "[]", '{"keys": []}', "{}"])
def test_a_broken_secret_lets_nobody_in_and_is_not_shown(api, value):
    boto3.client("secretsmanager").put_secret_value(SecretId=KEYS_SECRET, SecretString=value)
    document = problem(call("GET", JOB), 503)
    assert "secret" not in json.dumps(document)


def test_one_broken_key_does_not_lock_the_others_out(api):
    document = json.loads(keys_document(tests=KEY))
    document["keys"] |= {"a": {"sha256": "short"}, "b": "text", "c": {}}
    boto3.client("secretsmanager").put_secret_value(SecretId=KEYS_SECRET, SecretString=json.dumps(document))
    assert call("GET", JOB).status == 404


def test_a_body_over_the_limit_is_refused_plain_or_in_base64(api):
    most = '{"title": "%s"}'
    fits = most % ("x" * (MAX_BODY_BYTES - len(most) + 2))
    assert len(fits) == MAX_BODY_BYTES
    problem(call("POST", "/api/v1/books", raw=fits), 422)  # read, and the title is too long
    problem(call("POST", "/api/v1/books", raw=fits + " "), 413)
    problem(call("POST", "/api/v1/books", raw=(fits + " " * 10).encode()), 413)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ("{", 400),
        ("{'title': 'x'}", 400),
        (b"\xff\xfe\x00", 400),
        ("[" * 60_000, 400),
        ('{"title": ' + "9" * 5000 + "}", 400),
        ("", 422),
        ("null", 422),
        ("[]", 422),
        ('"title"', 422),
        ("5", 422),
        ("NaN", 422),
        ('[["title", "x"]]', 422),
    ],
)
def test_a_body_that_is_no_json_object_is_a_problem_in_words(api, raw, status):
    problem(call("POST", "/api/v1/books", raw=raw), status)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_only_json_is_taken(api, content_type):
    problem(call("POST", "/api/v1/books", {"title": "x"}, content_type=content_type), 415)


@pytest.mark.parametrize("content_type", [None, "application/json; charset=utf-8", "Application/JSON"])
def test_json_is_taken_however_it_is_announced(api, content_type):
    assert call("POST", "/api/v1/books", {"title": "x"}, content_type=content_type).status == 201


def test_a_base64_body_is_read(api):
    assert call("POST", "/api/v1/books", raw='{"title": "Émile"}'.encode()).json["title"] == "Émile"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("PUT", "/api/v1/book"),
    ],
)
def test_a_path_that_is_not_there_is_a_problem_document(api, method, path):
    problem(call(method, path), 404)


def test_an_error_that_nobody_expected_tells_the_caller_nothing(api, monkeypatch):
    monkeypatch.setattr("handlers.api.routes_jobs.jobs.find", lambda *_: 1 / 0)
    document = problem(call("GET", JOB), 500)
    assert "division" not in json.dumps(document)


def test_an_answer_that_does_not_fit_its_model_is_not_the_callers_mistake(api, monkeypatch):
    monkeypatch.setattr("handlers.api.routes_health.Health", lambda: {"status": "bad"})
    problem(call("GET", "/api/v1/health/live"), 500)


def test_a_database_that_refuses_the_login_is_503_and_not_described(api, secret_arn):
    secrets = boto3.client("secretsmanager")
    value = json.loads(secrets.get_secret_value(SecretId=secret_arn)["SecretString"])
    secrets.put_secret_value(SecretId=secret_arn, SecretString=json.dumps(value | {"password": "hunter2"}))
    for path in ("/api/v1/health/ready", JOB):
        answer = call("GET", path)
        problem(answer, 503)
        assert answer.headers["Retry-After"] == "5"
        assert "bluemoxon" not in answer.text
        assert "127.0.0.1" not in answer.text


def test_a_reservation_that_cannot_be_signed_at_the_moment_is_503_and_not_made(api, monkeypatch):
    book = call("POST", "/api/v1/books", {"title": "x"}).json["id"]

    def refuse(**_):
        raise NoCredentialsError

    monkeypatch.setattr(whole().storage._s3(), "generate_presigned_post", refuse)
    body = {"filename": "a.jpg", "content_type": "image/jpeg"}
    answer = call("POST", f"/api/v1/books/{book}/images", body, headers={"idempotency-key": "one"})
    problem(answer, 503)
    assert answer.headers["Retry-After"] == "5"
    with api.begin() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(image_uploads)).scalar_one() == 0


def test_a_missing_setting_makes_the_function_alive_but_not_ready(api, monkeypatch):
    monkeypatch.delenv("BMX_IMAGES_BUCKET")
    assert call("GET", "/api/v1/health/live", key=None).status == 200
    document = problem(call("GET", "/api/v1/health/ready", key=None), 503)
    assert "BMX" not in json.dumps(document)


def test_version_says_what_runs_where(api):
    assert call("GET", "/api/v1/health/version", key=None).json == {"version": "1.2.3", "environment": "local"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
images = st.dictionaries(
    st.sampled_from(["filename", "content_type", "image_type", "size", "title", "x"]),
    json_values | st.sampled_from(["image/png", "cover", "\ud800", "a\x00b", "x" * 300, 2**63]),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.sampled_from(["/api/v1/books", "/api/v1/books/1/images", "/api/v1/books/1/images/1/complete"]),
    json_values | images,
)
def test_no_body_makes_the_api_fail(api, path, body):
    answer = call("POST", path, body)
    assert answer.status < 500, answer.text
    if answer.status >= 400:
        problem(answer, answer.status)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.text(max_size=30)
    | st.sampled_from(["0", "-1", "2147483648", "9" * 400, "1e9", "\uff11", "1%00", "None", "1.0"]),
    st.sampled_from(["/api/v1/books/{}", "/api/v1/books/1/images/{}/complete", "/api/v1/image-jobs/{}"]),
)
def test_no_path_makes_the_api_fail(api, value, path):
    answer = call("POST" if "complete" in path else "GET", path.format(value))
    assert answer.status in {404, 422}, answer.text
    problem(answer, answer.status)
