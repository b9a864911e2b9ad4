"""What platforms report of our messages, late, twice or out of order: a status only moves forward.

queued < sending < sent < delivered < read; `failed` only from `sent` or before. A message that nobody knows whether
it arrived is settled by its receipt.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, case, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.channels import Channel
from bot.conversation import letters
from bot.db.models import Address, Conversation, Outbox
from bot.db.session import Database, Lane, wake
from bot.messages import Receipt, Refused

RANKS = {"queued": 0, "sending": 1, "sent": 2, "delivered": 3, "read": 4}
_RANK = case(
    (Outbox.status.in_(RANKS), case(RANKS, value=Outbox.status)),
    ((Outbox.status == "failed") & (Outbox.error == letters.UNKNOWN), 1),  # given up without knowing
    else_=9,
)


async def apply(database: Database, channels: Mapping[str, Channel], receipts: Sequence[Receipt]) -> None:
    """Write down what these receipts say and commit; when this returns, nothing of them is lost any more."""
    for receipt in receipts:
        async with database.session() as session:
            public_id, part = _ours(receipt.our_id)
            if receipt.status == "failed":
                await _failed(session, database, channels, receipt, public_id)
            elif part is not None:
                await _part_went(session, public_id, part)
            else:
                await _forward(session, receipt, public_id)
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


async def _forward(session: AsyncSession, receipt: Receipt, public_id: uuid.UUID | None) -> None:
    before = (
        select(Outbox.id, Outbox.status)
        .join(Conversation, Conversation.id == Outbox.conversation_id)
        .join(Address, Address.id == Conversation.address_id)
        .where(_meant(receipt, public_id), RANKS[receipt.status] > _RANK)
        .with_for_update(of=Outbox)
        .cte("before")
    )
    moved: Row[Any] | None = (
        await session.execute(
            update(Outbox)
            .where(Outbox.id == before.c.id)
            .values(
                status=receipt.status,
                external_id=func.coalesce(Outbox.external_id, receipt.external_id),
                sent_at=func.coalesce(Outbox.sent_at, func.now()),
                next_at=None,
                error=func.nullif(Outbox.error, letters.UNKNOWN),
            )
            .returning(Outbox.conversation_id, before.c.status.label("before"))
        )
    ).first()
    if moved is not None and moved.before in letters.UNDERWAY:  # the next message waited for this one
        await wake(session, Lane.DELIVERY, moved.conversation_id)


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
) -> None:
    channel = channels.get(receipt.channel)
    was = ("queued", "sending", "sent")
    letter = (
        await session.execute(
            letters.letters().where(_meant(receipt, public_id), Outbox.status.in_(was)).with_for_update(of=Outbox)
        )
    ).first()
    if letter is None or channel is None:
        return
    await session.execute(
        update(Outbox).where(Outbox.id == letter.id).values(refused_id=receipt.external_id, external_id=None)
    )
    await wake(session, Lane.DELIVERY, letter.conversation_id)
    error = receipt.error or Refused("the platform reported it as failed")
    await letters.refused(session, database.vault, channel.limits, letter, error, was)
