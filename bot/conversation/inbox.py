"""What channels bring is written down before they are answered: once each, in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Interval,
    LargeBinary,
    Row,
    Text,
    bindparam,
    delete,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot import faults
from bot.conversation import people
from bot.db.models import Conversation, HandoffEntry, Inbox, Media, Outbox, RasaTracker, Suggestion
from bot.db.session import Database, Lane, wake_up_call
from bot.messages import Incoming, Kind
from bot.orientation import points

SILENCE = timedelta(days=30)  # after which we want to know who it is before anything personal is shown
LATE = timedelta(minutes=5)  # from when on it matters that an event comes late
LATEST = timedelta(days=8)  # no platform tries for so long: a time before that is none
LONGEST = 20_000  # characters kept of one message
TRIES = 5  # whose an address is changes once in a lifetime, not once a try
SPOKEN = (Kind.TEXT, Kind.PRESS, Kind.START, Kind.MEDIA, Kind.UNKNOWN)  # the person did something just now
AFTERTHOUGHTS = (Kind.EDITED, Kind.REVOKED)  # no turn: what is stored of an earlier message follows


# Once per event, all or nothing: the event, the call that wakes a worker, and, when the person did something, that
# they can be reached, that the platform's window is open, and that what waited for that may go; the other names that
# the platform has for them. An event that is known already changes nothing, however late it comes again. No row at all
# when the address is not of this conversation, or the person has not this key, any more; who is being erased is waited
# for.
_ACCEPT = text(f"""
    WITH who AS (
        {people.FOUND} AND conversation.id = :conversation AND person.key = :key FOR KEY SHARE OF conversation
    ), event AS (
        INSERT INTO inbox (channel, external_digest, conversation_id, kind, content_sealed)
        SELECT :channel, :digest, who.id, :kind, :content FROM who
        ON CONFLICT DO NOTHING
        RETURNING id
    ), heard AS (
        UPDATE address SET last_heard_at = greatest(last_heard_at, least(:said_at, now())), unreachable_at = NULL,
            unsure_at = CASE WHEN last_heard_at < now() - :silence THEN coalesce(unsure_at, now()) ELSE unsure_at END
        FROM who, conversation
        WHERE conversation.id = who.id AND address.id = conversation.address_id AND :spoken
            AND NOT EXISTS (SELECT 1 FROM inbox WHERE channel = :channel AND external_digest = :digest)
    ), released AS (
        UPDATE outbox SET status = 'queued', next_at = NULL, error = CASE WHEN sensitive AND (
                SELECT last_heard_at FROM address JOIN conversation ON address_id = address.id
                WHERE conversation.id = who.id
            ) < now() - :silence THEN 'silence' END
        FROM who
        WHERE conversation_id = who.id AND :spoken
            AND (status = 'held' AND error IN ('window', 'template') OR status = 'queued' AND error = 'people')
            AND NOT EXISTS (SELECT 1 FROM inbox WHERE channel = :channel AND external_digest = :digest)
    ), named AS (
        INSERT INTO address_alias (channel, digest, address_id)
        SELECT :channel, name, conversation.address_id FROM who, conversation, unnest(:names) AS name
        WHERE conversation.id = who.id
            AND NOT EXISTS (SELECT 1 FROM address WHERE channel = :channel AND address.digest = name)
            AND NOT EXISTS (SELECT 1 FROM inbox WHERE channel = :channel AND external_digest = :digest)
        ON CONFLICT (channel, digest) DO UPDATE SET address_id = excluded.address_id
            WHERE address_alias.address_id <> excluded.address_id
    )
    SELECT event.id, CASE WHEN event.id IS NOT NULL THEN pg_notify('rafiq', :call) END FROM who LEFT JOIN event ON true
""").bindparams(  # noqa: S608 (our own words)
    bindparam("conversation", type_=BigInteger),
    bindparam("address", type_=LargeBinary),
    bindparam("key", type_=LargeBinary),
    bindparam("kind", type_=Text),
    bindparam("content", type_=LargeBinary),
    bindparam("digest", type_=LargeBinary),
    bindparam("names", type_=ARRAY(LargeBinary)),
    bindparam("silence", type_=Interval),
    bindparam("said_at", type_=DateTime(timezone=True)),
)


# Looked for every second: made once.
_OPEN = (
    select(Inbox.conversation_id)
    .where(Inbox.status.in_(bindparam("statuses", expanding=True)), Inbox.conversation_id.is_not(None))
    .where((Inbox.next_at.is_(None)) | (Inbox.next_at <= func.now()))
    .where(text("status IN ('pending', 'waiting')"))  # the index's own words
    .group_by(Inbox.conversation_id)
    .order_by(func.min(Inbox.id))
    .limit(200)
)


async def accept(
    database: Database,
    events: Sequence[Incoming],
    begin: Callable[[Incoming, int], None] | None = None,
    met: people.Met | None = None,
) -> list[int | None]:
    """Write these events down and commit; the inbox id of each, None for one that was there already.

    When this returns, nothing is lost any more: the channel may answer 200. `begin` is told of each new event and of
    its conversation; every other process hears of it by a wake-up call. Who was `met` lately is not looked up.
    """
    ids: list[int | None] = []
    by = database.name if begin is not None else ""
    for event in events:
        address = database.vault.digest(event.channel, event.address)
        known = met.get(address) if met is not None and event.kind in SPOKEN else None
        if known is None:
            known = await _known(database, event)
        if event.kind in AFTERTHOUGHTS:
            if event.details.get("whole"):
                await _instead(database, event, known, begin)
            inbox_id = await _afterthought(database, event, known)
        else:
            known, inbox_id = await _accept(database, event, known, by)
            if begin is not None and inbox_id is not None:
                begin(event, known.conversation_id)
        if met is not None:
            met.keep(address, known)
        ids.append(inbox_id)
        faults.point("inbox.accepted")
    return ids


async def _known(database: Database, event: Incoming) -> people.Known:
    """Whose address this is; somebody new, where it is nobody's."""
    known = await people.find(database, event.channel, event.address)
    aliases = event.details.get("aliases")
    if known is None and aliases:
        known = await people.known_before(database, event.channel, event.address, aliases)
    return known if known is not None else await people.begin(database, event.channel, event.address)


async def _accept(database: Database, event: Incoming, known: people.Known, by: str) -> tuple[people.Known, int | None]:
    """Whose it is in the end, and its inbox id; None when it was there already."""
    for _ in range(TRIES):
        row = await _write(database, event, known, by)
        if row is not None:
            return known, row.id
        known = await _known(database, event)  # they are erased, or the address is somebody else's, since we looked
    raise RuntimeError("the address changed each time that something from it was written down")


async def _write(database: Database, event: Incoming, known: people.Known, by: str) -> Row[Any] | None:
    scanned = points.scanned(database.vault, event)
    content = {
        "text": scanned.text[:LONGEST],
        "press": event.press[:256],
        "hint": event.language_hint or scanned.language,
        "point": scanned.code.hex() if scanned.code is not None else None,
        "details": dict(event.details),
        "id": event.external_id,
    }
    # an event about the names themselves says in its turn which count from now on
    aliases = event.details.get("aliases", ()) if event.kind is not Kind.IDENTITY else ()
    values = {
        "channel": event.channel,
        "digest": database.vault.digest(event.channel, event.external_id),
        "address": database.vault.digest(event.channel, event.address),
        "conversation": known.conversation_id,
        "key": known.key,
        "kind": scanned.kind.value,
        "content": database.vault.seal(known.key, content),
        "spoken": event.kind in SPOKEN,
        "said_at": _said_at(event),
        "silence": SILENCE,
        "names": [database.vault.digest(event.channel, alias) for alias in aliases],
        "call": wake_up_call(Lane.TURN, known.conversation_id, by),
    }
    async with database.autocommit() as connection:
        return (await connection.execute(_ACCEPT, values)).first()


async def _instead(
    database: Database, edit: Incoming, known: people.Known, begin: Callable[[Incoming, int], None] | None
) -> None:
    """An edit that came before its message is its message, which is known when it comes."""
    original = str(edit.details["original"])
    details = {key: value for key, value in edit.details.items() if key not in ("original", "whole")}
    if "message_id" in details:
        details["message_id"] = original
    kind = Kind.MEDIA if "media" in details else Kind.TEXT
    said = replace(edit, external_id=original, kind=kind, details=details)
    known, inbox_id = await _accept(database, said, known, database.name if begin is not None else "")
    if begin is not None and inbox_id is not None:
        begin(said, known.conversation_id)


def _said_at(event: Incoming) -> datetime:
    """When the person did it: where we hear of it late, as the platform tells, whose 24 hours began then.

    Else now: the platform counts in whole seconds, and by another clock.
    """
    now = datetime.now(UTC)
    at = told_at(event.details, now)
    return at if now - at > LATE else now


def told_at(details: Mapping[str, Any], heard_at: datetime) -> datetime:
    """When it happened, as the platform tells; when we heard of it, where the platform tells nothing that can be."""
    told = details.get("sent_at")
    try:
        at = datetime.fromtimestamp(told, UTC) if isinstance(told, int) else heard_at
    except (ValueError, OverflowError, OSError):
        return heard_at
    return at if heard_at - LATEST < at < heard_at else heard_at


async def _afterthought(database: Database, event: Incoming, known: people.Known) -> int | None:
    """The person changed or took back a message: what is stored of it changes or goes, once, with the event."""
    async with database.session() as session:
        inbox_id: int | None = await session.scalar(
            insert(Inbox)
            .values(
                channel=event.channel,
                external_digest=database.vault.digest(event.channel, event.external_id),
                conversation_id=known.conversation_id,
                kind=event.kind.value,
                status="done",
                done_at=func.now(),
            )
            .on_conflict_do_nothing()
            .returning(Inbox.id)
        )
        if inbox_id is not None:
            await _follow(session, database, known, event)
            await session.commit()
    return inbox_id


async def _follow(session: AsyncSession, database: Database, known: people.Known, event: Incoming) -> None:
    digest = database.vault.digest(event.channel, str(event.details.get("original") or ""))
    if event.kind is Kind.REVOKED:  # should its message come late, or in this moment, it is known already and not kept
        gone = insert(Inbox).values(channel=event.channel, external_digest=digest, status="done", kind=event.kind)
        gone = gone.values(conversation_id=known.conversation_id).on_conflict_do_nothing()
        if await session.scalar(gone.returning(Inbox.id)) is not None:
            return
    original = await session.scalar(
        select(Inbox)
        .where(Inbox.channel == event.channel, Inbox.external_digest == digest)
        .where(Inbox.conversation_id == known.conversation_id)
        .with_for_update()
    )
    if original is None:
        return
    if event.kind is Kind.EDITED and original.content_sealed is not None:
        if not event.text and not event.details.get("whole"):
            return  # nothing that could be read
        content = database.vault.open(known.key, original.content_sealed)
        kept_at = content["details"].get("sent_at", 0)
        at = event.details.get("sent_at", kept_at)
        if at >= kept_at:  # of two edits the later one counts, whichever comes first
            content["text"] = points.scanned(database.vault, event).text[:LONGEST]
            content["details"]["sent_at"] = at
            original.content_sealed = database.vault.seal(known.key, content)
    elif event.kind is Kind.REVOKED:
        original.content_sealed = None
        if original.status in ("pending", "waiting"):
            original.status = "done"
        await session.execute(delete(Media).where(Media.inbox_id == original.id))
        await session.execute(delete(Suggestion).where(Suggestion.inbox_id == original.id))
        of_it = select(HandoffEntry.outbox_id).join(Outbox).where(Outbox.inbox_id == original.id)
        copies = of_it.where(HandoffEntry.what == "shown")  # in the chats of the team
        await session.execute(delete(Outbox).where(Outbox.id.in_(copies)))
        of_this = select(Conversation.rasa_id).where(
            Conversation.id == known.conversation_id, Conversation.form.is_(None)
        )  # a form's answers stay until it ends, and go then
        await session.execute(delete(RasaTracker).where(RasaTracker.conversation.in_(of_this)))


async def conversations_with_work(database: Database, rasa_is_up: bool) -> list[int]:
    """Conversations that have something to process now."""
    statuses = ["pending", "waiting"] if rasa_is_up else ["pending"]
    async with database.autocommit() as connection:
        rows = await connection.scalars(_OPEN, {"statuses": statuses})
        return [row for row in rows if row is not None]
