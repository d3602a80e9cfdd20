"""The whole thing deployed: embedded cloud, worker image, the local stack; what suites on it share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from rich.console import Console

from local.cloud import Cloud
from local.engine import Options, Outcome
from ops import images, keys
from ops.client import ApiClient
from ops.local_stack import LocalStack
from ops.paths import IMAGES
from ops.program_copy import copy_of_the_program
from ops.stacks import StackHandle, stack


@dataclass
class Deployed:
    """A cloud with a changeable copy of the program deployed to it; `decided` permissions were asked for meanwhile.

    In `elsewhere` lie the decisions, by number, that were taken while another program than the project's was deployed.
    """

    cloud: Cloud
    project: Path
    stack: LocalStack
    worker_image: str
    outcome: Outcome
    decided: int = 0
    elsewhere: list[range] = field(default_factory=list)

    @contextmanager
    def with_another_program(self) -> Iterator[None]:
        """Note that what is decided in the block is not asked for under the program's own grants."""
        began = len(self.cloud.iam.decisions)
        try:
            yield
        finally:
            self.elsewhere.append(range(began, len(self.cloud.iam.decisions)))

    def operate(self, kind: str, *overrides: str, **options: object) -> Outcome:
        return self.stack.run(Options(kind=kind, **options), overrides)  # type: ignore[arg-type]

    @cached_property
    def handle(self) -> StackHandle:
        """The stack as the operators' commands find it; its clients are made once, which takes a while each."""
        return stack(home=self.cloud.home)

    def api(self, name: str) -> ApiClient:
        """A client with a new key of its own."""
        return ApiClient(self.cloud.gateway_url, self.key(name))

    def key(self, name: str) -> str:
        """A new key of the API, which works at once."""
        return keys.add(self.handle, name).key


def worker_image() -> str:
    """Reference of the worker's image, made if need be."""
    return images.worker_image(Console(stderr=True, quiet=True))


@contextmanager
def deployed(folder: Path, worker_image: str) -> Iterator[Deployed]:
    """Start a cloud in `folder` and deploy a copy of the program to it."""
    project = copy_of_the_program(folder / "program")
    with Cloud(folder / "cloud", image_store=IMAGES) as cloud:
        stack = LocalStack(cloud.info, worker_image, project=project, home=folder / "cloud")
        outcome = stack.run(Options(kind="up"))
        assert outcome.ok, outcome.diagnostics
        yield Deployed(cloud, project, stack, worker_image, outcome, len(cloud.iam.decisions))
