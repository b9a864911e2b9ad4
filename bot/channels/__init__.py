"""Channels: how people reach the assistant. One file each, one contract, one contract test.

A channel checks who calls (`verify`), reads every event of a request (`parse`) and sends a message (`send`).
It knows its platform and nothing else of the house.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from bot.messages import Incoming, Notice, Outgoing, Receipt


class Unverified(Exception):
    """The request does not come from the platform: answered 401 with an empty body."""


class Malformed(Exception):
    """The request is genuine but cannot be read: answered 400, with nothing stored."""


class Channel(Protocol):
    """What every channel offers."""

    @property
    def name(self) -> str:
        """The channel's name, as the database knows it."""

    @property
    def longest(self) -> int:
        """How many characters one message may have."""

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raise `Unverified` unless the platform sent exactly these bytes. Header names are in lower case."""

    def parse(self, body: bytes) -> Sequence[Incoming | Receipt | Notice]:
        """All that the request tells, in order; raise `Malformed` when it is none of this platform."""

    async def send(self, address: str, message: Outgoing) -> str:
        """Send one message; the platform's id of it. Raises a `bot.messages.SendError`."""

    async def close(self) -> None:
        """Let connections go."""
