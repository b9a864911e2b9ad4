"""What tests stand on: a real PostgreSQL, a real Rasa, the real service, on this machine's loopback only."""

from __future__ import annotations

import asyncio
import os
import socket
import zoneinfo
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

os.environ["PYTHONTZPATH"] = ""
os.environ["RASA_TELEMETRY_ENABLED"] = "false"

import httpx
import hypothesis
import pytest
import structlog
import uvicorn
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from bot import supervisor
from bot.db import embedded, migrate
from bot.db.encryption import Vault
from bot.db.models import Base
from bot.db.session import Database, connect
from bot.settings import ROOT, Settings
from bot.supervisor import Stack, free_port
from bot.training import Models
from bot.web import Service, create_app

# as plain text: structlog would draw each traceback with rich and all its variables, for seconds
structlog.configure(
    processors=[
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=True),
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)
# the same examples in every run; `--hypothesis-profile=explore` looks for new ones
hypothesis.settings.register_profile("explore", deadline=None)
hypothesis.settings.register_profile("same", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("same")
zoneinfo.reset_tzpath(to=())  # as PYTHONTZPATH says: a plugin of pytest imports zoneinfo before us
_connect = socket.socket.connect


def _loopback_only(self: socket.socket, address: Any) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in (
        "127.0.0.1",
        "::1",
        "localhost",
    ):
        raise RuntimeError(f"tests talk to this machine only, not to {address[0]}")
    _connect(self, address)


@pytest.fixture(scope="session", autouse=True)
def no_other_network() -> Iterator[None]:
    """A test that reaches for another machine fails."""
    socket.socket.connect = _loopback_only  # type: ignore[method-assign,assignment]
    yield
    socket.socket.connect = _connect  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh `var/` whose models are the project's own, so that they are trained once."""
    folder = tmp_path_factory.mktemp("var")
    models = ROOT / "var" / "models"
    models.mkdir(parents=True, exist_ok=True)
    (folder / "models").symlink_to(models)
    return folder


@pytest.fixture(scope="session")
def models(settings: Settings) -> Models:
    """What is learnt from this checkout's examples, trained now if it has to be."""
    return supervisor.ensure_models(settings, lambda line: None)


@pytest.fixture(scope="session")
def settings(var: Path) -> Settings:
    """Settings as with no setting at all, on free ports."""
    for name in list(os.environ):
        if name.startswith(("RAFIQ_", "TELEGRAM_", "CASE_", "WHATSAPP_", "DATABASE_URL")):
            del os.environ[name]
    return Settings(
        _env_file=None,
        rafiq_var=var,
        rafiq_port=free_port(),
        rafiq_rasa_port=free_port(),
        case_receiver_port=free_port(),
    )


@pytest.fixture(scope="session")
def database_url(settings: Settings) -> Iterator[str]:
    """A real PostgreSQL with this version's tables."""
    folder = supervisor.database_folder(settings)
    url = embedded.start(folder)
    migrate.upgrade(url)
    yield url
    embedded.stop(folder)


def own_database(database_url: str, name: str) -> str:
    """The address of a database that no other service works on, made now on the same server."""
    with migrate.engine(database_url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = database_url.replace("/postgres?", f"/{name}?")
    migrate.upgrade(url)
    return url


async def emptied(database: Database) -> Database:
    """The database without a row."""
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    for attempt in range(5):
        try:
            async with database.engine.begin() as connection:
                await connection.execute(text("SET LOCAL session_replication_role = replica"))  # the audit too
                await connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
            break
        except OperationalError:  # a deadlock with the running service's own look for work
            if attempt == 4:
                raise
            await asyncio.sleep(0.2)
    return database


@asynccontextmanager
async def alone_on(url: str, settings: Settings) -> AsyncIterator[Database]:
    """The database at this address, emptied, for one test."""
    database = connect(url, Vault(settings.master_key), 10)
    yield await emptied(database)
    await database.close()


@pytest.fixture(scope="session")
async def _database(settings: Settings, database_url: str) -> AsyncIterator[Database]:
    database = connect(database_url, Vault(settings.master_key))
    yield database
    await database.close()


@pytest.fixture
async def database(_database: Database) -> Database:
    """The database, emptied."""
    return await emptied(_database)


@pytest.fixture(scope="session")
async def rasa(settings: Settings, models: Models, database_url: str) -> AsyncIterator[Stack]:
    """A real Rasa process with the model of this checkout, trained now if it has to be."""
    stack = Stack(settings, lambda line: None, parts=("rasa",))
    await stack.start()
    yield stack
    for child in stack.children:
        await child.stop()


@pytest.fixture(scope="session")
async def _service(settings: Settings, database_url: str, rasa: Stack) -> AsyncIterator[Service]:
    app = create_app(settings, database_url)
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=settings.rafiq_port, log_config=None, lifespan="on")
    )
    serving = asyncio.create_task(server.serve())
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                if (await client.get(f"{settings.own_url}/ready", timeout=5)).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.05)
    yield app.state.service
    server.should_exit = True
    await serving


@pytest.fixture
async def service(_service: Service, database: Database) -> Service:
    """The service, running behind `settings.own_url`, on an empty database."""
    return _service
