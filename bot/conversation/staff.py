"""The team's own chats: linked by a code, told who waits, writing to people from there.

Whoever of the team links their chat is no longer talked to by the assistant in it: what they write, say or show goes
to the person whose conversation they have; when they have several, they are asked each time to whom. What they do is
written into the audit like what is done in the console.
"""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot import i18n
from bot.assistant.commands import command
from bot.assistant.triage import Cue
from bot.conversation import handoffs
from bot.conversation.handoffs import ROLES, Desk, HandoffError, duty, may_know, reads, there_for, why
from bot.conversation.media import PICTURES, VOICES, Sent
from bot.conversation.notify import facts
from bot.db.encryption import Vault
from bot.db.models import Handoff, HandoffEntry, Inbox, IssuedButton, Media, Outbox, StaffMember
from bot.journeys import handoff as journey
from bot.journeys import safety
from bot.journeys.context import Choice, Context
from bot.journeys.hours import is_open, when_somebody_reads
from bot.messages import Kind, Language
from bot.orientation.points import OF_THE_TEAM
from bot.settings import Settings, reading_hours

ALL_ROLES = ("orientation", "counsellor", "supervisor", "coordinator", "administrator")
CODE_LIFE = timedelta(hours=24)
READ_BACK = 6  # messages of before that whoever takes a conversation is shown
COLLEAGUES = 8  # shown to hand a conversation on to
NOTE = "#"  # a message that begins so is a note for colleagues
FILES_BACK = 4  # voices and pictures of before that they are shown
SORTS = {"voice": VOICES, "picture": PICTURES, "video": ("video", "video_note"), "document": ("document",)}
IN_A_CHAT = {"in": "chat"}  # what the audit says beside each action that was done here
TO_BE_SHOWN = (Media.status.in_(("pending", "kept")), Media.kind.in_(VOICES + PICTURES))
_ADDRESS = re.compile(r"[^@\s<>,;:()\"]+@[^@\s<>,;:()\"]+")
_CODE = re.compile(OF_THE_TEAM + r"[A-Za-z0-9_-]{22}")


class Audited(Protocol):
    """Adds a row to the audit (bot/console/audit.py), which commits with what it tells of."""

    async def __call__(
        self,
        session: AsyncSession,
        vault: Vault,
        staff_id: uuid.UUID | None,
        action: str,
        target: str = "",
        detail: Mapping[str, str | int] | None = None,
    ) -> None:
        """Who, what, and the reference of where."""


async def add(
    session: AsyncSession,
    settings: Settings,
    name: str,
    email: str,
    role: str = "counsellor",
    *,
    languages: Sequence[str] = (),
    offices: Sequence[str] = (),
    priorities: Sequence[str] = (),
    hours: str | None = None,
) -> uuid.UUID | None:
    """Somebody new in the team; None when this address is known already. Raises `ValueError` for wrong hours."""
    reading_hours(hours or settings.rafiq_reading_hours)
    return await session.scalar(
        insert(StaffMember)
        .values(
            name=name, email=email.strip().lower(), role=role, languages=list(languages), offices=list(offices),
            priorities=list(priorities), duty=hours,
        )
        .on_conflict_do_nothing(index_elements=["email"])
        .returning(StaffMember.id)
    )  # fmt: skip


def is_address(email: str) -> bool:
    """Whether this is one e-mail address, and nothing that would make two of a mail's header."""
    return _ADDRESS.fullmatch(email.strip()) is not None and email.strip().isprintable()


async def find(session: AsyncSession, email: str) -> uuid.UUID | None:
    """Who of the team has this address."""
    return await session.scalar(select(StaffMember.id).where(StaffMember.email == email.strip().lower()))


async def link_code(session: AsyncSession, vault: Vault, email: str) -> str | None:
    """A code that links a chat to this person of the team, once and within a day: `/start CODE`."""
    code = OF_THE_TEAM + secrets.token_urlsafe(16)
    changed = await session.scalar(
        update(StaffMember)
        .where(StaffMember.email == email.strip().lower(), StaffMember.active)
        .values(link_digest=_digest(vault, code), link_expires_at=func.now() + CODE_LIFE)
        .returning(StaffMember.id)
    )
    return code if changed is not None else None


def is_code(typed: str) -> bool:
    """Whether somebody of the team wants to link their chat."""
    return _CODE.fullmatch(typed) is not None


async def link(ctx: Context, typed: str, audited: Audited) -> None:
    """The chat in which this code is sent is its owner's from now on; a code works once."""
    ctx.forget_words = True
    digest = _digest(ctx.vault, typed)
    fresh = (StaffMember.link_digest == digest, StaffMember.link_expires_at > func.now(), StaffMember.active)
    member = await ctx.session.scalar(select(StaffMember).where(*fresh).with_for_update())
    handed_over = await ctx.session.scalar(
        select(Handoff.id).where(Handoff.conversation_id == ctx.conversation_id, Handoff.status != "released").limit(1)
    )
    if member is None or handed_over is not None:
        ctx.say("desk.code_wrong")
        return
    await _unlink(ctx)
    await ctx.session.execute(
        update(StaffMember)
        .where(StaffMember.id == member.id)
        .values(conversation_id=ctx.conversation_id, link_digest=None, link_expires_at=None)
    )
    ctx.language = reads(member)
    ctx.forget_dialogue = True
    ctx.say("desk.linked", name=member.name)
    await audited(ctx.session, ctx.vault, member.id, "chat.linked", detail=IN_A_CHAT)


async def turn(
    ctx: Context, staff_id: uuid.UUID, kind: Kind, press: str, details: Mapping[str, Any], audited: Audited
) -> None:
    """One thing that somebody of the team did in their own chat."""
    member = await ctx.session.get(StaffMember, staff_id, populate_existing=True)
    if member is None:
        return
    ctx.language = reads(member)
    desk = Desk(ctx.session, ctx.vault, ctx.settings, ctx.now)
    done: list[tuple[str, str]] = []
    try:
        if kind is Kind.PRESS:
            done = await _pressed(ctx, desk, member, press)
        elif kind is Kind.TEXT and command(ctx.text) == "stop":
            await _unlink(ctx)
            ctx.say("desk.unlinked")
            done = [("chat.unlinked", "")]
        elif kind is Kind.TEXT:
            done = await _wrote(ctx, desk, member, None)
        elif kind is Kind.MEDIA:
            sent = Sent(ctx.inbox_id, ctx.channel, details)
            if sent.may_go:
                done = await _wrote(ctx, desk, member, sent)
            else:
                ctx.forget_words = True
                ctx.say("desk.not_this")
        elif kind is Kind.START:
            await _open(ctx, desk, member)
    except HandoffError as error:
        ctx.say_text(i18n.say(error.say, ctx.language, **error.values))
    for action, reference in done:  # last: one row of the audit waits for another
        await audited(ctx.session, ctx.vault, staff_id, action, reference, IN_A_CHAT)


async def _wrote(ctx: Context, desk: Desk, member: StaffMember, sent: Sent | None) -> list[tuple[str, str]]:
    """Words, a voice or a picture for the person whose conversation they have; a note when words begin with #."""
    held = await desk.held_by(member.id)
    ctx.forget_words = True
    command_or_nothing = sent is None and (not ctx.text or ctx.text.startswith("/"))  # of the bot's menu: for nobody
    if not held or command_or_nothing:
        await _open(ctx, desk, member)
    elif len(held) == 1:
        return await _send(ctx, desk, member, held[0].reference, ctx.text, sent)
    else:
        ctx.forget_words = False  # needed once more
        ctx.say(
            "desk.which",
            [
                Choice(one.reference, {"staff": "send", "handoff": one.reference, "inbox": ctx.inbox_id})
                for one in held[:COLLEAGUES]
            ],
        )
    return []


async def _send(
    ctx: Context, desk: Desk, member: StaffMember, reference: str, words: str, sent: Sent | None
) -> list[tuple[str, str]]:
    if words.startswith(NOTE) and sent is None:
        await desk.note(reference, member.id, words.removeprefix(NOTE).strip())
        ctx.say("desk.noted", reference=reference)
        return [("handoff.noted", reference)]
    if len(words) > handoffs.LONGEST:
        ctx.say("desk.too_long", most=handoffs.LONGEST)
        return []
    await desk.reply(reference, member.id, words, sent=sent)
    return [("handoff.replied", reference)]


async def _open(ctx: Context, desk: Desk, member: StaffMember) -> None:
    """What they have and what waits, with what can be done."""
    held = await desk.held_by(member.id)
    waiting = [one for one in await desk.queue(("waiting",)) if member.role in ROLES and there_for(one, member)]
    if not held:
        buttons = [
            Choice(f"{one.priority} · {one.reference}", {"staff": "take", "handoff": one.reference})
            for one in waiting[:COLLEAGUES]
        ]
        ctx.say("desk.nothing", buttons, number=len(waiting))
    for one in held:
        ctx.say("desk.yours", _actions(one.reference, ctx.language), reference=one.reference)


async def _pressed(ctx: Context, desk: Desk, member: StaffMember, press: str) -> list[tuple[str, str]]:
    """What was done, as the audit calls it, and where."""
    action = await ctx.session.scalar(
        select(IssuedButton.action).where(
            IssuedButton.id == press,
            IssuedButton.conversation_id == ctx.conversation_id,
            IssuedButton.expires_at > func.now(),
        )
    )
    verb = (action or {}).get("staff")
    if action is None or verb is None:
        ctx.say("desk.stale")
        return []
    reference = str(action["handoff"])
    if verb == "take":
        await desk.claim(reference, member.id)
        await _brief(ctx, desk, member, reference)
        return [("handoff.taken", reference), ("conversation.seen", reference)]
    if verb == "release":
        await desk.release(reference, member.id)
        again = Choice(i18n.say("desk.button.reopen", ctx.language), {"staff": "reopen", "handoff": reference})
        ctx.say("desk.released", [again], reference=reference, hours=ctx.settings.rafiq_handoff_reopen_hours)
        return [("handoff.released", reference)]
    if verb == "reopen":
        await desk.reopen(reference, member.id)
        await _brief(ctx, desk, member, reference)
        return [("handoff.reopened", reference), ("conversation.seen", reference)]
    if verb == "back":
        await desk.give_back(reference, member.id)
        ctx.say("desk.gave_back", reference=reference)
        return [("handoff.returned", reference)]
    if verb == "knock":
        knocked = await desk.knock(reference, member.id)
        ctx.say("desk.knocked" if knocked else "desk.nothing_held", reference=reference)
        return [("handoff.knocked", reference)] if knocked else []
    if verb == "send":
        return await _send_chosen(ctx, desk, member, reference, int(action["inbox"]))
    if verb == "transfer":
        await _colleagues(ctx, member, reference)
    elif verb == "to":
        await _hand_on(ctx, desk, member, reference, uuid.UUID(action["to"]))
        return [("handoff.transferred", reference)]
    return []


async def _brief(ctx: Context, desk: Desk, member: StaffMember, reference: str) -> None:
    """What whoever takes a conversation has to know, and the last words of it."""
    handoff = await ctx.session.scalar(select(Handoff).where(Handoff.reference == reference))
    if handoff is None:
        return
    talk = [line for line in await desk.conversation(reference, member.role, 40) if line.who != "assistant"]
    lines = [line for line in talk if line.text]
    said = "\n".join(f"{'>' if line.who == 'person' else '<'} {line.text[:400]}" for line in lines[-READ_BACK:])
    told = facts(handoff, member, ctx.settings)
    text = i18n.say("desk.taken", ctx.language, **told, reason=why(handoff, ctx.language), said=said)
    buttons = [(choice.title, choice.action) for choice in _actions(reference, ctx.language)]
    await desk.show(handoff.id, member, text, buttons, ctx.inbox_id)
    files = select(Media.id, Media.kind).where(
        Media.id.in_([line.media_id for line in talk if line.media_id is not None]), *TO_BE_SHOWN
    )
    for media_id, kind in (await ctx.session.execute(files.order_by(Media.id.desc()).limit(FILES_BACK))).all()[::-1]:
        text = i18n.say("desk.media", ctx.language, reference=reference, words=_what(kind, ctx.language))
        await desk.show(handoff.id, member, text, (), ctx.inbox_id, media_id)


def _actions(reference: str, language: Language) -> list[Choice]:
    return [
        Choice(i18n.say("desk.button.release", language), {"staff": "release", "handoff": reference}),
        Choice(i18n.say("desk.button.transfer", language), {"staff": "transfer", "handoff": reference}),
        Choice(i18n.say("desk.button.back", language), {"staff": "back", "handoff": reference}),
    ]


async def _send_chosen(
    ctx: Context, desk: Desk, member: StaffMember, reference: str, inbox_id: int
) -> list[tuple[str, str]]:
    """The message for which they were asked to whom it goes, once."""
    which = (Inbox.id == inbox_id, Inbox.conversation_id == ctx.conversation_id)
    row = (await ctx.session.execute(select(Inbox.content_sealed, Inbox.kind).where(*which).with_for_update())).first()
    if row is None or row.content_sealed is None:
        ctx.say("desk.stale")
        return []
    content = ctx.vault.open(ctx.person_key, row.content_sealed)
    sent = Sent(inbox_id, ctx.channel, content.get("details") or {}) if row.kind == Kind.MEDIA else None
    done = await _send(ctx, desk, member, reference, str(content.get("text") or ""), sent)
    await ctx.session.execute(update(Inbox).where(*which).values(content_sealed=None))
    ctx.say("desk.sent", reference=reference)
    return done


async def _colleagues(ctx: Context, member: StaffMember, reference: str) -> None:
    rows = await ctx.session.scalars(
        select(StaffMember)
        .where(StaffMember.active, StaffMember.role.in_(ROLES), StaffMember.id != member.id)
        .order_by(StaffMember.name)
    )
    handoff = await ctx.session.scalar(select(Handoff).where(Handoff.reference == reference))
    theirs = [one for one in rows if handoff is not None and there_for(handoff, one)]
    present = sorted(theirs, key=lambda one: not is_open(duty(one, ctx.settings), ctx.now))[:COLLEAGUES]
    ctx.say(
        "desk.to_whom" if present else "desk.nobody",
        [Choice(one.name, {"staff": "to", "handoff": reference, "to": str(one.id)}) for one in present],
        reference=reference,
    )


async def _hand_on(ctx: Context, desk: Desk, member: StaffMember, reference: str, to_id: uuid.UUID) -> None:
    await desk.transfer(reference, member.id, to_id)
    colleague = await ctx.session.get(StaffMember, to_id)
    handoff = await ctx.session.scalar(select(Handoff).where(Handoff.reference == reference))
    if colleague is None or handoff is None:
        return
    ctx.say("desk.handed_on", reference=reference, name=colleague.name)
    text = i18n.say("desk.received", reads(colleague), reference=reference, name=member.name)
    buttons = [(choice.title, choice.action) for choice in _actions(reference, reads(colleague))]
    await desk.show(handoff.id, colleague, text, buttons, ctx.inbox_id)


def _what(sort: str, language: Language) -> str:
    """A voice message, a picture …, in words."""
    known = next((name for name, sorts in SORTS.items() if sort in sorts), "other")
    return i18n.say(f"desk.sort.{known}", language)


async def relay(ctx: Context, kind: Kind, words: str, sort: str = "") -> None:
    """What the person did goes to whoever of the team has the conversation; the assistant says nothing.

    A voice or a picture goes along as soon as it is fetched. Only when nobody reads at that hour is the person told so,
    once each time that it closes.
    """
    desk = Desk(ctx.session, ctx.vault, ctx.settings, ctx.now)
    owner = await ctx.session.get(StaffMember, ctx.owner_id) if ctx.owner_id is not None else None
    if owner is None or not owner.active:  # who left the team reads nothing any more
        await desk.give_back_silently(ctx.conversation_id)
        ctx.owner_id = None
        when = when_somebody_reads(ctx.settings.rafiq_reading_hours, ctx.now, ctx.language)
        ctx.say("handoff.returned", name=owner.name if owner is not None else "–", when=when)
        return
    handoff, untold = await desk.heard(ctx.conversation_id, duty(owner, ctx.settings))
    if handoff is None:
        return
    language = reads(owner)
    text_id = {Kind.TEXT: "desk.relay", Kind.PRESS: "desk.pressed"}.get(kind, "desk.media")
    if sort:
        words = " · ".join(filter(None, [_what(sort, language), words]))
    text = i18n.say(text_id, language, reference=handoff.reference, words=words)
    media_id = await ctx.session.scalar(select(Media.id).where(Media.inbox_id == ctx.inbox_id, *TO_BE_SHOWN))
    await desk.show(handoff.id, owner, text, (), ctx.inbox_id, media_id)
    if untold:
        when = when_somebody_reads(duty(owner, ctx.settings), ctx.now, ctx.language)
        ctx.say("handoff.reached", name=owner.name, when=when)


async def alarm(ctx: Context, cue: Cue, words: str) -> None:
    """A cue in a conversation that somebody of the team has: they are told at once, and the assistant stays silent.

    Where they are off duty, it is no time for silence: the conversation goes back to the queue and safety answers.
    So it does where the sign may be about them.
    """
    desk = Desk(ctx.session, ctx.vault, ctx.settings, ctx.now)
    owner = await ctx.session.get(StaffMember, ctx.owner_id) if ctx.owner_id is not None else None
    there = owner is not None and owner.active and is_open(duty(owner, ctx.settings), ctx.now)
    if owner is None or not there or not may_know(owner, f"cue:{cue.name}"):
        await desk.give_back_silently(ctx.conversation_id)
        ctx.owner_id = None
        await safety.respond(ctx, cue)
        return
    await relay(ctx, Kind.TEXT, words)
    reference = await journey.record(ctx, f"cue:{cue.name}", cue.priority)
    handoff = await ctx.session.scalar(select(Handoff).where(Handoff.reference == reference))
    if handoff is not None:
        language = reads(owner)
        text = i18n.say("desk.cue", language, reference=reference, priority=cue.priority, reason=why(handoff, language))
        await desk.show(handoff.id, owner, text)  # of no message: it stays when the message is taken back


async def speaks(ctx: Context) -> None:
    """Who speaks here, for a person who opens the conversation anew."""
    owner = await ctx.session.get(StaffMember, ctx.owner_id) if ctx.owner_id is not None else None
    if owner is not None:
        when = when_somebody_reads(duty(owner, ctx.settings), ctx.now, ctx.language)
        ctx.say("handoff.claimed", name=owner.name, when=when)


async def erased(ctx: Context) -> None:
    """The person had everything erased: copies of their words in the team's chats go too; whoever has them is told."""
    of_person = select(Handoff.id).where(Handoff.person_id == ctx.person_id)
    copies = select(HandoffEntry.outbox_id).where(HandoffEntry.handoff_id.in_(of_person), HandoffEntry.what == "shown")
    owner = await ctx.session.get(StaffMember, ctx.owner_id) if ctx.owner_id is not None else None
    reference = await ctx.session.scalar(
        select(Handoff.reference).where(Handoff.person_id == ctx.person_id, Handoff.status == "taken").limit(1)
    )
    await ctx.session.execute(delete(Outbox).where(Outbox.id.in_(copies)))
    ctx.owner_id = None
    if owner is not None and reference is not None:
        desk = Desk(ctx.session, ctx.vault, ctx.settings, ctx.now)
        await desk.to_chat(owner, i18n.say("desk.erased", reads(owner), reference=reference))


async def _unlink(ctx: Context) -> None:
    await ctx.session.execute(
        update(StaffMember).where(StaffMember.conversation_id == ctx.conversation_id).values(conversation_id=None)
    )


def _digest(vault: Vault, code: str) -> bytes:
    return vault.digest("staff link", code)
