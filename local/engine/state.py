"""What the engine knows of one resource, and the JSON form in which the Pulumi CLI shows and stores it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from local.engine import urns
from local.engine.values import PropertyMap

# Python attribute -> key in the CLI's JSON (sdk/go/common/apitype/core.go, ResourceV3).
_PLAIN_KEYS: Final = {
    "delete": "delete",
    "id": "id",
    "parent": "parent",
    "protect": "protect",
    "external": "external",
    "dependencies": "dependencies",
    "init_errors": "initErrors",
    "provider": "provider",
    "property_dependencies": "propertyDependencies",
    "pending_replacement": "pendingReplacement",
    "additional_secret_outputs": "additionalSecretOutputs",
    "aliases": "aliases",
    "timeouts": "customTimeouts",
    "import_id": "importID",
    "retain_on_delete": "retainOnDelete",
    "created": "created",
    "modified": "modified",
    "ignore_changes": "ignoreChanges",
    "replace_on_changes": "replaceOnChanges",
    "hooks": "resourceHooks",
}


@dataclass(eq=False)
class ResourceState:
    """One resource as last seen; compared by identity, because an old and a new state may share a URN."""

    type: str
    urn: str
    custom: bool
    id: str = ""
    inputs: PropertyMap = field(default_factory=dict)
    outputs: PropertyMap = field(default_factory=dict)
    parent: str = ""
    protect: bool = False
    external: bool = False
    delete: bool = False
    dependencies: list[str] = field(default_factory=list)
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    provider: str = ""
    pending_replacement: bool = False
    additional_secret_outputs: list[str] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    timeouts: dict[str, float] = field(default_factory=dict)
    import_id: str = ""
    retain_on_delete: bool = False
    ignore_changes: list[str] = field(default_factory=list)
    replace_on_changes: list[str] = field(default_factory=list)
    hooks: dict[str, list[str]] = field(default_factory=dict)
    init_errors: list[str] = field(default_factory=list)
    created: str = ""
    modified: str = ""

    @property
    def name(self) -> str:
        """The resource's name."""
        return urns.name_of(self.urn)

    @property
    def is_provider(self) -> bool:
        """Whether this is a provider resource."""
        return urns.is_provider_type(self.type)

    def copy(self, **changes: Any) -> ResourceState:
        """Give a copy whose lists and maps can be changed apart from this one's."""
        other = copy.deepcopy(self)
        for name, value in changes.items():
            setattr(other, name, value)
        return other

    def dependency_urns(self, *, with_parent: bool) -> set[str]:
        """Collect the URNs this resource depends on, its provider's among them."""
        found = set(self.dependencies).union(*self.property_dependencies.values())
        if self.provider:
            found.add(urns.split_reference(self.provider)[0])
        if with_parent and self.parent:
            found.add(self.parent)
        return found

    def to_json(self, values: Callable[[PropertyMap], PropertyMap]) -> dict[str, Any]:
        """Give the JSON form; empty keys are left out, as the CLI does.

        Parameters
        ----------
        values
            Writes the property maps: masked for display, encrypted for storage.
        """
        form: dict[str, Any] = {"urn": self.urn, "custom": self.custom, "type": self.type}
        form.update({"inputs": values(self.inputs), "outputs": values(self.outputs)})
        form.update({key: getattr(self, name) for name, key in _PLAIN_KEYS.items()})
        return {key: value for key, value in form.items() if key == "custom" or value not in (None, "", False, [], {})}

    @classmethod
    def from_json(cls, form: dict[str, Any], values: Callable[[Any], PropertyMap]) -> ResourceState:
        """Read the JSON form; ``values`` reads the property maps."""
        plain = {name: form[key] for name, key in _PLAIN_KEYS.items() if key in form}
        return cls(
            type=form["type"],
            urn=form["urn"],
            custom=form["custom"],
            inputs=values(form.get("inputs", {})),
            outputs=values(form.get("outputs", {})),
            **plain,
        )
