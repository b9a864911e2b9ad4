"""An appointment as a file for the calendar of a telephone (iCalendar, RFC 5545).

Neutral: calendars are shown on locked screens and shared with others. No place, no organisation, no purpose.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from bot import i18n
from bot.db.models import Appointment, Office
from bot.messages import Document, Language

NAMESPACE = uuid.UUID("5e0d7f43-0d0b-5b0c-8b53-3d1c5a8e9f20")  # of the files' UIDs: never change it
MEDIA_TYPE = "text/calendar"
OCTETS = 75  # of one line
MINUTES = 60  # where no office says how long it takes


async def file(session: AsyncSession, appointment: Appointment, language: Language, now: datetime) -> Document | None:
    """The file for this appointment, None while it has no time.

    One that replaces another has its UID and a higher SEQUENCE: the calendar moves the entry and keeps no old one.
    """
    if appointment.starts_at is None:
        return None
    office = await session.get(Office, appointment.office_id) if appointment.office_id else None
    first, moves = appointment, 0
    while first.replaces_id is not None:
        before = await session.get(Appointment, first.replaces_id)
        if before is None:
            break
        first, moves = before, moves + 1
    ends_at = appointment.starts_at + timedelta(minutes=office.minutes if office is not None else MINUTES)
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Rafiq//Rafiq//EN",
        "METHOD:PUBLISH",
        "BEGIN:VEVENT",
        f"UID:{uuid.uuid5(NAMESPACE, first.reference)}",
        f"SEQUENCE:{moves}",
        f"DTSTAMP:{_utc(now)}",
        # in UTC: right whatever the telephone knows of Morocco's clocks
        f"DTSTART:{_utc(appointment.starts_at)}",
        f"DTEND:{_utc(ends_at)}",
        f"SUMMARY:{_escaped(i18n.say('interview.file', language))}",
        "CLASS:PRIVATE",
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    content = "".join(f"{_folded(line)}\r\n" for line in lines)
    return Document(i18n.say("interview.file_name", language) + ".ics", MEDIA_TYPE, content)


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _escaped(words: str) -> str:
    for sign in ("\\", ";", ","):
        words = words.replace(sign, "\\" + sign)
    return words.replace("\n", "\\n")


def _folded(line: str) -> str:
    """The line in pieces of 75 octets at most, no character cut in two."""
    pieces = [""]
    for character in line:
        if len((pieces[-1] + character).encode()) > OCTETS:
            pieces.append(" ")
        pieces[-1] += character
    return "\r\n".join(pieces)
