"""One spelling for many, and Arabizi in Arabic letters."""

from __future__ import annotations

import pytest

from nlu.normalise import in_arabic_script, meant, normalise


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("wach kayn chi flous", "واش كاين شي فلوس"),
        ("bghit nrje3 l bladi", "بغيت نرجع ل بلادي"),
        ("ch7al dyal lwa9t", "شحال ديال لواقت"),
        ("3afak fin kayn bureau", "عافاك فين كاين bureau"),
        ("ana f rabat w bghit rdv", "انا ف rabat و بغيت rdv"),
    ],
)
def test_arabizi_is_read_in_arabic_letters(typed: str, read: str) -> None:
    """Darija words change their letters; names and borrowed French words keep theirs."""
    assert in_arabic_script(normalise(typed)) == read


@pytest.mark.parametrize(
    "typed",
    [
        "c koi le retour volontaire",
        "i wan go back my country",
        "Je pars le 3 mai à 10h",
        "room 4b, 2nd floor",
        "",
        "واش فابور",
    ],
)
def test_other_languages_are_left_alone(typed: str) -> None:
    """French, English, numbers with units and Arabic script are no Arabizi."""
    assert in_arabic_script(normalise(typed)) == ""


def test_what_is_meant_is_in_one_script() -> None:
    """The sentence vector is made of Arabic letters for Arabizi, of spelled-out words for the rest."""
    assert meant("Wach kayn FLOUSSSS") == "واش كاين فلوس"
    assert meant("c koi") == "c'est quoi"
