"""The real program, deployed once per stack to a recording provider, for tests that look at what it made."""

import atexit
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from local.engine import Outcome
from local.engine.state import ResourceState
from local.engine.values import unwrap
from tests.program.harness import Harness, said, stack_config

ROOT = Path(__file__).parents[2]
STACKS = ("local", "staging", "prod")

# What exists before the local stack's program and is given to it at run time.
NETWORK = {"vpcId": "vpc-1", "subnetIds": ["subnet-1", "subnet-2"]}
WORKER = {"image_processing": {"image": f"127.0.0.1/image-processor@sha256:{'a' * 64}"}}
# The flows whose code lives elsewhere, as zips in a bucket.
STAND_INS = {
    key: {"zip": {"bucket": "bluemoxon-local-artefacts", "key": f"{key}.zip", "sha256": "b" * 64}}
    for key in ("analysis", "eval_runbook", "profile_generation", "entity_enrichment", "tracking")
}
ARTEFACTS = WORKER | STAND_INS
# Staging builds its image, which takes a Docker that is not here: as after a rollback, this one was built before.
# What is asked of Docker is recorded in test_image_build.py.
BUILT_BEFORE = {"image_processing": {"build": {"pullAccounts": ["222222222222"], "pinned": f"sha256:{'c' * 64}"}}}


@dataclass(frozen=True)
class Deployed:
    """What one stack's program made.

    Attributes
    ----------
    outcome
        How the deployment ended.
    resources
        Every resource by its URN.
    order
        Names in the order in which they were made.
    folder
        Where the engine keeps its state.
    """

    stack: str
    outcome: Outcome
    resources: dict[str, ResourceState]
    order: list[str]
    folder: Path

    @property
    def prefix(self) -> str:
        """The stack's prefix."""
        return f"bluemoxon-{self.stack}"

    def of(self, type_: str) -> dict[str, ResourceState]:
        """Return the resources of a type, by name."""
        return {state.name: state for state in self.resources.values() if state.type == type_}

    def inputs(self, type_: str, name: str) -> dict[str, Any]:
        """Return what the program asked for, secrets in plain."""
        inputs: dict[str, Any] = unwrap(self.of(type_)[name].inputs)
        return inputs


def beside_the_file(stack: str) -> dict[str, object]:
    """Return what a stack is given beside its file: what exists before it, and no requirements to fetch."""
    given: dict[str, object] = {"bundleDependencies": False}
    if stack == "local":
        given |= {"network": NETWORK, "artefacts": ARTEFACTS}
    if stack == "staging":
        given |= {"artefacts": BUILT_BEFORE}
    return given


def config(stack: str) -> dict[str, str]:
    """Return a stack's configuration as its command line hands it over, and what is given beside it."""
    given, _ = stack_config(ROOT, stack)
    return given | {f"bluemoxon:{key}": json.dumps(value) for key, value in beside_the_file(stack).items()}


@contextmanager
def harness(stack: str, tmp_path: Path, folder: Path = ROOT, *, after: Deployed | None = None) -> Iterator[Harness]:
    """Yield one stack of the real program with what exists before it, on the state of an earlier deployment if any."""
    if after:
        shutil.copytree(after.folder / "state", tmp_path / "state")
    with Harness(tmp_path, folder=folder, stack=stack, config=config(stack)) as run:
        aws = next(provider for provider in run.providers if provider.package == "aws")
        run.providers.remove(aws)
        run.providers.insert(0, aws)
        database = json.loads(run.config["bluemoxon:database"])
        if database["mode"] == "adopted":
            instance = "aws:rds/instance:Instance"
            aws.live[database["identifier"]] = (instance, *2 * (_existing_instance(database),))
            secret = {"name": database["secretName"], "arn": database["secretArn"]}
            aws.live[database["secretArn"]] = ("aws:secretsmanager/secret:Secret", {"name": secret["name"]}, secret)
        yield run


@cache
def deployed(stack: str) -> Deployed:
    """Deploy a stack's program, once per process."""
    folder = Path(tempfile.mkdtemp(prefix="deployed-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with harness(stack, folder) as run:
        outcome = run.up(ok=None)
        assert outcome.ok, said(outcome)
        order = [name for method, name in run.provider.changes() if method == "Create"]
        return Deployed(stack, outcome, {state.urn: state for state in run.store.resources()}, order, folder)


def _existing_instance(database: dict[str, Any]) -> dict[str, Any]:
    """What Terraform made: worse than the program's, where an import may be worse."""
    return {
        "identifier": database["identifier"],
        "engine": "postgres",
        "engineVersion": database["engineVersion"],
        "instanceClass": database["instanceClass"],
        "dbName": database["databaseName"],
        "username": database["username"],
        "port": 5432,
        "allocatedStorage": database["allocatedStorage"],
        "storageEncrypted": True,
        "multiAz": False,
        "publiclyAccessible": False,
        "dbSubnetGroupName": database["subnetGroup"],
        "parameterGroupName": database["parameterGroup"],
        "vpcSecurityGroupIds": [database["securityGroupId"]],
        "backupRetentionPeriod": 1,
        "deletionProtection": False,
        "skipFinalSnapshot": True,
    }
