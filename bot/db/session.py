"""The database as the rooms use it: an engine, a lock that dies with its connection, a wake-up call.

A lane (a conversation, an endpoint) is worked on by whoever holds its advisory lock. The lock belongs
to the connection: when a process is killed, PostgreSQL frees it at once, and since the work's own
transaction runs on that same connection, an owner that lost its lock cannot commit any more.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Executable, Row, event, func, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session, SessionTransaction

from bot.db.encryption import Vault

_LOCK = text("SELECT pg_try_advisory_lock(:lane, hashint8(:key))")
_UNLOCK = text("SELECT pg_advisory_unlock(:lane, hashint8(:key))")
# for a statement that takes the lane's lock itself, and reads in the same breath what there is to do (`holding_for`)
TRY_LOCK = "SELECT pg_try_advisory_lock(:lane, hashint8(:key)) AS held"
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
    ROUNDS = 16
    PROPOSALS = 17


@dataclass(frozen=True)
class Database:
    """Two engines and the vault that reads what they store."""

    engine: AsyncEngine
    alone: AsyncEngine  # on its connections each statement is its own transaction: no BEGIN, no COMMIT on the wire
    vault: Vault
    name: str = field(default_factory=lambda: secrets.token_hex(6))  # whose wake-up calls these are

    async def close(self) -> None:
        """Let every connection go."""
        await self.engine.dispose()
        await self.alone.dispose()

    def session(self) -> AsyncSession:
        """A session of its own connection; use it with `async with` and commit."""
        return AsyncSession(self.engine, expire_on_commit=False)

    def autocommit(self) -> AsyncConnection:
        """A connection, for `async with`, on which every statement is its own transaction."""
        return self.alone.connect()

    def looking(self) -> AsyncSession:
        """A session for a look at something, for `async with`: every statement is its own transaction."""
        return AsyncSession(self.alone, expire_on_commit=False)

    @asynccontextmanager
    async def holding(self, lane: Lane, key: int) -> AsyncIterator[AsyncConnection | None]:
        """A connection that holds the lane's lock, or None when somebody else holds it."""
        async with self.engine.connect() as connection:
            got = await connection.scalar(_LOCK, {"lane": int(lane), "key": key})
            if not got:
                yield None
                return
            async with self._let_go(connection, lane, key):
                await connection.commit()
                yield connection

    @asynccontextmanager
    async def holding_for(
        self, lane: Lane, key: int, first: Executable, values: Mapping[str, Any]
    ) -> AsyncIterator[tuple[AsyncConnection, Row[Any]] | None]:
        """As `holding`, with the row that `first` found, which takes the lock by `TRY_LOCK`.

        Each of the connection's statements is its own transaction, but for those in `together`. What `first` read may
        be as old as the moment before the lock was free: who held it may have done it since.
        """
        async with self.alone.connect() as connection:
            try:
                row = (await connection.execute(first, {"lane": int(lane), "key": key, **values})).one()
            except BaseException:
                await connection.invalidate()  # it may hold the lock, which does not end with the statement
                raise
            if not row.held:
                yield None
                return
            async with self._let_go(connection, lane, key):
                yield connection, row

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
            await connection.execute(_UNLOCK, {"lane": int(lane), "key": key})
            await connection.commit()
        except BaseException:
            await connection.invalidate()  # closing it is what frees the lock
            raise


class _Together(Session):
    """What it does is one transaction, on a connection on which otherwise each statement is one."""


@event.listens_for(_Together, "after_begin")
def _begin(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    if not transaction.nested:
        connection.exec_driver_sql("BEGIN")


@asynccontextmanager
async def together(connection: AsyncConnection) -> AsyncIterator[AsyncSession]:
    """A session on a connection of `Database.alone`; it begins with its first statement.

    What is not committed is rolled back.
    """
    await _end(connection)
    async with AsyncSession(connection, expire_on_commit=False, sync_session_class=_Together) as session:
        yield session


async def conclude(session: AsyncSession, statement: Executable, values: Mapping[str, Any]) -> bool:
    """The last statement of a session of `together`, and commit; False, and nothing is written, when it finds nothing.

    Where the session has done nothing before, it needs no BEGIN and no COMMIT.
    """
    connection = session.bind
    if isinstance(connection, AsyncConnection) and not session.in_transaction():
        found = await connection.scalar(statement, values)
        await _end(connection)
    else:
        found = await session.scalar(statement, values)
        await (session.commit() if found is not None else session.rollback())
    return found is not None


async def _end(connection: AsyncConnection) -> None:
    await connection.commit()  # nothing on the wire: SQLAlchemy's own bookkeeping


async def wake(session: AsyncSession | AsyncConnection, lane: Lane, key: int, unhurried: bool = False) -> None:
    """Tell every worker, at commit, that this lane has work; `unhurried`: only who watches, the sweep finds it."""
    await session.execute(_CALL, {"call": wake_up_call(lane, key, "unhurried" if unhurried else "")})


def waking(lane: Lane, key: int) -> ColumnElement[Any]:
    """As `wake`, for what a statement returns: one round trip for both."""
    return func.pg_notify("rafiq", wake_up_call(lane, key))


def wake_up_call(lane: Lane, key: int, by: str = "") -> str:
    """What `bot.jobs.Lanes` hears: for statements that notify themselves.

    `by` is the name of a `Database` whose own lanes are woken without it.
    """
    return f"{int(lane)}:{key}" + (f":{by}" if by else "")


def connect(url: str, vault: Vault, pool_size: int = 24) -> Database:
    """Open the database at a `postgresql://` address."""
    address = url.replace("postgresql://", "postgresql+psycopg://", 1)
    given: dict[str, Any] = {
        "pool_pre_ping": False,
        "pool_recycle": 1800,
        "pool_use_lifo": True,  # the same few connections again and again: their statements are prepared and planned
        "hide_parameters": True,  # an error's text gets into logs, and what people wrote is among them
        "connect_args": {"application_name": "rafiq", "prepare_threshold": 2},
    }
    # turns and deliveries are `alone`; each process may open eight more than it keeps, whatever their kind
    engine = create_async_engine(address, pool_size=8, max_overflow=6, **given)
    alone = create_async_engine(
        address, isolation_level="AUTOCOMMIT", pool_size=max(pool_size - 8, 4), max_overflow=2, **given
    )

    def in_utc(connection: Any, record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("SET TIME ZONE 'UTC'")
        cursor.close()
        connection.commit()

    event.listen(engine.sync_engine, "connect", in_utc)
    event.listen(alone.sync_engine, "connect", in_utc)
    return Database(engine, alone, vault)
