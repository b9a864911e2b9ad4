"""What every simulated person says, in each of the three languages: the same steps on Rafiq and on stock Rasa."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

import yaml

from bot.messages import Language
from bot.settings import ROOT


@dataclass(frozen=True, slots=True)
class Press:
    """The first button of the answer before is pressed."""


@dataclass(frozen=True, slots=True)
class Question:
    """Any question about the programme, as nlu/ has them: thousands a language, so that no vector is remembered."""


Step = str | Press | Question

# small talk, questions, the beginning of a first contact, a person is asked for in the middle of it
DIALOGUES: Mapping[Language, Sequence[Step]] = {
    "fr": (
        "Bonjour",
        Question(),
        Question(),
        Question(),
        "Merci beaucoup",
        "Je veux rentrer dans mon pays",
        Press(),  # consent
        Press(),  # from Morocco
        Press(),  # an adult
        "Mamadou Diallo",
        Press(),  # no telephone: by this chat
        "Je veux parler à une personne",
    ),
    "en": (
        "Hello",
        Question(),
        Question(),
        Question(),
        "Thank you very much",
        "I want to go back to my country",
        Press(),
        Press(),
        Press(),
        "Blessing Johnson",
        Press(),
        "I want to talk to a person",
    ),
    "ar": (
        "السلام عليكم",
        Question(),
        Question(),
        Question(),
        "شكرا جزيلا",
        "بغيت نرجع لبلادي",
        Press(),
        Press(),
        Press(),
        "محمد عثمان",
        Press(),
        "أريد التحدث مع شخص",
    ),
}


def talk(language: Language, chance: Random) -> Sequence[str | Press]:
    """One person's dialogue, its questions drawn by chance."""
    return [chance.choice(_questions(language)) if isinstance(step, Question) else step for step in DIALOGUES[language]]


@cache
def _questions(language: Language) -> Sequence[str]:
    described = yaml.safe_load((ROOT / "nlu" / language / "questions.yml").read_text(encoding="utf-8"))
    return [line.removeprefix("- ") for block in described["nlu"] for line in block["examples"].splitlines() if line]
