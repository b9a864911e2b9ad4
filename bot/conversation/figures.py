"""What the dashboard counts: people, never events, and never fewer than ten of them.

A person has one office (of their last appointment, else the place of their last handoff, else none that is known) and
one language, so that every count falls into cells of office and language. What is told of a count:

1. A cell under ten people is hidden, none or nine. What is told is told in whole tens (`report.cell`).
2. Where a part of a whole is hidden, so much of the whole's other parts is hidden with it, the smallest first, that
   the hidden ones are ten people or more together: by offices, by languages, and by both. So no filter, and no
   subtraction of filters, leaves fewer than ten. The same holds for the parts that a table shows beside each other.
3. Periods are whole months, each beginning with one; weeks are those of the calendar. No window can slide by a day.
4. A duration or a mean is told where ten people or more are behind it and behind every part that is hidden.
5. What is not split by office or language (points, messages, cost) is shown without these filters alone.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from statistics import fmean, median
from typing import Any, Literal, TypeVar

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.checkins import questions
from bot.checkins.schedule import Round
from bot.db.models import Office
from bot.db.session import Database
from bot.journeys.context import NOT_UNDERSTOOD
from bot.messages import LANGUAGES
from bot.orientation import report
from bot.settings import reading_prices

PERIODS = {"month": 1, "quarter": 3, "year": 12}  # months, the one that it is included
TOPICS = 15  # of those asked most
FIGURES = (
    "conversations", "languages", "topics", "unclear", "requests", "waits", "interviews", "checkins", "dimensions",
    "promise", "handoffs", "delivery", "points", "messages", "cost",
)  # fmt: skip
KEYS = {  # the parts that each figure shows, or its columns
    "requests": ("open", "acknowledged", "closed", "withdrawn"),
    "interviews": ("requested", "coming", "done", "missed", "past", "cancelled"),
    "checkins": ("answered", "missed", "waiting", "stopped"),
    "levels": ("red", "amber"),
    "promise": ("kept", "late", "open"),
    "points": ("came", "talked", "requested", "interview"),
    "delivery": ("went", "waiting", "held", "failed", "cancelled"),
    "csv": ("figure", "row", "column", "value"),
}
CHECKINS = 5000  # whose answers are opened at most: the latest
Cell = tuple[str, str]  # office or country ("" is not known), language
Key = TypeVar("Key", bound=Hashable)
Plot = Literal["bars", "columns", "lines", ""]
_WHO = """WITH who AS MATERIALIZED (
    SELECT person.id, coalesce(person.language, 'fr') AS language, coalesce(
        (
            SELECT office_id FROM appointment WHERE person_id = person.id AND office_id IS NOT NULL
            ORDER BY id DESC LIMIT 1
        ),
        (SELECT place FROM handoff WHERE person_id = person.id AND place IS NOT NULL ORDER BY id DESC LIMIT 1), ''
    ) AS place FROM person
) """


def _count(key: str, source: str) -> Any:
    """People by cell and by `key`, of those rows that `source` names; each person once a key."""
    return text(
        f"{_WHO} SELECT ({key})::text AS key, who.place, who.language, count(DISTINCT who.id) AS people"  # noqa: S608
        f" FROM {source} GROUP BY 1, 2, 3"
    )


_OF_CONVERSATION = (
    "JOIN conversation ON conversation.id = {0}.conversation_id JOIN who ON who.id = conversation.person_id"
)
_HEARD = (
    "inbox " + _OF_CONVERSATION.format("inbox") + " WHERE received_at >= :since AND received_at < :until"
    " AND inbox.kind IN ('text', 'press', 'media', 'start')"
)
_COUNTS = {
    "conversations": _count("date_trunc('week', received_at AT TIME ZONE 'UTC')::date", _HEARD),
    "languages": _count("who.language", _HEARD),
    "topics": _count("inbox.topic", _HEARD + " AND inbox.topic IS NOT NULL"),
    "meant": _count(
        "suggestion.label",
        "suggestion JOIN who ON who.id = suggestion.person_id WHERE created_at >= :since AND created_at < :until",
    ),
    "requests": _count(
        "request.status",
        "request JOIN who ON who.id = request.person_id WHERE created_at >= :since AND created_at < :until",
    ),
    "interviews": _count(
        "CASE WHEN status IN ('confirmed', 'reminded', 'proposed') THEN 'coming' ELSE status END",
        "appointment JOIN who ON who.id = appointment.person_id"
        " WHERE coalesce(starts_at, created_at) >= :since AND (starts_at < :until OR created_at < :until)"
        " AND status NOT IN ('draft', 'held', 'rescheduled')",
    ),
    "checkins": _count(
        "CASE WHEN status IN ('completed', 'partial') THEN 'answered' WHEN status IN ('sent', 'reminded', 'open')"
        " THEN 'waiting' ELSE status END",
        "checkin JOIN who ON who.id = checkin.person_id WHERE due_at >= :since AND due_at < :until"
        " AND round <> 'enrolment' AND status <> 'planned'",
    ),
    "levels": _count(
        "coalesce(level, 'none')",
        "checkin JOIN who ON who.id = checkin.person_id WHERE due_at >= :since AND due_at < :until"
        " AND round <> 'enrolment' AND status IN ('completed', 'partial')",
    ),
    "promise": _count(
        "priority || '.' || CASE WHEN coalesce(taken_at, now()) <= due_at THEN"
        " CASE WHEN taken_at IS NULL THEN 'open' ELSE 'kept' END ELSE 'late' END",
        "handoff JOIN who ON who.id = handoff.person_id WHERE created_at >= :since AND created_at < :until",
    ),
    "delivery": _count(
        "CASE WHEN status IN ('sent', 'delivered', 'read') THEN 'went' WHEN status IN ('queued', 'sending')"
        " THEN 'waiting' ELSE status END",
        "outbox "
        + _OF_CONVERSATION.format("outbox")
        + " WHERE outbox.created_at >= :since AND outbox.created_at < :until",
    ),
}
_WAITS = text(f"""{_WHO}
    SELECT 'assistant' AS key, who.id, who.place, who.language,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM done_at - received_at)) AS seconds
    FROM {_HEARD} AND inbox.status = 'done' AND done_at IS NOT NULL GROUP BY 2, 3, 4
    UNION ALL
    SELECT 'handoff.' || priority, who.id, who.place, who.language, extract(epoch FROM taken_at - handoff.created_at)
    FROM handoff JOIN who ON who.id = handoff.person_id
    WHERE handoff.created_at >= :since AND handoff.created_at < :until AND taken_at IS NOT NULL
""")  # noqa: S608 (of words written above)
_ANSWERS = text(f"""{_WHO}
    SELECT checkin.weeks, checkin.months, who.id, who.place, who.language, person.key, answers_sealed
    FROM checkin JOIN who ON who.id = checkin.person_id JOIN person ON person.id = who.id
    WHERE due_at >= :since AND due_at < :until AND round <> 'enrolment' AND status IN ('completed', 'partial')
        AND answers_sealed IS NOT NULL
    ORDER BY checkin.id DESC LIMIT {CHECKINS}
""")  # noqa: S608
_MESSAGES = text("""
    SELECT channel, kind, sum(messages)::bigint AS messages FROM sent_count
    WHERE day >= (:since AT TIME ZONE 'UTC')::date AND day < (:until AT TIME ZONE 'UTC')::date
    GROUP BY 1, 2 ORDER BY 1, 2
""")


@dataclass(frozen=True, slots=True)
class Filter:
    """What the reader chose. `place` and `language`: None is all of them."""

    period: str
    place: str | None
    language: str | None
    now: datetime

    @property
    def first(self) -> tuple[int, int]:
        """The first month, as year and month."""
        months = self.now.year * 12 + self.now.month - PERIODS[self.period]
        return months // 12, months % 12 + 1

    @property
    def bounds(self) -> dict[str, datetime]:
        """The months' beginning and end, in UTC."""
        until = datetime(self.now.year + self.now.month // 12, self.now.month % 12 + 1, 1, tzinfo=UTC)
        return {"since": datetime(*self.first, 1, tzinfo=UTC), "until": until}

    @property
    def whole(self) -> bool:
        """Whether nothing but the period is chosen."""
        return self.place is None and self.language is None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: a label (a text's id, or words that are ready), and its numbers; None is hidden."""

    label: str
    values: Sequence[float | None]
    ready: bool = False
    kind: str = ""  # of messages: a text's id, said behind the label
    number: int | None = None  # in the label

    def said(self, say: Callable[..., str]) -> str:
        """The label as people read it."""
        if self.number is not None:
            return say(self.label, number=self.number)
        label = self.label if self.ready else say(self.label)
        return f"{label} · {say(self.kind)}" if self.kind else label


@dataclass(frozen=True, slots=True)
class Figure:
    """One table, and how it is drawn. `heads`: text ids of the columns after the first; `unit` of the numbers."""

    id: str
    heads: Sequence[str]
    rows: Sequence[Row]
    plot: Plot = "bars"
    unit: Literal["people", "minutes", "seconds", "share", "messages", "cost"] = "people"


@dataclass(slots=True)
class Cells:
    """How many people each cell of office and language has. `places`: all that there are, also without people."""

    places: Sequence[str]
    people: dict[Cell, int] = field(default_factory=lambda: defaultdict(int))

    def told(self, place: str | None, language: str | None) -> int | None:
        """What may be told of these: a number that is not rounded yet, or None."""
        places = protected(self._sums(0, self.places))
        languages = protected(self._sums(1, LANGUAGES))
        if place is None and language is None:
            number = sum(self.people.values())
            return number if number >= report.FEWEST else None
        if language is None:
            return places.get(place or "")
        if place is None:
            return languages.get(language)
        return self._both(places, languages).get((place, language))

    def _sums(self, part: int, every: Sequence[str]) -> dict[str, int]:
        sums = dict.fromkeys(every, 0)
        for cell, number in self.people.items():
            sums[cell[part]] = sums.get(cell[part], 0) + number
        return sums

    def _both(self, places: Mapping[str, int | None], languages: Mapping[str, int | None]) -> dict[Cell, int | None]:
        """Each cell, protected along its office and along its language until nothing changes any more."""
        shown: dict[Cell, int | None] = {
            (place, language): self.people.get((place, language), 0) for place in places for language in languages
        }
        while True:
            before = dict(shown)
            lines = [[cell for cell in shown if cell[0] == place] for place in places]
            lines += [[cell for cell in shown if cell[1] == language] for language in languages]
            for line in lines:
                counts = {cell: self.people.get(cell, 0) for cell in line}
                hidden = {cell for cell in line if shown[cell] is None}
                shown |= protected(counts, hidden)
            if shown == before:
                break
        return {
            cell: number if places[cell[0]] is not None and languages[cell[1]] is not None else None
            for cell, number in shown.items()
        }


def protected(parts: Mapping[Key, int], hidden: Iterable[Key] = ()) -> dict[Key, int | None]:
    """The parts of a whole that is told, without those under ten people, and without the smallest of the others until
    those that lack are ten people or more together."""
    lacking = {key for key, number in parts.items() if number < report.FEWEST} | set(hidden)
    left = sorted((key for key in parts if key not in lacking), key=lambda key: parts[key])
    while lacking and left and sum(parts[key] for key in lacking) < report.FEWEST:
        lacking.add(left.pop(0))
    return {key: None if key in lacking else number for key, number in parts.items()}


@dataclass(frozen=True, slots=True)
class Board:
    """All figures of one filter. `places` can be chosen: None among them is all."""

    filter: Filter
    places: Sequence[str | None]
    names: Mapping[str, Mapping[str, str]]  # of offices, by language
    figures: Sequence[Figure]


async def board(
    database: Database, prices: str | None, period: str, place: str, language: str, own: Sequence[str], now: datetime
) -> Board:
    """The figures; what was chosen wrongly counts as not chosen. `own`: the only places that the reader may see."""
    async with database.session() as session:
        names = {
            row.id: row.names for row in await session.execute(select(Office.id, Office.names).order_by(Office.id))
        }
        known = [*names, "MA", "MR"]
        places: list[str | None] = [one for one in known if one in own] if own else [None, *known]
        chosen = Filter(
            period if period in PERIODS else "quarter",
            place if place in places else (places[0] if places else ""),
            language if language in LANGUAGES else None,
            now,
        )
        figures = await _figures(session, database, chosen, ["", *known])
        if chosen.whole:
            figures += await _global(session, database, prices, chosen)
    return Board(chosen, places, names, figures)


async def _figures(session: AsyncSession, database: Database, chosen: Filter, places: Sequence[str]) -> list[Figure]:
    counted = {name: await _counted(session, statement, chosen, places) for name, statement in _COUNTS.items()}

    def people(of: str, key: str) -> int | None:
        return _whole(counted[of].get(key, Cells(places)).told(chosen.place, chosen.language))

    def listed(of: str) -> list[Row]:
        return [Row(f"console.board.{of}.{key}", [people(of, key)]) for key in KEYS[of]]

    one = ("console.board.people",)
    weeks = sorted(counted["conversations"])
    in_weeks = [Row(f"{date.fromisoformat(week):%d/%m}", [people("conversations", week)], True) for week in weeks]
    spoken = [
        Row(
            f"console.speaks.{language}",
            [_whole(_of_language(counted["languages"], places).told(chosen.place, language))],
        )
        for language in LANGUAGES
        if chosen.language in (None, language)
    ]
    waits = await _waits(session, chosen, places)
    urgent = ("P0", "P1", "P2")
    return [
        Figure("conversations", one, in_weeks, "columns"),
        Figure("languages", one, spoken),
        Figure("topics", one, _most(counted["topics"], chosen, NOT_UNDERSTOOD)),
        Figure("unclear", one, [
            Row("console.board.unclear.all", [people("topics", NOT_UNDERSTOOD)]), *_most(counted["meant"], chosen)
        ]),
        Figure("requests", one, listed("requests")),
        Figure("waits", ("console.board.median",), [
            Row("console.board.waits.assistant", [waits.get("assistant")]),
        ], "", "seconds"),
        Figure("interviews", one, listed("interviews")),
        Figure("checkins", one, [*listed("checkins"), *listed("levels")]),
        Figure("dimensions", tuple(f"console.board.{name}" for name in questions.DIMENSIONS),
               await _dimensions(session, database, chosen, places), "lines", "share"),
        Figure("promise", tuple(f"console.board.promise.{how}" for how in KEYS["promise"]), [
            Row(priority, [people("promise", f"{priority}.{how}") for how in KEYS["promise"]], True)
            for priority in urgent
        ]),
        Figure("handoffs", ("console.board.median",), [
            Row(priority, [waits.get(f"handoff.{priority}")], True) for priority in urgent
        ], "bars", "minutes"),
        Figure("delivery", one, listed("delivery")),
    ]  # fmt: skip


def _of_language(counted: Mapping[str, Cells], places: Sequence[str]) -> Cells:
    """The languages as one whole: its parts are shown beside each other."""
    together = Cells(places)
    for cells in counted.values():
        for cell, number in cells.people.items():
            together.people[cell] += number
    return together


def _most(counted: Mapping[str, Cells], chosen: Filter, without: str = "") -> list[Row]:
    """The topics that most people asked about, and how many did; those that are hidden are not named."""
    told = {key: _whole(cells.told(chosen.place, chosen.language)) for key, cells in counted.items() if key != without}
    shown = sorted(((number, key) for key, number in told.items() if number is not None), reverse=True)
    return [Row(f"topic.{key}.title" if key != "none_of_these" else "button.none_of_these", [number])
            for number, key in shown[:TOPICS]]  # fmt: skip


def _whole(number: int | None) -> int | None:
    """In whole tens, from ten on."""
    return number - number % report.FEWEST if number is not None and number >= report.FEWEST else None


async def _counted(session: AsyncSession, statement: Any, chosen: Filter, places: Sequence[str]) -> dict[str, Cells]:
    found: dict[str, Cells] = defaultdict(lambda: Cells(places))
    for row in await session.execute(statement, chosen.bounds):
        found[row.key].people[row.place, row.language] += row.people
    return found


async def _waits(session: AsyncSession, chosen: Filter, places: Sequence[str]) -> dict[str, float | None]:
    """The medians: seconds for the assistant's answer, minutes until somebody took a handoff."""
    values: dict[str, dict[Cell, list[float]]] = defaultdict(lambda: defaultdict(list))
    people: dict[str, set[tuple[int, Cell]]] = defaultdict(set)
    for row in await session.execute(_WAITS, chosen.bounds):
        cell = (row.place, row.language)
        values[row.key][cell].append(float(row.seconds) / (1 if row.key == "assistant" else 60))
        people[row.key].add((row.id, cell))
    return {
        key: _middle(median, cells, Cells(places, _sizes(people[key])), chosen, 1 if key == "assistant" else 0)
        for key, cells in values.items()
    }


async def _dimensions(session: AsyncSession, database: Database, chosen: Filter, places: Sequence[str]) -> list[Row]:
    """The mean of each dimension by check-in since the return."""
    values: dict[tuple[Round, str], dict[Cell, list[float]]] = defaultdict(lambda: defaultdict(list))
    people: dict[tuple[Round, str], set[tuple[int, Cell]]] = defaultdict(set)
    for row in await session.execute(_ANSWERS, chosen.bounds):
        cell, after = (row.place, row.language), Round("", "", row.weeks or 0, row.months or 0)
        for name, value in questions.dimensions(database.vault.open(row.key, row.answers_sealed)).items():
            if value is not None:
                values[after, name][cell].append(value)
                people[after, name].add((row.id, cell))
    rows = []
    for one in sorted({after for after, _ in values}, key=lambda after: after.days):
        means = [
            _middle(fmean, values[one, name], Cells(places, _sizes(people[one, name])), chosen, 2)
            for name in questions.DIMENSIONS
        ]
        unit = "week" if one.weeks else "month"
        rows.append(Row(f"console.board.round.{unit}", means, number=one.weeks or one.months))
    return [row for row in rows if any(value is not None for value in row.values)]


def _sizes(people: Iterable[tuple[int, Cell]]) -> dict[Cell, int]:
    sizes: dict[Cell, int] = defaultdict(int)
    for _, cell in people:
        sizes[cell] += 1
    return sizes


def _middle(
    of: Callable[[Sequence[float]], float],
    cells: Mapping[Cell, list[float]],
    people: Cells,
    chosen: Filter,
    digits: int,
) -> float | None:
    if people.told(chosen.place, chosen.language) is None:
        return None
    wanted = [
        value
        for (place, language), values in cells.items()
        if chosen.place in (None, place) and chosen.language in (None, language)
        for value in values
    ]
    return round(of(wanted), digits)


async def _global(session: AsyncSession, database: Database, prices: str | None, chosen: Filter) -> list[Figure]:
    """What is about no office and no language."""
    steps = KEYS["points"]
    points = await report.funnel(database, chosen.first, (chosen.now.year, chosen.now.month))
    figures = [Figure("points", tuple(f"console.board.points.{step}" for step in steps), [
        Row(one.name or "console.board.points.none", [_whole(getattr(one, step)) for step in steps], bool(one.name))
        for one in points
    ])]  # fmt: skip
    known = reading_prices(prices or "")
    sent = list(await session.execute(_MESSAGES, chosen.bounds))
    rows = [Row(one.channel, [_whole(one.messages)], True, f"console.board.kind.{one.kind}") for one in sent]
    figures.append(Figure("messages", ("console.board.messages.number",), rows, "bars", "messages"))
    if known:
        rows = []
        for one in sent:
            price, number = known.get((one.channel, one.kind)), _whole(one.messages)
            if price is not None:
                cost = round(float(price) * number, 2) if number is not None else None
                rows.append(Row(one.channel, [float(price), cost], True, f"console.board.kind.{one.kind}"))
        heads = ("console.board.cost.price", "console.board.cost.all")
        figures.append(Figure("cost", heads, rows, "", "cost"))
    return figures


def table(figures: Sequence[Figure], say: Callable[..., str]) -> str:
    """All figures as CSV, for a spreadsheet: nothing in it can act as a formula."""
    written = io.StringIO()
    writer = csv.writer(written, quoting=csv.QUOTE_ALL)
    writer.writerow([say(f"console.board.csv.{head}") for head in KEYS["csv"]])
    for figure in figures:
        for row in figure.rows:
            label = row.said(say)
            for head, value in zip(figure.heads, row.values, strict=True):
                words = (say(f"console.board.{figure.id}"), label, say(head))
                writer.writerow([*map(report.harmless, words), report.HIDDEN if value is None else f"{value:g}"])
    return written.getvalue()
