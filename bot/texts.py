"""Checks every text before anybody reads it: `python -m bot.texts`, part of `make check`.

Each text that the code, the forms or the topics name must stand in all three catalogs, with the same
placeholders, not fuzzy, not too long; nothing may stand there unused; an answer may hold no figure, phone or
e-mail that its sources' fact sheets lack.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator

import yaml
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from bot import i18n
from bot.assistant import forms, knowledge
from bot.cases import answers
from bot.checkins import questions as checkins
from bot.checkins.questions import DIMENSIONS
from bot.checkins.schedule import rounds
from bot.console.access import Role
from bot.console.figures import FIGURES, KEYS, PERIODS
from bot.console.pages import CANNED
from bot.conversation.handoffs import HandoffError
from bot.conversation.notify import TROUBLE
from bot.journeys import VERBS, interviews, my_data
from bot.messages import LANGUAGES, Language
from bot.settings import ROOT

BUTTON = 20  # characters: the shortest limit of any channel for a button
QUESTION = 72  # a list row's description
MESSAGE = 1024  # a message with buttons
SAYS = {"say", "say_number", "button", "do", "intend", "_choice"}
BUTTONS = {"button", "do", "intend", "_choice"}
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_ID = re.compile(r"[a-z_]+(\.[A-Za-z_0-9]+)*")
_FIGURE = re.compile(r"\d+(?:[ \u00a0\u202f.,]\d+)*")
_CONSOLE = re.compile(r"\"(console\.(?!css|js)[a-z_.]*[a-z_])\"")
_LIST_MARK = re.compile(r"^\s*\d\.\s", re.M)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")


def problems() -> Iterator[str]:
    """One line for each thing that is wrong."""
    catalogs = {language: _catalog(language) for language in LANGUAGES}
    used, buttons = used_ids()
    yield from _ids(catalogs, used)
    yield from _lengths(catalogs, buttons)
    yield from _topics()
    yield from _verbs()
    yield from _figures()


def used_ids() -> tuple[set[str], set[str]]:
    """Every text id that something names, and those among them that are titles of buttons."""
    used, buttons = set(), set()
    for file in (ROOT / "bot").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.func, ast.Attribute | ast.Name):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                for constant in _constants(node.args[0]) if name in SAYS else ():
                    used.add(constant)
                    if name in BUTTONS:
                        buttons.add(constant)
    domain = yaml.safe_load((ROOT / "domain.yml").read_text(encoding="utf-8"))
    for replies in domain["responses"].values():
        used.update(reply["custom"]["say"] for reply in replies if "say" in reply["custom"])
    for steps in [*forms.forms().values(), interviews.STEPS]:
        for step in steps:
            used |= {step.say, f"{step.say}.unreadable"}
            titles = {step.choice_text(choice) for choice in [*step.choices, *([forms.SKIPPED] if step.skip else [])]}
            used |= titles
            buttons |= titles
            if i18n.has(f"{step.say}.label"):
                used.add(f"{step.say}.label")
    for question in checkins.questions().values():
        titles = {question.step.choice_text(choice) for choice in question.step.choices}
        used |= {question.step.say, "choice.skip"} | titles
        buttons |= titles
    purposes = {f"consent.{purpose}" for purpose in my_data.PURPOSES}
    used |= purposes
    buttons |= purposes
    for topic in knowledge.topics():
        used |= {f"topic.{topic}.{part}" for part in ("title", "question", "answer")}
        buttons.add(f"topic.{topic}.title")
    catalogue = ("danger_now", "suicidal", "child_alone", "medical_urgent", "violence", "trafficking", "detention",
                 "fear_of_return", "staff_misconduct", "pressure")  # fmt: skip
    used |= {f"care.{cue}" for cue in catalogue}
    used |= {f"desk.reason.cue.{cue}" for cue in catalogue} | {
        f"desk.reason.{reason}"
        for reason in (
            *("asked", "interview", "complaint", "no_followup", "not_understood", "media", "minor"),
            *("checkin_red", "checkin_amber", "checkin_unreached"),
        )
    }
    used |= {HandoffError.say, *(error.say for error in HandoffError.__subclasses__()), *TROUBLE.values()}
    used |= {"handoff.claimed", "handoff.transferred", "handoff.returned", "handoff.released"}
    used |= {"desk.relay", "desk.pressed", "desk.media"}
    used |= {
        f"handoff.{reason}" for reason in ("asked", "interview", "complaint", "no_followup", "not_understood", "media")
    }
    used |= {"profile.help", "profile.language", "profile.stop", "profile.start", "profile.my_data", "profile.delete"}
    used |= {f"case.mode.{mode}" for mode in ("phone", "office", "chat")}
    texts = answers.schema("message.to_person")["properties"]["data"]["properties"]["text_id"]["enum"]
    used |= {f"case.text.{text_id}" for text_id in texts}
    countries = {f"emergency.{code}" for code in ("MA", "MR", "other")}
    services = ("police", "gendarmerie", "civil_protection", "ambulance", "samu", "children", "women")
    used |= countries | {f"emergency.service.{service}" for service in services}
    desk = {f"desk.button.{one}" for one in ("take", "release", "transfer", "back", "reopen", "knock")}
    return used | desk | _console(), buttons | countries | desk


def _console() -> set[str]:
    """What the console's pages and their templates name, with what stands behind each state, role and language."""
    used: set[str] = set()
    for file in (ROOT / "bot" / "console").rglob("*"):
        if file.suffix in (".py", ".html"):
            used.update(_CONSOLE.findall(file.read_text(encoding="utf-8")))
    kinds: dict[str, Iterable[str]] = {
        "role": Role,
        "speaks": [*LANGUAGES, "none"],
        "by": ["person", "assistant", "team"],
        "sent": ["queued", "sending", "sent", "delivered", "read", "failed", "held", "cancelled"],
        "held": ["window", "template", "identity"],
        "status": ["waiting", "taken", "released"],
        "request.status": ["open", "acknowledged", "closed"],
        "consent": my_data.PURPOSES,
        "happened": ["taken", "replied", "noted", "transferred", "returned", "released", "reopened"],
        "canned": CANNED,
        "board": FIGURES + DIMENSIONS,
        "board.period": PERIODS,
        "board.round": [one.id for one in rounds()],
        **{f"board.{figure}": keys for figure, keys in KEYS.items()},
    }
    used |= {f"console.{kind}.{one}" for kind, ones in kinds.items() for one in ones}
    return used | {f"console.canned.{one}.title" for one in CANNED}


def _constants(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and _ID.fullmatch(node.value):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _constants(node.body)
        yield from _constants(node.orelse)


def _catalog(language: Language) -> dict[str, str]:
    texts: dict[str, str] = {}
    for domain in i18n.DOMAINS:
        path = i18n.LOCALES / language / "LC_MESSAGES" / f"{domain}.po"
        with path.open("rb") as file:
            catalog: Catalog = read_po(file, locale=language, abort_invalid=True)
        for message in catalog:
            if message.id:
                key = message.id if isinstance(message.id, str) else message.id[0]
                text = message.string if isinstance(message.string, str) else "\n".join(message.string or ())
                texts[key] = "" if message.fuzzy else text
    return texts


def _ids(catalogs: dict[Language, dict[str, str]], used: set[str]) -> Iterator[str]:
    for language, texts in catalogs.items():
        for text_id in sorted(used - texts.keys()):
            yield f"{language}: {text_id} is missing"
        for text_id in sorted(texts.keys() - used):
            yield f"{language}: {text_id} is used nowhere"
        for text_id, text in texts.items():
            if not text.strip():
                yield f"{language}: {text_id} is empty or fuzzy"
            wanted = set(_PLACEHOLDER.findall(catalogs["en"].get(text_id, "")))
            if set(_PLACEHOLDER.findall(text)) != wanted:
                yield f"{language}: {text_id} must have the placeholders {sorted(wanted)}"


def _lengths(catalogs: dict[Language, dict[str, str]], buttons: set[str]) -> Iterator[str]:
    for language, texts in catalogs.items():
        for text_id, text in texts.items():
            longest = BUTTON if text_id in buttons else QUESTION if text_id.endswith(".question") else MESSAGE
            if len(text) > longest:
                yield f"{language}: {text_id} has {len(text)} characters, {longest} at most"
        for topic in knowledge.topics():
            if f"topic.{topic}.answer" in texts and len(knowledge.answer(topic, language)) > MESSAGE:
                yield f"{language}: the answer to {topic} with its source has over {MESSAGE} characters"


def _topics() -> Iterator[str]:
    for topic in knowledge.topics().values():
        if not 2 <= len(topic.see_also) <= 3 or not set(topic.see_also) <= knowledge.topics().keys():
            yield f"{topic.id}: see_also must name two or three topics"
        if not topic.sources:
            yield f"{topic.id}: no source"
        for source in topic.sources:
            if source["document"] not in knowledge.documents():
                yield f"{topic.id}: no fact sheet for {source['document']}"


def _verbs() -> Iterator[str]:
    domain = yaml.safe_load((ROOT / "domain.yml").read_text(encoding="utf-8"))
    for name, replies in domain["responses"].items():
        for reply in replies:
            if "do" in reply["custom"] and reply["custom"]["do"] not in VERBS:
                yield f"domain.yml: {name} does {reply['custom']['do']}, which no journey offers"


def _figures() -> Iterator[str]:
    """Figures, phones and e-mails of an answer that no fact sheet of its sources holds."""
    for topic in knowledge.topics().values():
        sheets = [knowledge.documents()[s["document"]] for s in topic.sources if s["document"] in knowledge.documents()]
        facts = " | ".join(_fact_words(sheets))
        figures = set(map(_digits, _FIGURE.findall(facts))) | {str(s.year) for s in sheets}
        for language in LANGUAGES:
            answer = _LIST_MARK.sub("", i18n.say(f"topic.{topic.id}.answer", language))
            for figure in _FIGURE.findall(answer):
                if _digits(figure) not in figures:
                    yield f"{language}: {topic.id} says {figure!r}, which its sources' fact sheets lack"
            for email in _EMAIL.findall(answer):
                if email.rstrip(".") not in facts:
                    yield f"{language}: {topic.id} gives {email}, which its sources' fact sheets lack"


def _fact_words(sheets: Iterable[knowledge.Document]) -> Iterator[str]:
    for sheet in sheets:
        for fact in sheet.facts:
            yield str(fact["value"])
            yield from (str(name) for name in fact.get("names", {}).values())


def _digits(figure: str) -> str:
    return re.sub(r"\D", "", figure)


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    found = list(problems())
    for problem in found:
        sys.stdout.write(problem + "\n")
    sys.stdout.write(f"texts: {len(found)} problems\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
