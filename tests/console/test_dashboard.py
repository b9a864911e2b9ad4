"""What coordinators see: people counted in tens, nobody to be singled out, and as fast as any other page."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import demo, i18n
from bot.console import plots
from bot.console.access import Role
from bot.conversation import figures
from bot.conversation.figures import Cells, Figure, Row
from bot.db.session import Database
from bot.messages import LANGUAGES
from bot.settings import Settings
from tests.conftest import alone_on, own_database
from tests.console.conftest import PASSWORD, Team, change, value
from tests.console.people import somebody

PLACES = ["", "rabat", "oujda", "MR"]
CELLS = st.dictionaries(st.tuples(st.sampled_from(PLACES), st.sampled_from(LANGUAGES)), st.integers(0, 45))


@pytest.fixture(scope="module")
async def month(database_url: str, settings: Settings) -> AsyncIterator[Database]:
    """A month of invented people, in a database of its own; nobody changes it."""
    async with alone_on(own_database(database_url.replace("/console?", "/postgres?"), "month"), settings) as database:
        await demo.fill(database, settings, datetime.now(UTC))
        yield database


@given(CELLS)
def test_no_filter_and_no_subtraction_leaves_fewer_than_ten(people: dict[tuple[str, str], int]) -> None:
    """What is told is ten people or more, and so is what is hidden of every whole that is told: each office, each
    language, everybody."""
    cells = Cells(PLACES, dict(people))
    every: dict[tuple[str | None, str | None], int | None] = {
        (place, language): cells.told(place, language) for place in [None, *PLACES] for language in [None, *LANGUAGES]
    }
    assert all(number is None or number >= 10 for number in every.values())
    wholes: list[list[tuple[str | None, str | None]]]
    wholes = [[(place, None) for place in PLACES], [(None, language) for language in LANGUAGES]]
    wholes += [[(place, language) for language in LANGUAGES] for place in PLACES]
    wholes += [[(place, language) for place in PLACES] for language in LANGUAGES]
    for parts in wholes:
        [whole] = {
            (parts[0][0] if len({one[0] for one in parts}) == 1 else None,
             parts[0][1] if len({one[1] for one in parts}) == 1 else None)
        }  # fmt: skip
        total = every[whole]
        if total is None:  # a whole that is hidden is no minuend, and its parts are hidden with it
            assert whole == (None, None) or all(every[part] is None for part in parts)
            continue
        lacking = [part for part in parts if every[part] is None]
        assert not lacking or total - sum(every[part] or 0 for part in parts) >= 10


def test_the_smallest_goes_with_what_is_hidden() -> None:
    """Three Arabic speakers are not what is left when the others are subtracted; what lacks is a crowd."""
    told = figures.protected({"fr": 60, "en": 20, "ar": 3})
    assert told == {"fr": 60, "en": None, "ar": None}
    assert figures.protected({"fr": 60, "en": 9, "ar": 3}) == {"fr": 60, "en": None, "ar": None}
    assert figures.protected({"fr": 60, "en": 20, "ar": 10}) == {"fr": 60, "en": 20, "ar": 10}
    assert figures.protected({"fr": 60, "en": 0, "ar": 0}) == {"fr": None, "en": None, "ar": None}  # none or nine


async def test_every_figure_of_the_month(month: Database, settings: Settings) -> None:
    """What the issue names is there, in whole tens; filters narrow it; no number is under ten."""
    now = datetime.now(UTC)

    async def board(**chosen: str) -> dict[str, Figure]:
        given = {"period": "year", "place": "", "language": "", **chosen}
        prices = "whatsapp.template=0.04 whatsapp.reply=0.01"
        found = await figures.board(month, prices, given["period"], given["place"], given["language"], (), now)
        return {one.id: one for one in found.figures}

    whole = await board()
    assert tuple(whole) == figures.FIGURES
    for one in whole.values():
        if one.unit in ("people", "messages"):
            assert all(
                number is None or (number >= 10 and number % 10 == 0) for row in one.rows for number in row.values
            )
    for name in set(figures.FIGURES):
        assert any(number is not None for row in whole[name].rows for number in row.values), name
    french = await board(language="fr")
    assert 0 < (french["unclear"].rows[0].values[0] or 0) < (whole["unclear"].rows[0].values[0] or 0)
    assert "points" not in french and "messages" not in french and len(french["languages"].rows) == 1
    rabat = await board(place="rabat")

    def everybody(of: dict[str, Figure]) -> float:
        return sum(number or 0 for row in of["languages"].rows for number in row.values)

    assert 0 < everybody(rabat) < everybody(whole)
    assert await board(place="nowhere", language="xx", period="day") is not None
    lines = csv.reader(
        io.StringIO(figures.table(list(whole.values()), lambda one, **more: i18n.say(one, "en", **more)))
    )
    assert {len(line) for line in lines} == {4}


async def test_a_page_is_fast_and_the_same_in_three_languages(
    month: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The aggregations of the invented month; each language has its page, drawn from the side where reading begins."""
    from argon2 import PasswordHasher

    from bot.console import accounts

    monkeypatch.setattr(accounts, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    team = Team(month, settings)
    browser = await team.at_work(Role.COORDINATOR)
    spent = []
    for language in (*LANGUAGES, "fr", "fr"):
        began = time.process_time()
        page = (await browser.get(f"/console/dashboard?period=quarter&lang={language}")).text
        spent.append(time.process_time() - began)
        assert i18n.say("console.board.topics", language) in page and "<svg" in page
        assert i18n.say("console.invented", language) in unescape(page)
        assert not re.search(r"\sstyle=|<script(?![^>]*\ssrc=)|console\.board", page)
    assert min(spent) < 0.3  # of our own processor: the wall clock is the neighbours'
    await team.close()


async def test_an_export_needs_the_password_again(team: Team, database: Database) -> None:
    """Supervisors, coordinators and administrators; then a spreadsheet in which no name computes; it is audited."""
    await somebody(database)
    await change(
        database,
        "INSERT INTO orientation_point (code, name, city, languages) VALUES ('x', '=cmd|calc', 'Rabat', '[]')",
    )
    browser = await team.at_work(Role.COORDINATOR)
    await change(database, "UPDATE staff_session SET verified_at = now() - interval '1 hour'")
    asked = await browser.post("/console/dashboard/export", period="month")
    assert asked.headers["location"] == "/console/verify?next=/console/dashboard"
    code = await browser.fresh_code()
    await browser.post("/console/verify", password=PASSWORD, code=code, next="/console/dashboard")
    told = await browser.post("/console/dashboard/export", period="month")
    assert told.headers["content-type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(told.text.removeprefix("\ufeff"))))
    assert ["Orientation points", "'=cmd|calc", "came", "<10"] in rows
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    assert {row[3] for row in rows[1:]} == {"<10"}  # one person: nothing is told
    assert await value(database, "SELECT count(*) FROM audit WHERE action = 'dashboard.exported'") == 1


async def test_who_works_for_one_office_sees_its_figures_alone(team: Team, database: Database) -> None:
    """Neither all, nor another's, whatever the address says; what is not split by office is not there."""
    await change(
        database,
        "INSERT INTO office (id, country, zone, names, active, by_request, capacity, minutes, hours)"
        " SELECT id, 'MA', 'Africa/Casablanca', jsonb_build_object('fr', id, 'en', id, 'ar', id), true, false, 1, 60, '[]'"
        " FROM unnest(ARRAY['rabat', 'oujda']) AS id",
    )
    browser = await team.at_work(Role.SUPERVISOR)
    await change(database, "UPDATE staff_member SET offices = '[\"oujda\"]' WHERE id = :id", id=browser.staff_id)
    for office in ("", "rabat", "oujda"):
        page = (await browser.get(f"/console/dashboard?office={office}")).text
        assert "oujda" in page and "rabat" not in page
        assert i18n.say("console.board.points", "en") + "</h2>" not in page


def test_a_drawing_shows_no_markup_and_no_hidden_number() -> None:
    """Words are escaped; what is hidden has no bar; right to left is mirrored."""
    rows = [Row("<b>&", [40, None], True), Row("two", [20, 10], True)]
    figure = Figure("promise", ("a", "b"), rows)
    left, right = (plots.drawn(figure, rtl, lambda one: one) for rtl in (False, True))
    assert "&lt;b&gt;&amp;" in left and "<b>" not in left and left.count("<rect") == 3 and left.count("&lt;10") == 1
    assert 'x="220.0"' in left and 'x="220.0"' not in right
    assert plots.drawn(Figure("promise", ("a",), [Row("x", [None])]), False, str) == ""
