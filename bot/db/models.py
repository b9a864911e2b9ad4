"""Every table of the service. Columns named `..._sealed` are encrypted with the person's key."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Boolean,
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
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


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
    turns: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    misunderstood: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))  # in a row
    noticed_at: Mapped[datetime | None]  # told that understanding is down, in this outage
    slowed_at: Mapped[datetime | None]  # told that these are too many messages at once
    exchanges: Mapped[list[Any] | None]  # the last few: [heard, said, when], hashed; see bot/conversation/guards.py
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
    error: Mapped[str | None]
    next_at: Mapped[datetime | None]
    received_at: Mapped[datetime] = _now()
    done_at: Mapped[datetime | None]


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
    """A voice message or picture, kept for a person of the team and not for long.

    `status`: pending → kept | refused (kind, size or damage: only the platform's id is kept) | lost.
    """

    __tablename__ = "media"
    __table_args__ = (Index("media_pending", "id", postgresql_where=text("status = 'pending'")),)
    id: Mapped[int] = _id()
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id", ondelete="CASCADE"))
    inbox_id: Mapped[int | None] = mapped_column(ForeignKey("inbox.id", ondelete="SET NULL"), unique=True)
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
    created_at: Mapped[datetime] = _now()


class Request(Base):
    """A first-contact request: what a person asked IOM to know, in order to call back safely."""

    __tablename__ = "request"
    id: Mapped[int] = _id()
    reference: Mapped[str] = mapped_column(unique=True)  # random, for people: AV-7K3Q
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    inbox_id: Mapped[int | None] = mapped_column(unique=True)  # the event that made it: never twice
    status: Mapped[str] = mapped_column(server_default=text("'open'"))  # open → acknowledged → closed; or withdrawn
    priority: Mapped[str]
    answers_sealed: Mapped[bytes]
    interview_sealed: Mapped[bytes | None]  # the last one that was proposed
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()


class Handoff(Base):
    """A person is asked for. The counsellors' side reads these rows."""

    __tablename__ = "handoff"
    __table_args__ = (UniqueConstraint("inbox_id", "reason"),)
    id: Mapped[int] = _id()
    reference: Mapped[str] = mapped_column(unique=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.id", ondelete="CASCADE"))
    inbox_id: Mapped[int | None]
    reason: Mapped[str]
    priority: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=text("'waiting'"))
    created_at: Mapped[datetime] = _now()


class CaseEvent(Base):
    """What the case backend is told, written in the turn's transaction.

    `status`: queued → delivered | dead | overtaken (the backend knows something later about the same reference).
    `event_id` is the webhook's id: the same over every attempt.
    """

    __tablename__ = "case_event"
    __table_args__ = (
        Index("case_event_open", "id", postgresql_where=text("status = 'queued'")),
        Index("case_event_ref", text("(payload #>> '{data,ref}')")),
        UniqueConstraint("key"),
    )
    id: Mapped[int] = _id()
    event_id: Mapped[uuid.UUID] = mapped_column(unique=True, server_default=func.gen_random_uuid())
    key: Mapped[str]  # what caused it: the same cause never makes a second event
    type: Mapped[str]
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"), index=True)
    payload: Mapped[dict[str, Any]]  # pseudonymous by construction: reference, place, priority, never a name
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
