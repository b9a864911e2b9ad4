"""Whether the people in this database are invented (`rafiq demo`): such a database never meets the outside world."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from bot.db.migrate import engine
from bot.db.models import ChannelState
from bot.db.session import Database
from bot.settings import Settings

MARK = "demo"  # the row of channel_state that says so, with what `rafiq demo --remove` takes away
LOOK = 10.0  # seconds between two looks
_ROW = select(ChannelState.value).where(ChannelState.channel == MARK)


async def mark(database: Database) -> dict[str, Any] | None:
    """What was invented, if anything was."""
    async with database.session() as session:
        return await session.scalar(_ROW)


def present(url: str) -> bool:
    """Whether the database at this address has invented people."""
    with engine(url).connect() as connection:
        return connection.scalar(_ROW) is not None


def outside(settings: Settings) -> str | None:
    """The first setting by which somebody outside of this machine could be written to; None when there is none."""
    for name in ("telegram_token", "whatsapp_token", "rafiq_mail_url"):
        if getattr(settings, name) is not None:
            return name.upper()
    return None if settings.case_receiver_is_ours else "CASE_WEBHOOK_URL or CASE_SYSTEM"


@dataclass(slots=True)
class Notice:
    """For pages: `mark`, looked at now and then."""

    shown: bool = False
    _looked: float = float("-inf")

    async def look(self, database: Database) -> bool:
        """Whether the people are invented."""
        if time.monotonic() - self._looked > LOOK:
            self.shown, self._looked = await mark(database) is not None, time.monotonic()
        return self.shown
