"""Reads the name of a country, as people write it, into its ISO 3166 code of two letters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from babel import Locale
from rapidfuzz import process
from rapidfuzz.distance import OSA

from bot.assistant.values.spelling import plain, word_set, words
from bot.messages import LANGUAGES

NOWHERE: Final = ""  # a known word that names no country: a city, a region, "home"
_NOT_COUNTRIES = {
    "AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ",
}  # fmt: skip
_ORDINARY_WORDS = {"reunion", "lareunion"}  # names that mean something else far more often

# other names: nicknames, short forms, old names, Darija and Arabizi
_ALIASES: Final = {
    "MA": "maroc, marok, maroco, morocco, marruecos, maghrib, maghreb, lmaghrib, lmaghreb, lmghrib, lmgrib,"
    " lmaghrb, elmaghrib, almaghrib, mghrib, المغرب, لمغرب, المملكه المغربيه, royaume du maroc",
    "MR": "rim, mauritanie, mauritania, moritanie, moritani, muritania, mouritania, mouritaniya, موريتانيا,"
    " موريطانيا, شنقيط, republique islamique de mauritanie",
    "SN": "senegal, sunugal, sunu gaal, senegaal, sngl, sinighal, sinigal, ssinighal, السنغال, سنغال, سينيغال",
    "GN": "guinee, guinee conakry, guinea conakry, republique de guinee, guinee konakry, guinea konakry,"
    " guinea cky, gineh, ghinya, ghinia, ginya, ghinea, ghiniya, lghinya, غينيا كوناكري, غينيا كوناكرى, غنيا,"
    " غينيه, guinne, guinné",
    "GW": "guinee bissau, guinea bissao, guine bissau, bissau guinea, غينيا بيساو, غينيا بساو, guinee bisau",
    "GQ": "guinee equatoriale, guinee equato, guinea ecuatorial, eq guinea, غينيا الاستواءيه",
    "CI": "cote d ivoire, cote divoire, cote ivoire, cote d ivoir, cote d ivoar, rci, ivory coast,"
    " ivorycoast, ivoire, codivoir, kot difwar, cote di voire, كوت ديفوار, كوديفوار, ساحل العاج, الكوت"
    " ديفوار,"
    " كود ديفوار",
    "CM": "kamer, le kamer, 237, cameroun, cameroon, cameron, camerone, kameroon, lkamiroun, kamiroun,"
    " kamiron, الكامرون, الكاميرون, كاميرون",
    "NG": "naija, 9ja, naijaland, nija, nigeria, nigeriya, nayjirya, naijiria, nijirya, nijiria, نيجيريا,"
    " نيجريا, federal republic of nigeria",
    "NE": "niger, nijer, nigeur, republique du niger, النيجر, نيجر",
    "SL": "salone, sweet salone, sierra leone, siera leone, sierraleone, sa lone, سيراليون, سيرا ليون",
    "LR": "liberia, libéria, lib, ليبيريا",
    "GM": "gambie, gambia, the gambia, gambiya, lgambia, gambi, غامبيا, جامبيا, كامبيا, قامبيا, smiling coast",
    "ML": "mali, republique du mali, lmali, maali, mali ba, مالي, جمهوريه مالي",
    "BF": "burkina, faso, burkina faso, haute volta, بوركينا, بوركينا فاسو",
    "BJ": "benin, bénin, dahomey, republique du benin, البنين, بنين",
    "TG": "togo, lome togo, طوغو, التوغو, توغو",
    "GH": "ghana, gana, gold coast, lghana, غانا",
    "TD": "tchad, chad, tchade, tchat, تشاد, التشاد",
    "CF": "rca, centrafrique, centre afrique, central africa republic, central african republic,"
    " republique centrafricaine, republique centre africaine, افريقيا الوسطي, جمهوريه افريقيا الوسطي",
    "CG": "congo brazza, congo brazzaville, brazzaville congo, republique du congo, republic of the congo,"
    " republic of congo, congo brazavil, الكونغو برازافيل, الكونغو برازفيل, كونغو برازافيل",
    "CD": "rdc, drc, rd congo, dr congo, congo rdc, congo drc, congo kinshasa, kinshasa congo, congo kin,"
    " republique democratique du congo, congo democratique, democratic republic of congo, zaire,"
    " democratic republic of the congo, democratic congo, الكونغو الديمقراطيه, الكونغو كينشاسا,"
    " جمهوريه الكونغو الديمقراطيه, كونغو كينشاسا",
    "GA": "gabon, lgabon, الغابون, الجابون, غابون",
    "SD": "soudan, sudan, soudane, sodan, souden, sodane, السودان, سودان, north sudan, soudan nord",
    "SS": "south sudan, soudan du sud, soudan sud, sud soudan, sudan du sud, جنوب السودان",
    "ET": "ethiopie, ethiopia, habesha, اثيوبيا, الحبشه",
    "ER": "erythree, eritrea, eritree, اريتريا",
    "SO": "somalie, somalia, somaliya, الصومال",
    "DZ": "algerie, algeria, dz, dzayer, lalgerie, jazair, ljazair, djazair, dzaier, الجزاير, الدزاير, لجزاير",
    "TN": "tunisie, tunisia, tounes, touness, تونس",
    "LY": "libye, libya, libia, lybia, lybie, libiya, ليبيا",
    "EG": "egypte, egypt, masr, misr, massr, egipt, مصر",
    "SY": "syrie, syria, souria, sourya, suria, سوريا, سوريه",
    "YE": "yemen, lyaman, yaman, liyemen, اليمن",
    "PS": "palestine, falastin, filistin, gaza, فلسطين",
    "IQ": "irak, iraq, العراق",
    "LB": "liban, lebanon, loubnan, لبنان",
    "SA": "saoudia, saudi, saudi arabia, ksa, arabie saoudite, arabie saudite, saoudi, السعوديه",
    "AE": "emirats, emirates, uae, dubai uae, les emirats, الامارات, emirats arabes",
    "QA": "qatar, katar, قطر",
    "TR": "turquie, turkey, turkiye, turkya, torkia, toorkia, تركيا",
    "FR": "france, fransa, fronsa, lafrance, فرنسا",
    "ES": "espagne, spain, spania, sbania, espana, isbania, اسبانيا, سبانيا",
    "IT": "italie, italy, italia, talian, talyan, italya, ايطاليا, الطاليان",
    "DE": "allemagne, germany, almania, almanya, lalman, alman, deutschland, المانيا",
    "BE": "belgique, belgium, beljika, belgika, بلجيكا",
    "NL": "hollande, holland, pays bas, netherlands, holanda, هولندا",
    "PT": "portugal, bortogal, البرتغال",
    "GB": "uk, england, angleterre, royaume uni, great britain, grande bretagne, britain, london uk,"
    " بريطانيا, انجلترا, انكلترا",
    "US": "usa, united states of america, america, amerique, etats unis, les usa, marikan,"
    " mirikan, amrika, امريكا, الولايات المتحده",
    "CA": "canada, kanada, كندا",
    "GR": "grece, greece, lyounan, اليونان",
    "CV": "cap vert, cape verde, cabo verde, cap verd, capvert, الراس الاخضر",
    "KM": "comores, comoros, جزر القمر",
    "MU": "ile maurice, maurice, mauritius",
    "RE": "ile de la reunion",
    "ST": "sao tome, sao tome et principe",
    "GF": "guyane, guyane francaise, french guiana",
    "GY": "guyana",
    "ZA": "afrique du sud, south africa, afrik du sud, southafrica, azania, mzansi, جنوب افريقيا",
    "SZ": "swaziland, eswatini",
    "MM": "birmanie, burma, myanmar",
    "LK": "sri lanka, srilanka",
    "BD": "bangladesh, bangla desh",
    "PK": "pakistan, باكستان",
    "HK": "hong kong",
    "MO": "macao, macau",
    "CZ": "czech republic, republique tcheque, tchequie",
    "MK": "macedoine, macedonia",
    "BA": "bosnie, bosnia",
    "TL": "east timor, timor",
    "CH": "suisse, switzerland, swisra, سويسرا",
    "RU": "russie, russia, rousya, روسيا",
    "PH": "philippines, filipina",
    "DO": "republique dominicaine, dominican republic",
    "VA": "vatican",
    "VN": "vietnam",
    "AF": "afghanistan, afganistan, افغانستان",
}

# people of a country: said in answer to "which country?"
_PEOPLES: Final = {
    "MA": "marocain, marocaine, moroccan, maghribi, maghribiya, مغربي, مغربيه",
    "MR": "mauritanien, mauritanienne, mauritanian, موريتاني, موريتانيه",
    "SN": "senegalais, senegalaise, senegalese, sinigali, سنغالي, سنغاليه",
    "GN": "guineen, guineenne, guinean, غيني, غينيه",
    "GW": "bissau guineen, bissau guinean, bissau guineenne",
    "GQ": "equato guineen, equatoguineen, equatorial guinean",
    "CI": "ivoirien, ivoirienne, ivorian, ايفواري, ايفواريه",
    "CM": "camerounais, camerounaise, cameroonian, كاميروني, كاميرونيه",
    "NG": "nigerian, nigeriane, nigerianne, نيجيري, نيجيريه",
    "NE": "nigerien, nigerienne",
    "SL": "sierra leonean, sierra leonais, sierra leonaise, salonean",
    "LR": "liberian, liberien, liberienne",
    "GM": "gambian, gambien, gambienne, غامبي",
    "ML": "malien, malienne, malian, maliyen",
    "BF": "burkinabe, burkinabais",
    "BJ": "beninois, beninoise, beninese",
    "TG": "togolais, togolaise, togolese",
    "GH": "ghaneen, ghaneenne, ghanaian",
    "TD": "tchadien, tchadienne, chadian, تشادي",
    "CF": "centrafricain, centrafricaine",
    "GA": "gabonais, gabonaise, gabonese",
    "SD": "soudanais, soudanaise, sudanese, سوداني, سودانيه",
    "SS": "south sudanese, sud soudanais",
    "DZ": "algerien, algerienne, algerian, dziri, جزايري, جزايريه",
    "TN": "tunisien, tunisienne, tunisian, تونسي, تونسيه",
    "LY": "libyen, libyenne, libyan, ليبي",
    "EG": "egyptien, egyptienne, egyptian, masri, مصري, مصريه",
    "SY": "syrien, syrienne, syrian, souri, سوري, سوريه",
    "YE": "yemenite, yemeni, يمني, يمنيه",
    "ET": "ethiopien, ethiopienne, ethiopian",
    "ER": "erythreen, erythreenne, eritrean",
    "SO": "somalien, somalienne, somali, صومالي",
    "PK": "pakistanais, pakistanaise, pakistani",
    "BD": "bangladais, bangladaise, bangladeshi",
}

_NO_COUNTRY: Final = (
    "bled, bledi, le bled, lbled, pays, mon pays, country, my country, home, homeland, home country, mboa,"
    " village, my village, mon village, bladi, blad, lblad, lbladi, بلادي, لبلادي, بلدي, بلاد, لبلاد, وطني,"
    " الوطن, البلاد, africa, afrique, afrik, west africa, afrique de l ouest, east africa, north africa,"
    " central africa, afrique centrale, afrique du nord, afrique de l est, afrique noire, افريقيا,"
    " شمال افريقيا, غرب افريقيا, ifriqya, europe, europa, uropa, lourop, اوروبا, asie, asia, moyen orient,"
    " middle east, congo, kongo, الكونغو, كونغو, lcongo, coree, korea, les iles, canaries, las palmas,"
    " dakar, thies, kaolack, ziguinchor, touba, saint louis, tambacounda, kolda, conakry, konakry, konacry,"
    " cky, kankan, labe, nzerekore, kindia, mamou, boke, kamsar, abidjan, babi, bouake, yamoussoukro, daloa,"
    " korhogo, san pedro, gagnoa, bamako, bko, kayes, sikasso, segou, mopti, gao, tombouctou, timbuktu,"
    " kidal,"
    " douala, yaounde, bafoussam, bamenda, garoua, maroua, ngaoundere, kribi, limbe, buea, lagos, abuja,"
    " kano,"
    " ibadan, benin city, kaduna, port harcourt, enugu, warri, edo, owerri, aba, onitsha, freetown, bo town,"
    " kenema, makeni, monrovia, banjul, serekunda, brikama, basse, bakau, bissau, bafata, malabo, bata,"
    " ouagadougou, ouaga, bobo dioulasso, bobo, cotonou, porto novo, parakou, lome, kara, sokode, accra,"
    " kumasi, tamale, niamey, zinder, agadez, maradi, ndjamena, n djamena, moundou, abeche, bangui, kinshasa,"
    " kin, lubumbashi, goma, bukavu, brazzaville, pointe noire, libreville, port gentil, khartoum, omdurman,"
    " darfour, darfur, nyala, juba, addis abeba, addis ababa, asmara, mogadishu, mogadiscio, nairobi,"
    " kampala,"
    " kigali, nouakchott, nouadhibou, nktt, ndb, rosso, casablanca, casa, rabat, tanger, tangier, tangiers,"
    " tetouan, oujda, nador, fes, fez, meknes, marrakech, agadir, laayoune, dakhla, sale, kenitra, ceuta,"
    " melilla, sebta, mlilia, khouribga, beni mellal, souissi, agdal, بيرو, البيرو, لبيرو, المالي, alger,"
    " algiers, oran, tamanrasset, tunis, sfax, tripoli,"
    " benghazi, misrata, cairo, le caire, damascus, damas, sanaa, paris, london, londres, madrid, rome,"
    " berlin,"
    " bruxelles, istanbul, dubai, new york, mexico city, kuwait city, panama city, guatemala city,"
    " republique, republic, royaume, kingdom, united nations, nations unies, les nations unies,"
    " داكار, دكار, كوناكري, ابيدجان, باماكو, دوالا, ياوندي, لاغوس, لاغوص, ابوجا, فريتاون, مونروفيا, بانجول,"
    " بيساو,"
    " واغادوغو, كوتونو, لومي, اكرا, نيامي, انجامينا, نجامينا, بانغي, كينشاسا, برازافيل, ليبرفيل, الخرطوم,"
    " خرطوم,"
    " دارفور, جوبا, اسمره, مقديشو, نواكشوط, نواذيبو, انواذيبو, الدار البيضا, الدارالبيضا, كازا, الرباط, طنجه,"
    " تطوان, وجده, الناظور, فاس, مكناس, مراكش, اكادير, العيون, الداخله, وهران, طرابلس, بنغازي, القاهره, دمشق,"
    " حلب, صنعا, باريس, لندن, مدريد, برلين, اسطنبول, دبي"
)

_FILLER: Final = word_set(
    "le la les l d de du des au aux a en o of the to in from for and et ou or je suis i am my mon ma ana mn"
    " min"
    " men fi f b w من في الي ل و انا go is it na dyal dial un une"
)
# words that people put around the name of a country
_LEADING: Final = word_set(
    "viens vien vient venu venue origine nationalite citoyen rentrer rentre rentré retourner retour"
    " retourne retourné"
    " return returning back come comes coming came going be citizen native originally want wan wana wanna"
    " would like"
    " veux ve veu voudrais aller partir vais moi pays country called name nom appelle appele call bghit"
    " nrje3 nrj3"
    " nrja3 bladi blad jay jit جيت جاي بغيت نرجع ارجع اريد العوده نمشي بلدي بلادي اسمه هي هو دوله راجع dey"
    " waa"
    " svp please merci bonjour salut salam hello slm hi c est cest it s its that im i'm sui chui"
    " actuellement now"
    " maintenant vit vis live living ne nee born still toujours just only republic republique الي الى"
)
# words close to a country's name that are none
_NEVER_MISSPELT: Final = word_set(
    "malin malien maline malade manger mange main maison maries marier mariage mairie malien chien chienne"
    " china chance change chaud chaude charge chose nigga tiger danger ranger jordan cousin jeune jamais"
    " japon"
    " garcon gambe jambe general femme famille village visage voyage courage argent argente agent urgent"
    " togeth together today tonga tango total guide guinness game games again against being begin bien rien"
    " benne canal candidat cuban cube india inde indien indienne iran israel italien peine peur perou perdu"
    " pouvoir pays paye payer place police policier polio portable port porte senior signal signale sinon"
    " soldat soudain souvent sudden sunday summer serious series service serbe suisse suis suite suivi suivre"
    " swede sweet syrup system tuna turc turkish women yeah yemeni travail famine gagner gagne grace grande"
    " green greek great grec libre liberte library liban liberal lettre latin lattice line ligne maman mama"
    " malta malte maurice marie maroon normal normalement nature nepal never niece nigérien number numero"
    " oman"
    " other autre panama papa papers papiers paris party passport please pleas polish poland prison problem"
    " probleme quatre quitter qatar quart retour return revenir romain rome russe somme sommes spanish spain"
    " speak suede sure tchat thank thanks thai think thinking travel ukraine want want wallah when where"
    " woman women human cheque cheques etape etapes selon reunion demain dmain story page principles please"
    " freshness"
    " الفرنسيه بالفرنسيه الانجليزيه الايطاليه الاسبانيه العربيه بالعربيه النمره المكتب"
    " لماذا لما لان مالك ماله عنوان عندي سيارة مساعده اريد العوده الرجوع ارجع نرجع الفلوس"
)
# countries that a short misspelt word (6 letters or fewer) may be read as: where people come from or pass
_LIKELY: Final = word_set(
    "MA MR SN GN GW GQ CI CM NG NE SL LR GM ML BF BJ TG GH TD CF CG CD GA SD SS ET ER SO DZ TN LY EG SY YE"
    " PS IQ"
    " AF PK BD IN LK NP TR FR ES IT DE BE NL PT GB CV KM AO RW BI UG KE TZ ZA DJ MG"
)
_NEGATION: Final = frozenset({"pas", "not", "no", "non", "never", "machi", "mashi", "ماشي", "ليس", "مش", "غير", "sauf"})
_ARABIC_PREFIXES: Final = ("لل", "بال", "فال", "وال", "كال", "ل", "ب", "ف", "و", "ال", "لي", "في")
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]{2}")
_LONGEST_NAME = 6  # words
_LONGEST_MESSAGE = 60  # words read
_MOST_WORDS_TO_CORRECT = 2  # beside those that lead to a country: in a longer message a near word is chance
_SHORTEST_JOINED = 8  # letters of a name of one word that may be written as several
_SHORTEST_CITY = 6  # letters of a city that a misspelt word may be taken for, rather than for a country
_ARABIC = re.compile("[\u0600-\u06ff]")


@dataclass(frozen=True, slots=True)
class _Names:
    exact: dict[str, str]  # spaceless plain name → code or NOWHERE
    folded: dict[str, str]  # the same by sound; names of two countries that sound alike are left out
    of_words: frozenset[str]  # names of several words, without their spaces
    codes: dict[str, str]  # both of them
    by_size: dict[int, list[str]]  # spellings and sounds by length


def read_country(text: str) -> str | None:
    """The one country that the text names, as ISO 3166 alpha-2 ("GN"), or None.

    Reads names in French, English and Arabic with spelling mistakes, nicknames, nationalities and flags.
    A city, "home", "Congo" without saying which, and two different countries are None.
    """
    said = words(plain(text))[:_LONGEST_MESSAGE]
    if [word for word in said if word not in _FILLER] == ["us"] and len(said) <= 3:
        return "US"
    codes = {code for code in (_of_flag(flag) for flag in _FLAG.findall(text[:400])) if code}
    rest: list[str | None] = list(said)
    content = [word for word in said if word not in _FILLER and word not in _LEADING]
    corrects = len(content) <= _MOST_WORDS_TO_CORRECT
    for sizes in (range(_LONGEST_NAME, 1, -1), range(1, 0, -1)):  # names of several words go first
        codes |= _named(said, rest, sizes, _as_spelt)
        if corrects or sizes.start > 1:
            codes |= _named(said, rest, sizes, _as_sounded)
        if corrects and (sizes.start > 1 or not codes):
            codes |= _named(said, rest, sizes, _nearly)
    return codes.pop() if len(codes) == 1 else None


def _named(said: list[str], rest: list[str | None], sizes: range, read: Callable[[str, int], str | None]) -> set[str]:
    """Codes of the names of so many words in `rest`, where words once read become None."""
    codes: set[str] = set()
    for size in sizes:
        for start in range(len(rest) - size + 1):
            gram = rest[start : start + size]
            if None in gram or (read is not _as_spelt and not _may_be_misspelt(gram)):
                continue
            code = read("".join(word or "" for word in gram), size)
            if code is None:
                continue
            rest[start : start + size] = [None] * size
            if code != NOWHERE and not _is_negated(said[:start]):
                codes.add(code)
    return codes


def _is_negated(before: list[str]) -> bool:
    near = before[-2:] if before and before[-1] in _FILLER else before[-1:]
    return not _NEGATION.isdisjoint(near)


def _as_spelt(joined: str, size: int) -> str | None:
    if size > 1 and len(joined) < _SHORTEST_JOINED and joined not in _names().of_words:
        return None  # "to go" is no Togo
    exact = _names().exact
    return next((exact[stem] for stem in (joined, *_stems(joined, size, "d", "f", "fl", "dl")) if stem in exact), None)


def _as_sounded(joined: str, size: int) -> str | None:
    if len(joined) < (_SHORTEST_JOINED if size > 1 else 4):
        return None
    folded = _names().folded
    sounds = (_fold(stem) for stem in (joined, *_stems(joined, size)))
    return next((folded[sound] for sound in sounds if sound in folded), None)


def _nearly(joined: str, size: int) -> str | None:
    for spelling in (joined, *_stems(joined, size)):
        for sound in (_fold(spelling), spelling):
            code = _nearest(sound, several=size > 1)
            if code is not None:
                return code
    return None


def _stems(word: str, size: int, *prepositions: str) -> Iterator[str]:
    """The word without an article or preposition written onto it: "lmali", "للسنغال"."""
    if _ARABIC.match(word):
        for prefix in _ARABIC_PREFIXES:
            stem = word.removeprefix(prefix)
            if stem != word and len(stem) >= 3:
                yield stem
                if prefix in ("لل", "بال", "فال", "وال", "كال", "ل", "ب", "ف", "و"):
                    yield "ال" + stem
    elif size == 1:
        for prefix in ("l", "el", "al", *prepositions):
            if word.startswith(prefix) and len(word) - len(prefix) >= 4:
                yield word.removeprefix(prefix)


def _may_be_misspelt(gram: list[str | None]) -> bool:
    if None in gram or gram[0] in _FILLER or gram[-1] in _FILLER:
        return False
    return not any(word in _NEVER_MISSPELT for word in gram)


def _nearest(folded: str, *, several: bool) -> str | None:
    """The code of the names that this sound comes nearest to; None where two countries are equally near."""
    length = len(folded)
    if not (7 if several else 5) <= length <= 30:
        return None
    told = length - 2 if folded.startswith("ال") else length  # the Arabic article tells nothing
    if told < 5:
        return None
    allowed = 1 if told < (12 if several else 8) else 2
    names = _names()
    near = [name for size in range(length - allowed, length + allowed + 1) for name in names.by_size.get(size, ())]
    best = process.extract(folded, near, scorer=OSA.distance, score_cutoff=allowed, limit=12)
    if not best or (length <= 6 and best[0][0][0] != folded[0]):
        return None
    codes = {names.codes[name] for name, score, _ in best if score == best[0][1]}
    code = codes.pop() if len(codes) == 1 else None
    return None if told <= 6 and code not in _LIKELY and code != NOWHERE else code


def _of_flag(flag: str) -> str | None:
    code = "".join(chr(ord(letter) - 0x1F1E6 + ord("A")) for letter in flag)
    return code if code in Locale("en").territories and code not in _NOT_COUNTRIES else None


_SOUNDS: Final = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        ("tch|tsh|sh", "ch"),
        ("ph", "f"),
        ("gu(?=[eiy])|gh", "G"),
        ("g(?=[eiy])|dj", "j"),
        ("qu|ck|q|9", "k"),
        ("c(?=[eiy])", "s"),
        ("c(?!h)", "k"),
        ("eau|au|ou|oo|w|o", "u"),
        ("ee|y|e", "i"),
        ("z", "s"),
        ("(?<!c)h", ""),
        ("G", "g"),
        ("ط", "ت"),
        ("[جق]", "غ"),
        ("ص", "س"),
        ("ث", "ت"),
        ("ه$", "ا"),
        (r"(.)\1+", r"\1"),
    )
)


def _fold(name: str) -> str:
    """How the name sounds: one letter for each sound, whichever of the languages it is spelt in."""
    for pattern, sound in _SOUNDS:
        name = pattern.sub(sound, name)
    return name


@cache
def _names() -> _Names:
    exact: dict[str, str] = {}
    of_words: set[str] = set()

    def add(name: str, code: str) -> None:
        parts = words(plain(name))
        key = "".join(parts)
        if len(parts) > 1:
            of_words.add(key)
        if key and key not in _ORDINARY_WORDS:
            exact.setdefault(key, code)

    for name in _NO_COUNTRY.split(","):
        add(name, NOWHERE)
    for table in (_ALIASES, _PEOPLES):
        for code, listed in table.items():
            for name in listed.split(","):
                add(name, code)
    for language in LANGUAGES:
        for code, name in Locale(language).territories.items():
            if len(code) == 2 and code.isalpha() and code not in _NOT_COUNTRIES:
                add(name, code)
                for part in re.split(r"[()]", name):
                    add(part, code)
    of_sound: dict[str, set[str]] = {}
    for name, code in exact.items():
        if len(name) >= 4:
            of_sound.setdefault(_fold(name), set()).add(code)
    folded = {sound: codes.pop() for sound, codes in of_sound.items() if len(codes) == 1}
    by_size: dict[int, list[str]] = {}
    for sound, code in (folded | exact).items():
        if code == NOWHERE and len(sound) < _SHORTEST_CITY:
            continue
        by_size.setdefault(len(sound), []).append(sound)
    codes = folded | exact
    return _Names(exact, folded, frozenset(of_words), codes, by_size)
