"""The lock that dies with its connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from bot.db.session import TRY_LOCK, Database, Lane, conclude, together


@asynccontextmanager
async def _holding(database: Database, key: int, alone: bool) -> AsyncIterator[AsyncConnection | None]:
    if alone:
        async with database.holding_for(Lane.POLLING, key, text(TRY_LOCK), {}) as held:
            yield held[0] if held is not None else None
    else:
        async with database.holding(Lane.POLLING, key) as connection:
            yield connection


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize(("statement", "rounds"), [("SELECT pg_sleep(30)", 2), ("SELECT 1", 60)])
async def test_cancelled_inside_the_lock(database: Database, statement: str, rounds: int, alone: bool) -> None:
    """Whoever is cancelled hears that and nothing else, wherever the statement was; the lock is free afterwards."""
    holds = asyncio.Event()

    async def loop_for_ever() -> None:
        while True:
            try:
                async with _holding(database, 7, alone) as connection:
                    assert connection is not None
                    while True:
                        holds.set()
                        async with together(connection) if alone else AsyncSession(connection) as session:
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
    async with _holding(database, 8, alone=True) as connection:
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


async def test_the_last_statement(database: Database) -> None:
    """It commits what was done before it, or by itself; when it finds nothing, nothing was done."""
    wrote = text("INSERT INTO said SELECT :what WHERE :found RETURNING what")
    async with database.autocommit() as connection:
        await connection.execute(text("CREATE TABLE said (what text)"))
    async with _holding(database, 9, alone=True) as connection:
        assert connection is not None
        for before, found in ((False, True), (False, False), (True, True), (True, False)):
            async with together(connection) as session:
                if before:
                    await session.execute(text("INSERT INTO said VALUES ('before')"))
                assert await conclude(session, wrote, {"what": f"{before}", "found": found}) is found
                assert not session.in_transaction()
    async with database.autocommit() as connection:
        assert list(await connection.scalars(text("SELECT what FROM said"))) == ["False", "before", "True"]
        await connection.execute(text("DROP TABLE said"))


async def test_a_lock_that_came_with_a_failure(database: Database) -> None:
    """Where the first statement takes the lock and fails, the lock is free afterwards."""
    failing = text(f"WITH lane AS ({TRY_LOCK}) SELECT held, 1 / (held::int - 1) FROM lane")
    for _ in range(3):
        with pytest.raises(DBAPIError):
            async with database.holding_for(Lane.POLLING, 10, failing, {}):
                raise AssertionError
    for alone in (True, False):
        async with _holding(database, 10, alone) as connection:
            assert connection is not None
            async with _holding(database, 10, not alone) as other:
                assert other is None
