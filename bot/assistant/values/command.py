"""Reads one value of a described case: the door for `rafiq read-value` and for labelled sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bot.assistant.values import read_age_group, read_country, read_date_time, read_phone, read_yes_no
from bot.messages import LANGUAGES

HOME_ZONE = "Africa/Casablanca"


class UnknownCase(ValueError):
    """The case names no kind or language that there is."""


def _date_time(case: Mapping[str, Any]) -> str | None:
    zone = str(case.get("zone") or HOME_ZONE)
    said_now = case.get("now")
    now = datetime.fromisoformat(str(said_now)) if said_now else datetime.now(ZoneInfo(zone))
    language = case.get("lang") or "fr"
    if language not in LANGUAGES:
        raise UnknownCase(f"language {language!r} is none of {', '.join(LANGUAGES)}")
    return read_date_time(str(case.get("text") or ""), language, now, zone)


_READERS: Mapping[str, Callable[[Mapping[str, Any]], str | None]] = {
    "phone": lambda case: read_phone(str(case.get("text") or ""), case.get("region")),
    "country": lambda case: read_country(str(case.get("text") or "")),
    "age_group": lambda case: read_age_group(str(case.get("text") or "")),
    "yes_no": lambda case: read_yes_no(str(case.get("text") or "")),
    "date_time": _date_time,
}


def read_value(case: Mapping[str, Any]) -> dict[str, Any]:
    """`{"value": ...}` for `{"kind", "lang", "text", "region"?, "now"?, "zone"?}`.

    `kind` is phone, country, age_group, yes_no or date_time; `now` an ISO 8601 time, of the wall clock in
    `zone` when it has no offset (default: the current time, in Casablanca). Raises `UnknownCase` for
    another kind or language.
    """
    kind = case.get("kind")
    if kind not in _READERS:
        raise UnknownCase(f"kind {kind!r} is none of {', '.join(_READERS)}")
    return {"value": _READERS[str(kind)](case)}
