"""What the team chose in the console: numbers instead of the environment's, check-ins instead of the file's.

Every process hears of a change by a wake-up call, and by the sweep when the call was lost, and writes it into its own
settings, and into `bot.checkins.schedule`: whatever asks them next gets what holds now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.checkins import rounds, schedule
from bot.db.models import TeamSetting
from bot.db.session import Database, Lane, wake
from bot.settings import Settings


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a number may be."""

    least: int
    most: int


def _bounds(name: str) -> Bounds:
    found = {type(one).__name__: one for one in Settings.model_fields[name].metadata}
    return Bounds(found["Ge"].ge, found["Le"].le)


# in the order in which the console shows them
SCHEDULES = ("rafiq_checkins_months", "rafiq_handoff_p0_minutes", "rafiq_handoff_p1_days", "rafiq_handoff_p2_days")
TIMES = (  # how long what is kept of people is kept
    "rafiq_media_days", "rafiq_payload_days", "rafiq_conversation_days", "rafiq_checkin_values_months",
    "rafiq_silent_months",
)  # fmt: skip
NUMBERS: Mapping[str, Bounds] = {name: _bounds(name) for name in (*SCHEDULES, *TIMES)}


class Chosen:
    """Keeps this process's settings and its schedule of check-ins as the team chose them."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self.own: Mapping[str, int] = {name: getattr(settings, name) for name in NUMBERS}  # the environment's
        self._known: Mapping[str, int] = {}
        self._schedule = schedule.of_file()

    async def read(self, key: int = 0) -> None:
        """Take what is chosen now."""
        async with self._database.session() as session:
            chosen, self._schedule = await _standing(session)
        for name in NUMBERS:
            setattr(self._settings, name, chosen.get(name, self.own[name]))
        schedule.hold(self._schedule)
        self._known = chosen

    async def due(self) -> list[int]:
        """One key when something else is chosen than this process has read."""
        async with self._database.session() as session:
            return [0] if await _standing(session) != (self._known, self._schedule) else []

    async def unplanned(self) -> list[int]:
        """Enrolments that have not followed the rounds that hold now."""
        if self._schedule.version == 0:
            return []
        async with self._database.session() as session:
            return await rounds.changed(session, self._schedule.version)

    async def follow(self, enrolment_id: int) -> None:
        """This enrolment's check-ins follow the rounds that hold now."""
        async with self._database.session() as session:
            await rounds.follow(session, enrolment_id, datetime.now(UTC))
            await session.commit()


async def numbers(session: AsyncSession) -> dict[str, int]:
    """What is chosen, within the bounds of today's version."""
    return _numbers(await session.scalars(select(TeamSetting)))


async def _standing(session: AsyncSession) -> tuple[dict[str, int], schedule.Schedule]:
    """The numbers and the schedule of check-ins that hold now."""
    rows = list(await session.scalars(select(TeamSetting)))
    return _numbers(rows), rounds.of_team(rows)


def _numbers(rows: Iterable[TeamSetting]) -> dict[str, int]:
    return {
        one.name: one.number
        for one in rows
        if one.name in NUMBERS and NUMBERS[one.name].least <= one.number <= NUMBERS[one.name].most
    }


async def choose(session: AsyncSession, wanted: Mapping[str, int | None]) -> None:
    """From now on these hold; None: the environment's again."""
    for name, number in wanted.items():
        if number is None:
            await session.execute(delete(TeamSetting).where(TeamSetting.name == name))
        else:
            await session.execute(
                insert(TeamSetting)
                .values(name=name, number=number)
                .on_conflict_do_update(index_elements=["name"], set_={"number": number, "at": func.now()})
            )
    await wake(session, Lane.SETTINGS, 0)


async def arrange(session: AsyncSession, name: str, data: Any) -> None:
    """From now on the rounds or the hours of check-ins are these; None: the file's again."""
    await rounds.change(session, name, data)
    await wake(session, Lane.SETTINGS, 0)
