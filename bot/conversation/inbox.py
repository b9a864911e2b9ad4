"""What channels bring is written down before they are answered: once each, in order."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot import faults
from bot.conversation import people
from bot.db.models import Inbox
from bot.db.session import Database, Lane, wake
from bot.messages import Incoming, Kind

LONGEST = 20_000  # characters kept of one message


async def accept(database: Database, events: Sequence[Incoming]) -> list[int | None]:
    """Write these events down and commit; the inbox id of each, None for one that was there already.

    When this returns, nothing is lost any more: the channel may answer 200.
    """
    ids: list[int | None] = []
    for event in events:
        async with database.session() as session:
            ids.append(await _accept(session, database, event))
            faults.point("inbox.before_commit")
            await session.commit()
            faults.point("inbox.accepted")
    return ids


async def _accept(session: AsyncSession, database: Database, event: Incoming) -> int | None:
    known = await people.find_or_create(session, database.vault, event.channel, event.address)
    content = {
        "text": event.text[:LONGEST],
        "press": event.press[:256],
        "hint": event.language_hint,
        "details": dict(event.details),
        "id": event.external_id,
    }
    ignored = event.kind is Kind.EDITED
    row = insert(Inbox).values(
        channel=event.channel,
        external_digest=database.vault.digest(event.channel, event.external_id),
        conversation_id=known.conversation_id,
        kind=event.kind.value,
        content_sealed=database.vault.seal(known.key, content),
        **({"status": "done", "done_at": func.now()} if ignored else {}),
    )
    inbox_id = await session.scalar(row.on_conflict_do_nothing().returning(Inbox.id))
    if inbox_id is not None and not ignored:
        await wake(session, Lane.TURN, known.conversation_id)
    return inbox_id


async def conversations_with_work(database: Database, rasa_is_up: bool) -> list[int]:
    """Conversations that have something to process now."""
    statuses = ["pending", "waiting"] if rasa_is_up else ["pending"]
    async with database.session() as session:
        rows = await session.scalars(
            select(Inbox.conversation_id)
            .where(Inbox.status.in_(statuses), Inbox.conversation_id.is_not(None))
            .where((Inbox.next_at.is_(None)) | (Inbox.next_at <= func.now()))
            .where(text("status IN ('pending', 'waiting')"))  # the index's own words
            .group_by(Inbox.conversation_id)
            .order_by(func.min(Inbox.id))
            .limit(200)
        )
        return [row for row in rows if row is not None]
