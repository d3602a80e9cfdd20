"""The password matrix as data: what every row must come to, written down before anything is run.

A cell is *refused* (exit not 0, the sentence), *ignored* (exit 0, a password was given and the database's kept),
*nothing* (exit 0, no step on the database) or *allowed*, with the steps on the database. `matrix_layers.py` says what
changes without a guard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

INSTANCE: Final = "aws:rds/instance:Instance"
DATABASE: Final = f"**{INSTANCE}::**"
WORKER: Final = "**aws:sqs/queue:Queue::worker"
DUMMY: Final = "not-used"
GOOD: Final = "the-good-one"

# The sentences by which a run is refused.
UNDECLARED = "dbPassword is not declared"
NO_ARN = "database.secretArn is missing"
PROTECTED = "as it is currently marked for protection"
PROTECTED_DELETE = "because it is protected"
NO_UPDATE = "Refused: this update of the database 'database"
NO_DELETE = "Refused: this would delete"
RUN_PROGRAM = "run with the `--run-program` flag to use delete hooks"
DELETION_PROTECTION = "Cannot delete protected DB Instance"
ALREADY_THERE = "DBInstanceAlreadyExists"
TWO_OWNERS = "conflicts with"

REFUSED, IGNORED, NOTHING = "refused", "ignored", "nothing"
UPDATED, CREATED, IMPORTED, DELETED = "allowed: update", "allowed: create", "allowed: import", "allowed: delete"
REPLACED = "allowed: create-replacement, delete-replaced, replace"


@dataclass(frozen=True)
class Edit:
    """One change of a copy of the program: the one occurrence of `before` in `file` becomes `after`."""

    file: str
    before: str
    after: str


@dataclass(frozen=True)
class Cell:
    """What a row comes to.

    Attributes
    ----------
    preview, up
        Class of each; ``preview`` is empty where there is none.
    says
        The sentence of the refusal.
    up_says
        The same of ``up``, where it is another one.
    logs_in
        Whether the password that was good before still opens the same database.
    secret_kept
        Whether the callers' secret says what it said before.
    """

    preview: str
    up: str
    says: str = ""
    up_says: str = ""
    logs_in: bool = True
    secret_kept: bool = True


@dataclass(frozen=True)
class Proof:
    """Where Pulumi's own engine did the same: a transcript in tests/engine/recorded, and steps of it."""

    scenario: str
    up: str
    preview: str = ""


Situation = Literal["creation failed", "managed", "importable", "imported", "adopted"]
#: A database goes through these in order; a row that goes through leaves it in the next.
COURSES: Final[tuple[tuple[Situation, ...], ...]] = (
    ("creation failed", "managed"),
    ("importable", "imported", "adopted"),
)


@dataclass(frozen=True)
class Row:
    """One command over one situation.

    Attributes
    ----------
    situation
        What is there before: nothing, because the creation failed; a database made in managed mode; one that is only to
        be imported; one that was, under the program's own values or still under those that it had (``imported``).
    kind
        ``up`` and ``destroy`` as in the engine; ``delete`` is another hand at AWS, past Pulumi.
    config
        Configuration of this run, without the project's namespace.
    before
        Configuration of the runs that bring the situation about.
    edits
        What somebody changed in the program for this row.
    throughout
        Whether it was so from the beginning, when the situation was brought about.
    proof
        None where no engine takes part.
    """

    name: str
    cell: Cell
    proof: Proof | None
    situation: Situation = "managed"
    kind: Literal["up", "destroy", "delete"] = "up"
    options: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] = field(default_factory=dict)
    edits: tuple[Edit, ...] = ()
    throughout: bool = False

    @property
    def asks(self) -> bool:
        """Whether the run asks for another password: one is given, and the database is among what is looked at."""
        targets, excludes = self.options.get("targets", ()), self.options.get("excludes", ())
        return "dbPassword" in self.config and DATABASE not in excludes and (not targets or DATABASE in targets)


_USERNAME = "            username=size.username,\n"
#: What the program must never have: a password that comes from the configuration.
TAKES_A_PASSWORD: Final = (
    Edit(
        "settings.py", '    version: Text = "dev"\n', '    version: Text = "dev"\n    db_password: Text | None = None\n'
    ),
    Edit(
        "components/database.py",
        _USERNAME,
        _USERNAME + '            password=pulumi.Config().get_secret("dbPassword"),\n',
    ),
)
_MANAGE = "            manage_master_user_password=manage_master_user_password,\n"
#: The step from `adopted` to `managed` inside an `up`: it changes the password, so it would be the incident itself.
HANDED_TO_RDS: Final = (
    Edit("components/database.py", _MANAGE, _MANAGE.replace("=manage_master_user_password,", "=True,")),
)
#: A new instance whose password the program gives, as the old program did.
OWNS_THE_PASSWORD: Final = (
    Edit("components/database.py", "manage_master_user_password=True,", "manage_master_user_password=None,"),
    Edit(
        "components/database.py",
        "credentials = instance.master_user_secrets.apply(lambda secrets: secrets[0].secret_arn)",
        'credentials = pulumi.Output.from_input("nobody\'s")',
    ),
)

_GUARDED, _IMPORT, _UNGUARDED = "password_guarded", "password_guarded_import", "password_unguarded"
_RAISES = Proof("program_fails", "a program that raises", "preview of a program that raises")
_PASSWORD = {"dbPassword": DUMMY}
_THIS = {"targets": (DATABASE,)}
_REPLACE = {"replace": (DATABASE,)}
_IGNORE_PROTECT = {"ignore_protect": True}
_NOTHING, _IGNORED = Cell(NOTHING, NOTHING), Cell(IGNORED, IGNORED)
_NOT_DECLARED = Cell(REFUSED, REFUSED, UNDECLARED)
_NO_UPDATE, _NO_DELETE = Cell(REFUSED, REFUSED, NO_UPDATE), Cell(REFUSED, REFUSED, NO_DELETE)
_TWO_OWNERS = Cell(REFUSED, REFUSED, TWO_OWNERS)

ROWS: Final = (
    # Nothing is there yet: no ignore list and no hook guards a creation, so RDS's own password must.
    Row(
        "recreate after a failed create, a dummy password in the configuration",
        Cell(REFUSED, REFUSED, UNDECLARED, logs_in=False),
        _RAISES,
        situation="creation failed",
        config=_PASSWORD,
    ),
    Row(
        "recreate after a failed create",
        Cell(CREATED, CREATED),
        Proof(_GUARDED, "recreated with another password"),
        situation="creation failed",
    ),
    # The program as it is, with a database that it made.
    Row("full up", _NOTHING, Proof(_GUARDED, "full up: nothing")),
    Row(
        "up --target the database",
        _NOTHING,
        Proof(_GUARDED, "target the database, dummy password: ignored"),
        options=_THIS,
    ),
    Row(
        "up --target a worker",
        _NOTHING,
        Proof(_GUARDED, "target the worker, dummy password: nothing"),
        options={"targets": (WORKER,)},
        config={"version": "2"},
    ),
    Row(
        "up --exclude the database",
        _NOTHING,
        Proof(_GUARDED, "exclude the database, dummy password: nothing"),
        options={"excludes": (DATABASE,)},
        config={"version": "3"},
    ),
    Row("a dummy password in the configuration", _NOT_DECLARED, _RAISES, config=_PASSWORD),
    Row(
        "a dummy password in the configuration, --target the database",
        _NOT_DECLARED,
        _RAISES,
        options=_THIS,
        config=_PASSWORD,
    ),
    Row(
        "the secret's ARN missing",
        Cell(REFUSED, REFUSED, NO_ARN),
        _RAISES,
        config={"database": {"mode": "external", "securityGroupId": "sg-1", "endpoint": "db.example.com"}},
    ),
    Row("refresh, then up", _NOTHING, Proof(_GUARDED, "up after the refresh: kept"), options={"refresh": True}),
    Row(
        "forced replace",
        Cell(REFUSED, REFUSED, PROTECTED),
        Proof(_GUARDED, "forced replace", "preview of a forced replace"),
        options=_REPLACE,
    ),
    Row(
        "forced replace, --ignore-protect",
        _NO_DELETE,
        Proof(_GUARDED, "forced replace, ignoring protect", "preview of a forced replace, ignoring protect"),
        options=_REPLACE | _IGNORE_PROTECT,
    ),
    Row("destroy", Cell(REFUSED, REFUSED, RUN_PROGRAM), Proof(_GUARDED, "destroy"), kind="destroy"),
    Row(
        "destroy --run-program",
        _NO_DELETE,
        Proof(_GUARDED, "destroy, running the program"),
        kind="destroy",
        options={"run_program": True},
    ),
    Row(
        "destroy --run-program --ignore-protect",
        _NO_DELETE,
        Proof(_GUARDED, "destroy, running the program, ignoring protect"),
        kind="destroy",
        options={"run_program": True} | _IGNORE_PROTECT,
    ),
    Row("deleted by another hand at AWS", Cell("", REFUSED, DELETION_PROTECTION), None, kind="delete"),
    Row(
        "a password in the program, of a managed database",
        _IGNORED,
        Proof(_GUARDED, "full up, dummy password: ignored", "preview, dummy password"),
        config=_PASSWORD,
        edits=TAKES_A_PASSWORD,
    ),
    # An instance and a secret that Terraform made.
    Row(
        "the import, a password in the program",
        Cell(IMPORTED, IMPORTED),
        Proof(_IMPORT, "import, dummy password", "preview of the import, dummy password"),
        situation="importable",
        config=_PASSWORD,
        edits=TAKES_A_PASSWORD,
    ),
    Row(
        "after an import",
        Cell(UPDATED, UPDATED),
        Proof(_GUARDED, "dummy password and a larger class: only the class"),
        situation="imported",
    ),
    Row(
        "after an import, a password in the program",
        _IGNORED,
        Proof(_IMPORT, "the option taken away, dummy password: ignored"),
        situation="adopted",
        config=_PASSWORD,
        edits=TAKES_A_PASSWORD,
    ),
    Row(
        "changed password, --target the database",
        _IGNORED,
        Proof(_IMPORT, "target it, dummy password: ignored"),
        situation="adopted",
        options=_THIS,
        config=_PASSWORD,
        edits=TAKES_A_PASSWORD,
    ),
    Row(
        "changed password, --ignore-protect",
        _IGNORED,
        Proof(_GUARDED, "dummy password, ignoring protect: ignored"),
        situation="adopted",
        options=_IGNORE_PROTECT,
        config=_PASSWORD,
        edits=TAKES_A_PASSWORD,
    ),
    Row(
        "the password handed to RDS by an up",
        _NO_UPDATE,
        Proof(_GUARDED, "a managed password"),
        situation="adopted",
        edits=HANDED_TO_RDS,
    ),
    Row(
        "the password handed to RDS by an up, --ignore-protect",
        _NO_UPDATE,
        Proof(_GUARDED, "a managed password, ignoring protect"),
        situation="adopted",
        options=_IGNORE_PROTECT,
        edits=HANDED_TO_RDS,
    ),
)
