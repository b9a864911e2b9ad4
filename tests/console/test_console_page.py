"""The console in Chromium, as a counsellor uses it: signing in, taking a conversation, answering, giving it back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pyotp
import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page, ViewportSize, expect
from sqlalchemy import text

from bot import i18n
from bot.console.live import Live
from bot.db.session import Database
from bot.jobs import Lanes
from bot.messages import Language
from bot.settings import Settings
from tests.channels.test_web_chat_page import browser  # noqa: F401 (a fixture)
from tests.console.conftest import PASSWORD, Browser, Team, application, change, value
from tests.console.people import somebody
from tests.conversation.conftest import rows
from tests.conversation.letters import writes

LOUD = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
OVERRIDE = "Awa \u202egnp.exe\u202c \u2067fin"
WEIGHT = 200 * 1024  # bytes of a page with all that it loads


@pytest_asyncio.fixture
async def console_url(database: Database, database_url: str, settings: Settings) -> AsyncIterator[str]:
    """The console behind a real server, hearing what happens in the database."""
    live = Live()
    lanes = Lanes(database, database_url)
    lanes.watch(live.heard)
    await lanes.start()
    config = uvicorn.Config(
        application(database, settings, live), host="127.0.0.1", port=0, log_config=None, lifespan="off",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving
    await lanes.stop()


@pytest_asyncio.fixture
async def page(browser: Chromium, console_url: str) -> AsyncIterator[Page]:  # noqa: F811
    """A phone's browser on the console alone."""
    async with opened(browser, console_url, {"width": 390, "height": 780}) as page:
        yield page


@asynccontextmanager
async def opened(browser: Chromium, url: str, viewport: ViewportSize) -> AsyncIterator[Page]:  # noqa: F811
    """A browser; an error of a script or a load that the policy stops fails the test."""
    context = await browser.new_context(base_url=url, viewport=viewport, locale="fr-FR", color_scheme="light")
    context.set_default_timeout(15_000)
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(error.message))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    yield page
    await context.close()
    assert errors == []


def pictures(folder: Path) -> Path:
    """Where pictures are kept to be looked at: `make test` says where, else they go with this test."""
    return Path(os.environ.get("CONSOLE_PICTURES") or folder)


async def picture(page: Page, folder: Path, name: str) -> None:
    """A picture of the whole page, to be looked at."""
    await page.screenshot(path=pictures(folder) / f"{name}.png", full_page=True)


async def sign_in(page: Page, member: Browser, language: Language) -> None:
    """By the form, in this language, with the keyboard alone."""
    await page.goto(f"/console/login?lang={language}")
    await page.get_by_label(i18n.say("console.login.email", language)).focus()
    await page.keyboard.type(member.email)
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Tab")
    await page.keyboard.type(await member.fresh_code())
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name=i18n.say("console.inbox", language))).to_be_visible()


@pytest.mark.parametrize("language", ["ar"])
async def test_a_counsellor_takes_answers_and_gives_back(
    page: Page, team: Team, database: Database, tmp_path: Path, language: Language
) -> None:
    """With TOTP, by keyboard; the list and the conversation follow by themselves; the person is told who speaks."""
    member = await team.member(name="سلمى" if language == "ar" else "Salma Haddad")
    await page.goto(f"/console/login?lang={language}")
    await picture(page, tmp_path, f"login-{language}")
    await sign_in(page, member, language)
    assert await page.locator("html").get_attribute("dir") == ("rtl" if language == "ar" else "ltr")
    await expect(page.get_by_text(i18n.say("console.inbox.empty", language))).to_be_visible()

    words = "أريد أن أتكلم مع شخص من فضلكم" if language == "ar" else "Je voudrais parler à quelqu'un, c'est urgent"
    person = await somebody(database, words=words, language=language, priority="P0")
    await somebody(
        database, address="b", handoff="H-BBBBB", request="AV-BBBB", name="Binta", language="fr", priority="P2"
    )
    await change(database, "SELECT pg_notify('rafiq', '1:1')")
    first = page.locator("a.item").first
    await expect(page.locator("a.item")).to_have_count(2)  # live: nobody reloaded
    await expect(first).to_contain_text("P0")
    await picture(page, tmp_path, f"inbox-{language}")
    await first.focus()
    await page.keyboard.press("ArrowDown")
    await expect(page.locator("a.item").nth(1)).to_be_focused()
    await page.keyboard.press("Home")
    await page.keyboard.press("Enter")

    await expect(page.locator("#thread")).to_contain_text(words)
    await picture(page, tmp_path, f"waiting-{language}")
    await page.get_by_role("button", name=i18n.say("console.take", language)).click()
    answer = page.get_by_label(i18n.say("console.reply", language))
    await expect(answer).to_be_visible()
    await page.get_by_label(i18n.say("console.canned", language)).select_option(index=1)
    await expect(answer).to_have_value(i18n.say("console.canned.reading", language))
    await answer.press("Control+Enter")
    await expect(page.locator("#thread")).to_contain_text(i18n.say("console.canned.reading", language))

    await writes(database, words="merci beaucoup")
    await change(database, "SELECT pg_notify('rafiq', :call)", call=f"1:{person.conversation_id}")
    await expect(page.locator("#thread")).to_contain_text("merci beaucoup")  # live too
    await picture(page, tmp_path, f"talking-{language}")
    await page.set_viewport_size({"width": 1280, "height": 800})
    await page.emulate_media(color_scheme="dark")
    await picture(page, tmp_path, f"talking-wide-dark-{language}")
    await page.get_by_label(i18n.say("console.release", language)).fill("Bonne journée")
    await page.get_by_role("button", name=i18n.say("console.release.go", language)).click()
    await expect(page.get_by_role("button", name=i18n.say("console.reopen", language))).to_be_visible()
    assert await value(database, "SELECT status FROM handoff WHERE reference = :r", r=person.handoff) == "released"
    told = await rows(
        database,
        "SELECT id, status, inbox_id, seq, created_at FROM outbox "
        "WHERE conversation_id = :id AND status = 'queued' ORDER BY id",
        id=person.conversation_id,
    )
    assert len(told) == 4, told  # who speaks, the answer, the last word, who speaks
    done = "SELECT string_agg(action, ' ' ORDER BY id) FROM audit WHERE staff_id = :id AND action LIKE 'handoff.%'"
    assert await value(database, done, id=member.staff_id) == "handoff.taken handoff.replied handoff.released"


@pytest.mark.parametrize("language", ["ar"])
async def test_every_other_page(page: Page, team: Team, database: Database, tmp_path: Path, language: Language) -> None:
    """Replay with one click, label, end an access; each page stays within a phone's width and 200 KB."""
    await somebody(database)
    colleague = await team.member(name="Idris")
    boss = await team.member("administrator", name="منى" if language == "ar" else "Mona")
    await sign_in(page, boss, language)
    loaded: list[int] = []

    async def weigh(url: str) -> None:
        loaded.append(len(await (await page.context.request.get(url)).body()))

    for address in ("deliveries", "review", "people", "staff", "account", "audit", "requests/AV-7K3Q"):
        await page.goto(f"/console/{address}")
        wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, address
        for button in await page.get_by_role("button").all():
            box = await button.bounding_box()
            assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390, address
        await picture(page, tmp_path, f"{address.replace('/', '-')}-{language}")
    for url in ("/console", *(f"/console/static/{name}" for name in ("console.css", "console.js", "htmx.js"))):
        await weigh(url)
    assert sum(loaded) < WEIGHT

    await page.goto("/console/deliveries")
    replay = page.get_by_role("button", name=i18n.say("console.deliveries.replay", language))
    await expect(replay).to_have_count(2)
    await replay.first.click()
    await expect(replay).to_have_count(1)
    await replay.first.click()
    await expect(replay).to_have_count(0)
    assert await value(database, "SELECT status FROM outbox") == "queued"
    assert await value(database, "SELECT status FROM case_event") == "queued"
    await page.goto("/console/review")
    await page.get_by_role("button", name=i18n.say("console.review.keep", language)).click()
    await expect(page.get_by_text(i18n.say("console.review.empty", language))).to_be_visible()
    assert await value(database, "SELECT right_label FROM suggestion") == "avrr_what_is"
    await page.goto("/console/staff")
    await page.get_by_role("button", name=i18n.say("console.staff.stop", language)).click()
    assert await value(database, "SELECT active FROM staff_member WHERE id = :id", id=colleague.staff_id) is False


async def test_what_people_write_stays_words(page: Page, team: Team, database: Database, tmp_path: Path) -> None:
    """Markup in names, messages, notes and the team's own names is shown as it was typed and does nothing."""
    member = await team.member(name=LOUD)
    person = await somebody(database, words=LOUD, name=f"{LOUD}{OVERRIDE}")
    async with database.session() as session:
        await session.execute(text("UPDATE outbox SET error = :loud"), {"loud": LOUD})
        await session.commit()
    await sign_in(page, member, "fr")
    await page.goto(f"/console/handoffs/{person.handoff}")
    await page.get_by_role("button", name=i18n.say("console.take", "fr")).click()
    await page.get_by_label(i18n.say("console.note", "fr")).fill(LOUD)
    await page.get_by_role("button", name=i18n.say("console.note.go", "fr")).click()
    await page.get_by_label(i18n.say("console.reply", "fr")).fill(LOUD)
    await page.get_by_role("button", name=i18n.say("console.reply.go", "fr")).click()
    await expect(page.locator("#thread .team")).to_contain_text(LOUD)
    await expect(page.locator("#thread .person")).to_contain_text(LOUD)
    assert "owned" not in await page.title()
    assert await page.locator("img:not(.picture), main script").count() == 0
    # a direction override ends with its own element: what stands after it keeps its direction
    name = page.locator("dd bdi", has_text="Awa")
    await expect(name).to_have_css("unicode-bidi", "isolate")
    await expect(page.locator(".words").first).to_have_css("unicode-bidi", "isolate")  # the thread is drawn anew
    await picture(page, tmp_path, "loud")


async def test_a_session_that_ends_closes_the_page(page: Page, team: Team, database: Database) -> None:
    """An open page follows no longer, and leads to the page of signing in."""
    member = await team.member()
    await sign_in(page, member, "fr")
    await change(database, "UPDATE staff_session SET ended_at = now()")
    await change(database, "SELECT pg_notify('rafiq', '1:1')")
    await expect(page.get_by_label(i18n.say("console.login.email", "fr"))).to_be_visible()


def test_codes_are_those_of_every_app() -> None:
    """Six digits each thirty seconds by SHA-1, as authenticator apps count (RFC 6238's own example)."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert pyotp.TOTP(secret, digits=8).at(59) == "94287082" and pyotp.TOTP(secret).at(59) == "287082"
