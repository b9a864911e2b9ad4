"""The templates of `whatsapp_templates.yml`: what to submit to Meta, and how that differs from what it approved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import yaml

from bot.messages import LANGUAGES, Language

FILE = Path(__file__).with_suffix(".yml")
CATEGORY = "UTILITY"
FIELDS = "name,language,status,category,components,message_send_ttl_seconds"


@dataclass(frozen=True, slots=True)
class Definition:
    """One template in its languages."""

    name: str
    seconds: int  # how long WhatsApp goes on trying to deliver it
    texts: Mapping[Language, str]
    examples: Mapping[Language, Sequence[str]]  # of the values in the text
    buttons: Mapping[Language, Sequence[str]]
    opens: bool  # its buttons say nothing but that the person is here


@cache
def definitions() -> Mapping[str, Definition]:
    """All templates by name."""
    entries = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return {
        name: Definition(
            name,
            one["seconds"],
            one["texts"],
            one.get("examples", {}),
            one.get("buttons", {}),
            one.get("opens", False),
        )
        for name, one in entries.items()
    }


def find(name: str) -> Definition | None:
    """The template of this name."""
    return definitions().get(name)


def submissions() -> list[dict[str, Any]]:
    """What to post to `/<account>/message_templates`, one object for each template and language."""
    return [_submission(one, language) for one in definitions().values() for language in LANGUAGES]


def _submission(one: Definition, language: Language) -> dict[str, Any]:
    body: dict[str, Any] = {"type": "BODY", "text": one.texts[language]}
    if language in one.examples:
        body["example"] = {"body_text": [list(one.examples[language])]}
    components = [body]
    if language in one.buttons:
        replies = [{"type": "QUICK_REPLY", "text": title} for title in one.buttons[language]]
        components.append({"type": "BUTTONS", "buttons": replies})
    return {
        "name": one.name,
        "language": language,
        "category": CATEGORY,
        "message_send_ttl_seconds": one.seconds,
        "components": components,
    }


class NotFetched(Exception):
    """Meta did not give the templates; the text says why, without the token."""


def fetch(url: str, token: str) -> list[Mapping[str, Any]]:
    """The account's templates, all pages; raises `NotFetched`."""
    found: list[Mapping[str, Any]] = []
    query: dict[str, str | int] = {"fields": FIELDS, "limit": 100}
    with httpx.Client(headers={"authorization": f"Bearer {token}"}, timeout=20) as client:
        while True:
            try:
                response = client.get(url, params=query)
                answer = response.json()
            except (httpx.HTTPError, ValueError) as error:
                raise NotFetched(type(error).__name__) from None
            if not response.is_success or not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
                raise NotFetched(f"HTTP {response.status_code}, check WHATSAPP_TOKEN and WHATSAPP_ACCOUNT_ID")
            found += [one for one in answer["data"] if isinstance(one, dict)]
            paging = answer.get("paging") or {}
            after = (paging.get("cursors") or {}).get("after")
            if "next" not in paging or not after:
                return found
            query["after"] = after


def differences(approved: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One line for each way in which Meta's templates are not ours."""
    theirs = {(one.get("name"), one.get("language")): one for one in approved}
    for ours in submissions():
        name, language = ours["name"], ours["language"]
        found = theirs.get((name, language))
        if found is None:
            yield f"{name} {language}: not submitted"
            continue
        if found.get("status") != "APPROVED":
            yield f"{name} {language}: {found.get('status')}"
        if found.get("category") != CATEGORY:
            yield f"{name} {language}: {found.get('category')}, not {CATEGORY}"
        if (
            "message_send_ttl_seconds" in found
            and found["message_send_ttl_seconds"] != ours["message_send_ttl_seconds"]
        ):
            yield f"{name} {language}: another time to live"
        if _read(found) != _read(ours):
            yield f"{name} {language}: other words or buttons"


def _read(template: Mapping[str, Any]) -> tuple[str, list[str]]:
    """A template's text and the titles of its buttons."""
    text, titles = "", []
    for component in template.get("components") or ():
        if component.get("type") == "BODY":
            text = str(component.get("text"))
        elif component.get("type") == "BUTTONS":
            titles = [str(button.get("text")) for button in component.get("buttons") or ()]
    return text, titles
