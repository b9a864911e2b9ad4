"""The calendar: times of an office that can be booked, appointments, and what the team does about them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_skeleton
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from bot import i18n
from bot.appointments import bookings, offices, slots, times
from bot.console import audit, person, reading
from bot.console.guard import Handler, NotThere, Visit
from bot.conversation import appointments, handoffs
from bot.db.models import Appointment, Office, Person, Slot
from bot.db.session import Lane, wake
from bot.journeys import interviews
from bot.messages import Language

WEEK = 7
OFFERED = 80  # free times to choose from
SHOWN = ("confirmed", "reminded", "past", "done", "missed")  # in the week; one that is proposed too, while it waits
OUTCOMES = ("done", "missed")
WHY = {
    bookings.Past: "console.calendar.past",
    bookings.Taken: "console.calendar.taken",
    bookings.HasOne: "console.calendar.has_one",
    bookings.NotAgreed: "console.calendar.not_agreed",
}


@dataclass(frozen=True, slots=True)
class Time:
    """One time of the week: `state` is free, over, closed, held, or that of the appointment there."""

    wall: str
    state: str
    counsellor: str = ""
    slot_id: int | None = None
    reference: str | None = None

    @property
    def hour(self) -> str:
        """On the office's clock."""
        return self.wall[11:]


@dataclass(frozen=True, slots=True)
class Asked:
    """An appointment that waits for the team, or for what the team knows of it."""

    reference: str
    status: str
    wall: str | None
    wishes: Sequence[tuple[str, str]]


async def calendar(visit: Visit) -> Response:
    """A week of one office."""
    shown = await _week(visit)
    if shown["office"] is not None:
        await visit.note("calendar.seen", shown["office"].id, week=shown["monday"].isoformat())
    return visit.show("calendar.html", **shown)


async def week(visit: Visit) -> Response:
    """The week alone, for a page that is open."""
    return visit.show("calendar_week.html", **await _week(visit))


async def live(visit: Visit) -> Response:
    """Events: one when the week is no longer what it was."""

    async def state() -> Any:
        shown = await _week(visit)
        return shown["days"], shown["asked"], shown["past"]

    seen = await state()

    async def changed(keys: set[int]) -> bool:
        nonlocal seen
        before, seen = seen, await state()
        return bool(before != seen)

    return visit.follow(changed)


async def _week(visit: Visit, error: str = "", done: str = "") -> dict[str, Any]:
    """What the page shows: the office and week of the address, or the first of theirs and this week."""
    given = visit.form or visit.request.query_params
    now = datetime.now(UTC)
    async with visit.console.database.session() as session:
        theirs = await reading.offices(session, visit.staff.offices)
        office = next((one for one in theirs if one.id == given.get("office", "")), None)
        if office is None and given.get("office"):
            raise NotThere
        if office is None and theirs:
            office = theirs[0]
        today = now.astimezone(ZoneInfo(office.zone)).date() if office is not None else now.date()
        monday = _day(given.get("week", ""), today)
        monday -= timedelta(days=monday.weekday())
        days: list[tuple[date, str, list[Time]]] = []
        asked: list[Asked] = []
        past: list[Asked] = []
        usual = False
        if office is not None:
            found = await _times(session, office, monday, now)
            usual = any(one.slot_id is not None for one in found) or not office.by_request
            for number in range(WEEK):
                day = monday + timedelta(days=number)
                own = [one for one in found if one.wall[:10] == day.isoformat()]
                days.append((day, _named(day, visit.language), own))
            asked = await _asked(session, visit, office, ("requested", "proposed"))
            past = await _asked(session, visit, office, ("past",))
    return {
        "office": office,
        "offices": theirs,
        "monday": monday,
        "today": today,
        "before": monday - timedelta(days=WEEK),
        "after": monday + timedelta(days=WEEK),
        "days": days,
        "asked": asked,
        "past": past,
        "usual": usual,
        "written": lambda wall: written(wall, visit.language),
        "acts": visit.may("POST", "/console/calendar/days"),
        "opens": visit.may("GET", "/console/appointments/{reference}"),
        "error": error,
        "done": done,
    }


async def _times(session: AsyncSession, office: Office, monday: date, now: datetime) -> list[Time]:
    """Every slot of this week with the appointment it has, and the appointments that have no slot."""
    since, until = monday.isoformat(), (monday + timedelta(days=WEEK)).isoformat()
    rows = await session.execute(
        select(Slot, Appointment.reference, Appointment.status, Appointment.held_until)
        .outerjoin(Appointment, (Appointment.slot_id == Slot.id) & Appointment.status.in_(("held", *SHOWN)))
        .where(Slot.office_id == office.id, Slot.wall >= since, Slot.wall < until)
        .order_by(Slot.wall, Slot.counsellor_id)
    )
    found = []
    for slot, reference, status, held_until in rows:
        if status == "held" and held_until is not None and held_until <= now:
            reference, status = "", ""
        free = "closed" if slot.status == "closed" else "over" if slot.starts_at <= now else "free"
        shown = None if status == "held" else reference or None
        found.append(Time(slot.wall, status or free, slot.counsellor_id, slot.id, shown))
    beside = await session.execute(
        select(Appointment.wall, Appointment.status, Appointment.reference)
        .where(Appointment.office_id == office.id, Appointment.slot_id.is_(None))
        .where(Appointment.status.in_(("proposed", *SHOWN)), Appointment.wall >= since, Appointment.wall < until)
    )
    found += [Time(wall or "", status, reference=reference) for wall, status, reference in beside]
    return sorted(found, key=lambda one: (one.wall, one.counsellor))


async def _asked(session: AsyncSession, visit: Visit, office: Office, statuses: Sequence[str]) -> list[Asked]:
    rows = await session.execute(
        select(Appointment, Person.key)
        .join(Person, Person.id == Appointment.person_id)
        .where(Appointment.office_id == office.id, Appointment.status.in_(statuses))
        .order_by(Appointment.created_at)
        .limit(reading.LISTED)
    )
    found = []
    for row, key in rows.all():
        answers = visit.console.database.vault.open(key, row.answers_sealed)
        wished = {name: answers[name] for name in ("mode", "office", "wish") if name in answers}
        wishes = await interviews.wishes(session, wished, visit.language)
        found.append(Asked(row.reference, row.status, row.wall, wishes))
    return found


def written(wall: str, language: Language) -> str:
    """A wall time as it stands in a list: day and hour."""
    moment = datetime.strptime(wall, times.WALL)  # noqa: DTZ007 (a wall time)
    day = str(format_skeleton("yMMMEd", moment, locale=Locale(language)))
    return i18n.western_digits(day) + f"\u2002\u2066{wall[11:]}\u2069"


def _named(day: date, language: Language) -> str:
    return i18n.western_digits(str(format_date(day, "EEEE d MMM", locale=Locale(language))))


def _day(given: str, otherwise: date) -> date:
    try:
        day = date.fromisoformat(given)
    except ValueError:
        return otherwise
    return day if 2000 < day.year < 9000 else otherwise


# --- times


async def days(visit: Visit) -> Response:
    """Open or close a whole day of an office; appointments that are there go on standing, and are named."""
    day = _day(visit.form.get("day", ""), date.min)
    do = visit.form.get("do", "")
    database = visit.console.database
    async with database.session() as session:
        office = next(
            (one for one in await reading.offices(session, visit.staff.offices) if one.id == visit.form.get("office")),
            None,
        )
        if office is None or day == date.min or do not in ("open", "close"):
            raise NotThere
        standing: Sequence[str] = ()
        if do == "open":
            number = await slots.reopen(session, office.id, day, day)
        else:
            number, standing = await slots.close(session, office.id, day, day)
        await wake(session, Lane.REMINDERS, 0)  # of nobody: open calendars are drawn anew
        detail: Mapping[str, str | int] = {"day": day.isoformat(), "times": number}
        await audit.record(session, database.vault, visit.staff.id, f"times.{do}", office.id, detail)
        await session.commit()
    done = visit.count("console.calendar.opened" if do == "open" else "console.calendar.closed", number)
    if standing:
        done += " " + visit.say("console.calendar.standing", references=", ".join(standing))
    return visit.show("calendar.html", **await _week(visit, done=done))


async def switch(visit: Visit) -> Response:
    """Open or close one time."""
    status, number = visit.form.get("status", ""), visit.number()
    database = visit.console.database
    async with database.session() as session:
        slot = await session.get(Slot, number)
        theirs = {one.id for one in await reading.offices(session, visit.staff.offices)}
        if slot is None or slot.office_id not in theirs or status not in ("open", "closed"):
            raise NotThere
        if await slots.switch(session, number, status):
            await wake(session, Lane.REMINDERS, 0)
            detail: Mapping[str, str | int] = {"wall": slot.wall, "slot": number}
            action = "times.open" if status == "open" else "times.close"
            await audit.record(session, database.vault, visit.staff.id, action, slot.office_id, detail)
            await session.commit()
            return visit.go(f"/console/calendar?office={slot.office_id}&week={slot.wall[:10]}")
    return visit.show("calendar.html", 409, **await _week(visit, error=visit.say("console.calendar.not_possible")))


# --- one appointment


async def appointment(visit: Visit) -> Response:
    """What was wished, what is fixed, and what can be done about it."""
    return await _appointment(visit, done=visit.request.query_params.get("done", ""))


async def _appointment(visit: Visit, error: str = "", status: int = 200, done: str = "") -> Response:
    database, reference = visit.console.database, visit.path("reference")
    async with database.session() as session:
        found = await reading.appointment(session, reference, visit.staff)
        if found is None:
            raise NotThere
        row, office, case = found
        answers = database.vault.open(case.key, row.answers_sealed)
        shown = {
            **await person.about(visit, session, case),
            "wishes": await interviews.wishes(session, answers, visit.language),
            **await _choosing(session, visit, office),
        }
        await audit.record(session, database.vault, visit.staff.id, "appointment.seen", reference)
        await session.commit()
    now = datetime.now(UTC)
    begun = row.starts_at is not None and row.starts_at <= now
    return visit.show(
        "appointment.html",
        status,
        row=row,
        case=case,
        begun=begun,
        confirms=row.status in ("requested", "proposed"),
        moves=row.status in ("confirmed", "reminded", "proposed") and not begun,
        cancels=row.status in ("requested", "proposed", "confirmed", "reminded") and not begun,
        judges=row.status in ("proposed", "confirmed", "reminded", "past") and begun,
        told=case.stopped_at is None and case.unreachable_at is None,
        error=error,
        done=done,
        **shown,
    )


async def _choosing(session: AsyncSession, visit: Visit, office: Office | None) -> dict[str, Any]:
    """The offices that are theirs, and the free times of the one that is meant."""
    theirs = await reading.offices(session, visit.staff.offices)
    if office is None or office.id not in {one.id for one in theirs}:
        office = theirs[0] if theirs else None
    free: list[str] = []
    if office is not None:
        found = await slots.free(session, datetime.now(UTC), {"office": office.id})
        free = list(dict.fromkeys(slot.wall for slot in found))[:OFFERED]
    return {
        "office": office,
        "offices": theirs,
        "free": free,
        "written": lambda wall: written(wall, visit.language),
    }


def _chosen(visit: Visit) -> str | None:
    """The time that was typed, or else chosen."""
    given = visit.form.get("other", "") or visit.form.get("wall", "")
    try:
        return datetime.strptime(given[:16], times.WALL).strftime(times.WALL)  # noqa: DTZ007 (a wall time)
    except ValueError:
        return None


Step = Callable[[str, appointments.Beside], Awaitable[Any]]


async def _step(visit: Visit, action: str, step: Step, **detail: str) -> Response:
    """Do it with an appointment of theirs and write it into the audit, both or neither; then show how it stands."""
    database, reference = visit.console.database, visit.path("reference")
    async with database.session() as session:
        if await reading.appointment(session, reference, visit.staff) is None:
            raise NotThere

    async def beside(session: AsyncSession) -> None:
        await audit.record(session, database.vault, visit.staff.id, action, reference, detail)

    try:
        result = await step(reference, beside)
    except bookings.NotPossible as refused:
        return await _appointment(visit, _why(visit, refused), 409)
    reference = result if isinstance(result, str) else reference
    return visit.go(f"/console/appointments/{reference}" + ("" if action == "appointment.done" else "?done=told"))


def _why(visit: Visit, refused: bookings.NotPossible) -> str:
    return visit.say(WHY.get(type(refused), "console.calendar.not_possible"))


async def confirm(visit: Visit) -> Response:
    """A request gets its time."""
    wall = _chosen(visit)
    if wall is None:
        return await _appointment(visit, visit.say("console.calendar.no_time"), 400)
    database = visit.console.database
    return await _step(
        visit,
        "appointment.confirmed",
        lambda reference, beside: appointments.agree(database, reference, wall, beside),
        wall=wall,
    )


async def move(visit: Visit) -> Response:
    """Another time for it, at this office or another of theirs."""
    wall, office = _chosen(visit), visit.form.get("office", "")
    if wall is None:
        return await _appointment(visit, visit.say("console.calendar.no_time"), 400)
    database = visit.console.database
    async with database.session() as session:
        if office not in {one.id for one in await reading.offices(session, visit.staff.offices)}:
            raise NotThere
    return await _step(
        visit,
        "appointment.moved",
        lambda reference, beside: appointments.move(database, reference, office, wall, beside),
        wall=wall,
        office=office,
    )


async def cancel(visit: Visit) -> Response:
    """The team cannot hold it."""
    database = visit.console.database
    return await _step(
        visit,
        "appointment.cancelled",
        lambda reference, beside: appointments.cancel(database, reference, beside),
    )


async def outcome(visit: Visit) -> Response:
    """It took place, or nobody came."""
    status, database = visit.form.get("status", ""), visit.console.database
    if status not in OUTCOMES:
        raise NotThere
    act = appointments.done if status == "done" else appointments.missed
    return await _step(visit, f"appointment.{status}", lambda reference, beside: act(database, reference, beside))


# --- booking for a person


async def booking(visit: Visit) -> Response:
    """The free times for the person of a conversation."""
    return await _booking(visit)


async def _booking(visit: Visit, error: str = "", status: int = 200) -> Response:
    reference = visit.path("reference")
    given = visit.form or visit.request.query_params
    async with visit.console.database.session() as session:
        found = await reading.handoff(session, reference, visit.staff)
        if found is None:
            raise NotThere
        one, case = found
        shown = await _choosing(session, visit, await session.get(Office, given.get("office", "")))
        agreed = await interviews.consented(session, case.person_id)
    return visit.show("book.html", status, one=one, case=case, agreed=agreed, modes=offices.MODES, error=error, **shown)


async def book(visit: Visit) -> Response:
    """The person gets this time, and is told."""
    wall, mode = _chosen(visit), visit.form.get("mode", "")
    if wall is None:
        return await _booking(visit, visit.say("console.calendar.no_time"), 400)
    database, reference = visit.console.database, visit.path("reference")
    async with database.session() as session:
        found = await reading.handoff(session, reference, visit.staff)
        office = visit.form.get("office", "")
        theirs = {one.id for one in await reading.offices(session, visit.staff.offices)}
        if found is None or office not in theirs or mode not in offices.MODES:
            raise NotThere
        one, case = found
        if one.status == "taken" and one.owner_id not in (None, visit.staff.id):
            owner = (await reading.names(session)).get(one.owner_id, "") if one.owner_id else ""
            lost = handoffs.Taken(reference, name=owner)
            return await _booking(visit, visit.say(lost.say, **lost.values), 409)

    async def beside(session: AsyncSession) -> None:
        detail = {"wall": wall, "office": office}
        await audit.record(session, database.vault, visit.staff.id, "appointment.booked", reference, detail)

    agreed = visit.form.get("agreed") == "on"
    try:
        booked = await appointments.book(database, case.conversation_id, office, wall, mode, agreed, beside)
    except bookings.NotPossible as refused:
        return await _booking(visit, _why(visit, refused), 409)
    return visit.go(f"/console/appointments/{booked}?done=told")


HANDLERS: Mapping[tuple[str, str], Handler] = {
    ("GET", "/console/calendar"): calendar,
    ("GET", "/console/calendar/week"): week,
    ("GET", "/console/calendar/live"): live,
    ("POST", "/console/calendar/days"): days,
    ("POST", "/console/calendar/slots/{id}"): switch,
    ("GET", "/console/appointments/{reference}"): appointment,
    ("POST", "/console/appointments/{reference}/confirm"): confirm,
    ("POST", "/console/appointments/{reference}/move"): move,
    ("POST", "/console/appointments/{reference}/cancel"): cancel,
    ("POST", "/console/appointments/{reference}/outcome"): outcome,
    ("GET", "/console/handoffs/{reference}/book"): booking,
    ("POST", "/console/handoffs/{reference}/book"): book,
}
