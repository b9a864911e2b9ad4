"""Channels whose people come and fetch their messages: the web page and the terminal.

Nothing is sent to them: fetching is the delivery. What was handed over is `sent`; what the next fetch
says it has (`after`) is `delivered`.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import aliased

from bot.db.models import Conversation, Inbox, Media, Outbox, Person
from bot.db.session import Database, Lane
from bot.messages import File, Incoming, Kind

WEB, TERMINAL = "web", "terminal"
HISTORY = 50  # messages that a reloaded page gets back
ENDS = {"image/jpeg": "jpg", "audio/mpeg": "mp3", "audio/mp4": "m4a"}  # of a file's name; of others as their type


@dataclass(frozen=True, slots=True)
class House:
    """What these channels ask of the house behind them."""

    database: Database
    accept: Callable[[Sequence[Incoming]], Awaitable[list[int | None]]]  # bot.conversation.inbox
    conversation_of: Callable[[str, str], Awaitable[int | None]]  # channel, address → conversation id
    signals: Signals


class Signals:
    """Lets a waiting request know that something was said in its conversation."""

    def __init__(self) -> None:
        self._events: dict[int, asyncio.Event] = defaultdict(asyncio.Event)

    def heard(self, lane: Lane, key: int) -> None:
        """A wake-up call: somebody may be waiting for it."""
        if lane is Lane.DELIVERY and key in self._events:
            self._events.pop(key).set()

    def listen(self, conversation_id: int) -> asyncio.Event:
        """Set when something is said from now on: take it before looking, so that nothing is missed in between."""
        return self._events[conversation_id]

    async def wait(self, conversation_id: int, seconds: float, heard: asyncio.Event | None = None) -> None:
        """Until something is said (since `heard` was taken), or this long."""
        try:
            await asyncio.wait_for((heard or self._events[conversation_id]).wait(), seconds)
        except TimeoutError:
            self._events.pop(conversation_id, None)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch brings: messages as the page shows them, and whether more is being made."""

    messages: list[dict[str, Any]]
    working: bool


async def fetch(database: Database, conversation_id: int, after: int, history: bool = False) -> Fetched:
    """Messages after number `after`; with `history`, also the person's own, the last 50 in all.

    What is held is not shown; it comes when it is let go, under a number after what was shown meanwhile.
    """
    async with database.session() as session:
        key = await session.scalar(
            select(Person.key)
            .join(Conversation, Conversation.person_id == Person.id)
            .where(Conversation.id == conversation_id)
        )
        said = (
            await session.execute(
                select(
                    Outbox.id, Outbox.public_id, Outbox.content_sealed, Outbox.created_at, Outbox.status,
                    Media.status.label("media"), Media.mime,
                )
                .outerjoin(Media, Media.id == Outbox.media_id)
                .where(Outbox.conversation_id == conversation_id, Outbox.status.not_in(["cancelled", "held"]))
                .where((Outbox.id > after) | (Outbox.status == "queued"), ~_unfit())
                .order_by(Outbox.id.desc())
                .limit(HISTORY)
            )
        ).all()  # fmt: skip
        fetching = min((row.id for row in said if row.media == "pending"), default=None)
        if fetching is not None:  # it comes with its voice or picture, and what was said after it, after it
            said = [row for row in said if row.id < fetching]
        typed = (
            (
                await session.execute(
                    select(Inbox.content_sealed, Inbox.received_at)
                    .where(Inbox.conversation_id == conversation_id, Inbox.content_sealed.is_not(None))
                    .where(Inbox.kind.in_([Kind.TEXT, Kind.PRESS]))
                    .order_by(Inbox.id.desc())
                    .limit(HISTORY)
                )
            ).all()
            if history
            else []
        )
        if after:
            await session.execute(
                update(Outbox)
                .where(Outbox.conversation_id == conversation_id, Outbox.id <= after, Outbox.status == "sent")
                .values(status="delivered", sent_at=func.coalesce(Outbox.sent_at, func.now()))
            )
        fresh = [row.id for row in said if row.status == "queued"]
        if fresh:
            await session.execute(update(Outbox).where(Outbox.id.in_(fresh)).values(status="sent", sent_at=func.now()))
        working = await session.scalar(
            select(func.count())
            .select_from(Inbox)
            .where(Inbox.conversation_id == conversation_id, Inbox.status == "pending")
        )
        await session.commit()
    if key is None:
        return Fetched([], False)
    shown = [(row.created_at, _said(row, database.vault.open(key, row.content_sealed))) for row in said]
    titles = {button["id"]: button["title"] for _, message in shown for button in message["buttons"]}
    for row in typed:
        content = database.vault.open(key, row.content_sealed)
        words = content["text"] or titles.get(content["press"], "")
        if words:
            client_id = content["details"].get("client_id", "")
            shown.append((row.received_at, {"n": after, "id": client_id, "by": "person", "text": words, "buttons": []}))
    shown.sort(key=lambda one: one[0])
    messages, last = [], after
    for _, message in shown[-HISTORY:]:
        last = message["n"] = max(message["n"], last)
        messages.append(message)
    return Fetched(messages, bool(working) or fetching is not None)


def _unfit() -> Any:
    """What somebody of the team sent and could not be fetched: its words alone would say that it is there."""
    return (Outbox.status == "failed") & (Outbox.error == "media")


def _said(row: Any, content: dict[str, Any]) -> dict[str, Any]:
    return {
        "n": row.id,
        "id": str(row.public_id),
        "by": "rafiq",
        "text": content["text"],
        "language": content["language"],
        "buttons": [{"id": button_id, "title": title} for button_id, title in content["buttons"]],
        **({"file": content["document"][0]} if "document" in content else {}),
        **({"file": _name(row.mime), "shown": row.mime} if row.media == "kept" else {}),
    }


def _name(mime: str | None) -> str:
    return f"rafiq.{ENDS.get(mime or '', (mime or '').rpartition('/')[2])}"


async def file(database: Database, conversation_id: int, message_id: uuid.UUID) -> tuple[str, File] | None:
    """The file that went with this message of this conversation, and its name."""
    whose = aliased(Person)  # what somebody of the team is shown in their own chat is sealed with its person's key
    async with database.session() as session:
        row = (
            await session.execute(
                select(
                    Person.key, Outbox.content_sealed, Media.mime, Media.content_sealed.label("file"),
                    whose.key.label("its_key"),
                )
                .join(Conversation, Conversation.person_id == Person.id)
                .join(Outbox, Outbox.conversation_id == Conversation.id)
                .outerjoin(Media, Media.id == Outbox.media_id)
                .outerjoin(whose, whose.id == Media.person_id)
                .where(Conversation.id == conversation_id, Outbox.public_id == message_id)
                .where(Outbox.status.in_(["sent", "delivered", "read"]))
            )
        ).first()  # fmt: skip
    if row is None:
        return None
    if row.file is not None:
        return _name(row.mime), File(row.mime, database.vault.open_bytes(row.its_key, row.file))
    content = database.vault.open(row.key, row.content_sealed)
    if "document" not in content:
        return None
    name, media_type, words = content["document"]
    return name, File(media_type, words.encode())
