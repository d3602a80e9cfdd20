"""schemathesis against the OpenAPI document: whatever a caller sends, answers are those that the document describes."""

import boto3
import pytest
import schemathesis
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from handlers.api import openapi
from handlers.api.app import app
from handlers.common.dead_letters import DeadLetters
from handlers.common.tables import image_processing_jobs
from tests.local.api_caller import FLOW, KEY, call
from tests.local.api_pictures import add, new_book, put, put_object, reserve
from tests.local.api_wsgi import application

DOCUMENT = openapi.document(app, "0")
OPERATIONS = [(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods]
# Left out: `unsupported_method`, which these phases make no case of (see test_api_edge.py); and
# `positive_data_acceptance`, because an id that fits its schema need not be there, and a title of spaces is refused
# although JSON Schema cannot say so.
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    ignored_auth,
]
INTERNALS = ("Traceback", "psycopg", "sqlalchemy", "botocore", "handlers/")


@pytest.fixture
def dead_letter(api, monkeypatch):
    """The id of a message in the first flow's dead-letter queue; nothing waits for more of them."""
    monkeypatch.setattr(DeadLetters.__init__, "__kwdefaults__", {"wait_seconds": 0})
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName=str(FLOW["dead_letter_queue_name"]))["QueueUrl"]
    return sqs.send_message(QueueUrl=url, MessageBody="{}")["MessageId"]


@pytest.fixture
def there(api, dead_letter):
    """What names things that exist, parameters and bodies: a book, photographs, an upload, a job and a letter dead."""
    book = new_book()
    first, second = add(book), add(book)
    waiting = reserve(book)
    put(waiting)
    put_object("books/scan.jpg")
    with api.begin() as connection:
        connection.execute(sa.update(image_processing_jobs).values(status="failed"))
    chosen = {"flow": FLOW["key"], "ids": [dead_letter]}
    return {
        "book_id": [book],
        "image_id": [first["image"]["id"], second["image"]["id"], waiting["image_id"]],
        "job_id": [first["job"]["id"]],
        "/api/v1/books/{book_id}/images/reorder": [{"image_ids": [second["image"]["id"], first["image"]["id"]]}],
        "/api/v1/admin/dead-letters/redrive": [chosen],
        "/api/v1/admin/dead-letters/discard": [chosen | {"confirm": "discard 1"}],
        "/api/v1/import": [{"title": "Emma", "images": [{"key": "scan.jpg"}]}],
    }


def hold(there, method, path, *, mode, examples=15, always_the_same=True):
    """Send generated requests of one operation and hold each answer to the document."""
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    schema.app = application
    operation = schema[path][method]
    checks = [*CHECKS, negative_data_rejection] if mode is GenerationMode.NEGATIVE else CHECKS
    seen = []

    @settings(
        max_examples=examples,
        derandomize=always_the_same,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def each(case, data):
        if mode is GenerationMode.POSITIVE and data.draw(st.booleans()):
            # Ids made up at random are never there, and a route that finds nothing does nothing.
            case.path_parameters = {
                name: data.draw(st.sampled_from(there[name])) for name in case.path_parameters or {}
            }
            if path in there:
                case.body = data.draw(st.sampled_from(there[path]))
        response = case.call_and_validate(headers={"X-API-Key": KEY}, checks=checks)
        seen.append(response.status_code)
        assert not any(word in response.text for word in INTERNALS), response.text

    each()
    assert seen
    return seen


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_what_fits_the_document_gets_an_answer_that_fits_it(there, method, path):
    seen = hold(there, method, path, mode=GenerationMode.POSITIVE)
    assert any(code < 300 for code in seen), "none of them did anything"


def has_input(path, method):
    operation = DOCUMENT["paths"][path][method.lower()]
    return bool(operation.get("parameters") or operation.get("requestBody"))


WITH_INPUT = [(method, path) for method, path in OPERATIONS if has_input(path, method)]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), WITH_INPUT)
def test_what_does_not_fit_the_document_is_refused_in_a_problem_document(there, method, path):
    seen = hold(there, method, path, mode=GenerationMode.NEGATIVE)
    assert max(seen) < 500


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("method", "path"), WITH_INPUT)
def test_many_more_requests_get_answers_that_fit_the_document(there, method, path, mode):
    hold(there, method, path, mode=mode, examples=400, always_the_same=False)


def test_the_document_is_the_one_that_callers_get(api):
    served = call("GET", "/api/v1/openapi.json").json
    assert served | {"info": None} == DOCUMENT | {"info": None}
