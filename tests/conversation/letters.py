"""People on the platform in memory, messages queued for them, and deliverers with connections of their own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import insert, text

from bot.channels import Channel
from bot.conversation import inbox, people
from bot.conversation.delivery import Delivery
from bot.db.models import Outbox
from bot.db.session import Database, connect
from bot.messages import Incoming, Kind, Receipt


async def writes(
    database: Database, address: str = "awa", channel: str = "fake", words: str = "bonjour", **details: Any
) -> int:
    """A person writes, and the turn is over; their conversation."""
    event = Incoming(channel, str(uuid.uuid4()), address, Kind.TEXT, words, details=details)
    [inbox_id] = await inbox.accept(database, [event])
    async with database.session() as session:
        await session.execute(text("UPDATE inbox SET status = 'done' WHERE id = :id"), {"id": inbox_id})
        await session.commit()
    known = await people.find(database, channel, address)
    assert known is not None
    return known.conversation_id


async def queue(database: Database, conversation_id: int, words: str = "Bonjour", **columns: Any) -> int:
    """Queue a message as a turn does; its id."""
    templates, buttons = columns.pop("templates", []), columns.pop("buttons", [])
    async with database.session() as session:
        key = await session.scalar(
            text("SELECT p.key FROM person p JOIN conversation c ON c.person_id = p.id WHERE c.id = :id"),
            {"id": conversation_id},
        )
        content = {"text": words, "buttons": buttons, "language": "fr", "templates": templates}
        outbox_id = await session.scalar(
            insert(Outbox)
            .values(conversation_id=conversation_id, seq=1, content_sealed=database.vault.seal(key, content), **columns)
            .returning(Outbox.id)
        )
        await session.commit()
    assert outbox_id is not None
    return int(outbox_id)


async def state(database: Database, outbox_id: int) -> tuple[str, str | None]:
    """Status and error of a message."""
    async with database.session() as session:
        row = (await session.execute(text("SELECT status, error FROM outbox WHERE id = :id"), {"id": outbox_id})).one()
    return row.status, row.error


async def change(database: Database, statement: str, **values: Any) -> None:
    """Change something behind everybody's back: the clock, mostly."""
    async with database.session() as session:
        await session.execute(text(statement), values)
        await session.commit()


async def now_due(database: Database) -> None:
    """What waits has waited long enough."""
    await change(database, "UPDATE outbox SET next_at = now() WHERE next_at > now()")
    await change(database, "UPDATE address SET not_before = now()")
    await change(database, "UPDATE channel_pace SET paused_until = now()")


async def our_id(database: Database, outbox_id: int) -> str:
    """The id that the platform gives back."""
    async with database.session() as session:
        return str(await session.scalar(text("SELECT public_id FROM outbox WHERE id = :id"), {"id": outbox_id}))


def receipt(status: Any, our: str | None = None, external_id: str = "fake-1", **given: Any) -> Receipt:
    """What the platform reports."""
    return Receipt("fake", external_id, status, our, **given)


@asynccontextmanager
async def deliverers(
    database: Database, url: str, channels: Mapping[str, Channel], count: int = 2
) -> AsyncIterator[list[Delivery]]:
    """Deliverers that share nothing but the database, as in processes of their own."""
    own = [connect(url, database.vault, 6) for _ in range(count)]
    yield [Delivery(one, channels) for one in own]
    for one in own:
        await one.close()
