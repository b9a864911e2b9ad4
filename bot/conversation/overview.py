"""How messages stand, for staff and operators: what is held, what failed, who cannot be reached, what it costs.

Nothing here opens what was written: ids, reasons and ages only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text, update

from bot.db.models import Address, Conversation, Inbox, Outbox, SentCount
from bot.db.session import Database, Lane, wake
from bot.metrics import Sample

STUCK = ("held", "failed")


@dataclass(frozen=True, slots=True)
class Stuck:
    """A message that did not go. `reason`: window, template, identity; or why it failed."""

    outbox_id: int
    conversation_id: int
    channel: str
    status: str
    reason: str
    unasked: bool
    since: datetime


@dataclass(frozen=True, slots=True)
class Counted:
    """How many messages of a kind a channel took on a day."""

    day: str
    channel: str
    kind: str
    messages: int


@dataclass(frozen=True, slots=True)
class SetAside:
    """Something that a person did and that no turn could be taken for: three times an error of ours."""

    inbox_id: int
    channel: str
    error: str
    since: datetime


async def stuck(database: Database, statuses: Sequence[str] = STUCK, most: int | None = None) -> list[Stuck]:
    """Messages that wait for something or were given up, the oldest first."""
    async with database.session() as session:
        rows = await session.execute(
            select(
                Outbox.id, Outbox.conversation_id, Address.channel, Outbox.status,
                func.coalesce(Outbox.error, ""), Outbox.unasked, Outbox.created_at,
            )
            .join(Conversation, Conversation.id == Outbox.conversation_id)
            .join(Address, Address.id == Conversation.address_id)
            .where(Outbox.status.in_(statuses))
            .order_by(Outbox.id)
            .limit(most)
        )  # fmt: skip
        return [Stuck(*row) for row in rows]


async def set_aside(database: Database, most: int | None = None) -> list[SetAside]:
    """What was set aside and is still there to be taken again, the oldest first."""
    async with database.session() as session:
        rows = await session.execute(
            select(Inbox.id, Inbox.channel, func.coalesce(Inbox.error, ""), Inbox.received_at)
            .where(Inbox.status == "dead", Inbox.content_sealed.is_not(None), Inbox.conversation_id.is_not(None))
            .order_by(Inbox.id)
            .limit(most)
        )
        return [SetAside(*row) for row in rows]


async def take_again(database: Database, inbox_id: int) -> bool:
    """Take its turn anew, now that what broke it is mended; False when it is not (any more) among them."""
    async with database.session() as session:
        conversation_id = await session.scalar(
            update(Inbox)
            .where(Inbox.id == inbox_id, Inbox.status == "dead")
            .where(Inbox.content_sealed.is_not(None), Inbox.conversation_id.is_not(None))
            .values(status="pending", attempts=0, next_at=None, error=None, done_at=None)
            .returning(Inbox.conversation_id)
        )
        if conversation_id is not None:
            await wake(session, Lane.TURN, conversation_id)
            await session.commit()
    return conversation_id is not None


async def unreachable(database: Database) -> list[tuple[int, str, datetime]]:
    """Conversations whose person blocked us or is gone: id, channel, since when. Their next word ends it."""
    async with database.session() as session:
        rows = await session.execute(
            select(Conversation.id, Address.channel, Address.unreachable_at)
            .join(Address, Address.id == Conversation.address_id)
            .where(Address.unreachable_at.is_not(None))
            .order_by(Address.unreachable_at)
        )
        return [(row.id, row.channel, row.unreachable_at) for row in rows if row.unreachable_at]


_STATE = text("""
    WITH waiting AS (
        SELECT kind, conversation_id, coalesce(next_at, outbox.created_at) AS since
        FROM (VALUES ('reply', false), ('unasked', true)) AS kinds (kind, is_unasked) LEFT JOIN outbox
            ON unasked = is_unasked AND status IN ('queued', 'sending') AND (next_at IS NULL OR next_at <= now())
    ), urgent AS (SELECT unnest(ARRAY['P0', 'P1', 'P2']) AS level)
    SELECT 'rafiq_inbox_waiting' AS name, NULL AS label, count(*)::float AS value FROM inbox
        WHERE status IN ('pending', 'waiting')
    UNION ALL SELECT 'rafiq_inbox_oldest_seconds', NULL, coalesce(extract(epoch FROM now() - min(received_at)), 0)
        FROM inbox WHERE status IN ('pending', 'waiting')
    UNION ALL SELECT 'rafiq_outbox_waiting', kind, count(conversation_id) FROM waiting GROUP BY kind
    UNION ALL SELECT 'rafiq_outbox_oldest_seconds', kind, coalesce(extract(epoch FROM now() - min(since)), 0)
        FROM waiting GROUP BY kind
    UNION ALL SELECT 'rafiq_outbox_held', NULL, count(*) FROM outbox WHERE status = 'held'
    UNION ALL SELECT 'rafiq_outbox_failed', NULL, count(*) FROM outbox WHERE status = 'failed'
    UNION ALL SELECT 'rafiq_case_events_waiting', NULL, count(*) FROM case_event WHERE status = 'queued'
    UNION ALL SELECT 'rafiq_case_events_oldest_seconds', NULL, coalesce(extract(epoch FROM now() - min(created_at)), 0)
        FROM case_event WHERE status = 'queued'
    UNION ALL SELECT 'rafiq_case_events_dead', NULL, count(*) FROM case_event WHERE status = 'dead'
    UNION ALL SELECT 'rafiq_handoffs_waiting', level, count(handoff.id) FROM urgent LEFT JOIN handoff
        ON priority = level AND status = 'waiting' GROUP BY level
    UNION ALL SELECT 'rafiq_handoffs_late', level, count(handoff.id) FROM urgent LEFT JOIN handoff
        ON priority = level AND status = 'waiting' AND due_at < now() GROUP BY level
""")


async def state(database: Database) -> list[Sample]:
    """How the queues stand now, for Prometheus."""
    async with database.autocommit() as connection:
        rows = await connection.execute(_STATE)
        return [Sample(row.name, float(row.value), (row.label,) if row.label else ()) for row in rows]


async def replay(database: Database, outbox_ids: Sequence[int] | None = None) -> int:
    """Try these again, as if they were new (all that failed without ids); how many.

    What is held for a reason that still holds is held again.
    """
    chosen = Outbox.status == "failed" if outbox_ids is None else Outbox.id.in_(outbox_ids) & Outbox.status.in_(STUCK)
    fresh = {"status": "queued", "attempts": 0, "template": 0, "next_at": None, "error": None}
    return await _change(database, chosen, fresh)


async def cancel(database: Database, outbox_ids: Sequence[int] | None = None) -> int:
    """Never send these (all that are held or failed without ids); how many."""
    chosen: Any = Outbox.status.in_(STUCK)
    if outbox_ids is not None:
        chosen &= Outbox.id.in_(outbox_ids)
    return await _change(database, chosen, {"status": "cancelled", "error": "by hand"})


async def _change(database: Database, chosen: Any, values: dict[str, Any]) -> int:
    async with database.session() as session:
        changed = list(
            await session.scalars(update(Outbox).where(chosen).values(values).returning(Outbox.conversation_id))
        )
        for conversation_id in set(changed):
            await wake(session, Lane.DELIVERY, conversation_id)
        await session.commit()
        return len(changed)


async def counts(database: Database, days: int = 30) -> list[Counted]:
    """What the platforms took in the last days."""
    async with database.session() as session:
        rows = await session.execute(
            select(func.to_char(SentCount.day, "YYYY-MM-DD"), SentCount.channel, SentCount.kind, SentCount.messages)
            .where(SentCount.day > func.current_date() - days)
            .order_by(SentCount.day, SentCount.channel, SentCount.kind)
        )
        return [Counted(*row) for row in rows]
