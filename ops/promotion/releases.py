"""The manifests of a stack in the bucket that its output `releases_bucket` names: one object a deployment, kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from ops.errors import UserError
from ops.promotion.manifest import Manifest, ManifestError, parse, stamp
from ops.stacks import StackHandle

FOLDER = "manifests/"


class Releases:
    """What was deployed to a stack, oldest first."""

    def __init__(self, handle: StackHandle) -> None:
        self._stack = handle.name
        self._bucket = str(handle.output("releases_bucket"))
        self._s3 = handle.client("s3")

    def key(self, manifest: Manifest) -> str:
        """Return where a manifest lies: when it was written, and the hash of what it says."""
        return f"{FOLDER}{stamp(manifest.written_at)}-{manifest.sha256}.json"

    def write(self, manifest: Manifest) -> str:
        """Keep a manifest; one that lies there already is never replaced.

        Raises
        ------
        UserError
            S3 did not take it.
        """
        key = self.key(manifest)
        with self._told(f"{key} cannot be written"):
            self._s3.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=manifest.to_bytes(),
                ContentType="application/json",
                IfNoneMatch="*",
            )
        return key

    def keys(self) -> list[str]:
        """List the manifests, oldest first.

        Raises
        ------
        UserError
            S3 does not say.
        """
        with self._told("its manifests cannot be listed"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=FOLDER)
            return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))

    def read(self, key: str) -> Manifest:
        """Read and verify a manifest.

        Raises
        ------
        UserError
            It is not there, or not as it was written; its key names its hash too.
        """
        with self._told(f"{key} cannot be read"):
            data = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        manifest = parse(data, key)
        if self.key(manifest) != key:
            raise ManifestError(key, "its name is that of another content")
        if manifest.stack != self._stack:
            raise ManifestError(key, f"it tells of the stack {manifest.stack}, and lies in the bucket of {self._stack}")
        return manifest

    def history(self) -> list[Manifest]:
        """Read all, oldest first.

        Raises
        ------
        UserError
            One cannot be relied on.
        """
        return [self.read(key) for key in self.keys()]

    def latest(self) -> Manifest:
        """Read what was deployed last.

        Raises
        ------
        UserError
            Nothing was, or it cannot be relied on.
        """
        keys = self.keys()
        if not keys:
            raise UserError(
                f"The stack {self._stack} has no manifest, so it is not known what was proven there.",
                f"After its deployment: ./bmx manifest write --stack {self._stack}",
                exit_code=1,
            )
        return self.read(keys[-1])

    def before(self, current: Manifest) -> Manifest:
        """Read what was deployed before; after a rollback that is what came before the restored one.

        Deployments that changed neither commit nor artefacts are passed over: going back to them changes nothing.

        Raises
        ------
        UserError
            There is nothing to go back to, or a manifest on the way cannot be relied on.
        """
        keys = self.keys()
        place = current.restores or current.sha256
        older = keys[: next((at for at, key in enumerate(keys) if place in key), 0)]
        for key in reversed(older):
            manifest = self.read(key)
            if (manifest.commit, manifest.artefacts) != (current.commit, current.artefacts):
                return manifest
        raise UserError(f"The stack {self._stack} has no earlier manifest to go back to.", exit_code=1)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise UserError(f"Stack {self._stack}: {what} in {self._bucket}: {error}", exit_code=1) from error
