"""The image worker's container image for the local stack: weights verified, Dockerfile run in a plain folder."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from local import images
from local.dockerfile import DockerfileError
from ops import weights
from ops.errors import UserError
from ops.paths import IMAGES, ROOT, cache

REPOSITORY = "127.0.0.1/image-processor"
"""Where the local stack pretends that the image was pushed; only the digest is looked at."""


def worker_image(console: Console) -> str:
    """Build the image worker's image if anything that goes into it changed; return its reference by digest.

    Raises
    ------
    UserError
        The weights could not be had, or a step of the Dockerfile failed.
    """
    _weights(console)
    with console.status("building the image worker's container image (the first time takes a minute)"):
        try:
            built = images.build(
                ROOT / "handlers" / "image_processor" / "Dockerfile", ROOT, IMAGES, build_contexts={"weights": cache()}
            )
        except (images.ImageBuildError, DockerfileError) as error:
            raise UserError(f"The image worker's image could not be built: {error}", exit_code=1) from error
    return f"{REPOSITORY}@{built.digest}"


def artefacts(worker: str) -> dict[str, Any]:
    """Return the `artefacts` configuration that names the image."""
    return {"image_processing": {"image": worker}}


def _weights(console: Console) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("model weights", total=None)

        def on_progress(state: weights.Progress) -> None:
            progress.update(
                task, description=f"model weights from {state.source}", completed=state.done, total=state.total
            )

        try:
            weights.ensure(on_progress=on_progress)
        except weights.WeightsError as error:
            raise UserError(str(error), exit_code=1) from error
