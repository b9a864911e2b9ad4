"""One process of the service: the lanes of check-ins, reminders and delivery, with nothing at the other end."""

from __future__ import annotations

import asyncio
import itertools
import resource
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from typing import Any

from sqlalchemy import event

from benchmarks.year.people import CHANNEL
from bot.channels import Limits, Rate
from bot.conversation.appointments import Appointments
from bot.conversation.checkins import Checkins
from bot.conversation.delivery import Delivery
from bot.db.encryption import Vault
from bot.db.session import Lane, connect
from bot.jobs import Lanes, Worker
from bot.messages import Button, Incoming, Outgoing

UNHINDERED = Rate(1_000_000, 1_000_000)
_part: ContextVar[str] = ContextVar("part", default="other")


@dataclass(frozen=True, slots=True)
class Worked:
    """What one process did: our ids of what it sent, queries by part, its processor seconds and most megabytes."""

    sent: Sequence[str]
    queries: Mapping[str, int]
    seconds: float
    megabytes: float


@dataclass(slots=True)
class NullChannel:
    """A platform that takes everything at once and shows it to nobody."""

    name: str = CHANNEL
    longest: int = 4096
    limits: Limits = field(default_factory=lambda: Limits(UNHINDERED, UNHINDERED, UNHINDERED))
    sent: list[str] = field(default_factory=list)
    _ids: Any = field(default_factory=lambda: itertools.count(1))

    def room(self, buttons: Sequence[Button]) -> int:
        """As much as without buttons."""
        return self.longest

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Nobody calls."""

    def parse(self, body: bytes) -> Sequence[Incoming]:
        """Nothing comes in this way."""
        return []

    async def send(self, address: str, message: Outgoing) -> str:
        """Take it."""
        self.sent.append(message.id)
        return f"{CHANNEL}-{next(self._ids)}"

    async def close(self) -> None:
        """Nothing is open."""


def run(url: str, master: bytes, at: datetime, begin: Event, end: Event, results: Queue[Worked | None]) -> None:
    """Work from `begin` to `end`; `None` says that the process is ready."""
    asyncio.run(_run(url, master, at, begin, end, results))


async def _run(url: str, master: bytes, at: datetime, begin: Event, end: Event, results: Queue[Worked | None]) -> None:
    database = connect(url, Vault(master), pool_size=20)
    channel, queries = NullChannel(), Counter[str]()

    @event.listens_for(database.engine.sync_engine, "before_cursor_execute")
    @event.listens_for(database.alone.sync_engine, "before_cursor_execute")
    def _count(*_: Any) -> None:
        queries[_part.get()] += 1

    checkins, appointments = Checkins(database), Appointments(database)
    delivery = Delivery(database, {CHANNEL: channel})
    lanes = Lanes(database, url)
    # as many at once as bot/web.py says
    lanes.add(Lane.DELIVERY, Worker(_counted("work", delivery.work), 16), _looking(delivery.due))
    lanes.add(
        Lane.REMINDERS, Worker(_counted("work", lambda key: appointments.work(key, at)), 2), _looking(appointments.due)
    )
    lanes.add(Lane.CHECKINS, Worker(_counted("work", lambda key: checkins.work(key, at)), 4), _looking(checkins.due))
    results.put(None)
    await asyncio.to_thread(begin.wait)
    began = time.process_time()
    await lanes.start()
    await asyncio.to_thread(end.wait)
    await lanes.stop()
    seconds = time.process_time() - began
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    await database.close()
    results.put(Worked(channel.sent, queries, seconds, megabytes))


def _counted(part: str, work: Callable[[int], Awaitable[object]]) -> Callable[[int], Awaitable[object]]:
    async def counted(key: int) -> None:
        _part.set(part)
        await work(key)

    return counted


def _looking(due: Callable[[], Awaitable[Iterable[int]]]) -> Callable[[], Awaitable[Iterable[int]]]:
    async def looking() -> Iterable[int]:
        _part.set("looks")
        return await due()

    return looking
