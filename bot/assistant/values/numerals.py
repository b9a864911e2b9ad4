"""Number words of French, English, Arabic, Darija and Arabizi, turned into digits."""

from __future__ import annotations

import re
from typing import Final

from bot.assistant.values.spelling import skeleton

_FRENCH_ENGLISH_UNITS: Final = {
    "un": 1, "une": 1, "deux": 2, "trois": 3, "quatre": 4, "cinq": 5, "six": 6, "sept": 7, "huit": 8,
    "neuf": 9,
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "seven": 7, "eight": 8, "nine": 9,
    "cinc": 5, "cink": 5, "katre": 4, "katr": 4, "trwa": 3,
}  # fmt: skip
_TEENS: Final = {
    "dix": 10, "onze": 11, "douze": 12, "treize": 13, "quatorze": 14, "quinze": 15, "seize": 16,
    "diset": 17, "dizuit": 18, "diznef": 19, "dix7": 17, "dix8": 18, "dix9": 19, "kinze": 15, "kinz": 15,
    "katorze": 14, "katorz": 14, "seze": 16, "seiz": 16, "sez": 16, "trez": 13, "douz": 12, "onz": 11,
    "dixsept": 17, "dixhuit": 18, "dixneuf": 19,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "forteen": 14, "fiveteen": 15, "sixten": 16,
    "seventen": 17, "eighten": 18, "eigteen": 18, "eighteeen": 18, "nineten": 19, "ninteen": 19,
    "حداش": 11, "احداش": 11, "حضاش": 11, "طناش": 12, "اطناش": 12, "تناش": 12, "اتناش": 12, "اثناش": 12,
    "تلطاش": 13, "ثلطاش": 13, "تلتاش": 13, "تلاتاش": 13, "ثلاثاش": 13, "ربعطاش": 14, "اربعطاش": 14,
    "ربعتاش": 14, "اربعتاش": 14, "خمسطاش": 15, "خمستاش": 15, "خمساش": 15, "سطاش": 16, "ستاش": 16,
    "ستطاش": 16, "سطعش": 16, "سبعطاش": 17, "سبعتاش": 17, "سبعطعش": 17, "تمنطاش": 18, "ثمنطاش": 18,
    "تمنتاش": 18, "طمنطاش": 18, "تمانتاش": 18, "تسعطاش": 19, "تسعتاش": 19, "ثسعطاش": 19,
}  # fmt: skip
_TENS: Final = {
    "vingt": 20, "vingts": 20, "vingte": 20, "ving": 20, "vint": 20, "trente": 30, "trent": 30,
    "quarante": 40,
    "karante": 40, "quarente": 40, "karant": 40, "cinquante": 50, "cinkante": 50, "soixante": 60,
    "septante": 70, "huitante": 80, "nonante": 90,
    "twenty": 20, "twenti": 20, "tweny": 20, "thirty": 30, "thirthy": 30, "forty": 40, "fourty": 40,
    "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_ARABIC_UNITS: Final = {
    "واحد": 1, "واحده": 1, "وحده": 1, "احدي": 1, "احد": 1, "اثنان": 2, "اثنين": 2, "اثنتان": 2, "اتنين": 2,
    "اثنا": 2, "اثنتا": 2, "تنين": 2, "جوج": 2, "زوج": 2, "ثلاثه": 3, "ثلاث": 3, "تلاته": 3, "تلات": 3,
    "تلت": 3, "اربعه": 4, "اربع": 4, "ربعه": 4, "خمسه": 5, "خمس": 5, "سته": 6, "ست": 6, "سبعه": 7, "سبع": 7,
    "ثمانيه": 8, "ثماني": 8, "ثمان": 8, "تمنيه": 8, "تمانيه": 8, "تسعه": 9, "تسع": 9, "تسعود": 9,
    "wahed": 1, "wa7ed": 1, "wahd": 1, "wahda": 1, "we7da": 1, "whda": 1, "jouj": 2, "juj": 2, "joj": 2,
    "zouj": 2, "tnin": 2, "tlata": 3, "tlat": 3, "thalatha": 3, "rb3a": 4, "reb3a": 4, "arb3a": 4,
    "arba3a": 4,
    "rab3a": 4, "khmsa": 5, "khamsa": 5, "5amsa": 5, "5msa": 5, "setta": 6, "stta": 6, "sitta": 6,
    "sb3a": 7, "seb3a": 7, "sab3a": 7, "tmnya": 8, "tmenya": 8, "tmanya": 8, "tamanya": 8, "ts3a": 9,
    "ts3oud": 9, "tes3oud": 9, "tis3a": 9, "tes3a": 9, "ts3ud": 9,
}  # fmt: skip
_ARABIC_TEN: Final = {"عشر", "عشره", "3achra", "3chra", "3ashra", "3echra", "3achar"}
_ARABIC_TENS: Final = {
    "عشرين": 20, "عشرون": 20, "ثلاثين": 30, "ثلاثون": 30, "تلاتين": 30, "اربعين": 40, "اربعون": 40,
    "ربعين": 40, "خمسين": 50, "خمسون": 50, "ستين": 60, "ستون": 60, "سبعين": 70, "سبعون": 70, "ثمانين": 80,
    "ثمانون": 80, "تمانين": 80, "تسعين": 90, "تسعون": 90, "settin": 60, "stin": 60, "tmanin": 80,
}  # fmt: skip
_SKELETONS: Final = {
    "hdch": 11, "tn3ch": 12, "tnch": 12, "tltch": 13, "tltach": 13, "rb3tch": 14, "rbtch": 14,
    "khmstch": 15, "stch": 16, "sttch": 16, "sb3tch": 17, "sbtch": 17, "tmntch": 18, "ts3tch": 19,
    "tstch": 19,
}  # fmt: skip
_SKELETON_TENS: Final = {
    "3chrn": 20, "chrn": 20, "tltn": 30, "tlthn": 30, "thlthn": 30, "rb3n": 40, "khmsn": 50, "sb3n": 70,
    "ts3n": 90,
}  # fmt: skip
_AND: Final = {"و", "w", "o", "u", "wa", "ou", "et", "and", "e"}
_WORD = re.compile(r"[^\W_]+")


def _unit(word: str) -> int | None:
    return _FRENCH_ENGLISH_UNITS.get(word) or _ARABIC_UNITS.get(word)


def _arabizi(word: str, table: dict[str, int]) -> int | None:
    if not ("a" <= word[0] <= "z" or word[0] in "3579") or word.isdigit() or len(word) > 12:
        return None
    return table.get(skeleton(word))


def _arabic_tens(word: str) -> int | None:
    return _ARABIC_TENS.get(word) or _arabizi(word, _SKELETON_TENS)


def _teen(word: str) -> int | None:
    if word.endswith("اشر"):  # the eastern form of the teens
        word = word[:-1]
    return _TEENS.get(word) or _arabizi(word, _SKELETONS)


def _number_at(words: list[str], i: int) -> tuple[int, int] | None:
    """The number that starts at this word and how many words it takes; None where no number starts."""
    word, rest = words[i], [*words[i + 1 : i + 4], "", "", ""]
    following = rest[1] if rest[0] in _AND else rest[0]
    step = 3 if rest[0] in _AND else 2
    if word == "quatre" and rest[0] in ("vingt", "vingts"):
        low = _FRENCH_ENGLISH_UNITS.get(rest[1]) or _TEENS.get(rest[1]) or 0
        if low == 10 and rest[2] in ("sept", "huit", "neuf"):
            return 90 + _FRENCH_ENGLISH_UNITS[rest[2]], 4
        return 80 + low, 3 if low else 2
    if (tens := _TENS.get(word)) is not None:
        if tens == 60 and (low := _TEENS.get(following) or 0):
            if low == 10 and (end := rest[step - 1]) in ("sept", "huit", "neuf"):
                return 70 + _FRENCH_ENGLISH_UNITS[end], step + 1
            return 60 + low, step
        low = _FRENCH_ENGLISH_UNITS.get(following, 0)
        return (tens + low, step) if low else (tens, 1)
    if word == "dix" and rest[0] in ("sept", "set", "huit", "uit", "neuf", "nef"):
        return {"s": 17, "h": 18, "u": 18, "n": 19}[rest[0][0]], 2
    if (unit := _ARABIC_UNITS.get(word)) is not None:
        if rest[0] in _ARABIC_TEN:
            return 10 + unit, 2
        if rest[0] in _AND and (tens := _arabic_tens(rest[1])) is not None if rest[1] else False:
            return unit + int(tens or 0), 3
        if rest[0][:1] == "و" and (tens := _ARABIC_TENS.get(rest[0][1:])) is not None:
            return unit + tens, 2
    for value in (_teen(word), _arabic_tens(word), _unit(word)):
        if value is not None:
            return value, 1
    return (10, 1) if word in _ARABIC_TEN else None


def with_digits(text: str, keep: frozenset[str] = frozenset()) -> str:
    """The `plain` text with its number words written as digits ("dix sept ans" → "17 ans").

    A lone "one" in any language stays a word, since it is an article more often than a number; so do the
    words in `keep`.
    """
    found = list(_WORD.finditer(text))
    words = [word[0] for word in found]
    pieces: list[str] = []
    done = i = 0
    while i < len(words):
        number = None if words[i] in keep else _number_at(words, i)
        if number is None or (number == (1, 1)):
            i += 1
            continue
        value, taken = number
        pieces += [text[done : found[i].start()], str(value)]
        i += taken
        done = found[i - 1].end()
    return "".join([*pieces, text[done:]])


def whole(text: str) -> int | None:
    """The number that the `plain` text is, in digits or words; None where it says anything else."""
    words = _WORD.findall(text)
    if len(words) == 1 and words[0].isdecimal() and len(words[0]) < 4:
        return int(words[0])
    number = _number_at(words, 0) if words else None
    return number[0] if number is not None and number[1] == len(words) else None
