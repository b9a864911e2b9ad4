"""Simulated people, each of whom writes the next message when the answer to the last one is there."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from benchmarks.turn.dialogue import Press, talk
from bot.messages import LANGUAGES, Language

PATIENCE = 60.0  # seconds until an answer counts as lost
IDLE = 2.0  # seconds after which a server may have closed a connection that nobody used


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: when (`time.perf_counter`), its text, and what its buttons send when pressed."""

    arrived: float
    text: str
    buttons: Sequence[str]


class Conversation(Protocol):
    """One person's new conversation."""

    async def say(self, words: str) -> Answer:
        """Send a text; the answer to it."""

    async def press(self, button: str) -> Answer:
        """Press a button of the answer before; the answer to that."""

    def close(self) -> None:
        """The person puts the telephone away."""


class Side(Protocol):
    """Rafiq or stock Rasa."""

    def begin(self, language: Language) -> Conversation:
        """Somebody new, whose telephone speaks this language."""


class OutOfStep(Exception):
    """A button was to be pressed and there is none: the dialogue does not go where it should."""


@dataclass(frozen=True, slots=True)
class Level:
    """How many people at once, for how many seconds, with how long a pause after each answer."""

    name: str
    people: int
    seconds: float
    pause: float = 0.0


@dataclass(slots=True)
class Measured:
    """What a level gave."""

    level: Level
    began: float
    waits: list[float] = field(default_factory=list)  # seconds from request to answer

    @property
    def per_second(self) -> float:
        """Turns answered in a second."""
        return len(self.waits) / self.level.seconds

    @property
    def median(self) -> float:
        """Milliseconds."""
        return statistics.median(self.waits) * 1000

    @property
    def p95(self) -> float:
        """Milliseconds that one turn in twenty exceeds."""
        return statistics.quantiles(self.waits, n=20)[-1] * 1000


async def measure(side: Side, level: Level, warm_up: float) -> Measured:
    """Have `level.people` talk at once. What is answered in the first `warm_up` seconds is not counted."""
    measured = Measured(level, time.perf_counter() + warm_up)
    until = measured.began + level.seconds
    chance = Random(level.name)  # noqa: S311 (the same on both sides)
    await asyncio.gather(*(_talk(side, LANGUAGES[n % 3], chance, until, measured) for n in range(level.people)))
    return measured


async def rehearse(side: Side) -> None:
    """Every dialogue once, one after the other; raises `OutOfStep`."""
    for language in LANGUAGES:
        conversation = side.begin(language)
        last = None
        for step in talk(language, Random(0)):  # noqa: S311
            last = await _take(conversation, step, last)
        conversation.close()


async def _talk(side: Side, language: Language, chance: Random, until: float, measured: Measured) -> None:
    while True:
        conversation, last = side.begin(language), None
        try:
            for step in talk(language, chance):
                began = time.perf_counter()
                if began >= until:
                    return
                last = await _take(conversation, step, last)
                if measured.began <= last.arrived <= until:
                    measured.waits.append(last.arrived - began)
                await asyncio.sleep(measured.level.pause)
        finally:
            conversation.close()


async def _take(conversation: Conversation, step: str | Press, last: Answer | None) -> Answer:
    async with asyncio.timeout(PATIENCE):
        if not isinstance(step, Press):
            return await conversation.say(step)
        if last is None or not last.buttons:
            raise OutOfStep(f"no button to press below: {last.text if last else ''}")
        return await conversation.press(last.buttons[0])


class Connection:
    """The least of an HTTP client, so that the measurement is not of the client."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0

    async def post(self, path: str, body: bytes, headers: str = "") -> bytes:
        """The body of the answer; `RuntimeError` for any status but 200."""
        if self._streams is None or time.monotonic() - self._used > IDLE:
            self.close()
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{headers}"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = next(int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:"))
        answer = await reader.readexactly(length)
        self._used = time.monotonic()
        if head.split(" ", 2)[1] != "200":
            raise RuntimeError(f"{path} answered {head.partition(chr(13))[0]}")
        return answer

    def close(self) -> None:
        """Close the connection, if it is open."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
