"""Photographs through the deployed flow: API, queue, worker under its role, storage, database."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from ops import run as runs
from ops.client import ApiClient, ApiError
from ops.photos import samples
from tests.e2e.conftest import Deployed
from tests.e2e.pictures import small_photo
from tests.e2e.waiting import finished

SILENT = Console(quiet=True)


@pytest.fixture(scope="module")
def api(deployed: Deployed) -> ApiClient:
    return deployed.api("image-flow")


@pytest.fixture(scope="module")
def results(api: ApiClient, tmp_path_factory: pytest.TempPathFactory) -> dict[str, runs.Result]:
    done = runs.process(api, samples(), tmp_path_factory.mktemp("out"), SILENT)
    return {result.photo.path.name: result for result in done}


@pytest.mark.slow
def test_every_sample_ends_as_it_must(results: dict[str, runs.Result]) -> None:
    assert {name: r.state for name, r in results.items()} == {name: r.photo.expect for name, r in results.items()}


@pytest.mark.slow
def test_the_two_bad_samples_say_why(results: dict[str, runs.Result]) -> None:
    failed = [result for result in results.values() if result.state == "failed"]
    assert len(failed) == 2
    assert all(result.reason for result in failed)


@pytest.mark.slow
def test_the_masks_agree_with_the_truth(results: dict[str, runs.Result]) -> None:
    mean = runs.mean_iou(list(results.values()))
    assert mean is not None
    assert mean >= 0.93


def test_a_processed_picture_becomes_primary_and_the_original_goes_last(api: ApiClient, tmp_path: Path) -> None:
    book = api.create_book("Order")
    photo = small_photo(tmp_path)
    job = finished(api, api.upload(book["id"], photo.path, photo.content_type)["job"]["id"])
    images = api.book(book["id"])["images"]
    assert [image["id"] for image in images] == [job["processed_image_id"], job["source_image_id"]]
    assert [image["is_primary"] for image in images] == [True, False]


@pytest.mark.parametrize("content", [b"", b"not a picture at all"], ids=["0 bytes", "text"])
def test_what_is_no_picture_is_refused_at_the_door(api: ApiClient, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    with pytest.raises(ApiError):
        api.upload(api.create_book("Bad")["id"], path, "image/jpeg")


def test_no_route_but_health_answers_without_a_key(deployed: Deployed) -> None:
    stranger = ApiClient(deployed.cloud.gateway_url, "wrong")
    with pytest.raises(ApiError, match="401"):
        stranger.create_book("Mine")
