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


def _words(text: str) -> "frozenset[str]":
    return frozenset(text.split())


# Arabizi: Darija in Latin letters, with digits for the sounds that Latin letters lack
_DARIJA = _words("""
    achno afak alaykom alikoum bach bash bezaf bezzaf bgha bghat bghaw bghina bghit bghitch bghyt bhal bladi bladna
    bnadem bzaf chkon chkoun chkun chno chnou chnu chokran chouia choukran chwiya daba dial diali dialkom drari dyal
    dyalha dyali dyalkom dyalna dyalo fayn feen flous fuqach ghada ghadi ghalat ghda ghedda ghir hada hadchi hadi
    hamdolah hamdoulah hiya hna homa howa hta huma ila imta imtan inchallah inshallah kayn kayna kaynch kaynin
    khasni khassek khassni khayf khayfa khouya khoya khti kifach kifash kolchi kolshi kulchi labas lazem lblad lbled
    lflous lila lmaghrib lmgharba lwaqt lyoum lyouma mabghitch machi maghrib makayn makaynch mashi merra mezian mli
    mnin momkin mrati mumken mumkin mzyan nchallah ndir nji njib nkhdem nmchi nrje nsafer nta nti ntoma ouach raha
    rajli rani safi sahbi salamo sbah shnu shukran shwia simana wa9tach wach wahda wahed walakin wallah walo walou
    wash wech wella wesh wla wladi wlah wlla ya3ni yimken zwin
""")
_PERHAPS_DARIJA = _words("""
    ana ash baraka bla fin had hit iwa khas kif mais mama nas rah salam
""")
_STAYS_LATIN = _words("""
    abidjan adresse aeroport agadir aide allemagne altai ambulance and anglais appel association au aux avec avion
    avrr aéroport billet bonjour bonsoir bot bureau c'est cameroun caritas carte casa compte conakry conjointe
    conseiller contact dakar dans de demande depart des dh dhs dirham dirhams docteur dossier du départ elle email
    en english entretien espagne est et euro europe euros facebook famille for foras formation francais france
    français gambia gambie guinee guinée hcr hopital hôpital il in info information informations infos initiative
    iom is italie je la le les libye ma mail mali maroc me medecin menu merci mes message messages moi mon msg my
    médecin nador nigeria nouadhibou nouakchott numero numéro of oim ok on orion ou oujda par pas passeport passer
    passport pays plus police pour programme projet projets que qui quoi rabat rdpp rdv reintegration rendez retour
    robot réintégration senegal sms stop suivi sur svp sénégal tanger telegram telephone test the to téléphone un
    une unhcr visa vol volontaire vous whatsapp you
""")
_ARABIC_SOUNDS = {
    "tch": "تش", "dj": "ج", "kh": "خ", "gh": "غ", "ch": "ش", "sh": "ش", "th": "ث", "dh": "ذ", "ph": "ف",
    "ou": "و", "oo": "و", "ee": "ي", "ii": "ي", "aa": "ا", "ai": "اي", "ei": "ي", "3'": "غ", "7'": "خ",
    "a": "ا", "b": "ب", "c": "ك", "d": "د", "e": "", "f": "ف", "g": "ق", "h": "ه", "i": "ي", "j": "ج", "k": "ك",
    "l": "ل", "m": "م", "n": "ن", "o": "و", "p": "ب", "q": "ق", "r": "ر", "s": "س", "t": "ت", "u": "و", "v": "ف",
    "w": "و", "x": "ش", "y": "ي", "z": "ز", "2": "ا", "3": "ع", "5": "خ", "6": "ط", "7": "ح", "8": "غ", "9": "ق",
}  # fmt: skip
_SOUND = re.compile("|".join(sorted(_ARABIC_SOUNDS, key=len, reverse=True)))
_DOUBLED = re.compile(r"(.)\1")
_DIGIT_AS_LETTER = re.compile(r"[a-z][235679]|[35679][a-z]")
_NUMBER_WITH_UNIT = re.compile(
    r"\d+(?:h|j|km|m|k|g|kg|min|ans?|mois|e|er|eme|dhs?|yo|yrs?|years?|days?|am|pm|st|nd|rd|th)|[a-z]\d+"
)
_ACCENTED = re.compile("[à-ÿ]")


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


def in_arabic_script(text: str) -> str:
    """Arabizi in Arabic letters: « wach kayn flous » becomes « واش كاين فلوس ». Empty for what is no Arabizi.

    `text` is normalised. Names, places and French words that Darija borrows stay as they are.
    """
    words = _LATIN_WORD.findall(text)
    signs = 0.0
    for word in words:
        if word in _DARIJA or (_DIGIT_AS_LETTER.search(word) and not _NUMBER_WITH_UNIT.fullmatch(word)):
            signs += 1
        elif word in _PERHAPS_DARIJA:
            signs += 0.5
    if signs < 1 or signs < 0.25 * len(words):  # a word or two of Darija in another language stay there
        return ""
    return _LATIN_WORD.sub(lambda word: _in_arabic_letters(word[0]), text)


def _in_arabic_letters(word: str) -> str:
    if word in _STAYS_LATIN or word.isdigit() or _ACCENTED.search(word):
        return word
    single = _DOUBLED.sub(r"\1", word).replace("'", "")
    first = "ا" if single[:1] in ("e", "i", "o", "u") and len(single) > 1 else ""
    body = single[1:] if first else single
    last = "ه" if body.endswith("e") else ""
    return first + _SOUND.sub(lambda sound: _ARABIC_SOUNDS[sound[0]], body) + last


def meant(text: str) -> str:
    """The message as a reader of meaning should get it: spelled out, and Arabizi in Arabic letters."""
    plain = spelled_out(normalise(text))
    return in_arabic_script(plain) or plain
