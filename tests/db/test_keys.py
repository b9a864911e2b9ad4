"""The master key can change while everything goes on: nothing is lost, also when it stops in the middle."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from cryptography.exceptions import InvalidTag
from sqlalchemy import text

from bot.conversation import people
from bot.db import keys
from bot.db.encryption import Vault
from bot.db.session import Database, connect
from bot.settings import ROOT
from tests.conftest import emptied, own_database

OLD, NEW, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))
PEOPLE = 7


@pytest.fixture(scope="module")
def url(database_url: str) -> str:
    """A database that no service works on."""
    return own_database(database_url, "master_keys")


@pytest.fixture
async def names(url: str) -> list[str]:
    """People whose keys are wrapped by the old master key: half of them as it was done before keys had ids."""
    database = connect(url, Vault(OLD), 2)
    await emptied(database)
    names = [f"person {number}" for number in range(PEOPLE)]
    for name in names:
        await people.begin(database, "web", name)
    async with database.session() as session:
        await session.execute(text("UPDATE person SET key = substring(key FROM 5) WHERE id % 2 = 0"))
        await session.commit()
    await database.close()
    return names


async def read(url: str, vault: Vault, names: list[str]) -> list[str]:
    """Their addresses, found by look-up and opened."""
    database = connect(url, vault, 2)
    found = [await opened(database, name) for name in names]
    await database.close()
    return found


async def opened(database: Database, name: str) -> str:
    """The address of who writes from there."""
    known = await people.find(database, "web", name)
    assert known is not None, "the look-up must find who was there before"
    async with database.session() as session:
        sealed = await session.scalar(
            text("SELECT address_sealed FROM address JOIN conversation ON address_id = address.id "
                 "WHERE conversation.id = :c"), {"c": known.conversation_id},
        )  # fmt: skip
    return str(database.vault.open(known.key, bytes(sealed)))


async def test_a_new_key_takes_the_place_of_the_old(url: str, names: list[str]) -> None:
    """Old and new are read while it changes; afterwards the new one alone reads and finds everybody, the old nothing."""
    assert await read(url, keys.vault(url, [OLD]), names) == names
    both = keys.vault(url, [NEW, OLD])
    assert await read(url, both, names) == names
    assert keys.rotate(url, both) == PEOPLE
    assert keys.rotate(url, both) == 0
    assert await read(url, keys.vault(url, [NEW]), names) == names
    with psycopg.connect(url) as connection:
        assert keys.left(connection, both) == 0
    with pytest.raises(keys.WrongMasterKey):
        keys.vault(url, [OLD])
    keys.rotate(url, keys.vault(url, [OTHER, NEW]))
    assert (
        await read(url, keys.vault(url, [OTHER]), names) == names
    )  # a second time: look-ups are the first key's still


async def test_a_wrong_key_stops_the_start(url: str, names: list[str]) -> None:
    """A database that was written with another key is not written to."""
    with pytest.raises(keys.WrongMasterKey, match="RAFIQ_MASTER_KEY"):
        keys.vault(url, [NEW])
    keys.vault(url, [OLD])
    with pytest.raises(keys.WrongMasterKey):
        keys.vault(url, [NEW])


def test_a_key_says_which_master_wrapped_it() -> None:
    """A key of an unknown master is refused, not guessed at."""
    vault = Vault(NEW, OLD)
    assert vault.is_current(vault.new_key())
    assert not vault.is_current(Vault(OLD).new_key())
    assert vault.is_current(vault.rewrapped(Vault(OLD).new_key()))
    with pytest.raises(InvalidTag):
        vault.seal(Vault(OTHER).new_key(), "x")


KILLED = """
import sys
from bot.db import keys
keys.BATCH = 2
url, new, old = sys.argv[1], bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3])
keys.rotate(url, keys.vault(url, [new, old]))
"""


async def test_killed_in_the_middle(url: str, names: list[str]) -> None:
    """Killed after some, everybody is read and found, and the next run does the rest alone."""
    run = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", KILLED, url, NEW.hex(), OLD.hex()],
        cwd=ROOT,
        env={**os.environ, "RAFIQ_FAULT": "keys.rewrapped"},
        check=False,
        timeout=120,
    )
    assert run.returncode == -9
    both = keys.vault(url, [NEW, OLD])
    with psycopg.connect(url) as connection:
        assert keys.left(connection, both) == PEOPLE - 2
    assert await read(url, both, names) == names
    assert keys.rotate(url, both) == PEOPLE - 2
    assert await read(url, keys.vault(url, [NEW]), names) == names


def test_the_file_of_keys(tmp_path: Path) -> None:
    """Two lines while it changes, begun once however often it is called; nobody else can read it."""
    file = tmp_path / "master.key"
    file.write_text(OLD.hex())
    keys.begin(file)
    keys.begin(file)
    new, old = keys.kept(file)
    assert old == OLD and new != OLD and len(new) == 32
    assert file.stat().st_mode & 0o077 == 0
    keys.end(file)
    assert keys.kept(file) == [new]
