"""Dockerfiles run in plain folders: what is known, what is refused, what is cached, and how the result runs."""

import hashlib
import importlib.util
import io
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from functools import partial
from pathlib import Path

import pytest

from local import images
from local.dockerfile import DockerfileError, parse, substitute
from local.images import ImageBuildError
from tests.local.lambda_cloud import lambda_cloud


class Place:
    """A context and a store; `build` writes the Dockerfile and builds it."""

    def __init__(self, root: Path) -> None:
        self.context, self.store = root / "context", root / "store"
        self.context.mkdir()

    def write(self, path: str, text: str) -> None:
        file = self.context / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def build(self, dockerfile: str, **settings) -> images.BuiltImage:
        self.write("Dockerfile", textwrap.dedent(dockerfile))
        return images.build(self.context / "Dockerfile", self.context, self.store, **settings)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def content(image: images.BuiltImage) -> dict[str, str]:
    return {
        path.relative_to(image.folder).as_posix(): path.read_text()
        for path in sorted(image.folder.rglob("*"))
        if path.is_file()
    }


def test_stages_copies_and_configuration_make_the_image(place):
    place.write("a.txt", "a")
    place.write("package/__init__.py", "")
    place.write("package/code.py", "code")
    image = place.build(
        """
        # syntax=docker/dockerfile:1
        ARG VERSION=3.13
        FROM python:${VERSION}-slim AS build
        WORKDIR /work
        COPY a.txt ./
        RUN cat a.txt a.txt > b.txt
        FROM scratch
        ARG NAME=nobody
        ENV OWNER=$NAME \\
            GREETING="hello world"
        WORKDIR /var/task
        COPY --from=build --chown=1:1 /work/b.txt deep/er/
        COPY package package
        USER 1000
        ENTRYPOINT ["python", "-m", "awslambdaric"]
        CMD ["package.code.handler"]
        """,
        args={"NAME": "me"},
    )
    assert content(image) == {
        "var/task/deep/er/b.txt": "aa",
        "var/task/package/__init__.py": "",
        "var/task/package/code.py": "code",
    }
    assert image.config.env == {"OWNER": "me", "GREETING": "hello world"}
    assert (image.config.workdir, image.config.user) == ("/var/task", "1000")
    assert image.config.entrypoint == ("python", "-m", "awslambdaric") and image.config.cmd == ("package.code.handler",)
    assert ("COPY package package", 4) in image.layers
    assert images.find(place.store, image.digest) == image


def test_the_digest_depends_on_the_copied_content_alone(place):
    place.write("a.txt", "1")
    place.write("unused.txt", "1")
    text = "FROM scratch\nCOPY a.txt /"
    first = place.build(text).digest
    place.write("unused.txt", "2")
    os.utime(place.context / "a.txt", (1, 1))
    assert place.build(text).digest == first
    place.write("a.txt", "2")
    assert place.build(text).digest != first


@pytest.mark.parametrize(
    "changed",
    [
        "FROM scratch\nENV A=2\nCOPY a.txt /",
        "FROM other\nENV A=1\nCOPY a.txt /",
        "FROM scratch\nENV A=1\nCOPY a.txt /b",
    ],
)
def test_the_digest_depends_on_the_instructions(place, changed):
    place.write("a.txt", "1")
    assert place.build("FROM scratch\nENV A=1\nCOPY a.txt /").digest != place.build(changed).digest


def test_only_the_steps_from_the_first_change_on_run_again(place):
    count = place.context.parent / "count"
    text = f"FROM scratch\nRUN echo first >> {count}\nCOPY a.txt /\nRUN echo second >> {count}"
    place.write("a.txt", "1")
    place.build(text)
    place.build(text)
    assert count.read_text().split() == ["first", "second"]
    place.write("a.txt", "2")
    place.build(text)
    assert count.read_text().split() == ["first", "second", "second"]


def test_a_run_that_writes_into_a_file_in_place_does_not_change_the_step_before(place):
    place.write("a.txt", "1")
    before = place.build("FROM scratch\nCOPY a.txt /")
    after = place.build("FROM scratch\nCOPY a.txt /\nRUN echo 2 >> a.txt")
    assert content(after) == {"a.txt": "12\n"}
    assert content(place.build("FROM scratch\nCOPY a.txt /")) == {"a.txt": "1"} == content(before)


def test_unchanged_files_are_shared_between_steps(place):
    place.write("a.txt", "1")
    first = place.build("FROM scratch\nCOPY a.txt /")
    second = place.build("FROM scratch\nCOPY a.txt /\nRUN true")
    assert (first.folder / "a.txt").stat().st_ino == (second.folder / "a.txt").stat().st_ino
    assert (first.folder / "a.txt").stat().st_ino != (place.context / "a.txt").stat().st_ino


def test_a_failing_step_is_named_with_the_end_of_its_output_and_leaves_nothing(place):
    with pytest.raises(ImageBuildError, match=r"(?s)line 2: RUN echo reason; exit 3: exit status 3\nreason"):
        place.build("FROM scratch\nRUN echo reason; exit 3")
    assert not list(place.store.glob("unfinished-*")) and not list(place.store.glob("images/*"))


def test_a_missing_source_is_named(place):
    with pytest.raises(ImageBuildError, match=r"line 2: COPY nothing /: nothing matches no file"):
        place.build("FROM scratch\nCOPY nothing /")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ADD a /", "line 2: ADD is not known here"),
        ("HEALTHCHECK NONE", "line 2: HEALTHCHECK is not known here"),
        ("VOLUME /x", "line 2: VOLUME is not known here"),
        ("COPY --parents a /", "line 2: COPY --parents is not known here"),
        ("RUN --network=none true", "line 2: RUN --network is not known here"),
        ("RUN --mount=type=bind,target=/x true", "line 2: RUN --mount=type=bind"),
        ("RUN <<EOF", "line 2: RUN with a here-document"),
        ("ENTRYPOINT python app.py", "line 2: ENTRYPOINT takes the exec form"),
        ("ENV KEY value", "line 2: ENV takes KEY=VALUE pairs"),
        ("COPY --from=nobody a /", "COPY --from=nobody: no stage and no build context"),
        ("WORKDIR", "line 2: WORKDIR has no arguments"),
        ("RUN true \\", "line 2: the file ends within this instruction"),
    ],
)
def test_what_is_not_known_is_refused_by_name_and_line(place, line, message):
    with pytest.raises(DockerfileError) as refused:
        place.build(f"FROM scratch\n{line}\n")
    assert message in str(refused.value)


def test_a_file_without_from_is_refused():
    with pytest.raises(DockerfileError, match="begins with FROM"):
        parse("RUN true")


def test_cache_mounts_are_ignored(place):
    image = place.build("FROM scratch\nRUN --mount=type=cache,target=/root/.cache echo x > y")
    assert content(image) == {"y": "x\n"}


def test_the_dockerignore_keeps_files_out_and_lets_exceptions_in(place):
    for name in ("p/a.py", "p/a.pyc", "p/tests/b.py", "p/keep/c.pyc", "p/__pycache__/a.pyc"):
        place.write(name, name)
    place.write(".dockerignore", "# comment\n**/*.pyc\np/tests\n!p/keep/c.pyc\n")
    assert list(content(place.build("FROM scratch\nCOPY . /x"))) == [
        "x/.dockerignore",
        "x/Dockerfile",
        "x/p/a.py",
        "x/p/keep/c.pyc",
    ]


def test_a_dockerignore_beside_the_dockerfile_goes_first(place):
    place.write("a", "a")
    place.write("b", "b")
    place.write(".dockerignore", "a")
    place.write("Dockerfile.dockerignore", "b\nDockerfile*\n.dockerignore")
    assert list(content(place.build("FROM scratch\nCOPY . /"))) == ["a"]


def test_a_named_build_context_is_copied_from(place, tmp_path):
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "model.onnx").write_text("weights")
    image = place.build("FROM scratch\nCOPY --from=weights model.onnx /m/", build_contexts={"weights": weights})
    assert content(image) == {"m/model.onnx": "weights"}


def test_wildcards_chmod_and_several_sources(place):
    for name in ("a.py", "b.py", "c.txt"):
        place.write(name, name)
    image = place.build("FROM scratch\nCOPY --chmod=755 *.py c.txt /x/")
    assert list(content(image)) == ["x/a.py", "x/b.py", "x/c.txt"]
    assert (image.folder / "x/a.py").stat().st_mode & 0o777 == 0o755


def test_env_paths_are_this_machines_where_they_exist_in_the_image(place):
    place.write("m", "weights")
    image = place.build("FROM scratch\nCOPY m /opt/m\nENV MODEL=/opt/m SEARCH=/opt:/nowhere PLAIN=text")
    assert image.environment() == {
        "MODEL": str(image.folder / "opt/m"), "SEARCH": f"{image.folder}/opt:/nowhere", "PLAIN": "text",
    }  # fmt: skip


def test_a_path_does_not_lead_out_of_the_image(place):
    place.write("a", "a")
    image = place.build("FROM scratch\nCOPY a /../../out")
    assert content(image) == {"out": "a"}


def test_two_builds_at_once_make_one_image(place):
    count = place.context.parent / "count"
    place.write("Dockerfile", f"FROM scratch\nRUN echo x >> {count}; sleep 0.3; echo done > file")
    made: list[str] = []
    build = partial(images.build, place.context / "Dockerfile", place.context, place.store)
    threads = [threading.Thread(target=lambda: made.append(build().digest)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1 and len(made) == 3 and count.read_text().split() == ["x"]


def test_an_interrupted_build_leaves_no_image_no_process_and_can_be_repeated(place):
    started = place.context.parent / "started"
    place.write(
        "Dockerfile",
        f"FROM scratch\nRUN echo half > file; echo $$ > {started}.new; mv {started}.new {started}; sleep 30",
    )
    script = """if True:
        import sys
        from pathlib import Path
        from local import images
        context, store = map(Path, sys.argv[1:])
        images.build(context / "Dockerfile", context, store)
    """
    command = [sys.executable, "-c", script, str(place.context), str(place.store)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 15
    while not started.exists() and time.monotonic() < limit:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    assert not list(place.store.glob("images/*")) and not list(place.store.glob("unfinished-*"))
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)
    assert content(place.build("FROM scratch\nRUN echo whole > file")) == {"file": "whole\n"}


def wheel(folder: Path) -> str:
    """A wheel with one module, and its hash."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("inside_the_image.py", "VALUE = 7\n")
        info = "inside_the_image-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: inside-the-image\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(
            f"{info}/RECORD", f"inside_the_image.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    (folder / "inside_the_image-1.0-py3-none-any.whl").write_bytes(made.getvalue())
    return hashlib.sha256(made.getvalue()).hexdigest()


def test_pip_installs_hashed_requirements_into_the_image_and_refuses_a_wrong_hash(place, tmp_path, monkeypatch):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    digest = wheel(wheels)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    text = """
        FROM python:3.13-slim
        WORKDIR /var/task
        COPY requirements.txt .
        RUN python -m pip install --require-hashes --no-deps --target . -r requirements.txt
        """
    place.write("requirements.txt", f"inside-the-image==1.0 --hash=sha256:{digest}\n")
    assert "var/task/inside_the_image.py" in content_names(place.build(text))
    place.write("requirements.txt", f"inside-the-image==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(ImageBuildError, match="DO NOT MATCH THE HASHES"):
        place.build(text)


def content_names(image: images.BuiltImage) -> set[str]:
    return {path.relative_to(image.folder).as_posix() for path in image.folder.rglob("*")}


def test_variables_are_put_in_as_docker_does():
    known = {"A": "1", "E": ""}
    text = r"$A ${A} ${N:-default} ${E:-empty} ${A:+set} ${E:+set} \$A $N."
    assert substitute(text, known) == "1 1 default empty set  $A ."


def test_a_function_of_an_image_has_what_is_in_it_and_nothing_else(place, tmp_path):
    """Only awslambdaric and the handler are in the image: packages of this interpreter must not be importable."""
    home, packages = tmp_path / "home", tmp_path / "packages"
    home.mkdir()
    packages.mkdir()
    for name in ("awslambdaric", "simplejson", "runtime_client", "snapshot_restore_py"):
        found = importlib.util.find_spec(name)
        assert found is not None and found.origin is not None
        if found.submodule_search_locations:
            shutil.copytree(Path(found.origin).parent, packages / name)
        else:
            shutil.copy(found.origin, packages)
    place.write(
        "app.py",
        textwrap.dedent("""
            import os, sys
            def importable(name):
                try:
                    __import__(name)
                    return True
                except ImportError:
                    return False
            def handler(event, context):
                names = ["boto3", "local", "pytest", "awslambdaric", "json"]
                has = [name for name in names if importable(name)]
                return {"has": has, "model": os.environ["MODEL"], "cwd": os.getcwd()}
            """),
    )
    image = place.build(
        """
        FROM python:3.13-slim
        WORKDIR /var/task
        COPY --from=packages . .
        COPY app.py .
        ENV MODEL=/var/task/app.py
        ENTRYPOINT ["python", "-m", "awslambdaric"]
        CMD ["app.handler"]
        """,
        build_contexts={"packages": packages},
    )
    with lambda_cloud(home, image_store=place.store) as cloud:
        role = cloud.role("image-role", [])
        code = {"ImageUri": f"123456789012.dkr.ecr.us-west-2.amazonaws.com/worker@{image.digest}"}
        make = partial(
            cloud.client("lambda").create_function, Role=role, PackageType="Image", Timeout=10, MemorySize=256
        )
        make(FunctionName="image", Code=code)
        answer = cloud.runtime.invoke("image", b"{}").json()
        assert answer["has"] == ["awslambdaric", "json"]
        assert answer["model"] == str(image.folder / "var/task/app.py") and answer["cwd"] == str(
            image.folder / "var/task"
        )
        make(FunctionName="absent", Code={"ImageUri": f"worker@sha256:{'0' * 64}"})
        with pytest.raises(Exception, match=r"no image .* was built on this machine"):
            cloud.runtime.invoke("absent", b"{}")
