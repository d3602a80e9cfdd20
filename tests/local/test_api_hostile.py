"""Requests that nobody sends by mistake: each is a 4xx in words that names what is at fault, never a 5xx."""

import pytest

from tests.local.api_caller import call

BOOKS = "/api/v1/books"
IMAGES = "/api/v1/books/1/images"


def refused(answer, status, field=None):
    assert answer.status == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "Traceback" not in answer.text
    assert len(answer.text) < 4000  # what was sent is not sent back, at any length
    if field is not None:
        assert field in [error["field"] for error in answer.json["errors"]]
    return answer.json


@pytest.fixture
def book(api):
    return call("POST", BOOKS, {"title": "x"}).json["id"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", BOOKS, "GET, POST"),
        ("DELETE", f"{BOOKS}/1", "GET"),
        ("GET", f"{IMAGES}/1/complete", "POST"),
        ("PATCH", f"{IMAGES}/1", "DELETE"),
        ("TRACE", "/api/v1/import", "POST"),
        ("X" * 1000, "/api/v1/image-jobs", "GET"),
        ("POST", "/api/v1/openapi.json", "GET"),
        ("GET", f"{IMAGES}/reorder", "POST"),
        ("DELETE", f"{IMAGES}/reorder", "POST"),
    ],
    ids=lambda value: value[:30],
)
def test_a_method_that_a_path_does_not_take_is_405_with_those_that_it_takes(api, method, path, allow):
    answer = call(method, path)
    refused(answer, 405)
    assert answer.headers["Allow"] == allow


def test_without_a_key_nobody_learns_which_methods_a_path_takes(api):
    answer = call("PUT", BOOKS, key=None)
    refused(answer, 401)
    assert "Allow" not in answer.headers


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limt=5", "query.limt"),
        ("limit=5&limit=6", "query.limit"),
        ("LIMIT=5", "query.LIMIT"),
        ("limit[]=5", "query.limit[]"),
        ("=", "query."),
        ("x" * 5000 + "=1", "query." + "x" * 100),
        ("&".join(f"p{n}=1" for n in range(1000)), "query.p0"),
        ("limit=0", "query.limit"),
        ("limit=101", "query.limit"),
        ("limit=-1", "query.limit"),
        ("limit=" + "9" * 5000, "query.limit"),
        ("limit=%00", "query.limit"),
        ("after=2147483648", "query.after"),
        ("after=-1", "query.after"),
        ("after=1e3", "query.after"),
        ("after=1_0", "query.after"),
        ("limit=%2B5", "query.limit"),
        ("limit=05", "query.limit"),
        ("limit=%205", "query.limit"),
    ],
    ids=lambda value: value[:20],
)
def test_a_query_parameter_that_is_unknown_doubled_or_out_of_range_is_named(api, query, field):
    refused(call("GET", BOOKS, query=query), 422, field)


def test_query_parameters_that_are_known_are_taken(api):
    assert call("GET", BOOKS, query="limit=5&after=0").status == 200
    assert call("GET", "/api/v1/image-jobs", query="limit=5&status=pending").status == 200


@pytest.mark.parametrize("number", ["0", "-1", "2147483648", "9" * 300, "1.5", "0x1", "1%20"])
def test_an_id_out_of_range_is_no_server_error(api, number):
    answer = call("GET", f"{BOOKS}/{number}")
    assert answer.status in {404, 422}, answer.text
    refused(answer, answer.status)


@pytest.mark.parametrize("number", ["+1", "1_0", "01", "%2B1", "1.0", "\uff11", " 1"])
@pytest.mark.parametrize(("method", "path"), [("GET", f"{BOOKS}/{{}}"), ("POST", f"{BOOKS}/{{}}/images/1/primary")])
def test_a_number_in_a_path_is_spelt_in_decimal_digits_only(book, method, path, number):
    refused(call(method, path.format(number)), 422, "path.book_id")


@pytest.mark.parametrize("spelling", ["{}", "urn:uuid:{}", "{{{}}}"])
def test_a_jobs_id_is_spelt_as_a_uuid_only(api, spelling):
    job = "c0ffee00-0000-4000-8000-000000000000"
    assert call("GET", f"/api/v1/image-jobs/{job}").status == 404
    given = spelling.format(job if spelling != "{}" else job.replace("-", ""))
    refused(call("GET", f"/api/v1/image-jobs/{given}"), 422, "path.job_id")


FLOW = {"flow": "image_processing", "ids": ["x"]}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (IMAGES, {"filename": "a.jpg", "content_type": "image/jpeg", "size": True}, "body.size"),
        (IMAGES, {"filename": "a.jpg", "content_type": "image/jpeg", "size": "10"}, "body.size"),
        (f"{IMAGES}/reorder", {"image_ids": ["1"]}, "body.image_ids.0"),
        (f"{IMAGES}/reorder", {"image_ids": [True]}, "body.image_ids.0"),
        ("/api/v1/import", {"book_id": "1", "images": [{"key": "a"}]}, "body.book_id"),
        ("/api/v1/import", {"book_id": 1, "images": [{"image_id": True}]}, "body.images.0.image_id"),
        ("/api/v1/admin/dead-letters/redrive", FLOW | {"force": "yes"}, "body.force"),
        ("/api/v1/admin/dead-letters/redrive", FLOW | {"dry_run": 1}, "body.dry_run"),
        ("/api/v1/admin/dead-letters/discard", FLOW | {"dry_run": "off"}, "body.dry_run"),
    ],
)
def test_a_field_is_of_the_documents_type_and_of_none_that_resembles_it(book, path, body, field):
    refused(call("POST", path, body), 422, field)


@pytest.mark.parametrize(
    "title", ["\u0085", "\u200b", "\u200b \u2060", "\u2028", "a\u2029b", "\u00ad", " \u3000", "Emma\n"]
)
@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (BOOKS, "title", {}),
        (IMAGES, "filename", {"content_type": "image/png"}),
        ("/api/v1/import", "title", {"images": [{"key": "a"}]}),
    ],
)
def test_a_line_holds_something_that_can_be_seen_and_nothing_that_ends_it(book, path, body, field, title):
    refused(call("POST", path, {body: title} | field), 422, f"body.{body}")


def test_what_is_invisible_inside_a_title_is_kept(api):
    persian = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"  # written with a zero-width non-joiner
    assert call("POST", BOOKS, {"title": persian}).json["title"] == persian


@pytest.mark.parametrize("character", ["\x00", "\r", "\n", "\x1b", "\x7f", "\x85", "\u2028"])
@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (BOOKS, {"title": "a{}b"}, "body.title"),
        (IMAGES, {"filename": "a{}b.png", "content_type": "image/png"}, "body.filename"),
        (IMAGES, {"filename": "a.png", "content_type": "image/png", "image_type": "a{}"}, "body.image_type"),
    ],
    ids=["title", "filename", "image type"],
)
def test_a_control_character_is_refused_by_its_field(book, path, body, field, character):
    refused(call("POST", path, {key: value.format(character) for key, value in body.items()}), 422, field)


@pytest.mark.parametrize(
    "filename",
    ['a";filename="b.exe', "../../etc/passwd", "\u202egnp.exe", "e\u0301" * 60, "\ufeffa.png", "\U0001f4d6.png"],
    ids=["quote", "path", "right to left", "combining", "byte order mark", "emoji"],
)
def test_a_strange_filename_never_reaches_the_objects_key(book, filename):
    answer = call("POST", IMAGES, {"filename": filename, "content_type": "image/png"})
    assert answer.status == 201, answer.text
    key = answer.json["upload"]["fields"]["key"]
    assert key.isascii()
    assert ".." not in key
    assert not set('";\\\r\n ') & set(key)


def test_a_lone_surrogate_is_refused(book):
    raw = '{"filename": "\\ud800.png", "content_type": "image/png"}'
    refused(call("POST", IMAGES, raw=raw), 422)


@pytest.mark.parametrize("kind", ["heic", "heif", "avif", "HEIC", "heic-sequence"])
def test_heic_and_avif_are_refused_with_what_to_do(book, kind):
    document = refused(
        call("POST", IMAGES, {"filename": "a.heic", "content_type": f"image/{kind}"}), 422, "body.content_type"
    )
    assert "convert the picture to JPEG, PNG or WebP" in document["detail"]


@pytest.mark.parametrize(
    "raw",
    [b'{"title": "\xff"}', '{"title": "é"}'.encode("latin-1"), '{"title": "x"}'.encode("utf-16"), b"\x00" * 10],
    ids=["invalid", "latin-1", "utf-16", "zeros"],
)
def test_a_body_in_another_encoding_is_refused(api, raw):
    refused(call("POST", BOOKS, raw=raw), 400)


@pytest.mark.parametrize("raw", ['{"a":' * 10_000, "[" * 65_000, '{"title": ' + "[" * 5000 + "]" * 5000 + "}"])
def test_nesting_is_refused(api, raw):
    answer = call("POST", BOOKS, raw=raw)
    assert answer.status in {400, 422}, answer.text
    refused(answer, answer.status)
