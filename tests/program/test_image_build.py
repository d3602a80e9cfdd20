"""Repository, image and function in one deployment; no Docker here, so the provider that builds is a recording one."""

import json

import pytest

from ops.program_copy import copy_of_the_program
from tests.program.harness import said
from tests.program.recording import RecordingProvider
from tests.program.stacks import harness

BUILT, PINNED = "sha256:" + "d" * 64, "sha256:" + "e" * 64
FUNCTION = "image_processing-function"


@pytest.fixture
def run(tmp_path):
    project = copy_of_the_program(tmp_path / "program")
    (project / ".build" / "weights").mkdir(parents=True)
    program = project / "__main__.py"
    program.write_text(
        program.read_text().replace(
            "import json\n", "import json\nimport os\n\nos.environ['BUILDX_NO_DEFAULT_ATTESTATIONS'] = '1'\n", 1
        )
    )
    with harness("staging", tmp_path, project) as made:
        made.providers.append(RecordingProvider("docker-build"))
        yield made


def build(run, **arguments):
    run.config["bluemoxon:artefacts"] = json.dumps({"image_processing": {"build": arguments}})
    return run.up(ok=None)


@pytest.mark.slow
def test_the_function_runs_the_digest_that_this_deployment_built(run):
    outcome = build(run, pullAccounts=["222222222222"])
    assert outcome.ok, said(outcome)
    made = run.resources()
    image = made["image_processing-build-image"]
    repository = made["image_processing-build-repository"]
    assert repository.inputs["imageTagMutability"] == "IMMUTABLE"
    assert repository.inputs["imageScanningConfiguration"] == {"scanOnPush": True}
    assert repository.protect
    assert (image.inputs["push"], image.inputs["platforms"]) == (True, ["linux/amd64"])
    assert made[FUNCTION].inputs["imageUri"].endswith(f"bluemoxon-staging/image-processor@{BUILT}")
    assert outcome.outputs["artefacts"]["image_processing"]["image"] == made[FUNCTION].inputs["imageUri"]
    policy = json.loads(made["image_processing-build-access"].inputs["policy"])
    assert "arn:aws:iam::222222222222:root" in policy["Statement"][0]["Principal"]["AWS"]


@pytest.mark.slow
def test_a_pinned_image_is_deployed_and_nothing_is_built(run):
    outcome = build(run, pinned=PINNED)
    assert outcome.ok, said(outcome)
    made = run.resources()
    assert "image_processing-build-repository" in made
    assert "image_processing-build-image" not in made
    assert made[FUNCTION].inputs["imageUri"].endswith(f"@{PINNED}")


def test_an_image_that_lambda_would_refuse_is_not_built(run):
    program = run.folder / "__main__.py"
    program.write_text(program.read_text().replace("os.environ['BUILDX_NO_DEFAULT_ATTESTATIONS'] = '1'", ""))
    outcome = build(run)
    assert not outcome.ok
    assert "BUILDX_NO_DEFAULT_ATTESTATIONS is not 1" in said(outcome)
