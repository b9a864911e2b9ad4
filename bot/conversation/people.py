"""Who is at the other end: a person, their address on a channel, and the thread with them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.encryption import Vault
from bot.db.models import Address, Conversation, Person


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


async def find_or_create(session: AsyncSession, vault: Vault, channel: str, address: str) -> Known:
    """The conversation of this address, begun now if it is new; two at once begin one."""
    known = await find(session, vault, channel, address)
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


def new_rasa_id() -> str:
    """A conversation id for Rasa: random, and nobody's number."""
    return secrets.token_urlsafe(18)
