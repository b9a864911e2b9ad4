"""The outbox leaves the house: per conversation in order, each message once as far as anyone can know.

`sending` is committed before the platform is called. Whoever finds a row `sending` while holding the
conversation's lock knows that its sender died: the platform may or may not have it. Where the platform reports
what became of messages, its word is awaited; then, and elsewhere at once, it is sent once more and marked `resent`.

Answers go before what nobody waits for, in a conversation and over all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Integer, Text, bindparam, case, exists, false, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from bot import faults, metrics
from bot.channels import Channel, Documents, Files, Limits
from bot.conversation import letters, media, outbox, pacing
from bot.conversation.splitting import split
from bot.db.models import Address, Conversation, Inbox, Outbox
from bot.db.session import Database, Lane, together
from bot.jobs import SWEEP
from bot.messages import Button, Document, Outgoing, SendError, Template

PEOPLE = "people"  # error of a message `queued`: as many people as the platform allows were written to first today
_waiting = aliased(Outbox)
_NEXT = (
    letters.letters()
    .add_columns(
        exists()
        .where(_waiting.conversation_id == Outbox.conversation_id, _waiting.id != Outbox.id)
        .where(_waiting.status.in_(letters.UNDERWAY))
        .label("more"),
        # what nobody asked for waits until what the person has just written is read: it may be STOP
        case(
            (
                Outbox.unasked,
                exists()
                .where(Inbox.conversation_id == Outbox.conversation_id, Inbox.status == "pending")
                .where(text("inbox.status IN ('pending', 'waiting')")),  # the index's own words
            ),
            else_=false(),
        ).label("unread"),
    )
    .where(Outbox.conversation_id == bindparam("conversation"))
    .where(text("outbox.status IN ('queued', 'sending')"))
    .where(~func.coalesce(letters.overtaken(), False))
    .order_by(Outbox.unasked, Outbox.id)
    .limit(1)
)
_lock = func.pg_try_advisory_lock(bindparam("lane", type_=Integer), func.hashint8(bindparam("key", type_=BigInteger)))
_lane = select(_lock.label("held")).cte("lane")
_letter = _NEXT.subquery("letter")
_FIRST = select(_lane.c.held, _letter).select_from(_lane.outerjoin(_letter, _lane.c.held))  # with its lane's lock
# Looked for every second: made once.
_DUE = (
    select(Outbox.conversation_id, Address.channel, func.bool_and(Outbox.unasked).label("unasked"))
    .join(Conversation, Conversation.id == Outbox.conversation_id)
    .join(Address, Address.id == Conversation.address_id)
    .where(Address.channel.in_(bindparam("channels", expanding=True)))  # the others are fetched, not sent
    .where(text("outbox.status IN ('queued', 'sending')"))
    .where((Outbox.next_at.is_(None)) | (Outbox.next_at <= func.now()))
    .group_by(Outbox.conversation_id, Address.channel)
    .order_by(func.bool_and(Outbox.unasked), func.min(Outbox.id))
    .limit(200)
)
# The platform took it. Its receipt may have come before its answer, and then knows better.
_SENT = text("""
    WITH counted AS (
        INSERT INTO sent_count (day, channel, kind, messages) VALUES (current_date, :channel, :kind, :messages)
        ON CONFLICT (day, channel, kind) DO UPDATE SET messages = sent_count.messages + excluded.messages
    )
    UPDATE outbox SET status = CASE status WHEN 'sending' THEN 'sent' ELSE status END, external_id = :its_id,
        sent_at = coalesce(sent_at, now()), next_at = NULL, error = :note
    WHERE id = :row AND status IN ('sending', 'sent', 'delivered', 'read')
""").bindparams(bindparam("note", type_=Text))


@dataclass(slots=True)
class Delivery:
    """Sends what is queued."""

    database: Database
    channels: Mapping[str, Channel]

    async def due(self) -> list[int]:
        """Conversations with messages to send now: replies first, of the unasked no more than may go in a sweep."""
        async with self.database.autocommit() as connection:
            rows = await connection.execute(_DUE, {"channels": list(self.channels)})
            chosen, unasked = [], Counter[str]()
            for row in rows:
                unasked[row.channel] += row.unasked
                rate = self.channels[row.channel].limits.unasked
                if not row.unasked or unasked[row.channel] <= rate.per_second * SWEEP + rate.burst:
                    chosen.append(row.conversation_id)
            return chosen

    async def work(self, conversation_id: int) -> None:
        """Send everything that this conversation has waiting, in order, until one must wait."""
        which = {"conversation": conversation_id}
        async with self.database.holding_for(Lane.DELIVERY, conversation_id, _FIRST, which) as held:
            if held is not None:
                connection, row = held
                # what is `sending` may be so by who has just let go of the lock: it is looked at anew
                first = row if row.id is not None and row.status != "sending" else None
                while await self._one(connection, conversation_id, first):
                    first = None

    async def _one(self, connection: AsyncConnection, conversation_id: int, letter: Any) -> bool:
        """Send this message, or else the next; False when no other may go now. What is queued from now on wakes the
        worker again.
        """
        if letter is None:
            letter = (await connection.execute(_NEXT, {"conversation": conversation_id})).first()
        if letter is None or not letter.due or letter.unread or letter.channel not in self.channels:
            return False
        channel = self.channels[letter.channel]
        content = self.database.vault.open(letter.key, letter.content_sealed)
        template = file = None
        closed, died = _closed(letter, channel.limits), letter.status == "sending"
        pointless = _pointless(letter, closed)
        changed = letter.identity_changed_at is not None
        unsure = letter.sensitive and (changed or letter.error == letters.SILENCE)
        if closed or died or unsure or pointless is not None or letter.media_id is not None:
            async with together(connection) as session:
                if pointless is not None:
                    if died:  # nobody knows, and nobody tries again
                        await letters.settle(session, letter.id, "failed", error=letters.UNKNOWN)
                    else:
                        await letters.settle(session, letter.id, "cancelled", error=pointless)
                    return True
                if died and channel.limits.receipts and letter.error != letters.UNKNOWN:
                    await letters.settle(
                        session, letter.id, "sending", error=letters.UNKNOWN, pause=letters.RECEIPT_WAIT
                    )
                    return False
                if unsure and (changed or await outbox.who_reads(session, self.database.vault, letter, content)):
                    await letters.settle(session, letter.id, "held", error="identity")
                    return True
                if closed and content.get("announced"):
                    await outbox.announce(session, self.database.vault, letter, content["language"])
                    await letters.settle(session, letter.id, "held", error="window")
                    return True
                if closed:
                    templates = content.get("templates", ())
                    if letter.template >= len(templates):
                        if templates:
                            await letters.alert(session, letter, "no approved template")
                        await letters.settle(session, letter.id, "held", error="template" if templates else "window")
                        return True
                    template = _template(templates[letter.template], letter)
                    most = channel.limits.people_a_day
                    later = await pacing.open_to(session, letter, most) if most is not None else None
                    if later is not None:
                        await letters.settle(session, letter.id, "queued", error=PEOPLE, pause=later - letter.now)
                        return True
                if letter.media_id is not None and template is None:
                    fetched, file = await media.of(session, self.database.vault, letter.media_id)
                    if not fetched:
                        await letters.settle(session, letter.id, "queued", error="media", pause=media.LOOK_AGAIN)
                        return False
        buttons = tuple(Button(button_id, title) for button_id, title in content["buttons"])
        document, room = None, channel.room(buttons)
        if "document" in content and template is None and isinstance(channel, Documents):
            document, room = Document(*content["document"]), min(room, channel.longest_caption)
        parts = [""] if template is not None else split(content["text"], channel.longest, room)
        under = channel.caption(file.media_type) if file is not None and isinstance(channel, Files) else None
        if under is None:
            file = None
        elif under == 0:
            parts.append("")
        else:
            parts = split(content["text"], channel.longest, min(room, under))
        left = max(len(parts) - _gone(letter, template), 1)
        taken = await pacing.take(connection, letter, channel.limits, left)
        if not taken:
            return taken is None
        faults.point("delivery.sending")
        try:
            choices = buttons if template is None else ()
            message = Outgoing("", "", content["language"], choices, template, document, file)
            external_id = await self._send(connection, channel, letter, message, parts)
        except SendError as error:
            metrics.DELIVERIES.labels(metrics.channel(letter.channel), type(error).__name__.lower()).inc()
            async with together(connection) as session:
                return await letters.refused(session, self.database.vault, channel.limits, letter, error)
        metrics.DELIVERIES.labels(metrics.channel(letter.channel), "sent").inc()
        faults.point("delivery.sent")
        kind = "template" if template is not None else "unasked" if letter.unasked else "reply"
        settled = {
            "row": letter.id,
            "its_id": external_id,
            "note": "resent" if died else None,
            "channel": letter.channel,
            "kind": kind,
            "messages": len(parts),
        }
        await connection.execute(_SENT, settled)
        if letter.throttled:
            await connection.execute(update(Address).where(Address.id == letter.address_id).values(throttled=0))
        faults.point("delivery.settled")
        return bool(letter.more)

    async def _send(
        self,
        connection: AsyncConnection,
        channel: Channel,
        letter: Any,
        message: Outgoing,
        parts: list[str],
    ) -> str:
        """Send what is left of it; the platform's id of the last part, which has the buttons and the file.

        What went is written down part by part.
        """
        address = self.database.vault.open(letter.key, letter.address_sealed)
        external_id = ""
        gone = _gone(letter, message.template)
        for number, part in enumerate(parts[gone:], gone + 1):
            last = number == len(parts)
            external_id = await channel.send(
                address,
                replace(
                    message,
                    id=str(letter.public_id) if last else f"{letter.public_id}.{number}",
                    text=part,
                    buttons=message.buttons if last else (),
                    document=message.document if last else None,
                    file=message.file if last else None,
                ),
            )
            if not last:
                faults.point("delivery.part_sent")
                await connection.execute(update(Outbox).where(Outbox.id == letter.id).values(parts=number))
        return external_id


def _pointless(letter: Any, closed: bool) -> str | None:
    """Why this message is not sent any more, if so."""
    if letter.unreachable_at is not None:
        return "unreachable"
    if letter.unasked and letter.stopped_at is not None:
        return "stopped"
    if letter.announces and not closed:
        return "heard"  # what it announced is free to go itself
    return "expired" if letter.expired else None


def _closed(letter: Any, limits: Limits) -> bool:
    """Whether only a template may go: the person is silent for too long, or the platform said so since."""
    if limits.window is None:
        return False
    heard: datetime = letter.last_heard_at or datetime.min.replace(tzinfo=UTC)
    said_closed: datetime | None = letter.window_closed_at
    return bool(heard + limits.window <= letter.now) or (said_closed is not None and said_closed >= heard)


def _gone(letter: Any, template: Template | None) -> int:
    """How many parts of it the platform has already."""
    return 0 if template is not None else int(letter.parts)


def _template(given: Any, letter: Any) -> Template:
    """The template, which the platform may go on delivering until the message is worth nothing."""
    name, values, seconds = given
    if letter.expires_at is not None:
        left = max(int((letter.expires_at - letter.now) / timedelta(seconds=1)), 1)
        seconds = min(seconds or left, left)
    return Template(name, tuple(values), seconds)
