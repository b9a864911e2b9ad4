"""A platform in memory: it keeps to no rules but those a test gives it, and counts."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.channels import Limits, Rate
from bot.messages import Button, Incoming, Outgoing, Receipt, SendError

FREE = Limits(chat=Rate(1000, 1000), channel=Rate(1000, 1000), unasked=Rate(1000, 1000))

Answer = SendError | Callable[[str, Outgoing], Awaitable[str]] | None


@dataclass(slots=True)
class FakeChannel:
    """What was sent to it, and how it answers: `answers` first, one each, then with an id."""

    name: str = "fake"
    longest: int = 4096
    longest_above: int = 4096  # of a text with buttons
    under: int | None = 1024  # characters under a file; None: it takes none
    limits: Limits = FREE
    pause: float = 0.0  # seconds that a call takes
    answers: list[Answer] = field(default_factory=list)
    sent: list[tuple[float, str, Outgoing]] = field(default_factory=list)  # when, to whom, what: also what was refused
    files: Mapping[str, bytes | SendError] = field(default_factory=dict)
    _ids: Any = field(default_factory=lambda: itertools.count(1))

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Everybody is trusted."""

    def parse(self, body: bytes) -> Sequence[Incoming | Receipt]:
        """Nothing comes in this way."""
        return []

    def room(self, buttons: Sequence[Button]) -> int:
        """As the test says."""
        return self.longest_above if buttons else self.longest

    def caption(self, media_type: str) -> int | None:
        """As the test says."""
        return self.under

    async def send(self, address: str, message: Outgoing) -> str:
        """Take it, or answer as the test wants."""
        self.sent.append((time.monotonic(), address, message))
        if self.pause:
            await asyncio.sleep(self.pause)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, SendError):
            raise answer
        if answer is not None:
            return await answer(address, message)
        return f"{self.name}-{next(self._ids)}"

    async def download(self, details: Mapping[str, Any]) -> tuple[bytes, str]:
        """A file of `files`."""
        content = self.files[details["file_id"]]
        if isinstance(content, SendError):
            raise content
        return content, "application/octet-stream"

    async def close(self) -> None:
        """Nothing is open."""

    @property
    def texts(self) -> list[str]:
        """What was sent, in order."""
        return [message.text for _, _, message in self.sent]

    @property
    def ids(self) -> list[str]:
        """Our ids of what was sent, in order."""
        return [message.id for _, _, message in self.sent]

    def busiest(self, seconds: float, address: str | None = None) -> int:
        """The most messages in any span of so many seconds."""
        moments = [moment for moment, to, _ in self.sent if address in (None, to)]
        return max(
            (sum(1 for other in moments[first:] if other - moment < seconds) for first, moment in enumerate(moments)),
            default=0,
        )
