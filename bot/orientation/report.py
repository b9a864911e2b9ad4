"""How many people came by each point, and how far they went: for coordinators, about nobody.

A cell is told in whole tens from ten people on; below it is hidden, none or nine. So neither a cell nor what is left
between two cells, two points or two periods is about fewer than ten people for certain.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import text

from bot.db.session import Database

FEWEST = 10  # people in a cell
HIDDEN = "<10"
COLUMNS = ("point", "name", "city", "came", "talked", "requested", "interview")
# what a spreadsheet takes for the beginning of a formula, in the letters of wide keyboards too
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "|", "%", "\t", "\r", "\n")

# People by where they came from in the period, with what they have done until now. The erased are not among them.
_FUNNEL = text("""
    WITH came AS (
        SELECT scan.person_id, scan.point_id FROM scan WHERE scan.created_at >= :since AND scan.created_at < :until
        UNION ALL
        SELECT person.id, NULL FROM person WHERE person.created_at >= :since AND person.created_at < :until
            AND NOT EXISTS (SELECT 1 FROM scan WHERE scan.person_id = person.id)
    ), step AS (
        SELECT DISTINCT came.person_id, came.point_id,
            EXISTS (
                SELECT 1 FROM inbox JOIN conversation ON conversation.id = inbox.conversation_id
                WHERE conversation.person_id = came.person_id AND inbox.kind IN ('text', 'press', 'media')
            ) AS talked,
            EXISTS (SELECT 1 FROM request WHERE request.person_id = came.person_id) AS requested,
            EXISTS (
                SELECT 1 FROM request WHERE request.person_id = came.person_id AND interview_sealed IS NOT NULL
            ) OR EXISTS (
                SELECT 1 FROM appointment WHERE appointment.person_id = came.person_id AND starts_at IS NOT NULL
                    AND status NOT IN ('draft', 'held')
            ) AS interview
        FROM came
    ), place AS (
        SELECT id, name, city FROM orientation_point UNION ALL SELECT NULL, NULL, NULL
    )
    SELECT place.id, place.name, place.city, count(step.person_id) AS came,
        count(*) FILTER (WHERE talked) AS talked, count(*) FILTER (WHERE requested) AS requested,
        count(*) FILTER (WHERE interview) AS interview
    FROM place LEFT JOIN step ON step.point_id IS NOT DISTINCT FROM place.id
    GROUP BY place.id, place.name, place.city ORDER BY place.id NULLS LAST
""")


@dataclass(frozen=True, slots=True)
class Funnel:
    """One point's people; no point: those who came by none."""

    point: int | None
    name: str | None
    city: str | None
    came: int
    talked: int
    requested: int
    interview: int  # proposed or booked at least once


async def funnel(database: Database, first: tuple[int, int], last: tuple[int, int]) -> list[Funnel]:
    """The counts of whole months (year, month), both included, in UTC. Not for eyes: `table` hides what is too few."""
    period = {"since": _begin(*first), "until": _begin(last[0] + last[1] // 12, last[1] % 12 + 1)}
    async with database.session() as session:
        return [Funnel(*row) for row in await session.execute(_FUNNEL, period)]


def _begin(year: int, month: int) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)


def cell(people: int) -> str:
    """What is told of so many people."""
    return str(people - people % FEWEST) if people >= FEWEST else HIDDEN


def table(rows: Sequence[Funnel]) -> str:
    """The report as CSV, for a spreadsheet: no name in it can act as a formula."""
    written = io.StringIO()
    writer = csv.writer(written, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    for row in rows:
        where = (str(row.point or ""), row.name or "no point", row.city or "")
        counts = map(cell, (row.came, row.talked, row.requested, row.interview))
        writer.writerow([*map(harmless, where), *counts])
    return written.getvalue()


def harmless(words: str) -> str:
    """A text that a spreadsheet shows as it is: an apostrophe before what it would compute."""
    return "'" + words if words.lstrip().startswith(_FORMULA) or words.startswith(_FORMULA) else words
