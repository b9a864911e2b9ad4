"""kill -9 at each named point of receive, turn and delivery, and what is true afterwards: `make chaos`.

Each kill: a process with the point armed, somebody who writes (or an operator's message, or a status), the process
dies there; the next one, unharmed, must bring everything to its end. Then the oracles are asked.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bot.conversation.people import find
from bot.db import embedded, migrate
from bot.settings import ROOT, load
from tests.conversation import oracles, sounds
from tests.conversation.conftest import rows, value
from tests.conversation.letters import queue
from tests.reliability.outside import TELEGRAM_TOKEN, Outside, outside
from tests.simulators import telegram, whatsapp

Platform = Literal["telegram", "whatsapp"]
Someone = telegram.Person | whatsapp.Person
WORDS = "je veux parler à une personne"
LONG = "Bonjour. " * 600  # two messages on either platform
VOICE = sounds.ogg()


@dataclass(frozen=True, slots=True)
class Point:
    """Where the process dies, over which platform, and what makes it come there."""

    name: str
    platform: Platform
    provoked_by: Literal["text", "voice", "long letter"] = "text"


POINTS = (
    Point("receive.read", "whatsapp"),
    Point("inbox.accepted", "whatsapp"),
    Point("inbox.accepted", "telegram"),
    Point("telegram.accepted", "telegram"),
    Point("telegram.kept", "telegram"),
    Point("receipts.applied", "whatsapp"),
    Point("media.fetched", "whatsapp", "voice"),
    Point("turn.claimed", "whatsapp"),
    Point("turn.decided", "telegram"),
    Point("turn.performed", "whatsapp"),
    Point("turn.before_commit", "telegram"),
    Point("turn.committed", "whatsapp"),
    Point("delivery.sending", "whatsapp"),
    Point("delivery.sending", "telegram"),
    Point("delivery.sent", "whatsapp"),
    Point("delivery.sent", "telegram"),
    Point("delivery.part_sent", "whatsapp", "long letter"),
    Point("delivery.part_sent", "telegram", "long letter"),
    Point("delivery.settled", "telegram"),
    Point("cases.posting", "telegram"),
    Point("cases.posted", "whatsapp"),
)


@dataclass(slots=True)
class Outcome:
    """What was counted at one point."""

    point: Point
    kills: int = 0
    accepted: int = 0  # messages of people
    lost: int = 0
    doubled: int = 0  # effects: handoffs, case events
    again: int = 0  # messages that a telephone shows twice
    reposted: int = 0  # case events that were posted twice under the same id, which the backend drops
    slowest: float = 0.0  # seconds from the new process to the end of all work

    def row(self) -> str:
        """A line of the table in docs/reliability.md."""
        point = self.point
        return (
            f"| `{point.name}` | {point.platform} | {self.kills} | {self.accepted} | {self.lost} | {self.doubled} "
            f"| {self.again / self.kills:.2f} | {self.reposted / self.kills:.2f} | {self.slowest:.1f} |"
        )


HEADER = (
    "| killed at | over | kills | messages accepted | lost | effects doubled "
    "| messages twice per crash | case posts twice per crash | slowest recovery, s |\n" + "|---" * 9 + "|"
)


class Chaos:
    """Kills at points, one kill after the other."""

    def __init__(self, world: Outside) -> None:
        self._world = world

    async def at(self, point: Point, kills: int) -> Outcome:
        """Kill so often at this point, on an empty database; what came of it. Raises what an oracle found."""
        world, outcome = self._world, Outcome(point)
        await world.empty()
        people = {number: self._person(point.platform) for number in range(kills)}
        letters_: dict[int, int] = {}
        for number, person in people.items():
            if point.provoked_by == "long letter":
                async with world.process():
                    await person.send_text(WORDS)
                    await world.drained(number + 1)
                letters_[number] = await queue(world.database, await self._conversation(person), LONG)
            async with world.process(point.name) as dying:
                sending = asyncio.create_task(self._provoke(point, person))
                assert await dying.died() == -9, point
            outcome.kills += 1
            began = time.monotonic()
            async with world.process():
                await sending
                outcome.accepted = number + 1
                await world.drained(outcome.accepted)
                outcome.slowest = max(outcome.slowest, time.monotonic() - began)
        await self._judge(outcome, people, letters_)
        return outcome

    async def relay(self, points: Sequence[Point]) -> Outcome:
        """Kill once at each point, each process finding what the one before it left; what came of it all.

        A turn is tried three times, also when its process dies of something else: after two kills one process lives.
        """
        world, outcome = self._world, Outcome(points[0])
        await world.empty()
        people = {point: self._person(point.platform) for point in points}
        letters_: dict[Point, int] = {}
        first = [point for point in points if point.provoked_by == "long letter"]
        async with world.process():
            for point in first:
                await people[point].send_text(WORDS)
            await world.drained(len(first))
        sending = []
        for point in points:
            if point in first:
                letters_[point] = await queue(world.database, await self._conversation(people[point]), LONG)
            async with world.process(point.name) as dying:
                sending.append(asyncio.create_task(self._provoke(point, people[point])))
                assert await dying.died() == -9, point
            outcome.kills += 1
            if outcome.kills % 2 == 0 or outcome.kills == len(points):
                began = time.monotonic()
                async with world.process():
                    await asyncio.gather(*sending)
                    outcome.accepted = len({*first, *points[: outcome.kills]})
                    await world.drained(outcome.accepted)
                outcome.slowest = max(outcome.slowest, time.monotonic() - began)
        await self._judge(outcome, people, letters_)
        return outcome

    async def _conversation(self, person: Someone) -> int:
        where = ("telegram", str(person.id)) if isinstance(person, telegram.Person) else ("whatsapp", person.address)
        known = await find(self._world.database, *where)
        assert known is not None
        return known.conversation_id

    def _person(self, platform: Platform) -> Someone:
        if platform == "telegram":
            return telegram.Person(self._world.telegram, TELEGRAM_TOKEN)
        return whatsapp.Person(self._world.whatsapp)

    async def _provoke(self, point: Point, person: Someone) -> None:
        """Make the service come to the point; returns when it was accepted."""
        if point.provoked_by == "voice" and isinstance(person, whatsapp.Person):
            await person.send_file("audio", VOICE, "audio/ogg", voice=True)
        elif point.provoked_by == "text":
            await person.send_text(WORDS)

    async def _judge(self, outcome: Outcome, people: Mapping[Any, Someone], letters_: Mapping[Any, int]) -> None:
        """Ask every oracle, and count what the platforms and the case backend saw."""
        database, point = self._world.database, outcome.point
        finished = "SELECT count(*) FROM inbox WHERE status = 'done' AND turn IS NOT NULL"
        outcome.lost = outcome.accepted - await value(database, finished)
        wanted = len(people)
        handoffs = await value(database, "SELECT count(*) FROM handoff")
        told = await value(database, "SELECT count(*) FROM case_event WHERE status = 'delivered'")
        outcome.doubled = max(handoffs - wanted, 0) + max(told - wanted, 0)
        counted = (handoffs, told, len(self._world.backend.ids))
        without = "SELECT id, channel, kind, status, attempts FROM inbox i WHERE NOT EXISTS (SELECT 1 FROM handoff h WHERE h.inbox_id = i.id)"
        assert counted == (wanted, wanted, wanted), (point, counted, wanted, await rows(database, without))
        outcome.reposted = sum(self._world.backend.ids.values()) - wanted
        await oracles.assert_sound(database, outcome.accepted)
        seen: list[str] = []
        for key, person in people.items():
            shown = await self._seen(person, key in letters_)
            if isinstance(person, whatsapp.Person):  # whose statuses tell what it has
                assert len(shown) == len(set(shown)), point
            seen += shown
        outcome.again = len(seen) - len(set(seen))
        assert await oracles.delivered(database, seen, outcome.kills) == [], point
        assert await oracles.never_silent(database) == [], point
        assert await value(database, "SELECT count(*) FROM outbox") == wanted + len(letters_), point
        assert await value(database, "SELECT count(*) FROM alert") == 0, point

    async def _seen(self, person: Someone, letter: bool) -> list[str]:
        """Our ids of all that a telephone shows, as often as it shows it."""
        if isinstance(person, whatsapp.Person):
            return [said.our_id or "" for said in person.history()]
        # Telegram does not know our ids: what it shows is told apart by its words
        conversation = await self._conversation(person)
        ours = await rows(
            self._world.database,
            "SELECT public_id FROM outbox WHERE conversation_id = :conversation ORDER BY id",
            conversation=conversation,
        )
        parts = [str(ours[0].public_id)]
        parts += [f"{ours[1].public_id}.1", str(ours[1].public_id)] if letter else []
        shown = [said.text for said in await person.history()]
        distinct = list(dict.fromkeys(shown))
        return [parts[distinct.index(text)] for text in shown]


@asynccontextmanager
async def alone() -> AsyncIterator[Outside]:
    """The world for a run by hand, on a database of its own."""
    settings = load(None)
    with tempfile.TemporaryDirectory(prefix="rafiq-chaos-") as folder:
        url = await asyncio.to_thread(embedded.start, Path(folder) / "postgres")
        try:
            await asyncio.to_thread(migrate.upgrade, url)
            async with outside(settings, url, ROOT / "var" / "log" / "chaos.log") as world:
                yield world
        finally:
            await asyncio.to_thread(embedded.stop, Path(folder) / "postgres")


async def main(kills: int, only: str) -> int:
    """Every point so often; prints the table, ends with 1 if anything was lost or doubled."""
    say = sys.stdout.write
    chosen = [point for point in POINTS if only in point.name]
    outcomes = []
    say(HEADER + "\n")
    async with alone() as world:
        for point in chosen:
            outcomes.append(await Chaos(world).at(point, kills))
            say(outcomes[-1].row() + "\n")
            sys.stdout.flush()
    total = Counter[str]()
    for one in outcomes:
        total.update(kills=one.kills, accepted=one.accepted, lost=one.lost, doubled=one.doubled, again=one.again)
    say("\n" + ", ".join(f"{name}: {number}" for name, number in total.items()) + "\n")
    return 1 if total["lost"] or total["doubled"] else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="at each point")
    parser.add_argument("--only", default="", help="points whose name holds this")
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.kills, given.only)))
