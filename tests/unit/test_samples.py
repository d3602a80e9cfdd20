import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from handlers.image_processor import cutout
from samples import catalogue, render
from tests.model_files import network, package_folder

SAMPLES = catalogue.load()
RENDERED = [sample for sample in SAMPLES if sample.kind == "rendered"]
LEAST_MEAN, LEAST = 0.93, 0.90


def by_name(sample: catalogue.Sample) -> str:
    return sample.name


@pytest.fixture(scope="module")
def outcome():
    """What the pipeline makes of a sample, each computed once."""
    made: dict[str, cutout.Cutout | cutout.PermanentError] = {}

    def of(sample):
        if sample.name not in made:
            try:
                made[sample.name] = cutout.cut_out(sample.file.read_bytes(), network("u2net"))
            except cutout.PermanentError as error:
                made[sample.name] = error
        return made[sample.name]

    return of


@pytest.mark.slow
@pytest.mark.parametrize("sample", SAMPLES, ids=by_name)
def test_every_sample_ends_as_its_listing_says(sample, outcome):
    made = outcome(sample)
    if sample.expect == "failed":
        assert isinstance(made, cutout.PermanentError)
        assert sample.reason in str(made)
    else:
        assert isinstance(made, cutout.Cutout), made
        assert made.ground == sample.ground


@pytest.mark.slow
@pytest.mark.parametrize("sample", RENDERED, ids=by_name)
def test_a_matte_covers_its_true_mask(sample, outcome):
    assert iou(sample, outcome) >= LEAST


@pytest.mark.slow
def test_the_mattes_agree_with_the_true_masks_on_average(outcome):
    values = {sample.name: iou(sample, outcome) for sample in RENDERED}
    assert np.mean(list(values.values())) >= LEAST_MEAN, values


def iou(sample, outcome):
    matte, truth = Image.open(io.BytesIO(outcome(sample).matte)), Image.open(sample.truth)
    return catalogue.intersection_over_union(matte, truth)


def test_a_third_of_the_rendered_samples_are_hard():
    assert 3 * sum(sample.hard for sample in RENDERED) >= len(RENDERED)


def test_every_picture_is_listed_and_every_listed_file_is_there():
    listed = {sample.file for sample in SAMPLES} | {sample.truth for sample in SAMPLES if sample.truth}
    assert listed == {file for ending in ("png", "jpg") for file in catalogue.HERE.rglob(f"*.{ending}")}


def test_the_photographs_are_scikit_images_own_bytes_and_its_notes_say_cc0():
    data = package_folder("skimage") / "data"
    licence = (catalogue.HERE / "photographs" / "LICENCE.md").read_text()
    notes = (data / "_fetchers.py").read_text()
    for sample in SAMPLES:
        if sample.kind != "photograph":
            continue
        content = sample.file.read_bytes()
        assert content == (data / sample.file.name).read_bytes()
        assert f"| `{sample.file.name}` |" in licence
        assert hashlib.sha256(content).hexdigest() in licence
        function = notes.split(f"def {sample.name}()")[1].split("return ")[0]
        assert "No copyright restrictions" in function
        assert "CC0" in function


@pytest.mark.parametrize("scene", [render.SCENES[5], render.SCENES[-2]], ids=lambda scene: scene.name)
def test_the_generator_still_makes_the_committed_sample(scene):
    picture, mask = render.render(scene)
    folder = catalogue.HERE / "rendered"
    assert np.array_equal(np.asarray(mask), np.asarray(Image.open(folder / f"{scene.name}.truth.png")))
    committed = cutout.decode((folder / f"{scene.name}.jpg").read_bytes()).rgb
    # JPEG's own loss, the sensor's grain above all, is two to three levels; a scene that changed differs by more.
    assert np.abs(np.asarray(picture, np.int16) - np.asarray(committed, np.int16)).mean() < 4


def test_masks_of_different_sizes_are_not_compared():
    with pytest.raises(ValueError, match=r"\(4, 3\) and \(3, 4\) pixels"):
        catalogue.intersection_over_union(np.zeros((3, 4), np.uint8), np.zeros((4, 3), np.uint8))


def test_intersection_over_union_is_the_jaccard_index():
    ours = np.array([[255, 255, 0, 0]], np.uint8)
    theirs = np.array([[0, 200, 128, 127]], np.uint8)
    assert catalogue.intersection_over_union(ours, theirs) == pytest.approx(1 / 3)
