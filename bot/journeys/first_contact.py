"""First contact: what a person wants IOM to know so that somebody can call back safely. Nothing more.

The answers live in Rasa's form until the person sends them; leaving the form drops them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from bot import i18n
from bot.appointments.bookings import LATE
from bot.assistant.forms import SKIPPED, forms
from bot.cases import events
from bot.db.encryption import Vault
from bot.db.models import Consent, Request
from bot.journeys import handoff
from bot.journeys.context import Choice, Context, new_reference
from bot.journeys.hours import when_somebody_reads
from bot.messages import Language

FORM = "first_contact_form"
CONSENT_VERSION = "2026-11"  # of the text first_contact.consent: change both together
LIVE = ("open", "acknowledged")  # sent again, such a request is changed; after these it is a new one
FOR_ANOTHER = "for_someone_else"  # of the directions
HIDDEN = {"consent", "agreed", "more", "review"}  # answers that are not read back
BACK = ("back_in_morocco", "back_in_mauritania", "other_returnee")
NEEDED = ("consent", "direction", "age_group", "name", "phone")
URGENT = {"violence": "P1", "held": "P1", "afraid_to_return": "P1", "cannot_leave": "P1", "very_low": "P1",
          "pregnant_or_baby": "P1", "ill_or_disabled": "P1", "no_safe_place": "P1"}  # fmt: skip
FLAGS = {
    "cannot_leave": "cannot_leave_or_papers_held",
    "held": "held_by_authorities",
    "other": "something_else",
}


def is_over(answers: Mapping[str, Any]) -> bool:
    """Whether the form ends here: no consent, no agreement of the absent person, a child, or the review."""
    return (
        answers.get("consent") in ("information", "person")
        or answers.get("agreed") == "no"
        or answers.get("review") == "cancel"
        or (answers.get("review") == "send" and all(answers.get(slot) for slot in NEEDED))
        or (answers.get("age_group") in ("child", "unknown") and answers.get("phone") is not None)
    )


async def finish(ctx: Context, **_: Any) -> None:
    """The form ended: send, or say what happens instead. Rasa's memory of the answers goes in any case."""
    ctx.forget_dialogue = True
    answers = dict(ctx.answers)
    if answers.get("consent") == "person":
        await handoff.ask(ctx)
    elif answers.get("consent") == "information":
        ctx.say("first_contact.information_only", [ctx.do("button.help", "help")])
    elif answers.get("agreed") == "no":
        ctx.say("first_contact.not_agreed", [ctx.do("button.person", "handoff", reason="asked")])
    elif answers.get("age_group") in ("child", "unknown"):
        await _send(ctx, answers, minor=True)
    elif answers.get("review") == "send":
        await _send(ctx, answers, minor=False)
    else:
        ctx.say("first_contact.cancelled", [ctx.do("button.help", "help")])


async def leave(ctx: Context, **_: Any) -> None:
    """The person left the form: nothing of it is kept."""
    ctx.forget_dialogue = True
    ctx.say("first_contact.cancelled", [ctx.do("button.help", "help")])


async def send_again(ctx: Context, answers: dict[str, Any]) -> None:
    """The request with an answer that was corrected, under the consent that was given for it."""
    consent = await ctx.session.scalar(
        select(Consent)
        .where(Consent.person_id == ctx.person_id, Consent.purpose == "request", Consent.withdrawn_at.is_(None))
        .order_by(Consent.id.desc())
        .limit(1)
    )
    await _send(ctx, answers, answers.get("age_group") in ("child", "unknown"), consent)


async def _send(ctx: Context, answers: dict[str, Any], minor: bool, consent: Consent | None = None) -> None:
    """Write the request down and tell the case backend. `consent`: the one that stands; else it is given now."""
    priority = "P1" if minor else URGENT.get(answers.get("urgent") or "", "P2")
    kept = {name: value for name, value in answers.items() if name not in HIDDEN and value != SKIPPED}
    if minor:
        kept = {name: kept[name] for name in ("direction", "age_group", "phone", "name") if name in kept}
    open_request = await ctx.session.scalar(
        select(Request).where(Request.person_id == ctx.person_id, Request.status.in_(LIVE)).limit(1)
    )
    version, given_at = CONSENT_VERSION, ctx.now
    if consent is not None:
        version, given_at = consent.version, consent.given_at
    else:
        given = {"person_id": ctx.person_id, "purpose": "request", "version": version, "channel": ctx.channel}
        await ctx.session.execute(insert(Consent).values(given))
    sealed = ctx.vault.seal(ctx.person_key, kept)
    phone = phone_digest(ctx.vault, kept.get("phone", "chat"))
    if open_request is not None:
        reference, kind = open_request.reference, "request.updated"
        await ctx.session.execute(
            update(Request)
            .where(Request.id == open_request.id)
            .values(answers_sealed=sealed, phone_digest=phone, priority=priority, updated_at=ctx.now)
        )
    else:
        reference, kind = await _unused_reference(ctx), "request.created"
        await ctx.session.execute(
            insert(Request).values(
                reference=reference,
                person_id=ctx.person_id,
                inbox_id=ctx.inbox_id,
                priority=priority,
                answers_sealed=sealed,
                phone_digest=phone,
            )
        )
    flag = answers.get("urgent")
    await events.record(
        ctx.session,
        type_=kind,
        key=f"request:{ctx.inbox_id}",
        person_id=ctx.person_id,
        occurred_at=ctx.now,
        data={
            "ref": reference,
            "consent": {"version": version, "given_at": given_at.isoformat(), "scopes": ["request"]},
            "person": {"age_group": answers.get("age_group", "unknown"), "languages": [ctx.language]},
            "contact": {"channel": ctx.channel, "by_phone": answers.get("phone") not in (None, "chat")},
            "request": {
                "direction": answers.get("direction"),
                "country_of_return": _given(answers.get("country")),
                "flags": [FLAGS.get(flag, flag)] if flag and flag != SKIPPED else [],
                "priority": priority,
            },
        },
    )
    when = when_somebody_reads(ctx.settings.rafiq_reading_hours, ctx.now, ctx.language)
    if minor:
        await handoff.record(ctx, "minor", "P1")
        ctx.say(
            "first_contact.minor_sent",
            [ctx.do("button.emergency", "emergency")],
            reference=reference,
            when=when,
        )
    else:
        await handoff.record(ctx, "request", priority, announced=False)  # the event above tells it
        ctx.say(
            "first_contact.updated" if kind == "request.updated" else "first_contact.sent",
            [
                ctx.do("button.checkins", "checkins")
                if answers.get("direction") in BACK
                else ctx.do("button.interview_book", "book_interview"),
                ctx.do("button.request_status", "request_status"),
                ctx.do("button.help", "help"),
            ],
            reference=reference,
            when=when,
        )


def phone_digest(vault: Vault, phone: str) -> bytes | None:
    """What finds a request by the number that was given in it; None for who wants to be written to here."""
    return vault.digest("phone", phone) if phone != "chat" else None


async def _unused_reference(ctx: Context) -> str:
    while True:
        reference = new_reference("AV")
        if await ctx.session.scalar(select(Request.id).where(Request.reference == reference)) is None:
            return reference


async def status(ctx: Context, **_: Any) -> None:
    """What became of the request: as much as we know, and how to withdraw it."""
    request = await ctx.session.scalar(
        select(Request).where(Request.person_id == ctx.person_id).order_by(Request.id.desc()).limit(1)
    )
    if request is None:
        ctx.say("request_status.none", [ctx.intend("button.return_request", "return_request")])
    elif request.status in LIVE:
        choices = [
            ctx.do("button.withdraw", "withdraw_request", reference=request.reference),
            ctx.do("button.person", "handoff", reason="asked"),
        ]
        when = when_somebody_reads(ctx.settings.rafiq_reading_hours, ctx.now, ctx.language)
        sealed = request.interview_sealed
        proposed = ctx.vault.open(ctx.person_key, sealed) if sealed is not None else None
        if proposed is not None and to_come(proposed, ctx.now):
            ctx.say(
                "request_status.interview",
                choices,
                reference=request.reference,
                when=when,
                **appointment(proposed, ctx.language),
            )
        else:
            ctx.say(
                "request_status.open" if request.status == "open" else "request_status.acknowledged",
                choices,
                reference=request.reference,
                day=i18n.written_date(request.created_at, "Africa/Casablanca", ctx.language),
                when=when,
            )
    else:
        ctx.say(
            "request_status.closed" if request.status == "closed" else "request_status.withdrawn",
            [ctx.intend("button.return_request", "return_request")],
            reference=request.reference,
        )


def to_come(proposed: Mapping[str, str], now: datetime) -> bool:
    """Whether the time that was proposed for the request is still to come, or has just begun."""
    return datetime.fromisoformat(proposed["at"]) > now - LATE


def appointment(proposed: Mapping[str, str], language: Language) -> dict[str, str]:
    """The words of a proposed interview: day, time, whose time it is, and how."""
    at = datetime.fromisoformat(proposed["at"])
    return {
        "day": i18n.written_date(at, proposed["zone"], language),
        "time": at.astimezone(ZoneInfo(proposed["zone"])).strftime("%H:%M"),
        "city": i18n.city_of_zone(proposed["zone"], language),
        "how": i18n.say(f"case.mode.{proposed['mode']}", language),
    }


async def withdraw(ctx: Context, reference: str, **_: Any) -> None:
    """Take the request back: what was kept of it goes, and the case backend is told."""
    if await withdraw_all(ctx, reference):
        ctx.say("withdrawn", [ctx.do("button.help", "help")], reference=reference)
    else:
        await status(ctx)


async def withdraw_all(ctx: Context, reference: str | None = None) -> int:
    """Withdraw the person's requests, closed ones too, or this one; how many there were."""
    which = update(Request).where(Request.person_id == ctx.person_id, Request.status != "withdrawn")
    if reference is not None:
        which = which.where(Request.reference == reference)
    nothing = dict.fromkeys(("phone_digest", "interview_sealed", "unanswered_at"))
    emptied = {"answers_sealed": ctx.vault.seal(ctx.person_key, {}), **nothing}
    gone = list(
        await ctx.session.scalars(
            which.values(status="withdrawn", updated_at=ctx.now, **emptied).returning(Request.reference)
        )
    )
    if gone:
        await ctx.session.execute(
            update(Consent)
            .where(
                Consent.person_id == ctx.person_id,
                Consent.purpose == "request",
                Consent.withdrawn_at.is_(None),
            )
            .values(withdrawn_at=ctx.now)
        )
        await handoff.settle(ctx.session, ctx.person_id, ctx.now)
    for one in gone:
        await events.record(
            ctx.session,
            type_="request.withdrawn",
            key=f"withdrawn:{one}:{ctx.inbox_id}",
            person_id=ctx.person_id,
            occurred_at=ctx.now,
            data={"ref": one},
        )
    return len(gone)


async def choose_change(ctx: Context, **_: Any) -> None:
    """Which answer to change: those given so far, as buttons."""
    steps = [step for step in forms()[FORM] if step.slot not in HIDDEN and ctx.answers.get(step.slot)]
    ctx.say(
        "first_contact.which_change",
        [
            Choice(
                i18n.say(f"{step.say}.label", ctx.language),
                {"intent": "change_answer", "slots": {"field": step.slot}},
            )
            for step in steps
        ],
    )


def read_back(ctx: Context) -> str:
    """The answers, one a line, as the person gave them."""
    lines = []
    for step in forms()[FORM]:
        value = ctx.answers.get(step.slot)
        if step.slot in HIDDEN or value in (None, SKIPPED):
            continue
        label = i18n.say(f"{step.say}.label", ctx.language)
        if value in step.choices:
            shown = i18n.say(step.choice_text(value), ctx.language)
        elif step.answer == "country":
            shown = i18n.country_name(value, ctx.language)
        else:
            shown = i18n.isolated(value) if ctx.language == "ar" else value
        lines.append(i18n.say("first_contact.line", ctx.language, label=label, value=shown))
    return "\n".join(lines)


def _given(value: Any) -> Any:
    return None if value == SKIPPED else value
