"""How long what is kept about people stays, by class; a job lets go, once a day, of what was kept long enough.

Every statement goes in batches of its own transaction and passes over rows that somebody works on: nothing waits for
it, and what a killed run left over, the next one finds.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from cryptography.exceptions import InvalidTag
from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert

from bot.checkins import questions
from bot.checkins.questions import ENROLMENT
from bot.db.models import ChannelState, Checkin, CheckinValue, Conversation, Enrolment, Inbox, Person
from bot.db.session import Database, Lane
from bot.settings import Settings

log = structlog.get_logger()
BATCH = 500
NAME = "retention"  # of the row that remembers the day of the last run
MONTH = timedelta(days=365.25 / 12)
HEARD = ("text", "press", "media")  # events whose words are part of the conversation

# Tables that hold something about a person, and how long. docs/privacy.md says it in words; a test holds the two and
# the database's catalogue together.
PAYLOAD, TALK, MEDIA, VALUES, SILENT = "payload", "conversation", "media", "check-in values", "silent people"
CLASSES: Mapping[str, str] = {
    PAYLOAD: "RAFIQ_PAYLOAD_DAYS",
    TALK: "RAFIQ_CONVERSATION_DAYS",
    MEDIA: "RAFIQ_MEDIA_DAYS",
    VALUES: "RAFIQ_CHECKIN_VALUES_MONTHS",
    SILENT: "RAFIQ_SILENT_MONTHS",
}
KEPT: Mapping[str, str] = {
    "inbox": f"{PAYLOAD}, then {TALK}",
    "issued_button": PAYLOAD,
    "rasa_tracker": f"{PAYLOAD}; {TALK} with a form in progress",
    "outbox": TALK,
    "handoff": TALK,
    "handoff_entry": f"{TALK}; copies in the team's chats {PAYLOAD}",
    "handoff_notice": TALK,
    "request": TALK,
    "case_event": TALK,
    "suggestion": f"{TALK}; with a consent of its own until that is taken back",
    "appointment": "90 days after it is over, a draft one day (bot/appointments/bookings.py)",
    "reminder": "with its appointment",
    "media": MEDIA,
    "enrolment": f"{TALK} after its end; a no stays, so that nobody is asked again",
    "checkin": f"with its enrolment; answers {VALUES} at most",
    "checkin_value": VALUES,
    "person": SILENT,
    "address": SILENT,
    "address_alias": SILENT,
    "conversation": SILENT,
    "consent": SILENT,
    "scan": SILENT,
}

# A conversation that somebody of the team has, or had not long ago, keeps its words.
_STATEMENTS: Mapping[str, str] = {
    # of an event that says nothing, nothing
    "payloads": """
        UPDATE inbox SET content_sealed = NULL, trimmed = true WHERE id IN (
            SELECT id FROM inbox WHERE NOT trimmed AND content_sealed IS NOT NULL AND done_at <= :payload
                AND (kind NOT IN ('text', 'press', 'media') OR conversation_id IS NULL)
            LIMIT :batch FOR UPDATE SKIP LOCKED
        )
    """,
    "heard": """
        UPDATE inbox SET content_sealed = NULL, error = NULL, trimmed = true WHERE id IN (
            SELECT id FROM inbox WHERE content_sealed IS NOT NULL AND done_at <= :talk
                AND NOT EXISTS (
                    SELECT 1 FROM handoff WHERE handoff.conversation_id = inbox.conversation_id
                        AND (handoff.status <> 'released' OR handoff.released_at > :talk)
                )
            LIMIT :batch FOR UPDATE SKIP LOCKED
        )
    """,
    "said": """
        DELETE FROM outbox WHERE id IN (
            SELECT id FROM outbox WHERE created_at <= :talk AND status NOT IN ('queued', 'sending')
                AND NOT EXISTS (
                    SELECT 1 FROM handoff WHERE handoff.conversation_id = outbox.conversation_id
                        AND (handoff.status <> 'released' OR handoff.released_at > :talk)
                )
            ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED
        )
    """,
    "buttons": """
        DELETE FROM issued_button WHERE id IN (
            SELECT id FROM issued_button WHERE expires_at <= :now OR created_at <= :payload
            LIMIT :batch FOR UPDATE SKIP LOCKED
        )
    """,
    "dialogues": """
        DELETE FROM rasa_tracker WHERE conversation IN (
            SELECT rasa_tracker.conversation FROM rasa_tracker
            LEFT JOIN conversation ON conversation.rasa_id = rasa_tracker.conversation
            LEFT JOIN conversation hidden ON hidden.aside_rasa_id = rasa_tracker.conversation
            WHERE rasa_tracker.updated_at <=
                CASE WHEN coalesce(conversation.form, hidden.aside_form) IS NULL THEN :payload ELSE :talk END
            LIMIT :batch FOR UPDATE OF rasa_tracker SKIP LOCKED
        )
    """,
    "forms": """
        UPDATE conversation SET form = NULL WHERE id IN (
            SELECT id FROM conversation WHERE form IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM rasa_tracker WHERE rasa_tracker.conversation = conversation.rasa_id
            ) AND NOT EXISTS (
                SELECT 1 FROM inbox WHERE inbox.conversation_id = conversation.id AND inbox.received_at > :talk
            )
            LIMIT :batch FOR UPDATE SKIP LOCKED
        )
    """,
    "copies for the team": """
        DELETE FROM outbox WHERE id IN (
            SELECT outbox.id FROM outbox JOIN handoff_entry ON handoff_entry.outbox_id = outbox.id
            JOIN handoff ON handoff.id = handoff_entry.handoff_id
            WHERE handoff_entry.what = 'shown' AND handoff.status = 'released' AND handoff.released_at <= :payload
            LIMIT :batch FOR UPDATE OF outbox SKIP LOCKED
        )
    """,
    "handoffs": """
        DELETE FROM handoff WHERE id IN (
            SELECT id FROM handoff WHERE status = 'released' AND released_at <= :talk
            LIMIT :batch FOR UPDATE SKIP LOCKED
        )
    """,
    "requests": """
        DELETE FROM request WHERE id IN (
            SELECT id FROM request WHERE status IN ('closed', 'withdrawn') AND updated_at <= :talk
            LIMIT :batch FOR UPDATE SKIP LOCKED
        )
    """,
    "case events": """
        DELETE FROM case_event WHERE id IN (
            SELECT id FROM case_event
            WHERE status IN ('delivered', 'overtaken') AND coalesce(delivered_at, created_at) <= :talk
            LIMIT :batch FOR UPDATE SKIP LOCKED
        )
    """,
    "suggestions": """
        DELETE FROM suggestion WHERE id IN (
            SELECT id FROM suggestion WHERE text_sealed IS NULL AND created_at <= :talk
            LIMIT :batch FOR UPDATE SKIP LOCKED
        )
    """,
    "media": """
        DELETE FROM media WHERE id IN (
            SELECT id FROM media WHERE expires_at <= :now LIMIT :batch FOR UPDATE SKIP LOCKED
        )
    """,
    "check-ins of who said no": """
        DELETE FROM checkin WHERE id IN (
            SELECT checkin.id FROM checkin JOIN enrolment ON enrolment.id = checkin.enrolment_id
            WHERE enrolment.status = 'declined' AND enrolment.updated_at <= :talk
            LIMIT :batch FOR UPDATE OF checkin SKIP LOCKED
        )
    """,
    "check-in answers": """
        UPDATE checkin SET answers_sealed = NULL WHERE id IN (
            SELECT id FROM checkin WHERE answers_sealed IS NOT NULL AND updated_at <= :values
                AND status IN ('completed', 'partial', 'missed', 'stopped')
            LIMIT :batch FOR UPDATE SKIP LOCKED
        )
    """,
    "check-in values": """
        DELETE FROM checkin_value WHERE id IN (
            SELECT id FROM checkin_value WHERE month < CAST(:values AS date)
            LIMIT :batch FOR UPDATE SKIP LOCKED
        )
    """,
    # nobody waits for anything, and nothing was heard for so long: the key goes, and all that hangs on it
    "silent people": """
        DELETE FROM person WHERE id IN (
            SELECT id FROM person WHERE created_at <= :silent
                AND NOT EXISTS (
                    SELECT 1 FROM address WHERE address.person_id = person.id AND address.last_heard_at > :silent
                )
                AND NOT EXISTS (
                    SELECT 1 FROM request WHERE request.person_id = person.id
                        AND request.status IN ('open', 'acknowledged')
                )
                AND NOT EXISTS (
                    SELECT 1 FROM handoff WHERE handoff.person_id = person.id AND handoff.status <> 'released'
                )
                AND NOT EXISTS (
                    SELECT 1 FROM appointment WHERE appointment.person_id = person.id AND appointment.status IN
                        ('draft', 'held', 'requested', 'proposed', 'confirmed', 'reminded')
                )
                AND NOT EXISTS (
                    SELECT 1 FROM enrolment WHERE enrolment.person_id = person.id
                        AND enrolment.status IN ('draft', 'invited', 'active')
                )
                AND NOT EXISTS (
                    SELECT 1 FROM conversation JOIN staff_member ON staff_member.conversation_id = conversation.id
                    WHERE conversation.person_id = person.id
                )
            ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED
        )
    """,
}


class Retention:
    """Lets go of what was kept long enough."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    async def daily(self, now: datetime | None = None) -> bool:
        """Run, unless a process did today or does now; whether this one did."""
        now = now or datetime.now(UTC)
        async with self._database.holding(Lane.RETENTION, 0) as connection:
            if connection is None:
                return False
            which = select(ChannelState.value).where(ChannelState.channel == NAME)
            last = await connection.scalar(which)
            await connection.commit()  # nothing is held open but the lock
            if last is not None and last["day"] == now.date().isoformat():
                return False
            counts = await self.run(now)
            day = {"day": now.date().isoformat()}
            row = insert(ChannelState).values(channel=NAME, value=day)
            await connection.execute(row.on_conflict_do_update(index_elements=["channel"], set_={"value": day}))
            await connection.commit()
        log.info("let go of what was kept long enough", **counts)
        return True

    async def run(self, now: datetime) -> dict[str, int]:
        """Let go; how much of what. Run again at the same time, it finds nothing."""
        settings = self._settings
        before = {
            "now": now,
            "payload": now - timedelta(days=settings.rafiq_payload_days),
            "talk": now - timedelta(days=settings.rafiq_conversation_days),
            "values": now - settings.rafiq_checkin_values_months * MONTH,
            "silent": now - settings.rafiq_silent_months * MONTH,
        }
        counts = {"payloads of words": await self._trim(before["payload"])}
        counts["check-ins without a name"] = await self._unname(before["talk"])
        for name, statement in _STATEMENTS.items():
            counts[name] = await self._in_batches(statement, before)
        return {name: count for name, count in counts.items() if count}

    async def _in_batches(self, statement: str, before: Mapping[str, datetime]) -> int:
        given = {name: moment for name, moment in before.items() if f":{name}" in statement}
        done = 0
        while True:
            async with self._database.session() as session:
                found: Any = await session.execute(text(statement), {**given, "batch": BATCH})
                await session.commit()
            done += int(found.rowcount)
            if found.rowcount < BATCH:
                return done

    async def _trim(self, before: datetime) -> int:
        """Of what people wrote and pressed, the words stay; what the platform sent with them goes."""
        vault, done = self._database.vault, 0
        while True:
            async with self._database.session() as session:
                rows = (
                    await session.execute(
                        select(Inbox.id, Inbox.content_sealed, Person.key)
                        .join(Conversation, Conversation.id == Inbox.conversation_id)
                        .join(Person, Person.id == Conversation.person_id)
                        .where(~Inbox.trimmed, Inbox.content_sealed.is_not(None), Inbox.done_at <= before)
                        .where(Inbox.kind.in_(HEARD))
                        .limit(BATCH)
                        .with_for_update(of=Inbox, skip_locked=True)
                    )
                ).all()
                for row in rows:
                    try:
                        words = vault.seal(row.key, _words(vault.open(row.key, row.content_sealed or b"")))
                    except (InvalidTag, ValueError):  # nobody can read it any more
                        words = None
                    await session.execute(
                        update(Inbox).where(Inbox.id == row.id).values(content_sealed=words, trimmed=True)
                    )
                await session.commit()
            done += len(rows)
            if len(rows) < BATCH:
                return done

    async def _unname(self, before: datetime) -> int:
        """Of check-ins that are over, the choices stay, under a random number; the person's own rows go."""
        done = 0
        while True:
            async with self._database.session() as session:
                over = (
                    await session.execute(
                        select(Enrolment.id, Person.key)
                        .join(Person, Person.id == Enrolment.person_id)
                        .where(Enrolment.status == "ended", Enrolment.updated_at <= before)
                        .limit(BATCH)
                        .with_for_update(of=Enrolment, skip_locked=True)
                    )
                ).all()
                for enrolment in over:
                    series = uuid.uuid4()
                    answered = await session.scalars(
                        select(Checkin).where(
                            Checkin.enrolment_id == enrolment.id,
                            Checkin.round != ENROLMENT,
                            Checkin.answers_sealed.is_not(None),
                        )
                    )
                    for row in answered:
                        answers = self._database.vault.open(enrolment.key, row.answers_sealed or b"")
                        for one in questions.told(answers, row.form):
                            if one["answer"] == "given":  # typed: a number
                                continue
                            await session.execute(
                                insert(CheckinValue).values(
                                    series=series,
                                    round=row.round,
                                    question=one["question"],
                                    answer=one["answer"],
                                    month=row.updated_at.date().replace(day=1),
                                )
                            )
                await session.execute(delete(Enrolment).where(Enrolment.id.in_([one.id for one in over])))
                await session.commit()
            done += len(over)
            if len(over) < BATCH:
                return done


def _words(content: Mapping[str, Any]) -> dict[str, Any]:
    """What the conversation needs of an event: its words, and the page's own number of it."""
    client_id = content.get("details", {}).get("client_id")
    return {
        "text": content.get("text", ""),
        "press": content.get("press", ""),
        "details": {"client_id": client_id} if client_id else {},
    }
