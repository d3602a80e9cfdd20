"""Hostile pictures through the deployed flow: refused at the door, failed with a reason, or completed; never worse."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from flows import catalogue
from ops.client import ApiClient, ApiError
from tests.corpus import corpus
from tests.e2e.conftest import Deployed
from tests.e2e.pictures import small_photo
from tests.e2e.waiting import finished

pytestmark = pytest.mark.slow

CONTENT_TYPES = {b"\x89": "image/png", b"R": "image/webp"}
DOOR, WORKER = "refused at the door", "failed"
EXPECTED = {
    "0 bytes": DOOR,
    "1 byte": DOOR,
    "heic": DOOR,
    "a real avif": DOOR,
    "svg": DOOR,
    "html and jpeg": DOOR,
    "one byte over 30 MiB": DOOR,
    "jpeg of 3 bytes": WORKER,
    "half a jpeg": WORKER,
    "png of 50,000 x 50,000": WORKER,
    "png that inflates to 240 MB": WORKER,
    "profile in a png that inflates to 200 MB": WORKER,
    "jpeg of 5,000 scans": WORKER,
    "lossless webp of 16,383 x 16,383": WORKER,
    "palette picture without a palette": WORKER,
    "pixels before the header": WORKER,
    "webp of 3,000 frames": WORKER,
    "text in a png that inflates to 200 MB": WORKER,
    "text named icc_profile": WORKER,
    "jpeg and zip": WORKER,
    "1 x 1 png": WORKER,
    "exif of 60,000 entries": WORKER,
}
"""Files that decode have no subject, so that the network refuses them: their jobs fail as well, for another reason."""


FLOW = catalogue("bluemoxon-local")[0]
FUNCTION = FLOW.function_name("bluemoxon-local")
QUEUE = "bluemoxon-local-image-processing"


@dataclass(frozen=True)
class End:
    """How one file ended, and why."""

    state: str
    reason: str


def content_type(data: bytes) -> str:
    return CONTENT_TYPES.get(data[:1], "image/jpeg")


def pushed(api: ApiClient, path: Path, data: bytes) -> End:
    path.write_bytes(data)
    book = api.create_book(path.stem)["id"]
    try:
        job = api.upload(book, path, content_type(data))["job"]
    except ApiError as error:
        return End(DOOR, str(error))
    ended = finished(api, job["id"])
    return End(ended["status"], ended["failure_reason"] or "")


@pytest.fixture(scope="module")
def api(deployed: Deployed) -> ApiClient:
    return deployed.api("hostile-flow")


def completes(api: ApiClient, folder: Path) -> bool:
    photo = small_photo(folder)
    job = api.upload(api.create_book("Plain")["id"], photo.path, photo.content_type)["job"]
    return bool(finished(api, job["id"])["status"] == "completed")


@pytest.fixture(scope="module")
def warm(deployed: Deployed, api: ApiClient, tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    """The worker's processes before the first hostile file."""
    sqs = deployed.cloud.client("sqs")
    sqs.purge_queue(QueueUrl=sqs.get_queue_url(QueueName=f"{QUEUE}-dlq")["QueueUrl"])  # what earlier tests left
    assert completes(api, tmp_path_factory.mktemp("warm"))
    return deployed.cloud.runtime.processes(FUNCTION)


@pytest.fixture(scope="module")
def ends(api: ApiClient, warm: list[int], tmp_path_factory: pytest.TempPathFactory) -> dict[str, End]:
    assert warm
    folder = tmp_path_factory.mktemp("hostile")
    return {name: pushed(api, folder / f"{at}.jpg", corpus()[name].make()) for at, name in enumerate(EXPECTED)}


def test_at_least_20_files_of_the_corpus_go_through_the_flow(ends: dict[str, End]) -> None:
    assert len(ends) >= 20


def test_each_file_ends_where_it_must(ends: dict[str, End]) -> None:
    assert {name: end.state for name, end in ends.items()} == EXPECTED


def test_no_file_makes_the_api_answer_with_a_servers_error(ends: dict[str, End]) -> None:
    assert {name: end.reason for name, end in ends.items() if "HTTP 5" in end.reason} == {}


def test_each_refusal_says_why_as_the_decoder_says_it(ends: dict[str, End]) -> None:
    assert all(end.reason for end in ends.values())
    unlike = {name: end.reason for name, end in ends.items() if end.state == WORKER and wanted(name) not in end.reason}
    assert unlike == {}


def wanted(name: str) -> str:
    file = corpus()[name]
    return file.words if file.refused else "no subject was found"


def test_no_message_lies_in_the_dead_letter_queue_or_waits(deployed: Deployed, ends: dict[str, End]) -> None:
    assert ends
    sqs = deployed.cloud.client("sqs")
    for name in (QUEUE, f"{QUEUE}-dlq"):
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        counts = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(counts))["Attributes"]
        assert {count: found[count] for count in counts} == dict.fromkeys(counts, "0"), name


def test_the_workers_process_outlives_all_of_them_and_goes_on_working(
    deployed: Deployed, api: ApiClient, warm: list[int], ends: dict[str, End], tmp_path: Path
) -> None:
    assert ends
    assert completes(api, tmp_path)
    assert set(warm) <= set(deployed.cloud.runtime.processes(FUNCTION))
