"""The short version of `make chaos`: each point once, each process finding what the one before it left."""

from __future__ import annotations

import itertools
import re

from bot.settings import ROOT
from tests.reliability.chaos import POINTS, Chaos
from tests.reliability.outside import Outside


async def test_killed_once_at_each_point(world: Outside) -> None:
    """Nothing lost, no effect twice, no message twice but where a platform cannot tell us that it has it."""
    turns = [point for point in POINTS if point.name.startswith("turn.")]
    others = [point for point in POINTS if point not in turns]
    between = [point for pair in itertools.zip_longest(others, turns) for point in pair if point is not None]
    outcome = await Chaos(world).relay(between)
    assert (outcome.kills, outcome.accepted, outcome.lost, outcome.doubled) == (len(POINTS), len(POINTS), 0, 0)
    unsure = sum(
        point.platform == "telegram" and point.name in ("delivery.sent", "delivery.part_sent") for point in POINTS
    )
    assert outcome.again <= unsure + sum(point.name.startswith("delivery.") for point in POINTS)


def test_every_point_is_killed_at() -> None:
    """A point that the code names and nobody dies at proves nothing."""
    named = {
        name
        for file in (ROOT / "bot").rglob("*.py")
        for name in re.findall(r'faults\.point\("([\w.]+)"\)', file.read_text())
    }
    elsewhere = {"answers.before_commit", "answers.committed"}  # tests/cases/test_answers.py
    assert named - elsewhere == {point.name for point in POINTS}
    assert len(named) >= 12
