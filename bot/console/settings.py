"""The pages of settings: offices, days without interviews, the team's duty, emergency numbers, check-ins.

What is saved here stands in the database and holds from the next message on; what is a setting of the environment is
shown and said to be one.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from dataclasses import field as dataclass_field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from bot import i18n
from bot.appointments import bookings, offices, slots
from bot.checkins import rounds, schedule
from bot.checkins.schedule import Round, Schedule
from bot.console import accounts, audit
from bot.console.guard import NotThere, Visit
from bot.conversation import chosen
from bot.conversation.handoffs import duty
from bot.db.models import ClosedDay, Counsellor, Office, StaffMember
from bot.journeys import emergency
from bot.journeys.hours import is_open, learn
from bot.messages import LANGUAGES
from bot.settings import reading_hours

USUAL = "usual"
SHORT_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\s*[-–]\s*([01]\d|2[0-3]):([0-5]\d)")
_COUNSELLOR = re.compile(r"[a-z][a-z0-9_-]{1,39}")
Detail = Mapping[str, str | int]


class Unfit(Exception):
    """What was typed into a field cannot hold: a sentence of the catalog."""

    def __init__(self, say: str, field: str, **values: object) -> None:
        super().__init__(say)
        self.say, self.field, self.values = say, field, values


@dataclass(frozen=True, slots=True)
class Typed:
    """The form that was refused, as it was typed, and what is wrong with which field; no form where none was."""

    form: Mapping[str, str] = dataclass_field(default_factory=dict)
    field: str = ""
    error: str = ""

    def here(self, form: str) -> bool:
        """Whether this form of the page was refused."""
        return bool(form) and self.form.get("form") == form

    def value(self, form: str, name: str, stored: object) -> object:
        """What stands in a field: what was typed there, else what is stored."""
        return self.form.get(name, "") if self.here(form) else stored

    def ticked(self, form: str, name: str, stored: bool) -> bool:
        """Whether a box is ticked."""
        return name in self.form if self.here(form) else stored

    def wrong(self, form: str, name: str) -> bool:
        """Whether this is the field that cannot hold."""
        return self.here(form) and self.field == name


async def overview(visit: Visit) -> Response:
    """Everything on one page, each office behind a link."""
    return await _overview(visit)


async def _overview(visit: Visit, status: int = 200, **said: Any) -> Response:
    settings, now = visit.console.settings, datetime.now(UTC)
    async with visit.console.database.session() as session:
        await offices.load(session, only_if_empty=True)
        await session.commit()
        places = list(await session.scalars(select(Office).order_by(Office.country.desc(), Office.id)))
        days: dict[str, list[str]] = {one.country: [] for one in places}
        for one in await session.scalars(select(ClosedDay).order_by(ClosedDay.day)):
            days.setdefault(one.of, []).append(one.day)
        team = list(await session.scalars(select(StaffMember).where(StaffMember.active).order_by(StaffMember.name)))
        numbers = await emergency.every(session)
        ours, asked = await chosen.numbers(session), await rounds.ours(session)
    own = schedule.of_file()
    return visit.show(
        "settings.html",
        status,
        **{"typed": Typed(), "done": False, "outside": (), "removing": None, **said},
        offices=places,
        places=[*dict.fromkeys(one.country for one in places), *(one.id for one in places)],
        place=lambda name: _place(visit, name, places),
        days=days,
        team=[(one, _duty(one.duty), is_open(duty(one, settings), now)) for one in team],
        week=_week(visit),
        short_days=SHORT_DAYS,
        numbers=numbers,
        countries=emergency.COUNTRIES,
        services=emergency.SERVICES,
        situations=emergency.SITUATIONS,
        service=lambda name: visit.say(f"emergency.service.{name}", number="").strip(" :：\u2066\u2069"),
        bounds=chosen.NUMBERS,
        schedules=chosen.SCHEDULES,
        times=chosen.TIMES,
        ours=ours,
        environment=visit.console.chosen.own,
        rounds=sorted(asked.rounds, key=lambda one: one.days),
        within=asked.wanted(settings.rafiq_checkins_months),
        given={one.id for one in own.rounds},
        forms=schedule.forms(),
        quiet={name: _written(asked.hours[name]) for name in schedule.NAMES},
        changed=(asked.rounds != own.rounds, asked.hours != own.hours),
        settings=settings,
        over_days=bookings.OVER_LIFE.days,
    )


def _place(visit: Visit, name: str, places: Sequence[Office]) -> str:
    """A country's or an office's name in the reader's language."""
    for one in places:
        if one.id == name:
            return str(one.names.get(visit.language, name))
    return i18n.country_name(name, visit.language)


def _week(visit: Visit) -> list[str]:
    names = Locale(visit.language).days["stand-alone"]["wide"]
    return [str(names[day]) for day in range(7)]


def _duty(setting: str | None) -> dict[str, str]:
    """Somebody's own hours as the fields of the form; empty without."""
    found = re.fullmatch(r"(\w{3})-(\w{3}) (\S+)-(\S+) (\S+)", setting or "")
    return dict(zip(("first", "last", "opens", "closes", "zone"), found.groups() if found else [""] * 5, strict=True))


async def office(visit: Visit) -> Response:
    """One office: whether it is on, where, when, who."""
    return await _office(visit)


async def _office(visit: Visit, status: int = 200, **said: Any) -> Response:
    async with visit.console.database.session() as session:
        one = await _found(session, visit.path("id"))
        team = list(
            await session.scalars(select(Counsellor).where(Counsellor.office_id == one.id).order_by(Counsellor.id))
        )
    return visit.show(
        "office.html",
        status,
        **{"typed": Typed(), "done": False, "outside": (), **said},
        office=one,
        name=_place(visit, one.id, [one]),
        periods=_periods(one),
        team=team,
        week=_week(visit),
        modes=offices.MODES,
        genders=offices.GENDERS,
    )


def _periods(office: Office) -> list[tuple[str, str, str, list[str]]]:
    """The usual week, each special one, and an empty one: name, first and last day, hours by weekday as people type."""
    weeks: dict[tuple[str, str], list[list[str]]] = {("", ""): [[] for _ in range(7)]}
    for hours in office.hours:
        week = weeks.setdefault(tuple(hours.get("between", ("", ""))), [[] for _ in range(7)])
        for day in hours["days"]:
            week[day].append(f"{hours['from']}-{hours['until']}")
    shown = [
        (f"{since}_{until}" if since else USUAL, since, until, [", ".join(sorted(day)) for day in week])
        for (since, until), week in weeks.items()
    ]
    return [*shown, ("new", "", "", [""] * 7)]


Step = Callable[[AsyncSession], Awaitable[tuple[str, Detail, list[str]]]]


async def _save(visit: Visit, page: Callable[..., Awaitable[Response]], action: str, step: Step) -> Response:
    """Change, with its line in the audit, or refuse with a sentence; then the page again."""
    database = visit.console.database
    async with database.session() as session:
        try:
            target, detail, outside = await step(session)
        except Unfit as unfit:
            await session.rollback()
            return await page(visit, 400, typed=Typed(visit.form, unfit.field, visit.say(unfit.say, **unfit.values)))
        await audit.record(session, database.vault, visit.staff.id, action, target, detail)
        await session.commit()
    return await page(visit, done=True, outside=outside)


async def save_office(visit: Visit) -> Response:
    """On or off, by request or by times, address, zone, room."""

    async def step(session: AsyncSession) -> tuple[str, Detail, list[str]]:
        one = await _found(session, visit.path("id"), lock=True)
        form = visit.form
        one.zone = _zone(form.get("zone", ""))
        one.address = form.get("address", "").strip() or None
        if len(one.address or "") > 200:
            raise Unfit("console.settings.wrong.address", "address")
        one.capacity = _number(form, "capacity", 1, 20, "console.settings.wrong.capacity")
        one.minutes = _number(form, "minutes", 10, 240, "console.settings.wrong.minutes")
        one.active, one.by_request = "active" in form, form.get("way") == "request"
        await session.flush()
        if one.active and not one.by_request:
            someone = await session.scalar(
                select(Counsellor.id).where(Counsellor.office_id == one.id, Counsellor.active).limit(1)
            )
            if not one.hours or someone is None:
                raise Unfit("console.settings.wrong.no_hours", "way")
        outside = await _fit(session, one)
        detail: Detail = {
            "active": int(one.active), "by_request": int(one.by_request), "zone": one.zone, "capacity": one.capacity,
            "minutes": one.minutes, "address": one.address or "",
        }  # fmt: skip
        return one.id, detail, outside

    return await _save(visit, _office, "office.changed", step)


async def save_hours(visit: Visit) -> Response:
    """The hours of the usual week, or of the weeks between two days; without any hour such a time is over."""

    async def step(session: AsyncSession) -> tuple[str, Detail, list[str]]:
        one = await _found(session, visit.path("id"), lock=True)
        period = visit.form.get("period", "")
        between = None if period == USUAL else _between(visit)
        old = next((found for found in _periods(one) if found[0] == period), None)
        if old is None:
            raise NotThere
        replaced = [old[1], old[2]] if old[1] else None
        kept = [hours for hours in one.hours if period == "new" or hours.get("between") != replaced]
        spans: dict[tuple[str, str], list[int]] = {}
        for day, name in enumerate(_week(visit)):
            for span in _spans(visit.form.get(f"day{day}", ""), name, one.minutes, f"day{day}"):
                spans.setdefault(span, []).append(day)
        if between and spans and any(
            "between" in hours and hours["between"][0] <= between[1] and between[0] <= hours["between"][1]
            for hours in kept
        ):  # fmt: skip
            raise Unfit("console.settings.wrong.periods", "since")
        if between is None and not spans and one.active and not one.by_request:
            raise Unfit("console.settings.wrong.no_hours", "day0")
        one.hours = [
            *kept,
            *(
                {"days": days, "from": since, "until": until, **({"between": between} if between else {})}
                for (since, until), days in sorted(spans.items())
            ),
        ]
        await session.flush()
        written = "; ".join(f"{days} {since}-{until}" for (since, until), days in sorted(spans.items()))
        detail: Detail = {"between": " ".join(between or [USUAL]), "hours": written}
        return one.id, detail, await _fit(session, one)

    return await _save(visit, _office, "office.hours", step)


async def save_counsellor(visit: Visit) -> Response:
    """Who leads interviews: languages, gender, in which ways."""

    async def step(session: AsyncSession) -> tuple[str, Detail, list[str]]:
        one, form = await _found(session, visit.path("id"), lock=True), visit.form
        who = form.get("counsellor", "").strip()
        if not _COUNSELLOR.fullmatch(who):
            raise Unfit("console.settings.wrong.counsellor", "counsellor")
        known = await session.get(Counsellor, who)
        if known is not None and known.office_id != one.id:
            raise Unfit("console.settings.wrong.elsewhere", "counsellor")
        others = [other for other in (known.languages if known else ()) if other not in LANGUAGES]
        languages = [*(other for other in LANGUAGES if f"language_{other}" in form), *others]
        modes = [mode for mode in offices.MODES if f"mode_{mode}" in form]
        gender = form.get("gender") if form.get("gender") in offices.GENDERS else None
        values = {"languages": languages, "gender": gender, "modes": modes, "active": "active" in form}
        if not languages or not modes:
            raise Unfit("console.settings.wrong.no_language", "modes" if languages else "languages")
        await session.execute(
            insert(Counsellor)
            .values(id=who, office_id=one.id, **values)
            .on_conflict_do_update(index_elements=["id"], set_=values)
        )
        outside = await _fit(session, one)
        detail: Detail = {
            "counsellor": who, "languages": " ".join(languages), "modes": " ".join(modes),
            "gender": gender or "", "active": int("active" in form),
        }  # fmt: skip
        return one.id, detail, outside

    return await _save(visit, _office, "office.counsellor", step)


async def save_closed(visit: Visit) -> Response:
    """The days without interviews of a country or of one office."""

    async def step(session: AsyncSession) -> tuple[str, Detail, list[str]]:
        of = visit.form.get("of", "")
        places = list(
            await session.scalars(select(Office).where((Office.country == of) | (Office.id == of)).with_for_update())
        )
        if not places:
            raise NotThere
        days = sorted({_closed_day(day) for day in re.split(r"[\s,;،]+", visit.form.get("days", "").strip()) if day})
        await session.execute(delete(ClosedDay).where(ClosedDay.of == of))
        if days:
            await session.execute(insert(ClosedDay).values([{"of": of, "day": day} for day in days]))
        await learn(session)
        outside = [reference for one in places for reference in await _fit(session, one)]
        return of, {"days": " ".join(days)}, outside

    return await _save(visit, _overview, "closed_days.changed", step)


async def save_duty(visit: Visit) -> Response:
    """What somebody of the team is called for, and when."""

    async def step(session: AsyncSession) -> tuple[str, Detail, list[str]]:
        form = visit.form
        given = [form.get(name, "").strip() for name in ("first", "last", "opens", "closes", "zone")]
        hours = "{}-{} {}-{} {}".format(*given) if any(given) else None
        try:
            reading_hours(hours or visit.console.settings.rafiq_reading_hours)
        except ValueError:
            raise Unfit("console.settings.wrong.duty", "opens") from None
        rows = list(await session.scalars(select(Office)))
        places = dict.fromkeys(name for one in rows for name in (one.country, one.id))
        languages: list[str] = [one for one in LANGUAGES if f"language_{one}" in form]
        languages.sort(key=lambda one: one != form.get("reads"))  # the first is the one they are written to in
        chosen = [one for one in places if f"place_{one}" in form]
        known = await session.scalar(
            update(StaffMember)
            .where(StaffMember.id == _uuid(visit), StaffMember.active)
            .values(languages=languages, offices=chosen, duty=hours)
            .returning(StaffMember.id)
        )
        if known is None:
            raise NotThere
        detail: Detail = {
            "languages": " ".join(languages), "offices": " ".join(chosen), "hours": hours or "",
        }  # fmt: skip
        return str(known), detail, []

    return await _save(visit, _overview, "staff.duty", step)


async def save_numbers(visit: Visit) -> Response:
    """Schedules, and how long what is kept is kept. Less than before erases, which takes a tick and the password."""

    async def step(session: AsyncSession) -> tuple[str, Detail, list[str]]:
        form, before, own = visit.form, await chosen.numbers(session), visit.console.chosen.own
        wanted: dict[str, int | None] = {}
        for name, bounds in chosen.NUMBERS.items():
            empty = not form.get(name, "").strip()
            wanted[name] = (
                None if empty else _number(form, name, bounds.least, bounds.most, "console.settings.wrong.bounds")
            )
        months = wanted["rafiq_checkins_months"] or own["rafiq_checkins_months"]
        if not (await rounds.ours(session)).wanted(months):
            raise Unfit("console.settings.wrong.no_round", "rafiq_checkins_months", months=months)
        shorter = any(
            (one if (one := wanted[name]) is not None else own[name]) < before.get(name, own[name])
            for name in chosen.TIMES
        )
        if shorter and "sure" not in form:
            raise Unfit("console.settings.wrong.shorter", "sure")
        if shorter and not visit.staff.recently:
            await _proved(visit)
        await chosen.choose(session, wanted)
        return "numbers", {name: one for name, one in wanted.items() if one is not None}, []

    answer = await _save(visit, _overview, "settings.numbers", step)
    await visit.console.chosen.read()
    return visit.renewed(answer)


async def save_rounds(visit: Visit) -> Response:
    """Which check-ins there are, when, in which form; one more; or those of the file again."""

    async def step(session: AsyncSession) -> tuple[str, Detail, list[str]]:
        before, file = await rounds.ours(session), schedule.of_file().rounds
        wanted = list(file) if "back" in visit.form else _rounds(visit, before)
        if tuple(wanted) != before.rounds:
            await chosen.arrange(session, rounds.ROUNDS, None if tuple(wanted) == file else list(map(asdict, wanted)))
        after = (f"{one.weeks or one.months} {'weeks' if one.weeks else 'months'} {one.form}" for one in wanted)
        detail = {one.id: when if one.on else "off" for one, when in zip(wanted, after, strict=True)}
        return "checkins", detail, []

    answer = await _save(visit, _overview, "settings.rounds", step)
    await visit.console.chosen.read()
    return answer


def _rounds(visit: Visit, before: Schedule) -> list[Round]:
    """The check-ins as they were typed, checked; what a form does not have, it leaves as it is."""
    form, given = visit.form, {one.id for one in schedule.of_file().rounds}
    wanted = [
        replace(_round(form, one.id), on=f"on_{one.id}" in form) if f"every_{one.id}" in form else one
        for one in before.rounds
        if one.id in given or f"gone_{one.id}" not in form
    ]
    if form.get("every_new", "").strip():
        new = _round(form, "new")
        new = replace(new, id=f"week{new.weeks}" if new.weeks else f"month{new.months}")
        if any(one.id == new.id for one in wanted):
            raise Unfit("console.settings.wrong.round_known", "every_new")
        wanted.append(new)
    on = sorted((one for one in wanted if one.on), key=lambda one: one.days)
    known = {one.id for one in before.rounds}
    for one, following in pairwise(on):
        if following.days - one.days < schedule.APART.days:
            field = next((other.id for other in (following, one) if other.id not in known), following.id)
            field = field if field in known else "new"
            raise Unfit("console.settings.wrong.close", f"every_{field}", days=schedule.APART.days)
    months = visit.console.settings.rafiq_checkins_months
    if not Schedule(tuple(wanted), before.hours).wanted(months):
        raise Unfit("console.settings.wrong.no_round", f"on_{wanted[0].id}", months=months)
    return wanted


def _round(form: Mapping[str, str], name: str) -> Round:
    weeks, kind = form.get(f"unit_{name}") == "weeks", form.get(f"form_{name}", "")
    if kind not in schedule.forms():
        raise NotThere
    least, most = schedule.WEEKS if weeks else schedule.MONTHS
    number = _number(form, f"every_{name}", least, most, "console.settings.wrong.every")
    return Round(name, kind, weeks=number) if weeks else Round(name, kind, months=number)


async def save_quiet(visit: Visit) -> Response:
    """When a check-in may begin or remember; or the hours of the file again."""

    async def step(session: AsyncSession) -> tuple[str, Detail, list[str]]:
        hours = None if "back" in visit.form else {name: _quiet(visit, name) for name in schedule.NAMES}
        if hours is not None and not hours["usual"]:
            raise Unfit("console.settings.wrong.quiet_none", "usual")
        await chosen.arrange(session, rounds.HOURS, hours)
        return "checkins", {name: ", ".join(spans) for name, spans in (hours or {}).items()}, []

    answer = await _save(visit, _overview, "settings.quiet", step)
    await visit.console.chosen.read()
    return answer


def _quiet(visit: Visit, name: str) -> list[str]:
    """The hours of such days: by daylight, and not at the Friday prayer."""
    day = visit.say(f"console.settings.quiet.{name}")
    spans = _spans(visit.form.get(name, ""), day, schedule.SHORTEST, name, "console.settings.wrong.quiet_short")
    (first, last), (prayer, over) = ([f"{one:%H:%M}" for one in two] for two in (schedule.DAY, schedule.PRAYER))
    for since, until in spans:
        hours = f"{since}-{until}"
        if since < first or until > last:
            raise Unfit("console.settings.wrong.quiet_day", name, day=day, hours=hours, since=first, until=last)
        if name in schedule.FRIDAYS and since < over and until > prayer:
            raise Unfit("console.settings.wrong.quiet_prayer", name, day=day, hours=hours, since=prayer, until=over)
    return [f"{since}-{until}" for since, until in spans]


def _written(spans: Sequence[schedule.Window]) -> str:
    return ", ".join(f"{opens:%H:%M}-{closes:%H:%M}" for opens, closes in spans)


async def _proved(visit: Visit) -> None:
    """Password and code came in the form itself, so that nothing that was typed is lost; the session's token is new."""
    if "password" not in visit.form:
        raise Unfit("console.settings.wrong.prove", "proof")
    try:
        visit.token = await accounts.verify_again(
            visit.console.database, visit.staff, password=visit.form["password"], code=visit.form.get("code", "")
        )
    except accounts.Refused:
        raise Unfit("console.login.refused", "proof") from None
    except accounts.TooMany:
        raise Unfit("console.login.too_many", "proof") from None


async def save_number(visit: Visit) -> Response:
    """An emergency number. Only a confirmed one is ever shown to people."""

    async def step(session: AsyncSession) -> tuple[str, Detail, list[str]]:
        form = visit.form
        country, service = form.get("country", ""), form.get("service", "")
        if country not in emergency.COUNTRIES or service not in emergency.SERVICES:
            raise NotThere
        number = emergency.number_of(i18n.western_digits(form.get("number", "")))
        if number is None:
            raise Unfit("console.settings.wrong.number", "number")
        source, confirmed = form.get("source", "").strip()[:200], "confirmed" in form
        checked = _day(form.get("checked", ""), "checked")
        if not source:
            raise Unfit("console.settings.wrong.source", "source")
        if checked > datetime.now(UTC).date() + timedelta(days=1):
            raise Unfit("console.settings.wrong.future", "checked")
        chosen = [one for one in emergency.SITUATIONS if f"situation_{one}" in form]
        await emergency.write(
            session, country, service, number,
            situations=chosen, source=source, checked=checked, confirmed=confirmed,
        )  # fmt: skip
        detail: Detail = {
            "number": number,
            "source": source,
            "checked": checked.isoformat(),
            "confirmed": int(confirmed),
        }
        return f"{country} {service}", detail, []

    return await _save(visit, _overview, "emergency.changed", step)


async def remove_number(visit: Visit) -> Response:
    """An emergency number goes, once who wants it was asked again."""
    form = visit.form
    country, service, number = form.get("country", ""), form.get("service", ""), form.get("number", "")
    if "sure" not in form:
        return await _overview(visit, removing=(country, service, number))

    async def step(session: AsyncSession) -> tuple[str, Detail, list[str]]:
        try:
            gone = await emergency.remove(session, country, service, number)
        except emergency.LastNumber:
            raise Unfit("console.settings.wrong.last_number", "removed") from None
        if gone is None:
            raise NotThere
        return f"{country} {service}", {"number": number, "source": gone}, []

    return await _save(visit, _overview, "emergency.removed", step)


async def _fit(session: AsyncSession, office: Office) -> list[str]:
    _, outside = await slots.fit(session, office, datetime.now(UTC))
    return outside


async def _found(session: AsyncSession, office_id: str, lock: bool = False) -> Office:
    wanted = select(Office).where(Office.id == office_id)
    one = await session.scalar(wanted.with_for_update() if lock else wanted)
    if one is None:
        raise NotThere
    return one


def _zone(given: str) -> str:
    try:
        return ZoneInfo(given.strip()).key
    except (OSError, KeyError, ValueError):
        raise Unfit("console.settings.wrong.zone", "zone", zone=given.strip()[:60] or "–") from None


def _number(form: Mapping[str, str], name: str, least: int, most: int, wrong: str) -> int:
    number = i18n.western_digits(form.get(name, "").strip())
    if not (number.isascii() and number.isdecimal() and len(number) < 5 and least <= int(number) <= most):
        raise Unfit(wrong, name, least=least, most=most)
    return int(number)


def _spans(
    typed: str, day: str, minutes: int, field: str, short: str = "console.settings.wrong.short"
) -> list[tuple[str, str]]:
    """« 09:00-12:00, 14:00-16:00 », checked."""
    spans = []
    for one in re.split(r"[,;،]", i18n.western_digits(typed)):
        if not one.strip():
            continue
        found = _SPAN.fullmatch(one.strip())
        if found is None:
            raise Unfit("console.settings.wrong.hours", field, day=day, hours=one.strip()[:40])
        since, until = f"{found[1]}:{found[2]}", f"{found[3]}:{found[4]}"
        length = int(found[3]) * 60 + int(found[4]) - int(found[1]) * 60 - int(found[2])
        if length < minutes:
            raise Unfit(short, field, day=day, hours=f"{since}-{until}", minutes=minutes)
        spans.append((since, until))
    spans.sort()
    for (_, ends), (begins, _) in pairwise(spans):
        if begins < ends:
            raise Unfit("console.settings.wrong.overlap", field, day=day)
    return spans


def _between(visit: Visit) -> list[str]:
    since, until = (_day(visit.form.get(name, ""), name) for name in ("since", "until"))
    if since > until:
        raise Unfit("console.settings.wrong.order", "until")
    return [since.isoformat(), until.isoformat()]


def _day(given: str, field: str) -> date:
    given = i18n.western_digits(given.strip())
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", given):
            return date.fromisoformat(given)
    except ValueError:
        pass
    raise Unfit("console.settings.wrong.day", field, day=given[:20] or "–")


def _closed_day(given: str) -> str:
    given = i18n.western_digits(given)
    _day(given if len(given) > 5 else f"2028-{given}", "days")
    return given


def _uuid(visit: Visit) -> str:
    given = visit.path("id")
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", given):
        raise NotThere
    return given
