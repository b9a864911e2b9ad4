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
from bot.conversation import appointments
from bot.db.session import Database
from bot.messages import LANGUAGES, Language
from bot.settings import Settings
from bot.web import Service
from tests.journeys.talk import Talk
from tests.journeys.test_first_contact import ASIDE, count, title, to_the_review

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
    said = await talk.say({"fr": "la semaine prochaine", "en": "next week", "ar": "الأسبوع القادم"}[language])
    assert i18n.say("interview.time", language) in said and len(talk.buttons) == 7
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


async def test_typed_all_the_way(service: Service, settings: Settings, database: Database) -> None:
    """Answers in people's own words; an age or a bare number in the wrong place is about no topic."""
    await open_the_offices(database)
    talk = Talk(settings)
    await talk.say(BOOK["fr"])
    said = await talk.say("30 ans")  # before the consent
    assert said == f"{i18n.say('interview.consent.unreadable', 'fr')}\n\n{i18n.say('interview.consent', 'fr')}"
    assert i18n.say("first_contact.age_group", "fr") in await talk.say("oui")
    assert i18n.say("interview.mode", "fr") in await talk.say("30")
    said = await talk.say("j'ai 30 ans")
    assert said == f"{i18n.say('first_contact.age_group.kept', 'fr')}\n\n{i18n.say('interview.mode', 'fr')}"
    assert i18n.say("interview.office", "fr") in await talk.say("f biro")
    said = await talk.say("77")
    assert said == f"{i18n.say('interview.office.unreadable', 'fr')}\n\n{i18n.say('interview.office', 'fr')}"
    said = await talk.say("c'est où le bureau de Rabat")
    assert i18n.say("interview.more", "fr") not in said
    assert i18n.say("interview.more", "fr") in await talk.say("kaza")
    said = await talk.say("je me suis trompé")  # no complaint
    assert said == i18n.say("interview.which_change", "fr")
    assert i18n.say("interview.office", "fr") in await talk.press(i18n.say("interview.office.label", "fr"))
    assert i18n.say("interview.more", "fr") in await talk.say("casa")
    assert i18n.say("interview.language", "fr") in await talk.say("oui une femme")
    assert i18n.say("interview.interpreter", "fr") in await talk.say("bambara")
    assert i18n.say("interview.companion", "fr") in await talk.say("oui")  # whom to speak with is known
    assert i18n.say("interview.access", "fr") in await talk.say("seule")
    assert i18n.say("interview.wish", "fr") in await talk.say("rien")
    assert i18n.say("interview.wish.which_day", "fr") in await talk.say("la semaine prochaine")
    assert len(talk.buttons) == 6  # its working days, and the way out
    assert "Casablanca" in await talk.press(talk.buttons[1])
    await talk.press(title("interview.review.change", "fr"))
    assert i18n.say("interview.wish", "fr") in await talk.press(i18n.say("interview.wish.label", "fr"))
    assert "Casablanca" in await talk.say("n'importe quand")
    assert i18n.say("interview.which_change", "fr") in await talk.say("non")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_by_request(service: Service, settings: Settings, database: Database, language: Language) -> None:
    """Where no times are offered the wish is read back and stays a request until the team fixes it, and tells."""
    await open_the_offices(database)
    talk = Talk(settings)
    await talk.say(BOOK[language])
    await talk.press(title("interview.consent.yes", language))
    await talk.press(title("first_contact.age_group.adult", language))
    await talk.press(title("interview.mode.in_person", language))
    said = await talk.say({"fr": "à oujda svp", "en": "oujda", "ar": "وجدة"}[language])
    assert i18n.say("interview.more", language) in said
    said = await talk.press(title("interview.more.no", language))
    assert i18n.say("interview.wish", language) in said
    said = await talk.say({"fr": "mardi prochain matin", "en": "next tues afternoon", "ar": "غدا مع العاشرة"}[language])
    assert {"fr": "mardi", "en": "Tuesday", "ar": "10:00"}[language] in said
    said = await talk.press(title("interview.review.send", language))
    [row] = await fetch(database, "SELECT reference, status, starts_at, office_id FROM appointment")
    assert (row.status, row.starts_at, row.office_id) == ("requested", None, "oujda") and row.reference in said
    said = await talk.say(WHEN[language])
    assert i18n.say("interview.status.requested", language, place="x", reference="x").split("\n")[0] in said
    day = datetime.now(UTC).date() + timedelta(days=9)
    await appointments.agree(database, row.reference, f"{day}T14:30")
    said = await talk.say(WHEN[language])
    assert "14:30" in said and row.reference in said
    told = [one.type for one in await fetch(database, "SELECT type FROM case_event ORDER BY id")]
    assert told == ["interview.requested", "interview.booked"]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_child(service: Service, settings: Settings, database: Database, language: Language) -> None:
    """Under 18: a person arranges it; nothing of an appointment is kept."""
    await open_the_offices(database)
    talk = Talk(settings)
    await talk.say(BOOK[language])
    await talk.press(title("interview.consent.yes", language))
    said = await talk.say({"fr": "j'ai 16 ans", "en": "I'm 16", "ar": "عندي 16 عام"}[language])
    assert re.search(r"H-[2-9A-Z]{5}", said)
    assert await count(database, "appointment") == 0
    assert await count(database, "handoff WHERE reason = 'minor' AND priority = 'P1'") == 1


@pytest.mark.parametrize("language", LANGUAGES)
async def test_stop_in_the_middle(service: Service, settings: Settings, database: Database, language: Language) -> None:
    """STOP ends it: the answers are gone and the time that was held is free."""
    await open_the_offices(database)
    talk = Talk(settings)
    await to_the_times(talk, language)
    await talk.press(talk.buttons[0])
    assert await count(database, "appointment WHERE status = 'held'") == 1
    await talk.say("STOP")
    assert await count(database, "appointment") == 0


@pytest.mark.parametrize("language", LANGUAGES)
async def test_my_data_and_erase(service: Service, settings: Settings, database: Database, language: Language) -> None:
    """MY DATA names the appointment; DELETE cancels it, tells the case backend, and leaves no row."""
    await open_the_offices(database)
    talk = Talk(settings)
    reference = await booked(talk, language)
    said = await talk.say({"fr": "mes données", "en": "my data", "ar": "بياناتي"}[language])
    assert reference in said
    await talk.press(title("button.delete_my_data", language))
    await talk.press(title("button.delete_yes", language))
    for table in ("appointment", "reminder", "consent"):
        assert await count(database, table) == 0
    told = await fetch(database, "SELECT payload FROM case_event WHERE type = 'interview.cancelled'")
    assert [one.payload["data"] for one in told] == [{"ref": reference, "by": "erased"}]


async def test_what_is_known_is_not_asked(service: Service, settings: Settings, database: Database) -> None:
    """After a request: consent for this too, but no age again; a phone call asks for the number, read in Arabic digits too."""
    await open_the_offices(database)
    talk = Talk(settings)
    await to_the_review(talk, "fr")
    await talk.press(title("first_contact.review.send", "fr"))
    await talk.press(title("button.interview_book", "fr"))
    said = await talk.press(title("interview.consent.yes", "fr"))
    assert i18n.say("interview.mode", "fr") in said
    said = await talk.say("au téléphone c'est mieux")
    assert i18n.say("interview.phone", "fr") in said
    said = await talk.say("je sais pas")
    assert i18n.say("interview.phone", "fr") in said
    said = await talk.say("٠٦ ١٢ ٣٤ ٥٦ ٧٨")
    assert i18n.say("first_contact.call_time", "fr") in said
    await talk.press(title("first_contact.call_time.evening", "fr"))
    said = await talk.press(title("interview.more.no", "fr"))
    assert i18n.say("interview.time", "fr") in said
    said = await talk.press(talk.buttons[0])
    assert "+212612345678" in said
    await talk.press(title("interview.review.send", "fr"))
    events = await fetch(database, "SELECT payload::text AS told FROM case_event WHERE type = 'interview.booked'")
    assert len(events) == 1 and "612345678" not in events[0].told and "AV-" in events[0].told
    sealed = await fetch(database, "SELECT answers_sealed FROM appointment")
    assert b"612345678" not in bytes(sealed[0].answers_sealed)


async def test_a_wish_that_no_time_fits(service: Service, settings: Settings, database: Database) -> None:
    """A woman is wished for and none is known: no time is offered in spite of it, a person sees to it."""
    await open_the_offices(database)
    talk = Talk(settings)
    await to_the_times(talk, "en", wishes=True)
    await talk.say("wolof")
    await talk.press(title("interview.interpreter.yes", "en"))
    await talk.press(title("interview.gender.woman", "en"))
    await talk.press(title("interview.companion.with", "en"))
    said = await talk.press(title("interview.access.wheelchair", "en"))
    assert i18n.say("interview.wish", "en") in said
    said = await talk.press(title("interview.wish.any", "en"))
    for shown in ("wolof", title("interview.gender.woman", "en"), title("interview.access.wheelchair", "en")):
        assert shown in said
    await talk.press(title("interview.review.send", "en"))
    [event] = await fetch(database, "SELECT payload FROM case_event WHERE type = 'interview.requested'")
    assert event.payload["data"]["wishes"] == {
        "language": "other",
        "interpreter": True,
        "interviewer": "woman",
        "accompanied": True,
        "access": True,
    }


@pytest.mark.parametrize("language", LANGUAGES)
async def test_what_is_no_answer(service: Service, settings: Settings, database: Database, language: Language) -> None:
    """Not understood: a hint and the question again; an old button changes nothing; no is no."""
    await open_the_offices(database)
    talk = Talk(settings)
    await talk.say(BOOK[language])
    words = {"fr": "hmm je ne sais pas trop", "en": "the soup is blue and round", "ar": "الحساء أزرق ومستدير"}
    said = await talk.say(words[language])
    assert i18n.say("interview.consent", language) in said
    old = title("interview.consent.no", language)
    await talk.press(old)
    assert await count(database, "appointment") == await count(database, "consent") == 0
    await talk._turn("press", old)
    assert await count(database, "appointment") == 0


async def test_a_double_tap_books_once(service: Service, settings: Settings, database: Database) -> None:
    """Confirming twice is one appointment; who has one is told which instead of a second."""
    await open_the_offices(database)
    talk = Talk(settings)
    reference = await booked(talk, "fr")
    await talk._turn("press", title("interview.review.send", "fr"))
    said = await talk.say(BOOK["fr"])
    assert reference in said
    assert await count(database, "appointment") == 1
    assert await count(database, "case_event WHERE type = 'interview.booked'") == 1


async def test_during_first_contact(service: Service, settings: Settings, database: Database) -> None:
    """One thing at a time: an interview asked for in the middle of a request goes to a person, the form goes on."""
    await open_the_offices(database)
    talk = Talk(settings)
    await talk.say("je veux rentrer dans mon pays, aidez-moi")
    await talk.press(title("first_contact.consent.yes", "fr"))
    said = await talk.say(BOOK["fr"])
    assert re.search(r"H-[2-9A-Z]{5}", said) and i18n.say("first_contact.direction", "fr") in said
    assert await count(database, "appointment") == 0
