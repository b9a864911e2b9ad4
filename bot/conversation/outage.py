"""Telegram keeps what people write for a day. When it could not reach us for longer, those who write to us are told
that their words may be lost, in place of a silence that they would take for an answer.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot import i18n
from bot.checkins import schedule
from bot.conversation import outbox
from bot.db.models import Address, ChannelState, Conversation, Outbox, Person
from bot.db.session import Database
from bot.messages import Language

KEPT = timedelta(hours=23)  # by the platform: a day, and less than a minute goes by between two looks
ACTIVE = timedelta(days=7)  # who wrote so long before it: others will hardly have written in it
WORTH = timedelta(days=2)  # so long it is worth saying
ZONE = "Africa/Casablanca"  # whose night it must not wake, where nobody told us theirs


async def reached(database: Database, channel: str) -> int:
    """The platform gets through to us now. How many people were told that it did not for too long: each once."""
    name = f"{channel} reached us"
    async with database.session() as session:
        now: datetime = (await session.execute(select(func.now()))).scalar_one()
        kept = await session.scalar(select(ChannelState.value).where(ChannelState.channel == name).with_for_update())
        row = insert(ChannelState).values(channel=name, value={"at": now.isoformat()})
        await session.execute(row.on_conflict_do_update(index_elements=["channel"], set_={"value": row.excluded.value}))
        last = datetime.fromisoformat(kept["at"]) if kept else now
        told = await _tell(session, database, channel, last, now) if now - last > KEPT else 0
        await session.commit()
    return told


async def _tell(session: AsyncSession, database: Database, channel: str, last: datetime, now: datetime) -> int:
    active = await session.execute(
        select(Conversation.id, Person.language)
        .join(Address, Address.id == Conversation.address_id)
        .join(Person, Person.id == Conversation.person_id)
        .where(Address.channel == channel, Address.last_heard_at > last - ACTIVE)
    )
    told, until = [], now + WORTH
    for row in active.all():
        language: Language = row.language or "fr"
        words = i18n.say("missed", language)
        told.append(
            await outbox.unasked(session, database.vault, row.id, words, language, sensitive=False, expires_at=until)
        )
    queued = [outbox_id for outbox_id in told if outbox_id is not None]
    later = schedule.held().allowed(now, ZONE)
    await session.execute(update(Outbox).where(Outbox.id.in_(queued)).values(next_at=later))
    return len(queued)
