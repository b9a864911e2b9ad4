"""What somebody of the team does with all that is kept of a person, because the person asked for it: a file, erasing.

The person's own journeys do it (bot/journeys/rights.py, bot/journeys/my_data.py), under the lock of the conversation:
no turn runs meanwhile, and one that dies leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.conversation import outbox, people, staff
from bot.db.models import Address, Conversation, Person, RasaTracker
from bot.db.session import Database, Lane, wake
from bot.journeys import my_data, rights
from bot.journeys.context import Context
from bot.messages import LANGUAGES, Document
from bot.settings import Settings

REASONS = ("asked_here", "asked_otherwise", "other_person", "retention")  # why somebody is erased; never free words
EXPORTS = ("requests", "interviews", "checkins")  # tables of many
PURPOSES = ("donor", "quality", "handover")  # why one is wanted
Beside = Callable[[AsyncSession, str], Awaitable[None]]  # what commits with it, told the receipt: the console's audit


class Busy(Exception):
    """The person is being answered at this moment: try again."""


async def erase(database: Database, settings: Settings, conversation_id: int, beside: Beside) -> str:
    """Everything about this person goes, as when they ask themselves; the receipt, which they are told.

    Who wants no messages or cannot be reached is not written to. Raises `Busy`, or `LookupError` for who is gone.
    """
    async with database.holding(Lane.TURN, conversation_id) as connection:
        if connection is None:
            raise Busy
        async with AsyncSession(connection, expire_on_commit=False) as session:
            ctx, unwanted = await _context(session, database, settings, conversation_id)
            before = await session.get(Conversation, conversation_id)
            receipt = await rights.forget(ctx)
            await staff.erased(ctx)
            await rights.erase_person(ctx)
            if not unwanted:
                await outbox.write(ctx, None)
            if before is not None:
                await session.execute(delete(RasaTracker).where(RasaTracker.conversation == before.rasa_id))
            anew = {"rasa_id": people.new_rasa_id(), "rasa_turns": 0, "form": None, "misunderstood": 0}
            await session.execute(update(Conversation).where(Conversation.id == conversation_id).values(anew))
            await beside(session, receipt)
            await wake(session, Lane.DELIVERY, conversation_id)
            await session.commit()
    return receipt


async def as_file(session: AsyncSession, database: Database, settings: Settings, conversation_id: int) -> Document:
    """All answers and consents that are kept of this person, as they get it themselves. `LookupError`: who is gone."""
    ctx, _ = await _context(session, database, settings, conversation_id)
    await my_data.as_file(ctx)
    document = ctx.sayings[-1].document
    if document is None:
        raise LookupError("there is no file")
    return document


async def _context(
    session: AsyncSession, database: Database, settings: Settings, conversation_id: int
) -> tuple[Context, bool]:
    """The person as the journeys know them, and whether they are not to be written to."""
    row = (
        await session.execute(
            select(
                Person.id, Person.key, Person.language, Person.stopped_at, Address.channel, Address.unreachable_at,
                Conversation.owner_id,
            )
            .join(Conversation, Conversation.person_id == Person.id)
            .join(Address, Address.id == Conversation.address_id)
            .where(Conversation.id == conversation_id)
        )
    ).first()  # fmt: skip
    if row is None:
        raise LookupError("there is no such conversation")
    ctx = Context(
        session=session,
        vault=database.vault,
        settings=settings,
        now=datetime.now(UTC),
        inbox_id=0,
        person_id=row.id,
        person_key=row.key,
        conversation_id=conversation_id,
        channel=row.channel,
        language=next((code for code in LANGUAGES if code == row.language), "fr"),
        owner_id=row.owner_id,
    )
    return ctx, row.stopped_at is not None or row.unreachable_at is not None
