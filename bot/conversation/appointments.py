"""What people are told of their interviews without asking: reminders, and what the team did about them.

The words are neutral: a telephone lies on a table, is lent, is seized.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import i18n
from bot.appointments import bookings, calendar, offices
from bot.conversation import outbox
from bot.db.models import Address, Appointment, Conversation, Person, Reminder
from bot.db.session import Database, Lane, wake
from bot.journeys import handoff, interviews
from bot.journeys.context import Choice
from bot.messages import LANGUAGES, Document, Language, Template

log = structlog.get_logger()
TEMPLATES = {48: "interview_tomorrow", 3: "interview_soon"}
BATCH = 500  # reminders in one sweep
_DUE = (
    select(Reminder.appointment_id)
    .where(Reminder.done_at.is_(None), Reminder.due_at <= func.now())
    .order_by(Reminder.due_at)
    .limit(BATCH)
)


class Appointments:
    """Reminds people of their appointments, and keeps them true to the clocks of their places."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self) -> list[int]:
        """Appointments that are to be remembered now."""
        async with self._database.autocommit() as connection:
            return list(await connection.scalars(_DUE))

    async def work(self, appointment_id: int, now: datetime | None = None) -> None:
        """Send the reminders of this appointment that are due: the latest of them, once."""
        now = now or datetime.now(UTC)
        async with self._database.session() as session:
            appointment = await session.scalar(
                select(Appointment).where(Appointment.id == appointment_id).with_for_update()
            )
            waiting = await session.scalars(
                select(Reminder)
                .where(Reminder.appointment_id == appointment_id, Reminder.done_at.is_(None), Reminder.due_at <= now)
                .order_by(Reminder.hours.desc())
                .with_for_update()
            )
            due = list(waiting)
            if appointment is None or not due:
                return
            for reminder in due:
                reminder.done_at = now
            coming = appointment.status in ("proposed", "confirmed", "reminded") and _future(appointment, now)
            told = coming and await self._remind(session, appointment, due[-1].hours)
            if told and appointment.status == "confirmed":
                bookings.step(appointment, "reminded", now)
            await session.commit()

    async def _remind(self, session: AsyncSession, appointment: Appointment, hours: int) -> bool:
        language = await _language(session, appointment)
        moment = f"{_day(appointment, language)}, {(appointment.wall or '')[11:]}"
        agreed = appointment.status != "proposed"
        written = await outbox.unasked(
            session,
            self._database.vault,
            appointment.conversation_id,
            i18n.say("interview.reminder" if agreed else "interview.reminder_proposed", language, when=moment),
            language,
            templates=[Template(TEMPLATES[hours], (moment,))] if agreed else [],
            announced=not agreed,  # no template says that a time is only proposed
            choices=_answers_to(appointment, language),
            expires_at=appointment.starts_at,
        )
        await wake(session, Lane.DELIVERY, appointment.conversation_id, unhurried=True)
        return written is not None

    async def keep(self, now: datetime | None = None) -> None:
        """Every hour: times follow the rules of time zones, what was due is past, unfinished drafts go."""
        now = now or datetime.now(UTC)
        async with self._database.session() as session:
            await offices.load(session, only_if_empty=True)
            moved = await bookings.recompute(session, now)
            await bookings.leave_behind(session, now - timedelta(hours=2))
            forgotten = await bookings.tidy(session, now)
            await session.commit()
        if moved:
            log.warning("time zone rules changed: appointments follow the clocks", appointments=len(moved))
        if forgotten:
            log.info("appointments forgotten that are long over, or were never finished", **forgotten)


async def agree(database: Database, reference: str, wall: str) -> None:
    """The team confirms a request for this time (« 2026-11-24T10:00 », the office's clock); the person is told."""
    now = datetime.now(UTC)
    async with database.session() as session:
        row = await bookings.named(session, reference)
        await bookings.agree(session, row, wall, await _answers(session, database, row), now)
        language = await _language(session, row)
        at = await interviews.spoken_time(session, row, language)
        await _tell(
            session,
            database,
            row,
            i18n.say("interview.agreed", language, when=at, reference=row.reference),
            _answers_to(row, language),
            expires_at=row.starts_at,
            document=await calendar.file(session, row, language, now),
        )
        await session.commit()


async def propose(
    session: AsyncSession, database: Database, row: Appointment, at: datetime, zone: str, mode: str, said_at: datetime
) -> bool | None:
    """The case backend proposes a time for what was asked for: the person is told, and says yes or not.

    Whether a message is on its way; None when there is nothing new: it is not waiting for a time, the time is past, or
    a later proposal came before.
    """
    now = datetime.now(UTC)
    answers = dict(await _answers(session, database, row))
    before = answers.get("proposed_at")
    later = before is not None and datetime.fromisoformat(before) >= said_at
    if row.status not in ("requested", "proposed") or at <= now or later:
        return None
    answers |= {"mode": {"office": "in_person"}.get(mode, mode), "proposed_at": said_at.isoformat()}
    key = (await session.scalars(select(Person.key).where(Person.id == row.person_id))).one()
    row.answers_sealed = database.vault.seal(key, answers)
    await bookings.propose(session, row, at, zone, now)
    language = await _language(session, row)
    words = i18n.say(
        "interview.proposed",
        language,
        when=await interviews.spoken_time(session, row, language),
        place=await interviews.place_of(session, row.office_id, answers, language),
        reference=row.reference,
    )
    return await _tell(session, database, row, words, _answers_to(row, language), expires_at=row.starts_at)


async def cancel(database: Database, reference: str) -> None:
    """The team cannot hold this appointment; the person is told and can choose another time."""
    async with database.session() as session:
        row = await bookings.named(session, reference)
        await bookings.cancel(session, row, "team", datetime.now(UTC))
        language = await _language(session, row)
        words = i18n.say("interview.cancelled_by_team", language, reference=row.reference)
        await _tell(session, database, row, words, [_choice("button.interview_book", "book_interview", language)])
        await session.commit()


async def done(database: Database, reference: str) -> None:
    """The interview took place."""
    async with database.session() as session:
        row = await bookings.named(session, reference)
        await bookings.outcome(session, row, "done", datetime.now(UTC))
        await session.commit()


async def missed(database: Database, reference: str) -> None:
    """The person did not come: one friendly offer of another time; after that, a person of the team writes."""
    now = datetime.now(UTC)
    async with database.session() as session:
        row = await bookings.named(session, reference)
        await bookings.outcome(session, row, "missed", now)
        language = await _language(session, row)
        if await bookings.missed(session, row.person_id) < interviews.MISSED:
            words = i18n.say("interview.missed", language)
            choices = [
                _choice("button.interview_book", "book_interview", language),
                _choice("button.person", "handoff", language, reason="interview"),
            ]
        else:
            words = i18n.say("interview.missed_again", language)
            choices = []
            await _hand_over(session, row, language, now)
        await _tell(session, database, row, words, choices)
        await session.commit()


async def _hand_over(session: AsyncSession, row: Appointment, language: Language, now: datetime) -> None:
    """Somebody of the team is to write to them."""
    channel = await session.scalar(
        select(Address.channel)
        .join(Conversation, Conversation.address_id == Address.id)
        .where(Conversation.id == row.conversation_id)
    )
    await handoff.record_unasked(
        session,
        person_id=row.person_id,
        conversation_id=row.conversation_id,
        reason="interview",
        key=f"handoff:{row.reference}:missed",
        language=language,
        channel=channel,
        now=now,
    )


async def _tell(
    session: AsyncSession,
    database: Database,
    row: Appointment,
    words: str,
    choices: Sequence[Choice],
    expires_at: datetime | None = None,
    document: Document | None = None,
) -> bool:
    language = await _language(session, row)
    queued = await outbox.unasked(
        session,
        database.vault,
        row.conversation_id,
        words,
        language,
        choices=choices,
        announced=True,
        expires_at=expires_at,
        document=document,
    )
    await wake(session, Lane.DELIVERY, row.conversation_id)
    return queued is not None


def _answers_to(row: Appointment, language: Language) -> list[Choice]:
    return [
        _choice("button.interview_come", "interview_come", language, reference=row.reference),
        _choice("button.interview_change", "change_interview", language),
        _choice("button.interview_cancel", "cancel_interview", language),
    ]


async def _answers(session: AsyncSession, database: Database, row: Appointment) -> Mapping[str, Any]:
    key = await session.scalar(select(Person.key).where(Person.id == row.person_id))
    opened: Mapping[str, Any] = database.vault.open(key, row.answers_sealed) if key else {}
    return opened


async def _language(session: AsyncSession, row: Appointment) -> Language:
    spoken = await session.scalar(select(Person.language).where(Person.id == row.person_id))
    return next((code for code in LANGUAGES if code == spoken), "fr")


def _day(row: Appointment, language: Language) -> str:
    assert row.starts_at is not None and row.zone is not None  # noqa: S101 (it has a time: it is confirmed)
    return i18n.written_date(row.starts_at, row.zone, language)


def _choice(text_id: str, verb: str, language: Language, **given: Any) -> Choice:
    return Choice(i18n.say(text_id, language), {"do": verb, "with": given})


def _future(row: Appointment, now: datetime) -> bool:
    return row.starts_at is not None and row.starts_at > now
