"""A case system in another language: the npm package `standardwebhooks` verifies what is posted to it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.cases import events
from bot.cases.delivery import CaseDelivery
from bot.cases.webhook import Webhook
from bot.db.models import CaseEvent
from bot.db.session import Database

TESTS = Path(__file__).resolve().parents[1]
README = TESTS.parent / "docs" / "case-events" / "README.md"
SECRET = "whsec_" + "c2VjcmV0" * 5
OLD_SECRET = "whsec_" + "b2xkb2xk" * 5
OTHER_SECRET = "whsec_" + "b3RoZXJz" * 5
NODE = shutil.which("node")


def snippet(language: str) -> str:
    """The documentation's example in this language."""
    found = re.search(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    assert found is not None
    return found[1]


SERVER = """
require("node:http").createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    let said;
    try {
      said = {event: read(process.argv[1], request.headers, Buffer.concat(chunks))};
    } catch (error) {
      said = {refused: error.message};
    }
    console.log(JSON.stringify(said));
    response.writeHead(said.event ? 204 : 401).end();
  });
}).listen(0, "127.0.0.1", function () { console.log(JSON.stringify({port: this.address().port})); });
"""


class NodeDesk:
    """A case backend under Node that reads events the way the documentation shows."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def said(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(await asyncio.wait_for(self._process.stdout.readline(), 10))


@asynccontextmanager
async def node(secret: str) -> AsyncIterator[tuple[str, NodeDesk]]:
    assert NODE is not None
    process = await asyncio.create_subprocess_exec(
        NODE, "-e", snippet("js") + SERVER, secret, cwd=TESTS, stdout=asyncio.subprocess.PIPE
    )
    try:
        desk = NodeDesk(process)
        yield f"http://127.0.0.1:{(await desk.said())['port']}/", desk
    finally:
        process.kill()
        await process.communicate()


async def queue(database: Database) -> None:
    async with database.session() as session:
        await events.record(
            session,
            type_="handoff.requested",
            key="one",
            person_id=None,
            occurred_at=datetime.now(UTC),
            data={
                "handoff": "H-7K3QX",
                "reason": "asked",
                "priority": "P2",
                "language": "ar",
                "channel": "telegram",
            },
        )
        await session.commit()


async def the_event(database: Database) -> CaseEvent:
    async with database.session() as session:
        return await session.get_one(CaseEvent, 1)


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET], ids=["new", "old"])
async def test_npm_verifies(database: Database, secret: str) -> None:
    """During a rotation a receiver with the new secret and one with the old both read the event."""
    await queue(database)
    async with node(secret) as (url, desk):
        await CaseDelivery(database, Webhook(url, [SECRET, OLD_SECRET])).work()
        event = await the_event(database)
        assert await desk.said() == {"event": event.payload}
    assert event.status == "delivered"


async def test_npm_refuses_another_secret(database: Database) -> None:
    """The check can fail: with a secret that is not ours the package refuses, and the event waits."""
    await queue(database)
    async with node(OTHER_SECRET) as (url, desk):
        await CaseDelivery(database, Webhook(url, [SECRET, OLD_SECRET])).work()
        assert await desk.said() == {"refused": "No matching signature found"}
    event = await the_event(database)
    assert (event.status, event.error) == ("queued", "HTTP 401")


def test_lock_names_no_registry() -> None:
    """The lock file pins versions and hashes and leaves the registry's address to the machine."""
    packages = json.loads((TESTS / "package-lock.json").read_text())["packages"]
    wanted = json.loads((TESTS / "package.json").read_text())["dependencies"]
    assert all(re.fullmatch(r"[0-9.]+", version) for version in wanted.values())
    assert packages[""]["dependencies"] == wanted
    for name, package in packages.items():
        assert "resolved" not in package, name
        assert name == "" or package["integrity"].startswith("sha512-")
