"""The programme's knowledge: which topics there are, what each rests on, and the answer as a person reads it.

`knowledge/topics.yml` describes each topic, `knowledge/facts/` each source document; the words are in the
catalogs (`topic.<id>.answer`, `.title`, `.question`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from bot import i18n
from bot.messages import Language

FOLDER = Path(__file__).resolve().parent.parent.parent / "knowledge"


@dataclass(frozen=True, slots=True)
class Document:
    """A source: how people see it named, the year of what it says, and what it says (its fact sheet)."""

    id: str
    title: Mapping[str, str]
    year: int | None
    dated: bool  # False: the document bears no date, `year` is what its content shows
    file: str | None  # its name in the programme's folder of documents
    facts: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Topic:
    """A question with a vetted answer. `status`: fact, advice (opinion of a study), or gap (not in the documents)."""

    id: str
    audience: tuple[str, ...]
    status: Literal["fact", "advice", "gap"]
    sources: tuple[Mapping[str, Any], ...]
    year: int | None
    see_also: tuple[str, ...]
    person: bool


@cache
def topics() -> Mapping[str, Topic]:
    """Every topic, by id, in the order of the file."""
    described = yaml.safe_load((FOLDER / "topics.yml").read_text(encoding="utf-8"))
    return {
        topic_id: Topic(
            id=topic_id,
            audience=tuple(entry["audience"]),
            status=entry["status"],
            sources=tuple(entry["sources"]),
            year=entry["year"],
            see_also=tuple(entry["see_also"]),
            person=entry["person"],
        )
        for topic_id, entry in described.items()
    }


@cache
def documents() -> Mapping[str, Document]:
    """Every source document, by id."""
    found = {}
    for file in sorted((FOLDER / "facts").glob("*.yml")):
        sheet = yaml.safe_load(file.read_text(encoding="utf-8"))
        found[sheet["document"]] = Document(
            id=sheet["document"],
            title=sheet["title"],
            year=sheet["year"],
            dated=sheet["dated"],
            file=sheet["file"],
            facts=tuple(sheet["facts"]),
        )
    return found


def answer(topic_id: str, language: Language) -> str:
    """The answer with its source and year below."""
    return with_source(i18n.say(f"topic.{topic_id}.answer", language), topics()[topic_id], language)


def with_source(text: str, topic: Topic, language: Language) -> str:
    """An answer's words with the source line below."""
    return text + "\n\n" + source_line(topic, language)


def source_line(topic: Topic, language: Language) -> str:
    """« Source : page de l'OIM Maroc, vers 2021. » — or where was looked, for what the documents do not say."""
    named = {"fr": " ; ", "ar": "؛ "}.get(language, "; ")
    cited = dict.fromkeys(source["document"] for source in topic.sources)  # each document once
    listed = named.join(_named(documents()[document], language) for document in cited)
    return i18n.say("source.looked" if topic.status == "gap" else "source.said", language, documents=listed)


def title(topic_id: str, language: Language) -> str:
    """A few words for a button, at most 20 characters."""
    return i18n.say(f"topic.{topic_id}.title", language)


def question(topic_id: str, language: Language) -> str:
    """The question as a person would ask it, at most 72 characters."""
    return i18n.say(f"topic.{topic_id}.question", language)


def _named(document: Document, language: Language) -> str:
    name = document.title[language]
    if document.year is None:
        return i18n.say("source.undated", language, document=name)
    return i18n.say("source.dated" if document.dated else "source.about", language, document=name, year=document.year)


@cache
def emergency_numbers() -> tuple[Mapping[str, Any], ...]:
    """What the file holds, unconfirmed ones too: `bot.journeys.emergency` knows which are shown."""
    return tuple(yaml.safe_load((FOLDER / "emergency.yml").read_text(encoding="utf-8")))
