"""Case events reach the case backend whatever it does: a real PostgreSQL here, a real HTTP server there."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import select, text
from standardwebhooks import Webhook, WebhookVerificationError
from structlog.testing import capture_logs

from bot.cases import delivery as delivering
from bot.cases import events, webhook
from bot.cases.delivery import SCHEDULE, CaseDelivery, backoff, enable, read_retry_after, replay
from bot.db.models import Alert, CaseEndpoint, CaseEvent
from bot.db.session import Database

ROOT = Path(__file__).resolve().parents[2]
SECRET = "whsec_" + "c2VjcmV0" * 5
OLD_SECRET = "whsec_" + "b2xkb2xk" * 5
OTHER_SECRET = "whsec_" + "b3RoZXJz" * 5
CLIENT = delivering.new_client()  # one for all, as in the service; every answer here ends its connection


@dataclass(frozen=True)
class Received:
    """One post as it came in."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def ref(self) -> str:
        return str(json.loads(self.body)["data"]["ref"])


@dataclass(frozen=True)
class Answer:
    """What to answer: a status, or nothing at all."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    after: float = 0.0  # seconds of silence first
    cut: bool = False  # hang up instead
    trickle: bool = False  # one byte of the headers now and then, for ever
    endless: bool = False  # the headers at once, a body without end


class Backend:
    """A case backend that does what the test says."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Callable[[Received], Answer] = lambda _: Answer()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook"

    @property
    def refs(self) -> list[str]:
        return [one.ref for one in self.received]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        with suppress(ConnectionError, asyncio.CancelledError):
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            received = Received(lines[0].split(" ")[1], headers, body)
            self.received.append(received)
            answer = self.answer(received)
            await asyncio.sleep(answer.after)
            if not answer.cut:
                await self._write(writer, answer)
        writer.close()
        self._serving.discard(task)

    async def _write(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        extra = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
        head = f"HTTP/1.1 {answer.status} X\r\n{extra}"
        if answer.trickle:
            writer.write(head.encode())
            while not writer.is_closing():
                writer.write(b"x-more: 1\r\n")
                await writer.drain()
                await asyncio.sleep(0.05)
        if answer.endless:
            writer.write(f"{head}content-length: 999999999999\r\n\r\n".encode())
            while not writer.is_closing():
                writer.write(b"x" * 65536)
                await writer.drain()
        writer.write(f"{head}content-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()


@pytest_asyncio.fixture
async def backend() -> AsyncIterator[Backend]:
    server = Backend()
    await server.open()
    yield server
    await server.close()


@pytest_asyncio.fixture
async def elsewhere() -> AsyncIterator[Backend]:
    server = Backend()
    await server.open()
    yield server
    await server.close()


def delivery(database: Database, url: str, *secrets: str, timeout: float = 5) -> CaseDelivery:
    return CaseDelivery(database, webhook.Webhook(url, list(secrets) or [SECRET]), CLIENT, timeout)


async def queue(database: Database, *refs: str) -> None:
    """One event each, in this order; the reference tells them apart."""
    async with database.session() as session:
        for ref in refs:
            await events.record(
                session,
                type_="request.withdrawn",
                key=f"test:{uuid.uuid4()}",
                person_id=None,
                occurred_at=datetime(2026, 11, 22, 10, tzinfo=UTC),
                data={"ref": ref},
            )
        await session.commit()


async def rows(database: Database) -> list[CaseEvent]:
    async with database.session() as session:
        return list(await session.scalars(select(CaseEvent).order_by(CaseEvent.id)))


async def row(database: Database) -> CaseEvent:
    [one] = await rows(database)
    return one


async def alerts(database: Database) -> list[Alert]:
    async with database.session() as session:
        return list(await session.scalars(select(Alert).order_by(Alert.id)))


async def time_passes(database: Database) -> None:
    """Every wait is over."""
    async with database.session() as session:
        await session.execute(text("UPDATE case_event SET next_at = now() WHERE next_at IS NOT NULL"))
        await session.commit()


def wait_of(event: CaseEvent) -> float:
    """Seconds until the next attempt."""
    assert event.next_at is not None
    return (event.next_at - datetime.now(UTC)).total_seconds()


# what goes over the wire


async def test_post_is_a_standard_webhook(database: Database, backend: Backend) -> None:
    """One POST of compact JSON with sorted keys, its id the event's, signed over these very bytes."""
    await queue(database, "AV-7K3Q")
    await delivery(database, backend.url).work()
    event = await row(database)
    [received] = backend.received
    assert received.path == "/hook"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["user-agent"] == "rafiq"
    assert received.id == str(event.event_id)
    assert abs(int(received.headers["webhook-timestamp"]) - time.time()) < 10
    assert received.body == (
        b'{"data":{"ref":"AV-7K3Q"},"occurred_at":"2026-11-22T10:00:00+00:00",'
        b'"schema":"rafiq-case/1","type":"request.withdrawn"}'
    )
    assert Webhook(SECRET).verify(received.body, dict(received.headers)) == event.payload
    assert (event.status, event.attempts, event.error, event.next_at) == ("delivered", 1, None, None)
    assert event.delivered_at is not None


def test_signature_covers_utf8_bytes() -> None:
    """The bytes signed are the bytes sent, beyond ASCII too."""
    content = webhook.body({"b": "رفيق – é", "a": 1})
    assert content == '{"a":1,"b":"رفيق – é"}'.encode()
    sent = webhook.headers([SECRET], str(uuid.uuid4()), content)
    Webhook(SECRET).verify(content, sent)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(content + b" ", sent)


async def test_every_secret_signs(database: Database, backend: Backend) -> None:
    """During a rotation a receiver that knows either secret accepts; one that knows neither does not."""
    await queue(database, "AV-7K3Q")
    await delivery(database, backend.url, SECRET, OLD_SECRET).work()
    [received] = backend.received
    assert len(received.headers["webhook-signature"].split(" ")) == 2
    for secret in (SECRET, OLD_SECRET):
        Webhook(secret).verify(received.body, dict(received.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER_SECRET).verify(received.body, dict(received.headers))


async def test_attempts_repeat_id_and_bytes(database: Database, backend: Backend) -> None:
    """Every attempt has the same id and the same bytes, and a signature of its own time."""
    await queue(database, "AV-7K3Q")
    backend.answer = lambda _: Answer(500)
    worker = delivery(database, backend.url)
    for _ in range(3):
        await worker.work()
        await time_passes(database)
    assert len({(one.id, one.body) for one in backend.received}) == 1
    assert len(backend.received) == 3
    for one in backend.received:
        Webhook(SECRET).verify(one.body, dict(one.headers))


async def test_no_proxy_from_the_environment(
    database: Database, backend: Backend, elsewhere: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case events never pass through a proxy that happens to be in the environment."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, elsewhere.url)
    await queue(database, "AV-7K3Q")
    await delivery(database, backend.url).work()
    assert backend.refs == ["AV-7K3Q"]
    assert elsewhere.received == []


async def test_one_client_for_the_life_of_the_process(database: Database, backend: Backend) -> None:
    """The client, with its TLS context, is made once and not for every wake-up; closed, it posts no more."""
    worker = CaseDelivery(database, webhook.Webhook(backend.url, [SECRET]))
    first = worker.client
    for _ in range(2):
        await queue(database, "AV-7K3Q")
        await worker.work()
    assert worker.client is first and not first.is_closed
    assert len(backend.received) == 2
    await worker.close()
    assert first.is_closed


# what the backend answers


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_success(database: Database, backend: Backend, status: int) -> None:
    """Any 2xx is a delivery; nothing is posted again."""
    await queue(database, "AV-7K3Q")
    backend.answer = lambda _: Answer(status)
    worker = delivery(database, backend.url)
    await worker.work()
    await worker.work()
    assert (await row(database)).status == "delivered"
    assert len(backend.received) == 1
    assert await worker.due() == []


@pytest.mark.parametrize("status", [301, 302, 304, 307, 308, 400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 504])
async def test_failure_waits(database: Database, backend: Backend, status: int) -> None:
    """Anything but 2xx and 410 is tried again after the schedule's wait, and only then."""
    await queue(database, "AV-7K3Q")
    backend.answer = lambda _: Answer(status)
    worker = delivery(database, backend.url)
    await worker.work()
    event = await row(database)
    assert (event.status, event.attempts, event.error) == ("queued", 1, f"HTTP {status}")
    assert 2 < wait_of(event) <= 6
    assert await worker.due() == []
    await worker.work()
    assert len(backend.received) == 1
    await time_passes(database)
    assert await worker.due() == [0]
    backend.answer = lambda _: Answer()
    await worker.work()
    assert [(one.status, one.attempts, one.error) for one in await rows(database)] == [("delivered", 2, None)]
    assert await alerts(database) == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(
    database: Database, backend: Backend, elsewhere: Backend, status: int
) -> None:
    """A redirect is a failure: what was meant for one address is never told to another."""
    await queue(database, "AV-7K3Q")
    backend.answer = lambda _: Answer(status, {"location": elsewhere.url})
    await delivery(database, backend.url).work()
    assert elsewhere.received == []
    assert (await row(database)).status == "queued"


@pytest.mark.parametrize("answer", [Answer(after=5), Answer(trickle=True)], ids=["silent", "trickling"])
async def test_timeout_is_total(database: Database, backend: Backend, answer: Answer) -> None:
    """A backend that is silent, or slow byte by byte, has the time it has and no more."""
    await queue(database, "AV-7K3Q")
    backend.answer = lambda _: answer
    began = time.monotonic()
    await delivery(database, backend.url, timeout=0.4).work()
    assert time.monotonic() - began < 2
    event = await row(database)
    assert (event.status, event.attempts, event.error) == ("queued", 1, "timeout")
    assert (delivering.TIMEOUT, CaseDelivery(database, webhook.Webhook("http://x", []), CLIENT).timeout) == (15, 15)


async def test_endless_answer(database: Database, backend: Backend) -> None:
    """The status is the answer: a body without end holds nobody up."""
    await queue(database, "AV-7K3Q")
    backend.answer = lambda _: Answer(200, endless=True)
    began = time.monotonic()
    await delivery(database, backend.url).work()
    assert time.monotonic() - began < 2
    assert (await row(database)).status == "delivered"


async def test_cut_connection(database: Database, backend: Backend) -> None:
    """A connection that breaks before the answer is a failure: better twice than never."""
    await queue(database, "AV-7K3Q")
    backend.answer = lambda _: Answer(cut=True)
    worker = delivery(database, backend.url)
    await worker.work()
    assert (await row(database)).error == "RemoteProtocolError"
    backend.answer = lambda _: Answer()
    await time_passes(database)
    await worker.work()
    assert (await row(database)).status == "delivered"
    assert backend.received[0].id == backend.received[1].id


async def test_backend_down(database: Database, elsewhere: Backend) -> None:
    """A backend that is not there is a failure like any other."""
    await queue(database, "AV-7K3Q")
    url = elsewhere.url
    await elsewhere.close()
    await delivery(database, url).work()
    assert [(one.status, one.error) for one in await rows(database)] == [("queued", "ConnectError")]
    await elsewhere.open()


# Retry-After

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        ("0", 0),
        ("9" * 500, 86_400),
        ("Sun, 22 Nov 2026 10:02:00 GMT", 120),
        ("Sun, 22 Nov 2026 10:02:00 -0000", 120),
        ("Sun, 22 Nov 2020 10:02:00 GMT", 0),
        ("Sun, 22 Nov 2099 10:02:00 GMT", 86_400),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("²", None),
        ("Sun, 99 Nov 2026 10:02:00 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_read_retry_after(value: str | None, seconds: int | None) -> None:
    """Seconds or an HTTP date, a day at most; anything else is as if it was not there."""
    assert read_retry_after(value, NOW) == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("asked", "low", "high"),
    [
        ("600", 590, 600),
        ("in two hours", 6900, 7200),
        ("1", 2, 6),  # never earlier than the schedule
        ("8640000", 86_300, 86_400),  # never later than a day
        ("never", 2, 6),
    ],
    ids=["seconds", "date", "short", "long", "unreadable"],
)
async def test_retry_after(database: Database, backend: Backend, status: int, asked: str, low: int, high: int) -> None:
    """429 and 503 may ask for a longer wait, between the schedule's and a day."""
    if asked == "in two hours":
        asked = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
    await queue(database, "AV-7K3Q")
    backend.answer = lambda _: Answer(status, {"retry-after": asked})
    await delivery(database, backend.url).work()
    assert low < wait_of(await row(database)) <= high


async def test_retry_after_of_other_answers(database: Database, backend: Backend) -> None:
    """Only 429 and 503 are believed."""
    await queue(database, "AV-7K3Q")
    backend.answer = lambda _: Answer(500, {"retry-after": "600"})
    await delivery(database, backend.url).work()
    assert wait_of(await row(database)) <= 6


async def test_retry_after_pauses_the_others_for_a_while(
    database: Database, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend that asks for a pause gets it, but no event waits hours for another's failure."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(delivering, "time", SimpleNamespace(monotonic=lambda: clock.now))
    await queue(database, "AV-2222", "AV-3333")
    backend.answer = lambda one: Answer(429, {"retry-after": "7200"}) if one.ref == "AV-2222" else Answer()
    worker = delivery(database, backend.url)
    await worker.work()
    assert backend.refs == ["AV-2222"]
    clock.now += 299
    assert await worker.due() == []
    await worker.work()
    assert backend.refs == ["AV-2222"]
    clock.now += 2
    assert await worker.due() == [0]
    await worker.work()
    assert backend.refs == ["AV-2222", "AV-3333"]
    assert wait_of((await rows(database))[0]) > 7000


# 410


async def test_gone_keeps_the_queue(database: Database, backend: Backend) -> None:
    """410 disables the address: one alert, nothing more is posted, nothing is lost, `enable` goes on."""
    await queue(database, "AV-2222", "AV-3333")
    backend.answer = lambda _: Answer(410)
    worker = delivery(database, backend.url)
    await worker.work()
    assert backend.refs == ["AV-2222"]
    await queue(database, "AV-4444")
    assert await worker.due() == []
    await worker.work()
    assert backend.refs == ["AV-2222"]
    assert [(one.status, one.attempts) for one in await rows(database)] == [("queued", 0)] * 3
    assert [(one.kind, one.detail) for one in await alerts(database)] == [
        ("case endpoint disabled", {"host": "127.0.0.1"})
    ]
    async with database.session() as session:
        endpoint = await session.get_one(CaseEndpoint, backend.url)
        assert endpoint.disabled_at is not None

    backend.answer = lambda _: Answer()
    assert await enable(database, backend.url) is True
    assert await enable(database, backend.url) is False
    assert await worker.due() == [0]
    await worker.work()
    assert backend.refs == ["AV-2222", "AV-2222", "AV-3333", "AV-4444"]
    assert {one.status for one in await rows(database)} == {"delivered"}


async def test_gone_again(database: Database, backend: Backend) -> None:
    """An address that was enabled can be disabled again; the operator is told again."""
    await queue(database, "AV-2222")
    backend.answer = lambda _: Answer(410)
    worker = delivery(database, backend.url)
    for _ in range(2):
        await worker.work()
        assert await worker.due() == []
        await enable(database, backend.url)
    assert len(await alerts(database)) == 2
    assert await worker.due() == [0]


async def test_gone_is_about_one_address(database: Database, backend: Backend, elsewhere: Backend) -> None:
    """A new address gets what the disabled one did not take."""
    await queue(database, "AV-2222")
    backend.answer = lambda _: Answer(410)
    await delivery(database, backend.url).work()
    await delivery(database, elsewhere.url).work()
    assert elsewhere.refs == ["AV-2222"]


# order, crashes, the end


async def test_order(database: Database, backend: Backend) -> None:
    """What happened first is told first."""
    refs = [f"AV-222{digit}" for digit in "23456789"]
    await queue(database, *refs)
    await delivery(database, backend.url).work()
    assert backend.refs == refs


async def test_failing_event_holds_nobody_up(database: Database, backend: Backend) -> None:
    """An event that always fails waits for its own time; the others go past it."""
    await queue(database, "AV-2222", "AV-3333", "AV-4444")
    backend.answer = lambda one: Answer(500 if one.ref == "AV-2222" else 204)
    worker = delivery(database, backend.url)
    await worker.work()
    assert backend.refs == ["AV-2222", "AV-3333", "AV-4444"]
    assert [one.status for one in await rows(database)] == ["queued", "delivered", "delivered"]


async def test_unforeseen_error_holds_nobody_up(database: Database) -> None:
    """Even an error that nobody thought of is one event's failure, not the end of the queue."""

    def handle(request: httpx.Request) -> httpx.Response:
        if b"AV-2222" in request.content:
            raise RuntimeError("AV-2222")
        return httpx.Response(204)

    await queue(database, "AV-2222", "AV-3333")
    worker = CaseDelivery(
        database,
        webhook.Webhook("http://case", [SECRET]),
        httpx.AsyncClient(transport=httpx.MockTransport(handle)),
    )
    await worker.work()
    assert [(one.status, one.error) for one in await rows(database)] == [
        ("queued", "RuntimeError"),
        ("delivered", None),
    ]


async def test_workers_do_not_meet(database: Database, backend: Backend) -> None:
    """Two processes at once post each event once."""
    await queue(database, "AV-2222", "AV-3333", "AV-4444")
    backend.answer = lambda _: Answer(after=0.05)
    await asyncio.gather(*(delivery(database, backend.url).work() for _ in range(3)))
    assert backend.refs == ["AV-2222", "AV-3333", "AV-4444"]


@pytest.mark.parametrize(("point", "posts"), [("cases.posting", 1), ("cases.posted", 2)])
async def test_kill_in_the_middle(database: Database, backend: Backend, point: str, posts: int) -> None:
    """A worker killed around the post: the next one posts the event at once, with the same id and bytes."""
    await queue(database, "AV-7K3Q")
    code = f"""
import asyncio
from bot.cases.delivery import CaseDelivery
from bot.cases.webhook import Webhook
from bot.db.encryption import Vault
from bot.db.session import connect
database = connect({database.engine.url.render_as_string(hide_password=False)!r}, Vault(b"k" * 32))
asyncio.run(CaseDelivery(database, Webhook({backend.url!r}, [{SECRET!r}])).work(0))
"""
    killed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "RAFIQ_FAULT": point},
        timeout=30,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert [(one.status, one.attempts) for one in await rows(database)] == [("queued", 1)]
    worker = delivery(database, backend.url)
    assert await worker.due() == [0]
    for _ in range(100):  # PostgreSQL notices the broken connection, and frees its lock, within moments
        await worker.work()
        if (await row(database)).status == "delivered":
            break
        await asyncio.sleep(0.05)
    assert len(backend.received) == posts
    assert {(one.id, one.body) for one in backend.received} == {
        (str((await row(database)).event_id), backend.received[0].body)
    }


async def test_dead_after_the_last_attempt(database: Database, backend: Backend) -> None:
    """Ten attempts, each after the schedule's wait; then the event is laid aside and the operator told."""
    await queue(database, "AV-2222")
    backend.answer = lambda _: Answer(500)
    worker = delivery(database, backend.url)
    for step in SCHEDULE:
        await worker.work()
        event = await row(database)
        assert event.status == "queued"
        assert 0.79 * step.total_seconds() - 2 < wait_of(event) < 1.21 * step.total_seconds()
        await time_passes(database)
    assert await alerts(database) == []
    await worker.work()
    event = await row(database)
    assert (event.status, event.attempts, event.next_at) == ("dead", 10, None)
    assert await worker.due() == []
    await worker.work()
    assert len(backend.received) == 10
    assert [(one.kind, one.detail) for one in await alerts(database)] == [
        (
            "case event dead",
            {"event_id": str(event.event_id), "type": "request.withdrawn", "why": "HTTP 500"},
        )
    ]


async def test_replay(database: Database, backend: Backend) -> None:
    """A dead event goes out again, with the same id: one, or all; what is not dead is not touched."""
    await queue(database, "AV-2222", "AV-3333", "AV-4444", "AV-5555")
    async with database.session() as session:
        await session.execute(
            text("UPDATE case_event SET status = 'dead', attempts = 10, error = 'timeout' WHERE id <= 3")
        )
        await session.execute(text("UPDATE case_event SET status = 'delivered' WHERE id = 4"))
        await session.commit()
    ids = [one.event_id for one in await rows(database)]
    worker = delivery(database, backend.url)
    assert await replay(database, uuid.uuid4()) == 0
    assert await replay(database, ids[3]) == 0
    assert await replay(database, ids[1]) == 1
    assert [(one.status, one.attempts) for one in await rows(database)][:3] == [
        ("dead", 10),
        ("queued", 0),
        ("dead", 10),
    ]
    await worker.work()
    assert await replay(database) == 2
    await worker.work()
    assert backend.refs == ["AV-3333", "AV-2222", "AV-4444"]
    assert [one.id for one in backend.received] == [str(ids[1]), str(ids[0]), str(ids[2])]
    assert {one.status for one in await rows(database)} == {"delivered"}


def test_schedule_is_three_days() -> None:
    """The waits are those of Standard Webhooks: three days in all, each a fifth more or less."""
    assert timedelta(days=3) < sum(SCHEDULE, timedelta()) < timedelta(days=3, hours=5)
    for attempt, step in enumerate(SCHEDULE, 1):
        waits = {backoff(attempt) for _ in range(50)}
        assert all(0.8 * step <= one <= 1.2 * step for one in waits)
        assert len(waits) > 40


async def test_logs_say_nothing_about_people(database: Database, backend: Backend) -> None:
    """What is logged names the event and the failure: no reference, no payload, no address of the backend."""
    await queue(database, "AV-2222")
    worker = delivery(database, backend.url + "?token=hidden")
    with capture_logs() as logs:
        for status in (500, 302, 410):
            backend.answer = lambda _, status=status: Answer(status, {"location": "http://hidden"})  # type: ignore[misc]
            await worker.work()
            await time_passes(database)
    said = json.dumps(logs, default=str)
    assert len(logs) == 3
    assert "AV-2222" not in said
    assert "hidden" not in said
    kept: list[Any] = [one.detail for one in await alerts(database)]
    assert "hidden" not in json.dumps(kept)
    assert SECRET not in repr(worker)
