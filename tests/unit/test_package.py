"""Packages: the same files give the same bytes everywhere, and nothing goes in that a function does not read."""

import base64
import hashlib
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from components.package import TYPES, package
from components.refused import RefusedError
from flows import IMAGES
from local.image_files import Ignored
from ops.paths import ROOT


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name, text in {
        "code/__init__.py": "",
        "code/app.py": "def handler(event, context): ...",
        "code/page.html": "<p>",
        "code/tests/test_app.py": "assert True",
        "code/__pycache__/app.cpython-311.pyc": "compiled",
        "code/stray.pyc": "compiled",
        "code/Dockerfile": "FROM scratch",
        "other/secret.py": "not asked for",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_only_what_a_function_reads_goes_in_under_its_own_path(project):
    made = package(["code"], generated={"code/registry.json": "{}"}, root=project)
    assert sorted(made.archive.assets) == ["code/__init__.py", "code/app.py", "code/page.html", "code/registry.json"]


def test_no_path_of_the_machine_goes_into_state(project):
    made = package(["code"], root=project)
    paths = {getattr(asset, "path", None) for asset in made.archive.assets.values()}
    assert paths == set(made.archive.assets)


def test_the_same_files_in_another_place_at_another_time_are_the_same_package(project, tmp_path):
    before = package(["code"], root=project)
    shutil.copytree(project, tmp_path / "elsewhere")
    for path in (tmp_path / "elsewhere").rglob("*"):
        os.utime(path, (1, 1))
    assert package(["code"], root=tmp_path / "elsewhere").sha256 == before.sha256


@pytest.mark.parametrize("name", ["code/app.py", "code/new.py"])
def test_another_byte_or_another_file_is_another_package(project, name):
    before = package(["code"], root=project)
    (project / name).write_text("changed")
    assert package(["code"], root=project).sha256 != before.sha256


def test_a_renamed_file_is_another_package(project):
    before = package(["code"], root=project)
    (project / "code/app.py").rename(project / "code/main.py")
    assert package(["code"], root=project).sha256 != before.sha256


def test_another_registry_is_another_package(project):
    one, two = (package(["code"], generated={"r.json": text}, root=project) for text in ("1", "2"))
    assert one.sha256 != two.sha256


def test_a_compiled_or_a_test_file_changes_nothing(project):
    before = package(["code"], root=project)
    (project / "code/tests/test_more.py").write_text("assert True")
    (project / "code/__pycache__/more.pyc").write_text("compiled")
    assert package(["code"], root=project).sha256 == before.sha256


@pytest.mark.parametrize(
    "name",
    [
        *(
            ".env",
            "code/.env",
            "code/app.py~",
            "code/.app.py.swp",
            "code/app.py.orig",
            "code/#app.py#",
            "code/notes.txt",
        ),
        *("code/.mypy_cache/3.13/app.meta.json", "code/.ipynb_checkpoints/app.py", "code/key.pem", "code/Makefile"),
    ],
)
def test_what_editors_tools_and_people_leave_behind_goes_nowhere_and_changes_nothing(project, name):
    before = package(["code"], root=project)
    (project / name).parent.mkdir(parents=True, exist_ok=True)
    (project / name).write_text("SECRET=1")
    after = package(["code"], root=project)
    assert after.sha256 == before.sha256
    assert name not in after.archive.assets


@pytest.mark.parametrize("target", ["../other/secret.py", "app.py", "nowhere.py", "/etc", "../other"])
@pytest.mark.parametrize("name", ["code/linked.py", "code/linked"])
def test_a_link_is_refused_by_name_wherever_it_leads(project, name, target):
    (project / name).symlink_to(target)
    with pytest.raises(RefusedError, match=rf"'{name}' is a link, and a package holds none"):
        package(["code"], root=project)


def test_a_source_that_is_a_link_is_refused(project):
    (project / "linked").symlink_to("code")
    with pytest.raises(RefusedError, match="'linked' is a link"):
        package(["linked"], root=project)


def test_an_editors_lock_which_is_a_dangling_link_is_left_out(project):
    before = package(["code"], root=project)
    (project / "code/.#app.py").symlink_to("somebody@somewhere.1234:5678")
    assert package(["code"], root=project).sha256 == before.sha256


def test_a_pipe_is_left_out_and_never_opened(project):
    before = package(["code"], root=project)
    os.mkfifo(project / "code/pipe.py")
    assert package(["code"], root=project).sha256 == before.sha256


def test_the_modes_of_a_checkout_change_nothing(project):
    before = package(["code"], root=project)
    for path in (project / "code").rglob("*"):
        path.chmod(0o700)
    assert package(["code"], root=project).sha256 == before.sha256


def test_every_file_that_the_functions_folders_hold_is_of_a_type_that_goes_in():
    """A new type would be left out in silence: it is entered in TYPES, or named here as one that no function reads."""
    command = ["git", "ls-files", "handlers", "migrations"]
    held = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    others = {name for name in held if Path(name).suffix not in TYPES}
    assert others == {"handlers/image_processor/Dockerfile", "handlers/image_processor/Dockerfile.dockerignore"}


def test_the_images_build_sees_what_its_tag_is_hashed_from_and_nothing_that_lies_about(tmp_path):
    """Otherwise two images of one tag could hold other things, a forgotten .env among them."""
    source = IMAGES["image_processing"]
    for part in ("handlers", "requirements"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    for stray in (".env", "handler.py~", ".handler.py.swp", "handler.py.orig", ".mypy_cache/x.py", "notes.txt"):
        path = tmp_path / "handlers/image_processor" / stray
        path.parent.mkdir(exist_ok=True)
        path.write_text("SECRET=1")
    left_out = Ignored.read(tmp_path / source.dockerfile, tmp_path)
    files = (path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert {name for name in files if not left_out(name)} == set(package(source.sources, root=tmp_path).archive.assets)


def test_a_source_that_is_not_there_is_refused_by_name(project):
    with pytest.raises(RefusedError, match=r"needs 'missing'"):
        package(["code", "missing"], root=project)


def test_two_files_of_one_name_are_refused(project):
    with pytest.raises(RefusedError, match=r"'code/app.py'; rename one"):
        package(["code"], generated={"code/app.py": ""}, root=project)


@pytest.fixture
def wheels(tmp_path, monkeypatch) -> str:
    """Put a wheel where pip finds it without a network; returns its pinned, hashed requirement."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    files = {
        "probe/__init__.py": b"",
        "probe/tests/__init__.py": b"",
        "probe-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: probe\nVersion: 1.0\n",
        "probe-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "probe-1.0.dist-info/entry_points.txt": b"[console_scripts]\nprobe = probe:main\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for name, data in files.items()
    )
    wheel = folder / "probe-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in {**files, "probe-1.0.dist-info/RECORD": record.encode()}.items():
            archive.writestr(name, data)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return f"probe==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


def installed(root: Path) -> list[str]:
    (folder,) = (root / ".build/packages").iterdir()
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_requirements_are_installed_beside_the_sources_without_what_differs_by_machine(project, wheels):
    (project / "requirements.txt").write_text(wheels)
    made = package(["code"], requirements="requirements.txt", root=project)
    assert {"probe", "probe-1.0.dist-info", "code/app.py"} <= set(made.archive.assets)
    assert "bin" not in made.archive.assets
    assert installed(project) == [
        "probe-1.0.dist-info/METADATA",
        "probe-1.0.dist-info/WHEEL",
        "probe-1.0.dist-info/entry_points.txt",
        "probe/__init__.py",
    ]


def test_the_same_requirements_are_installed_once(project, wheels, monkeypatch):
    (project / "requirements.txt").write_text(wheels)
    before = package(["code"], requirements="requirements.txt", root=project)
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    assert package(["code"], requirements="requirements.txt", root=project).sha256 == before.sha256


def test_a_wheel_of_another_hash_is_refused_and_nothing_is_left_behind(project, wheels):
    (project / "requirements.txt").write_text("probe==1.0 --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(RefusedError, match=r"(?s)could not install requirements\.txt .*DO NOT MATCH"):
        package(["code"], requirements="requirements.txt", root=project)
    assert list((project / ".build/packages").iterdir()) == []


def test_a_requirement_without_a_hash_is_refused(project, wheels):
    (project / "requirements.txt").write_text("probe==1.0\n")
    with pytest.raises(RefusedError, match="could not install"):
        package(["code"], requirements="requirements.txt", root=project)
