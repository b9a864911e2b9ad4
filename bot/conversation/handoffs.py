"""Who of the team speaks in a conversation, and what they do there: take, answer, note, hand on, give back, reopen.

Everything here is a step of one transaction that its caller commits; the conversation's row is locked first, so that
of ten who take it at once one gets it. All that a conversation has open moves together and has one owner. The web
console and the team's own chats (bot/conversation/staff.py) both come here.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot import i18n
from bot.conversation import outbox
from bot.conversation.media import Given, Sent, bring
from bot.db.encryption import Vault
from bot.db.models import (
    Address,
    Conversation,
    Handoff,
    HandoffEntry,
    HandoffNotice,
    Inbox,
    IssuedButton,
    Media,
    Outbox,
    Person,
    StaffMember,
)
from bot.db.session import Lane, wake
from bot.journeys.context import Context
from bot.journeys.handoff import due, patience
from bot.journeys.hours import closed_since, when_somebody_reads
from bot.messages import Language
from bot.settings import Settings

SUPERVISING = ("supervisor", "administrator")
ROLES = ("counsellor", *SUPERVISING)  # who takes conversations over
CANNED = ("reading", "more", "safe", "later")  # ready-made answers
RESTRICTED = ("cue:staff_misconduct",)  # only for those who supervise: it may be about whoever would take it
EVERYBODY_WAS_TOLD = 2  # the step of a handoff that somebody of another office may take (bot/conversation/notify.py)
CLOSING = timedelta(minutes=1)  # after a conversation is given back: the words of parting are of it still
LONGEST = 3500  # characters of one answer: with its writer's name it is one message on every channel


class HandoffError(Exception):
    """It cannot be done. `say`: the text of the catalogs that tells why, with `values`.

    HandoffError
    ├── Unknown     there is no such handoff
    ├── Taken       somebody else has the conversation; `values["name"]` says who
    ├── NotYours    it is nobody's, or its state allows this no more
    ├── TooLate     given back to the assistant too long ago
    └── Unwanted    the person wants no messages or cannot be reached
    """

    say = "desk.unknown"

    def __init__(self, reference: str, **values: str) -> None:
        super().__init__(type(self).__name__)
        self.values = {"reference": reference, **values}


class Unknown(HandoffError):
    """There is no such handoff."""


class Taken(HandoffError):
    """Somebody else speaks in this conversation."""

    say = "desk.lost"


class NotYours(HandoffError):
    """It is with nobody, or this is not possible as it stands."""

    say = "desk.not_yours"


class TooLate(HandoffError):
    """It was given back to the assistant too long ago."""

    say = "desk.over"


class Unwanted(HandoffError):
    """The person wants no messages, or cannot be reached."""

    say = "desk.unwanted"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a conversation as the team reads it. `status`: of what was written to the person."""

    at: datetime
    who: str  # person, assistant, team
    text: str
    status: str | None = None
    reason: str | None = None  # why it is held or failed
    outbox_id: int | None = None
    media_id: int | None = None
    name: str | None = None  # of the team
    language: str | None = None  # of what was written to the person


@dataclass(frozen=True, slots=True)
class _Thread:
    """A handoff with the conversation that it belongs to, locked."""

    handoff: Handoff
    conversation_id: int
    owner_id: uuid.UUID | None
    person_id: int
    key: bytes
    language: Language
    channel: str
    unwanted: bool


@dataclass(frozen=True, slots=True)
class Desk:
    """What somebody of the team works with. Every step happens in `session`, which its caller commits."""

    session: AsyncSession
    vault: Vault
    settings: Settings
    now: datetime

    async def queue(self, statuses: Sequence[str] = ("waiting", "taken")) -> list[Handoff]:
        """The handoffs, the most urgent and longest waiting first."""
        rows = await self.session.scalars(
            select(Handoff).where(Handoff.status.in_(statuses)).order_by(Handoff.priority, Handoff.created_at)
        )
        return list(rows)

    async def held_by(self, staff_id: uuid.UUID) -> list[Handoff]:
        """One handoff, the most urgent, of each conversation that this person of the team has."""
        rows = await self.session.scalars(
            select(Handoff)
            .where(Handoff.owner_id == staff_id, Handoff.status == "taken")
            .order_by(Handoff.priority, Handoff.id)
        )
        by_conversation: dict[int, Handoff] = {}
        for one in rows:
            by_conversation.setdefault(one.conversation_id, one)
        return list(by_conversation.values())

    async def claim(self, reference: str, staff_id: uuid.UUID) -> Handoff:
        """Take the conversation: from now on the assistant is silent there. Taken twice by the same, once."""
        thread = await self._lock(reference)
        await self._nobody_elses(thread, staff_id)
        if thread.owner_id == staff_id:
            return thread.handoff
        if thread.handoff.status != "waiting":
            raise NotYours(reference)
        member = await self._member(reference, staff_id)
        await self._may_have(thread, member)
        if not there_for(thread.handoff, member):
            raise NotYours(reference)
        await self._own(thread, staff_id, "waiting")
        await self._log(thread, "taken", staff_id)
        await self._tell(thread, "handoff.claimed", name=member.name, when=self._when(member, thread.language))
        return thread.handoff

    async def reply(
        self,
        reference: str,
        staff_id: uuid.UUID,
        words: str,
        public_id: uuid.UUID | None = None,
        sent: Sent | Given | None = None,
    ) -> int | None:
        """Write to the person; the outbox id of the message. The same `public_id` again writes nothing and gives None.

        `sent`: a voice or picture that goes with it, if need be once it is fetched; without words its kind is said.
        Outside the platform's window it is held; its status and reason say so.
        """
        thread = await self._mine(reference, staff_id)
        if thread.unwanted:
            raise Unwanted(reference)
        member = await self._member(reference, staff_id)
        media_id = None
        again = select(Outbox.id).where(Outbox.public_id == public_id)
        if sent is not None and public_id is not None and await self.session.scalar(again) is not None:
            return None
        if sent is not None:
            words = words or i18n.say("handoff.voice" if sent.is_voice else "handoff.picture", thread.language)
            media_id = await bring(
                self.session, self.vault, sent, person_id=thread.person_id, key=thread.key,
                conversation_id=thread.conversation_id, days=self.settings.rafiq_media_days,
            )  # fmt: skip
        words = i18n.say("handoff.reply", thread.language, name=member.name, words=words[:LONGEST])
        outbox_id = await self._write(
            thread.conversation_id, thread.key, words, thread.language, sensitive=True, public_id=public_id,
            media_id=media_id,
            expires_at=self.now + timedelta(days=self.settings.rafiq_media_days) if media_id is not None else None,
        )  # fmt: skip
        if outbox_id is None:
            return None
        await self.session.execute(
            update(Handoff)
            .where(Handoff.conversation_id == thread.conversation_id, Handoff.status == "taken")
            .values(unanswered_at=None, look_at=None)
        )
        await self._log(thread, "replied", staff_id, outbox_id=outbox_id)
        return outbox_id

    async def knock(self, reference: str, staff_id: uuid.UUID) -> bool:
        """Have the platform's template say « you have a reply », for what is held; False when nothing is.

        It is said once until the person writes.
        """
        thread = await self._mine(reference, staff_id)
        letter = (
            await self.session.execute(
                select(Outbox.conversation_id, Outbox.expires_at, Address.last_heard_at, Person.key)
                .join(Conversation, Conversation.id == Outbox.conversation_id)
                .join(Address, Address.id == Conversation.address_id)
                .join(Person, Person.id == Conversation.person_id)
                .where(Outbox.conversation_id == thread.conversation_id, Outbox.status == "held")
                .where(Outbox.error.in_(("window", "template")))
                .limit(1)
            )
        ).first()
        if letter is None:
            return False
        await outbox.announce(self.session, self.vault, letter, thread.language)
        await wake(self.session, Lane.DELIVERY, thread.conversation_id)
        return True

    async def note(self, reference: str, staff_id: uuid.UUID, words: str) -> None:
        """Write something down for colleagues; the person never reads it."""
        thread = await self._lock(reference)
        await self._may_have(thread, await self._member(reference, staff_id))
        sealed = self.vault.seal(thread.key, {"text": words[:LONGEST]})
        await self._log(thread, "noted", staff_id, note_sealed=sealed)

    async def transfer(self, reference: str, staff_id: uuid.UUID, to_id: uuid.UUID) -> None:
        """Hand the conversation on to a colleague; its owner may, and who supervises."""
        thread = await self._lock(reference)
        member = await self._member(reference, staff_id)
        if thread.owner_id is None:
            raise NotYours(reference)
        if thread.owner_id != staff_id and member.role not in SUPERVISING:
            await self._nobody_elses(thread, staff_id)
        colleague = await self._member(reference, to_id)
        await self._may_have(thread, colleague)
        if thread.owner_id == to_id:
            return
        before = await self._name(thread.owner_id)
        await self._own(thread, to_id, "taken")
        await self._log(thread, "transferred", staff_id, to_id=to_id)
        when = self._when(colleague, thread.language)
        await self._tell(thread, "handoff.transferred", name=before, to=colleague.name, when=when)

    async def release(self, reference: str, staff_id: uuid.UUID, closing: str = "") -> None:
        """Give the conversation back to the assistant, with a closing message; the person is told who speaks now."""
        thread = await self._mine(reference, staff_id)
        if closing.strip():
            await self.reply(reference, staff_id, closing)
        await self._move(thread, "taken", status="released", released_at=self.now, look_at=None)
        await self._log(thread, "released", staff_id)
        await self._tell(thread, "handoff.released", person=True)

    async def reopen(self, reference: str, staff_id: uuid.UUID) -> None:
        """Take a conversation up again that was given back to the assistant not too long ago."""
        thread = await self._lock(reference)
        await self._nobody_elses(thread, staff_id)
        if thread.handoff.status != "released" or thread.handoff.released_at is None:
            raise NotYours(reference)
        if thread.handoff.released_at <= self.now - timedelta(hours=self.settings.rafiq_handoff_reopen_hours):
            raise TooLate(reference)
        member = await self._member(reference, staff_id)
        await self._may_have(thread, member)
        if thread.owner_id is None:
            await self._own(thread, staff_id, "waiting")  # what else waits comes along
        await self._own(thread, staff_id, "released", only=True)
        await self._log(thread, "reopened", staff_id)
        if thread.owner_id is None:
            await self._tell(thread, "handoff.claimed", name=member.name, when=self._when(member, thread.language))

    async def give_back(self, reference: str, staff_id: uuid.UUID | None) -> None:
        """Back to the queue: the owner cannot go on, or (None) was silent for too long. The assistant speaks again."""
        thread = await self._lock(reference)
        if thread.owner_id is None or thread.handoff.status != "taken":
            raise NotYours(reference)
        if staff_id is not None:
            await self._nobody_elses(thread, staff_id)
        await self._return(thread, staff_id)
        when = when_somebody_reads(self.settings.rafiq_reading_hours, self.now, thread.language)
        await self._tell(thread, "handoff.returned", name=await self._name(thread.owner_id), when=when)

    async def give_back_silently(self, conversation_id: int) -> None:
        """Back to the queue in the turn of the person's own message, which says the rest itself."""
        reference = await self.session.scalar(
            select(Handoff.reference)
            .where(Handoff.conversation_id == conversation_id, Handoff.status == "taken")
            .limit(1)
        )
        if reference is not None:
            await self._return(await self._lock(reference), None)

    async def dismiss(self, staff_id: uuid.UUID) -> None:
        """Somebody leaves the team: what they have goes back to the queue, their chat is theirs alone again."""
        for one in await self.held_by(staff_id):
            with suppress(NotYours, Unknown):  # it went to somebody else, or its person is gone, meanwhile
                await self.give_back(one.reference, None)
        left = {"active": False, "conversation_id": None, "link_digest": None, "link_expires_at": None}
        await self.session.execute(update(StaffMember).where(StaffMember.id == staff_id).values(left))

    async def heard(self, conversation_id: int, hours: str) -> tuple[Handoff | None, bool]:
        """The person wrote: the owner's patience begins. The most urgent handoff, and whether to say that at this hour
        nobody reads: once each time that it closes.

        The conversation is locked first, as by every step of the team (`_lock`): in the other order a message and a
        click at once would each wait for the other.
        """
        conversation = select(Conversation.id).where(Conversation.id == conversation_id)
        await self.session.execute(conversation.with_for_update(key_share=True))
        rows = list(
            await self.session.scalars(
                select(Handoff)
                .where(Handoff.conversation_id == conversation_id, Handoff.status == "taken")
                .order_by(Handoff.priority, Handoff.id)
                .with_for_update()
            )
        )
        closed = closed_since(hours, self.now)
        untold = closed is not None and all(one.told_at is None or one.told_at < closed for one in rows)
        for one in rows:
            if one.unanswered_at is None:
                one.unanswered_at = self.now
                one.look_at = patience(self.settings, one.priority, self.now)
            if untold:
                one.told_at = self.now
        return (rows[0] if rows else None), untold

    async def show(
        self,
        handoff_id: int,
        staff: StaffMember,
        text: str,
        buttons: Sequence[tuple[str, Mapping[str, Any]]] = (),
        inbox_id: int | None = None,
        media_id: int | None = None,
    ) -> int | None:
        """Write to somebody of the team in their own chat, if they have one; it goes when the person's data goes."""
        outbox_id = await self.to_chat(staff, text, buttons, inbox_id, media_id)
        if outbox_id is not None:
            await self.session.execute(
                insert(HandoffEntry).values(
                    handoff_id=handoff_id, what="shown", staff_id=staff.id, outbox_id=outbox_id, at=self.now
                )
            )
        return outbox_id

    async def to_chat(
        self,
        staff: StaffMember,
        text: str,
        buttons: Sequence[tuple[str, Mapping[str, Any]]] = (),
        inbox_id: int | None = None,
        media_id: int | None = None,
    ) -> int | None:
        """Write to somebody of the team in their own chat; None when they have none."""
        if staff.conversation_id is None:
            return None
        key = await self.session.scalar(
            select(Person.key)
            .join(Conversation, Conversation.person_id == Person.id)
            .where(Conversation.id == staff.conversation_id)
        )
        if key is None:
            return None
        issued = [(secrets.token_urlsafe(9), title, action) for title, action in buttons]
        outbox_id = await self._write(
            staff.conversation_id, key, text, reads(staff), buttons=issued, inbox_id=inbox_id, media_id=media_id
        )
        for position, (button_id, title, action) in enumerate(issued, 1):
            await self.session.execute(
                insert(IssuedButton).values(
                    id=button_id, conversation_id=staff.conversation_id, outbox_id=outbox_id, position=position,
                    title=title, action=dict(action), expires_at=self.now + outbox.BUTTON_LIFE,
                )
            )  # fmt: skip
        return outbox_id

    async def conversation(self, reference: str, role: str, last: int = 200) -> list[Line]:
        """What was said in the conversation of this handoff, the oldest first: what is for this role to read."""
        found = (
            await self.session.execute(
                select(Handoff.conversation_id, Handoff.status, Handoff.released_at, Person.key)
                .join(Person, Person.id == Handoff.person_id)
                .where(Handoff.reference == reference)
            )
        ).first()
        if found is None:
            raise Unknown(reference)
        since, until = await self._readable(found, role)
        heard = await self.session.execute(
            select(Inbox.received_at, Inbox.content_sealed, Inbox.kind, Media.id)
            .outerjoin(Media, Media.inbox_id == Inbox.id)
            .where(Inbox.conversation_id == found.conversation_id, Inbox.content_sealed.is_not(None))
            .where(Inbox.received_at > since, Inbox.received_at <= until)
            .order_by(Inbox.id.desc())
            .limit(last)
        )
        lines = []
        for at, sealed, kind, media_id in heard:
            content = self.vault.open(found.key, sealed or b"")
            if kind in ("text", "media", "press"):
                lines.append(Line(at, "person", str(content.get("text") or ""), media_id=media_id))
        said = await self.session.execute(
            select(
                Outbox.id, Outbox.created_at, Outbox.content_sealed, Outbox.status, Outbox.error, Outbox.media_id,
                StaffMember.name,
            )
            .outerjoin(HandoffEntry, (HandoffEntry.outbox_id == Outbox.id) & (HandoffEntry.what == "replied"))
            .outerjoin(StaffMember, StaffMember.id == HandoffEntry.staff_id)
            .where(Outbox.conversation_id == found.conversation_id)
            .where(Outbox.created_at > since, Outbox.created_at <= until)
            .order_by(Outbox.id.desc())
            .limit(last)
        )  # fmt: skip
        for outbox_id, at, sealed, status, error, file_id, name in said:
            content = self.vault.open(found.key, sealed)
            who = "assistant" if name is None else "team"
            lines.append(
                Line(at, who, str(content["text"]), status, error, outbox_id, file_id, name, content.get("language"))
            )
        return sorted(lines, key=lambda line: line.at)[-last:]

    async def media(self, reference: str, media_id: int, role: str) -> tuple[bytes, str] | None:
        """A voice message or picture of this handoff's conversation and its type; None when it is not kept (any more),
        or not for this role.

        Nobody but who has the conversation, or might take it, should be shown it: that is the caller's to know.
        """
        row = (
            await self.session.execute(
                select(
                    Media.content_sealed, Media.mime, Media.created_at, Person.key, Handoff.conversation_id,
                    Handoff.status, Handoff.released_at,
                )
                .join(Person, Person.id == Media.person_id)
                .join(Handoff, Handoff.conversation_id == Media.conversation_id)
                .where(Handoff.reference == reference, Media.id == media_id, Media.status == "kept")
            )
        ).first()  # fmt: skip
        if row is None or row.content_sealed is None:
            return None
        since, until = await self._readable(row, role)
        if not since < row.created_at <= until:
            return None
        return self.vault.open_bytes(row.key, row.content_sealed), row.mime or "application/octet-stream"

    async def _readable(self, handoff: Any, role: str) -> tuple[datetime, datetime]:
        """Between which times what was said is to be read with this handoff.

        Not what the person told the assistant after the conversation was given back to it; nor, for who does not
        supervise, what was said until a handoff that may be about the team was over.
        """
        since, until = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        if handoff.status == "released" and handoff.released_at is not None:
            until = handoff.released_at + CLOSING
        if role not in SUPERVISING:
            about_us = select(func.max(Handoff.released_at)).where(
                Handoff.conversation_id == handoff.conversation_id, Handoff.reason.in_(RESTRICTED)
            )
            since = await self.session.scalar(about_us) or since
        return since, until

    async def history(self, reference: str) -> list[tuple[HandoffEntry, str | None]]:
        """What happened to the handoff, in order, with the words of its notes."""
        rows = await self.session.execute(
            select(HandoffEntry, Person.key)
            .join(Handoff, Handoff.id == HandoffEntry.handoff_id)
            .join(Person, Person.id == Handoff.person_id)
            .where(Handoff.reference == reference, HandoffEntry.what != "shown")
            .order_by(HandoffEntry.id)
        )
        return [
            (entry, self.vault.open(key, entry.note_sealed)["text"] if entry.note_sealed is not None else None)
            for entry, key in rows
        ]

    async def _lock(self, reference: str) -> _Thread:
        """The handoff and its conversation, which nobody else can move until this transaction ends."""
        conversation_id = await self.session.scalar(
            select(Handoff.conversation_id).where(Handoff.reference == reference)
        )
        row = (
            await self.session.execute(
                select(
                    Conversation.id, Conversation.owner_id, Conversation.person_id, Person.key, Person.language,
                    Person.stopped_at, Address.channel, Address.unreachable_at,
                )
                .join(Person, Person.id == Conversation.person_id)
                .join(Address, Address.id == Conversation.address_id)
                .where(Conversation.id == conversation_id)
                .with_for_update(of=Conversation, key_share=True)
            )
        ).first()  # fmt: skip
        handoff = await self.session.scalar(
            select(Handoff).where(Handoff.reference == reference).execution_options(populate_existing=True)
        )
        if row is None or handoff is None:
            raise Unknown(reference)
        return _Thread(
            handoff,
            row.id,
            row.owner_id,
            row.person_id,
            row.key,
            row.language or "fr",
            row.channel,
            row.stopped_at is not None or row.unreachable_at is not None,
        )

    async def _mine(self, reference: str, staff_id: uuid.UUID) -> _Thread:
        thread = await self._lock(reference)
        await self._nobody_elses(thread, staff_id)
        if thread.owner_id is None or thread.handoff.status != "taken":
            raise NotYours(reference)
        return thread

    async def _nobody_elses(self, thread: _Thread, staff_id: uuid.UUID) -> None:
        if thread.owner_id not in (None, staff_id):
            raise Taken(thread.handoff.reference, name=await self._name(thread.owner_id))

    async def _member(self, reference: str, staff_id: uuid.UUID) -> StaffMember:
        member = await self.session.get(StaffMember, staff_id)
        if member is None or not member.active or member.role not in ROLES:
            raise NotYours(reference)
        return member

    async def _may_have(self, thread: _Thread, member: StaffMember) -> None:
        """Whether this conversation may be theirs, for all that is open in it and for this handoff."""
        reasons = select(Handoff.reason).where(
            Handoff.conversation_id == thread.conversation_id,
            (Handoff.status != "released") | (Handoff.id == thread.handoff.id),
        )
        if not all(may_know(member, reason) for reason in await self.session.scalars(reasons)):
            raise NotYours(thread.handoff.reference)

    async def _name(self, staff_id: uuid.UUID | None) -> str:
        return str(await self.session.scalar(select(StaffMember.name).where(StaffMember.id == staff_id)) or "")

    def _when(self, member: StaffMember, language: Language) -> str:
        return when_somebody_reads(duty(member, self.settings), self.now, language)

    async def _own(self, thread: _Thread, staff_id: uuid.UUID, before: str, only: bool = False) -> None:
        """All that is `before` in this conversation is theirs from now on; `only`: but for other handoffs."""
        priorities = select(Handoff.id, Handoff.priority).where(
            Handoff.conversation_id == thread.conversation_id, Handoff.status == before
        )
        if only:
            priorities = priorities.where(Handoff.id == thread.handoff.id)
        for handoff_id, priority in (await self.session.execute(priorities)).all():
            await self.session.execute(
                update(Handoff)
                .where(Handoff.id == handoff_id)
                .values(
                    status="taken", owner_id=staff_id, taken_at=self.now, released_at=None, unanswered_at=self.now,
                    told_at=self.now, look_at=patience(self.settings, priority, self.now),
                )
            )  # fmt: skip
        await self.session.execute(
            update(Conversation).where(Conversation.id == thread.conversation_id).values(owner_id=staff_id)
        )
        await self._withdraw_notices(thread.conversation_id)
        # what waited for understanding is theirs to read
        waiting = update(Inbox).where(Inbox.conversation_id == thread.conversation_id, Inbox.status == "waiting")
        await self.session.execute(waiting.values(status="pending", next_at=None))
        await wake(self.session, Lane.TURN, thread.conversation_id)
        await self.session.refresh(thread.handoff)

    async def _return(self, thread: _Thread, staff_id: uuid.UUID | None) -> None:
        await self._move(
            thread, "taken", status="waiting", look_at=self.now, step=0, taken_at=None,
            due_at=due(self.settings, thread.handoff.priority, self.now),
        )  # fmt: skip
        await self._log(thread, "returned", staff_id)
        await wake(self.session, Lane.HANDOFF, thread.conversation_id)

    async def _move(self, thread: _Thread, before: str, **values: Any) -> None:
        await self.session.execute(
            update(Handoff)
            .where(Handoff.conversation_id == thread.conversation_id, Handoff.status == before)
            .values(owner_id=None, unanswered_at=None, **values)
        )
        await self.session.execute(
            update(Conversation).where(Conversation.id == thread.conversation_id).values(owner_id=None)
        )
        await self.session.refresh(thread.handoff)

    async def _withdraw_notices(self, conversation_id: int) -> None:
        """What was to tell the team that this waits and did not go yet is not said any more."""
        of_this = HandoffNotice.handoff_id.in_(select(Handoff.id).where(Handoff.conversation_id == conversation_id))
        await self.session.execute(
            update(HandoffNotice).where(of_this, HandoffNotice.status == "queued").values(status="cancelled")
        )
        in_chats = select(HandoffNotice.outbox_id).where(of_this, HandoffNotice.way == "chat")
        await self.session.execute(
            update(Outbox)
            .where(Outbox.id.in_(in_chats), Outbox.status.in_(("queued", "held")))
            .values(status="cancelled", error="taken")
        )

    async def _log(self, thread: _Thread, what: str, staff_id: uuid.UUID | None, **values: Any) -> None:
        await self.session.execute(
            insert(HandoffEntry).values(
                handoff_id=thread.handoff.id, what=what, staff_id=staff_id, at=self.now, **values
            )
        )

    async def _tell(self, thread: _Thread, text_id: str, *, person: bool = False, **values: object) -> None:
        """Tell the person who speaks here now; with a button to a person again if `person`."""
        ctx = Context(
            session=self.session,
            vault=self.vault,
            settings=self.settings,
            now=self.now,
            inbox_id=0,
            person_id=thread.person_id,
            person_key=thread.key,
            conversation_id=thread.conversation_id,
            channel=thread.channel,
            language=thread.language,
        )
        ctx.say_text(
            i18n.say(text_id, thread.language, **values),
            [ctx.do("button.person", "handoff", reason="asked"), ctx.do("button.help", "help")] if person else [],
        )
        await outbox.write(ctx, None)
        await wake(self.session, Lane.DELIVERY, thread.conversation_id)

    async def _write(
        self,
        conversation_id: int,
        key: bytes,
        words: str,
        language: Language,
        *,
        buttons: Sequence[tuple[str, str, Mapping[str, Any]]] = (),
        sensitive: bool = False,
        inbox_id: int | None = None,
        public_id: uuid.UUID | None = None,
        media_id: int | None = None,
        expires_at: datetime | None = None,
    ) -> int | None:
        content = {
            "text": words,
            "buttons": [[button_id, title] for button_id, title, _ in buttons],
            "language": language,
        }
        seq = 1
        if inbox_id is not None:
            last = await self.session.scalar(select(func.max(Outbox.seq)).where(Outbox.inbox_id == inbox_id))
            seq = (last or 0) + 1
        outbox_id = await self.session.scalar(
            insert(Outbox)
            .values(
                conversation_id=conversation_id,
                inbox_id=inbox_id,
                seq=seq,
                sensitive=sensitive,
                content_sealed=self.vault.seal(key, content),
                media_id=media_id,
                expires_at=expires_at,
                **({"public_id": public_id} if public_id is not None else {}),
            )
            .on_conflict_do_nothing(index_elements=["public_id"])
            .returning(Outbox.id)
        )
        await wake(self.session, Lane.DELIVERY, conversation_id)
        return outbox_id


def may_know(member: StaffMember, reason: str) -> bool:
    """Whether a handoff of this reason is for this person of the team."""
    return reason not in RESTRICTED or member.role in SUPERVISING


def there_for(handoff: Handoff, member: StaffMember) -> bool:
    """Whether this handoff is for this person of the team to see and take: see `there`."""
    return there(handoff, member.id, member.role, member.places)


def there(handoff: Handoff, staff_id: uuid.UUID, role: str, places: Sequence[Any]) -> bool:
    """Whether a handoff is there for somebody: of their places (all are, for who has none; no place is everybody's),
    theirs already, or waiting after everybody was told. What may be about the team, for who supervises alone.
    """
    if handoff.reason in RESTRICTED and role not in SUPERVISING:
        return False
    told = handoff.status == "waiting" and handoff.step >= EVERYBODY_WAS_TOLD
    return told or handoff.owner_id == staff_id or not places or handoff.place is None or handoff.place in places


def duty(member: StaffMember, settings: Settings) -> str:
    """The hours in which somebody of the team reads."""
    return member.duty or settings.rafiq_reading_hours


def reads(member: StaffMember) -> Language:
    """The language that somebody of the team is written to in."""
    first = str(member.languages[0]) if member.languages else "fr"
    return first if first in ("fr", "en", "ar") else "fr"  # type: ignore[return-value]


def why(handoff: Handoff, language: Language) -> str:
    """Why a person is asked for, in words: a summary that quotes nobody."""
    return i18n.say(f"desk.reason.{handoff.reason.replace(':', '.')}", language)
