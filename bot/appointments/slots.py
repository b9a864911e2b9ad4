"""Times that can be booked: made from the offices' hours, closed by staff, held while a person decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from bot.appointments import offices, times
from bot.db.models import Appointment, Counsellor, Office, Slot

HOLD = timedelta(minutes=10)  # how long a time is kept for a person who decides
LEAD = timedelta(hours=4)  # nobody books for sooner
TAKEN = ("held", "confirmed", "reminded")


async def generate(session: AsyncSession, since: date, until: date, office_id: str | None = None) -> int:
    """Make the slots of these days that are missing, both days included; how many."""
    made = 0
    for office in await offices.choosable(session):
        if office.by_request or office_id not in (None, office.id):
            continue
        closed = await offices.closed_days(session, office)
        team = await _team(session, office)
        rows = [
            {
                "office_id": office.id,
                "counsellor_id": counsellor.id,
                "wall": wall,
                "zone": office.zone,
                "starts_at": times.instant(wall, office.zone),
                "minutes": office.minutes,
            }
            for wall in _walls(office, since, until, closed)
            for counsellor in team
        ]
        for start in range(0, len(rows), 1000):
            fresh = await session.scalars(
                insert(Slot).values(rows[start : start + 1000]).on_conflict_do_nothing().returning(Slot.id)
            )
            made += len(fresh.all())
    return made


def _walls(office: Office, since: date, until: date, closed: set[str]) -> Iterator[str]:
    """The beginnings of this office's interviews, on its own clock."""
    for number in range((until - since).days + 1):
        day = since + timedelta(days=number)
        iso = day.isoformat()
        if iso in closed or iso[5:] in closed:
            continue
        special = [one for one in office.hours if "between" in one and one["between"][0] <= iso <= one["between"][1]]
        for hours in special or [one for one in office.hours if "between" not in one]:
            if day.weekday() not in hours["days"]:
                continue
            start = datetime.combine(day, time.fromisoformat(hours["from"]))
            end = datetime.combine(day, time.fromisoformat(hours["until"]))
            while start + timedelta(minutes=office.minutes) <= end:
                yield start.strftime(times.WALL)
                start += timedelta(minutes=office.minutes)


async def fit(session: AsyncSession, office: Office, now: datetime) -> tuple[int, list[str]]:
    """After the office changed: the times to come follow, as far as there are any. Appointments stay as they are.

    How many free times went, and the references of the appointments that stand outside the office's hours now.
    """
    coming = (Slot.office_id == office.id) & (Slot.starts_at > now)
    last = await session.scalar(select(func.max(Slot.wall)).where(coming))
    if last is None:
        return 0, []
    since, until = now.astimezone(ZoneInfo(office.zone)).date(), date.fromisoformat(last[:10])
    team = set() if office.by_request else {one.id for one in await _team(session, office)}
    walls = set(_walls(office, since, until, await offices.closed_days(session, office)))
    unfit = [
        slot
        for slot in await session.scalars(select(Slot).where(coming).with_for_update())
        if slot.wall not in walls
        or slot.counsellor_id not in team
        or (slot.zone, slot.minutes) != (office.zone, office.minutes)
    ]
    numbers = [slot.id for slot in unfit]
    # locked above: nobody takes one of them from here on; whoever had one keeps it
    taken = await session.scalars(select(Appointment.slot_id).where(Appointment.slot_id.in_(numbers)))
    kept = set(taken.all())
    gone = [slot.id for slot in unfit if slot.id not in kept and slot.status == "open"]
    await session.execute(delete(Slot).where(Slot.id.in_(gone)))
    await session.execute(update(Slot).where(Slot.id.in_(kept), Slot.status == "open").values(status="closed"))
    await generate(session, since, until, office.id)
    outside = await session.scalars(
        select(Appointment.reference)
        .where(Appointment.slot_id.in_(kept), Appointment.status.in_(["confirmed", "reminded"]))
        .order_by(Appointment.starts_at)
    )
    return len(gone), list(outside)


async def _team(session: AsyncSession, office: Office) -> Sequence[Counsellor]:
    """Those who lead interviews in this office, as many at once as it has room for."""
    return list(
        await session.scalars(
            select(Counsellor)
            .where(Counsellor.office_id == office.id, Counsellor.active)
            .order_by(Counsellor.id)
            .limit(office.capacity)
        )
    )


async def close(session: AsyncSession, office_id: str, since: date, until: date) -> tuple[int, list[str]]:
    """Nobody can book these days any more: how many slots, and the references of the appointments there already."""
    of_these = (
        (Slot.office_id == office_id)
        & (Slot.wall >= since.isoformat())
        & (Slot.wall < (until + timedelta(days=1)).isoformat())
    )
    closed = await session.scalars(
        update(Slot).where(of_these, Slot.status == "open").values(status="closed").returning(Slot.id)
    )
    number = len(closed.all())
    booked = await session.scalars(
        select(Appointment.reference)
        .join(Slot, Slot.id == Appointment.slot_id)
        .where(of_these, Appointment.status.in_(["confirmed", "reminded"]))
        .order_by(Appointment.starts_at)
    )
    return number, list(booked)


async def listing(session: AsyncSession, since: datetime) -> Sequence[Any]:
    """The slots from now on: `wall`, `zone`, `office_id`, `counsellor_id`, `status`, and the `reference` there."""
    return (
        await session.execute(
            select(
                Slot.wall, Slot.zone, Slot.office_id, Slot.counsellor_id, Slot.status,
                func.coalesce(Appointment.reference, "").label("reference"),
            )
            .outerjoin(Appointment, (Appointment.slot_id == Slot.id) & Appointment.status.in_(TAKEN))
            .where(Slot.starts_at >= since)
            .order_by(Slot.starts_at, Slot.counsellor_id)
        )
    ).all()  # fmt: skip


async def free(session: AsyncSession, now: datetime, wishes: Mapping[str, Any], own: int | None = None) -> list[Slot]:
    """The slots that nobody has and that fit these wishes, the soonest first.

    `wishes`: mode, office, language, interpreter, gender, as the person gave them. `own`: an appointment whose own
    hold does not count.
    """
    taken = (
        select(literal(1))
        .where(Appointment.slot_id == Slot.id, Appointment.status.in_(TAKEN))
        .where(or_(Appointment.status != "held", Appointment.held_until > now))
        .where(Appointment.id != (own or 0))
    )
    found = (
        select(Slot)
        .join(Counsellor, Counsellor.id == Slot.counsellor_id)
        .join(Office, Office.id == Slot.office_id)
        .where(Slot.status == "open", Slot.starts_at > now + LEAD, Office.active, ~taken.exists())
        .order_by(Slot.starts_at, Slot.id)
        .limit(2000)
    )
    if wishes.get("mode"):
        found = found.where(Counsellor.modes.contains([wishes["mode"]]))
    if wishes.get("office"):
        found = found.where(Slot.office_id == wishes["office"])
    if wishes.get("language") and wishes.get("interpreter") != "yes":
        found = found.where(Counsellor.languages.contains([wishes["language"]]))
    if wishes.get("gender") in offices.GENDERS:
        found = found.where(Counsellor.gender == wishes["gender"])
    return list(await session.scalars(found))


async def hold(session: AsyncSession, appointment: Appointment, slot: Slot, now: datetime) -> bool:
    """Keep the slot for this draft; False when somebody else has it. The database decides, not the order of looks."""
    lapsed = (Appointment.slot_id == slot.id) & (Appointment.status == "held") & (Appointment.held_until <= now)
    await session.execute(
        update(Appointment)
        .where(lapsed, Appointment.id != appointment.id)
        .values(status="draft", slot_id=None, held_until=None, asked="time")
        .execution_options(synchronize_session=False)
    )
    try:
        async with session.begin_nested():
            kept = await session.scalar(
                update(Appointment)
                .where(Appointment.id == appointment.id, Appointment.status.in_(["draft", "held"]))
                .where(select(literal(1)).where(Slot.id == slot.id, Slot.status == "open").exists())
                .values(
                    status="held",
                    slot_id=slot.id,
                    office_id=slot.office_id,
                    wall=slot.wall,
                    zone=slot.zone,
                    starts_at=slot.starts_at,
                    held_until=now + HOLD,
                    updated_at=now,
                )
                .returning(Appointment.id)
                .execution_options(synchronize_session=False)
            )
    except IntegrityError:
        kept = None
    await session.refresh(appointment)
    return kept is not None
