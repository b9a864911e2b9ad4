"""What a person finds wrong in MY DATA is corrected answer by answer, in the chat; nothing else changes.

The question for one answer is the form's own, with a button that leaves it. What is typed below that message may be
the new answer (`is_answer`): no form is open, and any other word goes its usual way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from sqlalchemy import select

from bot import i18n
from bot.appointments import bookings
from bot.assistant import values
from bot.assistant.forms import SKIPPED, NotAnAnswer, Step, Unreadable, forms, read_answer
from bot.checkins import rounds, schedule
from bot.db.models import Enrolment, Request
from bot.journeys import checkins, first_contact
from bot.journeys.context import Choice, Context

LEAVE = "correct_leave"
# of the check-ins: the day of return, and the country whose clock counts
OF_CHECKINS = {
    "returned": Step("returned", "checkin.returned.which", "date"),
    "lives": Step("lives", "checkin.country", "country"),
}
LONGEST_NAME = 6  # words of a name or a place
SHORT = 4  # words that look like an attempt, even where no answer can be read in them
_WORD = re.compile(r"\w+")


async def correct(ctx: Context, **_: Any) -> None:
    """Every answer that stands, as a button; an interview's are changed where it is."""
    choices = []
    request = await _request(ctx)
    if request is not None:
        told = ctx.vault.open(ctx.person_key, request.answers_sealed)
        choices = [_field(ctx, step.slot, f"{step.say}.label") for step in _steps(told)]
    if await bookings.open_of(ctx.session, ctx.person_id) is not None:
        choices.append(ctx.do("button.interview_change", "change_interview"))
    if await _enrolled(ctx) is not None:
        choices += [_field(ctx, name, f"my_data.{name}") for name in OF_CHECKINS]
    person = ctx.do("button.person", "handoff", reason="asked")
    ctx.say("my_data.correct" if choices else "my_data.correct_nothing", [*choices, person])


async def ask(ctx: Context, field: str, **_: Any) -> None:
    """The question for one answer, with its choices and the way out."""
    step = await _step(ctx, field)
    if step is None:
        await _gone(ctx)
        return
    choices = [
        Choice(i18n.say(step.choice_text(choice), ctx.language), _taking(field, choice)) for choice in step.choices
    ]
    if step.skip:
        choices.append(ctx.button("my_data.keep_nothing", _taking(field, SKIPPED)))
    ctx.say(step.say, [*choices, ctx.do("button.not_now", LEAVE, field=field)])


async def leave(ctx: Context, **_: Any) -> None:
    """Nothing changes."""
    ctx.say("my_data.correct_left", [ctx.do("button.my_data", "my_data"), ctx.do("button.help", "help")])


async def take(ctx: Context, field: str, value: str | None = None, **_: Any) -> None:
    """The new answer: pressed (`value`), or typed."""
    step = await _step(ctx, field)
    if step is None:
        await _gone(ctx)
        return
    allowed = (*step.choices, *([SKIPPED] if step.skip else []))
    given = value if value in allowed else _read(ctx, step) if value is None else None
    if given is None:
        ctx.say(_unreadable(step))
        await ask(ctx, field)
    elif field in OF_CHECKINS:
        await _move(ctx, field, given)
    else:
        await _change(ctx, step, given)


def is_answer(ctx: Context, field: str) -> bool:
    """Whether what was typed below the question for this answer is one, or an attempt at it."""
    step = OF_CHECKINS.get(field) or next((one for one in forms()[first_contact.FORM] if one.slot == field), None)
    if step is None or ctx.text.rstrip().endswith(("?", "؟")):
        return False
    return _read(ctx, step) is not None or len(_WORD.findall(ctx.text)) <= SHORT


async def _change(ctx: Context, step: Step, given: str) -> None:
    """An answer of the request: the case backend is told as when it is sent again."""
    request = await _request(ctx)
    assert request is not None  # noqa: S101 (`_step` found it)
    answers = {**ctx.vault.open(ctx.person_key, request.answers_sealed), step.slot: given}
    if answers.get("phone") == "chat":  # nobody calls
        answers.pop("call_time", None)
        answers.pop("call_message", None)
    if given != SKIPPED:
        ctx.say("my_data.corrected", label=i18n.say(f"{step.say}.label", ctx.language), value=_shown(ctx, step, given))
    await first_contact.send_again(ctx, answers)


async def _move(ctx: Context, field: str, given: str) -> None:
    """The day of return, or the country: the check-ins that are to come move with it."""
    enrolment = await _enrolled(ctx)
    assert enrolment is not None and enrolment.returned_on is not None  # noqa: S101 (`_step` found it)
    day = date.fromisoformat(given) if field == "returned" else enrolment.returned_on
    zone = schedule.zone_of(given) if field == "lives" else None
    await rounds.correct(ctx.session, ctx.vault, ctx.person_key, ctx.person_id, day, zone, ctx.now)
    shown = checkins.written(day, ctx) if field == "returned" else i18n.country_name(given, ctx.language)
    ctx.say("my_data.corrected", label=i18n.say(f"my_data.{field}", ctx.language), value=shown)
    await checkins.say_next(ctx)


async def _request(ctx: Context) -> Request | None:
    found: Request | None = await ctx.session.scalar(
        select(Request)
        .where(Request.person_id == ctx.person_id, Request.status.in_(first_contact.LIVE))
        .order_by(Request.id.desc())
        .limit(1)
    )
    return found


async def _enrolled(ctx: Context) -> Enrolment | None:
    found: Enrolment | None = await ctx.session.scalar(
        select(Enrolment).where(
            Enrolment.person_id == ctx.person_id, Enrolment.status == "active", Enrolment.returned_on.is_not(None)
        )
    )
    return found


def _steps(told: Mapping[str, Any]) -> list[Step]:
    """The questions of the request that have an answer. For whom it is, is not corrected: that is another request."""
    steps = []
    for step in forms()[first_contact.FORM]:
        if step.slot in first_contact.HIDDEN or told.get(step.slot) in (None, SKIPPED):
            continue
        if step.slot == "direction":
            if told[step.slot] == first_contact.FOR_ANOTHER:
                continue
            others = tuple(choice for choice in step.choices if choice != first_contact.FOR_ANOTHER)
            step = replace(step, choices=others)
        steps.append(step)
    return steps


async def _step(ctx: Context, field: str) -> Step | None:
    """The question of this answer, if there is still something to correct."""
    if field in OF_CHECKINS:
        return OF_CHECKINS[field] if await _enrolled(ctx) is not None else None
    request = await _request(ctx)
    told = ctx.vault.open(ctx.person_key, request.answers_sealed) if request is not None else {}
    return next((step for step in _steps(told) if step.slot == field), None)


def _read(ctx: Context, step: Step) -> str | None:
    if step.slot == "returned":
        return checkins.past_day(ctx)
    if step.slot == "lives":
        return values.read_country(ctx.text)
    if step.answer == "text" and step.slot != "note" and len(_WORD.findall(ctx.text)) > LONGEST_NAME:
        return None
    try:
        return read_answer(step, {"text": ctx.text})
    except (NotAnAnswer, Unreadable):
        return None


def _unreadable(step: Step) -> str:
    return "checkin.unreadable" if step.slot in OF_CHECKINS else f"{step.say}.unreadable"


def _shown(ctx: Context, step: Step, value: str) -> str:
    if value in step.choices:
        return i18n.say(step.choice_text(value), ctx.language)
    if step.answer == "country":
        return i18n.country_name(value, ctx.language)
    return i18n.isolated(value) if ctx.language == "ar" else value


async def _gone(ctx: Context) -> None:
    ctx.say("button.stale", [ctx.do("button.my_data", "my_data"), ctx.do("button.help", "help")])


def _field(ctx: Context, field: str, label: str) -> Choice:
    return ctx.do(label, "correct_field", field=field)


def _taking(field: str, value: str) -> dict[str, Any]:
    return {"do": "correct_to", "with": {"field": field, "value": value}}
