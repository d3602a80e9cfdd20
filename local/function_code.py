"""From a function in moto's Lambda backend to the program that a process runs.

* a zip is unpacked once per content and runs under this interpreter, which has the dependencies;
* an image runs with its own ENV, ENTRYPOINT and CMD under the bare base interpreter, which has nothing but the image.
"""

from __future__ import annotations

import compileall
import hashlib
import io
import json
import os
import re
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from local import images
from local.offline import clean_environment
from local.sandbox import Program

_BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
_PYTHON = re.compile(r"(?:.*/)?python(?:3(?:\.\d+)?)?")
_AWS_ENTRYPOINT = ("/lambda-entrypoint.sh",)


class FunctionCodeError(Exception):
    """A function's package cannot run here; the message says why."""


def program(function: Any, *, home: Path, image_store: Path | None, variables: dict[str, str]) -> Program:
    """What a process of `function` runs.

    Parameters
    ----------
    function : moto.awslambda.models.LambdaFunction
        The function as moto holds it.
    home : pathlib.Path
        Zips are unpacked below `functions` in it.
    image_store : pathlib.Path or None
        Store of the images that were built on this machine.
    variables : dict
        What every function gets from the embedded cloud itself (region, endpoint, clock).

    Raises
    ------
    FunctionCodeError
        If the package is missing, is not a zip, uses layers, or is an image that was never built here.
    """
    if function.layers:
        raise FunctionCodeError(f"function {function.function_name} has layers: the embedded cloud runs none")
    if function.package_type == "Image":
        command, task_root, folder, own = _image(function, image_store)
    else:
        task_root = folder = unpack(getattr(function, "code_bytes", b""), home / "functions", function.function_name)
        command = (sys.executable, *_bootstrap("awslambdaric", function.handler))
        own = {"PYTHONPATH": str(task_root), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    declared = dict(function.environment_vars or {})
    reserved = {
        "_HANDLER": function.handler or "",
        "LAMBDA_TASK_ROOT": str(task_root),
        "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
        "AWS_LAMBDA_FUNCTION_VERSION": str(function.version),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.function_name}",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time or 'Image'}",
        # Lambda's own user has no home folder either; left unset, "~" would be that of whoever runs the cloud.
        "HOME": "/home/sbx_user1051",
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
    }
    return Program(
        name=function.function_name,
        arn=function.function_arn,
        version=str(function.version),
        command=command,
        task_root=task_root,
        folder=folder,
        environment=clean_environment(own) | declared | reserved | variables,
        role=function.role,
        timeout=float(function.timeout),
        memory_mb=int(function.memory_size),
        fingerprint=fingerprint(function),
    )


def fingerprint(function: Any) -> str:
    """Digest of all that a running process cannot take over when the function is updated."""
    image = vars(function.image_config) if function.image_config else {}
    parts = [
        function.code_sha_256,
        function.code.get("ImageUri"),
        function.environment_vars,
        function.role,
        function.handler,
        function.memory_size,
        function.timeout,
        image,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def unpack(code: bytes, store: Path, name: str) -> Path:
    """Folder with the content of the zip `code`, made once per content and read-only.

    Raises
    ------
    FunctionCodeError
        If `code` is empty or no zip.
    """
    if not code:
        raise FunctionCodeError(f"function {name} has no code: was its zip in the bucket when it was created?")
    folder = store / hashlib.sha256(code).hexdigest()
    if folder.exists():
        return folder
    store.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=store))
    try:
        with zipfile.ZipFile(io.BytesIO(code)) as archive:
            archive.extractall(fresh)
        compileall.compile_dir(fresh, quiet=2)
        for path in (fresh, *fresh.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        _move_into_place(fresh, folder)
    except zipfile.BadZipFile as error:
        raise FunctionCodeError(f"the code of function {name} is not a zip: {error}") from error
    finally:
        if fresh.exists():
            shutil.rmtree(fresh, ignore_errors=True)
    return folder


def _move_into_place(fresh: Path, folder: Path) -> None:
    fresh.chmod(0o755)  # a directory without write permission cannot be renamed by an ordinary user
    try:
        fresh.rename(folder)
    except OSError:
        if not folder.exists():
            raise
        return  # another thread was first; the content is the same
    folder.chmod(0o555)


def _bootstrap(module: str, *arguments: str) -> tuple[str, ...]:
    return ("-P", str(_BOOTSTRAP), str(os.getpid()), "-m", module, *arguments)


def _image(function: Any, store: Path | None) -> tuple[tuple[str, ...], Path, Path, dict[str, str]]:
    uri = function.code.get("ImageUri", "")
    _, _, digest = uri.partition("@")
    image = images.find(store, digest) if store is not None and digest else None
    if image is None:
        raise FunctionCodeError(f"function {function.function_name}: no image {uri!r} was built on this machine")
    config = function.image_config
    entrypoint = tuple(config.entry_point or image.config.entrypoint)
    arguments = (*(() if entrypoint == _AWS_ENTRYPOINT else entrypoint), *(config.cmd or image.config.cmd))
    if not entrypoint or entrypoint == _AWS_ENTRYPOINT:
        # What AWS's base images do with a bare CMD
        arguments = ("python", "-m", "awslambdaric", *arguments)
    if len(arguments) < 3 or not _PYTHON.fullmatch(arguments[0]) or arguments[1] != "-m":  # noqa: PLR2004
        raise FunctionCodeError(
            f"function {function.function_name}: its image starts {' '.join(arguments)!r}; "
            "the embedded cloud starts `python -m MODULE ...` only"
        )
    environment = image.environment()
    task_root = image.path(environment.get("LAMBDA_TASK_ROOT", image.config.workdir))
    environment.setdefault("PYTHONPATH", str(task_root))
    environment["PATH"] = f"{environment.get('PATH', '')}:/usr/bin:/bin".lstrip(":")
    folder = image.path(config.working_directory or image.config.workdir)
    # -S: no site-packages; -s: nor the user's own
    interpreter = getattr(sys, "_base_executable", sys.executable)
    return (interpreter, "-S", "-s", *_bootstrap(*arguments[2:])), task_root, folder, environment
