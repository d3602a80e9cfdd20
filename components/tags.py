"""Tags on everything that takes them, in the inputs themselves, where a policy and a preview see them."""

from collections.abc import Mapping

import pulumi


def tagging(tags: Mapping[str, str]) -> pulumi.ResourceTransformation:
    """Return a transformation that tags every AWS resource that takes tags and has none of its own.

    Parameters
    ----------
    tags
        Names and values; the same on every resource.
    """

    def transformation(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if not args.type_.startswith("aws:") or "tags" not in args.props or args.props["tags"] is not None:
            return None
        return pulumi.ResourceTransformationResult({**args.props, "tags": dict(tags)}, args.opts)

    return transformation
