"""Reads what a first request is about: leaving Morocco or Mauritania, being back somewhere, or somebody else."""

from __future__ import annotations

import re
from typing import Final, Literal

from bot.assistant.values.country import read_country
from bot.assistant.values.spelling import plain, word_set, words

Direction = Literal["from_morocco", "from_mauritania", "back_in_morocco", "back_in_mauritania", "other_returnee",
                    "for_someone_else"]  # fmt: skip
_LONGEST: Final = 40  # words: what is longer is a story
_AROUND: Final = word_set(
    "je suis chui sui moi c est vis habite reste i am m im in at from live dey now here ana kayn f fi mn men l le la"
    " les au aux du de des a en ici actuellement maintenant daba svp merci bonjour salam slm sir please"
    " انا في من ب ف الان دابا هنا"
)  # beside a country or city that is the whole answer
_HERE: Final = {
    "morocco": re.compile(
        r"(?<!\w)(?P<to>ل|الي ال|الي )?(?:l|el|al)?(?:maroc|marok|maroko|morocco|moroco|maroco|marruecos|ma?ghri?b"
        r"|maghreb|[بف]?المغرب|للمغرب|لمغرب|مغرب|kaza|casa|casablanca|r[ae]?bat|tanja|tanger|tangiers?|w[ae]?jda|oujda|nador|fes|meknes|marrakech"
        r"|agadir|laayoune|dakhla|tetouan|[بف]?الرباط|كازا|الدار البيضا|طنجه|وجده|الناظور|مراكش|اكادير)(?!\w)"
    ),
    "mauritania": re.compile(
        r"(?<!\w)(?P<to>ل|الي )?(?:l|el|al)?(?:ma?u?o?rit[ai]n\w*|mouritan\w*|muritan\w*|moritan\w*|mauritan\w*"
        r"|[فبل]?موريتانيا|[فبل]?موريطانيا|nouakchott|nktt|nouadhibou|rosso|نواكشوط|انواكشوط|نواذيبو|انواذيبو)(?!\w)"
    ),
}
_BACK = re.compile(
    r"(?<!\w)(?:(?:suis|sui|ss|chui|sommes|est|sont|deja|dja) (?:deja |bien |maintenant )?(?:rentre|retourne|revenu)\w*"
    r"|(?:i ?'? ?m|am|we are|already|now) (?:already |now )?back|back (?:in|to my country since)|came back|got back"
    r"|come back already|(?:have|has|already|ve) (?:already )?(?:returned|come back|gone back)|i returned"
    r"|don (?:already )?(?:reach|return|come back|go back)|(?:suis|sui|chui|deja|sommes) (?:deja )?de retour"
    r"|de retour|returnee|returned|رجعت|رجعنا|عدت|عدنا|رجعو|عاءد من|rj3t|rje3t|rja3t|rj3na|rje3na|\Aback\Z)(?!\w)"
)
_BACK_SPELLED = re.compile(r"(?<!\w)(?:rentré|retourné|revenu)e?s?(?!\w)", re.I)  # said without « je suis »
_LEAVE = re.compile(
    r"(?<!\w)(?:quit\w*|kit(?:e|er|t\w*)|parti[rs]?|sortir|laisser|abandonner|rentr\w*|retour\w*|revenir|repartir"
    r"|depart|leav\w*|exit|go (?:back|home|bak)|going (?:back|home)|come back|get home|return\w*|comot|commot|avrr"
    r"|(?:ا|ن|لل|ال|ب)?(?:رجوع|عوده|مغادره|خروج)|(?:ا|ن|ي)رجع\w*|اعود|اغادر|نغادر|نخرج|اخرج|نمشي|مغادره|رجوع"
    r"|n?rj[ae]?3|n?re?j[ae]?3|n?rja3|nerj[ae]3|rj[ou]+3|roujou3|rojo3|nrja|nkhrej|nkhroj|nmchi|lmoghadara)(?!\w)"
)
_RETURNING = (
    r"(?:rentr\w*|retour\w*|revenir|go back|going back|come back|returning|return|عوده|العوده|الرجوع|رجوع|(?:ا|ن)رجع"
    r"|اعود|n?rj[ae]?3|nerj[ae]3|nrja3)"
)
# « go back to Morocco » is no wish to leave it
_TOWARDS = re.compile(rf"{_RETURNING} (?:\w+ )?(?:au|a|to|vers|in|en|dans|ل|الي|l|il|lil|f)?\s?\Z")
_FROM = re.compile(r"(?<!\w)(?:du|de|de la|d|from|depuis|من|mn|men|min|quit\w*|leav\w*|m)\s?(?:le |la |l )?\Z")
_WISH: Final = word_set(
    "veux veu ve jveux jveu jve voudrais voudrai aimerais souhaite want wan wana wanna wish like need besoin bghit"
    " bghina بغيت بغينا اريد نريد ابغي حاب خاصني khasni nod mbido"
)
_NO: Final = word_set("ne pas not dont never jamais no لا لم مش ماشي ما mabghitch mabghit مابغيتش plus")
_RELATIVE: Final = (
    r"(?:frer\w*|soeur\w*|enfants?|bebe|mari|epouse|femme|ami\w*|cousin\w*|neveu|niece|mere|pere|maman|papa|fils|fille"
    r"|copain|copine|voisin\w*|collegue|beneficiaire|personne|dame|monsieur|gars|jeune|homme|migrants?|famille"
    r"|brother|broda|sister|sista|baby|wife|husband|friend|mother|father|mama|son|daughter|child|children|pikin|person"
    r"|man|woman|boy|girl|cousin|nephew|neighbou?r)"
)
_SOMEBODY = re.compile(
    r"(?<!\w)(?:quelqu ?'? ?un d ?'? ?autre|(?:une )?autre personne|someone else|somebody else|another person"
    r"|(?:pour|pr|for|4|concernant|about|aider|help|helping) (?:quelqu ?'? ?un|someone|somebody|another|une? autre|"
    r"(?:mon|ma|mn|mes|un|une|my|a|his|her|le|la|son|sa|notre|our|cette|ce|this|that|the) (?:\w+ )?"
    + _RELATIVE
    + r")|شخص اخر|واحد اخر|شي حد اخر|من اجل (?:اخي|اختي|صديقي|امي|ابي|زوجي|زوجتي|ابني|ابنتي|شخص)"
    r"|(?:ل|علي )(?:اخي|اختي|صديقي|صديق|امي|ابي|زوجي|زوجتي|ابني|ابنتي|خويا|ختي|صاحبي|ولدي|راجلي|مراتي)"
    r"|(?:l|3la|dyal) ?(?:khoya|khouya|khti|sa7bi|s7abi|sahbi|weldi|wldi|mama|baba|rajli|mrati)"
    r"|chi (?:wahed|wa7ed|7ed) (?:akhor|akhur|khor))(?!\w)"
)
_ONLY_SOMEBODY = re.compile(
    rf"(?:c ?'? ?est |it ?'? ?s )?(?:mon|ma|mn|un|une|my|a) (?:\w+ )?{_RELATIVE}"
    r"|اخي|اختي|صديقي|خويا|ختي|khoya|khouya|khti"
)


def read_direction(text: str) -> Direction | None:
    """The reason of a request as a choice of its form; None where it is not said, or could be several."""
    said, spoken = _spoken(text)
    if not spoken or len(spoken) > _LONGEST:
        return None
    if _SOMEBODY.search(said) or _ONLY_SOMEBODY.fullmatch(said):
        return "for_someone_else"
    wish = set(spoken) & _WISH
    back = _BACK.search(said) or (not wish and _BACK_SPELLED.search(text))
    here = {name: found for name, pattern in _HERE.items() if (found := pattern.search(said))}
    if back:
        return _back_in(said, here, text)
    if _denied(said) or len(here) > 1:
        return None
    for name, found in here.items():
        before = said[: found.start()]
        towards = _TOWARDS.search(before + (found["to"] or "")) or (found[0].startswith("لل") and _LEAVE.search(before))
        if towards and not _FROM.search(before):
            return None  # home to there, from where nobody knows
        if _LEAVE.search(said) or wish or set((before + said[found.end() :]).split()) <= _AROUND:
            return "from_morocco" if name == "morocco" else "from_mauritania"
    return None


def speaks_of_return(text: str) -> bool:
    """Whether it is about leaving or returning at all: then from where has to be asked."""
    said, spoken = _spoken(text)
    return len(spoken) <= _LONGEST and not _denied(said) and bool(_LEAVE.search(said) or _BACK.search(said))


def _spoken(text: str) -> tuple[str, list[str]]:
    spoken = words(plain(text))
    return " ".join(spoken), spoken


def _back_in(said: str, here: dict[str, re.Match[str]], text: str) -> Direction | None:
    """Where somebody is back; « back from Morocco » is not back in it."""
    there = [name for name, found in here.items() if not _FROM.search(said[: found.start()])]
    if len(there) == 1 and len(here) == 1:
        return "back_in_morocco" if there == ["morocco"] else "back_in_mauritania"
    if not there:
        for found in here.values():
            said = said.replace(found[0], " ")
        country = read_country(said if here else text)
        return "other_returnee" if country not in (None, "MA", "MR") else None
    return None


def _denied(said: str) -> bool:
    """Whether leaving is what they do not want."""
    leave = _LEAVE.search(said)
    if leave is None:
        return False
    return bool(set(said[: leave.start()].split()[-3:]) & _NO)
