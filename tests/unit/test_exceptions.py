"""Exceptions can be raised wherever Python raises them."""

import ast
from contextlib import contextmanager

import pytest

from local.provider_wire import HalfMadeError
from ops.paths import ROOT

FOLDERS = ("benchmarks", "components", "handlers", "local", "migrations", "ops", "policies", "samples", "tests")


@contextmanager
def around():
    yield


def test_a_half_made_resource_passes_through_a_context_manager():
    # contextlib sets the traceback of what passes, and a frozen dataclass refuses that
    with pytest.raises(HalfMadeError) as error, around():
        raise HalfMadeError("queue-1", {"name": "q"}, "not healthy")
    found = error.value
    assert (found.identifier, found.state, found.reason, str(found)) == ("queue-1", {"name": "q"}, *["not healthy"] * 2)


def test_no_exception_is_frozen():
    """A frozen dataclass cannot be given a traceback, a cause or a note: Python then raises another error instead."""
    frozen: dict[str, str] = {}
    exceptions, dataclasses = {"BaseException", "Exception"}, 0
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")] + list(ROOT.glob("*.py"))
    classes = [
        (path, node) for path in paths for node in ast.walk(ast.parse(path.read_text())) if type(node) is ast.ClassDef
    ]
    size = 0
    while size != len(exceptions):
        size = len(exceptions)
        exceptions |= {node.name for _, node in classes if _bases(node) & exceptions or _errs(node)}
    for path, node in classes:
        decorators = " ".join(ast.unparse(each) for each in node.decorator_list)
        if "dataclass" in decorators and "frozen=True" in decorators:
            dataclasses += 1
            if _bases(node) & exceptions or _errs(node):
                frozen[node.name] = str(path)
    assert len(exceptions) > 30 and dataclasses > 30, "the search found next to nothing"
    assert frozen == {}


def _bases(node):
    return {ast.unparse(base).rsplit(".", 1)[-1] for base in node.bases}


def _errs(node):
    return any(base.endswith(("Error", "Exception")) for base in _bases(node))
