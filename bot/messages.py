"""What goes in and out of every channel: the words that the rooms of this house share.

An `Incoming` is one thing that happened in a conversation, as a channel read it; an `Outgoing`
is one message to a person. Neither knows a platform: the channels translate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

Language = Literal["fr", "en", "ar"]
LANGUAGES: tuple[Language, ...] = ("fr", "en", "ar")


class Kind(StrEnum):
    """What an incoming event is."""

    TEXT = "text"
    PRESS = "press"  # a button that we issued, or claims to be one
    START = "start"  # the person opens the conversation; `text` is the deep link's payload
    MEDIA = "media"  # voice, picture, document, place: acknowledged, handed to a person
    EDITED = "edited"  # no new turn; `details["original"]` is the external id of the message it changes
    REVOKED = "revoked"  # the person deleted `details["original"]`: its content goes from our store too
    IDENTITY = "identity"  # the number, or who holds it, changed: sensitive content waits until verified again
    BLOCKED = "blocked"  # the person blocked the assistant
    UNBLOCKED = "unblocked"
    STOPPED = "stopped"  # said in the platform's own settings: no unasked messages; nothing is answered
    RESUMED = "resumed"  # unasked messages are welcome again, said in the same place
    GROUP = "group"  # added to a group: leave politely
    UNKNOWN = "unknown"  # a kind this version does not know


OPENS = "opens"  # the button under « you have a reply »: pressing it lets go what was held, and says nothing else


@dataclass(frozen=True, slots=True)
class Incoming:
    """One event of one conversation, read from a channel's request.

    `external_id` is unique within the channel for ever: the same id again is the same event.
    `address` is the channel's own name of the person's end (a chat id, a user id, a token).
    """

    channel: str
    external_id: str
    address: str
    kind: Kind
    text: str = ""
    press: str = ""  # the pressed button's id
    language_hint: str | None = None  # the platform's idea of the person's language, a hint only
    details: Mapping[str, Any] = field(default_factory=dict)  # what the channel needs again to answer


Status = Literal["sent", "delivered", "read", "failed"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a platform reports about a message of ours, late, twice or out of order as it likes."""

    channel: str
    external_id: str  # the platform's id of the message
    status: Status
    our_id: str | None = None  # `Outgoing.id`, where the platform gives it back
    error: SendError | None = None  # why it failed


@dataclass(frozen=True, slots=True)
class Notice:
    """What a platform tells the operators of a channel (an account restricted, a template paused): an alert.

    `detail` holds the platform's own names and numbers, nothing personal.
    """

    channel: str
    kind: str
    detail: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Button:
    """A choice under a message. `id` is opaque; `title` is what the person reads."""

    id: str
    title: str


@dataclass(frozen=True, slots=True)
class Document:
    """A small file of text that goes with a message."""

    name: str
    media_type: str
    content: str


@dataclass(frozen=True, slots=True)
class File:
    """A voice message or picture that goes with a message."""

    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Template:
    """A text that the platform approved beforehand, for where free text may not go."""

    name: str
    values: tuple[str, ...] = ()
    seconds: int | None = None  # how long the platform may go on trying to deliver it


# « you have a reply »: what is held follows when the person presses OPENS; the second for what is soon worth nothing
WAITING = (Template("reply_waiting"), Template("reply_soon"))


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to one person. `id` is ours, and stays the same over every attempt to send it."""

    id: str
    text: str
    language: Language
    buttons: tuple[Button, ...] = ()
    template: Template | None = None  # sent instead of `text`
    document: Document | None = None  # `text` stands under it; only to channels that take one (`Documents`)
    file: File | None = None  # likewise (`Files`)
    details: Mapping[str, Any] = field(default_factory=dict)


class SendError(Exception):
    """A message could not be sent.

    SendError
    ├── Retryable        not sent; try again, after `retry_after` seconds when the platform says so
    │   ├── Throttled    too fast; `scope` says whether for this chat or for the whole channel, if the platform does
    │   └── Unwelcome    people blocked or reported us: nothing unasked for a day; page an operator
    ├── Ambiguous        it may have been sent (the connection broke before the answer)
    ├── Unreachable      blocked, deleted, or never started: stop writing to this address
    ├── Moved            the chat has a new address
    ├── WindowClosed     free text may not go now: a template, or hold it until the person writes
    ├── NoTemplate       this template is not approved, paused or disabled: another one, or hold it
    ├── NotNow           this person may not be written to for a while (a day where nothing is said)
    ├── IdentityChanged  the platform doubts that this is still the same person: hold it
    ├── ChannelDown      token, account or payment: no message can go; page an operator, pause the channel
    └── Refused          our fault: set aside, alert
    """


class Retryable(SendError):
    """Not sent; a later attempt may succeed."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Throttled(Retryable):
    """The platform says we write too fast."""

    def __init__(self, reason: str, retry_after: float | None, scope: Literal["chat", "channel", "unsaid"]) -> None:
        super().__init__(reason, retry_after)
        self.scope = scope


class Unwelcome(Retryable):
    """People blocked or reported what this account wrote: it may lose its right to write."""


class Ambiguous(SendError):
    """Nobody knows whether it was sent."""


class Unreachable(SendError):
    """The person blocked the assistant, left, or never opened the chat."""


class Moved(SendError):
    """The chat goes on under another address."""

    def __init__(self, address: str) -> None:
        super().__init__("the chat moved")
        self.address = address


class WindowClosed(SendError):
    """The person has not written for too long: only a template may go."""


class NoTemplate(SendError):
    """The platform does not send this template in this language (not approved, paused, disabled)."""


class NotNow(SendError):
    """The platform will not deliver to this person for now."""

    def __init__(self, reason: str, retry_after: float = 86_400) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class IdentityChanged(SendError):
    """Whoever holds this address now may be somebody else."""


class ChannelDown(SendError):
    """Our account or token does not work: an operator has to mend it."""


class Refused(SendError):
    """The platform refuses this message as it stands."""
