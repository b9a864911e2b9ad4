"""Bad input of every kind: nothing crashes, nothing is evaluated, nothing is kept that was not said; the person
gets a sensible answer, and so does their next message."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import uuid
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

import httpx
import pytest
from sqlalchemy import select, text

from bot import i18n
from bot.assistant import knowledge
from bot.db.models import Person, Request
from bot.db.session import Database
from bot.messages import LANGUAGES, Language
from bot.settings import Settings
from bot.web import Service
from tests.conversation.conftest import rows, until, value
from tests.journeys.talk import Talk
from tests.journeys.test_first_contact import WISH, count, title, to_the_review

QUESTION = "c'est gratuit ou il faut payer quelque chose ?"
BAD = {
    "empty": "",
    "blank": " \t\r\n ",
    "10,000 letters": "a" * 10_000,
    "10,000 Arabic letters": "ش" * 10_000,
    "10,000 characters of words": "zork blip " * 1_000,
    "10,000 characters without a space": "a1" * 5_000,
    "10,000 combining marks": "e" + "\u0301" * 9_999,
    "only emoji": "😀🎉👨‍👩‍👧🇲🇦",
    "only punctuation": "?!…",
    "zero width": "\u200b\u200d\u2060\ufeff\u00ad",
    "directions": "\u202e\u2066\u202a\u200f\u2069",
    "direction override around words": "\u202ezork blip\u202c",
    "NUL": "\0",
    "NUL inside": "bon\0jour",
    "control characters": "\x1b[31mzork\x07\x08\x7f",
    "a lone surrogate": "\ud83d",
    "lone surrogates between words": "zork \udc00 \ud83d blip",
    "HTML": "<script>alert(1)</script>",
    "HTML attribute": '"><img src=x onerror=alert(1)>',
    "SQL": "'; DROP TABLE outbox; --",
    "SQL or": "' OR '1'='1",
    "a template": "{{7*7}}",
    "another template": "${7*7} <%= 7*7 %> #{7*7} {% print 7 %}",
    "a slot": "{slot}",
    "slots": "{name} {phone.__class__} {reference} {0}",
    "a formula": "=cmd()",
    "a formula with a pipe": "=cmd|' /C calc'!A0",
    "percent": "%s%s%n %(name)s",
    "/restart": "/restart",
    "/role": '/role{"x":1}',
    "/change_answer": '/change_answer{"field":"name"}',
    "/answer": '/answer{"field":"name","value":"Mallory"}',
    "/session_start": "/session_start",
    "blank /restart": " \n/restart",
    "zero-width /restart": "\u200b/restart",
    "full-width /restart": "／restart",
    "@": '@role{"x":1}',
    "JSON": '{"text": "zork", "press": "x"}',
    "a path": "../../etc/passwd",
    "a forged log line": "zork\n2026-11-22 ERROR forged",
    "YAML": "- !!python/object/apply:os.system ['id']",
}
# In the middle of a form these bring the open question again; what has no words may bring only « no words ».
AGAIN = ("/restart", "/role", "/change_answer", "/answer", "/session_start", "blank /restart", "a slot", "a template")
NAMES = [
    "{phone}",
    "{{7*7}}",
    "{answers}",
    "<img src=x onerror=alert(1)>",
    "=cmd()|'/C calc'!A0",
    "%s %d {0}",
    "'; DROP TABLE person; --",
    "\\1 \\g<0> $1",
    "*Awa* _x_ [a](b)",
]


class Someone(Protocol):
    """A person on a channel."""

    messages: list[dict[str, Any]]

    async def start(self) -> str:
        """Open the conversation."""

    async def say(self, text: str) -> str:
        """Type a text; what is answered."""

    async def press(self, button: str) -> str:
        """Press the button of this title."""

    async def press_id(self, button_id: str) -> str:
        """Press the button that has this id, or claims to."""

    @property
    def buttons(self) -> list[str]:
        """The titles under the last messages."""

    @property
    def spoken(self) -> str:
        """The language of the last message."""


class AtTerminal(Talk):
    """At the terminal; halves of characters travel as JSON escapes, as `rafiq chat` writes them."""

    async def press_id(self, button_id: str) -> str:
        """Press this id."""
        return await self._turn("press", button_id)

    async def _turn(self, kind: str, text: str) -> str:
        body = {"id": str(uuid.uuid4()), "user": self.user, "kind": kind, "text": text}
        async with web_client(self.settings) as client:
            response = await client.post(
                "/terminal/turns",
                content=json.dumps(body).encode(),
                params={"after": self.last},
                headers={"authorization": f"Bearer {self.settings.local_token}", "content-type": "application/json"},
            )
        response.raise_for_status()
        outcome = response.json()
        self.last, self.messages = outcome["last"], outcome["messages"]
        return "\n\n".join(message["text"] for message in self.messages)


@dataclass
class OnThePage:
    """On the web page."""

    settings: Settings
    cookie: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    last: int = 0
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def buttons(self) -> list[str]:
        """The titles under the last messages."""
        return [button["title"] for message in self.messages for button in message["buttons"]]

    @property
    def spoken(self) -> str:
        """The language of the last message."""
        return str(self.messages[-1]["language"])

    async def start(self) -> str:
        """Open the conversation."""
        return await self._turn({"start": True})

    async def say(self, text: str) -> str:
        """Type a text."""
        return await self._turn({"text": text})

    async def press(self, button: str) -> str:
        """Press the button of this title."""
        ids = {b["title"]: b["id"] for message in self.messages for b in message["buttons"]}
        assert button in ids, f"no button {button!r} among {list(ids)}"
        return await self.press_id(ids[button])

    async def press_id(self, button_id: str) -> str:
        """Press this id."""
        return await self._turn({"press": button_id})

    async def history(self) -> list[dict[str, Any]]:
        """What a reloaded page shows."""
        async with web_client(self.settings, self.cookie) as client:
            response = await client.get("/chat/messages")
        response.raise_for_status()
        return list(response.json()["messages"])

    async def _turn(self, said: dict[str, Any]) -> str:
        async with web_client(self.settings, self.cookie) as client:
            body = json.dumps({"id": str(uuid.uuid4()), **said}).encode()
            (await client.post("/chat/messages", content=body)).raise_for_status()
            self.messages = []
            async with asyncio.timeout(30):
                while True:
                    fetched = await client.get("/chat/messages", params={"after": self.last, "wait": 5})
                    fetched.raise_for_status()
                    for message in fetched.json()["messages"]:
                        self.last = message["n"]
                        self.messages += [message] if message["by"] == "rafiq" else []
                    if self.messages and not fetched.json()["working"]:
                        return "\n\n".join(message["text"] for message in self.messages)


def web_client(settings: Settings, cookie: str = "") -> httpx.AsyncClient:
    """A client of the service, as this browser or as nobody."""
    cookies = {"rafiq_chat": cookie} if cookie else {}
    return httpx.AsyncClient(base_url=settings.own_url, trust_env=False, timeout=60, cookies=cookies)


@pytest.fixture(params=["terminal", "web"])
def someone(request: pytest.FixtureRequest, service: Service, settings: Settings) -> Someone:
    """A person never heard of before, on each of the two channels."""
    return AtTerminal(settings) if request.param == "terminal" else OnThePage(settings)


async def speak(someone: Someone, language: Language) -> None:
    """Choose the language, so that no later text changes it."""
    await someone.start()
    await someone.press(i18n.say("language.own_name", language))


@cache
def vetted(language: Language) -> re.Pattern[str]:
    """Everything that the assistant can say in this language: whole texts of the catalogs, and answers."""
    texts = []
    for text_id, words in i18n.catalog(language)._catalog.items():  # type: ignore[attr-defined]
        fixed = re.split(r"\{\w+\}", words)
        if isinstance(text_id, str) and text_id and sum(map(len, fixed)) > 12:
            texts.append(".{1,400}?".join(map(re.escape, fixed)))
    texts += [re.escape(knowledge.answer(topic, language)) for topic in knowledge.topics()]
    one = "(?:" + "|".join(sorted(texts, key=len, reverse=True)) + ")"
    return re.compile(f"{one}(?:\n\n{one})*", re.S)


def assert_sensible(someone: Someone, said: str) -> None:
    """A vetted text in one of our languages, which fits a bubble, and a way on as buttons."""
    assert said, "no answer"
    assert someone.spoken in LANGUAGES
    assert vetted(someone.spoken).fullmatch(said), said
    assert all(len(message["text"]) <= 1024 for message in someone.messages)
    assert someone.buttons, "no way on"


async def slots_set(database: Database) -> dict[str, Any]:
    """Every value that Rasa remembers of any conversation; the last topic that was asked about does not count."""
    found: dict[str, Any] = {}
    for row in await rows(database, "SELECT events FROM rasa_tracker"):
        for event in json.loads(zlib.decompress(bytes(row.events))):
            if event["event"] == "slot" and event["value"] is not None:
                found[event["name"]] = event["value"]
    return {name: found[name] for name in found.keys() - {"topic", "session_started_metadata"}}


async def assert_unharmed(database: Database) -> None:
    """Every message processed at its first try, nobody alerted, nothing asked for that was not asked for."""
    assert {(row.status, row.attempts) for row in await rows(database, "SELECT status, attempts FROM inbox")} == {
        ("done", 1)
    }
    for table in ("alert", "request", "consent", "case_event"):
        assert await count(database, table) == 0, table


@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_text_gets_a_sensible_answer(someone: Someone, database: Database, bad: str) -> None:
    """An answer with a way on; no slot set, nothing dead; the next question is answered as ever."""
    said = await someone.say(BAD[bad])
    assert_sensible(someone, said)
    assert "49" not in said
    assert await slots_set(database) == {}
    said = await someone.say(QUESTION)
    assert said == knowledge.answer("is_it_free", "fr")
    await assert_unharmed(database)
    if isinstance(someone, OnThePage):
        shown = await someone.history()
        assert [message["text"] for message in shown if message["by"] == "rafiq"][-1] == said
        assert QUESTION in [message["text"] for message in shown if message["by"] == "person"]


@pytest.mark.parametrize("bad", [bad for bad in BAD if "10,000" not in bad])
async def test_a_bad_text_in_the_middle_of_a_form(someone: Someone, database: Database, bad: str) -> None:
    """The form goes on where it was, at a question with choices and at one that reads a number."""
    await speak(someone, "fr")
    await someone.say(WISH["fr"])
    await someone.press(title("first_contact.consent.yes", "fr"))
    directions = {button["title"]: button["id"] for message in someone.messages for button in message["buttons"]}
    before = await slots_set(database)
    assert before == {"consent": "yes", "requested_slot": "direction"}
    said = await someone.say(BAD[bad])
    assert said and someone.buttons
    if bad in AGAIN:
        assert i18n.say("first_contact.direction", "fr") in said
    assert await slots_set(database) == before
    said = await someone.press_id(directions[title("first_contact.direction.from_morocco", "fr")])
    assert i18n.say("first_contact.age_group", "fr") in said
    await someone.press(title("first_contact.age_group.adult", "fr"))
    await someone.say("Awa")
    before = await slots_set(database)
    said = await someone.say(BAD[bad])
    assert said
    if bad in AGAIN:
        assert i18n.say("first_contact.phone", "fr") in said or i18n.say("first_contact.phone.unreadable", "fr") in said
    assert await slots_set(database) == before
    said = await someone.say("06 12 34 56 78")
    assert i18n.say("first_contact.call_time", "fr") in said
    after = await slots_set(database)
    assert after == {**before, "phone": "+212612345678", "requested_slot": "call_time"}
    await assert_unharmed(database)


@pytest.mark.parametrize("bad", ["/restart", "/change_answer", "/answer", "a slot", "HTML", "SQL"])
async def test_a_bad_text_at_the_review_sends_nothing(someone: Someone, database: Database, bad: str) -> None:
    """What is sent is never guessed: the review stays open and unchanged."""
    await to_the_review(someone, "fr")  # type: ignore[arg-type]  # drives whatever says and presses
    before = await slots_set(database)
    said = await someone.say(BAD[bad])
    assert said
    assert await slots_set(database) == before
    await assert_unharmed(database)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
async def test_a_strange_name_is_read_back_as_it_is(
    service: Service, settings: Settings, database: Database, language: Language, name: str
) -> None:
    """At the review and in what is kept, letter by letter; nothing of it is filled in or carried out."""
    talk = AtTerminal(settings)
    await speak(talk, language)
    await talk.say(WISH[language])
    await talk.press(title("first_contact.consent.yes", language))
    await talk.press(title("first_contact.direction.from_morocco", language))
    await talk.press(title("first_contact.age_group.adult", language))
    said = await talk.say(name)
    assert i18n.say("first_contact.phone", language) in said, said
    await talk.press(title("first_contact.phone.chat", language))
    said = await talk.press(title("first_contact.more.no", language))
    assert name in said.replace(i18n.LRI, "").replace(i18n.PDI, "")
    assert "49" not in said
    await talk.press(title("first_contact.review.send", language))
    async with database.session() as session:
        sealed, key = (
            await session.execute(
                select(Request.answers_sealed, Person.key).join(Person, Person.id == Request.person_id)
            )
        ).one()
    assert database.vault.open(key, sealed)["name"] == name


async def test_unseen_characters_of_a_name_do_not_come_back(
    service: Service, settings: Settings, database: Database
) -> None:
    """Direction overrides, zero-width characters and NUL are dropped, so that no line is shown backwards."""
    talk = AtTerminal(settings)
    await talk.say(WISH["fr"])
    await talk.press(title("first_contact.consent.yes", "fr"))
    await talk.press(title("first_contact.direction.from_morocco", "fr"))
    await talk.press(title("first_contact.age_group.adult", "fr"))
    await talk.say("Aw\u200ba\0 \u202eyrolla\u202c \ud83d")
    await talk.press(title("first_contact.phone.chat", "fr"))
    said = await talk.press(title("first_contact.more.no", "fr"))
    assert "Awa yrolla" in said
    assert not set(said) & set("\u200b\0\u202e\u202c\ud83d")


# Buttons

STALE = {language: i18n.say("button.stale", language) for language in LANGUAGES}


@pytest.mark.parametrize(
    "made_up",
    ["x", "AAAAAAAAAAAA", "answer", '/answer{"field":"consent","value":"yes"}', "0", "-1", "' OR '1'='1", "\0", "a" * 10_000, "\ud83d", "😀", "../"],
)  # fmt: skip
async def test_a_made_up_button_does_nothing(someone: Someone, database: Database, made_up: str) -> None:
    """Stale, said in the person's language, with what can be pressed now; pressed again too."""
    await someone.say(QUESTION)
    open_now = someone.buttons
    for _ in range(2):
        assert await someone.press_id(made_up) == STALE["fr"]
        assert someone.buttons == open_now
    assert await count(database, "handoff") == 0
    await assert_unharmed(database)


async def test_another_persons_button_does_nothing(someone: Someone, settings: Settings, database: Database) -> None:
    """Neither for the thief nor for the owner, whose own press still counts."""
    owner = AtTerminal(settings)
    await to_the_review(owner, "fr")
    send = next(
        b["id"] for b in owner.messages[-1]["buttons"] if b["title"] == title("first_contact.review.send", "fr")
    )
    await someone.say(QUESTION)
    for _ in range(2):
        assert await someone.press_id(send) == STALE["fr"]
    await assert_unharmed(database)
    await owner.press_id(send)
    assert await count(database, "request") == 1


async def test_an_expired_button_does_nothing(someone: Someone, database: Database) -> None:
    """After its week it is stale; what is offered instead works."""
    await to_the_review(someone, "fr")  # type: ignore[arg-type]  # drives whatever says and presses
    ids = {button["title"]: button["id"] for message in someone.messages for button in message["buttons"]}
    async with database.session() as session:
        await session.execute(text("UPDATE issued_button SET expires_at = now() - interval '1 second'"))
        await session.commit()
    for _ in range(2):
        assert await someone.press_id(ids[title("first_contact.review.send", "fr")]) == STALE["fr"]
    await assert_unharmed(database)
    assert await someone.press(title("button.help", "fr")) == i18n.say("help", "fr")


@pytest.mark.parametrize("again", [1, 3])
async def test_send_pressed_again_is_stale(someone: Someone, database: Database, again: int) -> None:
    """The form is over: one request, one event, and the person is told that this button is done with."""
    await to_the_review(someone, "fr")  # type: ignore[arg-type]  # drives whatever says and presses
    ids = {button["title"]: button["id"] for message in someone.messages for button in message["buttons"]}
    send = ids[title("first_contact.review.send", "fr")]
    assert re.search(r"AV-[2-9A-Z]{4}", await someone.press_id(send))
    for _ in range(again):
        assert await someone.press_id(send) == STALE["fr"]
    for other in ("first_contact.review.change", "first_contact.review.cancel"):
        assert await someone.press_id(ids[title(other, "fr")]) == STALE["fr"]
    assert await count(database, "request WHERE status = 'open'") == 1
    assert await count(database, "case_event") == 1
    assert await count(database, "handoff") == 1, "the request waits for somebody, once"
    assert await count(database, "alert") == 0


async def test_an_old_send_button_does_not_send_the_next_form(someone: Someone, database: Database) -> None:
    """« Send » of an earlier read-back sends nothing that has not been read back."""
    await to_the_review(someone, "fr")  # type: ignore[arg-type]  # drives whatever says and presses
    ids = {button["title"]: button["id"] for message in someone.messages for button in message["buttons"]}
    await someone.press(title("first_contact.review.cancel", "fr"))
    await someone.say(WISH["fr"])
    await someone.press(title("first_contact.consent.yes", "fr"))
    await someone.press(title("first_contact.direction.from_morocco", "fr"))
    await someone.press(title("first_contact.age_group.adult", "fr"))
    await someone.say("Fatou")
    await someone.press(title("first_contact.phone.chat", "fr"))  # everything needed is known, nothing read back
    await someone.press_id(ids[title("first_contact.review.send", "fr")])
    assert await count(database, "request") == 0


# Requests

FIVE_MB = 5 * 1024 * 1024


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    """A body whose length is not announced."""
    for start in range(0, len(body), 65536):
        yield body[start : start + 65536]


def post_of(**content: Any) -> bytes:
    """A page's post."""
    return json.dumps({"id": str(uuid.uuid4()), **content}).encode()


UNREADABLE: dict[str, bytes] = {
    "nothing": b"",
    "truncated": post_of(text="bonjour")[:-3],
    "truncated letter": b'{"id": "12345678-aaaa", "text": "\xd8',
    "null": b"null",
    "a list": b"[]",
    "a text": b'"bonjour"',
    "a number": b"5",
    "deep": b"[" * 60_000,
    "deep objects": b'{"a":' * 10_000,
    "a huge number": b'{"id": ' + b"9" * 10_000 + b"}",
    "no id": b'{"text": "bonjour"}',
    "an id of another kind": b'{"id": 12345678, "text": "bonjour"}',
    "an id with a line break": json.dumps({"id": "12345678\n", "text": "bonjour"}).encode(),
    "a text that is none": post_of(text=["bonjour"]),
    "a press that is none": post_of(press={"id": "x"}),
    "a form": b"id=12345678&text=bonjour",
}


@pytest.mark.parametrize("unreadable", UNREADABLE)
async def test_a_post_of_the_page_that_cannot_be_read(
    service: Service, settings: Settings, database: Database, unreadable: str
) -> None:
    """400, no row, and the page goes on working."""
    page = OnThePage(settings)
    async with web_client(settings, page.cookie) as client:
        response = await client.post("/chat/messages", content=UNREADABLE[unreadable])
    assert (response.status_code, response.content) == (400, b"")
    assert await count(database, "inbox") == 0
    assert await page.say(QUESTION) == knowledge.answer("is_it_free", "fr")


@pytest.mark.parametrize("size", [64 * 1024 + 1, FIVE_MB])
@pytest.mark.parametrize("announced", [True, False])
async def test_a_post_of_the_page_that_is_too_large(
    service: Service, settings: Settings, database: Database, size: int, announced: bool
) -> None:
    """413 beyond 64 KB, whether or not the length is announced; no row; the page goes on working."""
    page = OnThePage(settings)
    body = post_of(text="").replace(b'""', b'"' + b"x" * size + b'"')
    async with web_client(settings, page.cookie) as client:
        response = await client.post("/chat/messages", content=body if announced else pieces(body))
    assert (response.status_code, response.content) == (413, b"")
    assert await count(database, "inbox") == 0
    assert await page.say(QUESTION) == knowledge.answer("is_it_free", "fr")


@pytest.mark.parametrize("cookie", ["", "x", "a" * 31, "a" * 65])
async def test_without_the_pages_cookie_nobody_is_heard(
    service: Service, settings: Settings, database: Database, cookie: str
) -> None:
    """401 and no row, for posts and for polls."""
    async with web_client(settings, cookie) as client:
        answers = [
            await client.post("/chat/messages", content=post_of(text=QUESTION)),
            await client.get("/chat/messages"),
        ]
    assert [(answer.status_code, answer.content) for answer in answers] == [(401, b"")] * 2
    assert await count(database, "inbox") == 0


@pytest.mark.parametrize(
    "query",
    ["after=-1", "after=99999999999999999999999", "after=abc", "after=", "wait=-5", "wait=nan", "wait=abc", "after=1&after=2", "after=%00", "x=1"],
)  # fmt: skip
async def test_a_poll_with_nonsense_in_it(service: Service, settings: Settings, query: str) -> None:
    """An answer or a refusal, never an error of ours."""
    page = OnThePage(settings)
    await page.say(QUESTION)
    async with web_client(settings, page.cookie) as client:
        response = await client.get(f"/chat/messages?{query}")
    assert response.status_code < 500


INSIDE = ("/terminal/turns", "/rasa/actions")


@pytest.mark.parametrize("path", INSIDE)
@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", "Basic x", "Bearer {token}x", "{token}", "bearer é"])
async def test_the_doors_of_this_machine_need_its_token(
    service: Service, settings: Settings, database: Database, path: str, given: str
) -> None:
    """401 whatever the body: well made, truncated, empty or of 5 MB; no row."""
    headers = {"authorization": given.format(token=settings.local_token).encode(), "content-type": "application/json"}
    if not given:
        del headers["authorization"]
    right = {"id": str(uuid.uuid4()), "user": "mallory", "text": QUESTION}
    async with web_client(settings) as client:
        for body in (json.dumps(right).encode(), b'{"id": "', b"", b'{"id": "' + b"x" * FIVE_MB + b'"}'):
            answer = await client.post(path, content=body, headers=headers)  # type: ignore[arg-type]
            assert answer.status_code == 401, body[:20]
            assert QUESTION.encode() not in answer.content
    assert await count(database, "inbox") == 0


async def test_rasas_doors_need_the_token_too(service: Service, settings: Settings) -> None:
    """401 from our channel without it; of Rasa's own doors none is open."""
    rasa = f"http://127.0.0.1:{settings.rafiq_rasa_port}"
    body = {"conversation": "x", "message_id": "1", "text": QUESTION, "texts": [QUESTION]}
    async with httpx.AsyncClient(base_url=rasa, trust_env=False, timeout=60) as client:
        for given in ({}, {"authorization": "Bearer wrong"}, {"authorization": settings.local_token}):
            for path in ("turn", "understand"):
                assert (await client.post(f"/webhooks/service/{path}", json=body, headers=given)).status_code == 401
        for path in ("/conversations/x/tracker", "/domain", "/status", "/webhooks/rest"):
            assert (await client.get(path)).status_code in (401, 403, 404), path
        for path in ("/model/parse", "/model/train", "/webhooks/rest/webhook", "/conversations/x/messages"):
            assert (await client.post(path, json=body)).status_code in (401, 403, 404), path


@pytest.mark.parametrize("path", INSIDE)
@pytest.mark.parametrize("body", [b'{"id": "', b"", b"null", b"[]", b"[" * 200_000, b"\xff", b'{"id": 5}'])
async def test_a_request_with_the_token_that_cannot_be_read(
    service: Service, settings: Settings, database: Database, path: str, body: bytes
) -> None:
    """A refusal, no row, no error of ours."""
    headers = {"authorization": f"Bearer {settings.local_token}", "content-type": "application/json"}
    async with web_client(settings) as client:
        answer = await client.post(path, content=body, headers=headers)
    assert answer.status_code < 500
    assert await count(database, "inbox") == 0


@pytest.mark.parametrize(
    "path", ["/telegram/webhook", "/docs", "/openapi.json", "/.env", "/chat", "/%00", "/../var/local.token"]
)
async def test_there_is_nothing_behind_other_addresses(service: Service, settings: Settings, path: str) -> None:
    """404 (Telegram is not configured here), 405 at most."""
    async with web_client(settings) as client:
        assert (await client.post(path, content=b"{}")).status_code in (404, 405)
        assert (await client.get(path)).status_code in (404, 405)


async def test_many_bad_texts_at_once_hold_nobody_up(service: Service, settings: Settings, database: Database) -> None:
    """All of them from all at once, beside somebody who asks: every one answered, nothing dead."""
    crowd = [OnThePage(settings) for _ in BAD]
    asker = AtTerminal(settings)
    answers = await asyncio.gather(
        asker.say(QUESTION), *(one.say(bad) for one, bad in zip(crowd, BAD.values(), strict=True))
    )
    assert answers[0] == knowledge.answer("is_it_free", "fr")
    assert all(answers)
    await until(lambda: value(database, "SELECT count(*) = 0 FROM inbox WHERE status <> 'done'"))
    await assert_unharmed(database)
