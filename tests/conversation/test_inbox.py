"""Who was met lately is not looked up, and what they write is written down as if they had been."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from bot.conversation import inbox, people
from bot.db.session import Database
from bot.messages import Incoming, Kind
from tests.conversation.conftest import rows, until, value
from tests.conversation.letters import change

Write = Callable[..., Any]
ADDRESS = "awa"


@pytest.fixture
def met() -> people.Met:
    """Nobody yet."""
    return people.Met()


def said(words: str, **given: Any) -> Incoming:
    """Something new from the same person."""
    return Incoming("fake", given.pop("id", str(uuid.uuid4())), ADDRESS, given.pop("kind", Kind.TEXT), words, **given)


async def kept(database: Database) -> list[str]:
    """What was written down, as whoever takes the turns reads it."""
    found = await rows(
        database,
        "SELECT content_sealed, key FROM inbox JOIN conversation c ON c.id = conversation_id"
        " JOIN person ON person.id = person_id ORDER BY inbox.id",
    )
    return [database.vault.open(row.key, row.content_sealed)["text"] for row in found]


async def test_who_writes_on_is_not_looked_up(
    database: Database, met: people.Met, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second message needs no more than its own statement."""
    await inbox.accept(database, [said("one")], met=met)

    async def never(*_: object) -> None:
        raise AssertionError("looked up")

    monkeypatch.setattr(people, "find", never)
    begun: list[int] = []
    [second] = await inbox.accept(database, [said("two")], lambda event, conversation: begun.append(conversation), met)
    assert second is not None
    assert await kept(database) == ["one", "two"]
    assert begun == [await value(database, "SELECT id FROM conversation")]
    assert await value(database, "SELECT count(*) FROM address WHERE last_heard_at IS NOT NULL") == 1


async def test_the_same_again_is_known(database: Database, met: people.Met) -> None:
    """A repeat makes no second row and begins no turn."""
    event = said("one")
    [first] = await inbox.accept(database, [event], met=met)
    begun: list[int] = []
    assert await inbox.accept(database, [event], lambda event, conversation: begun.append(conversation), met) == [None]
    assert first is not None
    assert (await kept(database), begun) == (["one"], [])


async def test_a_key_that_was_wrapped_anew(database: Database, met: people.Met) -> None:
    """The master key changed: the old wrapping is not used any more."""
    await inbox.accept(database, [said("one")], met=met)
    key = database.vault.new_key()
    await change(database, "UPDATE inbox SET content_sealed = NULL")
    await change(database, "UPDATE person SET key = :key", key=key)
    await inbox.accept(database, [said("two")], met=met)
    await inbox.accept(database, [said("three")], met=met)
    sealed = await rows(database, "SELECT content_sealed FROM inbox WHERE content_sealed IS NOT NULL ORDER BY id")
    assert [database.vault.open(key, row.content_sealed)["text"] for row in sealed] == ["two", "three"]


async def test_an_address_that_is_somebody_elses_now(database: Database, met: people.Met) -> None:
    """A number went to another person: what comes from it is theirs."""
    await inbox.accept(database, [said("mine")], met=met)
    await change(database, "UPDATE address SET digest = 'elsewhere'")
    await inbox.accept(database, [said("theirs")], met=met)
    of_whom = await rows(database, "SELECT conversation_id FROM inbox ORDER BY id")
    assert len({row.conversation_id for row in of_whom}) == 2
    assert await kept(database) == ["mine", "theirs"]


async def test_who_is_being_erased_is_waited_for(database: Database, met: people.Met) -> None:
    """What comes in the moment of erasing is sealed with the key of who begins anew."""
    await inbox.accept(database, [said("old")], met=met)
    key = database.vault.new_key()
    async with database.session() as session:
        await session.execute(text("SELECT id FROM conversation FOR UPDATE"))
        coming = asyncio.create_task(inbox.accept(database, [said("new")], met=met))
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%inbox%'"
        await until(lambda: value(database, waiting))
        anew = text("INSERT INTO person (key) VALUES (:key) RETURNING id")
        person_id = await session.scalar(anew, {"key": key})
        await session.execute(text("UPDATE inbox SET content_sealed = NULL"))
        await session.execute(text("UPDATE address SET person_id = :id"), {"id": person_id})
        await session.execute(text("UPDATE conversation SET person_id = :id"), {"id": person_id})
        await session.commit()
    assert await coming != [None]
    [row] = await rows(database, "SELECT content_sealed FROM inbox WHERE content_sealed IS NOT NULL")
    assert database.vault.open(key, row.content_sealed)["text"] == "new"


def test_nobody_is_remembered_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not after five minutes, and of many the last."""
    now = 1000.0
    monkeypatch.setattr("bot.conversation.people.time.monotonic", lambda: now)
    met = people.Met(most=2)
    for number in range(3):
        met.keep(b"%d" % number, people.Known(number, b"key"))
    assert [met.get(b"%d" % number) is not None for number in range(3)] == [False, True, True]
    now += 299
    assert met.get(b"2") is not None
    now += 2
    assert met.get(b"2") is None
    met.keep(b"3", people.Known(3, b"key"))
    assert list(met._heard) == [b"3"]
