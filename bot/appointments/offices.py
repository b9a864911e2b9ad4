"""Offices, their counsellors and the days they are closed: data that staff edit, read from a file like its seed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.db.models import ClosedDay, Counsellor, Office
from bot.messages import LANGUAGES
from bot.settings import ROOT, SettingsError

SEED = ROOT / "knowledge" / "offices.yml"
MODES = ("in_person", "phone")
GENDERS = ("woman", "man")
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_ID = re.compile(r"[a-z_]{2,40}")


async def load(session: AsyncSession, path: Path = SEED, only_if_empty: bool = False) -> int:
    """Write the file's offices over those of the tables; how many. Raises `SettingsError` for a wrong file.

    A counsellor who is not in the file is no longer active; appointments and slots stay as they are.
    """
    if only_if_empty and await session.scalar(select(Office.id).limit(1)) is not None:
        return 0
    described = read(path)
    for office_id, one in described["offices"].items():
        row = {
            "country": one["country"],
            "zone": one["zone"],
            "names": one["names"],
            "address": one.get("address"),
            "active": one["active"],
            "by_request": one["by_request"],
            "capacity": one.get("capacity", 1),
            "minutes": one.get("minutes", 60),
            "hours": one.get("hours", []),
        }
        await session.execute(
            insert(Office).values(id=office_id, **row).on_conflict_do_update(index_elements=["id"], set_=row)
        )
        await session.execute(update(Counsellor).where(Counsellor.office_id == office_id).values(active=False))
        for counsellor_id, who in one.get("counsellors", {}).items():
            person = {
                "office_id": office_id,
                "languages": who["languages"],
                "gender": who.get("gender"),
                "modes": who["modes"],
                "active": True,
            }
            await session.execute(
                insert(Counsellor)
                .values(id=counsellor_id, **person)
                .on_conflict_do_update(index_elements=["id"], set_=person)
            )
    for of, days in described["closed_days"].items():
        await session.execute(delete(ClosedDay).where(ClosedDay.of == of))
        for day in days:
            await session.execute(insert(ClosedDay).values(of=of, day=day))
    return len(described["offices"])


def read(path: Path) -> Mapping[str, Any]:
    """The file, checked. Raises `SettingsError` with the first thing that is wrong."""
    try:
        described = yaml.safe_load(path.read_text(encoding="utf-8"))
        wrong = next(_problems(described), None)
    except OSError as error:
        wrong = f"cannot be read ({type(error).__name__})"
    except (yaml.YAMLError, UnicodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        wrong = f"is not written like knowledge/offices.yml ({type(error).__name__})"
    if wrong:
        raise SettingsError(f"{path.name} {wrong}")
    checked: Mapping[str, Any] = described
    return checked


def _problems(described: Mapping[str, Any]) -> Iterator[str]:
    for office_id, one in described["offices"].items():
        if not _ID.fullmatch(office_id):
            yield f"names an office {office_id!r}: use small letters and _"
        if set(one["names"]) != set(LANGUAGES):
            yield f"{office_id}: names must be in {', '.join(LANGUAGES)}"
        try:
            ZoneInfo(one["zone"])
        except (OSError, KeyError, ValueError):
            yield f"{office_id}: {one['zone']!r} is no time zone"
        if not (isinstance(one["active"], bool) and isinstance(one["by_request"], bool)):
            yield f"{office_id}: active and by_request are true or false"
        for name in ("capacity", "minutes"):
            if type(one.get(name, 1)) is not int or not 1 <= one.get(name, 1) <= 24 * 60:
                yield f"{office_id}: {name} is a number from 1 on"
        for hours in one.get("hours", ()):
            if not (_CLOCK.fullmatch(hours["from"]) and _CLOCK.fullmatch(hours["until"])):
                yield f"{office_id}: hours are written like 09:00, in quotes"
            if hours["from"] >= hours["until"]:
                yield f"{office_id}: {_span(hours)} ends before it begins"
            if not set(hours["days"]) <= set(range(7)):
                yield f"{office_id}: days are 0 (Monday) to 6"
            if "between" in hours:
                first, last = (date.fromisoformat(day) for day in hours["between"])
                if first > last:
                    yield f"{office_id}: between {first} and {last} there is no day"
        for hours, others in combinations(one.get("hours", ()), 2):
            if _overlap(hours, others):
                yield f"{office_id}: {_span(hours)} and {_span(others)} overlap on the same days"
        for counsellor_id, who in one.get("counsellors", {}).items():
            if not set(who["modes"]) <= set(MODES) or who.get("gender") not in (*GENDERS, None):
                yield f"{counsellor_id}: modes are {', '.join(MODES)}; gender is {' or '.join(GENDERS)}"
            if not who["languages"]:
                yield f"{counsellor_id}: no language"
    for days in described["closed_days"].values():
        for day in days:
            date.fromisoformat(day if len(day) > 5 else f"2028-{day}")


def _overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two spans of hours hold at the same time of the same day. Those of `between` replace the usual ones."""
    if ("between" in one) != ("between" in other) or not set(one["days"]) & set(other["days"]):
        return False
    if "between" in one and not (one["between"][0] <= other["between"][1] and other["between"][0] <= one["between"][1]):
        return False
    return bool(one["from"] < other["until"] and other["from"] < one["until"])


def _span(hours: Mapping[str, Any]) -> str:
    return f"{hours['from']}-{hours['until']}"


async def choosable(session: AsyncSession) -> Sequence[Office]:
    """The offices that people can choose, in a steady order."""
    return list(await session.scalars(select(Office).where(Office.active).order_by(Office.by_request, Office.id)))


async def closed_days(session: AsyncSession, office: Office) -> set[str]:
    """The days on which this office has no interviews, as they stand in the table."""
    return set(await session.scalars(select(ClosedDay.day).where(ClosedDay.of.in_([office.id, office.country]))))
