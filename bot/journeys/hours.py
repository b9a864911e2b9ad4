"""When somebody reads: the hours that the operator set, told truthfully and counted with.

On the closed days of the countries that share the clock of these hours nobody does. They are data that staff edit
(`closed_day`); every process keeps them in memory and reads them again now and then (`learn`).
"""

from __future__ import annotations

from collections.abc import Set
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import i18n
from bot.checkins import schedule
from bot.db.models import ClosedDay
from bot.messages import Language
from bot.settings import reading_hours

_closed: Set[tuple[str, str]] = frozenset()  # zone, and 2027-03-09 or 01-11 for every year


async def learn(session: AsyncSession) -> None:
    """Know the closed days as they stand now. Those of single offices are not meant: the team reads elsewhere."""
    global _closed
    rows = await session.execute(select(ClosedDay.of, ClosedDay.day).where(ClosedDay.of.in_(schedule.zones())))
    _closed = frozenset((schedule.zone_of(row.of), row.day) for row in rows)


def _works(day: date, days: Set[int], zone: ZoneInfo) -> bool:
    """Whether somebody reads on this day."""
    iso = day.isoformat()
    return day.weekday() in days and not {(zone.key, iso), (zone.key, iso[5:])} & _closed


def when_somebody_reads(setting: str, now: datetime, language: Language) -> str:
    """One sentence: somebody reads now, or when the next opening is. Never says that somebody is there who is not."""
    _, opens, closes, zone = reading_hours(setting)
    next_opening = opening(setting, now)
    if next_opening == now:
        return i18n.say("handoff.when.open", language, closes=closes.strftime("%H:%M"))
    return i18n.say(
        "handoff.when.closed",
        language,
        day=i18n.written_date(next_opening, str(zone), language),
        opens=opens.strftime("%H:%M"),
    )


def is_open(setting: str, at: datetime) -> bool:
    """Whether somebody reads at that moment."""
    return opening(setting, at) == at


def opening(setting: str, at: datetime) -> datetime:
    """That moment when it is open; otherwise the next opening."""
    days, opens, closes, zone = reading_hours(setting)
    local = at.astimezone(zone)
    today = _works(local.date(), days, zone)
    if today and opens <= local.time() < closes:
        return at
    day = local.date() if today and local.time() < opens else local.date() + timedelta(days=1)
    while not _works(day, days, zone):
        day += timedelta(days=1)
    return datetime.combine(day, opens, zone)


def closed_since(setting: str, at: datetime) -> datetime | None:
    """The closing after which nobody reads at that moment; None when it is open."""
    if is_open(setting, at):
        return None
    days, _, closes, zone = reading_hours(setting)
    day = at.astimezone(zone).date()
    while True:
        closed = datetime.combine(day, closes, zone)
        if _works(day, days, zone) and closed <= at:
            return closed
        day -= timedelta(days=1)


def closing(setting: str, at: datetime, days: int = 1) -> datetime:
    """The end of the working day that it is or that comes next; with `days`, of as many working days."""
    _, _, closes, zone = reading_hours(setting)
    ends = at
    for _ in range(days):
        ends = datetime.combine(opening(setting, ends).astimezone(zone).date(), closes, zone)
    return ends


def later(setting: str, at: datetime, minutes: int) -> datetime:
    """So many open minutes after that moment."""
    left = timedelta(minutes=minutes)
    at = opening(setting, at)
    while True:
        ends = closing(setting, at)
        if at + left <= ends:
            return at + left
        left -= ends - at
        at = opening(setting, ends)
