"""Row 25 of the fault matrix, the short version: many check-ins at once, people who write, a kill in the middle."""

from __future__ import annotations

import statistics

from tests.reliability.mass import DOCUMENT, HEADER, Counted, Mass, busiest, holds, row, written
from tests.reliability.outside import Outside


async def test_check_ins_are_due_at_once(world: Outside) -> None:
    """Limits hold as the platforms count them, answers overtake, a kill loses nothing, the day's people are counted."""
    world.whatsapp.people_a_day = 20
    world = world.with_settings(whatsapp_people_per_day=20)
    counted = await Mass(world).morning(each=60, strangers=30, pause=0.4)
    assert (counted.check_ins, counted.sent, counted.waiting, counted.opened) == (150, 140, 10, 20)
    assert counted.busiest["telegram"] <= 30 and counted.busiest["whatsapp"] <= 80
    assert counted.refused == 0
    assert counted.again <= 16  # Telegram: what one process had under way when it was killed
    # three seconds; on a machine that is busy with other things as much more as a turn takes anyway
    assert counted.p95 <= max(3.0, 5 * statistics.median(counted.idle)), counted.waits


def test_the_busiest_second() -> None:
    """It is counted over any second, not over those of the clock."""
    assert busiest([0.9, 1.0, 1.5, 1.89, 1.95, 5.0]) == 4
    assert busiest([]) == 0


def test_the_table_is_written_into_the_document() -> None:
    """The line of before gives way, nothing else changes; what breaks a limit or takes too long does not hold."""
    counted = Counted(3, 2, 1, busiest={"telegram": 19, "whatsapp": 42}, idle=[0.1], waits=[0.5, 1.0], took=7.4)
    document = DOCUMENT.read_text(encoding="utf-8")
    table = HEADER + "\n" + row(counted)
    new = written(document, table)
    assert "| 3 | 2 | 1 | 0 | 0 | 19, 42 | 0 | 7 | 2 | 0.75, 0.97 | 0.10 |" in new
    assert written(new, "").count("|") == written(document, "").count("|")
    assert written(new, table) == new
    assert holds(counted)
    counted.waits.append(9.0)
    assert not holds(counted)
