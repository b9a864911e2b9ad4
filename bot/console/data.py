"""Grave things about people's data: one person's file, erasing, and tables of many that take two of the team."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from starlette.responses import Response

from bot.checkins import questions
from bot.console import audit, reading
from bot.console.accounts import Staff
from bot.console.guard import Handler, NotThere, Visit
from bot.conversation import on_behalf
from bot.db.models import Appointment, BulkExport, Checkin, Enrolment, Office, Person, Request, StaffMember
from bot.db.session import Database
from bot.journeys.handoff import PLACES
from bot.orientation.report import harmless

WAITS = timedelta(hours=24)  # for the other one's yes
STANDS = timedelta(hours=1)  # after it
LONGEST = timedelta(days=366)


async def _behind(session: AsyncSession, visit: Visit) -> reading.Case:
    """Who is behind the reference of the address, if they are there for who asks."""
    reference = visit.path("reference")
    prefix = reference.partition("-")[0]
    found: tuple[Any, ...] | None = None
    if prefix == "H":
        found = await reading.handoff(session, reference, visit.staff)
    elif prefix == "AV":
        found = await reading.request(session, visit.console.database.vault, reference, visit.staff.places)
    elif prefix == "CK":
        found = await reading.enrolment(session, reference, visit.staff)
    elif prefix == "RV":
        found = await reading.appointment(session, reference, visit.staff)
    if found is None:
        raise NotThere
    case: reading.Case = found[-1]
    return case


async def their_data(visit: Visit) -> Response:
    """What can be done with all that is kept of one person."""
    async with visit.console.database.session() as session:
        case = await _behind(session, visit)
    return _their_data(visit, case)


def _their_data(visit: Visit, case: reading.Case, error: str = "", status: int = 200) -> Response:
    return visit.show(
        "data.html", status, reference=visit.path("reference"), case=case, reasons=on_behalf.REASONS, error=error
    )


async def download(visit: Visit) -> Response:
    """All that is kept of one person, as they get it themselves."""
    reference, console = visit.path("reference"), visit.console
    if not visit.staff.recently:
        return visit.prove(f"/console/data/{reference}")
    async with console.database.session() as session:
        case = await _behind(session, visit)
        document = await on_behalf.as_file(session, console.database, console.settings, case.conversation_id)
        await audit.record(session, console.database.vault, visit.staff.id, "person.exported", reference)
        await session.commit()
    return _attachment(document.content, "text/plain; charset=utf-8", f"{reference}.txt")


async def erase(visit: Visit) -> Response:
    """Everything about one person goes, for a reason; the receipt stays."""
    reference, console = visit.path("reference"), visit.console
    if not visit.staff.recently:
        return visit.prove(f"/console/data/{reference}")
    why = visit.form.get("why", "")
    async with console.database.session() as session:
        case = await _behind(session, visit)
    if why not in on_behalf.REASONS or visit.form.get("sure") != "on":
        return _their_data(visit, case, visit.say("console.data.unsure"), 400)

    async def beside(session: AsyncSession, receipt: str) -> None:
        detail = {"why": why, "receipt": receipt}
        await audit.record(session, console.database.vault, visit.staff.id, "person.erased", reference, detail)

    try:
        receipt = await on_behalf.erase(console.database, console.settings, case.conversation_id, beside)
    except on_behalf.Busy:
        return _their_data(visit, case, visit.say("console.data.busy"), 409)
    except LookupError:
        raise NotThere from None
    return visit.show("erased.html", receipt=receipt, told=case.stopped_at is None and case.unreachable_at is None)


def _attachment(content: str, media_type: str, name: str) -> Response:
    headers = {"content-type": media_type, "content-disposition": f'attachment; filename="{name}"'}
    return Response(content, headers=headers)


# --- tables of many


async def exports(visit: Visit) -> Response:
    """What was asked for, and what waits for another one's yes."""
    return await _exports(visit)


async def _exports(visit: Visit, error: str = "", status: int = 200) -> Response:
    other = aliased(StaffMember)
    async with visit.console.database.session() as session:
        rows = await session.execute(
            select(BulkExport, StaffMember.name, other.name)
            .join(StaffMember, StaffMember.id == BulkExport.asked_by)
            .outerjoin(other, other.id == BulkExport.decided_by)
            .order_by(BulkExport.id.desc())
            .limit(50)
        )
        listed = rows.all()
    now = datetime.now(UTC)
    return visit.show(
        "exports.html",
        status,
        rows=[(one, asker, decider, "over" if one.expires_at <= now else one.status) for one, asker, decider in listed],
        kinds=tuple(TABLES),
        purposes=on_behalf.PURPOSES,
        today=now.date(),
        month=now.date() - timedelta(days=30),
        error=error,
    )


async def ask_export(visit: Visit) -> Response:
    """One asks."""
    if not visit.staff.recently:
        return visit.prove("/console/exports")
    kind, why = visit.form.get("kind", ""), visit.form.get("why", "")
    try:
        since, until = date.fromisoformat(visit.form.get("since", "")), date.fromisoformat(visit.form.get("until", ""))
    except ValueError:
        since = until = date.min
    if (
        kind not in TABLES
        or why not in on_behalf.PURPOSES
        or not timedelta(0) <= until - since <= LONGEST
        or since == date.min
    ):
        return await _exports(visit, visit.say("console.exports.wrong"), 400)
    database = visit.console.database
    async with database.session() as session:
        one = BulkExport(
            kind=kind,
            since=since,
            until=until,
            why=why,
            asked_by=visit.staff.id,
            expires_at=datetime.now(UTC) + WAITS,
        )
        session.add(one)
        await session.flush()
        detail: Mapping[str, str | int] = {"kind": kind, "since": str(since), "until": str(until), "why": why}
        await audit.record(session, database.vault, visit.staff.id, "export.asked", str(one.id), detail)
        await session.commit()
    return visit.go("/console/exports")


async def decide_export(visit: Visit) -> Response:
    """Another one allows or refuses it, once; never who asked, whatever is sent: the database refuses that too."""
    if not visit.staff.recently:
        return visit.prove("/console/exports")
    status, database = visit.form.get("status", ""), visit.console.database
    if status not in ("allowed", "refused"):
        raise NotThere
    now = datetime.now(UTC)
    async with database.session() as session:
        decided = await session.scalar(
            update(BulkExport)
            .where(BulkExport.id == visit.number(), BulkExport.status == "asked", BulkExport.expires_at > now)
            .where(BulkExport.asked_by != visit.staff.id)
            .values(status=status, decided_by=visit.staff.id, decided_at=now, expires_at=now + STANDS)
            .returning(BulkExport.id)
        )
        if decided is None:
            return await _exports(visit, visit.say("console.exports.not_yours"), 409)
        await audit.record(session, database.vault, visit.staff.id, f"export.{status}", str(decided))
        await session.commit()
    return visit.go("/console/exports")


async def fetch_export(visit: Visit) -> Response:
    """Who asked gets the table as it is now, of their own offices alone, while the yes stands."""
    if not visit.staff.recently:
        return visit.prove("/console/exports")
    database = visit.console.database
    async with database.session() as session:
        one = await session.scalar(
            select(BulkExport).where(
                BulkExport.id == visit.number(), BulkExport.status == "allowed", BulkExport.asked_by == visit.staff.id,
                BulkExport.expires_at > datetime.now(UTC),
            )
        )  # fmt: skip
        if one is None:
            return await _exports(visit, visit.say("console.exports.none"), 409)
        columns, make = TABLES[one.kind]
        rows = [row async for row in make(session, database, visit.staff, one.since, one.until)]
        detail: Mapping[str, str | int] = {"kind": one.kind, "rows": len(rows)}
        await audit.record(session, database.vault, visit.staff.id, "export.fetched", str(one.id), detail)
        await session.commit()
    written = io.StringIO()
    writer = csv.writer(written, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    writer.writerows([harmless(str(cell)) if cell is not None else "" for cell in row] for row in rows)
    return _attachment("\ufeff" + written.getvalue(), "text/csv; charset=utf-8", f"{one.kind}-{one.id}.csv")


# Tables hold references, states and choices: no name, no number, nothing that anybody typed.
Table = Callable[[AsyncSession, Database, Staff, date, date], AsyncIterator[Sequence[Any]]]


async def _requests(
    session: AsyncSession, database: Database, staff: Staff, since: date, until: date
) -> AsyncIterator[Sequence[Any]]:
    rows = await session.execute(
        select(Request, Person.key)
        .join(Person, Person.id == Request.person_id)
        .where(func.date(Request.created_at).between(since, until), Request.status != "withdrawn")
        .order_by(Request.id)
    )
    for one, key in rows.all():
        answers = database.vault.open(key, one.answers_sealed)
        if reading.theirs(PLACES.get(str(answers.get("direction"))), staff.places):
            day = one.created_at.date().isoformat()
            yield one.reference, day, one.status, one.priority, *reading.chosen(answers)


async def _interviews(
    session: AsyncSession, database: Database, staff: Staff, since: date, until: date
) -> AsyncIterator[Sequence[Any]]:
    rows = await session.execute(
        select(Appointment, Office.country, Person.key)
        .join(Person, Person.id == Appointment.person_id)
        .outerjoin(Office, Office.id == Appointment.office_id)
        .where(func.date(Appointment.created_at).between(since, until), Appointment.status.not_in(["draft", "held"]))
        .order_by(Appointment.id)
    )
    for one, country, key in rows.all():
        if not staff.offices or one.office_id is None or {one.office_id, country} & set(staff.offices):
            mode = database.vault.open(key, one.answers_sealed).get("mode")
            mode = mode if mode in ("in_person", "phone", "chat") else None
            yield one.reference, one.created_at.date().isoformat(), one.status, one.office_id, mode, one.wall, one.zone


async def _checkins(
    session: AsyncSession, database: Database, staff: Staff, since: date, until: date
) -> AsyncIterator[Sequence[Any]]:
    theirs = await reading.countries(session, staff)
    rows = await session.execute(
        select(Checkin, Enrolment, Person.key)
        .join(Enrolment, Enrolment.id == Checkin.enrolment_id)
        .join(Person, Person.id == Checkin.person_id)
        .where(func.date(Checkin.due_at).between(since, until), Checkin.round != questions.ENROLMENT)
        .order_by(Checkin.id)
    )
    for one, enrolment, key in rows.all():
        country = reading.country_of(enrolment.zone)
        if theirs(country):
            answers = database.vault.open(key, one.answers_sealed) if one.answers_sealed else {}
            means = questions.dimensions(answers)
            day = one.due_at.date().isoformat() if one.due_at else None
            shown = (means[name] for name in questions.DIMENSIONS)
            yield enrolment.reference, country, one.round, day, one.status, one.level, *shown


TABLES: Mapping[str, tuple[Sequence[str], Table]] = {
    "requests": (("reference", "day", "status", "priority", *reading.PLAIN), _requests),
    "interviews": (("reference", "day", "status", "office", "mode", "wall", "zone"), _interviews),
    "checkins": (
        ("reference", "country", "round", "day", "status", "level", *questions.DIMENSIONS),
        _checkins,
    ),
}

HANDLERS: Mapping[tuple[str, str], Handler] = {
    ("GET", "/console/data/{reference}"): their_data,
    ("POST", "/console/data/{reference}/download"): download,
    ("POST", "/console/data/{reference}/erase"): erase,
    ("GET", "/console/exports"): exports,
    ("POST", "/console/exports"): ask_export,
    ("POST", "/console/exports/{id}/decide"): decide_export,
    ("POST", "/console/exports/{id}/fetch"): fetch_export,
}
