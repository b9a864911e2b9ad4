"""One spelling for the many ways people type the same word: for understanding only, never shown.

Pure Python without dependencies: used inside Rasa's process (3.10) and in the service.
"""

import re
import unicodedata

_ARABIC_DIGITS = str.maketrans("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹", "01234567890123456789")
_ARABIC_LETTERS = str.maketrans({
    "أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ئ": "ي", "ؤ": "و", "ة": "ه",
    "گ": "ق", "ڭ": "ق", "ݣ": "ق", "ڤ": "ف", "پ": "ب", "چ": "ش", "ک": "ك", "ی": "ي",
    "ـ": None, "ء": None, "؟": "?", "،": ",", "؛": ";",
})  # fmt: skip
_HARAKAT = re.compile("[\u0610-\u061a\u064b-\u065f\u0670]")
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\x00-\x08\x0b-\x1f\x7f]")
_REPEATED = re.compile(r"(.)\1{2,}", re.S)
_SPACE = re.compile(r"\s+")
_LATIN_WORD = re.compile(r"[a-zà-ÿ0-9']+")

# SMS spelling → word; applied to whole words of Latin text only
_SMS = {
    "c": "c'est", "cé": "c'est", "ces": "c'est", "cest": "c'est", "g": "j'ai", "jé": "j'ai", "jai": "j'ai",
    "j'é": "j'ai", "ke": "que", "koi": "quoi", "kwa": "quoi", "pk": "pourquoi", "pkoi": "pourquoi",
    "pq": "pourquoi", "pourkoi": "pourquoi", "pr": "pour", "ds": "dans", "ss": "suis", "chui": "je suis",
    "jsuis": "je suis", "jsui": "je suis", "jve": "je veux", "jveu": "je veux", "jveux": "je veux",
    "ve": "veux", "veu": "veux", "px": "peux", "pe": "peut", "peu": "peut", "fo": "faut", "faus": "faut",
    "cmt": "comment", "cmnt": "comment", "comen": "comment", "kan": "quand", "qd": "quand", "kel": "quel",
    "kelk": "quelque", "cb": "combien", "cbien": "combien", "konbien": "combien", "tt": "tout", "ts": "tous",
    "tjr": "toujours", "tjrs": "toujours", "bcp": "beaucoup", "bjr": "bonjour", "bsr": "bonsoir",
    "slt": "salut", "svp": "s'il vous plait", "stp": "s'il te plait", "mrc": "merci", "mci": "merci",
    "rdv": "rendez-vous", "rv": "rendez-vous", "vs": "vous", "ns": "nous", "mn": "mon", "sa": "ça",
    "ki": "qui", "pa": "pas", "plu": "plus", "tel": "téléphone", "num": "numéro", "msg": "message",
    "dmain": "demain", "ojd": "aujourd'hui", "auj": "aujourd'hui", "oim": "oim", "iom": "oim", "loim": "oim",
    "u": "you", "ur": "your", "r": "are", "pls": "please", "plz": "please", "abt": "about", "wat": "what",
    "wht": "what", "hw": "how", "d": "the", "dem": "they", "dey": "is", "wetin": "what", "una": "you",
    "thx": "thanks", "tnx": "thanks", "bcos": "because", "bc": "because", "msgs": "messages", "ppl": "people",
}  # fmt: skip


def visible(text: str) -> str:
    """The text without invisible, directional and control characters, in NFC; lone surrogates replaced."""
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return unicodedata.normalize("NFC", _UNSEEN.sub("", text))


def normalise(text: str) -> str:
    """Lower case, one form of each Arabic letter, Western digits, no vowels marks, at most two of a letter."""
    text = unicodedata.normalize("NFKC", visible(text)).lower()
    text = _HARAKAT.sub("", text).translate(_ARABIC_DIGITS).translate(_ARABIC_LETTERS)
    text = _REPEATED.sub(r"\1\1", text).replace("’", "'").replace("`", "'")
    return _SPACE.sub(" ", text).strip()


def without_accents(text: str) -> str:
    """Latin letters without their accents."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def spelled_out(text: str) -> str:
    """Normalised text with SMS spellings written out: « c koi » becomes « c'est quoi »."""
    return _LATIN_WORD.sub(lambda word: _SMS.get(word[0], word[0]), text)
