"""A check-in in three languages, through the real Rasa: agreed to, begun, a question in the middle, answered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from bot import i18n
from bot.assistant import knowledge
from bot.db.session import Database
from bot.messages import LANGUAGES, Language
from bot.settings import Settings
from bot.web import Service
from tests.journeys.talk import Talk
from tests.journeys.test_first_contact import ASIDE, title

BEGIN = {"fr": "me suivre", "en": "check in with me", "ar": "اسألوا عني"}
ADULT = {"fr": "j'ai 25 ans", "en": "i am 25", "ar": "عمري 25 سنة"}
COUNTRY = {"fr": "Sénégal", "en": "Gambia", "ar": "المغرب"}
TYPED = {  # as people really type them: in SMS French, in Pidgin's English, in Arabizi
    "fr": ("tjrs", "sa marche bien", "wi", "sa va", "oui", "non merci"),
    "en": ("always", "business started small small", "yes", "fine", "yes o", "no thanks"),
    "ar": ("dima", "خدام", "iyeh", "mzyan", "نعم", "لا شكرا"),
}
NATURAL = ("E1", "E2", "S1", "P1", "F1", "H1")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_check_in(service: Service, settings: Settings, database: Database, language: Language) -> None:
    """Typed from end to end; a question in the middle is answered, and the open one comes again."""
    talk = Talk(settings, language=language)
    await talk.start()
    await talk.press(title("language.own_name", language))
    assert i18n.say("checkin.consent", language) in await talk.say(BEGIN[language])
    await talk.press(title("checkin.consent.yes", language))
    assert i18n.say("checkin.returned", language) in await talk.say(ADULT[language])
    day = datetime.now(UTC).date() - timedelta(days=10)
    assert i18n.say("checkin.country", language) in await talk.say(f"{day.day}/{day.month}/{day.year}")
    said = await talk.say(COUNTRY[language])
    assert i18n.say("checkin.enrolled", language).split("{")[0] in said
    async with database.session() as session:
        [row] = (await session.execute(text("SELECT id, next_at FROM checkin WHERE round = 'week2'"))).all()
    await service.checkins.work(row.id, row.next_at)
    said = await talk.say("1")  # the first button of the message that came: « Answer »
    assert i18n.say("checkin.E1", language) in said
    assert title("choice.skip", language) in talk.buttons
    said = await talk.say(ASIDE[language])
    assert knowledge.answer("is_it_free", language) in said and said.endswith(i18n.say("checkin.E1", language))
    for question, typed in zip(NATURAL, TYPED[language], strict=True):
        assert said.endswith(i18n.say(f"checkin.{question}", language)), (question, said)
        said = await talk.say(typed)
    assert said == i18n.say("checkin.done", language)
    async with database.session() as session:
        payload = await session.scalar(text("SELECT payload FROM case_event WHERE type = 'checkin.completed'"))
    answered = {one["question"]: one["answer"] for one in payload["data"]["answers"]}
    assert answered == {
        "E1": "always",
        "E2": "started" if language == "en" else "running",
        "S1": "yes",
        "P1": "ok" if language == "fr" else "good",
        "F1": "yes",
        "H1": "no",
    }
