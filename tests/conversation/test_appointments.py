"""Appointments under a crowd, over time, and after the clocks changed."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import JSONResponse, Response
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from bot import i18n
from bot.appointments import bookings, offices, slots, times
from bot.assistant.forms import SKIPPED
from bot.cases.answers import Answer
from bot.channels import web_chat
from bot.channels.pull import House
from bot.channels.whatsapp_templates import definitions
from bot.cli import app
from bot.conversation import appointments, outbox
from bot.conversation.answers import take
from bot.conversation.delivery import Delivery
from bot.db.models import Address, Appointment, Conversation, Handoff, Office, Person, Reminder, Request, Slot
from bot.db.session import Database
from bot.journeys import first_contact, interviews, my_data
from bot.journeys.context import Context, new_reference
from bot.messages import LANGUAGES, Document, Incoming, Kind, Language
from bot.settings import Settings, SettingsError
from bot.web import Service
from tests.conversation.conftest import rows, typed, until, value
from tests.conversation.letters import writes
from tests.simulators.channel import FakeChannel
from tests.simulators.rasa import GREETING, FakeRasa

CASABLANCA = "Africa/Casablanca"


def say(text_id: str) -> str:
    """The French text."""
    return i18n.say(text_id, "fr")


async def wants_an_interview(body: dict[str, Any]) -> Response:
    """Rasa, to whom everybody says the same."""
    understanding = {"intent": "book_interview", "confidence": 0.9, "ranking": [], "entities": []}
    return JSONResponse(GREETING | {"messages": [{"do": "interview"}], "understanding": understanding})


async def open_rabat(database: Database, walls: Iterable[str]) -> None:
    """The offices of the seed; in Rabat these times are free."""
    async with database.session() as session:
        await offices.load(session)
        for wall in walls:
            session.add(
                Slot(
                    office_id="rabat",
                    counsellor_id="rabat-1",
                    wall=wall,
                    zone=CASABLANCA,
                    starts_at=times.instant(wall, CASABLANCA),
                    minutes=60,
                )
            )
        await session.commit()


def walls(number: int, days: int = 10) -> list[str]:
    """So many times at ten o'clock, a day after the other, some days from now."""
    first = datetime.now(UTC).date() + timedelta(days=days)
    return [f"{first + timedelta(days=more)}T10:00" for more in range(number)]


@dataclass
class Crowd:
    """Several people of the web chat who do the same at the same time."""

    service: Service
    database: Database
    people: list[str]

    async def write(self, words: str) -> None:
        """Each writes this."""
        await self._tell([typed(words, person) for person in self.people])

    async def press(self, button: str) -> None:
        """Each presses the newest button of this title (or the first of those whose title begins so)."""
        events = []
        for person in self.people:
            conversation_id = await self.service.conversation_of("web", f"{person:-<40}")
            found = await rows(
                self.database,
                "SELECT id FROM issued_button WHERE conversation_id = :c AND starts_with(title, :t) "
                "ORDER BY outbox_id DESC, position LIMIT 1",
                c=conversation_id,
                t=button,
            )
            assert found, button
            events.append(pressed(found[0].id, person))
        await self._tell(events)

    async def _tell(self, events: list[Incoming]) -> None:
        await asyncio.gather(*(self.service.accept([event]) for event in events))
        open_ = "SELECT count(*) = 0 FROM inbox WHERE status IN ('pending', 'waiting')"
        await until(lambda: value(self.database, open_), 90)
        assert await value(self.database, "SELECT count(*) FROM inbox WHERE status = 'dead'") == 0

    async def offered(self) -> list[str]:
        """The titles under what the first was told last."""
        return [title for _, title in (await last_content(self, self.people[0]))["buttons"]]

    async def last(self, person: str) -> str:
        """What this one was told last."""
        conversation_id = await self.service.conversation_of("web", f"{person:-<40}")
        return await words(self.database, conversation_id or 0)


def pressed(button: str, person: str) -> Incoming:
    """A press in the web chat."""
    return Incoming(
        channel="web",
        external_id=str(uuid.uuid4()),
        address=f"{person:-<40}",
        kind=Kind.PRESS,
        press=button,
        details={"client_id": str(uuid.uuid4())},
    )


async def content(database: Database, conversation_id: int) -> dict[str, Any]:
    """The last message of this conversation, opened."""
    [row] = await rows(
        database,
        "SELECT content_sealed, key FROM outbox JOIN conversation ON conversation.id = conversation_id "
        "JOIN person ON person.id = person_id WHERE conversation_id = :c ORDER BY outbox.id DESC LIMIT 1",
        c=conversation_id,
    )
    opened: dict[str, Any] = database.vault.open(bytes(row.key), bytes(row.content_sealed))
    return opened


async def words(database: Database, conversation_id: int) -> str:
    """The words of that message."""
    return str((await content(database, conversation_id))["text"])


async def to_the_times(crowd: Crowd) -> None:
    """Each comes to where the free times are offered."""
    await crowd.write("je voudrais un rendez-vous pour un entretien")
    await crowd.press(say("interview.consent.yes"))
    await crowd.press(say("first_contact.age_group.adult"))
    await crowd.press(say("interview.mode.in_person"))
    await crowd.press("Rabat")
    await crowd.press(say("interview.more.no"))


@pytest.fixture
async def crowd(worker: tuple[Service, FakeRasa], database: Database) -> Crowd:
    """One person, for whom Rasa understands one thing; make them more."""
    service, rasa = worker
    rasa.behave = wants_an_interview
    return Crowd(service, database, ["p1"])


async def a_booking(crowd: Crowd, wall: str) -> Appointment:
    """An appointment at this time, booked in the chat."""
    await open_rabat(crowd.database, [wall])
    await to_the_times(crowd)
    [offered] = await rows(crowd.database, "SELECT title FROM issued_button ORDER BY outbox_id DESC, position LIMIT 1")
    await crowd.press(offered.title)
    await crowd.press(say("interview.review.send"))
    async with crowd.database.session() as session:
        return (await session.scalars(select(Appointment))).one()


async def test_fifty_at_once_for_the_last_time(crowd: Crowd, database: Database) -> None:
    """One has it; 49 are told that it is taken and offered others; the database itself refuses a second."""
    crowd.people = [f"p{number}" for number in range(50)]
    await open_rabat(database, walls(4))
    await to_the_times(crowd)
    [first] = await rows(database, "SELECT id FROM slot ORDER BY starts_at LIMIT 1")
    [offered] = await rows(
        database, "SELECT title FROM issued_button WHERE (action->'with'->>'value') = :s LIMIT 1", s=str(first.id)
    )
    await crowd.press(offered.title)
    told = [await crowd.last(person) for person in crowd.people]
    assert sum(say("interview.time.gone") in one for one in told) == 49
    held = await rows(database, "SELECT slot_id FROM appointment WHERE status = 'held'")
    assert [row.slot_id for row in held] == [first.id]
    [winner] = [person for person, one in zip(crowd.people, told, strict=True) if say("interview.time.gone") not in one]
    others = crowd.people
    crowd.people = [winner]
    await crowd.press(say("interview.review.send"))
    assert await value(database, "SELECT count(*) FROM appointment WHERE status = 'confirmed'") == 1
    crowd.people = [person for person in others if person != winner]
    conversation_id = await crowd.service.conversation_of("web", f"{crowd.people[0]:-<40}")
    offers = [title for _, title in (await content(database, conversation_id or 0))["buttons"]]
    assert len(offers) == 3 + 2 and offered.title not in offers
    with pytest.raises(IntegrityError):
        async with database.session() as session:
            row = (await session.scalars(select(Appointment).where(Appointment.status == "draft").limit(1))).one()
            row.slot_id, row.status = first.id, "confirmed"
            await session.commit()


async def test_a_hold_ends(crowd: Crowd, database: Database) -> None:
    """After ten minutes another person gets the time, and who was slow is told so and offered others."""
    crowd.people = ["p1", "p2"]
    await open_rabat(database, walls(2))
    await to_the_times(crowd)
    [first] = await rows(database, "SELECT title FROM issued_button ORDER BY outbox_id DESC, position LIMIT 1")
    crowd.people = ["p1"]
    await crowd.press(first.title)
    crowd.people = ["p2"]
    await crowd.press(first.title)
    assert say("interview.time.gone") in await crowd.last("p2")
    await rows_changed(
        database, "UPDATE appointment SET held_until = now() - interval '1 second' WHERE status = 'held'"
    )
    await crowd.write(first.title)  # typed: read as a day and an hour
    await crowd.press(say("interview.review.send"))
    crowd.people = ["p1"]
    await crowd.press(say("interview.review.send"))
    assert await value(database, "SELECT count(*) FROM appointment WHERE status = 'confirmed'") == 1
    assert first.title not in [title for _, title in (await last_content(crowd, "p1"))["buttons"]]


async def test_a_file_for_the_calendar(crowd: Crowd, database: Database) -> None:
    """It comes with the confirmation, says nothing but the time, and moves the entry when the appointment moves."""
    days = walls(2)
    row = await a_booking(crowd, days[0])
    name, media_type, content = (await last_content(crowd, "p1"))["document"]
    assert (name, media_type) == ("rendez-vous.ics", "text/calendar")
    lines = content.split("\r\n")
    first, last = f"{days[0][:10]}T10:00".replace("-", ""), f"{days[0][:10]}T11:00".replace("-", "")
    assert f"DTSTART:{first.replace(':', '')}00Z" in lines and f"DTEND:{last.replace(':', '')}00Z" in lines
    assert "SUMMARY:Rendez-vous" in lines and "SEQUENCE:0" in lines
    for telling in ("OIM", "IOM", "retour", "entretien", "Rabat", "LOCATION", "DESCRIPTION", row.reference):
        assert telling.lower() not in content.lower()
    await open_rabat(database, [days[1]])
    await crowd.press(say("button.interview_change"))
    await crowd.press((await crowd.offered())[0])
    await crowd.press(say("interview.review.send"))
    moved = (await last_content(crowd, "p1"))["document"][2].split("\r\n")
    assert "SEQUENCE:1" in moved and f"DTSTART:{days[1][:10].replace('-', '')}T100000Z" in moved
    assert [line for line in moved if line.startswith("UID:")] == [line for line in lines if line.startswith("UID:")]


async def test_the_file_in_the_web_chat(crowd: Crowd, database: Database) -> None:
    """The page is told its name and fetches it with the person's cookie; nobody else gets it."""
    await a_booking(crowd, walls(1)[0])
    app = FastAPI()
    house = House(database, crowd.service.accept, crowd.service.conversation_of, crowd.service.signals)
    app.include_router(web_chat.router(house, secure=False))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://chat", cookies={"rafiq_chat": f"{'p1':-<40}"}
    ) as browser:
        told = (await browser.get("/chat/messages")).json()["messages"]
        [message] = [one for one in told if "file" in one]
        assert message["file"] == "rendez-vous.ics" and "10:00" in message["text"]
        given = await browser.get(f"/chat/files/{message['id']}")
        assert given.status_code == 200 and given.text.startswith("BEGIN:VCALENDAR\r\n")
        assert given.headers["content-type"].startswith("text/calendar")
        assert given.headers["content-disposition"] == "attachment; filename*=UTF-8''rendez-vous.ics"
        assert given.headers["cache-control"] == "no-store"
        [other] = [one["id"] for one in told if one["by"] == "rafiq" and "file" not in one][:1]
        assert (await browser.get(f"/chat/files/{other}")).status_code == 404
        await crowd.service.accept([typed("bonjour", "p2")])
        for stranger in (f"{'p2':-<40}", ""):
            browser.cookies.clear()
            browser.cookies.set("rafiq_chat", stranger)
            assert (await browser.get(f"/chat/files/{message['id']}")).status_code == 404


async def test_a_file_goes_where_one_can(database: Database) -> None:
    """A channel that takes files gets it under the last part of the text; any other gets the text."""
    document = Document("rendez-vous.ics", "text/calendar", "BEGIN:VCALENDAR")
    long = "a " * 700 + "the end"
    for channel, files in ((FakeChannel(), [None]), (TakesFiles(), [None, document])):
        conversation_id = await writes(database, address=type(channel).__name__)
        async with database.session() as session:
            await outbox.unasked(session, database.vault, conversation_id, long, "fr", document=document)
            await session.commit()
        await Delivery(database, {"fake": channel}).work(conversation_id)
        assert [message.document for _, _, message in channel.sent] == files
        assert channel.texts[-1].endswith("the end")
        assert files[-1] is None or len(channel.texts[-1]) <= 100


class TakesFiles(FakeChannel):
    """A platform that takes files, with a hundred characters under them."""

    longest_caption = 100


async def test_any_answer_can_be_changed(crowd: Crowd, database: Database) -> None:
    """At the review each answer is a button: what follows from it is asked anew, the rest stays."""
    await open_rabat(database, walls(2))
    await crowd.write("je voudrais un rendez-vous pour un entretien")
    for button in ("interview.consent.yes", "first_contact.age_group.adult", "interview.mode.phone"):
        await crowd.press(say(button))
    await crowd.write("0612345678")
    await crowd.press(say("first_contact.call_time.evening"))
    await crowd.press(say("interview.more.no"))
    await crowd.press((await crowd.offered())[0])
    held = "SELECT slot_id FROM appointment WHERE status = 'held'"
    slot_id = await value(database, held)
    assert slot_id is not None
    await crowd.press(say("interview.review.change"))
    labels = ["interview.time", "interview.mode", "interview.phone", "first_contact.call_time"]
    assert await crowd.offered() == [*[say(f"{one}.label") for one in labels], say("interview.more.yes")]
    await crowd.press(say("interview.phone.label"))
    assert await crowd.last("p1") == say("interview.phone")
    await crowd.write("0698765432")
    assert "698765432" in await crowd.last("p1") and await value(database, held) == slot_id  # the time stays
    await crowd.press(say("interview.review.change"))
    await crowd.press(say("interview.mode.label"))
    assert await value(database, held) is None
    await crowd.press(say("interview.mode.in_person"))
    await crowd.press("Rabat")
    await crowd.press((await crowd.offered())[0])
    assert "698765432" not in await crowd.last("p1")
    await crowd.press(say("interview.review.change"))
    await crowd.press(say("interview.more.yes"))
    assert await crowd.last("p1") == say("interview.language")
    for button in ("interview.language.fr", "interview.interpreter.no", "interview.gender.any"):
        await crowd.press(say(button))
    await crowd.press(say("interview.companion.with"))
    await crowd.press(say("interview.access.none"))
    await crowd.press((await crowd.offered())[0])
    await crowd.press(say("interview.review.change"))
    await crowd.press(say("interview.office.label"))
    await crowd.press("Oujda")
    assert await crowd.last("p1") == say("interview.wish")
    await crowd.press(say("interview.wish.any"))
    read_back = await crowd.last("p1")
    assert "Oujda" in read_back and say("interview.companion.with") in read_back
    await crowd.press(say("interview.review.change"))
    await crowd.press(say("interview.wish.label"))
    await crowd.press(say("interview.wish.any"))
    await crowd.press(say("interview.review.send"))
    [row] = await rows(database, "SELECT status, office_id, slot_id FROM appointment")
    assert (row.status, row.office_id, row.slot_id) == ("requested", "oujda", None)


@pytest.mark.parametrize(
    ("stopped", "planned", "promised"), [(False, True, "yes"), (True, True, "stopped"), (False, False, "soon")]
)
async def test_no_reminder_is_promised_that_does_not_come(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch, stopped: bool, planned: bool, promised: str
) -> None:
    """Who said STOP is told that nothing will come, and so is who comes too soon for one."""
    if stopped:
        await crowd.write("STOP")
    if not planned:
        monkeypatch.setattr(bookings, "REMINDERS", ())
    await a_booking(crowd, walls(1)[0])
    told = await crowd.last("p1")
    for outcome in ("yes", "stopped", "soon"):
        assert (say(f"interview.reminded.{outcome}") in told) == (outcome == promised)


async def wished_for(database: Database, language: Language = "fr") -> tuple[str, Conversation]:
    """Somebody whose wish for an interview in Oujda waits for a time, and their first-contact request AV-2222."""
    async with database.session() as session:
        await offices.load(session)
        conversation = await a_person(session, 1)
        person = await session.get_one(Person, conversation.person_id)
        person.key, person.language = database.vault.new_key(), language
        sealed = database.vault.seal(person.key, {"mode": "in_person", "office": "oujda", "age_group": "adult"})
        session.add(
            Appointment(
                reference="RV-22222",
                person_id=person.id,
                conversation_id=conversation.id,
                office_id="oujda",
                status="requested",
                answers_sealed=sealed,
            )
        )
        session.add(Request(reference="AV-2222", person_id=person.id, priority="P2", answers_sealed=sealed))
        await session.commit()
    return "RV-22222", conversation


def proposal(ref: str, day: int, said: int = 0, mode: str = "office") -> Answer:
    """The case backend proposes half past two, so many days from now, said so many minutes from now."""
    now = datetime.now(UTC)
    at = datetime.combine(now.date() + timedelta(days=day), time(14, 30), UTC)
    given = {"ref": ref, "at": at.isoformat(), "zone": CASABLANCA, "mode": mode}
    return Answer("interview.proposed", ref, now + timedelta(minutes=said), given)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("ref", ["RV-22222", "AV-2222"])
async def test_the_case_backend_proposes_a_time(
    database: Database, settings: Settings, language: Language, ref: str
) -> None:
    """The person is told the time and that it is not fixed; their yes fixes it, with a file and reminders."""
    reference, conversation = await wished_for(database, language)
    assert await take(database, "first", proposal(ref, 9)) is True
    assert await take(database, "late", proposal(ref, 10, said=-5)) is False  # an older one
    assert await take(database, "past", proposal(ref, -3, said=5)) is False
    told = await content(database, conversation.id)
    titles = [title for _, title in told["buttons"]]
    assert "14:30" in told["text"] and reference in told["text"] and told["announced"]
    assert titles[0] == i18n.say("button.interview_come", language) and len(titles) == 3
    for telling in ("OIM", "IOM", "المنظمة", "retour", "return"):
        assert telling not in told["text"]
    [row] = await rows(database, "SELECT status, wall FROM appointment")
    assert (row.status, row.wall[11:]) == ("proposed", "14:30")
    assert await value(database, "SELECT count(*) FROM case_event") == 0
    said, choices = await in_chat(database, settings, conversation, interviews.status)
    assert "14:30" in said and i18n.say("button.interview_come", language) in choices
    said, _ = await in_chat(database, settings, conversation, interviews.come, reference=reference)
    assert "14:30" in said and i18n.say("interview.reminded.yes", language) in said
    [row] = await rows(database, "SELECT status, starts_at FROM appointment")
    assert row.status == "confirmed"
    [event] = await rows(database, "SELECT type, payload FROM case_event")
    assert event.type == "interview.booked" and event.payload["data"]["request"] == "AV-2222"
    assert await value(database, "SELECT count(*) FROM reminder") == 2
    assert await take(database, "after", proposal("RV-22222", 11, said=9)) is False  # it is fixed
    assert await take(database, "nobody's", proposal("RV-99999", 9)) is None


async def test_a_later_proposal_takes_the_place(database: Database, settings: Settings) -> None:
    """Another time, by telephone now: the reminders move along, and changing leaves it standing until then."""
    reference, conversation = await wished_for(database)
    assert await take(database, "first", proposal(reference, 9)) is True
    assert await take(database, "second", proposal(reference, 12, said=1, mode="phone")) is True
    [row] = await rows(database, "SELECT status, starts_at FROM appointment")
    due = await rows(database, "SELECT due_at FROM reminder WHERE hours = 48")
    assert [one.due_at for one in due] == [row.starts_at - timedelta(hours=48)]
    assert say("interview.mode.phone") in (await content(database, conversation.id))["text"]
    await appointments.Appointments(database).work(1, row.starts_at - timedelta(hours=47))
    reminder = await content(database, conversation.id)
    assert say("button.interview_come") in str(reminder["buttons"])
    assert reminder["text"].startswith("On vous a proposé")
    assert await value(database, "SELECT status FROM appointment") == "proposed"  # a reminder is no yes
    said, _ = await in_chat(database, settings, conversation, interviews.ask_cancel)
    assert "14:30" in said
    await in_chat(database, settings, conversation, interviews.drop, reference=reference)
    assert await value(database, "SELECT status FROM appointment") == "cancelled"


async def test_a_proposal_to_who_stopped(database: Database, settings: Settings) -> None:
    """Nothing unasked is written to them: the case backend is told so, and they find it when they ask."""
    reference, conversation = await wished_for(database)
    await rows_changed(database, "UPDATE person SET stopped_at = now()")
    assert await take(database, "first", proposal(reference, 9)) is False
    assert await value(database, "SELECT count(*) FROM outbox") == 0
    said, _ = await in_chat(database, settings, conversation, interviews.status)
    assert "14:30" in said


@pytest.mark.parametrize("language", LANGUAGES)
async def test_when_is_it_for_a_request(database: Database, settings: Settings, language: Language) -> None:
    """Without an appointment of its own, « when is it » finds what was proposed for the request; else says none."""
    _, conversation = await wished_for(database, language)
    await rows_changed(database, "DELETE FROM appointment")
    said, _ = await in_chat(database, settings, conversation, interviews.status)
    assert said == i18n.say("interview.status.none", language)
    assert await take(database, "first", proposal("AV-2222", 9, mode="phone")) is True
    said, _ = await in_chat(database, settings, conversation, interviews.status)
    assert "14:30" in said and "AV-2222" in said


@pytest.mark.parametrize(
    "what", ["nothing", "another proposal", "asks the team", "books", "withdraws", "the case is closed"]
)
async def test_a_proposal_for_a_request_that_nobody_answers(database: Database, what: str) -> None:
    """When its time is over the team is reminded, once: unless something came of it. The person is told nothing."""
    _, conversation = await wished_for(database)
    await rows_changed(database, "DELETE FROM appointment")
    assert await take(database, "first", proposal("AV-2222", 9)) is True
    [one] = await rows(database, "SELECT id, unanswered_at FROM request")
    assert one.unanswered_at == datetime.fromisoformat(proposal("AV-2222", 9).data["at"])
    whose = {"person_id": conversation.person_id, "conversation_id": conversation.id}
    if what == "another proposal":
        assert await take(database, "second", proposal("AV-2222", 12, said=1)) is True
    elif what == "asks the team":
        await added(database, Handoff(reference="H-22222", reason="asked", priority="P1", language="fr", **whose))
        await rows_changed(database, "UPDATE handoff SET created_at = now() + interval '2 minutes'")
    elif what == "books":
        await added(database, Appointment(reference="RV-44444", status="confirmed", answers_sealed=b"", **whose))
    elif what == "withdraws":
        await rows_changed(database, "UPDATE request SET status = 'withdrawn', interview_sealed = NULL")
    elif what == "the case is closed":
        answer = Answer("case.closed", "AV-2222", datetime.now(UTC) + timedelta(minutes=1), {"ref": "AV-2222"})
        assert await take(database, "closed", answer) is True
    messages = await value(database, "SELECT count(*) FROM outbox")
    keeper, tasks = appointments.Appointments(database), "SELECT count(*) FROM handoff WHERE reason = 'interview'"
    await keeper.unanswered(one.id, one.unanswered_at - timedelta(minutes=1))
    assert await value(database, tasks) == 0
    for at, reminded in ((0, ["nothing"]), (4, ["nothing", "another proposal"])):
        over = one.unanswered_at + timedelta(days=at)
        await asyncio.gather(keeper.unanswered(one.id, over), keeper.unanswered(one.id, over))
        assert await value(database, tasks) == (what in reminded)
    assert await value(database, "SELECT count(*) FROM outbox") == messages
    assert await value(database, "SELECT unanswered_at FROM request") is None
    events = await rows(database, "SELECT payload FROM case_event WHERE type = 'handoff.requested'")
    assert len(events) == await value(database, tasks)


async def test_a_running_service_reminds_the_team(worker: tuple[Service, FakeRasa], database: Database) -> None:
    """Of a time that was proposed for a request and is over, by itself."""
    await wished_for(database)
    await rows_changed(database, "DELETE FROM appointment")
    assert await take(database, "first", proposal("AV-2222", 9)) is True
    assert await value(database, "SELECT count(*) FROM handoff") == 0
    await rows_changed(database, "UPDATE request SET unanswered_at = now() - interval '1 minute'")
    await until(lambda: value(database, "SELECT count(*) FROM handoff WHERE reason = 'interview'"))


async def added(database: Database, row: Appointment | Handoff) -> None:
    """There is this."""
    async with database.session() as session:
        session.add(row)
        await session.commit()


async def in_chat(
    database: Database, settings: Settings, conversation: Conversation, verb: Any, **given: Any
) -> tuple[str, list[str]]:
    """What the person reads, and the buttons under it, when they ask for this."""
    async with database.session() as session:
        person = await session.get_one(Person, conversation.person_id)
        ctx = Context(
            session=session,
            vault=database.vault,
            settings=settings,
            now=datetime.now(UTC),
            inbox_id=1,
            person_id=person.id,
            person_key=person.key,
            conversation_id=conversation.id,
            channel="web",
            language=cast("Language", person.language),
        )
        await verb(ctx, **given)
        await session.commit()
    titles = [choice.title for saying in ctx.sayings for choice in saying.choices]
    return "\n".join(saying.text for saying in ctx.sayings), titles


@pytest.mark.parametrize(("status", "days"), [("cancelled", 90), ("done", 90), ("past", 90), ("draft", 1)])
async def test_what_is_over_is_forgotten(database: Database, status: str, days: int) -> None:
    """Ninety days after it was over, a day after the last word of an unfinished one; run twice, nothing more."""
    await wished_for(database)
    await rows_changed(database, f"UPDATE appointment SET status = '{status}'")
    keeper = appointments.Appointments(database)
    now = datetime.now(UTC)
    await keeper.keep(now + timedelta(days=days - 1, hours=23))
    assert await value(database, "SELECT count(*) FROM appointment") == 1
    with capture_logs() as logs:
        await keeper.keep(now + timedelta(days=days, hours=1))
        await keeper.keep(now + timedelta(days=days, hours=2))
    assert await value(database, "SELECT count(*) FROM appointment") == 0
    assert [log[status] for log in logs if status in log] == [1]


async def test_what_is_to_come_is_kept(database: Database) -> None:
    """However long it takes the team: what waits for a time, and what has one that is far away, stays."""
    reference, _ = await wished_for(database)
    keeper = appointments.Appointments(database)
    await keeper.keep(datetime.now(UTC) + timedelta(days=200))
    assert await take(database, "first", proposal(reference, 300)) is True
    await keeper.keep(datetime.now(UTC) + timedelta(days=299))
    assert await value(database, "SELECT status FROM appointment") == "proposed"
    await keeper.keep(datetime.now(UTC) + timedelta(days=302))
    assert await value(database, "SELECT status FROM appointment") == "past"


async def test_who_is_late_still_has_an_appointment(database: Database, settings: Settings) -> None:
    """A quarter of an hour after it began it is still theirs; a proposal ends with its time; hours later it is over."""
    reference, conversation = await wished_for(database)
    begun = (datetime.now(UTC) - timedelta(minutes=15)).isoformat()
    moved = f"UPDATE appointment SET wall = '2026-11-24T10:00', zone = '{CASABLANCA}', starts_at = '{begun}'"
    await rows_changed(database, f"{moved}, status = 'reminded'")
    said, _ = await in_chat(database, settings, conversation, interviews.status)
    assert "10:00" in said and reference in said
    await rows_changed(database, "UPDATE appointment SET starts_at = starts_at - interval '2 hours'")
    said, _ = await in_chat(database, settings, conversation, interviews.status)
    assert said == say("interview.status.none")
    await rows_changed(database, f"{moved}, status = 'proposed'")
    said, _ = await in_chat(database, settings, conversation, interviews.come, reference=reference)
    assert said == say("interview.status.none")
    assert await value(database, "SELECT status FROM appointment") == "past"


async def test_another_time_is_remembered_too(database: Database) -> None:
    """Reminded of one time, then another is proposed: its reminders go, whatever went before."""
    reference, _ = await wished_for(database)
    assert await take(database, "first", proposal(reference, 9)) is True
    await rows_changed(database, "UPDATE reminder SET done_at = now()")
    assert await take(database, "second", proposal(reference, 12, said=1)) is True
    assert await value(database, "SELECT count(*) FROM reminder WHERE done_at IS NULL AND hours > 0") == 2


async def wished_again(database: Database, wish: str) -> None:
    """The same person sends another wish instead, as the chat does."""
    async with database.session() as session:
        before = (await session.scalars(select(Appointment))).one()
        person = await session.get_one(Person, before.person_id)
        answers = {"mode": "in_person", "office": "oujda", "wish": wish}
        draft = Appointment(
            reference="RV-33333",
            person_id=person.id,
            conversation_id=before.conversation_id,
            office_id="oujda",
            replaces_id=before.id,
            answers_sealed=database.vault.seal(person.key, answers),
        )
        session.add(draft)
        await session.flush()
        await bookings.settle(session, draft, "requested", answers, datetime.now(UTC))
        await session.commit()


async def remembered(database: Database) -> None:
    """All that is planned comes due, each at its time, and once more."""
    keeper = appointments.Appointments(database)
    for one in await rows(database, "SELECT appointment_id AS id, due_at FROM reminder ORDER BY due_at"):
        await keeper.work(one.id, one.due_at)
        await keeper.work(one.id, one.due_at + timedelta(minutes=1))


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_wish_whose_day_passes(database: Database, settings: Settings, language: Language) -> None:
    """The morning after, the team gets a task and the person the truth, once; the wish stands and can be answered."""
    _, conversation = await wished_for(database, language)
    day = datetime.now(UTC).date() + timedelta(days=5)
    await wished_again(database, f"{day}T10:00")
    [planned] = await rows(database, "SELECT hours, due_at FROM reminder")
    assert planned.hours == bookings.UNANSWERED
    assert planned.due_at.astimezone(ZoneInfo(CASABLANCA)).isoformat()[:16] == f"{day + timedelta(days=1)}T10:00"
    await remembered(database)
    [task] = await rows(database, "SELECT reason, priority, status FROM handoff")
    assert (task.reason, task.priority, task.status) == ("interview", "P2", "waiting")
    told = await content(database, conversation.id)
    assert told["text"] == i18n.say("interview.unanswered", language, reference="RV-33333") and told["announced"]
    assert [title for _, title in told["buttons"]] == [
        i18n.say(button, language) for button in ("button.interview_change", "button.interview_cancel")
    ]
    for telling in ("OIM", "IOM", "المنظمة", "retour", "return"):
        assert telling not in told["text"]
    assert await value(database, "SELECT count(*) FROM outbox") == 1
    assert await value(database, "SELECT status FROM appointment WHERE reference = 'RV-33333'") == "requested"
    assert await appointments.agree(database, "RV-33333", f"{day + timedelta(days=4)}T14:30") is True


async def test_a_wish_for_any_time(database: Database) -> None:
    """Who has time at any is not waited with for ever either; what is answered or taken back reminds nobody."""
    await wished_for(database)
    await wished_again(database, "any")
    [planned] = await rows(database, "SELECT due_at FROM reminder")
    days = planned.due_at - datetime.now(UTC)
    assert bookings.ANSWERED_WITHIN - timedelta(hours=1) < days < bookings.ANSWERED_WITHIN + timedelta(hours=15)
    day = datetime.now(UTC).date() + timedelta(days=9)
    assert await appointments.agree(database, "RV-33333", f"{day}T14:30") is True
    assert await value(database, "SELECT count(*) FROM reminder WHERE hours = 0") == 0
    assert await value(database, "SELECT count(*) FROM handoff") == 0


@pytest.mark.parametrize("swept", [False, True])
async def test_a_proposal_whose_time_passes(database: Database, settings: Settings, swept: bool) -> None:
    """Neither yes nor no until then: nothing was fixed, the person is told so, and the team; whoever sees it first."""
    reference, conversation = await wished_for(database)
    assert await take(database, "first", proposal(reference, 9)) is True
    starts_at = await value(database, "SELECT starts_at FROM appointment")
    if swept:
        await appointments.Appointments(database).keep(starts_at + timedelta(minutes=1))
        assert await value(database, "SELECT status FROM appointment") == "past"
    await remembered(database)
    assert await value(database, "SELECT status FROM appointment") == "past"
    assert await value(database, "SELECT reason FROM handoff") == "interview"
    told = await content(database, conversation.id)
    assert told["text"] == i18n.say("interview.unanswered_proposal", "fr", reference=reference)
    assert [title for _, title in told["buttons"]] == [say("button.interview_book")]


async def test_a_yes_ends_the_waiting(database: Database, settings: Settings) -> None:
    """What was agreed is past in its time, and nobody is told that it was not answered."""
    reference, conversation = await wished_for(database)
    assert await take(database, "first", proposal(reference, 9)) is True
    await in_chat(database, settings, conversation, interviews.come, reference=reference)
    assert await value(database, "SELECT count(*) FROM reminder WHERE hours = 0") == 0
    await remembered(database)
    assert await value(database, "SELECT count(*) FROM handoff") == 0


async def test_the_request_is_named_when_it_was_acknowledged(database: Database) -> None:
    """A case backend that has acknowledged the request is told of which request an interview is."""
    reference, _ = await wished_for(database)
    await rows_changed(database, "UPDATE request SET status = 'acknowledged'")
    day = datetime.now(UTC).date() + timedelta(days=9)
    assert await appointments.agree(database, reference, f"{day}T14:30") is True
    [event] = await rows(database, "SELECT payload FROM case_event")
    assert event.payload["data"]["request"] == "AV-2222"
    await rows_changed(database, "UPDATE person SET stopped_at = now()")
    assert await appointments.cancel(database, reference) is False  # who confirms or cancels has to tell them


async def test_a_consent_taken_back_is_their_own_word(database: Database, settings: Settings) -> None:
    """The case backend is told that the person cancelled: nobody was erased."""
    _, conversation = await wished_for(database)
    await in_chat(database, settings, conversation, my_data.withdraw, purpose="interview")
    [event] = await rows(database, "SELECT payload FROM case_event WHERE type = 'interview.cancelled'")
    assert event.payload["data"]["by"] == "person"


async def test_a_proposal_that_is_past_is_not_shown(database: Database, settings: Settings) -> None:
    """Nor told, should it come late."""
    _, conversation = await wished_for(database)
    await rows_changed(database, "DELETE FROM appointment")
    assert await take(database, "past", proposal("AV-2222", -3)) is False
    assert await take(database, "first", proposal("AV-2222", 9)) is True
    async with database.session() as session:
        request = (await session.scalars(select(Request))).one()
        key = await session.scalar(select(Person.key))
        assert key is not None and request.interview_sealed is not None
        told = database.vault.open(key, request.interview_sealed)
        told["at"] = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
        request.interview_sealed = database.vault.seal(key, told)
        await session.commit()
    said, _ = await in_chat(database, settings, conversation, interviews.status)
    assert said == say("interview.status.none")
    said, _ = await in_chat(database, settings, conversation, first_contact.status)
    assert "14:30" not in said and "AV-2222" in said


async def test_what_is_held_and_past_is_not_booked(crowd: Crowd, database: Database) -> None:
    """« It is right », pressed when the time that was held is over: other times, and no appointment in the past."""
    await open_rabat(database, walls(2))
    await to_the_times(crowd)
    await crowd.press((await crowd.offered())[0])
    await rows_changed(
        database,
        "UPDATE slot SET starts_at = now() - interval '1 hour' WHERE id = (SELECT slot_id FROM appointment)",
    )
    await crowd.press(say("interview.review.send"))
    assert await value(database, "SELECT status FROM appointment") == "draft"
    assert say("interview.time") in await crowd.last("p1")


async def test_a_wish_gives_up_what_was_fixed(crowd: Crowd, database: Database) -> None:
    """Where no other time is free, the review says that the appointment there is would not stand."""
    await a_booking(crowd, walls(1)[0])
    await rows_changed(database, "UPDATE slot SET status = 'closed'")
    await crowd.press(say("button.interview_change"))
    assert say("interview.wish") in await crowd.last("p1")
    await crowd.press(say("interview.wish.any"))
    assert say("interview.review_instead").split("{")[0] in await crowd.last("p1")


async def rows_changed(database: Database, statement: str) -> None:
    """Run this and commit."""
    async with database.session() as session:
        await session.execute(text(statement))
        await session.commit()


async def last_content(crowd: Crowd, person: str) -> dict[str, Any]:
    """The last message to this one."""
    return await content(crowd.database, await crowd.service.conversation_of("web", f"{person:-<40}") or 0)


async def test_reminders(crowd: Crowd, database: Database) -> None:
    """48 and 3 hours before, once each, with their buttons and templates; neutral; worth nothing afterwards."""
    row = await a_booking(crowd, walls(1)[0])
    assert row.starts_at is not None
    planned = await rows(database, "SELECT hours, due_at FROM reminder ORDER BY hours")
    assert [(one.hours, one.due_at) for one in planned] == [
        (3, times.awake(row.starts_at - timedelta(hours=3), CASABLANCA)),
        (48, row.starts_at - timedelta(hours=48)),
    ]
    for hours, template in ((48, "interview_tomorrow"), (3, "interview_soon")):
        now = row.starts_at - timedelta(hours=hours) + timedelta(minutes=1)
        for _ in range(2):  # a second worker comes too late
            await crowd.service.appointments.work(row.id, now)
        last = await last_content(crowd, "p1")
        assert [name for name, _, _ in last["templates"]] == [template]
        assert "10:00" in last["text"] and "10:00" in last["templates"][0][1][0]
        for telling in ("Rabat", "OIM", "retour", "entretien", row.reference):
            assert telling not in last["text"]
        assert [title for _, title in last["buttons"]] == definitions()[template].buttons["fr"]
    unasked = await rows(database, "SELECT unasked, sensitive, expires_at FROM outbox WHERE unasked")
    assert len(unasked) == 2 and all(one.sensitive and one.expires_at == row.starts_at for one in unasked)
    assert await value(database, "SELECT status FROM appointment") == "reminded"
    await crowd.write("je serai là")  # as a template's button says it
    assert (await crowd.last("p1")).startswith(say("interview.come").split("{")[0])
    await crowd.press(say("button.interview_cancel"))
    await crowd.press(say("button.interview_drop"))
    assert await value(database, "SELECT status FROM appointment") == "cancelled"


def test_the_templates_say_what_the_buttons_say() -> None:
    """A template's button is what the person says: its words are those of the reminder's own buttons."""
    ids = ("button.interview_come", "button.interview_change", "button.interview_cancel")
    for template in appointments.TEMPLATES.values():
        for language in LANGUAGES:
            assert definitions()[template].buttons[language] == [i18n.say(one, language) for one in ids]


async def test_no_reminder_of_what_is_no_more(crowd: Crowd, database: Database) -> None:
    """Cancelled or stopped: nothing is sent; the time is free again."""
    row = await a_booking(crowd, walls(1)[0])
    assert row.starts_at is not None
    await crowd.write("STOP")
    said = await value(database, "SELECT max(id) FROM outbox")
    await crowd.service.appointments.work(row.id, row.starts_at - timedelta(hours=47))
    assert await value(database, "SELECT max(id) FROM outbox") == said
    assert await value(database, "SELECT status FROM appointment") == "confirmed"
    async with database.session() as session:
        await bookings.cancel(session, await bookings.named(session, row.reference), "team", datetime.now(UTC))
        assert await session.scalar(select(Reminder.id).where(Reminder.done_at.is_(None))) is None
        assert len(await slots.free(session, datetime.now(UTC), {})) == 1
        await session.rollback()


async def test_missed_once_and_again(crowd: Crowd, database: Database) -> None:
    """No blame and one offer of another time; the second time a person is asked to write, and books the next."""
    for number in (1, 2):
        await rows_changed(database, "DELETE FROM slot")
        await open_rabat(database, [walls(2)[number - 1]])
        if number == 1:
            await to_the_times(crowd)
        else:
            await crowd.press(say("button.interview_book"))
            await crowd.press(say("first_contact.age_group.adult"))
            await crowd.press(say("interview.mode.in_person"))
            await crowd.press("Rabat")
            await crowd.press(say("interview.more.no"))
        [offered] = await rows(database, "SELECT title FROM issued_button ORDER BY outbox_id DESC, position LIMIT 1")
        await crowd.press(offered.title)
        await crowd.press(say("interview.review.send"))
        [row] = await rows(database, "SELECT reference FROM appointment WHERE status = 'confirmed'")
        with pytest.raises(bookings.NotPossible):
            await appointments.missed(database, row.reference)  # still to come
        await rows_changed(database, "UPDATE appointment SET starts_at = now() - interval '1 hour'")
        await appointments.missed(database, row.reference)
        told = await last_content(crowd, "p1")
        assert told["text"] == say("interview.missed" if number == 1 else "interview.missed_again")
        assert await value(database, "SELECT count(*) FROM handoff WHERE reason = 'interview'") == number - 1
    assert await value(database, "SELECT count(*) FROM case_event WHERE type = 'interview.missed'") == 2
    await crowd.write("je voudrais un rendez-vous")
    assert await value(database, "SELECT count(*) FROM appointment WHERE status IN ('draft', 'held')") == 0


async def test_the_rules_of_time_zones_change(
    crowd: Crowd, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was agreed on the clock stays; UTC, the slot and the reminders that are still to come follow; once."""
    row = await a_booking(crowd, walls(1)[0])
    real = times.instant
    assert row.starts_at is not None
    monkeypatch.setattr(times, "instant", lambda wall, zone: real(wall, zone) - timedelta(hours=1))
    await crowd.service.appointments.keep()
    [changed] = await rows(database, "SELECT wall, starts_at FROM appointment")
    assert (changed.wall, changed.starts_at) == (row.wall, row.starts_at - timedelta(hours=1))
    assert await value(database, "SELECT starts_at FROM slot") == changed.starts_at
    due = await value(database, "SELECT due_at FROM reminder WHERE hours = 48")
    assert due == changed.starts_at - timedelta(hours=48)
    async with database.session() as session:
        assert await bookings.recompute(session, datetime.now(UTC)) == []


# the team's side


async def test_times_are_made_from_the_hours(database: Database) -> None:
    """Working days, the hours of Ramadan, holidays closed; made twice, nothing is made twice; no request offices."""
    async with database.session() as session:
        await offices.load(session)
        made = await slots.generate(session, date(2027, 1, 4), date(2027, 3, 12))
        assert made > 100
        assert await slots.generate(session, date(2027, 1, 4), date(2027, 3, 12)) == 0
        every = list(await session.scalars(select(Slot)))
        assert {slot.office_id for slot in every} == {"rabat"}
        days = {slot.wall[:10] for slot in every}
        assert "2027-01-05" in days
        assert not days & {"2027-01-09", "2027-01-10", "2027-01-11", "2027-01-14", "2027-03-09", "2027-03-10"}
        assert sorted(s.wall[11:] for s in every if s.wall[:10] == "2027-01-05") == [
            "09:00",
            "10:00",
            "11:00",
            "14:00",
            "15:00",
        ]
        assert sorted(s.wall[11:] for s in every if s.wall[:10] == "2027-02-16") == ["10:00", "11:00", "12:00", "13:00"]
        assert all(slot.starts_at.astimezone(ZoneInfo(CASABLANCA)).strftime(times.WALL) == slot.wall for slot in every)
        closed, booked = await slots.close(session, "rabat", date(2027, 1, 5), date(2027, 1, 6))
        assert (closed, booked) == (10, [])
        listed = await slots.listing(session, datetime(2027, 1, 4, tzinfo=UTC))
        assert {row.status for row in listed if row.wall[:10] in ("2027-01-05", "2027-01-06")} == {"closed"}
        await session.rollback()


async def test_nobody_is_in_two_interviews(database: Database) -> None:
    """Hours that were changed make no time in the middle of one there is; who left the team is offered no more."""
    async with database.session() as session:
        await offices.load(session)
        day = date(2027, 1, 5)
        assert await slots.generate(session, day, day) == 5
        office = await session.get_one(Office, "rabat")
        office.hours, office.minutes = [{"days": [1], "from": "11:30", "until": "14:00"}], 30
        await session.flush()
        assert await slots.generate(session, day, day) == 4  # 12:00, 12:30, 13:00, 13:30
        before = datetime(2027, 1, 4, tzinfo=UTC)
        assert len(await slots.free(session, before, {"language": SKIPPED})) == 9  # a question that was skipped
        await session.execute(text("UPDATE counsellor SET active = false"))
        assert await slots.free(session, before, {}) == []
        await session.rollback()


async def test_mauritania_is_off(database: Database) -> None:
    """The documents name no office there: it is present and cannot be chosen."""
    async with database.session() as session:
        await offices.load(session)
        chosen = {office.id for office in await offices.choosable(session)}
        assert chosen == {"rabat", "casablanca", "oujda", "khouribga", "kelaa"}
        assert await session.scalar(select(Office.active).where(Office.id == "nouakchott")) is False
        await session.rollback()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("zone: Africa/Casablanca", "zone: Africa/Rabat"), "is no time zone"),
        (('from: "09:00"', "from: 9"), "is not written like"),
        (("modes: [in_person, phone]", "modes: [hologram]"), "modes are"),
        (('"01-11"', '"13-11"'), "is not written like"),
        (("names: {fr: Oujda, en: Oujda, ar: وجدة}", "names: {fr: Oujda}"), "names must be in"),
        (('from: "14:00"', 'from: "11:30"'), "09:00-12:00 and 11:30-16:00 overlap"),
        (('until: "12:00"', 'until: "09:00"'), "09:00-09:00 ends before it begins"),
        (('between: ["2027-02-08", "2027-03-09"]', 'between: ["2027-03-09", "2027-02-08"]'), "there is no day"),
        (("capacity: 1", "capacity: 0"), "capacity is a number from 1 on"),
        (("minutes: 60", "minutes: an hour"), "minutes is a number from 1 on"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Any, change: tuple[str, str], complaint: str) -> None:
    """One line that says what is wrong; nothing is written."""
    path = tmp_path / "offices.yml"
    path.write_text(offices.SEED.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    with pytest.raises(SettingsError, match=complaint):
        offices.read(path)


def test_nothing_goes_backwards() -> None:
    """From every state each way leads to an end, and what has ended stays so."""
    ends = {state for state, following in bookings.NEXT.items() if not following}
    assert ends == {"rescheduled", "cancelled", "done", "missed"}
    order = ["draft", "held", "requested", "proposed", "confirmed", "reminded", "past", *sorted(ends)]
    for state, following in bookings.NEXT.items():
        for later in following:
            assert order.index(later) > order.index(state) or (state, later) == ("held", "draft")


async def test_the_events_tell_nothing_personal(crowd: Crowd, database: Database) -> None:
    """Where and when, with a random reference; never a number or what was typed."""
    await a_booking(crowd, walls(1)[0])
    [event] = await rows(database, "SELECT type, payload FROM case_event")
    assert event.type == "interview.booked"
    assert event.payload["data"]["office"] == "rabat" and event.payload["data"]["zone"] == CASABLANCA
    assert "rendez-vous" not in json.dumps(event.payload)


async def test_the_commands(
    database: Database, own_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Load, generate, close, list; confirm a wish, and one line for what is not possible."""
    monkeypatch.setenv("DATABASE_URL", own_url)
    monkeypatch.setenv("RAFIQ_MASTER_KEY", base64.b64encode(settings.master_key).decode())

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))

    assert "6 offices loaded" in (await run("slots", "load")).stdout
    span = ("--from", "2027-01-04", "--until", "2027-01-08")
    assert (await run("slots", "generate", *span)).stdout.startswith("23 times made")
    assert (await run("slots", "generate", *span)).stdout.startswith("0 times made")
    assert (await run("slots", "close", "rabat", "--from", "2027-01-05")).stdout.startswith("5 times closed")
    listed = (await run("slots", "list")).stdout.splitlines()
    assert len(listed) == 23 and sum(line.endswith("closed") for line in listed) == 5
    async with database.session() as session:
        conversation = await a_person(session, 1)
        (await session.get_one(Person, conversation.person_id)).key = key = database.vault.new_key()
        session.add(
            Appointment(
                reference="RV-22222",
                person_id=conversation.person_id,
                conversation_id=conversation.id,
                office_id="oujda",
                status="requested",
                answers_sealed=database.vault.seal(key, {"mode": "in_person"}),
            )
        )
        await session.commit()
    assert "RV-22222\trequested\toujda" in (await run("interviews", "list")).stdout
    assert (await run("interviews", "confirm", "RV-22222", "2027-01-04T10:00")).stdout == "done\n"
    [row] = await rows(database, "SELECT status, starts_at FROM appointment")
    assert (row.status, row.starts_at) == ("confirmed", datetime(2027, 1, 4, 10, tzinfo=UTC))
    assert "10:00" in await words(database, conversation.id)
    for wrong in (("confirm", "RV-33333", "2027-01-04T10:00"), ("confirm", "RV-22222", "soon"), ("done", "RV-22222")):
        assert isinstance((await run("interviews", *wrong)).exception, SettingsError)
    assert (await run("interviews", "cancel", "RV-22222")).stdout == "done\n"
    assert await value(database, "SELECT status FROM appointment") == "cancelled"


# any order of things


MOVES = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["hold", "book", "move", "cancel", "leave", "lapse", "ask", "propose", "accept"]),
        st.integers(0, 2),
    ),
    max_size=25,
)


@examples(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES)
async def test_any_order_of_things(database: Database, moves: list[tuple[int, str, int]]) -> None:
    """Four people and three times, whatever they do in whatever order: a time has one of them, a person has one time."""
    now = datetime.now(UTC)
    await rows_changed(database, "TRUNCATE person, slot, case_event CASCADE")
    await open_rabat(database, walls(3))
    async with database.session() as session:
        offered = list(await session.scalars(select(Slot).order_by(Slot.starts_at)))
        people = [await a_person(session, number) for number in range(4)]
        for number, what, which in moves:
            conversation = people[number]
            known = await session.execute(select(Appointment.id, Appointment.status))
            before = {row.id: row.status for row in known}
            await do(session, conversation, what, offered[which], now)
            await session.flush()
            for row in await session.scalars(select(Appointment).execution_options(populate_existing=True)):
                was = before.get(row.id, "draft")
                assert row.status == was or row.status in reachable(was)
            active = list(await session.scalars(select(Appointment.slot_id).where(Appointment.status.in_(slots.TAKEN))))
            assert len(active) == len(set(active))
            standing = list(
                await session.scalars(select(Appointment.person_id).where(Appointment.status.in_(bookings.OPEN)))
            )
            assert len(standing) == len(set(standing))
            free = {slot.id for slot in await slots.free(session, now, {})}
            assert free == {slot.id for slot in offered} - set(active)
        await session.rollback()


TAPS = st.lists(
    st.one_of(
        st.integers(0, 40),
        st.sampled_from(
            ["je voudrais un rendez-vous", "0612345678", "demain matin", "Rabat", "STOP", "2", "oui", "non", "?", "جدا"]
        ),
    ),
    min_size=6,
    max_size=14,
)


@examples(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=TAPS)
async def test_any_taps_and_texts(crowd: Crowd, database: Database, moves: list[int | str]) -> None:
    """Whatever is written, and whichever button of whenever is pressed: answered each time, one appointment at most."""
    tables = "person, slot, case_event, inbox, handoff"
    await rows_changed(database, f"TRUNCATE {tables} CASCADE")
    await open_rabat(database, walls(3))
    crowd.people = [str(uuid.uuid4())]
    await to_the_times(crowd)
    seen: dict[int, str] = {}
    for move in moves:
        issued = await rows(database, "SELECT id FROM issued_button ORDER BY outbox_id DESC, position")
        ids = [row.id for row in issued] or ["none"]  # who was erased has none
        person = crowd.people[0]
        event = pressed(ids[move % len(ids)], person) if isinstance(move, int) else typed(move, person)
        await crowd._tell([event])
        for row in await rows(database, "SELECT id, status FROM appointment"):
            before = seen.get(row.id, "draft")
            assert row.status == before or row.status in reachable(before)
            seen[row.id] = row.status
        for states in ("'draft', 'held'", "'requested', 'proposed', 'confirmed', 'reminded'"):
            assert await value(database, f"SELECT count(*) FROM appointment WHERE status IN ({states})") <= 1
    kinds = [row.type for row in await rows(database, "SELECT type FROM case_event ORDER BY id")]
    assert kinds.count("interview.cancelled") <= kinds.count("interview.booked") + kinds.count("interview.requested")


def reachable(status: str) -> set[str]:
    """Every state that can follow, at once or later."""
    found: set[str] = set()
    todo = [status]
    while todo:
        for following in bookings.NEXT[todo.pop()]:
            if following not in found:
                found.add(following)
                todo.append(following)
    return found


async def a_person(session: AsyncSession, number: int) -> Conversation:
    """Somebody with a conversation."""
    person = Person(key=b"k")
    session.add(person)
    await session.flush()
    address = Address(person_id=person.id, channel="web", digest=b"%d" % number, address_sealed=b"")
    session.add(address)
    await session.flush()
    conversation = Conversation(address_id=address.id, person_id=person.id, rasa_id=f"r{number}")
    session.add(conversation)
    await session.flush()
    return conversation


async def do(session: AsyncSession, conversation: Conversation, what: str, slot: Slot, now: datetime) -> None:
    """One thing that this person does."""
    person_id = conversation.person_id
    standing = await bookings.open_of(session, person_id)
    draft = await session.scalar(
        select(Appointment).where(Appointment.person_id == person_id, Appointment.status.in_(bookings.DRAFT))
    )
    if what == "cancel" and standing is not None:
        await bookings.cancel(session, standing, "person", now)
    elif what == "ask" and draft is not None and draft.status == "draft":
        if draft.replaces_id is not None or standing is None:
            await bookings.settle(session, draft, "requested", {}, now)
    elif what == "propose" and standing is not None and standing.status in ("requested", "proposed"):
        await bookings.propose(session, standing, slot.starts_at, slot.zone, now)
    elif what == "accept" and standing is not None and standing.status == "proposed":
        await bookings.accept(session, standing, {}, now)
    elif what == "leave":
        await bookings.drop_draft(session, person_id)
    elif what == "lapse":
        # the time is free for the others at that moment; here it is let go, as the next who wants it does
        if draft is not None and draft.status == "held":
            bookings.step(draft, "draft", now)
            draft.slot_id = draft.held_until = None
    elif what == "book" and draft is not None and draft.status == "held":
        if draft.replaces_id is not None or standing is None:
            await bookings.settle(session, draft, "confirmed", {}, now)
    elif what in ("hold", "move") and (standing is None) == (what == "hold"):
        if draft is None:
            draft = Appointment(
                reference=new_reference("RV"),
                person_id=person_id,
                conversation_id=conversation.id,
                status="draft",
                office_id=slot.office_id,
                answers_sealed=b"",
                replaces_id=standing.id if standing is not None else None,
            )
            session.add(draft)
            await session.flush()
        await slots.hold(session, draft, slot, now)
