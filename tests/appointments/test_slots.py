"""The times that are made from an office's hours, whatever they are."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bot.appointments import slots, times
from bot.db.models import Office

CLOCK = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))
HOURS = st.fixed_dictionaries({"days": st.lists(st.integers(0, 6), unique=True), "from": CLOCK, "until": CLOCK})
DAYS = st.dates(date(2026, 8, 1), date(2027, 4, 30))


@given(
    ordinary=st.lists(HOURS, max_size=3),
    special=st.lists(HOURS, max_size=2),
    between=st.tuples(DAYS, DAYS),
    since=DAYS,
    length=st.integers(0, 40),
    minutes=st.sampled_from([20, 30, 45, 60, 90]),
    closed=st.sets(st.one_of(DAYS.map(date.isoformat), DAYS.map(lambda day: day.isoformat()[5:])), max_size=20),
    zone=st.sampled_from(["Africa/Casablanca", "Africa/Nouakchott", "Africa/Douala", "Europe/Paris"]),
)
def test_every_time_is_within_the_hours(
    ordinary: list[dict[str, object]],
    special: list[dict[str, object]],
    between: tuple[date, date],
    since: date,
    length: int,
    minutes: int,
    closed: set[str],
    zone: str,
) -> None:
    """Within the days asked for, never on a closed one, within that day's hours from begin to end, in order of days."""
    span = [day.isoformat() for day in between]
    office = Office(minutes=minutes, hours=[*ordinary, *({**hours, "between": span} for hours in special)])
    until = since + timedelta(days=length)
    made = list(slots._walls(office, since, until, closed))
    assert [wall[:10] for wall in made] == sorted(wall[:10] for wall in made)
    for wall in made:
        day, begins = times.day_of(wall), datetime.strptime(wall, times.WALL)  # noqa: DTZ007 (a wall time)
        assert since <= day <= until and wall[:10] not in closed and wall[5:10] not in closed
        hours = special if special and span[0] <= wall[:10] <= span[1] else ordinary
        assert any(
            day.weekday() in one["days"]  # type: ignore[operator]
            and begins.time() >= time.fromisoformat(str(one["from"]))
            and begins + timedelta(minutes=minutes) <= datetime.combine(day, time.fromisoformat(str(one["until"])))
            for one in hours
        )
    if len(ordinary) == 1 and not special:  # one after the other
        begin = [datetime.strptime(wall, times.WALL) for wall in made]  # noqa: DTZ007
        assert all(later - earlier >= timedelta(minutes=minutes) for earlier, later in pairwise(begin))
