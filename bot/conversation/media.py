"""Voice messages and pictures: fetched at once, cleaned, sealed with the person's key, kept for the team a few days.

The platform's id of each is kept as long as the rest; what is no voice and no picture is not fetched at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from PIL import Image, ImageOps
from sqlalchemy import Interval, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from bot import faults
from bot.channels import Channel, Downloads
from bot.conversation import sounds
from bot.conversation.letters import backoff
from bot.db.encryption import Vault
from bot.db.models import Address, Conversation, HandoffEntry, Media, Outbox, Person
from bot.db.session import Database, Lane, wake
from bot.journeys.context import Context
from bot.messages import File, Retryable, SendError

log = structlog.get_logger()
VOICES = ("voice", "audio")
PICTURES = ("photo", "image")
FOR_A_PERSON = (*VOICES, *PICTURES, "video", "video_note", "document")  # what somebody of the team must look at
LARGEST = 16 * 1024 * 1024  # bytes
MOST_PIXELS = 25_000_000  # three copies of four bytes each while it is drawn: 300 MB
ATTEMPTS = 8
RIGHT_AFTER = timedelta(minutes=1)  # what comes so soon after another is answered with it
LOOK_AGAIN = timedelta(seconds=5)  # when a message that waits for its file is looked at again, if nobody wakes it

# whether the last thing that was said before this in its conversation was another picture or paper, right before it,
# which somebody has been told of and has not finished with
_FOLLOWS = text("""
    SELECT earlier.received_at > this.received_at - :right_after AND media.album IS NULL AND media.kind <> ALL(:voices)
        AND EXISTS (
            SELECT 1 FROM handoff
            WHERE handoff.conversation_id = this.conversation_id AND handoff.status IN ('waiting', 'taken')
        )
    FROM inbox AS this
    JOIN inbox AS earlier ON earlier.conversation_id = this.conversation_id AND earlier.id < this.id
        AND earlier.kind NOT IN ('edited', 'revoked')
    LEFT JOIN media ON media.inbox_id = earlier.id
    WHERE this.id = :inbox
    ORDER BY earlier.id DESC LIMIT 1
""").bindparams(bindparam("right_after", RIGHT_AFTER, Interval), voices=list(VOICES))

Image.MAX_IMAGE_PIXELS = None  # the size is looked at here, before anything is unpacked


class Unusable(Exception):
    """What was sent is not what it says, or too large."""


async def keep(ctx: Context, details: Mapping[str, Any]) -> bool:
    """Write down, in the turn's transaction, that this is to be fetched; False when it was sent together with something
    that came before: in an album, or, where the platform knows none, pictures and papers right after each other.
    """
    kind = str(details["media"])
    wanted = kind in VOICES + PICTURES
    album = ctx.vault.digest(ctx.channel, "album", str(details["album"])) if details.get("album") else None
    before = album and await ctx.session.scalar(
        select(Media.id).where(Media.person_id == ctx.person_id, Media.album == album).limit(1)
    )
    media_id = await ctx.session.scalar(
        insert(Media)
        .values(
            person_id=ctx.person_id,
            conversation_id=ctx.conversation_id,
            inbox_id=ctx.inbox_id,
            kind=kind,
            album=album,
            details_sealed=ctx.vault.seal(ctx.person_key, dict(details)),
            status="pending" if wanted else "refused",
            error=None if wanted else "kind",
            expires_at=ctx.now + timedelta(days=ctx.settings.rafiq_media_days),
        )
        .on_conflict_do_nothing()
        .returning(Media.id)
    )
    if wanted and media_id is not None:
        await wake(ctx.session, Lane.MEDIA, media_id)
    if album is None and kind not in VOICES:
        before = await ctx.session.scalar(_FOLLOWS, {"inbox": ctx.inbox_id})
    return not before


@dataclass(frozen=True, slots=True)
class Sent:
    """What somebody of the team sent in their own chat for a person: where it is fetched."""

    inbox_id: int
    channel: str
    details: Mapping[str, Any]

    @property
    def is_voice(self) -> bool:
        """Or else a picture."""
        return self.details.get("media") in VOICES

    @property
    def may_go(self) -> bool:
        """Whether this is of a kind that is passed on."""
        return self.details.get("media") in VOICES + PICTURES


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody of the team gave in the console, cleaned."""

    content: bytes
    mime: str

    @classmethod
    def of(cls, content: bytes) -> Given:
        """A picture, or a voice message. Raises `Unusable` for what is neither."""
        try:
            return cls(*cleaned("photo", content))
        except Unusable:
            return cls(*cleaned("voice", content))

    @property
    def is_voice(self) -> bool:
        """Or else a picture."""
        return not self.mime.startswith("image/")


async def bring(
    session: AsyncSession,
    vault: Vault,
    sent: Sent | Given,
    *,
    person_id: int,
    key: bytes,
    conversation_id: int,
    days: int,
) -> int:
    """Write down what goes to this person, sealed with their key, or that it is to be fetched; its number."""
    if isinstance(sent, Sent):
        values: dict[str, Any] = {
            "inbox_id": sent.inbox_id, "channel": sent.channel, "kind": str(sent.details["media"]),
            "details_sealed": vault.seal(key, dict(sent.details)),
        }  # fmt: skip
    else:
        values = {
            "kind": "voice" if sent.is_voice else "photo", "details_sealed": vault.seal(key, {}), "status": "kept",
            "content_sealed": vault.seal_bytes(key, sent.content), "mime": sent.mime, "size": len(sent.content),
            "sha256": hashlib.sha256(sent.content).digest(),
        }  # fmt: skip
    whose = {"person_id": person_id, "conversation_id": conversation_id}
    row = await session.execute(
        insert(Media).values(**whose, **values, expires_at=func.now() + timedelta(days=days)).returning(Media.id)
    )
    media_id = row.scalar_one()
    if isinstance(sent, Sent):
        await wake(session, Lane.MEDIA, media_id)
    return media_id


async def of(session: AsyncSession, vault: Vault, media_id: int) -> tuple[bool, File | None]:
    """Whether it is not being fetched any more, and what it is if it is kept."""
    row = (
        await session.execute(
            select(Media.status, Media.mime, Media.content_sealed, Person.key)
            .join(Person, Person.id == Media.person_id)
            .where(Media.id == media_id)
        )
    ).first()
    if row is None or row.content_sealed is None:
        return row is None or row.status != "pending", None
    return True, File(row.mime, vault.open_bytes(row.key, row.content_sealed))


# Looked for every second: made once.
_CHANNEL = func.coalesce(Media.channel, Address.channel)
_DUE = (
    select(Media.id)
    .join(Conversation, Conversation.id == Media.conversation_id)
    .join(Address, Address.id == Conversation.address_id)
    .where(_CHANNEL.in_(bindparam("channels", expanding=True)))  # other processes may have the others
    .where(Media.status == "pending", Media.next_at.is_(None) | (Media.next_at <= func.now()))
    .order_by(Media.id)
    .limit(50)
)


@dataclass(slots=True)
class Keeper:
    """Fetches what is to be kept, and lets it go when its time is over."""

    database: Database
    channels: Mapping[str, Channel]
    _drawing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)  # one at a time: for the memory

    async def due(self) -> list[int]:
        """What is to be fetched now."""
        async with self.database.session() as session:
            rows = await session.scalars(_DUE, {"channels": list(self.channels)})
            return list(rows)

    async def work(self, media_id: int) -> None:
        """Fetch this one."""
        async with self.database.holding(Lane.MEDIA, media_id) as connection:
            if connection is None:
                return
            row = (
                await connection.execute(
                    select(Media.kind, Media.details_sealed, Media.attempts, Person.key, _CHANNEL.label("channel"))
                    .join(Person, Person.id == Media.person_id)
                    .join(Conversation, Conversation.id == Media.conversation_id)
                    .join(Address, Address.id == Conversation.address_id)
                    .where(Media.id == media_id, Media.status == "pending")
                    .where(Media.next_at.is_(None) | (Media.next_at <= func.now()))
                )
            ).first()
            await connection.commit()  # nothing is held open while the platform takes its time
            if row is None or row.channel not in self.channels:
                return
            values = await self._fetched(row, self.database.vault.open(row.key, row.details_sealed))
            faults.point("media.fetched")
            await connection.execute(
                update(Media)
                .where(Media.id == media_id, Media.status == "pending")
                .values(attempts=row.attempts + 1, **values)
            )
            if "status" in values:
                await _go_on(connection, media_id, values["status"] == "kept")
            await connection.commit()

    async def _fetched(self, row: Any, details: Mapping[str, Any]) -> dict[str, Any]:
        """What to write down of this attempt."""
        channel = self.channels[row.channel]
        if not isinstance(channel, Downloads):
            return {"status": "lost", "error": "this channel gives nothing out"}
        try:
            raw, _ = await channel.download(details)
            async with self._drawing:
                content, mime = await asyncio.to_thread(cleaned, row.kind, raw)
        except Unusable as unusable:
            return {"status": "refused", "error": str(unusable)}
        except SendError as error:
            kind = type(error).__name__
            log.warning("media not fetched", channel=row.channel, kind=kind)
            if isinstance(error, Retryable) and row.attempts + 1 < ATTEMPTS:
                pause = timedelta(seconds=error.retry_after) if error.retry_after else backoff(row.attempts + 1)
                return {"error": kind, "next_at": func.now() + pause}
            return {"status": "lost", "error": kind}
        return {
            "status": "kept",
            "error": None,
            "content_sealed": self.database.vault.seal_bytes(row.key, content),
            "mime": mime,
            "size": len(content),
            "sha256": hashlib.sha256(content).digest(),
        }

    async def expire(self) -> int:
        """Delete what was kept long enough; how many."""
        async with self.database.session() as session:
            gone = await session.scalars(delete(Media).where(Media.expires_at <= func.now()).returning(Media.id))
            count = len(gone.all())
            await session.commit()
            return count


async def _go_on(connection: AsyncConnection, media_id: int, kept: bool) -> None:
    """What waited for this goes. A copy for the team goes without what could not be had; an answer to a person is
    nothing without it, and its writer is told."""
    waiting = update(Outbox).where(Outbox.media_id == media_id)
    if not kept:
        answers = select(HandoffEntry.outbox_id).where(HandoffEntry.what == "replied")
        failed = waiting.where(Outbox.id.in_(answers), Outbox.status.in_(("queued", "held")))
        await connection.execute(failed.values(status="failed", error="media", next_at=None))
    going = waiting.where(Outbox.status == "queued", func.coalesce(Outbox.error, "media") == "media")
    going = going.values(next_at=None, error=None)
    for conversation_id in set(await connection.scalars(going.returning(Outbox.conversation_id))):
        await wake(connection, Lane.DELIVERY, conversation_id)


def cleaned(kind: str, content: bytes) -> tuple[bytes, str]:
    """The content without what it says about place and time, and its type as its bytes tell it. Raises `Unusable`."""
    if len(content) > LARGEST:
        raise Unusable("size")
    if kind in PICTURES:
        return _picture(content)
    try:
        return sounds.cleaned(content)
    except sounds.NoSound:
        raise Unusable("type") from None


def _picture(content: bytes) -> tuple[bytes, str]:
    """The pixels alone, drawn anew the right way up: no place, no date, no camera, nothing hidden behind them."""
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "WEBP")) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise Unusable("size")
            ImageOps.exif_transpose(picture, in_place=True)
            drawn = Image.new("RGB", picture.size)
            drawn.paste(picture.convert("RGB") if picture.mode != "RGB" else picture)
            written = io.BytesIO()
            drawn.save(written, "JPEG", quality=88)
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError):
        raise Unusable("type") from None
    return written.getvalue(), "image/jpeg"
