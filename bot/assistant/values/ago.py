"""Reads how long ago something was: « il y a 10 jours », "last week", « هادي شهرين »."""

from __future__ import annotations

import re
from typing import Final

from bot.assistant.values.numerals import with_digits
from bot.assistant.values.spelling import plain, word_set, words

_LONGEST: Final = 10  # words: what is longer is a story
_DAYS: Final = {
    1: word_set("jour jours jr jrs j day days d يوم ايام يوما nhar iyam yam youm"),
    7: word_set("semaine semaines sem smn week weeks wk wks اسبوع اسابيع سيمانه simana simanat smana ousbou3"),
    30: word_set("mois moi month months شهر شهور اشهر شهرا chhar chher chhor chhour chhora chahr"),
    365: word_set("an ans annee annees year years yr yrs عام اعوام سنه سنوات سنين 3am 3wam sna snin"),
}
_PAIRS: Final = {
    "يومين": 2, "اسبوعين": 14, "شهرين": 60, "عامين": 730, "سنتين": 730, "youmayn": 2, "yumayn": 2, "chahrayn": 60,
}  # fmt: skip
_AHEAD: Final = word_set(
    "dans in apres after prochain prochaine next demain tomorrow غدا القادم القادمه المقبل ghedda ghadda"
)
_ONE: Final = word_set("un une a an one واحد واحده wahed wahd")
_NAMED: Final = (
    (0, re.compile(r"\b(?:aujourd hui|ojd|auj|today|اليوم|lyoum|lyouma)\b")),
    (2, re.compile(r"\b(?:avant hier|before yesterday|اول امس|ول البارح|wel lbareh)\b")),
    (1, re.compile(r"\b(?:hier|yesterday|امس|البارح|البارحه|lbare7|lbareh|lbar7)\b")),
    (7, re.compile(r"\b(?:semaine (?:derniere|passee)|last week|الاسبوع (?:الماضي|الفاءت)|simana lli fat\w*)\b")),
    (30, re.compile(r"\b(?:mois (?:dernier|passe)|last month|الشهر (?:الماضي|الفاءت)|chhar lli fat\w*)\b")),
    (365, re.compile(r"\b(?:an(?:nee)? (?:dernier|passe)\w*|last year|(?:العام|السنه) (?:الماضي\w?|الفاءت))\b")),
)


def read_days_ago(text: str) -> int | None:
    """About how many days ago; None where no length of time is told."""
    said = " ".join(words(with_digits(plain(text, 200))))
    told = said.split()
    if not told or len(told) > _LONGEST or set(told) & _AHEAD:
        return None
    for days, pattern in _NAMED:
        if pattern.search(said):
            return days
    for word, after in zip(told, [*told[1:], ""], strict=True):
        if word in _PAIRS:
            return _PAIRS[word]
        number = int(word) if word.isdecimal() and len(word) < 4 else 1 if word in _ONE else None
        for days, units in _DAYS.items():
            if number is not None and after in units:
                return number * days
    return _alone(told)


def _alone(told: list[str]) -> int | None:
    """« قبل شهر », « mn simana »: one of it."""
    if told[0] in word_set("قبل منذ من هادي هذي hadi mn men since depuis") and len(told) == 2:
        return next((days for days, units in _DAYS.items() if told[1] in units), None)
    return None
