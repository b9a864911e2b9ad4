"""Nothing personal for whom we do not know: the safe word, long silence, another holder; known again by a number."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import text
from starlette.responses import JSONResponse, Response

from bot import i18n
from bot.channels import pull
from bot.conversation import knowing
from bot.db.session import Database
from bot.journeys import safe_word
from bot.messages import LANGUAGES
from bot.web import Service
from tests.conversation.conftest import rows, value
from tests.conversation.test_checkins import Person, say
from tests.conversation.test_rights import ask
from tests.simulators.rasa import GREETING, FakeRasa

WORD = "tulipe violette"
OURS = "AV-7K3Q"


@pytest.fixture
async def person(worker: tuple[Service, FakeRasa], database: Database) -> Person:
    """Somebody who has made a request."""
    someone = Person(worker[0], database)
    await someone.write("bonjour")
    await request(database, OURS)
    return someone


async def request(database: Database, reference: str) -> None:
    """A request of the one person there is, made now."""
    await change(
        database,
        "INSERT INTO request (reference, person_id, priority, answers_sealed) SELECT :r, id, 'P2', :s FROM person",
        r=reference, s=database.vault.seal(bytes(await value(database, "SELECT key FROM person")), {}),
    )  # fmt: skip


async def change(database: Database, statement: str, **values: Any) -> None:
    """Run this."""
    async with database.session() as session:
        await session.execute(text(statement), values)
        await session.commit()


async def choose(person: Person, word: str = WORD) -> str:
    """Choose this as the safe word; what is said."""
    assert await person.write("mot secret") in (say("safe_word.ask"), say("safe_word.change"))
    return await person.write(word)


async def held(database: Database) -> list[str]:
    """Why messages are held."""
    return [row.error for row in await rows(database, "SELECT error FROM outbox WHERE status = 'held'")]


# The safe word


@pytest.mark.parametrize("words", ["mot secret", "secret word", "كلمة الأمان"])
async def test_a_safe_word_is_chosen(person: Person, database: Database, words: str) -> None:
    """By words in three languages; only a keyed hash of it stays, anywhere."""
    assert await person.write(words) in [i18n.say("safe_word.ask", language) for language in LANGUAGES]
    kept = [i18n.say("safe_word.kept", language) for language in LANGUAGES]
    assert await person.write("Tulipe Violette !") in kept
    assert len(bytes(await value(database, "SELECT safe_word FROM person"))) == 32
    contents = await rows(database, "SELECT content_sealed, key FROM inbox, person WHERE content_sealed IS NOT NULL")
    opened = [database.vault.open(bytes(row.key), bytes(row.content_sealed)) for row in contents]
    opened += [content for _, content in await person.messages()]
    assert "iolette" not in json.dumps(opened)


async def test_a_safe_word_is_changed_and_taken_away(person: Person, database: Database) -> None:
    """From the rights menu; MY DATA says that there is one, never which."""
    await ask(person, "my_data")
    assert await person.press(say("button.safe_word")) == say("safe_word.ask")
    await person.write(WORD)
    first = await value(database, "SELECT safe_word FROM person")
    await ask(person, "my_data")
    assert say("my_data.safe_word") in (await person.last())["text"]
    await choose(person, "éléphant bleu")
    assert await value(database, "SELECT safe_word FROM person") != first
    await person.write("mot secret")
    assert await person.press(say("button.not_now")) == say("safe_word.left")
    await person.write("mot secret")
    assert await person.press(say("button.safe_word_remove")) == say("safe_word.removed")
    assert await value(database, "SELECT safe_word FROM person") is None
    await person.write("éléphant bleu")
    assert await value(database, "SELECT hidden_at FROM conversation") is None


@pytest.mark.parametrize("word", [
    "oui", "non", "d'accord", "نعم", "لا", "STOP", "arrêt", "توقف", "français", "english", "العربية", "12345",
    "sept mille", "06 12 34 56 78", "menu", "bonjour", "merci beaucoup", "السلام عليكم", "Sénégal", "rendez-vous",
    "abc", "!!!!!!", "un mot secret beaucoup trop long pour que quelqu'un s'en souvienne",
])  # fmt: skip
def test_words_that_are_said_anyway(word: str) -> None:
    """Yes and no, commands, languages, numbers, countries, greetings: nobody hides by chance."""
    assert safe_word.is_common(word)


@pytest.mark.parametrize("word", ["tulipe violette", "hibiscus", "papillon", "فراشة زرقاء", "purple lantern"])
def test_words_that_are_not(word: str) -> None:
    """Other words can be chosen."""
    assert not safe_word.is_common(word)


async def test_a_refused_word_is_asked_again(person: Person, database: Database) -> None:
    """STOP is STOP also there; a word of every day is refused, and the next one is taken."""
    assert await choose(person, "bonjour") == say("safe_word.refused")
    assert say("safe_word.kept") in await person.write(WORD)
    await person.write("mot secret")
    assert say("stopped") in await person.write("STOP")


async def test_the_safe_word_hides_a_form(person: Person, worker: tuple[Service, FakeRasa], database: Database) -> None:
    """A neutral hello with the ordinary menu; the form waits aside with Rasa's memory, and comes back by a number."""
    _, fake = worker
    await choose(person)
    form = {**GREETING, "form": "first_contact", "asks": "direction", "messages": [{"say": "help"}]}

    async def asking(body: dict[str, Any]) -> Response:
        return JSONResponse(form)

    fake.behave = asking
    await person.write("je veux rentrer")
    fake.behave = fake.greet
    before = fake.turns[-1]["conversation"]
    old_button = await value(database, "SELECT max(id) FROM issued_button WHERE expires_at > now()")
    assert await person.write("TULIPE violette.") == say("safe_word.hidden")
    assert [title for _, title in (await person.last())["buttons"]][-1] == say("button.person")
    asked = len(fake.turns)
    assert say("button.stale") in await person.press_id(old_button)
    await person.write("une question")
    assert len(fake.turns) == asked + 1 and fake.turns[-1]["conversation"] != before
    await ask(person, "my_data")
    assert (await person.last())["text"] == say("identity.held") and await held(database) == ["identity"]
    await ask(person, "consents")
    assert (await person.last())["text"] == say("identity.held")
    await person.write("Tulipe violette")  # again: as harmless as before, and nothing is lost
    await person.write(f"{OURS[:2]} {OURS[3:]}")
    assert (await person.last())["text"] == say("identity.verified") and await held(database) == []
    assert await value(database, "SELECT rasa_id FROM conversation") == before
    assert await value(database, "SELECT form FROM conversation") == "first_contact"
    assert await value(database, "SELECT hidden_at FROM conversation") is None


async def test_the_web_page_shows_nothing_that_is_held(person: Person, database: Database) -> None:
    """A page fetches its messages itself: what waits for who they are waits there too, and comes when they are known."""
    await choose(person)
    await person.write(WORD)
    await ask(person, "my_data")
    conversation = await person.conversation()
    told = (await pull.fetch(database, conversation, 0, history=True)).messages
    assert told[-1]["text"] == say("identity.held")
    hidden = (say("my_data.safe_word"), OURS)
    assert not [one for one in told for words in hidden if one["by"] == "rafiq" and words in one["text"]]
    await person.write(OURS)
    after = (await pull.fetch(database, conversation, told[-1]["n"])).messages
    assert [say("my_data.safe_word") in one["text"] for one in after] == [True, False]
    assert after[1]["text"] == say("identity.verified") and after[1]["n"] >= after[0]["n"] >= told[-1]["n"]
    assert (await pull.fetch(database, conversation, after[1]["n"])).messages == []


async def test_the_safe_word_hides_a_checkin(person: Person, database: Database) -> None:
    """The open question is not asked again, « suivi » shows nothing; known again, it goes on where it was."""
    await choose(person)
    await person.enrol()
    await person.begin("week2")
    await person.answer(E1="always")
    assert await person.write(WORD) == say("safe_word.hidden")
    assert await person.write("bonjour") == say("greet")
    assert await person.write("suivi") == say("identity.held")
    await person.write(OURS)
    assert await value(database, "SELECT status FROM checkin WHERE round = 'week2'") == "open"
    assert say("checkin.E2") in await person.write("suivi")


async def test_the_safe_word_needs_no_rasa(
    person: Person, worker: tuple[Service, FakeRasa], database: Database
) -> None:
    """It works in an outage."""
    await choose(person)
    worker[1].healthy, worker[1].behave = False, worker[1].fail
    assert await person.write(WORD) == say("safe_word.hidden")
    worker[1].healthy, worker[1].behave = True, worker[1].greet


async def test_erased_while_hidden(person: Person, database: Database) -> None:
    """DELETE works while it is hidden, and what was put aside goes too."""
    await choose(person)
    await person.write(WORD)
    await change(database, "INSERT INTO rasa_tracker (conversation, events) VALUES ('aside', '')")
    await change(database, "UPDATE conversation SET aside_rasa_id = 'aside', aside_form = 'first_contact'")
    await ask(person, "delete_my_data")
    await person.press(say("button.delete_yes"))
    assert await value(database, "SELECT count(*) FROM rasa_tracker WHERE conversation = 'aside'") == 0
    assert await value(database, "SELECT count(*) FROM conversation WHERE hidden_at IS NULL") == 1
    assert await value(database, "SELECT safe_word FROM person") is None


# Who it is


async def silent(database: Database, days: float) -> None:
    """The person was last heard so many days ago."""
    await change(
        database, "UPDATE address SET last_heard_at = now() - make_interval(secs => :s)", s=days * 86400.0
    )  # fmt: skip
    await change(database, "UPDATE request SET created_at = now() - interval '40 days'")


async def test_after_a_long_silence(person: Person, database: Database) -> None:
    """Within 30 days they are who they were; later what is personal waits for a number of theirs."""
    await silent(database, 29.9)
    await ask(person, "my_data")
    assert await held(database) == []
    await silent(database, 30.1)
    await ask(person, "my_data")
    assert (await person.last())["text"] == say("identity.held") and await held(database) == ["identity"]
    await person.write(OURS)
    assert await held(database) == []
    await ask(person, "my_data")
    assert await held(database) == []


async def test_who_has_no_number_is_not_asked(person: Person, database: Database) -> None:
    """Silence alone hides nothing from somebody who never was given a number."""
    await change(database, "DELETE FROM request")
    await silent(database, 31)
    await ask(person, "my_data")
    assert await held(database) == []


async def test_three_tries(person: Person, database: Database) -> None:
    """Each wrong number gets the same answer; after the third a person is asked for, and no number helps any more."""
    await silent(database, 31)
    assert [await person.write(wrong) for wrong in ("AV-2222", "RV-22222")] == [say("identity.wrong")] * 2
    assert await value(database, "SELECT count(*) FROM handoff") == 0
    await person.write("H-23456")
    assert await value(database, "SELECT reason FROM handoff") == "asked"
    await person.write(OURS)
    await ask(person, "my_data")
    assert await held(database) == ["identity"]
    reference = await value(database, "SELECT reference FROM handoff")
    assert await knowing.by_the_team(database, reference)
    assert await held(database) == []
    assert not await knowing.by_the_team(database, reference)
    assert not await knowing.by_the_team(database, "H-00000")


async def test_a_number_that_came_later_opens_nothing(person: Person, database: Database) -> None:
    """Whoever holds the phone can ask for a person, or make a request: those numbers say nothing about who they are."""
    await silent(database, 31)
    await person.write("bonjour")
    await request(database, "AV-9999")
    await person.write("AV-9999")
    assert (await person.last())["text"] == say("identity.wrong")
    assert await value(database, "SELECT unsure_at IS NOT NULL FROM address")


def test_nothing_tells_what_there_is() -> None:
    """What is asked names no number, no name, no reason."""
    for language in LANGUAGES:
        for text_id in ("identity.held", "identity.wrong"):
            assert "{" not in i18n.say(text_id, language)
