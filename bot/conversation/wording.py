"""What the team published in the console instead of the catalogs' texts: versions that are only ever added.

The last version of a text in a language is said. Every process hears of a new one by a wake-up call, and by the sweep
when the call was lost; in between the texts are in memory, so that no turn asks the database for one.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from babel.messages.pofile import normalize
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot import i18n
from bot.db.models import TextVersion
from bot.db.session import Database, Lane, wake
from bot.messages import Language

WIDTH = 110  # columns of a .po file


@dataclass(frozen=True, slots=True)
class Published:
    """A text of the team that differs from the project's."""

    text_id: str
    language: Language
    text: str
    overtaken: bool  # the project changed its own text since
    said: bool  # False: its placeholders are no longer those of the project


class Wording:
    """Keeps the texts of this process as they are published."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: tuple[Any, ...] = ()

    async def read(self, key: int = 0) -> None:
        """Say what is published now."""
        async with self._database.session() as session:
            state = await self._state(session)
            i18n.publish({(one.text_id, one.language): one.text for one in await published(session)})
        self._known = state

    async def due(self) -> list[int]:
        """One key when there are versions that this process has not read."""
        async with self._database.session() as session:
            return [0] if await self._state(session) != self._known else []

    async def _state(self, session: AsyncSession) -> tuple[Any, ...]:
        return tuple((await session.execute(select(func.count(), func.max(TextVersion.id)))).one())


async def newest(session: AsyncSession) -> dict[tuple[str, str], TextVersion]:
    """The last version of each text that ever had one."""
    last = select(func.max(TextVersion.id)).group_by(TextVersion.text_id, TextVersion.language)
    return {
        (one.text_id, one.language): one
        for one in await session.scalars(select(TextVersion).where(TextVersion.id.in_(last)))
    }


async def published(session: AsyncSession) -> list[Published]:
    """Every text that the team says otherwise; one that equals the project's again is none."""
    found = []
    for (text_id, language), version in (await newest(session)).items():
        shown = differs(version)
        if shown is not None:
            found.append(Published(text_id, cast("Language", language), shown, overtaken(version), said(version)))
    return found


def differs(version: TextVersion | None) -> str | None:
    """The team's text where it is not the project's own."""
    if version is None or version.text is None or version.text == _own(version):
        return None
    return version.text


def overtaken(version: TextVersion) -> bool:
    """Whether the project's own text is another one since."""
    return version.project != _own(version)


def said(version: TextVersion) -> bool:
    """Whether this text still fits the project's."""
    return i18n.usable(version.text_id, cast("Language", version.language), version.text or "")


def _own(version: TextVersion) -> str | None:
    return i18n.project_text(version.text_id, cast("Language", version.language))


async def history(session: AsyncSession, text_id: str) -> Sequence[TextVersion]:
    """Every version of a text in all languages, the newest first."""
    return list(
        await session.scalars(select(TextVersion).where(TextVersion.text_id == text_id).order_by(TextVersion.id.desc()))
    )


async def publish(
    session: AsyncSession, text_id: str, language: Language, text: str | None, *, follows: int, by: uuid.UUID
) -> int | None:
    """A new version (None: the project's own text), heard by every process at commit; None when somebody was faster.

    `follows` is the version that its writer saw, 0 when there was none.
    """
    own = i18n.project_text(text_id, language)
    last = await session.scalar(
        select(func.max(TextVersion.id)).where(TextVersion.text_id == text_id, TextVersion.language == language)
    )
    if own is None or (last or 0) != follows:
        return None
    number = await session.scalar(
        insert(TextVersion)
        .values(
            text_id=text_id, language=language, follows=follows, text=None if text == own else text, project=own,
            staff_id=by,
        )
        .on_conflict_do_nothing()
        .returning(TextVersion.id)
    )  # fmt: skip
    if number is not None:
        await wake(session, Lane.TEXTS, number)
    return number


def export(texts: Iterable[Published], folder: Path) -> list[Path]:
    """Write these texts into the catalogs of the folder, which begin as the project's own; the files written."""
    files: dict[Path, str] = {}
    for one in texts:
        for domain in i18n.DOMAINS:
            name = Path(one.language) / "LC_MESSAGES" / f"{domain}.po"
            there = files.get(name) or (i18n.LOCALES / name).read_text(encoding="utf-8")
            entry = re.compile(rf'^msgid "{re.escape(one.text_id)}"\nmsgstr ".*"\n(?:".*"\n)*', re.M)
            place = entry.search(there)
            if place is not None and one.said:
                written = f'msgid "{one.text_id}"\nmsgstr {normalize(one.text, width=WIDTH)}\n'
                files[name] = there[: place.start()] + written + there[place.end() :]
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return [folder / name for name in files]
