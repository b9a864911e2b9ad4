"""WhatsApp: what people get, what each error means, how files are fetched; nothing secret said on the way."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import time
import traceback
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
import regex
import respx
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import i18n
from bot.channels.whatsapp import WhatsApp, contents, distinct, shortened
from bot.channels.whatsapp_errors import CHANNEL_LIMITS, failure
from bot.messages import (
    LANGUAGES,
    OPENS,
    Ambiguous,
    Button,
    ChannelDown,
    File,
    IdentityChanged,
    Language,
    NoTemplate,
    NotNow,
    Outgoing,
    Refused,
    Retryable,
    SendError,
    Template,
    Throttled,
    Unreachable,
    Unwelcome,
    WindowClosed,
)
from tests.simulators.whatsapp import (
    APP_SECRET,
    PAIR_BURST,
    PHONE_NUMBER_ID,
    TOKEN,
    VERIFY_TOKEN,
    WINDOW,
    Said,
    WhatsAppServer,
)

NUMBER, USER = "212600700100", "MA.10428377461928"
SECRET_WORDS = "canarysaid ne le dites à personne"


@pytest.fixture
async def server() -> AsyncIterator[WhatsAppServer]:
    """A WhatsApp that both people have just written to."""
    async with WhatsAppServer() as running:
        running.heard = {NUMBER: time.time(), USER: time.time()}
        yield running


@pytest.fixture
async def channel(server: WhatsAppServer) -> AsyncIterator[WhatsApp]:
    """A channel that is impatient."""
    made = channel_to(server.url)
    yield made
    await made.close()


def channel_to(url: str, token: str = TOKEN) -> WhatsApp:
    """A channel whose WhatsApp is at this address."""
    return WhatsApp(token, PHONE_NUMBER_ID, APP_SECRET, VERIFY_TOKEN, url, patience=1.0)


def message(text: str = "Bonjour", *titles: str, language: Language = "fr", **given: Any) -> Outgoing:
    """A message with buttons of these titles."""
    buttons = tuple(Button(f"id-{number}", title) for number, title in enumerate(titles, 1))
    return Outgoing("4c6ad1de-6f0c-4b86-a3a1-0d5f3c1f7a52", text, language, buttons, **given)


# Texts and choices


async def test_a_text_arrives_with_our_id(server: WhatsAppServer, channel: WhatsApp) -> None:
    """By number or by user id; the platform's id comes back."""
    for address in (NUMBER, USER):
        sent = await channel.send(address, message())
        [said] = server.sent[address]
        assert (said.id, said.text, said.our_id) == (sent, "Bonjour", message().id)
    assert [("to" in asked, "recipient" in asked) for _, asked in server.calls] == [(True, False), (False, True)]


@pytest.mark.parametrize("address", ["", "Awa", "+212 600", "MA.", "12", "MA.1/../x"])
async def test_what_is_no_address_is_refused_here(server: WhatsAppServer, channel: WhatsApp, address: str) -> None:
    """Nothing is called."""
    with pytest.raises(Refused):
        await channel.send(address, message())
    assert server.calls == []


@pytest.mark.parametrize(("number", "kind"), [(1, "button"), (3, "button"), (4, "list"), (10, "list"), (11, "text")])
@pytest.mark.parametrize("language", LANGUAGES)
async def test_choices(server: WhatsAppServer, channel: WhatsApp, number: int, kind: str, language: Language) -> None:
    """Three buttons, else a list of ten rows, else numbered lines."""
    titles = [f"{i18n.say('button.help', language)} {count}" for count in range(1, number + 1)]
    await channel.send(NUMBER, message("?", *titles, language=language))
    [said] = server.sent[NUMBER]
    assert said.kind == kind
    if kind == "text":
        assert said.text == "?\n\n" + "\n".join(f"{place}. {title}" for place, title in enumerate(titles, 1))
    else:
        assert said.buttons == tuple((title, f"id-{place}") for place, title in enumerate(titles, 1))


async def test_long_titles_are_cut_and_stay_distinct(server: WhatsAppServer, channel: WhatsApp) -> None:
    """20 characters on a button, 24 in a list, whose description has the rest."""
    long = "Une très longue réponse qui continue"
    await channel.send(NUMBER, message("?", long, long + " encore", "court"))
    await channel.send(NUMBER, message("?", long, long + " encore", "court", "quatre"))
    buttons, rows = server.sent[NUMBER]
    assert buttons.titles == ("Une très longue rép…", "Une très longue r… 2", "court")
    assert rows.titles == ("Une très longue réponse…", "Une très longue répon… 2", "court", "quatre")
    assert rows.description == (long, long + " encore", "", "")


@pytest.mark.parametrize("number", [0, 1, 10, 11, 40])
async def test_the_room_above_buttons_is_there(server: WhatsAppServer, channel: WhatsApp, number: int) -> None:
    """A text of exactly that length is one message, with our id; what is longer is delivery's to cut."""
    titles = [f"Choix {place}" for place in range(1, number + 1)]
    room = channel.room(message("", *titles).buttons)
    sent = await channel.send(NUMBER, message("é" * room, *titles))
    [said] = server.sent[NUMBER]
    assert (said.id, said.our_id) == (sent, message().id) and said.text.startswith("é" * room)
    assert room == {0: 4096, 1: 1024, 10: 1024}.get(number, room) and room > 1000
    with pytest.raises(Refused):
        await channel.send(NUMBER, message("é" * (room + 60), *titles))


@pytest.mark.parametrize(
    "wrong",
    [
        message(""),
        message(" \n"),
        message("x" * 4097),
        message("x", " "),
        message("x", *("t" * 500 for _ in range(11))),
        Outgoing("1", "x", "fr", (Button("", "Oui"),)),
        Outgoing("1", "x", "fr", (Button(" a", "Oui"),)),
        Outgoing("1", "x", "fr", (Button("i" * 257, "Oui"),)),
        Outgoing("1", "x", "fr", tuple(Button("i" * 201 + str(n), "Oui") for n in range(4))),
    ],
)
async def test_what_whatsapp_would_refuse_is_not_sent(
    server: WhatsAppServer, channel: WhatsApp, wrong: Outgoing
) -> None:
    """Our fault, found here."""
    with pytest.raises(Refused):
        await channel.send(NUMBER, wrong)
    assert server.calls == []


LETTERS = st.text(alphabet="aé رمحبا\n👩‍👩‍👧🇲🇷e\u0301\u0651", max_size=300)


@given(LETTERS, st.integers(5, 60))
@settings(max_examples=200, deadline=None)
def test_cutting_never_halves_a_letter(words: str, longest: int) -> None:
    """In French, Arabic and emoji: not too long, no grapheme is split."""
    letters = regex.findall(r"\X", words)
    short = shortened(words, longest)
    assert len(short) <= longest
    if short != words:
        kept = regex.findall(r"\X", short.removesuffix("…"))
        assert kept == letters[: len(kept)] or "".join(kept) == "".join(letters[: len(kept)]).rstrip()


@given(st.lists(st.sampled_from(["Une réponse longue de trop", "Une réponse longue de plus", "نعم", "x"]), max_size=10))
def test_titles_are_distinct(titles: list[str]) -> None:
    """However often the same one is given."""
    given_titles = distinct(titles, 20)
    assert len(set(given_titles)) == len(titles)
    assert all(len(title) <= 20 for title in given_titles)


def test_every_text_of_a_turn_fits_one_message() -> None:
    """A bubble of 1024 characters with buttons is one message, which costs once."""
    content = contents("x" * 1024, (Button("a", "Oui"),), "fr", 4096)
    assert content["type"] == "interactive"


# Templates


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_template_goes_where_free_text_may_not(
    server: WhatsAppServer, channel: WhatsApp, language: Language
) -> None:
    """24 hours after the person wrote: 131047 for a text, the approved words in their language for a template."""
    server.clock = lambda: time.time() + WINDOW + 60
    with pytest.raises(WindowClosed):
        await channel.send(NUMBER, message())
    template = Template("interview_tomorrow", ("14:30\n",), 43_200)
    await channel.send(NUMBER, message("", "Oui", language=language, template=template))
    [said] = server.sent[NUMBER]
    assert said.kind == "template" and "14:30" in said.text and "{{" not in said.text
    assert said.buttons[0][1] == "id-1"  # our button's id comes back when it is pressed


@pytest.mark.parametrize(
    ("template", "kind"),
    [
        (Template("unheard_of"), NoTemplate),
        (Template("interview_soon", ("14:30",), 600), NoTemplate),  # it lives an hour: it would come too late
        (Template("interview_soon"), Refused),
        (Template("reply_waiting", ("one too many",)), Refused),
    ],
)
async def test_a_template_that_does_not_fit(
    server: WhatsAppServer, channel: WhatsApp, template: Template, kind: type[SendError]
) -> None:
    """Nothing is sent."""
    with pytest.raises(kind):
        await channel.send(NUMBER, message("", template=template))
    assert server.calls == []


@pytest.mark.parametrize("status", ["PAUSED", "DISABLED", "REJECTED"])
async def test_a_template_that_meta_took_away(server: WhatsAppServer, channel: WhatsApp, status: str) -> None:
    """Another one, or the message is held."""
    for one in server.templates:
        one["status"] = status
    with pytest.raises(NoTemplate):
        await channel.send(NUMBER, message("", template=Template("reply_waiting")))


async def test_the_button_that_only_opens(server: WhatsAppServer, channel: WhatsApp) -> None:
    """« You have a reply » : pressing it says nothing of its own; where a message brings buttons, theirs count."""
    await channel.send(NUMBER, message("", template=Template("reply_waiting")))
    await channel.send(NUMBER, message("", template=Template("check_in")))
    await channel.send(NUMBER, message("", "Oui", template=Template("reply_waiting")))
    presses = [[press for _, press in said.buttons] for said in server.sent[NUMBER]]
    assert presses == [[OPENS], ["Répondre", "Plus tard", "Ne plus m'écrire"], ["id-1"]]


# What failed

TABLE: Mapping[type[SendError], list[int]] = {
    Throttled: [4, 80007, 130429, 131056, 133016, 131064],
    Unwelcome: [131048],
    Retryable: [1, 2, 131000, 131016, 131057, 131053],
    WindowClosed: [131047],
    Unreachable: [131026, 131021, 131030],
    NotNow: [131049, 130472, 131050],
    Refused: [100, 131008, 131009, 131051, 132000, 132005, 132007, 132012, 999999],
    NoTemplate: [132001, 132015, 132016],
    ChannelDown: [0, 3, 10, 190, 200, 250, 299, 33, 368, 131031, 131042, 131045, 130497, 131037],
    IdentityChanged: [137000, 131062],
}


@pytest.mark.parametrize(("kind", "code"), [(kind, code) for kind, codes in TABLE.items() for code in codes])
async def test_each_error_code(server: WhatsAppServer, channel: WhatsApp, kind: type[SendError], code: int) -> None:
    """The code decides; with it, the next message goes through again."""
    server.fail(code)
    with pytest.raises(SendError) as caught:
        await channel.send(NUMBER, message())
    assert type(caught.value) is kind
    assert str(code) in str(caught.value) and "2126" not in str(caught.value)
    await channel.send(NUMBER, message())


def test_only_the_pair_limit_is_of_one_chat() -> None:
    """The others ask for silence on the whole channel, and say for how long."""
    pair = failure(131056, 400)
    assert isinstance(pair, Throttled) and pair.scope == "chat" and pair.retry_after is None
    for code in CHANNEL_LIMITS:
        limit = failure(code, 400)
        assert isinstance(limit, Throttled) and limit.scope == "channel" and limit.retry_after
    a_day = failure(131049)
    assert isinstance(a_day, NotNow) and a_day.retry_after >= 24 * 3600


@pytest.mark.parametrize(
    ("status", "kind"), [(429, Throttled), (500, Retryable), (503, Retryable), (401, ChannelDown), (404, Refused)]
)
async def test_an_answer_without_a_code(status: int, kind: type[SendError]) -> None:
    """The HTTP status has to do; `Retry-After` is honoured."""
    channel = channel_to("http://platform.example")
    with respx.mock as platform:
        platform.route().respond(status, text="<html>", headers={"retry-after": "17"})
        with pytest.raises(SendError) as caught:
            await channel.send(NUMBER, message())
    assert type(caught.value) is kind
    if isinstance(caught.value, Retryable):
        assert caught.value.retry_after == 17
    await channel.close()


@pytest.mark.parametrize(
    "answer", [{}, {"messages": []}, {"messages": [{"id": ""}]}, {"messages": ["x"]}, {"messages": {"id": "x"}}, []]
)
async def test_a_good_answer_that_cannot_be_read(answer: Any) -> None:
    """It may have been sent: nobody knows."""
    channel = channel_to("http://platform.example")
    with respx.mock as platform:
        platform.route().respond(json=answer)
        with pytest.raises(Ambiguous):
            await channel.send(NUMBER, message())
    await channel.close()


async def test_a_lost_answer_is_ambiguous_and_can_be_known(server: WhatsAppServer, channel: WhatsApp) -> None:
    """The message was taken; the status that follows carries our id."""
    server.lose_answers()
    with pytest.raises(Ambiguous):
        await channel.send(NUMBER, message())
    [said] = server.sent[NUMBER]
    assert said.our_id == message().id


async def test_a_slow_answer_is_ambiguous(server: WhatsAppServer, channel: WhatsApp) -> None:
    """The request was written."""
    server.delay = 1.5
    with pytest.raises(Ambiguous):
        await channel.send(NUMBER, message())


async def test_whatsapp_out_of_reach_is_tried_again() -> None:
    """Nothing was written, so nothing was sent."""
    channel = channel_to("http://127.0.0.1:1")
    with pytest.raises(Retryable):
        await channel.send(NUMBER, message())
    await channel.close()


async def test_the_limits_of_one_person_and_of_the_number(server: WhatsAppServer, channel: WhatsApp) -> None:
    """45 at once to one person, then 131056 for them alone; 80 a second in all, then 130429."""
    for _ in range(PAIR_BURST):
        await channel.send(NUMBER, message())
    with pytest.raises(Throttled) as pair:
        await channel.send(NUMBER, message())
    assert pair.value.scope == "chat"
    now = time.time()
    server.clock = lambda: now
    server._second = [now] * 80
    with pytest.raises(Throttled) as all_of_it:
        await channel.send(USER, message())
    assert all_of_it.value.scope == "channel"


async def test_a_wrong_token_takes_the_channel_down(server: WhatsAppServer) -> None:
    """An operator has to mend it."""
    channel = channel_to(server.url, "EAAGrevoked")
    with pytest.raises(ChannelDown):
        await channel.send(NUMBER, message())
    await channel.close()


# Read mark


async def test_read_and_writing_are_shown_together(server: WhatsAppServer, channel: WhatsApp) -> None:
    """One call; whatever happens to it, nothing is raised."""
    await channel.typing({"message_id": "wamid.1"})
    [seen] = server.seen
    assert seen["message_id"] == "wamid.1" and seen["typing_indicator"] == {"type": "text"}
    await channel.typing({})
    server.token = "another"
    await channel.typing({"message_id": "wamid.2"})
    nowhere = channel_to("http://127.0.0.1:1")
    await nowhere.typing({"message_id": "wamid.3"})
    await nowhere.close()
    await nowhere.typing({"message_id": "wamid.4"})
    assert len(server.seen) == 1


# Files


@pytest.mark.parametrize(
    ("media_type", "kind", "words"),
    [("image/jpeg", "image", "Salma : votre papier"), ("image/jpeg", "image", ""), ("audio/ogg", "audio", "")],
)
async def test_a_voice_or_a_picture_arrives(
    server: WhatsAppServer, channel: WhatsApp, media_type: str, kind: str, words: str
) -> None:
    """Uploaded, then sent with our id; under a picture stands its text."""
    content = bytes(range(256)) * 40
    await channel.send(NUMBER, message(words, file=File(media_type, content)))
    [said] = server.sent[NUMBER]
    assert (said.kind, said.text, said.file, said.our_id) == (kind, words, (content, media_type), message().id)


@pytest.mark.parametrize(
    ("media_type", "words", "size"),
    [("audio/ogg", "no text goes with a voice", 9), ("image/jpeg", "x" * 1025, 9), ("video/mp4", "", 9),
     ("image/jpeg", "", 5 * 1024 * 1024 + 1)],
)  # fmt: skip
async def test_a_file_that_whatsapp_would_not_take_is_not_uploaded(
    server: WhatsAppServer, channel: WhatsApp, media_type: str, words: str, size: int
) -> None:
    """Refused here."""
    with pytest.raises(Refused):
        await channel.send(NUMBER, message(words, file=File(media_type, bytes(size))))
    assert server.files == {}


async def test_an_upload_that_breaks_off_is_tried_again() -> None:
    """Whatever arrived of it, nobody was sent anything; a token that is not ours is another matter."""
    with respx.mock(assert_all_called=False) as api:
        upload = api.post(url__regex=".*/media$")
        posted = api.post(url__regex=".*/messages$")
        channel = channel_to("http://graph.example")
        for answer, wanted_ in (
            (httpx.ReadError("broken"), Retryable), (httpx.ConnectError("none"), Retryable),
            (httpx.Response(200, json={}), Retryable), (httpx.Response(503, json={}), Retryable),
            (httpx.Response(401, json={"error": {"code": 190}}), ChannelDown),
        ):  # fmt: skip
            upload.side_effect = [answer]
            with pytest.raises(wanted_):
                await channel.send(NUMBER, message("", file=File("audio/ogg", b"OggS")))
        assert not posted.called
        await channel.close()


def wanted(server: WhatsAppServer, content: bytes, mime_type: str, **more: str) -> dict[str, str]:
    """The details of a message with this file."""
    server.files["77"] = (content, mime_type)
    return {"media_id": "77", "mime_type": mime_type, "sha256": hashlib.sha256(content).hexdigest(), **more}


@pytest.mark.parametrize("mime_type", ["audio/ogg; codecs=opus", "image/jpeg", "video/mp4", "application/pdf"])
@pytest.mark.parametrize("announced", ["hexadecimal", "base64", "by the other answer"])
async def test_a_file_is_fetched(server: WhatsAppServer, channel: WhatsApp, mime_type: str, announced: str) -> None:
    """When its bytes are those that were announced."""
    details = wanted(server, b"OggS" + b"\1" * 100, mime_type)
    if announced == "base64":
        details["sha256"] = base64.b64encode(bytes.fromhex(details["sha256"])).decode()
    elif announced != "hexadecimal":
        del details["sha256"]
    assert await channel.download(details) == (b"OggS" + b"\1" * 100, mime_type)


@pytest.mark.parametrize(
    ("size", "mime_type", "sha256"),
    [
        (100, "application/x-msdownload", None),
        (100, "application/vnd.openxmlformats-officedocument.wordprocessingml.document", None),
        (100, "image/svg+xml", None),
        (100, "", None),
        (100, "application/pdf", "0" * 64),
        (16 * 1024 * 1024 + 1, "audio/ogg", None),
        (5 * 1024 * 1024 + 1, "image/png", None),
    ],
)
async def test_what_is_not_taken(
    server: WhatsAppServer, channel: WhatsApp, size: int, mime_type: str, sha256: str | None
) -> None:
    """Another type, another content, too large, whether it says so or not."""
    details = wanted(server, b"x" * size, mime_type)
    details["sha256"] = sha256 or details["sha256"]
    with pytest.raises(Refused):
        await channel.download(details)
    server.understated = True
    with pytest.raises(Refused):
        await channel.download(details)


async def test_a_file_that_is_gone_and_one_that_comes_later(server: WhatsAppServer, channel: WhatsApp) -> None:
    """WhatsApp forgets files after some days; out of reach it may have them still."""
    with pytest.raises(Refused):
        await channel.download({"media_id": "78", "mime_type": "image/png"})
    with pytest.raises(Refused):
        await channel.download({"mime_type": "image/png"})
    nowhere = channel_to("http://127.0.0.1:1")
    with pytest.raises(Retryable):
        await nowhere.download({"media_id": "77", "mime_type": "image/png"})
    await nowhere.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://lookaside.fbsbx.com/x",
        "https://evil.example/lookaside.fbsbx.com",
        "https://fbsbx.com.evil.example/x",
        "https://127.0.0.1/x",
        "https://graph.facebook.com.evil.example/x",
        "https://graph.facebook.com@evil.example/x",
        "https://evil\x00.example/",
        "file:///etc/passwd",
        "",
    ],
)
async def test_the_token_goes_to_meta_alone(url: str) -> None:
    """An address elsewhere is not asked."""
    channel = channel_to("https://graph.facebook.com")
    with respx.mock(assert_all_called=False) as platform:
        platform.get("https://graph.facebook.com/v25.0/77").respond(json={"url": url, "file_size": 3})
        elsewhere = platform.route().respond(200, content=b"abc")
        with pytest.raises(Refused, match="address"):
            await channel.download({"media_id": "77", "mime_type": "image/png"})
        assert not elsewhere.called
    await channel.close()


async def test_a_redirect_is_not_followed() -> None:
    """Nor is it a file."""
    channel = channel_to("https://graph.facebook.com")
    with respx.mock as platform:
        there = "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=77"
        platform.get("https://graph.facebook.com/v25.0/77").respond(json={"url": there})
        platform.get(there).respond(302, headers={"location": "https://evil.example/"})
        with pytest.raises(Refused):
            await channel.download({"media_id": "77", "mime_type": "image/png"})
    await channel.close()


# Secrets


@pytest.mark.parametrize("mishap", ["refused", "lost", "unreachable", "unreadable"])
async def test_no_failure_tells_anything(
    server: WhatsAppServer, mishap: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither log nor exception has the token, the number, or what was written; at DEBUG neither."""
    caplog.set_level(logging.DEBUG)
    server.fail(131031) if mishap == "refused" else None
    server.lose_answers() if mishap == "lost" else None
    if mishap == "unreadable":
        server.delay = 1.2
    channel = channel_to("http://127.0.0.1:1" if mishap == "unreachable" else server.url)
    with pytest.raises(SendError) as caught:
        await channel.send(NUMBER, message(SECRET_WORDS))
    await channel.close()
    structlog.get_logger().warning("not sent", error=repr(caught.value))
    told = "".join(traceback.format_exception(caught.value)) + caplog.text + "".join(capsys.readouterr())
    for secret in (TOKEN, APP_SECRET, NUMBER, "canarysaid", "212600000001"):
        assert secret not in told


def test_the_address_may_name_a_version() -> None:
    """WHATSAPP_API_URL with a version of its own keeps it."""
    from bot.channels.whatsapp import versioned

    assert versioned("https://graph.facebook.com") == "https://graph.facebook.com/v25.0"
    assert versioned("https://graph.facebook.com/v26.0") == "https://graph.facebook.com/v26.0"


# The simulator itself: a test that leans on its strictness needs it to be strict


@pytest.mark.parametrize(
    "change",
    [
        {"text": {"body": "x" * 4097}},
        {"text": {"body": ""}},
        {"surprise": 1},
        {"recipient": USER},
        {"to": USER},
        {"biz_opaque_callback_data": "x" * 513},
        {"messaging_product": "sms"},
        {"type": "interactive", "interactive": {"type": "button", "body": {"text": "x"}, "action": {"buttons": []}}},
        {"type": "hologram"},
    ],
)
async def test_the_simulator_refuses_what_meta_refuses(server: WhatsAppServer, change: dict[str, Any]) -> None:
    """400 with an error object; nothing is delivered."""
    good = {"messaging_product": "whatsapp", "to": NUMBER, "type": "text", "text": {"body": "x"}}
    async with httpx.AsyncClient(trust_env=False, headers={"authorization": f"Bearer {TOKEN}"}) as client:
        url = f"{server.url}/v25.0/{PHONE_NUMBER_ID}/messages"
        assert (await client.post(url, json=good)).status_code == 200
        answer = await client.post(url, json={**good, **change})
    assert answer.status_code == 400 and isinstance(json.loads(answer.content)["error"]["code"], int)
    assert [type(said) for said in server.sent[NUMBER]] == [Said]
    await asyncio.sleep(0)
