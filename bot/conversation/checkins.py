"""Check-ins that are due: begun, remembered once, then let go; nobody is asked outside of the hours for it.

The words are neutral: a telephone lies on a table, is lent, is seized.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import i18n
from bot.appointments import bookings
from bot.checkins import questions, rounds, schedule
from bot.conversation import outbox
from bot.db.models import Address, Appointment, Checkin, Conversation, Enrolment, Person, Request
from bot.db.session import Database, Lane, wake
from bot.journeys import checkins, handoff
from bot.journeys.context import Choice
from bot.messages import LANGUAGES, Language, Template

log = structlog.get_logger()
TEMPLATE = Template("check_in")
BATCH = 500  # check-ins in one sweep
QUIET = timedelta(hours=1)  # after the last word of who is in the middle of something else
_DUE = select(Checkin.id).where(Checkin.next_at <= func.now()).order_by(Checkin.next_at).limit(BATCH)


@dataclass(frozen=True, slots=True)
class _Due:
    """A check-in whose time has come, with whom it is for."""

    row: Checkin
    enrolment: Enrolment
    key: bytes
    language: Language
    stopped: bool
    channel: str
    taken: bool  # somebody of the team speaks there: the assistant is silent
    busy: bool  # they are filling in something else just now: a button of ours would be taken for one of that


class Checkins:
    """Begins check-ins when they are due, and ends those that nobody answers."""

    def __init__(self, database: Database, free_text: bool = False) -> None:
        self._database = database
        self._free_text = free_text

    async def due(self) -> list[int]:
        """Check-ins about which something is to be done now."""
        async with self._database.autocommit() as connection:
            return list(await connection.scalars(_DUE))

    async def work(self, checkin_id: int, now: datetime | None = None) -> None:
        """Do the next thing about this check-in, once: begin it, remember it, or let it go."""
        now = now or datetime.now(UTC)
        async with self._database.session() as session:
            due = await _claimed(session, checkin_id, now)
            if due is None:
                return
            row, zone = due.row, due.enrolment.zone or schedule.HOME
            moment = schedule.held().allowed(now, zone)
            if row.round == questions.ENROLMENT:
                await rounds.forget(session, row, due.enrolment, now)
            elif due.stopped:
                rounds.step(row, "stopped", now)
                await rounds.end(session, due.enrolment, now)
            elif due.taken:
                row.next_at = schedule.held().allowed(now + timedelta(days=1), zone)
            elif row.status == "reminded" or (row.status == "open" and row.reminded_at is not None):
                await self._let_go(session, due, now)
            elif moment > now:  # whatever held us up: not at this hour
                row.next_at = moment
            elif row.status == "planned" and await _another_is_open(session, row):
                row.next_at = schedule.held().allowed(now + timedelta(days=1), zone)
            elif due.busy:
                row.next_at = schedule.held().allowed(now + QUIET, zone)
            elif await self._write(session, due, zone, now):
                if row.status == "planned":
                    rounds.step(row, "sent", now)
                else:
                    row.reminded_at = row.updated_at = now
                    if row.status == "sent":
                        rounds.step(row, "reminded", now)
                row.next_at = schedule.held().allowed(now + rounds.WAIT, zone)
            else:
                await self._let_go(session, due, now, "unreachable")
            await session.commit()

    async def _write(self, session: AsyncSession, due: _Due, zone: str, now: datetime) -> bool:
        """« Is it a good moment? », or the one reminder; False when the person cannot be reached."""
        given = {"checkin": due.row.id}
        written = await outbox.unasked(
            session,
            self._database.vault,
            due.enrolment.conversation_id,
            i18n.say("checkin.gate" if due.row.status == "planned" else "checkin.reminder", due.language),
            due.language,
            templates=[TEMPLATE],
            choices=[
                _choice("button.checkin_now", "checkin_now", due.language, **given),
                _choice("button.checkin_later", "checkin_later", due.language, **given),
                _choice("button.checkin_stop", "stop_checkins", due.language),
            ],
            expires_at=schedule.held().closing(now, zone),
        )
        await wake(session, Lane.DELIVERY, due.enrolment.conversation_id, unhurried=True)
        return written is not None

    async def _let_go(self, session: AsyncSession, due: _Due, now: datetime, why: str = "silent") -> None:
        """Nobody goes on with it: what was answered counts; where nothing was, staff try another way."""
        row = due.row
        answers = self._database.vault.open(due.key, row.answers_sealed) if row.answers_sealed else {}
        if row.status != "open" or not answers:
            await rounds.miss(session, row, why, now)
            await _another_way(session, due, now)
            return
        signal = await rounds.complete(session, self._database.vault, due.key, row, answers, now, self._free_text)
        if signal.level == "amber" and row.level is None:
            reference = await _hand_over(session, due, "checkin_amber", now)
            await rounds.flag(session, row, "amber", list(signal.because), reference, now)


async def recorded(
    session: AsyncSession,
    database: Database,
    request: Request,
    conversation_id: int,
    returned_on: date,
    country: str | None,
    said_at: datetime,
) -> bool:
    """The team recorded that this person is back: they are asked whether they want check-ins; whether that goes.

    For who is asked already, another day (or country) is a correction. A day that cannot be is passed over.
    """
    now = datetime.now(UTC)
    if not schedule.believable(returned_on, now):
        return False
    row_of = select(Person.key, Person.language).where(Person.id == request.person_id)
    person = (await session.execute(row_of)).one()
    language = _spoken(person.language)
    zone = schedule.zone_of(country) if country else None
    await rounds.correct(session, database.vault, person.key, request.person_id, returned_on, zone, now, said_at)
    told = database.vault.open(person.key, request.answers_sealed)
    if told.get("age_group") != "adult":
        return False
    if not await outbox.wanted(session, conversation_id):  # invited when they hear of it
        return False
    row = await checkins.invite(
        session,
        database.vault,
        person.key,
        request.person_id,
        conversation_id,
        returned_on,
        zone or schedule.HOME,
        {"age_group": "adult"},
        said_at,
    )
    if row is None:
        return False
    step = questions.questions()["consent"].step
    written = await outbox.unasked(
        session,
        database.vault,
        conversation_id,
        i18n.say(step.say, language),
        language,
        choices=[
            Choice(i18n.say(step.choice_text(choice), language), checkins.answering(row, "consent", choice))
            for choice in step.choices
        ],
        announced=True,
    )
    await wake(session, Lane.DELIVERY, conversation_id)
    return written is not None


async def _claimed(session: AsyncSession, checkin_id: int, now: datetime) -> _Due | None:
    """This check-in, locked, if its time has come still; a second worker finds nothing left to do."""
    row = await session.scalar(
        select(Checkin).where(Checkin.id == checkin_id, Checkin.next_at <= now).with_for_update(skip_locked=True)
    )
    if row is None:
        return None
    found = (
        await session.execute(
            select(
                Enrolment, Person.key, Person.language, Person.stopped_at, Address.channel, Address.last_heard_at,
                Conversation.owner_id, Conversation.form,
                select(Appointment.id)
                .where(Appointment.person_id == Person.id, Appointment.status.in_(bookings.DRAFT))
                .limit(1)
                .scalar_subquery()
                .label("draft"),
            )
            .join(Person, Person.id == Enrolment.person_id)
            .join(Conversation, Conversation.id == Enrolment.conversation_id)
            .join(Address, Address.id == Conversation.address_id)
            .where(Enrolment.id == row.enrolment_id)
        )
    ).one()  # fmt: skip
    in_the_middle = found.form is not None or found.draft is not None
    return _Due(
        row,
        found.Enrolment,
        found.key,
        _spoken(found.language),
        found.stopped_at is not None,
        found.channel,
        taken=found.owner_id is not None,
        busy=in_the_middle and found.last_heard_at is not None and found.last_heard_at > now - QUIET,
    )


async def _another_is_open(session: AsyncSession, row: Checkin) -> bool:
    """One at a time: the one before is let go first."""
    other = await session.scalar(
        select(Checkin.id)
        .where(Checkin.person_id == row.person_id, Checkin.status.in_([*rounds.WAITING, "open"]))
        .limit(1)
    )
    return other is not None


async def _another_way(session: AsyncSession, due: _Due, now: datetime) -> None:
    """Nobody answered: somebody of the team tries to reach them otherwise. Not a fault of theirs."""
    await _hand_over(session, due, "checkin_unreached", now)


async def _hand_over(session: AsyncSession, due: _Due, reason: str, now: datetime) -> str:
    return await handoff.record_unasked(
        session,
        person_id=due.row.person_id,
        conversation_id=due.enrolment.conversation_id,
        reason=reason,
        key=f"handoff:{due.enrolment.reference}:{due.row.round}:{reason}",
        language=due.language,
        channel=due.channel,
        now=now,
    )


def _spoken(language: str | None) -> Language:
    return next((code for code in LANGUAGES if code == language), "fr")


def _choice(text_id: str, verb: str, language: Language, **given: Any) -> Choice:
    return Choice(i18n.say(text_id, language), {"do": verb, "with": given})
