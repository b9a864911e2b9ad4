"""Lanes' workers: who was called goes before what a sweep found."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from bot import jobs
from bot.db.encryption import Vault
from bot.db.session import Database, Lane, connect, wake, wake_up_call
from bot.jobs import Lanes, Worker


async def test_who_is_called_overtakes_what_a_sweep_found() -> None:
    """Found work takes half of the room at most; a call for a key that waits brings it forward; each key alone."""
    gate, began, most = asyncio.Event(), [], 0

    async def work(key: int) -> None:
        nonlocal most
        began.append(key)
        most = max(most, len(worker._active_found))
        await gate.wait()

    worker = Worker(work, 4)
    for key in range(10):
        worker.wake(key, called=False)
    await asyncio.sleep(0)
    assert began == [0, 1]
    worker.wake(100)
    worker.wake(9)
    worker.wake(101)
    await asyncio.sleep(0)
    assert began == [0, 1, 100, 9]
    worker.wake(100)
    worker.wake(100, called=False)
    gate.set()
    async with asyncio.timeout(5):
        while len(began) < 13:  # noqa: ASYNC110 (no event tells)
            await asyncio.sleep(0)
    assert began[4] == 101 and sorted(began) == sorted([*range(10), 100, 100, 101]) and most == 2


async def test_while_somebody_waits_what_a_sweep_found_takes_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call anywhere hushes it for a while, also what was found before; then it has its half of the room again."""
    monkeypatch.setattr(jobs, "HUSH", 0.2)
    gates: dict[int, asyncio.Event] = {}

    async def work(key: int) -> None:
        await gates.setdefault(key, asyncio.Event()).wait()

    async def ended(key: int) -> None:
        gates[key].set()
        async with asyncio.timeout(5):
            while key in worker._active:  # noqa: ASYNC110 (no event tells)
                await asyncio.sleep(0)
        await asyncio.sleep(0)  # what comes next begins

    worker = Worker(work, 8)
    worker.hush()
    for key in range(8):
        worker.wake(key, called=False)
    await asyncio.sleep(0)
    assert set(gates) == {0}
    worker.wake(100)
    await asyncio.sleep(0)
    assert set(gates) == {0, 100}
    await ended(0)
    assert set(gates) == {0, 100, 1}
    await asyncio.sleep(0.25)
    await ended(1)
    assert set(gates) == {0, 100, 1, 2, 3, 4, 5}
    for gate in gates.values():
        gate.set()
    await worker.drain(5)


async def test_a_call_of_another_process_hushes_and_an_unhurried_one_does_not(database_url: str) -> None:
    """Every process hears that somebody waits; what nobody waits for is told to those who watch alone."""
    database = connect(database_url, Vault(b"k" * 32), 2)
    lanes, heard = Lanes(database, database_url), asyncio.Event()
    began: list[int] = []

    async def work(key: int) -> None:
        began.append(key)

    async def nothing() -> list[int]:
        return []

    worker = Worker(work, 8)
    lanes.add(Lane.DELIVERY, worker, nothing)
    lanes.watch(lambda lane, key: heard.set() if key in (987654321, 987654322) else None)
    await lanes.start()
    try:
        for unhurried, room, worked in ((True, 4, []), (False, 1, [987654322])):
            heard.clear()
            async with database.session() as session:
                await wake(session, Lane.DELIVERY, 987654322 - unhurried, unhurried=unhurried)
                await session.commit()
            async with asyncio.timeout(10):
                await heard.wait()
            await asyncio.sleep(0)
            assert (worker._room_for_found, began) == (room, worked)
    finally:
        await lanes.stop()
        await database.close()


async def test_after_the_end_nothing_begins() -> None:
    """What is under way is finished, what waits is left for the next process."""
    began: list[int] = []

    async def work(key: int) -> None:
        began.append(key)
        await asyncio.sleep(0.01)

    worker = Worker(work, 1)
    worker.wake(1)
    worker.wake(2)
    await asyncio.sleep(0)
    await worker.drain(5)
    assert began == [1]


async def test_own_calls_are_not_heard_twice(database: Database, database_url: str) -> None:
    """What this process woke itself needs no call; what another process or a statement calls for is heard; once each."""
    worked: list[int] = []
    heard: list[tuple[Lane, int]] = []

    async def work(key: int) -> None:
        worked.append(key)

    async def nothing_due() -> list[int]:
        return []

    lanes = Lanes(database, database_url)
    lanes.add(Lane.TURN, Worker(work, 1), nothing_due)
    lanes.watch(lambda lane, key: heard.append((lane, key)))
    await lanes.start()
    assert lanes.wake(Lane.TURN, 1) is False
    assert lanes.wake(Lane.TURN, 2) is True  # there is room for one
    async with database.session() as session:
        for call in (
            wake_up_call(Lane.TURN, 1, database.name),
            wake_up_call(Lane.TURN, 3, "another"),
            wake_up_call(Lane.TURN, 4),
        ):
            await session.execute(text("SELECT pg_notify('rafiq', :call)"), {"call": call})
        await session.commit()
    async with asyncio.timeout(20):
        while len(worked) < 4:  # noqa: ASYNC110 (no event tells)
            await asyncio.sleep(0.01)
    await lanes.stop()
    assert worked == [1, 2, 3, 4] and heard == [(Lane.TURN, key) for key in (1, 2, 3, 4)]
