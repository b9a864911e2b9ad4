"""Who saw, changed and signed in to what: rows that are only ever added, each chained to the one before.

The chain is a keyed hash, so that whoever can write to the database but lacks the master key cannot make a
row that fits. PostgreSQL refuses to change or delete a row (a trigger of migration 0008). Rows cut off at the end
leave a chain that fits: `rafiq audit verify` prints its last link, to be noted elsewhere and given back.
Nothing here is personal to those who write to us: references and names of actions only.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.encryption import Vault
from bot.db.models import AuditEntry

_LOCK = 0x61756469  # "audi"
_FIRST = bytes(32)


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
    await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    before = (
        await session.execute(select(AuditEntry.id, AuditEntry.link).order_by(AuditEntry.id.desc()).limit(1))
    ).first()
    number, previous = (before.id + 1, before.link) if before else (1, _FIRST)
    row = AuditEntry(
        id=number,
        at=datetime.now(UTC),
        staff_id=staff_id,
        action=action,
        target=target,
        detail=dict(detail or {}),
    )
    await session.execute(
        insert(AuditEntry).values(
            id=row.id,
            at=row.at,
            staff_id=row.staff_id,
            action=row.action,
            target=row.target,
            detail=row.detail,
            link=_link(vault, row, previous),
        )
    )


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
