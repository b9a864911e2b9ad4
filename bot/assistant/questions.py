"""Two questions in one message: « C'est gratuit ? Et je dois apporter quoi ? »."""

from __future__ import annotations

import re

from nlu.normalise import visible

_END = re.compile(r"(?<=[?؟])\s*|\n+|(?<=[.!])\s+")
# a second question begins in the middle of a sentence
_AND = re.compile(
    r"\s(?:et|and|و|w|o)\s+(?:aussi\s+|also\s+|ايضا\s+|أيضا\s+)?"
    r"(?=(?:où|ou est|comment|combien|quand|quel|qui|que |qu'|est-ce|c'est|faut|"
    r"how|what|where|when|who|which|why|can|do|is|are|"
    r"كيف|كم|متى|متي|أين|اين|فين|ماذا|ما |هل|واش|شحال|شنو|شكون|علاش|kifach|ch7al|chhal|fin|wach|chno|chkoun)\b)",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+")
LEAST = 2  # words of a question


def apart(text: str) -> list[str]:
    """The first two questions of this text, or fewer: what is too short for a question is left out."""
    pieces = [piece for end in _END.split(visible(text)) if end for piece in _AND.split(end)]
    return [piece.strip() for piece in pieces if len(_WORD.findall(piece)) >= LEAST][:2]
