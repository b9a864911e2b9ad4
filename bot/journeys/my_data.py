"""More of what a person may ask about themselves: a file of it, corrections, consents taken back, another's phone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select, update

from bot import i18n
from bot.assistant.forms import SKIPPED, Step, forms
from bot.checkins import questions, rounds
from bot.db.models import Address, Appointment, CaseEvent, Checkin, Consent, Conversation, Person, Request, Suggestion
from bot.journeys import checkins, first_contact, interviews
from bot.journeys.context import Choice, Context, Saying
from bot.messages import Document

PURPOSES = ("request", "interview", "checkins", "learning")


async def as_file(ctx: Context, **_: Any) -> None:
    """All answers and consents that are kept, as a file of text to keep or to show."""
    lines = [i18n.say("my_data.file.title", ctx.language, day=i18n.written_date(ctx.now, "UTC", ctx.language)), ""]
    for request in await ctx.session.scalars(
        select(Request).where(Request.person_id == ctx.person_id, Request.status != "withdrawn").order_by(Request.id)
    ):
        steps = forms()[first_contact.FORM]
        lines += [request.reference, *_told(ctx, steps, ctx.vault.open(ctx.person_key, request.answers_sealed)), ""]
    for row in await ctx.session.scalars(
        select(Appointment).where(Appointment.person_id == ctx.person_id).order_by(Appointment.id)
    ):
        when = [await interviews.when(ctx, row)] if row.starts_at is not None else []
        answers = ctx.vault.open(ctx.person_key, row.answers_sealed)
        lines += [row.reference, *when, *_told(ctx, interviews.STEPS, answers), ""]
    for checkin in await ctx.session.scalars(
        select(Checkin)
        .where(Checkin.person_id == ctx.person_id, Checkin.answers_sealed.is_not(None))
        .order_by(Checkin.id)
    ):
        answers = ctx.vault.open(ctx.person_key, checkin.answers_sealed or b"")
        asked = [one.step for one in questions.form(checkin.form)]
        lines += [i18n.written_date(checkin.updated_at, "UTC", ctx.language), *_told(ctx, asked, answers), ""]
    for consent in await ctx.session.scalars(
        select(Consent).where(Consent.person_id == ctx.person_id).order_by(Consent.id)
    ):
        day = i18n.written_date(consent.given_at, "UTC", ctx.language)
        lines.append(f"{_purpose(ctx, consent.purpose)}: {day}")
        if consent.withdrawn_at is not None:
            day = i18n.written_date(consent.withdrawn_at, "UTC", ctx.language)
            lines.append("  " + i18n.say("my_data.file.withdrawn", ctx.language, day=day))
    until = i18n.say(
        "my_data.file.until",
        ctx.language,
        talk=ctx.settings.rafiq_conversation_days,
        media=ctx.settings.rafiq_media_days,
        months=ctx.settings.rafiq_checkin_values_months,
    )
    lines += ["", until]
    document = Document("rafiq.txt", "text/plain; charset=utf-8", "\n".join(lines) + "\n")
    ctx.sayings.append(Saying(i18n.say("my_data.file", ctx.language), [], sensitive=True, document=document))


def _told(ctx: Context, steps: Iterable[Step], answers: Mapping[str, Any]) -> list[str]:
    """Each answer under its question, in the words that the person was given."""
    lines = []
    for step in steps:
        value = answers.get(step.slot)
        if value in (None, SKIPPED) or step.slot == "review":
            continue
        label = f"{step.say}.label"
        asked = i18n.say(label if i18n.has(label) else step.say, ctx.language).splitlines()[-1]
        shown = i18n.say(step.choice_text(value), ctx.language) if value in step.choices else str(value)
        lines.append(f"- {asked} {shown}")
    return lines


async def consents(ctx: Context, **_: Any) -> None:
    """Every consent that stands, each with a button to take it back."""
    given = set(
        await ctx.session.scalars(
            select(Consent.purpose).where(Consent.person_id == ctx.person_id, Consent.withdrawn_at.is_(None))
        )
    )
    choices = [
        Choice(_purpose(ctx, purpose), {"do": "withdraw_consent", "with": {"purpose": purpose}})
        for purpose in PURPOSES
        if purpose in given
    ]
    ctx.say("consents" if choices else "consents.none", choices or [ctx.do("button.help", "help")])


async def withdraw(ctx: Context, purpose: str, **_: Any) -> None:
    """One consent is taken back: what it was for ends, and what was kept for it goes."""
    if purpose == "request":
        await first_contact.withdraw_all(ctx)
    elif purpose == "interview":
        await interviews.erase(ctx, by="person")
        await ctx.session.execute(
            update(Appointment)
            .where(Appointment.person_id == ctx.person_id)
            .values(answers_sealed=ctx.vault.seal(ctx.person_key, {}))
        )
    elif purpose == "checkins":
        ctx.checkin = None
        await rounds.stop(ctx.session, ctx.person_id, "person", ctx.now, for_good=True)
        await ctx.session.execute(update(Checkin).where(Checkin.person_id == ctx.person_id).values(answers_sealed=None))
        await ctx.session.execute(
            update(CaseEvent)
            .where(CaseEvent.person_id == ctx.person_id, CaseEvent.words_sealed.is_not(None))
            .values(words_sealed=None)
        )
    elif purpose == "learning":
        await ctx.session.execute(
            update(Suggestion).where(Suggestion.person_id == ctx.person_id).values(text_sealed=None)
        )
    await ctx.session.execute(
        update(Consent)
        .where(Consent.person_id == ctx.person_id, Consent.purpose == purpose, Consent.withdrawn_at.is_(None))
        .values(withdrawn_at=ctx.now)
    )
    ctx.say("consents.withdrawn", [ctx.do("button.consents", "consents"), ctx.do("button.help", "help")])


async def other_phone(ctx: Context, **_: Any) -> None:
    """« This is not my phone any more »: nothing unasked goes here, and nothing personal is shown here."""
    await checkins.pause(ctx)
    await ctx.session.execute(
        update(Person).where(Person.id == ctx.person_id, Person.stopped_at.is_(None)).values(stopped_at=ctx.now)
    )
    of_this = select(Conversation.address_id).where(Conversation.id == ctx.conversation_id).scalar_subquery()
    await ctx.session.execute(
        update(Address)
        .where(Address.id == of_this, Address.identity_changed_at.is_(None))
        .values(identity_changed_at=ctx.now)
    )
    ctx.say(
        "other_phone",
        [
            ctx.do("button.delete_my_data", "delete_my_data"),
            ctx.do("button.person", "handoff", reason="asked"),
            ctx.do("button.clear_chat", "clear_chat"),
        ],
    )


async def clear_chat(ctx: Context, **_: Any) -> None:
    """How this conversation is deleted from the phone: only its holder can."""
    known = ctx.channel in ("telegram", "whatsapp")
    if known:
        ctx.say("clear_chat.telegram" if ctx.channel == "telegram" else "clear_chat.whatsapp", _erase_too(ctx))
    else:
        ctx.say("clear_chat.web", _erase_too(ctx))


def _erase_too(ctx: Context) -> list[Choice]:
    return [ctx.do("button.delete_my_data", "delete_my_data"), ctx.do("button.help", "help")]


def _purpose(ctx: Context, purpose: str) -> str:
    return i18n.say(f"consent.{purpose}", ctx.language)
