"""The drivers behind Pulumi's provider interface, package `aws`: for the embedded engine, and for the real CLI.

The CLI attaches to it with `PULUMI_DEBUG_PROVIDERS=aws:PORT`. Endpoint and credentials are given when it is started,
never by a program. What the engine sends and expects is written in sdk/go/common/resource/plugin/provider_plugin.go.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import threading
from concurrent import futures
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import grpc
from botocore.exceptions import BotoCoreError, ClientError
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from local.provider_wire import ErrorsAs, HalfMadeError, check_failures, diff_response, sentence, type_of
from local.resources import DRIVERS
from local.resources.driver import Aws, AwsError, Driver
from local.resources.functions import FUNCTIONS
from local.resources.schema import Difference, Failure
from local.resources.values import Values, decode, encode
from local.wire import UNKNOWN

LOG = logging.getLogger(__name__)
PACKAGE: Final = "aws"
REGION: Final = "us-west-2"
ACCOUNT: Final = "123456789012"
_MEGABYTE: Final = 1024 * 1024
_MAX_MESSAGE: Final = 400 * _MEGABYTE  # as the engine's own channels
_THREADS: Final = 32
_CONFIGURATION: Final = frozenset(
    [
        "region",
        "endpoints",
        "allowedAccountIds",
        "defaultTags",
        "skipCredentialsValidation",
        "skipMetadataApiCheck",
        "skipRegionValidation",
        "skipRequestingAccountId",
        "s3UsePathStyle",
        "maxRetries",
        "version",
    ]
)
_CREDENTIALS: Final = frozenset(
    ["accessKey", "secretKey", "token", "profile", "assumeRoles", "assumeRoleWithWebIdentity"]
)


class ConfigurationError(ValueError):
    """The provider was given a configuration that it cannot work under."""


class AwsProvider(provider_pb2_grpc.ResourceProviderServicer):
    """A `ResourceProvider` for package `aws` over the drivers of `local.resources`.

    Parameters
    ----------
    endpoint
        The embedded cloud's URL.
    credentials
        Access key id, secret access key, and session token or None.
    region, account
        What holds until the program configures another region.
    """

    def __init__(
        self, endpoint: str, credentials: tuple[str, str, str | None], region: str = REGION, account: str = ACCOUNT
    ) -> None:
        self._aws = Aws(endpoint, credentials, region=region, account=account)

    # ---- the plugin ---------------------------------------------------------------------------------------------

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Agree on the protocol: secrets come and go as such, outputs and unknown autonaming modes do not."""
        if request.HasField("program_directory"):
            self._aws.folder = Path(request.program_directory)
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, accept_resources=True, accept_outputs=False, supports_autonaming_configuration=True
        )

    def Attach(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Take note of the engine; nothing is called back."""
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Return the version of the SDK whose properties the drivers know."""
        return plugin_pb2.PluginInfo(version=metadata.version("pulumi-aws"))

    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Return the least schema that is valid: name, version and the types that have a driver."""
        schema = {
            "name": PACKAGE,
            "version": metadata.version("pulumi-aws"),
            "resources": {token: {"inputProperties": {}, "properties": {}} for token in sorted(DRIVERS)},
        }
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    def GetMapping(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Return no mapping: nothing is converted from Terraform through this provider."""
        return provider_pb2.GetMappingResponse()

    def GetMappings(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Return no mappings."""
        return provider_pb2.GetMappingsResponse()

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Do nothing: every operation is short, and half of one is worse than the whole."""
        return empty_pb2.Empty()

    # ---- its configuration ----------------------------------------------------------------------------------------

    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Refuse credentials and unknown keys, and fill in the region."""
        news, secrets = decode(request.news)
        failures = [
            Failure(key, _config_reason(key)) for key in news if key not in _CONFIGURATION and key != "__internal"
        ]
        news.setdefault("region", self._aws.region)
        return provider_pb2.CheckResponse(inputs=encode(news, secrets), failures=check_failures(failures))

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Another region is another provider, and other resources; anything else is an update."""
        olds, news = decode(request.olds)[0], decode(request.news)[0]
        changed = sorted(
            key for key in olds.keys() | news.keys() if olds.get(key) != news.get(key) and key != "version"
        )
        found = [Difference(key, "update", key == "region") for key in changed]
        return diff_response(found, stables=(), before=False)

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Take region and default tags; refuse another account."""
        values = _configuration(request)
        try:
            self._configure(values)
        except ConfigurationError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True,
            supportsPreview=True,
            acceptResources=True,
            acceptOutputs=False,
            supports_autonaming_configuration=True,
        )

    def _configure(self, values: Values) -> None:
        allowed = values.get("allowedAccountIds")
        if allowed and self._aws.account not in allowed:
            message = f"AWS account ID not allowed: {self._aws.account} (allowedAccountIds: {', '.join(allowed)})"
            raise ConfigurationError(message)
        tags = (values.get("defaultTags") or {}).get("tags", {})
        region = values.get("region") or self._aws.region
        if region != self._aws.region or tags != self._aws.default_tags:
            old = self._aws
            self._aws = Aws(
                old.endpoint, old.credentials, region=region, account=old.account, default_tags=tags, folder=old.folder
            )

    # ---- resources --------------------------------------------------------------------------------------------------

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Return the inputs with defaults, or why they are refused."""
        news, secrets = decode(request.news)
        kind = type_of(request)
        driver = DRIVERS.get(kind)
        if driver is None:
            reason = f"{kind} has no driver in the embedded cloud: add one to local/resources/"
            return provider_pb2.CheckResponse(inputs=request.news, failures=check_failures([Failure("", reason)]))
        news = {key: value for key, value in news.items() if not key.startswith("__")}
        name = request.name or request.urn.rsplit("::", 1)[-1]
        mode = request.autonaming.mode if request.HasField("autonaming") else None
        enforced = mode == provider_pb2.CheckRequest.AutonamingOptions.Mode.ENFORCE
        disabled = mode == provider_pb2.CheckRequest.AutonamingOptions.Mode.DISABLE
        proposed = request.autonaming.proposed_name if mode is not None else None
        if disabled and driver.autoname and driver.autoname[0] not in news:
            failure = Failure(driver.autoname[0], "automatic naming is switched off, so a name has to be given")
            return provider_pb2.CheckResponse(inputs=request.news, failures=check_failures([failure]))
        old = {} if enforced else decode(request.olds)[0]
        inputs, failures = driver.check(self._aws, name, old, news, proposed or None)
        wrapped = secrets | (driver.sensitive & inputs.keys())
        return provider_pb2.CheckResponse(inputs=encode(inputs, wrapped), failures=check_failures(failures))

    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Compare state and new inputs."""
        with ErrorsAs(context, "diffing", request):
            driver = self._driver(request)
            state, news = decode(request.olds)[0], decode(request.news)[0]
            found = driver.diff(self._aws, state, news, list(request.ignoreChanges))
            replaced = any(item.replaces for item in found)
            before = replaced and driver.before(news)
            return diff_response(found, stables=sorted(driver.stable), before=before)

    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Make the resource; in a preview say what can be known."""
        with ErrorsAs(context, "creating", request):
            driver = self._driver(request)
            inputs, secrets = decode(request.properties)
            wrapped = secrets | driver.sensitive
            if request.preview:
                return provider_pb2.CreateResponse(properties=encode(driver.planned(inputs, self._aws), wrapped))
            identifier, state = self._create(driver, driver.tagged(self._aws, inputs), wrapped)
            return provider_pb2.CreateResponse(id=identifier, properties=encode(state, wrapped))

    def _create(self, driver: Driver, inputs: Values, secrets: frozenset[str]) -> tuple[str, Values]:
        identifier = driver.create(self._aws, inputs)
        try:
            driver.configure(self._aws, identifier, inputs)
            state = driver.state(self._aws, identifier, inputs)
        except (AwsError, ClientError, BotoCoreError, TimeoutError) as error:
            # It exists: to answer a bare error would make the engine forget it, and the next run trip over it.
            raise HalfMadeError(identifier, inputs, sentence(error)) from error
        if state is None:
            raise HalfMadeError(identifier, inputs, "the resource was made and cannot be found")
        return str(state.pop("id", identifier)), state

    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Read the cloud, for a refresh or, without state, for an import."""
        with ErrorsAs(context, "reading", request):
            driver = self._driver(request)
            known, secrets = decode(request.properties)
            inputs, more = decode(request.inputs)
            wrapped = secrets | more | driver.sensitive
            state = driver.state(self._aws, request.id, {**inputs, **known})
            if state is None:
                return provider_pb2.ReadResponse()
            identifier = str(state.pop("id", request.id))
            return provider_pb2.ReadResponse(
                id=identifier,
                properties=encode(state, wrapped),
                inputs=encode(driver.inputs_of(state, inputs), wrapped),
            )

    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Change the resource in place; in a preview say what can be known."""
        with ErrorsAs(context, "updating", request):
            driver = self._driver(request)
            state, old_secrets = decode(request.olds)
            news, new_secrets = decode(request.news)
            wrapped = (old_secrets - news.keys()) | new_secrets | driver.sensitive
            if request.preview:
                changed = [item.path for item in driver.diff(self._aws, state, news, list(request.ignoreChanges))]
                planned = driver.planned(news, self._aws, state, changed)
                return provider_pb2.UpdateResponse(properties=encode(planned, wrapped))
            wanted = driver.tagged(self._aws, news)
            driver.update(self._aws, request.id, state, wanted)
            result = driver.state(self._aws, request.id, {**_hints(driver, state), **wanted})
            if result is None:
                raise LookupError(f"{request.id} vanished while it was updated")
            result.pop("id", None)
            return provider_pb2.UpdateResponse(properties=encode(result, wrapped))

    def Delete(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Remove the resource."""
        with ErrorsAs(context, "deleting", request):
            driver = self._driver(request)
            driver.delete(self._aws, request.id, decode(request.properties)[0])
            return empty_pb2.Empty()

    def _driver(self, request: Any) -> Driver:
        kind = type_of(request)
        if kind not in DRIVERS:
            raise LookupError(f"{kind} has no driver in the embedded cloud: add one to local/resources/")
        return DRIVERS[kind]

    # ---- functions -------------------------------------------------------------------------------------------------

    def Invoke(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Answer who and where the program runs; any other function is refused by name."""
        function = FUNCTIONS.get(request.tok)
        if function is None:
            known = ", ".join(sorted(FUNCTIONS))
            reason = f"{request.tok} is no function of the embedded cloud, which knows {known}"
            return provider_pb2.InvokeResponse(failures=check_failures([Failure("", reason)]))
        with ErrorsAs(context, "invoking", request):
            values: Any = {"return": encode(function(self._aws))}
            return provider_pb2.InvokeResponse(**values)


def _hints(driver: Driver, state: Values) -> Values:
    """Return the part of the old state that a read may need to find the resource: outputs, not settings."""
    return {key: value for key, value in state.items() if key not in driver.table or driver.table[key].computed}


def _config_reason(key: str) -> str:
    if key in _CREDENTIALS:
        return f"the embedded cloud gives the provider its credentials: take aws:{key} out of the stack's configuration"
    return f"aws:{key} is not a setting that the embedded cloud knows ({', '.join(sorted(_CONFIGURATION))})"


def _configuration(request: Any) -> Values:
    """Read the configuration, in which the SDK sends anything but a string as JSON."""
    values = decode(request.args)[0] if request.HasField("args") else {}
    for key, text in request.variables.items():
        values.setdefault(key.rsplit(":", 1)[-1], text)
    for key in ("defaultTags", "allowedAccountIds", "endpoints"):
        if isinstance(values.get(key), str):
            values[key] = json.loads(values[key])
    return {key: value for key, value in values.items() if value is not UNKNOWN}


@dataclass(frozen=True)
class Serving:
    """A provider that is being served.

    Attributes
    ----------
    address
        Host and port, as `127.0.0.1:4711`.
    """

    address: str
    _server: grpc.Server

    def stop(self) -> None:
        """Finish what runs, for at most five seconds, and stop."""
        self._server.stop(5).wait()


def serve(
    endpoint: str,
    credentials: tuple[str, str, str | None],
    port: int = 0,
    *,
    region: str = REGION,
    account: str = ACCOUNT,
) -> Serving:
    """Serve the provider on 127.0.0.1.

    Parameters
    ----------
    endpoint, credentials
        Of the embedded cloud; the credentials are access key id, secret access key, and session token or None.
    port
        0 for a free one.

    Raises
    ------
    RuntimeError
        If the port is taken.
    """
    options = [("grpc.max_receive_message_length", _MAX_MESSAGE), ("grpc.max_send_message_length", _MAX_MESSAGE)]
    server = grpc.server(futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="provider"), options=options)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(
        AwsProvider(endpoint, credentials, region, account), server
    )
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return Serving(f"127.0.0.1:{bound}", server)


def main() -> None:
    """Serve as a plugin: print the port, then wait to be ended. Credentials come from the environment."""
    parser = argparse.ArgumentParser(
        description="Pulumi's AWS plugin over the embedded cloud.",
        epilog="example: PULUMI_DEBUG_PROVIDERS=aws:PORT pulumi preview",
    )
    parser.add_argument("--endpoint", required=True, help="URL of the embedded cloud")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--region", default=REGION)
    given = parser.parse_args()
    try:
        credentials = (
            os.environ["AWS_ACCESS_KEY_ID"],
            os.environ["AWS_SECRET_ACCESS_KEY"],
            os.environ.get("AWS_SESSION_TOKEN"),
        )
    except KeyError as missing:
        parser.error(f"the environment variable {missing} is not set")
    serving = serve(given.endpoint, credentials, given.port, region=given.region)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    print(serving.address.rpartition(":")[2], flush=True)  # noqa: T201  (the plugin protocol reads the port here)
    ended.wait()
    serving.stop()


if __name__ == "__main__":
    main()
