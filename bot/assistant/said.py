"""How people say a choice without pressing its button: by the words of said.yml, wherever a form asks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import yaml

from bot.assistant.values.spelling import plain as spelled
from bot.assistant.values.spelling import word_set
from nlu.normalise import normalise, without_accents

LONGEST = 12  # words in which a choice is looked for; what is longer is a story
AGREES: Final = {"yes", "send"}  # of a question that commits: the words must be the whole message
TELLS_MORE: Final = {"children"}  # than the other choice that was said with it
NEGATIONS: Final = {
    "not", "no", "dont", "don", "never", "without", "ne", "pas", "pa", "non", "jamais", "sans", "aucun", "aucune",
    "لا", "ما", "ليس", "مش", "ماشي", "لن", "لم",
}  # fmt: skip
_DENIED = re.compile(r"\b(?:ma ?\w{3,}(?:ch|sh)|ما ?\w{2,}ش|(?:la|lla) (?:ma|machi|mashi))\b")
_POLITE: Final = word_set(
    "svp stp please plz merci thanks thank you s il vous te plait bonjour bonsoir salut slm salam hello hi"
    " pardon sorry desole 3afak afak من فضلك فضلكم شكرا عافاك سلام مرحبا"
)
_WORD = re.compile(r"\w+")
_ASKS_ANYWHERE = re.compile(
    r"\b(?:comment|cmt|cmnt|combien|cb|cbien|konbien|pourquoi|pk|pq|est ce que|c est quoi|c quoi|c koi|cest quoi"
    r"|qu est ce|how|howfar|why|what|wats|wetin|كيف|كيفاش|هل|لماذا|علاش|شحال|واش|ماذا|شنو|اشنو"
    r"|wach|wash|wech|kifach|kifash|chhal|ch7al|3lach|3lash|chno|chnou|achno|fo9ach|fuqach)\b"
)
_ASKS_FIRST = re.compile(
    r"(?:et |and |mais |but |و ?|w |donc |alors |ok )?(?:quand|quel|quels|quelle|quelles|qui|ou est|ou sont|ou se"
    r"|ou dois|ou aller|ou je|ki|kan|que dois|que faut|que se|dois je|puis je|faut il|fo til|est il|y a t"
    r"|c est gratui\w*|c gratui\w*|faut payer|fo payer|when|where|who|which|whose|can i|can you|do i|do you|does"
    r"|is it|is there|are you|are there|must i|will i|will you|should i|متي|اين|فين|من هو|ما هو|ما هي|كم|مين|شكون"
    r"|imta|fin|fayn|chkoun)\b"
)
_WHERE = re.compile(r"\b(?:où|c['’ ]?est ou\b|c ou\b)", re.I)
_HOUR = re.compile(
    r"\b([01]?\d|2[0-3]) ?(?:h|:|heures?|o'? ?clock)(?: ?[0-5]\d)?\b|\b([01]?\d) ?(am|pm)\b|الساعه (\d{1,2})\b"
)


def plain(text: str) -> str:
    """The words of a message in one spelling."""
    return " ".join(_WORD.findall(without_accents(normalise(text))))


def asks(text: str) -> bool:
    """Whether this is a question rather than an answer, with a question mark or without."""
    if text.rstrip().endswith(("?", "؟")) or _WHERE.search(text):
        return True
    said = " ".join(word for word in plain(text).split() if word not in _POLITE)
    return _ASKS_ANYWHERE.search(said) is not None or _ASKS_FIRST.match(said) is not None


def denies(text: str) -> bool:
    """Whether something is denied in it."""
    said = plain(text)
    return bool(set(said.split()) & NEGATIONS) or _DENIED.search(said) is not None


@cache
def words() -> Mapping[str, Mapping[str, str]]:
    """What said.yml has: question, choice, words."""
    loaded: Mapping[str, Mapping[str, str]] = yaml.safe_load(
        Path(__file__).with_suffix(".yml").read_text(encoding="utf-8")
    )
    return loaded


def chosen(listed: Mapping[str, str], text: str, strict: bool = False, longest: int = LONGEST) -> str | None:
    """The one choice whose words this message says; None for none, for several, and for a question.

    `listed` has the words of each choice. `strict`: agreement must be the whole message. With a `longest` of 0 every
    choice must.
    """
    spoken = plain(text)
    marked = text.rstrip().endswith(("?", "؟"))
    whole = " ".join(word for word in spoken.split() if word not in _POLITE) or spoken
    long = len(spoken.split()) > longest or asks(text)
    found: dict[str, int] = {}
    for choice, phrases in listed.items():
        for phrase, exactly in _phrases(phrases):
            if phrase in (spoken, whole) and not marked:
                found[choice] = 99  # nothing else is said
            elif exactly or long or (strict and choice in AGREES):
                continue
            elif f" {phrase} " in f" {spoken} " and not (denies(spoken) and not denies(phrase)):
                found[choice] = max(found.get(choice, 0), len(phrase.split()))
    best = [choice for choice, length in found.items() if length == max(found.values())]
    if len(best) > 1:
        best = [choice for choice in found if choice in TELLS_MORE]
    return best[0] if len(best) == 1 else None


def corrects(text: str) -> bool:
    """« Je me suis trompé »: an answer that was given before is to be changed."""
    return chosen(words()["first_contact.which_change"], text) is not None


def leaves(text: str) -> bool:
    """« Annuler »: the whole form is to be left."""
    return chosen(words()["first_contact.cancelled"], text) is not None


@cache
def _phrases(listed: str) -> tuple[tuple[str, bool], ...]:
    return tuple((plain(one.lstrip("=").replace("_", " ")), one.startswith("=")) for one in listed.split())


def part_of_day(text: str) -> str | None:
    """« 18h », « after 5 pm »: the part of the day of the one hour in it."""
    hours = set()
    for at in _HOUR.finditer(spelled(text, 100)):
        hour = int(at[1] or at[2] or at[4])
        hours.add(hour + 12 if at[3] == "pm" and hour < 12 else hour)
    if len(hours) != 1:
        return None
    hour = hours.pop()
    return "morning" if 5 <= hour < 12 else "afternoon" if 12 <= hour < 17 else "evening"
