"""Words that work at any moment, whatever the classifier thinks: they must not depend on luck."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nlu.normalise import normalise, without_accents

_WORD = re.compile(r"\w+")
_WORDS: Mapping[str, str] = {
    "stop": "stop", "stopp": "stop", "arret": "stop", "arreter": "stop", "arretez": "stop", "unsubscribe": "stop",
    "قف": "stop", "توقف": "stop", "توقفوا": "stop", "ستوب": "stop", "baraka": "stop", "safi": "stop", "سافي": "stop",
    "صافي": "stop", "باراكا": "stop", "بركه": "stop",
    "start": "resume", "commencer": "resume", "reprendre": "resume", "ابدا": "resume",
    "my data": "my_data", "mes donnees": "my_data", "بياناتي": "my_data",
    "delete": "delete_my_data", "effacer": "delete_my_data", "effacez": "delete_my_data", "احذف": "delete_my_data",
    "supprimer": "delete_my_data", "erase": "delete_my_data", "امسح": "delete_my_data",
    "menu": "help_menu", "help": "help_menu", "aide": "help_menu", "القائمه": "help_menu", "مساعده": "help_menu",
}  # fmt: skip


def command(text: str) -> str | None:
    """The intent that this whole message names, if it is one of the words that always work."""
    return _WORDS.get(" ".join(_WORD.findall(without_accents(normalise(text)))))
