"""Container images without a container engine: a Dockerfile's steps, run in plain folders.

* the base image is an empty folder and this machine's own Python; nothing of it is in the result;
* a step's result is kept under a hash of all that went into it (instructions, arguments, copied files), so an unchanged
  step is not run again and the digest says what is inside;
* steps run as this user on this machine: for Dockerfiles of this repository, not for foreign ones.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath

from filelock import FileLock

from local import image_files
from local.dockerfile import DockerfileError, Instruction, parse, substitute

_FORMAT = "2"
"""Changes when a step's result would change without its text."""

# What a step may take from this process: where packages come from and how they are reached; no part of the digest.
_PASSED = ("PIP_", "HTTP_", "HTTPS_", "NO_PROXY", "SSL_", "REQUESTS_", "UV_")
_PASSED_NAMES = {"HOME", "LANG", "LC_ALL", "TMPDIR", "http_proxy", "https_proxy", "no_proxy"}
# https://docs.aws.amazon.com/lambda/latest/dg/images-create.html: what AWS's own base images set
_AWS_BASE = {"LAMBDA_TASK_ROOT": "/var/task", "LAMBDA_RUNTIME_DIR": "/var/runtime"}


class ImageBuildError(RuntimeError):
    """A step failed; the message holds the step and the end of its output."""


class _WrittenInPlace(Exception):  # noqa: N818  caught in `build`
    """A RUN wrote into a file that it shares with the step before."""


@dataclass(frozen=True)
class ImageConfig:
    """What an image says about how it runs; paths are those inside the container."""

    env: dict[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    workdir: str = "/"
    user: str = ""


@dataclass(frozen=True)
class BuiltImage:
    """An image: its digest, the folder with its files, its configuration and its layers (step, bytes added)."""

    digest: str
    folder: Path
    config: ImageConfig
    layers: tuple[tuple[str, int], ...]

    def path(self, inside: str) -> Path:
        """Where the container's path `inside` lies on this machine."""
        return _inside(self.folder, inside)

    def environment(self) -> dict[str, str]:
        """ENV with the container's paths made this machine's, wherever they exist in the image."""
        return _environment(self.folder, self.config.env)


@dataclass(frozen=True)
class _Stage:
    """The state after a step: its hash names the folder in the store."""

    key: str
    config: ImageConfig
    layers: tuple[tuple[str, int], ...] = ()
    arguments: dict[str, str] = field(default_factory=dict)


def build(
    dockerfile: Path,
    context: Path,
    store: Path,
    *,
    args: Mapping[str, str] | None = None,
    build_contexts: Mapping[str, Path] | None = None,
    target: str | None = None,
) -> BuiltImage:
    """Run a Dockerfile's steps.

    Parameters
    ----------
    dockerfile : pathlib.Path
        File to run.
    context : pathlib.Path
        Folder that COPY copies from, without what its `.dockerignore` names.
    store : pathlib.Path
        Folder that keeps the steps' results; several processes may share it.
    args : mapping, optional
        Values for ARG.
    build_contexts : mapping, optional
        Further folders for `COPY --from=NAME`.
    target : str, optional
        Stage to stop after; the last one by default.

    Raises
    ------
    DockerfileError
        If the Dockerfile uses what is not known here.
    ImageBuildError
        If a step fails.
    """
    instructions = parse(dockerfile.read_text())
    store.mkdir(parents=True, exist_ok=True)
    with FileLock(store / "lock"):
        _clear_unfinished(store)
        builder = _Builder(store, dockerfile, context, dict(args or {}), dict(build_contexts or {}))
        try:
            return _keep(store, builder.run(instructions, target))
        except _WrittenInPlace:
            # Earlier steps share the file that was written to: begin again, with a copy of everything for each RUN.
            shutil.rmtree(store / "steps")
            builder.copies = True
            return _keep(store, builder.run(instructions, target))


def find(store: Path, digest: str) -> BuiltImage | None:
    """The image with this digest ("sha256:..."), None if it was never built into `store`."""
    path = store / "images" / f"{digest.removeprefix('sha256:')}.json"
    if not path.is_file():
        return None
    kept = json.loads(path.read_text())
    config = kept["config"]
    return BuiltImage(
        digest=digest,
        folder=store / "steps" / kept["step"],
        config=ImageConfig(
            config["env"], tuple(config["entrypoint"]), tuple(config["cmd"]), config["workdir"], config["user"]
        ),
        layers=tuple((step, size) for step, size in kept["layers"]),
    )


class _Builder:
    def __init__(
        self, store: Path, dockerfile: Path, context: Path, args: dict[str, str], contexts: dict[str, Path]
    ) -> None:
        self._store, self._context = store, context
        self._given, self._contexts = args, contexts
        self.copies = False
        self._ignored = image_files.Ignored.read(dockerfile, context)
        self._stages: dict[str, _Stage] = {}
        self._global: dict[str, str] = {}
        self._stage: _Stage | None = None

    def run(self, instructions: list[Instruction], target: str | None) -> _Stage:
        self._stages, self._global, self._stage = {}, {}, None
        for instruction in instructions:
            if instruction.name == "FROM" and target in self._stages:
                break
            step = getattr(self, f"_{instruction.name.lower()}")
            step(instruction)
        if target is not None and target not in self._stages:
            raise DockerfileError(f"there is no stage {target!r}; there are {', '.join(self._stages)}")
        return self._stages[target] if target is not None else self._current

    @property
    def _current(self) -> _Stage:
        if self._stage is None:
            raise DockerfileError("there is no stage before the first FROM")
        return self._stage

    def _set(self, stage: _Stage) -> None:
        self._stage = stage
        self._stages[self._name] = stage

    def _variables(self) -> dict[str, str]:
        return self._current.arguments | self._current.config.env

    def _from(self, instruction: Instruction) -> None:
        words = substitute(instruction.text, self._global).split()
        if len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS"):  # noqa: PLR2004
            raise DockerfileError(f"line {instruction.line}: FROM takes IMAGE [AS NAME], not {instruction.text!r}")
        self._name = words[2] if len(words) == 3 else str(len(self._stages))  # noqa: PLR2004
        if words[0] in self._stages:
            self._set(replace(self._stages[words[0]], arguments={}))
            return
        key = _hash(_FORMAT, words[0], sys.implementation.cache_tag or "", platform.machine())
        (self._store / "steps" / key).mkdir(parents=True, exist_ok=True)
        aws = "lambda/python" in words[0]
        config = ImageConfig(env=dict(_AWS_BASE), workdir="/var/task") if aws else ImageConfig()
        self._set(_Stage(key, config))

    def _arg(self, instruction: Instruction) -> None:
        known = self._global if self._stage is None else self._variables()
        for text in instruction.text.split():
            name, default_given, default = text.partition("=")
            value = self._given.get(name, substitute(default, known) if default_given else self._global.get(name))
            if self._stage is None:
                self._global[name] = value or ""
            elif value is not None:
                self._set(replace(self._current, arguments=self._current.arguments | {name: value}))

    def _env(self, instruction: Instruction) -> None:
        known = self._variables()
        added = {name: substitute(value, known) for name, value in instruction.pairs()}
        self._configure(env=self._current.config.env | added)

    def _workdir(self, instruction: Instruction) -> None:
        given = substitute(instruction.text, self._variables())
        workdir = str(PurePosixPath(self._current.config.workdir) / given)
        self._configure(workdir=workdir)
        if workdir == "/":
            return

        def make(folder: Path) -> None:
            _inside(folder, workdir).mkdir(parents=True, exist_ok=True)

        self._step(instruction, [workdir], make)

    def _user(self, instruction: Instruction) -> None:
        self._configure(user=substitute(instruction.text, self._variables()))

    def _label(self, instruction: Instruction) -> None:
        instruction.pairs()

    def _entrypoint(self, instruction: Instruction) -> None:
        words = instruction.words()
        if words is None:
            raise DockerfileError(f"line {instruction.line}: ENTRYPOINT takes the exec form here")
        # https://docs.docker.com/reference/dockerfile/#understand-how-cmd-and-entrypoint-interact
        self._configure(entrypoint=words, cmd=())

    def _cmd(self, instruction: Instruction) -> None:
        words = instruction.words()
        if words is None:
            raise DockerfileError(f"line {instruction.line}: CMD takes the exec form here")
        self._configure(cmd=words)

    def _copy(self, instruction: Instruction) -> None:
        words = instruction.words() or tuple(substitute(instruction.text, self._variables()).split())
        if len(words) < 2:  # noqa: PLR2004
            raise DockerfileError(f"line {instruction.line}: COPY takes sources and a destination")
        *patterns, destination = words
        source, linked, ignored = self._source(instruction)
        try:
            files = image_files.select(source, patterns, destination, ignored)
        except FileNotFoundError as error:
            raise ImageBuildError(f"line {instruction.line}: {instruction}: {error}") from error
        target = str(PurePosixPath(self._current.config.workdir) / destination)
        mode = instruction.flag("chmod")
        listing = [f"{file.inside}\0{file.digest()}" for file in files]

        def copy(folder: Path) -> None:
            image_files.place(files, _inside(folder, target), link=linked and mode is None, mode=mode)

        self._step(instruction, [target, mode or "", *listing], copy)

    def _source(self, instruction: Instruction) -> tuple[Path, bool, image_files.Ignored]:
        name = instruction.flag("from")
        if name is None:
            return self._context, False, self._ignored
        name = substitute(name, self._global)
        if name in self._stages:
            return self._store / "steps" / self._stages[name].key, True, image_files.Ignored()
        if name in self._contexts:
            folder = self._contexts[name]
            return folder, False, image_files.Ignored.read(None, folder)
        raise DockerfileError(
            f"line {instruction.line}: COPY --from={name}: no stage and no build context of that name"
        )

    def _run(self, instruction: Instruction) -> None:
        words = instruction.words()
        command = list(words) if words else ["/bin/sh", "-c", instruction.text]
        stage = self._current

        def execute(folder: Path) -> None:
            environment = _environment(folder, self._variables())
            environment["PATH"] = f"{environment.get('PATH', '')}:{Path(sys.executable).parent}:/usr/bin:/bin".lstrip(
                ":"
            )
            _execute(instruction, command, _inside(folder, stage.config.workdir), _passed() | environment)

        seen = [f"{name}={value}" for name, value in sorted(self._variables().items())]
        self._step(instruction, [stage.config.workdir, *seen], execute)

    def _configure(self, **changes: object) -> None:
        stage = self._current
        self._set(replace(stage, config=replace(stage.config, **changes)))  # type: ignore[arg-type]

    def _step(self, instruction: Instruction, inputs: list[str], apply: image_files.Change) -> None:
        """Make the step's folder from that of the step before, unless it is in the store."""
        before = self._current
        key = _hash(before.key, str(instruction), *inputs)
        folder = self._store / "steps" / key
        sizes = folder.with_suffix(".json")
        if not sizes.exists():
            if folder.exists():
                shutil.rmtree(folder)
            fresh = Path(tempfile.mkdtemp(prefix="unfinished-", dir=self._store))
            try:
                added = self._apply(apply, self._store / "steps" / before.key, fresh)
                fresh.chmod(0o755)
                fresh.rename(folder)
                # The step counts as done when this file is there.
                _write_json(sizes, {"step": str(instruction), "bytes": added})
            finally:
                if fresh.exists():
                    shutil.rmtree(fresh, ignore_errors=True)
        added = json.loads(sizes.read_text())["bytes"]
        self._set(replace(before, key=key, layers=(*before.layers, (str(instruction), added))))

    def _apply(self, apply: image_files.Change, before: Path, fresh: Path) -> int:
        """Make `fresh` from `before`; the bytes added. Unchanged files are hard links to those of the step before."""
        image_files.clone(before, fresh, link=not self.copies)
        state = image_files.state(before)
        apply(fresh)
        if image_files.state(before) != state:
            raise _WrittenInPlace
        return image_files.size(fresh) - image_files.size(before)


def _keep(store: Path, stage: _Stage) -> BuiltImage:
    """Note the image under its digest."""
    config = asdict(stage.config)
    digest = _hash(stage.key, json.dumps(config, sort_keys=True))
    images = store / "images"
    images.mkdir(exist_ok=True)
    _write_json(images / f"{digest}.json", {"step": stage.key, "config": config, "layers": stage.layers})
    image = find(store, f"sha256:{digest}")
    if image is None:
        raise ImageBuildError(f"the image {digest} vanished from {store} while it was built")
    return image


def _execute(instruction: Instruction, command: list[str], folder: Path, environment: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode:
        end = "\n".join(output.decode("utf-8", "replace").splitlines()[-20:])
        raise ImageBuildError(f"line {instruction.line}: {instruction}: exit status {process.returncode}\n{end}")


def _environment(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    def local(part: str) -> str:
        if not part.startswith("/"):
            return part
        path = _inside(folder, part)
        return str(path) if path.exists() and path != folder else part

    return {name: ":".join(local(part) for part in value.split(":")) for name, value in variables.items()}


def _inside(folder: Path, path: str) -> Path:
    """`path` of the container below `folder`; `..` does not lead out."""
    return folder / os.path.normpath("/" + path).lstrip("/")


def _passed() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if name in _PASSED_NAMES or name.upper().startswith(_PASSED)
    }


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _write_json(path: Path, content: object) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(content))
    fresh.replace(path)


def _clear_unfinished(store: Path) -> None:
    """Remove what an interrupted build left; nobody else builds, the lock is held."""
    for left in store.glob("unfinished-*"):
        shutil.rmtree(left, ignore_errors=True)
