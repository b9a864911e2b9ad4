"""Checks every text before anybody reads it: `python -m bot.texts`, part of `make check`.

Each text that the code, the forms or the topics name must stand in all three catalogs, with the same
placeholders, not fuzzy, not too long; nothing may stand there unused; an answer may hold no figure, phone,
e-mail or name that its sources' fact sheets lack. `wrong` is also what the console asks before it publishes a text.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

import yaml
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from bot import i18n
from bot.appointments import bookings, offices
from bot.assistant import forms, knowledge
from bot.cases import answers
from bot.checkins import questions as checkins
from bot.checkins import rounds, schedule
from bot.conversation import on_behalf
from bot.conversation.chosen import NUMBERS
from bot.conversation.figures import FIGURES, KEYS, PERIODS
from bot.conversation.handoffs import CANNED, HandoffError
from bot.conversation.notify import TROUBLE
from bot.conversation.staff import ALL_ROLES, SORTS
from bot.journeys import VERBS, corrections, emergency, interviews, learning, my_data
from bot.messages import LANGUAGES, Language
from bot.settings import ROOT

BUTTON = 20  # characters: the shortest limit of any channel for a button
QUESTION = 72  # a list row's description
MESSAGE = 1024  # a message with buttons
# which part of the conversation a text belongs to, by the beginning of its id; what fits nowhere is `other`
AREAS: Mapping[str, tuple[str, ...]] = {
    "answers": ("topic", "source"),
    "safety": ("care", "emergency"),
    "request": ("first_contact", "request_status", "other_phone"),
    "interview": ("interview",),
    "checkin": ("checkin",),
    "handoff": ("handoff", "console.canned"),
    "rights": ("my_data", "consent", "consents", "delete", "stopped", "resumed", "withdrawn", "learning", "identity"),
    "case": ("case",),
    "buttons": ("button", "choice", "list"),
    "team": ("desk",),
    "outside": ("profile", "point", "poster"),
    "other": (),
}
STATES = ("all", "ours", "both", "lacks")  # of a text: what the team made of it
SAYS = {"say", "say_number", "button", "do", "intend", "_choice"}
BUTTONS = {"button", "do", "intend", "_choice"}
WRONG = ("empty", "placeholders", "braces", "signs", "long", "long_answer", "no_source", "figure", "email", "name")
# what writes into the audit, and what stands behind the codes that end with a state
AUDITS = {"record", "note", "audited", "_audited", "_save", "_step", "_say"}
AUDITED_STATES = {"appointment.": ("done", "missed"), "export.": ("allowed", "refused"), "times.": ("open", "close")}
_ACTION = re.compile(r"[a-z_]+\.[a-z_]+|login|logout")
_ID = re.compile(r"[a-z_]+(\.[A-Za-z_0-9]+)*")
_FIGURE = re.compile(r"\d+(?:[ \u00a0\u202f.,]\d+)*")
_CONSOLE = re.compile(r"\"(console\.(?!css|js)[a-z_.]*[a-z_])\"")
_LIST_MARK = re.compile(r"^\s*\d\.\s", re.M)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")
_SIGNS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\ufeff]")  # what nobody sees: controls, overrides
_ANSWER = re.compile(r"topic\.(\w+)\.answer")
_NAMES = ("place", "organisation", "person")  # kinds of facts


@dataclass(frozen=True, slots=True)
class Wrong:
    """Why a text cannot be said as it is: a sentence of the console's catalog."""

    why: str
    values: Mapping[str, object] = field(default_factory=dict)

    def sentence(self, language: Language) -> str:
        """The reason for whoever reads this language."""
        return i18n.say(f"console.texts.wrong.{self.why}", language, **self.values)


def wrong(text_id: str, language: Language, text: str, like: str) -> Iterator[Wrong]:
    """Everything that stands against saying this under this id; `like`: a text with the placeholders it must have."""
    if not text.strip():
        yield Wrong("empty")
        return
    wanted = set(i18n.PLACEHOLDER.findall(like))
    if set(i18n.PLACEHOLDER.findall(text)) != wanted:
        yield Wrong("placeholders", {"wanted": " ".join(f"{{{one}}}" for one in sorted(wanted)) or "–"})
    elif re.search(r"[{}]", i18n.PLACEHOLDER.sub("", text)):
        yield Wrong("braces")
    if _SIGNS.search(text):
        yield Wrong("signs")
    if len(text) > longest(text_id):
        yield Wrong("long", {"number": len(text), "most": longest(text_id)})
    answer = _ANSWER.fullmatch(text_id)
    if answer and answer[1] in knowledge.topics():
        yield from _answer(knowledge.topics()[answer[1]], language, text)


def area(text_id: str) -> str:
    """Which part of the conversation a text belongs to."""
    for name, begins in AREAS.items():
        if any(text_id == one or text_id.startswith(f"{one}.") for one in begins):
            return name
    return "other"


def longest(text_id: str) -> int:
    """How many characters a text may have."""
    return BUTTON if text_id in used_ids()[1] else QUESTION if text_id.endswith(".question") else MESSAGE


def problems() -> Iterator[str]:
    """One line for each thing that is wrong."""
    catalogs = {language: _catalog(language) for language in LANGUAGES}
    yield from _ids(catalogs, used_ids()[0])
    for language, texts in catalogs.items():
        for text_id, text in texts.items():
            for one in wrong(text_id, language, text, catalogs["en"].get(text_id, "")):
                yield f"{language}: {text_id}: {one.sentence('en')}"
    yield from _topics()
    yield from _verbs()


@cache
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
    corrected = {f"my_data.{name}" for name in corrections.OF_CHECKINS}
    used |= corrected
    buttons |= corrected
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
            *("asked", "request", "interview", "complaint", "no_followup", "not_understood", "media", "minor"),
            *("checkin_red", "checkin_amber", "checkin_unreached"),
        )
    }
    used |= {HandoffError.say, *(error.say for error in HandoffError.__subclasses__()), *TROUBLE.values()}
    used |= {"interview.agreed", "interview.moved_by_team"}
    used |= {"first_contact.direction.where"}
    used |= {f"first_contact.{slot}.kept" for slot in ("age_group", "phone", "call_time")}
    used |= {"handoff.claimed", "handoff.transferred", "handoff.returned", "handoff.released"}
    used |= {"desk.relay", "desk.pressed", "desk.media", "handoff.voice", "handoff.picture"}
    used |= {f"desk.sort.{sort}" for sort in (*SORTS, "other")}
    used |= {
        f"handoff.{reason}" for reason in ("asked", "interview", "complaint", "no_followup", "not_understood", "media")
    }
    used |= {"profile.help", "profile.language", "profile.stop", "profile.start", "profile.my_data", "profile.delete"}
    used |= {f"case.mode.{mode}" for mode in ("phone", "office", "chat")}
    texts = answers.schema("message.to_person")["properties"]["data"]["properties"]["text_id"]["enum"]
    used |= {f"case.text.{text_id}" for text_id in texts}
    countries = {f"emergency.{code}" for code in ("MA", "MR", "other")}
    used |= countries | {f"emergency.service.{service}" for service in emergency.SERVICES}
    desk = {f"desk.button.{one}" for one in ("take", "release", "transfer", "back", "reopen", "knock")}
    return used | desk | _console(), buttons | countries | desk


def _console() -> set[str]:
    """What the console's pages and their templates name, with what stands behind each state, role and language."""
    used: set[str] = set()
    for file in [*(ROOT / "bot" / "console").rglob("*"), ROOT / "bot" / "conversation" / "figures.py"]:
        if file.suffix in (".py", ".html"):
            used.update(_CONSOLE.findall(file.read_text(encoding="utf-8")))
    kinds: dict[str, Iterable[str]] = {
        "role": ALL_ROLES,
        "speaks": [*LANGUAGES, "none"],
        "by": ["person", "assistant", "team"],
        "sent": ["queued", "sending", "sent", "delivered", "read", "failed", "held", "cancelled"],
        "held": ["window", "template", "identity"],
        "why": ["Refused", "unreachable", "Ambiguous", "media", "expired"],
        "status": ["waiting", "taken", "released"],
        "request.status": ["open", "acknowledged", "closed"],
        "consent": my_data.PURPOSES,
        "time": ["free", "over", "closed", *(state for state in bookings.NEXT if state != "draft")],
        "checkin": rounds.NEXT,
        "level": ["red", "amber"],
        "dimension": checkins.DIMENSIONS,
        "enrolment": ["draft", "invited", "active", "ended", "declined"],
        "data.why": on_behalf.REASONS,
        "exports.kind": on_behalf.EXPORTS,
        "exports.why": on_behalf.PURPOSES,
        "exports.state": ["asked", "allowed", "refused", "over"],
        "points": ["came", "talked", "requested", "interview"],
        "happened": ["taken", "replied", "noted", "transferred", "returned", "released", "reopened", "settled"],
        "canned": CANNED,
        "texts.wrong": WRONG,
        "texts.area": AREAS,
        "texts.state": STATES,
        "settings.duty": ["first", "last", "opens", "closes", "zone"],
        "settings.number": NUMBERS,
        "settings.quiet": schedule.NAMES,
        "settings.rounds": ["weeks", "months"],
        "settings.rounds.form": schedule.forms(),
        "review.intent": learning.INTENTS,
        "settings.mode": offices.MODES,
        "settings.gender": offices.GENDERS,
        "settings.situation": emergency.SITUATIONS,
        "board": FIGURES + checkins.DIMENSIONS,
        "board.period": PERIODS,
        "board.kind": ["reply", "unasked", "template"],
        "audit.did": actions(),
        "board.round": ["week", "month"],
        **{f"board.{figure}": keys for figure, keys in KEYS.items()},
    }
    used |= {f"console.{kind}.{one}" for kind, ones in kinds.items() for one in ones}
    return used | {f"console.canned.{one}.title" for one in CANNED}


def actions() -> set[str]:
    """The code of everything that is written into the audit, wherever it is."""
    found: set[str] = set()
    files = [*(ROOT / "bot" / "console").glob("*.py")]
    files += [ROOT / "bot" / "conversation" / "staff.py", ROOT / "bot" / "cli.py"]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            given: list[ast.expr] = []
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                given = node.args if name in AUDITS else []
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                given = [node.value] if node.targets[0].id == "action" else []
            elif isinstance(node, ast.Tuple) and len(node.elts) == 2 and isinstance(node.elts[1], ast.Name):
                given = [node.elts[0]] if node.elts[1].id == "reference" else []  # what a chat did, and with what
            elif isinstance(node, ast.Tuple) and len(node.elts) == 2 and ast.unparse(node.elts[1]) == "''":
                given = [node.elts[0]]
            for one in given:
                found.update(code for code in _constants(one) if _ACTION.fullmatch(code))
                if isinstance(one, ast.JoinedStr) and isinstance(one.values[0], ast.Constant):
                    begins = str(one.values[0].value)
                    found.update(begins + state for state in AUDITED_STATES.get(begins, ()))
    return found


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


def _answer(topic: knowledge.Topic, language: Language, text: str) -> Iterator[Wrong]:
    """What an answer lacks, and the figures, phones, e-mails and names in it that its sources' fact sheets lack."""
    if not topic.sources or any(source["document"] not in knowledge.documents() for source in topic.sources):
        yield Wrong("no_source")
        return
    whole = len(knowledge.with_source(text, topic, language))
    if whole > MESSAGE:
        yield Wrong("long_answer", {"number": whole, "most": MESSAGE})
    sheets = [knowledge.documents()[source["document"]] for source in topic.sources]
    facts = " | ".join(_fact_words(sheets))
    figures = set(map(_digits, _FIGURE.findall(facts))) | {str(sheet.year) for sheet in sheets}
    for figure in _FIGURE.findall(_LIST_MARK.sub("", i18n.western_digits(text))):
        if _digits(figure) not in figures:
            yield Wrong("figure", {"figure": figure})
    for email in _EMAIL.findall(text):
        if email.rstrip(".") not in facts:
            yield Wrong("email", {"email": email.rstrip(".")})
    for name in sorted(_names(language)):
        if name not in facts and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text):
            yield Wrong("name", {"name": name})


@cache
def _names(language: Language) -> frozenset[str]:
    """The names that any fact sheet holds, as people of this language read them."""
    return frozenset(
        str(fact.get("names", {}).get(language, fact["value"]))
        for sheet in knowledge.documents().values()
        for fact in sheet.facts
        if fact["kind"] in _NAMES
    )


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
