"""The team changes when check-ins come: who is enrolled follows, nothing is asked twice and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from bot.checkins import rounds, schedule
from bot.checkins.schedule import Round
from bot.conversation import chosen
from bot.conversation.checkins import Checkins
from bot.conversation.chosen import Chosen
from bot.db.models import Consent, Conversation, Enrolment
from bot.db.session import Database
from bot.settings import Settings
from bot.web import Service
from tests.conversation.conftest import rows, until, value
from tests.conversation.letters import change, writes
from tests.simulators.rasa import FakeRasa

CASABLANCA = "Africa/Casablanca"
FILE = schedule.of_file()
NARROW = {"usual": ["08:00-09:30"], "friday": [], "ramadan": ["08:00-09:30"], "ramadan_friday": ["08:00-09:00"]}


@pytest.fixture(autouse=True)
def _nothing_is_held() -> Iterator[None]:
    """What a team chooses is not the next test's."""
    yield
    schedule.hold(None)


async def enrolled(database: Database, days_ago: int, who: str = "awa", months: int = 12) -> int:
    """Somebody who agreed now, having come back so many days ago; their enrolment."""
    conversation_id = await writes(database, who)
    now = datetime.now(UTC)
    async with database.session() as session:
        person_id = (await session.get_one(Conversation, conversation_id)).person_id
        consent = {"person_id": person_id, "purpose": "checkins", "version": "1", "channel": "fake"}
        await session.execute(insert(Consent).values(**consent))
        enrolment = Enrolment(reference=f"CK-{who}", person_id=person_id, conversation_id=conversation_id)
        session.add(enrolment)
        await session.flush()
        await rounds.activate(session, enrolment, now.date() - timedelta(days=days_ago), CASABLANCA, now, months)
        await session.commit()
        return enrolment.id


async def wants(database: Database, *own: Round, **changed: dict[str, Any] | None) -> schedule.Schedule:
    """The team changes rounds of the file, and has these of its own; None: as in the file."""
    wanted = [replace(one, **(changed.get(one.id) or {})) for one in FILE.rounds] + [*own]
    async with database.session() as session:
        await chosen.arrange(session, rounds.ROUNDS, [asdict(one) for one in wanted] if own or changed else None)
        await session.commit()
        return await rounds.ours(session)


async def followed(database: Database, settings: Settings) -> None:
    """A process hears of it, and does what is to be done; another one at the same time."""
    one, other = Chosen(database, settings.model_copy()), Chosen(database, settings.model_copy())
    await one.read()
    await other.read()
    for enrolment_id in await one.unplanned():
        await asyncio.gather(one.follow(enrolment_id), other.follow(enrolment_id))
    assert await other.unplanned() == []


async def standing(database: Database) -> dict[str, Any]:
    """Every check-in by its round."""
    found = await rows(
        database,
        "SELECT id, round, status, form, weeks, months, due_at, next_at FROM checkin ORDER BY due_at, id",
    )
    assert len({one.round for one in found}) == len(found)
    return {one.round: one for one in found}


def status(database: Database) -> Any:
    """Where the first enrolment stands."""
    return value(database, "SELECT status FROM enrolment ORDER BY id LIMIT 1")


async def test_what_has_not_begun_follows(database: Database, settings: Settings) -> None:
    """Moved, of another form, gone or added; what was sent or answered stays, and what did not change is untouched."""
    enrolment_id = await enrolled(database, 20)
    await change(database, "UPDATE checkin SET status = 'completed', next_at = NULL WHERE round = 'week2'")
    await change(database, "UPDATE checkin SET status = 'sent' WHERE round = 'month1'")
    await change(database, "UPDATE checkin SET next_at = next_at + interval '1 day' WHERE round = 'month9'")  # put off
    before = await standing(database)
    assert list(before) == ["week2", "month1", "month3", "month6", "month9", "month12"]
    team = await wants(
        database, Round("month5", "short", months=5), week2={"weeks": 3}, month1={"months": 0, "weeks": 7},
        month3={"months": 4, "form": "short"}, month6={"on": False}, month12={"form": "short"},
    )  # fmt: skip
    await followed(database, settings)
    after = await standing(database)
    assert set(after) == {"week2", "month1", "month3", "month5", "month9", "month12"}
    for untouched in ("week2", "month1", "month9"):
        assert after[untouched] == before[untouched]
    assert (after["month12"].form, after["month12"].due_at) == ("short", before["month12"].due_at)
    returned_on = await value(database, "SELECT returned_on FROM enrolment")
    for one in team.rounds:
        if one.id in ("month3", "month5"):
            row = after[one.id]
            assert (row.status, row.form, row.months) == ("planned", "short", one.months)
            assert row.due_at == row.next_at == team.due(returned_on, one, CASABLANCA, enrolment_id)
    await wants(database)
    await followed(database, settings)
    again = await standing(database)
    assert {name: one.due_at for name, one in again.items()} == {name: one.due_at for name, one in before.items()}
    assert again["month3"].form == again["month12"].form == "full"
    assert (again["week2"], again["month1"], again["month9"]) == (before["week2"], before["month1"], before["month9"])


async def test_what_would_be_late_is_not_made_up_for(database: Database, settings: Settings) -> None:
    """A new time of two weeks ago: it does not take place; one of today does, at the next allowed hour."""
    await enrolled(database, 70)
    assert "month3" in await standing(database)
    await wants(database, Round("week5", "short", weeks=5), month3={"months": 0, "weeks": 8})
    await followed(database, settings)
    assert list(await standing(database)) == ["month6", "month9", "month12"]
    now = datetime.now(UTC)
    await wants(database, month3={"months": 0, "weeks": 10})
    await followed(database, settings)
    row = (await standing(database))["month3"]
    assert row.weeks == 10 and now <= row.due_at == FILE.allowed(row.due_at, CASABLANCA)
    assert row.due_at < now + timedelta(days=60)  # a Ramadan or a feast may be in between


@pytest.mark.parametrize("consent", ["stands", "taken back", "given anew"])
async def test_an_end_that_a_change_made(database: Database, settings: Settings, consent: str) -> None:
    """Their last check-in goes, and comes back: so do they, unless they want none any more or began anew."""
    await enrolled(database, 340)
    assert list(await standing(database)) == ["month12"]
    await wants(database, month12={"on": False})
    await followed(database, settings)
    assert (await standing(database), await status(database)) == ({}, "ended")
    if consent == "taken back":
        await change(database, "UPDATE consent SET withdrawn_at = now()")
    elif consent == "given anew":
        anew = "INSERT INTO enrolment (reference, person_id, conversation_id, status) SELECT 'CK-2', person_id, "
        await change(database, f"{anew} conversation_id, 'declined' FROM enrolment")
    await wants(database)
    await followed(database, settings)
    comes = consent == "stands"
    assert (list(await standing(database)), await status(database)) == (
        (["month12"], "active") if comes else ([], "ended")
    )


async def test_who_was_told_that_nothing_comes(database: Database, settings: Settings) -> None:
    """Too late for any check-in: no later change brings one. Nor beyond the months that somebody agreed to."""
    await wants(database, month12={"on": False})
    await enrolled(database, 300)
    assert (await standing(database), await status(database)) == ({}, "ended")
    await enrolled(database, 20, "binta", months=3)
    await wants(database, Round("month11", "short", months=11), month6={"form": "short"})
    await followed(database, settings)
    assert list(await standing(database)) == ["week2", "month1", "month3"]
    assert await status(database) == "ended"


async def test_planned_with_what_holds(database: Database, settings: Settings) -> None:
    """Who agrees after the change gets the new rounds, though this process has not heard of it; a correction, too."""
    await wants(database, month1={"on": False}, month6={"form": "short"})
    assert schedule.held() == FILE
    enrolment_id = await enrolled(database, 20)
    found = await standing(database)
    assert "month1" not in found and found["month6"].form == "short"
    elsewhere = Chosen(database, settings)
    assert await elsewhere.due() == [0] and await elsewhere.unplanned() == []
    await elsewhere.read()
    assert await elsewhere.due() == [] and await elsewhere.unplanned() == []
    assert [one.id for one in schedule.held().wanted(4)] == ["week2", "month3"]
    # planned in the very moment of a change, with what held before
    await change(database, "UPDATE enrolment SET planned = 0")
    assert await elsewhere.unplanned() == [enrolment_id]
    await elsewhere.follow(enrolment_id)
    assert await standing(database) == found and await elsewhere.unplanned() == []
    async with database.session() as session:
        enrolment = await session.get_one(Enrolment, enrolment_id)
        day = datetime.now(UTC).date() - timedelta(days=15)
        await rounds.correct(session, database.vault, b"", enrolment.person_id, day, None, datetime.now(UTC))
        await session.commit()
    assert set(await standing(database)) == set(found)


async def test_what_waits_goes_in_the_teams_hours(database: Database, settings: Settings) -> None:
    """At an hour that is not allowed any more, a check-in that is due is moved into the new ones, and goes there."""
    await enrolled(database, 10)
    row = (await standing(database))["week2"]
    async with database.session() as session:
        await chosen.arrange(session, rounds.HOURS, NARROW)
        await session.commit()
    await Chosen(database, settings).read()
    team, at = schedule.held(), row.due_at.astimezone(UTC)
    assert team.rounds == FILE.rounds and team.allowed(at, CASABLANCA) > at  # ten o'clock at the earliest
    checkins = Checkins(database)
    await checkins.work(row.id, at)
    moved = (await standing(database))["week2"]
    assert (moved.status, moved.next_at) == ("planned", team.allowed(at, CASABLANCA))
    await checkins.work(row.id, moved.next_at)
    sent = (await standing(database))["week2"]
    assert sent.status == "sent" and sent.next_at == team.allowed(moved.next_at + rounds.WAIT, CASABLANCA)
    closes = await value(database, "SELECT expires_at FROM outbox ORDER BY id DESC LIMIT 1")
    assert closes == team.closing(moved.next_at, CASABLANCA) < moved.next_at + timedelta(minutes=90, seconds=1)


async def test_a_running_service(worker: tuple[Service, FakeRasa], database: Database) -> None:
    """It hears of the change by itself, and whoever is enrolled follows."""
    await enrolled(database, 20)
    await wants(database, month6={"on": False})

    async def gone() -> bool:
        return "month6" not in await standing(database)

    await until(gone)
    assert not next(one for one in schedule.held().rounds if one.id == "month6").on
