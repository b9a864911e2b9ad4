"""What a platform tells the operators becomes an alert, once a day however often it is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from bot.db.models import Alert
from bot.db.session import Database
from bot.messages import Notice

ONCE_IN = timedelta(days=1)


async def keep(database: Database, notices: Sequence[Notice]) -> None:
    """Write these down as alerts and commit."""
    if not notices:
        return
    async with database.session() as session:
        for notice in notices:
            kind, detail = f"{notice.channel}: {notice.kind}", dict(notice.detail)
            known = await session.scalar(
                select(Alert.id)
                .where(Alert.kind == kind, Alert.detail == detail, Alert.created_at > func.now() - ONCE_IN)
                .limit(1)
            )
            if known is None:
                await session.execute(insert(Alert).values(kind=kind, detail=detail))
        await session.commit()
