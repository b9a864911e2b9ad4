"""Conversations on a Rasa that can be made to fail, and service processes that can be killed."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from bot.db.session import Database
from bot.messages import Incoming, Kind
from bot.settings import ROOT, Settings
from bot.supervisor import free_port
from bot.training import Models
from bot.web import Service
from tests.conftest import alone_on, own_database
from tests.simulators.rasa import FakeRasa


@pytest.fixture(scope="session")
def own_url(database_url: str) -> str:
    """A database that no other service works on, on the same server."""
    return own_database(database_url, "promises")


@pytest.fixture
async def database(own_url: str, settings: Settings) -> AsyncIterator[Database]:
    """That database, emptied."""
    async with alone_on(own_url, settings) as database:
        yield database


@pytest.fixture
async def fake_rasa(settings: Settings, models: Models) -> AsyncIterator[tuple[FakeRasa, Settings]]:
    """A Rasa on demand, and settings that point at it with a short patience."""
    port = free_port()
    fake = FakeRasa()
    async with fake.serving(port):
        yield fake, settings.model_copy(update={"rafiq_rasa_port": port, "rafiq_rasa_timeout": 1.0})


@pytest.fixture
async def worker(
    fake_rasa: tuple[FakeRasa, Settings], database: Database, own_url: str
) -> AsyncIterator[tuple[Service, FakeRasa]]:
    """A service without a web address, working the emptied database with the Rasa on demand."""
    fake, settings = fake_rasa
    service = Service(settings, own_url)
    await service.start()
    yield service, fake
    await service.stop()


def typed(text_: str, person: str = "p1", external_id: str | None = None) -> Incoming:
    """A text that a person of the web chat types."""
    return Incoming(
        channel="web",
        external_id=external_id or str(uuid.uuid4()),
        address=f"{person:-<40}",
        kind=Kind.TEXT,
        text=text_,
        details={"client_id": str(uuid.uuid4())},
    )


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 60) -> Any:
    """Wait until the condition gives something true; what it gave."""
    async with asyncio.timeout(seconds):
        while True:
            found = await condition()
            if found:
                return found
            await asyncio.sleep(0.02)


async def rows(database: Database, statement: str, **values: Any) -> list[Any]:
    """The rows of a query."""
    async with database.session() as session:
        return list((await session.execute(text(statement), values)).all())


async def value(database: Database, statement: str, **values: Any) -> Any:
    """The single value of a query."""
    async with database.session() as session:
        return await session.scalar(text(statement), values)


class Process:
    """A service process of its own, started with a fault armed or without."""

    def __init__(self, settings: Settings, database_url: str, fault: str = "") -> None:
        self.settings = settings.model_copy(update={"rafiq_port": free_port()})
        self._environment = {
            **os.environ,
            "PYTHONTZPATH": "",
            "RAFIQ_VAR": str(settings.rafiq_var),
            "RAFIQ_PORT": str(self.settings.rafiq_port),
            "RAFIQ_RASA_PORT": str(settings.rafiq_rasa_port),
            "CASE_RECEIVER_PORT": str(settings.case_receiver_port),
            "RAFIQ_TRACKER_URL": database_url,
            "RAFIQ_FAULT": fault,
            **({"TELEGRAM_TOKEN": settings.telegram_token.get_secret_value()} if settings.telegram_token else {}),
            "TELEGRAM_API_URL": settings.telegram_api_url,
        }
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Process:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot.web", cwd=ROOT, env=self._environment
        )
        async with httpx.AsyncClient(trust_env=False) as client:
            async with asyncio.timeout(30):
                while True:
                    try:
                        await client.get(f"{self.settings.own_url}/live")
                        return self
                    except httpx.HTTPError:
                        await asyncio.sleep(0.05)

    async def died(self, seconds: float = 15) -> int:
        """Wait for its end; its return code (-9 when it was killed)."""
        assert self._process is not None
        async with asyncio.timeout(seconds):
            return await self._process.wait()

    def kill(self) -> None:
        """Like a power cut."""
        assert self._process is not None
        self._process.kill()

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()


async def post_chat(url: str, person: str, words: str, message_id: str) -> int:
    """Post a text to the web chat as this person's browser; the status."""
    async with httpx.AsyncClient(trust_env=False, cookies={"rafiq_chat": f"{person:-<40}"}, timeout=20) as client:
        return (await client.post(f"{url}/chat/messages", json={"id": message_id, "text": words})).status_code
