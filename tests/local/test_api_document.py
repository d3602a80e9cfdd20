"""The OpenAPI document and its page."""

import base64
import hashlib
import re

from handlers.api.app import app
from tests.local.api_caller import call

DEEP = "/api/v1/health/deep"
NOT_DESCRIBED = ("/api/v1/openapi.json", "/api/v1/docs", "/admin", "/admin/", "/admin/<name>")  # pages, not the API


def test_the_document_describes_every_route(api):
    document = call("GET", "/api/v1/openapi.json").json
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert document["info"]["version"] == "1.2.3"
    assert described == {
        ("GET", "/api/v1/health/live"),
        ("GET", "/api/v1/health/ready"),
        ("GET", "/api/v1/health/version"),
        ("GET", "/api/v1/health/deep"),
        ("GET", "/api/v1/admin/system-info"),
        ("GET", "/api/v1/admin/dead-letters"),
        ("POST", "/api/v1/admin/dead-letters/discard"),
        ("POST", "/api/v1/admin/dead-letters/redrive"),
        ("GET", "/api/v1/books"),
        ("POST", "/api/v1/books"),
        ("GET", "/api/v1/books/{book_id}"),
        ("POST", "/api/v1/books/{book_id}/images"),
        ("POST", "/api/v1/books/{book_id}/images/{image_id}/complete"),
        ("POST", "/api/v1/books/{book_id}/images/{image_id}/primary"),
        ("POST", "/api/v1/books/{book_id}/images/reorder"),
        ("DELETE", "/api/v1/books/{book_id}/images/{image_id}"),
        ("POST", "/api/v1/import"),
        ("GET", "/api/v1/image-jobs"),
        ("GET", "/api/v1/image-jobs/{job_id}"),
        ("POST", "/api/v1/image-jobs/{job_id}/retry"),
    }
    assert len(app._static_routes + app._dynamic_routes) == len(described) + len(NOT_DESCRIBED)


def test_every_operation_says_its_key_its_success_and_its_problems(api):
    document = call("GET", "/api/v1/openapi.json").json
    for path, methods in document["paths"].items():
        for operation in methods.values():
            codes = operation["responses"]
            assert any(code.startswith("2") for code in codes), path
            for code, response in codes.items():
                expected = ["application/problem+json" if int(code) >= 400 else "application/json"]
                if (path, code) == (DEEP, "503"):
                    expected.insert(0, "application/json")  # the check's own answer: something is unhealthy
                assert list(response["content"]) == expected, path
            public = path.startswith("/api/v1/health/") and path != DEEP
            assert operation["security"] == ([] if public else [{"key": []}] + ([{}] if path == DEEP else []))
            assert ("401" in codes) == bool(operation["security"])
            assert not operation["summary"].startswith(("GET", "POST", "DELETE"))
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_reference_in_the_document_leads_somewhere(api):
    answer = call("GET", "/api/v1/openapi.json")
    names = set(re.findall(r'"#/components/schemas/(\w+)"', answer.text))
    assert names <= answer.json["components"]["schemas"].keys()


def test_the_page_needs_no_key_says_nothing_of_the_api_and_names_no_host(api):
    answer = call("GET", "/api/v1/docs", key=None)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "image-jobs" not in answer.text
    assert "//" not in re.sub(r"^\s*// .*$", "", answer.text, flags=re.MULTILINE)  # no address, only comments


def test_the_pages_policy_allows_its_own_script_and_style_and_its_own_origin_only(api):
    answer = call("GET", "/api/v1/docs", key=None)
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert (policy["default-src"], policy["connect-src"]) == ("'none'", "'self'")
    for tag in ("script", "style"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
