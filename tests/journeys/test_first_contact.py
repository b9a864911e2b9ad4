"""First contact from consent to reference, in three languages, through everything real."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import text

from bot import i18n
from bot.assistant import knowledge
from bot.console import reading
from bot.db.session import Database
from bot.messages import LANGUAGES, Language
from bot.settings import Settings
from bot.web import Service
from tests.journeys.talk import Talk

WISH = {
    "fr": "je veux rentrer dans mon pays, aidez-moi",
    "en": "i want to go back home, please register me",
    "ar": "بغيت نرجع لبلادي عاونوني",
}
ASIDE = {"fr": "est-ce que c'est gratuit ?", "en": "is it free?", "ar": "واش هادشي فابور ولا خاصني نخلص؟"}


def title(text_id: str, language: Language) -> str:
    """A button's title."""
    return i18n.say(text_id, language)


async def count(database: Database, what: str) -> int:
    """How many rows."""
    async with database.session() as session:
        return int(await session.scalar(text(f"SELECT count(*) FROM {what}")) or 0)


async def to_the_review(talk: Talk, language: Language) -> str:
    """Consent, direction, age, name, this chat only, no more: the read-back."""
    said = await talk.say(WISH[language])
    assert i18n.say("first_contact.consent", language) in said
    await talk.press(title("first_contact.consent.yes", language))
    await talk.press(title("first_contact.direction.from_morocco", language))
    await talk.press(title("first_contact.age_group.adult", language))
    await talk.say("Awa Testcanary")
    await talk.press(title("first_contact.phone.chat", language))
    return await talk.press(title("first_contact.more.no", language))


@pytest.mark.parametrize("language", LANGUAGES)
async def test_request_with_digression_and_correction(
    service: Service, settings: Settings, database: Database, language: Language
) -> None:
    """A question in the middle is answered and the form resumes; an answer is changed; a reference is given."""
    talk = Talk(settings)
    await talk.say(WISH[language])
    await talk.press(title("first_contact.consent.yes", language))
    said = await talk.say(ASIDE[language])  # digression
    assert knowledge.answer("is_it_free", language) in said
    assert i18n.say("first_contact.direction", language) in said
    await talk.press(title("first_contact.direction.from_morocco", language))
    said = await talk.say("25 ans" if language == "fr" else "I am 25" if language == "en" else "عندي ٢٥ عام")
    assert i18n.say("first_contact.name", language) in said
    await talk.say("Awa Testcanary")
    said = await talk.say("12")
    assert i18n.say("first_contact.phone.unreadable", language) in said
    said = await talk.say("٠٦ ١٢ ٣٤ ٥٦ ٧٨")
    assert i18n.say("first_contact.call_time", language) in said
    await talk.press(title("first_contact.call_time.evening", language))
    await talk.press(title("first_contact.call_message.no", language))
    await talk.press(title("first_contact.more.yes", language))
    await talk.say({"fr": "Guinée", "en": "Guinea", "ar": "غينيا"}[language])
    await talk.say("Oujda")
    await talk.press(title("choice.skip", language))
    await talk.press(title("first_contact.travel_document.no", language))
    await talk.press(title("first_contact.urgent.ill_or_disabled", language))
    said = await talk.press(title("choice.skip", language))
    for expected in ("Awa Testcanary", "+212612345678", i18n.country_name("GN", language), "Oujda"):
        assert expected in said
    await talk.press(title("first_contact.review.change", language))  # correction
    await talk.press(title("first_contact.name.label", language))
    said = await talk.say("Mariam Testcanary")
    assert "Mariam Testcanary" in said and "Awa" not in said
    said = await talk.press(title("first_contact.review.send", language))
    assert re.search(r"AV-[2-9A-Z]{4}", said)
    assert "Mariam" not in said and "612345678" not in said  # a summary without secrets
    assert await count(database, "request") == 1
    async with database.session() as session:
        event = (await session.execute(text("SELECT type, payload::text FROM case_event"))).one()
        tracked = await session.scalar(text("SELECT count(*) FROM rasa_tracker"))
        found = await reading.by_phone(session, database.vault, "06 12 34 56 78")
        assert await reading.by_phone(session, database.vault, "06 12 34 56 79") == []
    assert [path.split("/")[0] for path in found] == ["requests"]  # the console finds it by its number
    assert event.type == "request.created"
    assert "Mariam" not in event.payload and "612345678" not in event.payload
    assert tracked == 0  # Rasa's memory of the answers is gone


async def test_what_is_typed_is_the_answer_before_it_is_a_topic(
    service: Service, settings: Settings, database: Database
) -> None:
    """No button is pressed: answers in people's own words are taken, what is told too early is kept, questions go on."""

    def says(text_id: str) -> str:
        return i18n.say(f"first_contact.{text_id}", "fr")

    free = knowledge.answer("is_it_free", "fr")
    talk = Talk(settings)
    await talk.say(WISH["fr"])
    said = await talk.say("30 ans")  # before the consent nothing is kept
    assert says("consent") in said and says("age_group.kept") not in said
    assert says("direction") in await talk.say("wakha")
    assert says("direction.where") in await talk.say("retour")
    said = await talk.say("30 ans")
    assert said == f"{says('age_group.kept')}\n\n{says('direction')}"
    said = await talk.say("c'est gratuit ?")
    assert free in said and says("direction") in said
    assert says("name") in await talk.say("quitter le Maroc")  # the age is known
    said = await talk.say("c'est gratuit ?")
    assert free in said and says("name") in said
    said = await talk.say("je me suis trompé")  # no complaint
    assert said == says("which_change") and talk.buttons == [says("direction.label"), says("age_group.label")]
    assert says("age_group") in await talk.press(says("age_group.label"))
    assert says("name") in await talk.say("31")
    assert says("phone.kept") in await talk.say("mon numéro 0612345678")
    assert says("call_time") in await talk.say("je m'appelle Awa Testcanary")
    assert says("call_message") in await talk.say("après 18h")
    assert says("more") in await talk.say("surtout pas")
    assert says("country") in await talk.say("oui")
    assert says("city") in await talk.say("mali")
    assert says("family") in await talk.say("f casa")
    assert says("travel_document") in await talk.say("bohdi")
    assert says("urgent") in await talk.say("ma3ndich passport")
    assert says("note") in await talk.say("non")
    said = await talk.say("rien")
    for told in ("Partir du Maroc", "18 ans ou plus", "Awa Testcanary", "+212612345678", "Le soir", "Mali", "casa"):
        assert told in said
    said = await talk.say("oui envoyez")
    assert re.search(r"AV-[2-9A-Z]{4}", said)


async def test_annuler_leaves_the_form(service: Service, settings: Settings, database: Database) -> None:
    """At a question that takes any text too: it is no name, and nothing is kept."""
    talk = Talk(settings)
    await talk.say(WISH["fr"])
    await talk.say("oui")
    await talk.say("quitter le maroc")
    await talk.say("30 ans")
    assert await talk.say("annuler") == i18n.say("first_contact.cancelled", "fr")
    assert await count(database, "request") == await count(database, "rasa_tracker") == 0
    assert i18n.say("first_contact.name", "fr") not in await talk.say(ASIDE["fr"])


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_request_is_withdrawn(
    service: Service, settings: Settings, database: Database, language: Language
) -> None:
    """My request, withdraw: told to the case backend, the answers gone."""
    talk = Talk(settings)
    await to_the_review(talk, language)
    await talk.press(title("first_contact.review.send", language))
    await talk.press(title("button.request_status", language))
    await talk.press(title("button.withdraw", language))
    async with database.session() as session:
        assert await session.scalar(text("SELECT status FROM request")) == "withdrawn"
        assert await session.scalar(text("SELECT count(*) FROM case_event WHERE type = 'request.withdrawn'")) == 1
        assert await session.scalar(text("SELECT count(*) FROM consent WHERE withdrawn_at IS NULL")) == 0


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_minor_gets_the_short_path(
    service: Service, settings: Settings, database: Database, language: Language
) -> None:
    """Under 18: name and contact, nothing more; a person is asked for first."""
    talk = Talk(settings)
    await talk.say(WISH[language])
    await talk.press(title("first_contact.consent.yes", language))
    await talk.press(title("first_contact.direction.from_morocco", language))
    await talk.say({"fr": "j'ai 16 ans", "en": "I'm 16", "ar": "عندي 16 عام"}[language])
    await talk.say("Ali")
    said = await talk.press(title("first_contact.phone.chat", language))
    assert re.search(r"AV-[2-9A-Z]{4}", said)
    async with database.session() as session:
        assert await session.scalar(text("SELECT priority FROM request")) == "P1"
        assert await session.scalar(text("SELECT reason FROM handoff")) == "minor"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_no_consent_keeps_nothing(
    service: Service, settings: Settings, database: Database, language: Language
) -> None:
    """« Information only » ends the form; no request, no consent, no memory."""
    talk = Talk(settings)
    await talk.say(WISH[language])
    await talk.press(title("first_contact.consent.information", language))
    assert await count(database, "request") == await count(database, "consent") == 0
    assert await count(database, "rasa_tracker") == 0


@pytest.mark.parametrize("language", LANGUAGES)
async def test_stop_in_the_middle_keeps_nothing(
    service: Service, settings: Settings, database: Database, language: Language
) -> None:
    """Leaving the form at any moment drops its answers."""
    talk = Talk(settings)
    await talk.say(WISH[language])
    await talk.press(title("first_contact.consent.yes", language))
    await talk.press(title("first_contact.direction.from_morocco", language))
    await talk.say("STOP")
    assert await count(database, "request") == await count(database, "rasa_tracker") == 0
    assert await count(database, "consent") == await count(database, "case_event") == 0
    said = await talk.say(ASIDE[language])
    assert i18n.say("first_contact.age_group", language) not in said


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_person_is_asked_for_in_the_middle(
    service: Service, settings: Settings, database: Database, language: Language
) -> None:
    """« A person, please » is recorded and sent as a case event, and the form goes on."""
    talk = Talk(settings)
    await talk.say(WISH[language])
    await talk.press(title("first_contact.consent.yes", language))
    said = await talk.say(
        {"fr": "je veux parler à une personne", "en": "i want to talk to a human please", "ar": "أريد التحدث مع شخص"}[
            language
        ]
    )
    assert re.search(r"H-[2-9A-Z]{5}", said)
    assert i18n.say("first_contact.direction", language) in said
    assert await count(database, "case_event WHERE type = 'handoff.requested'") == 1


async def test_a_second_request_changes_the_first(service: Service, settings: Settings, database: Database) -> None:
    """The same person sends again: the same reference, an update."""
    talk = Talk(settings)
    await to_the_review(talk, "fr")
    first = await talk.press(title("first_contact.review.send", "fr"))
    await to_the_review(talk, "fr")
    second = await talk.press(title("first_contact.review.send", "fr"))
    assert re.findall(r"AV-[2-9A-Z]{4}", first) == re.findall(r"AV-[2-9A-Z]{4}", second)
    assert await count(database, "request") == 1
    assert await count(database, "case_event WHERE type = 'request.updated'") == 1


async def test_a_double_tap_sends_once(service: Service, settings: Settings, database: Database) -> None:
    """Pressing « Send » twice makes one request."""
    talk = Talk(settings)
    await to_the_review(talk, "en")
    send = title("first_contact.review.send", "en")
    await talk.press(send)
    await talk._turn("press", send)
    assert await count(database, "request") == 1


@pytest.mark.parametrize("language", LANGUAGES)
async def test_erasing(service: Service, settings: Settings, database: Database, language: Language) -> None:
    """Erase my data, yes: request, consent, texts, Rasa's memory and the key are gone; the receipt arrives."""
    talk = Talk(settings)
    await to_the_review(talk, language)
    await talk.press(title("first_contact.review.send", language))
    await talk.say({"fr": "efface mes données", "en": "delete my data", "ar": "احذفوا بياناتي"}[language])
    said = await talk.press(title("button.delete_yes", language))
    assert said.startswith(i18n.say("delete.done", language)) and "EF-" in said
    for table in ("request", "consent", "handoff", "rasa_tracker"):
        assert await count(database, table) == 0
    assert await count(database, "inbox WHERE content_sealed IS NOT NULL") == 0
    assert await count(database, "outbox") == 1
    assert await count(database, "case_event WHERE type = 'request.withdrawn'") == 1
