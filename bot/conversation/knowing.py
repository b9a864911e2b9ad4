"""Whether we know who reads: after a long silence, another holder of the number, or the safe word, nothing personal is
shown until they name a number that they were given before.

Every answer counts, a right one too once three were wrong: then a person of the team has to say who it is. What is
asked and answered is the same whoever they are and whatever is kept, so that nothing can be learnt by trying.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.appointments import bookings
from bot.conversation import people
from bot.db.models import Address, Appointment, Conversation, Enrolment, Handoff, IssuedButton, RasaTracker, Request
from bot.db.session import Database, Lane, wake
from bot.journeys import handoff, safe_word
from bot.journeys.context import Context

TRIES = 3
_NUMBERS = (Request, Appointment, Handoff, Enrolment)  # what has a number that a person is given
_NUMBER = re.compile(r"(AV|RV|CK|H)[ -]?([2-9A-Za-z]{4,5})", re.IGNORECASE)
# verbs that show what was said before, or go on with it, beyond the texts that are held back (journeys/context.py)
PERSONAL = frozenset({
    "checkins", "checkin_now", "checkin_later", "checkin_answer", "stop_checkins", "interview", "book_interview",
    "change_interview", "cancel_interview", "drop_interview", "leave_interview", "interview_answer", "interview_come",
    "interview_status", "consents", "withdraw_consent", "correct_my_data", "my_data_file", "withdraw_request",
    "safe_word", "safe_word_remove", "correct_field", "correct_to",
})  # fmt: skip


async def unsure_since(session: AsyncSession, conversation_id: int) -> Any:
    """Since when it is not known who reads, and how often they were wrong; None where nobody doubts it."""
    since = func.least(Address.identity_changed_at, Address.unsure_at)  # the earlier one: NULL is passed over
    return (
        await session.execute(
            select(Address.id, since.label("since"), Address.identity_changed_at, Address.tries)
            .join(Conversation, Conversation.address_id == Address.id)
            .where(Conversation.id == conversation_id, since.is_not(None))
        )
    ).first()


async def doubted(session: AsyncSession, conversation_id: int, person_id: int) -> bool:
    """Whether nothing personal may be shown. Who was only silent, and never had a number, is not asked for one."""
    found = await unsure_since(session, conversation_id)
    if found is None:
        return False
    if found.identity_changed_at is None and not await _given(session, person_id, found.since):
        await session.execute(update(Address).where(Address.id == found.id).values(unsure_at=None))
        return False
    return True


async def answered(ctx: Context, typed: str) -> bool:
    """Take this text as the answer to who they are; False when that is not in doubt, or it is no number."""
    number = _NUMBER.fullmatch(typed)
    found = await unsure_since(ctx.session, ctx.conversation_id) if number is not None else None
    if number is None or found is None:
        return False
    reference = f"{number[1]}-{number[2]}".upper()
    ctx.forget_words = True
    if found.tries < TRIES and reference in await _given(ctx.session, ctx.person_id, found.since):
        ctx.dialogue, ctx.hidden = await known(ctx.session, ctx.conversation_id), False
        ctx.say("identity.verified", [ctx.do("button.help", "help")])
        return True
    await ctx.session.execute(
        update(Address).where(Address.id == found.id).values(tries=func.least(Address.tries + 1, TRIES))
    )
    if found.tries + 1 >= TRIES:
        await handoff.ask(ctx)
    else:
        ctx.say("identity.wrong", [ctx.do("button.person", "handoff", reason="asked")])
    return True


async def _given(session: AsyncSession, person_id: int, before: Any) -> set[str]:
    """The numbers that they had before it was in doubt who they are: later ones anybody could have asked for."""
    found: set[str] = set()
    for table in _NUMBERS:
        theirs = select(table.reference).where(table.person_id == person_id, table.created_at < before)
        if table is Appointment:  # of a draft nobody was told
            theirs = theirs.where(Appointment.status.not_in(bookings.DRAFT))
        found |= set(await session.scalars(theirs))
    return found


async def known(session: AsyncSession, conversation_id: int) -> tuple[str, str | None] | None:
    """It is they: what was held goes, what was hidden is there again; Rasa's conversation that comes back with it."""
    await people.verified(session, conversation_id)
    this = Conversation.id == conversation_id
    row = (
        await session.execute(
            select(Conversation.rasa_id, Conversation.aside_rasa_id, Conversation.aside_form).where(this)
        )
    ).one()
    values: dict[str, Any] = {"hidden_at": None, "aside_rasa_id": None, "aside_form": None}
    if row.aside_rasa_id is not None:
        await session.execute(delete(RasaTracker).where(RasaTracker.conversation == row.rasa_id))
        values |= {"rasa_id": row.aside_rasa_id, "form": row.aside_form, "rasa_turns": 0}
    await session.execute(update(Conversation).where(this).values(**values))
    return (row.aside_rasa_id, row.aside_form) if row.aside_rasa_id is not None else None


async def by_the_team(database: Database, reference: str) -> bool:
    """Somebody of the team made sure who it is; False where that was not in doubt, or there is no such handoff."""
    async with database.session() as session:
        conversation_id = await session.scalar(select(Handoff.conversation_id).where(Handoff.reference == reference))
    if conversation_id is None:
        return False
    while True:  # between two turns: each writes down where the dialogue stands
        async with database.holding(Lane.TURN, conversation_id) as connection:
            if connection is None:
                await asyncio.sleep(0.2)
                continue
            async with AsyncSession(connection) as session:
                doubted = await unsure_since(session, conversation_id) is not None
                await known(session, conversation_id)
                await wake(session, Lane.DELIVERY, conversation_id)
                await session.commit()
            return doubted


async def hide(ctx: Context, rasa_id: str, form: str | None) -> None:
    """The safe word was written: from here on this is a conversation that has just begun.

    A form in progress is put aside with Rasa's memory of it, drafts stay where they are, earlier buttons do nothing.
    """
    this = Conversation.id == ctx.conversation_id
    row = (await ctx.session.execute(select(Conversation.address_id, Conversation.aside_rasa_id).where(this))).one()
    await people.doubt(ctx.session, row.address_id)
    values: dict[str, Any] = {"hidden_at": func.coalesce(Conversation.hidden_at, ctx.now)}
    if form is not None and row.aside_rasa_id is None:
        values |= {"aside_rasa_id": rasa_id, "aside_form": form}
        ctx.dialogue = (people.new_rasa_id(), None)
    else:
        ctx.forget_dialogue = True
    await ctx.session.execute(update(Conversation).where(this).values(**values))
    await ctx.session.execute(
        update(IssuedButton).where(IssuedButton.conversation_id == ctx.conversation_id).values(expires_at=ctx.now)
    )
    ctx.draft, ctx.checkin, ctx.form, ctx.hidden = None, None, None, True
    await safe_word.hidden(ctx)
