"""The small receiver: verifies, stores once, prints; refuses everything else with nothing kept."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from standardwebhooks import Webhook

from bot.cases import events
from bot.cases.delivery import CaseDelivery
from bot.cases.receiver import application, is_signed
from bot.cases.webhook import Webhook as Outgoing
from bot.db.session import Database

ROOT = Path(__file__).resolve().parents[2]
SECRET = "whsec_" + "c2VjcmV0" * 5
OLD_SECRET = "whsec_" + "b2xkb2xk" * 5
OTHER_SECRET = "whsec_" + "b3RoZXJz" * 5
BODY = b'{"data":{"ref":"AV-7K3Q"},"schema":"rafiq-case/1","type":"request.withdrawn"}'


def signed(body: bytes, secret: str = SECRET, event_id: str = "evt_1", at: float | None = None) -> dict[str, str]:
    """The headers of a genuine post, by the specification and not by our code."""
    timestamp = str(int(time.time() if at is None else at))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


class Desk:
    """The receiver with what it printed and kept."""

    def __init__(self, folder: Path) -> None:
        self.lines: list[str] = []
        self.folder = folder
        self.app = application([SECRET, OLD_SECRET], folder, self.lines.append)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://desk")

    async def post(self, body: bytes, headers: dict[str, str]) -> httpx.Response:
        return await self.client.post("/", content=body, headers=headers)

    @property
    def kept(self) -> list[tuple[str, bytes]]:
        file = sqlite3.connect(self.folder / "events.sqlite")
        try:
            return file.execute("SELECT id, body FROM event ORDER BY rowid").fetchall()
        finally:
            file.close()


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    one = Desk(tmp_path / "case-receiver")
    yield one
    await one.client.aclose()
    one.app.state.store.close()


async def test_genuine_event(desk: Desk) -> None:
    """It is kept as it came and printed on one line."""
    answer = await desk.post(BODY, signed(BODY))
    assert (answer.status_code, answer.content) == (200, b"")
    assert desk.kept == [("evt_1", BODY)]
    assert [json.loads(line) for line in desk.lines] == [{**json.loads(BODY), "id": "evt_1"}]


async def test_same_id_again(desk: Desk) -> None:
    """An id that was seen is answered 200 and kept and printed once, two at the same moment too."""
    answers = await asyncio.gather(*(desk.post(BODY, signed(BODY)) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert desk.kept == [("evt_1", BODY)]
    assert len(desk.lines) == 1


async def test_same_id_after_a_restart(desk: Desk) -> None:
    """What was kept outlives the process."""
    await desk.post(BODY, signed(BODY))
    again = Desk(desk.folder)
    assert (await again.post(BODY, signed(BODY))).status_code == 200
    assert again.lines == []
    assert again.kept == [("evt_1", BODY)]
    await again.client.aclose()
    again.app.state.store.close()


async def test_either_secret(desk: Desk) -> None:
    """During a rotation both secrets are good, alone or among several signatures."""
    assert (await desk.post(BODY, signed(BODY, OLD_SECRET, "evt_old"))).status_code == 200
    several = signed(BODY, SECRET, "evt_both")
    several["webhook-signature"] = f"v1,AAAA v1a,BBBB {several['webhook-signature']}"
    assert (await desk.post(BODY, several)).status_code == 200


async def test_wrong_signature(desk: Desk) -> None:
    """401 with nothing in it, and nothing kept: another secret, other bytes, another id or time, or none."""
    good = signed(BODY)
    wrong = [
        (BODY, signed(BODY, OTHER_SECRET)),
        (BODY + b" ", good),
        (BODY, {**good, "webhook-id": "evt_2"}),
        (BODY, {**good, "webhook-timestamp": str(int(good["webhook-timestamp"]) + 1)}),
        (BODY, {**good, "webhook-signature": good["webhook-signature"].replace("v1,", "v1a,")}),
        (BODY, {**good, "webhook-signature": good["webhook-signature"][3:]}),
        (BODY, {**good, "webhook-signature": ""}),
        (BODY, {**good, "webhook-signature": "v1"}),
        (BODY, {**good, "webhook-timestamp": "now"}),
        (BODY, {**good, "webhook-timestamp": "1e9"}),
        (BODY, {**good, "webhook-timestamp": "9" * 5000}),
        (BODY, {**good, "webhook-id": ""}),
        *((BODY, {name: value for name, value in good.items() if name != left_out}) for left_out in good),
        (BODY, {}),
    ]
    for body, headers in wrong:
        answer = await desk.post(body, headers)
        assert (answer.status_code, answer.content) == (401, b""), headers
    assert desk.kept == []
    assert desk.lines == []


@pytest.mark.parametrize(("ago", "status"), [(290, 200), (310, 401), (-290, 200), (-310, 401)])
async def test_five_minutes(desk: Desk, ago: int, status: int) -> None:
    """A post recorded earlier, or dated later, by more than five minutes is refused."""
    headers = signed(BODY, at=time.time() - ago)
    assert (await desk.post(BODY, headers)).status_code == status


async def test_signature_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every signature given is compared with every secret's by hmac.compare_digest, found or not."""
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    headers = signed(BODY)
    headers["webhook-signature"] += " v1,AAAA"
    assert is_signed([SECRET, OLD_SECRET], headers, BODY, time.time())
    assert len(compared) == 4


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'"x"', b"[" * 60_000], ids=lambda body: repr(body[:4])
)
async def test_not_json(desk: Desk, body: bytes) -> None:
    """What is signed but no JSON object is answered 400; nothing is kept."""
    assert (await desk.post(body, signed(body))).status_code == 400
    assert desk.kept == []


async def test_too_large(desk: Desk) -> None:
    """64 KB are read, not one byte more, announced or not; a size is judged before a signature."""
    head = b'{"x":"'
    largest = head + b"x" * (64 * 1024 - len(head) - 2) + b'"}'
    assert (await desk.post(largest, signed(largest))).status_code == 200
    larger = largest[:-2] + b'x"}'
    assert (await desk.post(larger, signed(larger))).status_code == 413

    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x" * 1024

    assert (await desk.client.post("/", content=unannounced())).status_code == 413
    assert len(desk.kept) == 1


async def test_other_methods(desk: Desk) -> None:
    """It takes posts, at any path, and shows nothing."""
    assert (await desk.client.get("/")).status_code == 405
    assert (await desk.client.get("/docs")).status_code == 405
    answer = await desk.client.post("/any/path", content=BODY, headers=signed(BODY))
    assert answer.status_code == 200


async def test_line_cannot_be_forged(desk: Desk) -> None:
    """Whatever an event holds, it is one line of plain characters."""
    body = json.dumps({"type": "a\nb\r\u202e\x1b[31m", "id": "evt_other"}, ensure_ascii=False).encode()
    # raw control characters are no JSON; escaped ones are
    await desk.post(body, signed(body))
    [line] = desk.lines
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["id"] == "evt_1"


async def test_sender_and_receiver_agree(database: Database, desk: Desk) -> None:
    """What the delivery posts, the receiver takes: signed by one implementation, verified by another."""
    async with database.session() as session:
        await events.record(
            session,
            type_="request.withdrawn",
            key="one",
            person_id=None,
            occurred_at=datetime.now(UTC),
            data={"ref": "AV-7K3Q"},
        )
        await session.commit()
    worker = CaseDelivery(
        database,
        Outgoing("http://desk/", [OLD_SECRET]),
        httpx.AsyncClient(transport=httpx.ASGITransport(desk.app)),
    )
    await worker.work()
    assert await worker.due() == []
    assert [json.loads(line)["data"] for line in desk.lines] == [{"ref": "AV-7K3Q"}]


async def test_run(tmp_path: Path) -> None:
    """As a process: it listens, prints to its output at once, and a kill loses nothing it said yes to."""
    code = f"""
from pathlib import Path
import sys
from bot.cases.receiver import run
run("127.0.0.1", int(sys.argv[1]), [{SECRET!r}], Path({str(tmp_path)!r}))
"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(port), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with httpx.AsyncClient(trust_env=False, base_url=f"http://127.0.0.1:{port}") as client:
            for _ in range(200):
                try:
                    answer = await client.post("/", content=BODY, headers=signed(BODY))
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.05)
            assert answer.status_code == 200
            assert "server" not in answer.headers
            line = await asyncio.wait_for(process.stdout.readline(), 5)
            assert json.loads(line)["id"] == "evt_1"
    finally:
        process.kill()
        await process.wait()
    file = sqlite3.connect(tmp_path / "events.sqlite")
    assert file.execute("SELECT id, body FROM event").fetchall() == [("evt_1", BODY)]
    file.close()


def test_standardwebhooks_agrees() -> None:
    """Our verification and the package's say yes to the same post."""
    headers = signed(BODY)
    Webhook(SECRET).verify(BODY, headers)
    assert is_signed([SECRET], headers, BODY, time.time())
