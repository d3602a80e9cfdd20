"""A stack's file with other artefacts: nothing else in it moves, no comment is lost."""

from pathlib import Path

import pytest

from ops.errors import UserError
from ops.promotion.stack_file import artefacts_of, edited, pinned, set_artefacts

ROOT = Path(__file__).parents[3]
IMAGE = "registry/worker@sha256:" + "3" * 64


@pytest.fixture
def file(tmp_path):
    def write(text):
        made = tmp_path / "Pulumi.prod.yaml"
        made.write_text(text)
        return made

    return write


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_the_repositorys_own_files_stay_as_they_are_when_nothing_changes(stack):
    file = ROOT / f"Pulumi.{stack}.yaml"
    assert edited(file, artefacts_of(file)) == file.read_text()


def test_only_the_digest_changes_and_is_no_placeholder_any_more(file):
    before = (ROOT / "Pulumi.prod.yaml").read_text()
    made = file(before)
    set_artefacts(made, {"image_processing": {"image": IMAGE}})
    changed = [
        pair for pair in zip(before.splitlines(), made.read_text().splitlines(), strict=True) if len({*pair}) > 1
    ]
    assert [new for _, new in changed] == [f"      image: {IMAGE}"]


def test_a_new_artefact_is_added_and_one_that_is_gone_is_removed(file):
    made = file('config:\n  p:artefacts:\n    one: {image: a}\n  p:version: "1" # kept\n')
    set_artefacts(made, {"two": {"zip": {"bucket": "b", "key": "k", "sha256": "s"}}})
    assert artefacts_of(made) == {"two": {"zip": {"bucket": "b", "key": "k", "sha256": "s"}}}
    assert '  p:version: "1" # kept\n' in made.read_text()


def test_a_comment_that_would_be_lost_refuses_the_edit(file):
    made = file("config:\n  p:artefacts:\n    one:\n      image: a\n      # why it is so\n  p:version: '1'\n")
    before = made.read_text()
    with pytest.raises(UserError, match="would lose the comment '# why it is so'"):
        set_artefacts(made, {"one": {"zip": {"bucket": "b", "key": "k", "sha256": "s"}}})
    assert made.read_text() == before


@pytest.mark.parametrize(
    ("text", "words"),
    [("config: {}\n", "no configuration value artefacts"), ("- a\n", "no configuration"), ("a: [", "is not YAML")],
    ids=["none", "list", "broken"],
)
def test_a_file_without_artefacts_is_refused(file, text, words):
    with pytest.raises(UserError, match=words):
        artefacts_of(file(text))


def test_a_stack_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"Pulumi\.qa\.yaml cannot be read"):
        artefacts_of(tmp_path / "Pulumi.qa.yaml")


def test_a_build_stays_a_build_of_exactly_the_digest_that_was_proven(file):
    made = file("config:\n  p:artefacts:\n    one:\n      build:\n        pullAccounts: ['2']\n    two: {image: a}\n")
    proven = {"one": {"image": IMAGE}, "two": {"image": IMAGE}, "three": {"zip": {"sha256": "s"}}}
    assert pinned(made, proven) == {
        "one": {"build": {"pullAccounts": ["2"], "pinned": "sha256:" + "3" * 64}},
        "two": {"image": IMAGE},
        "three": {"zip": {"sha256": "s"}},
    }


def test_a_file_without_artefacts_pins_none(file):
    assert pinned(file("config: {}\n"), {"one": {"image": IMAGE}}) == {"one": {"image": IMAGE}}
