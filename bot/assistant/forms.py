"""Which answer fits which question of a form. Rasa asks here before it fills a slot; nothing is written here.

A form's questions are data in domain.yml: the reply `utter_ask_<form>_<slot>` names the reader that
understands its answer, its choices, and when it is asked. An answer that does not fit is either unreadable
(the question comes again with a hint) or no answer at all (a question, a cry for help): then Rasa's rules
for digressions take over and the form waits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from rasa_sdk import Action
from rasa_sdk.events import SlotSet

from bot import i18n
from bot.assistant import values
from bot.messages import LANGUAGES
from nlu.normalise import normalise, visible, without_accents

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
NEGATIONS = {
    "not",
    "no",
    "dont",
    "don",
    "never",
    "ne",
    "pas",
    "non",
    "jamais",
    "لا",
    "ما",
    "ليس",
    "مش",
    "ماشي",
    "لن",
    "la",
    "ma",
}
_WORD = re.compile(r"\w+")


class NotAnAnswer(Exception):
    """The message is about something else: leave the question open."""


class Unreadable(Exception):
    """The message is an attempt to answer, but no value can be read in it."""


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
        events: list[Any] = []
        read = self._read(tracker, asked)
        if isinstance(read, Unreadable):
            dispatcher.utter_message(json_message={"say": f"{step(self._form, asked).say}.unreadable"})
            return [SlotSet(asked, None), SlotSet("requested_slot", asked)]
        if asked and not read and (tracker.latest_message.get("intent") or {}).get("name") in ASKED_AGAIN:
            read = {asked: None}  # a form that changes nothing is rejected by Rasa, which then finds no rule
        for slot, value in read.items():
            if slot == "review" and value == "change":  # which answer is asked by buttons, then the review comes again
                dispatcher.utter_message(json_message={"do": "choose_change"})
                value = None
            answers[slot] = value
            events.append(SlotSet(slot, value))
        return [*events, SlotSet("requested_slot", self._next(steps, answers))]

    def _read(self, tracker: Any, asked: str | None) -> Mapping[str, Any] | Unreadable:
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


def read_answer(asked: Step, message: Mapping[str, Any]) -> str:
    """The value that this message (as Rasa parsed it) gives to this question.

    Raises `NotAnAnswer` for a digression and `Unreadable` for an attempt that cannot be read.
    """
    text = visible(str(message.get("text") or "")).strip()
    chosen = read_choice(asked, text)
    if chosen is not None:
        return chosen
    if asked.answer == "phone":
        phone: str | None = values.read_phone(text)
        if phone is not None:
            return phone
    if asked.answer == "age_group":
        group = values.read_age_group(text)
        if group != "unknown":
            return str(group)
    if asked.answer == "country":
        country = values.read_country(text)
        if country is not None and not _is_digression(message, text, longest_answer=8):
            return country
    if _is_digression(message, text, longest_answer={"text": 4}.get(asked.answer, 0)):
        raise NotAnAnswer
    if asked.answer == "text" and _WORD.search(text):
        return text[:LONGEST_TEXT]
    raise Unreadable


def read_choice(asked: Step, text: str) -> str | None:
    """The choice whose button this text repeats, in any language, by its title, its number, or a yes or no."""
    said = _plain(text)
    offered = [*asked.choices, *([SKIPPED] if asked.skip else [])]
    for position, choice in enumerate(offered, 1):
        titles = {_plain(title) for title in i18n.every_language(asked.choice_text(choice))}
        if said and (said in titles or said == str(position)):
            return choice
    if asked.answer == "choice":
        read = values.read_yes_no(text)
        if read != "unknown" and read in asked.choices:
            return read
        if read == "yes" and "send" in asked.choices:
            return "send"
    words = set(said.split())
    if said and len(said) >= 4 and asked.slot not in STRICT and not words & NEGATIONS:
        for choice in offered:
            for language in LANGUAGES:
                title = _plain(i18n.say(asked.choice_text(choice), language))
                if said in title.split() or (len(words) <= 6 and set(title.split()) <= words):
                    return choice
    return None


def _is_digression(message: Mapping[str, Any], text: str, longest_answer: int) -> bool:
    intent = message.get("intent") or {}
    name, confidence = intent.get("name"), float(intent.get("confidence") or 0)
    words = len(_WORD.findall(text))
    if name in COMMANDS:
        return confidence >= (VERY_SURE if words <= longest_answer else SURE)
    if name == "question":
        asks = text.rstrip().endswith(("?", "؟"))
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


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(without_accents(normalise(text))))
