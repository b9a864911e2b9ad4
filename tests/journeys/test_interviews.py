"""Interviews from the wish to the appointment, moved and cancelled, in three languages, through everything real."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from bot import i18n
from bot.appointments import offices, slots
from bot.assistant import knowledge
from bot.db.session import Database
from bot.messages import LANGUAGES, Language
from bot.settings import Settings
from bot.web import Service
from tests.journeys.talk import Talk
from tests.journeys.test_first_contact import ASIDE, count, title

BOOK = {
    "fr": "je voudrais prendre rendez-vous pour un entretien",
    "en": "i want to book an interview appointment",
    "ar": "أريد حجز موعد للمقابلة",
}
WHEN = {"fr": "c'est quand mon rendez-vous ?", "en": "when is my appointment?", "ar": "متى موعدي؟"}
CANCEL = {"fr": "je veux annuler mon rendez-vous", "en": "cancel my appointment please", "ar": "أريد إلغاء موعدي"}
MOVE = {
    "fr": "je voudrais changer la date de mon rendez-vous",
    "en": "can i move my appointment to another day",
    "ar": "أريد تغيير موعد المقابلة",
}
TYPED = {"fr": "{day}/{month} à 10h", "en": "{day}/{month} at 10am", "ar": "{day}/{month} الساعة 10"}
ZONE = "Africa/Casablanca"


async def open_the_offices(database: Database, days: int = 28) -> None:
    """The offices of the seed, Rabat with times in the coming weeks, every working day from 9 to 12 and 14 to 16."""
    today = datetime.now(UTC).date()
    async with database.session() as session:
        await offices.load(session)
        await session.execute(text("DELETE FROM closed_day"))
        await slots.generate(session, today, today + timedelta(days=days))
        await session.commit()


async def fetch(database: Database, statement: str) -> list[Any]:
    """The rows of a query."""
    async with database.session() as session:
        return list((await session.execute(text(statement))).all())


async def to_the_times(talk: Talk, language: Language, wishes: bool = False) -> str:
    """Consent, adult, in person, Rabat: the free times."""
    said = await talk.say(BOOK[language])
    assert i18n.say("interview.consent", language) in said
    await talk.press(title("interview.consent.yes", language))
    await talk.press(title("first_contact.age_group.adult", language))
    await talk.press(title("interview.mode.in_person", language))
    await talk.press({"fr": "Rabat", "en": "Rabat", "ar": "الرباط"}[language])
    return await talk.press(title("interview.more.yes" if wishes else "interview.more.no", language))


async def booked(talk: Talk, language: Language) -> str:
    """The first free time, confirmed; the appointment's reference."""
    await to_the_times(talk, language)
    await talk.press(talk.buttons[0])
    said = await talk.press(title("interview.review.send", language))
    found = re.search(r"RV-[2-9A-Z]{5}", said)
    assert found is not None, said
    return found[0]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_booked_moved_cancelled(
    service: Service, settings: Settings, database: Database, language: Language
) -> None:
    """A question in the middle is answered and the booking goes on; a typed wish is read back; moved; cancelled."""
    await open_the_offices(database)
    talk = Talk(settings)
    said = await to_the_times(talk, language)
    assert i18n.say("interview.time", language) in said
    offered = talk.buttons
    assert len(offered) == 7 and len(set(offered)) == 7 and all(len(title) <= 20 for title in offered)
    said = await talk.say(ASIDE[language])
    assert knowledge.answer("is_it_free", language) in said
    assert i18n.say("interview.time", language) in said and talk.buttons == offered
    [first] = await fetch(database, "SELECT wall FROM slot WHERE starts_at > now() + interval '20 days' LIMIT 1")
    day, month = first.wall[8:10], first.wall[5:7]
    said = await talk.say(TYPED[language].format(day=day, month=month))
    assert "10:00" in said and title("interview.review.send", language) in talk.buttons
    [held] = await fetch(database, "SELECT status, wall FROM appointment")
    assert (held.status, held.wall) == ("held", f"{first.wall[:10]}T10:00")
    said = await talk.press(title("interview.review.send", language))
    reference = re.search(r"RV-[2-9A-Z]{5}", said)
    assert reference is not None
    said = await talk.say(WHEN[language])
    assert reference[0] in said and "10:00" in said
    await talk.say(MOVE[language])
    await talk.press(talk.buttons[0])
    said = await talk.press(title("interview.review.send", language))
    assert reference[0] not in said
    rows = await fetch(database, "SELECT status FROM appointment ORDER BY id")
    assert [row.status for row in rows] == ["rescheduled", "confirmed"]
    await talk.say(CANCEL[language])
    said = await talk.press(title("button.interview_drop", language))
    assert i18n.say("interview.cancelled", language) in said
    told = await fetch(database, "SELECT type FROM case_event ORDER BY id")
    assert [row.type for row in told] == ["interview.booked", "interview.moved", "interview.cancelled"]
    assert await count(database, "appointment WHERE status IN ('held', 'confirmed', 'reminded')") == 0
    assert await count(database, "reminder WHERE done_at IS NULL") == 0
