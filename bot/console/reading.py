"""What the pages show, read from the rooms' tables. Nothing is written here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import i18n
from bot.assistant.forms import forms
from bot.assistant.values.phone import read_phone
from bot.db.models import Address, Consent, Conversation, Handoff, Inbox, Media, Outbox, Person, Request
from bot.db.session import Database
from bot.journeys import first_contact
from bot.messages import Kind, Language

OVER = ("closed", "released", "withdrawn")  # states of a handoff in which nobody waits
HISTORY = 200  # messages of a conversation that are shown
LISTED = 300  # handoffs that are shown
# of a request, what also those read who see nothing personal
PLAIN = ("direction", "age_group", "country", "urgent")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row of the inbox."""

    reference: str
    priority: str
    reason: str
    status: str
    language: str
    channel: str
    since: datetime
    conversation_id: int


@dataclass(frozen=True, slots=True)
class Line:
    """One message of a conversation. `by`: person, assistant or staff."""

    by: str
    text: str
    at: datetime
    status: str  # of ours: how far it got; why not, in `error`
    error: str
    kind: str
    buttons: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """Somebody who asked to be contacted, reached by a reference of theirs."""

    person_id: int
    conversation_id: int
    key: bytes
    language: str | None
    channel: str
    stopped_at: datetime | None
    unreachable_at: datetime | None
    handoff: Handoff | None


async def open_handoffs(session: AsyncSession) -> list[Waiting]:
    """Who waits or is being talked to, the most urgent and longest waiting first."""
    rows = await session.execute(
        select(
            Handoff.reference, Handoff.priority, Handoff.reason, Handoff.status,
            func.coalesce(Person.language, ""), Address.channel, Handoff.created_at, Handoff.conversation_id,
        )
        .join(Person, Person.id == Handoff.person_id)
        .join(Conversation, Conversation.id == Handoff.conversation_id)
        .join(Address, Address.id == Conversation.address_id)
        .where(Handoff.status.not_in(OVER))
        .order_by(Handoff.priority, Handoff.created_at)
        .limit(LISTED)
    )  # fmt: skip
    return [Waiting(*row) for row in rows]


async def case_of(session: AsyncSession, *, handoff: str | None = None, request: str | None = None) -> Case | None:
    """Who is behind the reference of a handoff or of a request."""
    found = (
        select(Person, Conversation.id, Address, Handoff)
        .join(Conversation, Conversation.person_id == Person.id)
        .join(Address, Address.id == Conversation.address_id)
    )
    if handoff is not None:
        found = found.join(Handoff, Handoff.conversation_id == Conversation.id).where(Handoff.reference == handoff)
    else:
        found = (
            found.join(Request, Request.person_id == Person.id)
            .outerjoin(Handoff, (Handoff.conversation_id == Conversation.id) & Handoff.status.not_in(OVER))
            .where(Request.reference == request)
            .order_by(Conversation.id, Handoff.id.desc())
        )
    row = (await session.execute(found.limit(1))).first()
    if row is None:
        return None
    person, conversation_id, address, own = row
    return Case(
        person.id, conversation_id, person.key, person.language, address.channel, person.stopped_at,
        address.unreachable_at, own,
    )  # fmt: skip


async def thread(database: Database, session: AsyncSession, case: Case) -> list[Line]:
    """What was said, the oldest first, the last messages of it."""
    said = await session.execute(
        select(Outbox).where(Outbox.conversation_id == case.conversation_id).order_by(Outbox.id.desc()).limit(HISTORY)
    )
    heard = await session.execute(
        select(Inbox.content_sealed, Inbox.received_at, Inbox.kind)
        .where(Inbox.conversation_id == case.conversation_id, Inbox.content_sealed.is_not(None))
        .where(Inbox.kind.in_([Kind.TEXT, Kind.PRESS, Kind.MEDIA]))
        .order_by(Inbox.id.desc())
        .limit(HISTORY)
    )
    lines, titles = [], {}
    for one in said.scalars():
        content = database.vault.open(case.key, one.content_sealed)
        titles.update(dict(content["buttons"]))
        by = "staff" if content.get("staff") else "assistant"
        buttons = [title for _, title in content["buttons"]]
        lines.append(Line(by, content["text"], one.created_at, one.status, one.error or "", "text", buttons))
    for row in heard:
        content = database.vault.open(case.key, row.content_sealed)
        words = content["text"] or titles.get(content["press"], "")
        if words or row.kind == Kind.MEDIA:
            lines.append(Line("person", words, row.received_at, "", "", row.kind))
    return sorted(lines, key=lambda line: line.at)[-HISTORY:]


async def consents(session: AsyncSession, person_id: int) -> list[Consent]:
    """What the person agreed to, and what they took back."""
    return list(await session.scalars(select(Consent).where(Consent.person_id == person_id).order_by(Consent.id)))


async def media_count(session: AsyncSession, person_id: int) -> int:
    """How many voice messages and pictures are kept of them."""
    return await session.scalar(select(func.count()).where(Media.person_id == person_id, Media.status == "kept")) or 0


async def requests(session: AsyncSession, person_id: int) -> list[Request]:
    """Their requests, the newest first."""
    found = select(Request).where(Request.person_id == person_id, Request.status != "withdrawn")
    return list(await session.scalars(found.order_by(Request.id.desc())))


def answers(database: Database, key: bytes, request: Request, language: Language, hidden: set[str]) -> list[list[str]]:
    """What the person answered: labels and values in the reader's language, without the `hidden` ones."""
    given: dict[str, Any] = database.vault.open(key, request.answers_sealed)
    shown = []
    for step in forms()[first_contact.FORM]:
        value = given.get(step.slot)
        if value is None or step.slot in hidden or step.slot in first_contact.HIDDEN:
            continue
        if value in step.choices:
            value = i18n.say(step.choice_text(value), language)
        elif step.answer == "country":
            value = i18n.country_name(value, language)
        shown.append([i18n.say(f"{step.say}.label", language), str(value)])
    return shown


def hidden_answers(sees_name: bool, sees_phone: bool) -> set[str]:
    """The answers of a request that somebody may not see: all but the plain ones, or nothing."""
    if sees_name and sees_phone:
        return set()
    return {step.slot for step in forms()[first_contact.FORM]} - set(PLAIN)


async def by_reference(session: AsyncSession, words: str) -> list[str]:
    """The page of whom this reference is of, as a path; also without its dash or in lower case."""
    plain = "".join(character for character in words.upper() if character.isalnum())
    for prefix, table, page in (("AV", Request, "requests"), ("H", Handoff, "handoffs")):
        if plain.startswith(prefix):
            reference = f"{prefix}-{plain.removeprefix(prefix)}"
            if await session.scalar(select(table.id).where(table.reference == reference)) is not None:
                return [f"{page}/{reference}"]
    return []


async def by_phone(database: Database, session: AsyncSession, words: str) -> list[str]:
    """The pages of those who gave this number in a request or write from it, as paths."""
    number = read_phone(words)
    if number is None:
        return []
    vault = database.vault
    asked = await session.scalars(
        select(Request.reference)
        .where(Request.phone_digest == first_contact.phone_digest(vault, number), Request.status != "withdrawn")
        .order_by(Request.id.desc())
        .limit(20)
    )
    writing = await session.scalars(
        select(Handoff.reference)
        .join(Conversation, Conversation.id == Handoff.conversation_id)
        .join(Address, Address.id == Conversation.address_id)
        .where(Address.channel == "whatsapp", Address.digest == vault.digest("whatsapp", number.removeprefix("+")))
        .order_by(Handoff.id.desc())
        .limit(20)
    )
    return [f"requests/{reference}" for reference in asked] + [f"handoffs/{reference}" for reference in writing]
