"""What a person may ask about themselves, and that erasing leaves nothing: the database's own catalogue says so."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from bot import i18n
from bot.checkins import schedule
from bot.db.session import Database
from bot.journeys import rights
from bot.web import Service
from tests.conversation import oracles
from tests.conversation.conftest import rows, value
from tests.conversation.letters import change
from tests.conversation.test_checkins import Person, say
from tests.simulators.rasa import FakeRasa

CANARY = "Zebulon Kanari"
NUMBER = "+212612345678"


@pytest.fixture
async def person(worker: tuple[Service, FakeRasa], database: Database) -> Person:
    """Somebody with a request, check-ins and answers."""
    someone = Person(worker[0], database)
    await someone.enrol()
    await someone.begin("week2")
    await someone.answer(E1="always")
    await someone.write(f"mon nouveau numero {NUMBER}")
    async with database.session() as session:
        key = await session.scalar(text("SELECT key FROM person"))
        await session.execute(
            text(
                "INSERT INTO request (reference, person_id, priority, answers_sealed) "
                "SELECT 'AV-7K3Q', id, 'P2', :sealed FROM person"
            ),
            {"sealed": database.vault.seal(bytes(key), {"name": CANARY, "direction": "back_in_morocco"})},
        )
        await session.execute(
            text(
                "INSERT INTO consent (person_id, purpose, version, channel) SELECT id, 'request', '2026-10', 'web' FROM person"
            )
        )
        await session.commit()
    return someone


async def press_in_my_data(person: Person, button: str) -> str:
    """MY DATA, and one of its buttons; what is said."""
    await ask(person, "my_data")
    return await person.press(say(button))


async def ask(person: Person, verb: str) -> None:
    """Press a button with this verb, as Rasa's answer to « my data » would have one."""
    button = f"{verb}-{uuid.uuid4().hex[:12]}"
    async with person.database.session() as session:
        await session.execute(
            text(
                "INSERT INTO issued_button (id, conversation_id, position, title, action, expires_at) "
                "VALUES (:b, :c, 1, :v, CAST(:a AS jsonb), now() + interval '1 day')"
            ),
            {"b": button, "v": verb, "c": await person.conversation(), "a": json.dumps({"do": verb, "with": {}})},
        )
        await session.commit()
    await person.press_id(button)


async def test_every_table_is_erased_or_kept_with_a_reason(database: Database) -> None:
    """A table in neither list fails here; one that is erased hangs on the person, and goes with them."""
    tables = {
        row.name
        for row in await rows(
            database, "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'"
        )
    }
    assert rights.ERASED.isdisjoint(rights.KEPT)
    assert tables == rights.ERASED | rights.KEPT.keys()
    assert all(len(reason) > 10 for reason in rights.KEPT.values())
    cascades = await rows(
        database,
        "SELECT conrelid::regclass::text AS child, confrelid::regclass::text AS parent, confdeltype AS deletes "
        "FROM pg_constraint WHERE contype = 'f'",
    )
    gone = {"person", "rasa_tracker"}  # the tracker has no person: the turn deletes it by its random id
    while True:
        more = {row.child for row in cascades if row.parent in gone and row.deletes in (b"c", "c")} - gone
        if not more:
            break
        gone |= more
    assert gone == rights.ERASED
    sealed = await rows(
        database,
        "SELECT DISTINCT table_name AS name FROM information_schema.columns WHERE table_schema = 'public' "
        "AND (column_name LIKE '%\\_sealed' OR column_name = 'person_id')",
    )
    emptied = {"inbox", "case_event"}  # see the next test
    assert {row.name for row in sealed} - rights.ERASED <= emptied | {"staff_login"}  # the team's own


async def test_erased_is_erased(person: Person, database: Database) -> None:
    """Nothing that was written is readable anywhere afterwards; a receipt; the case backend knows which references."""
    before = await value(database, "SELECT id FROM person")
    key = await value(database, "SELECT key FROM person")
    address = await value(database, "SELECT id FROM address")
    await ask(person, "not_understood")
    assert await value(database, "SELECT count(*) FROM inbox WHERE topic = 'not_understood'") == 1  # what is counted
    async with database.session() as session:
        await session.execute(
            text(
                "INSERT INTO appointment (reference, person_id, conversation_id, status, answers_sealed)"
                " SELECT stage.ref, person_id, id, stage.name, ''::bytea FROM conversation,"
                " (VALUES ('RV-2222A', 'draft'), ('RV-2222B', 'done')) AS stage (ref, name)"
            )
        )
        await session.commit()
    await ask(person, "delete_my_data")
    said = await person.press(say("button.delete_yes"))
    receipt = said.partition("EF-")[2][:5]
    [erased] = await person.told("person.erased")
    assert erased["receipt"] == f"EF-{receipt}" and "AV-7K3Q" in erased["refs"]
    assert any(ref.startswith("CK-") for ref in erased["refs"])
    assert [ref for ref in erased["refs"] if ref.startswith("RV-")] == ["RV-2222B"], "of a draft nobody was told"
    assert [event["by"] for event in await person.told("checkin.stopped")] == ["erased"]
    assert await oracles.readable(database, CANARY, NUMBER, bytes(key).hex(), person.name) == []
    for table in ("request", "checkin", "enrolment", "consent", "handoff", "media", "suggestion", "appointment"):
        assert await value(database, f"SELECT count(*) FROM {table}") == 0, table
    assert await value(database, "SELECT count(*) FROM inbox WHERE content_sealed IS NOT NULL") == 0
    assert await value(database, "SELECT count(*) FROM inbox WHERE topic IS NOT NULL") == 0
    assert await value(database, "SELECT count(*) FROM person WHERE id = :id", id=before) == 0
    assert await value(database, "SELECT id FROM address") == address  # for the receipt, under a new key
    assert await value(database, "SELECT count(*) FROM case_event WHERE person_id IS NOT NULL") == 0


async def test_the_file(person: Person) -> None:
    """All that is kept, in words, as a file to download; what the values count is not in it."""
    said = await press_in_my_data(person, "button.my_data_file")
    assert said.startswith(say("my_data.file"))
    [(name, media_type, content)] = [one["document"] for _, one in await person.messages() if "document" in one]
    assert name == "rafiq.txt" and media_type.startswith("text/plain")
    for told in ("AV-7K3Q", CANARY, say("checkin.E1"), say("checkin.E1.always"), NUMBER, say("consent.checkins")):
        assert told in content
    assert "signal" not in content and "None" not in content


async def test_each_consent_alone(person: Person, database: Database) -> None:
    """Taken back per purpose: what it was for ends, what was kept for it goes, the other stands."""
    said = await press_in_my_data(person, "button.consents")
    assert said == say("consents")
    assert [title for _, title in (await person.last())["buttons"]] == [say("consent.request"), say("consent.checkins")]
    assert await person.press(say("consent.checkins")) == say("consents.withdrawn")
    assert await value(database, "SELECT count(*) FROM checkin WHERE answers_sealed IS NOT NULL") == 0
    assert await value(database, "SELECT status FROM enrolment") == "ended"
    assert await value(database, "SELECT status FROM request") == "open"
    open_: list[Any] = await rows(database, "SELECT purpose FROM consent WHERE withdrawn_at IS NULL")
    assert [row.purpose for row in open_] == ["request"]
    await person.press(say("button.consents"))
    await person.press(say("consent.request"))
    assert await value(database, "SELECT status FROM request") == "withdrawn"


@pytest.mark.parametrize("words", ["Ce n'est plus mon téléphone", "this is not my phone any more", "هذا ليس هاتفي"])
async def test_not_my_phone(person: Person, database: Database, words: str) -> None:
    """Nothing unasked goes there, nothing personal is shown there; erasing is offered."""
    await person.write(words)
    titles = [title for _, title in (await person.last())["buttons"]]
    assert await value(database, "SELECT stopped_at IS NOT NULL FROM person")
    assert await value(database, "SELECT identity_changed_at IS NOT NULL FROM address")
    assert await person.status("week2") == "stopped"
    assert len(titles) == 3
    await ask(person, "my_data")
    [held] = await rows(database, "SELECT status, error FROM outbox WHERE status = 'held'")
    assert held.error == "identity"


async def test_correct_and_clear(person: Person) -> None:
    """Each answer that stands can be corrected; how the chat is deleted from the phone."""
    assert await press_in_my_data(person, "button.correct") == say("my_data.correct")
    titles = [title for _, title in (await person.last())["buttons"]]
    answered = ("first_contact.direction.label", "first_contact.name.label")
    others = ("my_data.returned", "my_data.lives", "button.person")
    assert titles == [say(one) for one in (*answered, *others)]
    assert await press_in_my_data(person, "button.clear_chat") == i18n.say("clear_chat.web", "fr")


async def request_of(person: Person) -> dict[str, Any]:
    """What their request says now."""
    [row] = await rows(person.database, "SELECT answers_sealed, key FROM request JOIN person ON person.id = person_id")
    told: dict[str, Any] = person.database.vault.open(bytes(row.key), bytes(row.answers_sealed))
    return told


async def test_one_answer_is_corrected(person: Person, database: Database) -> None:
    """Typed or pressed, it alone changes; the case backend is told; the consent stays the one that was given.

    Left, or about something else: nothing changes, and the next words go their usual way.
    """
    await ask(person, "correct_my_data")
    await person.press(say("first_contact.name.label"))
    await person.write("est-ce que c'est gratuit ?")  # a question is no name
    await ask(person, "correct_my_data")
    await person.press(say("first_contact.name.label"))
    assert await person.press(say("button.not_now")) == say("my_data.correct_left")
    await person.write("Awa Diallo")
    assert (await request_of(person))["name"] == CANARY
    await ask(person, "correct_my_data")
    assert await person.press(say("first_contact.name.label")) == say("first_contact.name")
    said = await person.write("Awa Diallo")
    assert "Awa Diallo" in said and "AV-7K3Q" in said and CANARY not in said
    await ask(person, "correct_my_data")
    await person.press(say("first_contact.direction.label"))
    titles = [title for _, title in (await person.last())["buttons"]]
    assert say("first_contact.direction.for_someone_else") not in titles  # that is another request
    await person.press(say("first_contact.direction.other_returnee"))
    assert await request_of(person) == {"name": "Awa Diallo", "direction": "other_returnee"}
    told = await person.told("request.updated")
    assert [one["request"]["direction"] for one in told] == ["back_in_morocco", "other_returnee"]
    assert {one["consent"]["version"] for one in told} == {"2026-10"}
    assert await value(database, "SELECT count(*) FROM consent WHERE purpose = 'request'") == 1
    key = bytes(await value(database, "SELECT key FROM person"))
    sealed = database.vault.seal(key, {**await request_of(person), "urgent": "other"})
    await change(database, "UPDATE request SET answers_sealed = :sealed", sealed=sealed)
    await change(database, "UPDATE handoff SET created_at = created_at - interval '2 days'")
    await ask(person, "correct_my_data")
    await person.press(say("first_contact.urgent.label"))
    await person.press(say("first_contact.urgent.ill_or_disabled"))
    [waiting] = await rows(database, "SELECT reason, priority FROM handoff")
    assert (waiting.reason, waiting.priority) == ("request", "P1"), "it waits once, and is as urgent as was said last"


async def test_the_day_of_return_is_corrected(person: Person, database: Database) -> None:
    """In words: the check-ins that are to come move; what cannot be read is asked again; so is the country's clock."""
    await ask(person, "correct_my_data")
    await person.press(say("my_data.returned"))
    said = await person.write("je sais plus")
    assert say("checkin.unreadable") in said and say("checkin.returned.which") in said
    day = datetime.now(UTC).date() - timedelta(days=40)
    said = await person.write(f"{day.day}/{day.month}/{day.year}")
    assert say("my_data.returned") in said and say("checkin.moved").split("{")[0] in said
    await ask(person, "correct_my_data")
    await person.press(say("my_data.lives"))
    await person.write("Cameroun")
    [enrolment] = await rows(database, "SELECT id, returned_on, zone FROM enrolment")
    assert (enrolment.returned_on, enrolment.zone) == (day, "Africa/Douala")
    planned = await rows(database, "SELECT round, due_at FROM checkin WHERE status = 'planned' ORDER BY due_at")
    assert [one.round for one in planned] == ["month3", "month6", "month9", "month12"]  # the first month is over
    assert await person.status("week2") == "open"
    three = next(one for one in schedule.of_file().rounds if one.id == "month3")
    assert planned[0].due_at == schedule.of_file().due(day, three, "Africa/Douala", enrolment.id)


async def test_a_child_after_all(person: Person, database: Database) -> None:
    """Who corrects their age to a child's is handed to a person, and the request keeps no more than that needs."""
    async with database.session() as session:
        key = await session.scalar(text("SELECT key FROM person"))
        told = {"name": CANARY, "direction": "back_in_morocco", "age_group": "adult", "city": "Oujda"}
        sealed = {"s": database.vault.seal(bytes(key), told)}
        await session.execute(text("UPDATE request SET answers_sealed = :s"), sealed)
        await session.commit()
    await ask(person, "correct_my_data")
    await person.press(say("first_contact.age_group.label"))
    said = await person.press(say("first_contact.age_group.child"))
    assert "AV-7K3Q" in said
    assert await request_of(person) == {"name": CANARY, "direction": "back_in_morocco", "age_group": "child"}
    assert await value(database, "SELECT priority FROM handoff WHERE reason = 'minor'") == "P1"
    assert [one["request"]["priority"] for one in await person.told("request.updated")] == ["P1"]


@pytest.mark.parametrize("erased", [False, True])
async def test_what_was_typed_waits_for_nobody(person: Person, database: Database, erased: bool) -> None:
    """Words that wait for the case backend go with the consent to check-ins, and with the person."""
    async with database.session() as session:
        key = await session.scalar(text("SELECT key FROM person"))
        sealed = database.vault.seal(bytes(key), {"phone": NUMBER})
        await session.execute(
            text("UPDATE case_event SET words_sealed = :s WHERE person_id IS NOT NULL"), {"s": sealed}
        )
        payload = json.dumps({"data": {"answers": []}})
        await session.execute(
            text(
                "INSERT INTO case_event (key, type, person_id, payload, status, words_sealed) "
                "SELECT 'typed', 'checkin.partial', id, CAST(:p AS jsonb), 'dead', :s FROM person"
            ),
            {"p": payload, "s": sealed},
        )
        await session.commit()
    if erased:
        await ask(person, "delete_my_data")
        await person.press(say("button.delete_yes"))
    else:
        await ask(person, "consents")
        await person.press(say("consent.checkins"))
    assert await value(database, "SELECT count(*) FROM case_event WHERE words_sealed IS NOT NULL") == 0
