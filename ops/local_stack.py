"""The `local` stack: the program, its configuration and the embedded cloud it is deployed to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from local.attach import CloudInfo, CloudNotRunning, attach
from local.engine import Engine, EngineError, Options, Outcome, StateStore
from local.images import find
from ops import config, images, policies, stack_yaml, stand_ins
from ops.errors import UserError
from ops.paths import HOME, IMAGES, ROOT

STACK = "local"


class LocalStack:
    """Deploys the program to a running embedded cloud, this process's or another's.

    Parameters
    ----------
    info
        The cloud's addresses and what exists in it before the program.
    worker_image
        Reference of the image worker's container image, by digest.
    project
        Folder of the program; another one than this repository's in tests.
    home
        The cloud's folder; the engine's state lies in it and goes with it.
    """

    def __init__(self, info: CloudInfo, worker_image: str, *, project: Path = ROOT, home: Path = HOME) -> None:
        self.info = info
        self._project = project
        self._given: dict[str, Any] = {
            "network": {"vpcId": info.network.vpc_id, "subnetIds": list(info.network.subnet_ids)},
        }
        self._artefacts: dict[str, Any] = images.artefacts(worker_image) | stand_ins.artefacts()
        self._state = StateStore(home / "state" / f"{STACK}.json")

    def run(self, options: Options, overrides: Iterable[str] = ()) -> Outcome:
        """Run one operation under the policy pack; `overrides` are `key=value` configuration of this operation only.

        Raises
        ------
        UserError
            The configuration cannot be used, or the engine refuses: another operation is at work, the state is damaged.
        """
        given = self._given | {"artefacts": artefacts(self._project / f"Pulumi.{STACK}.yaml", self._artefacts)}
        # The code of these flows exists before the program, as it does on AWS.
        stand_ins.upload(self.info)
        providers = {"aws": self.info.provider_address}
        with policies.serving() as pack:
            engine = Engine(self._project, STACK, self._state, providers, analyzers=[pack])
            try:
                return engine.run(options, config.stack_config(self._project, STACK, given, overrides))
            except EngineError as error:
                raise UserError(f"{error}.", exit_code=1) from error

    def output(self, name: str) -> Any:
        """Return one of the stack's outputs.

        Raises
        ------
        UserError
            Nothing has been deployed, or the program exports no such name.
        """
        outputs = self._state.outputs()
        if name not in outputs:
            raise UserError(f"The stack has no output {name!r}.", "Deploy it first: ./bmx deploy", exit_code=1)
        return outputs[name]


def artefacts(stack_file: Path, given: Mapping[str, Any]) -> Any:
    """Return the code by name: what the stack's file says, and what is `given` on this machine for all other names.

    Raises
    ------
    UserError
        The file names an image that was not built here: nothing is pulled to this machine, so it could never run.
    """
    values = stack_yaml.read(stack_file) if stack_file.exists() else None
    settings = (values.get("config") if isinstance(values, dict) else None) or {}
    own: Any = next((settings[key] for key in ("bluemoxon:artefacts", "artefacts") if settings.get(key)), {})
    if not isinstance(own, dict):
        return own  # the program says what is wrong with it
    for name, artefact in own.items():
        image = artefact.get("image") if isinstance(artefact, dict) else None
        if image and find(IMAGES, str(image).partition("@")[2]) is None:
            raise UserError(
                f"{stack_file.name}: artefacts.{name} is the image {image}, which was not built on this machine, and "
                "nothing is pulled to it.",
                "Take the entry out, and the flow has all but its function; or name a zip in the embedded cloud's S3.",
            )
    return {**given, **own}


def running() -> LocalStack:
    """Return the stack on the cloud that another process keeps up.

    Raises
    ------
    UserError
        No cloud is up.
    """
    try:
        info = attach(HOME)
    except CloudNotRunning as error:
        raise UserError(
            "No embedded cloud is up here.", "Start one in another terminal: ./bmx up", exit_code=1
        ) from error
    return LocalStack(info, images.worker_image(Console(stderr=True, quiet=True)))
