"""Keys of S3 objects: both spellings mean one object, and no spelling leaves `books/`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.common.storage import (
    cdn_url,
    image_type_of,
    legacy_thumbnail_key,
    matte_key,
    object_key,
    processed_key,
    stored_key,
    thumbnail_key,
)

part = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/"), min_size=1, max_size=40)
keys = st.lists(part.filter(lambda text: text not in {".", ".."}), min_size=1, max_size=4).map("/".join)
keys = keys.filter(lambda key: not key.startswith("books/"))


@given(keys)
def test_a_key_with_and_without_its_prefix_is_one_object(key):
    assert object_key(key) == object_key("books/" + key) == "books/" + key
    assert stored_key(key) == stored_key("books/" + key) == key


@given(keys)
def test_normalising_twice_changes_nothing(key):
    assert stored_key(object_key(key)) == stored_key(key)
    assert object_key(object_key(key)) == object_key(key)


@given(keys)
def test_what_lies_beside_a_picture_lies_in_its_folder(key):
    folder = object_key(key).rpartition("/")[0]
    for beside in (thumbnail_key(key), legacy_thumbnail_key(key), matte_key(key)):
        assert object_key(beside).rpartition("/")[0] == folder
        assert beside != key


@pytest.mark.parametrize(
    "key",
    ["", "books/", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "books//x", "a\x00b", "a\nb", "x" * 501],
)
def test_a_key_that_is_empty_absolute_climbing_or_unprintable_is_refused(key):
    with pytest.raises(ValueError, match="is no key"):
        object_key(key)


def test_the_names_are_the_contracts():
    assert processed_key(7, "ab12") == "7_processed_ab12.png"
    assert thumbnail_key("books/7_processed_ab12.png") == "thumb_7_processed_ab12.jpg"
    assert legacy_thumbnail_key("books/7_processed_ab12.png") == "thumb_7_processed_ab12.png"
    assert matte_key("7_processed_ab12.png") == "matte_7_processed_ab12.png"
    assert cdn_url("https://cdn.example.org/", "7.png") == "https://cdn.example.org/books/7.png"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "image/png"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", None),
        (b"GIF89a", None),
        (b"\xff\xd8", None),
        (b"\x89PNG\n\x1a\n", None),
        (b"\x00\x00\x00\x20ftypheic", None),
        (b"<svg xmlns=", None),
        (b"", None),
    ],
)
def test_a_pictures_type_is_told_from_its_first_bytes(head, kind):
    assert image_type_of(head) == kind
