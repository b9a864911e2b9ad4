"""Telegram: what each update and each failure means, when an update may be forgotten, what stays secret."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import structlog
from PIL import Image
from pydantic import SecretStr
from sqlalchemy import insert, select
from telegram import Update
from typer.testing import CliRunner

from bot.channels import Unverified
from bot.channels.telegram import ALLOWED_UPDATES, SECRET_HEADER, Telegram, neutral_picture
from bot.cli import app
from bot.db.models import ChannelState
from bot.db.session import Database, Lane
from bot.messages import (
    Ambiguous,
    Button,
    ChannelDown,
    Document,
    File,
    Incoming,
    Kind,
    Moved,
    Outgoing,
    Refused,
    Retryable,
    SendError,
    Throttled,
    Unreachable,
)
from bot.settings import Settings, SettingsError
from bot.supervisor import free_port
from tests.simulators.telegram import Person, TelegramServer

FIXTURES = Path(__file__).parent.parent / "fixtures" / "telegram"
TOKEN = "123456789:AAEcanary-canary-canary-canary-canary"
SECRET = "the-secret-of-the-webhook"
CHAT, GROUP = "700100200", "-1002200330044"
HELLO = Outgoing("m1", "Bonjour", "fr")
SENT = {"ok": True, "result": {"message_id": 41, "date": 1, "chat": {"id": 1, "type": "private"}}}
DONE = {"ok": True, "result": True}

Reply = tuple[int, object] | None  # status and JSON (or raw bytes) of an answer; None cuts the connection
Respond = Callable[[str, Mapping[str, str], Mapping[str, Any]], Reply | Awaitable[Reply]]


class Listener:
    """A web server of one function: (last part of the path, headers, form or JSON) → reply."""

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests."""
        with suppress(asyncio.IncompleteReadError, ConnectionError), closing(writer):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
                }
                body = (await reader.readexactly(int(headers.get("content-length", 0)))).decode(
                    errors="surrogateescape"
                )
                address = urlsplit(head[0].split()[1])
                if headers.get("content-type") == "application/json":
                    content: dict[str, Any] = json.loads(body)
                else:
                    content = dict(parse_qsl(f"{address.query}&{body}"))
                method = address.path.rpartition("/")[2]
                self.asked.append((method, content))
                reply = self.respond(method, headers, content)
                if isinstance(reply, Awaitable):
                    reply = await reply
                if reply is None:
                    break
                status, answer = reply
                raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw)
                await writer.drain()

    def calls(self, method: str) -> list[Mapping[str, Any]]:
        """What this method was asked, in order."""
        return [content for name, content in self.asked if name == method]


@asynccontextmanager
async def listening(respond: Respond) -> AsyncIterator[Listener]:
    """A Listener on loopback."""
    listener = Listener(respond)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(listener.serve(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    listener.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield listener
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def channel_to(url: str, **given: Any) -> AsyncIterator[Telegram]:
    """A channel whose Telegram is at this address, impatient."""
    channel = Telegram(TOKEN, url, SECRET, **{"patience": 1.0, "hold": 0.0, "pause": 0.01, **given})
    try:
        yield channel
    finally:
        await channel.close()


@pytest.fixture
async def reader() -> AsyncIterator[Telegram]:
    """A channel that only reads."""
    async with channel_to("http://127.0.0.1:9") as channel:
        yield channel


def captured(name: str) -> dict[str, Any]:
    """A captured update."""
    update: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))
    return update


def read(channel: Telegram, update: Mapping[str, Any]) -> Sequence[Incoming]:
    """What the channel reads in this update."""
    return channel.parse(json.dumps(update).encode())


@pytest.mark.parametrize(("later", "whole"), [(30, True), (2 * 24 * 3600, False)])
async def test_an_edit_brings_its_picture(reader: Telegram, later: int, whole: bool) -> None:
    """All that its message needs, should it come first; a message of days ago came long ago."""
    message = {
        "message_id": 7, "date": 1795320007, "edit_date": 1795320007 + later, "caption": "ma carte",
        "chat": {"id": 5, "type": "private"}, "from": {"id": 5, "is_bot": False, "first_name": "Awa"},
        "photo": [{"file_id": "small"}, {"file_id": "large"}], "media_group_id": "g1",
    }  # fmt: skip
    [edit] = read(reader, {"update_id": 9, "edited_message": message})
    assert (edit.kind, edit.text, edit.details["sent_at"]) == (Kind.EDITED, "ma carte", message["edit_date"])
    picture = {key: edit.details.get(key) for key in ("whole", "media", "file_id", "album")}
    assert picture == (
        {"whole": True, "media": "photo", "file_id": "large", "album": "g1"} if whole else dict.fromkeys(picture)
    )


# Reading

AWA, YUSUF, ADA = "700100200", "700100300", "700100400"
FILE = "AwACAgQAAxkBAAEXAMPLE"
MEANT: dict[str, tuple[Kind, str, str, str, dict[str, str | int], str | None] | None] = {
    "text": (Kind.TEXT, AWA, "Bonjour, est-ce que c'est gratuit ?", "", {}, "fr"),
    "text_arabic": (
        Kind.TEXT,
        YUSUF,
        "السلام عليكم، بغيت نعرف كيفاش نرجع لبلادي 🇲🇦 رقمي +212600000000",
        "",
        {},
        "ar",
    ),
    "text_emoji_zwj": (Kind.TEXT, ADA, "We are three 👨‍👩‍👧 and one dog 🐕‍🦺 👍🏾", "", {}, "en-GB"),
    "command_help": (Kind.TEXT, ADA, "/help", "", {}, "en-GB"),
    "start": (Kind.START, AWA, "", "", {}, "fr"),
    "start_payload": (Kind.START, YUSUF, "op_7Kd2-casa", "", {}, "ar"),
    "callback_query": (
        Kind.PRESS, AWA, "", "Zq3xT0b1n2", {"callback_query_id": "3006841902755512345"}, "fr"
    ),
    "callback_query_inaccessible": (
        Kind.PRESS, AWA, "", "old_button", {"callback_query_id": "3006841902755512346"}, "fr"
    ),
    "callback_query_without_message": (
        Kind.PRESS, ADA, "", "Zq3xT0b1n9", {"callback_query_id": "3006841902755512347"}, "en-GB"
    ),
    "edited_message": (
        Kind.EDITED, AWA, "Bonjour, est-ce que le retour est gratuit ?", "", {"original": "m123456789:700100200:101", "sent_at": 1795320044, "whole": True}, "fr"
    ),
    "voice": (Kind.MEDIA, YUSUF, "", "", {"media": "voice", "file_id": FILE, "mime": "audio/ogg"}, "ar"),
    "photo_with_caption": (
        Kind.MEDIA, AWA, "Mon récépissé, que dois-je faire ?", "", {"media": "photo", "file_id": FILE, "mime": ""}, "fr"
    ),
    "photo_of_album": (
        Kind.MEDIA, AWA, "", "", {"media": "photo", "file_id": FILE, "mime": "", "album": "13370042"}, "fr"
    ),
    "document": (Kind.MEDIA, ADA, "", "", {"media": "document", "file_id": FILE, "mime": "application/pdf"}, "en-GB"),
    "location": (Kind.MEDIA, YUSUF, "", "", {"media": "location"}, "ar"),
    "contact": (Kind.MEDIA, AWA, "", "", {"media": "contact"}, "fr"),
    "sticker": (Kind.MEDIA, ADA, "", "", {"media": "sticker"}, "en-GB"),
    "poll": (Kind.MEDIA, ADA, "", "", {"media": "poll"}, "en-GB"),
    "content_of_a_later_version": (Kind.UNKNOWN, ADA, "", "", {}, "en-GB"),
    "pinned_message": None,
    "topic_created": None,
    "group_added": (
        Kind.GROUP, "-1002200330044", "", "", {"chat_type": "supergroup", "why": "added"}, "en-GB"
    ),
    "group_left": None,
    "group_message": (Kind.GROUP, "-5500660", "", "", {"chat_type": "group", "why": "message"}, "fr"),
    "channel_post": (Kind.GROUP, "-1009900880077", "", "", {"chat_type": "channel", "why": "message"}, None),
    "blocked": (Kind.BLOCKED, YUSUF, "", "", {"sent_at": 1795323000}, "ar"),
    "unblocked": (Kind.UNBLOCKED, YUSUF, "", "", {"sent_at": 1795323600}, "ar"),
    "bot_message": None,
    "poll_answer": None,
    "unknown_kind": None,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(path.stem for path in FIXTURES.glob("*.json")))
def test_what_each_update_means(reader: Telegram, name: str) -> None:
    """Every captured update has its meaning here: a new fixture without one fails."""
    events = [
        (event.kind, event.address, event.text, event.press, dict(event.details), event.language_hint)
        for event in read(reader, captured(name))
    ]
    meant = MEANT[name]
    assert events == ([meant] if meant is not None else [])


@pytest.mark.parametrize("name", sorted(path.stem for path in FIXTURES.glob("*.json")))
def test_fixtures_have_the_shape_of_the_bot_api(name: str) -> None:
    """python-telegram-bot, which is strict, reads each of them."""
    update = Update.de_json(captured(name), None)
    known = name not in ("unknown_kind", "content_of_a_later_version")
    assert update.update_id == captured(name)["update_id"]
    assert not known or any(getattr(update, kind) for kind in (*ALLOWED_UPDATES, "channel_post", "poll_answer"))


def test_a_message_is_known_by_its_number_in_the_chat(reader: Telegram) -> None:
    """Update ids are random after a quiet week; an edit names the message that it changes."""
    first, second, edit = captured("text"), captured("text"), captured("edited_message")
    second["update_id"] = 17
    assert read(reader, first)[0].external_id == read(reader, second)[0].external_id
    assert read(reader, edit)[0].details["original"] == read(reader, first)[0].external_id
    second["message"]["message_id"] += 1
    assert read(reader, first)[0].external_id != read(reader, second)[0].external_id


@pytest.mark.parametrize(
    ("typed", "kind", "text"),
    [
        ("/start", Kind.START, ""),
        ("/START ", Kind.START, ""),
        ("/start@rafiq_example_bot", Kind.START, ""),
        ("/start@rafiq_example_bot qr_7", Kind.START, "qr_7"),
        ("/start  a\nb", Kind.START, "a\nb"),
        ("/started", Kind.TEXT, "/started"),
        ("I /start", Kind.TEXT, "I /start"),
        ("/stop", Kind.TEXT, "/stop"),
        ("/menu", Kind.TEXT, "/menu"),
        ("/restart", Kind.TEXT, "/restart"),
        ('/answer{"field": "phone"}', Kind.TEXT, '/answer{"field": "phone"}'),
        ("he\0llo \ud83d", Kind.TEXT, "hello \ufffd"),
    ],
)
def test_only_start_is_a_command(reader: Telegram, typed: str, kind: Kind, text: str) -> None:
    """Everything else that begins with a slash is what the person typed."""
    update = captured("text")
    update["message"]["text"] = typed
    (event,) = read(reader, update)
    assert (event.kind, event.text) == (kind, text)


@pytest.mark.parametrize("hint", ["x", "fr\0", "../..", 5, None, "a" * 300, "fr-"])
def test_a_language_that_is_none_is_no_hint(reader: Telegram, hint: object) -> None:
    """The hint is stored as it is, so only a language tag gets through."""
    update = captured("text")
    update["message"]["from"]["language_code"] = hint
    assert read(reader, update)[0].language_hint is None


def test_a_busy_group_is_left_once(reader: Telegram) -> None:
    """Being added and what is said right after are one event; later it is another; a press is its own."""
    added, said = captured("group_added"), captured("group_message")
    said["message"]["chat"] = added["my_chat_member"]["chat"]
    said["message"]["date"] = added["my_chat_member"]["date"] + 1
    once = read(reader, added)[0].external_id
    assert read(reader, said)[0].external_id == once
    said["message"]["date"] += 3600
    assert read(reader, said)[0].external_id != once
    press = captured("callback_query")
    press["callback_query"]["message"]["chat"] = added["my_chat_member"]["chat"]
    (event,) = read(reader, press)
    assert (event.kind, event.address) == (Kind.GROUP, GROUP)
    assert event.external_id != once
    assert event.details["callback_query_id"] == press["callback_query"]["id"]


def test_each_picture_of_an_album_is_an_event_that_names_the_album(reader: Telegram) -> None:
    """None is lost; what is answered once is decided where they are kept."""
    first, second = captured("photo_of_album"), captured("photo_of_album")
    second["update_id"] += 1
    second["message"]["message_id"] += 1
    [one], [other] = read(reader, first), read(reader, second)
    assert one.external_id != other.external_id
    assert one.details["album"] == other.details["album"] == first["message"]["media_group_id"]


def test_without_a_secret_no_request_is_believed() -> None:
    """Not even one with an empty secret."""
    channel = Telegram(TOKEN, "http://127.0.0.1:9", None)
    for headers in ({}, {SECRET_HEADER: ""}, {SECRET_HEADER: "None"}):
        with pytest.raises(Unverified):
            channel.verify(headers, b"{}")


def test_settings_name_what_is_missing(settings: Settings) -> None:
    """No token, no channel."""
    with pytest.raises(SettingsError, match="TELEGRAM_TOKEN"):
        Telegram.from_settings(settings)


# Sending


async def test_a_message_is_plain_text_with_one_button_a_row() -> None:
    """No markup to break, no preview to fetch a page, titles as they are."""
    buttons = (Button("b1", "العربية"), Button("b2", "<b>*Français*_"))
    async with listening(lambda *_: (200, SENT)) as api, channel_to(api.url) as channel:
        sent = await channel.send(CHAT, Outgoing("m1", "1 < 2 & *3*_ \ud83d", "ar", buttons))
    assert sent == "41"
    (asked,) = api.calls("sendMessage")
    assert asked["chat_id"] == CHAT
    assert asked["text"] == "1 < 2 & *3*_ \ufffd"
    assert "parse_mode" not in asked
    assert json.loads(asked["link_preview_options"]) == {"is_disabled": True}
    assert json.loads(asked["reply_markup"]) == {
        "inline_keyboard": [
            [{"text": "العربية", "callback_data": "b1"}],
            [{"text": "<b>*Français*_", "callback_data": "b2"}],
        ]
    }


def refusal(code: int, description: str, **parameters: Any) -> tuple[int, object]:
    """An error as the Bot API words it."""
    body = {"ok": False, "error_code": code, "description": description}
    return code, {**body, **({"parameters": parameters} if parameters else {})}


@pytest.mark.parametrize(
    ("reply", "kind", "details"),
    [
        (
            refusal(429, "Too Many Requests: retry after 7", retry_after=7),
            Throttled,
            {"retry_after": 7, "scope": "unsaid"},
        ),
        (
            refusal(429, "Too Many Requests: broadcast limit", retry_after=30),
            Throttled,
            {"retry_after": 30, "scope": "channel"},
        ),
        ((429, b"slow down"), Throttled, {"retry_after": None, "scope": "unsaid"}),
        (refusal(403, "Forbidden: bot was blocked by the user"), Unreachable, {}),
        (refusal(403, "Forbidden: user is deactivated"), Unreachable, {}),
        (refusal(403, "Forbidden: bot can't initiate conversation with a user"), Unreachable, {}),
        (refusal(400, "Bad Request: chat not found"), Unreachable, {}),
        (refusal(400, "Bad Request: PEER_ID_INVALID"), Unreachable, {}),
        (refusal(400, "Bad Request: message text is empty"), Refused, {}),
        (refusal(400, "Bad Request: migrated", migrate_to_chat_id=-1009), Moved, {"address": "-1009"}),
        (refusal(401, "Unauthorized"), ChannelDown, {}),
        (refusal(404, "Not Found"), ChannelDown, {}),
        ((302, b""), Refused, {}),
        (refusal(500, "Internal Server Error"), Retryable, {}),
        ((502, b"<html>Bad Gateway</html>"), Retryable, {}),
        ((503, b""), Retryable, {}),
        ((200, refusal(403, "Forbidden: bot was blocked by the user")[1]), Unreachable, {}),
        ((200, b"<html>log in to the wifi</html>"), Ambiguous, {}),
        ((200, DONE), Ambiguous, {}),
        (None, Ambiguous, {}),
    ],
)
async def test_what_each_failure_means(reply: Reply, kind: type[SendError], details: Mapping[str, object]) -> None:
    """Each answer of Telegram's, and none at all, has its class; the one that fits, not a parent of it."""
    async with listening(lambda *_: reply) as api, channel_to(api.url) as channel:
        with pytest.raises(SendError) as failure:
            await channel.send(CHAT, HELLO)
    assert type(failure.value) is kind
    assert {name: getattr(failure.value, name) for name in details} == details
    assert len(api.calls("sendMessage")) == 1  # trying again is for those who can remember it


async def test_no_answer_in_time_is_ambiguous() -> None:
    """It may have been sent."""

    async def never(*_: object) -> Reply:
        await asyncio.sleep(60)
        return None

    async with listening(never) as api, channel_to(api.url, patience=0.2) as channel:
        with pytest.raises(Ambiguous):
            await channel.send(CHAT, HELLO)


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
async def test_what_was_not_reached_has_not_been_sent(host: str) -> None:
    """Refused connections and unknown names."""
    async with channel_to(f"http://{host}:{free_port()}") as channel:
        with pytest.raises(SendError) as failure:
            await channel.send(CHAT, HELLO)
    assert type(failure.value) is Retryable


async def test_a_group_is_told_and_left() -> None:
    """And left without a word where the bot may not speak; a failure to leave does not repeat the words."""
    replies: dict[str, Reply] = {"sendMessage": (200, SENT), "leaveChat": (200, DONE)}
    async with listening(lambda method, *_: replies[method]) as api, channel_to(api.url) as channel:
        assert await channel.send(GROUP, HELLO) == "41"
        assert [method for method, _ in api.asked] == ["sendMessage", "leaveChat"]
        assert api.calls("leaveChat") == [{"chat_id": GROUP}]
        replies["leaveChat"] = (502, b"")
        assert await channel.send(GROUP, HELLO) == "41"
        replies["sendMessage"] = refusal(400, "Bad Request: not enough rights to send text messages")
        api.asked.clear()
        with pytest.raises(Unreachable):
            await channel.send(GROUP, HELLO)
        assert len(api.calls("leaveChat")) == 1


@pytest.mark.parametrize("reply", [(200, DONE), (400, b"{}"), (502, b""), None])
async def test_courtesies_never_raise(reply: Reply) -> None:
    """A clock that goes on turning is no reason to lose a message."""
    async with listening(lambda *_: reply) as api, channel_to(api.url) as channel:
        await channel.acknowledge({"callback_query_id": "77"})
        await channel.acknowledge({"media": "voice", "file_id": FILE, "mime": "audio/ogg"})
        await channel.writing(CHAT)
    assert api.calls("answerCallbackQuery") == [{"callback_query_id": "77"}]
    assert api.calls("sendChatAction") == [{"chat_id": CHAT, "action": "typing"}]
    async with channel_to("http://127.0.0.1:9") as channel:
        await channel.acknowledge({"callback_query_id": "77"})


# Webhook


async def test_whether_telegram_reaches_us() -> None:
    """It answers, and does not hold back updates that it could not post; no answer is no."""
    told = {"url": "", "has_custom_certificate": False, "pending_update_count": 3}
    stuck = {**told, "url": "https://rafiq.example", "last_error_date": 1, "last_error_message": "refused"}
    heard = [told, stuck, {**stuck, "pending_update_count": 0}]
    replies: list[Reply] = [(200, {"ok": True, "result": one}) for one in heard]
    replies += [(502, b""), None, refusal(401, "no")]
    async with listening(lambda *_: replies.pop(0)) as api, channel_to(api.url) as channel:
        assert [await channel.reaches_us() for _ in range(6)] == [True, False, True, False, False, False]


async def test_the_webhook_is_set_with_its_secret() -> None:
    """For the four kinds of update that are read, and tried until Telegram answers."""
    replies: list[Reply] = [None, (502, b""), (200, DONE), refusal(400, "Bad Request: bad webhook: no TLS")]
    async with listening(lambda *_: replies.pop(0)) as api, channel_to(api.url) as channel:
        await channel.set_webhook("https://rafiq.example/")
        with pytest.raises(Refused, match="no TLS"):
            await channel.set_webhook("https://rafiq.example")
    asked = api.calls("setWebhook")[2]
    assert asked["url"] == "https://rafiq.example/telegram/webhook"
    assert json.loads(asked["allowed_updates"]) == [
        "message", "edited_message", "callback_query", "my_chat_member"
    ]  # fmt: skip
    assert asked["secret_token"] == SECRET
    assert asked["max_connections"] == "40"
    with pytest.raises(SettingsError, match="TELEGRAM_WEBHOOK_SECRET"):
        await Telegram(TOKEN, api.url, None).set_webhook("https://rafiq.example")


# Polling


class Updates:
    """getUpdates as Telegram does it: an update is kept until a higher offset asks for the next."""

    def __init__(self, *updates: object) -> None:
        self.kept: list[Any] = list(updates)
        self.offsets: list[int | None] = []
        self.replies: list[Reply] = []  # given instead, first

    def __call__(self, method: str, _: object, asked: Mapping[str, Any]) -> Reply:
        if method != "getUpdates":
            return 200, DONE
        offset = int(asked["offset"]) if "offset" in asked else None
        self.offsets.append(offset)
        if self.replies:
            return self.replies.pop(0)
        if offset is not None:
            self.kept = [update for update in self.kept if update["update_id"] >= offset]
        return 200, {"ok": True, "result": self.kept}


def text_update(update_id: int, text: str) -> dict[str, Any]:
    """Awa writes this."""
    update = captured("text")
    update["update_id"] = update_id
    update["message"]["text"] = text
    return update


@asynccontextmanager
async def polling(channel: Telegram, accept: Any, database: Database) -> AsyncIterator[None]:
    """The channel polls in the meantime."""
    task = asyncio.create_task(channel.poll(accept, database))
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def soon(met: Callable[[], object]) -> None:
    """Wait until this is so."""
    async with asyncio.timeout(10):
        while not met():  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(0.005)


async def kept_state(database: Database) -> dict[str, Any] | None:
    """What the channel remembers."""
    async with database.session() as session:
        return await session.scalar(select(ChannelState.value).where(ChannelState.channel == "telegram"))


async def test_an_update_is_confirmed_only_after_it_is_stored(database: Database) -> None:
    """`accept` fails: the same update is fetched again; it succeeds: then the offset moves, and is kept."""
    updates = Updates(text_update(501, "un"), text_update(502, "deux"))
    heard: list[str] = []
    tries = 0

    async def accept(events: Sequence[Incoming]) -> None:
        nonlocal tries
        tries += 1
        assert updates.offsets == [None] * tries  # nothing confirmed yet
        if tries < 3:
            raise OSError("the database is away")
        heard.extend(event.text for event in events)

    async with (
        listening(updates) as api,
        channel_to(api.url) as channel,
        polling(channel, accept, database),
    ):
        await soon(lambda: 503 in updates.offsets and updates.offsets[-1] is None)
    assert heard == ["un", "deux"]
    assert updates.kept == []
    assert updates.offsets.count(503) == 1  # sent to confirm, and not again: in a week it would do harm
    assert await kept_state(database) == {"bot": "123456789", "offset": 503, "confirmed": True}
    asked = api.calls("getUpdates")[0]
    assert json.loads(asked["allowed_updates"]) == list(ALLOWED_UPDATES)


@pytest.mark.parametrize(
    ("kept", "offset"),
    [
        ({"bot": "123456789", "offset": 503, "confirmed": False}, 503),
        ({"bot": "123456789", "offset": 503, "confirmed": True}, None),
        ({"bot": "987654321", "offset": 503, "confirmed": False}, None),
    ],
    ids=["killed before it was confirmed", "confirmed", "another bot's"],
)
async def test_a_new_start_goes_on_where_the_last_one_was(
    database: Database, kept: dict[str, Any], offset: int | None
) -> None:
    """What was stored but not confirmed before a kill is confirmed now."""
    async with database.session() as session:
        await session.execute(insert(ChannelState).values(channel="telegram", value=kept))
        await session.commit()
    updates = Updates()

    async def accept(events: Sequence[Incoming]) -> None:
        raise AssertionError

    async with (
        listening(updates) as api,
        channel_to(api.url) as channel,
        polling(channel, accept, database),
    ):
        await soon(lambda: len(updates.offsets) > 1)
    assert updates.offsets[0] == offset
    assert updates.offsets[1] is None


async def test_polling_survives_what_it_meets(database: Database) -> None:
    """Cut connections, 502, 429, 401, nonsense, a webhook that is still set, updates that cannot be read."""
    updates = Updates(
        {"update_id": 600, "message": {"chat": 5}},
        "nonsense",
        text_update(601, "encore là"),
        {"update_id": 602, "telepathy": {}},
    )
    updates.replies = [
        None,
        (502, b"<html>"),
        refusal(429, "Too Many Requests", retry_after=0.01),
        refusal(401, "Unauthorized"),
        (200, b"{"),
        (200, {"ok": True, "result": 5}),
        refusal(409, "Conflict: can't use getUpdates method while webhook is active"),
        refusal(409, "Conflict: terminated by other getUpdates request"),
    ]
    heard: list[str] = []

    async def accept(events: Sequence[Incoming]) -> None:
        heard.extend(event.text for event in events)

    updates_kept = updates.kept
    async with listening(updates) as api, channel_to(api.url) as channel:
        with structlog.testing.capture_logs() as logs:
            async with polling(channel, accept, database):
                await soon(lambda: 603 in updates.offsets or None)
                updates.kept = [update for update in updates_kept if isinstance(update, dict)]
    assert heard == ["encore là"]
    assert len(api.calls("deleteWebhook")) == 1
    skipped = [line for line in logs if line["event"] == "update skipped"]
    assert [line["update_id"] for line in skipped] == [600, None]
    assert "encore" not in str(logs) and "nonsense" not in str(logs)


async def test_one_process_polls_and_the_next_takes_over(database: Database) -> None:
    """The lock decides; whoever stands by begins as soon as it is free."""
    first, second = Updates(), Updates()

    async def accept(events: Sequence[Incoming]) -> None:
        pass

    async with (
        listening(first) as one,
        listening(second) as two,
        channel_to(one.url) as poller,
        channel_to(two.url) as standby,
    ):
        async with polling(standby, accept, database):
            await soon(lambda: second.offsets)
            async with polling(poller, accept, database):
                await asyncio.sleep(0.2)
                assert first.offsets == []
        async with polling(poller, accept, database):
            await soon(lambda: first.offsets)
    async with database.holding(Lane.POLLING, 1) as connection:
        assert connection is not None  # let go at the end


# Secrets


async def test_the_token_is_in_no_log_and_no_exception(
    database: Database, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever happens, at DEBUG, even for the loggers that were told to be quiet."""
    replies: list[Reply] = [(200, SENT), None, (502, b"<html>"), (401, b"{"), (200, b"{"), (400, b"{}")]
    updates = Updates(text_update(1, "canary-of-what-was-said"))
    updates.replies = [None, refusal(401, "Unauthorized"), (200, b"nonsense")]
    failures: list[SendError] = []

    async def accept(events: Sequence[Incoming]) -> None:
        pass

    with caplog.at_level(logging.DEBUG):
        async with listening(lambda *_: replies.pop(0)) as api, channel_to(api.url) as channel:
            for name in ("httpx", "httpcore", "telegram"):
                caplog.set_level(logging.DEBUG, name)
            while replies:
                try:
                    await channel.send(CHAT, HELLO)
                except SendError as failure:
                    failures.append(failure)
        async with channel_to(f"http://127.0.0.1:{free_port()}") as channel:
            with pytest.raises(Retryable) as unreached:
                await channel.send(CHAT, HELLO)
            failures.append(unreached.value)
            assert TOKEN not in repr(channel)
        async with (
            listening(updates) as api,
            channel_to(api.url) as channel,
            polling(channel, accept, database),
        ):
            await soon(lambda: 2 in updates.offsets)
    assert len(failures) == 6
    for one in failures:
        told = "".join(traceback.format_exception(one))
        assert TOKEN not in told and "http://" not in told
        assert one.__context__ is None and one.__cause__ is None
    printed = "".join(capsys.readouterr())
    for written in (caplog.text, printed):
        assert "canary-canary" not in written
        assert "canary-of-what-was-said" not in written
    assert "<token>" in caplog.text  # the filter had something to do


# A server that nobody here wrote


async def test_a_conversation_over_telegram_test_api_by_polling(database: Database) -> None:
    """/start with a payload, buttons, a press, a typed command, an edit, a recording, a block."""
    heard: list[Incoming] = []
    async with TelegramServer() as server, channel_to(server.url, hold=5, pause=0.05) as channel:

        async def accept(events: Sequence[Incoming]) -> None:
            heard.extend(events)
            for event in events:
                await channel.acknowledge(event.details)

        awa = Person(server, TOKEN)
        async with polling(channel, accept, database):
            await awa.send_text("/start qr_7")
            await soon(lambda: len(heard) == 1)
            question = Outgoing("m1", "Quelle langue ?", "fr", (Button("b1", "Français"), Button("b2", "العربية")))
            sent = await channel.send(heard[0].address, question)
            said = await awa.answer()
            assert (str(said.message_id), said.text) == (sent, "Quelle langue ?")
            assert said.buttons == (("Français", "b1"), ("العربية", "b2"))
            await awa.press("العربية")
            await awa.send_text("/help")
            await awa.edit(3, "/menu")
            await awa.send(voice={"file_id": "x", "duration": 3})
            await awa.block()
            await soon(lambda: len(heard) == 6)
            await server.fail("sendMessage", *refusal(403, "Forbidden: bot was blocked by the user"))  # type: ignore[arg-type]
            with pytest.raises(Unreachable):
                await channel.send(heard[0].address, HELLO)
        answered = await server.calls("answerCallbackQuery")
    assert [(event.kind, event.text or event.press) for event in heard] == [
        (Kind.START, "qr_7"),
        (Kind.PRESS, "b2"),
        (Kind.TEXT, "/help"),
        (Kind.EDITED, "/menu"),
        (Kind.MEDIA, ""),
        (Kind.BLOCKED, ""),
    ]
    assert {event.address for event in heard} == {str(awa.id)}
    assert {event.language_hint for event in heard} == {"fr"}
    assert len({event.external_id for event in heard}) == 6
    assert answered == [{"callback_query_id": heard[1].details["callback_query_id"]}]


async def test_a_file_goes_with_its_text_and_buttons() -> None:
    """One message: the text stands under the file, with the buttons; no more than a caption may have."""
    content = "BEGIN:VCALENDAR\r\nSUMMARY:موعد\r\n"
    document = Document("appointment.ics", "text/calendar", content)
    async with TelegramServer() as server, channel_to(server.url) as channel:
        awa = Person(server, TOKEN)
        message = Outgoing("m1", "تم التسجيل", "ar", (Button("b1", "تغيير"),), document=document)
        sent = await channel.send(str(awa.id), message)
        said = await awa.answer()
        assert (str(said.message_id), said.text, said.buttons) == (sent, "تم التسجيل", (("تغيير", "b1"),))
        [asked] = await server.calls("sendDocument")
        assert asked["document"] == {"filename": "appointment.ics", "value": content}
        with pytest.raises(Refused):
            await channel.send(str(awa.id), Outgoing("m2", "x" * 1025, "ar", document=document))
        await server.fail("sendDocument", *refusal(403, "Forbidden: bot was blocked by the user"))  # type: ignore[arg-type]
        with pytest.raises(Unreachable):
            await channel.send(str(awa.id), message)


@pytest.mark.parametrize(
    ("media_type", "method", "field"),
    [
        ("image/jpeg", "sendPhoto", "photo"), ("audio/ogg", "sendVoice", "voice"), ("audio/mpeg", "sendAudio", "audio"),
        ("audio/mp4", "sendAudio", "audio"), ("audio/amr", "sendDocument", "document"),
    ],
)  # fmt: skip
async def test_a_voice_or_a_picture_goes_as_what_it_is(media_type: str, method: str, field: str) -> None:
    """To be heard or seen where it stands, its text under it."""
    content = b"\xff\xd8 voice" if method != "sendDocument" else b"#!AMR voice"
    async with TelegramServer() as server, channel_to(server.url) as channel:
        awa = Person(server, TOKEN)
        message = Outgoing("m1", "صورة", "ar", file=File(media_type, content))
        sent = await channel.send(str(awa.id), message)
        said = await awa.answer()
        assert (str(said.message_id), said.text) == (sent, "صورة")
        [asked] = await server.calls(method)
        given = asked[field].get("value") or base64.b64decode(asked[field]["base64"])
        assert given in (content, content.decode(errors="replace"))
        with pytest.raises(Refused):
            await channel.send(str(awa.id), replace(message, text="x" * 1025))


async def test_the_profile_is_set_in_three_languages_and_says_nothing() -> None:
    """Name, descriptions and commands, also for every other language; nothing of return, asylum or IOM in them."""
    asked: list[tuple[str, Mapping[str, Any]]] = []

    def answer(method: str, _: Mapping[str, str], parameters: Mapping[str, Any]) -> Reply:
        asked.append((method, parameters))
        return 200, DONE

    async with listening(answer) as server, channel_to(server.url) as channel:
        await channel.set_profile()
    for method in ("setMyCommands", "setMyName", "setMyDescription", "setMyShortDescription"):
        languages = [parameters.get("language_code") for name, parameters in asked if name == method]
        assert languages == [None, "fr", "en", "ar"]
    said = json.dumps([dict(parameters) for _, parameters in asked], ensure_ascii=False).lower()
    assert "rafiq" in said and "رفيق" in said
    for word in ("retour", "return", "asile", "asylum", "oim", "iom", "العودة", "migra", "هجرة"):
        assert word not in said, word


def test_the_picture_is_what_telegram_takes() -> None:
    """A square JPEG of at least 640 pixels, neither large nor blank."""
    with Image.open(io.BytesIO(neutral_picture()), formats=("JPEG",)) as picture:
        assert picture.size == (640, 640)
        assert len(picture.convert("RGB").getcolors(maxcolors=2**24) or ()) > 2
    assert len(neutral_picture()) < 100_000


@pytest.mark.parametrize("picture_taken", [True, False])
async def test_the_command_sets_everything_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, picture_taken: bool
) -> None:
    """`rafiq telegram setup`: webhook with its secret, profile, picture; where that is refused, it says so."""
    sent: list[bytes] = []

    def answer(method: str, _: Mapping[str, str], parameters: Mapping[str, Any]) -> Reply:
        if method == "setMyProfilePhoto":
            sent.append(json.dumps(parameters).encode())
            return (200, DONE) if picture_taken else refusal(404, "Not Found")
        return 200, DONE

    async with listening(answer) as server:
        given = settings.model_copy(
            update={
                "telegram_token": SecretStr(TOKEN),
                "telegram_api_url": server.url,
                "telegram_webhook_secret": SecretStr(SECRET),
                "rafiq_public_url": "https://rafiq.example.org",
            }
        )
        monkeypatch.setattr("bot.settings.load", lambda: given)
        done = await asyncio.to_thread(CliRunner().invoke, app, ["telegram", "setup"])
        assert done.exit_code == 0, done.output
        [webhook] = server.calls("setWebhook")
        assert (webhook["url"], webhook["secret_token"]) == ("https://rafiq.example.org/telegram/webhook", SECRET)
        assert len(server.calls("setMyName")) == 4 and len(sent) == 1
        assert b"attach://" in sent[0] and b"JFIF" in sent[0]
    assert ("the picture is set" in done.output) is picture_taken
    assert ("@BotFather" in done.output) is not picture_taken


@pytest.mark.parametrize(("there", "why"), [(True, "is TELEGRAM_TOKEN right?"), (False, "was not reached; try again")])
async def test_the_command_says_why_not(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, there: bool, why: str
) -> None:
    """A wrong token is not told from silence by guessing; either way one line, without the token."""
    async with listening(lambda *_: refusal(401, "Unauthorized")) as server:
        url = server.url if there else "http://127.0.0.1:9"
        given = settings.model_copy(update={"telegram_token": SecretStr(TOKEN), "telegram_api_url": url})
        monkeypatch.setattr("bot.settings.load", lambda: given)
        done = await asyncio.to_thread(CliRunner().invoke, app, ["telegram", "setup"])
    assert isinstance(done.exception, SettingsError) and why in str(done.exception)
    assert TOKEN not in str(done.exception) + done.output


async def test_a_file_is_fetched_without_its_address_getting_out(caplog: pytest.LogCaptureFixture) -> None:
    """A voice message comes; one that is gone, or that does not come now, is told apart; the token stays inside."""
    files: list[Reply] = [(200, b"OggS1234"), (404, b"{}"), (502, b"")]
    found = {"ok": True, "result": {"file_id": "f", "file_unique_id": "u", "file_path": "voice/file_1.oga"}}
    paths: list[str] = []

    def answer(method: str, _: Mapping[str, str], parameters: Mapping[str, Any]) -> Reply:
        paths.append(method)
        return (200, found) if method == "getFile" else files.pop(0)

    details = {"media": "voice", "file_id": "f", "mime": "audio/ogg"}
    async with listening(answer) as server, channel_to(server.url) as channel:
        assert await channel.download(details) == (b"OggS1234", "audio/ogg")
        with pytest.raises(Refused) as gone:
            await channel.download(details)
        with pytest.raises(Retryable) as later:
            await channel.download(details)
        with pytest.raises(Refused):
            await channel.download({"media": "voice"})
    for error in (gone.value, later.value):
        assert TOKEN not in str(error) and error.__context__ is None
    assert TOKEN not in caplog.text
    assert paths == ["getFile", "file_1.oga"] * 3


async def test_a_message_over_telegram_test_api_by_webhook() -> None:
    """The secret comes with each request; what was not stored comes again."""
    heard: list[Incoming] = []
    statuses = [503, 200]
    async with TelegramServer() as server, channel_to(server.url) as channel:

        def receive(_: str, headers: Mapping[str, str], update: Mapping[str, Any]) -> Reply:
            body = json.dumps(update).encode()
            channel.verify(headers, body)
            heard.extend(channel.parse(body))
            return statuses.pop(0), {}

        async with listening(receive) as receiver:
            await channel.set_webhook(receiver.url)
            await Person(server, TOKEN, language="ar").send_text("سلام")
            await soon(lambda: len(heard) == 2)
            await channel.delete_webhook()
    assert heard[0] == heard[1]
    assert (heard[0].text, heard[0].language_hint) == ("سلام", "ar")
