"""`artefacts` in Pulumi.local.yaml counts: it is not replaced by the stand-ins without a word."""

import pytest

from ops import stand_ins
from ops.errors import UserError
from ops.local_stack import artefacts

GIVEN = {"image_processor": {"image": "worker@sha256:1"}, **stand_ins.artefacts()}
ZIP = {"zip": {"bucket": "own", "key": "thumbnails.zip", "sha256": "0" * 64}}


def read(tmp_path, text):
    (tmp_path / "Pulumi.local.yaml").write_text(text)
    return artefacts(tmp_path / "Pulumi.local.yaml", GIVEN)


@pytest.mark.parametrize("key", ["artefacts", "bluemoxon:artefacts"])
def test_a_flow_of_ones_own_has_its_code_and_the_others_their_stand_ins(tmp_path, key):
    found = read(
        tmp_path,
        f"config:\n  {key}:\n    thumbnails: {{zip: {{bucket: own, key: thumbnails.zip, sha256: {'0' * 64!r}}}}}",
    )
    assert found == GIVEN | {"thumbnails": ZIP}


def test_ones_own_code_stands_in_for_a_stand_in(tmp_path):
    name = next(iter(stand_ins.artefacts()))
    assert read(tmp_path, f"config: {{artefacts: {{{name}: {{zip: {{bucket: own}}}}}}}}")[name] == {
        "zip": {"bucket": "own"}
    }


def test_an_image_that_was_not_built_here_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"Pulumi.local.yaml: artefacts.thumbnails is the image r@sha256:0") as error:
        read(tmp_path, "config: {artefacts: {thumbnails: {image: r@sha256:0}}}")
    assert "not built on this machine" in error.value.message and "zip" in error.value.fix


@pytest.mark.parametrize("text", ["", "config:", "config: {artefacts: }", "config: {aws:region: us-west-2}"])
def test_without_any_all_are_given(tmp_path, text):
    assert read(tmp_path, text) == GIVEN


def test_what_is_no_mapping_is_left_to_the_program_to_refuse(tmp_path):
    assert read(tmp_path, "config: {artefacts: none-yet}") == "none-yet"
