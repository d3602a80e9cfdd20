"""Each rule of the evaluator is held: whatever is turned round in it, a row of the table test notices.

Mutants are made of the module's syntax tree, in memory; the cases are those of `test_iam_policy`, run as plain
functions against the mutant.
"""

from __future__ import annotations

import ast
import copy
import functools
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from local import iam_policy

NAME = "local.iam_policy"
SOURCE = Path(iam_policy.__file__)
TREE = ast.parse(SOURCE.read_text(encoding="utf-8"))
CASES = Path(__file__).with_name("test_iam_policy.py")

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Gt: ast.LtE,
}
#: Patterns and words that rules are made of, and what each becomes.
WORDS = {
    "*": "#",
    "?": "#",
    ".*": "[^:]*",
    ".": ".?",
    "[^:]*": ".*",
    ":": "",
    "Allow": "Deny",
    "Deny": "Allow",
    "identity": "resource",
    "resource": "identity",
    "Service": "AWS",
    "AWS": "Service",
    "IfExists": "IfNot",
    "${": "$!",
    "Statement": "statement",
    "Effect": "effect",
    "Action": "NotAction",
    "Resource": "NotResource",
    "Principal": "NotPrincipal",
    "Condition": "Conditions",
    "Sid": "Id",
}
NAMES = {"any": "all", "all": "any", "wildcard": "action_matches", "arn_like": "wildcard"}
ATTRIBUTES = {"fullmatch": "match", "lower": "upper", "IGNORECASE": "NOFLAG", "__eq__": "startswith"}
NUMBERS = {0: 2, 5: 4}  # no flag: re.IGNORECASE; parts of an ARN before the resource: one fewer

Change = tuple[str, Callable[[Any], None]]


def nodes(tree: ast.AST) -> list[tuple[ast.AST, str]]:
    """Every node that runs, with the name of the definition it stands in: no docstring, annotation or decorator."""

    def below(node: ast.AST, where: str) -> Iterator[tuple[ast.AST, str]]:
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _is_text(child):
                    inside = child.name if isinstance(child, ast.FunctionDef | ast.ClassDef) else where
                    yield child, inside
                    yield from below(child, inside)

    return list(below(tree, "module"))


def _is_text(node: ast.AST) -> bool:
    """Whether it is a docstring, an import or the text of a message: no rule."""
    docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return docstring or isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr | ast.Raise)


def changes(node: ast.AST) -> list[Change]:
    """What can be turned round in one node: a name for it, and the change made in place."""
    return [*_of_logic(node), *_of_words(node)]


def _set(field: str, value: Any) -> Callable[[Any], None]:
    return lambda node: setattr(node, field, value)


def _of_logic(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            other = COMPARISONS[type(op)]
            yield f"{type(op).__name__} becomes {other.__name__}", _set("ops", [other()])
        case ast.BoolOp(op=op, values=values):
            yield "and becomes or, or becomes and", _set("op", ast.Or() if isinstance(op, ast.And) else ast.And())
            for index in range(len(values)):
                yield f"operand {index} is left out", _without(index)
        case ast.If() | ast.IfExp():
            yield "the condition is never true", _set("test", ast.Constant(False))
            yield "the condition is always true", _set("test", ast.Constant(True))
        case ast.AugAssign():
            yield "nothing is added", _set("value", ast.List([], ast.Load()))
        case ast.FunctionDef(name="decide"):
            yield "Allow comes before Deny", _allow_first


def _without(index: int) -> Callable[[Any], None]:
    def change(node: ast.BoolOp) -> None:
        del node.values[index]

    return change


def _allow_first(decide: ast.FunctionDef) -> None:
    (deny,) = [index for index, each in enumerate(decide.body) if isinstance(each, ast.For)]
    decide.body[deny], decide.body[deny + 1] = decide.body[deny + 1], decide.body[deny]


def _of_words(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Constant(value=bool() as truth):
            yield f"{truth} becomes {not truth}", _set("value", not truth)
        case ast.Constant(value=int() as number) if number in NUMBERS:
            yield f"{number} becomes {NUMBERS[number]}", _set("value", NUMBERS[number])
        case ast.Constant(value=str() as word) if word in WORDS:
            yield f"{word!r} becomes {WORDS[word]!r}", _set("value", WORDS[word])
        case ast.Name(id=name) if name in NAMES:
            yield f"{name} becomes {NAMES[name]}", _set("id", NAMES[name])
        case ast.Attribute(attr=name) if name in ATTRIBUTES:
            yield f"{name} becomes {ATTRIBUTES[name]}", _set("attr", ATTRIBUTES[name])


@dataclass(frozen=True)
class Mutant:
    """One change of the module: which node, which of its changes, and what that is in words."""

    node: int
    change: int
    name: str

    def tree(self) -> ast.Module:
        """The module with it."""
        tree = copy.deepcopy(TREE)
        target = nodes(tree)[self.node][0]
        changes(target)[self.change][1](target)
        return ast.fix_missing_locations(tree)


def mutants() -> list[Mutant]:
    """Every change of every node, one at a time."""
    return [
        Mutant(index, position, f"{where}, line {getattr(node, 'lineno', 0)}: {what}")
        for index, (node, where) in enumerate(nodes(TREE))
        for position, (what, _) in enumerate(changes(node))
    ]


def load(tree: ast.Module, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The table test's module, importing a mutant in place of the evaluator."""
    mutant = ModuleType(NAME)
    # sys.modules and the package's attribute: `from local.iam_policy import …` looks at the first
    monkeypatch.setitem(sys.modules, NAME, mutant)
    exec(compile(tree, str(SOURCE), "exec"), mutant.__dict__)  # noqa: S102  it is our own module
    spec = importlib.util.spec_from_file_location("cases_for_a_mutant", CASES)
    assert spec is not None
    assert spec.loader is not None
    cases = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, cases)
    spec.loader.exec_module(cases)
    return cases


def calls(cases: ModuleType) -> Iterator[Callable[[], object]]:
    """Every test of the module with every set of its parameters, ready to be called."""
    for name, test in inspect.getmembers(cases, inspect.isfunction):
        if not name.startswith("test_"):
            continue
        marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
        if not marks:
            yield test
            continue
        (mark,) = marks
        names = [mark.args[0]] if isinstance(mark.args[0], str) else list(mark.args[0])
        for values in mark.args[1]:
            given = values if len(names) > 1 else (values,)
            yield functools.partial(test, **dict(zip(names, given, strict=True)))


def first_failure(tree: ast.Module, monkeypatch: pytest.MonkeyPatch) -> BaseException | None:
    """What the cases say against a module; one that does not even load has failed, too."""
    try:
        for call in calls(load(tree, monkeypatch)):
            call()
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001  any failure is the one that was looked for
        return error
    return None


def test_the_evaluator_as_it_is_fails_no_case(monkeypatch: pytest.MonkeyPatch) -> None:
    assert first_failure(copy.deepcopy(TREE), monkeypatch) is None


@pytest.mark.slow
def test_no_rule_is_without_a_mutant() -> None:
    changed = {where for index, (_, where) in enumerate(nodes(TREE)) if any(index == m.node for m in mutants())}
    rules = {node.name for node in TREE.body if isinstance(node, ast.FunctionDef)}
    assert rules - changed == set()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_rule_turned_round_is_noticed(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    assert first_failure(mutant.tree(), monkeypatch) is not None, mutant.name
