"""Who is at the other end: a person, their address on a channel, and the thread with them."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.encryption import Vault
from bot.db.models import Address, AddressAlias, Conversation, Outbox, Person
from bot.db.session import Database


@dataclass(frozen=True, slots=True)
class Known:
    """What the inbox needs to know of an address."""

    conversation_id: int
    key: bytes  # the person's wrapped key


class Met:
    """Whom this process heard lately: who writes on need not be looked up before what they wrote is written down.

    What is remembered is as the database holds it: the hash of the address, the key as it is wrapped. Whoever uses it
    makes sure that it is still so (`bot.conversation.inbox`).
    """

    def __init__(self, most: int = 1000, seconds: float = 300) -> None:
        self._most, self._seconds = most, seconds
        self._heard: OrderedDict[bytes, tuple[float, Known]] = OrderedDict()  # the longest ago first

    def get(self, digest: bytes) -> Known | None:
        """Who has this address, as far as is remembered."""
        at, known = self._heard.get(digest, (0.0, None))
        return known if time.monotonic() < at + self._seconds else None

    def keep(self, digest: bytes, known: Known) -> None:
        """Remember them from now on for a while; who was heard too long ago is forgotten."""
        now = time.monotonic()
        self._heard.pop(digest, None)
        self._heard[digest] = now, known
        while len(self._heard) > self._most or next(iter(self._heard.values()))[0] + self._seconds < now:
            self._heard.popitem(last=False)


# the conversation of an address, by whatever name the platform has for it
FOUND = """
    SELECT conversation.id, person.key
    FROM conversation JOIN person ON person.id = conversation.person_id
    WHERE conversation.address_id = coalesce(
        (SELECT id FROM address WHERE channel = :channel AND digest = :address),
        (SELECT address_id FROM address_alias WHERE channel = :channel AND digest = :address)
    )
"""
_FIND = text(FOUND)


# all three or, where somebody else began with this address in the same moment, none
_BEGIN = text("""
    WITH at AS (
        INSERT INTO address (person_id, channel, digest, address_sealed)
        VALUES (nextval(pg_get_serial_sequence('person', 'id')), :channel, :digest, :sealed)
        ON CONFLICT DO NOTHING
        RETURNING id, person_id
    ), who AS (
        INSERT INTO person (id, key) OVERRIDING SYSTEM VALUE SELECT person_id, :key FROM at
    )
    INSERT INTO conversation (address_id, person_id, rasa_id) SELECT id, person_id, :rasa_id FROM at RETURNING id
""")


async def find(database: Database, channel: str, address: str) -> Known | None:
    """The conversation of this address, by whatever name the platform has for it, if it has one."""
    async with database.autocommit() as connection:
        digest = database.vault.digest(channel, address)
        row = (await connection.execute(_FIND, {"channel": channel, "address": digest})).first()
    return Known(*row) if row else None


async def address_of(database: Database, conversation_id: int) -> str | None:
    """Where the person of this conversation is written to."""
    which = (
        select(Address.address_sealed, Person.key)
        .join(Conversation, Conversation.address_id == Address.id)
        .join(Person, Person.id == Conversation.person_id)
        .where(Conversation.id == conversation_id)
    )
    async with database.autocommit() as connection:
        row = (await connection.execute(which)).first()
    return str(database.vault.open(row.key, row.address_sealed)) if row else None


async def known_before(database: Database, channel: str, address: str, aliases: Sequence[str]) -> Known | None:
    """The conversation of who was known by one of these, now under this address, which had none.

    The platform says that it is the same person. Two addresses that both have a conversation stay two.
    """
    digests = [database.vault.digest(channel, alias) for alias in aliases]
    async with database.session() as session:
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
            await move(session, database.vault, channel, row.id, row.key, address)
            await session.commit()
    return await find(database, channel, address)


async def begin(database: Database, channel: str, address: str) -> Known:
    """A conversation for an address that has none; two at once begin one."""
    vault = database.vault
    key = vault.new_key()
    values = {
        "channel": channel,
        "digest": vault.digest(channel, address),
        "sealed": vault.seal(key, address),
        "key": key,
        "rasa_id": new_rasa_id(),
    }
    async with database.autocommit() as connection:
        conversation_id: int | None = await connection.scalar(_BEGIN, values)
    if conversation_id is not None:
        return Known(conversation_id, key)
    known = await find(database, channel, address)  # begun by another request in this moment: theirs stands
    if known is None:
        raise RuntimeError("the address vanished while it was being made")
    return known


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
        .where(Address.id == address_id, Address.identity_changed_at.is_not(None) | Address.unsure_at.is_not(None))
        .values(identity_changed_at=None, unsure_at=None, tries=0)
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


async def other_names(session: AsyncSession, vault: Vault, channel: str, address_id: int, names: Sequence[str]) -> None:
    """These names of the address count from now on and none of before: an old number may be somebody else's."""
    await session.execute(delete(AddressAlias).where(AddressAlias.address_id == address_id))
    digests = [vault.digest(channel, name) for name in names]
    taken = select(Address.digest).where(Address.channel == channel, Address.digest.in_(digests))
    for digest in set(digests) - set(await session.scalars(taken)):
        alias = insert(AddressAlias).values(channel=channel, digest=digest, address_id=address_id)
        await session.execute(
            alias.on_conflict_do_update(index_elements=["channel", "digest"], set_={"address_id": address_id})
        )


async def doubt(session: AsyncSession, address_id: int) -> None:
    """Somebody else may hold this address from now on: what is sensitive waits (`verified` ends it)."""
    await session.execute(
        update(Address)
        .where(Address.id == address_id)
        .values(identity_changed_at=func.coalesce(Address.identity_changed_at, func.now()))
    )


async def doubt_others(
    session: AsyncSession, vault: Vault, channel: str, address_id: int, names: Sequence[str], since: datetime
) -> None:
    """These names are this address's since then: whoever had one of them, and was not heard since, has it no more."""
    digests = [vault.digest(channel, name) for name in names]
    await session.execute(
        update(Address)
        .where(Address.channel == channel, Address.digest.in_(digests), Address.id != address_id)
        .where(Address.last_heard_at.is_(None) | (Address.last_heard_at < since))
        .values(identity_changed_at=func.coalesce(Address.identity_changed_at, func.now()))
    )


def new_rasa_id() -> str:
    """A conversation id for Rasa: random, and nobody's number."""
    return secrets.token_urlsafe(18)
