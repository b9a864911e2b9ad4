"""The contract that every channel keeps (`bot.channels.Channel`); a new one adds an entry to `CHANNELS`."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
import respx

from bot.channels import Channel, Documents, Files, Malformed, Unverified
from bot.channels.telegram import Telegram
from bot.channels.whatsapp import WhatsApp
from bot.messages import Button, Incoming, Kind, Notice, Outgoing, Receipt, Refused
from tests.simulators.whatsapp import PHONE_NUMBER_ID, signed

FIXTURES = Path(__file__).parent.parent / "fixtures"
SECRET = "the-secret-of-the-webhook"
API = "http://platform.example"


@dataclass(frozen=True)
class Entry:
    """What the contract test needs to know of a channel."""

    name: str
    make: Callable[[], Channel]
    headers: Callable[[bytes, str], Mapping[str, str]]  # the platform's, for this body and this secret
    signs_the_body: bool
    address: str  # one that can be written to
    answer: Mapping[str, Any]  # the platform's, to a message it took
    answered_id: str  # the message id in it
    text_sent: Callable[[httpx.Request], str]

    @property
    def bodies(self) -> Mapping[str, bytes]:
        """The captured requests by name."""
        return {path.stem: path.read_bytes() for path in sorted((FIXTURES / self.name).glob("*.json"))}


CHANNELS = [
    Entry(
        name="telegram",
        make=lambda: Telegram("123456789:contract", API, SECRET),
        headers=lambda body, secret: {"x-telegram-bot-api-secret-token": secret},
        signs_the_body=False,
        address="700100200",
        answer={
            "ok": True,
            "result": {"message_id": 41, "date": 1795320000, "chat": {"id": 700100200, "type": "private"}},
        },
        answered_id="41",
        text_sent=lambda request: parse_qs(request.content.decode())["text"][0],
    ),
    Entry(
        name="whatsapp",
        make=lambda: WhatsApp("EAAGcontract", PHONE_NUMBER_ID, SECRET, "words", API),
        headers=lambda body, secret: {"x-hub-signature-256": signed(body, secret)},
        signs_the_body=True,
        address="700100200",
        answer={
            "messaging_product": "whatsapp",
            "contacts": [{"input": "700100200", "wa_id": "700100200"}],
            "messages": [{"id": "wamid.41"}],
        },
        answered_id="wamid.41",
        text_sent=lambda request: json.loads(request.content)["text"]["body"],
    ),
]

UNREADABLE = {
    "nothing": b"",
    "half": b'{"update_id": 1, "mess',
    "no encoding": b"\xff\xfe\x00{",
    "utf-16": '{"update_id": 1}'.encode("utf-16"),
    "deep": b"[" * 200_000,
    "deep objects": b'{"a":' * 200_000,
    "a form": b"update_id=1&text=hello",
}
# what other programs call a webhook, or none at all: genuine, and sent again and again until it is taken
OF_NO_CONCERN = {
    "null": b"null",
    "a number": b"5",
    "a text": b'"update"',
    "an empty list": b"[]",
    "a list": b'[{"update_id": 1, "entry": []}]',
    "an empty object": b"{}",
    "another platform's": b'{"type": "event_callback", "event": {"text": "hello"}}',
    "a message alone": b'{"from": "212600700100", "id": "wamid.1", "type": "text", "text": {"body": "hello"}}',
    "nothing given": b'{"update_id": null, "object": null, "entry": null, "message": null}',
    "a huge number": b'{"update_id": ' + b"9" * 10_000 + b', "entry": [' + b"9" * 10_000 + b"]}",
    "a number that is none": b'{"update_id": 18446744073709551616, "object": 5, "entry": 7}',
}
FIELDS = (
    "message", "edited_message", "callback_query", "my_chat_member", "channel_post", "from", "text", "caption", "voice",
    "photo", "document", "venue", "media_group_id", "pinned_message", "left_chat_member", "edit_date", "language_code",
    "data", "field", "metadata", "contacts", "messages", "statuses", "errors", "type", "context", "group_id",
    "interactive", "button", "reaction", "image", "audio", "edit", "revoke", "system", "user_id", "wa_id",
    "biz_opaque_callback_data", "recipient_type",
)  # fmt: skip
JUNK: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 2**80, float("inf"), "", "x", "\0", "\ud83d", "\ude00 /start", [], [[]],
    {}, {"id": {}},
)  # fmt: skip


@pytest.fixture(params=CHANNELS, ids=lambda entry: entry.name)
def entry(request: pytest.FixtureRequest) -> Entry:
    """Each channel in turn."""
    found: Entry = request.param
    return found


@pytest.fixture
async def channel(entry: Entry) -> AsyncIterator[Channel]:
    """The channel itself."""
    made = entry.make()
    yield made
    await made.close()


def test_a_file_is_taken_or_not_offered(entry: Entry, channel: Channel) -> None:
    """WhatsApp takes none of ours; whoever does says how much text may stand under it."""
    assert isinstance(channel, Documents) == (entry.name != "whatsapp")
    assert isinstance(channel, Files) and all(
        channel.caption(media_type) in range(channel.longest) for media_type in ("image/jpeg", "audio/ogg", "audio/mp4")
    )
    assert not isinstance(channel, Documents) or 0 < channel.longest_caption <= channel.longest


def test_a_genuine_request_is_verified(entry: Entry, channel: Channel) -> None:
    """What the platform sends gets in."""
    for body in entry.bodies.values():
        channel.verify(entry.headers(body, SECRET), body)


def test_any_other_request_is_refused(entry: Entry, channel: Channel) -> None:
    """Without the secret, with another one, with a part of it, with more than it."""
    body = next(iter(entry.bodies.values()))
    genuine = entry.headers(body, SECRET)
    wrong: list[Mapping[str, str]] = [{}, entry.headers(body, "another-secret-of-a-webhook")]
    for change in (
        lambda value: value[:-1],
        lambda value: value + "0",
        lambda value: value.swapcase(),
        lambda value: "",
        lambda value: "é\udc80" + value,
    ):
        wrong.append({name: change(value) for name, value in genuine.items()})
    if entry.signs_the_body:
        wrong.append(entry.headers(body + b" ", SECRET))
    for headers in wrong:
        with pytest.raises(Unverified) as refusal:
            channel.verify(headers, body)
        assert SECRET not in str(refusal.value)


def told(channel: Channel, body: bytes) -> list[Incoming | Receipt | Notice | tuple[Receipt, str]]:
    """All that a request tells; two errors are the same when they read the same."""
    return [
        (dataclasses.replace(one, error=None), repr(one.error)) if isinstance(one, Receipt) else one
        for one in channel.parse(body)
    ]


def happened(channel: Channel, body: bytes) -> list[Incoming]:
    """What people did, without the receipts for what was sent."""
    return [event for event in channel.parse(body) if isinstance(event, Incoming)]


def test_every_captured_request_can_be_read(entry: Entry, channel: Channel) -> None:
    """Events are sound, and no two of different requests have the same id."""
    ids: list[str] = []
    assert len(entry.bodies) >= 20
    for name, body in entry.bodies.items():
        events = happened(channel, body)
        for event in events:
            assert_sound(event, entry.name, name)
        ids += [event.external_id for event in events]
    assert len(ids) == len(set(ids))


def test_the_same_bytes_are_the_same_events(entry: Entry, channel: Channel) -> None:
    """A request that comes again, also to another process, gives the same ids."""
    other = entry.make()
    for body in entry.bodies.values():
        assert told(channel, body) == told(other, bytes(body))


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_is_no_request_is_malformed(channel: Channel, body: bytes) -> None:
    """And nothing else than `Malformed` is raised."""
    with pytest.raises(Malformed):
        channel.parse(body)


@pytest.mark.parametrize("body", OF_NO_CONCERN.values(), ids=OF_NO_CONCERN.keys())
def test_what_concerns_nobody_is_taken(channel: Channel, body: bytes) -> None:
    """It is JSON and leaves nothing: refused, it would come again."""
    assert channel.parse(body) == []


def test_what_is_null_is_not_there(entry: Entry, channel: Channel) -> None:
    """As some write whatever has no value: everything is read as it was."""
    for name, body in entry.bodies.items():
        assert told(channel, json.dumps(with_nulls(json.loads(body))).encode()) == told(channel, body), name


def with_nulls(value: Any) -> Any:
    """The same with every field that a platform has anywhere, null where it was not given."""
    if isinstance(value, list):
        return [with_nulls(one) for one in value]
    if isinstance(value, dict):
        missing = [field for field in FIELDS if field not in value]
        return {key: with_nulls(one) for key, one in value.items()} | dict.fromkeys(missing)
    return value


def test_nothing_in_a_request_can_raise_anything_else(entry: Entry, channel: Channel) -> None:
    """Every value of every captured request replaced by junk, or left out: sound events or `Malformed`."""
    read = 0
    for name, body in entry.bodies.items():
        for damaged in damages(json.loads(body)):
            try:
                events = happened(channel, json.dumps(damaged).encode())
            except Malformed:
                continue
            read += 1
            for event in events:
                assert_sound(event, entry.name, name)
    assert read > 1000


async def test_the_longest_message_arrives_whole(entry: Entry, channel: Channel) -> None:
    """Characters are counted, not bytes: Arabic and emoji get as much room as French."""
    for letter in ("é", "ر", "👍"):
        text = letter * channel.longest
        with respx.mock(base_url=API) as platform:
            route = platform.route().respond(json=dict(entry.answer))
            assert await channel.send(entry.address, Outgoing("1", text, "ar")) == entry.answered_id
        assert [entry.text_sent(call.request) for call in route.calls] == [text]


@pytest.mark.parametrize(
    "message",
    [
        lambda channel: Outgoing("1", "x" * (channel.longest + 1), "en"),
        lambda channel: Outgoing("1", "x", "en", (Button("i" * 1000, "Yes"),)),
        lambda channel: Outgoing("1", "x", "en", (Button("", "Yes"),)),
    ],
    ids=["text", "button id", "no button id"],
)
async def test_what_the_platform_cannot_take_is_refused_here(
    channel: Channel, message: Callable[[Channel], Outgoing]
) -> None:
    """Our own fault is found before the platform is called."""
    with respx.mock(base_url=API, assert_all_called=False) as platform:
        route = platform.route().respond(500)
        with pytest.raises(Refused):
            await channel.send("700100200", message(channel))
        assert not route.called


def assert_sound(event: Incoming, channel: str, fixture: str) -> None:
    """Everything the inbox and the turn rely on."""
    assert event.channel == channel, fixture
    assert isinstance(event.kind, Kind), fixture
    assert event.external_id and event.address, fixture
    words = [event.external_id, event.address, event.text, event.press, event.language_hint or ""]
    words.append(json.dumps(dict(event.details), ensure_ascii=False))
    for word in words:
        assert isinstance(word, str), fixture
        assert "\0" not in word, fixture
        word.encode()  # no half characters
    assert (event.kind is Kind.PRESS) or not event.press, fixture


def damages(value: Any) -> Iterator[Any]:
    """This JSON value with one thing wrong, for everything that can be wrong."""
    for path in paths(value):
        for junk in JUNK:
            damaged = copy.deepcopy(value)
            holder = damaged
            for step in path[:-1]:
                holder = holder[step]
            holder[path[-1]] = junk
            yield damaged
        damaged = copy.deepcopy(value)
        holder = damaged
        for step in path[:-1]:
            holder = holder[step]
        del holder[path[-1]]
        yield damaged


def paths(value: Any) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside this one."""
    steps: Any = ()
    if isinstance(value, dict):
        steps = value.items()
    elif isinstance(value, list):
        steps = enumerate(value)
    for step, inner in steps:
        yield (step,)
        for rest in paths(inner):
            yield (step, *rest)
