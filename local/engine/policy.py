"""Policy packs over the analyzer protocol: each resource before it is touched, the whole stack at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import grpc
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from local.engine.errors import EngineError
from local.engine.properties import Marshal, unmarshal
from local.engine.provider import GRPC_OPTIONS
from local.engine.state import ResourceState
from local.engine.values import PropertyMap

if TYPE_CHECKING:
    from local.engine.context import Context, Goal
    from local.engine.tracker import Tracker

_ADVISORY: Final = 0
_DISABLED: Final = 2


class Analyzer:
    """A client of one policy pack.

    Parameters
    ----------
    address
        Where the pack listens, ``127.0.0.1:N``.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._channel = grpc.insecure_channel(address, options=GRPC_OPTIONS)
        self._stub = analyzer_pb2_grpc.AnalyzerStub(self._channel)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def configure(self, project: str, stack: str, config: Mapping[str, str], *, dry_run: bool) -> None:
        """Tell the pack which stack it looks at; a pack that does not ask for that is left alone."""
        request = analyzer_pb2.AnalyzerStackConfigureRequest(
            project=project, stack=stack, dry_run=dry_run, config=dict(config)
        )
        try:
            self._stub.ConfigureStack(request)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNIMPLEMENTED:
                raise self._failure(error) from error

    def analyze(self, request: analyzer_pb2.AnalyzeRequest) -> list[analyzer_pb2.AnalyzeDiagnostic]:
        """Look at one resource."""
        return list(self._ask("Analyze", request).diagnostics)

    def analyze_stack(self, request: analyzer_pb2.AnalyzeStackRequest) -> list[analyzer_pb2.AnalyzeDiagnostic]:
        """Look at all resources."""
        return list(self._ask("AnalyzeStack", request).diagnostics)

    def remediate(self, request: analyzer_pb2.AnalyzeRequest) -> list[analyzer_pb2.Remediation]:
        """Ask for corrected properties."""
        return list(self._ask("Remediate", request).remediations)

    def _ask(self, method: str, request: Any) -> Any:
        try:
            return getattr(self._stub, method)(request)
        except grpc.RpcError as error:
            raise self._failure(error) from error

    def _failure(self, error: grpc.RpcError) -> EngineError:
        if error.code() == grpc.StatusCode.UNAVAILABLE:
            return EngineError(f"the policy pack does not answer at {self._address}")
        return EngineError(f"failed to run policy: {error.details()}")


def analyze(ctx: Context, tracker: Tracker, new: ResourceState, goal: Goal) -> bool:
    """Let every policy pack correct and judge a resource; tell whether a mandatory policy is violated.

    Corrected properties are written into ``new.inputs``.
    """
    violated = False
    for analyzer in ctx.analyzers:
        for remediation in analyzer.remediate(_request(ctx, tracker, new, goal, new.inputs)):
            if remediation.diagnostic:
                ctx.diagnostics.warning(new.urn, f"[{remediation.policyName}] {remediation.diagnostic}")
            elif remediation.HasField("properties"):
                new.inputs = unmarshal(remediation.properties)
                ctx.diagnostics.info(new.urn, f"[{remediation.policyName}] corrected the resource's properties")
    for analyzer in ctx.analyzers:
        found = analyzer.analyze(_request(ctx, tracker, new, goal, new.inputs))
        violated |= _report(ctx, found, new.urn)
    return violated


def analyze_stack(ctx: Context, tracker: Tracker, root: str) -> bool:
    """Let every policy pack judge the stack; tell whether a mandatory policy is violated."""
    if not ctx.analyzers:
        return False
    resources = [_stack_resource(ctx, tracker, state) for _, state in sorted(ctx.news.items())]
    request = analyzer_pb2.AnalyzeStackRequest(resources=resources)
    found = [_report(ctx, analyzer.analyze_stack(request), root) for analyzer in ctx.analyzers]
    return any(found)


def _report(ctx: Context, found: list[analyzer_pb2.AnalyzeDiagnostic], urn: str) -> bool:
    mandatory = False
    for violation in found:
        if violation.enforcementLevel == _DISABLED:
            continue
        where = violation.urn if violation.urn in ctx.news else urn
        pack = f"{violation.policyPackName}: " if violation.policyPackName else ""
        text = f"[{pack}{violation.policyName}] {violation.message or violation.description}"
        if violation.enforcementLevel == _ADVISORY:
            ctx.diagnostics.warning(where, text)
        else:
            ctx.diagnostics.error(where, text)
            mandatory = True
    return mandatory


def _request(
    ctx: Context, tracker: Tracker, new: ResourceState, goal: Goal, props: PropertyMap
) -> analyzer_pb2.AnalyzeRequest:
    return analyzer_pb2.AnalyzeRequest(
        type=new.type,
        name=new.name,
        urn=new.urn,
        properties=Marshal().struct(props),
        options=_options(new, goal.delete_before_replace),
        provider=_provider(ctx, tracker, new),
    )


def _stack_resource(ctx: Context, tracker: Tracker, state: ResourceState) -> analyzer_pb2.AnalyzerResource:
    goal = ctx.goals.get(state.urn)
    dependencies = {
        key: analyzer_pb2.AnalyzerPropertyDependencies(urns=deps) for key, deps in state.property_dependencies.items()
    }
    return analyzer_pb2.AnalyzerResource(
        type=state.type,
        name=state.name,
        urn=state.urn,
        properties=Marshal().struct(state.outputs),
        options=_options(state, goal.delete_before_replace if goal else None),
        provider=_provider(ctx, tracker, state),
        parent=state.parent,
        dependencies=state.dependencies,
        propertyDependencies=dependencies,
    )


def _options(state: ResourceState, delete_before_replace: bool | None) -> analyzer_pb2.AnalyzerResourceOptions:
    return analyzer_pb2.AnalyzerResourceOptions(
        protect=state.protect,
        ignoreChanges=state.ignore_changes,
        deleteBeforeReplace=bool(delete_before_replace),
        deleteBeforeReplaceDefined=delete_before_replace is not None,
        additionalSecretOutputs=state.additional_secret_outputs,
        aliases=state.aliases,
        customTimeouts=analyzer_pb2.AnalyzerResourceOptions.CustomTimeouts(**state.timeouts),
        parent=state.parent,
    )


def _provider(ctx: Context, tracker: Tracker, state: ResourceState) -> analyzer_pb2.AnalyzerProviderResource | None:
    urn = state.provider.rpartition("::")[0]
    provider = tracker.providers.get(urn) or ctx.olds.get(urn)
    if provider is None:
        return None
    return analyzer_pb2.AnalyzerProviderResource(
        type=provider.type, name=provider.name, urn=provider.urn, properties=Marshal().struct(provider.inputs)
    )
