"""The password matrix without its guards, as data: each layer taken off, and controls without any.

`LAYERS` says, of each layer, how it is taken off a copy of the program, and which cells of the rows change then; every
other cell must stay as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ops.matrix_rows import (
    ALREADY_THERE,
    CREATED,
    DATABASE,
    DELETED,
    DELETION_PROTECTION,
    DUMMY,
    GOOD,
    IGNORED,
    NO_DELETE,
    NO_UPDATE,
    NOTHING,
    OWNS_THE_PASSWORD,
    PROTECTED_DELETE,
    REFUSED,
    REPLACED,
    TAKES_A_PASSWORD,
    TWO_OWNERS,
    UPDATED,
    WORKER,
    Cell,
    Edit,
    Proof,
    Row,
)

_UNGUARDED = "password_unguarded"
_PASSWORD = {"dbPassword": DUMMY}
_REPLACE_PAST_PROTECT = {"replace": (DATABASE,), "ignore_protect": True}
_NOTHING, _IGNORED = Cell(NOTHING, NOTHING), Cell(IGNORED, IGNORED)
_NO_UPDATE, _NO_DELETE = Cell(REFUSED, REFUSED, NO_UPDATE), Cell(REFUSED, REFUSED, NO_DELETE)
_TWO_OWNERS = Cell(REFUSED, REFUSED, TWO_OWNERS)


@dataclass(frozen=True)
class Layer:
    """What stands between a command and the password, how it is taken off, and which rows then come to what."""

    name: str
    edits: tuple[Edit, ...]
    then: Mapping[str, Cell]


_LOST = Cell(UPDATED, UPDATED, logs_in=False)

_PAIR = "hooks=pulumi.ResourceHookBinding(before_update=[self._before_update], before_delete=[self._before_delete]),"
_LOCK = "components/credential_lock.py"

NO_INPUT = Layer(
    "no input",
    TAKES_A_PASSWORD,
    {
        "a dummy password in the configuration": _IGNORED,
        "a dummy password in the configuration, --target the database": _IGNORED,
        "recreate after a failed create, a dummy password in the configuration": Cell(
            REFUSED, REFUSED, TWO_OWNERS, logs_in=False
        ),
    },
)
IGNORE_LIST = Layer(
    "ignore list",
    (Edit(_LOCK, "ignore_changes=[*IGNORED, *also_ignored],", "ignore_changes=[*also_ignored],"),),
    {
        "a password in the program, of a managed database": _TWO_OWNERS,
        # The real engine imports what differs and updates it in the same deployment: the hook must stop that.
        "the import, a password in the program": _NO_UPDATE,
        "after an import, a password in the program": _NO_UPDATE,
        "changed password, --target the database": _NO_UPDATE,
        "changed password, --ignore-protect": _NO_UPDATE,
    },
)
BEFORE_UPDATE = Layer(
    "before_update hook",
    (Edit(_LOCK, _PAIR, "hooks=pulumi.ResourceHookBinding(before_delete=[self._before_delete]),"),),
    {
        "the password handed to RDS by an up": _LOST,
        "the password handed to RDS by an up, --ignore-protect": _LOST,
    },
)
BEFORE_DELETE = Layer(
    "before_delete hook",
    (
        Edit(_LOCK, _PAIR, "hooks=pulumi.ResourceHookBinding(before_update=[self._before_update]),"),
        Edit(
            _LOCK,
            "protect=True, hooks=pulumi.ResourceHookBinding(before_delete=[self._before_delete])",
            "protect=True",
        ),
    ),
    {
        "forced replace, --ignore-protect": Cell(REPLACED, REFUSED, up_says=DELETION_PROTECTION),
        "destroy": Cell(REFUSED, REFUSED, PROTECTED_DELETE),
        "destroy --run-program": Cell(REFUSED, REFUSED, PROTECTED_DELETE),
        # What stands beside the instance has nothing at AWS that would keep it.
        "destroy --run-program --ignore-protect": Cell(
            DELETED, REFUSED, up_says=DELETION_PROTECTION, secret_kept=False
        ),
    },
)
PROTECT = Layer(
    "protect",
    (
        Edit(_LOCK, "            protect=True,\n            delete_before", "            delete_before"),
        Edit(_LOCK, "protect=True, hooks", "hooks"),
    ),
    {"forced replace": _NO_DELETE},
)
DELETE_BEFORE_REPLACE = Layer(
    "delete_before_replace",
    (Edit(_LOCK, "            delete_before_replace=True,\n", ""),),
    # A second database is asked for before the hook speaks; only its name, which is taken, keeps it from being made.
    {"forced replace, --ignore-protect": Cell(REFUSED, REFUSED, NO_DELETE, up_says=ALREADY_THERE)},
)
DELETION_PROTECTION_LAYER = Layer(
    "deletion protection",
    (Edit("components/database.py", "deletion_protection=True,", "deletion_protection=False,"),),
    {"deleted by another hand at AWS": Cell("", DELETED, logs_in=False, secret_kept=False)},
)
LAYERS: Final = (
    NO_INPUT,
    IGNORE_LIST,
    BEFORE_UPDATE,
    BEFORE_DELETE,
    PROTECT,
    DELETE_BEFORE_REPLACE,
    DELETION_PROTECTION_LAYER,
)

#: Everything off but `delete_before_replace`, which guards nothing alone, and a password taken from the configuration.
UNGUARDED: Final = (
    *TAKES_A_PASSWORD,
    Edit(
        _LOCK,
        "protect=True,\n            delete_before_replace=True,\n"
        f"            ignore_changes=[*IGNORED, *also_ignored],\n            {_PAIR}\n",
        "delete_before_replace=True,\n            ignore_changes=[*also_ignored],\n",
    ),
    Edit(_LOCK, "protect=True, hooks=pulumi.ResourceHookBinding(before_delete=[self._before_delete])", ""),
    *DELETION_PROTECTION_LAYER.edits,
)
_GOOD = {"dbPassword": GOOD}
_GONE = Cell(DELETED, DELETED, logs_in=False, secret_kept=False)


def _control(name: str, cell: Cell, step: str, **options: Any) -> Row:
    proof = Proof(_UNGUARDED, step)
    return Row(
        name, cell, proof, "adopted", options=options, config=_PASSWORD, before=_GOOD, edits=UNGUARDED, throughout=True
    )


#: The accident: the same commands over a database that nothing guards.
CONTROLS: Final = (
    Row(
        "recreate after a failed create, with a dummy password",
        Cell(CREATED, CREATED, logs_in=False),
        Proof(_UNGUARDED, "recreated with another password"),
        "creation failed",
        config=_PASSWORD,
        before=_GOOD,
        edits=(*UNGUARDED, *OWNS_THE_PASSWORD),
        throughout=True,
    ),
    Row(
        "forced replace, --ignore-protect",
        Cell(REPLACED, REPLACED, logs_in=False, secret_kept=False),
        Proof(_UNGUARDED, "forced replace, ignoring protect: replaced"),
        options=_REPLACE_PAST_PROTECT,
        edits=UNGUARDED,
        throughout=True,
    ),
    Row(
        "destroy --ignore-protect",
        _GONE,
        Proof(_UNGUARDED, "destroy, ignoring protect: gone"),
        kind="destroy",
        options={"ignore_protect": True},
        edits=UNGUARDED,
        throughout=True,
    ),
    _control("up --target a worker, dummy", _NOTHING, "target the worker, dummy password: nothing", targets=(WORKER,)),
    _control(
        "up --exclude the database, dummy",
        _NOTHING,
        "exclude the database, dummy password: nothing",
        excludes=(DATABASE,),
    ),
    _control("after an import, dummy", _LOST, "after the import, dummy password: overwritten"),
    _control("full up, dummy", _LOST, "full up, dummy password: overwritten"),
    _control(
        "up --target worker and database, dummy: the incident",
        _LOST,
        "target the database, dummy password: overwritten",
        targets=(DATABASE, WORKER),
    ),
    _control(
        "changed password, --ignore-protect", _LOST, "the good one, ignoring protect: overwritten", ignore_protect=True
    ),
    _control("refresh, then up, dummy", _LOST, "up after the refresh: overwritten", refresh=True),
)
