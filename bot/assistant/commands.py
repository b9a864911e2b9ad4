"""Words that work at any moment, whatever the classifier thinks: they must not depend on luck."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nlu.normalise import normalise, without_accents

_WORD = re.compile(r"\w+")
# « that's enough »: also first names, and an answer to many a question
_ENOUGH = ("baraka", "safi", "saafi", "سافي", "صافي", "باراكا", "بركا", "بركه")
_WORDS: Mapping[str, str] = {
    "stop": "stop", "stopp": "stop", "arret": "stop", "arrete": "stop", "arreter": "stop", "arretez": "stop",
    "stop all": "stop", "stopall": "stop", "stop stop": "stop", "stop please": "stop", "please stop": "stop",
    "stop svp": "stop", "arretez svp": "stop", "unsubscribe": "stop", "desabonner": "stop", "me desabonner": "stop",
    "desinscription": "stop", "قف": "stop", "توقف": "stop", "توقفي": "stop", "توقفوا": "stop", "اوقف": "stop",
    "اوقفوا": "stop", "ستوب": "stop", "الغا الاشتراك": "stop", "7bess": "stop", "hbess": "stop",
    **dict.fromkeys(_ENOUGH, "stop"),
    "start": "resume", "unstop": "resume", "commencer": "resume", "recommencer": "resume", "reprendre": "resume",
    "ابدا": "resume", "استيناف": "resume",
    "my data": "my_data", "mydata": "my_data", "mes donnees": "my_data", "بياناتي": "my_data",
    "delete": "delete_my_data", "effacer": "delete_my_data", "effacez": "delete_my_data", "احذف": "delete_my_data",
    "supprimer": "delete_my_data", "erase": "delete_my_data", "امسح": "delete_my_data",
    "check in": "checkins", "checkin": "checkins", "check in with me": "checkins", "suivi": "checkins",
    "me suivre": "checkins", "suivez moi": "checkins", "متابعتي": "checkins", "تابعوني": "checkins",
    "اسالوا عني": "checkins",
    "not my phone": "other_phone", "not my number": "other_phone", "this is not my phone any more": "other_phone",
    "ce n est plus mon telephone": "other_phone", "c est plus mon telephone": "other_phone",
    "ce n est pas mon telephone": "other_phone", "هذا ليس هاتفي": "other_phone", "ليس هاتفي": "other_phone",
    "clear chat": "clear_chat", "delete this chat": "clear_chat", "delete chat": "clear_chat",
    "effacer la conversation": "clear_chat", "supprimer la conversation": "clear_chat",
    "حذف المحادثه": "clear_chat", "احذف المحادثه": "clear_chat",
    "safe word": "safe_word", "safeword": "safe_word", "my safe word": "safe_word", "mot de securite": "safe_word",
    "secret word": "safe_word", "my secret word": "safe_word",
    "mot secret": "safe_word", "mon mot secret": "safe_word", "كلمه الامان": "safe_word", "كلمه السر": "safe_word",
    "menu": "help_menu", "help": "help_menu", "language": "change_language",
    "aide": "help_menu", "القايمه": "help_menu", "مساعده": "help_menu",
}  # fmt: skip
# « I am back in Guinea, please check in with me »: no label of the classifier, and a sentence of many shapes. Both have
# to be said, and nothing that makes it a question about later, or a no.
_BACK = re.compile(
    r"\b(?:de retour|(?:suis|sui|jsuis|jsui|chuis|chui) (?:\w+ )?(?:rentre|revenu|retourne)e?"
    r"|(?:am|m|im|been) (?:\w+ )?back|(?:came|come|went|gone) (?:back|home)|returned|reach(?:ed)? (?:home|back)"
    r"|رجعت|رجعنا|عدت|وصلت|r[eo]?j[ea]?3t|3o?u?dt|ws+a?lt)\b"
)
_ASK_AFTER_ME = re.compile(
    r"\b(?:suivez moi|me suivre|de mes nouvelles|demande[rz] (?:moi )?comment je vais|rest(?:er|ez|ons) en contact"
    r"|check (?:in with|up on|on) me|(?:stay|keep) in touch|ask (?:me )?how i am|follow (?:me up|up with me)"
    r"|ت?تابعوني|متابعتي|ت?ا?سالوا? عني|[ات]?سولوا? عليا?|[ات]طمينوا ع(?:لي|ني)"
    r"|t?ta?b[ea]?3o?u?ni|t?(?:so?u?wlo?u?|sewlo|s2lo|swlo) (?:3l[iy]+a|fiya))\b"
)
_NOT_NOW = {
    "quand", "lorsque", "si", "apres", "qui", "pas", "ne", "when", "once", "if", "after", "who", "will", "not", "dont",
    "never", "عندما", "لما", "اذا", "حين", "بعد", "هل", "لا", "mlli", "melli", "mnin", "ila", "wach", "wash",
}  # fmt: skip
_LONGEST_SENTENCE = 25  # words


def command(text: str, in_form: bool = False) -> str | None:
    """The intent that this whole message names, if it is one of the words that always work.

    In a form, what may be an answer (a name, « enough ») is none of them.
    """
    words = " ".join(_WORD.findall(without_accents(normalise(text))))
    if in_form and words in _ENOUGH:
        return None
    return _WORDS.get(words) or ("checkins" if not in_form and _wants_checkins(words) else None)


def _wants_checkins(said: str) -> bool:
    """Whether somebody says that they are back and wants to be asked how they are."""
    words = said.split()
    if len(words) > _LONGEST_SENTENCE or _NOT_NOW.intersection(words) or "don t" in said:
        return False
    return _BACK.search(said) is not None and _ASK_AFTER_ME.search(said) is not None
