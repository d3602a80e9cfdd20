"""A deployed stack as the operators' commands see it: its outputs, and AWS clients that reach what it made.

`local` is the embedded cloud that `./bmx up` keeps; every other name is a stack of the Pulumi CLI on AWS.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.attach import CloudInfo, CloudNotRunning, attach
from local.engine import StateStore
from ops.errors import UserError
from ops.local_stack import STACK
from ops.paths import HOME
from ops.pulumi_cli import pulumi

LOCAL = STACK
OUTPUT_SECONDS = 120
"""How long `pulumi stack output` may take: it asks the state's backend over the network."""


@dataclass(frozen=True)
class StackHandle:
    """A deployed stack.

    Parameters
    ----------
    name
        The stack's name, `local` or Pulumi's.
    outputs
        What the program exported.
    client
        Gives the boto3 client of a service, in the stack's region and with the caller's credentials.
    """

    name: str
    outputs: Mapping[str, Any]
    client: Callable[[str], Any] = field(repr=False)

    @property
    def is_local(self) -> bool:
        """Whether it lies in the embedded cloud."""
        return self.name == LOCAL

    def output(self, name: str) -> Any:
        """Return one of the outputs.

        Raises
        ------
        UserError
            The deployed program exports no such name.
        """
        if name not in self.outputs:
            fix = "Deploy it: ./bmx deploy" if self.is_local else f"Deploy it: pulumi up --stack {self.name}"
            raise UserError(f"The stack {self.name} has no output {name!r}.", fix, exit_code=1)
        return self.outputs[name]

    def caller(self) -> str:
        """Return the ARN of whoever acts here.

        Raises
        ------
        UserError
            AWS does not say, or the credentials are another account's than the stack's: names that exist in both
            accounts would lead to the wrong queues.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  loaded with the client already

        try:
            identity = self.client("sts").get_caller_identity()
        except (BotoCoreError, ClientError) as error:
            raise UserError(
                f"AWS does not say who you are: {error}", "Log in, or set AWS_PROFILE.", exit_code=1
            ) from error
        account = _part_of_arn(self.outputs, _ACCOUNT)
        if account is not None and identity["Account"] != account:
            raise UserError(
                f"The stack {self.name} lies in the account {account} and these credentials are of "
                f"{identity['Account']}.",
                "Choose that account's credentials, for instance by AWS_PROFILE.",
            )
        return str(identity["Arn"])


def stack(name: str = LOCAL, *, home: Path = HOME) -> StackHandle:
    """Find a deployed stack.

    Parameters
    ----------
    name
        `local`, or a stack that the Pulumi CLI knows in this project.
    home
        The embedded cloud's folder, for `local`.

    Raises
    ------
    UserError
        No embedded cloud is up, there is no Pulumi CLI, or it does not know the stack.
    """
    return _local(home) if name == LOCAL else _remote(name)


def _local(home: Path) -> StackHandle:
    try:
        info: CloudInfo = attach(home)
    except CloudNotRunning as error:
        raise UserError(
            "No embedded cloud is up here.", "Start one in another terminal: ./bmx up", exit_code=1
        ) from error
    return StackHandle(LOCAL, StateStore(home / "state" / f"{STACK}.json").outputs(), _remembered(info.client))


def _remote(name: str) -> StackHandle:
    outputs = _outputs(name)
    region = _part_of_arn(outputs, _REGION)

    def make(service: str) -> Any:
        import boto3  # noqa: PLC0415  the local stack brings its own
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415

        try:
            return boto3.client(service, region_name=region)  # type: ignore[call-overload]
        except BotoCoreError as error:
            raise UserError(f"No client of AWS can be made: {error}", exit_code=1) from error

    return StackHandle(name, outputs, _remembered(make))


def _remembered(make: Callable[[str], Any]) -> Callable[[str], Any]:
    clients: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in clients:
            clients[service] = make(service)
        return clients[service]

    return client


def _outputs(name: str) -> Mapping[str, Any]:
    done = pulumi(["stack", "output", "--json"], name, capture=True, seconds=OUTPUT_SECONDS)
    if done.code:
        raise UserError(f"The outputs of the stack {name} cannot be read; see the lines above.", exit_code=1)
    try:
        outputs = json.loads(done.output)
    except ValueError as error:
        raise UserError(f"pulumi stack output --stack {name} printed no JSON: {error}", exit_code=1) from error
    if not isinstance(outputs, dict):
        raise UserError(f"pulumi stack output --stack {name} printed no object.", exit_code=1)
    return outputs


_REGION, _ACCOUNT = 3, 4
"""Places in arn:partition:service:region:account:resource."""


def _part_of_arn(outputs: Mapping[str, Any], place: int) -> str | None:
    """Read region or account off the key secret's ARN, the one regional ARN that every stack has."""
    parts = str(outputs.get("api_keys_secret_arn", "")).split(":")
    return parts[place] or None if len(parts) > _ACCOUNT and parts[0] == "arn" else None
