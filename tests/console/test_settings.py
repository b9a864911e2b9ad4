"""Offices, days, duty and emergency numbers: what is saved in the console holds at once, and no appointment is lost."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from playwright.async_api import Page
from sqlalchemy import insert

from bot import i18n
from bot.appointments import offices, slots
from bot.checkins import schedule
from bot.console.access import Role
from bot.conversation.chosen import Chosen
from bot.db.models import Appointment, Conversation, Slot
from bot.db.session import Database
from bot.journeys import emergency, handoff, hours
from bot.messages import Language
from bot.settings import Settings
from tests.channels.test_web_chat_page import browser  # noqa: F401 (a fixture)
from tests.console.conftest import PASSWORD, Browser, Team, change, value
from tests.console.test_console_page import console_url, page, picture, sign_in  # noqa: F401 (fixtures)
from tests.conversation.conftest import rows
from tests.conversation.letters import writes

RABAT = "/console/settings/offices/rabat"
OFFICE = {
    "active": "on", "way": "times", "address": "11, rue Aït Ourir", "zone": "Africa/Casablanca", "capacity": "1",
    "minutes": "60",
}  # fmt: skip
WEEK = {f"day{day}": "09:00-12:00" for day in range(5)}
NUMBER = {"country": "MA", "service": "ambulance", "number": "150", "source": "appelé", "checked": "2026-11-20"}


async def at_work(team: Team, role: str = Role.COORDINATOR) -> Browser:
    """Somebody who may change settings, with the seed's offices."""
    member = await team.at_work(role)
    assert (await member.get("/console/settings")).status_code == 200
    return member


async def with_times(database: Database) -> list[str]:
    """Two weeks of times in Rabat, the wall times from the day after tomorrow."""
    since = datetime.now(UTC).date() + timedelta(days=2)
    async with database.session() as session:
        await slots.generate(session, since, since + timedelta(days=13), "rabat")
        await session.commit()
    return [one.wall for one in await rows(database, "SELECT wall FROM slot ORDER BY wall")]


async def booked(database: Database, wall: str) -> str:
    """Somebody's confirmed interview at this time; its reference."""
    conversation_id = await writes(database)
    async with database.session() as session:
        conversation = await session.get_one(Conversation, conversation_id)
        slot_id = await session.scalar(Slot.__table__.select().where(Slot.wall == wall).with_only_columns(Slot.id))
        await session.execute(
            insert(Appointment).values(
                reference="RV-AAAAA", person_id=conversation.person_id, conversation_id=conversation_id,
                office_id="rabat", slot_id=slot_id, status="confirmed", answers_sealed=b"", wall=wall,
                zone="Africa/Casablanca", starts_at=datetime.now(UTC) + timedelta(days=3),
            )
        )  # fmt: skip
        await session.commit()
    return "RV-AAAAA"


async def test_free_times_follow_the_hours_and_appointments_stay(team: Team, database: Database) -> None:
    """Afternoons instead of mornings: free mornings go, afternoons come; the booked morning stays and is named."""
    boss = await at_work(team)
    walls = await with_times(database)
    morning = next(wall for wall in walls if wall.endswith("T09:00"))
    reference = await booked(database, morning)
    afternoons = {f"day{day}": "14:00-16:00" for day in range(5)}
    answer = await boss.post(f"{RABAT}/hours", period="usual", **afternoons)
    assert answer.status_code == 200 and reference in answer.text
    found = await rows(database, "SELECT wall, status FROM slot WHERE wall < '2027-02-08' ORDER BY wall")
    assert {(one.wall, one.status) for one in found if one.wall[11:] < "14:00"} == {(morning, "closed")}
    assert {one.wall[11:] for one in found if one.status == "open"} == {"14:00", "15:00"}
    kept = await rows(database, "SELECT status, wall, slot_id FROM appointment")
    assert [(one.status, one.wall) for one in kept] == [("confirmed", morning)] and kept[0].slot_id is not None
    again = await boss.post(f"{RABAT}/hours", period="usual", **WEEK)
    assert reference not in again.text  # inside the hours again
    assert await value(database, "SELECT count(*) FROM slot WHERE wall LIKE '%T10:00' AND status = 'open'") > 0


async def test_days_without_interviews(team: Team, database: Database) -> None:
    """Of a country or of one office: their free times go; a day that is none is refused."""
    boss = await at_work(team)
    day = (await with_times(database))[0][:10]
    assert (await boss.post("/console/settings/closed", of="rabat", days=f"{day}, 05-01")).status_code == 200
    assert await value(database, "SELECT count(*) FROM slot WHERE wall LIKE :day", day=f"{day}%") == 0
    assert await value(database, "SELECT string_agg(day, ' ' ORDER BY day) FROM closed_day WHERE of = 'rabat'") == (
        f"05-01 {day}"
    )
    wrong = await boss.post("/console/settings/closed", of="MA", days="2027-02-30")
    assert wrong.status_code == 400
    assert i18n.say("console.settings.wrong.day", "en", day="2027-02-30") in wrong.text
    assert await value(database, "SELECT count(*) FROM closed_day WHERE of = 'MA'") > 10


async def test_nobody_reads_on_a_countrys_days(team: Team, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the moment they are saved: what people are told of the next opening goes round them."""
    monkeypatch.setattr(hours, "_closed", frozenset())
    boss = await at_work(team)
    feast, always = datetime(2027, 3, 9, 10, tzinfo=UTC), "Mon-Sun 00:00-23:59 Africa/Casablanca"
    assert (await boss.post("/console/settings/closed", of="MA", days="2027-03-10")).status_code == 200
    assert hours.is_open(always, feast) and not hours.is_open(always, feast + timedelta(days=1))
    assert (await boss.post("/console/settings/closed", of="MA", days="2027-03-09")).status_code == 200
    assert hours.opening(always, feast) == datetime(2027, 3, 10, 0, tzinfo=UTC)


WRONG: list[tuple[str, dict[str, str], str, dict[str, Any]]] = [
    ("", OFFICE | {"zone": "Africa/Rabat"}, "zone", {"zone": "Africa/Rabat"}),
    ("", OFFICE | {"zone": "../../etc"}, "zone", {"zone": "../../etc"}),
    ("", OFFICE | {"capacity": "0"}, "capacity", {"least": 1, "most": 20}),
    ("", OFFICE | {"minutes": "²"}, "minutes", {"least": 10, "most": 240}),
    ("", OFFICE | {"address": "x" * 201}, "address", {}),
    ("/hours", {"period": "usual", "day0": "09:00-12:00, 11:00-13:00"}, "overlap", {"day": "Monday"}),
    ("/hours", {"period": "usual", "day1": "9h-12h"}, "hours", {"day": "Tuesday", "hours": "9h-12h"}),
    ("/hours", {"period": "usual", "day1": "12:00-09:00"}, "short",
     {"day": "Tuesday", "hours": "12:00-09:00", "minutes": 60}),
    ("/hours", {"period": "usual"}, "no_hours", {}),
    ("/hours", {"period": "new", "since": "2027-03-01", "until": "2027-04-01", "day1": "10:00-12:00"}, "periods", {}),
    ("/hours", {"period": "new", "since": "2027-06-01", "until": "2027-05-01", "day1": "10:00-12:00"}, "order", {}),
    ("/counsellors", {"counsellor": "rabat-2", "mode_phone": "on"}, "no_language", {}),
    ("/counsellors", {"counsellor": "Salma H", "mode_phone": "on", "language_fr": "on"}, "counsellor", {}),
]  # fmt: skip


async def test_what_cannot_hold_is_refused(team: Team, database: Database) -> None:
    """With a clear sentence, and nothing is changed."""
    boss = await at_work(team)
    state = "SELECT string_agg(o::text || c::text, ' ' ORDER BY o.id, c.id) FROM office o, counsellor c"
    before = await value(database, state)
    for where, form, why, values in WRONG:
        answer = await boss.post(RABAT + where, **form)
        sentence = i18n.say(f"console.settings.wrong.{why}", "en", **values).replace("'", "&#39;")
        assert answer.status_code == 400 and sentence in answer.text, (where, form)
    assert await value(database, state) == before
    assert await value(database, "SELECT count(*) FROM audit WHERE action LIKE 'office.%'") == 0


async def test_an_office_is_changed_and_the_seed_does_not_come_back(team: Team, database: Database) -> None:
    """Off, another address, a counsellor more, a period of its own: kept when the service looks at its seed again."""
    boss = await at_work(team)
    off = {name: given for name, given in OFFICE.items() if name != "active"} | {"address": "2, rue Nouvelle"}
    assert (await boss.post(RABAT, **off)).status_code == 200
    counsellor = {
        "counsellor": "rabat-2",
        "language_ar": "on",
        "mode_in_person": "on",
        "gender": "woman",
        "active": "on",
    }
    assert (await boss.post(f"{RABAT}/counsellors", **counsellor)).status_code == 200
    period = {"period": "new", "since": "2027-05-10", "until": "2027-05-20", "day0": "10:00-12:00"}
    assert (await boss.post(f"{RABAT}/hours", **period)).status_code == 200
    async with database.session() as session:
        await offices.load(session, only_if_empty=True)
        await session.commit()
        assert "rabat" not in {one.id for one in await offices.choosable(session)}
    [one] = await rows(database, "SELECT address, hours FROM office WHERE id = 'rabat'")
    assert one.address == "2, rue Nouvelle"
    between = ["2027-05-10", "2027-05-20"]
    assert {"days": [0], "from": "10:00", "until": "12:00", "between": between} in one.hours and len(one.hours) == 4
    over = period | {"period": "_".join(between), "day0": ""}
    assert (await boss.post(f"{RABAT}/hours", **over)).status_code == 200
    assert len(await value(database, "SELECT hours FROM office WHERE id = 'rabat'")) == 3
    done = "SELECT string_agg(action || ' ' || target, ', ' ORDER BY id) FROM audit WHERE action LIKE 'office.%'"
    assert await value(database, done) == (
        "office.changed rabat, office.counsellor rabat, office.hours rabat, office.hours rabat"
    )


async def test_emergency_numbers(team: Team, database: Database) -> None:
    """Confirmed: shown from the next message on. Not confirmed: never. What the file holds besides stays."""

    async def shown(country: str = "MA") -> dict[str, str]:
        async with database.session() as session:
            return {one["service"]: one["number"] for one in await emergency.numbers(session, country, "medical")}

    boss = await at_work(team, Role.SUPERVISOR)
    before = await shown()
    assert "ambulance" not in before and before["police"] == "19" and await shown("MR") == {}
    assert (await boss.post("/console/settings/emergency", **NUMBER)).status_code == 200
    assert await shown() == before
    confirmed = NUMBER | {"confirmed": "on", "situation_medical": "on", "number": "١٥٠"}
    assert (await boss.post("/console/settings/emergency", **confirmed)).status_code == 200
    assert await shown() == {"ambulance": "150"} | before and next(iter(await shown())) in (
        "ambulance",
        "civil_protection",
    )
    for wrong, why in (
        ({"number": "15x"}, "number"), ({"source": " "}, "source"), ({"checked": "hier"}, "day"),
        ({"checked": (datetime.now(UTC).date() + timedelta(days=9)).isoformat()}, "future"),
    ):  # fmt: skip
        answer = await boss.post("/console/settings/emergency", **(confirmed | wrong))
        assert answer.status_code == 400, why
        sentence = i18n.say(f"console.settings.wrong.{why}", "en", **({"day": "hier"} if why == "day" else {}))
        assert sentence in answer.text
    assert await value(database, "SELECT count(*) FROM audit WHERE action = 'emergency.changed'") == 2


def fields(html: str) -> dict[str, dict[str, str]]:
    """What stands in each form of a page: by the form's name, then by the field's, boxes only where they are ticked."""
    found = {}
    for form in BeautifulSoup(html, "html.parser").find_all("form"):
        held: dict[str, str] = {}
        for one in form.find_all(["input", "select", "textarea"]):
            name = str(one["name"])
            if one.name == "select":
                chosen = one.find("option", selected=True) or one.find("option")
                held[name] = str(chosen["value"]) if chosen else ""
            elif one.name == "textarea":
                held[name] = one.text
            elif one.get("type") != "checkbox" or one.has_attr("checked"):
                held[name] = str(one.get("value", "on" if one.get("type") == "checkbox" else ""))
        if "form" in held:
            held.pop("form_token")
            found[held["form"]] = held
    return found


# the form of check-ins as it stands where nobody changed anything
ROUNDS = {
    f"{name}_{one.id}": given
    for one in schedule.of_file().rounds
    for name, given in {
        "every": str(one.weeks or one.months), "unit": "weeks" if one.weeks else "months", "form": one.form, "on": "on",
    }.items()
} | {"every_new": "", "unit_new": "months", "form_new": "short"}  # fmt: skip
QUIET = {
    "usual": "10:00-18:00", "friday": "10:00-12:00, 15:00-18:00", "ramadan": "10:00-15:00",
    "ramadan_friday": "10:00-12:00",
}  # fmt: skip
DUTY_HOURS = {"first": "Mon", "last": "Fri", "opens": "18:00", "closes": "09:00", "zone": "Africa/Nouakchott"}
LOST: list[tuple[str, str, dict[str, str], str, str]] = [
    (RABAT, "office", OFFICE | {"zone": "Nowhere", "address": "9, rue <b>", "capacity": "7", "way": "request"}, "zone", ""),
    (RABAT, "office", {"address": "", "zone": "Africa/Casablanca", "capacity": "x", "minutes": "45", "way": "times"},
     "capacity", ""),
    (RABAT, "hours usual", {"period": "usual", "day0": "08:00-12:00", "day1": "9h", "day6": "10:00-12:00"}, "day1", "/hours"),
    (RABAT, "hours new", {"period": "new", "since": "2027-06-01", "until": "2027-05-01", "day2": "10:00-12:00"},
     "until", "/hours"),
    (RABAT, "counsellor ", {"counsellor": "Salma H", "language_ar": "on", "mode_phone": "on", "gender": "woman"},
     "counsellor", "/counsellors"),
    (RABAT, "counsellor rabat-1", {"counsellor": "rabat-1", "mode_phone": "on", "gender": "man"}, "languages", "/counsellors"),
    ("/console/settings", "closed MA", {"of": "MA", "days": "01-01 2027-02-30 05-01"}, "days", "/closed"),
    ("/console/settings", "closed", {"of": "rabat", "days": "demain"}, "days", "/closed"),
    ("/console/settings", "duty", {"language_ar": "on", "reads": "ar", "place_MR": "on", **DUTY_HOURS}, "opens", "/duty/{id}"),
    ("/console/settings", "number", NUMBER | {"number": "15x", "confirmed": "on", "situation_child": "on", "country": "MR"},
     "number", "/emergency"),
    ("/console/settings", "rounds", ROUNDS | {"every_new": "13", "unit_new": "weeks", "every_month6": "٧"}, "every_new", "/rounds"),
    ("/console/settings", "rounds", ROUNDS | {"every_month9": "0"}, "every_month9", "/rounds"),
    ("/console/settings", "quiet", QUIET | {"usual": "10:00-18:00", "friday": "11h-12h"}, "friday", "/quiet"),
    ("/console/settings", "number MA police", NUMBER | {"service": "police", "source": " ", "number": "190"}, "source",
     "/emergency"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("address", "form", "typed", "field", "where"), LOST, ids=[one[1] + " " + one[3] for one in LOST]
)
async def test_a_refused_form_keeps_what_was_typed(
    team: Team, address: str, form: str, typed: dict[str, str], field: str, where: str
) -> None:
    """All of it, boxes that were unticked too; what is wrong stands beside its field; the other forms are as stored."""
    boss = await at_work(team)
    colleague = await team.member(name="Idris")
    if form == "duty":
        form, where = f"duty {colleague.staff_id}", where.format(id=colleague.staff_id)
    stored = fields((await boss.get(address)).text)
    answer = await boss.post(address + where, **typed, form=form)
    assert answer.status_code == 400
    shown = fields(answer.text)
    # a field that was not sent is empty, a box that was not sent is not ticked
    held = {name: given for name, given in shown[form].items() if given or name in typed}
    assert held == {**typed, "form": form}
    assert {name: one for name, one in shown.items() if name != form} == {
        name: one for name, one in stored.items() if name != form
    }
    soup = BeautifulSoup(answer.text, "html.parser")
    [beside] = soup.select(".wrong")
    place = beside.find_parent("form")
    assert place is not None and place.find("input", {"name": "form"})["value"] == form  # type: ignore[index]
    if field != "languages":
        [marked] = soup.select("[aria-invalid]")
        assert marked["name"] == field and marked.find_parent("form") is place
        assert marked.parent is beside.parent or beside.find_previous("input", {"name": "counsellor"}) is marked
    for closed in place.find_parents("details"):
        assert closed.has_attr("open")


async def test_an_emergency_number_is_removed(team: Team, database: Database) -> None:
    """Asked once more first; audited; the others stay, the file's one does not come back; the last one stays."""

    async def shown() -> set[tuple[str, str]]:
        async with database.session() as session:
            return {(one["country"], one["service"]) for one in await emergency.every(session)}

    boss = await at_work(team, Role.SUPERVISOR)
    before, address = await shown(), "/console/settings/emergency/remove"
    police = {"country": "MA", "service": "police", "number": "19"}
    asked = await boss.post(address, **police)
    assert asked.status_code == 200 and i18n.say("console.settings.emergency.sure", "en", number="19") in asked.text
    assert await shown() == before
    assert fields(asked.text)["remove MA police"] == {**police, "form": "remove MA police", "sure": "on"}
    assert (await boss.post(address, **{**police, "number": "190"}, sure="on")).status_code == 404  # not what was read
    assert (await boss.post(address, **police, sure="on")).status_code == 200
    assert await shown() == before - {("MA", "police")}
    assert (await boss.post(address, **police, sure="on")).status_code == 404
    [done] = await rows(database, "SELECT target, detail, staff_id FROM audit WHERE action = 'emergency.removed'")
    assert (done.target, done.detail["number"], done.staff_id) == ("MA police", "19", boss.staff_id)
    await change(database, "DELETE FROM emergency_number WHERE NOT (country = 'MA' AND service = 'gendarmerie')")
    [last] = await rows(database, "SELECT country, service, number FROM emergency_number")
    answer = await boss.post(address, **last._mapping, sure="on", form="remove MA gendarmerie")
    sentence = i18n.say("console.settings.wrong.last_number", "en")
    assert answer.status_code == 400 and f'role="alert">{sentence}' in answer.text
    assert len(await shown()) == 1
    assert (await (await at_work(team, Role.COUNSELLOR)).post(address, **police, sure="on")).status_code == 403


NUMBERS = {"rafiq_media_days": "7", "rafiq_handoff_p0_minutes": "٢٠", "rafiq_checkins_months": "", "sure": "on"}


async def test_numbers_that_the_team_chooses(team: Team, database: Database, settings: Settings) -> None:
    """They hold at once here, and in every other process once it hears or looks; empty, the environment's again."""
    boss, elsewhere, before = await at_work(team), settings.model_copy(), settings.rafiq_media_days
    other = Chosen(database, elsewhere)
    await other.read()
    assert await other.due() == []
    assert (await boss.post("/console/settings/numbers", **NUMBERS)).status_code == 200
    shown = fields((await boss.get("/console/settings")).text)["numbers"]
    assert (shown["rafiq_media_days"], shown["rafiq_handoff_p0_minutes"], shown["rafiq_checkins_months"]) == (
        "7",
        "20",
        "",
    )
    assert await other.due() == [0]
    await other.read()
    now = datetime(2027, 1, 12, 9, tzinfo=UTC)
    assert elsewhere.rafiq_media_days == 7 and handoff.due(elsewhere, "P0", now) == now + timedelta(minutes=20)
    assert await other.due() == []
    await change(database, "UPDATE team_setting SET number = 100000")  # an older version's
    await other.read()
    assert elsewhere.rafiq_media_days == before and settings.rafiq_media_days == 7  # this process read it at once
    assert (await boss.post("/console/settings/numbers")).status_code == 200
    assert await value(database, "SELECT count(*) FROM team_setting") == 0
    done = "SELECT string_agg(detail::text, ' ' ORDER BY id) FROM audit WHERE action = 'settings.numbers'"
    assert await value(database, done) == '{"rafiq_media_days": 7, "rafiq_handoff_p0_minutes": 20} {}'


async def test_what_is_kept_gets_no_shorter_by_the_way(team: Team, database: Database) -> None:
    """Only with a tick, and after password and code; what cannot be is refused; nothing is chosen then."""
    boss = await at_work(team)
    bounds = i18n.say("console.settings.wrong.bounds", "en", least=1, most=365)
    for form, sentence in (
        ({"rafiq_media_days": "7"}, i18n.say("console.settings.wrong.shorter", "en")),
        ({"rafiq_media_days": "0", "sure": "on"}, bounds), ({"rafiq_media_days": "x"}, bounds),
    ):  # fmt: skip
        refused = await boss.post("/console/settings/numbers", **form, form="numbers")
        assert refused.status_code == 400 and f'role="alert">{sentence}' in refused.text
        assert fields(refused.text)["numbers"]["rafiq_media_days"] == form["rafiq_media_days"]
    assert (await boss.post("/console/settings/numbers", rafiq_media_days="60")).status_code == 200  # longer
    refused = await boss.post("/console/settings/numbers", form="numbers")  # back to 30 is shorter, too
    assert refused.status_code == 400 and fields(refused.text)["numbers"]["rafiq_media_days"] == ""
    await change(database, "UPDATE staff_session SET verified_at = now() - interval '1 hour'")
    asked = await boss.post("/console/settings/numbers", **NUMBERS, form="numbers")
    assert (
        asked.status_code == 400
        and fields(asked.text)["numbers"].items() >= {"rafiq_media_days": "7", "password": ""}.items()
    )
    proof = {"password": "not the password", "code": "000000"}
    asked = await boss.post("/console/settings/numbers", **NUMBERS, **proof, form="numbers")
    assert asked.status_code == 400 and fields(asked.text)["numbers"]["password"] == ""
    chosen = "SELECT string_agg(name || number, ' ' ORDER BY name DESC) FROM team_setting"
    assert await value(database, chosen) == "rafiq_media_days60"
    proof, before = {"password": PASSWORD, "code": await boss.fresh_code()}, boss.client.cookies["rafiq_console"]
    assert (await boss.post("/console/settings/numbers", **NUMBERS, **proof)).status_code == 200
    assert await value(database, chosen) == "rafiq_media_days7 rafiq_handoff_p0_minutes20"
    assert boss.client.cookies["rafiq_console"] != before and (await boss.get("/console")).status_code == 200


async def test_rounds_that_the_team_chooses(team: Team, database: Database, settings: Settings) -> None:
    """Off, moved, of another form, one more, away again: at once here, in another process once it hears; and back."""

    def held() -> dict[str, tuple[int, int, str, bool]]:
        return {one.id: (one.weeks, one.months, one.form, one.on) for one in schedule.held().rounds}

    async def save(form: dict[str, str]) -> dict[str, str]:
        assert (await boss.post("/console/settings/rounds", **form)).status_code == 200
        return fields((await boss.get("/console/settings")).text)["rounds"]

    boss, other = await at_work(team), Chosen(database, settings.model_copy())
    await other.read()
    of_file = held()
    html = (await boss.get("/console/settings")).text
    assert fields(html)["rounds"] == {**ROUNDS, "form": "rounds"} and 'name="back"' not in html
    form = ROUNDS | {
        "every_month3": "4",
        "form_month3": "short",
        "every_new": "٧",
        "form_new": "full",
        "unit_new": "weeks",
    }
    form.pop("on_month6")
    shown = await save(form)
    own = {"every_week7": "7", "unit_week7": "weeks", "form_week7": "full", "on_week7": "on"}
    form |= own | {"every_new": "", "unit_new": "months", "form_new": "short"}
    assert shown == {**form, "form": "rounds"}
    now = {**of_file, "month3": (0, 4, "short", True), "month6": (0, 6, "full", False), "week7": (7, 0, "full", True)}
    assert held() == now
    schedule.hold(None)  # another process
    assert await other.due() == [0]
    await other.read()
    assert held() == now and await other.due() == []
    again = await boss.post("/console/settings/rounds", **(form | {"every_new": "3"}))  # it is there, at four
    assert again.status_code == 400 and i18n.say("console.settings.wrong.round_known", "en") in again.text
    assert "every_week7" not in await save({**form, "gone_week7": "on"})
    assert 'name="back"' in (await boss.get("/console/settings")).text
    assert await save({"back": "on"}) == {**ROUNDS, "form": "rounds"} and held() == of_file
    version = await value(database, "SELECT number FROM team_setting")
    await save(ROUNDS)  # nothing is new: nobody's check-ins are looked at
    assert await value(database, "SELECT number FROM team_setting") == version == 3
    done = await rows(database, "SELECT detail, staff_id FROM audit WHERE action = 'settings.rounds' ORDER BY id")
    assert len(done) == 4 and {one.staff_id for one in done} == {boss.staff_id}
    assert done[0].detail["month3"] == "4 months short" and done[0].detail["month6"] == "off"


async def test_rounds_that_cannot_be(team: Team, database: Database) -> None:
    """None at all, two within a week, another's times; and check-ins do not end before the first of them."""
    boss = await at_work(team)
    none = {name: given for name, given in ROUNDS.items() if not name.startswith("on_")}
    late = none | {"on_month12": "on"}
    for where, form, sentence in (
        ("rounds", none, i18n.say("console.settings.wrong.no_round", "en", months=12)),
        ("rounds", none | {"on_month18": "on"}, i18n.say("console.settings.wrong.no_round", "en", months=12)),
        ("rounds", ROUNDS | {"every_week2": "4"}, i18n.say("console.settings.wrong.close", "en", days=7)),
        ("rounds", ROUNDS | {"every_week2": "53"}, i18n.say("console.settings.wrong.every", "en", least=1, most=52)),
        ("rounds", ROUNDS | {"every_month24": "25"}, i18n.say("console.settings.wrong.every", "en", least=1, most=24)),
    ):  # fmt: skip
        refused = await boss.post(f"/console/settings/{where}", **form, form=where)
        assert refused.status_code == 400 and f'role="alert">{sentence}' in refused.text, form
    assert (await boss.post("/console/settings/rounds", **(ROUNDS | {"form_week2": "enrolment"}))).status_code == 404
    assert await value(database, "SELECT count(*) FROM team_setting") == 0
    assert (await boss.post("/console/settings/rounds", **late)).status_code == 200
    refused = await boss.post("/console/settings/numbers", rafiq_checkins_months="11", form="numbers")
    sentence = i18n.say("console.settings.wrong.no_round", "en", months=11)
    assert refused.status_code == 400 and f'role="alert">{sentence}' in refused.text


async def test_hours_of_check_ins(team: Team, database: Database, settings: Settings) -> None:
    """Changed at once and everywhere; never early, late, at the Friday prayer, or not at all; and back with a click."""
    boss, other = await at_work(team), Chosen(database, settings.model_copy())
    await other.read()
    assert fields((await boss.get("/console/settings")).text)["quiet"] == {**QUIET, "form": "quiet"}
    for name, typed, why, values in (
        ("usual", "", "quiet_none", {}),
        ("usual", "07:59-12:00", "quiet_day", {"hours": "07:59-12:00", "since": "08:00", "until": "21:00"}),
        ("ramadan", "19:00-21:01", "quiet_day", {"hours": "19:00-21:01", "since": "08:00", "until": "21:00"}),
        ("friday", "10:00-12:30", "quiet_prayer", {"hours": "10:00-12:30", "since": "12:00", "until": "15:00"}),
        ("ramadan_friday", "14:00-16:00", "quiet_prayer", {"hours": "14:00-16:00", "since": "12:00", "until": "15:00"}),
        ("ramadan", "10:00-10:30", "quiet_short", {"hours": "10:00-10:30"}),
        ("usual", "10:00-12:00, 11:00-13:00", "overlap", {}),
        ("usual", "9h-12h", "hours", {"hours": "9h-12h"}),
    ):  # fmt: skip
        refused = await boss.post("/console/settings/quiet", **(QUIET | {name: typed}), form="quiet")
        day = {"day": i18n.say(f"console.settings.quiet.{name}", "en")}
        sentence = i18n.say(f"console.settings.wrong.{why}", "en", **{**day, **values})
        assert refused.status_code == 400 and f'role="alert">{sentence}' in refused.text, (name, typed)
    assert schedule.held() == schedule.of_file() and await value(database, "SELECT count(*) FROM team_setting") == 0
    form = {"usual": "١٤:٠٠-١٧:٠٠, 09:00-12:00", "friday": "", "ramadan": "", "ramadan_friday": "15:00-21:00"}
    assert (await boss.post("/console/settings/quiet", **form)).status_code == 200
    shown = fields((await boss.get("/console/settings")).text)["quiet"]
    assert shown == {**form, "usual": "09:00-12:00, 14:00-17:00", "form": "quiet"}
    thursday, friday = datetime(2026, 11, 26, 12, 30, tzinfo=UTC), datetime(2026, 11, 27, 9, tzinfo=UTC)
    assert schedule.held().allowed(thursday, "Africa/Casablanca") == thursday.replace(hour=14, minute=0)
    assert schedule.held().allowed(friday, "Africa/Casablanca") == friday + timedelta(days=1)
    schedule.hold(None)  # another process
    assert await other.due() == [0]
    await other.read()
    assert schedule.held().allowed(friday, "Africa/Casablanca") == friday + timedelta(days=1)
    assert (await boss.post("/console/settings/quiet", back="on")).status_code == 200
    assert schedule.held() == schedule.of_file()
    done = "SELECT string_agg(detail::text, ' ' ORDER BY id) FROM audit WHERE action = 'settings.quiet'"
    assert '"friday": ""' in (await value(database, done)) and (await value(database, done)).endswith(" {}")


async def test_duty(team: Team, database: Database) -> None:
    """Languages, places and hours of a colleague; hours that cannot be are refused; nobody else is changed."""
    boss = await at_work(team, Role.SUPERVISOR)
    colleague = await team.member(name="Idris")
    where = f"/console/settings/duty/{colleague.staff_id}"
    hours = {"first": "Mon", "last": "Thu", "opens": "08:00", "closes": "12:00", "zone": "Africa/Nouakchott"}
    answer = await boss.post(where, language_fr="on", language_ar="on", reads="ar", place_MR="on", **hours)
    assert answer.status_code == 200
    [one] = await rows(database, "SELECT languages, offices, duty FROM staff_member WHERE name = 'Idris'")
    assert (one.languages, one.offices, one.duty) == (
        ["ar", "fr"], ["MR"], "Mon-Thu 08:00-12:00 Africa/Nouakchott",
    )  # fmt: skip
    for wrong in ({"closes": "07:00"}, {"zone": "Nowhere"}, {"first": ""}):
        refused = await boss.post(where, **(hours | wrong))
        assert refused.status_code == 400 and i18n.say("console.settings.wrong.duty", "en") in refused.text
    assert (await boss.post(f"/console/settings/duty/{uuid.uuid4()}", language_fr="on")).status_code == 404
    assert (await boss.post(where)).status_code == 200
    assert await value(database, "SELECT duty FROM staff_member WHERE name = 'Idris'") is None


async def test_a_counsellor_reads(team: Team, database: Database) -> None:
    """Without a button to save, and what the environment sets is said to be so."""
    reader = await at_work(team, Role.COUNSELLOR)
    for address in ("/console/settings", RABAT):
        assert i18n.say("console.settings.save", "en") not in (await reader.get(address)).text
    assert "RAFIQ_READING_HOURS" in (await reader.get("/console/settings")).text
    assert (await reader.post(RABAT, **OFFICE)).status_code == 403


@pytest.mark.parametrize("language", ["fr", "ar"])
async def test_the_pages_fit_a_phone(
    page: Page,  # noqa: F811
    team: Team,
    database: Database,
    tmp_path: Path,
    language: Language,
) -> None:
    """Settings and an office in Chromium: within a phone's width, saved with one click."""
    boss = await team.member(Role.COORDINATOR, name="منى" if language == "ar" else "Mona")
    await sign_in(page, boss, language)
    for address, name in (("/console/settings", "settings"), (RABAT, "office")):
        await page.goto(address)
        for summary in await page.locator("summary").all():
            await summary.click()
        assert await page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, address
        await picture(page, tmp_path, f"{name}-{language}")
    await page.get_by_label(i18n.say("console.settings.address", language)).fill("3, rue Neuve")
    await page.get_by_role("button", name=i18n.say("console.settings.save", language)).first.click()
    await page.locator(".done").wait_for()
    assert await value(database, "SELECT address FROM office WHERE id = 'rabat'") == "3, rue Neuve"
    await page.set_viewport_size({"width": 1280, "height": 900})
    await picture(page, tmp_path, f"office-wide-{language}")
    await change(database, "UPDATE office SET address = NULL")
