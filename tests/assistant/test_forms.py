"""What is typed at each question of each form, as people write it: the answer, a question aside, or neither."""

from __future__ import annotations

from typing import Any

import pytest

from bot.appointments import offices
from bot.assistant import forms, said, values
from bot.assistant.forms import NotAnAnswer, Step, Unreadable, read_answer, read_choice, told_beside
from bot.checkins import questions
from bot.journeys import interviews

ASIDE, AGAIN, WHERE = "<aside>", "<again>", "<where>"
FREE = {"c'est gratuit ?": ASIDE, "c gratui": ASIDE, "is it free?": ASIDE, "واش فابور؟": ASIDE, "wach fabor": ASIDE}

FIRST_CONTACT: dict[str, dict[str, str]] = {
    "consent": {
        "oui d'accord": "yes", "wakha": "yes", "i gree": "yes", "نعم": "yes", "non": "information", "لا": "information",
        "lla": "information", "pas maintenant": "information", "juste des infos": "information",
        "parler à quelqu'un": "person", "30 ans": AGAIN,
    },
    "direction": {
        "quitter le Maroc": "from_morocco", "jve kité le maroc": "from_morocco", "leaving morocco": "from_morocco",
        "je suis au maroc et je veux rentrer": "from_morocco", "abeg i wan comot from Morocco": "from_morocco",
        "bghit nrje3 mn lmaghrib": "from_morocco", "أريد مغادرة المغرب": "from_morocco",
        "بغيت نرجع من المغرب لبلادي": "from_morocco", "je vis à Casa": "from_morocco",
        "partir de Nouakchott": "from_mauritania", "مغادرة موريتانيا": "from_mauritania", "1": "from_morocco",
        "je suis rentré au maroc": "back_in_morocco", "rj3t l maroc": "back_in_morocco",
        "عدت إلى السنغال": "other_returnee", "i don reach Nigeria": "other_returnee",
        "je suis revenu du maroc au sénégal": "other_returnee", "pour mon frère": "for_someone_else",
        "for someone else": "for_someone_else", "l khoya": "for_someone_else", "لشخص آخر": "for_someone_else",
        # from where is not said, and never guessed
        "retour": WHERE, "return": WHERE, "rj3": WHERE, "العودة": WHERE, "rentrer au maroc": WHERE,
        "bghit nrje3 l bladi": WHERE, "i wan go back naija": WHERE, "je suis de retour": WHERE,
        "en Guinée": WHERE, "je me suis trompé": AGAIN, "ana f tanja bghit nrja3": "from_morocco",
        # about something else
        "comment quitter le maroc": ASIDE, "c'est où le bureau à rabat": ASIDE, "mon passeport est au maroc": ASIDE,
        "je ne veux pas quitter le maroc": ASIDE, "30": AGAIN,
    },
    "agreed": {"oui elle sait": "yes", "il est d'accord": "yes", "non": "no", "elle ne sait pas": "no"},
    "age_group": {
        "30 ans": "adult", "30": "adult", "عندي 30 عام": "adult", "majeur": "adult", "16": "child",
        "moins de 18": "child", "je préfère pas le dire": "unknown", "entre 17 et 18": AGAIN,
    },
    "name": {
        "Awa": "Awa", "il s'appelle Moussa": "Moussa", "je m'appelle Mamadou Alpha Diallo": "Mamadou Alpha Diallo", "my name is John": "John",
        "smiti Fatima": "Fatima", "اسمي علي": "علي", "Kbir": "Kbir", "30": AGAIN, "Ali 30 ans": AGAIN, "bonjour": AGAIN, "non": AGAIN,
    },
    "phone": {
        "0612345678": "+212612345678", "mon whatsapp 0612345678": "+212612345678", "ici": "chat", "j'ai pas de téléphone": "chat", "ما عنديش تيليفون": "chat",
        "je ne veux pas donner mon numéro": "chat", "no": "chat", "12": AGAIN,
    },
    "call_time": {
        "le matin svp": "morning", "sba7": "morning", "10 am": "morning", "بعد الظهر": "afternoon", "15h30": "afternoon",
        "après 18h": "evening", "flil": "evening", "n'importe quand": "any", "quand vous voulez": "any",
    },
    "call_message": {"oui": "yes", "yes you can": "yes", "surtout pas": "no", "lla": "no"},
    "more": {"oui": "yes", "continuer": "yes", "oui c'est bon": "yes", "ça suffit": "no", "safi": "no"},
    "country": {"sénégal svp": "SN", "غينيا": "GN", "je sais pas": "skip", "passer": "skip", "zork": AGAIN},
    "city": {"Oujda": "Oujda", "je suis à Tanger": "Tanger", "f casa": "casa", "skip": "skip"},
    "family": {
        "bohdi": "alone", "moi seul": "alone", "وحدي": "alone", "with my wife": "family", "avec mes enfants": "children",
        "ma femme et mes enfants": "children",
    },
    "travel_document": {
        "3ndi passport": "yes", "oui": "yes", "g pa de passport": "no", "j'ai perdu mon passeport": "no",
        "ma3ndich passport": "no", "i no get passport": "no", "oui mais il est expiré": "unsure", "je sais pas": "unsure",
    },
    "urgent": {
        "je suis enceinte": "pregnant_or_baby", "mrid": "ill_or_disabled", "peur de rentrer": "afraid_to_return",
        "autre chose": "other", "non": "skip", "rien": "skip", "لا": "skip",
        "oui": ASIDE,
    },
    "note": {
        "j'ai 30 ans": "j'ai 30 ans", "je suis fatigué de la vie ici au maroc": "je suis fatigué de la vie ici au maroc",
        "non": "skip", "oui": AGAIN,
        "non je n'ai rien à manger": "non je n'ai rien à manger",
    },
    "review": {
        "oui envoyez": "send", "صيفط": "send", "changer mon nom": "change", "je me suis trompé": "change",
        "n'envoyez pas": "cancel", "annuler": "cancel", "envoyer mon argent": ASIDE,
    },
}  # fmt: skip
INTERVIEW: dict[str, dict[str, str | None]] = {
    "consent": {"oui": "yes", "لا": "no", "plus tard": "no"},
    "mode": {
        "par tel": "phone",
        "f biro": "in_person",
        "pas par téléphone": None,
        "le téléphone c'est gratuit ?": None,
    },
    "more": {"oui une femme": "yes", "walou": "no"},
    "language": {"en anglais": "en", "darija": "ar", "je parle français": "fr"},
    "interpreter": {"oui": "yes", "pas besoin": "no"},
    "gender": {"une femme svp": "woman", "rajel": "man", "peu importe": "any", "pas un homme": None},
    "companion": {"seule": "alone", "m3a khti": "with"},
    "access": {"non": "none", "fauteuil": "wheelchair", "je suis malade": "illness", "c'est loin": "transport"},
    "wish": {"n'importe quand": "any"},
    "call_time": {"العشية": "afternoon", "le soir": "evening"},
    "review": {"oui": "send", "juste": "send", "non": "change", "changer la date": "change", "annuler": "cancel"},
}
CHECKIN: dict[str, dict[str, str | None]] = {
    "consent": {"oui": "yes", "non merci": "no"},
    "returned": {"cette semaine": "this_week", "avant": "earlier"},
    "E1": {"jamais": "never", "chwiya": "rarely", "c'est toujours gratuit ?": None},
    "E2": {"pas encore": "not_started", "w9ef": "stopped"},
    "E3": {"non": "no", "une fois": "once_or_twice"},
    "S1": {"la": "no", "pour le moment": "for_now"},
    "S2": {"l'eau": "water", "wra9": "papers"},
    "S3": {"mzyan": "well", "mal": "badly"},
    "P1": {"je me sens mal": "low", "très mal": "very_bad", "pas bien": "low", "pas mal": None},
    "P2": {"oui": "yes", "parfois": "sometimes"},
    "F1": {"non": "no", "oui": "yes"},
    "H1": {"oui": "chat", "oui appelez-moi": "call", "non merci": "no", "c'est urgent": "urgent"},
    "phone": {"pareil": "same"},
}


def meant(text: str, intent: str = "question", confidence: float = 0.7) -> dict[str, Any]:
    """A message as Rasa hands it over, taken for a topic."""
    return {"text": text, "intent": {"name": intent, "confidence": confidence}}


def read(step: Step, text: str) -> str:
    """What the form makes of it."""
    try:
        return read_answer(step, meant(text))
    except NotAnAnswer:
        return ASIDE
    except Unreadable as unreadable:
        return WHERE if unreadable.hint == "where" else AGAIN


@pytest.mark.parametrize("slot", [step.slot for step in forms.forms()["first_contact_form"]])
def test_first_contact(slot: str) -> None:
    """Every question: an answer wins over the topic it sounds like; a question is answered aside, marked or not."""
    step = forms.step("first_contact_form", slot)
    wanted = FIRST_CONTACT[slot] | FREE
    assert {text: read(step, text) for text in wanted} == wanted


@pytest.mark.parametrize("slot", INTERVIEW)
def test_interviews(slot: str) -> None:
    """Every question with choices of the interview."""
    step, wanted = interviews.BY_SLOT[slot], INTERVIEW[slot] | dict.fromkeys(FREE)
    assert {text: read_choice(step, text) for text in wanted} == wanted


@pytest.mark.parametrize("slot", CHECKIN)
def test_checkins(slot: str) -> None:
    """Every question with choices of the check-ins."""
    step, wanted = questions.questions()[slot].step, CHECKIN[slot] | dict.fromkeys(FREE)
    assert {text: read_choice(step, text) for text in wanted} == wanted


def test_every_question_with_choices_is_tried() -> None:
    """No form has such a question that these tables leave out."""
    assert {step.slot for step in interviews.STEPS if step.choices} <= INTERVIEW.keys() | {"age_group"}
    assert {one.id for one in questions.questions().values() if one.choices} <= CHECKIN.keys() | {"age_group"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("30 ans", {"age_group": "adult"}),
        ("عندي 30 عام", {"age_group": "adult"}),
        ("3ndi 25 3am", {"age_group": "adult"}),
        ("I'm 16", {"age_group": "child"}),
        ("non en fait 17 ans", {"age_group": "child"}),
        ("mon numéro : 06 12 34 56 78", {"phone": "+212612345678"}),
        ("30", {}),  # of what?
        ("mon fils a 12 ans", {}),
        ("depuis 3 ans", {}),
        ("j'ai 30 ans, c'est possible ?", {}),
    ],
)
def test_told_beside(text: str, told: dict[str, str]) -> None:
    """An age or a number at another question is kept for its own; the note keeps everything."""
    slots = {"age_group", "phone"}
    assert told_beside(forms.step("first_contact_form", "direction"), text, slots) == told
    assert told_beside(forms.step("first_contact_form", "note"), text, slots) == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("appelez-moi le matin", {"call_time": "morning"}), ("you can call me in the evening", {"call_time": "evening"}),
        ("اتصلوا بي بعد الظهر", {"call_time": "afternoon"}), ("3ayto liya f sbah", {"call_time": "morning"}),
        ("appelez-moi au 06 12 34 56 78 le matin", {}), ("écrivez-moi ici le soir", {}), ("good morning", {}),
        ("vous appelez le matin ?", {}), ("je veux parler à quelqu'un", {}),
    ],
)  # fmt: skip
def test_when_to_call_is_told_at_the_number(text: str, told: dict[str, str]) -> None:
    """It is kept for its own question, and the number is asked again: nobody is called for."""
    for asked in (forms.step("first_contact_form", "phone"), interviews.BY_SLOT["phone"]):
        assert told_beside(asked, text, {"phone", "call_time"}) == told


def test_the_words_belong_to_choices() -> None:
    """Every entry of said.yml names a question and its choices, so that none is dead."""
    steps = [*forms.forms()["first_contact_form"], *interviews.STEPS]
    known = {step.say: {*step.choices, *(["skip"] if step.skip else [])} for step in steps}
    known |= {"first_contact.which_change": {"change"}, "first_contact.cancelled": {"leave"}, "choice.skip": {"skip"}}
    known |= {"interview.office": set(offices.read(offices.SEED)["offices"])}
    assert {say: set(choices) - known[say] for say, choices in said.words().items() if set(choices) - known[say]} == {}


@pytest.mark.parametrize("text", ["je me suis trompé", "pardon, erreur", "i made a mistake", "غلطت", "sorry ghlatt"])
def test_corrections(text: str) -> None:
    """An answer given before is to be changed; this is no complaint."""
    assert said.corrects(text)
    assert not said.corrects("mon avocat s'est trompé de date")


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("il y a 10 jours", 10), ("deux semaines", 14), ("2 weeks ago", 14), ("last week", 7), ("hier", 1),
        ("avant-hier", 2), ("ça fait un mois", 30), ("هادي شهرين", 60), ("قبل أسبوع", 7), ("منذ 3 أيام", 3),
        ("hadi 3 chhor", 90), ("cette semaine", None), ("10 octobre", None), ("in two weeks", None),
        ("dans 3 jours", None), ("il y a longtemps", None),
    ],
)  # fmt: skip
def test_how_long_ago(text: str, days: int | None) -> None:
    """When somebody came back is told as a length of time more often than as a date."""
    assert values.read_days_ago(text) == days


@pytest.mark.parametrize("text", ["comment on fait", "c koi", "how much", "واش كاين", "chhal", "c'est où", "fin kayn"])
def test_questions_without_a_mark(text: str) -> None:
    """People leave the question mark out."""
    assert said.asks(text)
    assert values.read_direction(text) is None
