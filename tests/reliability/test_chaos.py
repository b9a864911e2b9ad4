"""The short version of `make chaos`: each point once, each process finding what the one before it left."""

from __future__ import annotations

import itertools
import re

import pytest

from bot.settings import ROOT
from tests.reliability.chaos import POINTS, Chaos, Point
from tests.reliability.outside import Outside


@pytest.mark.timeout(900)  # half a minute on a machine of its own
async def test_killed_once_at_each_point(world: Outside) -> None:
    """Nothing lost, no effect twice, no message twice but where a platform cannot tell us that it has it."""
    outcome = await Chaos(world).relay(interleaved())
    assert (outcome.kills, outcome.accepted, outcome.lost, outcome.doubled) == (len(POINTS), len(POINTS), 0, 0)
    sending = [point for point in POINTS if point.name in ("delivery.sent", "delivery.part_sent")]
    assert outcome.again <= len([point for point in sending if point.platform == "telegram"]) + 1


def interleaved() -> list[Point]:
    """All points, so that what dies in its turn is brought to its end by the next process: three tries are all it has."""
    turns = [point for point in POINTS if point.name.startswith("turn.")]
    late = [point for point in POINTS if point.name.startswith(("delivery.", "cases.", "media."))]
    early = [point for point in POINTS if point not in turns + late]
    mixed = itertools.zip_longest(turns, late[: len(turns)], early, late[len(turns) :])
    return [point for four in mixed for point in four if point is not None]


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
