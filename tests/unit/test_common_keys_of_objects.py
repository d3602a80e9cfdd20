"""Keys of S3 objects: both spellings mean one object, and no spelling leaves `books/`."""

from urllib.parse import unquote, urlsplit

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
keys = keys.filter(lambda key: not key.startswith("books/") and len(key.encode()) < 1000)
nested = keys.map("books/".__add__)


@given(keys)
def test_a_key_with_and_without_its_prefix_is_one_object(key):
    assert object_key(key) == object_key("books/" + key) == "books/" + key
    assert stored_key(key) == stored_key("books/" + key) == key


@given(nested)
def test_a_key_that_begins_with_the_prefix_twice_keeps_both(key):
    assert object_key("books/" + key) == "books/" + key
    assert object_key(stored_key("books/" + key)) == "books/" + key
    assert object_key(stored_key(key)) == key


@given(keys | nested | nested.map("books/".__add__))
def test_normalising_twice_changes_nothing(key):
    assert stored_key(object_key(key)) == stored_key(key)
    assert object_key(object_key(key)) == object_key(key)


@given(keys | nested.map("books/".__add__))
def test_what_lies_beside_a_picture_lies_in_its_folder(key):
    folder = object_key(key).rpartition("/")[0]
    for beside in (thumbnail_key(key), legacy_thumbnail_key(key), matte_key(key)):
        assert object_key(beside).rpartition("/")[0] == folder
        assert beside != key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "books/",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a//b",
        "a/",
        "./a",
        "books//x",
        "a\x00b",
        "a\nb",
        "x" * 501,
        "books/books/" + "x" * 489,
        "\u4e00" * 340,
        "books/" + "\u4e00" * 340,
    ],
)
def test_a_key_that_is_empty_absolute_climbing_or_unprintable_is_refused(key):
    with pytest.raises(ValueError, match="is no key"):
        object_key(key)


def test_a_key_has_as_many_bytes_as_s3_takes():
    longest = "\u4e00" * 339 + "a"  # books/ and 1,018 bytes
    assert len(object_key(longest).encode()) == 1024
    with pytest.raises(ValueError, match="more than 1024 bytes"):
        object_key(longest + "a")


@given(keys)
def test_an_address_behind_the_cdn_names_exactly_its_object(key):
    address = urlsplit(cdn_url("https://cdn.example.org/", key))
    assert (address.query, address.fragment) == ("", "")
    assert unquote(address.path) == "/" + object_key(key)
    assert address.path.isascii()


def test_the_names_are_the_contracts():
    assert processed_key(7, "ab12") == "7_processed_ab12.png"
    assert thumbnail_key("books/7_processed_ab12.png") == "thumb_7_processed_ab12.jpg"
    assert legacy_thumbnail_key("books/7_processed_ab12.png") == "thumb_7_processed_ab12.png"
    assert matte_key("7_processed_ab12.png") == "matte_7_processed_ab12.png"
    assert cdn_url("https://cdn.example.org/", "7.png") == "https://cdn.example.org/books/7.png"
    assert cdn_url("https://c.org", "no #2.jpg") == "https://c.org/books/no%20%232.jpg"
    assert cdn_url("https://c.org", "50%25+1?.jpg") == "https://c.org/books/50%2525%2B1%3F.jpg"


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
