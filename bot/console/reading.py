"""What the pages show beyond what the rooms tell themselves. Nothing is written here."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import i18n
from bot.assistant.forms import forms
from bot.assistant.values.phone import read_phone
from bot.checkins import schedule
from bot.console.access import may
from bot.console.accounts import Staff
from bot.conversation.handoffs import RESTRICTED, ROLES, SUPERVISING, there
from bot.db.encryption import Vault
from bot.db.models import (
    Address,
    Appointment,
    Consent,
    Conversation,
    Enrolment,
    Handoff,
    HandoffEntry,
    Media,
    Office,
    Person,
    Request,
    StaffMember,
)
from bot.db.session import Database
from bot.journeys import first_contact
from bot.journeys.handoff import OPEN, PLACES
from bot.messages import Language

LISTED = 100  # rows of a list: a page stays small
WAITING = 200  # of the inbox
PLAIN = ("direction", "age_group", "country", "urgent")  # what everybody of the team may read of a request


PAGES = (
    ("AV", Request, "requests"), ("H", Handoff, "handoffs"),
    ("RV", Appointment, "appointments"), ("CK", Enrolment, "checkins"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """Who is behind a reference, without their address."""

    person_id: int
    conversation_id: int
    key: bytes
    language: str | None
    channel: str
    stopped_at: datetime | None
    unreachable_at: datetime | None


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody of the team, as a page names them."""

    id: uuid.UUID
    name: str


def theirs(place: str | None, places: Sequence[str]) -> bool:
    """Whether this place is one of somebody's: all are, for who has none; no place is everybody's."""
    return not places or place is None or place in places


def visible(one: Handoff, staff: Staff) -> bool:
    """Whether this handoff is there for them: of their offices, and not of those that may be about themselves."""
    return there(one, staff.id, staff.role, staff.places)


async def queue(database: Database) -> list[tuple[Handoff, str | None]]:
    """All open handoffs and their owners' names, the most urgent and longest waiting first; `visible` says whose."""
    async with database.looking() as session:
        rows = await session.execute(
            select(Handoff, StaffMember.name)
            .outerjoin(StaffMember, StaffMember.id == Handoff.owner_id)
            .where(Handoff.status.in_(OPEN))
            .order_by(Handoff.priority, Handoff.created_at)
        )
        return [(handoff, name) for handoff, name in rows]


async def handoff(session: AsyncSession, reference: str, staff: Staff) -> tuple[Handoff, Case] | None:
    """This handoff and who is behind it, if it is there for them, and nothing open there may be about the team."""
    found = await session.scalar(select(Handoff).where(Handoff.reference == reference))
    if found is None or not visible(found, staff):
        return None
    others = await session.scalars(
        select(Handoff.reason).where(Handoff.conversation_id == found.conversation_id, Handoff.status.in_(OPEN))
    )
    if not supervises(staff.role) and any(reason in RESTRICTED for reason in others):
        return None
    case = await _case(session, _CASE.where(Conversation.id == found.conversation_id))
    return (found, case) if case is not None else None


async def request(
    session: AsyncSession, vault: Vault, reference: str, places: Sequence[str]
) -> tuple[Request, Case] | None:
    """This request and who made it, likewise."""
    found = await session.scalar(select(Request).where(Request.reference == reference, Request.status != "withdrawn"))
    if found is None:
        return None
    case = await _case(session, _CASE.where(Person.id == found.person_id).order_by(Conversation.id))
    if case is None:
        return None
    direction = vault.open(case.key, found.answers_sealed).get("direction")
    return (found, case) if theirs(PLACES.get(str(direction)), places) else None


async def offices(session: AsyncSession, theirs: Sequence[str]) -> list[Office]:
    """The offices that are somebody's, by their own name or their country's: all are, for who has none."""
    found = await session.scalars(select(Office).where(Office.active).order_by(Office.by_request, Office.id))
    return [one for one in found if not theirs or one.id in theirs or one.country in theirs]


async def appointment(
    session: AsyncSession, reference: str, staff: Staff
) -> tuple[Appointment, Office | None, Case] | None:
    """This appointment, its office and whose it is, if it is of their offices."""
    row = await session.scalar(select(Appointment).where(Appointment.reference == reference))
    if row is None or row.status in ("draft", "held"):
        return None
    office = await session.get(Office, row.office_id) if row.office_id is not None else None
    theirs = office is None or not staff.offices or office.id in staff.offices or office.country in staff.offices
    case = await _case(session, _CASE.where(Conversation.id == row.conversation_id)) if theirs else None
    return (row, office, case) if case is not None else None


async def appointments_of(session: AsyncSession, person_id: int) -> list[Appointment]:
    """A person's appointments, the newest first; not those that are being made."""
    rows = await session.scalars(
        select(Appointment)
        .where(Appointment.person_id == person_id, Appointment.status.not_in(["draft", "held"]))
        .order_by(Appointment.id.desc())
        .limit(20)
    )
    return list(rows)


async def countries(session: AsyncSession, staff: Staff) -> Callable[[str | None], bool]:
    """Says of a country whether it is theirs: one of their offices', or one in which nobody has an office."""
    rows = (await session.execute(select(Office.id, Office.country))).all()
    own = set(staff.offices) | {country for office_id, country in rows if office_id in staff.offices}
    somebodys = {country for _, country in rows}
    return lambda country: not staff.offices or country is None or country in own or country not in somebodys


async def enrolment(session: AsyncSession, reference: str, staff: Staff) -> tuple[Enrolment, Case] | None:
    """This enrolment and whose it is, if it is of their countries."""
    row = await session.scalar(select(Enrolment).where(Enrolment.reference == reference))
    if row is None or not (await countries(session, staff))(country_of(row.zone)):
        return None
    case = await _case(session, _CASE.where(Conversation.id == row.conversation_id))
    return (row, case) if case is not None else None


def country_of(zone: str | None) -> str | None:
    """The country whose clock this is."""
    return next((code for code, known in schedule.zones().items() if known == zone), None)


_CASE = (
    select(
        Person.id, Conversation.id, Person.key, Person.language, Address.channel, Person.stopped_at,
        Address.unreachable_at,
    )
    .join(Conversation, Conversation.person_id == Person.id)
    .join(Address, Address.id == Conversation.address_id)
)  # fmt: skip


async def _case(session: AsyncSession, which: Select[*tuple[Any, ...]]) -> Case | None:
    row = (await session.execute(which.limit(1))).first()
    return Case(*row) if row is not None else None


async def handoffs_of(session: AsyncSession, person_id: int, staff: Staff) -> list[Handoff]:
    """Every time that a person was asked for, the newest first."""
    rows = await session.scalars(
        select(Handoff).where(Handoff.person_id == person_id).order_by(Handoff.id.desc()).limit(20)
    )
    return [one for one in rows if visible(one, staff)]


async def notes_of(
    session: AsyncSession, vault: Vault, case: Case, seen: Sequence[Handoff]
) -> list[tuple[HandoffEntry, str]]:
    """What colleagues wrote down in these handoffs of a person, the newest first."""
    rows = await session.scalars(
        select(HandoffEntry)
        .where(HandoffEntry.handoff_id.in_([one.id for one in seen]), HandoffEntry.note_sealed.is_not(None))
        .order_by(HandoffEntry.id.desc())
    )
    return [(entry, str(vault.open(case.key, entry.note_sealed or b"")["text"])) for entry in rows]


async def requests_of(session: AsyncSession, person_id: int) -> list[Request]:
    """Their requests, the newest first."""
    found = select(Request).where(Request.person_id == person_id, Request.status != "withdrawn")
    return list(await session.scalars(found.order_by(Request.id.desc())))


async def consents_of(session: AsyncSession, person_id: int) -> list[Consent]:
    """What the person agreed to, and what they took back."""
    return list(await session.scalars(select(Consent).where(Consent.person_id == person_id).order_by(Consent.id)))


async def kept_media(session: AsyncSession, conversation_id: int) -> Mapping[int, str]:
    """The types of the voice messages and pictures of a conversation that are kept, by number; not what is in them."""
    rows = await session.execute(
        select(Media.id, Media.mime).where(Media.conversation_id == conversation_id, Media.status == "kept")
    )
    return {row.id: row.mime or "" for row in rows}


async def names(session: AsyncSession) -> dict[uuid.UUID, str]:
    """Everybody of the team, those who left too."""
    return {row.id: row.name for row in await session.execute(select(StaffMember.id, StaffMember.name))}


async def colleagues(session: AsyncSession, place: str | None) -> list[Colleague]:
    """Who may be handed a conversation of this place; what else they may not have, the desk says."""
    rows = await session.scalars(
        select(StaffMember).where(StaffMember.active, StaffMember.role.in_(ROLES)).order_by(StaffMember.name)
    )
    return [Colleague(one.id, one.name) for one in rows if theirs(place, one.places)]


def supervises(role: str) -> bool:
    """Whether this role may move conversations that are somebody else's."""
    return role in SUPERVISING


def answers(vault: Vault, key: bytes, request: Request, language: Language, everything: bool) -> list[tuple[str, str]]:
    """What the person answered: labels and values in the reader's language; not `everything`: the plain ones alone."""
    given: dict[str, Any] = vault.open(key, request.answers_sealed)
    shown = []
    for step in forms()[first_contact.FORM]:
        value = given.get(step.slot)
        if value is None or step.slot in first_contact.HIDDEN or not (everything or step.slot in PLAIN):
            continue
        if value in step.choices:
            value = i18n.say(step.choice_text(value), language)
        elif step.answer == "country":
            value = i18n.country_name(value, language)
        shown.append((i18n.say(f"{step.say}.label", language), str(value)))
    return shown


def chosen(given: Mapping[str, Any]) -> list[str | None]:
    """The plain answers as they were chosen; what could have been typed is left out."""
    steps = {step.slot: step for step in forms()[first_contact.FORM]}
    found: list[str | None] = []
    for slot in PLAIN:
        value = given.get(slot)
        known = value in steps[slot].choices or (
            steps[slot].answer == "country" and i18n.country_name(str(value), "en") != value
        )
        found.append(str(value) if value is not None and known else None)
    return found


async def by_reference(session: AsyncSession, words: str) -> list[str]:
    """The page of whom this reference is of, as a path; the dash and capitals may lack."""
    plain = "".join(character for character in words.upper() if character.isalnum())
    for prefix, table, page in PAGES:
        reference = f"{prefix}-{plain.removeprefix(prefix)}"
        found = select(table.id).where(table.reference == reference)
        if plain.startswith(prefix) and await session.scalar(found) is not None:
            return [f"{page}/{reference}"]
    return []


async def is_there(session: AsyncSession, vault: Vault, page: str, staff: Staff) -> bool:
    """Whether a page that was found, as a path, is there for them."""
    kind, _, reference = page.partition("/")
    if not may(staff.role, "GET", f"/console/{kind}/{{reference}}"):
        return False
    if kind == "requests":
        return await request(session, vault, reference, staff.places) is not None
    if kind == "appointments":
        return await appointment(session, reference, staff) is not None
    if kind == "checkins":
        return await enrolment(session, reference, staff) is not None
    return await handoff(session, reference, staff) is not None


async def by_phone(session: AsyncSession, vault: Vault, words: str) -> list[str]:
    """The pages of those who gave this number in a request or write from it, as paths."""
    number = read_phone(words)
    if number is None:
        return []
    asked = await session.scalars(
        select(Request.reference)
        .where(Request.phone_digest == first_contact.phone_digest(vault, number), Request.status != "withdrawn")
        .order_by(Request.id.desc())
        .limit(20)
    )
    found = [f"requests/{reference}" for reference in asked]
    writing = Address.channel == "whatsapp", Address.digest == vault.digest("whatsapp", number.removeprefix("+"))
    for _, table, page in PAGES[1:]:
        references = await session.scalars(
            select(table.reference)
            .join(Conversation, Conversation.id == table.conversation_id)
            .join(Address, Address.id == Conversation.address_id)
            .where(*writing)
            .order_by(table.id.desc())
            .limit(20)
        )
        found += [f"{page}/{reference}" for reference in references]
    return found
