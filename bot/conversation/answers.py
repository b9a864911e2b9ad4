"""What the case backend answers reaches the person: once each, forward only, in their language, by the outbox."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, cast

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import ClientDisconnect

from bot import faults, i18n
from bot.appointments import bookings
from bot.appointments.times import rested
from bot.cases import answers
from bot.cases.answers import Answer, Wrong
from bot.cases.receiver import is_signed
from bot.channels.body import TooLarge, forged, read_body
from bot.conversation import appointments, checkins, outbox
from bot.db import models
from bot.db.models import Address, CaseAnswer, Conversation, Handoff, Person
from bot.db.session import Database, Lane, wake
from bot.journeys.first_contact import appointment
from bot.journeys.handoff import settle
from bot.messages import Language

log = structlog.get_logger()


def router(database: Database, secrets: list[str]) -> APIRouter:
    """The address that takes answers signed with one of these secrets; without any, there is none."""
    router = APIRouter()
    if not secrets:
        return router

    @router.post(answers.PATH)
    async def receive(request: Request) -> Response:
        try:
            body = await read_body(request, answers.LARGEST)
        except TooLarge:
            return Response(status_code=413)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        if not is_signed(secrets, request.headers, body, time.time()):
            forged("cases")
            return Response(status_code=401)
        try:
            answer = answers.read(body)
        except Wrong as wrong:
            return JSONResponse({"error": wrong.why, **({"at": wrong.at} if wrong.at else {})}, wrong.status)
        try:
            told = await take(database, request.headers["webhook-id"], answer)
        except Exception as error:  # the case backend sends it again
            log.error("not stored", channel="case answers", error=type(error).__name__)
            return Response(status_code=503)
        if told is None:
            return JSONResponse({"error": "no such reference"}, 404)
        return JSONResponse({"told": told})

    return router


@dataclass(slots=True)
class _About:
    """Whom a reference is about; `request` unless it is a handoff's."""

    request: models.Request | None
    conversation_id: int
    key: bytes
    language: Language


async def take(
    database: Database,
    answer_id: str,
    answer: Answer,
    also: Callable[[AsyncSession], Awaitable[object]] | None = None,
) -> bool | None:
    """Write down what the answer changes and commit; whether the person is told. None: no such reference.

    The same id again changes nothing and gets the same answer. What is `also` written, is so with it or not at all.
    """
    async with database.session() as session:
        # one that comes twice at once waits here for itself
        await session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:id, 0))"), {"id": answer_id})
        given: bool | None = await session.scalar(select(CaseAnswer.told).where(CaseAnswer.id == answer_id))
        if given is not None:
            return given
        asked_for = await _asked_for(session, answer)
        if asked_for is not None:
            told = await _propose(session, database, asked_for, answer)
        else:
            about = await _about(session, answer.ref)
            if about is None:
                return None
            if answer.type == "return.recorded":
                told = await _returned(session, database, about, answer)
            else:
                words = _apply(database, about, answer)
                if about.request is not None and about.request.status != "open":
                    await settle(session, about.request.person_id, datetime.now(UTC))
                told = words is not None and await _tell(session, database, about, words)
        session.add(CaseAnswer(id=answer_id, type=answer.type, told=told))
        if also is not None:
            await also(session)
        faults.point("answers.before_commit")
        await session.commit()
        faults.point("answers.committed")
        return told


async def _tell(session: AsyncSession, database: Database, about: _About, words: str) -> bool:
    queued = await outbox.unasked(session, database.vault, about.conversation_id, words, about.language, announced=True)
    await wake(session, Lane.DELIVERY, about.conversation_id)
    return queued is not None


async def _returned(session: AsyncSession, database: Database, about: _About, answer: Answer) -> bool:
    """Ask whether they want check-ins; enrolled by nobody but themselves. Asked already, the day is corrected."""
    if about.request is None:
        return False
    returned_on, country = date.fromisoformat(answer.data["returned_on"]), answer.data.get("country")
    return await checkins.recorded(
        session, database, about.request, about.conversation_id, returned_on, country, answer.occurred_at
    )


async def _asked_for(session: AsyncSession, answer: Answer) -> models.Appointment | None:
    """The appointment that a proposal is about, locked: named itself, or asked for by whose request is named."""
    if answer.type != "interview.proposed":
        return None
    which = select(models.Appointment).with_for_update()
    if answer.ref.startswith("RV-"):
        named = models.Appointment.reference == answer.ref
        drafts = models.Appointment.status.in_(bookings.DRAFT)  # nobody was told of their references
        return cast("models.Appointment | None", await session.scalar(which.where(named, ~drafts)))
    waiting = models.Appointment.status.in_(["requested", "proposed"])
    of_request = select(models.Request.person_id).where(
        models.Request.reference == answer.ref, models.Request.status.in_(["open", "acknowledged"])
    )
    whose = models.Appointment.person_id == of_request.scalar_subquery()
    return cast("models.Appointment | None", await session.scalar(which.where(whose, waiting)))


async def _propose(session: AsyncSession, database: Database, row: models.Appointment, answer: Answer) -> bool:
    at = datetime.fromisoformat(answer.data["at"])
    told = await appointments.propose(
        session, database, row, at, answer.data["zone"], answer.data["mode"], answer.occurred_at
    )
    return bool(told)


async def _about(session: AsyncSession, ref: str) -> _About | None:
    """Whom this reference is about, request and conversation locked; None for one that is unknown or withdrawn."""
    subject: models.Request | Handoff | None
    if ref.startswith("H-"):
        subject = await session.scalar(select(Handoff).where(Handoff.reference == ref))
    else:
        subject = await session.scalar(
            select(models.Request)
            .where(models.Request.reference == ref, models.Request.status != "withdrawn")
            .with_for_update()
        )
    if subject is None:
        return None
    whose = (
        select(Conversation.id, Person.key, Person.language)
        .join(Person, Person.id == Conversation.person_id)
        .join(Address, Address.id == Conversation.address_id)
        .where(Conversation.person_id == subject.person_id)
        .order_by(Address.last_heard_at.desc().nulls_last(), Conversation.id.desc())
        .limit(1)
        .with_for_update(read=True, of=Conversation)  # whoever erases the person waits, or has, and nobody is found
    )
    if isinstance(subject, Handoff):
        whose = whose.where(Conversation.id == subject.conversation_id)
    found = (await session.execute(whose)).first()
    if found is None:
        return None
    return _About(None if isinstance(subject, Handoff) else subject, found.id, found.key, found.language or "fr")


def _apply(database: Database, about: _About, answer: Answer) -> str | None:
    """Move the request on, never back; what the person is told, None when there is nothing new."""
    request, language = about.request, about.language
    if answer.type == "message.to_person":
        if "text_id" in answer.data:
            return i18n.say(f"case.text.{answer.data['text_id']}", language, reference=answer.ref)
        return i18n.say("case.message", language, reference=answer.ref, text=answer.data["text"])
    if request is None or request.status == "closed":
        return None
    if answer.type == "request.acknowledged":
        if request.status != "open":
            return None
        request.status = "acknowledged"
        words = i18n.say("case.acknowledged", language, reference=answer.ref)
    elif answer.type == "case.closed":
        request.status = "closed"
        words = i18n.say("case.closed", language, reference=answer.ref)
    else:
        sealed = request.interview_sealed
        if sealed is not None and _occurred(database.vault.open(about.key, sealed)) >= answer.occurred_at:
            return None
        proposed = {name: answer.data[name] for name in ("at", "zone", "mode")}
        if datetime.fromisoformat(proposed["at"]) <= datetime.now(UTC):
            return None
        kept = {**proposed, "occurred_at": answer.occurred_at.isoformat()}
        request.interview_sealed = database.vault.seal(about.key, kept)
        request.unanswered_at = rested(datetime.fromisoformat(proposed["at"]), proposed["zone"])
        request.status = "acknowledged"
        person = i18n.say("button.person", language)
        words = i18n.say(
            "case.interview", language, reference=answer.ref, person=person, **appointment(proposed, language)
        )
    request.updated_at = datetime.now(UTC)
    return words


def _occurred(kept: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(kept["occurred_at"])
