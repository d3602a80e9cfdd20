"""Property values survive the wire and the state file, and mean the same on the other side."""

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.runtime import rpc

from local import wire
from local.engine.errors import EngineError
from local.engine.properties import Marshal, unmarshal
from local.engine.state import ResourceState
from local.engine.store import PendingOperation, StateStore
from local.engine.values import (
    Archive,
    Asset,
    OutputValue,
    ResourceReference,
    Secret,
    contains_secrets,
    contains_unknowns,
    deep_equal,
    downgrade_outputs,
    mask,
    unwrap,
    walk,
)
from local.wire import SIGNATURE, UNKNOWN

KEYS = st.text(min_size=1, max_size=8).filter(lambda key: key != SIGNATURE)
PLAIN = st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.floats(allow_nan=False, allow_infinity=False)
LEAVES = PLAIN | st.text(max_size=12)
FILES = st.builds(Asset, hash=st.just("aa"), text=st.text(max_size=5)) | st.builds(
    Archive, hash=st.just("bb"), path=st.text(min_size=1, max_size=5)
)
REFERENCES = st.builds(ResourceReference, urn=st.just("urn:x"), id=st.text(max_size=3), version=st.just("1"))


def nested(leaves):
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3) | inner.map(Secret),
        max_leaves=12,
    )


VALUES = nested(LEAVES | FILES | REFERENCES | st.just(UNKNOWN))
MAPS = st.dictionaries(KEYS, VALUES, max_size=4)
KNOWN_MAPS = st.dictionaries(KEYS, nested(LEAVES | FILES | REFERENCES), max_size=4)


@given(MAPS)
def test_a_property_map_comes_back_from_the_wire_as_it_went(props):
    assert deep_equal(unmarshal(Marshal().struct(props)), props)


@given(MAPS)
def test_a_reader_without_secrets_gets_none(props):
    received = unmarshal(Marshal(secrets=False).struct(props))
    assert not contains_secrets(received)
    assert deep_equal(received, {key: unwrap(value) for key, value in props.items()})


@given(MAPS)
def test_a_reader_without_unknowns_gets_none(props):
    assert not contains_unknowns(unmarshal(Marshal(unknowns=False).struct(props)))


@given(st.dictionaries(KEYS, nested(st.text(alphabet="zq", min_size=6)).map(Secret), min_size=1, max_size=3))
def test_nothing_of_a_secret_is_left_when_masked(props):
    assert set(mask(props).values()) == {"[secret]"}
    assert "zq" not in repr(props).replace("zq':", "")


@given(KNOWN_MAPS)
def test_a_state_comes_back_from_the_file_with_its_secrets_and_without_their_text(tmp_path_factory, props):
    store = StateStore(tmp_path_factory.mktemp("state") / "s.json")
    state = ResourceState("a:b:C", "urn:pulumi:s::p::a:b:C::n", custom=True, id="1", inputs=props)
    state.outputs = {"token": Secret("very-secret-text")}
    store.save([state], [PendingOperation("updating", state)])
    (read,), (pending,) = StateStore(store.path).load()
    assert deep_equal(read.inputs, props)
    assert deep_equal(read.outputs, state.outputs)
    assert (pending.type, pending.state.urn) == ("updating", state.urn)
    assert "very-secret-text" not in store.path.read_text()


def test_the_key_of_another_state_is_refused(tmp_path):
    for name in ("one", "two"):
        state = ResourceState("a:b:C", "urn:pulumi:s::p::a:b:C::n", custom=True, inputs={"x": Secret("y")})
        StateStore(tmp_path / f"{name}.json").save([state], [])
    (tmp_path / "one.key").write_bytes((tmp_path / "two.key").read_bytes())
    with pytest.raises(EngineError, match="is not the key"):
        StateStore(tmp_path / "one.json").load()


def test_booleans_and_numbers_differ():
    assert not deep_equal({"a": True}, {"a": 1})
    assert deep_equal({"a": 1}, {"a": 1.0})
    assert not deep_equal([Secret(1)], [1])


def test_an_output_is_downgraded_to_what_providers_know():
    given_ = {
        "known": OutputValue(1, known=True, secret=False, dependencies=("u",)),
        "secret": OutputValue("s", known=True, secret=True, dependencies=()),
        "unknown": [OutputValue(None, known=False, secret=True, dependencies=())],
    }
    assert downgrade_outputs(given_) == {"known": 1, "secret": Secret("s"), "unknown": [Secret(UNKNOWN)]}
    for part in walk(given_):
        assert "'s'" not in repr(part) or part == "s"


@given(
    st.dictionaries(KEYS, st.builds(OutputValue, LEAVES, st.just(True), st.booleans(), st.just(("urn:a",))), max_size=3)
)
def test_outputs_keep_their_dependencies_towards_a_transform(props):
    received = unmarshal(Marshal(outputs=True).struct(props))
    assert {key: (value.dependencies, value.secret) for key, value in received.items()} == {
        key: (("urn:a",), value.secret) for key, value in props.items()
    }


def test_an_unknown_signature_is_refused():
    with pytest.raises(EngineError, match="the signature 123"):
        unmarshal(Marshal().struct({"a": {SIGNATURE: "123"}}))


def test_a_resource_reference_is_an_id_to_a_provider_that_does_not_know_references():
    props = {"a": ResourceReference("urn:a", "id-1"), "b": ResourceReference("urn:b")}
    assert unmarshal(Marshal(resources=False).struct(props)) == {"a": "id-1", "b": "urn:b"}


# --- assets ----------------------------------------------------------------------------------------------------------


def received(value, folder):
    return unmarshal(Marshal().struct({"x": value}), folder)["x"]


def test_a_text_asset_is_hashed_as_its_text(tmp_path):
    assert received(Asset(text="hello"), tmp_path).hash == hashlib.sha256(b"hello").hexdigest()


def test_file_and_archive_file_are_hashed_as_their_bytes(tmp_path):
    (tmp_path / "f.zip").write_bytes(b"bytes")
    digest = hashlib.sha256(b"bytes").hexdigest()
    assert received(Asset(path="f.zip"), tmp_path).hash == digest
    assert received(Archive(path="f.zip"), tmp_path).hash == digest


def test_a_folder_has_the_hash_of_the_same_files_given_one_by_one(tmp_path):
    (tmp_path / "d" / "sub").mkdir(parents=True)
    (tmp_path / "d" / "b.txt").write_text("b")
    (tmp_path / "d" / "sub" / "a.txt").write_text("a")
    folder = received(Archive(path="d"), tmp_path)
    parts = {"b.txt": Asset(text="b"), "sub": Archive(assets={"a.txt": Asset(path="d/sub/a.txt")})}
    assert received(Archive(assets=parts), tmp_path).hash == folder.hash
    (tmp_path / "d" / "b.txt").write_text("c")
    assert received(Archive(path="d"), tmp_path).hash != folder.hash


LONG = "a-rather-long-folder-name/with/several/levels/of/nesting/so-that-the-name-is-over-one-hundred-bytes/long/f.py"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("f.py", "8325d27747d262aa1859f6096f16914917e4a45d0341bc3d952116a7bbc49039"),
        (LONG, "b58ea68ea304c8a190a03cd25ba3a985062f9555db65b058b3292180e5218d05"),
    ],
)
def test_the_hash_of_a_folder_is_that_of_the_real_engine(tmp_path, name, expected):
    # Made with Go's archive/tar as Pulumi's archive.go uses it: name, mode 0600 and size, content "1".
    file = tmp_path / "d" / name
    file.parent.mkdir(parents=True)
    file.write_text("1")
    assert received(Archive(path="d"), tmp_path).hash == expected


def test_the_signatures_are_the_sdks_own():
    ours = (wire.SIGNATURE, wire.SECRET, wire.ASSET, wire.ARCHIVE, wire.RESOURCE, wire.OUTPUT, wire.UNKNOWN_STRING)
    assert ours == (
        rpc._special_sig_key,
        rpc._special_secret_sig,
        rpc._special_asset_sig,
        rpc._special_archive_sig,
        rpc._special_resource_sig,
        rpc._special_output_value_sig,
        rpc.UNKNOWN,
    )


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(EngineError, match=r"cannot read .*nothing\.zip"):
        received(Asset(path="nothing.zip"), tmp_path)


def test_a_remote_asset_is_refused(tmp_path):
    with pytest.raises(EngineError, match="a remote asset"):
        received(Asset(uri="https://example.invalid/x"), tmp_path)


def test_a_provider_gets_absolute_paths(tmp_path):
    archive = Archive(hash="h", assets={"x": Asset(hash="i", path="f.py")})
    sent = unmarshal(Marshal(folder=tmp_path).struct({"code": archive}))["code"]
    assert sent.assets["x"].path == str(tmp_path / "f.py")
    assert json.dumps(Marshal().plain({"code": replace(archive)})).count(str(tmp_path)) == 0
