"""The lock that dies with its connection."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from bot.db.session import Database, Lane


@pytest.mark.parametrize(("statement", "rounds"), [("SELECT pg_sleep(30)", 2), ("SELECT 1", 60)])
async def test_cancelled_inside_the_lock(database: Database, statement: str, rounds: int) -> None:
    """Whoever is cancelled hears that and nothing else, wherever the statement was; the lock is free afterwards."""
    holds = asyncio.Event()

    async def loop_for_ever() -> None:
        while True:
            try:
                async with database.holding(Lane.POLLING, 7) as connection:
                    assert connection is not None
                    while True:
                        holds.set()
                        await connection.scalar(text(statement))
                        await connection.commit()
            except Exception:
                await asyncio.sleep(0.001)

    for round_ in range(rounds):
        holds.clear()
        task = asyncio.create_task(loop_for_ever())
        await holds.wait()
        await asyncio.sleep(0.02 + 0.0003 * round_)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=15)
        assert done and task.cancelled()
        async with asyncio.timeout(5):
            while True:
                async with database.holding(Lane.POLLING, 7) as connection:
                    if connection is not None:
                        break
                await asyncio.sleep(0.01)
