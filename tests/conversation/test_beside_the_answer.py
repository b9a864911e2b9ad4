"""What a platform is asked for beside the answer: that somebody writes, the read mark, the file of a voice message."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from bot.db.session import Database
from bot.messages import Incoming, Kind
from bot.settings import Settings
from bot.web import Service
from tests.channels.test_telegram import CHAT, DONE, SENT, TOKEN, listening
from tests.conversation import sounds
from tests.conversation.conftest import until, value
from tests.journeys.test_whatsapp_journey import on_whatsapp
from tests.simulators.rasa import FakeRasa
from tests.simulators.whatsapp import Person, WhatsAppServer


@pytest.fixture
async def talking(
    fake_rasa: tuple[FakeRasa, Settings], database: Database, own_url: str
) -> AsyncIterator[tuple[Service, Person, FakeRasa]]:
    """A service with WhatsApp and a Rasa on demand; and somebody whose webhooks the test hands over."""
    fake, settings = fake_rasa
    async with WhatsAppServer() as whatsapp:
        service = Service(settings.model_copy(update=on_whatsapp(whatsapp.url)), own_url)
        await service.start()
        person = Person(whatsapp)
        whatsapp.heard[person.address] = time.time()
        yield service, person, fake
        await service.stop()


async def hear(service: Service, person: Person, kind: str, content: object) -> str:
    """Hand over one message of this person; its id."""
    assert service.whatsapp is not None
    message = person.message(kind, content)
    await service.accept(service.whatsapp.parse(person.server.webhook_of(messages=[message])))
    return str(message["id"])


async def test_it_is_read_when_its_turn_begins(talking: tuple[Service, Person, FakeRasa], database: Database) -> None:
    """Before the answer is there; a message that gets no answer is not marked."""
    service, person, fake = talking
    fake.behave = fake.hang
    message_id = await hear(service, person, "text", {"body": "bonjour"})
    async with asyncio.timeout(60):
        while not person.server.seen:  # noqa: ASYNC110 (another server)
            await asyncio.sleep(0.02)
    assert [one["message_id"] for one in person.server.seen] == [message_id]
    assert person.history() == []
    fake.behave = fake.greet
    system = {"type": "customer_identity_changed", "identity": "x"}
    await hear(service, person, "system", system)
    await hear(service, person, "reaction", {"message_id": "wamid.1", "emoji": "👍"})
    done = "SELECT count(*) FROM inbox WHERE kind = 'identity' AND status = 'done'"
    await until(lambda: value(database, done), 90)
    assert len(person.server.seen) == 1


async def test_a_slow_read_mark_holds_nothing_up(talking: tuple[Service, Person, FakeRasa], database: Database) -> None:
    """The turn is over while WhatsApp still thinks about it."""
    service, person, _ = talking
    person.server.delay = 12.0
    await hear(service, person, "text", {"body": "bonjour"})
    await until(lambda: value(database, "SELECT count(*) FROM inbox WHERE status = 'done'"))
    assert person.server.seen == []


async def test_a_slow_answer_is_seen_coming(
    fake_rasa: tuple[FakeRasa, Settings], database: Database, own_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Telegram: « writing… » in that chat while a turn takes long, again and again; not for a quick one."""
    fake, settings = fake_rasa
    calls: list[tuple[str, str | None]] = []

    def answer(method: str, _: Mapping[str, str], given: Mapping[str, Any]) -> tuple[int, object]:
        calls.append((method, given.get("chat_id")))
        return 200, SENT if method == "sendMessage" else DONE

    async def told(method: str, times: int) -> None:
        async with asyncio.timeout(60):
            while sum(name == method for name, _ in calls) < times:  # noqa: ASYNC110 (another server)
                await asyncio.sleep(0.02)

    async with listening(answer) as server:
        on_telegram = {"telegram_token": SecretStr(TOKEN), "telegram_api_url": server.url, "rafiq_rasa_timeout": 2.0}
        service = Service(settings.model_copy(update=on_telegram), own_url)
        assert service.telegram is not None
        polled = asyncio.Event()
        monkeypatch.setattr(service, "_run_telegram", lambda _: polled.wait())
        monkeypatch.setattr("bot.web.SLOW", 300.0)
        await service.start()
        try:
            event = Incoming("telegram", "m1", CHAT, Kind.TEXT, "bonjour")
            await service.accept([event])
            await told("sendMessage", 1)
            assert ("sendChatAction", CHAT) not in calls
            monkeypatch.setattr("bot.web.SLOW", 0.0)
            monkeypatch.setattr("bot.web.WRITING", 0.05)
            fake.behave = fake.hang
            await service.accept([replace(event, external_id="m2")])
            await told("sendMessage", 2)
            shown = calls.count(("sendChatAction", CHAT))
            assert shown >= 2
            writing = [task for task in asyncio.all_tasks() if "_turn_begins" in repr(task.get_coro())]
            await asyncio.gather(*writing)  # it ends with the turn
        finally:
            polled.set()
            await service.stop()


async def test_a_voice_message_is_fetched(talking: tuple[Service, Person, FakeRasa], database: Database) -> None:
    """While WhatsApp has it, once; kept sealed."""
    service, person, _ = talking
    content = sounds.ogg()
    person.server.files["77"] = (content, "audio/ogg")
    sha256 = base64.b64encode(hashlib.sha256(content).digest()).decode()
    await hear(service, person, "audio", {"id": "77", "mime_type": "audio/ogg", "sha256": sha256, "voice": True})
    await until(lambda: value(database, "SELECT count(*) FROM media WHERE status = 'kept' AND mime = 'audio/ogg'"))
    sealed = await value(database, "SELECT content_sealed FROM media")
    assert content not in bytes(sealed) and len(sealed) >= len(content)
