"""`./bmx db matrix`: every row of the password matrix run over real databases, against what was written beforehand.

- the embedded engine over an embedded cloud of its own, in a folder of its own, gone at the end
- the program is small: this project's settings and its `Database`, and a worker that reads the database's secret
- previews and deployments are two runs, the deployment with `--skip-preview`: each has to refuse by itself
- after each, a login to the real PostgreSQL with the password that was good before
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from rich.markup import escape
from rich.table import Table

from local import offline
from local.cloud import Cloud
from local.engine import Options, Outcome
from ops.display import console_for
from ops.matrix_layers import CONTROLS, LAYERS, Layer
from ops.matrix_rows import COURSES, INSTANCE, ROWS, Cell, Edit, Row, Situation
from ops.matrix_stack import STACK, Stack

_UNTOUCHED = frozenset({"same", "refresh", "read"})


@dataclass(frozen=True)
class Result:
    """What a row came to, beside what was written down.

    Attributes
    ----------
    group
        ``as it is``, ``without <layer>``, or ``control``.
    said
        Errors of preview and up, where they are not the expected ones.
    """

    group: str
    row: Row
    expected: Cell
    measured: Cell
    said: tuple[str, ...] = ()

    @property
    def as_written(self) -> bool:
        """Whether the cell is the one written down."""
        return self.measured == self.expected

    def to_json(self) -> dict[str, Any]:
        """Give the result for machines."""
        proof = None if self.row.proof is None else asdict(self.row.proof)
        cells = {"expected": asdict(self.expected), "measured": asdict(self.measured)}
        more = {"as_written": self.as_written, "real_engine": proof, "said": list(self.said)}
        return {"group": self.group, "row": self.row.name, **cells, **more}


def show(*, layers: bool, as_json: bool) -> int:
    """Run the matrix and print it; 0 when every cell is as written down."""
    began = time.monotonic()
    offline.install()
    console, progress = console_for(), console_for(stderr=True)
    total = sum(len(rows) for _, _, rows in groups(layers=layers))
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="matrix-") as folder, progress.status("starting an embedded cloud") as line:

        def on_row(group: str, row: Row) -> None:
            line.update(f"{len(results) + 1} of {total}: {escape(group)}: {escape(row.name)}")

        for result in matrix(Path(folder), layers=layers, on_row=on_row):
            results.append(result)
            if not progress.is_terminal:
                mark = "as written" if result.as_written else "NOT AS WRITTEN"
                progress.print(f"{len(results)} of {total}: {result.group}: {result.row.name}: {mark}", markup=False)
    wrong = [result for result in results if not result.as_written]
    seconds = time.monotonic() - began
    if as_json:
        form = {"results": [result.to_json() for result in results], "seconds": round(seconds, 1)}
        print(json.dumps(form, indent=2))  # noqa: T201
        return 1 if wrong else 0
    console.print(_table(results))
    for result in wrong:
        console.print(f"{result.group}: {result.row.name}: {' / '.join(result.said)}", markup=False, soft_wrap=True)
    console.print(f"{len(results) - len(wrong)} of {len(results)} cells as written down beforehand; {seconds:.0f} s")
    return 1 if wrong else 0


def _table(results: Iterable[Result]) -> Table:
    table = Table("program", "row", "preview", "up", "old password", "secret", "as written", "real engine", box=None)
    for result in results:
        cell, proof = result.measured, result.row.proof
        table.add_row(
            escape(result.group),
            escape(result.row.name),
            cell.preview or "-",
            cell.up,
            "logs in" if cell.logs_in else "locked out",
            "kept" if cell.secret_kept else "changed",
            "yes" if result.as_written else f"[red]no[/]: {escape(str(result.expected))}",
            escape(f"{proof.scenario}: {proof.up}") if proof else "none: AWS's own",
        )
    return table


def groups(*, layers: bool) -> list[tuple[str, Layer | None, tuple[Row, ...]]]:
    """Return what is run: the rows as they are, the controls, and the rows again without each layer."""
    without: list[tuple[str, Layer | None, tuple[Row, ...]]] = [
        (f"without {layer.name}", layer, ROWS) for layer in LAYERS if layers
    ]
    return [("as it is", None, ROWS), ("control", None, CONTROLS), *without]


def matrix(folder: Path, *, layers: bool = False, on_row: Callable[[str, Row], Any] | None = None) -> Iterator[Result]:
    """Run the matrix in an empty folder, a result at a time."""
    with Cloud(folder / "cloud") as cloud:
        for name, layer, rows in groups(layers=layers):
            databases = Databases(cloud, folder / name.replace(" ", "-"))
            yield from run(databases, name, rows, layer, on_row)
            databases.close()


def run(
    databases: Databases,
    group: str,
    rows: Iterable[Row],
    layer: Layer | None = None,
    on_row: Callable[[str, Row], Any] | None = None,
) -> Iterator[Result]:
    """Run rows, one after the other, without a layer."""
    taken_off = layer.edits if layer else ()
    then = layer.then if layer else {}
    for row in rows:
        if on_row:
            on_row(group, row)
        expected = then.get(row.name, row.cell)
        measured, said = databases.measure(row, expected, taken_off)
        yield Result(group, row, expected, measured, () if measured == expected else tuple(said))


class Databases:
    """The databases of one group of rows; one is used again as long as no row has moved it.

    Parameters
    ----------
    cloud
        A started embedded cloud.
    folder
        Where copies of the program and states are put; its name makes the names at AWS.
    """

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self._cloud, self._folder = cloud, folder
        self._made = 0
        self._live: dict[tuple[Situation, ...], Stack] = {}

    def measure(self, row: Row, expected: Cell, taken_off: tuple[Edit, ...]) -> tuple[Cell, list[str]]:
        """Bring the row's situation about, run it, and say what it came to and which errors were told."""
        stack = self._in(row, taken_off)
        stack.edit((*taken_off, *row.edits))
        known, before = stack.reset(), stack.holds()
        preview, up, errors = _delete(stack) if row.kind == "delete" else _operate(stack, row)
        logs_in, secret_kept = stack.logs_in(known), known.secret is None or stack.secret() == known.secret
        says = _sentence(expected.says, errors[0])
        up_says = _sentence(expected.up_says or expected.says, errors[1])
        measured = Cell(preview, up, says, "" if up_says == says else up_says, logs_in, secret_kept)
        self._keep(row, stack, measured, moved=stack.holds() != before)
        return measured, errors

    def close(self) -> None:
        """Take every database away."""
        for stack in self._live.values():
            stack.remove()
        self._live.clear()

    def _keep(self, row: Row, stack: Stack, measured: Cell, *, moved: bool) -> None:
        course = _course(row.situation)
        went_on = measured.up.startswith("allowed") and row.situation != course[-1]
        if went_on and not row.throughout:
            stack.situation = course[course.index(row.situation) + 1]
        elif moved or went_on or not measured.secret_kept:
            stack.remove()
            del self._live[course]

    def _in(self, row: Row, taken_off: tuple[Edit, ...]) -> Stack:
        course = _course(row.situation)
        stack = self._live.get(course)
        if stack is None or course.index(stack.situation) > course.index(row.situation):
            if stack is not None:
                stack.remove()
            self._made += 1
            place = self._folder / str(self._made)
            stack = self._live[course] = Stack(self._cloud, place, _prefix(self._folder.name, self._made), course)
            stack.edit((*taken_off, *(row.edits if row.throughout else ())))
            stack.begin(row.before)
        while stack.situation != row.situation:
            stack.edit((*taken_off, *(row.edits if row.throughout else ())))
            stack.advance(row.before)
        return stack


def _operate(stack: Stack, row: Row) -> tuple[str, str, list[str]]:
    values = dict(row.config)
    if "dbPassword" in values:
        values["dbPassword"] = stack.dummy()
    previewed = Options(kind="preview") if row.kind == "up" else Options(kind="destroy", dry_run=True)
    preview = stack.run(replace(previewed, **row.options), values)
    up = stack.run(replace(Options(kind=row.kind, skip_preview=True), **row.options), values)  # type: ignore[arg-type]
    return _class(preview, row), _class(up, row), [" ".join(preview.errors()), " ".join(up.errors())]


def _delete(stack: Stack) -> tuple[str, str, list[str]]:
    try:
        stack.delete()
    except ClientError as error:
        return "", "refused", [str(error), str(error)]
    return "", "allowed: delete", ["", ""]


def _class(outcome: Outcome, row: Row) -> str:
    if not outcome.ok:
        return "refused"
    steps = {step.op for step in outcome.steps if step.type == INSTANCE} - _UNTOUCHED
    if steps:
        return f"allowed: {', '.join(sorted(steps))}"
    return "ignored" if row.asks else "nothing"


def _sentence(expected: str, said: str) -> str:
    """Return the expected sentence where it was said, and otherwise what was."""
    return expected if expected in said else said[:200] or "nothing said"


def _course(situation: Situation) -> tuple[Situation, ...]:
    return next(course for course in COURSES if situation in course)


def _prefix(group: str, number: int) -> str:
    letters = "".join(word[0] for word in group.replace("_", "-").split("-"))
    return f"{letters}{sum(map(ord, group)) % 1000}-{number}-{STACK}"
