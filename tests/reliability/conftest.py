"""The service's world, on a database that no other service works on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.db import migrate
from bot.settings import Settings
from bot.training import Models
from tests.reliability.outside import Outside, outside


@pytest.fixture(scope="session")
def own_url(database_url: str) -> str:
    """A database of these tests' own, on the same server."""
    with migrate.engine(database_url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE reliability"))
    url = database_url.replace("/postgres?", "/reliability?")
    migrate.upgrade(url)
    return url


@pytest.fixture
async def world(settings: Settings, models: Models, own_url: str, tmp_path: Path) -> AsyncIterator[Outside]:
    """Everything around the service; nothing was ever said."""
    async with outside(settings, own_url, tmp_path / "service.log") as world:
        await world.empty()
        yield world
