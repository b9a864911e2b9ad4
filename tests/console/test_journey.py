"""The console's whole day in Chromium, in each of its languages, through the real service: only Meta and Rasa are not.

Somebody writes in Arabic on WhatsApp. One of the team signs in, takes the conversation, answers, is held by the closed
window, sends the template, hands on; a colleague books, gives back, changes a text, replays what did not go, prints a
poster, and looks at every page.
"""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvicorn
from argon2 import PasswordHasher
from PIL import Image
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page, expect
from starlette.responses import JSONResponse, Response

from bot import i18n
from bot.channels.whatsapp import WEBHOOK_PATH
from bot.console import accounts
from bot.console.access import PAGES
from bot.db.session import Database
from bot.messages import LANGUAGES, Language
from bot.settings import Settings
from bot.supervisor import free_port
from bot.training import Models
from bot.web import create_app
from tests.channels.test_web_chat_page import browser  # noqa: F401 (a fixture)
from tests.console.conftest import Team, change
from tests.console.people import somebody
from tests.console.test_access import real
from tests.console.test_axe import PARTS, named, unfold
from tests.console.test_calendar import open_rabat
from tests.console.test_console_page import opened, picture, pictures, sign_in
from tests.conversation.conftest import until, value
from tests.conversation.test_handoffs import around
from tests.journeys.test_whatsapp_journey import on_whatsapp
from tests.simulators.rasa import GREETING, FakeRasa
from tests.simulators.whatsapp import WINDOW, Person, WhatsAppServer

ASKS = "أريد أن أتكلم مع شخص من فضلكم"
ANSWER = "مرحبا، أنا هنا لمساعدتك. ما هو سؤالك؟"
LATER = "لدينا موعد متاح لك يوم الاثنين"
CLOSING = "إلى اللقاء"
GREETING_OF_THE_TEAM = "أهلا بك. هذا نص جديد من الفريق."
NAMES: dict[Language, tuple[str, str]] = {
    "fr": ("Salma Haddad", "Mona Idrissi"), "en": ("Grace Okoro", "Ada Mensah"), "ar": ("سلمى حداد", "منى الإدريسي"),
}  # fmt: skip


@dataclass(frozen=True)
class House:
    """The service with its console, WhatsApp and a Rasa that answers on demand."""

    url: str
    whatsapp: WhatsAppServer
    rasa: FakeRasa


@pytest_asyncio.fixture(scope="module")
async def house(settings: Settings, database_url: str, models: Models) -> AsyncIterator[House]:
    """The service as it is run, on the console's database."""
    rasa, port, rasa_port = FakeRasa(), free_port(), free_port()
    async with WhatsAppServer(webhook=f"http://127.0.0.1:{port}{WEBHOOK_PATH}") as whatsapp, rasa.serving(rasa_port):
        given = {
            **on_whatsapp(whatsapp.url), "rafiq_port": port, "rafiq_rasa_port": rasa_port,
            "rafiq_reading_hours": around(True), "telegram_username": "rafiq_example_bot",
            "whatsapp_number": "447700900123",
        }  # fmt: skip
        app = create_app(settings.model_copy(update=given), database_url)
        server = uvicorn.Server(
            uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, timeout_graceful_shutdown=1)
        )
        serving = asyncio.create_task(server.serve())
        while not server.started:
            assert not serving.done(), "the service did not start"
            await asyncio.sleep(0.02)
        yield House(f"http://127.0.0.1:{port}", whatsapp, rasa)
        server.should_exit = True
        await serving


@pytest.fixture(autouse=True)
def as_the_project_says() -> Iterator[None]:
    """What one journey publishes, the next one does not read."""
    yield
    i18n.publish({})


@pytest_asyncio.fixture
async def page(browser: Chromium, house: House) -> AsyncIterator[Page]:  # noqa: F811
    """A desk's browser on this service."""
    async with opened(browser, house.url, {"width": 1280, "height": 860}) as page:
        yield page


@dataclass
class Teller:
    """Finds what a page says in its language, and presses it."""

    page: Page
    language: Language

    def say(self, text_id: str, **values: Any) -> str:
        """A text of the console."""
        return i18n.say(text_id, self.language, **values)

    async def press(self, text_id: str) -> None:
        """The button of this name."""
        await self.page.get_by_role("button", name=self.say(text_id), exact=True).click()

    async def fill(self, text_id: str, words: str) -> None:
        """The field of this name."""
        await self.page.get_by_label(self.say(text_id)).fill(words)


async def asks(body: dict[str, Any]) -> Response:
    """Rasa understands that a person is wanted."""
    return JSONResponse({**GREETING, "messages": [{"do": "handoff", "with": {"reason": "asked"}}]})


def told(awa: Person, words: str) -> Callable[[], Awaitable[bool]]:
    """Whether the person's telephone shows these words."""

    async def there() -> bool:
        return any(words in said.text for said in awa.history())

    return there


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_day_in_the_console(
    page: Page,
    house: House,
    team: Team,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    language: Language,
) -> None:
    """From the first word of a person to the last page, in the language of whoever works there."""
    monkeypatch.setattr(accounts, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    await open_rabat(database)
    names = NAMES[language]
    counsellor = await team.member("counsellor", name=names[0])
    boss = await team.member("administrator", name=names[1])
    ui, awa = Teller(page, language), Person(house.whatsapp)
    thread = page.locator("#thread")

    async def look(name: str) -> None:
        await picture(page, tmp_path, f"journey-{name}-{language}")

    # in with TOTP; somebody asks for a person in Arabic, and the list shows it by itself
    await sign_in(page, counsellor, language)
    house.rasa.behave = asks
    await awa.send_text(ASKS)
    await awa.answer(1)
    house.rasa.behave = house.rasa.greet
    await page.locator("a.item").click()
    await expect(thread).to_contain_text(ASKS)
    await ui.press("console.take")
    await until(told(awa, names[0]))

    # words and a picture, both ways, with what became of them
    await ui.fill("console.reply", ANSWER)
    await page.get_by_label(ui.say("console.reply")).press("Control+Enter")
    await until(told(awa, i18n.say("handoff.reply", "ar", name=names[0], words=ANSWER)))
    await expect(thread.locator("li.team").last).to_contain_text(ui.say("console.sent.delivered"))
    written = io.BytesIO()
    Image.new("RGB", (320, 200), "teal").save(written, "JPEG")
    await awa.send_file("image", written.getvalue(), "image/jpeg", caption="هذه ورقتي")
    await expect(thread.locator("img.picture")).to_have_js_property("naturalWidth", 320)
    await look("talking")
    await page.get_by_label(ui.say("console.file"), exact=True).set_input_files(
        {"name": "plan.jpg", "mimeType": "image/jpeg", "buffer": written.getvalue()}
    )
    await ui.press("console.file.go")

    async def shown() -> bool:
        return any(said.file is not None and names[0] in said.text for said in awa.history())

    await until(shown)

    # a day later WhatsApp lets nothing but a template through: one tap sends it, and the answer follows the person
    house.whatsapp.older(WINDOW + 3600)
    await change(
        database, "UPDATE address SET last_heard_at = last_heard_at - :day", day=timedelta(seconds=WINDOW + 3600)
    )
    await ui.fill("console.reply", LATER)
    await ui.press("console.reply.go")
    await expect(thread.locator("li.team").last).to_contain_text(ui.say("console.held.window"))
    await look("held")
    await ui.press("console.knock")

    async def template() -> bool:
        return any(said.kind == "template" for said in awa.history())

    await until(template)
    assert not await told(awa, LATER)()
    await awa.press(next(said for said in awa.history() if said.kind == "template").titles[0])
    await until(told(awa, LATER))
    await expect(thread.locator("li.team").last).to_contain_text(ui.say("console.sent.delivered"))

    # handed on, booked, given back by the colleague
    await page.get_by_label(ui.say("console.transfer"), exact=True).select_option(label=names[1])
    await ui.press("console.transfer.go")
    await until(told(awa, names[1]))
    await ui.press("console.logout")
    await sign_in(page, boss, language)
    await expect(page.locator("a.item")).to_contain_text(ui.say("console.inbox.mine"))
    await page.locator("a.item").click()
    await page.get_by_role("link", name=ui.say("console.book")).click()
    await page.get_by_role("checkbox").check()
    await look("book")
    await ui.press("console.book.go")
    await expect(page.get_by_text(ui.say("console.appointment.told"))).to_be_visible()
    reference = str(await value(database, "SELECT reference FROM appointment"))
    await until(told(awa, reference))
    handoff = str(await value(database, "SELECT reference FROM handoff"))
    await page.goto(f"/console/handoffs/{handoff}")
    await ui.fill("console.release", CLOSING)
    await ui.press("console.release.go")
    await until(told(awa, CLOSING))
    await until(told(awa, i18n.say("handoff.released", "ar")))
    await expect(page.get_by_role("button", name=ui.say("console.reopen"))).to_be_visible()

    # a text is changed, and the assistant says it; then it is undone
    await page.goto("/console/texts/greet")
    arabic = page.locator("section", has=page.locator("#side-ar"))
    await arabic.locator("textarea").fill(GREETING_OF_THE_TEAM)
    await expect(page.locator("#preview-ar")).to_contain_text(GREETING_OF_THE_TEAM)
    await look("text")
    await arabic.get_by_role("button", name=ui.say("console.texts.publish")).click()
    await expect(page.get_by_text(ui.say("console.texts.done"))).to_be_visible()

    async def published() -> bool:
        return i18n.say("greet", "ar") == GREETING_OF_THE_TEAM

    await until(published)
    await awa.send_text("شكرا لكم كثيرا")
    await until(told(awa, GREETING_OF_THE_TEAM))

    # what WhatsApp refused stands among the deliveries, and goes when it is sent again
    heard = len(awa.history())
    house.whatsapp.fail(100)
    await awa.send_text("هل أنتم هنا؟")
    await until(lambda: value(database, "SELECT count(*) FROM outbox WHERE status = 'failed'"))
    await page.goto("/console/deliveries")
    await look("dead")
    replay = page.get_by_role("button", name=ui.say("console.deliveries.replay"))
    await replay.click()
    await expect(replay).to_have_count(0)
    assert GREETING_OF_THE_TEAM in (await awa.answer(heard + 1)).text
    await page.goto("/console/texts/greet")
    await page.get_by_role("button", name=ui.say("console.texts.undo")).click()
    await expect(arabic.get_by_role("button", name=ui.say("console.texts.undo"))).to_have_count(0)
    assert await value(database, "SELECT count(*) FROM text_version") == 2

    # a point and its poster
    await page.goto("/console/points")
    await ui.fill("console.points.name", "Maison du quartier · دار الحي")
    await ui.fill("console.points.city", "Oujda")
    await ui.press("console.points.add.go")
    await page.get_by_text(ui.say("console.points.poster")).click()
    await page.get_by_label(ui.say("console.points.format")).select_option("png")
    async with page.expect_download() as download:
        await ui.press("console.points.poster.go")
    poster = pictures(tmp_path) / f"journey-poster-{language}.png"
    await (await download.value).save_as(poster)
    with Image.open(poster) as drawn:
        assert drawn.size[0] == 1654 and drawn.size[1] > drawn.size[0]

    # every page, for whoever looks at them afterwards; in the other languages axe looks at them (test_axe.py)
    if language != "en":
        return
    mine = await somebody(database, address="other", words="I would like to talk to somebody", handoff="H-BBBBB")
    for path in [path for method, path in PAGES if method == "GET" and path not in PARTS]:
        await unfold(page, real(path.replace("offices/{id}", "offices/rabat"), mine))
        assert await page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, path
        assert not re.search(r"\bconsole\.[a-z]", await page.inner_text("body")), path
        await picture(page, tmp_path, named(path, language))
