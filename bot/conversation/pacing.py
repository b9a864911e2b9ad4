"""How fast we write: token buckets in PostgreSQL, so that all processes together keep to a platform's limits.

A bucket is one time: when it would be full again, had it been emptied at the rate allowed. A message may go while
that time is at most `burst` messages ahead of now, and moves it on by one. The chat's bucket is in its `address` row,
the channel's two (all messages; those that nobody waits for) in its `channel_pace` row. Taking the tokens and marking
the message `sending` is one statement; where one is missing, a second one gives the others back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from bot.channels import Limits, Rate
from bot.db.models import Address, Alert, ChannelPace

LONGEST_CHAT_PAUSE = timedelta(minutes=17)  # 4 to the power of 5 seconds: later we may as well try
SEVERAL = 3  # chats in which we are too fast at once, where the platform does not say what it means
DOWN_PAUSE = timedelta(minutes=1)  # after the first refusal of our account; doubled until
LONGEST_DOWN_PAUSE = timedelta(minutes=15)
UNWELCOME_PAUSE = timedelta(days=1)  # of what nobody waits for, after people blocked or reported us
DAY = timedelta(days=1)
FULL = "daily limit of people reached"
FORGOTTEN = timedelta(hours=1)  # a channel that went well for so long was mended

# The parts of the statement refer to each other in nothing: PostgreSQL runs them all, and whoever waited for a row
# looks at it anew.
_TAKE = text("""
WITH chat AS (
    UPDATE address SET paced_at = greatest(paced_at, now()) + :chat_step
    WHERE id = :address_id
        AND coalesce(paced_at <= now() + :chat_slack, true) AND coalesce(not_before <= now(), true)
    RETURNING 1
), whole AS (
    UPDATE channel_pace SET
        paced_at = greatest(paced_at, now()) + :step,
        unasked_at = CASE WHEN :unasked THEN greatest(unasked_at, now()) + :unasked_step ELSE unasked_at END
    WHERE channel = :channel
        AND paced_at <= now() + :slack AND (NOT :unasked OR unasked_at <= now() + :unasked_slack)
        AND coalesce(paused_until <= now(), true)
    RETURNING 1
), letter AS (
    UPDATE outbox SET status = 'sending', attempts = attempts + 1
    WHERE id = :outbox_id AND status IN ('queued', 'sending')
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM chat) AS chat, (SELECT count(*) FROM whole) AS whole,
    (SELECT count(*) FROM letter) AS letter
""")

# What of this was taken is given back, and the message waits for the moment from which it may go.
_GIVE_BACK = text("""
WITH chat AS (
    UPDATE address SET paced_at = paced_at - :chat_step WHERE id = :address_id AND :chat
), whole AS (
    UPDATE channel_pace SET
        paced_at = paced_at - :step,
        unasked_at = CASE WHEN :unasked THEN unasked_at - :unasked_step ELSE unasked_at END
    WHERE channel = :channel AND :whole
), moment AS (
    SELECT greatest(
        now(), address.not_before,
        address.paced_at - :chat_slack - CASE WHEN :chat THEN :chat_step ELSE interval '0' END,
        pace.paused_until, pace.paced_at - :slack, CASE WHEN :unasked THEN pace.unasked_at - :unasked_slack END
    ) AS next_at
    FROM address, channel_pace pace WHERE address.id = :address_id AND pace.channel = :channel
)
UPDATE outbox SET status = :status, attempts = attempts - 1, next_at = (SELECT next_at FROM moment)
WHERE id = :outbox_id AND status = 'sending' AND :letter
""")
_MAKE = text("INSERT INTO channel_pace (channel) VALUES (:channel) ON CONFLICT DO NOTHING")


async def take(connection: AsyncConnection, letter: Any, limits: Limits, messages: int) -> bool | None:
    """Mark the message `sending`, if the limits let that many messages go now; else it waits until they do.

    None when it is not to be sent any more. The connection commits each statement by itself.
    """
    values = {
        "outbox_id": letter.id,
        "address_id": letter.address_id,
        "channel": letter.channel,
        "unasked": letter.unasked,
        "chat_step": _step(limits.chat) * messages,
        "chat_slack": _slack(limits.chat),
        "step": _step(limits.channel) * messages,
        "slack": _slack(limits.channel),
        "unasked_step": _step(limits.unasked) * messages,
        "unasked_slack": _slack(limits.unasked),
    }
    made = 1
    while made:
        taken = (await connection.execute(_TAKE, values)).one()
        if taken.chat and taken.whole and taken.letter:
            return True
        given = {"chat": bool(taken.chat), "whole": bool(taken.whole), "letter": bool(taken.letter)}
        # the first message of a channel finds no row of it yet
        made = 0 if taken.whole else (await connection.execute(_MAKE, {"channel": letter.channel})).rowcount
        await connection.execute(_GIVE_BACK, {**values, **given, "status": letter.status})
    return False if taken.letter else None


async def open_to(session: AsyncSession, letter: Any, people_a_day: int) -> datetime | None:
    """Whether one more person may be written to first now: None if so, else when; counted over all processes.

    An operator is told once a day that the others wait.
    """
    await session.execute(insert(ChannelPace).values(channel=letter.channel).on_conflict_do_nothing())
    await session.scalar(select(ChannelPace.channel).where(ChannelPace.channel == letter.channel).with_for_update())
    others = (Address.channel == letter.channel, Address.opened_at > func.now() - DAY, Address.id != letter.address_id)
    last = await session.scalar(
        select(Address.opened_at).where(*others).order_by(Address.opened_at.desc()).offset(people_a_day - 1).limit(1)
    )
    if last is None:
        await session.execute(update(Address).where(Address.id == letter.address_id).values(opened_at=func.now()))
    else:
        detail = {"channel": letter.channel, "people a day": people_a_day}
        same = select(Alert.id).where(Alert.kind == FULL, Alert.detail == detail, Alert.created_at > func.now() - DAY)
        if await session.scalar(same.limit(1)) is None:
            await session.execute(insert(Alert).values(kind=FULL, detail=detail))
    await session.commit()
    return last + DAY if last is not None else None


def _step(rate: Rate) -> timedelta:
    return timedelta(seconds=1 / rate.per_second)


def _slack(rate: Rate) -> timedelta:
    return _step(rate) * (rate.burst - 1)


async def slow_chat(session: AsyncSession, letter: Any, retry_after: float | None) -> None:
    """The platform finds us too fast for this chat: 1, 4, 16, 64 … seconds, or what it asks for."""
    pause = min(timedelta(seconds=4.0 ** min(letter.throttled, 10)), LONGEST_CHAT_PAUSE)
    asked = timedelta(seconds=retry_after or 0)
    await session.execute(
        update(Address)
        .where(Address.id == letter.address_id)
        .values(not_before=func.now() + max(pause, asked), throttled=Address.throttled + 1)
    )


async def several_slow(session: AsyncSession, channel: str) -> bool:
    """Whether so many chats are slowed down at once that the platform means all of them."""
    slowed = select(Address.id).where(
        Address.channel == channel, Address.throttled > 0, Address.not_before > func.now()
    )
    return len((await session.scalars(slowed.limit(SEVERAL))).all()) == SEVERAL


async def slow_channel(session: AsyncSession, channel: str, retry_after: float | None) -> None:
    """The platform finds us too fast altogether: nobody sends on this channel for so long."""
    until = func.now() + timedelta(seconds=retry_after or 1)
    row = insert(ChannelPace).values(channel=channel, paused_until=until)
    later = func.greatest(ChannelPace.paused_until, row.excluded.paused_until)
    await session.execute(row.on_conflict_do_update(index_elements=["channel"], set_={"paused_until": later}))


async def stop_unasked(session: AsyncSession, channel: str, why: str) -> None:
    """People do not want what we write: for a day nothing goes that nobody waits for, and an operator is told once.

    The bucket of such messages is as if emptied a day ahead; each further refusal begins that day anew.
    """
    await session.execute(insert(ChannelPace).values(channel=channel).on_conflict_do_nothing())
    pace = await session.scalar(select(ChannelPace).where(ChannelPace.channel == channel).with_for_update())
    now = await session.scalar(select(func.now()))
    if pace is None or now is None:
        return
    if pace.unasked_at < now + UNWELCOME_PAUSE / 2:
        await session.execute(insert(Alert).values(kind="unwelcome", detail={"channel": channel, "why": why}))
    pace.unasked_at = max(pace.unasked_at, now + UNWELCOME_PAUSE)


async def stop_channel(session: AsyncSession, channel: str, why: str) -> None:
    """Our account is refused: nobody sends for a while, an operator is told once, then we try again gently."""
    await session.execute(insert(ChannelPace).values(channel=channel).on_conflict_do_nothing())
    pace = await session.scalar(select(ChannelPace).where(ChannelPace.channel == channel).with_for_update())
    now = await session.scalar(select(func.now()))
    if pace is None or now is None or (pace.paused_until is not None and pace.paused_until > now):
        return  # somebody else was refused in the same moment
    mended = pace.paused_until is None or pace.paused_until < now - FORGOTTEN
    pace.down = 1 if mended else pace.down + 1
    pace.paused_until = now + min(DOWN_PAUSE * 2 ** min(pace.down - 1, 10), LONGEST_DOWN_PAUSE)
    if mended:
        await session.execute(insert(Alert).values(kind="channel down", detail={"channel": channel, "why": why}))
