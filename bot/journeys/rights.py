"""What a person may ask about themselves: stop, start again, what is kept, erase."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from bot import i18n
from bot.appointments import bookings
from bot.assistant.forms import forms
from bot.cases import events
from bot.db.models import (
    Address,
    AddressAlias,
    Appointment,
    CaseEvent,
    Consent,
    Conversation,
    Enrolment,
    Handoff,
    Inbox,
    IssuedButton,
    Media,
    Outbox,
    Person,
    RasaTracker,
    Request,
    Scan,
    Suggestion,
)
from bot.journeys import checkins, first_contact, interviews
from bot.journeys.context import Context, new_reference
from bot.journeys.conversation import welcome

# every table that can hold something about a person: what becomes of it when they have everything erased
ERASED = {
    "person", "address", "conversation", "outbox", "issued_button", "media", "consent", "suggestion", "request",
    "appointment", "reminder", "handoff", "enrolment", "checkin", "rasa_tracker",
    "scan", "handoff_entry", "handoff_notice", "address_alias",
}  # fmt: skip
KEPT = {
    "inbox": "keyed hashes of the platforms' ids, so that a late repeat stays one; the content and its topic go",
    "case_event": "what was told, by random references: no name, no number; the person's id and what was typed go",
    "case_answer": "ids that the case backend gave to its answers",
    "case_endpoint": "addresses of case backends",
    "alert": "what operators must look at; never personal",
    "channel_state": "where a channel was left",
    "channel_pace": "how fast a channel may be written to",
    "sent_count": "numbers for the bill",
    "office": "places of the team",
    "counsellor": "what people may wish for, without a name",
    "closed_day": "days of the calendar",
    "slot": "times of the team; whose they were goes with the appointment",
    "checkin_value": "choices of check-ins long over, by a random number: nobody can tell whose they were",
    "lookup_key": "the key of look-ups, wrapped by the master key",
    "staff_member": "the team's own accounts",
    "staff_login": "the team's passwords and codes",
    "staff_session": "who of the team is signed in",
    "login_attempt": "how often a sign-in failed, of the team",
    "audit": "who of the team saw or changed what, by numbers: no name, no words of a person",
    "orientation_point": "places with a poster",
    "bulk_export": "who of the team asked for which table and who allowed it; the table itself is not kept",
    "emergency_number": "numbers that everybody is shown",
    "team_setting": "numbers of the settings that the team chose",
    "text_version": "texts of the assistant, and who of the team wrote them",
    "alembic_version": "the version of the tables",
}
ACKNOWLEDGED = timedelta(days=1)  # how long one acknowledgement of STOP stands for all


async def stop(ctx: Context, silently: bool = False, **_: Any) -> None:
    """No unasked messages from now on; what the person asks is still answered."""
    await interviews.leave(ctx, silently=True)
    await checkins.pause(ctx)
    already = Person.stopped_at > ctx.now - ACKNOWLEDGED
    fresh = await ctx.session.scalar(
        update(Person)
        .where(Person.id == ctx.person_id, ~func.coalesce(already, False))
        .values(stopped_at=ctx.now)
        .returning(Person.id)
    )
    if fresh is None:
        return  # acknowledged once: every further word would be one too many
    of_this = select(Conversation.id).where(Conversation.person_id == ctx.person_id)
    await ctx.session.execute(
        update(Outbox)
        .where(Outbox.conversation_id.in_(of_this), Outbox.unasked, Outbox.status.in_(["queued", "held"]))
        .values(status="cancelled", error="stopped")
    )
    if silently:
        return
    ctx.say("stopped", [ctx.do("button.resume", "resume"), ctx.do("button.delete_my_data", "delete_my_data")])


async def welcome_back(ctx: Context) -> None:
    """Who opens the conversation anew after STOP wants to hear from us again, and is told so."""
    if await _resumed(ctx):
        ctx.say("resumed")


async def resume(ctx: Context, silently: bool = False, **_: Any) -> None:
    """Unasked messages are welcome again; who never stopped them opens the conversation (« /start »)."""
    stopped = await _resumed(ctx)
    if silently:
        return
    if stopped:
        ctx.say("resumed", [ctx.do("button.help", "help")])
    else:
        await welcome(ctx)


async def _resumed(ctx: Context) -> bool:
    stopped = await ctx.session.scalar(
        update(Person)
        .where(Person.id == ctx.person_id, Person.stopped_at.is_not(None))
        .values(stopped_at=None)
        .returning(Person.id)
    )
    return stopped is not None


async def my_data(ctx: Context, **_: Any) -> None:
    """What is kept about this person, in words, and how to have it erased."""
    requests = list(
        await ctx.session.scalars(
            select(Request)
            .where(Request.person_id == ctx.person_id, Request.status != "withdrawn")
            .order_by(Request.id)
        )
    )
    messages = await ctx.session.scalar(
        select(func.count()).select_from(Inbox).where(Inbox.conversation_id == ctx.conversation_id)
    )
    consents = await ctx.session.scalar(
        select(func.count()).where(
            Consent.person_id == ctx.person_id, Consent.purpose == "request", Consent.withdrawn_at.is_(None)
        )
    )
    kept = [i18n.say("my_data.messages", ctx.language, number=messages)]
    for request in requests:
        names = ", " if ctx.language != "ar" else "، "
        answers = ctx.vault.open(ctx.person_key, request.answers_sealed)
        labels = [
            i18n.say(f"{step.say}.label", ctx.language) for step in forms()[first_contact.FORM] if step.slot in answers
        ]
        kept.append(i18n.say("my_data.request", ctx.language, reference=request.reference, answers=names.join(labels)))
        if request.interview_sealed is not None:
            kept.append(i18n.say("my_data.proposed", ctx.language, reference=request.reference))
    kept += await interviews.kept(ctx)
    if await ctx.session.scalar(select(Scan.point_id).where(Scan.person_id == ctx.person_id).limit(1)):
        kept.append(i18n.say("my_data.poster", ctx.language))
    kept += await checkins.kept(ctx)
    media = await ctx.session.scalar(select(func.count()).where(Media.person_id == ctx.person_id))
    if media:
        kept.append(i18n.say("my_data.media", ctx.language, number=media))
    sentences = await ctx.session.scalar(
        select(func.count()).where(Suggestion.person_id == ctx.person_id, Suggestion.text_sealed.is_not(None))
    )
    if sentences:
        kept.append(i18n.say("my_data.sentences", ctx.language, number=sentences))
    if consents:
        kept.append(i18n.say("my_data.consent", ctx.language))
    handed_over = list(
        await ctx.session.scalars(
            select(Handoff.reference).where(Handoff.person_id == ctx.person_id).order_by(Handoff.id)
        )
    )
    if handed_over:
        kept.append(i18n.say("my_data.handoffs", ctx.language, references=", ".join(handed_over)))
    if await ctx.session.scalar(select(Person.safe_word).where(Person.id == ctx.person_id)) is not None:
        kept.append(i18n.say("my_data.safe_word", ctx.language))
    ctx.say(
        "my_data",
        [
            ctx.do("button.my_data_file", "my_data_file"),
            ctx.do("button.correct", "correct_my_data"),
            ctx.do("button.consents", "consents"),
            ctx.do("button.other_phone", "other_phone"),
            ctx.do("button.safe_word", "safe_word"),
            ctx.do("button.clear_chat", "clear_chat"),
            ctx.do("button.delete_my_data", "delete_my_data"),
            ctx.do("button.help", "help"),
        ],
        kept="\n".join(kept),
        talk=ctx.settings.rafiq_conversation_days,
    )


async def delete_my_data(ctx: Context, **_: Any) -> None:
    """Erasing is asked once."""
    ctx.say("delete.ask", [ctx.do("button.delete_yes", "erase"), ctx.do("button.delete_no", "keep")])


async def keep(ctx: Context, **_: Any) -> None:
    """Not erased after all."""
    ctx.say("delete.kept", [ctx.do("button.help", "help")])


async def erase(ctx: Context, **_: Any) -> None:
    """Everything about this person goes: the requests (the case backend is told), the texts, Rasa's memory, the key."""
    await forget(ctx)


async def forget(ctx: Context) -> str:
    """The same, for who needs the receipt's number. `erase_person` does the rest, at the end of the turn."""
    receipt, refs = new_reference("EF"), await _references(ctx)
    await first_contact.withdraw_all(ctx)
    await interviews.erase(ctx)
    await checkins.erase(ctx)
    ctx.forget_dialogue = ctx.erased = True
    await events.record(
        ctx.session,
        type_="person.erased",
        key=f"person.erased:{receipt}",
        person_id=None,
        occurred_at=ctx.now,
        data={"receipt": receipt, "refs": refs},
    )
    ctx.say("delete.done")
    ctx.say("delete.receipt", [ctx.do("button.clear_chat", "clear_chat")], receipt=receipt)
    return receipt


async def _references(ctx: Context) -> list[str]:
    """What the case backend knows this person by."""
    found: list[str] = []
    for table in (Request, Appointment, Handoff, Enrolment):
        theirs = select(table.reference).where(table.person_id == ctx.person_id).order_by(table.id)
        if table is Appointment:  # of a draft nobody was told
            theirs = theirs.where(Appointment.status.not_in(bookings.DRAFT))
        found += await ctx.session.scalars(theirs)
    return found


async def erase_person(ctx: Context) -> None:
    """Delete the person with all that hangs on them; their address begins anew with a new key, for the receipt.

    The inbox keeps digests of what was received (hashes, no text): a late repeat stays a repeat. What they wrote since
    they asked for it, and nobody has read yet, is the first word of who begins anew.
    """
    key = ctx.vault.new_key()
    row = (
        await ctx.session.execute(
            select(Address.id, Address.address_sealed)
            .join(Conversation, Conversation.address_id == Address.id)
            .where(Conversation.id == ctx.conversation_id)
            .with_for_update(of=Conversation)  # what is being written to the person is there, or never will be
        )
    ).one()
    address = ctx.vault.open(ctx.person_key, row.address_sealed)
    person_id = await ctx.session.scalar(insert(Person).values(key=key, language=ctx.language).returning(Person.id))
    for table in (IssuedButton, Outbox, Media):
        await ctx.session.execute(delete(table).where(table.conversation_id == ctx.conversation_id))
    this, open_ = Inbox.conversation_id == ctx.conversation_id, Inbox.status.in_(["pending", "waiting"])
    since = await ctx.session.execute(
        select(Inbox.id, Inbox.content_sealed).where(this, open_, Inbox.id > ctx.inbox_id).order_by(Inbox.id)
    )
    unread = {row.id: row.content_sealed for row in since if row.content_sealed is not None}
    await ctx.session.execute(update(Inbox).where(this).values(content_sealed=None, error=None, topic=None))
    before = update(Inbox).where(this, open_, Inbox.id < ctx.inbox_id)
    await ctx.session.execute(before.values(status="done", done_at=ctx.now))
    for inbox_id, sealed in unread.items():
        again = ctx.vault.seal(key, ctx.vault.open(ctx.person_key, sealed))
        await ctx.session.execute(update(Inbox).where(Inbox.id == inbox_id).values(content_sealed=again))
    await ctx.session.execute(delete(AddressAlias).where(AddressAlias.address_id == row.id))
    await ctx.session.execute(
        update(Address)
        .where(Address.id == row.id)
        .values(
            person_id=person_id,
            address_sealed=ctx.vault.seal(key, address),
            identity_changed_at=None,  # nothing is left to be sensitive
            unsure_at=None,
            tries=0,
        )
    )
    await ctx.session.execute(
        update(CaseEvent)
        .where(CaseEvent.person_id == ctx.person_id, CaseEvent.words_sealed.is_not(None))
        .values(words_sealed=None)
    )
    aside = select(Conversation.aside_rasa_id).where(Conversation.id == ctx.conversation_id).scalar_subquery()
    await ctx.session.execute(delete(RasaTracker).where(RasaTracker.conversation == aside))
    await ctx.session.execute(
        update(Conversation)
        .where(Conversation.id == ctx.conversation_id)
        .values(
            person_id=person_id,
            exchanges=None,
            owner_id=None,
            hidden_at=None,
            aside_rasa_id=None,
            aside_form=None,
        )
    )
    await ctx.session.execute(delete(Person).where(Person.id == ctx.person_id))
    ctx.person_id, ctx.person_key = person_id or 0, key
