"""Functions: code that is pinned, a runtime that is supported, logs that end, no credential in plain sight."""

import re
from collections.abc import Iterator, Mapping

from components.credential import names_a_credential
from policies.model import UNKNOWN, Finding, Resource, Stack, rule
from policies.tokens import FUNCTION, LOG_GROUP, PERMISSION

#: Python runtimes that Lambda supports ("Lambda runtimes", supported until 2027 or later). This project has no other.
RUNTIMES = ("python3.11", "python3.12", "python3.13", "python3.14")

_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
_SECRET_VALUE = re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY|\w+://[^/\s:@]+:[^/\s@]+@")


@rule(
    "function-pinned-code",
    FUNCTION,
    asks="A function's code is named by digest or hash.",
    why="A tag or a bare key can become other code between staging and prod, and no preview would show it.",
    fix="Name the image as repository@sha256:..., or give sourceCodeHash with s3Key.",
)
def pinned_code(resource: Resource) -> Iterator[Finding]:
    """Report an image without a digest, and a zip in S3 without a hash; a local archive is hashed by the engine."""
    image = resource.get("imageUri")
    if isinstance(image, str) and not _DIGEST.fullmatch(image):
        yield Finding(resource, "imageUri", "names no digest")
    if resource.get("s3Key") is not None and resource.get("sourceCodeHash") is None:
        yield Finding(resource, "sourceCodeHash", "is missing beside s3Key")


@rule(
    "function-supported-runtime",
    FUNCTION,
    asks="A function runs on a Python that Lambda supports.",
    why="A runtime past its end gets no fixes, and one day takes no updates.",
    fix=f"Set runtime to one of {', '.join(RUNTIMES)}.",
    fsbp=("Lambda.2",),
    checkov=("CKV_AWS_363",),
)
def supported_runtime(resource: Resource) -> Iterator[Finding]:
    """Report another runtime; an image brings its own."""
    runtime = resource.get("runtime")
    if runtime is not None and runtime is not UNKNOWN and runtime not in RUNTIMES:
        yield Finding(resource, "runtime", "is not a supported one")


@rule(
    "function-traced",
    FUNCTION,
    asks="A function is traced.",
    why="A slow job is found by its trace, not by guessing.",
    fix='Set tracingConfig.mode to "Active".',
    checkov=("CKV_AWS_50",),
)
def traced(resource: Resource) -> Iterator[Finding]:
    """Report a function that is not."""
    if resource.get("tracingConfig", "mode") not in {"Active", UNKNOWN}:
        yield Finding(resource, "tracingConfig.mode", "is not Active")


@rule(
    "function-no-secret-in-environment",
    FUNCTION,
    asks="No variable of a function holds a credential.",
    why="Variables are shown by GetFunction, in consoles and in state; a secret in them is rotated by nobody.",
    fix="Put it into Secrets Manager, and give the function the secret's ARN in a variable that ends in _ARN.",
    checkov=("CKV_AWS_45",),
)
def no_secret_in_environment(resource: Resource) -> Iterator[Finding]:
    """Report a variable that is named like a credential, known or not, or whose value looks like one."""
    variables = resource.get("environment", "variables", default={})
    if not isinstance(variables, Mapping):
        return
    for name, value in sorted(variables.items()):
        if names_a_credential(name):
            yield Finding(resource, f"environment.variables.{name}", "is named like a credential")
        elif isinstance(value, str) and _SECRET_VALUE.search(value):
            yield Finding(resource, f"environment.variables.{name}", "looks like a credential")


@rule(
    "function-invoked-by-name",
    PERMISSION,
    asks="What may invoke a function is one service on behalf of one resource.",
    why="A permission for a whole service lets every account's resources of that service invoke it.",
    fix="Name the principal, and sourceArn (or sourceAccount).",
    fsbp=("Lambda.1",),
    checkov=("CKV_AWS_301", "CKV_AWS_364"),
)
def invoked_by_name(resource: Resource) -> Iterator[Finding]:
    """Report everybody, and a service without a source."""
    principal = resource.get("principal")
    if principal == "*":
        yield Finding(resource, "principal", "is everybody")
    service = isinstance(principal, str) and principal.endswith(".amazonaws.com")
    if service and resource.get("sourceArn") is None and resource.get("sourceAccount") is None:
        yield Finding(resource, "sourceArn", "is missing")


@rule(
    "log-group-retention",
    LOG_GROUP,
    asks="Logs are kept for a time that is set.",
    why="A group without retention keeps everything, and what it costs, for ever.",
    fix="Set retentionInDays to 30, or to what is needed.",
    checkov=("CKV_AWS_66",),
)
def log_retention(resource: Resource) -> Iterator[Finding]:
    """Report none, and 0, which is AWS's word for ever."""
    if resource.get("retentionInDays", default=0) == 0:
        yield Finding(resource, "retentionInDays", "is missing")


@rule(
    "function-has-log-group",
    asks="Every function's log group is the program's.",
    why="A group that Lambda makes itself has no retention.",
    fix="Make a LogGroup named /aws/lambda/<function name>, and let the function depend on it.",
)
def has_log_group(stack: Stack) -> Iterator[Finding]:
    """Report a function whose group nobody makes; a name that is not known yet is looked at when it is."""
    names = {group.get("name") for group in stack.of(LOG_GROUP)}
    if UNKNOWN in names:
        return
    for function in stack.of(FUNCTION):
        name = function.get("name")
        own = function.get("loggingConfig", "logGroup") or f"/aws/lambda/{name}"
        if UNKNOWN not in {name, own} and own not in names:
            yield Finding(function, "a LogGroup", "is missing")


@rule(
    "api-access-log",
    "aws:apigatewayv2/stage:Stage",
    asks="An API's stage is throttled and writes an access log.",
    why="Without them a caller in a loop costs money, and nobody knows who it was.",
    fix="Set accessLogSettings.destinationArn and defaultRouteSettings.throttlingRateLimit.",
    fsbp=("APIGateway.9",),
    checkov=("CKV_AWS_76",),
)
def access_log(resource: Resource) -> Iterator[Finding]:
    """Report a stage without either."""
    if resource.get("accessLogSettings", "destinationArn") is None:
        yield Finding(resource, "accessLogSettings.destinationArn", "is missing")
    if not resource.get("defaultRouteSettings", "throttlingRateLimit"):
        yield Finding(resource, "defaultRouteSettings.throttlingRateLimit", "is missing")


RULES = (
    pinned_code,
    supported_runtime,
    traced,
    no_secret_in_environment,
    invoked_by_name,
    log_retention,
    has_log_group,
    access_log,
)
