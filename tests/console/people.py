"""People who wrote, asked for a person and made a request, as the pages find them."""

from __future__ import annotations

import io
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from PIL import Image
from sqlalchemy import insert, select, text

from bot.appointments import offices
from bot.db.models import (
    Appointment,
    CaseEvent,
    Checkin,
    Consent,
    Conversation,
    Enrolment,
    Handoff,
    Inbox,
    Media,
    OrientationPoint,
    Person,
    Request,
    Suggestion,
)
from bot.db.session import Database
from bot.journeys import first_contact
from tests.conversation.letters import queue, writes

PHONE = "+212612345678"
NAME = "Awa Diallo"
WORDS = "je veux rentrer chez moi"
# answers to check-ins, from well to badly
GOOD = {"E1": "always", "E2": "running", "S1": "yes", "S3": "well", "P1": "good", "P2": "yes", "F1": "yes", "H1": "no"}
WORSE = {**GOOD, "E1": "half", "E2": "waiting"}
BAD = {**WORSE, "E1": "never", "E2": "stopped", "H1": "call"}


def _picture() -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (240, 120), "teal").save(written, "JPEG")
    return written.getvalue()


@dataclass(frozen=True)
class Somebody:
    """Their handoff, their request and their conversation."""

    handoff: str
    request: str
    conversation_id: int
    person_id: int
    media_id: int
    outbox_id: int
    suggestion_id: int
    event_id: str
    appointment: str
    enrolment: str
    point_id: int


async def somebody(
    database: Database,
    *,
    address: str = "awa",
    handoff: str = "H-AAAAA",
    request: str = "AV-7K3Q",
    name: str = NAME,
    words: str = WORDS,
    place: str | None = "MA",
    priority: str = "P1",
    language: str = "fr",
) -> Somebody:
    """Somebody who wrote, sent a picture, made a request and waits for a person; one answer to them failed."""
    conversation_id = await writes(database, address, words=words)
    vault = database.vault
    async with database.session() as session:
        person = await session.scalar(
            select(Person)
            .join(Conversation, Conversation.person_id == Person.id)
            .where(Conversation.id == conversation_id)
        )
        assert person is not None
        person.language = language
        inbox_id = await session.scalar(select(Inbox.id).where(Inbox.conversation_id == conversation_id))
        answers: dict[str, Any] = {"direction": "from_morocco", "age_group": "adult", "name": name, "phone": PHONE}
        await session.execute(
            insert(Request).values(
                reference=request, person_id=person.id, priority=priority, phone_digest=first_contact.phone_digest(vault, PHONE),
                answers_sealed=vault.seal(person.key, answers),
            )
        )  # fmt: skip
        await session.execute(
            insert(Consent).values(person_id=person.id, purpose="request", version="2026-11", channel="web")
        )
        await session.execute(
            insert(Handoff).values(
                reference=handoff, person_id=person.id, conversation_id=conversation_id, inbox_id=inbox_id,
                reason="asked", priority=priority, language=language, place=place,
            )
        )  # fmt: skip
        media_id = await session.scalar(
            insert(Media)
            .values(
                person_id=person.id, conversation_id=conversation_id, inbox_id=inbox_id, kind="photo", status="kept",
                details_sealed=b"", content_sealed=vault.seal_bytes(person.key, _picture()), mime="image/jpeg",
                expires_at=text("now() + interval '1 day'"),
            )
            .returning(Media.id)
        )  # fmt: skip
        suggestion_id = await session.scalar(
            insert(Suggestion)
            .values(
                person_id=person.id, inbox_id=inbox_id, language=language, label="avrr_what_is",
                offered=["avrr_what_is"], text_sealed=vault.seal(person.key, {"text": words}),
            )
            .returning(Suggestion.id)
        )  # fmt: skip
        event_id = await session.scalar(
            insert(CaseEvent)
            .values(key=f"k{handoff}", type="request.created", payload={"data": {}}, status="dead", error="HTTP 500")
            .returning(CaseEvent.event_id)
        )
        await offices.load(session, only_if_empty=True)
        wished = {"consent": "yes", "mode": "in_person", "office": "rabat", "wish": "2027-03-02-morning"}
        await session.execute(
            insert(Appointment).values(
                reference=f"RV-{handoff[2:]}", person_id=person.id, conversation_id=conversation_id, status="requested",
                office_id="rabat" if place == "MA" else None, answers_sealed=vault.seal(person.key, wished),
            )
        )  # fmt: skip
        enrolment_id = await session.scalar(
            insert(Enrolment)
            .values(
                reference=f"CK-{handoff[2:]}", person_id=person.id, conversation_id=conversation_id, status="active",
                returned_on=datetime.now(UTC).date() - timedelta(days=200), zone="Africa/Casablanca",
            )
            .returning(Enrolment.id)
        )  # fmt: skip
        now = datetime.now(UTC)
        rounds = [("week2", "completed", None, GOOD), ("month1", "completed", None, WORSE), ("month3", "missed", None, None),
                  ("month6", "partial", "amber", BAD), ("month9", "planned", None, None)]  # fmt: skip
        for number, (round_, status, level, said) in enumerate(rounds):
            await session.execute(
                insert(Checkin).values(
                    enrolment_id=enrolment_id, person_id=person.id, round=round_, form="short", status=status, level=level,
                    weeks=2 if round_ == "week2" else 0, months=int(round_[5:]) if round_ != "week2" else 0,
                    answers_sealed=vault.seal(person.key, said) if said else None,
                    due_at=now + timedelta(days=20 * (number - 4) + 5), updated_at=now + timedelta(days=20 * (number - 4) + 5),
                )
            )  # fmt: skip
        point_id = await session.scalar(
            insert(OrientationPoint)
            .values(code=secrets.token_bytes(5), name="Maison du quartier", city="Oujda", languages=["fr", "ar"])
            .returning(OrientationPoint.id)
        )
        await session.commit()
    outbox_id = await queue(database, conversation_id, "La réponse", status="failed", error="Refused")
    assert media_id is not None and suggestion_id is not None and point_id is not None
    return Somebody(
        handoff, request, conversation_id, person.id, media_id, outbox_id, suggestion_id, str(event_id),
        f"RV-{handoff[2:]}", f"CK-{handoff[2:]}", point_id,
    )  # fmt: skip
