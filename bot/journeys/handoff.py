"""A person is asked for: recorded, told to the case backend, and the truth about when somebody reads."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from bot.cases import events
from bot.db.models import Handoff
from bot.journeys.context import Context, new_reference
from bot.journeys.hours import when_somebody_reads

PRIORITIES = {"complaint": "P1", "minor": "P1", "asked": "P2", "interview": "P2", "no_followup": "P2"}


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


async def record(ctx: Context, reason: str, priority: str | None = None) -> str:
    """The reference of the handoff: a new one, or the one that still waits for the same reason."""
    waiting = await ctx.session.scalar(
        select(Handoff.reference)
        .where(Handoff.conversation_id == ctx.conversation_id, Handoff.status == "waiting")
        .where(Handoff.reason == reason)
        .where(Handoff.created_at > func.now() - func.make_interval(0, 0, 0, 1))
    )
    if waiting is not None:
        return waiting
    priority = priority or PRIORITIES.get(reason, "P2")
    reference = new_reference("H")
    await ctx.session.execute(
        insert(Handoff).values(
            reference=reference,
            person_id=ctx.person_id,
            conversation_id=ctx.conversation_id,
            inbox_id=ctx.inbox_id,
            reason=reason,
            priority=priority,
        )
    )
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
