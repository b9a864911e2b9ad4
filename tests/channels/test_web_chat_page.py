"""The web chat's page in Chromium: what a person with a cheap phone and a bad connection can count on."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Locator,
    Page,
    Request,
    async_playwright,
    expect,
)
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

PAGE = Path(__file__).resolve().parents[2] / "bot" / "channels" / "web_chat.html"
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
COOKIE = "chat"

OPENING = "Bonjour, je suis Rafiq.\nDans quelle langue voulez-vous parler ?"
LANGUAGES = [("fr", "Français"), ("en", "English"), ("ar", "العربية")]
TOPICS = {
    "fr": ("De quoi voulez-vous parler ?", [("ask", "Poser une question"), ("call", "Parler à quelqu’un")]),
    "en": ("What would you like to talk about?", [("ask", "Ask a question"), ("call", "Talk to someone")]),
    "ar": ("عن ماذا تريد أن تتحدث؟", [("ask", "طرح سؤال"), ("call", "التحدث إلى شخص")]),
}
ANSWERS = {
    "fr": "Voici comment nous joindre :\n+212 537 00 00 00 ou aide@example.org.\nIci : https://example.org/aide.",
    "en": "Here is how to reach us:\n+212 537 00 00 00 or help@example.org.\nMore here: https://example.org/help.",
    "ar": "يمكنك الاتصال بنا على \u2066+212 537 00 00 00\u2069\nأو الكتابة إلى \u2066help@example.org\u2069.",
}


@dataclass
class Chat:
    """One conversation of the mock server: what is stored, and what it received."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    stored: list[dict[str, Any]] = field(default_factory=list)
    language: str = "fr"
    working: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(
        self, by: str, text: str, buttons: list[tuple[str, str]] | None = None, id: str = "", file: str | None = None
    ) -> None:
        """Append a message and wake up whoever waits for it."""
        self.messages.append(
            {
                "n": len(self.messages) + 1,
                "id": id or str(uuid4()),
                "by": by,
                "text": text,
                "language": self.language,
                "buttons": [{"id": name, "title": title} for name, title in buttons or ()],
                **({"file": file} if file else {}),
            }
        )
        self.wake()

    def wake(self) -> None:
        """Let every waiting poll answer now."""
        self.changed.set()
        self.changed = asyncio.Event()

    async def answer(self, body: dict[str, Any], delay: float) -> None:
        """Answer by script: a language, a topic, or the text itself again."""
        await asyncio.sleep(delay)
        self.working = False
        pressed, text = body.get("press", ""), body.get("text", "")
        if body.get("start"):
            self.add("rafiq", OPENING, LANGUAGES)
        elif pressed in TOPICS:
            self.language = pressed
            self.add("rafiq", *TOPICS[pressed])
        elif pressed or text.endswith("?"):
            self.add("rafiq", ANSWERS[self.language])
        else:
            self.add("rafiq", text)


@dataclass
class MockChat:
    """The server's side of the contract, with scripted answers and faults to switch on."""

    chats: dict[str, Chat] = field(default_factory=dict)
    posts: int = 0  # requests that carried a message, stored or not
    fault: int = 0  # answer every message with this status, and store nothing
    lost_receipts: int = 0  # store that many messages, and answer 503 all the same
    terse: bool = False  # the person's own messages come in the history only, under a number told before
    delay: float = 0.02
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def chat(self) -> Chat:
        """The conversation that began last."""
        return list(self.chats.values())[-1]

    def routes(self) -> list[Route]:
        """The addresses of the contract."""
        return [
            Route("/", self.page),
            Route("/chat/messages", self.receive, methods=["POST"]),
            Route("/chat/messages", self.tell, methods=["GET"]),
            Route("/chat/forget", self.forget, methods=["POST"]),
            Route("/chat/files/{id}", self.file),
        ]

    async def file(self, request: HttpRequest) -> Response:
        """The file that went with a message of this conversation."""
        chat = self.chats.get(request.cookies.get(COOKIE, ""))
        if chat is None or request.path_params["id"] not in [message["id"] for message in chat.messages]:
            return Response(status_code=404)
        headers = {"content-disposition": "attachment; filename*=UTF-8''rendez-vous.ics"}
        return Response("BEGIN:VCALENDAR", media_type="text/calendar", headers=headers)

    async def page(self, request: HttpRequest) -> Response:
        """The page under the strictest policy it can live with, and a cookie it cannot read."""
        response = HTMLResponse(
            PAGE.read_bytes(),
            headers={
                "Content-Security-Policy": policy(PAGE.read_text(encoding="utf-8")),
                "Cache-Control": "no-store",
                "Referrer-Policy": "no-referrer",
            },
        )
        if request.cookies.get(COOKIE) not in self.chats:
            token = str(uuid4())
            self.chats[token] = Chat()
            response.set_cookie(COOKIE, token, httponly=True, samesite="lax")
        return response

    async def receive(self, request: HttpRequest) -> Response:
        """Store a message once per id, and answer it."""
        self.posts += 1
        chat = self.chats.get(request.cookies.get(COOKIE, ""))
        if chat is None:
            return JSONResponse({}, 401)
        if self.fault:
            return JSONResponse({}, self.fault, headers={"Retry-After": "1"} if self.fault == 429 else {})
        body = await request.json()
        if body["id"] not in [known["id"] for known in chat.stored]:
            chat.stored.append(body)
            titles = {b["id"]: b["title"] for message in chat.messages for b in message["buttons"]}
            if not body.get("start"):
                chat.working = True
                chat.add("person", body.get("text") or titles[body["press"]], id=body["id"])
            task = asyncio.create_task(chat.answer(body, self.delay))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        if self.lost_receipts:
            self.lost_receipts -= 1
            return JSONResponse({}, 503)
        return JSONResponse({}, 202)

    async def tell(self, request: HttpRequest) -> Response:
        """Wait for messages after `after`, for `wait` seconds at most."""
        chat = self.chats.get(request.cookies.get(COOKIE, ""))
        if chat is None:
            return JSONResponse({}, 401)
        after, wait = int(request.query_params["after"]), int(request.query_params["wait"])
        if not chat.messages[after:] and wait:
            with suppress(TimeoutError):
                await asyncio.wait_for(chat.changed.wait(), wait)
        told = chat.messages[after:][-50:]
        if self.terse:
            told = [
                {**message, "n": max(1, message["n"] - 1)} if message["by"] == "person" else message
                for message in told
                if not after or message["by"] != "person"
            ]
        return JSONResponse({"messages": told, "working": chat.working})

    async def forget(self, request: HttpRequest) -> Response:
        """Forget the cookie and the conversation behind it."""
        if self.fault:
            return JSONResponse({}, self.fault)
        chat = self.chats.pop(request.cookies.get(COOKIE, ""), None)
        if chat:
            chat.wake()
        response = JSONResponse({})
        response.delete_cookie(COOKIE)
        return response


def policy(page: str) -> str:
    """The Content-Security-Policy that allows this page's one style and one script, and its own server."""

    def hashed(tag: str) -> str:
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        return "'sha256-" + base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode() + "'"

    return (
        f"default-src 'none'; script-src {hashed('script')}; style-src {hashed('style')}; "
        "connect-src 'self'; img-src 'self' data:; media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    )


@pytest_asyncio.fixture
async def mock_chat() -> AsyncIterator[MockChat]:
    """The scripted server's state, fresh for every test."""
    mock = MockChat()
    yield mock
    for task in mock.tasks:
        task.cancel()


@pytest_asyncio.fixture
async def web_chat_url(mock_chat: MockChat) -> AsyncIterator[str]:
    """The address of the page on a free port of this machine."""
    config = uvicorn.Config(
        Starlette(routes=mock_chat.routes()),
        host="127.0.0.1",
        port=0,
        ws="none",
        lifespan="off",
        log_level="error",
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    for chat in mock_chat.chats.values():
        chat.wake()
    await serving


@pytest_asyncio.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, the machine's own or else the one Playwright brought."""
    own = os.environ.get("CHROMIUM") or shutil.which("chromium")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=own, args=CHROMIUM_FLAGS)
        yield chromium
        await chromium.close()


@dataclass
class Phone:
    """A small phone with the page open, and what went wrong in it."""

    context: BrowserContext
    page: Page
    requests: list[Request] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def bubbles(self) -> Locator:
        """Every message in the conversation, the oldest first."""
        return self.page.locator("#log .m:not(#typing) .b")

    async def texts(self) -> list[str]:
        """What the bubbles say, with plain spaces."""
        return [text.replace("\u00a0", " ") for text in await self.bubbles.all_text_contents()]

    async def begin(self, language: str) -> None:
        """Choose a language under the opening message and wait for the next question."""
        await self.page.get_by_role("button", name=dict(LANGUAGES)[language]).click()
        await expect(self.page.get_by_role("button", name=TOPICS[language][1][0][1])).to_be_enabled()

    async def write(self, text: str) -> None:
        """Type into the input and send with Enter."""
        await self.page.locator("#input").fill(text)
        await self.page.locator("#input").press("Enter")

    async def settled(self) -> None:
        """Wait until the last answer is there."""
        await expect(self.page.locator("#log .m").nth(-2)).to_have_class(re.compile(r"\bit\b"))
        await expect(self.page.locator("#typing")).to_be_hidden()


@pytest_asyncio.fixture
async def phone(browser: Browser, web_chat_url: str) -> AsyncIterator[Phone]:
    """The page open in French with the opening message; a script error or a blocked load fails the test."""
    context = await browser.new_context(
        viewport={"width": 360, "height": 640}, locale="fr-FR", has_touch=True, is_mobile=True
    )
    context.set_default_timeout(8000)
    page = await context.new_page()
    phone = Phone(context, page)

    def requested(request: Request) -> None:
        phone.requests.append(request)

    def failed(error: Error) -> None:
        phone.errors.append(error.message)

    def logged(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            phone.errors.append(message.text)

    page.on("request", requested)
    page.on("pageerror", failed)
    page.on("console", logged)
    await page.goto(web_chat_url)
    await expect(page.get_by_role("button", name="Français")).to_be_enabled()
    yield phone
    await context.close()
    assert phone.errors == []


# --- what it weighs and what it says of itself


def test_the_page_weighs_at_most_fifty_kilobytes() -> None:
    """The whole page, style and script included, is one file of at most 50 KB."""
    assert PAGE.stat().st_size <= 50 * 1024


def test_the_page_needs_no_new_syntax_and_no_markup_from_texts() -> None:
    """The file uses nothing that a WebView of 2018 lacks, and nothing that turns a text into markup."""
    source = PAGE.read_text(encoding="utf-8")
    for forbidden in ("?.", "??", "innerHTML", "insertAdjacentHTML", "document.write", ":has(", "eval("):
        assert forbidden not in source
    assert not re.search(r"<[^>]+\s(on\w+|style)=", source.split("<script>")[0])
    assert not re.search(r"(localStorage|sessionStorage|indexedDB|document\.cookie)\W*[.\[(=]", source)


async def test_nothing_on_the_first_screen_says_what_it_is_about(phone: Phone, web_chat_url: str) -> None:
    """Over the shoulder one reads a neutral name, in the title and on the page, and no programme's name."""
    assert await phone.page.title() == "Rafiq"
    source = PAGE.read_text(encoding="utf-8").lower()
    for word in ("iom", "oim", "asyl", "asile", "migra", "return home", "retour volontaire", "عودة", "لجوء"):
        assert not re.search(rf"\b{word}", source)


async def test_the_page_asks_nobody_but_its_own_server(phone: Phone, web_chat_url: str) -> None:
    """No font, script, picture or count comes from anywhere else."""
    await phone.begin("fr")
    await phone.write("Comment vous joindre ?")
    await phone.settled()
    assert phone.requests
    assert [r.url for r in phone.requests if not r.url.startswith((web_chat_url, "data:"))] == []


async def test_nothing_is_left_in_the_phones_storage(phone: Phone) -> None:
    """Neither words nor tokens go where a script or another person could find them later."""
    await phone.begin("fr")
    await phone.write("Je m’appelle Awa")
    await phone.settled()
    left = await phone.page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]")
    assert left == [0, 0, ""]


# --- talking


async def test_the_first_visit_starts_the_conversation_once(phone: Phone, mock_chat: MockChat) -> None:
    """An empty history sends one start, and the opening message appears."""
    await phone.page.reload()
    await expect(phone.bubbles).to_have_count(1)
    assert await phone.texts() == [OPENING]
    assert [body.get("start") for body in mock_chat.chat.stored] == [True]


async def test_enter_sends_and_the_answer_follows_below(phone: Phone, mock_chat: MockChat) -> None:
    """Enter sends, Shift+Enter breaks the line, and the input is empty again."""
    await phone.begin("fr")
    await phone.page.locator("#input").fill("bonjour")
    await phone.page.keyboard.press("Shift+Enter")
    await phone.page.keyboard.type("merci")
    await phone.page.keyboard.press("Enter")
    await phone.settled()
    assert mock_chat.chat.stored[-1]["text"] == "bonjour\nmerci"
    assert (await phone.texts())[-2:] == ["bonjour\nmerci", "bonjour\nmerci"]
    await expect(phone.page.locator("#input")).to_have_value("")


async def test_an_empty_text_is_not_sent(phone: Phone, mock_chat: MockChat) -> None:
    """Enter on nothing, or on spaces, sends nothing."""
    await phone.write("   ")
    await phone.page.get_by_role("button", name="Envoyer").click()
    assert len(mock_chat.chat.stored) == 1
    await expect(phone.bubbles).to_have_count(1)


async def test_buttons_work_once_and_only_under_the_newest_message(phone: Phone, mock_chat: MockChat) -> None:
    """A press shows the title as the person's message, closes the buttons, and counts once."""
    french = phone.page.get_by_role("button", name="Français")
    await french.dblclick()
    await expect(phone.page.get_by_role("button", name="Poser une question")).to_be_enabled()
    await expect(french).to_be_disabled()
    await expect(phone.page.get_by_role("button", name="English")).to_be_disabled()
    assert [body.get("press") for body in mock_chat.chat.stored] == [None, "fr"]
    assert (await phone.texts())[1] == "Français"
    mock_chat.chat.add("rafiq", "Autre chose.")
    await expect(phone.page.get_by_role("button", name="Poser une question")).to_be_disabled()


async def test_a_counsellors_message_is_told_apart(phone: Phone, mock_chat: MockChat) -> None:
    """A message by a person of the team says so, and leaves the assistant's buttons alone."""
    mock_chat.chat.add("counsellor", "Bonjour, je suis Samira.")
    await expect(phone.page.get_by_text("Une personne de l’équipe")).to_be_visible()
    await expect(phone.page.get_by_role("button", name="Français")).to_be_enabled()


async def test_a_screen_reader_hears_that_an_answer_is_coming(phone: Phone, mock_chat: MockChat) -> None:
    """While the assistant works, dots are shown and a status says it in words."""
    mock_chat.delay = 60
    await phone.write("bonjour")
    await expect(phone.page.locator("#typing")).to_be_visible()
    await expect(phone.page.get_by_role("status").filter(has_text="Rafiq écrit…")).to_have_count(1)
    mock_chat.chat.working = False
    mock_chat.chat.add("rafiq", "Bonjour.")
    await expect(phone.page.locator("#typing")).to_be_hidden()
    await expect(phone.page.get_by_role("status").filter(has_text="Rafiq écrit…")).to_have_count(0)


async def test_a_long_answer_is_shown_from_its_beginning(phone: Phone, mock_chat: MockChat) -> None:
    """A message taller than the screen starts at the top of it, not at its end."""
    mock_chat.chat.add("rafiq", "Début. " + "Une longue phrase pour remplir le petit écran. " * 40)
    body = phone.page.locator("#log .b", has_text="Début.")
    await expect(body).to_be_visible()
    log = await phone.page.locator("#log").bounding_box()
    box = await body.bounding_box()
    assert log and box
    assert 0 <= box["y"] - log["y"] < 40
    mock_chat.chat.add("rafiq", "La suite.")
    await phone.page.get_by_role("button", name="Voir la suite").click()
    await expect(phone.page.get_by_text("La suite.")).to_be_in_viewport()


@pytest.mark.parametrize(("width", "height"), [(320, 568), (360, 640)])
@pytest.mark.parametrize("language", ["fr", "ar"])
async def test_no_row_of_buttons_is_missed(
    phone: Phone, mock_chat: MockChat, language: str, width: int, height: int
) -> None:
    """After each message its last button is in sight, or an arrow says that more stands below and leads there."""
    page, told = phone.page, {"fr": "Voir la suite", "ar": "متابعة القراءة"}[language]
    await page.set_viewport_size({"width": width, "height": height})
    await phone.begin(language)
    arrow = page.get_by_role("button", name=told)
    seen = []
    for lines in (1, 5, 7, 8, 9, 14):
        titles = [f"{'Un choix assez long' if language == 'fr' else 'اختيار طويل قليلا'} {lines}{n}" for n in range(6)]
        mock_chat.chat.add("rafiq", "\n".join(["une ligne"] * lines), [(title, title) for title in titles])
        last = page.get_by_role("button", name=titles[-1])
        await expect(last).to_be_enabled()
        await page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        below = await page.evaluate(
            "node => node.getBoundingClientRect().bottom - document.getElementById('log').getBoundingClientRect().bottom",
            await last.element_handle(),
        )
        assert await arrow.is_visible() == (below > 0), (lines, below)
        seen.append(below > 0)
        if below > 0:
            await arrow.click()
            await expect(arrow).to_be_hidden()
            await expect(last).to_be_in_viewport(ratio=1)
    assert set(seen) == {False, True}


# --- coming back


@pytest.mark.parametrize("terse", [False, True])
async def test_a_reload_brings_everything_back_once(phone: Phone, mock_chat: MockChat, terse: bool) -> None:
    """After a reload the same bubbles stand in the same order, and a pressed button stays closed."""
    mock_chat.terse = terse
    await phone.begin("fr")
    await phone.write("bonjour")
    await phone.settled()
    mock_chat.chat.add("rafiq", "Encore là ?", [("yes", "Oui"), ("no", "Non")])
    await phone.page.get_by_role("button", name="Oui").click()
    await expect(phone.bubbles).to_have_count(8)
    before = await phone.texts()
    await phone.page.reload()
    await expect(phone.bubbles).to_have_count(8)
    assert await phone.texts() == before
    assert before[1:5] == ["Français", TOPICS["fr"][0], "bonjour", "bonjour"]
    await expect(phone.page.get_by_role("button", name="Oui")).to_be_disabled()


async def test_a_message_written_without_connection_is_sent_once_when_it_returns(
    phone: Phone, mock_chat: MockChat
) -> None:
    """Offline, a message stays in sight as waiting; back online it arrives exactly once, in order."""
    await phone.begin("fr")
    await phone.context.set_offline(True)
    await expect(phone.page.locator("#state")).to_have_text("Connexion perdue")
    await phone.write("un")
    await phone.write("deux")
    await expect(phone.page.get_by_text("En attente d’envoi")).to_have_count(2)
    stored = len(mock_chat.chat.stored)
    await phone.context.set_offline(False)
    await expect(phone.page.get_by_text("En attente d’envoi")).to_have_count(0)
    await expect(phone.page.locator("#state")).to_have_text("En ligne")
    await expect(phone.bubbles).to_have_count(7)
    assert [body["text"] for body in mock_chat.chat.stored[stored:]] == ["un", "deux"]
    texts = await phone.texts()
    assert [texts.count("un"), texts.count("deux")] == [2, 2]  # the person's, and the answer


@pytest.mark.parametrize("terse", [False, True])
async def test_a_lost_receipt_does_not_send_twice(phone: Phone, mock_chat: MockChat, terse: bool) -> None:
    """Stored but not acknowledged: the page sees it come back, or tries again under the same id."""
    mock_chat.terse = terse
    mock_chat.lost_receipts = 1
    posts = mock_chat.posts
    await phone.write("une seule fois")
    await expect(phone.page.locator("#log .me")).to_have_count(1)
    await expect(phone.bubbles).to_have_count(3)
    await asyncio.sleep(1.5)
    assert mock_chat.posts - posts == (2 if terse else 1)
    assert [body["text"] for body in mock_chat.chat.stored[1:]] == ["une seule fois"]
    assert (await phone.texts()).count("une seule fois") == 2  # the person's, and the answer that repeats it


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_server_in_trouble_loses_nothing(phone: Phone, mock_chat: MockChat, status: int) -> None:
    """Slowed down or refused for now, a message waits in sight and is sent later."""
    mock_chat.fault = status
    await phone.write("patience")
    await expect(phone.page.locator("#log .me .note")).to_have_text(
        "Beaucoup de messages : envoi dans un instant" if status == 429 else "En attente d’envoi"
    )
    mock_chat.fault = 0
    await expect(phone.page.locator("#log .me .note")).to_have_count(0)
    await phone.settled()
    assert [body["text"] for body in mock_chat.chat.stored[1:]] == ["patience"]


async def test_a_text_that_is_too_long_comes_back_into_the_input(phone: Phone, mock_chat: MockChat) -> None:
    """A message that the server will never take says so, and its words are there to be shortened."""
    mock_chat.fault = 413
    await phone.write("trop long")
    await expect(phone.page.locator("#log .me .note")).to_have_text("Trop long : non envoyé")
    await expect(phone.page.locator("#input")).to_have_value("trop long")
    await expect(phone.page.locator("#input")).to_have_attribute("maxlength", "4000")


async def test_a_lost_cookie_offers_a_new_beginning(phone: Phone, mock_chat: MockChat) -> None:
    """Without its cookie the page says so and starts again; what was not sent is in the input."""
    lost = mock_chat.chat
    mock_chat.fault = 401  # at the message itself: a question for news would end the page before it is written
    await phone.write("êtes-vous là")
    again = phone.page.get_by_role("button", name="Recommencer")
    await expect(phone.page.get_by_text("Ce téléphone ne retrouve plus la conversation.")).to_be_visible()
    mock_chat.fault = 0
    mock_chat.chats.clear()
    await again.click()
    await expect(phone.page.get_by_role("button", name="Français")).to_be_enabled()
    await expect(phone.bubbles).to_have_count(1)
    await expect(phone.page.locator("#input")).to_have_value("êtes-vous là")
    lost.wake()
    assert [body.get("start") for body in mock_chat.chat.stored] == [True]


# --- Arabic


async def test_arabic_is_right_to_left_from_the_page_to_the_bubble(phone: Phone) -> None:
    """An Arabic answer turns the page, its labels and its bubbles; older bubbles keep their own direction."""
    page = phone.page
    await phone.begin("ar")
    await expect(page.locator("html")).to_have_attribute("dir", "rtl")
    await expect(page.locator("html")).to_have_attribute("lang", "ar")
    await expect(page.locator("#input")).to_have_attribute("placeholder", "رسالتك")
    await expect(page.get_by_role("button", name="إرسال")).to_be_visible()
    await expect(page.get_by_role("heading", name="رفيق")).to_be_visible()
    answer = page.locator("#log .b", has_text=TOPICS["ar"][0])
    await expect(answer).to_have_attribute("dir", "rtl")
    await expect(answer).to_have_attribute("lang", "ar")
    await expect(phone.bubbles.first).to_have_attribute("dir", "ltr")
    await expect(page.locator("#log .me .b")).to_have_attribute("dir", "auto")
    box = await answer.bounding_box()
    assert box and box["x"] + box["width"] > 340  # on the right, where Arabic begins
    await page.locator("#input").fill("hello")
    assert await page.locator("#input").evaluate("node => getComputedStyle(node).direction") == "ltr"
    await page.locator("#input").fill("سلام")
    assert await page.locator("#input").evaluate("node => getComputedStyle(node).direction") == "rtl"


async def test_numbers_in_arabic_keep_their_isolates(phone: Phone) -> None:
    """The marks that keep a number readable inside Arabic stay in the text, around the link."""
    await phone.begin("ar")
    await phone.page.get_by_role("button", name="طرح سؤال").click()
    await phone.settled()
    assert (await phone.texts())[-1] == ANSWERS["ar"]
    number = phone.page.get_by_role("link", name="+212 537 00 00 00")
    await expect(number).to_have_attribute("href", "tel:+212537000000")


# --- texts are only texts


async def test_numbers_addresses_and_pages_become_links(phone: Phone, mock_chat: MockChat) -> None:
    """Telephone numbers, e-mail addresses and https pages can be touched; dates, sums and http cannot."""
    chat = mock_chat.chat
    chat.add(
        "rafiq",
        "Appelez le 05 37 00 00 00 ou +33 (0)1 02 03 04 05. Page : https://example.org/a_(b)?x=1. Mél : a.b@c.example.",
    )
    chat.add(
        "rafiq",
        "Le 05.11.2026, le 2026-11-05, 1 000 000 000 francs, http://example.org, javascript:alert(1)",
    )
    await expect(phone.bubbles).to_have_count(3)
    links = await phone.page.locator("#log a").evaluate_all("all => all.map(a => [a.getAttribute('href'), a.rel])")
    assert links == [
        ["tel:0537000000", "noopener noreferrer"],
        ["tel:+33102030405", "noopener noreferrer"],
        ["https://example.org/a_(b)?x=1", "noopener noreferrer"],
        ["mailto:a.b@c.example", "noopener noreferrer"],
    ]


async def test_a_file_can_be_saved(phone: Phone, mock_chat: MockChat) -> None:
    """It stands under its message by its name, large enough for a finger, and is saved; it never opens in the page."""
    mock_chat.chat.add("rafiq", "C'est noté.", [("b1", "Changer")], file="rendez-vous.ics")
    link = phone.page.get_by_role("link", name="rendez-vous.ics")
    await expect(link).to_be_visible()
    box = await link.bounding_box()
    assert box is not None and box["height"] >= 44
    async with phone.page.expect_download() as saving:
        await link.click()
    saved = await saving.value
    assert saved.suggested_filename == "rendez-vous.ics"
    assert (await saved.path()).read_text() == "BEGIN:VCALENDAR"
    await expect(phone.page.get_by_role("button", name="Changer")).to_be_enabled()


async def test_markup_in_a_text_stays_text(phone: Phone, mock_chat: MockChat) -> None:
    """Whoever writes it, markup is shown as it was typed and never runs."""
    attacks = [
        "<img src=x onerror=document.title='x'>",
        "<script>document.title='x'</script>",
        "https://example.org/\"><svg onload=document.title='x'>",
    ]
    for attack in attacks:
        await phone.write(attack)
        await phone.settled()
    mock_chat.chat.add("rafiq", attacks[0], [("x", attacks[1])])
    await expect(phone.page.get_by_role("button", name=attacks[1])).to_be_visible()
    assert (await phone.texts())[1:] == [attacks[0]] * 2 + [attacks[1]] * 2 + [attacks[2]] * 2 + [attacks[0]]
    assert await phone.page.locator("#log img, #log script, #log svg").count() == 0
    assert await phone.page.title() == "Rafiq"


# --- without a mouse, without eyes, on a tiny screen


async def test_everything_can_be_done_with_the_keyboard(phone: Phone, mock_chat: MockChat) -> None:
    """Tab follows the reading order with a visible focus; after a press it goes on to the answer."""
    page = phone.page
    names = []
    await page.evaluate("document.activeElement.blur()")
    for _ in range(8):
        await page.keyboard.press("Tab")
        names.append(await page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    assert names == ["exit", "menu", "log", "Français", "English", "العربية", "input", "send"]
    for _ in range(4):
        await page.keyboard.press("Shift+Tab")
    french = page.get_by_role("button", name="Français")
    await expect(french).to_be_focused()
    assert await french.evaluate("node => getComputedStyle(node).outlineStyle") == "solid"
    await page.keyboard.press("Enter")
    question = page.get_by_role("button", name="Poser une question")
    await expect(question).to_be_enabled()
    await page.keyboard.press("Tab")
    await expect(question).to_be_focused()


async def test_the_menu_and_the_question_obey_the_keyboard(phone: Phone, mock_chat: MockChat) -> None:
    """Escape closes menu and question and gives the focus back; the harmless answer comes first."""
    page = phone.page
    menu = page.get_by_role("button", name="Menu")
    await menu.focus()
    await page.keyboard.press("Enter")
    await expect(menu).to_have_attribute("aria-expanded", "true")
    await page.keyboard.press("Tab")
    await expect(page.locator("#forget")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(menu).to_be_focused()
    await expect(menu).to_have_attribute("aria-expanded", "false")
    await asyncio.sleep(1.6)  # two quick ones leave the page
    await menu.click()
    await page.locator("#forget").click()
    await expect(page.locator("#keep")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    assert mock_chat.chats


async def test_a_screen_reader_finds_a_log_labels_and_speakers(phone: Phone, mock_chat: MockChat) -> None:
    """The conversation is a polite log, every control has a name, and every message says whose it is."""
    await phone.begin("fr")
    log = phone.page.get_by_role("log", name="Conversation")
    await expect(log).to_have_attribute("aria-live", "polite")
    await expect(phone.page.get_by_role("textbox", name="Votre message")).to_be_visible()
    await expect(phone.page.get_by_role("button", name="Quitter tout de suite")).to_be_visible()
    await expect(phone.page.get_by_role("group", name="Choix")).to_have_count(2)
    speakers = await phone.page.locator("#log .m > .unseen").all_text_contents()
    assert [speaker.strip() for speaker in speakers] == ["Rafiq:", "Vous :", "Rafiq:"]


@pytest.mark.parametrize("text_size", ["100%", "200%"])
async def test_it_fits_tiny_screens_and_large_letters(phone: Phone, mock_chat: MockChat, text_size: str) -> None:
    """At 240 pixels, with letters twice as large too, nothing is cut off and targets are 44 pixels."""
    page = phone.page
    await page.set_viewport_size({"width": 240, "height": 400})
    await page.evaluate(
        "size => { document.documentElement.style.fontSize = size; dispatchEvent(new Event('resize')); }",
        text_size,
    )
    await phone.begin("fr")
    mock_chat.chat.add("rafiq", ANSWERS["fr"] + "x" * 80, [("a", "Anticonstitutionnellement parlant")])
    await expect(page.get_by_role("button", name="Anticonstitutionnellement")).to_be_enabled()
    for place in ("html", "body", "#log", "header", "#composer"):
        assert await page.locator(place).evaluate("node => node.scrollWidth <= node.clientWidth"), place
    small = await page.locator("button:enabled:visible, textarea").evaluate_all(
        "all => all.map(n => [n.id || n.textContent, n.getBoundingClientRect()])"
        ".filter(([_, box]) => box.width < 44 || box.height < 44 || box.left < 0 || box.right > 240)"
        ".map(([name]) => name)"
    )
    assert small == []


async def test_the_input_grows_to_four_lines_and_no_further(phone: Phone) -> None:
    """The input shows four lines at most, then scrolls inside."""
    heights = []
    for lines in (1, 2, 4, 9):
        await phone.page.locator("#input").fill("\n".join("abcdefghi"[:lines]))
        box = await phone.page.locator("#input").bounding_box()
        assert box
        heights.append(box["height"])
    assert heights[0] < heights[1] < heights[2] == pytest.approx(heights[3], abs=2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_letters_stand_out_from_their_ground(phone: Phone, mock_chat: MockChat, scheme: str) -> None:
    """By day and by night every text has at least the contrast of WCAG AA, 4.5 to 1."""
    await phone.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await phone.begin("fr")
    await phone.page.get_by_role("button", name="Poser une question").click()
    await phone.settled()
    mock_chat.chat.add("counsellor", "Bonjour. +212 537 00 00 00", [("x", "Oui")])
    await expect(phone.page.get_by_role("button", name="Oui")).to_be_visible()
    await phone.context.set_offline(True)
    await phone.write("encore")
    await expect(phone.page.get_by_text("En attente d’envoi")).to_be_visible()
    faint = await phone.page.evaluate(CONTRAST)
    assert [found for found in faint if found[1] < 4.5] == []
    assert len(faint) > 12


CONTRAST = """() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = node => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("header *, #log *, #composer *")]
    .filter(n => n.getClientRects().length && [...n.childNodes].some(c => c.nodeType === 3 && c.data.trim()))
    .map(n => {
      const [a, b] = [light(parse(getComputedStyle(n).color)), light(ground(n))].sort((x, y) => y - x);
      return [n.textContent.slice(0, 30), (a + 0.05) / (b + 0.05)];
    });
}"""


# --- leaving


@pytest.mark.parametrize("way", ["button", "escape"])
async def test_quick_exit_leaves_at_once_and_back_does_not_return(
    phone: Phone, mock_chat: MockChat, web_chat_url: str, way: str
) -> None:
    """The exit button, or Escape twice, puts an empty page in the chat's place and asks nobody."""
    posts = mock_chat.posts
    if way == "button":
        await phone.page.get_by_role("button", name="Quitter").click()
    else:
        await phone.page.keyboard.press("Escape")
        await phone.page.keyboard.press("Escape")
    await phone.page.wait_for_url("about:blank")
    await phone.page.go_back()
    assert not phone.page.url.startswith(web_chat_url)
    assert mock_chat.posts == posts
    assert mock_chat.chats  # nothing was forgotten


async def test_forgetting_asks_first_and_then_leaves_nothing(phone: Phone, mock_chat: MockChat) -> None:
    """Confirmed, the phone forgets: nothing is left on the page, which says so in three languages."""
    page = phone.page
    await phone.write("secret")
    await phone.settled()
    mock_chat.fault = 503
    await page.get_by_role("button", name="Menu").click()
    await page.get_by_role("button", name="Oublier cette conversation sur ce téléphone").click()
    await page.locator("#yes").click()
    await expect(page.get_by_role("alert")).to_contain_text("rien n’est encore oublié")
    assert "secret" in await phone.texts()
    mock_chat.fault = 0
    await page.locator("#yes").click()
    ended = page.locator("#ended")
    await expect(ended).to_be_focused()
    for text in ("La conversation est oubliée", "The chat is forgotten", "تم نسيان المحادثة"):
        await expect(ended).to_contain_text(text)
    assert "secret" not in await page.content()
    assert mock_chat.chats == {}
    await page.get_by_role("button", name="Recommencer").click()
    await expect(page.get_by_role("button", name="Français")).to_be_enabled()
    assert await phone.texts() == [OPENING]
