"""Case events leave the house: signed, tried for three days, never lost, never in each other's way.

Standard Webhooks (https://www.standardwebhooks.com) on the wire. The events are rows; a row stays `queued`
until the case backend has answered 2xx, so when a worker dies between the post and the row's change, the next
one posts it once more, with the same id and the same bytes: at least once, and the receiver knows the id.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog
from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from standardwebhooks import Webhook

from bot import faults
from bot.db.models import Alert, CaseEndpoint, CaseEvent
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


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why an event was not delivered: a word without personal data, and what the backend asked for."""

    why: str
    retry_after: timedelta | None = None
    gone: bool = False


def new_client() -> httpx.AsyncClient:
    """A client that goes where it is told and nowhere else: no redirects, no proxies, no .netrc."""
    return httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=httpx.Timeout(TIMEOUT))


@dataclass(slots=True)
class CaseDelivery:
    """Posts what is queued to one case backend. `secrets`: all that sign, the current one first."""

    database: Database
    url: str
    secrets: Sequence[str] = field(repr=False)
    client: Callable[[], httpx.AsyncClient] = new_client
    timeout: float = TIMEOUT
    _not_before: float = field(default=0.0, init=False)  # the backend asked for a pause; monotonic seconds

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
                async with self.client() as client:
                    while await self._one(connection, client):
                        pass
            async with self.database.session() as session:
                if await self._next(session) is None:
                    return

    async def _next(self, session: AsyncSession) -> Any:
        """The oldest event that may be posted now; None while the backend is disabled or wants a pause."""
        if time.monotonic() < self._not_before:
            return None
        disabled = select(CaseEndpoint.url).where(CaseEndpoint.url == self.url, CaseEndpoint.disabled_at.is_not(None))
        return (
            await session.execute(
                select(CaseEvent.id, CaseEvent.event_id, CaseEvent.type, CaseEvent.payload, CaseEvent.attempts)
                .where(text("case_event.status = 'queued'"))
                .where((CaseEvent.next_at.is_(None)) | (CaseEvent.next_at <= func.now()))
                .where(~disabled.exists())
                .order_by(CaseEvent.id)
                .limit(1)
            )
        ).first()

    async def _one(self, connection: AsyncConnection, client: httpx.AsyncClient) -> bool:
        """Post the oldest event that is due; False when there is none."""
        async with AsyncSession(connection, expire_on_commit=False) as session:
            event = await self._next(session)
            if event is None:
                return False
            # counted before the post: an event that kills its worker comes to an end too
            await self._settle(session, event.id, attempts=event.attempts + 1)
            faults.point("cases.posting")
            failure = await self._post(client, event)
            faults.point("cases.posted")
            if failure is None:
                await self._settle(
                    session, event.id, status="delivered", delivered_at=func.now(), next_at=None, error=None
                )
            elif failure.gone:
                await self._disable(session, event)
            else:
                await self._failed(session, event, failure)
            return True

    async def _post(self, client: httpx.AsyncClient, event: Any) -> _Failure | None:
        """Post it once; None when the backend has it."""
        content = body(event.payload)
        try:
            async with (
                asyncio.timeout(self.timeout),  # in all: httpx limits each step, and a trickle has many steps
                client.stream(
                    "POST", self.url, content=content, headers=headers(self.secrets, event.event_id, content)
                ) as response,
            ):
                # the status is the whole answer: the body is not read, however long it is
                status, retry_after = response.status_code, response.headers.get("retry-after")
        except TimeoutError:
            return _Failure("timeout")
        except Exception as error:  # whatever it is, the event waits its turn and the others go on
            return _Failure("timeout" if isinstance(error, httpx.TimeoutException) else type(error).__name__)
        if 200 <= status < 300:
            return None
        asked = read_retry_after(retry_after, datetime.now(UTC)) if status in (429, 503) else None
        return _Failure(f"HTTP {status}", asked, gone=status == 410)

    async def _failed(self, session: AsyncSession, event: Any, failure: _Failure) -> None:
        """Wait for the next attempt, or after the last one lay the event aside and tell the operator."""
        attempt, event_id = event.attempts + 1, str(event.event_id)
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
            await self._settle(session, event.id, status="dead", next_at=None, error=failure.why)
            return
        pause = max(backoff(attempt), failure.retry_after or timedelta(0))
        await self._settle(session, event.id, next_at=func.now() + pause, error=failure.why)

    async def _disable(self, session: AsyncSession, event: Any) -> None:
        """410 Gone: nothing more is posted there until `enable`; the queue is kept, this event in it."""
        host = urlsplit(self.url).hostname
        log.error("case endpoint disabled", host=host, event_id=str(event.event_id))
        await session.execute(
            insert(CaseEndpoint)
            .values(url=self.url, disabled_at=func.now())
            .on_conflict_do_update(index_elements=["url"], set_={"disabled_at": func.now()})
        )
        await session.execute(insert(Alert).values(kind="case endpoint disabled", detail={"host": host}))
        await self._settle(session, event.id, attempts=event.attempts, next_at=None, error=None)

    async def _settle(self, session: AsyncSession, row_id: int, **values: Any) -> None:
        await session.execute(update(CaseEvent).where(CaseEvent.id == row_id).values(values))
        await session.commit()


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


def body(payload: Mapping[str, Any]) -> bytes:
    """The bytes of an event: compact JSON with sorted keys in UTF-8, the same at every attempt."""
    return json.dumps(payload, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def headers(secrets: Sequence[str], event_id: uuid.UUID, content: bytes) -> dict[str, str]:
    """What goes with these bytes now: the id, the time, and a signature by every secret."""
    now = datetime.now(UTC).replace(microsecond=0)
    signed = content.decode()  # standardwebhooks takes text and signs its UTF-8: the same bytes
    return {
        "webhook-id": str(event_id),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(str(event_id), now, signed) for secret in secrets),
        "content-type": "application/json",
        "user-agent": "rafiq",
    }


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
