"""Pages that follow what happens: wake-up calls of the lanes become server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

from bot.db.session import Lane

PAUSE = 1.0  # seconds: what happens within becomes one event
QUIET = 15.0  # seconds after which a silent stream shows that it lives


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
