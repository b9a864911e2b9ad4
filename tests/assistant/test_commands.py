"""Words that work at any moment, whatever the classifier thinks."""

from __future__ import annotations

import pytest

from bot.assistant.commands import command


@pytest.mark.parametrize(
    "words",
    [
        "I am back in Guinea, please check in with me",
        "im back in gambia now, check on me pls",
        "Good morning, I came back to Ghana two weeks ago. Can you stay in touch?",
        "i don reach home for lagos, abeg dey check on me",
        "Je suis rentré en Guinée, pouvez-vous prendre de mes nouvelles ?",
        "jsui rentré o pays suivez moi svp",
        "chui bien revenue à Dakar, suivez-moi",
        "je suis de retour en Guinée, restez en contact svp",
        "رجعت إلى غينيا، تابعوني من فضلكم",
        "لقد عدت إلى بلدي، اسألوا عني",
        "أنا رجعت لبلادي سولو عليا",
        "عدت إلى مالي، اطمئنوا علي من فضلكم",
        "rj3t l bladi, sowlo 3liya 3afak",
        "salam, rje3t l ghinya, tab3oni 3afakom",
    ],
)
def test_back_and_wanting_to_be_asked(words: str) -> None:
    """« I am back, check in with me », as people write it: the check-ins are offered, Rasa up or down."""
    assert command(words) == "checkins"
    assert command(words, in_form=True) is None  # there it may be an answer


@pytest.mark.parametrize(
    "words",
    [
        "I want to go back to Guinea",
        "I am back in Guinea",
        "who will check on me when I am back?",
        "will somebody check on me after I came back",
        "I am back in Guinea, don't check on me",
        "je suis rentré, ne prenez pas de mes nouvelles",
        "quand je suis de retour, qui va me suivre ?",
        "je voudrais rester en contact avec ma famille",
        "Mon frère est rentré en Guinée, peut-il encore demander de l'aide ?",
        "je suis rentré et personne ne m'appelle",
        "هل تتابعوني عندما رجعت",
        "rj3t mn italia hadi 6 chhor w mazal ma 3iyto liya",
        "check my request, I came back yesterday",
    ],
)
def test_something_else(words: str) -> None:
    """A question about later, a no, somebody else, or only half of it is none: the classifier decides."""
    assert command(words) is None


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        *((word, "stop") for word in ("STOP", "stopp", "Arrêt", "ARRET", "قف", "توقّف", "BARAKA", "safi", "صافي")),
        *((word, "resume") for word in ("START", "commencer", "ابدأ")),
        *((word, "my_data") for word in ("MY DATA", "mes données", "بياناتي")),
        *((word, "delete_my_data") for word in ("DELETE", "effacer", "احذف")),
        *((word, "checkins") for word in ("suivi", "check in", "تابعوني")),
        *((word, "other_phone") for word in ("ce n'est plus mon téléphone", "this is not my phone any more")),
    ],
)
def test_words_that_always_work(words: str, meant: str) -> None:
    """However they are typed, in three languages."""
    assert command(words) == meant


@pytest.mark.parametrize("words", ["BARAKA", "safi", "صافي"])
def test_enough_is_an_answer_in_a_form(words: str) -> None:
    """« Enough » may be a first name, or an answer: in a form it stops nothing."""
    assert command(words, in_form=True) is None
