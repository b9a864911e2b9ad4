"""The calendar and the pages around it in Chromium: on a phone, by keyboard, from right to left in Arabic."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from bot import i18n
from bot.db.session import Database
from bot.messages import Language
from tests.channels.test_web_chat_page import browser  # noqa: F401 (a fixture)
from tests.console.conftest import Team, change, value
from tests.console.people import somebody
from tests.console.test_calendar import at, monday, open_rabat, told
from tests.console.test_console_page import console_url, page, picture, sign_in  # noqa: F401 (two are fixtures)

CHANGED = "SELECT pg_notify('rafiq', '6:0')"  # what is heard when an appointment or a time was changed


@pytest.mark.parametrize("language", ["fr", "ar"])
async def test_a_request_is_confirmed_and_the_person_is_told(
    page: Page,  # noqa: F811
    team: Team,
    database: Database,
    tmp_path: Path,
    language: Language,
) -> None:
    """From the calendar, in a few touches; an open calendar follows by itself; arrows go from time to time."""
    person = await somebody(database, language=language)
    await open_rabat(database)
    await change(database, "UPDATE slot SET status = 'closed' WHERE wall = :wall", wall=at("09:00"))
    member = await team.member("supervisor", name="سلمى" if language == "ar" else "Salma Haddad")
    await sign_in(page, member, language)
    await page.goto(f"/console/calendar?office=rabat&week={monday()}")
    await fits(page)
    await picture(page, tmp_path, f"calendar-{language}")

    # by keyboard: down the day, and to the same place of the next day, which stands on the left in Arabic
    first = page.locator(".day").first.locator("a, button")
    await first.first.focus()
    await page.keyboard.press("ArrowDown")
    await expect(first.nth(1)).to_be_focused()
    await page.keyboard.press("ArrowLeft" if language == "ar" else "ArrowRight")
    await expect(page.locator(".day").nth(1).locator("a, button").nth(1)).to_be_focused()
    # the team closes a time elsewhere: nobody reloads this page
    closed = page.locator(".day").first.locator(".time.closed")
    await expect(closed).to_have_count(1)
    await change(database, "UPDATE slot SET status = 'closed' WHERE wall = :wall", wall=at("15:00"))
    await change(database, CHANGED)
    await expect(closed).to_have_count(2)
    await expect(page.locator(".day").nth(1).locator("a, button").nth(1)).to_be_focused()  # still
    await page.locator(".day").first.get_by_role("button").first.click()  # opens nine o'clock again
    await expect(closed).to_have_count(1)

    await page.locator(f"#l-{person.appointment}").click()
    await page.get_by_label(i18n.say("console.calendar.free", language)).select_option(at("10:00"))
    await fits(page)
    await picture(page, tmp_path, f"appointment-{language}")
    await page.get_by_role("button", name=i18n.say("console.appointment.confirm.go", language), exact=True).click()
    await expect(page.get_by_text(i18n.say("console.appointment.told", language))).to_be_visible()
    expected = i18n.say("interview.agreed", language, when="|", reference=person.appointment)
    assert (await told(database, person.conversation_id)).startswith(expected.split("|")[0].rstrip("\u2066"))
    await page.goto(f"/console/calendar?office=rabat&week={monday()}")
    await expect(page.locator(f"#w-{person.appointment}")).to_contain_text(i18n.say("console.time.confirmed", language))
    await page.set_viewport_size({"width": 1280, "height": 800})
    await fits(page)
    await picture(page, tmp_path, f"calendar-wide-{language}")
    assert await value(database, "SELECT count(*) FROM audit WHERE action = 'appointment.confirmed'") == 1


async def test_the_pages_around_it(
    page: Page,  # noqa: F811
    team: Team,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In Arabic, each within a phone's width, its buttons in sight; the drawing has a name and a table beside it."""
    language: Language = "ar"
    monkeypatch.setattr(team.settings, "telegram_username", "rafiq_example_bot")
    person = await somebody(database, language=language)
    await open_rabat(database)
    boss = await team.member("supervisor", name="منى")
    await sign_in(page, boss, language)
    for address in (
        "checkins", f"checkins/{person.enrolment}", f"handoffs/{person.handoff}/book", f"data/{person.handoff}", "exports",
        "points",
    ):  # fmt: skip
        await page.goto(f"/console/{address}")
        await fits(page)
        await picture(page, tmp_path, f"{address.replace('/', '-')}-{language}")
        if address.startswith("checkins/"):
            drawing = page.get_by_role("img", name=i18n.say("console.checkins.drawn", language))
            await expect(drawing).to_be_visible()
            await expect(
                page.get_by_role("columnheader", name=i18n.say("console.dimension.social", language), exact=True)
            ).to_have_count(1)
    await page.goto("/console/exports")
    await page.get_by_role("button", name=i18n.say("console.exports.ask.go", language), exact=True).click()
    await expect(page.get_by_text(i18n.say("console.exports.another", language))).to_be_visible()
    await page.goto("/console/points")
    await page.get_by_text(i18n.say("console.points.poster", language)).click()
    await picture(page, tmp_path, f"points-open-{language}")
    async with page.expect_download() as download:
        await page.get_by_role("button", name=i18n.say("console.points.poster.go", language)).click()
    assert (await download.value).suggested_filename == f"rafiq-{person.point_id}-a4-fr-ar.pdf"


async def fits(page: Page) -> None:  # noqa: F811
    """Nothing stands beside the page."""
    assert await page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    width = await page.evaluate("window.innerWidth")
    for button in await page.get_by_role("button").all():
        box = await button.bounding_box()
        assert box is None or (box["x"] >= 0 and box["x"] + box["width"] <= width)
