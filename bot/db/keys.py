"""Which master keys there are, and how one takes the place of another.

Every person's key is wrapped by a master key, whose id it begins with. While the master key is changed, the new one
wraps and the old one is still read. The key of look-ups (`Vault.digest`) stays what it was, wrapped by the current
master key in the table `lookup_key`: nobody is lost who can be found by their number alone.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import psycopg
from cryptography.exceptions import InvalidTag

from bot import faults
from bot.db.encryption import Vault, key_id

BATCH = 500
# where wrapped keys stand; the names are ours
_TABLES = {"person": "id", "staff_login": "staff_id"}
WRONG = (
    "RAFIQ_MASTER_KEY is not the one that this database was written with: set that one, or put it behind the new one "
    "(docs/privacy.md)"
)


class WrongMasterKey(Exception):
    """None of the master keys opens what the database holds; the text says what to do."""


def vault(url: str, masters: Sequence[bytes]) -> Vault:
    """The vault of this database. Raises `WrongMasterKey` rather than to write what nobody could find or read."""
    made = Vault(*masters)
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("SELECT to_regclass('lookup_key')").fetchone() == (None,):
            return made  # before the migration
        rows = connection.execute("SELECT master, wrapped FROM lookup_key").fetchall()
        wrapped = {bytes(master): bytes(key) for master, key in rows}
        for master in masters:
            if key_id(master) in wrapped:
                return made.with_lookup(wrapped[key_id(master)])
        if wrapped or not _opens(connection, made):
            raise WrongMasterKey(WRONG)
        _remember(connection, made)
    return made


def left(connection: psycopg.Connection, current: Vault) -> int:
    """How many keys another master key than the current one wraps."""
    return sum(
        connection.execute(
            f"SELECT count(*) FROM {table} WHERE octet_length(key) <> %s OR substring(key FOR %s) <> %s",  # noqa: S608
            (len(current.new_key()), len(current.id), current.id),
        ).fetchone()[0]  # type: ignore[index]
        for table in _TABLES
    )


def rotate(url: str, current: Vault) -> int:
    """Wrap every key by the current master key; how many were not. Killed at any moment, the next run goes on."""
    done = 0
    with psycopg.connect(url, autocommit=True) as connection:
        _remember(connection, current)
        for table, number in _TABLES.items():
            done += _rewrap(connection, current, table, number)
        if left(connection, current) == 0:
            connection.execute("DELETE FROM lookup_key WHERE master <> %s", (current.id,))
    return done


def _rewrap(connection: psycopg.Connection, current: Vault, table: str, number: str) -> int:
    done, after = 0, None
    while True:
        rows = connection.execute(
            f"SELECT {number}, key FROM {table} WHERE %s::text IS NULL OR {number} > %s ORDER BY {number} LIMIT %s",  # noqa: S608
            (after, after, BATCH),
        ).fetchall()
        with connection.transaction():
            for row_number, key in rows:
                wrapped = bytes(key)
                if current.is_current(wrapped):
                    continue
                connection.execute(  # the person may be erased meanwhile, and their key with them
                    f"UPDATE {table} SET key = %s WHERE {number} = %s AND key = %s",  # noqa: S608
                    (current.rewrapped(wrapped), row_number, wrapped),
                )
                done += 1
        faults.point("keys.rewrapped")
        if len(rows) < BATCH:
            return done
        after = rows[-1][0]


def _remember(connection: psycopg.Connection, current: Vault) -> None:
    connection.execute(
        "INSERT INTO lookup_key (master, wrapped) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (current.id, current.wrapped_lookup()),
    )


def _opens(connection: psycopg.Connection, made: Vault) -> bool:
    """Whether the first key that there is can be opened; True where there is none."""
    row = connection.execute("SELECT key FROM person ORDER BY id LIMIT 1").fetchone()
    try:
        return row is None or bool(made.rewrapped(bytes(row[0])))
    except (InvalidTag, ValueError):  # of another master key, or no key at all
        return False


def kept(path: Path) -> list[bytes]:
    """The master keys of a file: the current one first, one in each line."""
    return [bytes.fromhex(line) for line in path.read_text().split()]


def begin(path: Path) -> None:
    """A new master key before the one of this file; where two are there already, that one is not finished yet."""
    keys = kept(path)
    if len(keys) == 1:
        _write(path, [secrets.token_bytes(32), *keys])


def end(path: Path) -> None:
    """The current master key alone stays in this file."""
    _write(path, kept(path)[:1])


def _write(path: Path, keys: Sequence[bytes]) -> None:
    """At once or not at all: half a file of keys would be the loss of everything."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write("\n".join(one.hex() for one in keys))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
