"""Check-ins as the team sees them, one person's data, tables that take two, and posters of orientation points."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from bot import i18n
from bot.console.access import Role
from bot.db.session import Database
from bot.messages import LANGUAGES
from tests.console.conftest import PASSWORD, Browser, Team, change, value
from tests.console.people import NAME, PHONE, WORDS, somebody
from tests.console.test_calendar import told
from tests.conversation.conftest import rows


async def a_while_later(team: Team, browser: Browser) -> None:
    """The password was given more than ten minutes ago."""
    await change(team.database, "UPDATE staff_session SET verified_at = now() - interval '11 minutes'")


async def prove(browser: Browser) -> None:
    """Give password and code again."""
    answer = await browser.post("/console/verify", password=PASSWORD, code=await browser.fresh_code(), next="/console")
    assert answer.status_code == 303


async def test_check_ins_are_listed_and_drawn(team: Team, database: Database) -> None:
    """Due, missed, flagged and tasks; on a person's pages a drawing, and a table that says the same."""
    person = await somebody(database)
    await change(
        database,
        "INSERT INTO handoff (reference, person_id, conversation_id, reason, priority)"
        " SELECT 'H-OTHER', person_id, conversation_id, 'checkin_unreached', 'P2' FROM handoff",
    )
    browser = await team.at_work()
    shown = (await browser.get("/console/checkins")).text
    lists = shown.split("<h2>")[1:]
    assert [person.enrolment in one for one in lists] == [False, True, True, True]
    assert "H-OTHER" in lists[0] and i18n.say("console.level.amber", "en") in lists[1]
    for page in (f"/console/checkins/{person.enrolment}", f"/console/handoffs/{person.handoff}"):
        page_text = (await browser.get(page)).text
        assert page_text.count("<circle") == 4 and page_text.count("<polyline") == 3  # three check-ins, and the key
        table = re.sub(r"<[^>]+>|\s+", " ", page_text[page_text.index('scope="row"') :])
        assert "1.00" in table and "0.50" in table and "0.00" in table
        assert i18n.say("checkin.E1.never", "en") in page_text and "check-in signal v1" in page_text
        mirrored = "scale(-1 1)"  # an Arabic page is read from the right: a fall must not look like a rise
        assert mirrored not in page_text and mirrored in (await browser.get(f"{page}?lang=ar")).text
        await browser.get(f"{page}?lang=en")
    coordinator = await team.at_work(Role.COORDINATOR)
    assert f"/console/checkins/{person.enrolment}" not in (await coordinator.get("/console/checkins")).text
    stranger = await team.at_work()
    await change(database, "UPDATE staff_member SET offices = '[\"MR\"]' WHERE id = :id", id=stranger.staff_id)
    assert person.enrolment not in (await stranger.get("/console/checkins")).text
    assert (await stranger.get(f"/console/checkins/{person.enrolment}")).status_code == 404
    await change(database, "UPDATE enrolment SET zone = 'Africa/Dakar'")  # nobody has an office there
    assert (await stranger.get(f"/console/checkins/{person.enrolment}")).status_code == 200


async def test_a_return_is_recorded(team: Team, database: Database) -> None:
    """The person is invited, enrolled by their own yes alone; another day is a correction; a wrong one is refused and
    kept in the form; what was done is in the audit."""
    person = await somebody(database)
    await change(database, "DELETE FROM checkin")
    await change(database, "DELETE FROM enrolment")
    browser = await team.at_work()
    page = f"/console/requests/{person.request}"
    assert i18n.say("console.returned.record", "en") in (await browser.get(page)).text
    tomorrow, lately, before = (datetime.now(UTC).date() - timedelta(days=days) for days in (-2, 9, 12))
    for day, country, wrong in (
        ("", "", "console.returned.wrong_day"),
        ("soon", "", "console.returned.wrong_day"),
        (tomorrow.isoformat(), "", "console.returned.wrong_day"),
        ("2019-01-01", "", "console.returned.wrong_day"),
        (lately.isoformat(), "Atlantis", "console.returned.wrong_country"),
    ):
        answer = await browser.post(f"{page}/returned", returned_on=day, country=country)
        assert answer.status_code == 400 and i18n.say(wrong, "en") in answer.text and f'value="{day}"' in answer.text
    assert await value(database, "SELECT count(*) FROM enrolment") == 0
    answer = await browser.post(f"{page}/returned", returned_on=lately.isoformat(), country="Sénégal")
    assert answer.status_code == 200 and i18n.say("console.returned.invited", "en") in answer.text
    [enrolment] = await rows(database, "SELECT status, returned_on, zone FROM enrolment")
    assert tuple(enrolment) == ("invited", lately, "Africa/Dakar")
    assert await value(database, "SELECT count(*) FROM outbox WHERE unasked AND status = 'queued'") == 1
    answer = await browser.post(f"{page}/returned", returned_on=before.isoformat(), country="")
    assert i18n.say("console.returned.not_invited", "en") in answer.text
    assert await value(database, "SELECT returned_on FROM enrolment") == before
    assert await value(database, "SELECT count(*) FROM audit WHERE action = 'return.recorded'") == 2
    assert (await browser.post("/console/requests/AV-ZZZZ/returned", returned_on="2026-01-01")).status_code == 404


async def test_everything_beside_the_conversation(team: Team, database: Database) -> None:
    """Appointments, consents of every purpose, check-ins; not for who sees neither name nor number."""
    person = await somebody(database)
    await change(
        database,
        "INSERT INTO consent (person_id, purpose, version, channel)"
        " SELECT person_id, unnest(ARRAY['interview', 'checkins', 'learning']), '1', 'web' FROM handoff",
    )
    counsellor, worker = await team.at_work(), await team.at_work(Role.ORIENTATION)
    page = f"/console/handoffs/{person.handoff}"
    await counsellor.post(f"{page}/note", words="Speaks Wolof")
    for other in (page, f"/console/requests/{person.request}", f"/console/appointments/{person.appointment}"):
        assert (await counsellor.get(other)).text.count("Speaks Wolof") == 1, other
    assert "Speaks Wolof" not in (await worker.get(f"/console/requests/{person.request}")).text
    shown, less = (await counsellor.get(page)).text, (await worker.get(page)).text
    for purpose in ("request", "interview", "checkins", "learning"):
        assert i18n.say(f"console.consent.{purpose}", "en") in shown
    assert person.appointment in shown and "<svg" in shown
    assert person.appointment not in less and "<svg" not in less


async def test_a_canned_answer_is_in_the_language_that_the_person_reads(team: Team, database: Database) -> None:
    """Whatever the counsellor reads; what it says in theirs stands beside it."""
    person = await somebody(database, language="ar")
    browser = await team.at_work()
    await browser.post(f"/console/handoffs/{person.handoff}/take")
    shown = (await browser.get(f"/console/handoffs/{person.handoff}")).text
    assert (
        f'value="{i18n.say("console.canned.safe", "ar")}" data-meaning="{i18n.say("console.canned.safe", "en")}"'
        in shown
    )


async def test_erasing_leaves_a_receipt_and_nothing_else(team: Team, database: Database) -> None:
    """Password and code, a reason of the list, sure; then no row is the person's, and they are told the receipt."""
    person = await somebody(database)
    boss = await team.at_work(Role.SUPERVISOR)
    page, form = f"/console/data/{person.handoff}", {"why": "asked_otherwise", "sure": "on"}
    await change(database, "INSERT INTO rasa_tracker SELECT rasa_id, '' FROM conversation")
    assert f'href="{page}"' in (await boss.get(f"/console/handoffs/{person.handoff}")).text
    await a_while_later(team, boss)
    for action in ("/erase", "/download"):
        assert (await boss.post(page + action, **form)).headers["location"] == f"/console/verify?next={page}"
    await prove(boss)
    for wrong in ({"why": "because", "sure": "on"}, {"why": "asked_otherwise"}):
        assert (await boss.post(page + "/erase", **wrong)).status_code == 400
    assert await value(database, "SELECT count(*) FROM handoff") == 1
    done = await boss.post(page + "/erase", **form)
    receipt = re.search(r"EF-[0-9A-Z]{5}", done.text)
    assert done.status_code == 200 and receipt is not None
    left = (
        "request",
        "appointment",
        "handoff",
        "consent",
        "media",
        "suggestion",
        "enrolment",
        "checkin",
        "rasa_tracker",
    )
    assert [await value(database, f"SELECT count(*) FROM {table}") for table in left] == [0] * len(left)
    assert await value(database, "SELECT count(*) FROM person WHERE id = :id", id=person.person_id) == 0
    assert await value(database, "SELECT count(*) FROM inbox WHERE content_sealed IS NOT NULL") == 0
    assert receipt[0] in await told(database, person.conversation_id)
    audited = await value(database, "SELECT detail ->> 'receipt' FROM audit WHERE action = 'person.erased'")
    assert audited == receipt[0]
    told_case = await value(
        database, "SELECT payload #>> '{data,receipt}' FROM case_event WHERE type = 'person.erased'"
    )
    assert told_case == receipt[0]
    assert (await boss.get(page)).status_code == 404
    for gone in (NAME, PHONE, WORDS):
        assert gone not in await value(database, "SELECT string_agg(audit::text, '') FROM audit")


async def test_one_persons_file_is_what_they_get_themselves(team: Team, database: Database) -> None:
    """In their language, after password and code, audited."""
    person = await somebody(database, language="fr")
    boss = await team.at_work(Role.ADMINISTRATOR)
    answer = await boss.post(f"/console/data/{person.request}/download")
    assert answer.status_code == 200 and "attachment" in answer.headers["content-disposition"]
    assert NAME in answer.text and PHONE in answer.text and person.appointment in answer.text
    assert i18n.say("checkin.E1.never", "fr") in answer.text
    assert await value(database, "SELECT target FROM audit WHERE action = 'person.exported'") == person.request


async def test_a_table_of_many_takes_two(team: Team, database: Database) -> None:
    """One asks, another allows, only the first fetches, for an hour; the database itself refuses one who does both."""
    person = await somebody(database)
    await change(database, "UPDATE request SET reference = '=HYPERLINK(1)'")
    asker, other = await team.at_work(Role.SUPERVISOR), await team.at_work(Role.ADMINISTRATOR)
    day = str(await value(database, "SELECT current_date"))
    form = {"kind": "requests", "since": day, "until": day, "why": "donor"}
    for wrong in ({"kind": "people"}, {"since": "x"}, {"since": "2020-01-01"}, {"why": "curious"}):
        assert (await asker.post("/console/exports", **{**form, **wrong})).status_code == 400
    assert (await asker.post("/console/exports", **form)).status_code == 303
    one = f"/console/exports/{await value(database, 'SELECT id FROM bulk_export')}"
    assert (await asker.post(one + "/fetch")).status_code == 409  # nobody allowed it yet
    assert (await asker.post(one + "/decide", status="allowed")).status_code == 409  # not by oneself
    with pytest.raises(IntegrityError):
        await change(database, "UPDATE bulk_export SET decided_by = asked_by")
    await a_while_later(team, other)
    assert "verify" in (await other.post(one + "/decide", status="allowed")).headers["location"]
    await prove(other)
    assert (await other.post(one + "/decide", status="allowed")).status_code == 303
    assert (await other.post(one + "/decide", status="refused")).status_code == 409  # once
    assert (await other.post(one + "/fetch")).status_code == 409  # whoever allowed it gets nothing
    await prove(asker)
    fetched = await asker.post(one + "/fetch")
    table = list(csv.reader(io.StringIO(fetched.text.removeprefix("\ufeff"))))
    assert table[1][0] == "'=HYPERLINK(1)" and "from_morocco" in table[1] and len(table) == 2
    assert NAME not in fetched.text and PHONE not in fetched.text and WORDS not in fetched.text
    await change(database, "UPDATE bulk_export SET expires_at = now()")
    assert (await asker.post(one + "/fetch")).status_code == 409
    told_of = await value(
        database, "SELECT string_agg(action, ' ' ORDER BY id) FROM audit WHERE action LIKE 'export.%'"
    )
    assert told_of == "export.asked export.allowed export.fetched"
    for kind, known in (("interviews", person.appointment), ("checkins", person.enrolment)):
        await asker.post("/console/exports", kind=kind, since=day, until=day, why="quality")
        number = await value(database, "SELECT max(id) FROM bulk_export")
        if kind == "checkins":
            await change(database, "UPDATE checkin SET due_at = now()")
        await other.post(f"/console/exports/{number}/decide", status="allowed")
        assert known in (await asker.post(f"/console/exports/{number}/fetch")).text


async def test_posters_are_printed_and_ended(team: Team, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """By everybody; counts only in tens, and not for the point itself; after the end there is no poster."""
    person = await somebody(database)
    worker, boss = await team.at_work(Role.ORIENTATION), await team.at_work(Role.COORDINATOR)
    poster = f"/console/points/{person.point_id}/poster"
    assert (await worker.get(poster)).status_code == 409  # no address is set
    monkeypatch.setattr(team.settings, "telegram_username", "rafiq_example_bot")
    printed = await worker.get(poster + "?size=a6&format=pdf&ar=on")
    assert printed.content.startswith(b"%PDF") and "a6-ar.pdf" in printed.headers["content-disposition"]
    assert (await worker.get(poster + "?size=a1")).status_code == 404
    shown, less = (await boss.get("/console/points")).text, (await worker.get("/console/points")).text
    assert "&lt;10" in shown and "&lt;10" not in less and "Maison du quartier" in less
    assert (await boss.post("/console/points", name="Gare", city="")).status_code == 400
    new = {"name": "Gare", "city": "Oujda"} | {str(language): "on" for language in LANGUAGES}
    assert (await boss.post("/console/points", **new)).status_code == 303
    assert "Gare" in (await worker.get("/console/points")).text
    revoke = f"/console/points/{person.point_id}/revoke"
    assert [(await boss.post(revoke)).status_code for _ in range(2)] == [303, 404]
    assert (await worker.get(poster)).status_code == 404
    told_of = await value(database, "SELECT string_agg(action, ' ' ORDER BY id) FROM audit WHERE action LIKE 'po%'")
    assert told_of == "poster.printed point.added point.revoked"
