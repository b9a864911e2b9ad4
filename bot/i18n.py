"""Every text a person reads comes from gettext catalogs, under a stable id, in three languages.

`locales/<language>/LC_MESSAGES/interface.po` holds what the assistant says of itself, `knowledge.po` the
answers, `console.po` the counsellors' pages. The .po files are read as they are at start, so there is no compiled copy
that could be stale. What the team published in the console (bot/conversation/wording.py) is said instead.
"""

from __future__ import annotations

import gettext
import io
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, get_timezone_location
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from bot.messages import LANGUAGES, Language

LOCALES = Path(__file__).resolve().parent.parent / "locales"
DOMAINS = ("interface", "knowledge", "console")
PLACEHOLDER = re.compile(r"\{(\w+)\}")
LRI, PDI = "\u2066", "\u2069"
_LATIN_RUN = re.compile(r"[A-Za-z0-9+@][\w@.+:/%'’-]*(?:[ \u00a0][A-Za-z0-9+@(][\w@.+:/%()'’-]*)*")


_published: dict[Language, dict[str, str]] = {}


class MissingText(KeyError):
    """A text id that no catalog holds."""


@cache
def catalog(language: Language) -> gettext.GNUTranslations:
    """The language's texts of all domains, as one catalog."""
    merged = gettext.GNUTranslations()
    for domain in DOMAINS:
        with (LOCALES / language / "LC_MESSAGES" / f"{domain}.po").open("rb") as file:
            compiled = io.BytesIO()
            write_mo(compiled, read_po(file, locale=language, domain=domain))
        compiled.seek(0)
        part = gettext.GNUTranslations(compiled)
        merged._catalog = {**getattr(merged, "_catalog", {}), **part._catalog}  # type: ignore[attr-defined]
        merged.plural = part.plural  # type: ignore[attr-defined]
    return merged


def has(text_id: str, language: Language = "en") -> bool:
    """Whether the catalogs hold this text."""
    return text_id in catalog(language)._catalog  # type: ignore[attr-defined]


def say(text_id: str, language: Language, **values: object) -> str:
    """The text of this id with its `{placeholders}` filled; values are inserted as they are, never evaluated."""
    text = _published.get(language, {}).get(text_id) or catalog(language).gettext(text_id)
    if text == text_id:
        raise MissingText(text_id)
    return fill(text, language, values)


def project_text(text_id: str, language: Language) -> str | None:
    """The catalogs' own text of this id, whatever is published; None for an unknown one or one with plural forms."""
    text = catalog(language)._catalog.get(text_id)  # type: ignore[attr-defined]
    return str(text) if text_id and text is not None else None


def usable(text_id: str, language: Language, text: str) -> bool:
    """Whether this text can be said under this id: the catalogs have it, with the same placeholders."""
    own = project_text(text_id, language)
    return bool(text) and own is not None and set(PLACEHOLDER.findall(own)) == set(PLACEHOLDER.findall(text))


def publish(texts: Mapping[tuple[str, Language], str]) -> None:
    """Say these instead of the catalogs' own from now on, and nothing else that was published before.

    What no longer fits its catalog (a new version of the project renamed a placeholder) is not said.
    """
    fresh: dict[Language, dict[str, str]] = {language: {} for language in LANGUAGES}
    for (text_id, language), text in texts.items():
        if language in fresh and usable(text_id, language, text):
            fresh[language][text_id] = text
    _published.update(fresh)


def say_number(text_id: str, number: int, language: Language, **values: object) -> str:
    """As `say`, in the plural form that the language has for this number (`{number}` in the text)."""
    text = catalog(language).ngettext(text_id, text_id + ".many", number)
    if text in (text_id, text_id + ".many"):
        raise MissingText(text_id)
    return fill(text, language, {"number": number, **values})


def fill(text: str, language: Language, values: Mapping[str, object]) -> str:
    """The text with its placeholders filled."""

    def value(match: re.Match[str]) -> str:
        inserted = str(values[match[1]])
        return isolated(inserted) if language == "ar" and not inserted.startswith(LRI) else inserted

    return PLACEHOLDER.sub(value, text) if values else text


def isolated(text: str) -> str:
    """Latin words and numbers kept in their own direction inside an Arabic sentence."""
    return LRI + text + PDI if _LATIN_RUN.fullmatch(text) else text


def language_name(language: Language, reader: Language) -> str:
    """The language's name in the reader's language."""
    return str(Locale(reader).languages[language])


def country_name(code: str, language: Language) -> str:
    """The country's name (ISO 3166 code) in this language."""
    return str(Locale(language).territories.get(code, code))


def city_of_zone(zone: str, language: Language) -> str:
    """The city that a time zone is named after, in this language."""
    return str(get_timezone_location(zone, locale=Locale(language), return_city=True))


def written_date(moment: datetime, zone: str, language: Language) -> str:
    """The day as people say it, with Western digits: « lundi 23 novembre 2026 »."""
    local = moment.astimezone(ZoneInfo(zone))
    return western_digits(str(format_date(local.date(), format="full", locale=Locale(language))))


def western_digits(text: str) -> str:
    """The same with 0 to 9, which everybody reads, in Arabic too."""
    return text.translate(str.maketrans("٠١٢٣٤٥٦٧٨٩", "0123456789"))


def every_language(text_id: str) -> list[str]:
    """The text in each language, as the catalogs and the team have it: to recognise what was typed, not pressed."""
    own = [str(catalog(language).gettext(text_id)) for language in LANGUAGES if has(text_id, language)]
    return own + [texts[text_id] for texts in _published.values() if text_id in texts]
