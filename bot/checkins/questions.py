"""The questions of a check-in and what their answers say: « check-in signal v1 », for the order of a human's list.

It is no score of IOM's, is never shown to the person, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import Any, Literal

from bot.assistant.forms import SKIPPED, Step
from bot.checkins.schedule import data

SIGNAL = "check-in signal v1"
ENROLMENT = "enrolment"  # the form that comes before the first check-in
DIMENSIONS = ("economic", "social", "psychosocial")
ANSWERED = 2  # questions that a dimension needs for a mean
PAYMENT = "payment"  # beside the answers: what they asked about, see the file
AMBERS = 2  # amber answers that make a task
LONGEST_ANSWER = 6  # words in which a choice is looked for
DROP = 0.3  # of a dimension since the last time, that makes one
Level = Literal["red", "amber"]


@dataclass(frozen=True, slots=True)
class Question:
    """One question: how it is asked and read, and what its choices mean."""

    id: str
    step: Step
    dimension: str | None
    choices: Mapping[str, Mapping[str, Any]]

    def value(self, answer: str | None) -> float | None:
        """What this answer counts in its dimension; None for none."""
        found: float | None = self.choices.get(answer or "", {}).get("value")
        return found

    def flag(self, answer: str | None, before: str | None) -> str | None:
        """The flag of this answer: red, task, amber, or None."""
        meant = self.choices.get(answer or "", {})
        found: str | None = meant.get("flag") or (meant.get("twice") if answer == before else None)
        return found


@cache
def questions() -> Mapping[str, Question]:
    """Every question by its id."""
    return {id_: _question(id_, described) for id_, described in data()["questions"].items()}


def _question(id_: str, described: Mapping[str, Any]) -> Question:
    return Question(
        id=id_,
        step=Step(
            slot=id_,
            say=described.get("say", f"checkin.{id_}"),
            answer=described.get("answer", "choice"),
            choices=tuple(described["choices"]),
            skip=not described.get("needed", False),
            when={slot: tuple(wanted) for slot, wanted in described["when"].items()} if "when" in described else None,
            words={name: str(meant["words"]) for name, meant in described["choices"].items() if "words" in meant},
            longest=LONGEST_ANSWER,
        ),
        dimension=described.get("dimension"),
        choices=described["choices"],
    )


def form(name: str) -> Sequence[Question]:
    """The questions of this form, in order."""
    return [questions()[id_] for id_ in data()["lists"][name]]


def following(name: str, answers: Mapping[str, Any]) -> Question | None:
    """The question to ask next; None when the form is complete."""
    return next((one for one in form(name) if one.id not in answers and one.step.applies(answers)), None)


@dataclass(frozen=True, slots=True)
class Signal:
    """What the answers of one check-in say: its level, because of which questions, and the dimensions."""

    level: Level | None
    because: Sequence[str]
    dimensions: Mapping[str, float | None]
    change: Mapping[str, float | None]


def signal(answers: Mapping[str, Any], before: Mapping[str, Any]) -> Signal:
    """Read these answers, next to those of the last check-in (empty when there was none)."""
    flags = {one.id: one.flag(answers.get(one.id), before.get(one.id)) for one in questions().values()}
    red = [id_ for id_, flag in flags.items() if flag == "red"]
    amber = [id_ for id_, flag in flags.items() if flag in ("amber", "task")]
    now, then = dimensions(answers), dimensions(before)
    change = {name: _difference(now[name], then[name]) for name in DIMENSIONS}
    dropped = [name for name, difference in change.items() if difference is not None and difference <= -DROP]
    alone = any(flag == "task" for flag in flags.values()) or answers.get("phone") not in (None, "same", SKIPPED)
    alone |= PAYMENT in answers
    level: Level | None = "red" if red else "amber" if alone or dropped or len(amber) >= AMBERS else None
    because = red if level == "red" else amber + dropped if level == "amber" else []
    if level == "amber" and answers.get("phone") not in (None, "same", SKIPPED):
        because = [*because, "phone"]
    if level == "amber" and PAYMENT in answers:
        because = [*because, PAYMENT]
    return Signal(level, because, now, change)


def dimensions(answers: Mapping[str, Any]) -> dict[str, float | None]:
    """The mean of each dimension, of the questions that were answered; None where too few were."""
    found = {}
    for name in DIMENSIONS:
        given = [
            value
            for one in questions().values()
            if one.dimension == name and (value := one.value(answers.get(one.id))) is not None
        ]
        found[name] = round(fmean(given), 3) if len(given) >= ANSWERED else None
    return found


def told(answers: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The answers as the case backend is told them: choices and their values, nothing that was typed."""
    return [
        {
            "question": one.id,
            "answer": answers[one.id] if answers[one.id] in (*one.choices, SKIPPED) else "given",
            "value": one.value(answers[one.id]),
        }
        for one in form(name)
        if one.id in answers
    ]


def typed(answers: Mapping[str, Any], name: str) -> dict[str, str]:
    """What was typed in these answers, by question: not a choice, not left out."""
    return {
        one.id: str(answers[one.id])
        for one in form(name)
        if one.id in answers and answers[one.id] not in (*one.choices, SKIPPED)
    }


def _difference(now: float | None, then: float | None) -> float | None:
    return None if now is None or then is None else round(now - then, 3)
