"""When check-ins are due: never at night, at prayer, on a feast, or in the afternoon of a fasting day."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from bot.channels import whatsapp
from bot.checkins import schedule
from bot.messages import LANGUAGES, Template

FILE = schedule.of_file()
ZONES = ("Africa/Casablanca", "Africa/Nouakchott", "Africa/Douala", "Africa/Conakry", "Africa/Cairo", "Europe/Paris")
# as announced, or as computed by others where they are still to come
FITR = (date(2023, 4, 21), date(2024, 4, 10), date(2025, 3, 30), date(2026, 3, 20), date(2027, 3, 10), date(2030, 2, 4))
ADHA = (date(2023, 6, 28), date(2024, 6, 16), date(2025, 6, 6), date(2026, 5, 27), date(2027, 5, 16), date(2030, 4, 13))
RAMADAN = (date(2024, 3, 11), date(2025, 3, 1), date(2026, 2, 18), date(2027, 2, 8), date(2030, 1, 5))
days = st.dates(date(2024, 1, 1), date(2034, 12, 31))
zones = st.sampled_from(ZONES)


def assert_allowed(moment: datetime, zone: str) -> None:
    """What part 4 of the domain says of the hours, in its own words."""
    local = moment.astimezone(ZoneInfo(zone))
    day, clock = local.date(), local.time()
    assert time(10) <= clock < time(18)
    assert not (local.weekday() == 4 and time(12) <= clock < time(15))
    for feasts in (FITR, ADHA):
        assert all(not timedelta(0) <= day - feast <= timedelta(days=2) for feast in feasts)
    for first in RAMADAN:
        if timedelta(0) <= day - first < timedelta(days=29):
            assert clock < time(15)


@examples(max_examples=100, deadline=None)
@given(returned_on=days, one=st.sampled_from(FILE.rounds), zone=zones, spread=st.integers(0, 10**9))
def test_due_in_allowed_hours(returned_on: date, one: schedule.Round, zone: str, spread: int) -> None:
    """Every check-in is due after its time has passed since the return, not long after it, and in the hours for it."""
    due = FILE.due(returned_on, one, zone, spread)
    assert_allowed(due, zone)
    waited = due.astimezone(ZoneInfo(zone)).date() - returned_on
    least = one.weeks * 7 + one.months * 28
    assert timedelta(days=least) <= waited <= timedelta(days=one.weeks * 7 + one.months * 31 + 8)


@examples(max_examples=100, deadline=None)
@given(moment=st.datetimes(datetime(2024, 1, 1), datetime(2034, 12, 31)), zone=zones)  # noqa: DTZ001 (UTC follows)
def test_moved_forward_only(moment: datetime, zone: str) -> None:
    """Any moment is moved into the hours, never back, and stays where it is once it lies there."""
    at = moment.replace(tzinfo=UTC)
    moved = FILE.allowed(at, zone)
    assert moved >= at
    assert_allowed(moved, zone)
    assert FILE.allowed(moved, zone) == moved
    closes = FILE.closing(moved, zone)
    last = closes - schedule.LEFT
    assert FILE.allowed(last, zone) == last and FILE.allowed(last + timedelta(seconds=1), zone) > closes


@examples(max_examples=100, deadline=None)
@given(moment=st.datetimes(datetime(2024, 1, 1), datetime(2034, 12, 31)), zone=zones)  # noqa: DTZ001 (UTC follows)
def test_whatsapp_has_the_time_to_deliver(moment: datetime, zone: str) -> None:
    """Whenever one goes, its template may: what could arrive after the hours is not sent at all."""
    moved = FILE.allowed(moment.replace(tzinfo=UTC), zone)
    left = FILE.closing(moved, zone) - moved - timedelta(minutes=10)  # it may have to wait for others
    for language in LANGUAGES:
        assert whatsapp.template(Template("check_in", (), int(left.total_seconds())), language, ())


@examples(max_examples=100, deadline=None)
@given(returned_on=days, zone=zones)
def test_in_order(returned_on: date, zone: str) -> None:
    """The check-ins of one person never meet and never change places."""
    due = [FILE.due(returned_on, one, zone, 7) for one in FILE.rounds]
    assert all(later - earlier > timedelta(days=5) for earlier, later in pairwise(due))


@pytest.mark.parametrize(
    ("at", "moved"),
    [
        ("2026-11-24T09:59+00:00", "2026-11-24T10:00+00:00"),  # too early
        ("2026-11-24T18:00+00:00", "2026-11-25T10:00+00:00"),  # the evening
        ("2026-11-27T12:00+00:00", "2026-11-27T15:00+00:00"),  # Friday prayer
        ("2027-02-20T15:30+00:00", "2027-02-21T10:00+00:00"),  # a Ramadan afternoon; Morocco keeps +00
        ("2027-03-10T11:00+00:00", "2027-03-14T10:00+00:00"),  # Eid al-Fitr
        ("2026-08-10T17:30+00:00", "2026-08-11T09:00+00:00"),  # before the clocks of Morocco changed: +01
    ],
)
def test_morocco(at: str, moved: str) -> None:
    """The clock of Casablanca, on both sides of 2026-09-20."""
    assert FILE.allowed(datetime.fromisoformat(at), "Africa/Casablanca") == datetime.fromisoformat(moved)


def test_the_schedule() -> None:
    """Week 2, months 1, 3, 6, 9, 12; 18 and 24 when they are wanted; short ones first."""
    assert [one.id for one in FILE.wanted(12)] == ["week2", "month1", "month3", "month6", "month9", "month12"]
    assert [one.id for one in FILE.wanted(24)][6:] == ["month18", "month24"]
    assert [one.form for one in FILE.wanted(12)] == ["short", "short", "full", "full", "full", "full"]


spans = st.tuples(st.integers(8, 20), st.integers(2, 13)).map(lambda one: f"{one[0]:02}:00-{min(22, sum(one)):02}:00")


@examples(max_examples=100, deadline=None)
@given(
    moment=st.datetimes(datetime(2024, 1, 1), datetime(2034, 12, 31)),  # noqa: DTZ001 (UTC follows)
    zone=zones,
    usual=spans,
    others=st.lists(st.lists(spans, max_size=1), min_size=3, max_size=3),
)
def test_the_hours_of_a_team(moment: datetime, zone: str, usual: str, others: list[list[str]]) -> None:
    """Whatever hours a team chose, empty ones too: forward only, into them, and never on a feast."""
    team = schedule.of_team(None, dict(zip(schedule.NAMES, [[usual], *others], strict=True)), 0)
    at = moment.replace(tzinfo=UTC)
    moved = team.allowed(at, zone)
    assert moved >= at and team.allowed(moved, zone) == moved
    local = moved.astimezone(ZoneInfo(zone))
    name = "friday" if local.weekday() == 4 else "usual"
    kinds = [name, {"friday": "ramadan_friday", "usual": "ramadan"}[name]]
    assert any(opens <= local.time() < closes for kind in kinds for opens, closes in team.hours[kind])
    assert team.closing(moved, zone) - moved >= schedule.LEFT
    for feasts in (FITR, ADHA):
        assert all(not timedelta(0) <= local.date() - feast <= timedelta(days=2) for feast in feasts)


def test_the_rounds_of_a_team() -> None:
    """Those of the file, changed or off, and its own, in order; a form that is no more is as in the file."""
    of_file = {one.id: one for one in FILE.rounds}
    team = schedule.of_team(
        [
            {"id": "week6", "form": "short", "weeks": 6, "months": 0, "on": True},
            {"id": "month1", "form": "short", "weeks": 3, "months": 0, "on": True},
            {"id": "month3", "form": "full", "weeks": 0, "months": 3, "on": False},
            {"id": "month6", "form": "of yesterday", "weeks": 0, "months": 7, "on": True},
        ],
        None,
        4,
    )
    wanted = team.wanted(9)
    assert [one.id for one in wanted] == ["week2", "month1", "week6", "month6", "month9"]
    assert wanted[3] == of_file["month6"] and team.hours == FILE.hours and team.version == 4
    assert schedule.of_team(None, None, 0) == FILE


def test_zones() -> None:
    """The clock of the country where a person lives; Morocco's where it is not known."""
    assert schedule.zone_of("SN") == "Africa/Dakar" and schedule.zone_of("CM") == "Africa/Douala"
    assert schedule.zone_of("skip") == schedule.zone_of(None) == "Africa/Casablanca"
