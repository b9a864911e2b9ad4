"""200 open conversations with live updates for 20 counsellors, on this machine: how long each click takes.

The real service process without Rasa (in a conversation that somebody of the team has, the assistant is silent), the
real PostgreSQL, people of the web chat who write, and counsellors as browsers are: a live stream for the list and one
for the open conversation, whose parts are fetched again at each event, and a click every few seconds.

    make bench-console            or: python -m benchmarks.console --seconds 60 --write
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
import pyotp
from sqlalchemy import insert, select, text

from bot.console import accounts
from bot.conversation import inbox, staff
from bot.conversation.handoffs import Desk
from bot.db import embedded, migrate
from bot.db.encryption import Vault
from bot.db.models import Handoff, StaffMember
from bot.db.session import Database, connect
from bot.journeys.context import ALPHABET
from bot.messages import Incoming, Kind
from bot.settings import ROOT, Settings
from bot.supervisor import free_port

PASSWORD = "seven green lanterns"  # noqa: S105 (guards a database that lives for minutes)
PAGE = ROOT / "docs" / "console.md"
THINK = 4.0  # seconds between two clicks of a counsellor: read or write a line, click, all day long
WAITING = 1  # of each counsellor's conversations, that nobody took yet
SILENCE = 30.0  # seconds between two messages of a person
CLICKS = ("open", "take", "reply", "note", "inbox")  # of counsellors; the page itself fetches the others
_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]+)"')
_FRESH = re.compile(r'name="fresh" value="([0-9a-f-]+)"')


@dataclass
class Times:
    """Seconds that each kind of click took, and what else happened."""

    clicks: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    events: int = 0
    written: int = 0
    failed: int = 0

    async def take(self, what: str, request: httpx.Request, client: httpx.AsyncClient) -> httpx.Response:
        """Send it, to the end of its answer."""
        began = time.perf_counter()
        answer = await client.send(request, follow_redirects=request.method == "POST")
        self.clicks[what].append(time.perf_counter() - began)
        if answer.status_code != 200:
            self.failed += 1
        return answer


@dataclass
class Counsellor:
    """One browser of one counsellor."""

    client: httpx.AsyncClient
    own: list[str]
    times: Times
    think: float
    open: str = ""
    _streams: list[asyncio.Task[None]] = field(default_factory=list)

    async def sign_in(self, email: str, secret: str) -> None:
        """By the form."""
        form = {"email": email, "password": PASSWORD, "code": pyotp.TOTP(secret).now()}
        answer = await self.client.post("/console/login", data=form)
        assert answer.status_code == 303, answer.status_code

    async def work(self, until: float, dice: random.Random) -> None:
        """Follow the list, and click until it is over: read, then write; what was taken is gone on with."""
        live = asyncio.create_task(self._follow("/console/live", "list", lambda: "/console/handoffs/list"))
        self._streams.append(live)
        taken, waiting = self.own[WAITING:], self.own[:WAITING]
        await self._think(dice, until)
        while time.perf_counter() < until:
            what = dice.choice(("take", "open", "reply", "reply", "inbox", "note")) if taken else "take"
            if what == "inbox":
                await self.times.take("inbox", self.client.build_request("GET", "/console"), self.client)
                await self._think(dice, until)
                continue
            if what == "take":
                if not waiting:
                    continue
                taken.append(waiting.pop())
            page = await self._page(taken[-1] if what == "take" else dice.choice(taken))
            await self._think(dice, until)
            if what == "open" or time.perf_counter() >= until:
                continue
            form = {"form_token": _TOKEN.findall(page)[0]}
            if what in ("reply", "note"):
                form["words"] = "Je regarde cela avec vous."
            if what == "reply":
                form["fresh"] = _FRESH.findall(page)[0]
            await self._post(what, f"/console/handoffs/{self.open}/{what}", **form)
            await self._think(dice, until)
        for stream in self._streams:
            stream.cancel()
        await asyncio.gather(*self._streams, return_exceptions=True)

    async def _think(self, dice: random.Random, until: float) -> None:
        await _pause(dice.uniform(0.5, 1.5) * self.think, until)

    async def _page(self, reference: str) -> str:
        """Open a conversation: its stream takes the place of the one before."""
        path = f"/console/handoffs/{reference}"
        page = (await self.times.take("open", self.client.build_request("GET", path), self.client)).text
        if self.open != reference:
            self.open = reference
            for stream in self._streams[1:]:
                stream.cancel()
            if self._streams:
                follow = self._follow(f"{path}/live", "thread", lambda: f"{path}/thread")
                self._streams[1:] = [asyncio.create_task(follow)]
        return page

    async def _post(self, what: str, path: str, **form: str) -> None:
        await self.times.take(what, self.client.build_request("POST", path, data=form), self.client)

    async def _follow(self, path: str, what: str, again: object) -> None:
        """As the page's script does: each event has its part fetched anew."""
        async with self.client.stream("GET", path, headers={"accept": "text/event-stream"}, timeout=None) as stream:
            async for line in stream.aiter_lines():
                if line in ("event: change", "retry: 1000"):  # the latter as it opens
                    self.times.events += line == "event: change"
                    part = again() if callable(again) else ""
                    await self.times.take(what, self.client.build_request("GET", part), self.client)


async def _pause(seconds: float, until: float) -> None:
    await asyncio.sleep(max(min(seconds, until - time.perf_counter()), 0))


async def prepared(
    database: Database, settings: Settings, people: int, team: int
) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """People who wrote and wait for a person, and who counsels: addresses, references, e-mail with secret."""
    dice = random.Random(1)  # noqa: S311 (nothing secret)
    addresses = [f"bench-{number:-<34}" for number in range(people)]
    for number, address in enumerate(addresses):
        words = ("Bonjour", "J'ai une question", "Je voudrais parler à quelqu'un")
        events = [Incoming("web", f"{number}-{at}", address, Kind.TEXT, one) for at, one in enumerate(words)]
        await inbox.accept(database, events)
    references = [f"H-{''.join(dice.sample(ALPHABET, 5))}" for _ in addresses]
    async with database.session() as session:
        await session.execute(text("UPDATE inbox SET status = 'done', done_at = now()"))
        whose = (await session.execute(text("SELECT id, person_id FROM conversation ORDER BY id"))).all()
        later = datetime.now(UTC) + timedelta(hours=4)
        rows = [
            {
                "reference": reference, "person_id": row.person_id, "conversation_id": row.id, "reason": "asked",
                "priority": dice.choice(("P1", "P2")), "due_at": later, "look_at": None,
            }
            for reference, row in zip(references, whose, strict=True)
        ]  # fmt: skip
        await session.execute(insert(Handoff), rows)
        for number in range(team):
            await staff.add(session, settings, f"Counsellor {number}", f"c{number}@bench.invalid", languages=["fr"])
        await session.commit()
        share = -(-people // team)
        ids = {row.email: row.id for row in await session.execute(select(StaffMember.email, StaffMember.id))}
        for number, reference in enumerate(references):
            if number % share >= WAITING:  # the others are taken while it is measured
                owner = ids[f"c{number // share}@bench.invalid"]
                await Desk(session, database.vault, settings, datetime.now(UTC)).claim(reference, owner)
        await session.execute(text("UPDATE outbox SET status = 'delivered'"))
        await session.commit()
    members = []
    for number in range(team):
        enrolment = await accounts.enrol(database, f"c{number}@bench.invalid", PASSWORD)
        assert enrolment is not None
        members.append((f"c{number}@bench.invalid", enrolment.secret))
    return addresses, references, members


async def people_write(url: str, addresses: Sequence[str], until: float, times: Times) -> None:
    """Each person of the web chat writes now and then."""
    dice = random.Random(2)  # noqa: S311
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:

        async def one(address: str) -> None:
            await _pause(dice.uniform(0, SILENCE), until)
            while time.perf_counter() < until:
                message = {"id": str(uuid.uuid4()), "text": f"Et maintenant ? {dice.randrange(10_000)}"}
                answer = await client.post("/chat/messages", json=message, headers={"cookie": f"rafiq_chat={address}"})
                times.written += answer.is_success
                await _pause(dice.uniform(0.5, 1.5) * SILENCE, until)

        await asyncio.gather(*map(one, addresses))


@asynccontextmanager
async def serving(settings: Settings, url: str) -> AsyncIterator[psutil.Process]:
    """The service in a process of its own."""
    environment = {
        **os.environ, "PYTHONTZPATH": "", "RAFIQ_VAR": str(settings.rafiq_var), "RAFIQ_TRACKER_URL": url,
        "RAFIQ_PORT": str(settings.rafiq_port), "RAFIQ_RASA_PORT": str(free_port()),
        "CASE_RECEIVER_PORT": str(free_port()), "RAFIQ_LOG_LEVEL": "ERROR",
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bot.web", cwd=ROOT, env=environment)
    try:
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(120):
            while True:
                try:
                    await client.get(f"{settings.own_url}/live")
                    break
                except httpx.HTTPError:
                    await asyncio.sleep(0.1)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()


def percentile(values: Sequence[float], share: float) -> float:
    """So many hundredths of the values are at most this."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share / 100), len(ordered) - 1)]


def table(times: Times, before: int, after: int, given: argparse.Namespace) -> str:
    """What was measured, as Markdown."""
    lines = ["| click | times | half | 95 of 100 | 99 of 100 |", "|---|---|---|---|---|"]
    clicks = {
        **times.clicks,
        "clicks": [one for what in CLICKS for one in times.clicks[what]],
        "all": [one for some in times.clicks.values() for one in some],
    }
    for what in (*CLICKS, "clicks", "list", "thread", "all"):
        if values := clicks.get(what):
            cells = [f"{percentile(values, share) * 1000:.0f} ms" for share in (50, 95, 99)]
            lines.append(f"| {what} | {len(values)} | {' | '.join(cells)} |")
    said = (
        f"{given.conversations} conversations, {given.counsellors} counsellors, {given.seconds} s, a click each "
        f"{given.think:g} s: "
        f"{times.written} messages of people, {times.events} live updates, {times.failed} failed clicks. "
        f"The service: {before // 2**20} MiB before, {after // 2**20} MiB after."
    )
    return "\n".join([*lines, "", said])


async def measured(given: argparse.Namespace, folder: Path) -> str:
    """Prepare, serve, click, count."""
    (folder / "models").symlink_to(ROOT / "var" / "models")
    settings = Settings(_env_file=None, rafiq_var=folder, rafiq_port=free_port(), rafiq_rasa_port=free_port())
    url = embedded.start(folder / "postgres")
    try:
        migrate.upgrade(url)
        database = connect(url, Vault(settings.master_key), 4)
        addresses, references, members = await prepared(database, settings, given.conversations, given.counsellors)
        await database.close()
        async with serving(settings, url) as service:
            times, before = Times(), service.memory_info().rss
            until = time.perf_counter() + given.seconds
            clients = [
                httpx.AsyncClient(
                    base_url=settings.own_url, trust_env=False, timeout=60, headers={"sec-fetch-site": "same-origin"}
                )
                for _ in members
            ]
            share = -(-len(references) // len(members))
            team = [
                Counsellor(client, references[number * share : (number + 1) * share], times, given.think)
                for number, client in enumerate(clients)
            ]
            for one, (email, secret) in zip(team, members, strict=True):
                await one.sign_in(email, secret)
            until = time.perf_counter() + given.seconds
            await asyncio.gather(
                people_write(settings.own_url, addresses, until, times),
                *(one.work(until, random.Random(number)) for number, one in enumerate(team)),  # noqa: S311
            )
            after = service.memory_info().rss
            for client in clients:
                await client.aclose()
        return table(times, before, after, given)
    finally:
        embedded.stop(folder / "postgres")


def main() -> None:
    """Measure; print; with --write put the table into docs/console.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--conversations", type=int, default=200)
    parser.add_argument("--counsellors", type=int, default=20)
    parser.add_argument("--think", type=float, default=THINK, help="seconds between two clicks of a counsellor")
    parser.add_argument("--write", action="store_true", help="put the table into docs/console.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        found = asyncio.run(measured(given, Path(folder)))
    print(found)
    if given.write:
        page = PAGE.read_text(encoding="utf-8")
        marks = re.compile(r"(<!-- measured: make bench-console -->\n).*(<!-- end -->)", re.S)
        assert marks.search(page), PAGE
        PAGE.write_text(marks.sub(lambda match: f"{match[1]}\n{found}\n\n{match[2]}", page), encoding="utf-8")


if __name__ == "__main__":
    main()
