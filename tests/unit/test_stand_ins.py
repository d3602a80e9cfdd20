"""The stand-ins: what they take for a message of their flow, and that their zip is the same every time."""

import hashlib
import io
import json
import zipfile

import pytest

from flows import ENTRY, catalogue
from ops import stand_ins
from samples.stand_ins import worker

BODIES: dict[str, dict[str, object]] = {
    "analysis": {"job_id": "j", "book_id": 1, "model": "m"},
    "eval_runbook": {"job_id": "j", "book_id": 1},
    "profile_generation": {"job_id": "j", "entity_type": "author", "entity_id": 1},
    "entity_enrichment": {"entity_type": "author", "entity_id": 1, "entity_name": "A. Manutius"},
    "tracking": {"book_id": 1},
}


def test_every_flow_but_the_image_flow_has_one():
    assert {flow.key for flow in catalogue("x-local")} - set(stand_ins.artefacts()) == {"image_processing"}
    assert set(BODIES) == set(worker.BODIES)


@pytest.mark.parametrize("flow", sorted(BODIES))
def test_the_contracts_body_is_taken_and_one_without_any_of_its_keys_refused(flow):
    assert worker.check(flow, json.dumps(BODIES[flow])) == BODIES[flow]
    for key in BODIES[flow]:
        without = {name: value for name, value in BODIES[flow].items() if name != key}
        with pytest.raises(worker.RefusedBodyError, match=key):
            worker.check(flow, json.dumps(without))


@pytest.mark.parametrize("text", ["", "poison", "[]", '"x"', '{"book_id": "1"}', '{"book_id": true}'])
def test_what_is_no_message_of_the_flow_is_refused(text):
    with pytest.raises(worker.RefusedBodyError):
        worker.check("tracking", text)


def test_a_refused_message_alone_is_given_back(monkeypatch):
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "tracking")
    monkeypatch.setattr(worker, "_database", lambda: pytest.fail("nothing is looked up for a message that is refused"))
    event = {"Records": [{"messageId": "1", "body": "poison"}]}
    assert worker.handler(event, None) == {"batchItemFailures": [{"itemIdentifier": "1"}]}


def test_the_version_is_answered_without_work(monkeypatch):
    monkeypatch.setenv("BMX_ENVIRONMENT", "local")
    monkeypatch.setenv("BMX_VERSION", "7")
    monkeypatch.setattr(worker, "_database", lambda: pytest.fail("the version takes no work"))
    assert worker.handler({"version": True}, None)["version"] == "7"


def test_the_zip_is_named_by_its_bytes_and_holds_its_entry():
    made = stand_ins.package.__wrapped__()
    assert made == stand_ins.package()
    zipped = stand_ins.artefacts()["tracking"]["zip"]
    assert zipped["sha256"] == hashlib.sha256(made).hexdigest()
    names = zipfile.ZipFile(io.BytesIO(made)).namelist()
    assert {ENTRY.replace(".handler", ".py"), "handlers/__init__.py", "handlers/common/database.py"} <= set(names)
