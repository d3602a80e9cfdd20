"""Reads what the SDK registers into a goal: transforms, providers, aliases, dependencies; refuses by name the rest."""

from __future__ import annotations

import re
import threading
from typing import Final

from pulumi.runtime.proto import alias_pb2, callback_pb2, resource_pb2

from local.engine import urns
from local.engine.callbacks import hook_names
from local.engine.context import Alias, Goal
from local.engine.deployment import Deployment
from local.engine.errors import EngineError, UnsupportedError
from local.engine.properties import unmarshal
from local.engine.values import PropertyMap, downgrade_outputs, output_dependencies, upgrade_to_outputs

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_ENGINE_PACKAGE: Final = "pulumi"


class Registrar:
    """Turns registration requests into goals, with what children inherit from their parents.

    Parameters
    ----------
    deployment
        Gives default providers and runs callbacks.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._ctx = deployment.ctx
        self._lock = threading.Lock()
        self.stack_transforms: list[callback_pb2.Callback] = []
        self._transforms: dict[str, list[callback_pb2.Callback]] = {}
        self._parents: dict[str, str] = {}
        self._component_providers: dict[str, dict[str, str]] = {}

    def goal(self, request: resource_pb2.RegisterResourceRequest) -> Goal:
        """Read a request into a goal.

        Raises
        ------
        EngineError
            If it asks for something that this engine does not do, or a transform fails.
        """
        _refuse_unsupported(request)
        parent = self._ctx.goals.get(request.parent)
        protect = request.protect if request.HasField("protect") else parent.protect if parent else None
        retain = request.retainOnDelete if request.HasField("retainOnDelete") else None
        if retain is None and parent:
            retain = parent.retain_on_delete
        props = unmarshal(request.object, self._ctx.folder)
        dependencies = _property_dependencies(request, props)
        if request.transforms:
            props = upgrade_to_outputs(props, dependencies)
        props, options = self._transform(request, props, self._options(request, protect, retain))
        _refuse_unsupported_options(options)
        if request.transforms:
            # A resource with transforms of its own gets its dependencies from what they returned.
            dependencies = {}
        for key, value in props.items():
            dependencies.setdefault(key, set()).update(output_dependencies(value))
        all_dependencies = set(options.depends_on)
        if request.transforms:
            all_dependencies = all_dependencies.union(*dependencies.values())
        return Goal(
            type=request.type,
            name=request.name,
            custom=request.custom,
            props=downgrade_outputs(props),
            parent=request.parent,
            protect=options.protect if options.HasField("protect") else None,
            dependencies=sorted(all_dependencies),
            property_dependencies={key: sorted(deps) for key, deps in dependencies.items()},
            provider=self._provider(request, options),
            delete_before_replace=options.delete_before_replace if options.HasField("delete_before_replace") else None,
            ignore_changes=list(options.ignore_changes),
            replace_on_changes=list(options.replace_on_changes),
            additional_secret_outputs=list(options.additional_secret_outputs),
            aliases=[_alias(alias) for alias in options.aliases],
            import_id=getattr(options, "import"),
            timeouts=_timeouts(options.custom_timeouts),
            retain_on_delete=options.retain_on_delete if options.HasField("retain_on_delete") else None,
            hooks=hook_names(options.hooks),
        )

    def settled(self, request: resource_pb2.RegisterResourceRequest, urn: str) -> None:
        """Remember what the resource's children inherit."""
        with self._lock:
            self._parents[urn] = request.parent
            self._transforms[urn] = list(request.transforms)
            if not request.custom:
                inherited = self._component_providers.get(request.parent, {})
                self._component_providers[urn] = {**inherited, **request.providers}

    def resolve_provider(self, given: str, providers: dict[str, str], parent: str, package: str) -> str:
        """Give the explicit provider of a resource: its own, or its component's; empty for the default one."""
        if given:
            return given
        with self._lock:
            return providers.get(package) or self._component_providers.get(parent, {}).get(package, "")

    def _transform(
        self,
        request: resource_pb2.RegisterResourceRequest,
        props: PropertyMap,
        options: resource_pb2.TransformResourceOptions,
    ) -> tuple[PropertyMap, resource_pb2.TransformResourceOptions]:
        with self._lock:
            transforms = list(request.transforms)
            ancestor = request.parent
            while ancestor:
                transforms.extend(self._transforms.get(ancestor, ()))
                ancestor = self._parents.get(ancestor, "")
            transforms.extend(self.stack_transforms)
        for callback in transforms:
            call = resource_pb2.TransformRequest(
                type=request.type, name=request.name, custom=request.custom, parent=request.parent, options=options
            )
            props, options = self._ctx.callbacks.transform(callback, call, props)
        return props, options

    def _options(
        self, request: resource_pb2.RegisterResourceRequest, protect: bool | None, retain: bool | None
    ) -> resource_pb2.TransformResourceOptions:
        package = urns.package_of(request.type)
        provider = request.provider
        if request.custom:
            provider = self.resolve_provider(request.provider, dict(request.providers), request.parent, package)
        replace_first = request.deleteBeforeReplaceDefined or request.deleteBeforeReplace
        options = resource_pb2.TransformResourceOptions(
            depends_on=request.dependencies,
            protect=protect,
            ignore_changes=request.ignoreChanges,
            replace_on_changes=request.replaceOnChanges,
            version=request.version,
            aliases=[*(alias_pb2.Alias(urn=urn) for urn in request.aliasURNs), *request.aliases],
            provider=provider,
            providers=request.providers,
            plugin_download_url=request.pluginDownloadURL,
            retain_on_delete=retain,
            delete_before_replace=request.deleteBeforeReplace if replace_first else None,
            additional_secret_outputs=request.additionalSecretOutputs,
            hide_diff=request.hideDiffs,
        )
        setattr(options, "import", request.importId)  # a keyword in Python
        if request.HasField("customTimeouts"):
            options.custom_timeouts.CopyFrom(request.customTimeouts)
        if request.HasField("hooks"):
            options.hooks.CopyFrom(request.hooks)
        return options

    def _provider(
        self, request: resource_pb2.RegisterResourceRequest, options: resource_pb2.TransformResourceOptions
    ) -> str:
        if not request.custom or urns.is_provider_type(request.type):
            return ""
        return self.provider_reference(options.provider, urns.package_of(request.type), options.version, request.type)

    def provider_reference(self, given: str, package: str, version: str, token: str) -> str:
        """Give the reference of the provider that serves a type or function; the default one if none is given.

        Raises
        ------
        EngineError
            If the reference is malformed, or the package is the engine's own.
        """
        if package == _ENGINE_PACKAGE:
            raise UnsupportedError(f"{token}")
        if not given:
            return self._deployment.default_provider(package, version)
        try:
            urns.split_reference(given)
        except ValueError as error:
            raise EngineError(f"bad provider reference '{given}' for '{token}': {error}") from error
        return given


def _refuse_unsupported(request: resource_pb2.RegisterResourceRequest) -> None:
    what = f"{request.type} {request.name!r}"
    refused = {
        f"a remote component ({what})": request.remote,
        f"a state migration ({what})": bool(request.state_migrations),
        f"a parameterized package ({what})": bool(request.packageRef),
        f"env_var_mappings ({what})": bool(request.envVarMappings),
        f"replacement_trigger ({what})": request.HasField("replacement_trigger"),
        f"replace_with ({what})": bool(request.replace_with),
        f"deleted_with ({what})": bool(request.deletedWith),
    }
    for name, asked in refused.items():
        if asked:
            raise UnsupportedError(name)


def _refuse_unsupported_options(options: resource_pb2.TransformResourceOptions) -> None:
    if options.deleted_with:
        raise UnsupportedError("deleted_with, set by a transform,")
    if options.replace_with:
        raise UnsupportedError("replace_with, set by a transform,")


def _property_dependencies(request: resource_pb2.RegisterResourceRequest, props: PropertyMap) -> dict[str, set[str]]:
    if not request.propertyDependencies:
        return {key: set(request.dependencies) for key in props}
    return {key: set(deps.urns) for key, deps in request.propertyDependencies.items()}


def _alias(alias: alias_pb2.Alias) -> Alias:
    if alias.WhichOneof("alias") == "urn":
        return Alias(urn=alias.urn)
    spec = alias.spec
    return Alias(
        name=spec.name,
        type=spec.type,
        stack=spec.stack,
        project=spec.project,
        parent=spec.parentUrn,
        no_parent=spec.noParent,
    )


def _timeouts(given: resource_pb2.RegisterResourceRequest.CustomTimeouts) -> dict[str, float]:
    pairs = {kind: getattr(given, kind) for kind in ("create", "update", "delete", "read")}
    return {kind: seconds(text) for kind, text in pairs.items() if text}


def seconds(duration: str) -> float:
    """Read a duration as Go writes it (``1h30m``, ``45s``).

    Raises
    ------
    EngineError
        If it is malformed.
    """
    parts = _DURATION.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise EngineError(f"unable to parse customTimeout value {duration!r}: write it as 45s, 10m or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
