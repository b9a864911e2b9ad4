"""The short version of `make chaos`: each point once, each process finding what the one before it left."""

from __future__ import annotations

import re

import pytest

from bot.settings import ROOT
from tests.reliability.chaos import POINTS, Chaos
from tests.reliability.outside import Outside


@pytest.mark.timeout(900)  # half a minute on a machine of its own
async def test_killed_once_at_each_point(world: Outside) -> None:
    """Nothing lost, no effect twice, no message twice but where a platform cannot tell us that it has it."""
    outcome = await Chaos(world).relay(POINTS)
    assert (outcome.kills, outcome.accepted, outcome.lost, outcome.doubled) == (len(POINTS), len(POINTS), 0, 0)
    assert outcome.again <= outcome.kills  # over Telegram alone: the oracles let WhatsApp show nothing twice


def test_every_point_is_killed_at() -> None:
    """A point that the code names and nobody dies at proves nothing."""
    named = {
        name
        for file in (ROOT / "bot").rglob("*.py")
        for name in re.findall(r'faults\.point\("([\w.]+)"\)', file.read_text())
    }
    elsewhere = {"answers.before_commit", "answers.committed"}  # tests/cases/test_answers.py
    elsewhere |= {"keys.rewrapped"}  # tests/db
    elsewhere |= {"handoff.round", "mail.sending", "mail.sent"}  # tests/conversation/test_handoff_rounds.py
    assert named - elsewhere == {point.name for point in POINTS}
    assert len(named) >= 12
