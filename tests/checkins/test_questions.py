"""What the answers of a check-in say, as part 4 of the domain has it."""

from __future__ import annotations

from typing import Any

import pytest

from bot.assistant.forms import SKIPPED
from bot.checkins import questions

GOOD = {"E1": "always", "E2": "running", "E3": "no", "S1": "yes", "S2": "nothing", "S3": "well",
        "P1": "good", "P2": "yes", "F1": "yes", "H1": "no"}  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "before", "level", "because"),
    [
        ({}, {}, None, []),
        ({"F1": "no"}, {}, "red", ["F1"]),
        ({"P1": "very_bad"}, {}, "red", ["P1"]),
        ({"S1": "no"}, {}, "red", ["S1"]),
        ({"H1": "urgent"}, {}, "red", ["H1"]),
        ({"E1": "rarely"}, {}, None, []),  # one amber answer alone is none
        ({"E1": "never", "P2": "no"}, {}, "amber", ["E1", "P2"]),
        ({"S2": "papers", "S3": "badly"}, {}, "amber", ["S2", "S3"]),
        ({"E2": "waiting"}, {"E2": "waiting"}, "amber", ["E2"]),
        ({"E2": "waiting"}, {"E2": "started"}, None, []),
        ({"H1": "call"}, {}, "amber", ["H1"]),
        ({"H1": "chat"}, {}, "amber", ["H1"]),
        ({"phone": "+212600000000"}, {}, "amber", ["phone"]),
        ({"phone": "same"}, {}, None, []),
        ({"payment": "supplier_quotes"}, {}, "amber", ["payment"]),  # asked about in the middle
        ({"payment": "supplier_quotes", "F1": "no"}, {}, "red", ["F1"]),
        ({"P1": "low", "P2": "sometimes"}, GOOD, "amber", ["psychosocial"]),  # down from 1 to .375
        ({"E1": SKIPPED, "F1": SKIPPED}, GOOD, None, []),
    ],
)
def test_rules(answers: dict[str, str], before: dict[str, str], level: str | None, because: list[str]) -> None:
    """Red and amber, and because of what."""
    read = questions.signal({**GOOD, **answers}, before)
    assert (read.level, list(read.because)) == (level, because)


def test_dimensions() -> None:
    """Means of what was answered, of two questions at least; the change where there are two means."""
    assert questions.dimensions(GOOD) == {"economic": 1, "social": 1, "psychosocial": 1}
    half: dict[str, Any] = {"E1": "half", "E2": "none_planned", "E3": "no", "S1": "yes", "S3": SKIPPED, "P1": "low"}
    assert questions.dimensions(half) == {"economic": 0.75, "social": None, "psychosocial": None}
    assert questions.signal(half, GOOD).change == {"economic": -0.25, "social": None, "psychosocial": None}


def test_the_forms() -> None:
    """The short and the full one; everything can be skipped; the number is asked of who wants a call."""
    ids = [one.id for one in questions.form("short")]
    assert ids == ["E1", "E2", "S1", "P1", "F1", "H1", "phone"]
    assert [one.id for one in questions.form("full")][:-1] == list(GOOD)
    assert all(one.step.skip for name in ("short", "full") for one in questions.form(name))
    assert questions.following("full", GOOD) is None
    asked = questions.following("full", GOOD | {"H1": "call"})
    assert asked is not None and asked.id == "phone"


def test_nothing_typed_is_told() -> None:
    """A number that somebody typed does not leave with the answers."""
    told = questions.told(GOOD | {"H1": "call", "phone": "+212600000000", "E1": SKIPPED}, "full")
    assert told[0] == {"question": "E1", "answer": "skip", "value": None}
    assert told[1] == {"question": "E2", "answer": "running", "value": 1}
    assert told[-1] == {"question": "phone", "answer": "given", "value": None}


def test_what_was_typed() -> None:
    """Only what was typed, of the form that was asked: for case backends that are told of it."""
    answers = GOOD | {"H1": "call", "phone": "+212600000000", "E1": SKIPPED, "returned": "2026-11-01"}
    assert questions.typed(answers, "full") == {"phone": "+212600000000"}
    assert questions.typed(answers | {"phone": "same"}, "full") == {}
