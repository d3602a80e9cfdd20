"""What a scenario is: one module in ``scenarios/`` with a Pulumi program and the steps that are run over it.

A module has ``program()``, called by the engine under test in its own process, and ``STEPS``. A program varies only by
its configuration, so a step says everything that differs from the one before. The docstring says what is shown.
"""

import dataclasses
import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Literal

import pulumi

from tests.engine.provider import Script

PROJECT, STACK = "scenario", "local"


def urn(name: str, type_: str = "scripted:index:Thing", *parents: str) -> str:
    """The URN of a resource of a scenario, below components of the types ``parents``."""
    return f"urn:pulumi:{STACK}::{PROJECT}::{'$'.join([*parents, type_])}::{name}"


@dataclasses.dataclass(frozen=True)
class Step:
    """One run of the engine.

    Attributes
    ----------
    name
        What happens, in words; the transcript's heading.
    run
        Which command.
    says
        The sentence with which the engine refuses or fails; empty where the step must succeed.
    script
        What the provider does differently.
    killed
        The engine is killed when the provider reaches ``script.hangs``: no exit code, no sentence.
    """

    name: str
    run: Literal["preview", "up", "refresh", "destroy"] = "up"
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    secrets: Mapping[str, str] = dataclasses.field(default_factory=dict)
    targets: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    target_dependents: bool = False
    ignore_protect: bool = False
    run_program: bool = False
    refresh: bool = False
    says: str = ""
    script: Script = dataclasses.field(default_factory=Script)
    killed: bool = False

    @property
    def options(self) -> list[str]:
        """The step's options as the Pulumi CLI spells them."""
        lists = (("--target", self.targets), ("--exclude", self.excludes), ("--replace", self.replace))
        flags = ("target_dependents", "ignore_protect", "run_program", "refresh")
        options = [word for option, values in lists for value in values for word in (option, value)]
        return options + [f"--{flag.replace('_', '-')}" for flag in flags if getattr(self, flag)]


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A scenario by its module's name."""

    name: str
    module: ModuleType

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps, in order."""
        return tuple(self.module.STEPS)

    @property
    def ordered(self) -> bool:
        """Whether the provider's calls have one possible order, over all resources, which is then held too."""
        return bool(getattr(self.module, "ORDERED", False))


def scenarios() -> list[Scenario]:
    """Every scenario of the suite, by name."""
    from tests.engine import scenarios as package

    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))
    return [Scenario(name, importlib.import_module(f"{package.__name__}.{name}")) for name in names]


def password_scenarios() -> list[Scenario]:
    """The rows of the password matrix."""
    return [scenario for scenario in scenarios() if scenario.name.startswith("password_")]


def general_scenarios() -> list[Scenario]:
    """Everything that an engine does otherwise."""
    return [scenario for scenario in scenarios() if not scenario.name.startswith("password_")]


class Thing(pulumi.CustomResource):
    """A resource of the scripted provider: any properties; ``identity`` forces replacement; ``arn`` is an output."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None, **properties: Any) -> None:
        super().__init__("scripted:index:Thing", name, {**properties, "arn": None}, opts)


class Group(pulumi.ComponentResource):
    """A component; its children are made by the program with it as their parent."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("scripted:index:Group", name, {}, opts)
