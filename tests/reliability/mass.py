"""Thousands of check-ins due at once on both channels, while people write and a process is killed.

`make mass` runs the whole of it and writes the table of docs/reliability.md; test_mass.py the short version.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.conversation import outbox, people
from bot.messages import Template
from bot.settings import ROOT
from bot.supervisor import free_port
from tests.conversation import oracles
from tests.conversation.conftest import rows, until, value
from tests.conversation.letters import change
from tests.reliability.chaos import WORDS, alone
from tests.reliability.outside import TELEGRAM_TOKEN, Outside
from tests.simulators import telegram, whatsapp

CHECK_IN = "Bonjour. Comment allez-vous depuis votre retour ? Répondez quand vous voulez."
DOCUMENT = ROOT / "docs" / "reliability.md"
IDLE = 6  # people who write before
ANSWERED = "SELECT count(*) >= :asked FROM inbox WHERE status = 'done'"
UNSENT = "status IN ('queued', 'sending') AND error IS DISTINCT FROM 'people'"


@dataclass(slots=True)
class Counted:
    """What the platforms and the people saw."""

    check_ins: int
    sent: int = 0
    waiting: int = 0  # for a place among the people of the day
    again: int = 0  # seen twice by a telephone
    refused: int = 0  # answers 429, 130429, 131048, 131056 of the platforms
    busiest: dict[str, int] = field(default_factory=dict)  # channel → most messages in any second
    opened: int = 0  # people whom WhatsApp saw written to first
    idle: list[float] = field(default_factory=list)  # seconds until an answer, before
    waits: list[float] = field(default_factory=list)  # and while the check-ins go
    took: float = 0.0

    @property
    def p95(self) -> float:
        """The 95th percentile of the waits meanwhile."""
        return statistics.quantiles(self.waits, n=20, method="inclusive")[-1]


class Mass:
    """One such morning."""

    def __init__(self, world: Outside) -> None:
        self._world = world
        self._asking: list[asyncio.Task[Any]] = []
        self._askers: list[tuple[telegram.Person | whatsapp.Person, float]] = []  # with the time

    async def morning(self, each: int, strangers: int, pause: float) -> Counted:
        """`each` people on Telegram, as many on WhatsApp and `strangers` there who were silent for a day.

        Somebody writes every `pause` seconds. One of two processes is killed after a third of the check-ins.
        """
        world = self._world
        counted = Counted(2 * each + strangers)
        await world.empty()
        # the dying process takes webhooks; the other one lives through it all
        async with world.process(rafiq_port=free_port()) as living:
            async with world.process() as dying:
                for number in range(IDLE):
                    self._ask()
                    await world.drained(number + 1)
                await self._due(each, strangers)
                began = time.monotonic()
                writing = asyncio.create_task(self._write(pause))
                await self._left(counted.check_ins * 2 // 3)
                dying.kill()
                assert await dying.died() == -9
                world.whatsapp.webhook = f"{living.settings.own_url}/whatsapp/webhook"
            async with world.process():
                await self._left(0)
                counted.took = time.monotonic() - began
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)
                await asyncio.gather(*self._asking)
                await until(lambda: value(world.database, ANSWERED, asked=len(self._askers)), 60)
                await until(lambda: value(world.database, f"SELECT count(*) = 0 FROM outbox WHERE {UNSENT}"), 60)
        waits = await self._waits()
        counted.idle, counted.waits = waits[:IDLE], waits[IDLE:]
        await self._count(counted)
        return counted

    async def _due(self, each: int, strangers: int) -> None:
        """Everybody's check-in is due now."""
        database, heard = self._world.database, self._world.whatsapp.heard
        names = [("telegram", str(500_000_000 + number)) for number in range(each)]
        names += [("whatsapp", str(212_700_000_000 + number)) for number in range(each + strangers)]
        for channel, name in names[: 2 * each]:
            if channel == "whatsapp":
                heard[name] = time.time()
        known = []
        for first in range(0, len(names), 8):
            begun = [people.begin(database, *one) for one in names[first : first + 8]]
            known += [one.conversation_id for one in await asyncio.gather(*begun)]
        near = known[: 2 * each]
        await change(
            database,
            "UPDATE address SET last_heard_at = now() FROM conversation c WHERE c.address_id = address.id AND c.id = ANY(:near)",
            near=near,
        )
        async with database.session() as session:
            for conversation in known:
                template = [Template("check_in")]
                await outbox.unasked(session, database.vault, conversation, CHECK_IN, "fr", templates=template)
            await session.commit()

    async def _left(self, count: int) -> None:
        """Until no more than so many check-ins are left to send."""
        left = f"SELECT count(*) FROM outbox WHERE unasked AND {UNSENT}"
        while await value(self._world.database, left) > count:
            await change(self._world.database, "UPDATE outbox SET next_at = now() WHERE error = 'Ambiguous'")
            await asyncio.sleep(0.2)

    async def _write(self, pause: float) -> None:
        while True:
            self._ask()
            await asyncio.sleep(pause)

    def _ask(self) -> None:
        """Somebody new writes; in turn on each channel."""
        person: telegram.Person | whatsapp.Person
        if len(self._askers) % 2:
            person = telegram.Person(self._world.telegram, TELEGRAM_TOKEN)
        else:
            person = whatsapp.Person(self._world.whatsapp)
        self._askers.append((person, time.time()))
        self._asking.append(asyncio.create_task(person.send_text(WORDS)))

    async def _waits(self) -> list[float]:
        """Seconds from writing to the answer that the platform took, of everybody who wrote."""
        database = self._world.database
        answered = await rows(
            database,
            """SELECT a.digest, extract(epoch FROM min(o.sent_at)) AS at FROM outbox o
            JOIN conversation c ON c.id = o.conversation_id JOIN address a ON a.id = c.address_id
            WHERE NOT o.unasked GROUP BY 1""",
        )
        at = {bytes(row.digest): float(row.at) for row in answered if row.at is not None}
        waits = []
        for person, asked in self._askers:
            channel = "telegram" if isinstance(person, telegram.Person) else "whatsapp"
            name = str(person.id) if isinstance(person, telegram.Person) else person.address
            waits.append(at[database.vault.digest(channel, name)] - asked)
        return waits

    async def _count(self, counted: Counted) -> None:
        """What the platforms saw."""
        world = self._world
        sent = Counter(our_id for said in world.whatsapp.sent.values() for our_id in [one.our_id for one in said])
        calls = await world.telegram.moments("sendMessage")
        chats = Counter(chat for _, chat in calls)
        counted.again = sum(count - 1 for count in (*sent.values(), *chats.values()))
        counted.busiest = {
            "telegram": busiest([moment for moment, _ in calls]),
            "whatsapp": busiest(world.whatsapp.moments),
        }
        tried = [asked for _, asked in world.whatsapp.calls if "status" not in asked]
        counted.refused = len(tried) - sum(sent.values())
        counted.opened = len(world.whatsapp.opened)
        statuses = await rows(world.database, "SELECT status, count(*) AS n FROM outbox WHERE unasked GROUP BY 1")
        by_status: dict[str, Any] = {row.status: row.n for row in statuses}
        counted.waiting = by_status.pop("queued", 0)
        counted.sent = sum(by_status.get(one, 0) for one in ("sent", "delivered", "read"))
        assert counted.sent + counted.waiting == counted.check_ins, by_status
        assert await oracles.kept(world.database, len(self._askers)) == []
        assert await oracles.once(world.database) == []
        assert await oracles.never_silent(world.database) == []
        told = [*sent, *chats]
        assert len(told) == counted.sent + len(self._askers)  # everybody's own telephone has it


def busiest(moments: Sequence[float]) -> int:
    """The most messages in any one second."""
    moments = sorted(moments)
    most, first = 0, 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= 1:
            first += 1
        most = max(most, last - first + 1)
    return most


HEADER = (
    "| check-ins | sent | waiting for a place of the day | shown twice after the kill | refused by a platform "
    "| busiest second, Telegram and WhatsApp | people written to first | took, s | people who wrote meanwhile "
    "| answered after, median and 95th percentile, s | before, s |\n" + "|---" * 11 + "|"
)


def row(counted: Counted) -> str:
    """The line of the table in docs/reliability.md."""
    busy = ", ".join(str(counted.busiest[one]) for one in ("telegram", "whatsapp"))
    waits = f"{statistics.median(counted.waits):.2f}, {counted.p95:.2f}"
    cells = (
        counted.check_ins, counted.sent, counted.waiting, counted.again, counted.refused, busy, counted.opened,
        f"{counted.took:.0f}", len(counted.waits), waits, f"{statistics.median(counted.idle):.2f}",
    )  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def holds(counted: Counted) -> bool:
    """Whether the issue's promise holds: the limits as the platforms count them, and who writes is answered soon."""
    within = counted.busiest["telegram"] <= 30 and counted.busiest["whatsapp"] <= 80 and counted.refused == 0
    return within and counted.opened <= 250 and counted.p95 <= 3


def written(document: str, table: str) -> str:
    """The document with this table in the place of the one of before."""
    before, _, rest = document.partition(HEADER.partition("\n")[0])
    assert rest, "docs/reliability.md has no such table"
    return before + table + "\n\n" + rest.partition("\n\n")[2]


async def main(each: int, strangers: int, write: bool) -> int:
    """The whole morning; prints what was counted, or writes it into docs/reliability.md; 1 when something broke."""
    async with alone() as world:
        counted = await Mass(world).morning(each, strangers, 0.5)
    table = HEADER + "\n" + row(counted)
    sys.stdout.write(table + "\n")
    if write:
        DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8"), table), encoding="utf-8")
    return 0 if holds(counted) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=2350, help="people on each channel")
    parser.add_argument("--strangers", type=int, default=300, help="people of WhatsApp who were silent for a day")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.each, given.strangers, given.write)))
