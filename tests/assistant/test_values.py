"""The value readers: own cases per kind, hostile input, and the development set's gate."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.assistant.values import (
    command,
    numerals,
    read_age_group,
    read_country,
    read_date_time,
    read_phone,
    read_week,
    read_yes_no,
)
from bot.messages import Language

DEV_SET = Path(__file__).with_name("values.dev.jsonl")
CASABLANCA = "Africa/Casablanca"
WEDNESDAY = datetime(2026, 11, 18, 9, 0, tzinfo=ZoneInfo(CASABLANCA))
LONGEST_MS = 50.0

PHONES: list[tuple[str, str | None, str | None]] = [
    ("0612345678", "MA", "+212612345678"),
    ("06 12 34 56 78", None, "+212612345678"),
    ("mon numero c 06.12.34.56.78", None, "+212612345678"),
    ("+212 6 12 34 56 78", None, "+212612345678"),
    ("00212612345678", None, "+212612345678"),
    ("٠٦١٢٣٤٥٦٧٨", "MA", "+212612345678"),
    ("رقمي هو ٠٠٢١٢٦١٢٣٤٥٦٧٨", None, "+212612345678"),
    ("۰۶۱۲۳۴۵۶۷۸", None, "+212612345678"),
    ("٠٦ ١٢ ٣٤ ٥٦ ٧٨ هادا رقمي", None, "+212612345678"),
    ("نمرتي 0661-23-45-67", None, "+212661234567"),
    ("+222 36 12 34 56", None, "+22236123456"),
    ("36123456", "MR", "+22236123456"),
    ("call me on 36-12-34-56", None, "+22236123456"),
    ("22236123456", "MR", "+22236123456"),
    ("+221 77 123 45 67", "MA", "+221771234567"),
    ("00 224 622 12 34 56", None, "+224622123456"),
    ("my whatsapp is +2348031234567", None, "+2348031234567"),
    ("+234 (0) 803 123 4567", None, "+2348031234567"),
    ("0803 123 4567", "NG", "+2348031234567"),
    ("771234567", "SN", "+221771234567"),
    ("77 123 45 67", "SN", "+221771234567"),
    ("77 123 45 67", None, None),  # Senegal's, or Morocco's without its zero
    ("622 12 34 56", None, None),
    ("622 12 34 56", "GN", "+224622123456"),
    ("6 61 23 45 67", "MA", "+212661234567"),
    ("+212-612-345-678", None, "+212612345678"),
    ("(+212) 612345678", None, "+212612345678"),
    ("tel:+212612345678", None, "+212612345678"),
    ("wa.me/212612345678", None, "+212612345678"),
    ("212612345678", None, "+212612345678"),
    ("\u202a+212 612\u00a0345\u00a0678\u202c", None, "+212612345678"),
    ("+33 6 12 34 56 78", None, "+33612345678"),
    ("c le 0033612345678 merci", "MA", "+33612345678"),
    ("612345678", None, "+212612345678"),
    ("+223 70 12 34 56", None, "+22370123456"),
    ("+225 07 08 12 34 56", None, "+2250708123456"),
    ("num 0612 34 56 78 svp appelez moi a 10h", None, "+212612345678"),
    ("＋２１２６１２３４５６７８", None, "+212612345678"),
    ("06/12/34/56/78", "MA", "+212612345678"),
    ("06 12 34 56 78, je répète 0612345678", None, "+212612345678"),
    ("voici mon contact 00212 (0) 677 88 99 00", None, "+212677889900"),
    ("10h30 au 0661234567", "MA", "+212661234567"),
    ("0612345678 ou 0712345678", None, None),
    ("06123456789", None, None),
    ("0612345", "MA", None),
    ("12345", None, None),
    ("+999 123456789", None, None),
    ("rdv 24/11/2026 10:00", None, None),
    ("j'ai pas de numéro", None, None),
    ("j'ai 16 ans et 2 enfants", "MA", None),
    ("", None, None),
]

COUNTRIES: list[tuple[str, str | None]] = [
    ("je viens du mali", "ML"),
    ("ana mn guinea", "GN"),
    ("guinée conakry", "GN"),
    ("guinea bissau", "GW"),
    ("la Guinée-Bissau svp", "GW"),
    ("guinee equatorial", "GQ"),
    ("cote d ivoir", "CI"),
    ("I am from ivory coast", "CI"),
    ("ساحل العاج", "CI"),
    ("كوت ديفوار", "CI"),
    ("naija", "NG"),
    ("i wan go back 9ja", "NG"),
    ("nigéria", "NG"),
    ("niger", "NE"),
    ("النيجر", "NE"),
    ("انا من نيجيريا", "NG"),
    ("ah de go salone", "SL"),
    ("sierra leon", "SL"),
    ("RIM", "MR"),
    ("موريتانيا", "MR"),
    ("moritania", "MR"),
    ("ile maurice", "MU"),
    ("RDC", "CD"),
    ("congo brazza", "CG"),
    ("congo kinshasa", "CD"),
    ("gambie", "GM"),
    ("The Gambia", "GM"),
    ("bghit nrje3 l lmaghrib", "MA"),
    ("المغرب", "MA"),
    ("من السنغال", "SN"),
    ("sénegal 🇸🇳", "SN"),
    ("camerun", "CM"),
    ("kamerun", "CM"),
    ("soudan du sud", "SS"),
    ("السودان", "SD"),
    ("afrique du sud", "ZA"),
    ("tchad", "TD"),
    ("burkina", "BF"),
    ("centrafrique", "CF"),
    ("🇬🇳", "GN"),
    ("lybie", "LY"),
    ("سوريا", "SY"),
    ("je veux rentrer au bled", None),
    ("home", None),
    ("my country", None),
    ("conakry", None),
    ("west africa", None),
    ("mali ou sénégal", None),
    ("je sais pas", None),
    ("je suis un homme", None),
    ("بلادي", None),
    ("", None),
]

AGES: list[tuple[str, str]] = [
    ("16", "child"),
    ("j'ai 16 ans", "child"),
    ("jé 16 an", "child"),
    ("3ndi 20 3am", "adult"),
    ("18", "adult"),
    ("17 ans et demi", "child"),
    ("17 or 18 not sure", "unknown"),
    ("dix-sept ans", "child"),
    ("jai vingt cinq ans", "adult"),
    ("twenty one", "adult"),
    ("im seventeen", "child"),
    ("عمري ١٧ سنة", "child"),
    ("عندي عشرين عام", "adult"),
    ("سبعطاش", "child"),
    ("عندي تمنطاش عام", "adult"),
    ("3ndi sb3tach 3am", "child"),
    ("3chrin 3am", "adult"),
    ("خمسة وعشرين سنة", "adult"),
    ("ستة عشر عاما", "child"),
    ("mineur", "child"),
    ("je suis majeure", "adult"),
    ("je suis pas majeur", "child"),
    ("over 18", "adult"),
    ("under 18", "child"),
    ("moins de 18 ans", "child"),
    ("plus de 18", "adult"),
    ("أكثر من 18", "adult"),
    ("أقل من ثمانية عشر سنة", "child"),
    ("قاصر", "child"),
    ("أنا بالغ", "adult"),
    ("adult", "adult"),
    ("i am still a minor", "child"),
    ("18+", "adult"),
    ("<18", "child"),
    ("almost 18", "child"),
    ("pas encore 18 ans", "child"),
    ("je suis né en 1995", "adult"),
    ("quarante-deux", "adult"),
    ("je suis une fille de 16 ans", "child"),
    ("j'ai 38 ans et ma fille 6", "adult"),
    ("عندي سبعتاشر سنة", "child"),
    ("environ 40 ans", "adult"),
    ("I don't know my age", "unknown"),
    ("j'ai 2 enfants", "unknown"),
    ("je suis au maroc depuis 6 ans", "unknown"),
    ("0612345678", "unknown"),
    ("300", "unknown"),
    ("", "unknown"),
]

YES_NO: list[tuple[str, str]] = [
    ("oui", "yes"),
    ("Ouiiii", "yes"),
    ("wi", "yes"),
    ("ouais c bon", "yes"),
    ("yeah", "yes"),
    ("yes please", "yes"),
    ("daccord", "yes"),
    ("iyeh", "yes"),
    ("iwa", "yes"),
    ("ah", "yes"),
    ("naam", "yes"),
    ("نعم", "yes"),
    ("إيه", "yes"),
    ("واخا", "yes"),
    ("wakha", "yes"),
    ("waaw", "yes"),
    ("eey", "yes"),
    ("awo", "yes"),
    ("👍🏾", "yes"),
    ("bien sûr", "yes"),
    ("no problem", "yes"),
    ("pas de problème", "yes"),
    ("ماشي مشكل", "yes"),
    ("je veux bien", "yes"),
    ("أكيد، أوافق", "yes"),
    ("non", "no"),
    ("nn", "no"),
    ("non merci", "no"),
    ("pas du tout", "no"),
    ("pas d'accord", "no"),
    ("i dont agree", "no"),
    ("no no no", "no"),
    ("la", "no"),
    ("lla", "no"),
    ("لا شكرا", "no"),
    ("لا أوافق", "no"),
    ("ma bghitch", "no"),
    ("ما بغيتش", "no"),
    ("déet", "no"),
    ("alaa", "no"),
    ("ayi", "no"),
    ("bien sûr que non", "no"),
    ("👎", "no"),
    ("non c'est bon", "no"),
    ("non pas maintenant", "no"),
    ("oui mais pourquoi ?", "unknown"),
    ("pourquoi ?", "unknown"),
    ("peut-être", "unknown"),
    ("inchallah", "unknown"),
    ("je ne sais pas", "unknown"),
    ("not sure", "unknown"),
    ("oui ou non ?", "unknown"),
    ("ما عرفتش", "unknown"),
    ("la personne est où", "unknown"),
    ("", "unknown"),
]

DATES: list[tuple[str, Language, str | None]] = [
    ("demain", "fr", "2026-11-19"),
    ("dmain 10h", "fr", "2026-11-19T10:00"),
    ("après-demain à 14h30", "fr", "2026-11-20T14:30"),
    ("ojd a 15h", "fr", "2026-11-18T15:00"),
    ("ce soir", "fr", "2026-11-18 evening"),
    ("lundi prochain", "fr", "2026-11-23"),
    ("mercredi", "fr", "2026-11-25"),
    ("mardi matin", "fr", "2026-11-24 morning"),
    ("le 25", "fr", "2026-11-25"),
    ("le 5", "fr", "2026-12-05"),
    ("25/11 à 9h", "fr", "2026-11-25T09:00"),
    ("le 1er janvier", "fr", "2027-01-01"),
    ("3 mars", "fr", "2027-03-03"),
    ("samedi 28 novembre a 15 h", "fr", "2026-11-28T15:00"),
    ("demain midi", "fr", "2026-11-19T12:00"),
    ("jeudi après-midi", "fr", "2026-11-19 afternoon"),
    ("dans 15 jours", "fr", "2026-12-03"),
    ("dans une semaine", "fr", "2026-11-25"),
    ("lundi à deux heures de l'après midi", "fr", "2026-11-23T14:00"),
    ("10h", "fr", None),
    ("le matin", "fr", None),
    ("le 30/02", "fr", None),
    ("quand vous voulez", "fr", None),
    ("tomorrow at 2:30pm", "en", "2026-11-19T14:30"),
    ("next friday", "en", "2026-11-20"),
    ("the day after tomorrow", "en", "2026-11-20"),
    ("in 3 days", "en", "2026-11-21"),
    ("tmrw morning", "en", "2026-11-19 morning"),
    ("2026-11-24 10:00", "en", "2026-11-24T10:00"),
    ("December 5th, 3 pm", "en", "2026-12-05T15:00"),
    ("the 24th", "en", "2026-11-24"),
    ("monday half past nine", "en", "2026-11-23T09:30"),
    ("5/12/26", "en", "2026-12-05"),
    ("tues 10 am", "en", "2026-11-24T10:00"),
    ("tomorrow 4", "en", "2026-11-19T16:00"),
    ("friday next week", "en", "2026-11-27"),
    ("soon", "en", None),
    ("anytime", "en", None),
    ("غدا", "ar", "2026-11-19"),
    ("بعد غد", "ar", "2026-11-20"),
    ("الثلاثاء الساعة العاشرة صباحا", "ar", "2026-11-24T10:00"),
    ("يوم الجمعة مساء", "ar", "2026-11-20 evening"),
    ("ghda m3a 10", "ar", "2026-11-19T10:00"),
    ("nhar tlat", "ar", "2026-11-24"),
    ("jem3a f sbah", "ar", "2026-11-20 morning"),
    ("lyoum", "ar", "2026-11-18"),
    ("30 نونبر", "ar", "2026-11-30"),
    ("٢٤ نونبر مع ٣ بعد الزوال", "ar", "2026-11-24T15:00"),
    ("غدا الصباح", "ar", "2026-11-19 morning"),
    ("نهار الاثنين مع العشرة ونص", "ar", "2026-11-23T10:30"),
    ("ومن بعد", "ar", None),
]

# Cases found while reading messages that are not answers: a reader that is too eager fails here.
UNSAID: list[tuple[Callable[[str], str | None], str]] = [
    (read_country, "i want to go to my mother"),
    (read_country, "they beat us"),
    (read_country, "how many kg for a child"),
    (read_country, "i want to speak with a woman from your staff"),
    (read_country, "quelle est la première étape ?"),
    (read_country, "فين جا البيرو ديال لويم"),
    (read_age_group, "ça fait 20 ans que je suis ici"),
    (read_age_group, "my son is 5"),
    (read_age_group, "combien de retours depuis 2005"),
    (read_age_group, "family of six"),
    (read_yes_no, "je veux rentrer au pays"),
    (read_yes_no, "i no get paper for here, i fit still apply?"),
    (read_yes_no, "no network in my village how u go reach me"),
    (read_yes_no, "la personne là-bas"),
    (read_phone, "mon dossier 20263456"),
    (read_phone, "0661234567 ext 12"),
]

ABSENT = (None, "unknown")
READERS: dict[str, Callable[[str], str | None]] = {
    "phone": read_phone,
    "phone of a region": partial(read_phone, region="NG"),
    "country": read_country,
    "age_group": read_age_group,
    "yes_no": read_yes_no,
    **{
        f"date_time {language}": partial(read_date_time, language=language, now=WEDNESDAY, zone=CASABLANCA)
        for language in ("fr", "en", "ar")
    },
}
HOSTILE = [
    "0" * 10_000,
    "06 " * 3_333,
    "+" * 10_000,
    "+212 6" * 1_600,
    "(" * 10_000,
    "1-" * 5_000,
    "1/" * 5_000,
    "16 ans " * 1_400,
    "pas encore " * 900 + "18",
    "non oui " * 1_250,
    "je ne veux " * 900,
    "guinee " * 1_400,
    "a " * 5_000,
    "cote d " * 1_400,
    "demain " * 1_400,
    "lundi 10h30 " * 800,
    "10h" * 3_300,
    "dans 3 " * 1_400,
    "vingt et " * 1_100,
    "و" * 10_000,
    "خمسة و" * 1_600,
    "الساعة " * 1_400,
    "ـ" * 10_000,
    "\ud800" * 10_000,
    "\x00" * 10_000,
    "\u202e" * 9_990 + "oui",
    "ﷺ" * 10_000,
    "e\u0301" * 5_000,
    "🇬🇳" * 5_000,
    "x" * 10_000,
    " " * 10_000,
]


@pytest.mark.parametrize(("text", "region", "number"), PHONES)
def test_phone(text: str, region: str | None, number: str | None) -> None:
    """A telephone number is read as E.164 however it is written, and never guessed."""
    assert read_phone(text, region) == number


@pytest.mark.parametrize(("text", "code"), COUNTRIES)
def test_country(text: str, code: str | None) -> None:
    """A country is read by any of its names; cities, "home" and two countries are none."""
    assert read_country(text) == code


@pytest.mark.parametrize(("text", "group"), AGES)
def test_age_group(text: str, group: str) -> None:
    """Eighteen and over is adult, doubt is unknown."""
    assert read_age_group(text) == group


@pytest.mark.parametrize(("text", "answer"), YES_NO)
def test_yes_no(text: str, answer: str) -> None:
    """Yes and no are read in every language that people answer in; the rest is unknown."""
    assert read_yes_no(text) == answer


@pytest.mark.parametrize(("text", "language", "day"), DATES)
def test_date_time(text: str, language: Language, day: str | None) -> None:
    """A day is read relative to now, with its time or part of day when one is said."""
    assert read_date_time(text, language, WEDNESDAY, CASABLANCA) == day


@pytest.mark.parametrize(("read", "text"), UNSAID)
def test_nothing_is_read_into_other_messages(read: Callable[[str], str | None], text: str) -> None:
    """A message about something else holds no value."""
    assert read(text) in ABSENT


def test_aware_now_is_taken_to_the_zone() -> None:
    """Late in the evening in UTC it is already tomorrow in a zone to the east."""
    late = datetime(2026, 11, 18, 23, 30, tzinfo=UTC)
    assert read_date_time("demain", "fr", late, "UTC") == "2026-11-19"
    assert read_date_time("demain", "fr", late, "Africa/Lagos") == "2026-11-20"


def test_rare_dates_are_left_to_dateparser() -> None:
    """What the grammar does not cover is asked of dateparser, without its warnings; a clock is no day."""
    assert read_date_time("24 de nov. de 2026", "fr", WEDNESDAY, CASABLANCA) == "2026-11-24"
    assert read_date_time("2 enfants et 3 sacs", "fr", WEDNESDAY, CASABLANCA) is None


@pytest.mark.parametrize(
    ("text", "day"),
    [("pas demain", None), ("pas demain, jeudi", "2026-11-19"), ("pourquoi pas demain", "2026-11-19")],
)
def test_excluded_days_are_not_read(text: str, day: str | None) -> None:
    """A day on which the person cannot come is not the day that they name."""
    assert read_date_time(text, "fr", WEDNESDAY, CASABLANCA) == day


def test_unknown_kind_and_language_are_refused() -> None:
    """A described case with a kind or language that there is not is an error of the caller."""
    with pytest.raises(command.UnknownCase):
        command.read_value({"kind": "colour", "text": "bleu"})
    with pytest.raises(command.UnknownCase):
        command.read_value({"kind": "date_time", "lang": "wo", "text": "suba"})


def _cases() -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in DEV_SET.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("kind", ["phone", "country", "age_group", "yes_no", "date_time"])
def test_development_set(kind: str) -> None:
    """At least 95 % of the development set's cases of each kind are read as labelled."""
    cases = [case for case in _cases() if case["kind"] == kind]
    wrong = [case for case in cases if command.read_value(case)["value"] != case["value"]]
    assert len(wrong) <= 0.05 * len(cases), wrong


def test_development_set_is_balanced() -> None:
    """Sixty cases of each kind, twenty of each language."""
    assert set(Counter((case["kind"], case["lang"]) for case in _cases()).values()) == {20}


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    """Tables and number plans are read on first use: before anything is timed."""
    for read in READERS.values():
        for text in ("gine", "0803 456 7890", "+212612345678", "le 5e jour de mars"):
            read(text)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_hostile_input_is_read_in_time(reader: str, text: str) -> None:
    """No message of 10,000 characters keeps a reader for 50 ms (best of three: the machine is shared)."""
    assert min(_milliseconds(READERS[reader], text) for _ in range(3)) < LONGEST_MS


def _milliseconds(read: Callable[[str], str | None], text: str) -> float:
    start = time.perf_counter()
    read(text)
    return (time.perf_counter() - start) * 1000


WORDS = st.sampled_from(
    [
        "0612345678",
        "+212",
        "00",
        "16",
        "18",
        "ans",
        "3am",
        "عام",
        "oui",
        "non",
        "pas",
        "la",
        "لا",
        "نعم",
        "mali",
        "guinée",
        "conakry",
        "المغرب",
        "demain",
        "lundi",
        "25",
        "25/11",
        "10h",
        "le",
        "à",
        "m3a",
        "ghda",
        "الساعة",
        "العاشرة",
        "moins",
        "de",
        "plus",
        "31/12/9999",
        "dans",
        "999",
        "jours",
        "semaines",
        "mois",
        "29",
        "février",
    ]
)
ANYTHING = st.one_of(
    st.text(alphabet=st.characters(), max_size=200),
    st.lists(WORDS, max_size=40).map(" ".join),
    st.text(alphabet=st.characters(), min_size=1, max_size=20).map(lambda text: (text * 10_000)[:10_000]),
)


@pytest.mark.parametrize("reader", READERS)
@given(text=ANYTHING)
@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_no_text_raises(reader: str, text: str) -> None:
    """Every text, lone surrogates and NUL too, has a value or none."""
    value = READERS[reader](text)
    assert value is None or isinstance(value, str)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1), ("un", 1), ("wahed", 1), ("واحد", 1), ("deux", 2), ("جوج", 2), ("dix sept", 17), ("twenty two", 22),
        ("un jour", None), ("je viens", None), ("", None), ("1 2", None), ("123456", None),
    ],
)  # fmt: skip
def test_a_whole_text_that_is_a_number(text: str, number: int | None) -> None:
    """Digits or words, and nothing else beside them."""
    assert numerals.whole(text) == number


@pytest.mark.parametrize(
    ("text", "language", "first", "last"),
    [
        ("la semaine prochaine", "fr", 23, 27), ("next week pls", "en", 23, 27), ("الأسبوع القادم", "ar", 23, 27),
        ("simana jaya", "ar", 23, 27), ("cette semaine si possible", "fr", 19, 20), ("this week", "en", 19, 20),
        ("هذا الأسبوع", "ar", 19, 20), ("هاد السيمانة", "ar", 19, 20),
        ("mardi de la semaine prochaine", "fr", None, None), ("demain", "fr", None, None), ("rien", "fr", None, None),
    ],
)  # fmt: skip
def test_a_week_without_a_day(text: str, language: Language, first: int | None, last: int | None) -> None:
    """« La semaine prochaine », said on Wednesday the 18th: no day, but the days to choose from are known."""
    week = read_week(text, language, WEDNESDAY, CASABLANCA)
    assert (week[0].day, week[-1].day) == (first, last) if week else first is None
    assert (read_date_time(text, language, WEDNESDAY, CASABLANCA) is None) or first is None


def test_on_the_weekend_this_week_is_the_next() -> None:
    """Its working days are past."""
    saturday = WEDNESDAY.replace(day=21)
    week = read_week("cette semaine", "fr", saturday, CASABLANCA)
    assert week is not None and (week[0].day, week[-1].day) == (23, 27)
