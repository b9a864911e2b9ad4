"""When check-ins are due, and when a message may go: pure functions over flows/checkins/checkins.yml.

Nobody is written to in the quiet hours, at the Friday prayer, on the days of Eid, or in the afternoon of a Ramadan day.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

FILE = Path(__file__).resolve().parent.parent.parent / "flows" / "checkins" / "checkins.yml"
HOME = "Africa/Casablanca"  # where nobody said in which country they live
FRIDAY = 4
LATE = timedelta(days=7)  # a check-in that would have been due longer ago than this is not made up for
EARLIEST = timedelta(days=3 * 365)  # a return that is longer ago is a slip of the pen
SPREAD = 240  # minutes over which the check-ins of a day begin
# days that belong to a feast, before and after the computed first one: announced late, different in each country
FITR, ADHA, FAST = (-1, 3), (-1, 4), (-1, 1)
Window = tuple[time, time]


@dataclass(frozen=True, slots=True)
class Round:
    """One check-in of the schedule."""

    id: str
    form: str
    weeks: int = 0
    months: int = 0


@cache
def data() -> Any:
    """The file as it is."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


@cache
def rounds() -> tuple[Round, ...]:
    """Every check-in of the schedule, in order."""
    return tuple(Round(**described) for described in data()["rounds"])


def wanted(months: int) -> list[Round]:
    """The check-ins of so many months after return."""
    return [one for one in rounds() if one.months <= months]


def due(returned_on: date, after: Round, zone: str, spread: int = 0) -> datetime:
    """When this check-in begins: so long after the day of return, `spread` minutes into the hours that are allowed."""
    day = _months_later(returned_on, after.months) + timedelta(weeks=after.weeks)
    morning = datetime.combine(day, time(10), ZoneInfo(zone)) + timedelta(minutes=spread % SPREAD)
    return allowed(morning, zone)


def allowed(moment: datetime, zone: str) -> datetime:
    """This moment, or the first one after it at which a message may go, in UTC."""
    place = ZoneInfo(zone)
    local = moment.astimezone(place)
    day = local.date()
    while True:
        for opens, closes in windows(day):
            if day > local.date() or local.time() < closes:
                start = datetime.combine(day, opens, place)
                return (max(start, local) if day == local.date() else start).astimezone(UTC)
        day += timedelta(days=1)


def closing(moment: datetime, zone: str) -> datetime:
    """When the hours end in which this allowed moment lies, in UTC."""
    local = moment.astimezone(ZoneInfo(zone))
    for opens, closes in windows(local.date()):
        if opens <= local.time() < closes:
            return datetime.combine(local.date(), closes, ZoneInfo(zone)).astimezone(UTC)
    return moment


def believable(returned_on: date, now: datetime) -> bool:
    """Whether somebody can have come back on this day: not in the future anywhere, not years ago."""
    return now.date() - EARLIEST <= returned_on <= now.date() + timedelta(days=1)


def _months_later(day: date, months: int) -> date:
    """The same day of a later month, or that month's last."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def windows(day: date) -> Sequence[Window]:
    """The hours of this day in which a message may go, on the clock of the place."""
    if _feast(day):
        return ()
    name = "friday" if day.weekday() == FRIDAY else "usual"
    if _fast(day):
        name = "ramadan_friday" if name == "friday" else "ramadan"
    return _hours(name)


@cache
def _hours(name: str) -> tuple[Window, ...]:
    spans = (one.split("-") for one in data()["hours"][name])
    return tuple((time.fromisoformat(opens), time.fromisoformat(closes)) for opens, closes in spans)


def _feast(day: date) -> bool:
    return any(
        first + timedelta(days=before) <= day <= first + timedelta(days=after)
        for year in _hijri_years(day)
        for first, (before, after) in ((_hijri(year, 10, 1), FITR), (_hijri(year, 12, 10), ADHA))
    )


def _fast(day: date) -> bool:
    return any(
        _hijri(year, 9, 1) + timedelta(days=FAST[0]) <= day < _hijri(year, 10, 1) + timedelta(days=FAST[1])
        for year in _hijri_years(day)
    )


def _hijri_years(day: date) -> range:
    near = int((day.year - 622) * 33 / 32)
    return range(near - 1, near + 3)


@cache
def _hijri(year: int, month: int, day: int) -> date:
    """A day of the tabular Islamic calendar, which is never more than a day or two from the one that is announced."""
    days = (year - 1) * 354 + (3 + 11 * year) // 30 + (59 * (month - 1) + 1) // 2 + day
    return date.fromordinal(227014 + days)


@cache
def zones() -> dict[str, str]:
    """The time zone of each country (its first one), by ISO code."""
    found: dict[str, str] = {}
    for line in (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            code, _, zone = line.split("\t")[:3]
            found.setdefault(code, zone)
    return found


def zone_of(country: str | None) -> str:
    """The clock of this country; Morocco's where none is known."""
    return zones().get(country or "", HOME)
