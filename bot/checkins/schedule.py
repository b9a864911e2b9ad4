"""When check-ins are due, and when a message may go: flows/checkins/checkins.yml, with what the team changed of it.

Nobody is written to in the quiet hours, at the Friday prayer, on the days of Eid, or in the afternoon of a Ramadan day.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping, Sequence
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
NAMES = ("usual", "friday", "ramadan", "ramadan_friday")  # of the hours
# what the team may choose: a check-in takes six days to end, with its reminder
WEEKS, MONTHS, APART = (1, 52), (1, 24), timedelta(days=7)
DAY = (time(8), time(21))  # nobody is written to before or after
FRIDAYS, PRAYER = ("friday", "ramadan_friday"), (time(12), time(15))  # nor then
SHORTEST = 120  # minutes of a span of hours
LEFT = timedelta(minutes=75)  # of the hours, when a message goes: WhatsApp may go on trying for an hour (`check_in`)
Window = tuple[time, time]


@dataclass(frozen=True, slots=True)
class Round:
    """One check-in of the schedule. The id stays when its time is changed: it is the same check-in of a person."""

    id: str
    form: str
    weeks: int = 0
    months: int = 0
    on: bool = True

    @property
    def days(self) -> int:
        """How many days after the return, about."""
        return self.weeks * 7 + round(self.months * 365 / 12)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which check-ins there are, and when a message may go: those of the file, or as the team changed them."""

    rounds: tuple[Round, ...]
    hours: Mapping[str, Sequence[Window]]
    version: int = 0  # how often the team changed the rounds

    def wanted(self, months: int) -> list[Round]:
        """The check-ins of so many months after return, in order."""
        last = round(months * 365 / 12)
        return sorted((one for one in self.rounds if one.on and one.days <= last), key=lambda one: one.days)

    def due(self, returned_on: date, after: Round, zone: str, spread: int = 0) -> datetime:
        """When this check-in begins: so long after the day of return, `spread` minutes into the hours for it."""
        day = _months_later(returned_on, after.months) + timedelta(weeks=after.weeks)
        opens = self.hours["usual"][0][0]
        morning = datetime.combine(day, opens, ZoneInfo(zone)) + timedelta(minutes=spread % SPREAD)
        return self.allowed(morning, zone)

    def allowed(self, moment: datetime, zone: str) -> datetime:
        """This moment, or the first one after it at which a message may go and still arrives in the hours, in UTC."""
        place = ZoneInfo(zone)
        local = moment.astimezone(place)
        day = local.date()
        while True:
            for opens, closes in self.windows(day):
                start, last = datetime.combine(day, opens, place), datetime.combine(day, closes, place) - LEFT
                if local <= last:
                    return max(start, local).astimezone(UTC)
            day += timedelta(days=1)

    def closing(self, moment: datetime, zone: str) -> datetime:
        """When the hours end in which this allowed moment lies, in UTC."""
        local = moment.astimezone(ZoneInfo(zone))
        for opens, closes in self.windows(local.date()):
            if opens <= local.time() < closes:
                return datetime.combine(local.date(), closes, ZoneInfo(zone)).astimezone(UTC)
        return moment

    def windows(self, day: date) -> Sequence[Window]:
        """The hours of this day in which a message may go, on the clock of the place."""
        if _feast(day):
            return ()
        name = "friday" if day.weekday() == FRIDAY else "usual"
        if _fast(day):
            name = "ramadan_friday" if name == "friday" else "ramadan"
        return self.hours[name]


@cache
def data() -> Any:
    """The file as it is."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


@cache
def of_file() -> Schedule:
    """The file's schedule: what holds where the team chose nothing."""
    return Schedule(tuple(Round(**described) for described in data()["rounds"]), _hours(data()["hours"]))


def of_team(rounds: Sequence[Mapping[str, Any]] | None, hours: Mapping[str, Any] | None, version: int) -> Schedule:
    """The file's schedule with what the team chose; what today's version cannot read is the file's."""
    known = {one.id: one for one in of_file().rounds}
    known |= {one["id"]: Round(**one) for one in rounds or () if one["form"] in forms()}
    return Schedule(tuple(known.values()), _hours(hours) if hours else of_file().hours, version)


_held: Schedule | None = None


def hold(one: Schedule | None) -> None:
    """From now on this is what `held` says in this process; None: the file's."""
    global _held
    _held = one


def held() -> Schedule:
    """What holds, as this process knows it: bot/conversation/chosen.py keeps it up to date."""
    return _held or of_file()


def forms() -> list[str]:
    """The forms that a check-in may have."""
    return [name for name in data()["lists"] if name != "enrolment"]


def believable(returned_on: date, now: datetime) -> bool:
    """Whether somebody can have come back on this day: not in the future anywhere, not years ago."""
    return now.date() - EARLIEST <= returned_on <= now.date() + timedelta(days=1)


def _months_later(day: date, months: int) -> date:
    """The same day of a later month, or that month's last."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _hours(spans: Mapping[str, Sequence[str]]) -> dict[str, tuple[Window, ...]]:
    return {name: tuple(_window(span) for span in spans[name]) for name in NAMES}


def _window(span: str) -> Window:
    opens, closes = span.split("-")
    return time.fromisoformat(opens), time.fromisoformat(closes)


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
