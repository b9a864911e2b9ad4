"""Case events leave the house: tried for three days, never lost, never in each other's way.

How one event is posted is the `Backend`'s: the signed webhook (`bot.cases.webhook`), or a case system's own API
(`bot.cases.systems`). The events are rows; a row stays `queued` until the backend has taken it, so when a worker
dies between the post and the row's change, the next one posts it once more: at least once, and the backend
knows the id.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
import structlog
from sqlalchemy import bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from bot import faults, metrics
from bot.db.models import Alert, CaseEndpoint, CaseEvent, Person
from bot.db.session import Database, Lane, wake

log = structlog.get_logger()
KEY = 0  # of the lane: there is one case backend
TIMEOUT = 15.0  # seconds for one post, from the connection to the answer's headers
SCHEDULE = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)  # 75.6 hours in all
)
LONGEST_WAIT = timedelta(hours=24)  # that a Retry-After is believed for
LONGEST_PAUSE = timedelta(minutes=5)  # that one event's Retry-After holds the others back
# Looked for every second: made once.
_DISABLED = select(CaseEndpoint.url).where(CaseEndpoint.url == bindparam("url"), CaseEndpoint.disabled_at.is_not(None))
_NEXT = (
    select(
        CaseEvent.id, CaseEvent.event_id, CaseEvent.type, CaseEvent.payload, CaseEvent.attempts,
        CaseEvent.words_sealed, Person.key,
    )
    .outerjoin(Person, Person.id == CaseEvent.person_id)
    .where(text("case_event.status = 'queued'"))
    .where((CaseEvent.next_at.is_(None)) | (CaseEvent.next_at <= func.now()))
    .where(~_DISABLED.exists())
    .order_by(CaseEvent.id)
    .limit(1)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an event was not delivered: a word without personal data, and what the backend asked for."""

    why: str
    retry_after: timedelta | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """A row on its way out; `id` and `payload` are the same at every attempt."""

    row_id: int
    id: uuid.UUID
    type: str
    payload: dict[str, Any]
    attempts: int  # before this one


class Backend(Protocol):
    """How one event is posted to whoever keeps the cases."""

    @property
    def url(self) -> str:
        """Where it is posted: what 410 Gone disables."""

    @property
    def newest_only(self) -> bool:
        """Whether an event that comes after a later one about the same reference would do harm."""

    async def post(self, client: httpx.AsyncClient, event: Event, overtaken: bool = False) -> Failure | None:
        """Post it once; None when the backend has it. What it raises is a failure too.

        `overtaken`: only what it says of another reference than its own, of which the backend knows something later.
        """


def new_client() -> httpx.AsyncClient:
    """A client that goes where it is told and nowhere else: no redirects, no proxies, no .netrc."""
    return httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=httpx.Timeout(TIMEOUT))


@dataclass(slots=True)
class CaseDelivery:
    """Posts what is queued to one case backend, over one client for the life of the process."""

    database: Database
    backend: Backend
    client: httpx.AsyncClient = field(default_factory=new_client)
    timeout: float = TIMEOUT
    _not_before: float = field(default=0.0, init=False)  # the backend asked for a pause; monotonic seconds

    async def close(self) -> None:
        """Let the connections go."""
        await self.client.aclose()

    async def due(self) -> list[int]:
        """The lane's only key when an event may be posted now."""
        async with self.database.session() as session:
            return [KEY] if await self._next(session) is not None else []

    async def work(self, key: int = KEY) -> None:
        """Post every event that is due, the oldest first; those that fail wait for their own next time."""
        while True:
            async with self.database.holding(Lane.CASES, key) as connection:
                if connection is None:
                    return
                while await self._one(connection):
                    pass
            async with self.database.session() as session:
                if await self._next(session) is None:
                    return

    async def _next(self, session: AsyncSession) -> Event | None:
        """The oldest event that may be posted now; None while the backend is disabled or wants a pause."""
        if time.monotonic() < self._not_before:
            return None
        row = (await session.execute(_NEXT, {"url": self.backend.url})).first()
        if row is None:
            return None
        payload = row.payload
        if row.words_sealed is not None and row.key is not None:  # whose person was erased has no words any more
            payload = _with_words(payload, self.database.vault.open(row.key, row.words_sealed))
        return Event(row.id, row.event_id, row.type, payload, row.attempts)

    async def _one(self, connection: AsyncConnection) -> bool:
        """Post the oldest event that is due; False when there is none."""
        async with AsyncSession(connection, expire_on_commit=False) as session:
            event = await self._next(session)
            if event is None:
                return False
            overtaken = self.backend.newest_only and await self._overtaken(session, event)
            if overtaken and event.payload["data"].get("replaces") is None:
                await self._settle(session, event, status="overtaken", next_at=None, error=None)
                return True
            # counted before the post: an event that kills its worker comes to an end too
            await self._settle(session, event, attempts=event.attempts + 1)
            faults.point("cases.posting")
            failure = await self._post(event, overtaken)
            metrics.CASE_POSTS.labels("delivered" if failure is None else "gone" if failure.gone else "failed").inc()
            faults.point("cases.posted")
            if failure is None and overtaken:
                await self._settle(session, event, status="overtaken", next_at=None, error=None, words_sealed=None)
            elif failure is None:
                told = {"status": "delivered", "delivered_at": func.now(), "words_sealed": None}
                await self._settle(session, event, next_at=None, error=None, **told)
            elif failure.gone:
                await self._disable(session, event)
            else:
                await self._failed(session, event, failure)
            return True

    async def _overtaken(self, session: AsyncSession, event: Event) -> bool:
        """Whether the backend has a later event about the same reference, about what took its place, or about the
        erasing of its person.

        An appointment that is moved goes on under another reference. Where that event was overtaken itself, what it
        says of the one before was posted.
        """
        reference = event.payload["data"].get("ref") or event.payload["data"].get("handoff")
        if reference is None:
            return False
        same = text("case_event.payload #>> '{data,ref}' = :reference")  # the indexes' own words
        replaced = text("case_event.payload #>> '{data,replaces}' = :reference")
        erased = text(
            "case_event.type = 'person.erased'"
            " AND case_event.payload #> '{data,refs}' @> to_jsonb(CAST(:reference AS text))"
        )
        for about, known in ((same, ["delivered"]), (replaced, ["delivered", "overtaken"]), (erased, ["delivered"])):
            later = select(CaseEvent.id).where(about, CaseEvent.id > event.row_id, CaseEvent.status.in_(known))
            if await session.scalar(later.limit(1), {"reference": reference}) is not None:
                return True
        return False

    async def _post(self, event: Event, overtaken: bool) -> Failure | None:
        """Post it once; None when the backend has it."""
        try:
            # in all: httpx limits each step, and a trickle has many steps
            async with asyncio.timeout(self.timeout):
                return await self.backend.post(self.client, event, overtaken)
        except TimeoutError:
            return Failure("timeout")
        except Exception as error:  # whatever it is, the event waits its turn and the others go on
            return Failure("timeout" if isinstance(error, httpx.TimeoutException) else type(error).__name__)

    async def _failed(self, session: AsyncSession, event: Event, failure: Failure) -> None:
        """Wait for the next attempt, or after the last one lay the event aside and tell the operator."""
        attempt, event_id = event.attempts + 1, str(event.id)
        log.warning("case event not delivered", event_id=event_id, attempt=attempt, why=failure.why)
        if failure.retry_after is not None:
            self._not_before = time.monotonic() + min(failure.retry_after, LONGEST_PAUSE).total_seconds()
        if attempt > len(SCHEDULE):
            await session.execute(
                insert(Alert).values(
                    kind="case event dead",
                    detail={"event_id": event_id, "type": event.type, "why": failure.why},
                )
            )
            await self._settle(session, event, status="dead", next_at=None, error=failure.why)
            return
        pause = max(backoff(attempt), failure.retry_after or timedelta(0))
        await self._settle(session, event, next_at=func.now() + pause, error=failure.why)

    async def _disable(self, session: AsyncSession, event: Event) -> None:
        """410 Gone: nothing more is posted there until `enable`; the queue is kept, this event in it."""
        host = urlsplit(self.backend.url).hostname
        log.error("case endpoint disabled", host=host, event_id=str(event.id))
        await session.execute(
            insert(CaseEndpoint)
            .values(url=self.backend.url, disabled_at=func.now())
            .on_conflict_do_update(index_elements=["url"], set_={"disabled_at": func.now()})
        )
        await session.execute(insert(Alert).values(kind="case endpoint disabled", detail={"host": host}))
        await self._settle(session, event, attempts=event.attempts, next_at=None, error=None)

    async def _settle(self, session: AsyncSession, event: Event, **values: Any) -> None:
        await session.execute(update(CaseEvent).where(CaseEvent.id == event.row_id).values(values))
        await session.commit()


def _with_words(payload: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    """The event with what was typed beside the answers that were typed."""
    data = payload["data"]
    answers = [{**one, "text": words[one["question"]]} if one["question"] in words else one for one in data["answers"]]
    return {**payload, "data": {**data, "answers": answers}}


async def replay(database: Database, event_id: uuid.UUID | None = None) -> int:
    """Queue the dead event (or all of them) again, with the same id; how many there were."""
    dead = update(CaseEvent).where(CaseEvent.status == "dead")
    if event_id is not None:
        dead = dead.where(CaseEvent.event_id == event_id)
    async with database.session() as session:
        revived = await session.scalars(
            dead.values(status="queued", attempts=0, next_at=None, error=None).returning(CaseEvent.id)
        )
        number = len(revived.all())
        await wake(session, Lane.CASES, KEY)
        await session.commit()
    return number


async def enable(database: Database, url: str) -> bool:
    """Post to this case backend again; whether it was disabled."""
    async with database.session() as session:
        enabled = await session.scalar(
            update(CaseEndpoint)
            .where(CaseEndpoint.url == url, CaseEndpoint.disabled_at.is_not(None))
            .values(disabled_at=None)
            .returning(CaseEndpoint.url)
        )
        await wake(session, Lane.CASES, KEY)
        await session.commit()
    return enabled is not None


def outcome(response: httpx.Response) -> Failure | None:
    """What an answer's status says: 2xx is a delivery, everything else a failure, redirects too."""
    if response.is_success:
        return None
    status = response.status_code
    asked = read_retry_after(response.headers.get("retry-after"), datetime.now(UTC)) if status in (429, 503) else None
    return Failure(f"HTTP {status}", asked, gone=status == 410)


def backoff(attempt: int) -> timedelta:
    """How long to wait after this attempt (the first is 1): the schedule's step, a fifth more or less."""
    return SCHEDULE[attempt - 1] * random.uniform(0.8, 1.2)  # noqa: S311 (jitter)


def read_retry_after(value: str | None, now: datetime) -> timedelta | None:
    """The wait that a Retry-After asks for (seconds or an HTTP date), 24 hours at most; else None."""
    if not value:
        return None
    longest = LONGEST_WAIT.total_seconds()
    try:
        if value.strip().isdecimal():
            seconds = float(value)
        else:
            at = parsedate_to_datetime(value)
            seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return timedelta(seconds=max(0.0, min(seconds, longest)))
