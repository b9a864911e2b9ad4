"""What channels bring is written down before they are answered: once each, in order."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import LargeBinary, bindparam, func, select, text

from bot import faults
from bot.conversation import people
from bot.db.models import Inbox
from bot.db.session import Database, Lane, wake_up_call
from bot.messages import Incoming, Kind

LONGEST = 20_000  # characters kept of one message


# once per event, with the call that wakes a worker, both or neither
_ACCEPT = text("""
    WITH event AS (
        INSERT INTO inbox (channel, external_digest, conversation_id, kind, content_sealed, status, done_at)
        VALUES (:channel, :digest, :conversation, :kind, :content,
            CASE WHEN :ignored THEN 'done' ELSE 'pending' END, CASE WHEN :ignored THEN now() END)
        ON CONFLICT DO NOTHING
        RETURNING id
    )
    SELECT id, CASE WHEN NOT :ignored THEN pg_notify('rafiq', :call) END FROM event
""").bindparams(bindparam("content", type_=LargeBinary), bindparam("digest", type_=LargeBinary))


async def accept(database: Database, events: Sequence[Incoming]) -> list[int | None]:
    """Write these events down and commit; the inbox id of each, None for one that was there already.

    When this returns, nothing is lost any more: the channel may answer 200.
    """
    ids: list[int | None] = []
    for event in events:
        known = await people.find(database, event.channel, event.address)
        if known is None:
            known = await people.begin(database, event.channel, event.address)
        ids.append(await _accept(database, event, known))
        faults.point("inbox.accepted")
    return ids


async def _accept(database: Database, event: Incoming, known: people.Known) -> int | None:
    content = {
        "text": event.text[:LONGEST],
        "press": event.press[:256],
        "hint": event.language_hint,
        "details": dict(event.details),
        "id": event.external_id,
    }
    values = {
        "channel": event.channel,
        "digest": database.vault.digest(event.channel, event.external_id),
        "conversation": known.conversation_id,
        "kind": event.kind.value,
        "content": database.vault.seal(known.key, content),
        "ignored": event.kind is Kind.EDITED,
        "call": wake_up_call(Lane.TURN, known.conversation_id),
    }
    async with database.autocommit() as connection:
        inbox_id: int | None = await connection.scalar(_ACCEPT, values)
    return inbox_id


async def conversations_with_work(database: Database, rasa_is_up: bool) -> list[int]:
    """Conversations that have something to process now."""
    statuses = ["pending", "waiting"] if rasa_is_up else ["pending"]
    async with database.autocommit() as connection:
        rows = await connection.scalars(
            select(Inbox.conversation_id)
            .where(Inbox.status.in_(statuses), Inbox.conversation_id.is_not(None))
            .where((Inbox.next_at.is_(None)) | (Inbox.next_at <= func.now()))
            .where(text("status IN ('pending', 'waiting')"))  # the index's own words
            .group_by(Inbox.conversation_id)
            .order_by(func.min(Inbox.id))
            .limit(200)
        )
        return [row for row in rows if row is not None]
