"""When somebody reads: the hours that the operator set, told truthfully."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot import i18n
from bot.messages import Language
from bot.settings import reading_hours


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
