"""Interviews: booked, moved, cancelled. The questions are the service's own; Rasa answers what comes between.

A draft in the database remembers the answers and the open question; buttons name the draft and the question they
belong to, so that an old one changes nothing. Children's interviews are arranged by a person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot import i18n
from bot.appointments import bookings, calendar, offices, slots, times
from bot.assistant import said, values
from bot.assistant.forms import ASKED_AGAIN, LONGEST_TEXT, SKIPPED, Step, is_a_text, read_choice, told_beside
from bot.assistant.rasa import Decision
from bot.db.models import Appointment, Consent, Office, Person, Reminder, Request, Slot
from bot.db.session import Lane, wake
from bot.journeys import checkins, first_contact, handoff
from bot.journeys.context import Choice, Context, Saying, new_reference
from bot.journeys.hours import when_somebody_reads
from bot.messages import Language

FORM = "interview"  # what the talk around it takes for a form in progress
CONSENT_VERSION = "2026-11"  # of the text interview.consent: change both together
OFFERED = 5  # times at once
A_DAY = 2  # of them on the same day, unless a day was asked for
MISSED = 2  # interviews after which a person arranges the next
PARTS = {"morning": range(12), "afternoon": range(12, 17), "evening": range(17, 24)}
WITH_MORE = {"more": ("yes",)}
ON_SITE = {"more": ("yes",), "mode": ("in_person",)}
STEPS = (
    Step("consent", "interview.consent", "choice", ("yes", "no")),
    Step("age_group", "first_contact.age_group", "age_group", ("adult", "child", "unknown")),
    Step("mode", "interview.mode", "choice", ("in_person", "phone")),
    Step("office", "interview.office", "office", when={"mode": ("in_person",)}),
    Step("phone", "interview.phone", "phone", when={"mode": ("phone",)}),
    Step(
        "call_time",
        "first_contact.call_time",
        "choice",
        ("morning", "afternoon", "evening", "any"),
        when={"mode": ("phone",)},
    ),
    Step("more", "interview.more", "choice", ("no", "yes")),
    Step("language", "interview.language", "text", ("fr", "en", "ar"), skip=True, when=WITH_MORE),
    Step("interpreter", "interview.interpreter", "choice", ("no", "yes"), skip=True, when=WITH_MORE),
    Step("gender", "interview.gender", "choice", ("woman", "man", "any"), when=WITH_MORE),
    Step("companion", "interview.companion", "choice", ("alone", "with"), skip=True, when=ON_SITE),
    Step(
        "access",
        "interview.access",
        "choice",
        ("none", "wheelchair", "illness", "transport"),
        skip=True,
        when=ON_SITE,
    ),
    Step("time", "interview.time", "time"),
    Step("wish", "interview.wish", "wish", ("any",)),
    Step("review", "interview.review", "choice", ("send", "change", "cancel")),
)
BY_SLOT = {step.slot: step for step in STEPS}
HIDDEN = {"consent", "age_group", "more", "time", "review"}  # not read back as lines
DECIDING = {"mode", "office", "language", "interpreter", "gender", "more", "time", "wish"}  # on which times fit
CHANGE = "change"  # at the review: which answer is to be given again
_WORD = re.compile(r"\w+")
_LETTERS = re.compile(r"[^\W\d_]")


async def interview(ctx: Context, **_: Any) -> None:
    """What Rasa understood of an interview: booked, moved, cancelled, or asked about."""
    intent = ctx.understanding.intent
    if intent == "reschedule_interview":
        await change(ctx)
    elif intent == "cancel_interview":
        await ask_cancel(ctx)
    elif intent == "interview_status":
        await status(ctx)
    else:
        await begin(ctx)


async def begin(ctx: Context, **_: Any) -> None:
    """Begin to book, or go on; who has an appointment is told which."""
    if ctx.draft is not None:
        return  # the open question comes again: see `resume`
    if _in_another_form(ctx) or not await offices.choosable(ctx.session):
        await handoff.ask(ctx, reason="interview")
        return
    if await _coming(ctx) is not None:
        await status(ctx)
        return
    if await bookings.missed(ctx.session, ctx.person_id) >= MISSED:
        await handoff.ask(ctx, reason="interview")
        return
    answers: dict[str, Any] = {}
    if await consented(ctx.session, ctx.person_id):
        answers["consent"] = "yes"
    request = await ctx.session.scalar(
        select(Request).where(Request.person_id == ctx.person_id, Request.status.in_(first_contact.LIVE)).limit(1)
    )
    if request is not None:
        told = ctx.vault.open(ctx.person_key, request.answers_sealed)
        if told.get("age_group") in ("child", "unknown"):
            await _by_a_person(ctx)
            return
        answers |= {name: told[name] for name in ("age_group", "phone", "call_time") if told.get(name)}
        if answers.get("phone") == "chat":
            del answers["phone"]
    await _go_on(ctx, await _draft(ctx, answers), answers)


async def change(ctx: Context, **_: Any) -> None:
    """Another time for the appointment there is; it stands until the person sends another time or wish."""
    current = None if _in_another_form(ctx) else await _coming(ctx)
    if current is None or ctx.draft is not None:
        await begin(ctx)
        return
    answers = ctx.vault.open(ctx.person_key, current.answers_sealed)
    for name in ("time", "wish", "review"):
        answers.pop(name, None)
    await _go_on(ctx, await _draft(ctx, answers, replaces=current), answers)


async def status(ctx: Context, **_: Any) -> None:
    """When and where the appointment is, with what can be done about it."""
    current = await _coming(ctx)
    if current is None:
        if await _proposed_for_request(ctx):
            await first_contact.status(ctx)
            return
        choices = [] if ctx.draft else [ctx.do("button.interview_book", "book_interview")]
        ctx.say("interview.status.none", choices)
        return
    choices = [ctx.do("button.interview_change", "change_interview")]
    choices.append(ctx.do("button.interview_cancel", "cancel_interview"))
    answers = ctx.vault.open(ctx.person_key, current.answers_sealed)
    about = {"place": await _place(ctx, current.office_id, answers), "reference": current.reference}
    if current.status == "requested":
        ctx.say("interview.status.requested", choices, **about)
    elif current.status == "proposed":
        choices.insert(0, ctx.do("button.interview_come", "interview_come", reference=current.reference))
        ctx.say("interview.status.proposed", choices, when=await when(ctx, current), **about)
    else:
        ctx.say("interview.status", choices, when=await when(ctx, current), **about)


async def ask_cancel(ctx: Context, **_: Any) -> None:
    """Cancelling is asked once; what is only being filled in is left at once."""
    if ctx.draft is not None:
        await leave(ctx)
        return
    current = await _coming(ctx)
    if current is None:
        await status(ctx)
        return
    ctx.say(
        "interview.cancel_ask",
        [
            ctx.do("button.interview_drop", "drop_interview", reference=current.reference),
            ctx.do("button.interview_change", "change_interview"),
            ctx.do("button.interview_keep", "interview_status"),
        ],
        when=await when(ctx, current) if current.starts_at else current.reference,
    )


async def drop(ctx: Context, reference: str, **_: Any) -> None:
    """The appointment is cancelled; coming back is always possible."""
    current = await _coming(ctx)
    if current is None or current.reference != reference:
        await status(ctx)
        return
    await bookings.cancel(ctx.session, current, "person", ctx.now)
    ctx.say("interview.cancelled", [ctx.do("button.interview_book", "book_interview"), ctx.do("button.help", "help")])


async def come(ctx: Context, reference: str, **_: Any) -> None:
    """« I come », under a reminder, or under a time that the team proposed: then it is fixed."""
    current = await _coming(ctx)
    if current is None or current.reference != reference or current.starts_at is None:
        await status(ctx)
    elif current.status == "proposed":  # still to come: what was only proposed is past with its time
        answers = ctx.vault.open(ctx.person_key, current.answers_sealed)
        await bookings.accept(ctx.session, current, answers, ctx.now)
        await _say_fixed(ctx, current, answers)
    else:
        ctx.say("interview.come", when=await when(ctx, current))


async def leave(ctx: Context, silently: bool = False, **_: Any) -> None:
    """Nothing of the answers is kept, and the time is free again; an appointment that stands goes on standing."""
    if ctx.draft is None and not silently:
        await status(ctx)
        return
    await bookings.drop_draft(ctx.session, ctx.person_id)
    ctx.draft = None
    if not silently:
        ctx.say("interview.left", [ctx.do("button.interview_book", "book_interview"), ctx.do("button.help", "help")])


async def reply(ctx: Context, draft: int, step: str, value: Any, **_: Any) -> None:
    """A button under one of the questions."""
    row = await bookings.draft_of(ctx.session, draft)
    if row is None or row.person_id != ctx.person_id:
        ctx.say("button.stale", [ctx.do("button.interview_book", "book_interview"), ctx.do("button.help", "help")])
    elif step == CHANGE:
        await _ask_again(ctx, row, value)
    elif row.asked != step:
        ctx.say("button.stale")
        await _ask(ctx, row, ctx.vault.open(ctx.person_key, row.answers_sealed))
    else:
        await _take(ctx, row, step, value)


async def read(ctx: Context) -> bool:
    """Take a typed text as the answer to the open question; False when it is none, and nothing was done."""
    row = await bookings.draft_of(ctx.session, ctx.draft) if ctx.draft is not None else None
    if row is None or row.asked is None:
        return False
    value = await _read(ctx, row, BY_SLOT[row.asked])
    if value is None:
        return await _beside(ctx, row)
    if row.asked == "more" and value == "yes":  # « oui, une femme »: the wish is told already
        wished = {name: said.chosen(said.words()[BY_SLOT[name].say], ctx.text) for name in ("language", "gender")}
        answers = ctx.vault.open(ctx.person_key, row.answers_sealed)
        await _save(ctx, row, answers | {name: value for name, value in wished.items() if value is not None})
    await _take(ctx, row, row.asked, value)
    return True


async def misread(ctx: Context, decision: Decision) -> bool:
    """Whether what Rasa made of a text is nothing that means anything here: the open question comes again."""
    if ctx.draft is None or decision.form is not None or decision.understanding.intent not in ASKED_AGAIN:
        return False
    row = await bookings.draft_of(ctx.session, ctx.draft)
    if row is None or row.asked is None or decision.understanding.intent in ("return_request", "resume"):
        return False
    ctx.say(f"{BY_SLOT[row.asked].say}.unreadable")
    return True


async def resume(ctx: Context, form: str | None) -> None:
    """After something else in the middle: the open question again. Where another form begins, this one ends."""
    if ctx.draft is None or ctx.erased:
        return
    if form is not None:
        await leave(ctx, silently=True)
    elif not any(saying.choices for saying in ctx.sayings):  # what offers choices of its own comes first
        row = await bookings.draft_of(ctx.session, ctx.draft)
        if row is not None:
            await _ask(ctx, row, ctx.vault.open(ctx.person_key, row.answers_sealed))


async def kept(ctx: Context) -> list[str]:
    """What MY DATA says of appointments."""
    rows = await ctx.session.scalars(
        select(Appointment).where(Appointment.person_id == ctx.person_id).order_by(Appointment.id)
    )
    lines = []
    for row in rows:
        answers = ctx.vault.open(ctx.person_key, row.answers_sealed)
        given = [step for step in STEPS if step.slot not in HIDDEN and answers.get(step.slot) not in (None, SKIPPED)]
        labels = [i18n.say(f"{step.say}.label", ctx.language) for step in given]
        names = ", " if ctx.language != "ar" else "، "
        lines.append(
            i18n.say("my_data.interview", ctx.language, reference=row.reference, answers=names.join(labels) or "–")
        )
    return lines


async def erase(ctx: Context, by: str = "erased") -> None:
    """The person is erased, or took the consent back: what was to come is cancelled, and the case backend is told."""
    await bookings.drop_draft(ctx.session, ctx.person_id)
    ctx.draft = None
    current = await bookings.open_of(ctx.session, ctx.person_id)
    if current is not None:
        await bookings.cancel(ctx.session, current, by, ctx.now)


# the draft


async def _draft(ctx: Context, answers: Mapping[str, Any], replaces: Appointment | None = None) -> Appointment:
    await bookings.drop_draft(ctx.session, ctx.person_id)
    row = Appointment(
        reference=new_reference("RV"),
        person_id=ctx.person_id,
        conversation_id=ctx.conversation_id,
        status="draft",
        answers_sealed=ctx.vault.seal(ctx.person_key, dict(answers)),
        replaces_id=replaces.id if replaces is not None else None,
        updated_at=ctx.now,
    )
    ctx.session.add(row)
    await ctx.session.flush()
    ctx.draft = row.id
    return row


async def _save(ctx: Context, row: Appointment, answers: Mapping[str, Any]) -> None:
    row.answers_sealed = ctx.vault.seal(ctx.person_key, dict(answers))
    row.updated_at = ctx.now
    await ctx.session.flush()


async def _take(ctx: Context, row: Appointment, step: str, value: Any) -> None:
    """An answer to the open question, wherever it came from."""
    answers = ctx.vault.open(ctx.person_key, row.answers_sealed)
    if step == "consent":
        if value != "yes":
            await leave(ctx, silently=True)
            ctx.say("interview.no_consent", [ctx.do("button.person", "handoff", reason="interview")])
            return
        await ctx.session.execute(
            insert(Consent).values(
                person_id=ctx.person_id, purpose="interview", version=CONSENT_VERSION, channel=ctx.channel
            )
        )
    elif step == "age_group" and value != "adult":
        await leave(ctx, silently=True)
        await _by_a_person(ctx)
        return
    elif step == "time":
        await _choose(ctx, row, answers, value)
        return
    elif step == "review":
        await _reviewed(ctx, row, answers, value)
        return
    answers[step] = value
    await _save(ctx, row, answers)
    await _go_on(ctx, row, answers)


async def _choose(ctx: Context, row: Appointment, answers: dict[str, Any], value: Any) -> None:
    """A time: a slot's number, `later` with the number after which to go on, or a wish as `read_date_time` gives it."""
    free = await slots.free(ctx.session, ctx.now, answers, row.id)
    if not free:
        await _go_on(ctx, row, answers)
        return
    if isinstance(value, dict):
        after = value["after"]
        place = next((number for number, slot in enumerate(free, 1) if slot.id == after), 0)
        ctx.say("interview.time", await _offers(ctx, row, _spread(free[place:]) or _spread(free)))
        return
    chosen = next((slot for slot in free if value in (slot.id, slot.wall)), None)
    if chosen is not None:
        if await slots.hold(ctx.session, row, chosen, ctx.now):
            answers["time"] = chosen.wall
            await _save(ctx, row, answers)
            await _go_on(ctx, row, answers)
            return
        free = await slots.free(ctx.session, ctx.now, answers, row.id)
    if isinstance(value, int) or not free:
        if not free:
            await _go_on(ctx, row, answers)
            return
        ctx.say("interview.time.gone", await _offers(ctx, row, _spread(free)))
        return
    fitting = [slot for slot in free if _fits(slot, value)]
    wanted = _spoken(value, free[0].zone, ctx.language)
    if fitting:
        ctx.say("interview.time.then", await _offers(ctx, row, fitting[:OFFERED]), wanted=wanted)
    else:
        near = sorted(free, key=lambda slot: abs((times.day_of(slot.wall) - times.day_of(value)).days))[:OFFERED]
        offers = await _offers(ctx, row, sorted(near, key=lambda slot: slot.starts_at))
        ctx.say("interview.time.nearest", offers, wanted=wanted)


async def _reviewed(ctx: Context, row: Appointment, answers: dict[str, Any], value: Any) -> None:
    if value == "cancel":
        await leave(ctx)
    elif value == "change":
        choices = _changeable(ctx, row, answers)
        if answers.get("more") != "yes":
            choices.append(ctx.button("interview.more.yes", _answering(row, CHANGE, "more")))
        ctx.say("interview.which_change", choices)
    else:
        await _settle(ctx, row, answers)


def _changeable(ctx: Context, row: Appointment, answers: Mapping[str, Any]) -> list[Choice]:
    """The answers given so far, each to be given again."""
    given = [step for step in STEPS if step.slot not in HIDDEN and step.slot in answers and step.applies(answers)]
    named = [(BY_SLOT["time"] if "time" in answers else None), *given]
    return [
        Choice(i18n.say(f"{step.say}.label", ctx.language), _answering(row, CHANGE, step.slot))
        for step in named
        if step is not None
    ]


async def _ask_again(ctx: Context, row: Appointment, slot: str) -> None:
    """One answer is given again; what follows from it is asked anew, all else stays.

    The time stays held as long as it may: only what decides which times fit lets it go.
    """
    answers = ctx.vault.open(ctx.person_key, row.answers_sealed)
    gone = {slot, *(step.slot for step in STEPS if step.when and slot in step.when)}
    if slot in DECIDING:
        gone |= {"time", "wish"}
        if row.status == "held":
            bookings.step(row, "draft", ctx.now)
            row.slot_id = row.held_until = None
    answers = {name: value for name, value in answers.items() if name not in gone}
    if slot == "more":
        answers["more"] = "yes"
    await _save(ctx, row, answers)
    await _go_on(ctx, row, answers)


async def _settle(ctx: Context, row: Appointment, answers: dict[str, Any]) -> None:
    """Confirmed where a time is held, else a request that staff confirm."""
    slot = await ctx.session.get(Slot, row.slot_id, populate_existing=True) if row.slot_id is not None else None
    held = row.status == "held" and slot is not None and slot.status == "open" and slot.starts_at > ctx.now
    if "time" in answers and not held:  # somebody else has it by now, staff closed it, or it is past
        if row.status == "held":
            bookings.step(row, "draft", ctx.now)
            row.slot_id = row.held_until = None
        answers.pop("time")
        await _save(ctx, row, answers)
        await _go_on(ctx, row, answers)
        return
    to_be = "confirmed" if held else "requested"
    if to_be == "requested":
        choosable = await offices.choosable(ctx.session)
        row.office_id = answers.get("office") or choosable[0].id
        row.wall = row.zone = row.starts_at = None
    await bookings.settle(ctx.session, row, to_be, answers, ctx.now)
    ctx.draft = None
    await wake(ctx.session, Lane.REMINDERS, row.id)
    if to_be == "confirmed":
        await _say_fixed(ctx, row, answers)
        return
    place = await _place(ctx, row.office_id, answers, whole=True)
    reads = when_somebody_reads(ctx.settings.rafiq_reading_hours, ctx.now, ctx.language)
    ctx.say("interview.requested", _ways_out(ctx), place=place, reference=row.reference, reads=reads)


async def _say_fixed(ctx: Context, row: Appointment, answers: Mapping[str, Any]) -> None:
    """When and where it is, with the file for the calendar; and whether a reminder will come."""
    place = await _place(ctx, row.office_id, answers, whole=True)
    at = await when(ctx, row)
    words = i18n.say("interview.booked", ctx.language, when=at, place=place, reference=row.reference)
    stopped = await ctx.session.scalar(select(Person.stopped_at).where(Person.id == ctx.person_id))
    planned = await ctx.session.scalar(
        select(Reminder.id).where(Reminder.appointment_id == row.id, Reminder.done_at.is_(None)).limit(1)
    )
    if stopped is not None:
        words += "\n" + i18n.say("interview.reminded.stopped", ctx.language)
    else:
        words += "\n" + i18n.say("interview.reminded.yes" if planned else "interview.reminded.soon", ctx.language)
    file = await calendar.file(ctx.session, row, ctx.language, ctx.now)
    ctx.sayings.append(Saying(words, _ways_out(ctx), sensitive=True, document=file))


def _ways_out(ctx: Context) -> list[Choice]:
    return [
        ctx.do("button.interview_change", "change_interview"),
        ctx.do("button.interview_cancel", "cancel_interview"),
        ctx.do("button.help", "help"),
    ]


# the questions


async def _go_on(ctx: Context, row: Appointment, answers: Mapping[str, Any]) -> None:
    """The next question."""
    following = next(step.slot for step in STEPS if step.slot not in answers and step.applies(answers))
    if following in ("time", "wish"):
        following = await _when_question(ctx, row, answers)
    row.asked = following
    row.updated_at = ctx.now
    await ctx.session.flush()
    await _ask(ctx, row, answers)


async def _when_question(ctx: Context, row: Appointment, answers: Mapping[str, Any]) -> str:
    """Times to choose from where there are some; else the person's own wish, which the team confirms."""
    if "time" in answers or "wish" in answers:
        return "review"
    office = await ctx.session.get(Office, answers["office"]) if answers.get("office") else None
    if office is not None and office.by_request:
        return "wish"
    return "time" if await slots.free(ctx.session, ctx.now, answers, row.id) else "wish"


async def _ask(ctx: Context, row: Appointment, answers: Mapping[str, Any]) -> None:
    step = BY_SLOT[row.asked or "mode"]
    out = [ctx.do("button.interview_leave", "leave_interview")]
    if step.slot == "time":
        free = await slots.free(ctx.session, ctx.now, answers, row.id)
        if not free:
            row.asked = "wish"
            await _ask(ctx, row, answers)
            return
        ctx.say("interview.time", await _offers(ctx, row, _spread(free)))
        return
    choices = [
        Choice(i18n.say(step.choice_text(choice), ctx.language), _answering(row, step.slot, choice))
        for choice in [*step.choices, *([SKIPPED] if step.skip else [])]
    ]
    if step.slot == "office":
        choices = [
            Choice(str(office.names[ctx.language]), _answering(row, "office", office.id))
            for office in await offices.choosable(ctx.session)
        ]
    if step.slot == "review":
        summary = await _summary(ctx, row, answers)
        ctx.say("interview.review" if row.status == "held" else "interview.review_request", choices, summary=summary)
        replaced = await ctx.session.get(Appointment, row.replaces_id) if row.replaces_id is not None else None
        if row.status != "held" and replaced is not None and replaced.starts_at is not None:
            ctx.say("interview.review_instead", when=await when(ctx, replaced))
    else:
        ctx.say(step.say, [*choices, *out])


async def _offers(ctx: Context, row: Appointment, offered: Sequence[Slot]) -> list[Choice]:
    """Times as buttons, then « other times » and the way out."""
    choices = [Choice(_short(slot, ctx.language), _answering(row, "time", slot.id)) for slot in offered]
    if offered:
        choices.append(ctx.button("button.interview_later", _answering(row, "time", {"after": offered[-1].id})))
    return [*choices, ctx.do("button.interview_leave", "leave_interview")]


def _answering(row: Appointment, step: str, value: Any) -> dict[str, Any]:
    return {"do": "interview_answer", "with": {"draft": row.id, "step": step, "value": value}}


def _spread(free: Sequence[Slot]) -> list[Slot]:
    """A few times, on different days, one counsellor for each."""
    chosen: list[Slot] = []
    for slot in free:
        same_day = [one for one in chosen if times.day_of(one.wall) == times.day_of(slot.wall)]
        if len(same_day) < A_DAY and all(one.starts_at != slot.starts_at for one in same_day):
            chosen.append(slot)
        if len(chosen) == OFFERED:
            break
    return chosen


async def _read(ctx: Context, row: Appointment, step: Step) -> Any:
    """The value that the typed text gives to this question, or None."""
    text = ctx.text
    asks = said.asks(text)
    if step.answer in ("time", "wish"):
        if values.age_alone(text) != "unknown":  # « 30 ans » is no day in thirty years
            return None
        chosen = read_choice(step, text) if step.choices and not asks else None
        zone = await _zone(ctx.session, ctx.vault.open(ctx.person_key, row.answers_sealed))
        wish = chosen or values.read_date_time(text, ctx.language, ctx.now, zone)
        return wish if wish == "any" or (wish and wish[:10] >= times.wall_of(ctx.now, zone)[:10]) else None
    if step.answer == "phone":
        return values.read_phone(text)
    if asks:
        return None
    chosen = read_choice(step, text)
    if chosen is not None:
        return chosen
    if step.answer == "age_group":
        group = values.read_age_group(text)
        return None if group == "unknown" else group
    if step.answer == "office":
        words = f" {said.plain(text)} "
        meant = said.chosen(said.words()[step.say], text)
        for office in await offices.choosable(ctx.session):
            if office.id == meant or any(f" {said.plain(str(name))} " in words for name in office.names.values()):
                return office.id
    if step.answer == "text" and len(_WORD.findall(text)) == 1 and is_a_text(step, text):
        return text[:LONGEST_TEXT]
    return None


async def _beside(ctx: Context, row: Appointment) -> bool:
    """What belongs to another question, told in the middle: kept for it. A number or an age is about no topic."""
    step = BY_SLOT[row.asked or "mode"]
    answers = ctx.vault.open(ctx.person_key, row.answers_sealed)
    if step.answer in ("time", "wish") and not said.asks(ctx.text) and not said.denies(ctx.text):
        week = values.read_week(ctx.text, ctx.language, ctx.now, await _zone(ctx.session, answers))
        if week is not None:
            await _in_week(ctx, row, answers, week)
            return True
    told = told_beside(step, ctx.text, BY_SLOT) if "consent" in answers else {}
    if told.get("age_group") not in (None, "adult"):
        await leave(ctx, silently=True)
        await _by_a_person(ctx)
    elif told:
        for slot in told:
            ctx.say(f"first_contact.{slot}.kept")
        await _save(ctx, row, answers | told)
        await _ask(ctx, row, answers | told)
    elif said.corrects(ctx.text) and (choices := _changeable(ctx, row, answers)):
        ctx.say("interview.which_change", choices)
    elif said.corrects(ctx.text) or _LETTERS.search(ctx.text) is None or values.age_alone(ctx.text) != "unknown":
        ctx.say(f"{step.say}.unreadable")
        await _ask(ctx, row, answers)
    else:
        return False
    return True


async def _in_week(ctx: Context, row: Appointment, answers: Mapping[str, Any], week: Sequence[date]) -> None:
    """« La semaine prochaine »: what is free in it, or which day of it is wished."""
    free = await slots.free(ctx.session, ctx.now, answers, row.id) if row.asked == "time" else []
    if free:
        within = [slot for slot in free if week[0] <= times.day_of(slot.wall) <= week[-1]]
        later = [slot for slot in free if times.day_of(slot.wall) > week[-1]]
        ctx.say(
            "interview.time" if within else "interview.time.week_full",
            await _offers(ctx, row, _spread(within or later or free)),
        )
        return
    row.asked = "wish"
    pattern = "EEE d/MM" if ctx.language == "ar" else "EEE d MMM"
    days = [
        Choice(
            i18n.western_digits(str(format_date(day, pattern, locale=Locale(ctx.language)))),
            _answering(row, "wish", day.isoformat()),
        )
        for day in week
    ]
    ctx.say("interview.wish.which_day", [*days, ctx.do("button.interview_leave", "leave_interview")])


async def _zone(session: AsyncSession, answers: Mapping[str, Any]) -> str:
    office = await session.get(Office, answers["office"]) if answers.get("office") else None
    return office.zone if office is not None else bookings.HOME_ZONE


def _fits(slot: Slot, wish: str) -> bool:
    """Whether this time is on the day, and in the part of the day or near the hour, that was wished."""
    if slot.wall[:10] != wish[:10]:
        return False
    hour = int(slot.wall[11:13])
    if wish[10:11] == "T":
        return abs(hour - int(wish[11:13])) <= 1
    return not wish[11:] or hour in PARTS[wish[11:]]


# the words


def _short(slot: Slot, language: Language) -> str:
    """A time on a button of twenty characters: « mar. 24 nov. 10:00 »."""
    pattern = "EEE d/MM HH:mm" if language == "ar" else "EEE d MMM HH:mm"
    moment = datetime.strptime(slot.wall, times.WALL)  # noqa: DTZ007 (a wall time)
    return i18n.western_digits(str(format_datetime(moment, pattern, locale=Locale(language))))


def _spoken(wish: str, zone: str, language: Language) -> str:
    """A wish as it is read back: the day, and the hour or the part of the day."""
    moment = datetime.fromisoformat(wish[:10]).replace(hour=12, tzinfo=ZoneInfo(zone))
    day = i18n.written_date(moment, zone, language)
    if wish[10:11] == "T":
        return i18n.say("interview.at", language, day=day, time=wish[11:])
    if wish[11:]:
        part = _part(wish[11:], language)
        return f"{day}{'، ' if language == 'ar' else ', '}{part[:1].lower()}{part[1:]}"
    return day


def _part(part: str, language: Language) -> str:
    return i18n.say(BY_SLOT["call_time"].choice_text(part), language)


async def when(ctx: Context, row: Appointment) -> str:
    """Day, hour and whose clock it is."""
    return await spoken_time(ctx.session, row, ctx.language)


async def spoken_time(session: Any, row: Appointment, language: Language) -> str:
    """« mardi 24 novembre 2026 à 10:00 (heure locale, Rabat) »."""
    if row.starts_at is None or row.zone is None or row.wall is None:
        return row.reference
    office = await session.get(Office, row.office_id) if row.office_id else None
    of_office = office is not None and office.zone == row.zone
    city = str(office.names[language]) if office and of_office else i18n.city_of_zone(row.zone, language)
    at = i18n.say(
        "interview.at", language, day=i18n.written_date(row.starts_at, row.zone, language), time=row.wall[11:]
    )
    return i18n.say("interview.local", language, at=at, city=city)


async def _place(ctx: Context, office_id: str | None, answers: Mapping[str, Any], whole: bool = False) -> str:
    return await place_of(ctx.session, office_id, answers, ctx.language, whole)


async def place_of(
    session: Any, office_id: str | None, answers: Mapping[str, Any], language: Language, whole: bool = False
) -> str:
    """The office's city (with `whole` its address), « by phone », or « in this chat »."""
    office = await session.get(Office, office_id) if office_id else None
    if answers.get("mode") == "chat":
        return i18n.say("case.mode.chat", language)
    if answers.get("mode") == "phone" or office is None:
        return i18n.say(BY_SLOT["mode"].choice_text("phone"), language)
    if whole and office.address:
        return str(office.address)
    return str(office.names[language])


async def _summary(ctx: Context, row: Appointment, answers: Mapping[str, Any]) -> str:
    lines = []
    if row.status == "held":
        label = i18n.say("interview.time.label", ctx.language)
        lines.append(i18n.say("first_contact.line", ctx.language, label=label, value=await when(ctx, row)))
    for label, value in await wishes(ctx.session, answers, ctx.language):
        lines.append(i18n.say("first_contact.line", ctx.language, label=label, value=value))
    return "\n".join(lines)


async def wishes(session: AsyncSession, answers: Mapping[str, Any], language: Language) -> list[tuple[str, str]]:
    """What was answered, each under its label."""
    shown = []
    for step in STEPS:
        value = answers.get(step.slot)
        if step.slot in HIDDEN or value in (None, SKIPPED) or not step.applies(answers):
            continue
        said = str(value)
        if value in step.choices:
            said = i18n.say(step.choice_text(value), language)
        elif step.slot == "office":
            said = await place_of(session, said, {}, language)
        elif step.slot == "wish":
            said = _spoken(said, await _zone(session, answers), language)
        shown.append((i18n.say(f"{step.say}.label", language), said))
    return shown


# who, and what there is already


async def consented(session: AsyncSession, person_id: int) -> bool:
    """Whether the person agreed to interviews, and still does."""
    given = await session.scalar(
        select(Consent.id)
        .where(Consent.person_id == person_id, Consent.withdrawn_at.is_(None))
        .where(Consent.purpose == "interview")
        .limit(1)
    )
    return given is not None


async def _proposed_for_request(ctx: Context) -> bool:
    """Whether the case backend proposed a time, still to come, for the request itself."""
    sealed = await ctx.session.scalar(
        select(Request.interview_sealed)
        .where(Request.person_id == ctx.person_id, Request.status.in_(first_contact.LIVE))
        .where(Request.interview_sealed.is_not(None))
        .limit(1)
    )
    return sealed is not None and first_contact.to_come(ctx.vault.open(ctx.person_key, sealed), ctx.now)


def _in_another_form(ctx: Context) -> bool:
    """Whether something else is being filled in; a check-in waits for this one instead: see `checkins.resume`."""
    return ctx.form not in (None, FORM, checkins.FORM)


async def _coming(ctx: Context) -> Appointment | None:
    await bookings.leave_behind(ctx.session, ctx.now, ctx.person_id)
    return await bookings.open_of(ctx.session, ctx.person_id)


async def _by_a_person(ctx: Context) -> None:
    """A child's interview is arranged by somebody who knows how."""
    reference = await handoff.record(ctx, "minor", "P1")
    reads = when_somebody_reads(ctx.settings.rafiq_reading_hours, ctx.now, ctx.language)
    ctx.say("interview.minor", [ctx.do("button.emergency", "emergency")], reference=reference, reads=reads)
