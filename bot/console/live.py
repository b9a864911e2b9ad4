"""Pages that follow what happens: wake-up calls of the lanes become server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from bot.db.session import Lane

PAUSE = 1.0  # seconds: what happens within becomes one event
QUIET = 15.0  # seconds after which a silent stream shows that it lives


T = TypeVar("T")


class Shared(Generic[T]):
    """One reading for all who ask for the same at once.

    Who asks gets a reading that began afterwards, never one that was under way: nobody is told less than is known.
    """

    def __init__(self) -> None:
        self._running: asyncio.Task[T] | None = None
        self._next: asyncio.Task[T] | None = None

    async def get(self, read: Callable[[], Awaitable[T]]) -> T:
        """What a reading says that begins now, or when the one under way is over."""
        if self._next is None:
            self._next = asyncio.create_task(self._read(read, self._running))
        return await asyncio.shield(self._next)  # one who goes away leaves it to the others

    async def _read(self, read: Callable[[], Awaitable[T]], before: asyncio.Task[T] | None) -> T:
        if before is not None:
            await asyncio.wait({before})
        self._running, self._next = self._next, None
        return await read()


class Listener:
    """The conversations in which something happened since the last look."""

    def __init__(self) -> None:
        self.keys: set[int] = set()
        self.happened = asyncio.Event()

    async def look(self) -> set[int]:
        """They, as soon as there is one; none after a while of silence."""
        try:
            await asyncio.wait_for(self.happened.wait(), QUIET)
        except TimeoutError:
            return set()
        self.happened.clear()
        keys, self.keys = self.keys, set()
        return keys


class Live:
    """Passes on to every open page what the lanes hear."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    def heard(self, lane: Lane, key: int) -> None:
        """A wake-up call: something happened in this conversation, or (0) to appointments and their times."""
        if lane in (Lane.TURN, Lane.DELIVERY, Lane.REMINDERS):
            for listener in self._listeners:
                listener.keys.add(0 if lane is Lane.REMINDERS else key)
                listener.happened.set()

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """Hear of everything while inside."""
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def stream(
        self, changed: Callable[[set[int]], Awaitable[bool]], allowed: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[bytes]:
        """Events `change` while it is allowed, and `over` when it no longer is."""
        with self.listening() as listener:
            yield b"retry: 1000\n\n"
            while True:
                keys = await listener.look()
                if not await allowed():
                    yield b"event: over\ndata:\n\n"
                    return
                yield b"event: change\ndata:\n\n" if await changed(keys) else b":\n\n"
                await asyncio.sleep(PAUSE)
