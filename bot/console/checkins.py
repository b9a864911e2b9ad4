"""Check-ins as the team follows them: due, missed, flagged, and who is to be reached another way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from bot.checkins import questions, rounds, schedule
from bot.console import audit, person, reading
from bot.console.guard import Handler, NotThere, Visit
from bot.conversation import handoffs
from bot.db.models import Checkin, Enrolment, Handoff
from bot.journeys.handoff import OPEN

SOON = timedelta(days=14)  # how far ahead the list of what is due looks
LATELY = timedelta(days=60)  # and how far back the others
FOLLOWED = ("checkin_unreached", "checkin_red", "checkin_amber")  # reasons of handoffs that check-ins make


@dataclass(frozen=True, slots=True)
class Row:
    """One check-in of a list."""

    reference: str
    weeks: int | None
    months: int | None
    status: str
    level: str | None
    country: str | None
    at: datetime | None


async def checkins(visit: Visit) -> Response:
    """The three lists, and the tasks that came of them."""
    now = datetime.now(UTC)
    soon = Checkin.status.in_([*rounds.WAITING, "open"]) | (
        (Checkin.status == "planned") & (Checkin.due_at < now + SOON)
    )
    missed = (Checkin.status == "missed") & (Checkin.updated_at > now - LATELY)
    flagged = Checkin.level.is_not(None) & (Checkin.updated_at > now - LATELY)
    async with visit.console.database.session() as session:
        shown: dict[str, Any] = {
            "due": await _rows(session, visit, soon, oldest_first=True),
            "missed": await _rows(session, visit, missed),
            "flagged": await _rows(session, visit, flagged),
            "tasks": await _tasks(session, visit),
        }
        await audit.record(session, visit.console.database.vault, visit.staff.id, "checkins.seen")
        await session.commit()
    return visit.show(
        "checkins.html",
        named=lambda one: person.round_name(visit, one.weeks, one.months),
        why=lambda one: handoffs.why(one, visit.language),
        waited=lambda since: person.waited(visit, since),
        opens=visit.may("GET", "/console/checkins/{reference}"),
        most=reading.LISTED,
        **shown,
    )


async def _rows(
    session: AsyncSession, visit: Visit, which: ColumnElement[bool], oldest_first: bool = False
) -> list[Row]:
    theirs = await reading.countries(session, visit.staff)
    others = {zone for zone in schedule.zones().values() if not theirs(reading.country_of(zone))}
    order = Checkin.due_at.asc() if oldest_first else Checkin.updated_at.desc()
    found = await session.execute(
        select(Checkin, Enrolment.reference, Enrolment.zone)
        .join(Enrolment, Enrolment.id == Checkin.enrolment_id)
        .where(which, Checkin.round != questions.ENROLMENT)
        .where(Enrolment.zone.is_(None) | Enrolment.zone.not_in(others))
        .order_by(Checkin.level.desc().nulls_last(), order)  # red before amber
        .limit(reading.LISTED)
    )
    return [
        Row(
            reference, one.weeks, one.months, one.status, one.level, reading.country_of(zone),
            one.due_at if oldest_first else one.updated_at,
        )
        for one, reference, zone in found
    ]  # fmt: skip


async def _tasks(session: AsyncSession, visit: Visit) -> list[Handoff]:
    """Handoffs of check-ins that are not over and are there for them: « try another way », and answers to look at."""
    rows = await session.scalars(
        select(Handoff)
        .where(Handoff.reason.in_(FOLLOWED), Handoff.status.in_(OPEN))
        .order_by(Handoff.priority, Handoff.created_at)
    )
    return [one for one in rows if reading.visible(one, visit.staff)][: reading.LISTED]


async def checkin(visit: Visit) -> Response:
    """One person's check-ins, with their trend."""
    database, reference = visit.console.database, visit.path("reference")
    async with database.session() as session:
        found = await reading.enrolment(session, reference, visit.staff)
        if found is None:
            raise NotThere
        one, case = found
        shown: dict[str, Any] = await person.about(visit, session, case)
        coming = await session.scalars(
            select(Checkin).where(Checkin.enrolment_id == one.id, Checkin.status == "planned").order_by(Checkin.due_at)
        )
        planned = [(person.round_name(visit, row.weeks, row.months), row.due_at) for row in coming]
        await audit.record(session, database.vault, visit.staff.id, "checkin.seen", reference)
        await session.commit()
    return visit.show("checkin.html", enrolment=one, case=case, planned=planned, **shown)


HANDLERS: Mapping[tuple[str, str], Handler] = {
    ("GET", "/console/checkins"): checkins,
    ("GET", "/console/checkins/{reference}"): checkin,
}
