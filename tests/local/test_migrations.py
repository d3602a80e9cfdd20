"""The schema: revision 0001 is the contract, the tables in code are the newest revision, old databases are stamped."""

import json
import threading
from datetime import UTC, datetime, timedelta

import boto3
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from handlers.common import jobs, tables
from handlers.common.photographs import Photograph, add
from handlers.common.storage import Fingerprint
from handlers.migrate import handler as migrate
from handlers.migrate.schema import SCRIPTS, VERSION_TABLE, SchemaError, _config, upgrade
from tests.local.api_caller import Context
from tests.local.conftest import PASSWORD, USER, engine_on

REVISIONS = tuple(sorted(path.name[:4] for path in (SCRIPTS / "versions").glob("[0-9]*.py")))
HEAD = REVISIONS[-1]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

# facts.md's tables, written down a second time on purpose: column -> (type, nullable, default).
CONTRACT = {
    "books": {"id": ("integer", "NO", "nextval"), "title": ("character varying(500)", "NO", None)},
    "book_images": {
        "id": ("integer", "NO", "nextval"),
        "book_id": ("integer", "NO", None),
        "s3_key": ("character varying(500)", "NO", None),
        "cloudfront_url": ("character varying(500)", "YES", None),
        "original_filename": ("character varying(255)", "YES", None),
        "content_hash": ("character varying(64)", "YES", None),
        "image_type": ("character varying(50)", "YES", None),
        "display_order": ("integer", "YES", None),
        "is_primary": ("boolean", "YES", None),
        "is_background_processed": ("boolean", "NO", "false"),
        "caption": ("text", "YES", None),
    },
    "image_processing_jobs": {
        "id": ("uuid", "NO", None),
        "book_id": ("integer", "NO", None),
        "source_image_id": ("integer", "YES", None),
        "processed_image_id": ("integer", "YES", None),
        "status": ("character varying(20)", "NO", "'pending'"),
        "attempt_count": ("integer", "NO", "0"),
        "queue_retry_count": ("integer", "NO", "0"),
        "model_used": ("character varying(50)", "YES", None),
        "failure_reason": ("text", "YES", None),
        "created_at": ("timestamp with time zone", "YES", None),
        "updated_at": ("timestamp with time zone", "YES", None),
        "completed_at": ("timestamp with time zone", "YES", None),
    },
}


@pytest.fixture
def engine(postgres, empty_database):
    engine = engine_on(postgres, empty_database)
    yield engine
    engine.dispose()


def at_contract(engine, *statements):
    """A database with the contract's tables and no revision of ours, and what the statements changed."""
    with engine.begin() as connection:
        command.upgrade(_config(connection, SCRIPTS), "0001")
        connection.execute(sa.text("DROP TABLE bmx_version"))
        for statement in statements:
            connection.execute(sa.text(statement))


def columns(connection, table):
    rows = connection.execute(
        sa.text(
            "SELECT column_name, data_type || coalesce('(' || character_maximum_length || ')', ''), is_nullable,"
            " column_default FROM information_schema.columns WHERE table_name = :table AND table_schema = 'public'"
        ),
        {"table": table},
    )
    return {name: (kind, nullable, default) for name, kind, nullable, default in rows}


@pytest.mark.parametrize("table", CONTRACT)
def test_revision_0001_makes_the_contracts_columns_and_no_others(engine, table):
    at_contract(engine)
    with engine.begin() as connection:
        made = columns(connection, table)
    assert made.keys() == CONTRACT[table].keys()
    for name, (kind, nullable, default) in CONTRACT[table].items():
        assert made[name][:2] == (kind, nullable), name
        assert (made[name][2] is None) == (default is None), name
        assert default is None or made[name][2].startswith(default), name


def test_revision_0001_deletes_pictures_and_jobs_with_their_book_and_keeps_jobs_of_deleted_pictures(engine):
    at_contract(engine)
    with engine.begin() as connection:
        rules = connection.execute(
            sa.text(
                "SELECT conrelid::regclass::text, attname, confdeltype::text FROM pg_constraint JOIN pg_attribute"
                " ON attrelid = conrelid AND attnum = conkey[1] WHERE contype = 'f'"
            )
        ).all()
    assert set(rules) == {
        ("book_images", "book_id", "c"),
        ("image_processing_jobs", "book_id", "c"),
        ("image_processing_jobs", "source_image_id", "n"),
        ("image_processing_jobs", "processed_image_id", "n"),
    }


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        ("pending", "pending", True),
        ("pending", "processing", True),
        ("completed", "pending", False),
        ("failed", "processing", False),
    ],
)
def test_only_one_active_job_of_a_picture_is_allowed(engine, first, second, refused):
    at_contract(engine)
    insert = sa.text(
        "INSERT INTO image_processing_jobs (id, book_id, source_image_id, status)"
        " VALUES (gen_random_uuid(), 1, 1, :status)"
    )
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO books (title) VALUES ('x')"))
        connection.execute(sa.text("INSERT INTO book_images (book_id, s3_key) VALUES (1, 'x')"))
        connection.execute(insert, {"status": first})
    if refused:
        with pytest.raises(sa.exc.IntegrityError, match="uq_image_processing_jobs_active"), engine.begin() as c:
            c.execute(insert, {"status": second})
    else:
        with engine.begin() as connection:
            connection.execute(insert, {"status": second})


def test_the_tables_in_code_are_what_the_newest_revision_makes(engine):
    with engine.begin() as connection:
        upgrade(connection)
        compared = {"compare_type": True, "compare_server_default": True, "target_metadata": tables.metadata}
        context = MigrationContext.configure(connection, opts=compared | {"version_table": VERSION_TABLE})
        assert compare_metadata(context, tables.metadata) == []


def test_an_empty_database_gets_every_revision_and_a_second_run_applies_nothing(engine):
    with engine.begin() as connection:
        first = upgrade(connection)
    assert (first.revision, first.applied, first.stamped) == (HEAD, REVISIONS, False)
    with engine.begin() as connection:
        second = upgrade(connection)
    assert (second.revision, second.applied, second.stamped) == (HEAD, (), False)


def test_an_old_database_is_stamped_and_keeps_its_rows(engine):
    at_contract(
        engine,
        "ALTER TABLE books ADD COLUMN author text",
        "INSERT INTO books (title, author) VALUES ('Emma', 'Austen')",
        "CREATE TABLE authors (id int)",
    )
    with engine.begin() as connection:
        done = upgrade(connection)
    assert (done.revision, done.applied, done.stamped) == (HEAD, REVISIONS[1:], True)
    with engine.begin() as connection:
        assert connection.execute(sa.text("SELECT title, author FROM books")).all() == [("Emma", "Austen")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER TABLE book_images DROP COLUMN caption", "book_images: column caption is missing"),
        ("ALTER TABLE book_images ALTER COLUMN s3_key TYPE varchar(100)", r"s3_key is VARCHAR\(100\) not null"),
        ("ALTER TABLE book_images ALTER COLUMN s3_key DROP NOT NULL", r"s3_key is VARCHAR\(500\) null"),
        ("ALTER TABLE book_images ADD COLUMN secret int NOT NULL", "column secret is not in the contract"),
        ("DROP INDEX uq_image_processing_jobs_active", r"index on \(book_id, source_image_id\) where … is missing"),
        (
            "ALTER TABLE image_processing_jobs DROP CONSTRAINT image_processing_jobs_source_image_id_fkey",
            "foreign key on source_image_id is missing",
        ),
        ("DROP TABLE image_processing_jobs", "neither bmx_version nor image_processing_jobs"),
    ],
)
def test_a_database_that_differs_from_the_contract_is_refused_in_words_and_left_alone(engine, change, words):
    at_contract(engine, change)
    with pytest.raises(SchemaError, match=words), engine.begin() as connection:
        upgrade(connection)
    with engine.begin() as connection:
        inspector = sa.inspect(connection)
        assert "bmx_version" not in inspector.get_table_names()
        assert inspector.get_schema_names() == ["information_schema", "public"]


# As the old system's own migrations leave it (markthebest12/bluemoxon, backend/alembic): its own revision, null
# forbidden where our contract allows it, more columns of a book.
OLD_SYSTEM = (
    "ALTER TABLE book_images ALTER COLUMN display_order SET NOT NULL, ALTER COLUMN is_primary SET NOT NULL",
    "ALTER TABLE books ADD COLUMN volumes int, ADD COLUMN status varchar(20)",
    "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)",
    "INSERT INTO alembic_version VALUES ('b3c8d2e1f4a7')",
)


def test_the_old_systems_database_is_taken_over_and_its_own_revision_stays(engine):
    at_contract(engine, *OLD_SYSTEM)
    for applied, stamped in ((REVISIONS[1:], True), ((), False)):
        with engine.begin() as connection:
            done = upgrade(connection)
            assert (done.revision, done.applied, done.stamped) == (HEAD, applied, stamped)
            assert connection.execute(sa.text("SELECT * FROM alembic_version")).all() == [("b3c8d2e1f4a7",)]


def test_a_picture_comes_into_the_old_systems_database(engine):
    at_contract(engine, *OLD_SYSTEM)
    with engine.begin() as connection:
        upgrade(connection)
        connection.execute(sa.text("INSERT INTO books (title) VALUES ('Emma')"))
        photograph = Photograph("1.jpg", Fingerprint(1, b"", "00" * 32, "v"), None, None)
        accepted = add(connection, 1, [photograph], now=NOW)
        assert accepted is not None
        [sent] = jobs.begin_sending(connection, [accepted.id], now=NOW)
        message = jobs.Message(sent.message_number)
        claimed = jobs.claim(connection, sent.id, message, now=NOW, lease=timedelta(minutes=5)).job
        assert claimed is not None
        made = jobs.ProcessedImage("1_processed_ab.png", "ab")
        done = jobs.complete(connection, claimed, processed=made, model_used="u2net", result={}, now=NOW)
        order = connection.execute(sa.text("SELECT id FROM book_images ORDER BY display_order")).scalars().all()
        assert order == [done.processed_image_id, 1]


def test_a_revision_of_ours_under_alembics_own_name_moves(engine):
    with engine.begin() as connection:
        upgrade(connection)
        for statement in (
            "DROP TABLE bmx_version, api_keys",
            OLD_SYSTEM[2],
            "INSERT INTO alembic_version VALUES ('0004')",
        ):
            connection.execute(sa.text(statement))
        done = upgrade(connection)
        assert (done.revision, done.applied, done.stamped) == (HEAD, ("0005",), False)
        assert "alembic_version" not in sa.inspect(connection).get_table_names()


def test_a_revision_from_newer_code_is_refused(engine):
    with engine.begin() as connection:
        upgrade(connection)
        connection.execute(sa.text("UPDATE bmx_version SET version_num = '9999'"))
    with pytest.raises(SchemaError, match="'9999'"), engine.begin() as connection:
        upgrade(connection)


def test_of_two_migrations_at_once_one_waits_and_finds_nothing_to_do(engine):
    applied, errors = [], []

    def run():
        try:
            with engine.begin() as connection:
                applied.append(upgrade(connection).applied)
        except Exception as error:  # noqa: BLE001  shown below
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert sorted(applied) == [(), REVISIONS]


def test_the_function_says_what_it_applied_and_then_nothing(postgres, empty_database, aws_mock, monkeypatch):
    value = {"username": USER, "password": PASSWORD, "host": postgres.host, "port": postgres.port}
    secret = boto3.client("secretsmanager").create_secret(
        Name="database", SecretString=json.dumps(value | {"database": empty_database})
    )
    monkeypatch.setenv("BMX_DATABASE_SECRET_ARN", secret["ARN"])
    monkeypatch.setenv("BMX_DATABASE_SSLMODE", "disable")
    first = migrate.handler({}, Context())
    assert first == {"revision": HEAD, "applied": list(REVISIONS), "stamped": False}
    assert migrate.handler({}, Context()) == {"revision": HEAD, "applied": [], "stamped": False}
