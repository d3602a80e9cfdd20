"""ReleaseLog: the bucket that keeps what was deployed when, one object a deployment.

- bucket, closed and kept as in `private_bucket`; no function reaches it, operators and the pipeline do
"""

import pulumi

from components.private_bucket import private_bucket


class ReleaseLog(pulumi.ComponentResource):
    """The bucket of manifests.

    Parameters
    ----------
    name
        Name of the component in the program.
    bucket_name
        Name of the bucket.
    """

    def __init__(self, name: str, bucket_name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("worker-flows:index:ReleaseLog", name, {}, opts)
        self.bucket = private_bucket(name, bucket_name, self)
        self.register_outputs({"bucket": self.bucket.bucket})
