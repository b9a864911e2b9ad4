"""The team is told that somebody waits: in rounds, to more people each time, until one of them takes it.

A round is one transaction: who is told, their chat messages, their mails to be sent, and when the next round is due.
So a process that dies has told nobody, or everybody once. Nothing personal is in any of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

import aiosmtplib
import structlog
from babel.dates import format_time
from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot import faults, i18n
from bot.conversation.handoffs import ROLES, SUPERVISING, Desk, duty, may_know, reads
from bot.conversation.letters import backoff
from bot.db.models import Alert, Conversation, Handoff, HandoffEntry, HandoffNotice, Outbox, StaffMember
from bot.db.session import Database, Lane, wake
from bot.journeys.handoff import reminder
from bot.journeys.hours import is_open, opening
from bot.settings import Settings, reading_hours

log = structlog.get_logger()
EVERYBODY = 2  # the step at which those who supervise are told, on duty or not
ALARM = 3  # and the one at which operators are
ATTEMPTS = 5  # at one mail
PATIENCE = 20.0  # seconds for one mail
TROUBLE = {"held": "desk.held", "failed": "desk.not_sent", "cancelled": "desk.not_sent"}

# answers of which something is to be written down: they are held or did not go, or it is certain that they went
_TO_TELL = (
    (HandoffEntry.what == "replied")
    & (HandoffEntry.told.is_(None) | (HandoffEntry.told == "held"))
    & HandoffEntry.told.is_distinct_from(Outbox.status)
    & (
        Outbox.status.in_((*TROUBLE, "delivered", "read"))
        | ((Outbox.status == "sent") & (HandoffEntry.at < func.now() - timedelta(days=1)))
    )
)
# Looked for every second: made once.
_DUE = (
    select(Handoff.conversation_id)
    .where(Handoff.look_at <= func.now())
    .union(
        select(Handoff.conversation_id)
        .join(HandoffEntry, HandoffEntry.handoff_id == Handoff.id)
        .join(Outbox, Outbox.id == HandoffEntry.outbox_id)
        .where(_TO_TELL)
    )
    .limit(200)
)


@dataclass(slots=True)
class Watch:
    """Looks after what is open: rounds of notifications, owners who are silent, answers that do not go."""

    database: Database
    settings: Settings

    async def due(self) -> list[int]:
        """Conversations to look after now."""
        async with self.database.autocommit() as connection:
            return list(await connection.scalars(_DUE))

    async def work(self, conversation_id: int) -> None:
        """Do what is due in this conversation, in one transaction."""
        async with self.database.holding(Lane.HANDOFF, conversation_id) as connection:
            if connection is None:
                return
            async with AsyncSession(connection, expire_on_commit=False) as session:
                desk = Desk(session, self.database.vault, self.settings, datetime.now(UTC))
                this = select(Conversation.owner_id).where(Conversation.id == conversation_id)
                await session.execute(this.with_for_update(key_share=True))
                open_ = list(
                    await session.scalars(
                        select(Handoff)
                        .where(Handoff.conversation_id == conversation_id, Handoff.status != "released")
                        .order_by(Handoff.priority, Handoff.id)
                    )
                )
                await self._patience(desk, [one for one in open_ if one.status == "taken" and _is_due(one, desk.now)])
                waiting = [one for one in open_ if one.status == "waiting"]
                for one in waiting:
                    if _is_due(one, desk.now):
                        await self._round(desk, one, first=one is waiting[0])
                await self._troubles(desk, conversation_id)
                faults.point("handoff.round")
                await session.commit()

    async def _patience(self, desk: Desk, silent: Sequence[Handoff]) -> None:
        """Who left the person without a word for too long loses the conversation; it goes back to the queue."""
        if not silent:
            return
        owner = await desk.session.get(StaffMember, silent[0].owner_id)
        await desk.give_back(silent[0].reference, None)
        if owner is not None:
            language = reads(owner)
            text = i18n.say("desk.silent", language, reference=silent[0].reference)
            await desk.show(silent[0].id, owner, text, [take(silent[0].reference, language)])

    async def _round(self, desk: Desk, handoff: Handoff, first: bool) -> None:
        """Tell those whose turn it is; where something more urgent of the same conversation waits, nobody."""
        next_at = reminder(self.settings, handoff.priority, desk.now)
        if not first:
            await self._next(desk, handoff, next_at)
            return
        step, told = handoff.step, await self._whom(desk, handoff, handoff.step)
        open_ = is_open(self.settings.rafiq_reading_hours, desk.now)
        if not told and handoff.priority != "P0" and not open_:
            await self._next(desk, handoff, opening(self.settings.rafiq_reading_hours, desk.now))
            return
        while not told and step < EVERYBODY:
            step += 1
            told = await self._whom(desk, handoff, step)
        for member in told:
            await self._notify(desk, handoff, member)
        anybody = told or await desk.session.scalar(select(StaffMember.id).where(StaffMember.active).limit(1))
        if anybody and (step == ALARM or (not told and handoff.step <= EVERYBODY)):
            detail = {"reference": handoff.reference, "priority": handoff.priority}
            await desk.session.execute(insert(Alert).values(kind="nobody takes a handoff", detail=detail))
            step = max(step, ALARM)
        await self._next(desk, handoff, next_at, rounds=handoff.rounds + 1, step=min(step + 1, ALARM + 1))

    async def _next(self, desk: Desk, handoff: Handoff, at: datetime, **values: Any) -> None:
        await desk.session.execute(update(Handoff).where(Handoff.id == handoff.id).values(look_at=at, **values))

    async def _whom(self, desk: Desk, handoff: Handoff, step: int) -> list[StaffMember]:
        """First those on duty for this language, place and priority; then whoever is on duty; then who supervises."""
        rows = await desk.session.scalars(
            select(StaffMember)
            .where(StaffMember.active, StaffMember.role.in_(ROLES))
            .where(or_(StaffMember.conversation_id.is_(None), StaffMember.conversation_id != handoff.conversation_id))
            .order_by(StaffMember.created_at)
        )
        return [member for member in rows if self._concerns(member, handoff, step, desk.now)]

    def _concerns(self, member: StaffMember, handoff: Handoff, step: int, now: datetime) -> bool:
        if not may_know(member, handoff.reason):
            return False
        if step >= EVERYBODY and member.role in SUPERVISING:
            return True
        if not is_open(duty(member, self.settings), now) or not _among(handoff.priority, member.priorities):
            return False
        theirs = _among(handoff.language, member.languages) and _among(handoff.place, member.places)
        return theirs or step >= 1

    async def _notify(self, desk: Desk, handoff: Handoff, member: StaffMember) -> None:
        language = reads(member)
        ways: list[tuple[str, int | None]] = []
        if member.conversation_id is not None:
            text = i18n.say("desk.waiting", language, **facts(handoff, member, self.settings))
            ways.append(("chat", await desk.to_chat(member, text, [take(handoff.reference, language)])))
        if self.settings.mail_server is not None:
            ways.append(("mail", None))
        for way, outbox_id in ways:
            notice_id = await desk.session.scalar(
                insert(HandoffNotice)
                .values(
                    handoff_id=handoff.id, staff_id=member.id, round=handoff.rounds + 1, way=way, outbox_id=outbox_id,
                    status="told" if way == "chat" else "queued", created_at=desk.now,
                )
                .returning(HandoffNotice.id)
            )  # fmt: skip
            if way == "mail" and notice_id is not None:
                await wake(desk.session, Lane.MAIL, notice_id)

    async def _troubles(self, desk: Desk, conversation_id: int) -> None:
        """An answer that is held or did not go: its writer is told, once for each."""
        rows = await desk.session.execute(
            select(HandoffEntry, Handoff, Outbox.status, StaffMember)
            .join(Handoff, Handoff.id == HandoffEntry.handoff_id)
            .join(Outbox, Outbox.id == HandoffEntry.outbox_id)
            .join(StaffMember, StaffMember.id == HandoffEntry.staff_id)
            .where(Handoff.conversation_id == conversation_id, _TO_TELL)
        )
        for entry, handoff, status, member in rows.all():
            await desk.session.execute(update(HandoffEntry).where(HandoffEntry.id == entry.id).values(told=status))
            if status not in TROUBLE:
                continue
            language = reads(member)
            held = status == "held" and handoff.status == "taken"
            button = (i18n.say("desk.button.knock", language), {"staff": "knock", "handoff": handoff.reference})
            text = i18n.say(TROUBLE[status], language, reference=handoff.reference)
            await desk.show(handoff.id, member, text, [button] if held else [])


@dataclass(slots=True)
class Mailer:
    """Sends the mails of the rounds, each once as far as anyone can know."""

    database: Database
    settings: Settings

    async def due(self) -> list[int]:
        """Mails to be sent now."""
        if self.settings.mail_server is None:
            return []
        async with self.database.autocommit() as connection:
            return list(
                await connection.scalars(
                    select(HandoffNotice.id)
                    .where(HandoffNotice.way == "mail", HandoffNotice.status.in_(("queued", "sending")))
                    .where(HandoffNotice.next_at.is_(None) | (HandoffNotice.next_at <= func.now()))
                    .order_by(HandoffNotice.id)
                    .limit(100)
                )
            )

    async def work(self, notice_id: int) -> None:
        """Send this one, unless its handoff was taken meanwhile."""
        server = self.settings.mail_server
        async with self.database.holding(Lane.MAIL, notice_id) as connection:
            if connection is None or server is None:
                return
            async with AsyncSession(connection, expire_on_commit=False) as session:
                row = (
                    await session.execute(
                        select(HandoffNotice, Handoff, StaffMember)
                        .join(Handoff, Handoff.id == HandoffNotice.handoff_id)
                        .join(StaffMember, StaffMember.id == HandoffNotice.staff_id)
                        .where(HandoffNotice.id == notice_id, HandoffNotice.way == "mail")
                        .where(HandoffNotice.status.in_(("queued", "sending")))
                        .where(HandoffNotice.next_at.is_(None) | (HandoffNotice.next_at <= func.now()))
                    )
                ).first()
                if row is None:
                    return
                notice, handoff, member = row
                if notice.status == "sending":  # its sender died: it may have gone
                    await self._settle(session, notice_id, "unknown")
                    return
                if handoff.status != "waiting" or not member.active:
                    await self._settle(session, notice_id, "cancelled")
                    return
                await self._settle(session, notice_id, "sending", attempts=notice.attempts + 1)
                faults.point("mail.sending")
                await self._send(session, notice, self._message(notice, handoff, member))

    async def _send(self, session: AsyncSession, notice: HandoffNotice, message: EmailMessage) -> None:
        server = self.settings.mail_server
        if server is None:
            return
        try:
            await aiosmtplib.send(
                message,
                hostname=server.host,
                port=server.port,
                username=server.user,
                password=server.password,
                use_tls=server.tls,
                start_tls=server.starttls,
                timeout=PATIENCE,
            )
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            kind = type(error).__name__
            log.warning("mail not sent", notice_id=notice.id, kind=kind)
            if _refused(error) or notice.attempts + 1 >= ATTEMPTS:
                await self._settle(session, notice.id, "failed", error=kind)
            elif isinstance(error, aiosmtplib.SMTPServerDisconnected | aiosmtplib.SMTPReadTimeoutError):
                await self._settle(session, notice.id, "unknown", error=kind)  # it may have gone
            else:
                pause = func.now() + 10 * backoff(notice.attempts + 1)
                await self._settle(session, notice.id, "queued", error=kind, next_at=pause)
            return
        faults.point("mail.sent")
        await self._settle(session, notice.id, "sent")

    async def _settle(self, session: AsyncSession, notice_id: int, status: str, **values: Any) -> None:
        await session.execute(
            update(HandoffNotice)
            .where(HandoffNotice.id == notice_id, HandoffNotice.status.in_(("queued", "sending")))
            .values(status=status, **values)
        )
        await session.commit()

    def _message(self, notice: HandoffNotice, handoff: Handoff, member: StaffMember) -> EmailMessage:
        sender, language = self.settings.rafiq_mail_from or "", reads(member)
        told = facts(handoff, member, self.settings)
        message = EmailMessage()
        message["Subject"] = i18n.say("desk.mail.subject", language, **told)
        message["From"], message["To"] = sender, member.email
        message["Date"] = format_datetime(notice.created_at)
        message["Message-ID"] = f"<handoff-{notice.id}@{sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        url = self.settings.rafiq_public_url or self.settings.own_url
        message.set_content(i18n.say("desk.mail.text", language, **told, url=f"{url}/console"))
        return message


def take(reference: str, language: Any) -> tuple[str, dict[str, str]]:
    """The button that takes a conversation."""
    return i18n.say("desk.button.take", language), {"staff": "take", "handoff": reference}


def facts(handoff: Handoff, member: StaffMember, settings: Settings) -> dict[str, object]:
    """What a notification says: nothing of the person but the language they are written to in."""
    zone = reading_hours(duty(member, settings))[3]
    due = handoff.due_at.astimezone(zone)
    day = i18n.written_date(handoff.due_at, str(zone), reads(member))
    return {
        "reference": handoff.reference,
        "priority": handoff.priority,
        "speaks": i18n.say("language.own_name", handoff.language),  # type: ignore[arg-type]
        "due": f"{day}, {format_time(due, 'HH:mm', locale='en')}",
    }


def _is_due(handoff: Handoff, now: datetime) -> bool:
    return handoff.look_at is not None and handoff.look_at <= now


def _among(one: str | None, all_: Sequence[Any]) -> bool:
    return not all_ or one is None or one in all_


def _refused(error: BaseException) -> bool:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(one.code >= 500 for one in error.recipients)
    return isinstance(error, aiosmtplib.SMTPResponseException) and error.code >= 500
