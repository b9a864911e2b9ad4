"""When somebody reads: the hours that the operator set, told truthfully."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from bot import i18n
from bot.messages import Language

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOURS = re.compile(r"(\w{3})-(\w{3}) (\d\d:\d\d)-(\d\d:\d\d) (\S+)")


def reading_hours(setting: str) -> tuple[range, time, time, ZoneInfo]:
    """Read « Mon-Fri 09:00-17:00 Africa/Casablanca »: weekdays, opening and closing wall time, zone."""
    match = _HOURS.fullmatch(setting)
    if match is None or match[1] not in DAYS or match[2] not in DAYS:
        raise ValueError("write it as: Mon-Fri 09:00-17:00 Africa/Casablanca")
    days = range(DAYS.index(match[1]), DAYS.index(match[2]) + 1)
    return days, time.fromisoformat(match[3]), time.fromisoformat(match[4]), ZoneInfo(match[5])


def when_somebody_reads(setting: str, now: datetime, language: Language) -> str:
    """One sentence: somebody reads now, or when the next opening is. Never says that somebody is there who is not."""
    days, opens, closes, zone = reading_hours(setting)
    local = now.astimezone(zone)
    if local.weekday() in days and opens <= local.time() < closes:
        return i18n.say("handoff.when.open", language, closes=closes.strftime("%H:%M"))
    day = local if local.weekday() in days and local.time() < opens else local + timedelta(days=1)
    while day.weekday() not in days:
        day += timedelta(days=1)
    next_opening = datetime.combine(day.date(), opens, zone)
    return i18n.say(
        "handoff.when.closed",
        language,
        day=i18n.written_date(next_opening, str(zone), language),
        opens=opens.strftime("%H:%M"),
    )
