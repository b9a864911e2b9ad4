"""What platforms report of our messages, late, twice or out of order: a status only moves forward.

queued < sending < sent < delivered < read; `failed` only from `sent` or before. A message that nobody knows whether
it arrived is settled by its receipt.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Text, Uuid, bindparam, or_, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.channels import Channel
from bot.conversation import letters
from bot.db.models import Address, Outbox
from bot.db.session import Database, Lane, wake
from bot.messages import Receipt, Refused

RANKS = {"queued": 0, "sending": 1, "sent": 2, "delivered": 3, "read": 4}
# One statement a status, and thousands of them come for each morning of check-ins. `UNKNOWN` and given up counts as
# `sending`; it is charged, and nobody has counted it. The next message of the conversation may have waited for it; who
# has the conversation sees it move.
_FORWARD = text(f"""
    WITH before AS (
        SELECT outbox.id, outbox.status, outbox.error, conversation.owner_id IS NOT NULL AS watched FROM outbox
        JOIN conversation ON conversation.id = outbox.conversation_id
        JOIN address ON address.id = conversation.address_id
        WHERE (outbox.external_id = :external_id OR outbox.public_id = :public_id)
            AND outbox.refused_id IS DISTINCT FROM :external_id AND address.channel = :channel
            AND :rank > CASE outbox.status
                WHEN 'queued' THEN 0 WHEN 'sending' THEN 1 WHEN 'sent' THEN 2 WHEN 'delivered' THEN 3 WHEN 'read' THEN 4
                WHEN 'failed' THEN CASE WHEN outbox.error = '{letters.UNKNOWN}' THEN 1 ELSE 9 END
                ELSE 9 END
        FOR UPDATE OF outbox
    ), moved AS (
        UPDATE outbox SET status = :status, external_id = coalesce(outbox.external_id, :external_id),
            sent_at = coalesce(sent_at, now()), next_at = NULL, error = nullif(outbox.error, '{letters.UNKNOWN}')
        FROM before WHERE outbox.id = before.id
        RETURNING outbox.conversation_id, before.status IN ('queued', 'sending') AS waited, before.watched,
            before.error, outbox.unasked, outbox.announces
    ), counted AS (
        INSERT INTO sent_count (day, channel, kind, messages)
        SELECT current_date, CAST(:channel AS text),
            CASE WHEN announces THEN 'template' WHEN unasked THEN 'unasked' ELSE 'reply' END, 1
        FROM moved WHERE error = '{letters.UNKNOWN}'
        ON CONFLICT (day, channel, kind) DO UPDATE SET messages = sent_count.messages + excluded.messages
    )
    SELECT pg_notify(
        'rafiq', '{int(Lane.DELIVERY)}:' || conversation_id || CASE WHEN waited THEN '' ELSE '\\:unhurried' END
    ) FROM moved WHERE waited OR watched
""").bindparams(bindparam("public_id", type_=Uuid), bindparam("external_id", type_=Text))  # noqa: S608 (our own words)


async def apply(database: Database, channels: Mapping[str, Channel], receipts: Sequence[Receipt]) -> None:
    """Write down what these receipts say and commit; when this returns, nothing of them is lost any more."""
    for receipt in receipts:
        public_id, part = _ours(receipt.our_id)
        if receipt.status != "failed" and part is None:
            async with database.autocommit() as connection:
                await connection.execute(_FORWARD, _values(receipt, public_id))
            continue
        async with database.session() as session:
            if receipt.status == "failed":
                await _failed(session, database, channels, receipt, public_id, part)
            elif part is not None:
                await _part_went(session, public_id, part)
            await session.commit()


def _ours(our_id: str | None) -> tuple[uuid.UUID | None, int | None]:
    """Our message, and which part of it when it was too long for one."""
    name, _, part = (our_id or "").partition(".")
    try:
        return uuid.UUID(name), int(part) if part else None
    except ValueError:
        return None, None


def _meant(receipt: Receipt, public_id: uuid.UUID | None) -> Any:
    """The message that this receipt is about, but for an attempt that is over."""
    same = [Outbox.external_id == receipt.external_id]
    if public_id is not None:
        same.append(Outbox.public_id == public_id)
    over = Outbox.refused_id.is_not_distinct_from(receipt.external_id)
    return or_(*same) & ~over & (Address.channel == receipt.channel)


def _values(receipt: Receipt, public_id: uuid.UUID | None) -> dict[str, Any]:
    return {
        "external_id": receipt.external_id,
        "public_id": public_id,
        "channel": receipt.channel,
        "status": receipt.status,
        "rank": RANKS[receipt.status],
    }


async def _part_went(session: AsyncSession, public_id: uuid.UUID | None, part: int) -> None:
    """A part arrived, which its sender may not live to write down; where nobody knew of it, the rest may go."""
    its = (Outbox.public_id == public_id, Outbox.parts == part - 1, Outbox.status == "sending")
    conversation_id = await session.scalar(
        update(Outbox)
        .where(*its, Outbox.error == letters.UNKNOWN)
        .values(status="queued", parts=part, next_at=None, error=None)
        .returning(Outbox.conversation_id)
    )
    if conversation_id is None:
        await session.execute(update(Outbox).where(*its).values(parts=part))
    if conversation_id is not None:
        await wake(session, Lane.DELIVERY, conversation_id)


async def _failed(
    session: AsyncSession,
    database: Database,
    channels: Mapping[str, Channel],
    receipt: Receipt,
    public_id: uuid.UUID | None,
    part: int | None,
) -> None:
    """One of its parts failed: what went after it goes again with it, and word of that attempt means nothing more."""
    channel = channels.get(receipt.channel)
    was = ("queued", "sending", "sent")
    letter = (
        await session.execute(
            letters.letters().where(_meant(receipt, public_id), Outbox.status.in_(was)).with_for_update(of=Outbox)
        )
    ).first()
    if letter is None or channel is None or (part is not None and letter.parts < part):
        return
    over: dict[str, Any] = {"refused_id": receipt.external_id, "external_id": None, "sent_at": None}
    if part is not None:
        over |= {"refused_id": letter.external_id or receipt.external_id, "parts": part - 1}
    await session.execute(update(Outbox).where(Outbox.id == letter.id).values(over))
    await wake(session, Lane.DELIVERY, letter.conversation_id)
    error = receipt.error or Refused("the platform reported it as failed")
    await letters.refused(session, database.vault, channel.limits, letter, error, was)
