"""The real weight files, for tests that run a network; fetched as `./bmx run` fetches them if the cache lacks them."""

import importlib.util
from functools import cache
from pathlib import Path

from handlers.image_processor.cutout import Network
from ops.weights import ensure


@cache
def weights_of(model: str) -> Path:
    return ensure(model)


@cache
def network(model: str) -> Network:
    return Network(weights_of(model))


def package_folder(name: str) -> Path:
    """Where an installed package lies, without importing it (rembg's import takes a minute)."""
    found = importlib.util.find_spec(name)
    assert found is not None
    assert found.submodule_search_locations is not None
    return Path(found.submodule_search_locations[0])
