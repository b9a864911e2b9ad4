"""The calendar: a request confirmed, an appointment moved, cancelled, judged, booked; nobody twice, everybody told."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update

from bot import i18n
from bot.appointments import offices, slots
from bot.console.access import Role
from bot.db.models import Appointment, ClosedDay, Conversation, Office, Person, Slot
from bot.db.session import Database
from tests.console.conftest import Browser, Team, change, value
from tests.console.people import NAME, Somebody, somebody
from tests.conversation.conftest import rows
from tests.conversation.letters import writes


def monday(weeks: int = 2) -> date:
    """A Monday to come; no closed day of the seed's is near."""
    today = datetime.now(UTC).date()
    return today + timedelta(days=7 * weeks - today.weekday())


def at(hour: str, days: int = 0) -> str:
    """A wall time in that week."""
    return f"{monday() + timedelta(days=days)}T{hour}"


async def told(database: Database, conversation_id: int) -> str:
    """The last message to this person."""
    [row] = await rows(
        database,
        "SELECT content_sealed, key FROM outbox JOIN conversation ON conversation.id = conversation_id "
        "JOIN person ON person.id = person_id WHERE conversation_id = :c ORDER BY outbox.id DESC LIMIT 1",
        c=conversation_id,
    )
    return str(database.vault.open(bytes(row.key), bytes(row.content_sealed))["text"])


async def appointment(database: Database, reference: str) -> Any:
    """How it stands."""
    query = "SELECT status, wall, slot_id, office_id, id FROM appointment WHERE reference = :r"
    [row] = await rows(database, query, r=reference)
    return row


async def open_rabat(database: Database, days: int = 7) -> None:
    """The offices of the seed, without its holidays, with Rabat's usual times on so many days of that week."""
    usual = [
        {"days": [0, 1, 2, 3, 4], "from": "09:00", "until": "12:00"},
        {"days": [0, 1, 2], "from": "14:00", "until": "16:00"},
    ]
    async with database.session() as session:
        await offices.load(session)
        await session.execute(delete(ClosedDay))
        await session.execute(update(Office).where(Office.id == "rabat").values(hours=usual))
        if days:
            await slots.generate(session, monday(), monday() + timedelta(days=days - 1), "rabat")
        await session.commit()


async def confirm(browser: Browser, person: Somebody, **given: str) -> int:
    """Confirm their request; the answer's status."""
    return (await browser.post(f"/console/appointments/{person.appointment}/confirm", **given)).status_code


async def test_a_request_gets_a_time_and_the_person_is_told(team: Team, database: Database) -> None:
    """In the person's own language, with the audit in the same transaction; what nobody chose changes nothing."""
    person = await somebody(database, language="ar")
    await open_rabat(database)
    browser = await team.at_work()
    shown = (await browser.get(f"/console/calendar?office=rabat&week={monday()}")).text
    assert person.appointment in shown and i18n.say("console.time.free", "en") in shown
    page = (await browser.get(f"/console/appointments/{person.appointment}")).text
    assert NAME in page and f'value="{at("10:00")}"' in page
    assert await confirm(browser, person, wall="soon") == 400
    assert await confirm(browser, person, other="2020-01-06T10:00") == 409
    assert await confirm(browser, person, wall=at("10:00")) == 303
    fixed = await appointment(database, person.appointment)
    assert (fixed.status, fixed.wall) == ("confirmed", at("10:00")) and fixed.slot_id is not None
    assert person.appointment in await told(database, person.conversation_id)
    assert "حدد الفريق موعدكم" in await told(database, person.conversation_id)
    assert await value(database, "SELECT count(*) FROM audit WHERE action = 'appointment.confirmed'") == 1
    assert await value(database, "SELECT count(*) FROM case_event WHERE type = 'interview.booked'") == 1
    shown = (await browser.get(f"/console/calendar?office=rabat&week={monday()}")).text
    assert f'id="w-{person.appointment}"' in shown
    assert await confirm(browser, person, wall=at("11:00")) == 409  # once


async def test_one_counsellor_leads_one_interview_at_a_time(team: Team, database: Database) -> None:
    """Two of the team at once, a time beside, a person in the chat at the same moment: one has it, the others not."""
    people = [
        await somebody(database, address=f"p{n}", handoff=f"H-PPPP{n}", request=f"AV-PPP{n}", priority="P2")
        for n in range(2, 6)
    ]
    await open_rabat(database)
    browser, other = await team.at_work(), await team.at_work()
    wall = at("10:00")
    both = await asyncio.gather(confirm(browser, people[0], wall=wall), confirm(other, people[1], wall=wall))
    assert sorted(both) == [303, 409]
    first = people[both.index(303)]
    assert await confirm(browser, people[2], other=at("10:30")) == 409  # while the first is still there
    assert (await appointment(database, people[2].appointment)).status == "requested"
    # half past two: the usual times at two and at three are not for choosing any more
    assert await confirm(browser, people[2], other=at("14:30")) == 303
    async with database.session() as session:
        free = [slot.wall for slot in await slots.free(session, datetime.now(UTC), {"office": "rabat"})]
        assert not {at("10:00"), at("14:00"), at("15:00"), at("14:30")} & set(free) and at("11:00") in free
        made = await slots.generate(session, monday(), monday(), "rabat")
        assert made == 0
    shown = (await browser.get(f"/console/appointments/{first.appointment}")).text
    assert at("11:00") in shown and at("14:00") not in shown

    conversation_id = await writes(database, "chooser")
    async with database.session() as session:
        person = (
            await session.scalars(
                select(Person)
                .join(Conversation, Conversation.person_id == Person.id)
                .where(Conversation.id == conversation_id)
            )
        ).one()
        sealed = database.vault.seal(person.key, {})
        draft = Appointment(
            reference="RV-DRAFT",
            person_id=person.id,
            conversation_id=conversation_id,
            status="draft",
            answers_sealed=sealed,
        )
        session.add(draft)
        await session.commit()

    async def chooses() -> bool:
        """Somebody in the chat takes eleven o'clock."""
        async with database.session() as session:
            own = (await session.scalars(select(Appointment).where(Appointment.reference == "RV-DRAFT"))).one()
            slot = (await session.scalars(select(Slot).where(Slot.wall == at("11:00")))).one()
            kept = await slots.hold(session, own, slot, datetime.now(UTC))
            await session.commit()
            return kept

    kept, answer = await asyncio.gather(chooses(), confirm(browser, people[3], wall=at("11:00")))
    assert (kept, answer) in ((True, 409), (False, 303))


async def test_an_office_without_counsellors_has_its_capacity(team: Team, database: Database) -> None:
    """Where people only say what they wish, the office's own row decides."""
    people = [
        await somebody(database, address=f"p{n}", handoff=f"H-PPPP{n}", request=f"AV-PPP{n}") for n in range(2, 5)
    ]
    await change(database, "UPDATE appointment SET office_id = 'casablanca'")
    browser, other = await team.at_work(), await team.at_work()
    both = await asyncio.gather(
        *(confirm(one, person, other=at("10:00")) for one, person in zip((browser, other), people, strict=False))
    )
    assert sorted(both) == [303, 409]
    assert await confirm(browser, people[2], other=at("10:30")) == 409
    assert await confirm(browser, people[2], other=at("11:00")) == 303
    page = f"/console/appointments/{people[2].appointment}"
    assert (await browser.post(page + "/cancel")).status_code == 303
    words = i18n.say("interview.cancelled_by_team", "fr", reference=people[2].appointment)
    assert await told(database, people[2].conversation_id) == words
    late = people[both.index(409)]
    assert await confirm(browser, late, other=at("11:30")) == 303  # its time is free again


async def test_moved_cancelled_and_judged(team: Team, database: Database) -> None:
    """Another one replaces what is moved; who did not come is told without blame; nothing twice, nothing too early."""
    person = await somebody(database)
    await open_rabat(database)
    browser = await team.at_work()
    assert await confirm(browser, person, wall=at("10:00")) == 303
    page = f"/console/appointments/{person.appointment}"
    assert (await browser.post(page + "/outcome", status="missed")).status_code == 409  # still to come
    moved = await browser.post(page + "/move", office="rabat", other=at("10:30"))  # over its own old time
    assert moved.status_code == 303
    [reference] = [
        row.reference for row in await rows(database, "SELECT reference FROM appointment WHERE status = 'confirmed'")
    ]
    assert reference in moved.headers["location"]
    assert (await appointment(database, person.appointment)).status == "rescheduled"
    words = i18n.say("interview.moved_by_team", "fr", when="|", reference=reference).split("|")
    said = await told(database, person.conversation_id)
    assert said.startswith(words[0]) and "10:30" in said and said.endswith(words[1])
    assert await value(database, "SELECT count(*) FROM case_event WHERE type = 'interview.moved'") == 1
    assert (await browser.post(page + "/cancel")).status_code == 409
    page = f"/console/appointments/{reference}"
    await change(
        database, "UPDATE appointment SET starts_at = now() - interval '1 hour' WHERE reference = :r", r=reference
    )
    assert (await browser.post(page + "/outcome", status="made up")).status_code == 404
    assert (await browser.post(page + "/outcome", status="missed")).status_code == 303
    assert await told(database, person.conversation_id) == i18n.say("interview.missed", "fr")
    assert (await browser.post(page + "/outcome", status="done")).status_code == 409


async def test_booked_for_a_person_who_agreed(team: Team, database: Database) -> None:
    """Not without a yes, which is kept as a consent; not beside an appointment; not in somebody else's conversation."""
    person = await somebody(database)
    await change(database, "UPDATE appointment SET status = 'cancelled'")
    await open_rabat(database)
    owner, other = await team.at_work(name="Salma"), await team.at_work(name="Idris")
    page = f"/console/handoffs/{person.handoff}/book"
    form = {"office": "rabat", "mode": "in_person", "wall": at("10:00")}
    assert at("10:00") in (await owner.get(page + "?office=rabat")).text
    assert (await owner.post(page, **form)).status_code == 409
    assert await value(database, "SELECT count(*) FROM appointment WHERE status = 'confirmed'") == 0
    await owner.post(f"/console/handoffs/{person.handoff}/take")
    refused = await other.post(page, **form, agreed="on")
    assert refused.status_code == 409 and "Salma" in refused.text
    booked = await owner.post(page, **form, agreed="on")
    assert booked.status_code == 303
    assert i18n.say("console.appointment.told", "en") in (await owner.get(booked.headers["location"])).text
    assert "Rabat" in await told(database, person.conversation_id)
    assert await value(database, "SELECT channel FROM consent WHERE purpose = 'interview'") == "team"
    again = await owner.post(page, **{**form, "wall": at("11:00")})
    assert again.status_code == 409 and i18n.say("console.calendar.has_one", "en") in again.text
    # who said STOP has the appointment, and the page says that they were not told
    await change(database, "UPDATE appointment SET status = 'cancelled'")
    await change(database, "UPDATE person SET stopped_at = now()")
    booked = await owner.post(page, **{**form, "wall": at("11:00")})
    assert i18n.say("console.appointment.untold", "en") in (await owner.get(booked.headers["location"])).text


async def test_times_are_opened_and_closed(team: Team, database: Database) -> None:
    """A day, a single time; what stands is named; a coordinator looks on, another country's team finds nothing."""
    person = await somebody(database)
    await open_rabat(database, days=0)
    browser = await team.at_work()
    day = {"office": "rabat", "week": str(monday()), "day": str(monday())}
    opened = (await browser.post("/console/calendar/days", **day, do="open")).text
    assert i18n.say_number("console.calendar.opened", 5, "en") in opened
    assert await confirm(browser, person, wall=at("10:00")) == 303
    closed = (await browser.post("/console/calendar/days", **day, do="close")).text
    assert i18n.say_number("console.calendar.closed", 5, "en") in closed and person.appointment in closed
    number = await value(database, "SELECT id FROM slot WHERE wall = :w", w=at("11:00"))
    one = f"/console/calendar/slots/{number}"
    form = {"office": "rabat", "week": str(monday())}
    assert (await browser.post(one, **form, status="open")).status_code == 303
    assert (await browser.post(one, **form, status="open")).status_code == 409
    taken = await value(database, "SELECT id FROM slot WHERE wall = :w", w=at("10:00"))
    assert (await browser.post(f"/console/calendar/slots/{taken}", **form, status="open")).status_code == 409
    assert await value(database, "SELECT string_agg(wall, '') FROM slot WHERE status = 'open'") == at("11:00")
    told_of = await value(database, "SELECT string_agg(action, ' ' ORDER BY id) FROM audit WHERE action LIKE 'times.%'")
    assert told_of == "times.open times.close times.open"

    coordinator = await team.at_work(Role.COORDINATOR)
    shown = (await coordinator.get(f"/console/calendar?office=rabat&week={monday()}")).text
    assert person.appointment in shown and "/console/appointments/" not in shown and "<button id=" not in shown
    stranger = await team.at_work()
    await change(database, "UPDATE staff_member SET offices = '[\"MR\"]' WHERE id = :id", id=stranger.staff_id)
    assert (await stranger.get("/console/calendar?office=rabat")).status_code == 404
    assert (await stranger.post("/console/calendar/days", **day, do="close")).status_code == 404
    assert (await stranger.post(one, **form, status="closed")).status_code == 404
    assert await confirm(stranger, person, wall=at("11:00")) == 404
    assert i18n.say("console.calendar.no_office", "en") in (await stranger.get("/console/calendar")).text
