"""The lock that dies with its connection."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from sqlalchemy import text

from bot.db.session import Database, Lane, together


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize(("statement", "rounds"), [("SELECT pg_sleep(30)", 2), ("SELECT 1", 60)])
async def test_cancelled_inside_the_lock(database: Database, statement: str, rounds: int, alone: bool) -> None:
    """Whoever is cancelled hears that and nothing else, wherever the statement was; the lock is free afterwards."""
    holds = asyncio.Event()

    async def loop_for_ever() -> None:
        while True:
            try:
                async with database.holding(Lane.POLLING, 7, alone=alone) as connection:
                    assert connection is not None
                    while True:
                        holds.set()
                        async with together(connection) as session:
                            await session.scalar(text(statement))
                            await session.commit()
                        await connection.scalar(text("SELECT 1"))
                        if not alone:
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


async def test_alone_and_together(database: Database) -> None:
    """Alone, each statement stays whatever comes after; together, what is not committed goes."""
    async with database.session() as session:
        await session.execute(text("CREATE TABLE seen (what text)"))
        await session.commit()
    async with database.holding(Lane.POLLING, 8, alone=True) as connection:
        assert connection is not None
        await connection.execute(text("INSERT INTO seen VALUES ('alone')"))
        async with together(connection) as session:
            await session.execute(text("INSERT INTO seen VALUES ('kept')"))
            await session.commit()
            await session.execute(text("INSERT INTO seen VALUES ('gone')"))
        await connection.execute(text("INSERT INTO seen VALUES ('alone again')"))
        with suppress(ZeroDivisionError):
            async with together(connection) as session:
                await session.execute(text("INSERT INTO seen VALUES ('gone')"))
                raise ZeroDivisionError
        async with database.autocommit() as other:
            assert list(await other.scalars(text("SELECT what FROM seen"))) == ["alone", "kept", "alone again"]
            await other.execute(text("DROP TABLE seen"))
