"""Whole conversations over Telegram, by long polling and by webhook, through everything real but Telegram itself."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn
from pydantic import SecretStr
from sqlalchemy import insert, select

from bot import i18n
from bot.assistant import knowledge
from bot.channels.telegram import SECRET_HEADER, WEBHOOK_PATH
from bot.db.models import Conversation, Outbox, Person
from bot.db.session import Database
from bot.messages import LANGUAGES, Language
from bot.settings import Settings
from bot.supervisor import Stack, free_port
from bot.web import Service, create_app
from tests.conftest import emptied
from tests.conversation.conftest import rows, until, value
from tests.journeys.test_first_contact import ASIDE, WISH, count, title
from tests.simulators.telegram import Person as Owner
from tests.simulators.telegram import Said, TelegramServer

TOKEN = "123456789:AAEjourney-journey-journey-journey"
SECRET = "the-secret-of-the-webhook"
GROUP = -1002200330044
QUESTION = {
    "fr": "c'est gratuit ou il faut payer quelque chose ?",
    "en": "is it free or do I have to pay?",
    "ar": "هل الخدمة مجانية أم يجب أن أدفع؟",
}
PERSON = {"fr": "je veux parler à une personne", "en": "i want to talk to a human please", "ar": "أريد التحدث مع شخص"}


@asynccontextmanager
async def serving(settings: Settings, database_url: str, **given: Any) -> AsyncIterator[Service]:
    """Another service on the same database and the same Rasa, with these settings; it has a port of its own."""
    port = free_port()
    if "rafiq_public_url" in given:
        given["rafiq_public_url"] = f"http://127.0.0.1:{port}"
    app = create_app(settings.model_copy(update={**given, "rafiq_port": port}), database_url)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, lifespan="on"))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.02)
        if running.done():
            raise RuntimeError("the second service did not start")
    try:
        yield app.state.service
    finally:
        server.should_exit = True
        await running


def on_telegram(server_url: str, *, webhook: bool) -> dict[str, Any]:
    """The settings that switch Telegram on."""
    given: dict[str, Any] = {"telegram_token": SecretStr(TOKEN), "telegram_api_url": server_url}
    if webhook:
        given |= {"telegram_webhook_secret": SecretStr(SECRET), "rafiq_public_url": "its own"}
    return given


@dataclass(frozen=True)
class Bot:
    """The assistant on Telegram: where Telegram is, and the service that talks to it."""

    telegram: TelegramServer
    service: Service
    mode: str

    @property
    def url(self) -> str:
        """Where Telegram posts updates."""
        return self.service.settings.own_url + WEBHOOK_PATH


@pytest.fixture(scope="module", params=["polling", "webhook"])
async def running_bot(
    request: pytest.FixtureRequest, settings: Settings, database_url: str, rasa: Stack, _database: Database
) -> AsyncIterator[Bot]:
    """A service that Telegram reaches in this way."""
    webhook = request.param == "webhook"
    await emptied(_database)  # another test's updates may have had higher numbers
    async with (
        TelegramServer() as telegram,
        serving(settings, database_url, **on_telegram(telegram.url, webhook=webhook)) as service,
    ):
        if webhook:
            await until(lambda: telegram.calls("setWebhook"))
        yield Bot(telegram, service, request.param)


@pytest.fixture
def bot(running_bot: Bot, service: Service) -> Bot:
    """The assistant on Telegram, on an empty database; Rasa's action endpoint is the other service's."""
    return running_bot


@dataclass
class Chat:
    """One person on Telegram: says, presses, and remembers what the bot said last."""

    bot: Bot
    database: Database
    language: Language
    owner: Owner = field(init=False)
    messages: list[Said] = field(default_factory=list)
    _read: int = 0
    _turns: int = 0

    def __post_init__(self) -> None:
        self.owner = Owner(self.bot.telegram, TOKEN, language=self.language)

    async def say(self, text: str) -> str:
        """Write a text; all that the bot answers."""
        return await self._turn(self.owner.send_text(text))

    async def press(self, button: str) -> str:
        """Press the newest button of this title."""
        assert any(button in said.titles for said in await self.owner.history()), f"no button {button!r}"
        return await self._turn(self.owner.press(button))

    @property
    def buttons(self) -> list[str]:
        """The titles under the last messages."""
        return [button for said in self.messages for button in said.titles]

    async def _turn(self, act: Awaitable[None]) -> str:
        self._turns += 1
        await act
        await until(self._over)
        return await self.arrived()

    async def arrived(self) -> str:
        """All that the bot wrote since this was last read."""
        known = await self.owner.history()
        self.messages, self._read = known[self._read :], len(known)
        return "\n\n".join(said.text for said in self.messages)

    async def _over(self) -> bool:
        heard = await value(self.database, "SELECT count(*) FROM inbox WHERE status = 'done'")
        open_rows = await value(self.database, "SELECT count(*) FROM outbox WHERE status IN ('queued', 'sending')")
        return int(heard) >= self._turns and not open_rows


def shown(address: int, calls: list[Any]) -> list[str]:
    """The texts that were sent to this chat."""
    return [call["text"] for call in calls if str(call["chat_id"]) == str(address)]


# Journeys


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_question_is_answered(bot: Bot, database: Database, language: Language) -> None:
    """/start says who speaks; a question gets its vetted answer; its buttons lead on; a press stops its clock."""
    chat = Chat(bot, database, language)
    assert await chat.say("/start") == i18n.say("welcome", language)
    assert chat.buttons == ["Français", "English", "العربية"]
    assert await chat.say(QUESTION[language]) == knowledge.answer("is_it_free", language)
    assert 2 <= len(chat.buttons) <= 4
    said = await chat.press(chat.buttons[0])
    assert said and len(said) <= 1024
    assert len(await bot.telegram.calls("answerCallbackQuery")) >= 1


@pytest.mark.parametrize("language", LANGUAGES)
async def test_request_with_digression_correction_and_withdrawal(
    bot: Bot, database: Database, language: Language
) -> None:
    """First contact from consent to reference; then it is taken back."""
    chat = Chat(bot, database, language)
    assert i18n.say("first_contact.consent", language) in await chat.say(WISH[language])
    await chat.press(title("first_contact.consent.yes", language))
    said = await chat.say(ASIDE[language])
    assert knowledge.answer("is_it_free", language) in said
    assert i18n.say("first_contact.direction", language) in said
    await chat.press(title("first_contact.direction.from_morocco", language))
    await chat.press(title("first_contact.age_group.adult", language))
    await chat.say("Awa Testcanary")
    assert i18n.say("first_contact.phone.unreadable", language) in await chat.say("12")
    assert i18n.say("first_contact.call_time", language) in await chat.say("٠٦ ١٢ ٣٤ ٥٦ ٧٨")
    await chat.press(title("first_contact.call_time.evening", language))
    await chat.press(title("first_contact.call_message.no", language))
    said = await chat.press(title("first_contact.more.no", language))
    assert "Awa Testcanary" in said and "+212612345678" in said
    await chat.press(title("first_contact.review.change", language))
    await chat.press(title("first_contact.name.label", language))
    said = await chat.say("Mariam Testcanary")
    assert "Mariam Testcanary" in said and "Awa" not in said
    said = await chat.press(title("first_contact.review.send", language))
    assert re.search(r"AV-[2-9A-Z]{4}", said)
    assert "Mariam" not in said and "612345678" not in said
    await chat.press(title("button.request_status", language))
    await chat.press(title("button.withdraw", language))
    assert await value(database, "SELECT status FROM request") == "withdrawn"
    events = await rows(database, "SELECT type, payload::text FROM case_event ORDER BY id")
    assert [event.type for event in events] == ["request.created", "request.withdrawn"]
    assert "Mariam" not in str(events) and "612345678" not in str(events) and str(chat.owner.id) not in str(events)
    assert await count(database, "rasa_tracker") == await count(database, "alert") == 0


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_minor_gets_the_short_path(bot: Bot, database: Database, language: Language) -> None:
    """Under 18: name and contact, nothing more; a person is asked for first."""
    chat = Chat(bot, database, language)
    await chat.say(WISH[language])
    await chat.press(title("first_contact.consent.yes", language))
    await chat.press(title("first_contact.direction.from_morocco", language))
    await chat.say({"fr": "j'ai 16 ans", "en": "I'm 16", "ar": "عندي 16 عام"}[language])
    await chat.say("Ali")
    said = await chat.press(title("first_contact.phone.chat", language))
    assert re.search(r"AV-[2-9A-Z]{4}", said)
    assert await value(database, "SELECT priority FROM request") == "P1"
    assert await value(database, "SELECT reason FROM handoff") == "minor"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_person_is_asked_for(bot: Bot, database: Database, language: Language) -> None:
    """Recorded once, told to the case backend once, and when somebody reads."""
    chat = Chat(bot, database, language)
    assert re.search(r"H-[2-9A-Z]{5}", await chat.say(PERSON[language]))
    assert await count(database, "handoff") == 1
    assert await count(database, "case_event WHERE type = 'handoff.requested'") == 1


@pytest.mark.parametrize("language", LANGUAGES)
async def test_nonsense_gets_choices_and_then_a_person(bot: Bot, database: Database, language: Language) -> None:
    """Not understood: choices; a second time in a row: a person is asked for, or choices again."""
    chat = Chat(bot, database, language)
    await chat.say("/start")
    await chat.press({"fr": "Français", "en": "English", "ar": "العربية"}[language])
    await chat.say("xqzv blorptak fnurgle wexil")
    assert chat.buttons
    said = await chat.say("zzkt prlmq vvrrx jjwq")
    assert chat.buttons or "H-" in said


async def test_a_recording_is_acknowledged(bot: Bot, database: Database) -> None:
    """What cannot be read is handed to a person, with its id; what is not for anybody gets the way to one."""
    chat = Chat(bot, database, "fr")
    said = await chat._turn(chat.owner.send(voice={"file_id": "x", "file_unique_id": "y", "duration": 3}))
    reference = await value(database, "SELECT reference FROM handoff WHERE reason = 'media'")
    assert said.startswith(i18n.say("handoff.media", "fr")[:40]) and reference in said
    assert await count(database, "media WHERE kind = 'voice'") == 1
    said = await chat._turn(chat.owner.send(sticker={"file_id": "x", "file_unique_id": "y"}))
    assert said == i18n.say("media", "fr")
    assert chat.buttons == [title("button.person", "fr")]


# What only Telegram has


async def test_an_edited_message_makes_no_new_turn(bot: Bot, database: Database) -> None:
    """It is written down and nothing is said."""
    chat = Chat(bot, database, "fr")
    await chat._turn(chat.owner.send(text=QUESTION["fr"], message_id=11))
    sent = len(await bot.telegram.calls("sendMessage"))
    await chat.owner.edit(11, PERSON["fr"])
    await until(lambda: value(database, "SELECT count(*) FROM inbox WHERE kind = 'edited' AND status = 'done'"))
    await asyncio.sleep(1.2)  # longer than the sweep's pause
    assert await value(database, "SELECT turns FROM conversation") == 1
    assert await count(database, "outbox") == 1
    assert await count(database, "handoff") == 0
    assert len(await bot.telegram.calls("sendMessage")) == sent


async def test_an_edited_message_changes_what_is_kept(bot: Bot, database: Database) -> None:
    """The words of the message with that number, and no other's."""
    chat = Chat(bot, database, "fr")
    for words, number in (("première", 11), ("seconde", 12)):
        await chat._turn(chat.owner.send(text=words, message_id=number))
    await chat.owner.edit(11, "corrigée")
    await until(lambda: value(database, "SELECT count(*) FROM inbox WHERE kind = 'edited'"))
    [(key,)] = await rows(database, "SELECT key FROM person")
    kept = await rows(database, "SELECT content_sealed FROM inbox WHERE kind = 'text' ORDER BY id")
    assert [database.vault.open(key, row.content_sealed)["text"] for row in kept] == ["corrigée", "seconde"]


async def unasked(database: Database) -> str:
    """Queue a message that nobody asked for in the only conversation; how it ends."""
    async with database.session() as session:
        conversation_id, key = (
            await session.execute(select(Conversation.id, Person.key).join(Person, Person.id == Conversation.person_id))
        ).one()
        content = {"text": "Rappel", "buttons": [], "language": "fr"}
        sealed = database.vault.seal(key, content)
        outbox_id = await session.scalar(
            insert(Outbox).values(conversation_id=conversation_id, seq=99, content_sealed=sealed).returning(Outbox.id)
        )
        await session.commit()
    ended = "SELECT status FROM outbox WHERE id = :id AND status NOT IN ('queued', 'sending')"
    return str(await until(lambda: value(database, ended, id=outbox_id)))


async def test_who_blocked_the_bot_is_left_alone(bot: Bot, database: Database) -> None:
    """Telegram says so: nothing is tried any more; unblocked, the next message is answered."""
    chat = Chat(bot, database, "fr")
    await chat.say(QUESTION["fr"])
    await chat.owner.block()
    await until(lambda: value(database, "SELECT count(*) FROM address WHERE unreachable_at IS NOT NULL"))
    before = shown(chat.owner.id, await bot.telegram.calls("sendMessage"))
    assert await unasked(database) == "cancelled"
    assert shown(chat.owner.id, await bot.telegram.calls("sendMessage")) == before
    await chat.owner.block(blocked=False)
    await until(lambda: value(database, "SELECT count(*) FROM address WHERE unreachable_at IS NULL"))
    chat._turns += 2
    assert await chat.say("/start") == i18n.say("welcome", "fr")
    assert await unasked(database) == "sent"


async def test_a_refused_message_is_tried_once(bot: Bot, database: Database) -> None:
    """403 « blocked by the user »: marked, no second try, no alert; who writes again is answered again."""
    chat = Chat(bot, database, "fr")
    description = "Forbidden: bot was blocked by the user"
    await bot.telegram.fail("sendMessage", 403, {"ok": False, "error_code": 403, "description": description})
    await chat.say(QUESTION["fr"])
    await asyncio.sleep(1.5)  # longer than the first pause between two tries
    assert len(shown(chat.owner.id, await bot.telegram.calls("sendMessage"))) == 1
    assert await value(database, "SELECT status FROM outbox") == "failed"
    assert await unasked(database) == "cancelled"
    assert await count(database, "alert") == 0
    assert await chat.say(QUESTION["fr"]) == knowledge.answer("is_it_free", "fr")


async def test_a_group_is_left_politely(bot: Bot, database: Database) -> None:
    """Added: one good-bye, then gone; what is said there meanwhile gets no answer and is not kept."""
    owner = Owner(bot.telegram, TOKEN, language="en")
    chat = {"id": GROUP, "type": "supergroup", "title": "Neighbours"}
    now = int(time.time())
    now -= now % 600  # so that all of it falls into one period
    added = {
        "chat": chat,
        "from": owner._self(),
        "date": now,
        "old_chat_member": {"status": "left"},
        "new_chat_member": {"status": "member"},
    }
    await bot.telegram.update(TOKEN, {"my_chat_member": added})
    for second in range(1, 4):
        message = {
            "message_id": second,
            "from": owner._self(),
            "chat": chat,
            "date": now + second,
            "text": QUESTION["en"],
        }
        await bot.telegram.update(TOKEN, {"message": message})
    await until(lambda: bot.telegram.calls("leaveChat"))
    await owner.send_text("/start")  # behind all of that
    await until(lambda: value(database, "SELECT count(*) FROM inbox WHERE kind = 'start' AND status = 'done'"))
    await until(lambda: value(database, "SELECT count(*) = 0 FROM outbox WHERE status IN ('queued', 'sending')"))
    assert shown(GROUP, await bot.telegram.calls("sendMessage")) == [i18n.say("group", "en")]
    assert [int(call["chat_id"]) for call in await bot.telegram.calls("leaveChat")] == [GROUP]
    assert await count(database, "inbox WHERE kind = 'group'") == 1


@pytest.mark.parametrize("running_bot", ["webhook"], indirect=True)
async def test_the_same_update_five_times_in_parallel_is_answered_once(bot: Bot, database: Database) -> None:
    """From a person never heard of: five times 200, one person, one row, one turn, one message."""
    update, owner = text_update(bot, PERSON["fr"])
    async with httpx.AsyncClient(trust_env=False, headers={SECRET_HEADER: SECRET}) as client:
        answers = await asyncio.gather(*(client.post(bot.url, json=update) for _ in range(5)))
        assert [answer.status_code for answer in answers] == [200] * 5
        await until(lambda: value(database, "SELECT count(*) FROM outbox WHERE status = 'sent'"))
        assert (await client.post(bot.url, json=update)).status_code == 200  # and much later once more
    await asyncio.sleep(1.2)
    for table in ("person", "address", "conversation", "inbox", "outbox", "handoff", "case_event"):
        assert await count(database, table) == 1, table
    assert await value(database, "SELECT turns FROM conversation") == 1
    assert len(shown(owner.id, await bot.telegram.calls("sendMessage"))) == 1


def text_update(bot: Bot, text: str) -> tuple[dict[str, Any], Owner]:
    """An update as Telegram posts it, and who wrote it."""
    owner = Owner(bot.telegram, TOKEN, language="fr")
    message = {"message_id": 1, "from": owner._self(), "chat": owner._chat(), "date": int(time.time()), "text": text}
    return {"update_id": 910_000_001, "message": message}, owner


FORGED: dict[str, Any] = {
    "none": {},
    "empty": {SECRET_HEADER: ""},
    "wrong": {SECRET_HEADER: "another-secret-of-a-webhook"},
    "truncated": {SECRET_HEADER: SECRET[:-1]},
    "longer": {SECRET_HEADER: SECRET + "k"},
    "other case": {SECRET_HEADER: SECRET.upper()},
    "not ASCII": {SECRET_HEADER: "clé-secrète-é".encode()},
    "the token": {SECRET_HEADER: TOKEN},
    "another header": {"authorization": f"Bearer {SECRET}"},
}


@pytest.mark.parametrize("forged", FORGED)
async def test_a_forged_update_leaves_no_trace(bot: Bot, database: Database, forged: str) -> None:
    """Without the secret, or with another: 401, an empty body, no row; by polling nobody may post at all."""
    update, owner = text_update(bot, PERSON["fr"])
    async with httpx.AsyncClient(trust_env=False) as client:
        for body in (json.dumps(update), json.dumps(update)[:40], "", "null"):
            answer = await client.post(bot.url, content=body, headers=FORGED[forged])
            assert (answer.status_code, answer.content) == (401, b"")
    await asyncio.sleep(0.2)
    assert await count(database, "inbox") == await count(database, "person") == 0
    assert shown(owner.id, await bot.telegram.calls("sendMessage")) == []


@pytest.mark.parametrize("running_bot", ["webhook"], indirect=True)
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"update_id": 1, "message": {"chat"', 400),
        (b"", 400),
        (b"[" * 200_000, 400),
        (b"\xff\xfe{", 400),
        (b'{"update_id": 1, "message": {"text": "' + b"x" * 5 * 1024 * 1024 + b'"}}', 413),
    ],
    ids=["truncated", "empty", "deep", "no encoding", "5 MB"],
)
async def test_a_genuine_request_that_cannot_be_read(bot: Bot, database: Database, body: bytes, status: int) -> None:
    """400 or 413, an empty body, no row; announced by its length or sent in pieces; the next update is heard."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65536):
            yield body[start : start + 65536]

    headers = {SECRET_HEADER: SECRET}
    async with httpx.AsyncClient(trust_env=False, headers=headers, timeout=20) as client:
        for content in (body, pieces()):
            answer = await client.post(bot.url, content=content)
            assert (answer.status_code, answer.content) == (status, b"")
        assert await count(database, "inbox") == 0
        update, owner = text_update(bot, QUESTION["fr"])
        assert (await client.post(bot.url, json=update)).status_code == 200
    assert (await owner.answer()).text == knowledge.answer("is_it_free", "fr")
