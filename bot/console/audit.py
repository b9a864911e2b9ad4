"""Who saw, changed and signed in to what: rows that are only ever added, each chained to the one before.

The chain is a keyed hash, so that whoever can write to the database but lacks the master key cannot make a
row that fits. PostgreSQL refuses to change or delete a row (a trigger of migration 0008). Rows cut off at the end
leave a chain that fits: `rafiq audit verify` prints its last link, to be noted elsewhere and given back.
Nothing here is personal to those who write to us: references and names of actions only.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.console.live import Shared
from bot.db.encryption import Vault
from bot.db.models import AuditEntry
from bot.db.session import Database

_LOCK = 0x61756469  # "audi"
_FIRST = bytes(32)
_Noted = tuple[uuid.UUID | None, str, str, dict[str, str | int]]  # who, what, of what, and more about it


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look at the whole chain gave: `broken` is the number of the first row that does not fit."""

    rows: int
    last: str
    broken: int | None = None
    found: bool = True  # the link that was given is in the chain


async def record(
    session: AsyncSession,
    vault: Vault,
    staff_id: uuid.UUID | None,
    action: str,
    target: str = "",
    detail: Mapping[str, str | int] | None = None,
) -> None:
    """Add a row; it commits with what it tells of. Until then nobody else adds one."""
    await _add(session, vault, [(staff_id, action, target, dict(detail or {}))])


class Notes:
    """Rows of their own, that tell of no other change. What comes while some are written is written next, together:
    many who read at once wait for the chain once, not one after the other.
    """

    def __init__(self) -> None:
        self._noted: list[_Noted] = []
        self._writing: Shared[None] = Shared()

    async def add(
        self, database: Database, staff_id: uuid.UUID, action: str, target: str, detail: Mapping[str, str | int]
    ) -> None:
        """Add a row: it is committed when this returns."""
        self._noted.append((staff_id, action, target, dict(detail)))
        await self._writing.get(lambda: self._write(database))

    async def _write(self, database: Database) -> None:
        noted, self._noted = self._noted, []
        async with database.session() as session:
            await _add(session, database.vault, noted)
            await session.commit()


async def _add(session: AsyncSession, vault: Vault, noted: Sequence[_Noted]) -> None:
    await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    before = (
        await session.execute(select(AuditEntry.id, AuditEntry.link).order_by(AuditEntry.id.desc()).limit(1))
    ).first()
    number, previous = (before.id, before.link) if before else (0, _FIRST)
    rows = []
    for staff_id, action, target, detail in noted:
        number += 1
        row = AuditEntry(
            id=number, at=datetime.now(UTC), staff_id=staff_id, action=action, target=target, detail=detail
        )
        previous = _link(vault, row, previous)
        rows.append(
            {
                "id": row.id, "at": row.at, "staff_id": row.staff_id, "action": row.action, "target": row.target,
                "detail": row.detail, "link": previous,
            }
        )  # fmt: skip
    await session.execute(insert(AuditEntry).values(rows))


async def lately(
    session: AsyncSession, staff_id: uuid.UUID, action: str, within: timedelta, target: str | None = None
) -> int:
    """How often somebody did this in the time before now."""
    rows = select(func.count()).where(
        AuditEntry.staff_id == staff_id, AuditEntry.action == action, AuditEntry.at > func.now() - within
    )
    return await session.scalar(rows if target is None else rows.where(AuditEntry.target == target)) or 0


async def verify(session: AsyncSession, vault: Vault, known: str = "", last: int | None = None) -> Verdict:
    """Walk the chain, or its `last` rows; `known`: a link that was noted before, to be found again."""
    rows, previous, found = 0, _FIRST, not known
    if last is not None:
        before = (
            await session.execute(
                select(AuditEntry.id, AuditEntry.link).order_by(AuditEntry.id.desc()).offset(last).limit(1)
            )
        ).first()
        rows, previous = (before.id, before.link) if before else (rows, previous)
    which = select(AuditEntry).where(AuditEntry.id > rows).order_by(AuditEntry.id)
    stream = await session.stream_scalars(which.execution_options(yield_per=500))
    broken = None
    try:
        async for row in stream:
            if row.id != rows + 1 or row.link != _link(vault, row, previous):
                broken = rows + 1
                break
            rows, previous = row.id, row.link
            found = found or row.link.hex() == known.lower()
    finally:
        await stream.close()
    return Verdict(rows, previous.hex(), broken, found)


def _link(vault: Vault, row: AuditEntry, previous: bytes) -> bytes:
    told: list[Any] = [
        row.id,
        row.at.astimezone(UTC).isoformat(),
        str(row.staff_id or ""),
        row.action,
        row.target,
        row.detail,
        previous.hex(),
    ]
    return vault.digest("audit", json.dumps(told, sort_keys=True, ensure_ascii=True))
