"""The outbox leaves the house: per conversation in order, each message once as far as anyone can know.

`sending` is committed before the platform is called. Whoever finds a row `sending` while holding the
conversation's lock knows that its sender died: the platform may or may not have it, so it is sent once more
and marked `resent`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Text, bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from bot import faults
from bot.channels import Channel
from bot.db.models import Address, Alert, Conversation, Outbox
from bot.db.session import Database, Lane, each_alone
from bot.messages import (
    Ambiguous,
    Button,
    Moved,
    Outgoing,
    Refused,
    Retryable,
    SendError,
    Throttled,
    Unreachable,
)

log = structlog.get_logger()
ATTEMPTS = 8
LONGEST_PAUSE = timedelta(minutes=10)


_NEXT = text("""
    SELECT outbox.id, outbox.public_id, outbox.content_sealed, outbox.status, outbox.attempts,
        address.id AS address_id, address.channel, address.address_sealed, address.unreachable_at, person.key,
        coalesce(outbox.next_at, now()) <= now() AS due
    FROM outbox JOIN conversation ON conversation.id = outbox.conversation_id
        JOIN address ON address.id = conversation.address_id JOIN person ON person.id = conversation.person_id
    WHERE outbox.conversation_id = :conversation AND outbox.status IN ('queued', 'sending')
    ORDER BY outbox.id LIMIT 1
""")
_SENDING = text("UPDATE outbox SET status = 'sending', attempts = attempts + 1 WHERE id = :row")
_SENT = text("""
    UPDATE outbox SET status = 'sent', external_id = :its_id, sent_at = now(), error = :note, next_at = NULL
    WHERE id = :row
""").bindparams(bindparam("note", type_=Text))


@dataclass(slots=True)
class _Pace:
    """What the platform asked of us: nothing to this channel before this moment."""

    not_before: float = 0.0


@dataclass(slots=True)
class Delivery:
    """Sends what is queued."""

    database: Database
    channels: Mapping[str, Channel]
    paces: dict[str, _Pace] = field(default_factory=dict)

    async def due(self) -> list[int]:
        """Conversations with messages to send now."""
        async with self.database.autocommit() as connection:
            rows = await connection.scalars(
                select(Outbox.conversation_id)
                .join(Conversation, Conversation.id == Outbox.conversation_id)
                .join(Address, Address.id == Conversation.address_id)
                .where(Address.channel.in_(list(self.channels)))  # the others are fetched, not sent
                .where(text("outbox.status IN ('queued', 'sending')"))
                .where((Outbox.next_at.is_(None)) | (Outbox.next_at <= func.now()))
                .group_by(Outbox.conversation_id)
                .order_by(func.min(Outbox.id))
                .limit(200)
            )
            return list(rows)

    async def work(self, conversation_id: int) -> None:
        """Send everything that this conversation has waiting, in order, until one must wait."""
        async with self.database.holding(Lane.DELIVERY, conversation_id) as connection:
            if connection is not None:
                while await self._one(connection, conversation_id):
                    pass

    async def _one(self, connection: AsyncConnection, conversation_id: int) -> bool:
        """Send the oldest message; False when there is none that may go now."""
        async with each_alone(connection):
            row = (await connection.execute(_NEXT, {"conversation": conversation_id})).first()
            if row is None or not row.due or row.channel not in self.channels:
                return False
            pause = self.paces.setdefault(row.channel, _Pace()).not_before - time.monotonic()
            if row.unreachable_at is None and pause <= 0:
                await connection.execute(_SENDING, {"row": row.id})
        async with AsyncSession(connection, expire_on_commit=False) as session:
            if row.unreachable_at is not None:
                await self._settle(session, row.id, status="cancelled", error="unreachable")
                return True
            if pause > 0:
                await self._settle(session, row.id, status="queued", pause=timedelta(seconds=pause))
                return False
            died = row.status == "sending"
            faults.point("delivery.sending")
            channel = self.channels[row.channel]
            content = self.database.vault.open(row.key, row.content_sealed)
            address = self.database.vault.open(row.key, row.address_sealed)
            try:
                external_id = await self._send(channel, address, row, content)
            except SendError as error:
                return await self._failed(session, row, error, died)
        faults.point("delivery.sent")
        async with each_alone(connection):
            await connection.execute(_SENT, {"row": row.id, "its_id": external_id, "note": "resent" if died else None})
        return True

    async def _send(self, channel: Channel, address: str, row: Any, content: Mapping[str, Any]) -> str:
        parts = split(content["text"], channel.longest)
        buttons = tuple(Button(button_id, title) for button_id, title in content["buttons"])
        external_id = ""
        for number, part in enumerate(parts, 1):
            external_id = await channel.send(
                address,
                Outgoing(
                    id=str(row.public_id),
                    text=part,
                    language=content["language"],
                    buttons=buttons if number == len(parts) else (),
                ),
            )
        return external_id

    async def _failed(self, session: AsyncSession, row: Any, error: SendError, died: bool) -> bool:
        """Act on the kind of failure; True when the next message may be tried at once."""
        log.warning("not sent", outbox_id=row.id, channel=row.channel, kind=type(error).__name__)
        if isinstance(error, Unreachable):
            await session.execute(
                update(Address).where(Address.id == row.address_id).values(unreachable_at=datetime.now(UTC))
            )
            await self._settle(session, row.id, status="failed", error="unreachable")
            return True
        if isinstance(error, Moved):
            await session.execute(
                update(Address)
                .where(Address.id == row.address_id)
                .values(
                    digest=self.database.vault.digest(row.channel, error.address),
                    address_sealed=self.database.vault.seal(row.key, error.address),
                )
            )
            await self._settle(session, row.id, status="queued")
            return True
        last = row.attempts + 1 >= ATTEMPTS
        if isinstance(error, Refused) or last or (isinstance(error, Ambiguous) and died):
            await session.execute(
                insert(Alert).values(kind="message not sent", detail={"outbox_id": row.id, "why": type(error).__name__})
            )
            await self._settle(session, row.id, status="failed", error=type(error).__name__)
            return True
        if isinstance(error, Throttled) and error.scope == "channel" and error.retry_after:
            self.paces[row.channel].not_before = time.monotonic() + error.retry_after
        wait = error.retry_after if isinstance(error, Retryable) else None
        # an ambiguous send stays `sending`: whoever comes next knows that it may have arrived
        await self._settle(
            session,
            row.id,
            status="sending" if isinstance(error, Ambiguous) else "queued",
            pause=timedelta(seconds=wait) if wait is not None else backoff(row.attempts + 1),
            error=type(error).__name__,
        )
        return False

    async def _settle(
        self,
        session: AsyncSession,
        outbox_id: int,
        *,
        status: str,
        pause: timedelta | None = None,
        error: str | None = None,
    ) -> None:
        values: dict[str, Any] = {"status": status, "error": error}
        values["next_at"] = func.now() + pause if pause is not None else None
        await session.execute(update(Outbox).where(Outbox.id == outbox_id).values(values))
        await session.commit()


def backoff(attempt: int) -> timedelta:
    """1, 2, 4, 8 … seconds, a fifth more or less, ten minutes at most."""
    return min(timedelta(seconds=2 ** (attempt - 1) * random.uniform(0.8, 1.2)), LONGEST_PAUSE)  # noqa: S311 (jitter)


def split(words: str, longest: int) -> list[str]:
    """The text in parts of at most `longest` characters: cut at paragraphs, lines or words, never inside a letter."""
    parts: list[str] = []
    rest = words
    while len(rest) > longest:
        cut = max(rest.rfind("\n\n", 0, longest), -1)
        if cut < longest // 3:
            cut = rest.rfind("\n", 0, longest)
        if cut < longest // 3:
            cut = rest.rfind(" ", 0, longest)
        if cut < longest // 3:
            cut = longest
            while cut > 1 and _joins(rest[cut - 1], rest[cut]):
                cut -= 1
        parts.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*parts, rest] if rest or not parts else parts


def _joins(before: str, after: str) -> bool:
    """Whether these two characters belong to one letter or emoji as people see it."""
    import unicodedata

    return (
        bool(unicodedata.combining(after))
        or after in "\u200d\ufe0f\ufe0e"
        or before == "\u200d"
        or "\U0001f3fb" <= after <= "\U0001f3ff"
    )
