"""The names that a database may not have, held to PostgreSQL's own list."""

from components.database import RESERVED_NAMES


def test_every_word_that_postgresql_reserves_is_refused_as_a_name(postgres):
    with postgres.connect() as connection:
        # R and T: reserved, the latter except as the name of a function or a type.
        found = connection.execute("SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')").fetchall()
    assert len(found) > 80
    assert {word for (word,) in found} <= RESERVED_NAMES
