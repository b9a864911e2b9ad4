"""Which language a message is in: its script first, then pieces of words, learnt from our own examples.

Arabic typed in Latin letters (Arabizi) is Arabic. The person's own choice is kept; a word that every language
of the region uses ("ok", "merci", "salam") never changes the language of a conversation.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.messages import LANGUAGES, Language
from nlu.normalise import normalise

SHORTEST = 3  # words from which a message may change the language of a conversation
SURE = 0.9
_ARABIC = re.compile("[\u0620-\u065f\u066e-\u06d3\u06fa-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc]")
_LATIN = re.compile("[A-Za-zÀ-ÿ]")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
SHARED_WORDS = frozenset(
    [
        "ok",
        "okay",
        "oki",
        "merci",
        "mersi",
        "salam",
        "slm",
        "salut",
        "hello",
        "hi",
        "bonjour",
        "bjr",
        "svp",
        "stp",
        "oui",
        "non",
        "yes",
        "no",
        "stop",
        "start",
        "menu",
        "allo",
        "inchallah",
        "inshallah",
        "inshaallah",
        "hamdoulilah",
        "wallah",
        "oim",
        "iom",
        "avrr",
        "rdv",
        "whatsapp",
        "telegram",
    ]
)
NAMES: Mapping[str, Language] = {
    "francais": "fr", "french": "fr", "الفرنسيه": "fr", "فرنسيه": "fr", "بالفرنسيه": "fr", "fransawi": "fr",
    "lfrançais": "fr", "français": "fr", "fransi": "fr", "بالفرانساويه": "fr", "الفرنساويه": "fr", "فرنسي": "fr",
    "english": "en", "anglais": "en", "الانجليزيه": "en", "انجليزي": "en", "بالانجليزيه": "en", "ngliziya": "en",
    "inglizia": "en", "الانكليزيه": "en", "نجليزيه": "en", "بالنجليزيه": "en", "anglé": "en", "inglish": "en",
    "arabic": "ar", "arabe": "ar", "العربيه": "ar", "عربي": "ar", "بالعربيه": "ar", "عربيه": "ar", "3arbiya": "ar",
    "3arabiya": "ar", "arbiya": "ar", "darija": "ar", "الدارجه": "ar", "بالدارجه": "ar", "b3arbiya": "ar",
    "l3arbiya": "ar", "bl3arbiya": "ar", "العربي": "ar", "3arbia": "ar", "3arabi": "ar", "bel3arbiya": "ar",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Guess:
    """The likeliest language, how sure (0 to 1), and the number of words that speak for it."""

    language: Language
    confidence: float
    words: int


class LanguageModel:
    """Naive Bayes on pieces of words (1 to 4 letters)."""

    def __init__(self, weights: Mapping[str, tuple[float, ...]]) -> None:
        self._weights = weights

    @classmethod
    def train(cls, examples: Iterable[tuple[Language, str]]) -> LanguageModel:
        """Learn from (language, text) pairs; only the Latin script needs learning."""
        counts: dict[Language, Counter[str]] = {language: Counter() for language in LANGUAGES}
        for language, text in examples:
            if not _ARABIC.search(text):
                counts[language].update(_pieces(_words(text)))
        kept = {piece for counter in counts.values() for piece, n in counter.items() if n >= 2}
        totals = {language: sum(n for p, n in c.items() if p in kept) for language, c in counts.items()}
        smooth, size = 0.5, len(kept)
        weights = {}
        for piece in kept:
            logs = [math.log((counts[lang][piece] + smooth) / (totals[lang] + smooth * size)) for lang in LANGUAGES]
            mean = sum(logs) / len(logs)
            weights[piece] = tuple(round(value - mean, 3) for value in logs)
        return cls(weights)

    @classmethod
    def load(cls, path: Path) -> LanguageModel:
        """Read what `save` wrote."""
        return cls({piece: tuple(row) for piece, row in json.loads(path.read_text(encoding="utf-8")).items()})

    def save(self, path: Path) -> None:
        """Write the weights as JSON."""
        path.write_text(json.dumps(self._weights, ensure_ascii=False, sort_keys=True), encoding="utf-8")

    def guess(self, text: str) -> Guess | None:
        """The language of this text, or None when it has no letters."""
        arabic, latin = len(_ARABIC.findall(text)), len(_LATIN.findall(text))
        words = _words(text)
        telling = [word for word in words if word not in SHARED_WORDS and not word.isdigit()]
        if arabic and arabic * 2 >= latin:
            return Guess("ar", 1.0, len(words))
        if not latin:
            return None
        scores = [0.0] * len(LANGUAGES)
        for piece in _pieces(telling or words):
            for i, weight in enumerate(self._weights.get(piece, ())):
                scores[i] += weight
        scale = 0.35  # pieces overlap, so their evidence is not independent
        highest = max(scores)
        odds = [math.exp(scale * (score - highest)) for score in scores]
        best = max(range(len(LANGUAGES)), key=lambda i: scores[i])
        return Guess(LANGUAGES[best], odds[best] / sum(odds), len(telling))


def of_conversation(
    model: LanguageModel, text: str, current: Language | None, chosen: bool, hint: str | None
) -> Language:
    """The language to answer in: the person's choice, else what they clearly write, else what it was."""
    if chosen and current is not None:
        return current
    guess = model.guess(text)
    if guess is not None and guess.words > 0:
        clear = guess.confidence >= SURE and (guess.words >= SHORTEST or bool(_ARABIC.search(text)))
        if clear or (current is None and guess.confidence >= 0.6):
            return guess.language
    if current is not None:
        return current
    return hinted(hint) or "fr"


def hinted(hint: str | None) -> Language | None:
    """The platform's language code, if it is one of ours."""
    short = (hint or "").split("-")[0].lower()
    return next((language for language in LANGUAGES if language == short), None)


def named(text: str) -> Language | None:
    """The language that a wish names: « English please », « بالعربية »."""
    for word in _words(text):
        if word in NAMES:
            return NAMES[word]
    return None


def _words(text: str) -> list[str]:
    return _WORD.findall(normalise(text))


def _pieces(words: Iterable[str]) -> Iterable[str]:
    for word in words:
        framed = f" {word} "
        for length in (1, 2, 3, 4, 5):
            for start in range(len(framed) - length + 1):
                yield framed[start : start + length]
