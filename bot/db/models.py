"""Every table of the service. Columns named `..._sealed` are encrypted with the person's key."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column


class Base(DeclarativeBase):
    """Naive datetimes never enter the database: every time is UTC with its zone."""

    type_annotation_map: ClassVar = {
        datetime: DateTime(timezone=True),
        date: Date(),
        bytes: LargeBinary,
        str: Text,
        int: BigInteger,
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
    }


def _id() -> Mapped[int]:
    return mapped_column(BigInteger, Identity(), primary_key=True)


def _now() -> Mapped[datetime]:
    return mapped_column(server_default=func.now())


class Person(Base):
    """Someone who talks to Rafiq. Their key is what makes their fields readable."""

    __tablename__ = "person"
    id: Mapped[int] = _id()
    key: Mapped[bytes]  # wrapped by the master key
    language: Mapped[str | None]
    language_chosen: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    stopped_at: Mapped[datetime | None]  # no unasked messages since
    safe_word: Mapped[bytes | None]  # keyed hash of the word that hides the conversation (bot/journeys/safe_word.py)
    created_at: Mapped[datetime] = _now()


class Address(Base):
    """One end of one channel: where a person writes from and can be written to."""

    __tablename__ = "address"
    __table_args__ = (
        UniqueConstraint("channel", "digest"),
        Index("address_opened", "channel", "opened_at", postgresql_where=text("opened_at IS NOT NULL")),
    )
    id: Mapped[int] = _id()
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    channel: Mapped[str]
    digest: Mapped[bytes]
    address_sealed: Mapped[bytes]
    opened_at: Mapped[datetime | None]  # when we last wrote first: the platform counts such people in a day
    unreachable_at: Mapped[datetime | None]
    last_heard_at: Mapped[datetime | None]  # when the person last wrote: opens the platform's window
    window_closed_at: Mapped[datetime | None]  # when the platform said that it is closed: it knows better
    identity_changed_at: Mapped[datetime | None]  # somebody else may hold this address since: see `Outbox.sensitive`
    unsure_at: Mapped[datetime | None]  # they wrote after a long silence: nothing personal is shown until known again
    tries: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))  # wrong answers to who they are
    paced_at: Mapped[datetime | None]  # the token bucket of this chat (bot/conversation/pacing.py)
    not_before: Mapped[datetime | None]  # the platform asked us to leave this chat alone until then
    throttled: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))  # times in a row
    created_at: Mapped[datetime] = _now()


class AddressAlias(Base):
    """What else the platform calls this end: a telephone number beside the id that we write to."""

    __tablename__ = "address_alias"
    channel: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(primary_key=True)
    address_id: Mapped[int] = mapped_column(ForeignKey("address.id", ondelete="CASCADE"), index=True)


class Conversation(Base):
    """The thread of one address. `rasa_id` is random and rotates; it says nothing about the person."""

    __tablename__ = "conversation"
    id: Mapped[int] = _id()
    address_id: Mapped[int] = mapped_column(ForeignKey("address.id", ondelete="CASCADE"), unique=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    rasa_id: Mapped[str]
    rasa_turns: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    form: Mapped[str | None]  # the form in progress, as Rasa last said
    hidden_at: Mapped[datetime | None]  # the safe word was written: what was under way is not shown
    aside_rasa_id: Mapped[str | None]  # Rasa's conversation that is hidden, with its form, until they are known again
    aside_form: Mapped[str | None]
    turns: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    misunderstood: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))  # in a row
    noticed_at: Mapped[datetime | None]  # told that understanding is down, in this outage
    slowed_at: Mapped[datetime | None]  # told that these are too many messages at once
    exchanges: Mapped[list[Any] | None]  # the last few: [heard, said, when], hashed; see bot/conversation/guards.py
    owner_id: Mapped[uuid.UUID | None] = mapped_column(  # who of the team speaks here; the assistant is silent
        ForeignKey("staff_member.id", ondelete="SET NULL", use_alter=True, name="conversation_owner")
    )
    created_at: Mapped[datetime] = _now()


class Inbox(Base):
    """Everything that happens to a conversation, once, in order.

    `status`: pending → done | dead; or waiting (Rasa is down and the person knows) → done | closed.
    """

    __tablename__ = "inbox"
    __table_args__ = (
        UniqueConstraint("channel", "external_digest"),
        Index("inbox_open", "conversation_id", "id", postgresql_where=text("status IN ('pending', 'waiting')")),
        Index("inbox_conversation", "conversation_id", "id"),
        Index(
            "inbox_kept",
            "trimmed",
            "done_at",
            postgresql_where=text("content_sealed IS NOT NULL AND done_at IS NOT NULL"),
        ),
        Index("inbox_received", "received_at"),
        Index("inbox_dead", "id", postgresql_where=text("status = 'dead'")),
    )
    id: Mapped[int] = _id()
    channel: Mapped[str]
    external_digest: Mapped[bytes]  # keyed hash of the channel's id of this event: kept for ever, says nothing
    conversation_id: Mapped[int | None] = mapped_column(ForeignKey("conversation.id", ondelete="SET NULL"))
    kind: Mapped[str]
    content_sealed: Mapped[bytes | None]
    status: Mapped[str] = mapped_column(server_default=text("'pending'"))
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    turn: Mapped[int | None] = mapped_column(Integer)
    topic: Mapped[str | None]  # the question that was answered, or not_understood: for counting
    error: Mapped[str | None]
    next_at: Mapped[datetime | None]
    received_at: Mapped[datetime] = _now()
    done_at: Mapped[datetime | None]
    trimmed: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))  # only words are left of the content


class Outbox(Base):
    """Every message to a person, written in the transaction that decided it.

    `status`: queued → sending → sent → delivered → read; or failed, cancelled. `sending` is committed
    before the platform is called, so that after a crash nobody takes a sent message for an unsent one.
    `held` waits for what `error` names: the person to write (`window`, `template`) or to be known again
    (`identity`).
    """

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("inbox_id", "seq"),
        Index("outbox_open", "conversation_id", "id", postgresql_where=text("status IN ('queued', 'sending')")),
        Index("outbox_conversation", "conversation_id", "id"),
        Index("outbox_held", "conversation_id", postgresql_where=text("status = 'held'")),
        Index("outbox_external", "external_id", postgresql_where=text("external_id IS NOT NULL")),
        Index("outbox_created", "created_at"),
        Index("outbox_failed", "id", postgresql_where=text("status = 'failed'")),
        Index("outbox_with_media", "media_id", postgresql_where=text("media_id IS NOT NULL")),
    )
    id: Mapped[int] = _id()
    public_id: Mapped[uuid.UUID] = mapped_column(unique=True, server_default=func.gen_random_uuid())
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id", ondelete="CASCADE"))
    inbox_id: Mapped[int | None] = mapped_column(ForeignKey("inbox.id", ondelete="SET NULL"))
    seq: Mapped[int] = mapped_column(SmallInteger)
    unasked: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))  # ends with STOP, gives way to replies
    sensitive: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))  # only for whom we know it is theirs
    announces: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))  # only that something is held
    expires_at: Mapped[datetime | None]  # worth nothing afterwards: not sent any more
    content_sealed: Mapped[bytes]
    media_id: Mapped[int | None] = mapped_column(  # the voice or picture that goes with it, once it is fetched
        ForeignKey("media.id", ondelete="SET NULL")
    )
    parts: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))  # of a long text: how many are sent
    template: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))  # which of its templates comes next
    status: Mapped[str] = mapped_column(server_default=text("'queued'"))
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    next_at: Mapped[datetime | None]
    external_id: Mapped[str | None]
    refused_id: Mapped[str | None]  # the platform's id of an attempt that it reported as failed: told us all it has to
    error: Mapped[str | None]
    created_at: Mapped[datetime] = _now()
    sent_at: Mapped[datetime | None]


class ChannelPace(Base):
    """The token buckets of a channel, one row for all processes (bot/conversation/pacing.py)."""

    __tablename__ = "channel_pace"
    channel: Mapped[str] = mapped_column(primary_key=True)
    paced_at: Mapped[datetime] = _now()
    unasked_at: Mapped[datetime] = _now()
    paused_until: Mapped[datetime | None]
    down: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))  # times in a row that it was refused


class SentCount(Base):
    """How many messages the platforms took, for the bill: nothing about whom."""

    __tablename__ = "sent_count"
    day: Mapped[date] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)  # reply, unasked, template
    messages: Mapped[int] = mapped_column(server_default=text("0"))


class Media(Base):
    """A voice message or picture, of a person or to them, kept in their conversation and not for long.

    `status`: pending → kept | refused (kind, size or damage: only the platform's id is kept) | lost.
    """

    __tablename__ = "media"
    __table_args__ = (Index("media_pending", "id", postgresql_where=text("status = 'pending'")),)
    id: Mapped[int] = _id()
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id", ondelete="CASCADE"))
    inbox_id: Mapped[int | None] = mapped_column(ForeignKey("inbox.id", ondelete="SET NULL"), unique=True)
    channel: Mapped[str | None]  # where it is fetched, if not where the conversation is: somebody of the team sent it
    kind: Mapped[str]
    album: Mapped[bytes | None]  # keyed hash of what was sent together: answered once
    details_sealed: Mapped[bytes]  # what the channel needs to fetch it
    content_sealed: Mapped[bytes | None]
    mime: Mapped[str | None]
    size: Mapped[int | None]
    sha256: Mapped[bytes | None]  # of what is kept
    status: Mapped[str] = mapped_column(server_default=text("'pending'"))
    error: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    next_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = _now()
    expires_at: Mapped[datetime]


class IssuedButton(Base):
    """A button that we put under a message: the only kind of press that means anything."""

    __tablename__ = "issued_button"
    id: Mapped[str] = mapped_column(primary_key=True)  # random, opaque
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id", ondelete="CASCADE"), index=True)
    outbox_id: Mapped[int | None] = mapped_column(ForeignKey("outbox.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(SmallInteger)
    title: Mapped[str]
    action: Mapped[dict[str, Any]]  # {"intent", "slots"} for Rasa, or {"do", "with"} for the service
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]  # a press counts once
    created_at: Mapped[datetime] = _now()


class Consent(Base):
    """What a person agreed to, to which version of which text, and when they took it back."""

    __tablename__ = "consent"
    id: Mapped[int] = _id()
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    purpose: Mapped[str]
    version: Mapped[str]
    channel: Mapped[str]
    given_at: Mapped[datetime] = _now()
    withdrawn_at: Mapped[datetime | None]


class Suggestion(Base):
    """A message that was not understood, and what the person then said it meant: an example, for review.

    The text is kept only where its writer agreed.
    """

    __tablename__ = "suggestion"
    __table_args__ = (UniqueConstraint("inbox_id"),)
    id: Mapped[int] = _id()
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    inbox_id: Mapped[int]  # the message
    language: Mapped[str]
    label: Mapped[str]  # a topic, or none_of_these
    offered: Mapped[list[Any]]  # the topics that were suggested
    text_sealed: Mapped[bytes | None]
    right_label: Mapped[str | None]  # what a reviewer in the console says it meant, or unusable
    created_at: Mapped[datetime] = _now()


class Request(Base):
    """A first-contact request: what a person asked IOM to know, in order to call back safely."""

    __tablename__ = "request"
    __table_args__ = (Index("request_unanswered", "unanswered_at", postgresql_where=text("unanswered_at IS NOT NULL")),)
    id: Mapped[int] = _id()
    reference: Mapped[str] = mapped_column(unique=True)  # random, for people: AV-7K3Q
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    inbox_id: Mapped[int | None] = mapped_column(unique=True)  # the event that made it: never twice
    status: Mapped[str] = mapped_column(server_default=text("'open'"))  # open → acknowledged → closed; or withdrawn
    priority: Mapped[str]
    answers_sealed: Mapped[bytes]
    phone_digest: Mapped[bytes | None] = mapped_column(
        index=True
    )  # of the number in the answers: for the console's search
    interview_sealed: Mapped[bytes | None]  # the last one that was proposed
    unanswered_at: Mapped[datetime | None]  # when its time is over: the team is reminded, unless something came of it
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()


class Office(Base):
    """Where interviews take place or are telephoned from: data that staff edit (knowledge/offices.yml is the seed)."""

    __tablename__ = "office"
    id: Mapped[str] = mapped_column(primary_key=True)  # rabat
    country: Mapped[str]
    zone: Mapped[str]  # IANA name
    names: Mapped[dict[str, Any]]  # by language
    address: Mapped[str | None]  # told with a booking, never in a reminder
    active: Mapped[bool] = mapped_column(Boolean)
    by_request: Mapped[bool] = mapped_column(Boolean)  # no times to choose from: staff confirm each wish
    capacity: Mapped[int] = mapped_column(SmallInteger)  # interviews at the same time
    minutes: Mapped[int] = mapped_column(SmallInteger)  # of one interview
    hours: Mapped[list[Any]]  # {"days": [0…6], "from", "until", "between"?}: see bot/appointments/offices.py


class Counsellor(Base):
    """Who leads interviews, without a name: only what people may wish for."""

    __tablename__ = "counsellor"
    id: Mapped[str] = mapped_column(primary_key=True)  # rabat-1
    office_id: Mapped[str] = mapped_column(ForeignKey("office.id", ondelete="CASCADE"), index=True)
    languages: Mapped[list[Any]]
    gender: Mapped[str | None]  # woman, man
    modes: Mapped[list[Any]]  # in_person, phone
    active: Mapped[bool] = mapped_column(Boolean)


class ClosedDay(Base):
    """A day without interviews, of a country or of one office."""

    __tablename__ = "closed_day"
    of: Mapped[str] = mapped_column(primary_key=True)  # MA, or rabat
    day: Mapped[str] = mapped_column(primary_key=True)  # 2027-03-09, or 01-11 for every year


class Slot(Base):
    """A time at which one counsellor can lead one interview. `wall` and `zone` are what is offered."""

    __tablename__ = "slot"
    __table_args__ = (
        UniqueConstraint("counsellor_id", "wall"),
        Index("slot_open", "office_id", "starts_at", postgresql_where=text("status = 'open'")),
    )
    id: Mapped[int] = _id()
    office_id: Mapped[str] = mapped_column(ForeignKey("office.id", ondelete="CASCADE"))
    counsellor_id: Mapped[str] = mapped_column(ForeignKey("counsellor.id", ondelete="CASCADE"))
    wall: Mapped[str]  # 2026-11-24T10:00 on the office's clock
    zone: Mapped[str]
    starts_at: Mapped[datetime]  # the same moment in UTC, as the time zone rules of today say
    minutes: Mapped[int] = mapped_column(SmallInteger)
    status: Mapped[str] = mapped_column(server_default=text("'open'"))  # open, closed


class Appointment(Base):
    """An interview of a person, from the first question about it to what became of it.

    `status`: draft → held → confirmed → reminded → past → done | missed. Asked for: requested → proposed (until the
    person says yes) → confirmed. rescheduled (another appointment replaced it) and cancelled end it before. A slot has
    one of them: the partial unique index is what nobody gets past.
    """

    __tablename__ = "appointment"
    __table_args__ = (
        Index(
            "appointment_slot",
            "slot_id",
            unique=True,
            postgresql_where=text("status IN ('held', 'confirmed', 'reminded')"),
        ),
        Index("appointment_draft", "person_id", unique=True, postgresql_where=text("status IN ('draft', 'held')")),
        Index(
            "appointment_open",
            "person_id",
            unique=True,
            postgresql_where=text("status IN ('requested', 'proposed', 'confirmed', 'reminded')"),
        ),
        Index("appointment_person", "person_id", "id"),
    )
    id: Mapped[int] = _id()
    reference: Mapped[str] = mapped_column(unique=True)  # random, for people: RV-7K3QX
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"))
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id", ondelete="CASCADE"), index=True)
    office_id: Mapped[str | None] = mapped_column(ForeignKey("office.id", ondelete="SET NULL"))
    slot_id: Mapped[int | None] = mapped_column(ForeignKey("slot.id", ondelete="SET NULL"))
    replaces_id: Mapped[int | None] = mapped_column(ForeignKey("appointment.id", ondelete="SET NULL"))
    status: Mapped[str] = mapped_column(server_default=text("'draft'"))
    asked: Mapped[str | None]  # the open question of a draft
    answers_sealed: Mapped[bytes]
    wall: Mapped[str | None]  # as agreed, on the clock of `zone`
    zone: Mapped[str | None]
    starts_at: Mapped[datetime | None]  # follows from the two above; computed again when the rules of time zones change
    held_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()


class Reminder(Base):
    """When an appointment is to be remembered: a row that waits for its time."""

    __tablename__ = "reminder"
    __table_args__ = (
        UniqueConstraint("appointment_id", "hours"),
        Index("reminder_due", "due_at", postgresql_where=text("done_at IS NULL")),
    )
    id: Mapped[int] = _id()
    appointment_id: Mapped[int] = mapped_column(ForeignKey("appointment.id", ondelete="CASCADE"))
    hours: Mapped[int] = mapped_column(SmallInteger)  # before the appointment: 48, 3; 0: nobody answered by then
    due_at: Mapped[datetime]
    done_at: Mapped[datetime | None]


class Handoff(Base):
    """A person is asked for. All that a conversation has open have one owner: `Conversation.owner_id`.

    `status`: waiting → taken → released; back to waiting (given back, or its owner is silent), and from released
    to taken or waiting for as long as RAFIQ_HANDOFF_REOPEN_HOURS says. bot/conversation/handoffs.py moves it.
    """

    __tablename__ = "handoff"
    __table_args__ = (
        UniqueConstraint("inbox_id", "reason"),
        Index("handoff_open", "conversation_id", postgresql_where=text("status <> 'released'")),
        Index("handoff_due", "look_at", postgresql_where=text("look_at IS NOT NULL")),
    )
    id: Mapped[int] = _id()
    reference: Mapped[str] = mapped_column(unique=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id", ondelete="CASCADE"))
    inbox_id: Mapped[int | None]
    reason: Mapped[str]
    priority: Mapped[str]
    language: Mapped[str] = mapped_column(server_default=text("'fr'"))
    place: Mapped[str | None]  # a country, or what the offices are called; None: not known
    status: Mapped[str] = mapped_column(server_default=text("'waiting'"))
    owner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff_member.id", ondelete="SET NULL"))
    due_at: Mapped[datetime] = _now()  # what the team promised itself
    look_at: Mapped[datetime | None] = mapped_column(server_default=func.now())  # next reminder, or owner's patience
    unanswered_at: Mapped[datetime | None]  # taken: since when the person waits for the owner's word
    told_at: Mapped[datetime | None]  # taken: when the person was last told the owner's hours
    rounds: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))  # of notifications, ever
    step: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))  # how far it is escalated
    created_at: Mapped[datetime] = _now()
    taken_at: Mapped[datetime | None]
    released_at: Mapped[datetime | None]


class CaseEvent(Base):
    """What the case backend is told, written in the turn's transaction.

    `status`: queued → delivered | dead | overtaken (the backend knows something later about the same reference).
    `event_id` is the webhook's id: the same over every attempt.
    """

    __tablename__ = "case_event"
    __table_args__ = (
        Index("case_event_open", "id", postgresql_where=text("status = 'queued'")),
        Index("case_event_dead", "id", postgresql_where=text("status = 'dead'")),
        Index("case_event_ref", text("(payload #>> '{data,ref}')")),
        Index(
            "case_event_replaces",
            text("(payload #>> '{data,replaces}')"),
            postgresql_where=text("payload #>> '{data,replaces}' IS NOT NULL"),
        ),
        Index(
            "case_event_erased",
            text("(payload #> '{data,refs}')"),
            postgresql_using="gin",
            postgresql_where=text("type = 'person.erased'"),
        ),
        UniqueConstraint("key"),
    )
    id: Mapped[int] = _id()
    event_id: Mapped[uuid.UUID] = mapped_column(unique=True, server_default=func.gen_random_uuid())
    key: Mapped[str]  # what caused it: the same cause never makes a second event
    type: Mapped[str]
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"), index=True)
    payload: Mapped[dict[str, Any]]  # pseudonymous by construction: reference, place, priority, never a name
    words_sealed: Mapped[bytes | None]  # what was typed, by question, where the operator wants it told: see `delivery`
    status: Mapped[str] = mapped_column(server_default=text("'queued'"))
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    next_at: Mapped[datetime | None]
    error: Mapped[str | None]
    created_at: Mapped[datetime] = _now()
    delivered_at: Mapped[datetime | None]


class CaseEndpoint(Base):
    """Whether a case backend still wants to hear from us: 410 Gone disables it, the queue is kept."""

    __tablename__ = "case_endpoint"
    url: Mapped[str] = mapped_column(primary_key=True)
    disabled_at: Mapped[datetime | None]


class CaseAnswer(Base):
    """What the case backend answered, by the id it gave: the same id again changes nothing."""

    __tablename__ = "case_answer"
    id: Mapped[str] = mapped_column(primary_key=True)  # the webhook-id
    type: Mapped[str]
    told: Mapped[bool] = mapped_column(Boolean)  # what was answered to it
    received_at: Mapped[datetime] = _now()


class RasaTracker(Base):
    """Rasa's memory of one conversation: its events as compressed JSON, written by bot/rasa/tracker_store.py."""

    __tablename__ = "rasa_tracker"
    conversation: Mapped[str] = mapped_column(primary_key=True)  # conversation.rasa_id
    events: Mapped[bytes]
    updated_at: Mapped[datetime] = _now()


class ChannelState(Base):
    """What a channel has to remember between starts (Telegram's polling offset)."""

    __tablename__ = "channel_state"
    channel: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[dict[str, Any]]


class Alert(Base):
    """Something an operator must look at. `detail` never holds personal data."""

    __tablename__ = "alert"
    id: Mapped[int] = _id()
    kind: Mapped[str]
    detail: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = _now()


class OrientationPoint(Base):
    """A place that shows people the way to Rafiq (bot/orientation/points.py)."""

    __tablename__ = "orientation_point"
    id: Mapped[int] = _id()
    code: Mapped[bytes] = mapped_column(unique=True)  # random; what its posters' token is made of
    name: Mapped[str]
    city: Mapped[str]
    languages: Mapped[list[Any]]
    notes: Mapped[str] = mapped_column(server_default=text("''"))  # when it is open, for staff
    created_at: Mapped[datetime] = _now()
    revoked_at: Mapped[datetime | None]  # its posters attribute nothing since


class Scan(Base):
    """By which point a conversation came: the first one, once. It goes with the person."""

    __tablename__ = "scan"
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id", ondelete="CASCADE"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    point_id: Mapped[int] = mapped_column(ForeignKey("orientation_point.id"), index=True)
    created_at: Mapped[datetime] = _now()


class Enrolment(Base):
    """That a person is asked, from time to time after their return, how they are.

    `status`: draft (asked in the chat) or invited (by the team) → active → ended; declined. One is open at a time.
    """

    __tablename__ = "enrolment"
    __table_args__ = (
        Index(
            "enrolment_open",
            "person_id",
            unique=True,
            postgresql_where=text("status IN ('draft', 'invited', 'active')"),
        ),
        Index("enrolment_person", "person_id"),
        Index("enrolment_planned", "planned", postgresql_where=text("status IN ('active', 'ended')")),
    )
    id: Mapped[int] = _id()
    reference: Mapped[str] = mapped_column(unique=True)  # random: CK-7K3QX
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"))
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id", ondelete="CASCADE"), index=True)
    status: Mapped[str] = mapped_column(server_default=text("'draft'"))
    returned_on: Mapped[date | None]
    zone: Mapped[str | None]
    recorded_at: Mapped[datetime | None]  # when the team said which day that was: an older word changes nothing
    months: Mapped[int | None] = mapped_column(Integer)  # for how many they are asked; None: nothing was planned
    planned: Mapped[int] = mapped_column(Integer, server_default=text("0"))  # with which version of the team's rounds
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()


class Checkin(Base):
    """One check-in of a person, or the questions of their enrolment (`round` is then that).

    `status`: planned → sent → reminded → open (questions are being answered) → completed | partial | missed | stopped;
    each may be left out, none comes back.
    """

    __tablename__ = "checkin"
    __table_args__ = (
        UniqueConstraint("enrolment_id", "round"),
        Index("checkin_due", "next_at", postgresql_where=text("next_at IS NOT NULL")),
        Index("checkin_open", "person_id", unique=True, postgresql_where=text("status = 'open'")),
        Index("checkin_person", "person_id"),
    )
    id: Mapped[int] = _id()
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id", ondelete="CASCADE"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"))
    round: Mapped[str]
    form: Mapped[str]
    weeks: Mapped[int | None] = mapped_column(Integer)  # after the return, as it was planned; weeks or months
    months: Mapped[int | None] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(server_default=text("'planned'"))
    asked: Mapped[str | None]  # the open question
    answers_sealed: Mapped[bytes | None]
    level: Mapped[str | None]  # red, amber: what staff were asked to look at already
    due_at: Mapped[datetime | None]
    next_at: Mapped[datetime | None]  # when the service does the next thing about it; None: nothing more
    reminded_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()


class CheckinValue(Base):
    """One choice of somebody's check-in, for the trend; whose it was, nobody can tell."""

    __tablename__ = "checkin_value"
    __table_args__ = (Index("checkin_value_month", "month"),)
    id: Mapped[int] = _id()
    series: Mapped[uuid.UUID]  # random: the same for all check-ins of one person
    round: Mapped[str]
    question: Mapped[str]
    answer: Mapped[str]
    month: Mapped[date]  # its first day: no nearer


class LookupKey(Base):
    """The key of look-ups (`Vault.digest`), wrapped by a master key: it stays the same when that one changes."""

    __tablename__ = "lookup_key"
    master: Mapped[bytes] = mapped_column(primary_key=True)  # the master key's id
    wrapped: Mapped[bytes]


class StaffMember(Base):
    """Somebody of the team who takes over conversations. Empty lists mean: all of them.

    `conversation_id` is their own chat with the assistant's bot, linked by a code that works once: what concerns
    their work is written there.
    """

    __tablename__ = "staff_member"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    name: Mapped[str]  # as people in a conversation read it
    email: Mapped[str] = mapped_column(unique=True)  # in lower case
    role: Mapped[str]  # orientation, counsellor, supervisor, coordinator, administrator
    offices: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    languages: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))  # the first is the one they read
    priorities: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    duty: Mapped[str | None]  # their hours, as RAFIQ_READING_HOURS; those when they have none of their own
    conversation_id: Mapped[int | None] = mapped_column(ForeignKey("conversation.id", ondelete="SET NULL"), unique=True)
    link_digest: Mapped[bytes | None]  # of the code that links their chat
    link_expires_at: Mapped[datetime | None]
    oidc_subject: Mapped[bytes | None] = mapped_column(unique=True)  # digest of what the provider calls them
    active: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    created_at: Mapped[datetime] = _now()
    places: Mapped[list[Any]] = column_property(  # their offices and the countries of these: a handoff has a country
        literal_column(
            "(staff_member.offices || coalesce((SELECT jsonb_agg(DISTINCT office.country) FROM office"
            " WHERE staff_member.offices @> to_jsonb(office.id)), '[]'))",
            JSONB,
        )
    )


class HandoffEntry(Base):
    """What happened to a handoff, in order, never changed: taken, replied, noted, transferred, returned, released,
    reopened; `shown` is a copy in the owner's own chat."""

    __tablename__ = "handoff_entry"
    __table_args__ = (
        Index(
            "handoff_entry_answers",
            "handoff_id",
            postgresql_where=text("what = 'replied' AND (told IS NULL OR told = 'held')"),
        ),
    )
    id: Mapped[int] = _id()
    handoff_id: Mapped[int] = mapped_column(ForeignKey("handoff.id", ondelete="CASCADE"), index=True)
    what: Mapped[str]
    staff_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff_member.id", ondelete="SET NULL"))
    to_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff_member.id", ondelete="SET NULL"))
    outbox_id: Mapped[int | None] = mapped_column(ForeignKey("outbox.id", ondelete="SET NULL"), index=True)
    note_sealed: Mapped[bytes | None]  # with the key of the person whom it is about
    told: Mapped[str | None]  # a reply: what its writer was told of its delivery
    at: Mapped[datetime] = _now()


class HandoffNotice(Base):
    """Somebody of the team was told that a handoff waits: once a round, in their chat and by mail.

    `status` of a mail: queued → sending → sent; failed, cancelled, or unknown when its sender died meanwhile (the
    next round reminds; the same one is never sent twice). A message in a chat is `told`.
    """

    __tablename__ = "handoff_notice"
    __table_args__ = (
        UniqueConstraint("handoff_id", "staff_id", "round", "way"),
        Index("handoff_notice_open", "id", postgresql_where=text("status IN ('queued', 'sending')")),
    )
    id: Mapped[int] = _id()
    handoff_id: Mapped[int] = mapped_column(ForeignKey("handoff.id", ondelete="CASCADE"))
    staff_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("staff_member.id", ondelete="CASCADE"))
    round: Mapped[int] = mapped_column(SmallInteger)
    way: Mapped[str]  # chat, mail
    outbox_id: Mapped[int | None] = mapped_column(ForeignKey("outbox.id", ondelete="SET NULL"))
    status: Mapped[str] = mapped_column(server_default=text("'queued'"))
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    next_at: Mapped[datetime | None]
    error: Mapped[str | None]
    created_at: Mapped[datetime] = _now()


class StaffLogin(Base):
    """How a member of the team signs in to the console. The TOTP secret is sealed with a key of its own."""

    __tablename__ = "staff_login"
    staff_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("staff_member.id", ondelete="CASCADE"), primary_key=True)
    password: Mapped[str]  # argon2id's own string
    key: Mapped[bytes]  # wrapped by the master key
    totp_sealed: Mapped[bytes]
    totp_step: Mapped[int] = mapped_column(server_default=text("0"))  # of the last code that was used: once each


class StaffSession(Base):
    """Somebody signed in: the digest of a random token that only their browser holds."""

    __tablename__ = "staff_session"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    staff_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("staff_member.id", ondelete="CASCADE"), index=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime] = _now()
    seen_at: Mapped[datetime] = _now()  # the last click
    verified_at: Mapped[datetime] = _now()  # when password and code were last given
    ended_at: Mapped[datetime | None]


class LoginAttempt(Base):
    """A failed attempt to sign in, counted by e-mail and by network address: hashes of both."""

    __tablename__ = "login_attempt"
    __table_args__ = (Index("login_attempt_email", "email", "at"), Index("login_attempt_place", "place", "at"))
    id: Mapped[int] = _id()
    email: Mapped[bytes]
    place: Mapped[bytes]
    at: Mapped[datetime] = _now()


class AuditEntry(Base):
    """Who saw or changed what: added only, each row chained to the one before (bot/console/audit.py)."""

    __tablename__ = "audit"
    __table_args__ = (Index("audit_lately", "staff_id", "action", "at"),)
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)  # 1, 2, 3 … without a gap
    at: Mapped[datetime]
    staff_id: Mapped[uuid.UUID | None]  # no foreign key: this row outlives the member; None is the command line
    action: Mapped[str]
    target: Mapped[str]
    detail: Mapped[dict[str, Any]]
    link: Mapped[bytes]


class BulkExport(Base):
    """A table of many people that one of the team asked for and another one allowed: nobody does both.

    `status`: asked → allowed | refused; the table is made when its asker fetches it, until `expires_at`.
    """

    __tablename__ = "bulk_export"
    __table_args__ = (CheckConstraint("decided_by <> asked_by", name="bulk_export_two_persons"),)
    id: Mapped[int] = _id()
    kind: Mapped[str]  # requests, interviews, checkins
    since: Mapped[date]
    until: Mapped[date]  # included
    why: Mapped[str]  # donor, quality, handover
    status: Mapped[str] = mapped_column(server_default=text("'asked'"))
    asked_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("staff_member.id", ondelete="CASCADE"))
    decided_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff_member.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = _now()
    decided_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]


class TextVersion(Base):
    """What the team made of a text of the catalogs (bot/conversation/wording.py): added only, the last one is said."""

    __tablename__ = "text_version"
    __table_args__ = (UniqueConstraint("text_id", "language", "follows"),)
    id: Mapped[int] = _id()
    text_id: Mapped[str]
    language: Mapped[str]
    follows: Mapped[int]  # the version that its writer saw, 0 for none: each is followed once
    text: Mapped[str | None]  # None: the project's own again
    project: Mapped[str]  # the project's own at that time
    staff_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff_member.id", ondelete="SET NULL"))
    at: Mapped[datetime] = _now()


class TeamSetting(Base):
    """A setting that the team chose in the console (bot/conversation/chosen.py).

    A number by its name in bot/settings.py; or what it changed of the check-ins (bot/checkins/rounds.py).
    """

    __tablename__ = "team_setting"
    name: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Integer)  # of the check-ins: how often it was changed
    data: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))  # of the check-ins; None: the file's
    at: Mapped[datetime] = _now()


class EmergencyNumber(Base):
    """A number for people in danger, as the team has it (bot/journeys/emergency.py); empty: those of the file stand."""

    __tablename__ = "emergency_number"
    __table_args__ = (UniqueConstraint("country", "service"),)
    id: Mapped[int] = _id()
    country: Mapped[str]
    service: Mapped[str]
    number: Mapped[str]
    situations: Mapped[list[Any]]  # in which it comes first
    source: Mapped[str]
    checked: Mapped[date]
    confirmed: Mapped[bool] = mapped_column(Boolean)  # only then is it ever shown
