"""What channels bring is written down before they are answered: once each, in order."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot import faults
from bot.conversation import people
from bot.db.models import Conversation, Inbox, Media, RasaTracker
from bot.db.session import Database, Lane, wake
from bot.messages import Incoming, Kind

LONGEST = 20_000  # characters kept of one message
SPOKEN = (Kind.TEXT, Kind.PRESS, Kind.START, Kind.MEDIA, Kind.UNKNOWN)  # the person did something just now
AFTERTHOUGHTS = (Kind.EDITED, Kind.REVOKED)  # no turn: what is stored of an earlier message follows


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
    aliases = event.details.get("aliases", ())
    known = await people.find_or_create(session, database.vault, event.channel, event.address, aliases)
    content = {
        "text": event.text[:LONGEST],
        "press": event.press[:256],
        "hint": event.language_hint,
        "details": dict(event.details),
        "id": event.external_id,
    }
    ignored = event.kind in AFTERTHOUGHTS
    row = insert(Inbox).values(
        channel=event.channel,
        external_digest=database.vault.digest(event.channel, event.external_id),
        conversation_id=known.conversation_id,
        kind=event.kind.value,
        content_sealed=None if ignored else database.vault.seal(known.key, content),
        **({"status": "done", "done_at": func.now()} if ignored else {}),
    )
    inbox_id: int | None = await session.scalar(row.on_conflict_do_nothing().returning(Inbox.id))
    if inbox_id is None:
        return None
    if event.kind in SPOKEN:
        await people.heard(session, known.conversation_id)
    if ignored:
        await _follow(session, database, known, event)
    else:
        await wake(session, Lane.TURN, known.conversation_id)
    return inbox_id


async def _follow(session: AsyncSession, database: Database, known: people.Known, event: Incoming) -> None:
    """The person changed or took back a message: what is stored of it changes or goes too."""
    digest = database.vault.digest(event.channel, str(event.details.get("original") or ""))
    original = await session.scalar(
        select(Inbox)
        .where(Inbox.channel == event.channel, Inbox.external_digest == digest)
        .where(Inbox.conversation_id == known.conversation_id)
        .with_for_update()
    )
    if original is None:
        if event.kind is Kind.REVOKED:  # should it come late, it is known already and not kept
            gone = insert(Inbox).values(channel=event.channel, external_digest=digest, status="done", kind=event.kind)
            await session.execute(gone.values(conversation_id=known.conversation_id).on_conflict_do_nothing())
    elif event.kind is Kind.EDITED and original.content_sealed is not None:
        content = database.vault.open(known.key, original.content_sealed)
        content["text"] = event.text[:LONGEST]
        original.content_sealed = database.vault.seal(known.key, content)
    elif event.kind is Kind.REVOKED:
        original.content_sealed = None
        if original.status in ("pending", "waiting"):
            original.status = "done"
        await session.execute(delete(Media).where(Media.inbox_id == original.id))
        of_this = select(Conversation.rasa_id).where(
            Conversation.id == known.conversation_id, Conversation.form.is_(None)
        )  # a form's answers stay until it ends, and go then
        await session.execute(delete(RasaTracker).where(RasaTracker.conversation.in_(of_this)))


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
