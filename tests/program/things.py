"""Resources without a schema, for programs that test the engine: no SDK of several million lines to import."""

from __future__ import annotations

from typing import Any

import pulumi


class Thing(pulumi.CustomResource):
    """A resource of the package ``test``; every keyword is an input, `arn` and `url` are outputs."""

    arn: pulumi.Output[str]
    url: pulumi.Output[str]

    def __init__(
        self, name: str, opts: pulumi.ResourceOptions | None = None, type_: str = "test:index:Thing", **props: Any
    ) -> None:
        super().__init__(type_, name, {"arn": None, "url": None, **props}, opts)


class Box(pulumi.ComponentResource):
    """A component that holds one `Thing` named after it."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None, **props: Any) -> None:
        super().__init__("test:index:Box", name, {}, opts)
        self.inner = Thing(f"{name}-inner", opts=pulumi.ResourceOptions(parent=self), **props)
        self.register_outputs({"arn": self.inner.arn})


class Provider(pulumi.ProviderResource):
    """An explicit provider of the package ``test``."""

    def __init__(self, name: str, **props: Any) -> None:
        super().__init__("test", name, props)


def options(**given: Any) -> pulumi.ResourceOptions:
    """Shorten `pulumi.ResourceOptions`."""
    return pulumi.ResourceOptions(**given)
