"""What becomes of an appointment: booked, asked for, moved, cancelled, kept or missed. Each tells the case backend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.appointments import offices, slots, times
from bot.cases import events
from bot.db.models import Appointment, Office, Reminder, Request, Slot

OPEN = ("requested", "proposed", "confirmed", "reminded")
DRAFT = ("draft", "held")
REMINDERS = (48, 3)  # hours before
UNANSWERED = 0  # in the place of hours: by then a wish or a proposal should have had its answer
ANSWERED_WITHIN = timedelta(days=3)  # a wish for any time
WORTH = timedelta(hours=1)  # a reminder that would come sooner than this after the booking says nothing new
DRAFT_LIFE = timedelta(days=1)  # after the last word about it
HOME_ZONE = "Africa/Casablanca"  # of a wish for no office
LATE = timedelta(hours=2)  # after its time an appointment is still what the person means by « my appointment »
LIVE = ("open", "acknowledged")  # of a request
OVER = ("past", "rescheduled", "cancelled", "done", "missed")
OVER_LIFE = timedelta(days=90)  # how long one that is over is kept
# what may follow on what; everything else is a fault
NEXT: Mapping[str, tuple[str, ...]] = {
    "draft": ("held", "requested"),
    "held": ("draft", "confirmed", "requested"),
    "requested": ("proposed", "confirmed", "rescheduled", "cancelled"),
    "proposed": ("confirmed", "rescheduled", "cancelled", "past", "done", "missed"),
    "confirmed": ("reminded", "rescheduled", "cancelled", "past", "done", "missed"),
    "reminded": ("rescheduled", "cancelled", "past", "done", "missed"),
    "past": ("done", "missed"),
    "rescheduled": (),
    "cancelled": (),
    "done": (),
    "missed": (),
}
LANGUAGES = ("fr", "en", "ar")  # of interviews, as the case backend is told them; every other is `other`


class NotPossible(Exception):
    """The appointment is not in a state for this, or there is none; the text says which.

    NotPossible
    ├── Past       the time is over
    ├── Taken      nobody of the office is free then
    ├── HasOne     the person has an appointment that is still to come
    └── NotAgreed  the person did not agree to interviews
    """


class Past(NotPossible):
    """The time is over."""


class Taken(NotPossible):
    """Nobody of the office is free at this time."""


class HasOne(NotPossible):
    """The person has an appointment that is still to come."""


class NotAgreed(NotPossible):
    """The person did not agree to interviews."""


async def open_of(session: AsyncSession, person_id: int) -> Appointment | None:
    """The person's appointment that is still to come, locked."""
    return await _locked(session, Appointment.person_id == person_id, Appointment.status.in_(OPEN))


async def draft_of(session: AsyncSession, draft_id: int) -> Appointment | None:
    """This draft, locked; None when it is none any more."""
    return await _locked(session, Appointment.id == draft_id, Appointment.status.in_(DRAFT))


async def named(session: AsyncSession, reference: str) -> Appointment:
    """The appointment of this reference, locked. Raises `NotPossible`."""
    found = await _locked(session, Appointment.reference == reference)
    if found is None:
        raise NotPossible(f"there is no appointment {reference}")
    return found


async def _locked(session: AsyncSession, *which: ColumnElement[bool]) -> Appointment | None:
    """The one that this describes, as it is now, held until the transaction ends."""
    query = select(Appointment).where(*which).with_for_update().execution_options(populate_existing=True)
    found: Appointment | None = await session.scalar(query)
    return found


async def missed(session: AsyncSession, person_id: int) -> int:
    """How many interviews this person missed."""
    return int(
        await session.scalar(
            select(func.count()).where(Appointment.person_id == person_id, Appointment.status == "missed")
        )
        or 0
    )


async def drop_draft(session: AsyncSession, person_id: int) -> None:
    """Forget what was answered so far, and let go the time that was held."""
    await session.execute(delete(Appointment).where(Appointment.person_id == person_id, Appointment.status.in_(DRAFT)))


async def settle(
    session: AsyncSession, appointment: Appointment, status: str, answers: Mapping[str, Any], now: datetime
) -> None:
    """A draft becomes `confirmed` (its slot is held) or `requested`; what it replaces ends in the same moment."""
    moved = None
    if appointment.replaces_id is not None:
        moved = await _locked(session, Appointment.id == appointment.replaces_id, Appointment.status.in_(OPEN))
        if moved is not None:
            step(moved, "rescheduled", now)
            await forget_reminders(session, moved)
            await session.flush()  # before the other: a person has one that is open
    step(appointment, status, now)
    appointment.held_until = None
    appointment.asked = None
    await session.flush()
    kind = "interview.requested" if status == "requested" else "interview.moved" if moved else "interview.booked"
    await tell(session, appointment, kind, now, answers, replaced=moved.reference if moved else None)
    if status == "confirmed":
        await remind(session, appointment, now)
    else:
        await _watch(session, appointment, await _day_after(session, appointment, answers, now))


def step(appointment: Appointment, status: str, now: datetime) -> None:
    """Go on to this status. Raises `NotPossible` when that does not follow."""
    if status not in NEXT[appointment.status]:
        raise NotPossible(f"{appointment.reference} is {appointment.status}: it cannot be {status}")
    appointment.status = status
    appointment.updated_at = now


async def agree(
    session: AsyncSession, appointment: Appointment, wall: str, answers: Mapping[str, Any], now: datetime
) -> None:
    """Staff confirm a request for this time on the office's clock. Raises `NotPossible`."""
    if appointment.office_id is None:
        raise NotPossible(f"{appointment.reference} has no office")
    if "confirmed" not in NEXT[appointment.status]:
        raise NotPossible(f"{appointment.reference} is {appointment.status}: it cannot be confirmed")
    await _take(session, appointment, appointment.office_id, wall, now)
    await forget_reminders(session, appointment, all_of_them=True)  # of a time that was proposed before
    await tell(session, appointment, "interview.booked", now, answers)
    await remind(session, appointment, now)


async def fix(
    session: AsyncSession, draft: Appointment, office_id: str, wall: str, answers: Mapping[str, Any], now: datetime
) -> None:
    """Staff give a draft this time: it is confirmed, and what it replaces ends. Raises `NotPossible`."""
    await _take(session, draft, office_id, wall, now)
    await settle(session, draft, "confirmed", answers, now)


async def _take(session: AsyncSession, appointment: Appointment, office_id: str, wall: str, now: datetime) -> None:
    office = await session.get(Office, office_id)
    if office is None:
        raise NotPossible(f"there is no office {office_id}")
    if times.instant(wall, office.zone) <= now:
        raise Past(f"{wall} is past")
    if not await slots.take(session, appointment, office_id, wall, now):
        raise Taken(f"nobody is free at {wall}")


async def propose(session: AsyncSession, appointment: Appointment, at: datetime, zone: str, now: datetime) -> None:
    """The case backend proposes a time for a request, or another one: it waits for the person's yes."""
    if appointment.status != "proposed":
        step(appointment, "proposed", now)
    appointment.wall, appointment.zone, appointment.starts_at = times.wall_of(at, zone), zone, at
    appointment.updated_at = now
    await session.flush()
    await forget_reminders(session, appointment, all_of_them=True)  # one that went spoke of another time
    await remind(session, appointment, now)


async def accept(session: AsyncSession, appointment: Appointment, answers: Mapping[str, Any], now: datetime) -> None:
    """The person says yes to the time that was proposed."""
    step(appointment, "confirmed", now)
    await session.execute(
        delete(Reminder).where(Reminder.appointment_id == appointment.id, Reminder.hours == UNANSWERED)
    )
    await session.flush()
    await tell(session, appointment, "interview.booked", now, answers)


async def cancel(session: AsyncSession, appointment: Appointment, by: str, now: datetime) -> None:
    """It does not take place; its time is free again. `by`: person, team, or erased."""
    step(appointment, "cancelled", now)
    await forget_reminders(session, appointment)
    await session.flush()
    await events.record(
        session,
        type_="interview.cancelled",
        key=f"interview.cancelled:{appointment.reference}",
        person_id=appointment.person_id,
        occurred_at=now,
        data={"ref": appointment.reference, "by": by},
    )


async def outcome(session: AsyncSession, appointment: Appointment, status: str, now: datetime) -> None:
    """It took place (`done`) or the person did not come (`missed`). Raises `NotPossible` before its time."""
    if appointment.starts_at is None or appointment.starts_at > now:
        raise NotPossible(f"{appointment.reference} is still to come")
    step(appointment, status, now)
    await forget_reminders(session, appointment)
    await session.flush()
    await events.record(
        session,
        type_=f"interview.{status}",
        key=f"interview.{status}:{appointment.reference}",
        person_id=appointment.person_id,
        occurred_at=now,
        data={"ref": appointment.reference},
    )


async def tell(
    session: AsyncSession,
    appointment: Appointment,
    kind: str,
    now: datetime,
    answers: Mapping[str, Any],
    replaced: str | None = None,
) -> None:
    """Tell the case backend where, when and with what wishes: no name, no number, nothing that was typed."""
    request = await session.scalar(
        select(Request.reference)
        .where(Request.person_id == appointment.person_id, Request.status.in_(LIVE))
        .order_by(Request.id.desc())
        .limit(1)
    )
    wanted = answers.get("language")
    language = wanted if wanted in (*LANGUAGES, None, "skip") else "other"
    await events.record(
        session,
        type_=kind,
        key=f"{kind}:{appointment.reference}",
        person_id=appointment.person_id,
        occurred_at=now,
        data={
            "ref": appointment.reference,
            "request": request,
            "replaces": replaced,
            "mode": answers.get("mode") if answers.get("mode") in offices.MODES else None,
            "office": appointment.office_id,
            "starts_at": appointment.starts_at.isoformat() if appointment.starts_at else None,
            "wall": appointment.wall,
            "zone": appointment.zone,
            "wishes": {
                "language": None if language == "skip" else language,
                "interpreter": answers.get("interpreter") == "yes",
                "interviewer": answers.get("gender") if answers.get("gender") in ("woman", "man") else None,
                "accompanied": answers.get("companion") == "with",
                "access": answers.get("access") not in (None, "none", "skip"),
            },
        },
    )


# reminders


async def remind(session: AsyncSession, appointment: Appointment, now: datetime) -> None:
    """Plan the reminders, as far as they are still worth something; planned already, they move with the time."""
    if appointment.starts_at is None or appointment.zone is None:
        return
    for hours in REMINDERS:
        due_at = times.awake(appointment.starts_at - timedelta(hours=hours), appointment.zone)
        if due_at < now + WORTH:
            continue
        row = insert(Reminder).values(appointment_id=appointment.id, hours=hours, due_at=due_at)
        await session.execute(
            row.on_conflict_do_update(
                index_elements=["appointment_id", "hours"], set_={"due_at": due_at}, where=Reminder.done_at.is_(None)
            )
        )
    if appointment.status == "proposed":
        await _watch(session, appointment, times.rested(appointment.starts_at, appointment.zone))


async def _watch(session: AsyncSession, appointment: Appointment, due_at: datetime) -> None:
    """Plan when the team is reminded of what nobody has answered."""
    row = insert(Reminder).values(appointment_id=appointment.id, hours=UNANSWERED, due_at=due_at)
    await session.execute(
        row.on_conflict_do_update(
            index_elements=["appointment_id", "hours"], set_={"due_at": due_at}, where=Reminder.done_at.is_(None)
        )
    )


async def _day_after(
    session: AsyncSession, appointment: Appointment, answers: Mapping[str, Any], now: datetime
) -> datetime:
    """The morning after the day that was wished for; after some days for who has time at any."""
    office = await session.get(Office, appointment.office_id) if appointment.office_id else None
    zone = office.zone if office is not None else HOME_ZONE
    wish = str(answers.get("wish", "any"))
    if wish == "any":
        return times.rested(now + ANSWERED_WITHIN, zone)
    return times.morning(date.fromisoformat(wish[:10]) + timedelta(days=1), zone)


async def forget_reminders(session: AsyncSession, appointment: Appointment, all_of_them: bool = False) -> None:
    """None of them goes any more; with `all_of_them` those that went may go again, at another time."""
    gone = delete(Reminder).where(Reminder.appointment_id == appointment.id)
    await session.execute(gone if all_of_them else gone.where(Reminder.done_at.is_(None)))


async def recompute(session: AsyncSession, now: datetime) -> Sequence[str]:
    """After a change of time zone rules: what was agreed on the clock stays, its UTC and its reminders follow.

    The references of the appointments that moved in UTC. Costs one look at what is still to come.
    """
    for slot in await session.scalars(select(Slot).where(Slot.starts_at > now - timedelta(hours=2))):
        moment = times.instant(slot.wall, slot.zone)
        if moment != slot.starts_at:
            slot.starts_at = moment
    moved = []
    coming = select(Appointment).where(
        Appointment.status.in_([*OPEN, *DRAFT]), Appointment.starts_at > now - timedelta(hours=2)
    )
    for appointment in await session.scalars(coming.with_for_update()):
        if appointment.wall is None or appointment.zone is None:
            continue
        moment = times.instant(appointment.wall, appointment.zone)
        if moment != appointment.starts_at:
            appointment.starts_at = moment
            moved.append(appointment.reference)
            if appointment.status in OPEN:
                await remind(session, appointment, now)
    await session.flush()
    return moved


async def tidy(session: AsyncSession, now: datetime) -> Counter[str]:
    """Forget drafts that nobody went on with, and appointments that are long over; how many of each status."""
    unfinished = Appointment.status.in_(DRAFT) & (Appointment.updated_at < now - DRAFT_LIFE)
    over = Appointment.status.in_(OVER) & (
        func.greatest(Appointment.updated_at, Appointment.starts_at) < now - OVER_LIFE
    )
    gone = await session.scalars(delete(Appointment).where(unfinished | over).returning(Appointment.status))
    return Counter(gone.all())


async def listing(session: AsyncSession, statuses: Sequence[str] = OPEN) -> Sequence[Any]:
    """Appointments in these states: reference, status, office, wall, zone. Nothing about whom."""
    return (
        await session.execute(
            select(Appointment.reference, Appointment.status, Appointment.office_id, Appointment.wall, Appointment.zone)
            .where(Appointment.status.in_(statuses))
            .order_by(Appointment.starts_at.nulls_first(), Appointment.id)
        )
    ).all()


async def leave_behind(session: AsyncSession, now: datetime, person_id: int | None = None) -> None:
    """What was due is past, kept or not (staff say which); it stands in the way of no new appointment.

    What is agreed is so only a while after it began: who is late asks for it still. A proposal ends with its time.
    """
    due = (Appointment.status == "proposed") & (Appointment.starts_at <= now)
    due |= Appointment.status.in_(["confirmed", "reminded"]) & (Appointment.starts_at < now - LATE)
    if person_id is not None:
        due &= Appointment.person_id == person_id
    await session.execute(update(Appointment).where(due).values(status="past", updated_at=now))
