"""Reads whether a person is a child (under 18) or an adult, from an age, a birth year or a word."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final, Literal

from bot.assistant.values.numerals import with_digits
from bot.assistant.values.spelling import plain, word_set

AgeGroup = Literal["child", "adult", "unknown"]
OF_AGE: Final = 18  # years
OLDEST: Final = 110
_YOUNGEST_WRITER: Final = 6  # a smaller number alone is the number of a choice, not an age
_OLDER_THAN_A_STAY: Final = 10  # fewer years are more often a length of time
_CONTEXT: Final = 60  # characters on either side of a number that say what it counts
_MOST_NUMBERS: Final = 10  # more is not an answer about one's age

_END = r"(?!\w)"
_NUMBER = re.compile(r"(?<![\d.,:/])(\d{1,3})(?:[.,]\d)?(?![\d:/]|[.,]\d)")
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d)(?!\d)")
_BORN = re.compile(
    r"(?<!\w)(?:nee?|ne|nais\w*|born|birth\w*|مواليد|مزداد\w*|ولدت|تزاد\w*|تولدت|mzdad\w*|mzad\w*|tzad\w*|"
    r"tzedt|khla9t|"
    r"mawalid|dob)(?!\w)"
)
_BIRTH_DATE = re.compile(r"(?<!\d)(\d{1,2})[ ./-](\d{1,2})[ ./-]((?:19|20)\d\d)(?!\d)")
_UNIT = re.compile(
    r" ?(?:ans?|annees?|anee?s?|yrs?|years?|yo|y o|y|yr|ane|3am|l ?3am|d l ?3am|3amr?|3wam|snin|sna|sana|sne|"
    r"سنه|عام|عاما|عامن|سنوات|سنين|سنا|اعوام|لعام|ل ?عام|د ?العام|ربيعا)" + _END
)
_OTHER_UNIT = re.compile(
    r"[ -]?(?:mois|months?|jours?|days?|semaines?|weeks?|enfants?|kids?|child\w*|bebes?|freres?|soeurs?|"
    r"brothers?|sisters?|personnes?|people|persons?|heures?|hours?|h|am|pm|min\w*|dhs?|dirhams?|dollars?|"
    r"euros?|"
    r"km|kilos?|kg|fois|times?|%|eme|e|ieme|th|jan\w*|fev\w*|feb\w*|mars|march|avr\w*|apr\w*|mai|may|juin|"
    r"june|"
    r"juil\w*|july|aout|aug\w*|sept\w*|oct\w*|nov\w*|dec\w*|شهر|شهور|اشهر|ايام|يوم|اسبوع|اولاد|ولاد|اطفال|"
    r"دراري|"
    r"اخوه|درهم|درهما|مره|ساعه|chhour|chhor|chher|chhar|iyam|yam|nhar|wlad|drari|draham|dh|mois de)" + _END
)
_DURATION = re.compile(
    r"(?<!\w)(?:depuis|depui|dpuis|dpui|ban|since|in|en|stay\w*|spent|spend|passe|vecu|غبت|بقيت|قضيت|هنا|"
    r"here|for|pendant|durant|il y a|y a|[cs]a fait|fait|hadi|هادي|هذي|منذ|من|from|after|apres|dans|"
    r"last|avant|before|room|chambre|bus|ligne|numero|num|n|no|number|رقم|dossier|file|art\w*|page|x)"
    r"(?: (?:plus|more|about|environ|presque|kter|ktar|de|than|ktr|d|mn|اكثر|من))* ?\Z"
)
_OTHER_PERSON = re.compile(
    r"(?<!\w)(?:(?:mon|mn|ma|mes|son|sa|notre|my|his|her|our|un|une|a|an|le|la|the|leur|deux|2) )"
    r"(?:\w+ )?(?:fils|fille|frer|frere|soeur|enfants?|bebe|mari|femme|amie?|cousine?|neveu|niece|mere|pere|"
    r"maman|papa|"
    r"petit|petite|gosse|copain|copine|son|sons|daughters?|brothers?|sisters?|baby|wife|husband|friends?|"
    r"child|"
    r"children|kids?|boy|girl|cousins?|nephew|mother|father|pikin|person|personne)(?!\w)"
    r"|(?<!\w)(?:ولدي|بنتي|خويا|اخي|اختي|ختي|راجلي|زوجي|مراتي|زوجتي|ابني|ابنتي|صديقي|صاحبي|ولادي|اولادي|"
    r"طفلي|طفلتي|"
    r"امي|ابي|خوي|اخوي|weldi|wldi|bnti|benti|khoya|khouya|khti|rajli|mrati|sa7bi|s7abi|sahbi|wladi|"
    r"pikin)(?!\w)"
    r"|(?<!\w)(?:il|elle|he|she|they|ils|elles|3ndo|3ndha|3andou|3andha|عندو|عندها|عنده|عمره|عمرها|عمرو) ?"
    r"(?:a|ont|is|are|has)?(?= |\Z)"
)
_SELF = re.compile(
    r"(?<!\w)(?:j ?'? ?ai|jai|je|j|g|ai|moi|am|im|i ?'? ?m|i be|i|my age|age|aged|old|mon age(?: est)?|"
    r"c'?est|it'?s|عمري|عندي|"
    r"في عمري|سني|سنى|انا|3ndi|3endi|3andi|3indi|3omri|3omry|3mri|3emri|omri|andi|ana|f3omri|men|man of|"
    r"woman of|"
    r"boy of|girl of|age of|age de|homme de|femme de|suis|about|only|just|que|maintenant|now|daba|دابا)"
    r"(?: (?:a|have|got|only|just|still|about|like|now|deja|juste|seulement|que|daba|f|f3omri|un|of|age de|"
    r"aged|"
    r"years|fi|turn|turned|reach|already|don|غير|فقط|هو|ghir|houwa|howa))* ?\Z"
)
_OVER = re.compile(
    r"(?<!\w)(?:plus (?:de|ke|que|d)|\+ ?(?:de)?|>=?|over|above|more than|older than|past|superieure? a|"
    r"supérieur|"
    r"au[ -]dessus (?:de)?|depass\w*|ktr ?(?:mn|men|min)?|kt[ae]r (?:mn|men|min)|kber (?:mn|men)|"
    r"fo[uw]?[9q]|fou9|"
    r"اكثر من|اكتر من|اكبر من|كبر من|كثر من|كتر من|فوق|ازيد من|فايت|تجاوزت|فت|fayt|fett?|ادني)"
    r"(?: (?:les|the|ال|l|de|age of|سن|age de))* ?\Z"
)
_UNDER = re.compile(
    r"(?<!\w)(?:moins (?:de|ke|que|d)|<=?|under|below|less than|younger than|inferieure? a|"
    r"en[ -]dessous (?:de)?|"
    r"(?:9|k|q)[ae]?ll? (?:mn|men|min)|a9al (?:mn|men|min)|sgh[ae]r (?:mn|men|min)|ta?7t|te7t|t7t|"
    r"تحت|اقل من|اصغر من|قل من|صغر من|دون|mwen|(?<!\d)- ?(?:de)?)"
    r"(?: (?:les|the|ال|l|de|age of|سن|age de))* ?\Z"
)
_NOT_YET = re.compile(
    r"(?<!\w)(?:pas encore|pas|not yet|not|haven'?t|have not|didn'?t|never|n'?ai pas|jamais|"
    r"(?:maza?l\w*|ba9i|baqi|مازال\w*|ما زال\w*|باقي|لسه)(?: \w+)? (?:ma|ما)(?: ?\w+)?|ma (?:wsl|kml|kmm?el|"
    r"9ft|weslt|ws[ae]l|dr)\w*|"
    r"ma(?:wsl|kml)\w*|ما (?:وصل|كمل|قفل|بلغ|عنديش|درت)\w*|ما(?:وصل|كمل|قفل)\w*|لم (?:ابلغ|اصل|اكمل|اتم|"
    r"اتجاوز)|"
    r"ma ?3ndich|ما ?عنديش|no reach|never reach|neva reach)(?: \w+){0,3} ?\Z"
)
_SOON = re.compile(
    r"(?<!\w)(?:almost|nearly|presque|bientot|bientot|j ?'? ?aurai|j ?aurais|jaur\w+|jor[ae]i?|j orai|aurai|"
    r"vais avoir|va avoir|vais faire|turning|turn|about to (?:be|turn)|going to (?:be|turn)|gonna be|will be|"
    r"will turn|i'?ll be|soon|close to|near|qrib|9rib|krib|قريب|قربت|على وشك|غادي \w+|سابلغ|ساكمل|ghadi \w+|"
    r"ghan\w+|نقفل|غنكمل)(?: \w+){0,3} ?\Z"
)
_SOON_AFTER = re.compile(
    r"\W{0,3}(?:\w+ ){0,2}?(?:bientot|soon|pas encore|not yet|le mois prochain|next (?:month|week|year)|"
    r"l'?annee prochaine|la semaine prochaine|tomorrow|demain|dans \d+ (?:mois|jours|semaines)|"
    r"in \d+ (?:months?|days?|weeks?)|en (?:jan|fev|mar|avr|mai|juin|juil|aout|sep|oct|nov|dec)\w*|"
    r"in (?:jan|feb|mar|apr|may|june|july|aug|sep|oct|nov|dec)\w*|قريبا|الشهر الجاي|الشهر القادم|العام الجاي|"
    r"chher jay|l3am jay)" + _END
)
_DONE = re.compile(r"(?<!\w)(?:depuis|since|already|deja|passe|hier|yesterday|revolus?|accomplis)(?!\w)")
_NEGATED_END = re.compile(
    r"(?<!\w)(?:pas|not|n'?t|isn'?t|aint|ni|ماشي|machi|mashi|ليس|لست|مش|"
    r"موش)(?: \w+)? ?\Z"
)
_UNSURE = re.compile(
    r"(?<!\w)(?:maybe|may be|perhaps|peut[ -]?etre|peutetre|not sure|pas sure?|je crois|je pense|i think|"
    r"i guess|"
    r"environ|about|around|approx\w*|a peu pres|يمكن|ربما|تقريبا|ta9riban|taqriban|t9riban|yemken|ymken|ymkn|"
    r"yimkin|dunno|dont know|don'?t know|sais pas|ne sais|اظن|كنظن|kandn|kandenn|wla|wela|ولا|او|aw|or|ou|"
    r"between|entre|بين|exact\w*)(?!\w)"
)
_CHILD_WORD = re.compile(
    r"(?<!\w)(?:mineure?|minor|underage|under age|under aged|ado|adolescente?|teen|teenager|teenage|قاصر|"
    r"قاصره|قاصرا|9asi?r|9asira|qasi?r|qasira|qaser|9aser|gasir)(?!\w)"
)
_SMALL_ONE = re.compile(
    r"(?<!\w)(?:enfant|child|kid|small boy|small girl|young boy|little boy|little girl|طفل|طفله|طفلا|صغير|"
    r"صغيره|sghir|"
    r"sghira|sgher|bebe|baby|small pikin|pikin|petit garcon|petite fille)(?!\w)"
)
_ADULT_WORD = re.compile(
    r"(?<!\w)(?:majeure?|adulte?|adlt|grown|grown ?up|grownup|راشد|راشده|راشدا|بالغ|بالغه|بالغا|البالغ|"
    r"rached|rachda|balegh|baligh|balgh|of age|legal age|كبير|كبيره|kbir|kbira)(?!\w)"
)
_BEING = re.compile(
    r"(?<!\w)(?:suis|chui|sui|am|im|i'?m|be|still|only|just|encore|ana|انا|mazal|مازال|مازلت|باقي|as)"
    r"(?: (?:still|un|une|a|an|1|just|only|encore|toujours|not|pas|so|too|غير|ghir|mazal|مازال))* ?\Z"
)
_HAVING = re.compile(
    r"(?<!\w)(?:avec|with|have|has|ai|accompagn\w+|et|and|mes|mon|ma|my|des|les|for|pour|مع|m3a|عندي|3ndi)"
    r"(?: (?:un|une|a|an|1|2|3|des|the|les|my|mon|ma|small|petit))* ?\Z"
)
_AROUND_AGE: Final = word_set(
    "c est cest it's its s it is i i'm im am j ai jai je suis know not sure sais pas et and demi demie half"
    " half's w nss"
    " now maintenant daba svp merci please sir ok oui yes now just juste only a b ana انا و نص نصف na be"
    " dey o age"
)
_OWN_AGE: Final = word_set(
    "j jai g m moi age de mon me my have got old of am be aged عندي عمري في سني هو 3ndi 3endi 3andi 3indi 3omri 3omry"
    " omri f3omri f non no en fait pardon desole sorry actually plutot erreur trompe mean voulais dire لا عفوا بل"
)
_IN_FACT = re.compile(r"\ben fait\b", re.I)  # no length of time
_CLAUSE = re.compile(
    r"[,;.!?()\n]|(?<!\w)(?:et|and|but|mais|و|w|o|walakin|ولكن|لكن)(?!\w)|(?<!\w)و(?=\w{4})"
    r"|(?<!\w)(?=(?:i am|i ?'? ?m|moi|j ?'? ?ai|jai|انا|ana|3ndi|عندي|عمري|3omri)(?!\w))"
)


def read_age_group(text: str) -> AgeGroup:
    """ "child" under 18 years, "adult" from 18, "unknown" when the text does not settle it.

    Other people's ages and lengths of time are not read; "17 or 18" is unknown.
    """
    said = with_digits(plain(text, 400), keep=frozenset(("sept", "second")))
    said = re.sub(r"(?<=\d)(ans?|yrs?|years?|yo|3am|an)(?!\w)", r" \1", said)
    said = re.sub(r"(?<!\w)sept (?=ans?(?!\w))", "7 ", said)
    groups = _of_numbers(said) | _of_words(said)
    if groups == {"child"}:
        return "child"
    if groups == {"adult"}:
        return "adult"
    return "unknown"


def age_alone(text: str) -> AgeGroup:
    """The group of a message that is the writer's age and nothing else, told with its unit or as their own.

    « 30 ans », « j'ai 30 ans », "I am 30", « عندي 30 عام »; a bare number is none, and "unknown" is anything else.
    """
    text = _IN_FACT.sub(" ", text)
    said = with_digits(plain(text, 100), keep=frozenset(("sept", "second")))
    said = re.sub(r"(?<=\d)(ans?|yrs?|years?|yo|3am|an)(?!\w)", r" \1", said)
    found = [one for one in _NUMBER.finditer(said) if not re.match(r"[^\W\d]", said[one.end() :])]  # no « 3ndi »
    if len(found) != 1:
        return "unknown"
    before, after = said[: found[0].start()], said[found[0].end() :]
    unit = _UNIT.match(after)
    if not (unit or _SELF.search(before)) or _DURATION.search(before):
        return "unknown"
    rest = before + (after[unit.end() :] if unit else after)
    if [word for word in re.findall(r"[^\W_]+", rest) if word not in _AROUND_AGE and word not in _OWN_AGE]:
        return "unknown"
    return read_age_group(text)


def _clause_before(said: str, at: int) -> str:
    before = said[max(0, at - 60) : at]
    ends = [end.end() for end in _CLAUSE.finditer(before)]
    return before[ends[-1] :].lstrip() if ends else before


def _of_numbers(said: str) -> set[AgeGroup]:
    """Groups of the ages that the person gives; `unknown` among them when one is doubtful."""
    years = _of_birth(said)
    if years:
        return years
    marked: list[AgeGroup] = []
    bare: list[AgeGroup] = []
    found = list(_NUMBER.finditer(said))
    if len(found) > _MOST_NUMBERS:
        return set()
    for number in found:
        value = int(number[1])
        before = said[max(0, number.start() - _CONTEXT) : number.start()]
        after = said[number.end() : number.end() + _CONTEXT]
        clause = _clause_before(said, number.start())
        if (number.start() and said[number.start() - 1].isalpha()) or re.match(r"[^\W\d]", after):
            continue  # part of a word: "3ndi", "m3a"
        if value > OLDEST or _OTHER_UNIT.match(after) or _is_of_another(clause):
            continue
        unit = _UNIT.match(after)
        qualified = _qualified(value, before, clause, after)
        if qualified is not None:
            marked.append(qualified)
            continue
        if _DURATION.search(before):
            continue
        own = _SELF.search(before) is not None
        if value < _YOUNGEST_WRITER and not (unit and own):
            continue
        if own or (unit and (value >= _OLDER_THAN_A_STAY or _only_an_age(said))):
            marked.append(_of_age(value))
        else:
            bare.append(_of_age(value))
    ages = marked or (bare if _only_an_age(said) else [])
    numbers = {int(number) for number in re.findall(r"(?<![\w])\d{1,3}(?!\w)", said)}
    near = any(OF_AGE - 2 <= number <= OF_AGE + 1 for number in numbers)
    if ages and _UNSURE.search(said) and (near or len(set(ages) | set(bare)) > 1):
        return {"unknown"}
    return set(ages)


def _only_an_age(said: str, others: int = 1) -> bool:
    """Whether next to nothing but numbers is said, so that a number must be the age that was asked for."""
    strange = [word for word in re.findall(r"[^\W\d_][\w']*", _UNSURE.sub(" ", said)) if word not in _AROUND_AGE]
    return len(strange) <= others


def _is_of_another(clause: str) -> bool:
    """Whether the words before an age are about somebody else; "I am a girl of 16" is not."""
    other = _OTHER_PERSON.search(clause)
    return other is not None and not _BEING.search(clause[: other.start()])


def _of_age(value: int) -> AgeGroup:
    return "child" if value < OF_AGE else "adult"


def _qualified(value: int, before: str, clause: str, after: str) -> AgeGroup | None:
    """The group that "over 18", "not yet 18" or "18+" says; None for a plain number."""
    if _UNDER.search(before):
        inner = _UNDER.sub("", before)
        if _NEGATED_END.search(inner):
            return "adult" if value >= OF_AGE else "unknown"
        return "child" if value <= OF_AGE else "unknown"
    if _OVER.search(before) or re.match(
        r" ?\+|(?: ?\w+)? (?:et plus|ans et plus|and (?:above|over|up)|or (?:more|older|above|over)|passes?|"
        r"فما فوق|w ktr)",
        after,
    ):
        if _NEGATED_END.search(_OVER.sub("", before)):
            return "child" if value <= OF_AGE else "unknown"
        return "adult" if value >= OF_AGE else "unknown"
    if re.match(r" ?-(?!\d)|(?: ?\w+)? (?:or under|or less|et moins|فما تحت)", after):
        return "child" if value < OF_AGE else "unknown"
    if value >= _OLDER_THAN_A_STAY and (_SOON.search(clause) or (_SOON_AFTER.match(after) and not _DONE.search(after))):
        return "child" if value <= OF_AGE else "adult"
    if _NOT_YET.search(clause):
        return "child" if value <= OF_AGE and value >= OF_AGE - 2 else "unknown"
    return None


def _of_birth(said: str) -> set[AgeGroup]:
    today = datetime.now(UTC).date()
    if not _BORN.search(said) and not _only_an_age(said, others=0):
        return set()
    groups: set[AgeGroup] = set()
    for date in _BIRTH_DATE.finditer(said):
        day, month, year = (int(part) for part in date.groups())
        if 1 <= month <= 12 and 1 <= day <= 31 and year <= today.year and today.year - year == OF_AGE:
            return {"adult" if (month, day) <= (today.month, today.day) else "child"}
    for found in _YEAR.findall(said):
        age = today.year - int(found)
        if 0 <= age <= OLDEST and not _OTHER_PERSON.search(_clause_before(said, said.index(found))):
            groups.add("child" if age < OF_AGE else "adult" if age > OF_AGE else "unknown")
    return groups


def _of_words(said: str) -> set[AgeGroup]:
    groups: set[AgeGroup] = set()
    length = len(re.findall(r"\w+", said))
    for pattern, group in ((_CHILD_WORD, "child"), (_ADULT_WORD, "adult"), (_SMALL_ONE, "child")):
        for word in pattern.finditer(said):
            clause = _clause_before(said, word.start())
            being = _BEING.search(clause)
            if not being and length > (2 if pattern is _SMALL_ONE else 5):
                continue
            if not being and (_OTHER_PERSON.search(clause + word[0]) or _HAVING.search(clause)):
                continue
            negated = re.search(
                r"(?<!\w)(?:pas|not|no|non|n'?t|isn'?t|aint|ماشي|machi|mashi|ليس|لست|غير|مش|ما|ma|مانيش|"
                r"manich)"
                r"(?: \w+){0,2} ?\Z",
                clause,
            )
            is_child = (group == "child") != bool(negated)
            groups.add("child" if is_child else "adult")
    if groups and re.search(
        r"(?<!\w)(?:maybe|not sure|peut[ -]etre|pas sure?|يمكن|don'?t know|"
        r"sais pas)(?!\w)",
        said,
    ):
        return {"unknown"}
    if re.search(r"\?\s*\Z", said) and len(groups) > 1:
        return {"unknown"}
    return groups
