"""Resources as the SDK hands them to a policy, from the engine's own requests or written by hand."""

from google.protobuf import json_format
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc, plugin_pb2
from pulumi_policy.deserialize import SPECIAL_SECRET_SIG, SPECIAL_SIG_KEY, deserialize_properties
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from policies.model import Resource
from policies.pack import plain

#: A value that is not known yet, on the wire.
UNSETTLED = UNKNOWN_STRING_VALUE


def secret(value):
    """Mark a value as secret, as on the wire."""
    return {SPECIAL_SIG_KEY: SPECIAL_SECRET_SIG, "value": value}


def received(props):
    """Return properties as a rule receives them, by the SDK's own way in."""
    return plain(unknown_checking_proxy(deserialize_properties(props)))


def resource_of(request, depends=None):
    """Return the resource of an `AnalyzeRequest` or of an `AnalyzerResource`."""
    opts = request.options
    return Resource(
        type=request.type,
        name=request.name,
        urn=request.urn,
        props=received(json_format.MessageToDict(request.properties)),
        protect=opts.protect,
        ignored=tuple(opts.ignoreChanges),
        delete_before_replace=opts.deleteBeforeReplace if opts.deleteBeforeReplaceDefined else None,
        parent=opts.parent or None,
        depends=depends or {},
    )


def resources_of(request):
    """Return the resources of an `AnalyzeStackRequest`."""
    return [
        resource_of(each, {key: frozenset(value.urns) for key, value in each.propertyDependencies.items()})
        for each in request.resources
    ]


class Recorder(analyzer_pb2_grpc.AnalyzerServicer):
    """An analyzer that finds nothing and keeps what it was asked."""

    def __init__(self):
        self.inputs = []
        self.stacks = []

    def GetPluginInfo(self, request, context):  # noqa: N802
        return plugin_pb2.PluginInfo(version="0")

    def Analyze(self, request, context):  # noqa: N802
        self.inputs.append(request)
        return analyzer_pb2.AnalyzeResponse()

    def Remediate(self, request, context):  # noqa: N802
        return analyzer_pb2.RemediateResponse()

    def AnalyzeStack(self, request, context):  # noqa: N802
        self.stacks.append(request)
        return analyzer_pb2.AnalyzeResponse()
