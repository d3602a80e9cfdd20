"""Brings a database to the newest revision: an empty one from nothing, the old system's by stamping it first."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

log = logging.getLogger(__name__)

CONTRACT_REVISION = "0001"
CONTRACT_TABLES = ("books", "book_images", "image_processing_jobs")
# `books(id, title, …)`: the old system keeps more about a book than this program knows.
OPEN_TABLES = frozenset({"books"})
VERSION_TABLE = "bmx_version"
FORMER_VERSION_TABLE = "alembic_version"
"""Where versions of this program before it had a table of its own wrote theirs; the old system has one of that name."""
# Columns that the contract lets be null, and that this program always writes: a database may forbid null in them.
ALWAYS_WRITTEN = {"book_images": frozenset({"display_order", "is_primary"})}
LOCK_SECONDS = 60
# Any number, so long as every version of this function uses the same one.
ADVISORY_LOCK = 0x626F6F6B73
SCRATCH_SCHEMA = "migrate_contract_scratch"
SCRIPTS = Path(__file__).resolve().parents[2] / "migrations"


class SchemaError(RuntimeError):
    """The database holds tables that this program did not make and cannot take over."""


@dataclass(frozen=True)
class Migration:
    """What an upgrade did: the revision reached, and those applied on the way, in order."""

    revision: str
    applied: tuple[str, ...]
    stamped: bool


def upgrade(connection: sa.Connection, scripts: Path = SCRIPTS) -> Migration:
    """Apply what is missing, under a lock that makes a second caller wait.

    Everything happens in the caller's transaction (PostgreSQL's DDL is transactional): the new schema is there as a
    whole or not at all.

    Raises
    ------
    SchemaError
        There are tables without a revision, and they are not the contract's; or the revision is unknown here,
        because newer code was deployed before.
    sqlalchemy.exc.OperationalError
        Another migration held the lock for longer than `LOCK_SECONDS`.
    """
    connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    config = _config(connection, scripts)
    history = ScriptDirectory.from_config(config)
    known = {script.revision for script in history.walk_revisions()}
    before = _revision(connection) or _former_revision(connection, config, known)
    stamped = before is None and _is_contract(connection, scripts)
    if stamped:
        log.info("the tables equal the contract: stamped %s", CONTRACT_REVISION)
        command.stamp(config, CONTRACT_REVISION)
        before = CONTRACT_REVISION
    if before is not None and before not in known:
        raise SchemaError(
            f"the database is at revision {before!r}, which this package does not have ({', '.join(sorted(known))}): "
            "deploy the version that made it, or a newer one"
        )
    applied = tuple(
        script.revision for script in reversed(list(history.iterate_revisions("head", before))) if script is not None
    )
    for revision in applied:
        log.info("applying revision %s", revision)
        command.upgrade(config, revision)
    reached = _revision(connection)
    if reached is None:
        raise SchemaError(f"no revision was applied: {scripts} holds no migrations")
    return Migration(reached, applied, stamped)


def _config(connection: sa.Connection, scripts: Path) -> Config:
    # No alembic.ini: its logging section would reconfigure the function's logger, and its URL is a second truth.
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["version_table"] = VERSION_TABLE
    return config


def _revision(connection: sa.Connection, table: str = VERSION_TABLE) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": table}).get_current_revision()


def _former_revision(connection: sa.Connection, config: Config, known: set[str]) -> str | None:
    """Take over the revision that an earlier version of this program wrote into the table of the old system's name.

    A revision that is not ours is the old system's: its table stays as it is.
    """
    revision = _revision(connection, FORMER_VERSION_TABLE)
    if revision not in known:
        return None
    log.info("revision %s moves from %s to %s", revision, FORMER_VERSION_TABLE, VERSION_TABLE)
    command.stamp(config, revision)
    connection.execute(sa.text(f"DROP TABLE {FORMER_VERSION_TABLE}"))
    return revision


def _is_contract(connection: sa.Connection, scripts: Path) -> bool:
    """Tell an empty database from the old system's; refuse anything else."""
    present = set(sa.inspect(connection).get_table_names())
    found = [name for name in CONTRACT_TABLES if name in present]
    if not found:
        return False
    missing = [name for name in CONTRACT_TABLES if name not in present]
    if missing:
        raise SchemaError(
            f"the database has {', '.join(found)} but neither {VERSION_TABLE} nor {', '.join(missing)}: "
            "it is neither empty nor BlueMoxon's; check which database the secret names"
        )
    differences = _differences(connection, scripts)
    if differences:
        raise SchemaError(
            f"the database has no {VERSION_TABLE} and its tables differ from the contract: {'; '.join(differences)}. "
            "Nothing was changed; mend these, then run the migration again"
        )
    return True


def _differences(connection: sa.Connection, scripts: Path) -> list[str]:
    """Say where the tables differ from what revision 0001 makes: it is run beside them, compared, and undone."""
    schema = connection.execute(sa.select(sa.func.current_schema())).scalar_one()
    actual = {table: _describe(connection, table) for table in CONTRACT_TABLES}
    scratch = connection.begin_nested()
    try:
        connection.execute(sa.schema.CreateSchema(SCRATCH_SCHEMA))
        connection.execute(sa.text(f"SET LOCAL search_path TO {SCRATCH_SCHEMA}"))
        command.upgrade(_config(connection, scripts), CONTRACT_REVISION)
        wanted = {table: _describe(connection, table) for table in CONTRACT_TABLES}
    finally:
        scratch.rollback()
    if connection.execute(sa.select(sa.func.current_schema())).scalar_one() != schema:
        raise SchemaError("the search path did not come back after the comparison; nothing was changed")
    return [line for table in CONTRACT_TABLES for line in _compare(table, wanted[table], actual[table])]


def _describe(connection: sa.Connection, table: str) -> dict[str, Any]:
    """Describe columns, foreign keys and indexes; names of constraints are the database's own business."""
    inspector = sa.inspect(connection)
    described: dict[str, Any] = {
        f"column {column['name']}": (
            column["type"].compile(connection.dialect),
            "null" if column["nullable"] else "not null",
        )
        for column in inspector.get_columns(table)
    }
    for key in inspector.get_foreign_keys(table):
        action = key.get("options", {}).get("ondelete", "NO ACTION")
        described[f"foreign key on {', '.join(key['constrained_columns'])}"] = (key["referred_table"], action)
    primary = inspector.get_pk_constraint(table)["constrained_columns"]
    described["primary key"] = tuple(primary)
    for index in inspector.get_indexes(table):
        columns = ", ".join(str(name) for name in index["column_names"])
        where = str(index.get("dialect_options", {}).get("postgresql_where", ""))
        described[f"index on ({columns}){' where …' if where else ''}"] = ("unique" if index["unique"] else "", where)
    return described


def _compare(table: str, wanted: Mapping[str, Any], actual: Mapping[str, Any]) -> list[str]:
    """What the contract says must be there as it says; indexes and foreign keys beyond it do no harm."""
    lines = [
        f"{table}: {name} is {_words(actual[name]) if name in actual else 'missing'}, the contract says {_words(value)}"
        for name, value in wanted.items()
        if actual.get(name) not in {value, _stricter(table, name, value)}
    ]
    if table not in OPEN_TABLES:
        lines += [
            f"{table}: {name} is not in the contract"
            for name in actual
            if name.startswith("column ") and name not in wanted
        ]
    return lines


def _stricter(table: str, name: str, value: tuple[str, ...]) -> tuple[str, ...]:
    if name.removeprefix("column ") in ALWAYS_WRITTEN.get(table, ()):
        return (value[0], "not null")
    return value


def _words(value: tuple[str, ...]) -> str:
    return " ".join(part for part in value if part) or "plain"
