# ruff: noqa: N802  the methods are named as in the protocol
"""The gRPC services that the SDK talks to: ResourceMonitor and Engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any, Final, NoReturn, TypeVar

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import (
    callback_pb2,
    engine_pb2,
    engine_pb2_grpc,
    provider_pb2,
    resource_pb2,
    resource_pb2_grpc,
)

from local.engine import urns
from local.engine.callbacks import Hook
from local.engine.context import Goal
from local.engine.deployment import Deployment
from local.engine.diagnostics import Severity
from local.engine.errors import EngineError, UnsupportedError
from local.engine.executor import AbortedError
from local.engine.properties import Marshal, unmarshal
from local.engine.provider import GRPC_OPTIONS
from local.engine.registration import Registrar
from local.engine.values import PropertyMap, contains_unknowns
from local.wire import UNKNOWN_STRING

# Each registration under way holds a thread; the SDK has at most 4 x parallel of them, and callbacks come on top.
_THREADS: Final = 160
T = TypeVar("T")
_SEVERITIES: Final[dict[int, Severity]] = {0: "debug", 1: "info", 2: "warning", 3: "error"}


class Monitor(resource_pb2_grpc.ResourceMonitorServicer, engine_pb2_grpc.EngineServicer):  # type: ignore[misc]
    """Serves one run of the program.

    Attributes
    ----------
    registered
        Set when the program has registered everything and waits for the end.
    finished
        To be set when the engine is done; the program may then go.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._ctx = deployment.ctx
        self._registrar = Registrar(deployment)
        self._root = ""
        self.registered = threading.Event()
        self.finished = threading.Event()
        self._server = grpc.server(futures.ThreadPoolExecutor(_THREADS), options=GRPC_OPTIONS)
        resource_pb2_grpc.add_ResourceMonitorServicer_to_server(self, self._server)
        engine_pb2_grpc.add_EngineServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self) -> None:
        """Stop serving."""
        self.finished.set()
        self._server.stop(grace=None).wait()

    # --- Engine ---------------------------------------------------------------------------------------------------

    def Log(self, request: engine_pb2.LogRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        severity = _SEVERITIES[request.severity]
        # Once the deployment has stopped, what the program complains of is the stop itself.
        if not (severity == "error" and self._deployment.executor.stopped) and not request.ephemeral:
            self._ctx.diagnostics.say(severity, request.urn, request.message)
        return empty_pb2.Empty()

    def GetRootResource(
        self, request: engine_pb2.GetRootResourceRequest, context: grpc.ServicerContext
    ) -> engine_pb2.GetRootResourceResponse:
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def SetRootResource(
        self, request: engine_pb2.SetRootResourceRequest, context: grpc.ServicerContext
    ) -> engine_pb2.SetRootResourceResponse:
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    def StartDebugging(
        self, request: engine_pb2.StartDebuggingRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    def RequirePulumiVersion(
        self, request: engine_pb2.RequirePulumiVersionRequest, context: grpc.ServicerContext
    ) -> engine_pb2.RequirePulumiVersionResponse:
        answer: engine_pb2.RequirePulumiVersionResponse = self._answer(context, _refuser("require_pulumi_version"))
        return answer

    # --- ResourceMonitor: what it can -----------------------------------------------------------------------------

    def SupportsFeature(
        self, request: resource_pb2.SupportsFeatureRequest, context: grpc.ServicerContext
    ) -> resource_pb2.SupportsFeatureResponse:
        return resource_pb2.SupportsFeatureResponse(hasSupport=True)

    def GetDeploymentInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> resource_pb2.DeploymentInfo:
        return resource_pb2.DeploymentInfo(
            project=self._ctx.project,
            stack=self._ctx.stack,
            organization="organization",
            dryRun=self._ctx.dry_run,
            # Every one, SECRETS among them, whose number is 0: an SDK that misses it sends secrets as plain text.
            supportedFeatures=list(resource_pb2.ResourceMonitorFeature.values()),
        )

    # --- ResourceMonitor: resources -------------------------------------------------------------------------------

    def RegisterResource(
        self, request: resource_pb2.RegisterResourceRequest, context: grpc.ServicerContext
    ) -> resource_pb2.RegisterResourceResponse:
        def register() -> resource_pb2.RegisterResourceResponse:
            goal = self._registrar.goal(request)
            state, unknown = self._deployment.register(goal)
            self._registrar.settled(request, state.urn)
            outputs = state.outputs if request.custom else {}
            return resource_pb2.RegisterResourceResponse(
                urn=state.urn,
                id="" if state.id == UNKNOWN_STRING and not state.is_provider else state.id,
                object=_sent(outputs, request),
                unknown=unknown,
            )

        return self._answer(context, register, urn=self._urn(request))

    def ReadResource(
        self, request: resource_pb2.ReadResourceRequest, context: grpc.ServicerContext
    ) -> resource_pb2.ReadResourceResponse:
        def read() -> resource_pb2.ReadResourceResponse:
            package = urns.package_of(request.type)
            provider = self._registrar.resolve_provider(request.provider, {}, request.parent, package)
            goal = Goal(
                type=request.type,
                name=request.name,
                custom=True,
                props=unmarshal(request.properties, self._ctx.folder),
                parent=request.parent,
                dependencies=list(request.dependencies),
                provider=self._registrar.provider_reference(provider, package, request.version, request.type),
                additional_secret_outputs=list(request.additionalSecretOutputs),
            )
            state = self._deployment.read(goal, request.id)
            return resource_pb2.ReadResourceResponse(
                urn=state.urn, id=state.id, properties=Marshal().struct(state.outputs)
            )

        return self._answer(context, read)

    def RegisterResourceOutputs(
        self, request: resource_pb2.RegisterResourceOutputsRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        def take() -> empty_pb2.Empty:
            self._deployment.register_outputs(request.urn, unmarshal(request.outputs, self._ctx.folder))
            return empty_pb2.Empty()

        return self._answer(context, take, urn=request.urn)

    # --- ResourceMonitor: functions -------------------------------------------------------------------------------

    def Invoke(
        self, request: resource_pb2.ResourceInvokeRequest, context: grpc.ServicerContext
    ) -> resource_pb2.ResourceInvokeResponse:
        def invoke() -> resource_pb2.ResourceInvokeResponse:
            if request.packageRef:
                raise UnsupportedError(f"a parameterized package (function {request.tok})")
            if self._waits_for(list(request.dependsOn)):
                return resource_pb2.ResourceInvokeResponse(unknown=True)
            package = urns.package_of(request.tok)
            given = self._registrar.resolve_provider(request.provider, {}, request.parent, package)
            reference = self._registrar.provider_reference(given, package, request.version, request.tok)
            client = self._ctx.registry.find(reference)
            if client is None:
                raise EngineError(f"unknown provider '{reference}' for function {request.tok}")
            answer = client.invoke(request.tok, unmarshal(request.args, self._ctx.folder), preview=self._ctx.dry_run)
            failures = [provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in answer.failures]
            response = resource_pb2.ResourceInvokeResponse(failures=failures)
            getattr(response, "return").CopyFrom(Marshal().struct(answer.inputs))
            return response

        return self._answer(context, invoke)

    def _waits_for(self, dependencies: list[str]) -> bool:
        """Tell whether a function has to wait for resources that only this update would make."""
        states = [self._ctx.news.get(urn) for urn in dependencies]
        return any(s is not None and s.custom and (not s.id or contains_unknowns(s.outputs)) for s in states)

    # --- ResourceMonitor: callbacks -------------------------------------------------------------------------------

    def RegisterStackTransform(self, request: callback_pb2.Callback, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._registrar.stack_transforms.append(request)
        return empty_pb2.Empty()

    def RegisterResourceHook(
        self, request: resource_pb2.RegisterResourceHookRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        def register() -> empty_pb2.Empty:
            hook = Hook(request.callback, request.on_dry_run, request.ignore_errors)
            self._ctx.callbacks.register_hook(request.name, hook)
            return empty_pb2.Empty()

        return self._answer(context, register)

    def SignalAndWaitForShutdown(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self.registered.set()
        self.finished.wait()
        return empty_pb2.Empty()

    # --- ResourceMonitor: refused ---------------------------------------------------------------------------------

    def Call(self, request: resource_pb2.ResourceCallRequest, context: grpc.ServicerContext) -> Any:
        return self._answer(context, _refuser(f"a method call on a component ({request.tok})"))

    def ExistsResource(self, request: resource_pb2.ExistsResourceRequest, context: grpc.ServicerContext) -> Any:
        return self._answer(context, _refuser(f"an existence check ({request.type})"))

    def RegisterStackInvokeTransform(self, request: callback_pb2.Callback, context: grpc.ServicerContext) -> Any:
        return self._answer(context, _refuser("an invoke transform"))

    def RegisterErrorHook(self, request: resource_pb2.RegisterErrorHookRequest, context: grpc.ServicerContext) -> Any:
        return self._answer(context, _refuser(f"an error hook ({request.name})"))

    def RegisterPackage(self, request: resource_pb2.RegisterPackageRequest, context: grpc.ServicerContext) -> Any:
        return self._answer(context, _refuser(f"a parameterized package ({request.name})"))

    # --- how ------------------------------------------------------------------------------------------------------

    def _urn(self, request: resource_pb2.RegisterResourceRequest) -> str:
        return urns.make(self._ctx.stack, self._ctx.project, request.parent, request.type, request.name)

    def _answer(self, context: grpc.ServicerContext, work: Callable[[], T], urn: str = "") -> T:
        """Do the work; a refusal stops the deployment and is told once, as a diagnostic."""
        if self._deployment.executor.stopped:
            _abort(context, "resource monitor shut down")
        try:
            return work()
        except AbortedError:
            _abort(context, "resource monitor shut down")
        except EngineError as error:
            self._deployment.report(urn, error)
            _abort(context, str(error))


def _abort(context: grpc.ServicerContext, message: str) -> NoReturn:
    context.abort(grpc.StatusCode.UNAVAILABLE, message)
    raise AssertionError("abort raises")


def _refuser(what: str) -> Callable[[], Any]:
    def refuse() -> NoReturn:
        raise UnsupportedError(what)

    return refuse


def _sent(outputs: PropertyMap, request: resource_pb2.RegisterResourceRequest) -> Any:
    if not request.supportsPartialValues:
        outputs = {key: value for key, value in outputs.items() if not contains_unknowns(value)}
    return Marshal(secrets=request.acceptSecrets, resources=request.acceptResources).struct(outputs)
