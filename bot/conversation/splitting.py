"""Long texts in parts, never cut inside a letter or an emoji."""

from __future__ import annotations

import unicodedata


def split(words: str, longest: int, last: int | None = None) -> list[str]:
    """The text in parts of at most `longest` characters: cut at paragraphs, lines or words, never inside a letter.

    The last part has at most `last`, which buttons under it may need.
    """
    if last is not None and last < longest:
        before, end = _ending(words, last)
        return [*split(before, longest), end] if before else [end]
    parts: list[str] = []
    rest = words
    while len(rest) > longest:
        cut = rest.rfind("\n\n", 0, longest)
        if cut < longest // 3:
            cut = rest.rfind("\n", 0, longest)
        if cut < longest // 3:
            cut = rest.rfind(" ", 0, longest)
        if cut < longest // 3:
            cut = longest
            while cut > longest // 3 and _joined(rest, cut):
                cut -= 1
            if _joined(rest, cut):  # a letter longer than that is nobody's writing
                cut = longest
        parts.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*parts, rest] if rest or not parts else parts


def _ending(words: str, longest: int) -> tuple[str, str]:
    """What goes before, and the end of at most this many characters."""
    if len(words) <= longest:
        return "", words
    earliest = len(words) - longest
    for mark in ("\n\n", "\n", " "):
        at = words.find(mark, earliest)
        if at >= 0 and words[at:].strip():
            return words[:at].rstrip(), words[at:].strip()
    at = earliest
    while at < len(words) and _joined(words, at):
        at += 1
    at = at if at < len(words) else earliest  # a letter longer than that is nobody's writing
    return words[:at], words[at:]


def _joined(words: str, cut: int) -> bool:
    """Whether the characters before and after the cut belong to one letter or emoji as people see it."""
    before, after = words[cut - 1], words[cut]
    if _is_flag_half(before) and _is_flag_half(after):
        first = cut
        while first and _is_flag_half(words[first - 1]):
            first -= 1
        return (cut - first) % 2 == 1
    return (
        bool(unicodedata.combining(after))
        or after in "\u200d\ufe0f\ufe0e"
        or before == "\u200d"
        or "\U0001f3fb" <= after <= "\U0001f3ff"  # skin
        or "\U000e0020" <= after <= "\U000e007f"  # the flags of England, Scotland and Wales
    )


def _is_flag_half(letter: str) -> bool:
    return "\U0001f1e6" <= letter <= "\U0001f1ff"
