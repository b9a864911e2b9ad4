"""Reads one value of a described case: the door for `rafiq read-value` and for labelled sets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bot.assistant.values import read_age_group, read_country, read_date_time, read_phone, read_yes_no
from bot.messages import LANGUAGES

HOME_ZONE = "Africa/Casablanca"


class UnknownCase(ValueError):
    """What is described is no case: a kind, language, region, time or zone that there is not."""


def _date_time(case: Mapping[str, Any]) -> str | None:
    language = case.get("lang") or "fr"
    if language not in LANGUAGES:
        raise UnknownCase(f"lang {language!r} is none of {', '.join(LANGUAGES)}")
    zone = str(case.get("zone") or HOME_ZONE)
    try:
        here = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UnknownCase(f"zone {zone!r} is no time zone") from None
    said_now = case.get("now")
    try:
        now = datetime.fromisoformat(str(said_now)) if said_now else datetime.now(here)
    except ValueError:
        raise UnknownCase(f"now {said_now!r} is no ISO 8601 time") from None
    return read_date_time(_text(case), language, now, zone)


def _phone(case: Mapping[str, Any]) -> str | None:
    region = case.get("region") or None
    if region is not None and not isinstance(region, str):
        raise UnknownCase(f"region {region!r} is no country of two letters")
    return read_phone(_text(case), region)


def _text(case: Mapping[str, Any]) -> str:
    text = case.get("text")
    return "" if text is None else str(text)


_READERS: Mapping[str, Callable[[Mapping[str, Any]], str | None]] = {
    "phone": _phone,
    "country": lambda case: read_country(_text(case)),
    "age_group": lambda case: read_age_group(_text(case)),
    "yes_no": lambda case: read_yes_no(_text(case)),
    "date_time": _date_time,
}


def read_value(case: Mapping[str, Any]) -> dict[str, Any]:
    """`{"value": ...}` for `{"kind", "lang", "text", "region"?, "now"?, "zone"?}`.

    `kind` is phone, country, age_group, yes_no or date_time; `now` an ISO 8601 time, of the wall clock in
    `zone` when it has no offset (default: the current time, in Casablanca). Raises `UnknownCase` for
    what is no case.
    """
    kind = case.get("kind")
    if not isinstance(kind, str) or kind not in _READERS:
        raise UnknownCase(f"kind {kind!r} is none of {', '.join(_READERS)}")
    return {"value": _READERS[kind](case)}


def read_lines(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """One answer for each line that is not empty; what is no case has the value null and says why in `error`."""
    for line in filter(str.strip, lines):
        try:
            case = json.loads(line)
        except (ValueError, RecursionError):
            case = None
        try:
            if not isinstance(case, dict):
                raise UnknownCase("the line is no JSON object")
            yield read_value(case)
        except UnknownCase as error:
            yield {"value": None, "error": str(error)}
