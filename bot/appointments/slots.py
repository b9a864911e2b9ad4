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
from sqlalchemy.orm import aliased

from bot.appointments import offices, times
from bot.assistant.forms import SKIPPED
from bot.db.models import Appointment, Counsellor, Office, Slot

HOLD = timedelta(minutes=10)  # how long a time is kept for a person who decides
LEAD = timedelta(hours=4)  # nobody books for sooner
TAKEN = ("held", "confirmed", "reminded")
_other = aliased(Slot)
# a time that meets an interview which the team gave the same counsellor off the usual times is not for choosing
_CLOSE_MET = (
    update(Slot)
    .where(Slot.status == "open")
    .where(
        select(literal(1))
        .select_from(Appointment)
        .join(_other, _other.id == Appointment.slot_id)
        .where(_other.counsellor_id == Slot.counsellor_id, _other.id != Slot.id)
        .where(Appointment.status.in_(TAKEN))
        .where(Appointment.starts_at > Slot.starts_at - func.make_interval(0, 0, 0, 0, 0, Slot.minutes))
        .where(Appointment.starts_at < Slot.starts_at + func.make_interval(0, 0, 0, 0, 0, Slot.minutes))
        .exists()
    )
    .values(status="closed")
    .execution_options(synchronize_session=False)
)


async def generate(session: AsyncSession, since: date, until: date, office_id: str | None = None) -> int:
    """Make the slots of these days that are missing, both days included; how many."""
    made = 0
    for office in await offices.choosable(session):
        if office.by_request or office_id not in (None, office.id):
            continue
        await _alone(session, office.id)
        closed = await offices.closed_days(session, office)
        team = await _team(session, office)
        standing = await _standing(session, team, since, until)
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
            if not any(_meet(wall, office.minutes, *other) for other in standing.get((counsellor.id, wall[:10]), ()))
        ]
        for start in range(0, len(rows), 1000):
            fresh = await session.scalars(
                insert(Slot).values(rows[start : start + 1000]).on_conflict_do_nothing().returning(Slot.id)
            )
            made += len(fresh.all())
        await session.execute(_CLOSE_MET.where(Slot.office_id == office.id, Slot.wall >= since.isoformat()))
    return made


async def _standing(
    session: AsyncSession, team: Sequence[Counsellor], since: date, until: date
) -> Mapping[tuple[str, str], list[tuple[str, int]]]:
    """When the team is booked out already, by counsellor and day: made before the office's hours were changed."""
    found: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for row in await session.execute(
        select(Slot.counsellor_id, Slot.wall, Slot.minutes)
        .where(Slot.counsellor_id.in_([one.id for one in team]))
        .where(Slot.wall >= since.isoformat(), Slot.wall < (until + timedelta(days=1)).isoformat())
    ):
        found.setdefault((row.counsellor_id, row.wall[:10]), []).append((row.wall, row.minutes))
    return found


def _meet(wall: str, minutes: int, other: str, others_minutes: int) -> bool:
    """Whether two times of one day overlap. The same time again is the same slot: the table knows it."""
    start, begins = datetime.strptime(wall, times.WALL), datetime.strptime(other, times.WALL)  # noqa: DTZ007 (wall times)
    ends = begins + timedelta(minutes=others_minutes)
    return wall != other and start < ends and begins < start + timedelta(minutes=minutes)


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


async def reopen(session: AsyncSession, office_id: str, since: date, until: date) -> int:
    """These days can be booked: what was closed is open, what is missing by the office's hours is made; how many.

    A time that was closed because the team gave it, or one beside it, to somebody stays so.
    """
    of_these = (
        (Slot.office_id == office_id)
        & (Slot.wall >= since.isoformat())
        & (Slot.wall < (until + timedelta(days=1)).isoformat())
    )
    number = await generate(session, since, until, office_id)
    for slot_id in (await session.scalars(select(Slot.id).where(of_these, Slot.status == "closed"))).all():
        number += await switch(session, slot_id, "open")
    return number


async def switch(session: AsyncSession, slot_id: int, status: str) -> bool:
    """Open or close one time; False when that is not possible: it is so already, or would meet another one."""
    slot = await session.get(Slot, slot_id)
    if slot is None:
        return False
    office = await _alone(session, slot.office_id)
    if status == "open":
        length = timedelta(minutes=office.minutes)
        other = await session.scalar(
            select(Slot.id)
            .where(Slot.counsellor_id == slot.counsellor_id, Slot.status == "open", Slot.id != slot_id)
            .where(Slot.starts_at > slot.starts_at - length, Slot.starts_at < slot.starts_at + length)
            .limit(1)
        )
        if other is not None or slot.counsellor_id not in await _free_team(session, office, slot.starts_at):
            return False
    changed = await session.scalar(
        update(Slot).where(Slot.id == slot_id, Slot.status != status).values(status=status).returning(Slot.id)
    )
    return changed is not None


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
        .where(Slot.status == "open", Slot.starts_at > now + LEAD, ~taken.exists())
        .where(Office.active, Counsellor.active)
        .order_by(Slot.starts_at, Slot.id)
        .limit(2000)
    )
    if wishes.get("mode"):
        found = found.where(Counsellor.modes.contains([wishes["mode"]]))
    if wishes.get("office"):
        found = found.where(Slot.office_id == wishes["office"])
    if wishes.get("language") not in (None, SKIPPED) and wishes.get("interpreter") != "yes":
        found = found.where(Counsellor.languages.contains([wishes["language"]]))
    if wishes.get("gender") in offices.GENDERS:
        found = found.where(Counsellor.gender == wishes["gender"])
    return list(await session.scalars(found))


async def hold(session: AsyncSession, appointment: Appointment, slot: Slot, now: datetime) -> bool:
    """Keep the slot for this draft; False when somebody else has it. The database decides, not the order of looks."""
    await _let_go(session, slot.id, appointment.id, now)
    # who closes the slot waits until this is written, and the other way round
    open_ = await session.scalar(
        select(Slot.id).where(Slot.id == slot.id, Slot.status == "open").with_for_update(read=True)
    )
    try:
        async with session.begin_nested():
            kept = await session.scalar(
                update(Appointment)
                .where(Appointment.id == appointment.id, Appointment.status.in_(["draft", "held"]))
                .where(literal(open_ is not None))
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


async def take(session: AsyncSession, appointment: Appointment, office_id: str, wall: str, now: datetime) -> bool:
    """Give this appointment a time that the team chose, open or not, with whoever is free then; False: nobody is.

    Those of one office go one after the other: its row is locked. What the person chose in the chat at the same moment
    is seen by the lock of the slot, or refused by the unique index.
    """
    office = await _alone(session, office_id)
    starts_at = times.instant(wall, office.zone)
    own = [appointment.id, *([appointment.replaces_id] if appointment.replaces_id is not None else [])]
    team = await _free_team(session, office, starts_at, own)
    some = await session.scalar(
        select(Counsellor.id).where(Counsellor.office_id == office.id, Counsellor.active).limit(1)
    )
    beside = await _without_slot(session, office, starts_at, own)
    if some is None:
        if beside >= office.capacity:
            return False
        await _give(session, appointment, office, wall, starts_at, None, now)
        return True
    for counsellor_id in team[beside:]:
        slot_id = await _slot(session, office, counsellor_id, wall, starts_at)
        # nobody chooses what would end after this begins, or begin before it ends
        length = timedelta(minutes=office.minutes)
        await session.execute(
            update(Slot)
            .where(Slot.counsellor_id == counsellor_id, Slot.status == "open", Slot.id != slot_id)
            .where(Slot.starts_at > starts_at - length, Slot.starts_at < starts_at + length)
            .values(status="closed")
        )
        if counsellor_id not in await _free_team(session, office, starts_at, own):
            continue  # somebody was faster
        await _let_go(session, slot_id, appointment.id, now)
        try:
            async with session.begin_nested():
                await _give(session, appointment, office, wall, starts_at, slot_id, now)
        except IntegrityError:
            continue
        return True
    return False


async def _alone(session: AsyncSession, office_id: str) -> Office:
    """The office, whose times nobody else of the team gives away until this transaction ends."""
    found = await session.scalars(select(Office).where(Office.id == office_id).with_for_update(key_share=True))
    return found.one()


async def _free_team(
    session: AsyncSession, office: Office, starts_at: datetime, own: Sequence[int] = ()
) -> Sequence[str]:
    """Who of the office's counsellors has no interview that meets one beginning then; `own` do not count."""
    length = timedelta(minutes=office.minutes)
    meets = (
        select(literal(1))
        .select_from(Appointment)
        .join(Slot, Slot.id == Appointment.slot_id)
        .where(Slot.counsellor_id == Counsellor.id, Appointment.status.in_(TAKEN), Appointment.id.not_in(own))
        .where(or_(Appointment.status != "held", Appointment.held_until > func.now()))
        .where(Appointment.starts_at > starts_at - length, Appointment.starts_at < starts_at + length)
    )
    team = (
        select(Counsellor.id)
        .where(Counsellor.office_id == office.id, Counsellor.active)
        .order_by(Counsellor.id)
        .limit(office.capacity)
    )
    found = await session.scalars(
        select(Counsellor.id).where(Counsellor.id.in_(team), ~meets.exists()).order_by(Counsellor.id)
    )
    return list(found)


async def _without_slot(session: AsyncSession, office: Office, starts_at: datetime, own: Sequence[int]) -> int:
    """How many interviews meet that time at this office without being anybody's."""
    length = timedelta(minutes=office.minutes)
    number = await session.scalar(
        select(func.count())
        .where(Appointment.office_id == office.id, Appointment.slot_id.is_(None), Appointment.id.not_in(own))
        .where(Appointment.status.in_(TAKEN))
        .where(Appointment.starts_at > starts_at - length, Appointment.starts_at < starts_at + length)
    )
    return number or 0


async def _slot(session: AsyncSession, office: Office, counsellor_id: str, wall: str, starts_at: datetime) -> int:
    """The counsellor's slot at this time; one that is made now is closed: it is not for choosing."""
    values = {"office_id": office.id, "counsellor_id": counsellor_id, "wall": wall, "zone": office.zone,
              "starts_at": starts_at, "minutes": office.minutes, "status": "closed"}  # fmt: skip
    made: int | None = await session.scalar(insert(Slot).values(values).on_conflict_do_nothing().returning(Slot.id))
    if made is not None:
        return made
    known = await session.scalars(
        select(Slot.id).where(Slot.counsellor_id == counsellor_id, Slot.wall == wall).with_for_update(key_share=True)
    )
    return known.one()


async def _give(
    session: AsyncSession,
    appointment: Appointment,
    office: Office,
    wall: str,
    starts_at: datetime,
    slot_id: int | None,
    now: datetime,
) -> None:
    await session.execute(
        update(Appointment)
        .where(Appointment.id == appointment.id)
        .values(
            slot_id=slot_id,
            office_id=office.id,
            wall=wall,
            zone=office.zone,
            starts_at=starts_at,
            status="confirmed" if appointment.status in ("requested", "proposed") else "held",
            held_until=None if appointment.status in ("requested", "proposed") else now + HOLD,
            updated_at=now,
        )
        .execution_options(synchronize_session=False)
    )
    await session.refresh(appointment)


async def _let_go(session: AsyncSession, slot_id: int, but: int, now: datetime) -> None:
    """Who held this slot for too long holds it no more."""
    lapsed = (Appointment.slot_id == slot_id) & (Appointment.status == "held") & (Appointment.held_until <= now)
    await session.execute(
        update(Appointment)
        .where(lapsed, Appointment.id != but)
        .values(status="draft", slot_id=None, held_until=None, asked="time")
        .execution_options(synchronize_session=False)
    )
