"""ImageBuild: a container image built and pushed by the program itself, where other accounts may pull it from.

- repository, protected: tags cannot be moved, every push is scanned, old images go
- policy: Lambda of this account and of the named ones may pull, nobody else
- image, built once per content; what it is deployed by is its digest

Building needs Docker's BuildKit on the machine that runs the deployment, logged in to the registry.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pulumi
import pulumi_aws as aws
import pulumi_docker_build as docker

from components.artefact import Build, BuiltImage
from components.image_source import ImageSource
from components.package import package
from components.refused import RefusedError

UNTAGGED_DAYS = 14
#: Ones that other stacks still name are among these as long as they are promoted before so many newer are built.
KEPT_IMAGES = 200
#: "Lambda supports images with manifests", not indexes, and BuildKit's attestations make every push an index:
#: https://github.com/docker/buildx/issues/1533. Neither Pulumi nor the provider has an argument for it.
NO_ATTESTATIONS = "BUILDX_NO_DEFAULT_ATTESTATIONS"
_PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


class ImageBuild(pulumi.ComponentResource):
    """A repository, and the image that is built into it.

    Parameters
    ----------
    name
        Name of the component in the program.
    prefix
        Prefix of the repository's name.
    source
        What is built.
    build
        Who may pull, and whether an image built before is deployed instead of a new one.

    Raises
    ------
    RefusedError
        A source or a context is not there, or the image would be one that Lambda does not run.
    """

    def __init__(
        self,
        name: str,
        prefix: str,
        source: ImageSource,
        build: Build,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("worker-flows:index:ImageBuild", name, {}, opts)
        self.repository = aws.ecr.Repository(
            f"{name}-repository",
            name=f"{prefix}/{source.repository}",
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[{"encryption_type": "AES256"}],
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        child = pulumi.ResourceOptions(parent=self)
        aws.ecr.LifecyclePolicy(
            f"{name}-lifecycle", repository=self.repository.name, policy=json.dumps(_LIFECYCLE), opts=child
        )
        access = aws.ecr.RepositoryPolicy(
            f"{name}-access", repository=self.repository.name, policy=_access(build.pull_accounts), opts=child
        )
        digest = build.pinned or self._built(name, source)
        self.image = BuiltImage(pulumi.Output.concat(self.repository.repository_url, "@", digest), access)
        self.register_outputs({"image": self.image.reference})

    def _built(self, name: str, source: ImageSource) -> pulumi.Output[str]:
        _require_context(source)
        content = package([source.dockerfile, *source.sources]).sha256
        image = docker.Image(
            f"{name}-image",
            context={
                "location": ".",
                "named": {each: {"location": folder} for each, folder in sorted(source.contexts.items())},
            },
            dockerfile={"location": source.dockerfile},
            platforms=["linux/amd64"],
            tags=[pulumi.Output.concat(self.repository.repository_url, ":", content[:32])],
            push=True,
            build_on_preview=False,
            # Another stack may run it, and a rollback may want it: only the lifecycle takes images away.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
        )
        digest: pulumi.Output[str] = image.digest
        return digest


_LIFECYCLE = {
    "rules": [
        {
            "rulePriority": 1,
            "description": "what no tag names",
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": UNTAGGED_DAYS,
            },
            "action": {"type": "expire"},
        },
        {
            "rulePriority": 2,
            "description": "the oldest of very many",
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": KEPT_IMAGES},
            "action": {"type": "expire"},
        },
    ]
}


def _access(accounts: Sequence[str]) -> pulumi.Output[str]:
    """Write the policy of "Amazon ECR cross-account permissions" in AWS's guide to Lambda's container images."""

    def written(own: str, region: str, partition: str) -> str:
        known = sorted({own, *accounts})
        functions = [f"arn:{partition}:lambda:{region}:{account}:function:*" for account in known]
        statements = [
            {
                "Sid": "AccountsPull",
                "Effect": "Allow",
                "Principal": {"AWS": [f"arn:{partition}:iam::{account}:root" for account in known]},
                "Action": _PULL,
            },
            {
                "Sid": "TheirFunctionsPull",
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": _PULL,
                "Condition": {"StringLike": {"aws:sourceArn": functions}},
            },
        ]
        return json.dumps({"Version": "2012-10-17", "Statement": statements}, sort_keys=True)

    return pulumi.Output.all(
        aws.get_caller_identity_output().account_id,
        aws.get_region_output().region,
        aws.get_partition_output().partition,
    ).apply(lambda parts: written(*parts))


def _require_context(source: ImageSource) -> None:
    for name, folder in sorted(source.contexts.items()):
        if not (Path.cwd() / folder).is_dir():
            raise RefusedError(f"The image needs the context {name!r} in {folder!r}, which is not there; put it there.")
    if not pulumi.runtime.is_dry_run() and os.environ.get(NO_ATTESTATIONS) != "1":
        raise RefusedError(
            f"{NO_ATTESTATIONS} is not 1, so BuildKit would push an image index, which Lambda refuses after the push; "
            "set it for the deployment."
        )
