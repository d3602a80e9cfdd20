"""The written matrix (`ops/matrix_rows.py`) on real databases: the accident without the guards, and not with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from _pytest.mark import ParameterSet

from local.cloud import Cloud
from ops.matrix import Databases, run
from ops.matrix_layers import CONTROLS, LAYERS, Layer
from ops.matrix_rows import ROWS, Row

#: Rows of `./bmx test`, the incident and what stands against it; `--all` has the others.
QUICK = frozenset(
    {
        "a dummy password in the configuration",
        "up --target worker and database, dummy: the incident",
    }
)
Come = Callable[[str, Row, Layer | None], None]
TAKEN_OFF = [
    pytest.param(layer, row, id=f"without {layer.name}: {row.name}")
    for layer in LAYERS
    for row in ROWS
    if row.name in layer.then
]


def each(rows: Sequence[Row]) -> list[ParameterSet]:
    """One parameter a row; slow unless it is a quick one."""
    return [pytest.param(row, id=row.name, marks=() if row.name in QUICK else pytest.mark.slow) for row in rows]


@pytest.fixture(scope="module")
def come(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Come]:
    """Run a row and hold it against its cell; rows of one group share a database while none has moved it."""
    folder = tmp_path_factory.mktemp("matrix")
    groups: dict[str, Databases] = {}
    with Cloud(folder / "cloud") as cloud:

        def hold(group: str, row: Row, layer: Layer | None) -> None:
            if group not in groups:
                for databases in groups.values():
                    databases.close()
                groups[group] = Databases(cloud, folder / group.replace(" ", "-"))
            (result,) = run(groups[group], group, [row], layer)
            assert result.measured == result.expected, result.said

        yield hold
        for databases in groups.values():
            databases.close()


@pytest.mark.parametrize("row", each(CONTROLS))
def test_without_any_guard_the_accident_happens(come: Come, row: Row) -> None:
    come("control", row, None)


@pytest.mark.parametrize("row", each(ROWS))
def test_no_row_moves_the_password(come: Come, row: Row) -> None:
    come("as it is", row, None)


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "row"), TAKEN_OFF)
def test_the_next_layer_holds_or_the_written_cell_changes(come: Come, layer: Layer, row: Row) -> None:
    come(f"without {layer.name}", row, layer)
