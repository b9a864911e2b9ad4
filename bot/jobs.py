"""Work that must happen: rows say what, wake-up calls say when, a sweep finds what nobody was woken for.

A lane is a kind of work with one key per piece (a conversation, an endpoint). PostgreSQL's NOTIFY wakes the
lanes of every process; each takes the key's advisory lock before it works (`bot.db.session`), so a key is
worked on by one process at a time, and by the next one as soon as that process dies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import psycopg
import structlog

from bot.db.session import Database, Lane

log = structlog.get_logger()
SWEEP = 1.0  # seconds between two looks for work that nobody was woken for
HUSH = 2.0  # seconds after a call in which somebody waits for an answer, here or in another process
PEOPLE_WAIT = (Lane.TURN, Lane.DELIVERY)  # whoever is called here, somebody has written and waits
BESIDE = 8  # keys that may be worked beside the limit, because somebody is in danger


class Worker:
    """Works the keys of one lane, `limit` at once, each key by one task at a time.

    Whoever was called goes before what a sweep found, which never takes more than half of the room, and in a `hush` one
    place: a person's answer does not wait behind thousands of messages that nobody waits for, however slow the machine.
    """

    def __init__(self, work: Callable[[int], Awaitable[object]], limit: int) -> None:
        self._work = work
        self._limit = limit
        self._hushed_until = 0.0  # by the loop's clock
        self._called: dict[int, None] = {}  # in the order of the calls
        self._found: dict[int, None] = {}
        self._active: dict[int, asyncio.Task[None]] = {}
        self._active_found: set[int] = set()
        self._again: dict[int, bool] = {}  # whether somebody called, or only a sweep found it

    def wake(self, key: int, called: bool = True, at_once: bool = False) -> None:
        """There may be work for this key; `at_once` lets it overtake all others, beside the limit."""
        if key in self._active:
            self._again[key] = called or self._again.get(key, False)
        elif at_once and self._limit > 0 and len(self._active) < self._limit + BESIDE:
            self._called.pop(key, None)
            self._found.pop(key, None)
            self._active[key] = asyncio.create_task(self._run(key))
        elif called:
            self._found.pop(key, None)
            self._called.setdefault(key)
        elif key not in self._called:
            self._found.setdefault(key)
        self._begin()

    def waits(self, key: int) -> bool:
        """Whether this key waits for others to be done."""
        return key in self._called or key in self._found

    def hush(self) -> None:
        """Somebody waits for an answer: what was found leaves them the machine for a while."""
        self._hushed_until = asyncio.get_running_loop().time() + HUSH

    @property
    def _room_for_found(self) -> int:
        hushed = asyncio.get_running_loop().time() < self._hushed_until
        return 1 if hushed else max(self._limit // 2, 1)

    def _begin(self) -> None:
        while len(self._active) < self._limit:
            if self._called:
                key = next(iter(self._called))
                del self._called[key]
            elif self._found and len(self._active_found) < self._room_for_found:
                key = next(iter(self._found))
                del self._found[key]
                self._active_found.add(key)
            else:
                return
            self._active[key] = asyncio.create_task(self._run(key))

    async def _run(self, key: int) -> None:
        try:
            await self._work(key)
        except Exception as error:  # the row stays; the sweep brings it back
            log.error("work failed", lane_key=key, error=type(error).__name__, exc_info=True)
            await asyncio.sleep(0.5)
        finally:
            del self._active[key]
            self._active_found.discard(key)
            if key in self._again:  # behind those who have waited longer
                self.wake(key, self._again.pop(key))
            else:
                self._begin()

    async def drain(self, seconds: float) -> None:
        """Begin nothing more, and wait for what is being worked on, at most this long."""
        self._limit = 0
        if self._active:
            await asyncio.wait(list(self._active.values()), timeout=seconds)
        late = list(self._active.values())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)  # they let go of their connections


class Lanes:
    """All lanes of one process: listens for wake-up calls and sweeps."""

    def __init__(self, database: Database, url: str) -> None:
        self._database = database
        self._url = url
        self._workers: dict[Lane, tuple[Worker, Callable[[], Awaitable[Iterable[int]]]]] = {}
        self._watchers: list[Callable[[Lane, int], None]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.listening = asyncio.Event()

    def add(self, lane: Lane, worker: Worker, due: Callable[[], Awaitable[Iterable[int]]]) -> None:
        """Work this lane; `due` finds the keys that have work now."""
        self._workers[lane] = (worker, due)

    def watch(self, watcher: Callable[[Lane, int], None]) -> None:
        """Also tell this one of every wake-up call (the web page waits for its messages this way)."""
        self._watchers.append(watcher)

    def wake(self, lane: Lane, key: int, at_once: bool = False) -> bool:
        """Wake this process's own worker without a round trip; `at_once` overtakes the others.

        Whether the key has to wait for others.
        """
        if lane in PEOPLE_WAIT:
            for other, (busy, _) in self._workers.items():
                if other is not Lane.TURN:  # a turn that only a sweep found is somebody's too, who waits
                    busy.hush()
        self._tell(lane, key)
        if lane not in self._workers or not self._tasks:  # before the start and after the end nothing is worked
            return False
        worker, _ = self._workers[lane]
        worker.wake(key, at_once=at_once)
        return worker.waits(key)

    def _tell(self, lane: Lane, key: int) -> None:
        for watcher in self._watchers:
            watcher(lane, key)

    async def start(self) -> None:
        """Begin to listen and to sweep."""
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._sweep())]
        await self.listening.wait()

    async def stop(self, seconds: float = 10) -> None:
        """Finish what is being worked on, then end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        for worker, _ in self._workers.values():
            await worker.drain(seconds)

    async def _listen(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
                    await connection.execute("LISTEN rafiq")
                    self.listening.set()
                    async for call in connection.notifies():
                        self._hear(call.payload)
            except psycopg.Error as error:
                log.warning("not listening; the sweep goes on", error=type(error).__name__)
                await asyncio.sleep(1)

    def _hear(self, payload: str) -> None:
        """A wake-up call (`bot.db.session.wake_up_call`)."""
        try:
            lane, key, *said = payload.split(":")
            of, which = Lane(int(lane)), int(key)
        except ValueError:  # of a process of another version, with lanes of its own
            log.warning("a wake-up call that means nothing here")
            return
        if "unhurried" in said:  # the sweep is soon enough
            self._tell(of, which)
        elif self._database.name not in said:
            self.wake(of, which)

    async def _sweep(self) -> None:
        while True:
            for worker, due in self._workers.values():
                try:
                    for key in await due():
                        worker.wake(key, called=False)
                except Exception as error:
                    log.warning("sweep failed", error=type(error).__name__)
            await asyncio.sleep(SWEEP)
