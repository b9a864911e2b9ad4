"""Check-ins after return: agreed to, answered one question at a time, put off, stopped.

The questions are data (flows/checkins/checkins.yml) and the service's own; Rasa answers what comes between. A row in
the database remembers the answers and the open question, so that a form goes on after hours or days.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot import i18n
from bot.assistant import said, values
from bot.assistant.forms import ASKED_AGAIN, LONGEST_TEXT, SKIPPED, read_choice, told_beside
from bot.assistant.rasa import Decision
from bot.checkins import questions, rounds, schedule
from bot.checkins.questions import ENROLMENT, Question
from bot.db.encryption import Vault
from bot.db.models import Checkin, Consent, Enrolment, Person, Request
from bot.journeys import handoff
from bot.journeys.context import Choice, Context, new_reference
from bot.journeys.hours import when_somebody_reads
from bot.settings import reading_hours

FORM = "checkin"  # what the talk around it takes for a form in progress
PURPOSE = "checkins"
CONSENT_VERSION = "2026-11"  # of the text checkin.consent: change both together
AGO = {"this_week": timedelta(days=3), "this_month": timedelta(days=15)}  # what the buttons of `returned` stand for
LATER = timedelta(days=1)  # how long that is
LONGEST_DATE = 8  # words in which a day is
AHEAD = {
    "demain", "tomorrow", "غدا", "ghedda", "ghadda", "prochain", "prochaine", "next", "القادم", "القادمه", "المقبل",
    "المقبله",
}  # fmt: skip
_WORD = re.compile(r"\w+")
_LETTERS = re.compile(r"[^\W\d_]")


async def checkins(ctx: Context, **_: Any) -> None:
    """« Check-in », said by the person: go on with the one that waits, or agree to be asked from time to time."""
    if ctx.form not in (None, FORM):
        _busy(ctx, ctx.do("button.checkins", "checkins"))
        return
    row = await rounds.current(ctx.session, ctx.person_id)
    enrolment = await rounds.enrolment_of(ctx.session, ctx.person_id)
    if row is not None:
        await _open(ctx, row)
    elif enrolment is None:
        await _begin(ctx)
    else:
        due_at = await ctx.session.scalar(
            select(func.min(Checkin.next_at)).where(Checkin.enrolment_id == enrolment.id, Checkin.status == "planned")
        )
        zone = enrolment.zone or schedule.HOME
        day = i18n.written_date(due_at, zone, ctx.language) if due_at else "–"
        ctx.say("checkin.enrolled_already", [ctx.do("button.checkin_stop", "stop_checkins")], day=day)
        await _unless_stopped(ctx)


async def answer_now(ctx: Context, checkin: int, **_: Any) -> None:
    """« Answer », under a check-in's first message, its reminder, or the words of care."""
    row = await _own(ctx, checkin)
    if row is None:
        await _over(ctx)
    elif ctx.form not in (None, FORM):
        _busy(ctx, ctx.do("button.checkin_now", "checkin_now", checkin=row.id))
    else:
        await _open(ctx, row)


async def later(ctx: Context, checkin: int, **_: Any) -> None:
    """Not now: what was answered stays; remembered once, tomorrow, unless that was done already."""
    row = await _own(ctx, checkin)
    if row is None:
        await _over(ctx)
        return
    row.asked = None
    ctx.checkin = None
    if row.reminded_at is None and row.round != ENROLMENT:
        row.next_at = schedule.held().allowed(ctx.now + LATER, await _zone(ctx, row))
    row.updated_at = ctx.now
    await ctx.session.flush()
    ctx.say("checkin.later", [ctx.do("button.checkin_now", "checkin_now", checkin=row.id)])


async def stop(ctx: Context, **_: Any) -> None:
    """No check-ins any more: the consent is taken back, nothing else changes."""
    ctx.checkin = None
    stopped = await rounds.stop(ctx.session, ctx.person_id, "person", ctx.now, for_good=True)
    await withdraw(ctx)
    again = [ctx.do("button.checkins", "checkins"), ctx.do("button.person", "handoff", reason="asked")]
    ctx.say("checkin.stopped" if stopped else "checkin.none", again)


async def pause(ctx: Context) -> None:
    """STOP: what is under way ends; the next one comes only if the person wants messages again by then."""
    ctx.checkin = None
    await rounds.stop(ctx.session, ctx.person_id, "person", ctx.now, for_good=False)


async def withdraw(ctx: Context) -> None:
    """The consent to be asked is taken back."""
    await ctx.session.execute(
        update(Consent)
        .where(Consent.person_id == ctx.person_id, Consent.purpose == PURPOSE, Consent.withdrawn_at.is_(None))
        .values(withdrawn_at=ctx.now)
    )


async def reply(ctx: Context, checkin: int, question: str, value: str, **_: Any) -> None:
    """A button under one of the questions."""
    row = await _own(ctx, checkin)
    if row is None:
        await _over(ctx)
        return
    if ctx.form not in (None, FORM):  # one thing at a time: words would be taken for answers to the other
        _busy(ctx, ctx.do("button.checkin_now", "checkin_now", checkin=row.id))
        return
    if row.status in rounds.WAITING:
        await _open(ctx, row, silently=True)
    if row.asked not in (None, question):
        ctx.say("button.stale")
        await _ask(ctx, row)
    else:
        ctx.checkin = row.id
        await _take(ctx, row, questions.questions()[question], value)


async def read(ctx: Context) -> bool:
    """Take a typed text as the answer to the open question; False when it is none, and nothing was done."""
    row = await _own(ctx, ctx.checkin) if ctx.checkin is not None else None
    if row is None or row.asked is None:
        return False
    if _says(ctx, "button.checkin_later"):
        await later(ctx, row.id)
        return True
    if _says(ctx, "button.checkin_stop"):
        await stop(ctx)
        return True
    question = questions.questions()[row.asked]
    value = _read(ctx, question)
    if value is not None:
        await _take(ctx, row, question, value)
        return True
    return await _beside(ctx, row, question)


async def _beside(ctx: Context, row: Checkin, question: Question) -> bool:
    """What belongs to another question, told in the middle: kept for it. A number or an age is about no topic."""
    slots = {one.id for one in questions.form(row.form)}
    told = {} if row.asked == "consent" else told_beside(question.step, ctx.text, slots)
    if "age_group" in told:
        if told["age_group"] == "adult":
            ctx.say("first_contact.age_group.kept")
        await _take(ctx, row, questions.questions()["age_group"], told["age_group"])
    elif "phone" in told:
        await _keep(ctx, row, told)
        ctx.say("checkin.number")
        await _ask(ctx, row)
    elif said.corrects(ctx.text) and (before := _answered_before(ctx, row)) is not None:
        answers = {name: value for name, value in _answers(ctx, row).items() if name != before}
        row.answers_sealed, row.asked = ctx.vault.seal(ctx.person_key, answers), before
        await ctx.session.flush()
        await _ask(ctx, row)
    elif said.corrects(ctx.text) or _LETTERS.search(ctx.text) is None or values.age_alone(ctx.text) != "unknown":
        ctx.say("checkin.unreadable")
        await _ask(ctx, row)
    else:
        return False
    return True


def _answered_before(ctx: Context, row: Checkin) -> str | None:
    """The question that was answered last before the open one."""
    answers, ids = _answers(ctx, row), [one.id for one in questions.form(row.form)]
    given = [id_ for id_ in ids[: ids.index(row.asked or "")] if id_ in answers and id_ != "consent"]
    return given[-1] if given else None


async def misread(ctx: Context, decision: Decision) -> bool:
    """Whether what Rasa made of a text is nothing that means anything here: the open question comes again."""
    if ctx.checkin is None or ctx.draft is not None or decision.form is not None:
        return False
    if decision.understanding.intent not in ASKED_AGAIN - {"return_request", "resume"}:
        return False
    ctx.say("checkin.unreadable")
    return True


async def resume(ctx: Context, form: str | None) -> None:
    """After something else in the middle, the open question again; where another form begins, this one waits."""
    if ctx.checkin is None or ctx.erased:
        return
    await _notice_payment(ctx)
    if ctx.draft is not None or form is not None:
        await put_off(ctx)
        return
    if any(saying.choices for saying in ctx.sayings):  # what offers choices of its own comes first
        return
    row = await _own(ctx, ctx.checkin)
    if row is not None and row.asked is not None:
        await _ask(ctx, row)


async def _notice_payment(ctx: Context) -> None:
    """Who asks about a payment or a quote just now may have a problem with it: somebody of the team looks."""
    row = await _own(ctx, ctx.checkin) if ctx.checkin is not None and ctx.topic in schedule.data()["payment"] else None
    if row is not None and row.round != ENROLMENT:
        await _keep(ctx, row, {questions.PAYMENT: str(ctx.topic)})


async def put_off(ctx: Context) -> None:
    """Something else begins: no word is taken for an answer any more; the answers stay, and it is remembered once."""
    row = await _own(ctx, ctx.checkin) if ctx.checkin is not None else None
    ctx.checkin = None
    if row is not None:
        row.asked = None
        await ctx.session.flush()


async def cue(ctx: Context, name: str) -> None:
    """The safety triage heard something in the middle of a check-in: it is red (the handoff is made already)."""
    row = await _own(ctx, ctx.checkin) if ctx.checkin is not None else None
    if row is None or row.round == ENROLMENT:
        return
    if row.level != "red":
        await rounds.flag(ctx.session, row, "red", [f"cue:{name}"], None, ctx.now)
    await _leave_in_peace(ctx, row)


async def erase(ctx: Context) -> None:
    """The person is erased: the case backend hears that nobody is asked any more."""
    await rounds.stop(ctx.session, ctx.person_id, "erased", ctx.now, for_good=True)


async def kept(ctx: Context) -> list[str]:
    """What MY DATA says of check-ins."""
    answered = await ctx.session.scalar(
        select(func.count()).where(
            Checkin.person_id == ctx.person_id, Checkin.round != ENROLMENT, Checkin.answers_sealed.is_not(None)
        )
    )
    enrolment = await rounds.enrolment_of(ctx.session, ctx.person_id)
    lines = []
    if enrolment is not None and enrolment.returned_on is not None:
        lines.append(i18n.say("my_data.checkins", ctx.language, day=written(enrolment.returned_on, ctx)))
    if answered:
        lines.append(i18n.say("my_data.checkin_answers", ctx.language, number=answered))
    return lines


async def invite(
    session: AsyncSession,
    vault: Vault,
    key: bytes,
    person_id: int,
    conversation_id: int,
    returned_on: date,
    zone: str,
    told: Mapping[str, str],
    said_at: datetime,
) -> Checkin | None:
    """The team recorded a return: the row that the person's answer to the invitation belongs to.

    `told`: what the person said elsewhere. None for who is enrolled already, said no, or took their consent back.
    """
    known = await session.scalar(
        select(Enrolment.id).where(Enrolment.person_id == person_id, Enrolment.status.in_([*rounds.OPEN, "declined"]))
    )
    taken_back = await session.scalar(
        select(Consent.withdrawn_at)
        .where(Consent.person_id == person_id, Consent.purpose == PURPOSE)
        .order_by(Consent.id.desc())
        .limit(1)
    )
    if known is not None or taken_back is not None:
        return None
    enrolment = Enrolment(
        reference=new_reference("CK"),
        person_id=person_id,
        conversation_id=conversation_id,
        status="invited",
        returned_on=returned_on,
        zone=zone,
        recorded_at=said_at,
    )
    session.add(enrolment)
    await session.flush()
    row = Checkin(
        enrolment_id=enrolment.id,
        person_id=person_id,
        round=ENROLMENT,
        form=ENROLMENT,
        status="sent",
        answers_sealed=vault.seal(key, {**told, "returned": returned_on.isoformat(), "country": SKIPPED}),
    )
    session.add(row)
    await session.flush()
    return row


def answering(row: Checkin, question: str, value: str) -> dict[str, Any]:
    """What a button under a question does."""
    return {"do": "checkin_answer", "with": {"checkin": row.id, "question": question, "value": value}}


# the questions


async def _begin(ctx: Context) -> None:
    """The questions that come before the first check-in; what a request tells already is not asked again."""
    request = await ctx.session.scalar(
        select(Request)
        .where(Request.person_id == ctx.person_id, Request.status != "withdrawn")
        .order_by(Request.id.desc())
        .limit(1)
    )
    told = ctx.vault.open(ctx.person_key, request.answers_sealed) if request is not None else {}
    if told.get("age_group") in ("child", "unknown"):
        await _by_a_person(ctx)
        return
    answers = {name: told[name] for name in ("age_group",) if told.get(name)}
    country = values.read_country(ctx.text) if ctx.text else None
    if country is not None:  # « I am back in Guinea, check in with me »
        answers["country"] = country
    enrolment = Enrolment(reference=new_reference("CK"), person_id=ctx.person_id, conversation_id=ctx.conversation_id)
    ctx.session.add(enrolment)
    await ctx.session.flush()
    row = Checkin(
        enrolment_id=enrolment.id,
        person_id=ctx.person_id,
        round=ENROLMENT,
        form=ENROLMENT,
        status="open",
        answers_sealed=ctx.vault.seal(ctx.person_key, answers),
    )
    ctx.session.add(row)
    await ctx.session.flush()
    await _go_on(ctx, row)


async def _open(ctx: Context, row: Checkin, silently: bool = False) -> None:
    """A good moment: the first question, or the one that was left open."""
    if row.status in rounds.WAITING:
        rounds.step(row, "open", ctx.now)
        row.next_at = None if row.round == ENROLMENT else await _patience(ctx, row)
        await ctx.session.flush()
    if not silently:
        await _go_on(ctx, row)


async def _go_on(ctx: Context, row: Checkin) -> None:
    """The next question, or the end."""
    ctx.checkin = row.id
    answers = _answers(ctx, row)
    following = questions.following(row.form, answers)
    row.asked = following.id if following is not None else None
    row.updated_at = ctx.now
    if following is not None:
        row.next_at = ctx.now + rounds.DRAFT_LIFE if row.round == ENROLMENT else await _patience(ctx, row)
    await ctx.session.flush()
    if following is not None:
        await _ask(ctx, row)
    elif row.round == ENROLMENT:
        await _enrolled(ctx, row, answers)
    else:
        await _completed(ctx, row, answers)


async def _patience(ctx: Context, row: Checkin) -> datetime:
    """When the service comes back to a form that nobody goes on with."""
    return schedule.held().allowed(ctx.now + rounds.WAIT, await _zone(ctx, row))


async def _ask(ctx: Context, row: Checkin) -> None:
    step = questions.questions()[row.asked or ""].step
    choices = [
        Choice(i18n.say(step.choice_text(choice), ctx.language), answering(row, step.slot, choice))
        for choice in [*step.choices, *([SKIPPED] if step.skip else [])]
    ]
    ctx.say(step.say, [*choices, ctx.do("button.checkin_later", "checkin_later", checkin=row.id)])


async def _take(ctx: Context, row: Checkin, question: Question, value: str) -> None:
    """An answer to the open question, wherever it came from."""
    if question.id == "consent":
        if value != "yes":
            await _decline(ctx, row)
            ctx.say("checkin.declined", [ctx.do("button.help", "help")])
            return
        await ctx.session.execute(
            insert(Consent).values(
                person_id=ctx.person_id, purpose=PURPOSE, version=CONSENT_VERSION, channel=ctx.channel
            )
        )
    elif question.id == "age_group" and value != "adult":
        await _decline(ctx, row)
        await withdraw(ctx)
        await _by_a_person(ctx)
        return
    elif question.id == "returned" and value == "earlier":
        row.asked = question.id
        await ctx.session.flush()
        ctx.say("checkin.returned.which", [ctx.do("button.checkin_later", "checkin_later", checkin=row.id)])
        return
    elif question.id == "returned" and value in AGO:
        value = (ctx.now.date() - AGO[value]).isoformat()
    await _keep(ctx, row, {question.id: value})
    if question.flag(value, None) == "red" and row.level != "red":
        await _care(ctx, row, question)
    else:
        await _go_on(ctx, row)


async def _keep(ctx: Context, row: Checkin, given: Mapping[str, str]) -> None:
    row.answers_sealed = ctx.vault.seal(ctx.person_key, {**_answers(ctx, row), **given})
    row.updated_at = ctx.now
    await ctx.session.flush()


async def _care(ctx: Context, row: Checkin, question: Question) -> None:
    """A red answer: a person is asked for at once, words of care, and the form goes on only when they want it to."""
    reference = await handoff.record(ctx, "checkin_red", "P0")
    await rounds.flag(ctx.session, row, "red", [question.id], reference, ctx.now)
    choices = [ctx.do("button.emergency", "emergency")]
    if questions.following(row.form, _answers(ctx, row)) is not None:
        choices.append(ctx.do("button.checkin_go_on", "checkin_now", checkin=row.id))
        choices.append(ctx.do("button.checkin_later", "checkin_later", checkin=row.id))
    ctx.say(
        "checkin.care",
        choices,
        reference=reference,
        when=when_somebody_reads(ctx.settings.rafiq_reading_hours, ctx.now, ctx.language),
    )
    if len(choices) == 1:
        await _go_on(ctx, row)
    else:
        await _leave_in_peace(ctx, row)


async def _leave_in_peace(ctx: Context, row: Checkin) -> None:
    """Nothing is asked, and no word is taken for an answer, until they say that they want to go on."""
    ctx.checkin = row.asked = None
    row.next_at = await _patience(ctx, row)
    await ctx.session.flush()


async def _completed(ctx: Context, row: Checkin, answers: Mapping[str, Any]) -> None:
    ctx.checkin = None
    free_text = ctx.settings.rafiq_checkins_free_text
    signal = await rounds.complete(ctx.session, ctx.vault, ctx.person_key, row, answers, ctx.now, free_text)
    if signal.level == "amber" and row.level is None:
        reference = await handoff.record(ctx, "checkin_amber", "P2")
        await rounds.flag(ctx.session, row, "amber", list(signal.because), reference, ctx.now)
        zone = reading_hours(ctx.settings.rafiq_reading_hours)[3]
        day = i18n.written_date(handoff.due(ctx.settings, "P2", ctx.now), str(zone), ctx.language)
        ctx.say("checkin.done_amber", [ctx.do("button.help", "help")], reference=reference, day=day)
    else:
        ctx.say("checkin.done", [ctx.do("button.person", "handoff", reason="asked")])


async def _enrolled(ctx: Context, row: Checkin, answers: Mapping[str, Any]) -> None:
    """All is known: the check-ins are planned, and the person is told when the first one comes."""
    ctx.checkin = None
    rounds.step(row, "completed", ctx.now)
    row.answers_sealed = None  # what is needed of them stands in the enrolment
    enrolment = await rounds.enrolment_of(ctx.session, ctx.person_id)
    if enrolment is None:
        await _over(ctx)
        return
    returned_on = date.fromisoformat(str(answers["returned"]))
    zone = enrolment.zone or schedule.zone_of(answers["country"])
    months = ctx.settings.rafiq_checkins_months
    first = await rounds.activate(ctx.session, enrolment, returned_on, zone, ctx.now, months)
    if first is None:
        ctx.say("checkin.too_late", [ctx.do("button.person", "handoff", reason="asked")])
        return
    ctx.say(
        "checkin.enrolled",
        [
            ctx.do("button.help", "help"),
            ctx.do("button.correct", "correct_field", field="returned"),
            ctx.do("button.checkin_stop", "stop_checkins"),
        ],
        returned=written(returned_on, ctx),
        day=i18n.written_date(first, zone, ctx.language),
    )
    await _unless_stopped(ctx)


async def say_next(ctx: Context) -> None:
    """When the next check-in comes, after something about it was corrected; or that it is too late for any."""
    enrolment = await rounds.enrolment_of(ctx.session, ctx.person_id)
    due_at = await ctx.session.scalar(
        select(func.min(Checkin.next_at)).where(
            Checkin.person_id == ctx.person_id, Checkin.status == "planned", Checkin.next_at.is_not(None)
        )
    )
    if enrolment is None or due_at is None:
        ctx.say("checkin.too_late", [ctx.do("button.person", "handoff", reason="asked")])
        return
    day = i18n.written_date(due_at, enrolment.zone or schedule.HOME, ctx.language)
    ctx.say("checkin.moved", [ctx.do("button.my_data", "my_data"), ctx.do("button.help", "help")], day=day)
    await _unless_stopped(ctx)


async def _unless_stopped(ctx: Context) -> None:
    """A day was named: who wrote STOP is told that nothing comes before they write START."""
    stopped = await ctx.session.scalar(select(Person.stopped_at).where(Person.id == ctx.person_id))
    if stopped is not None:
        ctx.say("checkin.enrolled.stopped", [ctx.do("button.resume", "resume"), ctx.do("button.help", "help")])


def _busy(ctx: Context, again: Choice) -> None:
    """Another form is open: it may be left, and this begun."""
    leave = "leave_interview" if ctx.draft is not None else "leave_first_contact"
    ctx.say("checkin.busy", [ctx.do("button.interview_leave", leave), again])


async def _decline(ctx: Context, row: Checkin) -> None:
    """Nothing of the questions before the first check-in is kept."""
    enrolment_id, ctx.checkin = row.enrolment_id, None
    await ctx.session.execute(delete(Checkin).where(Checkin.id == row.id))
    await ctx.session.execute(
        update(Enrolment).where(Enrolment.id == enrolment_id).values(status="declined", updated_at=ctx.now)
    )


def _read(ctx: Context, question: Question) -> str | None:
    """The answer that the typed text gives to this question, or None."""
    step, text = question.step, ctx.text
    if step.answer == "phone":
        return values.read_phone(text) or read_choice(step, text)
    if said.asks(text):
        return None
    if step.answer == "date" and (day := _ago(ctx)) is not None:
        return day
    chosen = read_choice(step, text)
    if chosen is not None:
        return chosen
    if step.answer == "age_group":
        group = values.read_age_group(text)
        return None if group == "unknown" else group
    if step.answer == "country":
        return values.read_country(text)
    if step.answer == "text":
        return text[:LONGEST_TEXT]
    return past_day(ctx) if step.answer == "date" else None


def _ago(ctx: Context) -> str | None:
    """The day that was so long ago, as it was typed."""
    days = values.read_days_ago(ctx.text)
    if days is None or timedelta(days) > schedule.EARLIEST:
        return None
    return (ctx.now.date() - timedelta(days)).isoformat()


def past_day(ctx: Context) -> str | None:
    """A day that is over, as it was typed; a date without a year is the last one."""
    words = said.plain(ctx.text).split()
    if len(words) > LONGEST_DATE or AHEAD & set(words):  # about something that is to come, as an appointment
        return None
    found = values.read_date_time(ctx.text, ctx.language, ctx.now, schedule.HOME)
    if found is None:
        return None
    day, today = date.fromisoformat(found[:10]), ctx.now.date()
    if day > today:
        day = day - timedelta(days=7) if day - today <= timedelta(days=7) else _a_year_before(day)
    return day.isoformat() if today - schedule.EARLIEST <= day <= today else None


def _a_year_before(day: date) -> date:
    return day.replace(year=day.year - 1, day=min(day.day, 28) if day.month == 2 else day.day)


# what there is already


async def _own(ctx: Context, checkin_id: int) -> Checkin | None:
    """This person's check-in, as long as it is not over."""
    row = await rounds.named(ctx.session, checkin_id)
    return row if row is not None and row.person_id == ctx.person_id and row.status not in rounds.OVER else None


def _answers(ctx: Context, row: Checkin) -> dict[str, Any]:
    opened: dict[str, Any] = ctx.vault.open(ctx.person_key, row.answers_sealed) if row.answers_sealed else {}
    return opened


async def _zone(ctx: Context, row: Checkin) -> str:
    found: str | None = await ctx.session.scalar(select(Enrolment.zone).where(Enrolment.id == row.enrolment_id))
    return found or schedule.HOME


async def _over(ctx: Context) -> None:
    ctx.say("checkin.over", [ctx.do("button.person", "handoff", reason="asked"), ctx.do("button.help", "help")])


async def _by_a_person(ctx: Context) -> None:
    """Grown-ups' questions are not put to children: a person arranges it."""
    reference = await handoff.record(ctx, "minor", "P1")
    reads = when_somebody_reads(ctx.settings.rafiq_reading_hours, ctx.now, ctx.language)
    ctx.say("checkin.minor", [ctx.do("button.emergency", "emergency")], reference=reference, reads=reads)


def written(day: date, ctx: Context) -> str:
    return i18n.written_date(datetime.combine(day, time(12), UTC), "UTC", ctx.language)


def _says(ctx: Context, button: str) -> bool:
    return said.plain(ctx.text) in {said.plain(title) for title in i18n.every_language(button)}
