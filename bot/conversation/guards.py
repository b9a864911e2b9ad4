"""Against talk that no person makes: floods of messages, and two machines that answer each other for ever.

Safety reads what is set aside like everything else.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.conversation.inbox import SPOKEN
from bot.db.models import Conversation, Inbox, Media

SPAN = 10.0  # seconds
MANY = 12  # messages in that span with others waiting behind them: nobody types so fast, nobody reads the answers
TOO_MANY = 60  # messages in that span, whatever waits
NOTICE_AGAIN = timedelta(minutes=10)
MOST_FILES = 40  # kept for the team in that time, answered or not
LAST = 100  # messages looked at
WATCHED = 10_000  # conversations
LOOP = 8  # exchanges of the same words both ways, in a row
LOOP_SPAN = 600.0  # seconds in which they happened
SILENCED = "loop"


class Floods:
    """Which conversations this process took many turns of just now: those are worth a look into the database."""

    def __init__(self) -> None:
        self._turns: OrderedDict[int, deque[float]] = OrderedDict()
        self._cues: dict[int, dict[str, int]] = {}

    def suspects(self, conversation_id: int) -> bool:
        """Count a turn; whether there were many in a short time."""
        now = time.monotonic()
        turns = self._turns.setdefault(conversation_id, deque(maxlen=MANY))
        self._turns.move_to_end(conversation_id)
        if len(self._turns) > WATCHED:
            forgotten, _ = self._turns.popitem(last=False)
            self._cues.pop(forgotten, None)
        many = len(turns) == MANY and now - turns[0] < SPAN
        turns.append(now)
        if not many:
            self._cues.pop(conversation_id, None)
        return many

    def answers(self, conversation_id: int, cue: str, inbox_id: int) -> bool:
        """Whether this message is the first of this flood with its cue: answered, as the only one."""
        return self._cues.setdefault(conversation_id, {}).setdefault(cue, inbox_id) == inbox_id


async def flooding(session: AsyncSession, conversation_id: int) -> bool:
    """Whether so much came in so short a time that it cannot be answered one by one."""
    latest = (
        select(Inbox.received_at, Inbox.status)
        .where(Inbox.conversation_id == conversation_id, Inbox.kind.in_(SPOKEN))
        .order_by(Inbox.id.desc())
        .limit(LAST)
        .subquery()
    )
    since = func.now() - timedelta(seconds=SPAN)
    came, waiting = (
        await session.execute(
            select(
                func.count().filter(latest.c.received_at > since),
                func.count().filter(latest.c.status == "pending"),
            ).select_from(latest)
        )
    ).one()
    behind = waiting - 1  # but for the one that is being looked at
    return bool((came > MANY and behind >= 3) or (came > TOO_MANY and behind >= 1))


async def waiting(session: AsyncSession, conversation_id: int) -> Sequence[Any]:
    """What this conversation has waiting, the oldest first."""
    return (
        await session.execute(
            select(Inbox.id, Inbox.kind, Inbox.content_sealed)
            .where(Inbox.conversation_id == conversation_id, Inbox.status == "pending", Inbox.kind.in_(SPOKEN))
            .order_by(Inbox.id)
        )
    ).all()


async def files_left(session: AsyncSession, conversation_id: int) -> int:
    """How many more voice messages and pictures of this flood are kept: an album of papers is sent all at once."""
    lately = Media.created_at > func.now() - NOTICE_AGAIN
    kept = await session.scalar(select(func.count()).where(Media.conversation_id == conversation_id, lately))
    return max(MOST_FILES - (kept or 0), 0)


async def set_aside(session: AsyncSession, inbox_ids: Sequence[int]) -> None:
    """These are not answered, and their words are not kept."""
    await session.execute(
        update(Inbox)
        .where(Inbox.id.in_(inbox_ids))
        .values(status="done", done_at=func.now(), content_sealed=None, error="set aside: too many at once")
    )


async def tell_once(session: AsyncSession, conversation_id: int) -> bool:
    """Whether to tell the person now: once in a while, however much they send."""
    told = await session.scalar(
        update(Conversation)
        .where(Conversation.id == conversation_id)
        .where(Conversation.slowed_at.is_(None) | (Conversation.slowed_at < func.now() - NOTICE_AGAIN))
        .values(slowed_at=func.now())
        .returning(Conversation.id)
    )
    return told is not None


def looping(exchanges: Sequence[Sequence[Any]], heard: str, now: datetime) -> bool:
    """Whether this is what was heard again and again, always with the same answers: a machine talks to us."""
    recent = [one for one in exchanges if now.timestamp() - one[2] < LOOP_SPAN]
    if heard not in {one[0] for one in recent}:
        return False
    if silenced(recent):
        return True
    return len(recent) >= LOOP and len({one[0] for one in recent}) <= 2 and len({one[1] for one in recent}) <= 2


def silenced(exchanges: Sequence[Sequence[Any]]) -> bool:
    """Whether the loop was noticed already: the person, if there is one, was told."""
    return bool(exchanges) and exchanges[-1][1] == SILENCED


def remembered(exchanges: Sequence[Sequence[Any]], heard: str, said: str, now: datetime) -> list[list[Any]]:
    """The last exchanges with this one."""
    return [*map(list, exchanges), [heard, said, int(now.timestamp())]][-LOOP:]
