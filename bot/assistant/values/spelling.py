"""One spelling to read values in: `nlu.normalise` without its squeezing of digits ("2000" stays "2000")."""

from __future__ import annotations

import re
import unicodedata

from nlu.normalise import normalise, visible, without_accents

LONGEST = 600  # characters: an answer to a question is short; what follows is not read
_BETWEEN_DIGITS = re.compile(r"(?<=\d)(?=\d)")
_SPLINT = "\ue000"  # private use: keeps equal digits apart while repeated letters are squeezed
_NOT_WORD = re.compile(r"[^\w]+|_+")


def plain(text: str, longest: int = LONGEST) -> str:
    """Lower case, no accents or vowel marks, one form of each Arabic letter, Western digits, single spaces.

    Only the first `longest` characters are kept.
    """
    text = unicodedata.normalize("NFKC", visible(text[:longest]))[: 2 * longest].replace(_SPLINT, "")
    text = str(normalise(_BETWEEN_DIGITS.sub(_SPLINT, text)))
    return str(without_accents(text.replace(_SPLINT, ""))).strip()


def word_set(listed: str) -> frozenset[str]:
    """The words of a list written as one text."""
    return frozenset(listed.split())


def words(text: str) -> list[str]:
    """The words of a `plain` text, without punctuation."""
    return _NOT_WORD.sub(" ", text).split()


def skeleton(word: str) -> str:
    """The consonants of a word in Arabizi, one spelling of each: "sbe3tash" and "sb3tach" are "sb3tch"."""
    word = word.replace("sh", "ch").replace("5", "kh").replace("7", "h").replace("'", "")
    word = re.sub(r"[aeiouy]", "", word)
    return re.sub(r"(.)\1+", r"\1", word)
