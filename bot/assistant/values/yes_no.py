"""Reads a yes or a no in French, English, Arabic, Darija, Arabizi, Pidgin, Wolof, Pulaar and Bambara."""

from __future__ import annotations

import re
from typing import Final, Literal

from bot.assistant.values.spelling import plain, word_set

YesNo = Literal["yes", "no", "unknown"]

_LONGEST_ANSWER: Final = 25  # words: longer messages are a story, not an answer
_TAGS: Final = {"yes": " Y ", "no": " N ", "unknown": " U ", "wish": " W ", "": " "}


def _phrases(listed: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(re.sub(' +', ' ', one.strip()) for one in listed.split(','))})(?!\w)")


# Phrases that mean something else than their words, in the order in which they are read; separated by
# commas, written as regular expressions over `plain` words without punctuation.
_PHRASES: Final = (
    ("", _phrases(
            "bon(?= ?jour)|bonjour, good ?(?:morning|afternoon|evening|night|day), "
            "bonne (?:journee|soiree|nuit), bonsoir, salut, salam\\w*, slm, svp, stp, s il vous plait, "
            "s il te plait"
        )),
    (
        "no",
        _phrases(
            "(?:non|nn|nan|no|nope|lla|لا) (?:merci )?(?:c ?est bon|cest bon|c bon|ca va|sa va|ca ira|"
            "it s (?:ok|okay|fine)|"
            "i ?m (?:ok|okay|fine|good)|safi|صافي), "
            "(?:non|nn|no|nope|nah|lla|la|لا) (?:merci |thanks |thank you )?(?:pas maintenant|"
            "pas aujourd ?hui|pas encore|plus tard|not now|not today|not yet|later|maybe later|ماشي دابا|"
            "ليس الان|machi daba)"
        ),
    ),
    (
        "yes",
        _phrases(
            "(?<!t )(?:i |je )?(?:think|hope|believe) so, "
            "(?:je )?(?:pense|crois|dirais|espere) (?:que |bien que )?(?:oui|wi), kandn ah"
        ),
    ),
    (
        "unknown",
        _phrases(
            "oui (?:ou|et|ou bien|mais) non, non (?:ou|et|mais) oui, yes (?:or|and|but) no, "
            "no (?:or|and|but) yes, نعم (?:او|ولا|و|ام) لا, اه (?:ولا|او) لا, yes no yes, "
            "ah (?:wla|wela) la, ah ?bon(?= ?\\?|$), (?:pas|not) (?:trop )?(?:sure?|certain)(?: \\w+)?, "
            "not really sure, (?:je |j )?(?:ne )?(?:sais|c|ses|sait|c) (?:pas|po|pa)(?: \\w+)?, "
            "(?:je )?(?:ne )?(?:comprend\\w*|compri\\w*) (?:pas|rien|pa), chai pas, chepa, jsp, jss pas, "
            "sais pa, (?:i )?(?:do ?n ?t|dont|do not|don t|no|nor) (?:know|kno|sabi|understand), "
            "(?:dont|don t) no(?: \\w+)?, idk, dunno, no idea, aucune idee, not yet, pas encore, mazal, "
            "(?:no|not) (?:now|today), pas maintenant, pas tout de suite, plus tard, later, not sure, "
            "(?:ma|ما) ?(?:3|ع)\\w+(?:ch|sh|ش)(?: \\w+)?, ma ?3ref\\w*, man3ref\\w*, "
            "(?:ما|لا|مش|مو) ?(?:عرف|فهم|اعرف|ادري|افهم|نعرف|فاهم|عارف|متاكد|ندري)\\w*, مافهمتش, ماعرفتش, "
            "ma ?fhemt\\w*, ma ?fhmt\\w*, مانعرف\\w*, لست (?:متاكد\\w*|ادري), peut ?-? ?etre, ptetre, ptet, "
            "maybe, may be, perhaps, possible, possibly, probablement, probably, ca depend, sa depend, "
            "it depends, depends, يمكن, ربما, ممكن, جايز, حسب, ymken, yemken, ymkn, mumkin, momkin, "
            "on verra, we (?:will )?see, let me think, je (?:vais )?reflech\\w*, laisse moi reflechir, "
            "je reflechis, i ?(?: ll)? think about it, نفكر, سافكر, خليني نفكر, kanfker, nfker, "
            "what do you mean, c ?est quoi, cest quoi, c quoi, how come"
        ),
    ),
    (
        "yes",
        _phrases(
            "pourquoi pas, pk pas, pq pas, why not, علاش لا, لم لا, لما لا, ليش لا, 3lach la, 3lash la, "
            "pas de (?:probleme|problem|souci|soucis|pb|prob|pblm|tracas|blem), "
            "(?:y a |ya )?(?:aucun|pas) (?:de )?(?:probleme|souci|soucis|pb|pblm), "
            "sans (?:probleme|souci|hesit\\w+), sans aucun (?:probleme|doute|souci), "
            "no (?:problem|prob|problems|pb|wahala|worries|worry|issue|issues|doubt|shaking|objection|"
            "palava|stress), not a problem, i don ?t mind, i do not mind, don ?t mind, dont mind, "
            "(?:ca|sa) (?:me |ne me )?(?:derange|gene) pas, "
            "(?:ما|مافي|ماشي|لا|مافيه|مفيش|مافيش|بلا|بدون|ما ?كاين\\w*|ماكاين\\w*|ما عندي|"
            "ماعندي) ?(?:اي )?(?:حتي )?(?:مشكل\\w*|مانع|باس|بءس|باءس|اشكال|حرج), "
            "(?:ma ?ka?yn?(?:ch)?|ma ?kayench|ma ?fiha|mafi|bla|ma ?3andi|ma ?3ndi|machi|mashi) (?:hta |"
            "7ta |chi )?(?:mochkil\\w*|mouchkil\\w*|mushkil\\w*|mochkila|mochkl|mechkil|machakil|mani3), "
            "لا مانع(?: لدي| عندي)?, لا باس, ما عندي مانع, ما عندي مشكل, (?:je (?:ne )?)?dis pas non, "
            "i won ?t say no, na so, e dey ok\\w*, e correct, i dey (?:inside|for am), "
            "(?:of|off) cour[sc]e(?! not)"
        ),
    ),
    (
        "no",
        _phrases(
            "(?:bien sur|evidemment|certainement|surement|ah|mais) que non, bah non, ah non, "
            "(?:of|off) course not, certainly not, absolutely not, definitely not, hell no, not at all, "
            "pas du tout, pas question, hors de question, surtout pas, jamais de la vie, absolument pas, "
            "certainement pas, vraiment pas, pas vraiment, pas trop, not really, "
            "not (?:for me|interested|ok|okay|good|agreed|correct|true|possible), "
            "pas (?:d ?accord|ok|interesse\\w*|la peine|besoin|bon|possible|pour moi|vrai|envie|exact\\w*|"
            "correct\\w*|moi|oblige), c ?est non, c non, cest non, non c ?est non, plutot non, "
            "je (?:dis|reponds) non, rather not, better not, i ?(?:d|would) rather not, "
            "prefere (?:pas|ne pas)(?: \\w+)?, no need, no be so, no way, no go, no chance, "
            "(?:nah?|nope|no) *(?:am|i ?m|im|i am|we are)? ?(?:good|ok|okay|fine|alright), am good, "
            "i ?m good, (?:i |me )?no (?:gree|agree|want|wan|like|dey want|fit|accept)(?: \\w+)?, "
            "i nor? (?:want|gree|wan|dey gree), "
            "(?:je |j |jen |on |nous )?(?:ne |n ?)?(?:l )?(?:veux|veut|ve|veu|jveux|jveu|jve|voulons|"
            "souhaite|desire|accepte|pense|crois|peux|px|peut|pe|aime|consens|refuse que|voudrais) (?:pas|"
            "pa|po|plus|rien|jamais), "
            "(?:je |j |chui |jsuis )?(?:ne )?(?:suis |sui )?(?:pas|pa|plus) (?:d ?accord|pret\\w*|"
            "interesse\\w*|ok|pour), (?:pas|pa) (?:d ?accord|ok|interesse\\w*|envie|besoin), "
            "(?:i |we )?(?:really )?(?:do ?n ?t|dont|do not|don t|didn t|won ?t|wont|will not|would not|"
            "wouldn ?t|can ?t|cant|cannot|am not|m not|im not|isn ?t|is not|never|neva) (?:really )?(?:want|"
            "agree|accept|wish|like|think so|think|do|need|consent|go|come|interested|ok|okay|ready|allow|"
            "be|share|give|comfortable)(?: \\w+)?, don ?t, dont, do not, "
            "(?:ما|مش|مو|مب|ماني|مانيش|لست|غير|ماشي|لا|لن|ماني ?ش|منيش) ?(?:بغيت\\w*|نبغي\\w*|ابغي\\w*|ابي|"
            "اريد\\w*|نريد\\w*|عايز\\w*|عاوز\\w*|موافق\\w*|اوافق\\w*|متفق\\w*|اقبل\\w*|نقبل\\w*|قابل\\w*|"
            "ندور\\w*|نبي\\w*|دور\\w*|حاب\\w*|احب\\w*|ارغب\\w*|مهتم\\w*|صحيح\\w*|صح|نعم|اكيد|طبعا|يمكن ابدا|"
            "داير\\w*|راضي\\w*), "
            "(?:ما|ma) ?(?:بغ\\w*ش|كنبغيش|نبغيش|bgh?i\\w*|b8it\\w*|nbgh\\w*|kanbgh\\w*|bri\\w*|ndour\\w*|"
            "nebghi\\w*), مابغيتش, منبغيش, ما نقدرش, mabghit\\w*, mabgit\\w*, mab8it\\w*, manbghi\\w*, "
            "makanbghi\\w*, "
            "(?:machi|mashi|ma|mani|manich|manish) (?:mouafi9\\w*|mwafe9\\w*|mwafi9\\w*|mwaf9\\w*|"
            "mouafe9\\w*|mouafik\\w*|mowafi9\\w*|mouwafi9\\w*|mtaf9\\w*|ok|nm|d accord), ma ?n9de?r\\w*, "
            "ما ?نقدر\\w*, (?:akid|اكيد|طبعا|بالطبع|بالتاكيد) (?:la+|lla+|لا+), "
            "لا (?:طبعا|اكيد|ابدا|والله|شكرا\\w*|خويا), walo+, والو, abadan, (?:7|h)ta (?:7|h)aja, jamais, "
            "never, laisse tomber, laissez tomber, forget it, leave it"
        ),
    ),
    (
        "yes",
        _phrases(
            "(?:oui|si|yes|yeah) (?:oui|si|yes|yeah), bien sure?, biensure?, bien entendu, evidemment, "
            "certainement, absolument, tout a fait, avec plaisir, volontiers, sans doute, "
            "c ?est (?:ca|sa|bon|ok|exact|vrai|correct|d accord|parfait|bien|juste|oui|clair), "
            "c (?:bon|ok|sa|ca|vrai|exact), cest (?:bon|ok|ca|sa|vrai|exact|parfait), "
            "ca (?:me )?(?:marche|va|roule|convient|joue), sa (?:me )?(?:marche|va|roule|convient), "
            "ca me va, "
            "(?:je |j ?)(?:suis |sui )?(?:d ?accord|dacor\\w*|ok|pret\\w*|partant\\w*|pour|interesse\\w*), "
            "d ?accord, dacc?ord?, d ?acc?, "
            "(?:je |j ?)(?:le |la |l )?(?:accepte|confirme|consens|valide)(?: bien)?, "
            "(?:je )?(?:le |la |l )?(?:j ?)?(?:veux|ve|veu|voudrais|aimerais) bien, jaccepte, vas ?y, "
            "allez ?y, allons ?y, on y va, on fait comme ca, go ahead, go for it, let s (?:go|do it), "
            "do it, sounds good, all ?right, fine(?: by me| with me)?, "
            "it s (?:fine|ok|okay|good|correct|true), "
            "(?:that s|thats|that is) (?:fine|ok|okay|good|right|correct|true|it), "
            "(?:i |me i |we )(?:do )?(?:agree|accept|consent|confirm|gree|am ready|m ready|dey ready|am ok|"
            "am okay|understand and agree), yes (?:o|now|sir|ma|pls|please|na), "
            "i go (?:do|like)(?: am| it)?, by all means, no (?:be )?lie, "
            "(?:انا )?(?:اوافق|موافق\\w*|متفق\\w*|نوافق|اقبل|قابل\\w*|نقبل|راضي\\w*|مستعد\\w*), بكل سرور, "
            "بكل (?:فرح|تاكيد), علي (?:راسي|الراس|العين), بالتاكيد, بالطبع, بطبيعه الحال, ان شا الله نعم, "
            "ماعليش, معليش, "
            "(?:ana )?(?:mouafi9\\w*|mwafe9\\w*|mwafi9\\w*|mwaf9\\w*|mouafe9\\w*|mouafik\\w*|mowafi9\\w*|"
            "mouwafi9\\w*|mtaf9\\w*|mwafek\\w*), 3la rassi, 3la rasi, mzn|mzyan|mezian|meziane|mzian"
        ),
    ),
    (
        "wish",  # a yes by itself, but the beginning of something else when more follows
        _phrases(
            "accepte, confirme, confirm, accept, "
            "(?:je |j ?)?(?:le |la |l )?(?:veux|ve|veu|jveux|jveu|jve|souhaite|voudrais|aimerais), "
            "(?:i |we |me i )?(?:want(?: to| it)?|wan|am in|am|do|will|would like(?: to)?|wish|"
            "would love to|d like(?: to)?), اريد\\w*, نريد, بغيت, نبغي, ابغي, ابي, عايز, عاوز, ندور, داير, "
            "bghit\\w*, bgit\\w*, b8it\\w*, nbghi, kanbghi, dama begg"
        ),
    ),
)  # fmt: skip

_STRONG_YES: Final = word_set(
    "oui wi ouii wii oe ouais ouai ouaip oué oue ui uii vi wé wai waip yes yees yess yeah yeahh yea yep yup"
    " yh yas yap ya yeap"
    " yessir yesss ye yeh aye iyeh iyyeh iyih iyeah eyeh ayeh ayh iwa iwaa aywa aywah ayoh ewa eiwa ayy"
    " naam na3am n3am nam na3m"
    " naeam waaw waw wawaw waawaw waao waawwaaw affirmatif affirmative awɔ eey eeyi eyy ey eyyo eeyo eyo"
    " awo awoo ɔwɔ owo ohon onhon yoo iyo iyoo"
    " نعم ايه اييه ايوا ايوه ايوي اه ااه ايي اي هيه اهيه واه اوكي اوك اوكيه اوكاي واخا واخه وخا وخه واخ"
    " طبعا اكيد تمام حاضر"
    " صح صحيح معلوم يالاه يلا بلي اجل ان3م مزيان زين زوين كلاص"
)
_WEAK_YES: Final = word_set(
    "ok okay okey oki okie okk okok k kk sure surely certainly absolutely definitely exactly exactement"
    " exact correct right true"
    " vrai parfait perfect super top bien good great fine cool nickel entendu compris volontiers evidemment"
    " absolument"
    " dac dacc dak dacor dacord wakha wakhha waxa wa5a wakh wkha wkh waha wah akid akiid tab3an saha sa7"
    " s7i7 sahih mliha mli7"
    " safi صافي agreed agree accepted confirmed confirme accord done deal tamam marche yallah yalah yala"
    " bon indeed totally"
    " gree ready pret prete"
)
_STRONG_NO: Final = word_set(
    "non nn nan nann naan nonn noon nooon nope nop nah naah naa no noo nop non3 nop nein nada never jamais"
    " neva not negatif"
    " lla llaa laa lala lalala lalla laaa lah déet deet deedeet dedeet dédet deedet det alaa alaah ayi aayi"
    " ayii ayayi"
    " faux wrong false incorrect refuse refused decline غلط خطا خطء لا لاا لالا كلا لاه ابدا ارفض مستحيل"
    " نرفض رافض رافضه هلا لالالا noway nonon nonnon"
)
_EMOJI_YES = re.compile("[👍✅👌☑✔🆗💯🤝🙆👏]")
_EMOJI_NO = re.compile("[👎❌🚫🙅⛔✖🛑]")
_QUESTION: Final = word_set(
    "pourquoi pk pq pkoi pourkoi why comment how what who quoi koi quand when where ou qui que quel quelle"
    " combien"
    " علاش ليش لماذا شنو اش كيفاش شكون فين وين متي كيف ماذا شو من هل واش 3lach 3lash 3lach chno chnou achno"
    " kifach chkoun"
    " fin wach wash wetin which hein huh"
)
_POLITE: Final = word_set(
    "merci thanks thank you thx شكرا شكرن chokran choukran shukran choukrane svp please pls plz stp mr"
    " madame monsieur sir"
    " madam ma sidi a khouya khoya khti lalla خويا اختي سيدي الله يخليك 3afak afak عافاك من فضلك فضلكم"
    " فضلكم allah ya"
    " frere soeur bro brother sister my dear boss chef bonjour salam salut hello hi slm o na oh ah eh bah"
    " ben euh et and so"
    " wallah والله يا اخي ان شا الله نشا انشا inchallah inchalah inshallah nchallah incha nchalah"
    " hamdoulillah abeg biko walahi"
    " waay dé deh de man gars mon ami my friend beaucoup bcp very much lot kbira bzaf بزاف بارك فيك لك لكم"
    " جزيلا"
    " mais alors donc then just juste moi me i je il ils vous toi"
)


_PIDGIN_SUBJECTS: Final = word_set("i we you una dem e he she they me it wey money")
# a yes or no that stands apart from what follows
_OPENING = re.compile(
    r"\W*(?:(?:oui|ouais|wi|yes|yeah|yep|yup|نعم|ايوا|ايه|ايوه|واخا|wakha|waaw|eey|iyeh|naam|non|nn|nan|"
    r"nope|ok|okay|"
    r"d ?'? ?accord|daccord|bien sur|of course|pourquoi pas|why not)(?!\w)|(?:no|nah|lla|la|لا|iwa|ah|awo|"
    r"ayi)\s*[,.!;:])"
)
_MOST_BESIDE: Final = 2  # other words beside a yes or no inside a message
_MOST_AFTER: Final = 7  # other words after a yes or no that opens the message


def read_yes_no(text: str) -> YesNo:
    """ "yes", "no", or "unknown" for doubt, a question, both at once, or anything else."""
    said = plain(text, 300)
    emoji = ("yes" if _EMOJI_YES.search(said) else "") + ("no" if _EMOJI_NO.search(said) else "")
    opens = _OPENING.match(said) is not None
    asks = said.rstrip().endswith("?")
    said = re.sub(r"[^\w?]+", " ", said.replace("?", " ? ")).strip()
    words = said.split()
    if len(words) > _LONGEST_ANSWER:
        return "unknown"
    if not re.search(r"\w", said):
        return "yes" if emoji == "yes" else "no" if emoji == "no" else "unknown"
    said = re.sub(r" \?$", "", said) if asks else said
    for meaning, phrases in _PHRASES:
        said = phrases.sub(_TAGS[meaning], said)
    return _weigh(said.split(), asks, emoji, opens)


def _weigh(words: list[str], asks: bool, emoji: str, opens: bool) -> YesNo:
    """What the tags and single words of a message amount to."""
    marks: list[str] = []  # Y N strong, y n weak, U doubt, Q question, . other
    for before, word in zip(["", *words], words, strict=False):
        if word == "no" and before in _PIDGIN_SUBJECTS:
            marks.append(".")  # "i no get paper": a negation, not an answer
        elif word in ("Y", "N", "U"):
            marks.append(word)
        elif word == "W":
            marks.append("y")
        elif word in _STRONG_YES:
            marks.append("Y")
        elif word in _STRONG_NO:
            marks.append("N")
        elif word in _WEAK_YES:
            marks.append("y")
        elif word in _QUESTION:
            marks.append("Q")
        elif word not in _POLITE:
            marks.append(".")
    if not marks:
        return _of_particles(words, asks)
    told = [mark for mark in marks if mark in "YNU"]
    weak = "y" in marks
    others = marks.count(".")
    if marks[0] == "Q" or (asks and not opens):
        return "unknown"
    if not told and not weak:
        return _of_particles(words, asks)
    if "N" in told and "Y" in told:
        return "unknown"
    if "U" in told:
        return "unknown"
    if ("Q" in marks and not opens) or (asks and ("Q" in marks or others > _MOST_BESIDE)):
        return "unknown"
    most = _MOST_AFTER if opens else _MOST_BESIDE
    if "N" in told:
        return "no" if others <= most else "unknown"
    if emoji == "no":
        return "unknown"
    if "Y" in told:
        return "yes" if others <= most else "unknown"
    most = 0 if "W" in words else 3 if opens else 1
    return "yes" if others <= most else "unknown"


def _of_particles(words: list[str], asks: bool) -> YesNo:
    """Short words that mean yes or no only when they stand alone: "ah", "la", "na3"."""
    core = [word for word in words if word not in _POLITE or word in ("ah",)]
    if asks or not core or len(words) > 4:
        return "unknown"
    if core[0] in ("la", "lla") and all(word in ("la", "lla", "a") for word in core):
        return "no"
    if core in (["n"], ["y"]):
        return "no" if core == ["n"] else "yes"
    if all(word in ("ah", "we", "si", "e", "ee", "mhm", "hmhm", "yy", "o") for word in core):
        return "yes"
    return "unknown"
