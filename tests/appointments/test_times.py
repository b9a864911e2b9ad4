"""Times as they were agreed, on both sides of every change of the clocks."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.appointments import times


@pytest.mark.parametrize(
    ("wall", "zone", "utc"),
    [
        # Morocco: +01, +00 in Ramadan, and +00 for good since 2026-09-20
        ("2026-01-15T10:00", "Africa/Casablanca", "09:00"),
        ("2026-03-02T10:00", "Africa/Casablanca", "10:00"),
        ("2026-09-18T10:00", "Africa/Casablanca", "09:00"),
        ("2026-09-19T23:30", "Africa/Casablanca", "22:30"),
        ("2026-09-20T10:00", "Africa/Casablanca", "10:00"),
        ("2026-09-21T10:00", "Africa/Casablanca", "10:00"),
        ("2026-11-24T10:00", "Africa/Casablanca", "10:00"),
        ("2027-02-20T12:00", "Africa/Casablanca", "12:00"),
        ("2027-07-01T09:00", "Africa/El_Aaiun", "09:00"),
        ("2026-09-19T10:00", "Africa/Nouakchott", "10:00"),
        ("2026-09-21T10:00", "Africa/Nouakchott", "10:00"),
        ("2027-02-20T10:00", "Africa/Nouakchott", "10:00"),
        ("2026-09-19T10:00", "Africa/Douala", "09:00"),
        ("2026-09-21T10:00", "Africa/Douala", "09:00"),
        ("2027-02-20T10:00", "Africa/Douala", "09:00"),
        # Paris on its change days
        ("2026-03-29T01:30", "Europe/Paris", "00:30"),
        ("2026-03-29T03:30", "Europe/Paris", "01:30"),
        ("2026-03-29T10:00", "Europe/Paris", "08:00"),
        ("2026-10-25T02:30", "Europe/Paris", "00:30"),  # twice: the first
        ("2026-10-25T03:30", "Europe/Paris", "02:30"),
        ("2026-10-25T10:00", "Europe/Paris", "09:00"),
    ],
)
def test_the_moment_of_a_wall_time(wall: str, zone: str, utc: str) -> None:
    """Ten o'clock in Rabat is what the clocks of Rabat will show, not what an old table says."""
    moment = times.instant(wall, zone)
    assert moment.strftime("%H:%M") == utc and moment.tzinfo is UTC
    assert times.wall_of(moment, zone) == wall


def test_a_time_that_the_clocks_skip() -> None:
    """Read with the offset from before: half past two in Paris on that morning is half past three."""
    assert times.wall_of(times.instant("2026-03-29T02:30", "Europe/Paris"), "Europe/Paris") == "2026-03-29T03:30"


@given(
    minutes=st.integers(0, 60 * 24 * 800),
    zone=st.sampled_from(["Africa/Casablanca", "Africa/Nouakchott", "Africa/Douala", "Europe/Paris"]),
)
def test_quiet_hours(minutes: int, zone: str) -> None:
    """A reminder goes between 8 and 20 on the clock of the place, never later than it was meant, at most 13 hours early."""
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    moved = times.awake(moment, zone)
    assert time(8) <= moved.astimezone(ZoneInfo(zone)).time() < time(20)
    assert moment - timedelta(hours=14) <= moved <= moment
