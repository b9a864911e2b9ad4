"""Reads a telephone number out of a message, as E.164."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberType

from nlu.normalise import visible

HOST_REGIONS = ("MA", "MR")  # where the people who write to us are
_LONGEST = 4_000  # characters read
_MOST_CANDIDATES = 30
_NOT_PERSONAL = {
    PhoneNumberType.PREMIUM_RATE,
    PhoneNumberType.TOLL_FREE,
    PhoneNumberType.SHARED_COST,
    PhoneNumberType.UAN,
    PhoneNumberType.VOICEMAIL,
    PhoneNumberType.PAGER,
}
_DATE = re.compile(r"(?<![\d./-])(?:\d{1,2}([./-])\d{1,2}\1(?:19|20)\d\d|(?:19|20)\d\d([./-])\d\d?\2\d\d?)(?![./-]?\d)")
_CLOCK = re.compile(r"(?<![\d.+])\d{1,2} ?(?:[hH] ?\d{0,2}(?![\w])|:\d\d(?!\d)|[aApP][mM]\b|heures?\b)")
# mobile numbers of Senegal, Guinea and Cameroon look like Moroccan ones that lost their zero
_FROM_HOME = re.compile(r"(?:6[25-9]|7[05-8])\d{7}")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_LETTER_O = re.compile(r"(?<![^\W\d_])[oO](?=[ .-]?[5-7](?:[ .-]?\d){7})")
_RUN = re.compile(r"(?<![\d+])(?:\(?\+ ?)?\(?\d+(?:[ .\-/()_·*‐-―−]{1,3}\d+)*")
_GROUP = re.compile(r"\+? ?\d+")
_TRUNK_ZERO = re.compile(r"(?<=\d) ?\( ?0 ?\)")
_EXTENSION = re.compile(r"[\s,.;]{0,3}(?:ext(?:ension)?|poste|x|#|تحويلة)[\s.:]{0,2}\d", re.I)
_REFERENCE = re.compile(
    r"(?:dossier|passe?port|\bcin\b|carte|case|r[eé]f\w{0,8}|\bfile|\bid|ملف|جواز|بطاقة)\W{0,3}"
    r"(?:number|num[eé]?r?o?|n°|no|id|رقم)?\W{0,3}(?:is|est|c'est|هو)?\W{0,3}\Z",
    re.I,
)


def read_phone(text: str, region: str | None = None) -> str | None:
    """The one valid personal number in the text as E.164 ("+212612345678"), or None.

    `region` (ISO 3166 two letters) reads numbers written without country code; without it they are tried
    as Moroccan, then Mauritanian, then as an international number that lost its plus. None too for two
    different numbers, for a number with an extension, and without `region` for what may as well be a number
    of Senegal, Guinea or Cameroon: « 77 123 45 67 ».
    """
    text = unicodedata.normalize("NFKC", visible(text[:_LONGEST]))[:_LONGEST]
    text = _NOT_ASCII.sub(lambda character: _western_digit(character[0]), text)
    text = _LETTER_O.sub("0", _CLOCK.sub(" ; ", _DATE.sub(" ; ", _TRUNK_ZERO.sub("", text))))
    found = {
        number
        for candidate in _candidates(text)
        if (number := _valid(candidate, region.upper() if region else None)) is not None
    }
    return found.pop() if len(found) == 1 else None


def _western_digit(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    return " " if character.isspace() else character if digit is None else str(digit)


def _candidates(text: str) -> Iterator[str]:
    """Digits with an optional leading plus, of every run that is long enough for a number."""
    for count, run in enumerate(_RUN.finditer(text)):
        if count > _MOST_CANDIDATES:
            return
        if _EXTENSION.match(text, run.end()) or _REFERENCE.search(text[max(0, run.start() - 40) : run.start()]):
            continue
        for number in _numbers_of(run[0]):
            if 7 <= len(number.lstrip("+")) <= 17:
                yield number


def _numbers_of(run: str) -> Iterator[str]:
    """A run of digit groups is one number, unless a group is long enough to be a number by itself."""
    together = ""
    for match in _GROUP.finditer(run):
        group = match[0].replace(" ", "")
        if group[0] == "+" or len(group) >= 8:
            if together.lstrip("+") and (group[0] == "+" or len(together) > 5 or together[0] not in "+02"):
                yield together
                together = ""
            together += group
            continue
        together += group
    yield together


def _valid(candidate: str, region: str | None) -> str | None:
    if candidate.startswith("00"):
        candidate = "+" + candidate[2:]
    if candidate.startswith("+"):
        return _parsed(candidate, None)
    first = HOST_REGIONS if region is None else (region, *HOST_REGIONS) if region in HOST_REGIONS else (region,)
    if region is None and _FROM_HOME.fullmatch(candidate):
        return None
    for one in first:
        number = _parsed(candidate, one)
        if number is not None:
            return number
    if not candidate.startswith("0") and len(candidate) >= 10:
        return _parsed("+" + candidate, None)
    return None


def _parsed(number: str, region: str | None) -> str | None:
    try:
        parsed = phonenumbers.parse(number, region)
    except NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed) or phonenumbers.number_type(parsed) in _NOT_PERSONAL:
        return None
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))
