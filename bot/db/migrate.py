"""Brings a database to the tables of this version; two at once wait for each other."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, NullPool, create_engine, text

MINIMUM_VERSION = 15  # of PostgreSQL
_LOCK = 0x52616669  # "Rafi"


class DatabaseError(Exception):
    """The database cannot be used; the message says why, in one line."""


def engine(url: str) -> Engine:
    """A plain engine for a `postgresql://` address."""
    return create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), poolclass=NullPool)


def upgrade(url: str) -> None:
    """Run every migration that is missing. Raises `DatabaseError`."""
    with engine(url).connect() as connection:
        version = connection.dialect.server_version_info or (0,)
        if int(version[0]) < MINIMUM_VERSION:
            raise DatabaseError(f"PostgreSQL {version[0]} is too old: {MINIMUM_VERSION} or later is needed")
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        connection.commit()
        try:
            command.upgrade(_config(connection), "head")
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
            connection.commit()


def pending(url: str) -> bool:
    """Whether a migration is missing."""
    with engine(url).connect() as connection:
        heads = set(ScriptDirectory.from_config(_config(connection)).get_heads())
        return set(MigrationContext.configure(connection).get_current_heads()) != heads


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    return config
