"""What coordinators are told: counts that lead to nobody, in a file that computes nothing."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from bot.db.session import Database
from bot.orientation import points, report
from bot.orientation.report import Funnel
from bot.settings import SettingsError
from tests.orientation.test_commands import rafiq

# person i came by point 1 (1…34), by point 2 (35…43) or by none (44…60); every second one talked, and so on
SEED = """
    INSERT INTO person (key, created_at) SELECT 'k', '2026-10-31 23:30+00' FROM generate_series(1, 60);
    INSERT INTO address (person_id, channel, digest, address_sealed)
        SELECT id, 'web', int8send(id), 'a' FROM person;
    INSERT INTO conversation (address_id, person_id, rasa_id) SELECT id, person_id, id::text FROM address;
    INSERT INTO scan (conversation_id, person_id, point_id, created_at)
        SELECT id, person_id, CASE WHEN id <= 34 THEN 1 ELSE 2 END, '2026-10-31 23:30+00' FROM conversation WHERE id <= 43;
    INSERT INTO inbox (channel, external_digest, conversation_id, kind)
        SELECT 'web', int8send(id), id, 'start' FROM conversation;
    INSERT INTO inbox (channel, external_digest, conversation_id, kind)
        SELECT 'web', int8send(n * 1000 + id), id, 'text' FROM conversation, generate_series(1, 3) n WHERE id % 2 = 0;
    INSERT INTO request (reference, person_id, priority, answers_sealed)
        SELECT 'AV-' || n || id, id, 'P2', 'a' FROM person, generate_series(1, 2) n WHERE id % 3 = 0;
    UPDATE request SET interview_sealed = 'i' WHERE person_id % 6 = 0;
"""


def read(table: str) -> list[list[str]]:
    """The rows of a CSV."""
    return list(csv.reader(io.StringIO(table)))


@pytest.fixture
async def seeded(database: Database) -> Database:
    """Sixty people and two points, one of them with a name that would be a formula."""
    await points.add(database, '=HYPERLINK("http://x","y")', "Oujda", ["fr"])
    await points.add(database, "Dar", "Casablanca", ["ar"])
    async with database.session() as session:
        for statement in SEED.split(";")[:-1]:
            await session.execute(text(statement))
        await session.execute(text("UPDATE person SET key = :key"), {"key": database.vault.new_key()})
        await session.commit()
    return database


async def test_people_are_counted_once(seeded: Database) -> None:
    """By point, whatever they did how often; those of no point apart; in the months that were asked for."""
    assert await report.funnel(seeded, (2026, 10), (2026, 10)) == [
        Funnel(1, '=HYPERLINK("http://x","y")', "Oujda", 34, 17, 11, 5),
        Funnel(2, "Dar", "Casablanca", 9, 4, 3, 2),
        Funnel(None, None, None, 17, 9, 6, 3),
    ]
    for months in (((2026, 9), (2026, 9)), ((2026, 11), (2026, 12))):
        assert all(row.came == row.talked == row.requested == 0 for row in await report.funnel(seeded, *months))
    assert await report.funnel(seeded, (2025, 12), (2026, 12)) == await report.funnel(seeded, (2026, 10), (2026, 10))


@pytest.mark.usefixtures("staffed", "seeded")
def test_the_report_hides_the_few() -> None:
    """`rafiq report`: tens, nothing under ten, no formula, and no person's number anywhere."""
    assert read(rafiq("report", "--from", "2026-09", "--to", "2026-10")) == [
        list(report.COLUMNS),
        ["1", '\'=HYPERLINK("http://x","y")', "Oujda", "30", "10", "10", "<10"],
        ["2", "Dar", "Casablanca", "<10", "<10", "<10", "<10"],
        ["", "no point", "", "10", "<10", "<10", "<10"],
    ]
    with pytest.raises(SettingsError, match="--to is 2026-13"):
        rafiq("report", "--to", "2026-13")


@given(st.integers(0, 100_000))
def test_no_cell_is_about_fewer_than_ten(people: int) -> None:
    """None is hidden like nine; what is shown is a whole ten, and never more than there are."""
    shown = report.cell(people)
    assert shown == "<10" if people < 10 else (int(shown) % 10 == 0 and people - 10 < int(shown) <= people)


@given(st.text(max_size=20), st.sampled_from(["=", "+", "-", "@", "\t=", "\r@", " =", "\n+", "＝", "\u00a0="]))
def test_no_name_is_a_formula(words: str, sign: str) -> None:
    """However it begins, a spreadsheet shows it; and it stays one cell."""
    row = Funnel(1, sign + words, words, 10, 10, 10, 10)
    [_, [_, name, city, *counts]] = read(report.table([row]))
    assert name.startswith("'") and name[1:].replace("\r\n", "\n") == (sign + words).replace("\r\n", "\n")
    assert not city.lstrip().startswith(("=", "+", "-", "@")) and counts == ["10"] * 4
