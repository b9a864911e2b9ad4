"""What staff set before they print posters."""

from __future__ import annotations

import pytest

from bot.db.session import Database
from bot.settings import Settings


@pytest.fixture
def staffed(database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that is told where its bot and its number are."""
    monkeypatch.setenv("RAFIQ_VAR", str(settings.rafiq_var))
    monkeypatch.setenv("TELEGRAM_USERNAME", "rafiq_example_bot")
    monkeypatch.setenv("WHATSAPP_NUMBER", "+212 600 000 000")
