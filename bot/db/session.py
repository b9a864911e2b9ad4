"""The database as the rooms use it: an engine, a lock that dies with its connection, a wake-up call.

A lane (a conversation, an endpoint) is worked on by whoever holds its advisory lock. The lock belongs
to the connection: when a process is killed, PostgreSQL frees it at once, and since the work's own
transaction runs on that same connection, an owner that lost its lock cannot commit any more.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from enum import IntEnum

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from bot.db.encryption import Vault

_LOCK = text("SELECT pg_try_advisory_lock(:lane, hashint8(:key))")
_UNLOCK = text("SELECT pg_advisory_unlock(:lane, hashint8(:key))")
_CALL = text("SELECT pg_notify('rafiq', :call)")


class Lane(IntEnum):
    """The kinds of advisory lock. The number is the lock's first key, so kinds never meet."""

    TURN = 1
    DELIVERY = 2
    CASES = 3
    POLLING = 4
    MEDIA = 5
    REMINDERS = 6
    CHECKINS = 7
    HANDOFF = 8
    MAIL = 9
    RETENTION = 13
    TEXTS = 14
    SETTINGS = 15


@dataclass(frozen=True)
class Database:
    """An engine and the vault that reads what it stores."""

    engine: AsyncEngine
    vault: Vault
    name: str = field(default_factory=lambda: secrets.token_hex(6))  # whose wake-up calls these are

    def session(self) -> AsyncSession:
        """A session of its own connection; use it with `async with` and commit."""
        return AsyncSession(self.engine, expire_on_commit=False)

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which every statement is its own transaction: no BEGIN, no COMMIT on the wire."""
        async with self.engine.connect() as connection, each_alone(connection):
            yield connection

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[AsyncSession]:
        """A session for a look at something: every statement is its own transaction."""
        async with self.autocommit() as connection, AsyncSession(connection, expire_on_commit=False) as session:
            yield session

    @asynccontextmanager
    async def holding(self, lane: Lane, key: int, alone: bool = False) -> AsyncIterator[AsyncConnection | None]:
        """A connection that holds the lane's lock, or None when somebody else holds it.

        `alone`: each of its statements is its own transaction, but for those in `together`.
        """
        async with self.engine.connect() as connection, each_alone(connection) if alone else nullcontext():
            async with each_alone(connection):
                got = await connection.scalar(_LOCK, {"lane": int(lane), "key": key})
            if not got:
                yield None
                return
            async with self._let_go(connection, lane, key):
                yield connection

    @asynccontextmanager
    async def _let_go(self, connection: AsyncConnection, lane: Lane, key: int) -> AsyncIterator[None]:
        """Afterwards the lane's lock is free."""
        try:
            yield
        except BaseException:
            with suppress(Exception):  # the caller must hear what came first, above all that it was cancelled
                await self._release(connection, lane, key)
            raise
        await self._release(connection, lane, key)

    async def _release(self, connection: AsyncConnection, lane: Lane, key: int) -> None:
        if connection.invalidated:  # closed by SQLAlchemy when a statement was cancelled, and the lock freed
            return
        try:
            if connection.in_transaction():
                await connection.rollback()
            async with each_alone(connection):
                await connection.execute(_UNLOCK, {"lane": int(lane), "key": key})
        except BaseException:
            await connection.invalidate()  # closing it is what frees the lock
            raise


@asynccontextmanager
async def each_alone(connection: AsyncConnection) -> AsyncIterator[None]:
    """Inside, every statement on this connection is its own transaction; no transaction may be open before."""
    if _is_alone(connection):
        yield
        return
    await connection.execution_options(isolation_level="AUTOCOMMIT")
    try:
        yield
    finally:
        if not connection.invalidated:
            await _end(connection)


@asynccontextmanager
async def together(connection: AsyncConnection) -> AsyncIterator[AsyncSession]:
    """A session on a connection on which otherwise each statement is alone; what is not committed is rolled back."""
    alone = _is_alone(connection)
    if alone:
        await _end(connection)
    async with AsyncSession(connection, expire_on_commit=False) as session:
        yield session
    if alone and not connection.invalidated:
        if connection.in_transaction():
            await connection.rollback()
        await connection.execution_options(isolation_level="AUTOCOMMIT")


def _is_alone(connection: AsyncConnection) -> bool:
    options = connection.sync_connection.get_execution_options() if connection.sync_connection is not None else {}
    return options.get("isolation_level") == "AUTOCOMMIT"


async def _end(connection: AsyncConnection) -> None:
    await connection.commit()  # nothing on the wire: SQLAlchemy's own bookkeeping
    await connection.execution_options(isolation_level="READ COMMITTED")


async def wake(session: AsyncSession | AsyncConnection, lane: Lane, key: int, unhurried: bool = False) -> None:
    """Tell every worker, at commit, that this lane has work; `unhurried`: only who watches, the sweep finds it."""
    await session.execute(_CALL, {"call": wake_up_call(lane, key, "unhurried" if unhurried else "")})


def wake_up_call(lane: Lane, key: int, by: str = "") -> str:
    """What `bot.jobs.Lanes` hears: for statements that notify themselves.

    `by` is the name of a `Database` whose own lanes are woken without it.
    """
    return f"{int(lane)}:{key}" + (f":{by}" if by else "")


def connect(url: str, vault: Vault, pool_size: int = 24) -> Database:
    """Open the database at a `postgresql://` address."""
    engine = create_async_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1),
        pool_size=pool_size,
        max_overflow=8,
        pool_pre_ping=False,
        pool_recycle=1800,
        pool_use_lifo=True,  # the same few connections again and again: their statements are prepared and planned
        hide_parameters=True,  # an error's text gets into logs, and what people wrote is among them
        connect_args={"application_name": "rafiq", "prepare_threshold": 2},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _in_utc(connection: object, record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        cursor.execute("SET TIME ZONE 'UTC'")
        cursor.close()
        connection.commit()  # type: ignore[attr-defined]

    return Database(engine, vault)
