"""By which orientation point a conversation came: from the code on paper to the row, and what nobody sees of it."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import structlog
from sqlalchemy import text

from bot import i18n, logs
from bot.channels import whatsapp_webhook
from bot.channels.telegram import Telegram
from bot.conversation import inbox
from bot.db.models import OrientationPoint
from bot.db.session import Database
from bot.messages import LANGUAGES, Incoming, Kind, Language
from bot.orientation import points, poster
from bot.settings import Settings
from bot.web import Service
from tests.conversation.conftest import rows, typed, until, value
from tests.conversation.test_guards import over, said, tell
from tests.simulators.rasa import FakeRasa

Worker = tuple[Service, FakeRasa]
SETTINGS = Settings(_env_file=None, telegram_username="rafiq_example_bot", whatsapp_number="212600000000")


@pytest.fixture
async def point(database: Database) -> AsyncIterator[OrientationPoint]:
    """A point in Oujda; the tables are empty again afterwards."""
    yield await points.add(database, "Maison du quartier", "Oujda", ["fr", "ar"], "Mon-Fri 9-12")


def start(payload: str, person: str = "p1") -> Incoming:
    """Telegram's /start with a payload."""
    return Incoming("telegram", str(uuid.uuid4()), f"{person:-<40}", Kind.START, payload)


async def scans(database: Database) -> list[tuple[int, int]]:
    """Conversation and point of each scan."""
    return [tuple(row) for row in await rows(database, "SELECT conversation_id, point_id FROM scan ORDER BY 1")]


async def kept(database: Database) -> str:
    """All that is stored of what came in and went out, opened."""
    opened = [
        database.vault.open(row.key, row.sealed)
        for row in await rows(
            database,
            "SELECT p.key, x.sealed FROM (SELECT conversation_id, content_sealed AS sealed FROM inbox UNION ALL"
            " SELECT conversation_id, content_sealed FROM outbox) x JOIN conversation c ON c.id = x.conversation_id"
            " JOIN person p ON p.id = c.person_id WHERE x.sealed IS NOT NULL",
        )
    ]
    return json.dumps(opened, ensure_ascii=False)


def opened_link(channel: str, link: str) -> Incoming:
    """What the platform sends us when somebody opens this link and presses start or send."""
    query = parse_qs(urlsplit(link).query)
    if channel == "telegram":
        message = {
            "message_id": 5, "date": 1_795_320_042, "text": f"/start {query['start'][0]}",
            "from": {"id": 700100300, "is_bot": False, "language_code": "ar"}, "chat": {"id": 700100300, "type": "private"},
        }  # fmt: skip
        bot = Telegram("1:token", "http://127.0.0.1:1", None)
        [event] = bot.parse(json.dumps({"update_id": 1, "message": message}).encode())
        return event
    message = {"from": "212600000001", "id": "wamid.x", "timestamp": "1795320042", "type": "text", "text": {"body": query["text"][0]}}  # fmt: skip
    change = {"field": "messages", "value": {"metadata": {"phone_number_id": "1"}, "messages": [message]}}
    [read] = whatsapp_webhook.read(json.dumps({"entry": [{"changes": [change]}]}).encode(), "1")
    assert isinstance(read, Incoming)
    return read


@pytest.mark.parametrize("channel", ["telegram", "whatsapp"])
async def test_from_paper_to_the_conversation(
    worker: Worker, database: Database, point: OrientationPoint, channel: str
) -> None:
    """The link of the code begins the conversation as any other start does, and notes the point."""
    _, fake = worker
    links = {code.platform.lower(): code.link for code in poster.codes(SETTINGS, database.vault, point.code, "ar")}
    await tell(database, opened_link(channel, links[channel]))
    assert await scans(database) == [(1, point.id)]
    assert await said(database) == [i18n.say("welcome", "ar")]
    assert fake.turns == []  # nobody took the greeting for a question
    token = points.token(database.vault, point.code)
    assert token not in await kept(database) and point.name not in await kept(database)


async def test_what_is_worth_nothing_is_a_normal_start(
    worker: Worker, database: Database, point: OrientationPoint
) -> None:
    """Forged, revoked, of a point that is none: the same words as without any token, and nothing is noted."""
    right = points.token(database.vault, point.code)
    unknown = points.token(database.vault, b"never")
    await points.revoke(database, point.id)
    payloads = ["", "op_7Kd2-casa", right[:-1] + ("a" if right[-1] != "a" else "b"), unknown, right]
    for number, payload in enumerate(payloads):
        await tell(database, start(payload, f"p{number}"))
    await tell(database, typed(f"Bonjour Rafiq ({right})", "w1"))
    await tell(database, typed(f"Bonjour Rafiq ({'b' * 24})", "w2"))
    assert await said(database) == [i18n.say("welcome", "fr")] * 7
    assert await scans(database) == []
    assert worker[1].turns == []


async def test_the_first_point_wins(worker: Worker, database: Database, point: OrientationPoint) -> None:
    """However often and whatever is scanned afterwards; what was noted stays when the point is revoked."""
    other = await points.add(database, "Autre", "Casablanca", ["fr"])
    for one in (point, point, other):
        await tell(database, start(points.token(database.vault, one.code)))
    await points.revoke(database, point.id)
    await tell(database, start(points.token(database.vault, other.code)))
    await tell(database, start(points.token(database.vault, other.code), "p2"))
    assert await scans(database) == [(1, point.id), (2, other.id)]


async def test_ten_scans_at_once(worker: Worker, database: Database, point: OrientationPoint) -> None:
    """One of them counts."""
    await tell(database, start(""))

    async def scan() -> None:
        async with database.session() as session:
            await points.attribute(session, point.code, 1, 1)
            await session.commit()

    await asyncio.gather(*(scan() for _ in range(10)))
    assert await scans(database) == [(1, point.id)]


async def test_a_question_beside_the_token(worker: Worker, database: Database, point: OrientationPoint) -> None:
    """Is answered, without the token ever getting to Rasa; the scan counts."""
    _, fake = worker
    token = points.token(database.vault, point.code)
    await tell(database, typed(f"Bonjour Rafiq ({token}) comment ça marche ?"))
    assert [turn["text"] for turn in fake.turns] == ["Bonjour Rafiq comment ça marche ?"]
    assert await scans(database) == [(1, point.id)]
    assert token not in await kept(database)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_it_goes_with_the_person(
    worker: Worker, database: Database, point: OrientationPoint, language: Language
) -> None:
    """MY DATA tells of it; erased, nothing says by which point anybody came, and a new scan is the first again."""
    await tell(database, typed(points.greeting(database.vault, point.code, language)))
    await rows_changed(database, "UPDATE person SET language = :language, language_chosen = true", language=language)
    await press(database, "my_data")
    assert i18n.say("my_data.poster", language) in (await said(database))[-1]
    await press(database, "erase")
    assert await scans(database) == []
    assert await value(database, "SELECT count(*) FROM orientation_point") == 1
    await press(database, "my_data")
    assert i18n.say("my_data.poster", language) not in (await said(database))[-1]
    await tell(database, typed(points.greeting(database.vault, point.code, language)))
    assert await scans(database) == [(1, point.id)]


async def press(database: Database, verb: str) -> None:
    """Press a button that does this, as if it stood under the last message."""
    button = str(uuid.uuid4())
    await rows_changed(
        database,
        "INSERT INTO issued_button (id, conversation_id, position, title, action, expires_at)"
        " VALUES (:id, 1, 1, 'x', CAST(:action AS jsonb), now() + interval '1 hour')",
        id=button, action=json.dumps({"do": verb, "with": {}}),
    )  # fmt: skip
    await tell(database, Incoming("web", str(uuid.uuid4()), typed("x").address, Kind.PRESS, press=button))


async def rows_changed(database: Database, statement: str, **values: Any) -> None:
    """Change rows by hand."""
    async with database.session() as session:
        await session.execute(text(statement), values)
        await session.commit()


async def test_no_log_holds_a_token(
    worker: Worker, database: Database, point: OrientationPoint, capfd: pytest.CaptureFixture[str], caplog: Any
) -> None:
    """Right, forged, beside a question that Rasa fails on, in an edit: at DEBUG none of it is written anywhere."""
    _, fake = worker
    token, forged = points.token(database.vault, point.code), "b" * points.LENGTH
    with caplog.at_level(logging.DEBUG):
        before = structlog.get_config()
        logs.configure("DEBUG")
        try:
            fake.behave = fake.fail
            await tell(database, start(token))
            await tell(database, start(forged))
            asked = typed(f"Bonjour Rafiq ({token}) comment ça marche ?", "w1", "m1")
            await inbox.accept(database, [asked])
            await until(lambda: value(database, "SELECT count(*) FROM inbox WHERE status = 'waiting'"))
            edit = Incoming("web", "e1", asked.address, Kind.EDITED, f"({token}) ?", details={"original": "m1"})
            await inbox.accept(database, [edit])
            assert token not in await kept(database)
            fake.behave = fake.greet
            await until(lambda: over(database))
        finally:
            structlog.configure(**before)
    written = capfd.readouterr()
    everything = written.out + written.err + caplog.text
    assert "rasa is down" in everything
    assert token not in everything.lower() and forged not in everything.lower()
