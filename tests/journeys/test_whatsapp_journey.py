"""Whole conversations over WhatsApp, through everything real but Meta itself."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from bot import i18n
from bot.assistant import knowledge
from bot.cases.answers import read
from bot.channels.whatsapp import WEBHOOK_PATH
from bot.conversation.answers import take
from bot.db.session import Database
from bot.messages import LANGUAGES, OPENS, Incoming, Language
from bot.settings import Settings
from bot.supervisor import Stack
from bot.web import Service
from tests.cases.test_answers import answer
from tests.conversation.conftest import rows, until, value
from tests.journeys.test_first_contact import ASIDE, WISH, count, title
from tests.journeys.test_telegram_journey import PERSON, QUESTION, serving, unasked
from tests.simulators.whatsapp import (
    ACCOUNT_ID,
    APP_SECRET,
    PHONE_NUMBER_ID,
    TOKEN,
    VERIFY_TOKEN,
    WINDOW,
    Person,
    Said,
    WhatsAppServer,
    signed,
)

FIXTURES = Path(__file__).parent.parent / "fixtures" / "whatsapp"


def on_whatsapp(server_url: str) -> dict[str, Any]:
    """The settings that switch WhatsApp on."""
    return {
        "whatsapp_token": SecretStr(TOKEN),
        "whatsapp_phone_number_id": PHONE_NUMBER_ID,
        "whatsapp_account_id": ACCOUNT_ID,
        "whatsapp_app_secret": SecretStr(APP_SECRET),
        "whatsapp_verify_token": SecretStr(VERIFY_TOKEN),
        "whatsapp_api_url": server_url,
    }


@dataclass(frozen=True)
class Bot:
    """The assistant on WhatsApp: where WhatsApp is, and the service that talks to it."""

    whatsapp: WhatsAppServer
    service: Service

    @property
    def url(self) -> str:
        """Where Meta posts webhooks."""
        return self.service.settings.own_url + WEBHOOK_PATH


@pytest.fixture(scope="module")
async def running_bot(settings: Settings, database_url: str, rasa: Stack) -> AsyncIterator[Bot]:
    """A service that WhatsApp reaches."""
    async with (
        WhatsAppServer() as whatsapp,
        serving(settings, database_url, **on_whatsapp(whatsapp.url)) as service,
    ):
        bot = Bot(whatsapp, service)
        whatsapp.webhook = bot.url
        yield bot


@pytest.fixture
def bot(running_bot: Bot, service: Service) -> Bot:
    """The assistant on WhatsApp, on an empty database; Rasa's action endpoint is the other service's."""
    whatsapp = running_bot.whatsapp
    whatsapp.clock, whatsapp.copies, whatsapp.shuffled, whatsapp.statuses = time.time, 1, False, ("sent", "delivered")
    whatsapp.calls.clear()
    whatsapp.seen.clear()
    whatsapp._second.clear()
    return running_bot


@dataclass
class Chat:
    """One person on WhatsApp: says, presses, and remembers what the assistant said last."""

    bot: Bot
    database: Database
    owner: Person = field(init=False)
    user_id: str | None = None
    messages: list[Said] = field(default_factory=list)
    _read: int = 0

    def __post_init__(self) -> None:
        self.owner = Person(self.bot.whatsapp, user_id=self.user_id)

    async def say(self, text: str) -> str:
        """Write a text; all that the assistant answers."""
        return await self.turn(self.owner.send_text(text))

    async def press(self, button: str) -> str:
        """Press the newest button whose title is this one, or was cut from it."""
        shown = [one for said in reversed(self.owner.history()) for one in said.titles]
        found = [one for one in shown if one == button or (one.endswith("…") and button.startswith(one[:-1]))]
        assert found, f"no button {button!r} among {shown}"
        return await self.turn(self.owner.press(found[0]))

    @property
    def buttons(self) -> list[str]:
        """The titles under the last messages."""
        return [button for said in self.messages for button in said.titles]

    async def turn(self, act: Awaitable[object]) -> str:
        """Do this and wait until it is answered; all that is answered."""
        before = int(await value(self.database, "SELECT count(*) FROM inbox"))
        await act
        await until(lambda: self._over(before))
        return await self.arrived()

    async def arrived(self) -> str:
        """All that the assistant wrote since this was last read."""
        known = self.owner.history()
        self.messages, self._read = known[self._read :], len(known)
        return "\n\n".join(said.text for said in self.messages)

    async def _over(self, before: int) -> bool:
        counted = await rows(
            self.database,
            "SELECT (SELECT count(*) FROM inbox), (SELECT count(*) FROM inbox WHERE status IN ('pending', 'waiting')), "
            "(SELECT count(*) FROM outbox WHERE status IN ('queued', 'sending'))",
        )
        arrived, working, leaving = counted[0]
        return bool(arrived > before and working == leaving == 0)


# Journeys


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_question_is_answered(bot: Bot, database: Database, language: Language) -> None:
    """With its vetted answer, in one message; its buttons lead on; WhatsApp's statuses come home."""
    chat = Chat(bot, database)
    assert await chat.say(QUESTION[language]) == knowledge.answer("is_it_free", language)
    assert len(chat.messages) == 1 and 2 <= len(chat.buttons) <= 4
    said = await chat.press(chat.buttons[0])
    assert said and len(said) <= 1024
    await until(lambda: value(database, "SELECT count(*) = 2 FROM outbox WHERE status = 'delivered'"))


@pytest.mark.parametrize("language", LANGUAGES)
async def test_first_contact_with_buttons(bot: Bot, database: Database, language: Language) -> None:
    """From consent to reference by someone whose number nobody knows; then it is taken back."""
    chat = Chat(bot, database, user_id="MA.20428377461928")
    chat.owner.number = None
    assert i18n.say("first_contact.consent", language) in await chat.say(WISH[language])
    await chat.press(title("first_contact.consent.yes", language))
    assert knowledge.answer("is_it_free", language) in await chat.say(ASIDE[language])
    await chat.press(title("first_contact.direction.from_morocco", language))
    await chat.press(title("first_contact.age_group.adult", language))
    await chat.say("Awa Testcanary")
    assert i18n.say("first_contact.call_time", language) in await chat.say("٠٦ ١٢ ٣٤ ٥٦ ٧٨")
    await chat.press(title("first_contact.call_time.evening", language))
    await chat.press(title("first_contact.call_message.no", language))
    said = await chat.press(title("first_contact.more.no", language))
    assert "Awa Testcanary" in said and "+212612345678" in said
    said = await chat.press(title("first_contact.review.send", language))
    assert re.search(r"AV-[2-9A-Z]{4}", said)
    await chat.press(title("button.request_status", language))
    await chat.press(title("button.withdraw", language))
    assert await value(database, "SELECT status FROM request") == "withdrawn"
    assert await count(database, "alert") == 0


@pytest.mark.parametrize(
    ("language", "typed"), [("fr", "1"), ("ar", "١"), ("fr", "un"), ("ar", "wahed"), ("ar", "واحد"), ("en", "one")]
)
async def test_a_number_is_an_answer(bot: Bot, database: Database, language: Language, typed: str) -> None:
    """In digits or words of any of our languages it presses the button of that place."""
    chat, other = Chat(bot, database), Chat(bot, database)
    await chat.say(WISH[language])
    first = chat.buttons[0]
    by_typing = await chat.say(typed)
    await other.say(WISH[language])
    assert first == other.buttons[0]
    assert by_typing == await other.press(first)


async def test_a_press_counts_once(bot: Bot, database: Database) -> None:
    """A made-up button, and one that was pressed before, are no longer valid; the choices of now follow."""
    chat = Chat(bot, database)
    await chat.say(QUESTION["fr"])
    assert i18n.say("button.stale", "fr") in await chat.turn(chat.owner.press("made-up"))
    assert chat.buttons


async def test_a_person_is_asked_for(bot: Bot, database: Database) -> None:
    """Recorded once, with the reference told."""
    chat = Chat(bot, database)
    assert re.search(r"H-[2-9A-Z]{5}", await chat.say(PERSON["ar"]))
    assert await count(database, "handoff") == 1


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("location", {"latitude": 1.0, "longitude": 2.0}),
        ("contacts", [{"phones": [{"phone": "+212 6"}]}]),
        ("hologram", {"depth": 3}),
        ("unsupported", {"type": "poll"}),
        ("interactive", None),
    ],
)
async def test_what_cannot_be_read_is_answered_politely(bot: Bot, database: Database, kind: str, content: Any) -> None:
    """And kept."""
    chat = Chat(bot, database)
    assert await chat.turn(chat.owner.send(kind, content)) == i18n.say("media", "fr")
    sealed = await rows(database, "SELECT content_sealed IS NOT NULL FROM inbox")
    assert [tuple(row) for row in sealed] == [(True,)]


async def test_a_voice_message_is_handed_to_a_person(bot: Bot, database: Database) -> None:
    """Acknowledged in words, with the reference told (tests/conversation/test_beside_the_answer.py: it is fetched too)."""
    chat = Chat(bot, database)
    said = await chat.turn(chat.owner.send_file("audio", b"OggS" + b"\1" * 500, "audio/ogg", voice=True))
    assert "H-" in said
    assert await count(database, "handoff") == 1


# Who it is


async def test_who_was_known_by_number_stays_the_same_person(bot: Bot, database: Database) -> None:
    """First the number alone, then number and id, then the id alone: one person, one conversation."""
    chat = Chat(bot, database)
    await chat.say(QUESTION["fr"])
    chat.owner.user_id = "MA.30428377461928"
    await chat.say(QUESTION["fr"])
    number, chat.owner.number = chat.owner.number, None
    await chat.say(QUESTION["fr"])
    assert [await count(database, table) for table in ("person", "address", "conversation")] == [1, 1, 1]
    assert [len(bot.whatsapp.sent[address]) for address in (str(number), "MA.30428377461928")] == [1, 2]


async def test_two_with_history_stay_two(bot: Bot, database: Database) -> None:
    """The number was known, the id was known, each with a conversation: then both are named together."""
    by_number, by_id = Chat(bot, database), Chat(bot, database, user_id="MA.40428377461928")
    by_id.owner.number = None
    await by_number.say(QUESTION["fr"])
    await by_id.say(QUESTION["fr"])
    by_id.owner.number = by_number.owner.number
    await by_id.turn(by_id.owner.send_text(QUESTION["fr"]))
    assert [await count(database, table) for table in ("person", "address", "conversation")] == [2, 2, 2]
    assert await value(database, "SELECT max(turns) FROM conversation") == 2


async def test_a_changed_number_is_doubted(bot: Bot, database: Database) -> None:
    """WhatsApp says so: nothing is answered, what is sensitive waits, the person goes on under the new number."""
    chat = Chat(bot, database)
    await chat.say(QUESTION["fr"])
    system = {"type": "user_changed_number", "body": "changed", "wa_id": "212600999888"}
    await chat.turn(chat.owner.send("system", system))
    assert chat.messages == []
    assert await count(database, "address WHERE identity_changed_at IS NOT NULL") == 1
    chat.owner.number = "212600999888"
    await chat.say(QUESTION["fr"])
    assert await count(database, "person") == 1


# What was said before


async def test_a_deleted_message_goes_from_our_store(bot: Bot, database: Database) -> None:
    """And an edited one is stored as it is now; neither is a turn."""
    chat = Chat(bot, database)
    await chat.say(QUESTION["fr"])
    first = chat.owner.message("text", {"body": QUESTION["fr"]})
    await chat.turn(chat.owner.send_all([first]))
    edit = {"original_message_id": first["id"], "message": {"type": "text", "text": {"body": "autre chose"}}}
    await chat.turn(chat.owner.send("edit", edit))
    await chat.turn(chat.owner.send("revoke", {"original_message_id": first["id"]}))
    assert await value(database, "SELECT turns FROM conversation") == 2
    kept = await rows(database, "SELECT kind, content_sealed IS NOT NULL FROM inbox ORDER BY id")
    assert [tuple(row) for row in kept] == [("text", True), ("text", False), ("edited", False), ("revoked", False)]


@pytest.mark.parametrize(("word", "stopped"), [("stop", True), ("resume", False)])
async def test_a_preference_of_whatsapps_own(bot: Bot, database: Database, word: str, stopped: bool) -> None:
    """Stopped or wanted again, without a word about it."""
    chat = Chat(bot, database)
    await chat.say(QUESTION["fr"] if stopped else "STOP")
    sent = len(chat.owner.history())
    preference = {"wa_id": chat.owner.number, "value": word, "timestamp": int(time.time())}
    told = bot.whatsapp.tell("user_preferences", user_preferences=[{**preference, "category": "marketing_messages"}])
    await chat.turn(told)
    assert await value(database, "SELECT stopped_at IS NOT NULL FROM person") is stopped
    assert len(chat.owner.history()) == sent


# The 24 hours


async def test_after_the_window_the_message_is_held_until_the_person_writes(bot: Bot, database: Database) -> None:
    """WhatsApp says 131047, though we thought it open: held, visible as held; who presses « read the reply » gets it."""
    chat = Chat(bot, database)
    await chat.say(QUESTION["fr"])
    bot.whatsapp.clock = lambda: time.time() + WINDOW + 60
    assert await unasked(database) == "held"
    bot.whatsapp.clock = time.time
    sent = len(chat.owner.history())
    await chat.turn(chat.owner.send("button", {"payload": OPENS, "text": "Lire la réponse"}))
    assert [said.text for said in chat.owner.history()[sent:]] == ["Rappel"]


async def test_a_counsellors_answer_reaches_who_is_silent(bot: Bot, database: Database) -> None:
    """Two days later: the neutral template says that there is a reply, its button brings it."""
    chat = Chat(bot, database)
    reference = found[0] if (found := re.findall(r"H-[2-9A-Z]{5}", await chat.say(PERSON["fr"]))) else ""
    bot.whatsapp.clock = lambda: time.time() + WINDOW + 60
    async with database.session() as session:
        await session.execute(text("UPDATE address SET last_heard_at = now() - interval '2 days'"))
        await session.commit()
    content = answer("message.to_person", ref=reference, text="Pouvez-vous rappeler demain ?")
    assert await take(database, "answer-1", read(json.dumps(content).encode())) is True
    await until(lambda: value(database, "SELECT count(*) FROM outbox WHERE announces AND sent_at IS NOT NULL"))
    template = chat.owner.history()[-1]
    assert template.kind == "template" and reference not in template.text
    sent = len(chat.owner.history())
    await chat.turn(chat.owner.press("Lire la réponse"))
    assert ["Pouvez-vous rappeler demain ?" in said.text for said in chat.owner.history()[sent:]] == [True]


async def test_a_late_word_that_the_window_is_closed(bot: Bot, database: Database) -> None:
    """WhatsApp took the message and says 131047 afterwards: held, and sent when the person writes."""
    chat = Chat(bot, database)
    await chat.say(QUESTION["fr"])
    sent = len(chat.owner.history())
    bot.whatsapp.fail_later(131047)
    await unasked(database)
    await until(lambda: value(database, "SELECT count(*) FROM outbox WHERE status = 'held'"))
    await chat.turn(chat.owner.send("button", {"payload": OPENS, "text": "Lire la réponse"}))
    assert [said.text for said in chat.owner.history()[sent:]] == ["Rappel", "Rappel"]
    assert await count(database, "outbox WHERE status = 'held'") == 0


# Webhooks


async def test_copies_and_disorder_change_nothing(bot: Bot, database: Database) -> None:
    """Every webhook three times, statuses in any order: one turn, one answer, the highest status."""
    bot.whatsapp.copies, bot.whatsapp.shuffled = 3, True
    bot.whatsapp.statuses = ("sent", "delivered", "read")
    chat = Chat(bot, database)
    await chat.say(QUESTION["fr"])
    await until(lambda: value(database, "SELECT count(*) FROM outbox WHERE status = 'read'"))
    await asyncio.sleep(0.5)
    assert [await count(database, table) for table in ("inbox", "outbox", "person")] == [1, 1, 1]
    assert await value(database, "SELECT status FROM outbox") == "read"
    assert len(chat.owner.history()) == 1


async def test_every_message_of_a_batch_is_answered(bot: Bot, database: Database) -> None:
    """Two texts in one webhook are two turns, in order."""
    chat = Chat(bot, database)
    texts = [chat.owner.message("text", {"body": words}) for words in (QUESTION["fr"], PERSON["fr"])]
    await chat.turn(chat.owner.send_all(texts))
    said = chat.owner.history()
    assert len(said) == 2
    assert said[0].text == knowledge.answer("is_it_free", "fr") and "H-" in said[1].text


async def test_a_lost_answer_is_known_by_its_status(bot: Bot, database: Database) -> None:
    """The connection breaks after WhatsApp took it: the status tells, nothing is sent twice."""
    chat = Chat(bot, database)
    bot.whatsapp.lose_answers()
    await chat.say(QUESTION["fr"])
    await until(lambda: value(database, "SELECT count(*) FROM outbox WHERE status = 'delivered'"))
    await asyncio.sleep(1.5)
    assert len(chat.owner.history()) == 1


async def test_a_late_failure_marks_who_is_gone(bot: Bot, database: Database) -> None:
    """131026 by webhook: unreachable, no second try; the next message brings them back."""
    chat = Chat(bot, database)
    bot.whatsapp.fail_later(131026)
    await chat.say(QUESTION["fr"])
    await until(lambda: value(database, "SELECT count(*) FROM address WHERE unreachable_at IS NOT NULL"))
    await chat.say(QUESTION["fr"])
    assert await count(database, "address WHERE unreachable_at IS NULL") == 1


async def test_operators_are_told_once(bot: Bot, database: Database) -> None:
    """A paused template is an alert, however often Meta says so."""
    body = (FIXTURES / "template_paused.json").read_bytes()
    for _ in range(3):
        assert await bot.whatsapp.post(body) == 200
    [alert] = await rows(database, "SELECT kind, detail FROM alert")
    assert alert.kind == "whatsapp: message template status update" and alert.detail["event"] == "PAUSED"


async def test_every_kind_of_webhook_is_taken(bot: Bot, database: Database) -> None:
    """200 for each, twice; the people's events leave one row each, the others none."""
    expected = 0
    for path in sorted(FIXTURES.glob("*.json")):
        channel = bot.service.whatsapp
        assert channel is not None
        events = [one for one in channel.parse(path.read_bytes()) if isinstance(one, Incoming)]
        expected += len(events) + sum(one.details.get("whole", False) for one in events)  # of unseen messages
        for _ in range(2):
            assert await bot.whatsapp.post(path.read_bytes()) == 200
    stored = await value(database, "SELECT count(*) FROM inbox WHERE kind <> 'revoked' OR done_at IS NOT NULL")
    assert stored == expected
    await until(lambda: value(database, "SELECT count(*) = 0 FROM inbox WHERE status IN ('pending', 'waiting')"), 60)
    assert await count(database, "inbox WHERE status = 'dead'") == 0


FORGED: dict[str, str] = {
    "none": "",
    "wrong": signed(b"{}", "another secret"),
    "truncated": signed(b"{}")[:-1],
    "sha1": "sha1=" + signed(b"{}")[7:],
    "of other bytes": signed(b"{ }"),
}


@pytest.mark.parametrize("forged", FORGED)
async def test_a_forged_webhook_leaves_no_trace(bot: Bot, database: Database, forged: str) -> None:
    """401, an empty body, no row."""
    async with httpx.AsyncClient(trust_env=False) as client:
        for body in ((FIXTURES / "text.json").read_bytes(), b"{}", b""):
            signature = {"x-hub-signature-256": FORGED[forged]}
            answer = await client.post(bot.url, content=body, headers=signature if FORGED[forged] else {})
            assert (answer.status_code, answer.content) == (401, b"")
    assert await count(database, "inbox") == await count(database, "person") == 0


async def test_signed_junk_and_too_much(bot: Bot, database: Database) -> None:
    """400 for what is no JSON, 413 for more than 4 MiB, whatever its length says; no row. JSON of anything is taken."""
    assert await bot.whatsapp.post(b"nonsense") == 400
    for body in (b"{}", b"[]", b"null", b'{"from": "212600700100", "id": "wamid.1", "type": "text"}'):
        assert await bot.whatsapp.post(body) == 200
    assert await bot.whatsapp.post(b"[" * 200_000) == 400
    large = json.dumps({"object": "whatsapp_business_account", "entry": ["x" * 5 * 1024 * 1024]}).encode()
    assert await bot.whatsapp.post(large) == 413
    assert await bot.whatsapp.post(json.dumps({"object": "x", "entry": ["x" * 3 * 1024 * 1024]}).encode()) == 200
    assert await count(database, "inbox") == 0


async def test_the_handshake(bot: Bot) -> None:
    """The challenge as plain text for who knows our words; 403 and nothing for anybody else."""
    asked = {"hub.mode": "subscribe", "hub.verify_token": VERIFY_TOKEN, "hub.challenge": "<b>1158201444"}
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(bot.url, params=asked)
        assert (answer.status_code, answer.text) == (200, "<b>1158201444")
        assert answer.headers["content-type"].startswith("text/plain")
        answer = await client.get(bot.url, params={**asked, "hub.verify_token": "guessed"})
        assert (answer.status_code, answer.content) == (403, b"")


async def test_without_settings_there_is_no_whatsapp(service: Service) -> None:
    """Neither door exists."""
    async with httpx.AsyncClient(trust_env=False) as client:
        for answer in (
            await client.get(service.settings.own_url + WEBHOOK_PATH),
            await client.post(service.settings.own_url + WEBHOOK_PATH, content=b"{}"),
        ):
            assert answer.status_code == 404
