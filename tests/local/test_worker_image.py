"""The worker's image: its Dockerfile's steps run in a plain folder, and the handler started from there.

Nothing of this environment's packages can be reached from the image: the base interpreter, without its site-packages.
"""

import json
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from handlers.image_processor import models
from local import images
from local.runtime_api import Request, RuntimeApi
from samples import catalogue
from tests.model_files import weights_of

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "handlers" / "image_processor" / "Dockerfile"
MEGABYTE = 1 << 20

# Every writing open is refused, which is what a read-only file system does; nothing may leave the machine.
READ_ONLY = """
import os, sys
def refuse(event, arguments):
    if event == 'open' and not str(arguments[0]).startswith('/dev/'):
        mode, flags = arguments[1] or '', arguments[2] or 0
        if set('wax+') & set(mode) or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(30, 'Read-only file system', str(arguments[0]))
    if event == 'os.mkdir':
        raise OSError(30, 'Read-only file system', str(arguments[0]))
    if event == 'socket.connect' and arguments[1][0] != '127.0.0.1':
        raise OSError(101, 'Network is unreachable', str(arguments[1]))
sys.addaudithook(refuse)
"""


@pytest.fixture(scope="module")
def image():
    cache = weights_of(models.load().name).parent
    return images.build(DOCKERFILE, ROOT, ROOT / ".build" / "images", build_contexts={"weights": cache})


def start(image, code, *arguments, **environment):
    """Python in the image: no HOME, no variables but the image's own, nothing written."""
    folder = image.path(image.config.workdir)
    return subprocess.Popen(
        [
            sys._base_executable,  # type: ignore[attr-defined]
            "-S",
            "-s",
            "-c",
            READ_ONLY + code,
            *arguments,
        ],
        cwd=folder,
        env=image.environment() | {"PYTHONPATH": str(folder)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(image, code):
    process = start(image, code)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return json.loads(out)


def test_the_image_lists_its_layers_and_stays_below_450_megabytes(image):
    listing = "\n".join(f"{size / MEGABYTE:8.1f} MB  {step}" for step, size in image.layers)
    print(listing)  # noqa: T201 (pytest -rP shows it)
    sizes = {step: size for step, size in image.layers if size}
    assert sum(sizes.values()) < 450 * MEGABYTE, listing
    assert any("models" in step and size == models.load().bytes for step, size in sizes.items()), listing
    # Only this layer changes when the code does.
    assert list(sizes)[-1].startswith("COPY")
    assert list(sizes.values())[-1] < MEGABYTE, listing


def test_the_handler_answers_under_the_runtime_client(image):
    api = RuntimeApi()
    code = (
        "import runpy, sys\nsys.argv = ['awslambdaric', *sys.argv[1:]]\n"
        "runpy.run_module('awslambdaric', run_name='__main__')"
    )
    process = start(
        image,
        code,
        *image.config.cmd,
        AWS_LAMBDA_RUNTIME_API=api.address,
        AWS_LAMBDA_FUNCTION_NAME="image-processor",
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE="7168",
        LAMBDA_TASK_ROOT=str(image.path(image.config.workdir)),
        BMX_ENVIRONMENT="local",
        BMX_VERSION="abc123",
    )
    try:
        assert image.config.entrypoint == ("python", "-m", "awslambdaric")
        assert api.ready.wait(60)
        assert api.init_error is None, api.init_error
        arn = "arn:aws:lambda:us-west-2:123456789012:function:image-processor"
        api.offer(Request("1", b'{"version": true}', arn, time.time() + 60, "Root=1"))
        answer = api.answer(60)
        assert answer is not None
        assert (json.loads(answer.payload), answer.error) == ({"version": "abc123", "environment": "local"}, False)
    finally:
        process.kill()
        process.communicate()
        api.close()


@pytest.mark.slow
def test_a_photograph_is_cut_out_with_what_is_in_the_image_alone(image):
    sample = next(found for found in catalogue.load() if found.name == "red_cloth_on_grey")
    code = (
        "import json\nfrom pathlib import Path\n"
        "from handlers.image_processor import cutout, handler\n"
        f"made = cutout.cut_out(Path({str(sample.file)!r}).read_bytes(), handler.network())\n"
        "from handlers.common import aws\n"
        "os.environ['AWS_DEFAULT_REGION'] = 'us-west-2'\n"
        "services = [aws.client(name).meta.service_model.service_name for name in ('s3', 'secretsmanager')]\n"
        "files = [m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)]\n"
        "print(json.dumps([made.ground, [made.width, made.height], services, files]))"
    )
    ground, size, services, files = run(image, code)
    assert (ground, size, services) == ("black", [1500, 1125], ["s3", "secretsmanager"])
    strangers = [file for file in files if not file.startswith((str(image.folder), sys.base_prefix))]
    assert strangers == []
    assert [file for file in files if "site-packages" in file] == []


def test_any_user_can_read_every_file_of_the_image(image):
    def closed(path):
        mode = path.lstat().st_mode
        needed = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(mode) else 0)
        return mode & needed != needed

    assert [path for path in image.path(image.config.workdir).rglob("*") if closed(path)] == []
    assert image.config.user not in ("", "root", "0")


def test_wrong_weights_stop_the_build(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "u2net.onnx").write_bytes(b"not the network")
    with pytest.raises(images.ImageBuildError, match=r"weights refused: u2net\.onnx has 15 bytes"):
        images.build(DOCKERFILE, ROOT, ROOT / ".build" / "images", build_contexts={"weights": tmp_path / "weights"})


def test_both_stages_start_from_one_base_by_digest_and_name_no_registry():
    bases = [line.split()[1] for line in DOCKERFILE.read_text().splitlines() if line.startswith("FROM ")]
    outside = {base for base in bases if base != "dependencies"}
    assert len(outside) == 1
    name, _, digest = outside.pop().partition("@sha256:")
    assert "/" not in name
    assert len(digest) == 64
