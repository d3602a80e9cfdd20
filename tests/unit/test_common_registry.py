"""The registry of flows in the API's package."""

import json
from typing import Any

import pytest

from handlers.common.registry import RegisteredFlow, RegistryError, load

FLOW: dict[str, Any] = {
    "key": "image_processing",
    "queue_name": "p-image-processing",
    "dead_letter_queue_name": "p-image-processing-dlq",
    "variable": "BMX_IMAGE_PROCESSING_QUEUE_NAME",
    "function_name": "p-image-processing",
    "deployed": True,
    "timeout": 300,
    "receives": 5,
    "visibility_timeout": 1800,
    "oldest_message_threshold": 3600,
    "backlog_threshold": 1000,
    "producers": ["api", "job_sweeper"],
    "schedule": None,
}
READ = RegisteredFlow(**FLOW | {"producers": ("api", "job_sweeper")})
REGISTRY = {"prefix": "p", "environment": "local", "flows": [FLOW]}


def test_a_registry_is_read_with_its_flows(tmp_path):
    path = tmp_path / "registry.json"
    path.write_text(json.dumps(REGISTRY))
    registry = load(path)
    assert (registry.prefix, registry.environment) == ("p", "local")
    assert registry.flows == (READ,)
    assert registry.flows[0].fed_by_api


def test_fields_of_a_newer_program_are_left_alone(tmp_path):
    path = tmp_path / "registry.json"
    path.write_text(json.dumps(REGISTRY | {"later": 1, "flows": [FLOW | {"newer": {}}]}))
    assert load(path).flows == (READ,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "malformed"),
        ("[]", "malformed"),
        ('{"prefix": "p", "environment": "local"}', "'flows'"),
        (json.dumps(REGISTRY | {"flows": [{"key": "x"}]}), "'queue_name'"),
        (json.dumps(REGISTRY | {"flows": ["x"]}), "malformed"),
        (json.dumps(REGISTRY | {"flows": [FLOW | {"deployed": "false"}]}), "deployed of the flow 'image_processing'"),
        (json.dumps(REGISTRY | {"flows": [FLOW | {"timeout": True}]}), "timeout .* must be int"),
        (json.dumps(REGISTRY | {"flows": [FLOW | {"producers": "api"}]}), "producers .* must be list"),
        (json.dumps(REGISTRY | {"flows": [FLOW | {"schedule": 5}]}), "schedule .* must be str or NoneType"),
    ],
)
def test_a_broken_registry_is_refused_in_words(tmp_path, text, words):
    path = tmp_path / "registry.json"
    path.write_text(text)
    with pytest.raises(RegistryError, match=words):
        load(path)


def test_a_missing_registry_says_that_it_is_not_in_the_package(tmp_path):
    with pytest.raises(RegistryError, match=r"registry\.json is not in the package"):
        load(tmp_path / "registry.json")
