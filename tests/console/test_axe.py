"""Every page of the console in Chromium, read by axe-core: WCAG 2.2, levels A and AA."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from bot import i18n
from bot.console.access import PAGES, Role
from bot.conversation import figures
from bot.conversation.figures import Cells
from bot.db.session import Database
from bot.messages import Language
from tests.channels.test_web_chat_page import browser  # noqa: F401 (a fixture)
from tests.console.conftest import Team
from tests.console.people import somebody
from tests.console.test_access import real
from tests.console.test_console_page import console_url, page, picture  # noqa: F401 (two are fixtures)

AXE = Path(__file__).resolve().parents[1] / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
LOOK = """async (tags) => {
    const found = await axe.run(document, {runOnly: {type: "tag", values: tags}, resultTypes: ["violations"]});
    return found.violations.map(one => [one.id, one.help, one.nodes.map(node => node.html.slice(0, 200))]);
}"""
# what is no page: parts of one, streams, files
PARTS = {
    "/console/static/{name}", "/console/handoffs/list", "/console/live", "/console/handoffs/{reference}/thread",
    "/console/handoffs/{reference}/live", "/console/handoffs/{reference}/media/{id}", "/console/calendar/week",
    "/console/calendar/live", "/console/points/{id}/poster", "/console/login/provider",
    "/console/login/provider/back", "/console/login/code",
}  # fmt: skip


def named(path: str, language: Language) -> str:
    """The name of this page's picture."""
    return f"page{re.sub('[^a-z]+', '-', path.removeprefix('/console')).rstrip('-')}-{language}"


async def unfold(page: Page, path: str) -> None:  # noqa: F811
    """Open this page and every fold of it."""
    await page.goto(path)
    await page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")


async def violations(page: Page, path: str) -> list[Any]:  # noqa: F811
    """What axe finds on this page, every fold open."""
    await unfold(page, path)
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[Any] = await page.evaluate(LOOK, RULES)
    return found


@pytest.mark.parametrize(("language", "scheme"), [("fr", "light"), ("ar", "dark")])
async def test_no_page_keeps_anybody_out(
    page: Page,  # noqa: F811
    console_url: str,  # noqa: F811
    team: Team,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    language: Language,
    scheme: Any,
) -> None:
    """Names, labels, contrast, landmarks, sizes, in French and light, in Arabic and dark; a picture of each page. In
    English, and within the page's width, `test_journey.py` walks through them."""
    mine, theirs = await somebody(database), await somebody(
        database, address="b", handoff="H-BBBBB", request="AV-BBBB", priority="P0", language="ar"
    )  # fmt: skip
    boss = await team.at_work(Role.ADMINISTRATOR)
    await boss.post(f"/console/handoffs/{mine.handoff}/take")
    await boss.post(f"/console/handoffs/{mine.handoff}/note", words="Note")
    # a board on which something is drawn
    monkeypatch.setattr(Cells, "told", lambda self, place, language: sum(self.people.values()) or None)
    monkeypatch.setattr(figures, "_whole", lambda number: 40 if number else None)
    await page.set_viewport_size({"width": 1280, "height": 900})
    await page.emulate_media(color_scheme=scheme)
    await page.context.add_cookies(
        [
            {"name": name, "value": value, "url": console_url}
            for name, value in (
                ("rafiq_console", boss.client.cookies["rafiq_console"]), ("rafiq_console_language", language),
            )
        ]
    )  # fmt: skip
    found = {}
    pages = [path for method, path in PAGES if method == "GET" and path not in PARTS]
    for path in pages:
        for reference in (mine, theirs) if path == "/console/handoffs/{reference}" else (mine,):
            address = real(path.replace("offices/{id}", "offices/rabat"), reference)
            found[address] = await violations(page, address)
            assert await page.locator("html").get_attribute("lang") == language, address
            await picture(page, tmp_path, named(path, language))
            if path == "/console/dashboard":
                assert await page.locator("svg").count() > 2
                assert await page.get_by_role("heading", name=i18n.say("console.board.topics", language)).count() == 1
    assert {address: one for address, one in found.items() if one} == {}
    assert len(found) == len(pages) + 1
    await page.evaluate("document.querySelector('main').append(new Image())")  # it does look
    assert [rule for rule, _, _ in await page.evaluate(LOOK, RULES)] == ["image-alt"]
