"""Which answer fits which question of a form. Rasa asks here before it fills a slot; nothing is written here.

A form's questions are data in domain.yml: the reply `utter_ask_<form>_<slot>` names the reader that
understands its answer, its choices, and when it is asked. What the reader reads is the answer, whatever else it
might mean. What it does not read is either unreadable (the question comes again with a hint) or no answer at all
(a question, a cry for help): then Rasa's rules for digressions take over and the form waits. An age or a telephone
number that comes at another question is kept, and its own question is not asked any more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from rasa_sdk import Action
from rasa_sdk.events import SlotSet

from bot import i18n
from bot.assistant import said, values
from bot.assistant.values.spelling import word_set
from bot.messages import LANGUAGES
from nlu.normalise import visible

DOMAIN = Path(__file__).resolve().parent.parent.parent / "domain.yml"
SKIPPED = "skip"
LONGEST_TEXT = 300  # characters of a free answer
COMMANDS = {
    "talk_to_human", "stop", "resume", "delete_my_data", "my_data", "change_language", "help_menu",
    "complaint", "no_followup", "request_status",
}  # fmt: skip
# flows/ has no words for these while a form is open: the open question is asked again
ASKED_AGAIN = {
    "affirm", "answer", "deny", "goodbye", "greet", "nlu_fallback", "out_of_scope", "resume", "return_request",
    "thanks",
}  # fmt: skip
SURE = 0.6  # confidence from which a message is taken for a question or a command rather than an answer
VERY_SURE = 0.85  # the same for what is short enough to be a free answer: a name may sound like anything
STRICT = {"consent", "review", "agreed"}  # what is agreed or sent is never guessed from part of a title
AGREED = ("yes", "send", "chat")  # what a plain yes chooses, the first that is offered
REFUSED = ("no", "none", "information")  # what a plain no chooses
OPEN = {"urgent", "note"}  # « is there anything …? »: a no leaves it out
BRIEF = 3  # words of such a no: what is longer says something
BESIDE = 5  # words around a telephone number that is told at another question
NOTE = "note"  # what is written there is kept as it is, an age too
# what stands before a name or a city that is told in a sentence
_LEADING = {
    "name": re.compile(
        r"(?:(?:je m['’ ]?appell?e|j['’ ]?m['’ ]?appell?e|moi c['’ ]?est|mon nom (?:c['’ ]?est|est)|on m['’ ]?appell?e"
        r"|notez|my name is|my name na|my name|i am called|call me|they call me|i go by"
        r"|(?:il|elle) s['’ ]?appell?e|(?:his|her) name (?:is|na)|(?:ana )?smi?[yi]*ti|smi?to|smi?tha|ana ismi"
        r"|اسمي(?: هو)?|إسمي(?: هو)?|سميتي|أنا اسمي|انا اسمي|اسمه|اسمها|سميتو|سميتها)\s*[:,]?\s+)",
        re.I,
    ),
    "city": re.compile(
        r"(?:(?:je suis|j['’ ]?habite|je vis|i am|i['’ ]?m|am|i live|i dey|ana|ana kayn|أنا|انا|أعيش|اعيش|راني)\s+)?"
        r"(?:à|a|au|in|at|for|f|fi|ف|في|ب)\s+",
        re.I,
    ),
}
_GREETINGS = word_set(
    "bonjour bjr bonsoir bsr salut slt coucou hello hi hey merci mrc thanks thank you svp stp please ok oki okay oui wi"
    " yes yeah daccord d accord non nn no salam alaykoum aleykoum slm مرحبا السلام عليكم سلام شكرا نعم لا واخا wakha"
)
_CALLING = re.compile(
    r"(?<!\w)(?:r?appel|telephon|joindre|call|ring|phone|reach|اتصل|اتصال|تتصل|عيط|3a?y[ae]?t|t?3iyt)"
)
_WORD = re.compile(r"\w+")
_LETTERS = re.compile(r"[^\W\d_]+")
_DIGIT = re.compile(r"\d")
_ONLY_NUMBERS = re.compile(r"[\d\s.,+()/-]+")


class NotAnAnswer(Exception):
    """The message is about something else: leave the question open."""


class Unreadable(Exception):
    """The message is an attempt to answer, but no value can be read in it; `hint` names the text that helps."""

    def __init__(self, hint: str = "unreadable") -> None:
        super().__init__(hint)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Step:
    """One question of a form."""

    slot: str
    say: str  # text id of the question
    answer: str  # reader: choice, text, phone, country, age_group
    choices: tuple[str, ...] = ()
    skip: bool = False
    when: Mapping[str, tuple[Any, ...]] | None = None
    unless: Mapping[str, tuple[Any, ...]] | None = None
    words: Mapping[str, str] = field(default_factory=dict)  # of the choices, beside those of said.yml
    longest: int = said.LONGEST  # words of an answer in which a choice is looked for

    def applies(self, answers: Mapping[str, Any]) -> bool:
        """Whether this question is asked, given the other answers."""
        if self.when is not None and any(answers.get(slot) not in wanted for slot, wanted in self.when.items()):
            return False
        return self.unless is None or all(answers.get(s) not in wanted for s, wanted in self.unless.items())

    def choice_text(self, choice: str) -> str:
        """Text id of a choice's button."""
        return "choice.skip" if choice == SKIPPED else f"{self.say}.{choice}"


@cache
def forms() -> Mapping[str, tuple[Step, ...]]:
    """Every form of domain.yml with its questions in order."""
    domain = yaml.safe_load(DOMAIN.read_text(encoding="utf-8"))
    return {
        form: tuple(
            _step(slot, domain["responses"][f"utter_ask_{form}_{slot}"][0]["custom"])
            for slot in described["required_slots"]
        )
        for form, described in domain["forms"].items()
    }


def _step(slot: str, custom: Mapping[str, Any]) -> Step:
    return Step(
        slot=slot,
        say=custom["say"],
        answer=custom["answer"],
        choices=tuple(custom.get("choices", ())),
        skip=custom.get("skip", False),
        when={key: tuple(wanted) for key, wanted in custom["when"].items()} if "when" in custom else None,
        unless={key: tuple(wanted) for key, wanted in custom["unless"].items()} if "unless" in custom else None,
    )


def step(form: str, slot: str) -> Step:
    """The question of this slot."""
    return next(one for one in forms()[form] if one.slot == slot)


class FormCheck(Action):  # type: ignore[misc]  # rasa-sdk ships no types
    """Rasa's `validate_<form>`: reads the answer to the open question and says which comes next."""

    def __init__(self, form: str, is_over: Callable[[Mapping[str, Any]], bool]) -> None:
        self._form = form
        self._is_over = is_over

    def name(self) -> str:
        """The action's name in domain.yml."""
        return f"validate_{self._form}"

    async def run(self, dispatcher: Any, tracker: Any, domain: Any) -> list[Any]:
        """Slot events, `requested_slot` always among them."""
        steps = forms()[self._form]
        answers = {one.slot: tracker.get_slot(one.slot) for one in steps}
        asked = tracker.get_slot("requested_slot")
        if asked and _after_digression(tracker.events):
            return [SlotSet("requested_slot", asked)]  # the same question again
        given = any(answers[one.slot] and i18n.has(f"{one.say}.label") for one in steps)
        typed = str(tracker.latest_message.get("text") or "")
        if given and asked not in (None, *STRICT, NOTE) and said.corrects(typed):
            dispatcher.utter_message(json_message={"do": "choose_change"})
            return [SlotSet(asked, None), SlotSet("requested_slot", asked)]
        if given and asked not in (None, "direction", "review") and said.leaves(typed):
            dispatcher.utter_message(json_message={"do": "leave_first_contact"})
            return [SlotSet(asked, None), SlotSet("requested_slot", asked)]
        events: list[Any] = []
        read = self._read(tracker, asked, answers)
        if isinstance(read, Unreadable):
            dispatcher.utter_message(json_message={"say": f"{step(self._form, asked).say}.{read.hint}"})
            return [SlotSet(asked, None), SlotSet("requested_slot", asked)]
        if asked in read and read[asked] is None:
            for slot in (slot for slot, value in read.items() if value is not None):
                dispatcher.utter_message(json_message={"say": f"{step(self._form, slot).say}.kept"})
        if asked and not read and (tracker.latest_message.get("intent") or {}).get("name") in ASKED_AGAIN:
            read = {asked: None}  # a form that changes nothing is rejected by Rasa, which then finds no rule
        for slot, value in read.items():
            if slot == "review" and value == "change":  # which answer is asked by buttons, then the review comes again
                dispatcher.utter_message(json_message={"do": "choose_change"})
                value = None
            answers[slot] = value
            events.append(SlotSet(slot, value))
        return [*events, SlotSet("requested_slot", self._next(steps, answers))]

    def _read(self, tracker: Any, asked: str | None, answers: Mapping[str, Any]) -> Mapping[str, Any] | Unreadable:
        message = tracker.latest_message
        intent = (message.get("intent") or {}).get("name")
        entities = {entity["entity"]: entity["value"] for entity in message.get("entities") or ()}
        slots = {one.slot for one in forms()[self._form]}
        if asked is None:
            return {}
        if intent == "answer" and entities.get("field") == "review" != asked:
            return {}  # a button of an earlier read-back: what was not read back now is not sent
        if intent == "answer" and entities.get("field") in slots:
            if entities["field"] in STRICT and entities["field"] != asked:
                return {}  # a button of an earlier form: what is agreed or sent is what was just read
            return self._chosen(entities["field"], entities.get("value"))
        if intent == "change_answer" and entities.get("field") in slots:
            return {entities["field"]: None, **({"review": None} if "review" in slots else {})}
        if str(message.get("text")) == f"/{intent}":
            return {}  # a button or a command of ours that is about something else
        if answers.get("consent") is not None:
            beside = told_beside(step(self._form, asked), str(message.get("text") or ""), slots)
            if beside:
                return {asked: None, **beside}
        try:
            return {asked: read_answer(step(self._form, asked), message)}
        except NotAnAnswer:
            return {}
        except Unreadable as unreadable:
            return unreadable

    def _chosen(self, slot: str, value: Any) -> Mapping[str, Any]:
        one = step(self._form, slot)
        if value in one.choices or (one.skip and value == SKIPPED):
            return {slot: value}
        return {}

    def _next(self, steps: tuple[Step, ...], answers: Mapping[str, Any]) -> str | None:
        if self._is_over(answers):
            return None
        return next((one.slot for one in steps if answers[one.slot] is None and one.applies(answers)), None)


def told_beside(asked: Step, text: str, slots: Collection[str]) -> dict[str, str]:
    """An age, a telephone number or when to call, told at another question: the value of its own, among these slots."""
    if asked.slot == NOTE or said.asks(text):
        return {}
    if "age_group" in slots and asked.answer != "age_group":
        group = values.age_alone(text)
        if group != "unknown":
            return {"age_group": group}
    if "phone" in slots and asked.answer not in ("phone", "time", "wish", "date"):
        phone = values.read_phone(text)
        if phone is not None and len(_LETTERS.findall(text)) <= BESIDE:
            return {"phone": phone}
    if "call_time" in slots and asked.answer == "phone" and _CALLING.search(said.plain(text)):
        part = said.chosen(said.words()["first_contact.call_time"], text)  # « appelez-moi le matin »
        if part is not None and read_choice(asked, text) is None and values.read_phone(text) is None:
            return {"call_time": part}
    return {}


def read_answer(asked: Step, message: Mapping[str, Any]) -> str:
    """The value that this message (as Rasa parsed it) gives to this question.

    Raises `NotAnAnswer` for a digression and `Unreadable` for an attempt that cannot be read.
    """
    text = visible(str(message.get("text") or "")).strip()
    phone: str | None = values.read_phone(text) if asked.answer == "phone" else None
    if phone is not None:
        return phone
    chosen = read_choice(asked, text)
    if chosen is not None:
        return chosen
    if asked.answer == "age_group":
        group = values.read_age_group(text)
        if group != "unknown":
            return str(group)
    if asked.answer == "country":
        country = values.read_country(text)
        if country is not None and not _is_digression(message, text, longest_answer=8):
            return country
    if asked.slot in _LEADING and (told := _LEADING[asked.slot].match(text)) and not said.asks(text):
        text = text[told.end() :]
        if _LETTERS.search(text):
            return text[:LONGEST_TEXT]
    if asked.slot == "direction" and not said.asks(text) and _about_return(text):
        raise Unreadable("where")
    if asked.slot != NOTE and said.corrects(text):
        raise Unreadable  # no complaint
    if _is_digression(message, text, longest_answer=_longest(asked)):
        raise NotAnAnswer
    if asked.answer == "text" and is_a_text(asked, text):
        return text[:LONGEST_TEXT]
    raise Unreadable


def _about_return(text: str) -> bool:
    """Whether leaving, returning, or a country is spoken of, and no more can be read in it."""
    return values.speaks_of_return(text) or (len(text.split()) <= BRIEF and values.read_country(text) is not None)


def _longest(asked: Step) -> int:
    """Words up to which what is not read is an attempt to answer, whatever topic it may sound like."""
    return LONGEST_TEXT if asked.slot == NOTE else {"text": 4, "age_group": 4, "country": 2}.get(asked.answer, 0)


def is_a_text(asked: Step, text: str) -> bool:
    """Whether these words can be what is asked for: no number or age, no question, no greeting."""
    if asked.slot == NOTE:
        return _WORD.search(text) is not None and values.read_yes_no(text) != "yes"
    if _WORD.search(text) is None or _ONLY_NUMBERS.fullmatch(text) or said.asks(text):
        return False
    if _LETTERS.search(text) and _DIGIT.search(text) and values.read_age_group(text) != "unknown":
        return False
    return not set(said.plain(text).split()) <= _GREETINGS


def read_choice(asked: Step, text: str) -> str | None:
    """The choice that this text means, in any language: its title, its number, a yes or no, or other words for it."""
    spoken = said.plain(text)
    offered = [*asked.choices, *([SKIPPED] if asked.skip else [])]
    for position, choice in enumerate(offered, 1):
        titles = {said.plain(title) for title in i18n.every_language(asked.choice_text(choice))}
        if spoken and (spoken in titles or spoken == str(position)):
            return choice
    words = {**said.words().get(asked.say, {}), **asked.words}
    found = said.chosen(words, text, strict=asked.slot in STRICT, longest=asked.longest)
    agreed = values.read_yes_no(text) if asked.answer == "choice" or asked.slot == NOTE else "unknown"
    if found in ("yes", "no") and agreed in ("yes", "no"):  # « oui c'est bon »
        found = said.chosen(words, text, longest=0)
    if found in offered:
        return found
    for choice in {"yes": AGREED, "no": REFUSED}.get(agreed, ()):
        if choice in offered:
            return choice
    if agreed == "no" and asked.slot in OPEN and len(spoken.split()) <= BRIEF:
        return SKIPPED
    if not spoken or said.asks(text):
        return None
    if asked.slot == "direction":
        return values.read_direction(text)
    if asked.slot == "call_time" and (part := said.part_of_day(text)) is not None:
        return part
    if asked.skip and said.chosen(said.words()["choice.skip"], text) == SKIPPED:
        return SKIPPED
    return _by_a_part_of_its_title(asked, offered, spoken)


def _by_a_part_of_its_title(asked: Step, offered: Sequence[str], spoken: str) -> str | None:
    """The one choice whose title is said among other words, or has this word in it."""
    words = set(spoken.split())
    if len(spoken) < 4 or len(words) > 6 or asked.slot in STRICT or said.denies(spoken):
        return None
    titles = {
        choice: [said.plain(i18n.say(asked.choice_text(choice), language)).split() for language in LANGUAGES]
        for choice in offered
    }
    whole = {choice for choice in offered if any(set(title) <= words for title in titles[choice])}
    part = {choice for choice in offered if any(spoken in title for title in titles[choice])}
    for found in (whole, part):
        if len(found) == 1:
            return found.pop()
    return None


def _is_digression(message: Mapping[str, Any], text: str, longest_answer: int) -> bool:
    intent = message.get("intent") or {}
    name, confidence = intent.get("name"), float(intent.get("confidence") or 0)
    words = len(_WORD.findall(text))
    if not _LETTERS.search(text) or values.age_alone(text) != "unknown":
        return False  # a number or an age alone is about no topic
    if name in COMMANDS:
        return confidence >= (VERY_SURE if words <= longest_answer else SURE)
    if name == "question":
        asks = said.asks(text)
        return (confidence >= SURE and (asks or words > longest_answer)) or (asks and confidence >= 0.3)
    if name in (
        "return_request",
        "book_interview",
        "reschedule_interview",
        "cancel_interview",
        "interview_status",
    ):
        return confidence >= 0.8 and words > max(longest_answer, 2)
    return False


def _after_digression(events: list[Mapping[str, Any]]) -> bool:
    for event in reversed(events):
        if event["event"] == "action_execution_rejected":
            return True
        if event["event"] == "user":
            return False
    return False
