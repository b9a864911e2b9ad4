"""Lanes' workers: who was called goes before what a sweep found."""

from __future__ import annotations

import asyncio

from bot.jobs import Worker


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
