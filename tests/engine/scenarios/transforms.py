"""Transforms, of the stack and of one component, change properties and options before the resource is registered."""

import pulumi

from tests.engine.scenario import Group, Step, Thing

STEPS = [
    Step("make"),
    Step("preview with the transforms", "preview", {"transform": "yes"}),
    Step("with the transforms", config={"transform": "yes"}),
    Step("what a transform protects", "destroy", says="because it is protected"),
]


def _tag(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    if not args.custom:
        return None
    return pulumi.ResourceTransformResult({**args.props, "tag": "by the stack"}, args.opts)


def _protect(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult:
    options = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(protect=True))
    return pulumi.ResourceTransformResult(args.props, options)


def program() -> None:
    """A free resource, and one under a component whose transform protects its children."""
    transform = pulumi.Config().get("transform")
    if transform:
        pulumi.runtime.register_resource_transform(_tag)
    Thing("a", size=1)
    options = pulumi.ResourceOptions(transforms=[_protect]) if transform else None
    Thing("child", pulumi.ResourceOptions(parent=Group("group", options)), size=1)
