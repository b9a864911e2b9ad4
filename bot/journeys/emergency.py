"""Emergency numbers: the team's own once it changed one in the console, else those of knowledge/emergency.yml."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.assistant import knowledge
from bot.db.models import EmergencyNumber

COUNTRIES = ("MA", "MR")
SERVICES = ("police", "gendarmerie", "civil_protection", "ambulance", "samu", "children", "women")
SITUATIONS = ("danger", "violence", "medical", "suicidal", "child")
_NUMBER = re.compile(r"\d{2,5}|\+\d{8,15}")


class LastNumber(Exception):
    """With none of the team's own the file's would be shown again: the last one can lose its confirmation only."""


def number_of(typed: str) -> str | None:
    """The number as it is dialled: a short one, or one with its country code; None when it is neither."""
    plain = re.sub(r"[\s().-]", "", typed)
    return plain if plain.isascii() and _NUMBER.fullmatch(plain) else None


async def numbers(session: AsyncSession, country: str, situation: str | None = None) -> Sequence[Mapping[str, Any]]:
    """The confirmed numbers of a country (ISO 3166 code), those for the situation first; unconfirmed ones never."""
    confirmed = [one for one in await every(session) if one["country"] == country and one["confirmed"]]
    return sorted(confirmed, key=lambda one: situation is not None and situation not in one["for"])


async def every(session: AsyncSession) -> Sequence[Mapping[str, Any]]:
    """All of them, confirmed or not; `id` where the team has its own."""
    rows = list(await session.scalars(select(EmergencyNumber).order_by(EmergencyNumber.id)))
    if not rows:
        return knowledge.emergency_numbers()
    return [
        {
            "id": row.id, "country": row.country, "service": row.service, "number": row.number,
            "for": row.situations, "source": row.source, "checked": row.checked, "confirmed": row.confirmed,
        }
        for row in rows
    ]  # fmt: skip


async def write(
    session: AsyncSession,
    country: str,
    service: str,
    number: str,
    *,
    situations: Sequence[str],
    source: str,
    checked: date,
    confirmed: bool,
) -> None:
    """The number of this country's service, from the next message on."""
    await _take_over(session)
    row = {
        "number": number, "situations": list(situations), "source": source, "checked": checked, "confirmed": confirmed,
    }  # fmt: skip
    await session.execute(
        insert(EmergencyNumber)
        .values(country=country, service=service, **row)
        .on_conflict_do_update(index_elements=["country", "service"], set_=row)
    )


async def remove(session: AsyncSession, country: str, service: str, number: str) -> str | None:
    """Nobody is shown this number any more, from the next message on; where it was from, None when it is not there.
    Raises `LastNumber`."""
    await _take_over(session)
    if len(await every(session)) == 1:
        raise LastNumber
    source: str | None = await session.scalar(
        delete(EmergencyNumber)
        .where(EmergencyNumber.country == country, EmergencyNumber.service == service)
        .where(EmergencyNumber.number == number)
        .returning(EmergencyNumber.source)
    )
    return source


async def _take_over(session: AsyncSession) -> None:
    """The first change makes the file's numbers the team's own. One change at a time."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("emergency", 0))))
    first = [
        {
            "country": one["country"], "service": one["service"], "number": one["number"],
            "situations": list(one["for"]), "source": one["source"], "checked": one["checked"],
            "confirmed": one["confirmed"],
        }
        for one in await every(session) if "id" not in one
    ]  # fmt: skip
    if first:
        await session.execute(insert(EmergencyNumber).values(first).on_conflict_do_nothing())
