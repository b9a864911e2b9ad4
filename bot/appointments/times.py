"""Times as people agree on them: the clock of a place. UTC follows from it, by the time zone rules of the day.

Rules change: Morocco moved to +00 for good on 2026-09-20. What was agreed is « ten o'clock in Rabat », so the wall
time and the zone are kept, and UTC is computed again whenever the rules did change (`bookings.recompute`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

WALL = "%Y-%m-%dT%H:%M"
QUIET_UNTIL, QUIET_FROM = time(8), time(20)  # nobody is reminded outside of these hours
MORNING = time(10)  # when what has no hour of its own is said
EVENING = time(19)  # when a reminder goes whose own time is in the night that follows


def instant(wall: str, zone: str) -> datetime:
    """The moment in UTC at which the clocks of the zone show this; the first one where they show it twice.

    A wall time that the clocks skip is read with the offset from before the change, as clocks that were not set.
    """
    return datetime.strptime(wall, WALL).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def wall_of(moment: datetime, zone: str) -> str:
    """What the clocks of the zone show at this moment."""
    return moment.astimezone(ZoneInfo(zone)).strftime(WALL)


def day_of(wall: str) -> date:
    """The day of a wall time."""
    return date.fromisoformat(wall[:10])


def awake(moment: datetime, zone: str) -> datetime:
    """This moment, or when it lies in the quiet hours the evening before them: a reminder may come early, not late."""
    local = moment.astimezone(ZoneInfo(zone))
    if QUIET_UNTIL <= local.time() < QUIET_FROM:
        return moment
    day = local.date() if local.time() >= QUIET_FROM else local.date() - timedelta(days=1)
    return datetime.combine(day, EVENING, ZoneInfo(zone)).astimezone(UTC)


def morning(day: date, zone: str) -> datetime:
    """Ten o'clock of this day on the clock of the place, in UTC."""
    return datetime.combine(day, MORNING, ZoneInfo(zone)).astimezone(UTC)


def rested(moment: datetime, zone: str) -> datetime:
    """This moment, or when it lies in the quiet hours the morning after them: nobody could have answered before."""
    local = moment.astimezone(ZoneInfo(zone))
    if QUIET_UNTIL <= local.time() < QUIET_FROM:
        return moment
    return morning(local.date() + timedelta(days=local.time() >= QUIET_FROM), zone)
