"""What people are told of their interviews without asking: reminders, and what the team did about them.

The words are neutral: a telephone lies on a table, is lent, is seized.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import Select, exists, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from bot import i18n
from bot.appointments import bookings, calendar, offices
from bot.conversation import outbox
from bot.db.models import Address, Appointment, Consent, Conversation, Handoff, Person, Reminder, Request
from bot.db.session import Database, Lane, wake
from bot.journeys import first_contact, handoff, interviews
from bot.journeys.context import Choice, new_reference
from bot.messages import LANGUAGES, Document, Language, Template

log = structlog.get_logger()
TEMPLATES = {48: "interview_tomorrow", 3: "interview_soon"}
BATCH = 500  # reminders in one sweep
OF_REQUEST = ("age_group", "phone", "call_time")  # what an interview takes over from it
Beside = Callable[[AsyncSession], Awaitable[None]]  # what commits with a step: the console's audit
_DUE = (
    select(Reminder.appointment_id)
    .where(Reminder.done_at.is_(None), Reminder.due_at <= func.now())
    .order_by(Reminder.due_at)
    .limit(BATCH)
)
_PROPOSED = select(Request.id).where(Request.unanswered_at <= func.now()).order_by(Request.unanswered_at).limit(BATCH)


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
            if due[-1].hours == bookings.UNANSWERED:
                await self._unanswered(session, appointment, now)
                await session.commit()
                return
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

    async def _unanswered(self, session: AsyncSession, appointment: Appointment, now: datetime) -> None:
        """The day of a wish is over, or the time of a proposal: the team is reminded, and the person told the truth."""
        if appointment.status not in ("requested", "proposed", "past"):
            return
        language = await _language(session, appointment)
        if appointment.status == "requested":
            words = i18n.say("interview.unanswered", language, reference=appointment.reference)
            choices = _answers_to(appointment, language)[1:]
        else:
            if appointment.status == "proposed":
                bookings.step(appointment, "past", now)
            words = i18n.say("interview.unanswered_proposal", language, reference=appointment.reference)
            choices = [_choice("button.interview_book", "book_interview", language)]
        await _hand_over(session, appointment, language, now, "unanswered")
        await _tell(session, self._database, appointment, words, choices)

    async def proposed(self) -> list[int]:
        """Requests for which an interview was proposed whose time is over."""
        async with self._database.autocommit() as connection:
            return list(await connection.scalars(_PROPOSED))

    async def unanswered(self, request_id: int, now: datetime | None = None) -> None:
        """The time that was proposed for this request is over: the team is reminded, once, if nothing came of it.

        Nobody is told that nothing was fixed: the team may have agreed on it with them where we do not see it.
        """
        now = now or datetime.now(UTC)
        async with self._database.session() as session:
            due = select(Request).where(Request.id == request_id, Request.unanswered_at <= now)
            request = await session.scalar(due.with_for_update(skip_locked=True))
            if request is None:
                return
            over, request.unanswered_at = request.unanswered_at, None
            if request.status in first_contact.LIVE and not await self._came_of_it(session, request):
                where = (await session.execute(_heard_last(request.person_id))).first()
                if where is not None:
                    await handoff.record_unasked(
                        session,
                        person_id=request.person_id,
                        conversation_id=where.id,
                        reason="interview",
                        key=f"handoff:{request.reference}:unanswered:{over}",
                        language=where.language or "fr",
                        channel=where.channel,
                        now=now,
                    )
            await session.commit()

    async def _came_of_it(self, session: AsyncSession, request: Request) -> bool:
        """Whether the person has an interview, or the team another word of theirs, since it was proposed."""
        told = await _opened(session, self._database, request.person_id, request.interview_sealed or b"")
        said_at = datetime.fromisoformat(told["occurred_at"])
        later = Appointment.status.in_(["past", "done", "missed"]) & (Appointment.updated_at >= said_at)
        booked = exists().where(
            Appointment.person_id == request.person_id, Appointment.status.in_(bookings.OPEN) | later
        )
        handed = exists().where(
            Handoff.person_id == request.person_id,
            Handoff.reason.in_(["asked", "interview"]),
            Handoff.created_at >= said_at,
        )
        return bool(await session.scalar(select(booked | handed)))

    async def keep(self, now: datetime | None = None) -> None:
        """Every hour: times follow the rules of time zones, what was due is past, unfinished drafts go."""
        now = now or datetime.now(UTC)
        async with self._database.session() as session:
            await offices.load(session, only_if_empty=True)
            moved = await bookings.recompute(session, now)
            await bookings.leave_behind(session, now)
            forgotten = await bookings.tidy(session, now)
            await session.commit()
        if moved:
            log.warning("time zone rules changed: appointments follow the clocks", appointments=len(moved))
        if forgotten:
            log.info("appointments forgotten that are long over, or were never finished", **forgotten)


async def agree(database: Database, reference: str, wall: str, beside: Beside | None = None) -> bool:
    """The team confirms a request for this time (« 2026-11-24T10:00 », the office's clock); whether the person is told.

    Nothing unasked is written to who wants none: whoever confirms has to tell them otherwise. Raises
    `bookings.NotPossible`.
    """
    now = datetime.now(UTC)
    async with database.session() as session:
        row = await bookings.named(session, reference)
        await bookings.agree(session, row, wall, await _answers(session, database, row), now)
        told = await _tell_time(session, database, row, "interview.agreed", now)
        await _commit(session, beside)
    return told


async def move(database: Database, reference: str, office_id: str, wall: str, beside: Beside | None = None) -> str:
    """The team moves an appointment to this time: another one replaces it; the reference of that one.

    Raises `bookings.NotPossible`.
    """
    now = datetime.now(UTC)
    async with database.session() as session:
        before = await bookings.named(session, reference)
        if before.status not in ("proposed", "confirmed", "reminded"):
            raise bookings.NotPossible(f"{reference} is {before.status}: it cannot be moved")
        answers = {**await _answers(session, database, before), "time": wall}
        row = await _draft(session, database, before.person_id, before.conversation_id, answers, now, before.id)
        await bookings.fix(session, row, office_id, wall, answers, now)
        await _tell_time(session, database, row, "interview.moved_by_team", now)
        await _commit(session, beside)
    return row.reference


async def book(
    database: Database,
    conversation_id: int,
    office_id: str,
    wall: str,
    mode: str,
    agreed: bool,
    beside: Beside | None = None,
) -> str:
    """The team books for a person, who is told; the reference. `agreed`: the person said yes to it, in words.

    Raises `bookings.NotPossible`, for who has an appointment that is to come and for who never agreed too.
    """
    now = datetime.now(UTC)
    async with database.session() as session:
        person_id = (
            await session.scalars(select(Conversation.person_id).where(Conversation.id == conversation_id))
        ).one()
        await bookings.leave_behind(session, now, person_id)
        if await bookings.open_of(session, person_id) is not None:
            raise bookings.HasOne("there is an appointment already")
        if not await interviews.consented(session, person_id):
            if not agreed:
                raise bookings.NotAgreed("the person did not agree to interviews")
            version = interviews.CONSENT_VERSION
            await session.execute(
                insert(Consent).values(person_id=person_id, purpose="interview", version=version, channel="team")
            )
        request = await session.scalar(
            select(Request)
            .where(Request.person_id == person_id, Request.status.in_(first_contact.LIVE))
            .order_by(Request.id.desc())
            .limit(1)
        )
        told = await _opened(session, database, person_id, request.answers_sealed) if request is not None else {}
        answers = {name: told[name] for name in OF_REQUEST if told.get(name)}
        answers |= {"consent": "yes", "mode": mode, "time": wall}
        if mode == "in_person":
            answers["office"] = office_id
        row = await _draft(session, database, person_id, conversation_id, answers, now)
        await bookings.fix(session, row, office_id, wall, answers, now)
        await _tell_time(session, database, row, "interview.booked", now)
        await _commit(session, beside)
    return row.reference


async def _draft(
    session: AsyncSession,
    database: Database,
    person_id: int,
    conversation_id: int,
    answers: Mapping[str, Any],
    now: datetime,
    replaces_id: int | None = None,
) -> Appointment:
    """A draft of the team's, instead of one that the person may have begun."""
    key = (await session.scalars(select(Person.key).where(Person.id == person_id))).one()
    await bookings.drop_draft(session, person_id)
    row = Appointment(
        reference=new_reference("RV"),
        person_id=person_id,
        conversation_id=conversation_id,
        status="draft",
        answers_sealed=database.vault.seal(key, dict(answers)),
        replaces_id=replaces_id,
        updated_at=now,
    )
    session.add(row)
    try:
        await session.flush()
    except IntegrityError:  # the person begins one at this very moment
        raise bookings.NotPossible("the person is choosing a time now") from None
    await session.refresh(row)
    return row


async def _tell_time(session: AsyncSession, database: Database, row: Appointment, text_id: str, now: datetime) -> bool:
    """When it is (and where, as the text says), with the file for the calendar and what can be done about it."""
    language = await _language(session, row)
    answers = await _answers(session, database, row)
    words = i18n.say(
        text_id,
        language,
        when=await interviews.spoken_time(session, row, language),
        place=await interviews.place_of(session, row.office_id, answers, language, whole=True),
        reference=row.reference,
    )
    file = await calendar.file(session, row, language, now)
    await wake(session, Lane.REMINDERS, row.id)
    return await _tell(
        session, database, row, words, _answers_to(row, language), expires_at=row.starts_at, document=file
    )


async def _commit(session: AsyncSession, beside: Beside | None) -> None:
    if beside is not None:
        await beside(session)
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


async def cancel(database: Database, reference: str, beside: Beside | None = None) -> bool:
    """The team cannot hold this appointment; whether the person is told, who can choose another time."""
    async with database.session() as session:
        row = await bookings.named(session, reference)
        await bookings.cancel(session, row, "team", datetime.now(UTC))
        language = await _language(session, row)
        words = i18n.say("interview.cancelled_by_team", language, reference=row.reference)
        choices = [_choice("button.interview_book", "book_interview", language)]
        told = await _tell(session, database, row, words, choices)
        await wake(session, Lane.REMINDERS, row.id)
        await _commit(session, beside)
    return told


async def done(database: Database, reference: str, beside: Beside | None = None) -> None:
    """The interview took place."""
    async with database.session() as session:
        row = await bookings.named(session, reference)
        await bookings.outcome(session, row, "done", datetime.now(UTC))
        await wake(session, Lane.REMINDERS, row.id)
        await _commit(session, beside)


async def missed(database: Database, reference: str, beside: Beside | None = None) -> bool:
    """The person did not come: one friendly offer of another time, after that a person of the team writes; whether the
    person is told."""
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
            await _hand_over(session, row, language, now, "missed")
        told = await _tell(session, database, row, words, choices)
        await wake(session, Lane.REMINDERS, row.id)
        await _commit(session, beside)
    return told


def _heard_last(person_id: int) -> Select[int, str | None, str]:
    """The conversation in which a person was heard last, their language, and the channel."""
    return (
        select(Conversation.id, Person.language, Address.channel)
        .join(Person, Person.id == Conversation.person_id)
        .join(Address, Address.id == Conversation.address_id)
        .where(Conversation.person_id == person_id)
        .order_by(Address.last_heard_at.desc().nulls_last(), Conversation.id.desc())
        .limit(1)
    )


async def _hand_over(session: AsyncSession, row: Appointment, language: Language, now: datetime, why: str) -> None:
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
        key=f"handoff:{row.reference}:{why}",
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
    return await _opened(session, database, row.person_id, row.answers_sealed)


async def _opened(session: AsyncSession, database: Database, person_id: int, sealed: bytes) -> Mapping[str, Any]:
    key = await session.scalar(select(Person.key).where(Person.id == person_id))
    opened: Mapping[str, Any] = database.vault.open(key, sealed) if key else {}
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
