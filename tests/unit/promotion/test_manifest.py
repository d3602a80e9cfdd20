"""The manifest: one form, and every other byte refused."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops.promotion.manifest import Code, Health, Letters, Manifest, ManifestError, Pack, parse

NOW = datetime(2026, 11, 23, 22, 0, 0, 123456, UTC)


def manifest(**changed: Any) -> Manifest:
    said = {
        "stack": "staging",
        "commit": "c" * 40,
        "written_at": NOW,
        "deployed_at": NOW - timedelta(minutes=3),
        "by": "arn:aws:iam::111111111111:user/someone",
        "artefacts": {"analysis": {"zip": {"bucket": "b", "key": "k", "sha256": "a" * 64}}},
        "functions": {"p-analysis": Code(kind="zip", sha256="a" * 64, artefact="analysis")},
        "requirements": {"requirements/api.txt": "d" * 64},
        "policies": Pack(sha256="e" * 64, result="passed"),
        "health": Health(status="healthy", troubles={}),
        "dead_letters": {"analysis": Letters(count=1, newest=NOW)},
    }
    return Manifest(**{**said, **changed})


DATA = manifest().to_bytes()


def test_a_manifest_is_read_as_it_was_written():
    assert parse(DATA, "it") == manifest()
    assert parse(DATA, "it").to_bytes() == DATA


@pytest.mark.parametrize("bit", [0, 5])
def test_no_byte_can_be_another(bit):
    taken = []
    for at in range(len(DATA)):
        other = DATA[:at] + bytes([DATA[at] ^ (1 << bit)]) + DATA[at + 1 :]
        try:
            parse(other, "it")
        except ManifestError:
            continue
        taken.append(at)
    assert taken == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not JSON"),
        (DATA[:-40], "not JSON"),
        (b"[]\n", "no JSON object"),
        (DATA + b"\n", "not those that were written"),
        (json.dumps(json.loads(DATA)).encode(), "not those that were written"),
        (DATA.replace(b'"staging"', b'"stagind"'), "changed after it was written"),
        (b"[" * 100_000, "not JSON"),
    ],
    ids=["empty", "cut", "list", "longer", "respelt", "edited", "deep"],
)
def test_what_is_no_manifest_is_refused_in_words(data, words):
    with pytest.raises(ManifestError, match=words):
        parse(data, "it")


def sealed(**changed: Any) -> bytes:
    """A document with a right hash over wrong content."""
    from ops.promotion.manifest import _canonical, _hash

    document = {**json.loads(DATA), **changed}
    document.pop("sha256")
    return _canonical({**document, "sha256": _hash(document)})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"format": 2}, "the format 2, and this is 1"),
        ({"commit": "main"}, "commit"),
        ({"password": "x"}, "password: Extra inputs"),
        ({"written_at": "2026-11-23T22:00:00.123456+00:00"}, "not spelled"),
        ({"written_at": "2026-11-23T22:00:00"}, "written_at"),
    ],
    ids=["format", "commit", "stray", "spelling", "no-zone"],
)
def test_a_right_hash_over_what_cannot_be_is_refused(changed, words):
    with pytest.raises(ManifestError, match=words):
        parse(sealed(**changed), "it")
