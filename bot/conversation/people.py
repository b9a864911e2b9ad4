"""Who is at the other end: a person, their address on a channel, and the thread with them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from bot.db.models import Address, Conversation, Person
from bot.db.session import Database


@dataclass(frozen=True, slots=True)
class Known:
    """What the inbox needs to know of an address."""

    conversation_id: int
    key: bytes  # the person's wrapped key


_FIND = text("""
    SELECT conversation.id, person.key
    FROM address JOIN conversation ON conversation.address_id = address.id
        JOIN person ON person.id = conversation.person_id
    WHERE address.channel = :channel AND address.digest = :digest
""")


async def find(database: Database, channel: str, address: str) -> Known | None:
    """The conversation of this address, if it has one."""
    async with database.autocommit() as connection:
        digest = database.vault.digest(channel, address)
        row = (await connection.execute(_FIND, {"channel": channel, "digest": digest})).first()
    return Known(*row) if row else None


async def begin(database: Database, channel: str, address: str) -> Known:
    """A conversation for an address that has none; two at once begin one."""
    vault = database.vault
    key = vault.new_key()
    async with database.session() as session:
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
        if address_id is not None:
            conversation_id = await session.scalar(
                insert(Conversation)
                .values(address_id=address_id, person_id=person_id, rasa_id=new_rasa_id())
                .returning(Conversation.id)
            )
            await session.commit()
            assert conversation_id is not None  # noqa: S101 (RETURNING of a successful insert)
            return Known(conversation_id, key)
    known = await find(database, channel, address)  # begun by another request in this moment: theirs stands
    if known is None:
        raise RuntimeError("the address vanished while it was being made")
    return known


def new_rasa_id() -> str:
    """A conversation id for Rasa: random, and nobody's number."""
    return secrets.token_urlsafe(18)
