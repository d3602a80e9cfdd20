from pathlib import Path

import pytest

from ops.errors import UserError
from ops.photos import chosen, samples


def test_every_unusable_photograph_is_named_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UserError) as refused:
        chosen([tmp_path / "gone.jpg", tmp_path / "empty.jpg", tmp_path])
    for words in ("gone.jpg: does not exist", "empty.jpg: is empty (0 bytes)", f"{tmp_path}: is not a file"):
        assert words in refused.value.message


def test_a_wrong_extension_is_taken_for_what_it_claims(tmp_path: Path) -> None:
    photo = tmp_path / "note.png"
    photo.write_bytes(b"\xff\xd8\xff")
    assert chosen([photo])[0].content_type == "image/png"


def test_the_samples_are_there_and_two_must_fail() -> None:
    listed = samples()
    assert all(sample.path.is_file() for sample in listed)
    assert all(sample.truth.is_file() for sample in listed if sample.truth)
    assert sum(sample.expect == "failed" for sample in listed) == 2
    rendered = [sample for sample in listed if sample.truth]
    assert sum(sample.hard for sample in rendered) >= len(rendered) / 3
