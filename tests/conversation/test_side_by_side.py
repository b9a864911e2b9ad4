"""Journeys beside each other: what is open in one is not taken for another's, and none stays open for ever."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from starlette.responses import JSONResponse, Response
from typer.testing import CliRunner, Result

from bot import i18n
from bot.cases.answers import Answer
from bot.checkins import rounds
from bot.cli import app
from bot.conversation import answers
from bot.db.models import Checkin
from bot.db.session import Database
from bot.journeys import handoff
from bot.messages import Incoming, Kind
from bot.settings import SettingsError
from bot.web import Service
from tests.conversation.conftest import rows, typed, until, value
from tests.conversation.test_appointments import open_rabat, walls, wants_an_interview
from tests.conversation.test_checkins import SHORT, UNCLEAR, Person, say, with_a_request
from tests.simulators.rasa import GREETING, FakeRasa


async def unclear(body: dict[str, Any]) -> Response:
    """Rasa, who understands nothing."""
    return JSONResponse(GREETING | {"messages": [{"do": "not_understood"}], "understanding": UNCLEAR})


@pytest.fixture
async def person(worker: tuple[Service, FakeRasa], database: Database) -> Person:
    """Somebody for whom Rasa understands nothing."""
    worker[1].behave = unclear
    return Person(worker[0], database)


async def change(database: Database, statement: str, **given: Any) -> None:
    """Run this and commit."""
    async with database.session() as session:
        await session.execute(text(statement), given)
        await session.commit()


async def recorded(database: Database, returned_on: date) -> bool | None:
    """The team records that the person of AV-7K3Q is back."""
    data = {"ref": "AV-7K3Q", "returned_on": returned_on.isoformat(), "country": "SN"}
    now = datetime.now(UTC)
    return await answers.take(database, f"m{now.timestamp()}", Answer("return.recorded", "AV-7K3Q", now, data))


async def titles(person: Person) -> list[str]:
    """The buttons under the last message."""
    return [title for _, title in (await person.last())["buttons"]]


async def test_an_interview_in_the_middle_of_a_check_in(
    person: Person, worker: tuple[Service, FakeRasa], database: Database
) -> None:
    """It is booked, the check-in waits with its answers; no word is taken for the other's; one is left for the other."""
    await open_rabat(database, walls(1))
    await person.enrol()
    await person.begin("week2")
    await person.answer(E1="always", E2="running")
    assert (await person.last())["text"] == say("checkin.S1")
    worker[1].behave = wants_an_interview
    assert say("interview.consent") in await person.write("je voudrais un rendez-vous")
    worker[1].behave = unclear
    assert say("first_contact.age_group") in await person.write("oui")
    sealed = await value(database, "SELECT answers_sealed FROM checkin WHERE round = 'week2'")
    key = await value(database, "SELECT key FROM person")
    assert "S1" not in database.vault.open(bytes(key), bytes(sealed))
    assert await person.press(say("checkin.S1.yes")) == say("checkin.busy")
    assert await titles(person) == [say("button.interview_leave"), say("button.checkin_now")]
    await person.press(say("button.interview_leave"))
    assert await value(database, "SELECT count(*) FROM appointment") == 0
    assert await person.press(say("button.checkin_now")) == say("checkin.S1")
    await person.answer(**{id_: choice for id_, choice in SHORT.items() if id_ not in ("E1", "E2")})
    assert await person.status("week2") == "completed"


async def test_what_began_before_the_check_in_can_be_left(person: Person, database: Database) -> None:
    """A form of long ago does not bar the way; one that is being filled in now is not disturbed."""
    await person.enrol()
    await change(database, "UPDATE conversation SET form = 'first_contact_form', rasa_turns = 3")
    id_, at = await person.due("week2")
    await change(database, "UPDATE address SET last_heard_at = :at", at=at - timedelta(minutes=5))
    said = len(await person.messages())
    await person.service.checkins.work(id_, at)
    assert len(await person.messages()) == said and await person.status("week2") == "planned"
    _, at = await person.due("week2")
    await person.service.checkins.work(id_, at)
    assert await person.press(say("button.checkin_now")) == say("checkin.busy")
    await person.press(say("button.interview_leave"))
    assert await value(database, "SELECT form FROM conversation") is None
    assert await person.press(say("button.checkin_now")) == say("checkin.E1")


async def test_the_questions_before_are_forgotten(person: Person, database: Database) -> None:
    """Nobody is asked for ever when they came back: a week later no word is taken for it, and they can be invited."""
    await with_a_request(person, database, "adult")
    await person.write("suivi")
    assert say("checkin.returned") in await person.press(say("checkin.consent.yes"))
    assert say("checkin.unreadable") in await person.write("un rendez-vous mardi prochain")
    today = datetime.now(UTC).date()
    assert await recorded(database, today) is False  # they are being asked
    [row] = await rows(database, "SELECT id, next_at FROM checkin")
    assert timedelta(days=6) < row.next_at - datetime.now(UTC) <= rounds.DRAFT_LIFE
    await person.service.checkins.work(row.id, row.next_at)
    for table in ("checkin", "enrolment", "consent"):
        assert await value(database, f"SELECT count(*) FROM {table}") == 0
    assert await recorded(database, today) is True


async def test_a_yes_to_what_comes_unasked(person: Person, database: Database) -> None:
    """« Is this a good moment? » can be answered as people answer; a no is later, never the end of them all."""
    await person.enrol()
    for round_, words, said in (("week2", "wakha", "checkin.E1"), ("month1", "non pas maintenant", "checkin.later")):
        id_, at = await person.due(round_)
        await person.service.checkins.work(id_, at)
        assert (await person.last())["text"] == say("checkin.gate")
        assert await person.write(words) == say(said)
        await change(database, "UPDATE checkin SET status = 'completed', next_at = NULL WHERE id = :id", id=id_)
    assert await value(database, "SELECT count(*) FROM consent WHERE withdrawn_at IS NULL") == 1


async def test_what_they_never_saw_is_not_pressed(person: Person, database: Database) -> None:
    """A number stands for a button of the last message that went, not of one that came to nothing."""
    await person.enrol()
    id_, at = await person.due("week2")
    await person.service.checkins.work(id_, at)
    await change(database, "UPDATE outbox SET status = 'cancelled', error = 'expired' WHERE unasked")
    assert await person.write("1") == say("help")


async def test_while_somebody_of_the_team_speaks(person: Person, database: Database) -> None:
    """No check-in begins or ends; what is said to a person is no answer; rights work; danger makes the check-in red."""
    await person.enrol()
    await person.begin("week2")
    await change(database, "INSERT INTO staff_member (name, email, role) VALUES ('s', 's@example.org', 'counsellor')")
    await change(database, "UPDATE conversation SET owner_id = (SELECT id FROM staff_member)")
    await person.write("non")
    assert await value(database, "SELECT asked FROM checkin WHERE round = 'week2'") is None
    said = len(await person.messages())
    for round_ in ("week2", "month1"):
        id_, at = await person.due(round_)
        await person.service.checkins.work(id_, at)
        assert (await person.due(round_))[1] > at and await person.status(round_) in ("open", "planned")
    assert len(await person.messages()) == said
    async with database.session() as session:
        [row] = await rows(database, "SELECT id, person_id FROM conversation")
        reference = await handoff.record_unasked(
            session, person_id=row.person_id, conversation_id=row.id, reason="checkin_unreached", key="k",
            language="fr", channel="web", now=datetime.now(UTC),
        )  # fmt: skip
        await session.commit()
    [theirs] = await rows(database, "SELECT status, owner_id, look_at FROM handoff WHERE reference = :r", r=reference)
    assert theirs.status == "taken" and theirs.owner_id is not None and theirs.look_at is None
    await change(database, "UPDATE checkin SET asked = 'E1' WHERE round = 'week2'")
    await person.write("jen peu plu je ve plu vivre")
    assert [one["because"] for one in await person.told("checkin.flagged")] == [["cue:suicidal"]]
    await change(database, "UPDATE conversation SET owner_id = (SELECT id FROM staff_member)")
    assert say("checkin.stopped") in await person.press(say("button.checkin_stop"))
    assert await value(database, "SELECT status FROM enrolment") == "ended"


async def test_nobody_can_be_reached_in_the_middle(person: Person, database: Database) -> None:
    """What was answered before they blocked us counts."""
    await person.enrol()
    id_ = await person.begin("week2")
    await person.answer(E1="never", E2="running")
    await change(database, "UPDATE address SET unreachable_at = now()")
    await person.service.checkins.work(id_, (await person.due("week2"))[1])
    assert await person.status("week2") == "partial"
    [partial] = await person.told("checkin.partial")
    assert [one["answer"] for one in partial["answers"]] == ["never", "running"]


async def test_after_stop_nothing_is_promised(person: Person, database: Database) -> None:
    """No day is named without saying that nothing comes; nobody is invited unheard; the last one stopped is the end."""
    await with_a_request(person, database, "adult")
    await person.write("STOP")
    assert await recorded(database, datetime.now(UTC).date()) is False
    assert await value(database, "SELECT count(*) FROM enrolment") == 0  # they would never hear of it
    assert await recorded(database, datetime.now(UTC).date() + timedelta(days=3)) is False
    await person.write("suivi")
    await person.press(say("checkin.consent.yes"))
    await person.press(say("checkin.returned.this_week"))
    said = await person.press(say("choice.skip"))
    assert said.endswith(say("checkin.enrolled.stopped"))
    assert (await person.write("suivi")).endswith(say("checkin.enrolled.stopped"))
    assert await person.write("START") == say("resumed")
    assert say("checkin.enrolled.stopped") not in await person.write("suivi")
    await change(
        database, "UPDATE checkin SET status = 'missed', next_at = NULL WHERE round NOT IN ('enrolment', 'month12')"
    )
    await person.begin("month12")
    await person.write("STOP")
    assert await value(database, "SELECT status FROM enrolment") == "ended"
    assert await person.press(say("button.resume")) == say("resumed")
    assert await recorded(database, datetime.now(UTC).date()) is True  # back a second time


async def test_no_more_is_no_more(person: Person, database: Database) -> None:
    """Who took their consent back is not invited; their own word begins anew."""
    await with_a_request(person, database, "adult")
    assert await recorded(database, datetime.now(UTC).date()) is True
    await person.press(say("checkin.consent.yes"))
    await person.write("suivi")
    assert say("checkin.stopped") in await person.press(say("button.checkin_stop"))
    assert await recorded(database, datetime.now(UTC).date()) is False
    assert say("checkin.consent") in await person.write("suivi")


async def test_a_child_says_so_in_the_middle(person: Person, database: Database) -> None:
    """Only where an age is asked for is it an answer; elsewhere a child is heard."""
    await person.enrol()
    await person.begin("week2")
    assert say("care.child_alone") in await person.write("j'ai 16 ans")
    assert [one["because"] for one in await person.told("checkin.flagged")] == [["cue:child_alone"]]
    assert await value(database, "SELECT asked FROM checkin WHERE round = 'week2'") is None


async def test_rights_need_no_rasa(person: Person, worker: tuple[Service, FakeRasa], database: Database) -> None:
    """What is kept, erasing, and messages again: also while understanding is down."""
    await person.write("bonjour")
    worker[1].behave, worker[1].healthy = worker[1].fail, False
    assert say("my_data").split("{")[0].strip() in await person.write("mes données")
    assert await person.write("EFFACER") == say("delete.ask")
    await person.write("STOP")
    assert await person.write("START") == say("resumed")


async def test_what_comes_after_delete_is_read(
    person: Person, worker: tuple[Service, FakeRasa], database: Database
) -> None:
    """A word written while everything is being erased is the first of a new beginning, not an empty one."""
    await person.write("bonjour")
    await person.write("EFFACER")
    [yes] = await rows(database, "SELECT id FROM issued_button WHERE title = :t", t=say("button.delete_yes"))
    event = typed("", person.name)
    await person.service.accept(
        [
            Incoming(event.channel, event.external_id, event.address, Kind.PRESS, press=yes.id, details=event.details),
            typed("encore une question", person.name),
        ]
    )
    await until(lambda: value(database, "SELECT count(*) = 0 FROM inbox WHERE status IN ('pending', 'waiting')"))
    assert worker[1].turns[-1]["text"] == "encore une question"
    assert say("delete.done") in (await person.messages())[-2][1]["text"]
    assert await value(database, "SELECT count(*) FROM inbox WHERE content_sealed IS NOT NULL") == 1


async def test_two_lock_in_the_same_order(person: Person, database: Database) -> None:
    """STOP waits for who sends the check-in just now; neither waits for the other."""
    await person.enrol()
    id_, _ = await person.due("week2")
    person_id = await value(database, "SELECT id FROM person")
    async with database.session() as sending, database.session() as stopping:
        await sending.scalar(select(Checkin).where(Checkin.id == id_).with_for_update())
        await stopping.execute(text("SET LOCAL lock_timeout = '200ms'"))
        with pytest.raises(Exception, match="lock timeout"):
            await rounds.stop(stopping, person_id, "person", datetime.now(UTC), for_good=True)
        enrolment = await sending.scalar(text("SELECT id FROM enrolment FOR UPDATE NOWAIT"))
        assert enrolment is not None


async def test_known_again_by_an_appointment(person: Person, database: Database) -> None:
    """Who has an appointment and no request can say who they are."""
    await person.write("bonjour")
    sealed = database.vault.seal(bytes(await value(database, "SELECT key FROM person")), {})
    insert = (
        "INSERT INTO appointment (reference, person_id, conversation_id, status, answers_sealed)"
        " SELECT 'RV-7K3QX', person_id, id, 'draft', :sealed FROM conversation"
    )
    await change(database, insert, sealed=sealed)
    await change(database, "UPDATE address SET identity_changed_at = now()")
    await person.write("rv 7k3qx")
    assert await value(database, "SELECT identity_changed_at IS NOT NULL FROM address")  # nobody was told it
    await change(database, "UPDATE appointment SET status = 'requested'")
    assert await person.write("rv 7k3qx") == i18n.say("identity.verified", "fr")
    assert await value(database, "SELECT identity_changed_at IS NULL FROM address")


async def test_rafiq_returned(
    person: Person, database: Database, own_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A counsellor records a return: invited once, on the clock where they live; one line for what is not possible."""
    monkeypatch.setenv("DATABASE_URL", own_url)
    monkeypatch.setenv("RAFIQ_MASTER_KEY", base64.b64encode(person.service.settings.master_key).decode())
    await with_a_request(person, database, "adult")
    today = datetime.now(UTC).date()

    async def returned(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, ["returned", *arguments])

    for wrong, says in (
        (("AV-7K3Q", "20/11/2026"), "is no day"),
        (("AV-7K3Q", str(today + timedelta(days=3))), "is still to come"),
        (("AV-2222", str(today)), "there is no request AV-2222"),
    ):
        error = (await returned(*wrong)).exception
        assert isinstance(error, SettingsError) and says in str(error)
    assert await value(database, "SELECT count(*) FROM enrolment") == 0
    # the runner catches what the service of this process logs meanwhile, too
    assert "invited" in (await returned("AV-7K3Q", str(today), "--country", "CM")).stdout.splitlines()
    assert (await person.last())["text"] == say("checkin.consent")
    [row] = await rows(database, "SELECT status, returned_on, zone FROM enrolment")
    assert (row.status, row.returned_on, row.zone) == ("invited", today, "Africa/Douala")
    assert "\nnot invited" in "\n" + (await returned("AV-7K3Q", str(today))).stdout
