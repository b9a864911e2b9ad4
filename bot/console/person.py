"""What stands beside a person on every page that is about one: requests, consents, appointments, check-ins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot import i18n
from bot.assistant.forms import SKIPPED
from bot.checkins import questions
from bot.console import reading
from bot.console.access import Field
from bot.console.guard import Visit
from bot.conversation import handoffs
from bot.db.encryption import Vault
from bot.db.models import Checkin
from bot.journeys import interviews

ANSWERED = ("completed", "partial")
WIDTH, HEIGHT = 320, 120  # of what is drawn, without its margins
LEFT, TOP = 32, 10


async def about(visit: Visit, session: AsyncSession, case: reading.Case) -> dict[str, Any]:
    """All of it, as far as their role sees it."""
    vault, everything = visit.console.database.vault, visit.sees(Field.NAME) and visit.sees(Field.PHONE)
    booked = await reading.appointments_of(session, case.person_id) if everything else []
    rounds = await rounds_of(session, vault, case) if everything else []
    seen = await reading.handoffs_of(session, case.person_id, visit.staff)
    return {
        "consents": await reading.consents_of(session, case.person_id),
        "requests": [
            (one, reading.answers(vault, case.key, one, visit.language, everything))
            for one in await reading.requests_of(session, case.person_id)
        ],
        "handoffs": seen,
        "notes": await reading.notes_of(session, vault, case, seen) if visit.sees(Field.NOTES) else [],
        "appointments": [(one, await interviews.spoken_time(session, one, visit.language)) for one in booked],
        "rounds": [(one, round_name(visit, one.weeks, one.months), _because(visit, one)) for one in rounds],
        "trend": trend(rounds),
        "why": lambda one: handoffs.why(one, visit.language),
        "waited": lambda since: waited(visit, since),
    }


def waited(visit: Visit, since: datetime) -> str:
    """How long, in the largest unit that fits."""
    minutes = max(0, int((datetime.now(UTC) - since) / timedelta(minutes=1)))
    if minutes < 60:
        return visit.count("console.minutes", minutes)
    if minutes < 48 * 60:
        return visit.count("console.hours", minutes // 60)
    return visit.count("console.days", minutes // (24 * 60))


# check-ins


@dataclass(frozen=True, slots=True)
class Round:
    """One check-in of a person as the team reads it: « check-in signal v1 », never shown to them."""

    weeks: int
    months: int
    status: str
    at: datetime
    answers: dict[str, Any]
    signal: questions.Signal | None
    level: str | None


async def rounds_of(session: AsyncSession, vault: Vault, case: reading.Case) -> list[Round]:
    """A person's check-ins that have begun, in order."""
    rows = await session.scalars(
        select(Checkin)
        .where(Checkin.person_id == case.person_id, Checkin.round != questions.ENROLMENT, Checkin.status != "planned")
        .order_by(func.coalesce(Checkin.due_at, Checkin.created_at), Checkin.id)
    )
    found = []
    before: dict[str, Any] = {}
    for row in rows:
        answers = vault.open(case.key, row.answers_sealed) if row.answers_sealed else {}
        read = questions.signal(answers, before) if answers else None
        level = row.level if row.level == "red" or read is None else read.level or row.level
        at = row.updated_at if row.status in ANSWERED else row.due_at or row.created_at
        found.append(Round(row.weeks or 0, row.months or 0, row.status, at, answers, read, level))
        before = answers or before
    return found


def round_name(visit: Visit, weeks: int | None, months: int | None) -> str:
    """« 3 months after the return »."""
    return visit.count("console.weeks", weeks) if weeks else visit.count("console.months", months or 0)


def _because(visit: Visit, one: Round) -> list[tuple[str, str]]:
    """The answers that call for somebody first, then the others: question and answer in the reader's words."""
    because = one.signal.because if one.signal is not None else ()
    told = []
    for id_, question in questions.questions().items():
        answer = one.answers.get(id_)
        if answer in (None, SKIPPED):
            continue
        asked = i18n.say(question.step.say, visit.language)
        known = answer in question.step.choices
        said = i18n.say(question.step.choice_text(answer), visit.language) if known else str(answer)
        told.append((id_ not in because, asked, said))
    return [(asked, said) for _, asked, said in sorted(told, key=lambda line: line[0])]


@dataclass(frozen=True, slots=True)
class Line:
    """A dimension over time, as points of a drawing; `pieces`: a gap where too little was answered."""

    dimension: str
    points: Sequence[tuple[float, float]]
    pieces: Sequence[str]


def trend(rounds: Sequence[Round]) -> list[Line]:
    """Each dimension's line; none before there is an answered check-in. 1 is above, 0 below."""
    answered = [one.signal for one in rounds if one.signal is not None and one.status in ANSWERED]
    lines = []
    for dimension in questions.DIMENSIONS if answered else ():
        pieces: list[list[tuple[float, float]]] = [[]]
        for number, read in enumerate(answered):
            value = read.dimensions[dimension]
            if value is None:
                pieces.append([])
                continue
            across = LEFT + (WIDTH * number / (len(answered) - 1) if len(answered) > 1 else WIDTH / 2)
            pieces[-1].append((round(across, 1), round(TOP + HEIGHT * (1 - value), 1)))
        drawn = [" ".join(f"{x},{y}" for x, y in piece) for piece in pieces if len(piece) > 1]
        lines.append(Line(dimension, [point for piece in pieces for point in piece], drawn))
    return lines
