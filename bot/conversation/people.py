"""Who is at the other end: a person, their address on a channel, and the thread with them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.encryption import Vault
from bot.db.models import Address, Conversation, Outbox, Person


@dataclass(frozen=True, slots=True)
class Known:
    """What the inbox needs to know of an address."""

    conversation_id: int
    key: bytes  # the person's wrapped key


async def find(session: AsyncSession, vault: Vault, channel: str, address: str) -> Known | None:
    """The conversation of this address, if it has one."""
    row = (
        await session.execute(
            select(Conversation.id, Person.key)
            .join(Address, Address.id == Conversation.address_id)
            .join(Person, Person.id == Conversation.person_id)
            .where(Address.channel == channel, Address.digest == vault.digest(channel, address))
        )
    ).first()
    return Known(*row) if row else None


async def find_or_create(
    session: AsyncSession, vault: Vault, channel: str, address: str, aliases: Sequence[str] = ()
) -> Known:
    """The conversation of this address, begun now if it is new; two at once begin one.

    A new address of which the platform says that its person was known by another (`aliases`) takes that one's place:
    one person, one conversation. Two addresses that both have a conversation stay two.
    """
    known = await find(session, vault, channel, address)
    if known is None and aliases:
        known = await _known_before(session, vault, channel, address, aliases)
    if known is not None:
        return known
    key = vault.new_key()
    person_id = await session.scalar(insert(Person).values(key=key).returning(Person.id))
    address_id = await session.scalar(
        insert(Address)
        .values(
            person_id=person_id,
            channel=channel,
            digest=vault.digest(channel, address),
            address_sealed=vault.seal(key, address),
        )
        .on_conflict_do_nothing()
        .returning(Address.id)
    )
    if address_id is None:  # begun by another request in this moment: theirs stands
        await session.rollback()
        known = await find(session, vault, channel, address)
        if known is None:
            raise RuntimeError("the address vanished while it was being made")
        return known
    conversation_id = await session.scalar(
        insert(Conversation)
        .values(address_id=address_id, person_id=person_id, rasa_id=new_rasa_id())
        .returning(Conversation.id)
    )
    assert conversation_id is not None  # noqa: S101 (RETURNING of a successful insert)
    return Known(conversation_id, key)


async def _known_before(
    session: AsyncSession, vault: Vault, channel: str, address: str, aliases: Sequence[str]
) -> Known | None:
    digests = [vault.digest(channel, alias) for alias in aliases]
    row = (
        await session.execute(
            select(Address.id, Person.key)
            .join(Person, Person.id == Address.person_id)
            .where(Address.channel == channel, Address.digest.in_(digests))
            .order_by(Address.id)
            .limit(1)
            .with_for_update(of=Address)
        )
    ).first()
    if row is not None:
        await move(session, vault, channel, row.id, row.key, address)
    return await find(session, vault, channel, address)


_HEARD = text("""
WITH heard AS (
    UPDATE address SET last_heard_at = now(), unreachable_at = NULL
    FROM conversation WHERE conversation.id = :conversation_id AND address.id = conversation.address_id
)
UPDATE outbox SET status = 'queued', next_at = NULL, error = NULL
WHERE conversation_id = :conversation_id AND status = 'held' AND error IN ('window', 'template')
""")


async def heard(session: AsyncSession, conversation_id: int) -> None:
    """The person wrote: they can be reached, the platform's window is open, what waited for it may go."""
    await session.execute(_HEARD, {"conversation_id": conversation_id})


async def blocked(session: AsyncSession, conversation_id: int, at: datetime) -> None:
    """The person blocked us at that moment, unless they wrote since: what nobody waits for ends here."""
    of_this = select(Conversation.address_id).where(Conversation.id == conversation_id).scalar_subquery()
    gone = await session.scalar(
        update(Address)
        .where(Address.id == of_this)
        .where(Address.last_heard_at.is_(None) | (Address.last_heard_at <= at))
        .values(unreachable_at=func.now())
        .returning(Address.id)
    )
    if gone is not None:
        await session.execute(
            update(Outbox)
            .where(Outbox.conversation_id == conversation_id, Outbox.unasked, Outbox.status.in_(["queued", "held"]))
            .values(status="cancelled", error="unreachable")
        )


async def unblocked(session: AsyncSession, conversation_id: int) -> None:
    """The person lets us in again."""
    of_this = select(Conversation.address_id).where(Conversation.id == conversation_id).scalar_subquery()
    await session.execute(update(Address).where(Address.id == of_this).values(unreachable_at=None))


async def verified(session: AsyncSession, conversation_id: int) -> bool:
    """It is still the same person: what waited for that may go. False when nobody doubted it."""
    address_id = select(Conversation.address_id).where(Conversation.id == conversation_id).scalar_subquery()
    doubted = await session.scalar(
        update(Address)
        .where(Address.id == address_id, Address.identity_changed_at.is_not(None))
        .values(identity_changed_at=None)
        .returning(Address.id)
    )
    await session.execute(
        update(Outbox)
        .where(Outbox.conversation_id == conversation_id, Outbox.status == "held", Outbox.error == "identity")
        .values(status="queued", next_at=None, error=None)
    )
    return doubted is not None


async def move(session: AsyncSession, vault: Vault, channel: str, address_id: int, key: bytes, address: str) -> bool:
    """They are written to at this address from now on; False when it is somebody's already: people are never merged."""
    try:
        async with session.begin_nested():
            await session.execute(
                update(Address)
                .where(Address.id == address_id)
                .values(digest=vault.digest(channel, address), address_sealed=vault.seal(key, address))
            )
    except IntegrityError:
        return False
    return True


async def doubt(session: AsyncSession, address_id: int) -> None:
    """Somebody else may hold this address from now on: what is sensitive waits (`verified` ends it)."""
    await session.execute(
        update(Address)
        .where(Address.id == address_id)
        .values(identity_changed_at=func.coalesce(Address.identity_changed_at, func.now()))
    )


def new_rasa_id() -> str:
    """A conversation id for Rasa: random, and nobody's number."""
    return secrets.token_urlsafe(18)
