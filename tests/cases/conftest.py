"""Case events are delivered by the test itself: no running service may be faster."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.db.session import Database
from bot.settings import Settings
from tests.conftest import alone_on, own_database


@pytest.fixture(scope="session")
def cases_url(database_url: str) -> str:
    """A database of their own."""
    return own_database(database_url, "cases")


@pytest.fixture
async def database(cases_url: str, settings: Settings) -> AsyncIterator[Database]:
    """That database, emptied."""
    async with alone_on(cases_url, settings) as database:
        yield database
