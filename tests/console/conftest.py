"""The console alone, without Rasa: its pages over the real database, and a team to sign in with."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pyotp
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from sqlalchemy import text

from bot.checkins import schedule
from bot.console import accounts, oidc, pages
from bot.console.access import Role
from bot.console.accounts import Enrolment
from bot.console.guard import Console
from bot.console.live import Live
from bot.conversation import staff
from bot.conversation.chosen import NUMBERS, Chosen
from bot.db.session import Database
from bot.settings import Settings
from tests.conftest import alone_on, own_database

PASSWORD = "seven green lanterns"
HOME = "http://console.test"


@pytest.fixture(scope="session")
def database_url(database_url: str) -> str:
    """The address of a database that no running service works on: what waits goes on waiting."""
    return own_database(database_url, "console")


@pytest.fixture
async def database(database_url: str, settings: Settings) -> AsyncIterator[Database]:
    """That database, emptied."""
    async with alone_on(database_url, settings) as database:
        yield database


def application(database: Database, settings: Settings, live: Live | None = None) -> FastAPI:
    """The console's pages and nothing else."""
    app = FastAPI()
    console = Console(database, settings, live or Live(), Chosen(database, settings), provider=oidc.of(settings))
    app.include_router(pages.router(console))
    return app


@dataclass
class Browser:
    """A browser with its cookies, on the console of this test."""

    client: httpx.AsyncClient
    database: Database
    enrolment: Enrolment
    email: str

    @property
    def staff_id(self) -> uuid.UUID:
        """Who uses it."""
        return self.enrolment.staff_id

    async def fresh_code(self) -> str:
        """A code that was not used: the clock's, after the memory of the last one is gone."""
        await change(self.database, "UPDATE staff_login SET totp_step = 0 WHERE staff_id = :id", id=self.staff_id)
        return pyotp.TOTP(self.enrolment.secret).at(datetime.now(UTC))

    async def login(self, **given: str) -> httpx.Response:
        """Send the form of signing in."""
        form = {"email": self.email, "password": PASSWORD, "code": await self.fresh_code(), **given}
        return await self.client.post("/console/login", data=form)

    async def get(self, path: str, **given: Any) -> httpx.Response:
        """Open a page."""
        return await self.client.get(path, **given)

    async def post(self, path: str, **form: str) -> httpx.Response:
        """Send a form as a page of ours does."""
        token = self.client.cookies.get("rafiq_console") or ""
        sent = {"form_token": accounts.form_token(self.database, token), **form}
        return await self.client.post(path, data=sent)


async def change(database: Database, statement: str, **values: Any) -> None:
    """Change something behind everybody's back."""
    async with database.session() as session:
        await session.execute(text(statement), values)
        await session.commit()


async def value(database: Database, statement: str, **values: Any) -> Any:
    """The single value of a query."""
    async with database.session() as session:
        return await session.scalar(text(statement), values)


class Team:
    """Members of the team, made when they are wanted."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.settings = settings
        self.app = application(database, settings)
        self._clients: list[httpx.AsyncClient] = []

    async def member(self, role: str = Role.COUNSELLOR, name: str = "Salma") -> Browser:
        """Somebody new, with a browser that is not signed in."""
        email = f"{uuid.uuid4().hex}@example.org"
        async with self.database.session() as session:
            await staff.add(session, self.settings, name, email, role, languages=["en"])
            await session.commit()
        enrolment = await accounts.enrol(self.database, email, PASSWORD)
        assert enrolment is not None
        return self.browser(enrolment, email)

    async def at_work(self, role: str = Role.COUNSELLOR, name: str = "Salma") -> Browser:
        """Somebody new who is signed in."""
        browser = await self.member(role, name)
        assert (await browser.login()).status_code == 303
        return browser

    def browser(self, enrolment: Enrolment, email: str) -> Browser:
        """Another browser of the same person."""
        transport = httpx.ASGITransport(self.app, client=(f"10.0.0.{len(self._clients) % 250}", 1))
        client = httpx.AsyncClient(transport=transport, base_url=HOME, headers={"sec-fetch-site": "same-origin"})
        self._clients.append(client)
        return Browser(client, self.database, enrolment, email)

    async def close(self) -> None:
        """All browsers are closed."""
        for client in self._clients:
            await client.aclose()


@pytest.fixture
async def team(database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Team]:
    """A team, whose passwords are hashed cheaply: there are many of them."""
    monkeypatch.setattr(accounts, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    team, before = Team(database, settings), settings.model_copy()
    yield team
    await team.close()
    for name in NUMBERS:  # what a team chooses is not the next test's
        setattr(settings, name, getattr(before, name))
    schedule.hold(None)
