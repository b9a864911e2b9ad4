"""Enrolments and their check-ins: planned, sent, answered, ended. Each end tells the case backend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from bot.cases import events
from bot.checkins import questions, schedule
from bot.db.encryption import Vault
from bot.db.models import Checkin, Consent, Enrolment, Request, TeamSetting

WAIT = timedelta(hours=72)  # until the one reminder, and after it until nobody waits any more
DRAFT_LIFE = timedelta(days=7)  # of the questions before the first check-in, after the last word about them
OPEN = ("draft", "invited", "active")
WAITING = ("sent", "reminded")
OVER = ("completed", "partial", "missed", "stopped")
ROUNDS, HOURS = "checkin_rounds", "checkin_hours"  # what the team may change, by its name in `team_setting`
CHANGED = 500  # enrolments of one sweep that follow changed rounds
# what may follow on what; everything else is a fault
NEXT: Mapping[str, tuple[str, ...]] = {
    "planned": ("sent", "missed", "stopped"),
    "sent": ("reminded", "open", "missed", "stopped"),
    "reminded": ("open", "missed", "stopped"),
    "open": ("completed", "partial", "missed", "stopped"),
    "completed": (),
    "partial": (),
    "missed": (),
    "stopped": (),
}


class NotPossible(Exception):
    """The check-in is not in a state for this; the text says which."""


def step(row: Checkin, status: str, now: datetime) -> None:
    """Go on to this status. Raises `NotPossible` when that does not follow."""
    if status not in NEXT[row.status]:
        raise NotPossible(f"the check-in is {row.status}: it cannot be {status}")
    row.status, row.updated_at = status, now
    if status in OVER:
        row.asked = row.next_at = None


async def enrolment_of(session: AsyncSession, person_id: int) -> Enrolment | None:
    """The person's enrolment that is not over, locked."""
    found: Enrolment | None = await session.scalar(
        select(Enrolment)
        .where(Enrolment.person_id == person_id, Enrolment.status.in_(OPEN))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


async def named(session: AsyncSession, checkin_id: int) -> Checkin | None:
    """This check-in, locked."""
    return await _locked(session, Checkin.id == checkin_id)


async def current(session: AsyncSession, person_id: int) -> Checkin | None:
    """The check-in that waits for the person or is being answered, locked; the questions of the enrolment first."""
    return await _locked(session, Checkin.person_id == person_id, Checkin.status.in_([*WAITING, "open"]))


async def _locked(session: AsyncSession, *which: ColumnElement[bool]) -> Checkin | None:
    found: Checkin | None = await session.scalar(
        select(Checkin)
        .where(*which)
        .order_by((Checkin.round == questions.ENROLMENT).desc(), Checkin.id.desc())
        .limit(1)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


async def ours(session: AsyncSession) -> schedule.Schedule:
    """The schedule as the team has it now, whatever this process has heard of it."""
    return of_team(await session.scalars(select(TeamSetting).where(TeamSetting.name.in_([ROUNDS, HOURS]))))


def of_team(settings: Iterable[TeamSetting]) -> schedule.Schedule:
    """The schedule that these settings of the team make."""
    found = {one.name: one for one in settings}
    rounds, hours = found.get(ROUNDS), found.get(HOURS)
    return schedule.of_team(
        rounds.data if rounds else None, hours.data if hours else None, rounds.number if rounds else 0
    )


async def change(session: AsyncSession, name: str, data: Any) -> None:
    """The team wants its rounds or hours so from now on; None: as in the file."""
    row = insert(TeamSetting).values(name=name, number=1, data=data)
    again = {"number": TeamSetting.number + 1, "data": row.excluded.data, "at": func.now()}
    await session.execute(row.on_conflict_do_update(index_elements=["name"], set_=again))


async def plan(session: AsyncSession, enrolment: Enrolment, now: datetime, months: int) -> datetime | None:
    """Write down every check-in that is to come, once; when the first of them is due.

    Planned again, nothing changes: a check-in of an enrolment is one row whatever happens.
    """
    first: datetime | None = None
    if enrolment.returned_on is None or enrolment.zone is None:
        return None
    team = await ours(session)
    for one in team.wanted(months):
        due_at = team.due(enrolment.returned_on, one, enrolment.zone, enrolment.id)
        if due_at < now - schedule.LATE:
            continue
        due_at = max(due_at, team.allowed(now, enrolment.zone))
        await session.execute(
            insert(Checkin)
            .values(
                enrolment_id=enrolment.id,
                person_id=enrolment.person_id,
                round=one.id,
                form=one.form,
                weeks=one.weeks,
                months=one.months,
                due_at=due_at,
                next_at=due_at,
            )
            .on_conflict_do_nothing(index_elements=["enrolment_id", "round"])
        )
        first = min(first or due_at, due_at)
    return first


async def activate(
    session: AsyncSession, enrolment: Enrolment, returned_on: date, zone: str, now: datetime, months: int
) -> datetime | None:
    """The person agreed: their check-ins are planned; when the first is due, None when it is too late for any."""
    enrolment.returned_on, enrolment.zone = returned_on, zone
    enrolment.status, enrolment.updated_at = "active", now
    await session.flush()
    enrolment.planned = (await ours(session)).version
    first = await plan(session, enrolment, now, months)
    if first is None:
        enrolment.status = "ended"
    else:
        enrolment.months = months
    await session.flush()
    return first


async def changed(session: AsyncSession, version: int) -> list[int]:
    """Enrolments that were planned with older rounds of the team's than this version."""
    older = select(Enrolment.id).where(Enrolment.status.in_(["active", "ended"]), Enrolment.planned < version)
    return list(await session.scalars(older.order_by(Enrolment.planned, Enrolment.id).limit(CHANGED)))


async def follow(session: AsyncSession, enrolment_id: int, now: datetime) -> None:
    """The team changed the rounds: what has not begun moves, goes, or is added, once; the rest stays as it is.

    Where a change left nothing to come the enrolment ended. It goes on when another change brings something, if the
    person has not taken their consent back nor begun anew.
    """
    rows = list(  # before the enrolment: see `stop`
        await session.scalars(
            select(Checkin)
            .where(Checkin.enrolment_id == enrolment_id, Checkin.status == "planned")
            .order_by(Checkin.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    )
    enrolment = await session.get(Enrolment, enrolment_id, with_for_update=True, populate_existing=True)
    if enrolment is None or enrolment.status not in ("active", "ended"):
        return
    team = await ours(session)
    if enrolment.planned >= team.version:
        return
    enrolment.planned = team.version
    if enrolment.months is None or (enrolment.status == "ended" and not await _agreed_still(session, enrolment)):
        await session.flush()
        return
    wanted = {one.id: one for one in team.wanted(enrolment.months)}
    for row in rows:
        one = wanted.get(row.round)
        if one is None or (one.weeks, one.months) != (row.weeks, row.months):
            await session.delete(row)
        else:
            row.form = one.form
    await session.flush()
    await plan(session, enrolment, now, enrolment.months)
    if enrolment.status == "active":
        await end(session, enrolment, now)
    elif await _more(session, enrolment):
        enrolment.status, enrolment.updated_at = "active", now
        await session.flush()


async def _agreed_still(session: AsyncSession, enrolment: Enrolment) -> bool:
    """Whether the consent to be asked stands, and this enrolment is the person's last."""
    other = aliased(Enrolment)
    later = exists().where(other.person_id == enrolment.person_id, other.id > enrolment.id)
    found: bool | None = await session.scalar(
        select(~later)
        .where(Consent.person_id == enrolment.person_id, Consent.purpose == "checkins", Consent.withdrawn_at.is_(None))
        .limit(1)
    )
    return bool(found)


async def correct(
    session: AsyncSession,
    vault: Vault,
    key: bytes,
    person_id: int,
    returned_on: date,
    zone: str | None,
    now: datetime,
    said_at: datetime | None = None,
) -> Enrolment | None:
    """Another day of return, or another clock: what is not due yet moves with it; the enrolment if anything changed.

    `said_at`: when the team said so; an older word of theirs, and the same again, change nothing. What was answered,
    or is waiting for an answer, stays what it is.
    """
    rows = list(  # before the enrolment: see `stop`
        await session.scalars(
            select(Checkin)
            .where(Checkin.person_id == person_id, Checkin.status.not_in(OVER))
            .order_by(Checkin.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    )
    enrolment = await enrolment_of(session, person_id)
    if enrolment is None:
        return None
    if said_at is not None:
        if enrolment.recorded_at is not None and enrolment.recorded_at >= said_at:
            return None
        enrolment.recorded_at = said_at
    zone = zone or enrolment.zone
    if (returned_on, zone) == (enrolment.returned_on, enrolment.zone):
        return None
    enrolment.returned_on, enrolment.zone, enrolment.updated_at = returned_on, zone, now
    asked = next((row for row in rows if row.round == questions.ENROLMENT), None)
    if asked is not None:  # they have not agreed yet: the answer is given already
        answers = vault.open(key, asked.answers_sealed) if asked.answers_sealed else {}
        asked.answers_sealed = vault.seal(key, {**answers, "returned": returned_on.isoformat()})
    await session.flush()
    if enrolment.status == "active":
        to_come = [row.id for row in rows if row.status == "planned" and row.due_at is not None and row.due_at > now]
        await session.execute(delete(Checkin).where(Checkin.id.in_(to_come)))
        await plan(session, enrolment, now, enrolment.months or 0)
        await end(session, enrolment, now)
    return enrolment


async def stop(session: AsyncSession, person_id: int, by: str, now: datetime, for_good: bool) -> bool:
    """No check-in goes on; whether there was one to stop. `for_good`: the enrolment ends too, with what was planned."""
    states = ["sent", "reminded", "open", *(["planned"] if for_good else [])]
    rows = list(  # before the enrolment: so does whoever is about to send one of them
        await session.scalars(
            select(Checkin)
            .where(Checkin.person_id == person_id, Checkin.status.in_(states))
            .order_by(Checkin.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    )
    enrolment = await enrolment_of(session, person_id)
    if enrolment is None:
        return False
    stopped = None
    for row in rows:
        if row.round != questions.ENROLMENT and row.status != "planned":
            stopped = row.round
        step(row, "stopped", now)
    was = enrolment.status
    if for_good or was in ("draft", "invited"):
        enrolment.status, enrolment.updated_at = "ended" if was == "active" else "declined", now
    await session.flush()
    if was == "active":
        await tell(
            session,
            enrolment,
            "checkin.stopped",
            f"{stopped or 'enrolment'}:{by}:{now.date() if not for_good else 'ended'}",
            {"round": stopped, "by": by, "for_good": for_good},
            now,
        )
    await end(session, enrolment, now)  # it may have been the last one
    return True


async def forget(session: AsyncSession, row: Checkin, enrolment: Enrolment, now: datetime) -> None:
    """Nobody went on with the questions before the first check-in: no word is taken for an answer to them any more.

    What was only begun goes, with the consent that was given for it; an invitation of the team's stands.
    """
    if enrolment.status != "draft":
        row.asked = row.next_at = None
        row.updated_at = now
        return
    await session.execute(
        delete(Consent).where(
            Consent.person_id == enrolment.person_id,
            Consent.purpose == "checkins",
            Consent.withdrawn_at.is_(None),
            Consent.given_at >= enrolment.created_at,
        )
    )
    await session.execute(delete(Enrolment).where(Enrolment.id == enrolment.id))


async def complete(
    session: AsyncSession,
    vault: Vault,
    key: bytes,
    row: Checkin,
    answers: Mapping[str, Any],
    now: datetime,
    free_text: bool,
) -> questions.Signal:
    """All questions of a check-in were answered, or nobody goes on with it: `completed` or `partial`.

    `free_text`: the case backend is told what was typed too (RAFIQ_CHECKINS_FREE_TEXT).
    """
    status = "partial" if questions.following(row.form, answers) is not None else "completed"
    read = await signal(session, vault, key, row, answers)
    step(row, status, now)
    await session.flush()
    enrolment = await session.get(Enrolment, row.enrolment_id)
    assert enrolment is not None  # noqa: S101 (a check-in hangs on it)
    typed = questions.typed(answers, row.form) if free_text else {}
    await tell(
        session,
        enrolment,
        f"checkin.{status}",
        row.round,
        {
            "round": row.round,
            "form": row.form,
            "signal": questions.SIGNAL,
            "level": "red" if row.level == "red" else read.level,
            "answers": questions.told(answers, row.form),
            "dimensions": dict(read.dimensions),
            "change": dict(read.change),
        },
        now,
        vault.seal(key, typed) if typed else None,
    )
    await end(session, enrolment, now)
    return read


async def miss(session: AsyncSession, row: Checkin, why: str, now: datetime) -> None:
    """Nobody answered (`silent`) or can be reached (`unreachable`)."""
    step(row, "missed", now)
    await session.flush()
    enrolment = await session.get(Enrolment, row.enrolment_id)
    assert enrolment is not None  # noqa: S101 (a check-in hangs on it)
    await tell(session, enrolment, "checkin.missed", row.round, {"round": row.round, "why": why}, now)
    await end(session, enrolment, now)


async def flag(
    session: AsyncSession, row: Checkin, level: str, because: list[str], handoff: str | None, now: datetime
) -> None:
    """Staff are asked to look: told once for each level of a check-in."""
    row.level = level
    enrolment = await session.get(Enrolment, row.enrolment_id)
    assert enrolment is not None  # noqa: S101 (a check-in hangs on it)
    await tell(
        session,
        enrolment,
        "checkin.flagged",
        f"{row.round}:{level}",
        {"round": row.round, "level": level, "because": because, "handoff": handoff},
        now,
    )


async def signal(
    session: AsyncSession, vault: Vault, key: bytes, row: Checkin, answers: Mapping[str, Any]
) -> questions.Signal:
    """What these answers say, next to those of the person's last check-in."""
    sealed = await session.scalar(
        select(Checkin.answers_sealed)
        .where(Checkin.person_id == row.person_id, Checkin.status.in_(["completed", "partial"]))
        .where(Checkin.round != questions.ENROLMENT, Checkin.id != row.id)
        .order_by(Checkin.updated_at.desc())
        .limit(1)
    )
    return questions.signal(answers, vault.open(key, sealed) if sealed else {})


async def tell(
    session: AsyncSession,
    enrolment: Enrolment,
    kind: str,
    key: str,
    data: Mapping[str, Any],
    now: datetime,
    words_sealed: bytes | None = None,
) -> None:
    """Tell the case backend: the enrolment's reference, the request's where there is one, and this."""
    request = await session.scalar(
        select(Request.reference)
        .where(Request.person_id == enrolment.person_id, Request.status != "withdrawn")
        .order_by(Request.id.desc())
        .limit(1)
    )
    await events.record(
        session,
        type_=kind,
        key=f"{kind}:{enrolment.reference}:{key}",
        person_id=enrolment.person_id,
        occurred_at=now,
        data={"ref": enrolment.reference, "request": request, **data},
        words_sealed=words_sealed,
    )


async def end(session: AsyncSession, enrolment: Enrolment, now: datetime) -> None:
    """After its last check-in an enrolment is over."""
    if enrolment.status == "active" and not await _more(session, enrolment):
        enrolment.status, enrolment.updated_at = "ended", now
        await session.flush()


async def _more(session: AsyncSession, enrolment: Enrolment) -> bool:
    """Whether a check-in of this enrolment is not over."""
    more = select(Checkin.id).where(Checkin.enrolment_id == enrolment.id, Checkin.status.not_in(OVER)).limit(1)
    return await session.scalar(more) is not None
