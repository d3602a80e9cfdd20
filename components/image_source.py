"""ImageSource: what a container image is built from; plain data, no Pulumi."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ImageSource:
    """What an image is built from.

    Parameters
    ----------
    repository
        Name of the repository under the stack's prefix.
    dockerfile
        Relative to the project, which is the build's context; ``.dockerignore`` leaves out what is not a source.
    sources
        Files and folders that the Dockerfile copies; their content names the image's tag.
    contexts
        Named contexts: name to folder, relative to the project.
    """

    repository: str
    dockerfile: str
    sources: Sequence[str]
    contexts: Mapping[str, str] = field(default_factory=dict)
