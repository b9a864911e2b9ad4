"""What every simulated person says, in each of the three languages: the same steps on Rafiq and on stock Rasa."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.messages import Language


@dataclass(frozen=True, slots=True)
class Press:
    """The first button of the answer before is pressed."""


Step = str | Press

# small talk, questions, the beginning of a first contact, a person is asked for in the middle of it
DIALOGUES: Mapping[Language, Sequence[Step]] = {
    "fr": (
        "Bonjour",
        "C'est quoi le retour volontaire ?",
        "Est-ce que c'est gratuit ?",
        "Quels documents il faut pour voyager ?",
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
        "What is voluntary return?",
        "Is it free?",
        "Which documents do I need to travel?",
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
        "ما هو برنامج العودة الطوعية؟",
        "واش هادشي فابور",
        "ما هي الوثائق المطلوبة للسفر؟",
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
