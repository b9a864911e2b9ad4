"""A message on its way: how it is read from the outbox, how it is settled, what each kind of refusal does to it.

Two hear of refusals: delivery, when it sends, and the receipts that come afterwards. Both act as written here.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Select, and_, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.channels import Limits
from bot.conversation import pacing, people
from bot.db.encryption import Vault
from bot.db.models import Address, Alert, Conversation, Outbox, Person
from bot.messages import (
    Ambiguous,
    ChannelDown,
    IdentityChanged,
    Moved,
    NoTemplate,
    NotNow,
    Refused,
    Retryable,
    SendError,
    Throttled,
    Unreachable,
    Unwelcome,
    WindowClosed,
)

log = structlog.get_logger()
ATTEMPTS = 8
LONGEST_PAUSE = timedelta(minutes=10)
RECEIPT_WAIT = timedelta(seconds=60)  # how long the platform may take to say what became of a message
REPLY_PAUSE = 300.0  # seconds of silence when even an answer was unwelcome
UNDERWAY = ("queued", "sending")
UNKNOWN = "Ambiguous"  # error of a message `sending`: it may have arrived, and we waited or wait for word of it
SILENCE = "silence"  # error of a message `queued`: it waited for who was silent for so long that it may not be they
LATER = "NotNow"  # error of a message `queued`: its person may not get it for a day; others overtake it


def letters() -> Select[*tuple[Any, ...]]:
    """Everything delivery needs to know of a message; to be narrowed down."""
    return (
        select(
            Outbox.id, Outbox.public_id, Outbox.conversation_id, Outbox.content_sealed, Outbox.status, Outbox.attempts,
            Outbox.next_at, Outbox.error, Outbox.external_id, Outbox.unasked, Outbox.sensitive, Outbox.announces,
            Outbox.parts, Outbox.template, Outbox.expires_at, Outbox.sent_at, Outbox.media_id,
            (Outbox.expires_at <= func.now()).label("expired"),
            (func.coalesce(Outbox.next_at, func.now()) <= func.now()).label("due"),
            Address.id.label("address_id"), Address.channel, Address.address_sealed, Address.unreachable_at,
            Address.last_heard_at, Address.window_closed_at, Address.identity_changed_at, Address.throttled,
            Person.id.label("person_id"), Person.key, Person.stopped_at,
            func.now().label("now"),
        )
        .join(Conversation, Conversation.id == Outbox.conversation_id)
        .join(Address, Address.id == Conversation.address_id)
        .join(Person, Person.id == Conversation.person_id)
    )  # fmt: skip


async def settle(
    session: AsyncSession,
    outbox_id: int,
    status: str,
    *,
    error: str | None = None,
    pause: timedelta | None = None,
    was: Sequence[str] = UNDERWAY,
    **values: Any,
) -> None:
    """Write down how it stands with this message and commit, unless word of it came in the meantime."""
    values |= {"status": status, "error": error, "next_at": func.now() + pause if pause is not None else None}
    await session.execute(update(Outbox).where(Outbox.id == outbox_id, Outbox.status.in_(was)).values(values))
    await session.commit()


async def alert(session: AsyncSession, letter: Any, why: str) -> None:
    """Tell operators of a message that does not go."""
    detail = {"outbox_id": letter.id, "why": why}
    await session.execute(insert(Alert).values(kind="message not sent", detail=detail))


async def refused(
    session: AsyncSession,
    vault: Vault,
    limits: Limits,
    letter: Any,
    error: SendError,
    was: Sequence[str] = UNDERWAY,
) -> bool:
    """Act on a refusal of this message, whose attempt is counted; True when the next may be tried at once.

    What it says of the person was so when the message was sent: who wrote since is there, and may be answered.
    """
    kind = type(error).__name__
    at = letter.sent_at or letter.now
    log.warning("not sent", outbox_id=letter.id, channel=letter.channel, kind=kind)
    uncounted = {"attempts": letter.attempts}
    at_once = False
    if isinstance(error, Unreachable):
        await people.blocked(session, letter.conversation_id, at)
        await settle(session, letter.id, "failed", error="unreachable", was=was)
        return True
    if isinstance(error, Refused):
        await _fail(session, letter, kind, was)
        return True
    if isinstance(error, ChannelDown):
        await pacing.stop_channel(session, letter.channel, str(error)[:200])
        await settle(session, letter.id, "queued", error=kind, was=was, **uncounted)
        return False
    if isinstance(error, Throttled):
        if error.scope == "channel":
            await pacing.slow_channel(session, letter.channel, error.retry_after)
        else:
            await pacing.slow_chat(session, letter, error.retry_after)
            if error.scope == "unsaid" and await pacing.several_slow(session, letter.channel):
                await pacing.slow_channel(session, letter.channel, error.retry_after)
        await settle(session, letter.id, "queued", error=kind, was=was, **uncounted)
        return False
    if isinstance(error, Unwelcome):
        await pacing.stop_unasked(session, letter.channel, str(error)[:200])
        if not letter.unasked:  # answers wait too, but not for so long
            await pacing.slow_channel(session, letter.channel, error.retry_after or REPLY_PAUSE)
        await settle(session, letter.id, "queued", error=kind, was=was, **uncounted)
        return False
    if isinstance(error, NotNow):
        pause = timedelta(seconds=error.retry_after)
        await settle(session, letter.id, "queued", error=LATER, pause=pause, was=was, **uncounted)
        return True
    if isinstance(error, IdentityChanged):
        await people.doubt(session, letter.address_id)
        await settle(session, letter.id, "held", error="identity", was=was)
        return True
    if letter.attempts + 1 >= ATTEMPTS or (isinstance(error, Ambiguous) and letter.error == UNKNOWN):
        await _fail(session, letter, kind, was)
        return True
    if isinstance(error, Ambiguous):
        # it stays `sending`: whoever comes next knows that it may have arrived
        pause = RECEIPT_WAIT if limits.receipts else backoff(letter.attempts + 1)
        await settle(session, letter.id, "sending", error=UNKNOWN, pause=pause, was=was)
        return False
    values: dict[str, Any] = {}
    wait: timedelta | None = None
    if isinstance(error, WindowClosed):
        closed_at = func.greatest(Address.window_closed_at, at)
        await session.execute(update(Address).where(Address.id == letter.address_id).values(window_closed_at=closed_at))
        at_once = True
    elif isinstance(error, NoTemplate):
        values, at_once = {"template": letter.template + 1}, True
    elif isinstance(error, Moved):
        at_once = await people.move(session, vault, letter.channel, letter.address_id, letter.key, error.address)
        if not at_once:
            await _fail(session, letter, kind, was)
            return True
    elif isinstance(error, Retryable) and error.retry_after is not None:
        wait = timedelta(seconds=error.retry_after)
    else:
        wait = backoff(letter.attempts + 1)
    await settle(session, letter.id, "queued", error=kind, pause=wait, was=was, **values)
    return at_once


async def _fail(session: AsyncSession, letter: Any, why: str, was: Sequence[str]) -> None:
    await alert(session, letter, why)
    await settle(session, letter.id, "failed", error=why, was=was)


def backoff(attempt: int) -> timedelta:
    """1, 2, 4, 8 … seconds, a fifth more or less, ten minutes at most."""
    return min(timedelta(seconds=2 ** (attempt - 1) * random.uniform(0.8, 1.2)), LONGEST_PAUSE)  # noqa: S311 (jitter)


def overtaken() -> Any:
    """A message that others overtake: it must wait for long."""
    return and_(Outbox.error == LATER, Outbox.next_at > func.now())
