"""The pages on which the team reads and changes what the assistant says."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from bot import i18n, texts
from bot.assistant import knowledge
from bot.console import audit, reading
from bot.console.guard import NotThere, Visit
from bot.conversation import wording
from bot.db.models import TextVersion
from bot.messages import LANGUAGES, Language

PAGE = 20  # texts on a page
# a consent names the version of its text; a poster is printed; a profile is told to the platform by a command
FIXED = (
    "first_contact.consent", "interview.consent", "checkin.consent", "learning.ask", "point.hello", "poster.",
    "profile.",
)  # fmt: skip
SAMPLES: Mapping[str, str] = {
    "reference": "AV-7K3Q", "name": "Awa", "number": "3", "time": "10:00", "opens": "09:00", "closes": "17:00",
    "year": "2026", "hours": "24", "priority": "P1", "most": "10", "url": "https://example.org/rafiq",
}  # fmt: skip
CITY = {"fr": "Rabat", "en": "Rabat", "ar": "الرباط"}
MOMENT = datetime(2027, 1, 12, 9, tzinfo=UTC)
HOME = "Africa/Casablanca"


@dataclass(frozen=True, slots=True)
class Side:
    """A text in one language, as it stands: what is said, what the project has, what the team made of it."""

    language: Language
    own: str
    last: TextVersion | None

    @property
    def ours(self) -> str | None:
        """The team's text where it differs from the project's."""
        return wording.differs(self.last)

    @property
    def unfit(self) -> bool:
        """Whether the team's text cannot be said any more."""
        return self.ours is not None and self.last is not None and not wording.said(self.last)

    @property
    def overtaken(self) -> bool:
        """Whether the project changed its text after the team did."""
        return self.ours is not None and self.last is not None and wording.overtaken(self.last)

    @property
    def said(self) -> str:
        """What people read."""
        return self.own if self.ours is None or self.unfit else self.ours

    @property
    def follows(self) -> int:
        """The version that a new one comes after."""
        return self.last.id if self.last else 0


def known() -> Iterator[str]:
    """Every text that people read, in the order of the catalogs; none of the console's own but the ready answers."""
    for text_id in i18n.catalog("en")._catalog:  # type: ignore[attr-defined]
        if (
            isinstance(text_id, str)
            and text_id
            and (not text_id.startswith("console.") or text_id.startswith("console.canned."))
        ):
            yield text_id


def fixed(text_id: str) -> bool:
    """Whether a text changes with the project alone."""
    return text_id.startswith(FIXED)


def _sides(text_id: str, newest: Mapping[tuple[str, str], TextVersion]) -> list[Side]:
    return [
        Side(language, i18n.project_text(text_id, language) or "", newest.get((text_id, language)))
        for language in LANGUAGES
    ]


def _in_state(sides: list[Side], state: str) -> bool:
    changed = [side for side in sides if side.ours is not None]
    if state == "ours":
        return bool(changed)
    if state == "both":
        return any(side.overtaken for side in sides)
    if state == "lacks":  # a language that did not follow the others, or cannot be said any more
        return 0 < len(changed) < len(sides) or any(side.unfit for side in sides)
    return True


def _folded(words: str) -> str:
    plain = unicodedata.normalize("NFKD", words.casefold())
    return "".join(one for one in plain if not unicodedata.combining(one) and one != "ـ")


async def listing(visit: Visit) -> Response:
    """The texts that fit what was asked for, side by side, a page of them."""
    asked = visit.request.query_params
    words, chosen, state = asked.get("q", "")[:100], asked.get("area", ""), asked.get("state", "all")
    topic = asked.get("topic", "")
    async with visit.console.database.session() as session:
        newest = await wording.newest(session)
    found = []
    for text_id in known():
        if chosen in texts.AREAS and texts.area(text_id) != chosen:
            continue
        if topic in knowledge.topics() and not text_id.startswith(f"topic.{topic}."):
            continue
        sides = _sides(text_id, newest)
        if _in_state(sides, state) and _folded(words) in _folded("\n".join([text_id, *(side.said for side in sides)])):
            found.append((text_id, sides))
    pages = max(1, -(-len(found) // PAGE))
    page = visit.page(pages)
    return visit.show(
        "texts.html",
        rows=found[(page - 1) * PAGE : page * PAGE],
        found=len(found),
        page=page,
        pages=pages,
        q=words,
        area=chosen,
        state=state,
        topic=topic,
        areas=texts.AREAS,
        states=texts.STATES,
        topics=[(one, knowledge.question(one, visit.language)) for one in knowledge.topics()],
    )


async def one(visit: Visit) -> Response:
    """One text in three languages, to be read or changed, with its history."""
    return await _detail(visit)


async def _detail(
    visit: Visit, language: str = "", typed: str = "", errors: list[str] | None = None, status: int = 200
) -> Response:
    text_id = _text_id(visit)
    await asyncio.to_thread(texts.used_ids)  # reads the code once: nobody waits for it meanwhile
    async with visit.console.database.session() as session:
        sides = _sides(text_id, await wording.newest(session))
        history = await wording.history(session, text_id)
        names = await reading.names(session)
    topic = knowledge.topics().get(text_id.split(".")[1]) if text_id.startswith("topic.") else None
    return visit.show(
        "text.html",
        status,
        id=text_id,
        sides=[(side, typed if side.language == language else side.said) for side in sides],
        looks=lambda side, text: _looks(text_id, side.language, text),
        refused=language,
        errors=errors or [],
        history=history,
        names=names,
        topic=topic,
        documents=knowledge.documents(),
        fixed=fixed(text_id),
        area=texts.area(text_id),
        most=texts.longest(text_id),
    )


async def preview(visit: Visit) -> Response:
    """A text that is being written, as a phone shows it, and what stands against it."""
    text_id, language = _text_id(visit), _language(visit)
    await asyncio.to_thread(texts.used_ids)
    text = _typed(visit)
    return visit.show(
        "text_preview.html",
        side=language,
        look=_looks(text_id, language, text),
        wrongs=[one.sentence(visit.language) for one in _wrong(text_id, language, text)],
        number=len(text),
        most=texts.longest(text_id),
    )


async def publish(visit: Visit) -> Response:
    """Say this from now on, if every check lets it."""
    text_id, language, text = _text_id(visit), _language(visit), _typed(visit)
    if fixed(text_id):
        raise NotThere
    return await _say(visit, text_id, language, text, "text.published")


async def restore(visit: Visit) -> Response:
    """Say an earlier version again, or the project's own text: undo, without losing what was said meanwhile."""
    text_id, language = _text_id(visit), _language(visit)
    given = visit.form.get("version", "")
    text = None
    if given:
        async with visit.console.database.session() as session:
            versions = {str(one.id): one for one in await wording.history(session, text_id) if one.language == language}
        if given not in versions:
            raise NotThere
        text = versions[given].text
    return await _say(visit, text_id, language, text, "text.restored")


async def _say(visit: Visit, text_id: str, language: Language, text: str | None, action: str) -> Response:
    await asyncio.to_thread(texts.used_ids)
    if text is not None:
        wrongs = [one.sentence(visit.language) for one in _wrong(text_id, language, text)]
        if wrongs:
            return await _detail(visit, language, text, wrongs, 400)
    follows = visit.form.get("follows", "")
    if not (follows.isascii() and follows.isdecimal() and len(follows) < 18):
        raise NotThere
    database = visit.console.database
    async with database.session() as session:
        version = await wording.publish(session, text_id, language, text, follows=int(follows), by=visit.staff.id)
        if version is None:
            await session.rollback()
            return await _detail(visit, language, text or "", [visit.say("console.texts.faster")], 409)
        detail = {"language": language, "version": version}
        await audit.record(session, database.vault, visit.staff.id, action, text_id, detail)
        await session.commit()
    return visit.go(f"/console/texts/{text_id}?done={language}")


def _wrong(text_id: str, language: Language, text: str) -> list[texts.Wrong]:
    return list(texts.wrong(text_id, language, text, i18n.project_text(text_id, language) or ""))


def _looks(text_id: str, language: Language, text: str) -> dict[str, Any]:
    """How a phone shows it: in a bubble, as a button, or as a row of a list; placeholders filled with examples."""
    values = {name: _sample(name, language) for name in i18n.PLACEHOLDER.findall(text)}
    shown = i18n.fill(text, language, values)
    kind = "bubble"
    if text_id in texts.used_ids()[1]:
        kind = "press"
    elif text_id.endswith(".question"):
        kind = "row-of-list"
    elif text_id.startswith("topic.") and text_id.endswith(".answer"):
        shown = knowledge.with_source(shown, knowledge.topics()[text_id.split(".")[1]], language)
    return {"kind": kind, "text": shown}


def _sample(name: str, language: Language) -> str:
    if name in ("when", "day", "due", "returned"):
        return i18n.written_date(MOMENT, HOME, language)
    if name in ("city", "place"):
        return CITY[language]
    return SAMPLES.get(name, f"‹{name}›")


def _typed(visit: Visit) -> str:
    return visit.form.get("text", "").replace("\r\n", "\n").strip()


def _text_id(visit: Visit) -> str:
    text_id = visit.path("id")
    if text_id not in set(known()):
        raise NotThere
    return text_id


def _language(visit: Visit) -> Language:
    language = visit.form.get("language", "")
    if language not in LANGUAGES:
        raise NotThere
    return language
