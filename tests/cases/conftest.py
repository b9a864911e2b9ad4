"""Case events are delivered by the test itself: no running service may be faster."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.db.encryption import Vault
from bot.db.session import Database, connect
from bot.settings import Settings
from tests.conftest import emptied, own_database


@pytest.fixture(scope="session")
def cases_url(database_url: str) -> str:
    """A database of their own."""
    return own_database(database_url, "cases")


@pytest.fixture
async def database(cases_url: str, settings: Settings) -> AsyncIterator[Database]:
    """That database, emptied."""
    database = connect(cases_url, Vault(settings.master_key), 10)
    yield await emptied(database)
    await database.engine.dispose()
