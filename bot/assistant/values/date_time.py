"""Reads a day, and a time or part of the day, out of a message about an appointment."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from rapidfuzz import process
from rapidfuzz.distance import OSA

from bot.assistant.values.numerals import with_digits
from bot.assistant.values.spelling import plain, word_set
from bot.messages import Language

Part = Literal["morning", "afternoon", "evening"]
_OFFICE_HOURS: Final = range(8, 19)
_NIGHT_HOURS: Final = range(1, 7)  # "at 3" without more means the afternoon: no office is open at night
_LONGEST: Final = 240  # characters read
_WORKING_DAYS: Final = 5
_LONGEST_FALLBACK: Final = 40  # characters: what dateparser may be asked about

# Words become tags in capitals, which no plain text has; then one small grammar reads the tags.
_WEEKDAYS: Final = {
    0: "lundi lundis lun lndi monday mondays mondy lunes الاثنين الاتنين لتنين التنين اثنين لثنين تنين"
        " altine tenen",
    1: "mardi mardis mrdi tuesday tuesdays tues teusday tusday martes الثلاثا التلاتا التلات الثلاث لتلات"
        " تلات ثلاثا الثلاثه talata talaata tarata",
    2: "mercredi mercredis mercr merc mercrdi wednesday wednesdays weds wensday wednsday wedensday"
        " miercoles الاربعا"
    " الاربع لاربع لربع اربعا لاربعا الاربعه allarba alarba araba",
    3: "jeudi jeudis jeu jeudy thursday thursdays thurs thur thrusday jueves الخميس لخميس خميس alxamis"
        " alxames alkamis alkamisa",
    4: "vendredi vendredis vend vendr vndredi friday fridays frid viernes الجمعه لجمعه جمعه ajuma aljuma"
        " aljouma arjuma guma",
    5: "samedi samedis smdi saturday saturdays satur sabado السبت سبت لسبت aset gaawu sibiri",
    6: "dimanche dimanches dimanch sunday sundays domingo الاحد الحد لحد لاحد احد dibeer alet dimansi kari",
}  # fmt: skip
_ENGLISH_WEEKDAYS: Final = {"mon": 0, "tue": 1, "wed": 2, "thu": 3, "fri": 4, "sat": 5, "sun": 6}
_FRENCH_WEEKDAYS: Final = {"mer": 2, "ven": 4, "sam": 5, "dim": 6}
_ARABIZI_WEEKDAYS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?:n?l|el|al|le|lel)?[aei]?t{1,2}h?n(?:i|ay|ei|aay|e)n",
        r"(?:l|el|al)?[aei]?t{1,2}h?la?(?:t|th)",
        r"(?:n?l|el|al|le)[aei]?r{1,2}[ae]?b[aei]?(?:3a?|a)",
        r"(?:l|el|al|le)?(?:kh|5)a?mis",
        r"(?:l|el|al|le)?(?:dj|j|g)[aeou]{0,2}m[aou]{0,2}(?:3a?|a3a?)h?",
        r"(?:as|es|s)?s[ae]?bt",
        r"(?:l|el|al|le)?(?:7[ae]?d{1,2})|l7[ae]d{1,2}|lh[ae]d{1,2}|el ?hed",
    )
)
_MONTHS: Final = {
    1: "janvier janv jan january janury janvie يناير ينايير كانون yanayer yanayir",
    2: "fevrier fev fevr february feb febuary فبراير فبراير شباط fbrayer febrayer",
    3: "mars march مارس اذار",
    4: "avril avr april apr ابريل افريل نيسان abril",
    5: "mai may ماي مايو ايار",
    6: "juin june jun يونيو جوان حزيران yunyu younyou younio",
    7: "juillet juil july jul juiyet يوليوز يوليو جويليه تموز yulyuz youlyouz",
    8: "aout august aug out غشت اغسطس اوت اب ghoucht ghocht ghucht",
    9: "septembre sept september sep شتنبر سبتمبر ايلول chtanbir chotanbir shutanbir",
    10: "octobre oct october اكتوبر oktober octobr oktobr",
    11: "novembre nov november نونبر نوفمبر nuwanbir nowanbir nouanbir nounbir novembr",
    12: "decembre dec december دجنبر ديسمبر دسمبر dujanbir dojanbir dujambir decembr desember",
}  # fmt: skip
_DAYS_AHEAD: Final = {
    0: "aujourdhui ojourdhui ojourdui aujourdui ojd auj ajd aujourd today 2day tday tdy اليوم ليوم ليوما"
        " النهارده النهارد"
    " lyoum lyom lyum liyoum liyom elyoum alyoum lyouma lyoma tey",
    1: "demain dmain demin dem1 2main dm1 dmin dmn tomorrow tomorow tommorow tommorrow tomorro tomoro tmrw"
        " tmr tmw tmrrw 2moro 2morrow"
    " 2mrw 2maro tomro morrow غدا غد غدوه غدوا بكره بكرا باكر غده غدن ghda ghdda ghedda ghadda gheda ghdaa"
    " ghedwa ghodwa ghadan"
    " bukra bokra suba sini jango",
    2: "surlendemain overmorrow apredemain apresdemain",
}  # fmt: skip
_PARTS: Final[dict[str, str]] = {
    "MORNING": "matin matinee mat1 mattin morning mornin mrng mrn صباحا صباح الصباح فالصباح بالصباح صبح"
        " الصبح لصباح صباحن sbah sba7"
    " sbe7 ssbah ssba7 sabah saba7 essbah lsbah fsbah fsba7 subh sob7 الضحي",
    "AFTERNOON": "aprem apremidi apresmidi aprm afternoon afternon afternoun arvo عشيه العشيه لعشيه العصر"
        " عصرا عشيا l3chiya l3chia"
    " 3chiya 3chia l3achiya 3achiya l3shiya 3shiya l3echiya l3chiyya f3chiya la3chiya l3ser l3asr 3asr",
    "EVENING": "soir soire soiree swar evening evenin night nite nuit مسا المسا مساا بالليل ليلا الليل لليل"
        " فالليل ليل الليله lil llil"
    " lilla msa lmsa massa ميسا المغرب lmghrib",
    "NOON": "midi noon midday ظهرا الظهر ظهر dohr ddohr dhor duhr ddhor",
}  # fmt: skip
_PHRASES: Final = tuple(
    (re.compile(rf"(?<!\w)(?:{pattern})(?!\w)"), tag)
    for pattern, tag in (
        (r"(?:le )?sur ?lendemain|(?:the )?day (?:after|aft|affter) (?:tomorrow|tmrw|tmr|tomoro|tomorow|"
            r"2moro|tomor+ow)|"
         r"(?:after|next) tomorrow|apres[ -]?(?:demain|dmain|demin|dem1|2main)|apre[ -](?:demain|dmain|dem1|"
         r"2main)|"
         r"(?:من )?بعد ?(?:ال)?(?:غدا|غد|غدوه|بكره|بكرا|غده)|(?:men |mn )?ba?3[ae]?d (?:ghda|ghedda|ghadda|"
         r"gheda|ghdda|ghodwa|ghadan)|"
         r"(?:men |mn )?ba?3d ?ghda", " IN2 "),
        (r"apres?[ -]?m(?:idi)?|(?:l )?apres? ?midi|(?:في )?بعد (?:ال)?(?:ظهر|زوال|عصر|ظهرا)|(?:mn |"
            r"men )?ba?3[ae]?d (?:d+oh?r|dhor|lghda|zawal)|"
         r"after ?noon|العشيه|aprè?s? m", " AFTERNOON "),
        (r"(?:avant|before) (?:midi|noon|lunch)|قبل (?:الظهر|الزوال)|9bel (?:d+ohr|dhor)", " MORNING "),
        (r"aujourd ?'? ?hui|aujourd ui|aujour d'? ?hui|had nhar|هاد النهار|هذا اليوم|هاد اليوم|"
            r"this day", " IN0 "),
        (r"(?:ce|cet|cette)(?= +(?:matin|matinee|soir|soiree|aprem|apres|nuit|midi|AFTERNOON))|"
         r"this(?= +(?:morning|afternoon|evening|night|AFTERNOON))|(?:had|هاد|هذا)(?= +(?:s*ba[h7]|l?3chiya|"
         r"l?3achiya|lila|الصباح|صباح|المسا|الليل|العشيه|AFTERNOON))",
         " IN0 "),
        (r"tonight|tonite|2nite|2night|to night|الليله|هاد الليل|had lila", " IN0 EVENING "),
        (r"(?:la )?semaine (?:prochaine|pro|suivante|qui vient|proch|prochain)|next week|(?:the )?(?:coming|"
            r"following) week|"
         r"(?:ال)?اسبوع (?:القادم|المقبل|الجاي|الاتي|الجاءي|لجاي|الموالي)|(?:السيمانه|سيمانه|"
         r"السمانه) (?:الجايه|جايه|الماجيه|اللي جايه|لي جايه)|"
         r"s+i?mana (?:l ?)?(?:jaya|jayya|majya|lmajya|ljaya)|la semaine d'? ?apres", " NEXTWEEK "),
        (r"(?:ذلك|ذاك|داك|هذاك|نفس|that|dak|same|ce|meme|le meme) (?:ال)?(?:يوم|نهار|nhar|day|jour)(?: la)?|"
            r"ل?(?:ل|ال)?يوم (?:تاني|ثاني|اخر)",
         " "),
        (r"en (?:huit|8)", " PLUSWEEK "),
        (r"(?:et |w |و ?|o |u )?(?:demi|demie|dmi)|(?:و ?|w |u |o )(?:ال)?(?:نصف|نص)|(?:w |o |u )?n(?:o|e|"
            r"u)?s{1,2}|ونص|والنصف", " HALF "),
        (r"(?:moins|mwen) (?:le |un )?(?:quart|15)|(?:الا|غير|قل|لا) (?:ال)?ربع(?:ا)?|(?:9el|qel|lla|ila|"
            r"ghir) r(?:o|e|u)?b3", " TO15 "),
        (r"(?:et |w |و ?|o |u )(?:un |le |ال)?(?:quart|ربع|r(?:o|e|u)?b3)|والربع|وربع", " PAST15 "),
        (r"half[ -]past|half pass", " HALFPAST "),
        (r"(?:a )?quarter (?:past|after|pass)", " PAST15OF "),
        (r"(?:a )?quarter (?:to|before|till)", " TO15OF "),
        (r"o ?'? ?clock|oclock|heures?|heur|hrs?|hours?|ساعات|سوايع|swaye3", " HOUR "),
        (r"الساعه|ساعه|saa3a|sa3a|ssa3a|essa3a|vers les?|aux? environs? de|(?:a|de|des) partir de|environ|"
            r"vers|around|about|مع|ع|على الساعه|علي(?: الساعه)?|"
         r"m3a|m3 a|ma3a|me3a|3la|at|@|a|à|by|حوالي|تقريبا مع|pour", " AT "),
        (r"(?:du|de|pour|en|dans|in|on|f|fi|d|dyal|ديال|د|في|ف|l|le|la|les|the|of|de l'?|dans l'?|di|l'|fla|"
            r"au)(?= +(?:MORNING|AFTERNOON|EVENING|NOON))", " "),
        (r"prochaine?s?|pro|proch|suivante?|qui vient|qui arrive|next|coming|this|القادم|القادمه|المقبل|"
            r"المقبله|الجاي|الجايه|الاتي|jay|ljay|jaya|ljaya|"
         r"majya|لي جاي|اللي جاي|li jay|ce|cette", " "),
    )
)  # fmt: skip
_UNITS: Final = {
    "days": "jours? jrs? j days? day يوم ايام اياما يوما yam iyam ayam youm nhar nharat nhour ليام",
    "weeks": "semaines? sem smaine weeks? wk wks اسبوع اسابيع سيمانات سيمانه s+i?mana simanat simana",
    "months": "mois months? شهر اشهر شهور chhar chher chhor ch?hour",
    "hours": "HOUR h",
}
_UNIT_OF: Final = tuple((kind, re.compile("|".join(listed.split()))) for kind, listed in _UNITS.items())
_WORD = re.compile(r"[^\W_]+")
_IN_SOME_TIME = re.compile(
    r"(?<!\w)(?:dans|d'? ?ici|in|after|apres|within|بعد|من بعد|خلال|mn daba|mn hna|men hna|من هنا|من دابا|"
    r"(?:men |mn )?ba?3d|sous)"
    r" +(?:l )?(\d{1,3}|une?|AT|a|an|one|couple of|a couple of|واحد|wahed|wa7ed|wahd)? ?"
    r"([^\W\d_]+)(?!\w)"
)
_FROM_NOW = re.compile(r"(?<!\w)(\d{1,2}|a|one) +(days?|weeks?|months?) +from (?:now|today|IN0)(?!\w)")
_DUAL = re.compile(
    r"(?<!\w)(?:بعد|من هنا|خلال|ba?3d|من بعد)? ?(?:(يومين|youmayn|yumayn|yawmayn)|(اسبوعين|"
    r"simantin|smantayn|سيمانتين))(?!\w)"
)

_ISO = re.compile(r"(?<!\d)(20\d\d)[-/.](\d{1,2})[-/.](\d{1,2})(?:t(?=\d))?(?!\d)")
_D_M_Y = re.compile(r"(?<![\w:/.-])(\d{1,2}) ?([/.-]) ?(\d{1,2}) ?\2 ?(20\d\d|\d\d)(?!\d|[:/])")
_D_M = re.compile(r"(?<![\w:/.-])(\d{1,2}) ?([/.-]) ?(\d{1,2})(?![\d:]|[/.-]\d| ?(?:h(?!\w)|h\d|am|pm|HOUR))")
_ORDINAL = r"(?:er|st|nd|rd|th|eme|ere)?"
_DAY_MONTH = re.compile(
    rf"(?<![\w:])(\d{{1,2}}|premier|first|اول) ?{_ORDINAL} ?(?:of |de |d |mn |من |f |"
    rf"في |شهر |chhar |-|/|\.)* ?M(\d\d)(?: ?[,.]? ?(20\d\d)(?!\d))?"
)
_MONTH_DAY = re.compile(
    rf"M(\d\d) ?(?:the )?(\d{{1,2}})(?!\d) ?{_ORDINAL}(?![\d:h])(?! ?(?:am|"
    rf"pm)(?!\w))(?: ?,? ?(20\d\d)(?!\d))?"
)
_WEEKDAY = re.compile(r"WD(\d)")
_DAY_OF_MONTH = re.compile(
    rf"(?:(?<!\w)(?:le|the|on the|du|يوم|نهار|nhar|youm|jour|day|date)(?: le|"
    rf" the)? +(\d{{1,2}})(?!\d) ?{_ORDINAL}|"
    r"(?<!\d)(\d{1,2})(?:er|st|nd|rd|th|eme)|(?<!\w)(?:le|the) (premier|first))(?![\w:/])"
)
_NOT_THEN = re.compile(
    r"(?<!pourquoi )(?<!why )(?<!si )(?<!if )(?<!\w)(?:pas|sauf|except|not|no fit|never|can ?'?t|cannot|"
    r"ma ?n9de?rch|manqderch|ma ?n9darch|"
    r"ما ?نقدرش?|مانقدرش|لا (?:استطيع|اقدر|يمكنني)|ما (?:اقدر|نقدر)|ماشي|machi|الا|من غير|ghir machi)"
    r"(?: (?!but|mais|sinon|plutot|ou|or|before|avant)[^\W\d_]+){0,4}? (?:le |the |on |for |AT )?(?:IN\d|"
    r"WD\d|\d{1,2} ?M\d\d)"
    r"(?: (?:MORNING|AFTERNOON|EVENING))?"
)
_THIS_WEEK = re.compile(
    r"(?<!\w)(?:cette semaine|this week|(?:هذا|هاد|خلال) (?:ال)?اسبوع|(?:هاد|هذه) (?:ال)?سيمانه|had s+i?mana)(?!\w)"
)
_BARE = re.compile(r"(?<![\w:/.-])\d{1,2}(?![\w:/.-])")
_LAST_NUMBER = re.compile(r"(?<![\w:/.-])(0?[1-9]|1\d)(?: (?:svp|please|pls|MORNING|AFTERNOON|EVENING))?\W*\Z")
_AFTER_HOUR = r"(?: ?(?P<half>HALF)| ?(?P<past>PAST15)(?!OF)| ?(?P<to>TO15)(?!OF))?"
_MERIDIEM = r"(?: ?(?P<meridiem>am|pm|a\.? ?m\.?|p\.? ?m\.?)(?!\w))?"
_CLOCKS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?P<before>HALFPAST|PAST15OF|TO15OF) (?:AT )?(?P<hour>\d{1,2})(?!\d)" + _MERIDIEM,
        r"(?:AT +)?(?<![\w:/.])(?P<hour>\d{1,2}) ?(?:h|:|H) ?(?P<minute>\d{2})(?!\d)(?: ?(?:mn|"
        r"min))?" + _MERIDIEM,
        r"(?:AT +)?(?<![\w:/.])(?P<hour>\d{1,2})\.(?P<minute>\d{2})(?!\d) ?(?P<meridiem>am|pm)(?!\w)",
        r"AT +(?P<hour>\d{1,2})\.(?P<minute>[0-5]\d)(?!\d)" + _MERIDIEM,
        r"(?:AT +)?(?<![\w:/.])(?P<hour>\d{1,2}) ?(?P<meridiem>am|pm|a\.m\.?|p\.m\.?|a m|p m)(?!\w)",
        r"(?:AT +)?(?<![\w:/.])(?P<hour>\d{1,2}|une|one)(?: ?h(?!\w)|"
        r" *HOUR)(?: *(?P<minute>\d{2})(?!\d))?" + _AFTER_HOUR + _MERIDIEM,
        r"AT +(?:HOUR )?(?:l )?(?P<hour>\d{1,2})(?![\d/:])" + _AFTER_HOUR + _MERIDIEM,
        r"OC(?P<hour>\d{1,2})" + _AFTER_HOUR,
        r"(?<![\w:/.])(?P<hour>\d{1,2}) *(?P<half>HALF)",
        r"(?<![\w:/.])(?P<hour>\d{1,2}) *(?:d |د |di |de |f |ف |ديال |dyal |du |in |في |"
        r"l )?(?=(?:the )?(?:MORNING|AFTERNOON|EVENING))",
    )
)
_BEFORE_CLOCK = re.compile(r"(?<!\w)(?:avant|before|قبل|9bel|9bl|qbel)(?: (?:AT|les))* *\Z")
_ARABIC_HOURS: Final = {
    "الواحده": 1, "الوحده": 1, "الثانيه": 2, "الثالثه": 3, "الرابعه": 4, "الخامسه": 5, "السادسه": 6,
    "السابعه": 7,
    "الثامنه": 8, "التاسعه": 9, "العاشره": 10, "العشره": 10, "الحاديه عشره": 11, "الحاديه عشر": 11,
    "الثانيه عشره": 12, "الثانيه عشر": 12, "الجوج": 2, "التلاته": 3, "الربعه": 4, "الخمسه": 5, "السته": 6,
    "السبعه": 7,
    "التمنيه": 8, "الثمانيه": 8, "التسعود": 9, "التسعه": 9, "الحداش": 11, "الطناش": 12, "لحداش": 11,
    "لعشره": 10,
    "l3achra": 10, "l3chra": 10, "l3echra": 10, "l7dach": 11, "lhdach": 11, "ltna3ch": 12, "ltnach": 12,
    "lwa7da": 1, "lwahda": 1, "lwehda": 1,
    "jjouj": 2, "ljouj": 2, "ltlata": 3, "rrb3a": 4, "lkhmsa": 5, "stta": 6, "sseb3a": 7, "tmnya": 8,
    "ttmnya": 8, "ts3oud": 9, "tts3oud": 9,
}  # fmt: skip
_ARABIC_HOUR = re.compile(rf"(?<!\w)(?:{'|'.join(sorted(_ARABIC_HOURS, key=len, reverse=True))})(?!\w)")


def read_date_time(text: str, language: Language, now: datetime, zone: str) -> str | None:
    """The one day that the text names: "2026-11-24", "2026-11-24T10:00" or "2026-11-24 morning".

    The part of the day is morning, afternoon or evening. `now` is aware, or wall time in `zone` (an IANA
    name); the answer is wall time in `zone`. A weekday is the next one strictly after today; a date
    without year that has passed is next year's; day comes before month. None without a day, for a date
    that does not exist, and for two different days.
    """
    if now.tzinfo is not None:
        now = now.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    try:
        return _read(text, language, now)
    except OverflowError:  # a day after the year 9999
        return None


def read_week(text: str, language: Language, now: datetime, zone: str) -> list[date] | None:
    """The working days still to come of the week that the text names without a day: « la semaine prochaine ».

    This week and the next are read; None where a day is named too, or no week.
    """
    if now.tzinfo is not None:
        now = now.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    said = plain(text, _LONGEST)
    later = "NEXTWEEK" in _tagged(said, language)
    if (not later and not _THIS_WEEK.search(said)) or read_date_time(text, language, now, zone) is not None:
        return None
    monday = now.date() - timedelta(days=now.weekday())
    week = [monday + timedelta(days=7 * later + ahead) for ahead in range(_WORKING_DAYS)]
    return [day for day in week if day > now.date()] or [day + timedelta(days=7) for day in week]


@dataclass(slots=True)
class _Remaining:
    """The part of the message that no rule has read yet."""

    said: str

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.search(self.said)
        if found is not None:
            self.said = f"{self.said[: found.start()]} ; {self.said[found.end() :]}"
        return found

    def take_all(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        for _ in range(4):
            found = self.take(pattern)
            if found is None:
                return
            yield found


def _read(text: str, language: Language, now: datetime) -> str | None:
    remaining = _Remaining(_NOT_THEN.sub(" ; ", _tagged(plain(text, _LONGEST), language)))
    exact = _hours_ahead(remaining, now)
    if exact is not None:
        return exact.strftime("%Y-%m-%dT%H:%M")
    days, impossible = _calendar_days(remaining, now.date())
    ahead = _days_ahead(remaining, now.date())
    times, vague = _clock(remaining)
    part = _part(remaining.said)
    if ahead and not times and vague is None and (ending := remaining.take(_LAST_NUMBER)) is not None:
        times = {(_of_day(int(ending[1]), "", part, ending[1].startswith("0")), 0)}  # "tomorrow 4"
    if not times and vague is None and (hour := _hour_of_weekday(remaining.said, now.date())) is not None:
        times = {(hour, 0)}
        remaining.take(_BARE)
    if not impossible:
        named, impossible = _named_days(remaining, now.date(), days, timed=bool(times))
        days = days | ahead | named
    if impossible or len(days) > 1:
        return None
    if not days:
        other = None if times or part else _by_dateparser(text, language, now)
        if other is None:
            return None
        days = {other}
    (day,) = days
    return f"{day.isoformat()}{_suffix(times, vague, part)}"


def _tagged(said: str, language: Language) -> str:
    said = re.sub(r"(?<=\d)(?:er|st|nd|rd|th|eme|ere)(?!\w)", "th", said)
    said = re.sub(r"(?<!\w)a(?=\d)", "a ", said)
    said = _ARABIC_HOUR.sub(lambda hour: f"OC{_ARABIC_HOURS[hour[0]]}", said)
    said = re.sub(
        r"(?<!\w)(?:نهار|nhar|يوم|youm|yum|ف|في|f) (?:ال|l)?(tlata|tnin|rb3a|arb3a|larb3a|had|"
        r"l?hed|7ed|ثلاثه|تلاته|تلت|اربعه|ربعه)(?!\w)",
        _day_word,
        said,
    )
    for pattern, tag in _PHRASES[:9]:
        said = pattern.sub(tag, said)
    said = _WORD.sub(lambda word: _tag_of_word(word[0], language), said)
    said = with_digits(said)
    for pattern, tag in _PHRASES[9:]:
        said = pattern.sub(tag, said)
    for pattern, tag in _PHRASES[-2:-1]:
        said = pattern.sub(tag, said)
    return re.sub(r"\s+", " ", said).strip()


def _day_word(found: re.Match[str]) -> str:
    word = found[1]
    day = 0 if word == "tnin" else 1 if word[:2] in ("tl", "ثل", "تل") else 6 if word[-1] == "d" else 2
    return f" WD{day} "


def _lexicon() -> dict[str, str]:
    lexicon: dict[str, str] = {}
    for table, tag in ((_MONTHS, "M{:02}"), (_WEEKDAYS, "WD{}"), (_DAYS_AHEAD, "IN{}")):
        for number, listed in table.items():
            lexicon.update((word, tag.format(number)) for word in listed.split())
    for name, listed in _PARTS.items():
        lexicon.update((word, name) for word in listed.split())
    return lexicon


_LEXICON: Final = _lexicon()
_CORRECTED: Final = [word for word in _LEXICON if len(word) >= 6 and word.isascii()]
_NEVER_MISSPELT: Final = word_set("demande demander matine marine")


def _tag_of_word(word: str, language: Language) -> str:
    tag = _LEXICON.get(word)
    if tag is None and word[:1] in "لفبو" and len(word) > 3:
        tag = _LEXICON.get(word[1:]) or (_LEXICON.get("ال" + word[2:]) if word[:2] == "لل" else None)
    if tag is None and word.startswith("شهر") and len(word) > 5:
        tag = _LEXICON.get(word[3:])
    if tag is None and language == "en":
        tag = f"WD{_ENGLISH_WEEKDAYS[word]}" if word in _ENGLISH_WEEKDAYS else None
    if tag is None and language == "fr":
        tag = f"WD{_FRENCH_WEEKDAYS[word]}" if word in _FRENCH_WEEKDAYS else None
    if (tag is None and "a" <= word[:1] <= "z" and 3 <= len(word) <= 10) or word[:1] in "75":
        tag = tag or next((f"WD{day}" for day, form in enumerate(_ARABIZI_WEEKDAYS) if form.fullmatch(word)), None)
    if tag is None and 5 <= len(word) <= 12 and word.isascii() and word.isalpha() and word not in _NEVER_MISSPELT:
        near = process.extractOne(word, _CORRECTED, scorer=OSA.distance, score_cutoff=1)
        tag = _LEXICON[near[0]] if near is not None and near[0][0] == word[0] else None
    return word if tag is None else f" {tag} "


def _hours_ahead(remaining: _Remaining, now: datetime) -> datetime | None:
    for found in _IN_SOME_TIME.finditer(remaining.said):
        if _UNIT_OF[3][1].fullmatch(found[2]) and found[1]:
            return now + timedelta(hours=_count(found[1]))
    return None


def _count(said: str | None) -> int:
    if said is None:
        return 1
    return int(said) if said.isdigit() else 2 if "couple" in said else 1


def _calendar_days(remaining: _Remaining, today: date) -> tuple[set[date], bool]:
    """Days given by number and month, and whether one of them does not exist."""
    days: set[date | None] = set()
    for found in remaining.take_all(_ISO):
        days.add(_day(int(found[3]), int(found[2]), int(found[1]), today))
    for found in remaining.take_all(_D_M_Y):
        days.add(_day(int(found[1]), int(found[3]), int(found[4]) + (2000 if len(found[4]) == 2 else 0), today))
    for found in remaining.take_all(_DAY_MONTH):
        number = int(found[1]) if found[1].isdigit() else 1
        days.add(_day(number, int(found[2]), int(found[3]) if found[3] else None, today))
    for found in remaining.take_all(_MONTH_DAY):
        days.add(_day(int(found[2]), int(found[1]), int(found[3]) if found[3] else None, today))
    if not days:
        for found in _D_M.finditer(remaining.said):
            is_time = found[2] == "." and (int(found[3]) > 12 or remaining.said[: found.start()].endswith("AT "))
            is_hours = found[2] == "-" and _WEEKDAY.search(remaining.said) is not None
            if is_time or is_hours:
                continue
            days.add(_day(int(found[1]), int(found[3]), None, today))
            remaining.said = f"{remaining.said[: found.start()]} ; {remaining.said[found.end() :]}"
            break
    return {day for day in days if day is not None}, None in days


def _day(day: int, month: int, year: int | None, today: date) -> date | None:
    """This day; without a year its next occurrence, today included. None when there is no such day."""
    for tried in (year,) if year is not None else (today.year, today.year + 1):
        try:
            found = date(tried, month, day)
        except ValueError:
            if year is None and (day, month) == (29, 2):
                continue
            return None
        if year is not None or found >= today:
            return found
    return None


def _days_ahead(remaining: _Remaining, today: date) -> set[date]:
    days: set[date] = set()
    for found in remaining.take_all(_FROM_NOW):
        days.add(_later(today, found[2], _count(found[1])))
    for found in remaining.take_all(_DUAL):
        days.add(today + timedelta(days=2 if found[1] else 14))
    for found in list(_IN_SOME_TIME.finditer(remaining.said))[:3]:
        if any(form.fullmatch(found[2]) for _, form in _UNIT_OF[:3]):
            days.add(_later(today, found[2], _count(found[1])))
            remaining.said = remaining.said.replace(found[0], " ; ", 1)
    for found in remaining.take_all(re.compile(r"IN(\d)")):
        days.add(today + timedelta(days=int(found[1])))
    return days


def _later(today: date, unit: str, count: int) -> date:
    kind = next(kind for kind, form in _UNIT_OF if form.fullmatch(unit))
    if kind == "months":
        years, month = divmod(today.month - 1 + count, 12)
        for day in range(today.day, 27, -1):
            try:
                return date(today.year + years, month + 1, day)
            except ValueError:
                continue
        return date(today.year + years, month + 1, min(today.day, 28))
    return today + timedelta(days=count * (7 if kind == "weeks" else 1))


def _clock(remaining: _Remaining) -> tuple[set[tuple[int, int]], Part | None]:
    """Times of day as (hour, minute), and the part of day that "before 11" leaves open."""
    part = _part(remaining.said)
    noon = remaining.take(re.compile(r"(?:AT +)?(?<!\w)NOON(?: ?(HALF))?(?!\w)"))
    times: set[tuple[int, int]] = set()
    vague: Part | None = None
    for pattern in _CLOCKS:
        while (found := pattern.search(remaining.said)) is not None and len(times) < 3:
            groups = found.groupdict()
            hour = int(groups["hour"]) if groups["hour"].isdigit() else 1
            minute = int(groups.get("minute") or 0)
            before = remaining.said[: found.start()]
            remaining.said = f"{before} ; {remaining.said[found.end() :]}"
            if hour > 24 or minute > 59:
                continue
            if groups.get("half") or groups.get("before") == "HALFPAST":
                minute = 30
            elif groups.get("past") or groups.get("before") == "PAST15OF":
                minute = 15
            meridiem = (groups.get("meridiem") or "")[:1]
            padded = groups["hour"].startswith("0")
            hour = _of_day(hour, meridiem, "afternoon" if noon and part is None else part, padded)
            if groups.get("to") or groups.get("before") == "TO15OF":
                hour, minute = (hour - 1) % 24, 45
            if _BEFORE_CLOCK.search(before):
                vague = "morning" if hour <= 12 else "afternoon" if hour <= 18 else "evening"
            else:
                times.add((hour % 24, minute))
    if noon and not times and vague is None:
        times.add((12, 30 if noon[1] else 0))
    return times, vague


def _of_day(hour: int, meridiem: str, part: Part | None, padded: bool) -> int:
    """The hour of 24 that an hour of 12 means beside this part of the day."""
    if meridiem:
        return hour % 12 + (12 if meridiem == "p" else 0) if hour <= 12 else hour
    if part in ("afternoon", "evening"):
        return hour + 12 if 1 <= hour < 12 and not (part == "afternoon" and hour == 11) else hour
    if part == "morning" or padded:
        return hour
    return hour + 12 if hour in _NIGHT_HOURS else hour


def _part(said: str) -> Part | None:
    found = {tag for tag in ("MORNING", "AFTERNOON", "EVENING") if re.search(rf"(?<!\w){tag}(?!\w)", said)}
    if len(found) != 1:
        return None
    parts: dict[str, Part] = {"MORNING": "morning", "AFTERNOON": "afternoon", "EVENING": "evening"}
    return parts[found.pop()]


def _part_of(hour: int) -> Part:
    return "morning" if hour < 12 else "afternoon" if hour < 18 else "evening"


def _suffix(times: set[tuple[int, int]], vague: Part | None, part: Part | None) -> str:
    if len(times) == 1:
        ((hour, minute),) = times
        return f"T{hour:02}:{minute:02}"
    if len(times) > 1:
        parts = {_part_of(hour) for hour, _ in times}
        return f" {parts.pop()}" if len(parts) == 1 else ""
    said = part or vague
    return f" {said}" if said else ""


def _named_days(remaining: _Remaining, today: date, known: set[date], *, timed: bool) -> tuple[set[date], bool]:
    """Days given by weekday or by day of the month, and whether they contradict one another."""
    next_week = re.search(r"(?<!\w)NEXTWEEK", remaining.said) is not None
    plus_week = re.search(r"(?<!\w)PLUSWEEK", remaining.said) is not None
    weekdays = {int(found[1]) for found in remaining.take_all(_WEEKDAY)}
    numbers = {int(found[1] or found[2] or 1) for found in remaining.take_all(_DAY_OF_MONTH)}
    bare = {int(found[0]) for found in _BARE.finditer(remaining.said)}
    if not numbers and len(bare) == 1 and not known and (weekdays or timed):
        numbers = {number for number in bare if 1 <= number <= 31}
    if len(weekdays) > 1 or len(numbers) > 1:
        return set(), True
    if known:
        (day, *more) = known
        return set(), not more and bool(weekdays) and day.weekday() not in weekdays
    if numbers:
        return _numbered(numbers.pop(), weekdays, today)
    if not weekdays:
        return set(), False
    weekday = weekdays.pop()
    if next_week:
        return {today + timedelta(days=7 - today.weekday() + weekday)}, False
    ahead = (weekday - today.weekday() - 1) % 7 + 1
    return {today + timedelta(days=ahead + (7 if plus_week else 0))}, False


def _hour_of_weekday(said: str, today: date) -> int | None:
    """10 in "monday 10" where the next tenth is no Monday: the hour."""
    weekdays = {int(found[1]) for found in _WEEKDAY.finditer(said)}
    numbers = {int(found[0]) for found in _BARE.finditer(said)}
    if len(weekdays) != 1 or len(numbers) != 1 or _DAY_OF_MONTH.search(said):
        return None
    (number,) = numbers
    return number if number in _OFFICE_HOURS and _numbered(number, weekdays, today)[1] else None


def _numbered(number: int, weekdays: set[int], today: date) -> tuple[set[date], bool]:
    """The next day with this number in its month; it must be the weekday that was named, if one was."""
    if not 1 <= number <= 31:
        return set(), True
    for months in range(3):
        years, month = divmod(today.month - 1 + months, 12)
        try:
            day = date(today.year + years, month + 1, number)
        except ValueError:
            continue
        if day < today:
            continue
        return {day}, bool(weekdays) and day.weekday() not in weekdays
    return set(), True


def _by_dateparser(text: str, language: Language, now: datetime) -> date | None:
    """What dateparser makes of a short text with a number in it that this grammar does not cover."""
    if len(text) > _LONGEST_FALLBACK or not re.search(r"\d", text) or not re.search(r"[^\W\d_]{3}", text):
        return None
    parse = _dateparser()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = parse(
                text,
                languages=[language],
                settings={
                    "RELATIVE_BASE": now,
                    "PREFER_DATES_FROM": "future",
                    "DATE_ORDER": "DMY",
                    "REQUIRE_PARTS": ["day", "month"],
                    "STRICT_PARSING": False,
                },
            )
        except (ValueError, TypeError, OverflowError, RecursionError, re.error):
            return None
    return None if found is None else found.date()


def _dateparser() -> Callable[..., datetime | None]:
    import dateparser  # slow to import: only for the rare text that needs it

    return dateparser.parse
