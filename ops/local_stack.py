"""The `local` stack: the program, its configuration and the embedded cloud it is deployed to."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console

from local.attach import CloudInfo, CloudNotRunning, attach
from local.engine import Engine, EngineError, Options, Outcome, StateStore
from ops import config, images, policies, stand_ins
from ops.errors import UserError
from ops.paths import HOME, ROOT

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
            "artefacts": images.artefacts(worker_image) | stand_ins.artefacts(),
        }
        self._state = StateStore(home / "state" / f"{STACK}.json")

    def run(self, options: Options, overrides: Iterable[str] = ()) -> Outcome:
        """Run one operation under the policy pack; `overrides` are `key=value` configuration of this operation only.

        Raises
        ------
        UserError
            The configuration cannot be used, or the engine refuses: another operation is at work, the state is damaged.
        """
        # The code of these flows exists before the program, as it does on AWS.
        stand_ins.upload(self.info)
        providers = {"aws": self.info.provider_address}
        with policies.serving() as pack:
            engine = Engine(self._project, STACK, self._state, providers, analyzers=[pack])
            try:
                return engine.run(options, config.stack_config(self._project, STACK, self._given, overrides))
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
