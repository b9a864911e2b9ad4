"""The migrations make the very tables that the models describe."""

from __future__ import annotations

from alembic import command
from sqlalchemy import Connection, text

from bot.db import migrate
from bot.db.models import Base

COLUMNS = text("""
    SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
""")
INDEXES = text("SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'")
CONSTRAINTS = text("""
    SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conrelid <> 0
""")


def test_models_and_migrations_agree(database_url: str) -> None:
    """Columns, defaults, constraints and indexes, with the conditions of partial ones."""
    with migrate.engine(database_url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE models"))
        migrated = described(connection)
    with migrate.engine(database_url.replace("/postgres?", "/models?")).begin() as connection:
        Base.metadata.create_all(connection)
        modelled = described(connection)
    assert migrated ^ modelled == set()


ENROLLED = text("""
    INSERT INTO enrolment (id, reference, person_id, conversation_id, status) OVERRIDING SYSTEM VALUE VALUES
        (1, 'CK-1', 1, 1, 'active'), (2, 'CK-2', 2, 2, 'ended'), (3, 'CK-3', 3, 3, 'invited')
""")
ASKED = text("""
    INSERT INTO checkin (enrolment_id, person_id, round, form) VALUES
        (1, 1, 'enrolment', 'enrolment'), (1, 1, 'week2', 'short'), (1, 1, 'month1', 'short'), (1, 1, 'month12', 'full'),
        (2, 2, 'enrolment', 'enrolment'), (2, 2, 'week2', 'short'), (3, 3, 'enrolment', 'enrolment')
""")


def test_check_ins_of_before_know_when_they_come(database_url: str) -> None:
    """Read in their names; how long somebody is asked, in their last one. Nothing has to be planned again."""
    with migrate.engine(database_url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE before"))
    url = database_url.replace("/postgres?", "/before?")
    with migrate.engine(url).begin() as connection:
        command.upgrade(migrate._config(connection), "0020")
        connection.execute(text("SET LOCAL session_replication_role = replica"))  # without the people
        connection.execute(ENROLLED)
        connection.execute(ASKED)
    migrate.upgrade(url)
    with migrate.engine(url).connect() as connection:
        asked = connection.execute(text("SELECT round, weeks, months FROM checkin WHERE enrolment_id = 1 ORDER BY id"))
        assert [tuple(row) for row in asked] == [
            ("enrolment", None, None), ("week2", 2, 0), ("month1", 0, 1), ("month12", 0, 12),
        ]  # fmt: skip
        enrolled = connection.execute(text("SELECT months, planned FROM enrolment ORDER BY id"))
        assert [tuple(row) for row in enrolled] == [(12, 0), (1, 0), (None, 0)]


def described(connection: Connection) -> set[tuple[object, ...]]:
    """The database as its own catalogue tells it."""
    return {
        tuple(row)
        for query in (COLUMNS, INDEXES, CONSTRAINTS)
        for row in connection.execute(query)
        if row[0] != "alembic_version"
    }
