"""Function: a Lambda function with its role and log group, from a zip or an image.

- log group with retention, made before the function so that Lambda does not make one that keeps everything
- role with exactly what `needs` and the function's own running come to
- function in the VPC, traced, with the variables of its needs
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pulumi
import pulumi_aws as aws

from components import iam
from components.artefact import Artefact, BuiltImage, ImageArtefact, ZipArtefact, image_uri
from components.iam import Grant, Statement
from components.needs import Need
from components.package import PYTHON, Package
from components.refused import RefusedError

# "Lambda quotas": all variables of a function together. Measured is their JSON, which Lambda's refusal quotes ("String
# measured: {...}", github-aws-runners/terraform-aws-github-runner, issue 3594).
LARGEST_ENVIRONMENT = 4 * 1024


class Grants(Protocol):
    """A component that owns something which functions need."""

    def grant(self, need: Need) -> Grant | None:
        """Return what the need comes to, or ``None`` where it is not this component's."""


@dataclass(frozen=True)
class Platform:
    """What all functions of one stack share.

    Parameters
    ----------
    prefix
        Prefix of every name on AWS.
    subnet_ids, security_group_ids
        Where the functions' network interfaces lie.
    variable_prefix
        Put before the name of every variable that a component declares.
    variables
        Given to every function, names in full.
    log_retention_days
        How long logs are kept.
    """

    prefix: str
    subnet_ids: Sequence[str]
    security_group_ids: Sequence[pulumi.Input[str]]
    variable_prefix: str = ""
    variables: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    log_retention_days: int = 30


class Function(pulumi.ComponentResource):
    """One Lambda function.

    Parameters
    ----------
    name
        Name of the component in the program.
    function_name
        Name on AWS, of the role and of the log group too.
    platform
        What it shares with the stack's other functions.
    code
        A `Package` of this project, an `Artefact` built elsewhere, or a `BuiltImage` of this deployment.
    timeout, memory, ephemeral_storage
        Seconds, MB, MB.
    handler
        Entry point, for zips: ``"package.module.function"``.
    needs
        What it may do; each must be granted by one of `grants`.
    grants
        The components that own what it needs.
    statements
        Further statements of its role, from the component that makes it.
    service
        Name under which it logs and traces.
    reserved_concurrency
        Concurrency set aside, none unless given.
    """

    def __init__(
        self,
        name: str,
        function_name: str,
        platform: Platform,
        code: Package | Artefact | BuiltImage,
        *,
        timeout: int,
        memory: int,
        service: str,
        handler: str | None = None,
        needs: Iterable[Need] = (),
        grants: Iterable[Grants] = (),
        statements: Iterable[Statement] = (),
        ephemeral_storage: int = 512,
        reserved_concurrency: int | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("worker-flows:index:Function", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        granted = [_granted(function_name, need, list(grants)) for need in needs]

        self.log_group = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=f"/aws/lambda/{function_name}",
            retention_in_days=platform.log_retention_days,
            opts=child,
        )
        self.role = iam.RoleWithGrants(
            f"{name}-role",
            function_name,
            [
                *iam.unscoped_statements(),
                *iam.log_statements(self.log_group.arn),
                *(statement for grant in granted for statement in grant.statements),
                *statements,
            ],
            parent=self,
        )
        self.function = aws.lambda_.Function(
            name,
            name=function_name,
            role=self.role.role.arn,
            timeout=timeout,
            memory_size=memory,
            architectures=["x86_64"],
            ephemeral_storage={"size": ephemeral_storage},
            reserved_concurrent_executions=reserved_concurrency,
            tracing_config={"mode": "Active"},
            vpc_config={"subnet_ids": platform.subnet_ids, "security_group_ids": platform.security_group_ids},
            environment={"variables": _environment(function_name, platform, service, granted)},
            # Without its grants the first invocation would fail, without its log group Lambda would make its own.
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[self.log_group, *self.role.attachments, *_needed_before(code)]
            ),
            **_code(function_name, code, handler),
        )
        self.name = self.function.name
        self.arn = self.function.arn
        self.register_outputs({"function_name": self.name})


def _granted(function_name: str, need: Need, grants: Iterable[Grants]) -> Grant:
    for owner in grants:
        grant = owner.grant(need)
        if grant is not None:
            return grant
    raise RefusedError(f"Function {function_name!r} needs {need!r}, and nothing that it was given grants it.")


def _environment(
    function_name: str, platform: Platform, service: str, granted: Iterable[Grant]
) -> pulumi.Output[dict[str, str]]:
    variables = {
        "POWERTOOLS_SERVICE_NAME": service,
        "POWERTOOLS_LOG_LEVEL": "INFO",
        **platform.variables,
        **{platform.variable_prefix + name: value for grant in granted for name, value in grant.variables.items()},
    }

    def refuse_too_large(known: dict[str, str]) -> None:
        size = environment_bytes(known)
        if size > LARGEST_ENVIRONMENT:
            raise RefusedError(
                f"The {len(known)} variables of function {function_name!r} have {size:,} bytes as Lambda measures them "
                f"and it takes {LARGEST_ENVIRONMENT:,}; put what is many into a file of its package."
            )

    # In a preview some values are not known yet; what is too much without them is refused before anything is made.
    checked = pulumi.Output.all(**{name: _known(value) for name, value in variables.items()}).apply(refuse_too_large)
    given: pulumi.Output[dict[str, str]] = pulumi.Output.all(**dict(sorted(variables.items())))
    return pulumi.Output.all(given, checked).apply(lambda both: both[0])


def _known(value: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return a value, or nothing of one that is not known yet."""
    return pulumi.Output.from_input(value).apply(
        lambda text: text if isinstance(text, str) else "", run_with_unknowns=True
    )


def environment_bytes(variables: Mapping[str, str]) -> int:
    """Return the bytes of a function's variables as Lambda measures them."""
    return len(json.dumps(dict(variables), separators=(",", ":")).encode())


def _needed_before(code: Package | Artefact | BuiltImage) -> list[pulumi.Resource]:
    return [code.access] if isinstance(code, BuiltImage) else []


def _code(function_name: str, code: Package | Artefact | BuiltImage, handler: str | None) -> dict[str, Any]:
    if isinstance(code, BuiltImage):
        return {"package_type": "Image", "image_uri": code.reference}
    if isinstance(code, ImageArtefact):
        return {"package_type": "Image", "image_uri": image_uri(code.image)}
    if handler is None:
        raise RefusedError(f"Function {function_name!r} is a zip, so it must say its handler, as 'module.function'.")
    runtime = {"package_type": "Zip", "runtime": f"python{PYTHON}", "handler": handler}
    if isinstance(code, ZipArtefact):
        source = code.zip
        return {
            **runtime,
            "s3_bucket": source.bucket,
            "s3_key": source.key,
            "source_code_hash": source.source_code_hash,
        }
    return {**runtime, "code": code.archive}
