"""Payloads in the shapes that other projects collected (tests/fixtures/collections/SOURCES.md), posted as the platforms do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from bot.channels.telegram import SECRET_HEADER, Telegram
from bot.channels.whatsapp import WhatsApp
from bot.db.session import Database
from bot.messages import Incoming, Receipt
from bot.settings import Settings
from bot.training import Models
from bot.web import create_app
from tests.conftest import alone_on, own_database
from tests.conversation.conftest import rows
from tests.simulators.whatsapp import APP_SECRET, PHONE_NUMBER_ID, VERIFY_TOKEN, signed
from tests.simulators.whatsapp import TOKEN as WHATSAPP_TOKEN

FOLDER = Path(__file__).parent.parent / "fixtures" / "collections"
NOWHERE = "http://127.0.0.1:9"
TELEGRAM_TOKEN, SECRET = "123456789:collections", "the-secret-of-the-webhook"
CASES: dict[str, list[dict[str, Any]]] = {
    name: json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in ("telegram", "whatsapp")
}
ALL = [pytest.param(name, one, id=f"{name}: {one['shape']}") for name, cases in CASES.items() for one in cases]


def channel(name: str) -> Telegram | WhatsApp:
    """A channel that calls nobody."""
    if name == "telegram":
        return Telegram(TELEGRAM_TOKEN, NOWHERE, SECRET)
    return WhatsApp(WHATSAPP_TOKEN, PHONE_NUMBER_ID, APP_SECRET, VERIFY_TOKEN, NOWHERE)


def told(name: str, body: bytes) -> list[list[str]]:
    """What the channel reads in it: a person's kind and text, a status, an operator's notice."""
    return [
        [one.kind.value, one.text]
        if isinstance(one, Incoming)
        else [one.status]
        if isinstance(one, Receipt)
        else [one.kind]
        for one in channel(name).parse(body)
    ]


@pytest.mark.parametrize(("name", "case"), ALL)
async def test_each_shape_is_read_as_what_it_is(name: str, case: dict[str, Any]) -> None:
    """What a person did is an event; what concerns nobody is left alone; nothing raises."""
    assert told(name, json.dumps(case["body"]).encode()) == case["told"]


def test_each_shape_has_its_source() -> None:
    """Whose collection it is from is written down."""
    sources = (FOLDER / "SOURCES.md").read_text(encoding="utf-8")
    projects = {one["project"] for cases in CASES.values() for one in cases}
    assert [project for project in projects if f"/{project}`" not in sources] == []


def expected(cases: Sequence[dict[str, Any]]) -> Counter[str]:
    """How many rows of each kind: a message that stands twice in one webhook is one."""
    happened = [{(kind, *words) for kind, *words in one["told"] if words} for one in cases]
    return Counter(kind for once in happened for kind, *_ in once)


@pytest.fixture
async def alone(settings: Settings, database_url: str) -> AsyncIterator[tuple[str, Database]]:
    """A database that no running service works on, and its address."""
    url = own_database(database_url, "collections")
    async with alone_on(url, settings) as database:
        yield url, database


async def test_all_of_them_leave_the_right_rows(
    settings: Settings, models: Models, alone: tuple[str, Database]
) -> None:
    """Posted signed, twice: each is answered 200, leaves its rows once, or none."""
    url, database = alone
    given = settings.model_copy(
        update={
            "telegram_token": SecretStr(TELEGRAM_TOKEN),
            "telegram_webhook_secret": SecretStr(SECRET),
            "telegram_api_url": NOWHERE,
            "whatsapp_token": SecretStr(WHATSAPP_TOKEN),
            "whatsapp_phone_number_id": PHONE_NUMBER_ID,
            "whatsapp_app_secret": SecretStr(APP_SECRET),
            "whatsapp_verify_token": SecretStr(VERIFY_TOKEN),
            "whatsapp_api_url": NOWHERE,
        }
    )
    app = create_app(given, url)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        for _ in range(2):
            for name, cases in CASES.items():
                for one in cases:
                    body = json.dumps(one["body"]).encode()
                    headers = {"x-hub-signature-256": signed(body)} if name == "whatsapp" else {SECRET_HEADER: SECRET}
                    answer = await client.post(f"/{name}/webhook", content=body, headers=headers)
                    assert (answer.status_code, answer.content) == (200, b""), one["shape"]
    await app.state.service.database.close()
    counts = await rows(database, "SELECT channel, kind, count(*) AS n FROM inbox GROUP BY 1, 2")
    for name, cases in CASES.items():
        unseen = Counter({"text": 1} if name == "telegram" else {})  # only its edit is in the collections
        assert {row.kind: row.n for row in counts if row.channel == name} == expected(cases) + unseen, name
    kept = await rows(
        database,
        """SELECT content_sealed, key FROM inbox JOIN conversation ON conversation.id = conversation_id
        JOIN person ON person.id = person_id WHERE inbox.channel = 'whatsapp' AND inbox.kind = 'text'""",
    )
    texts = {database.vault.open(row.key, row.content_sealed)["text"] for row in kept}
    written = {one[1] for case in CASES["whatsapp"] for one in case["told"] if one[0] == "text"}
    assert texts == written - {"Bonjour"} | {"à 10 h"}  # the first one was edited by a later one
