"""The migrations make the very tables that the models describe."""

from __future__ import annotations

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


def described(connection: Connection) -> set[tuple[object, ...]]:
    """The database as its own catalogue tells it."""
    return {
        tuple(row)
        for query in (COLUMNS, INDEXES, CONSTRAINTS)
        for row in connection.execute(query)
        if row[0] != "alembic_version"
    }
