"""What the case backend is told: one row an event, in the transaction of what happened, minimal by construction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.models import CaseEvent
from bot.db.session import Lane, waking

SCHEMA = "rafiq-case/1"
SCHEMAS = Path(__file__).resolve().parent.parent.parent / "docs" / "case-events"
TYPES = (
    "request.created", "request.updated", "request.withdrawn", "handoff.requested", "interview.requested",
    "interview.booked", "interview.moved", "interview.cancelled", "interview.done", "interview.missed",
    "checkin.completed", "checkin.partial", "checkin.missed", "checkin.flagged", "checkin.stopped", "person.erased",
)  # fmt: skip


async def record(
    session: AsyncSession,
    *,
    type_: str,
    key: str,
    person_id: int | None,
    occurred_at: datetime,
    data: Mapping[str, Any],
    words_sealed: bytes | None = None,
) -> None:
    """Write the event down and wake its delivery at commit; the same `key` again writes nothing.

    `words_sealed`: what was typed, by question, with the person's key. It is never in the payload that is kept.

    Raises `jsonschema.ValidationError` when the data is not what docs/case-events/ promises.
    """
    payload = {"schema": SCHEMA, "type": type_, "occurred_at": occurred_at.isoformat(), "data": dict(data)}
    validator(type_).validate(payload)
    await session.execute(
        insert(CaseEvent)
        .values(key=key, type=type_, person_id=person_id, payload=payload, words_sealed=words_sealed)
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(waking(Lane.CASES, 0))
    )


@cache
def validator(type_: str) -> Draft202012Validator:
    """The JSON Schema of this type of event."""
    return Draft202012Validator(json.loads((SCHEMAS / f"{type_}.json").read_text(encoding="utf-8")))
