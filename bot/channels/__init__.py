"""Channels: how people reach the assistant. One file each, one contract, one contract test.

A channel checks who calls (`verify`), reads every event of a request (`parse`) and sends a message (`send`).
It knows its platform and nothing else of the house.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, runtime_checkable

from bot.messages import Button, Incoming, Notice, Outgoing, Receipt


class Unverified(Exception):
    """The request does not come from the platform: answered 401 with an empty body."""


class Malformed(Exception):
    """The request is genuine but cannot be read: answered 400, with nothing stored."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many messages a second on average, so many at once."""

    per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class Limits:
    """How a platform lets itself be written to. Delivery keeps to it; the channel only says it."""

    chat: Rate
    channel: Rate
    unasked: Rate  # what of the channel's rate is for messages that nobody waits for
    window: timedelta | None = None  # after the person's last message; outside it only templates may go
    receipts: bool = False  # the platform reports what became of each message, with our id
    people_a_day: int | None = None  # whom we may write to first, outside the window, in any 24 hours


class Channel(Protocol):
    """What every channel offers."""

    @property
    def name(self) -> str:
        """The channel's name, as the database knows it."""

    @property
    def longest(self) -> int:
        """How many characters one message may have."""

    def room(self, buttons: Sequence[Button]) -> int:
        """How many of them are left for the text above these buttons."""

    @property
    def limits(self) -> Limits:
        """How fast and when the platform may be written to."""

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raise `Unverified` unless the platform sent exactly these bytes. Header names are in lower case."""

    def parse(self, body: bytes) -> Sequence[Incoming | Receipt | Notice]:
        """All that the request tells, in order, or nothing. Raises `Malformed` for what is no JSON."""

    async def send(self, address: str, message: Outgoing) -> str:
        """Send one message; the platform's id of it. Raises a `bot.messages.SendError`."""

    async def close(self) -> None:
        """Let connections go."""


@runtime_checkable
class Downloads(Protocol):
    """What a channel offers besides when its platform keeps voices and pictures for us to fetch."""

    async def download(self, details: Mapping[str, Any]) -> tuple[bytes, str]:
        """The content and its media type, by the `details` of the incoming event. Raises a `bot.messages.SendError`.

        `Retryable` when it may work later; anything else when it is lost.
        """


@runtime_checkable
class Documents(Protocol):
    """What a channel offers besides when it takes a file with a message; to any other the text goes alone."""

    @property
    def longest_caption(self) -> int:
        """How many characters the text under a file may have."""


@runtime_checkable
class Files(Protocol):
    """What a channel offers besides when it takes voices and pictures; to any other the text goes alone."""

    def caption(self, media_type: str) -> int | None:
        """How many characters may stand under a file of this type: 0 when it goes alone, after its text; None when it
        is not taken.
        """
