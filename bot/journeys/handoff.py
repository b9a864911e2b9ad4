"""A person is asked for: recorded, told to the case backend, and the truth about when somebody reads."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.cases import events
from bot.db.models import Conversation, Handoff, HandoffEntry, Request
from bot.db.session import Lane, wake, waking
from bot.journeys.context import Context, new_reference
from bot.journeys.hours import closing, later, when_somebody_reads
from bot.settings import Settings, reading_minutes

PRIORITIES = {"complaint": "P1", "minor": "P1", "asked": "P2", "interview": "P2", "no_followup": "P2"}
OPEN = ("waiting", "taken")
WITHOUT_HOURS = timedelta(days=2)  # what the team promises itself where nobody waits in the chat
PLACES = {
    "from_morocco": "MA", "back_in_morocco": "MA", "from_mauritania": "MR", "back_in_mauritania": "MR",
}  # fmt: skip


async def ask(ctx: Context, reason: str = "asked", **_: Any) -> None:
    """Record that a person is wanted and say when somebody reads; asked again, the same request stands."""
    reference = await record(ctx, reason)
    ctx.say(
        f"handoff.{reason}"
        if reason in ("interview", "complaint", "no_followup", "not_understood", "media")
        else "handoff.asked",
        reference=reference,
        when=when_somebody_reads(ctx.settings.rafiq_reading_hours, ctx.now, ctx.language),
    )


async def record(
    ctx: Context, reason: str, priority: str | None = None, place: str | None = None, announced: bool = True
) -> str:
    """The reference of the handoff: a new one, or the one that is still open for the same reason.

    Who asks again for a person soon after one gave the conversation back to the assistant has the same one reopened.
    In a conversation that somebody of the team has, it is theirs from the beginning. Not `announced`: the case backend
    hears of it otherwise.
    """
    open_ = await ctx.session.scalar(
        select(Handoff.reference)
        .where(Handoff.conversation_id == ctx.conversation_id, Handoff.status.in_(OPEN))
        .where(Handoff.reason == reason)
        .where((Handoff.created_at > func.now() - func.make_interval(0, 0, 0, 1)) | (Handoff.reason == "request"))
    )
    if open_ is None and reason == "asked" and ctx.owner_id is None:
        open_ = await _reopened(ctx)
    if open_ is not None:
        if priority is not None:
            await _sooner(ctx, open_, priority)
        return open_
    priority = priority or PRIORITIES.get(reason, "P2")
    reference = new_reference("H")
    theirs = ctx.owner_id is not None
    await ctx.session.execute(
        insert(Handoff)
        .values(
            reference=reference,
            person_id=ctx.person_id,
            conversation_id=ctx.conversation_id,
            inbox_id=ctx.inbox_id,
            reason=reason,
            priority=priority,
            language=ctx.language,
            place=place or await _place(ctx),
            due_at=due(ctx.settings, priority, ctx.now),
            status="taken" if theirs else "waiting",
            owner_id=ctx.owner_id,
            taken_at=ctx.now if theirs else None,
            unanswered_at=ctx.now if theirs else None,
            look_at=patience(ctx.settings, priority, ctx.now) if theirs else ctx.now,
        )
        .returning(waking(Lane.HANDOFF, ctx.conversation_id))
    )
    if announced:
        await events.record(
            ctx.session,
            type_="handoff.requested",
            key=f"handoff:{ctx.inbox_id}:{reason}",
            person_id=ctx.person_id,
            occurred_at=ctx.now,
            data={
                "handoff": reference,
                "reason": reason,
                "priority": priority,
                "language": ctx.language,
                "channel": ctx.channel,
            },
        )
    return reference


async def _sooner(ctx: Context, reference: str, priority: str) -> None:
    """What waits already is more urgent than it was, if this says so: the team is told anew."""
    sooner = {"priority": priority, "due_at": due(ctx.settings, priority, ctx.now), "look_at": ctx.now}
    waits = (Handoff.reference == reference, Handoff.status == "waiting", Handoff.priority > priority)
    if await ctx.session.scalar(update(Handoff).where(*waits).values(sooner).returning(Handoff.id)) is not None:
        await wake(ctx.session, Lane.HANDOFF, ctx.conversation_id)


async def settle(session: AsyncSession, person_id: int, now: datetime) -> None:
    """Nobody need answer this person's request any more: they took it back, or the case backend has it."""
    waiting = (Handoff.person_id == person_id, Handoff.reason == "request", Handoff.status == "waiting")
    where = await session.scalar(select(Handoff.conversation_id).where(*waiting).limit(1))
    if where is None:
        return
    this = select(Conversation.id).where(Conversation.id == where)
    await session.execute(this.with_for_update(key_share=True))  # as whoever of the team takes it does
    over = update(Handoff).where(*waiting).values(status="released", released_at=now, look_at=None)
    for handoff_id in list(await session.scalars(over.returning(Handoff.id))):
        await session.execute(insert(HandoffEntry).values(handoff_id=handoff_id, what="settled", at=now))


async def record_unasked(
    session: AsyncSession,
    *,
    person_id: int,
    conversation_id: int,
    reason: str,
    key: str,
    language: str,
    channel: str | None,
    now: datetime,
) -> str:
    """A handoff (P2) that no message asked for: an interview or a check-in did; its reference. `key` makes it one.

    In a conversation that somebody of the team has, it is theirs from the beginning, and nobody waits for a word.
    """
    reference = new_reference("H")
    this = select(Conversation.owner_id).where(Conversation.id == conversation_id)
    owner_id = await session.scalar(this.with_for_update(key_share=True))
    await session.execute(
        insert(Handoff).values(
            reference=reference,
            person_id=person_id,
            conversation_id=conversation_id,
            reason=reason,
            priority="P2",
            language=language,
            due_at=now + WITHOUT_HOURS,
            status="taken" if owner_id is not None else "waiting",
            owner_id=owner_id,
            taken_at=now if owner_id is not None else None,
            look_at=None if owner_id is not None else func.now(),
        )
    )
    await events.record(
        session,
        type_="handoff.requested",
        key=key,
        person_id=person_id,
        occurred_at=now,
        data={"handoff": reference, "reason": reason, "priority": "P2", "language": language, "channel": channel},
    )
    await wake(session, Lane.HANDOFF, conversation_id)
    return reference


def due(settings: Settings, priority: str, at: datetime) -> datetime:
    """Until when the team promised itself to be there."""
    if priority == "P0":
        return at + timedelta(minutes=settings.rafiq_handoff_p0_minutes)
    days = settings.rafiq_handoff_p1_days if priority == "P1" else settings.rafiq_handoff_p2_days
    return closing(settings.rafiq_reading_hours, at, days)


def patience(settings: Settings, priority: str, at: datetime) -> datetime:
    """Until when somebody who took a handoff may leave the person without a word."""
    return _after(settings, settings.rafiq_handoff_silence, priority, at)


def reminder(settings: Settings, priority: str, at: datetime) -> datetime:
    """When the team is reminded of a handoff that nobody took."""
    return _after(settings, settings.rafiq_handoff_remind, priority, at)


def _after(settings: Settings, setting: str, priority: str, at: datetime) -> datetime:
    minutes = reading_minutes(setting)[priority]
    return at + timedelta(minutes=minutes) if priority == "P0" else later(settings.rafiq_reading_hours, at, minutes)


async def _reopened(ctx: Context) -> str | None:
    """The handoff of before, back in the queue, if it was given back to the assistant not long ago."""
    this = select(Conversation.id).where(Conversation.id == ctx.conversation_id)
    await ctx.session.execute(this.with_for_update(key_share=True))  # as whoever of the team reopens it does
    back = await ctx.session.scalar(
        select(Handoff)
        .where(Handoff.conversation_id == ctx.conversation_id, Handoff.status == "released")
        .where(Handoff.released_at > ctx.now - timedelta(hours=ctx.settings.rafiq_handoff_reopen_hours))
        .order_by(Handoff.released_at.desc())
        .limit(1)
    )
    if back is None:
        return None
    again = {"status": "waiting", "look_at": ctx.now, "step": 0, "due_at": due(ctx.settings, back.priority, ctx.now)}
    await ctx.session.execute(update(Handoff).where(Handoff.id == back.id).values(again))
    await ctx.session.execute(insert(HandoffEntry).values(handoff_id=back.id, what="reopened", at=ctx.now))
    await wake(ctx.session, Lane.HANDOFF, ctx.conversation_id)
    return back.reference


async def _place(ctx: Context) -> str | None:
    """The country that the person's request is about, if there is one."""
    sealed = await ctx.session.scalar(
        select(Request.answers_sealed)
        .where(Request.person_id == ctx.person_id, Request.status.in_(("open", "acknowledged")))
        .order_by(Request.id.desc())
        .limit(1)
    )
    answers = ctx.vault.open(ctx.person_key, sealed) if sealed is not None else {}
    return PLACES.get(str(answers.get("direction")))
