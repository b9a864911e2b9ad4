"""Many who look at once: one reading serves them, and none of them is told less than is known."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from bot.console import audit
from bot.console.live import Shared
from bot.conversation.handoffs import Desk
from bot.db.models import Conversation, Handoff
from bot.db.session import Database
from tests.console.conftest import Team, change, value
from tests.console.people import somebody

LONG = 30.0


async def test_who_asks_during_a_reading_gets_the_next_one() -> None:
    """Twenty ask at once and are served by one reading; what changes while it runs, the next one tells."""
    known, readings = "before", 0
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def read() -> str:
        nonlocal readings
        readings += 1
        said = known
        begun.set()
        await go_on.wait()
        return said

    shared = Shared[str]()
    early = [asyncio.create_task(shared.get(read)) for _ in range(20)]
    async with asyncio.timeout(LONG):
        await begun.wait()
        known = "after"
        late = [asyncio.create_task(shared.get(read)) for _ in range(20)]
        gone = asyncio.create_task(shared.get(read))
        await asyncio.sleep(0)
        gone.cancel()
        go_on.set()
        assert set(await asyncio.gather(*early)) == {"before"}
        assert set(await asyncio.gather(*late)) == {"after"}
        assert await shared.get(read) == "after"
    assert readings == 3


async def test_a_reading_that_fails_fails_for_those_who_asked_and_not_for_the_next() -> None:
    """As if each had read alone."""

    async def fails() -> str:
        raise ValueError

    async def works() -> str:
        return "read"

    shared = Shared[str]()
    async with asyncio.timeout(LONG):
        both = await asyncio.gather(shared.get(fails), shared.get(fails), return_exceptions=True)
        assert [type(one) for one in both] == [ValueError, ValueError]
        assert await shared.get(works) == "read"


async def test_one_reading_shows_to_each_what_is_there_for_them(team: Team, database: Database) -> None:
    """Of two who look at the same moment, who works for another office is not shown it; a change is seen at once."""
    person = await somebody(database)
    await change(database, "UPDATE handoff SET place = 'SN', status = 'taken', owner_id = NULL")
    here, elsewhere = await team.at_work(), await team.at_work()
    await change(database, "UPDATE staff_member SET offices = '[\"MR\"]' WHERE id = :id", id=elsewhere.staff_id)
    for _ in range(2):
        one, other = await asyncio.gather(here.get("/console/handoffs/list"), elsewhere.get("/console/handoffs/list"))
        assert person.handoff in one.text and person.handoff not in other.text
    await change(database, "UPDATE handoff SET status = 'released', released_at = now()")
    assert person.handoff not in (await here.get("/console/handoffs/list")).text


@pytest.mark.parametrize("click", ["note", "reply"])
async def test_a_message_and_a_click_at_once_do_not_wait_for_each_other(
    team: Team, database: Database, click: str
) -> None:
    """Whichever comes second waits for the first: PostgreSQL has no deadlock to end."""
    person = await somebody(database)
    me = (await team.member()).staff_id
    await change(database, "UPDATE handoff SET status = 'taken', owner_id = :id", id=me)
    await change(database, "UPDATE conversation SET owner_id = :id", id=me)
    conversation_id = await value(
        database, "SELECT conversation_id FROM handoff WHERE reference = :one", one=person.handoff
    )

    async def clicked() -> None:
        async with database.session() as session:
            desk = Desk(session, database.vault, team.settings, datetime.now(UTC))
            await (desk.note if click == "note" else desk.reply)(person.handoff, me, "Je regarde cela.")
            await session.commit()

    async with asyncio.timeout(LONG), database.session() as session:
        desk = Desk(session, database.vault, team.settings, datetime.now(UTC))
        heard, _ = await desk.heard(conversation_id, team.settings.rafiq_reading_hours)
        assert isinstance(heard, Handoff)
        clicking = asyncio.create_task(clicked())
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('tuple', 'transactionid')"
        while not await value(database, waits):
            assert not clicking.done()
        # as the end of a turn does
        this = update(Conversation).where(Conversation.id == conversation_id)
        await session.execute(this.values(turns=Conversation.turns + 1))
        await session.commit()
        await clicking
    assert await value(database, "SELECT count(*) FROM handoff_entry WHERE staff_id = :id", id=me) == 1


async def test_what_many_read_at_once_is_in_the_audit_when_they_have_read_it(team: Team, database: Database) -> None:
    """Twelve pages at once: twelve rows, and the chain fits."""
    person = await somebody(database)
    browser = await team.at_work()
    pages = await asyncio.gather(*(browser.get(f"/console/handoffs/{person.handoff}") for _ in range(12)))
    assert [page.status_code for page in pages] == [200] * 12
    seen = "SELECT count(*) FROM audit WHERE action = 'conversation.seen' AND staff_id = :id AND target = :one"
    assert await value(database, seen, id=browser.staff_id, one=person.handoff) == 12
    async with database.session() as session:
        verdict = await audit.verify(session, database.vault)
    assert verdict.broken is None and verdict.rows >= 12


async def test_nothing_is_shown_that_the_audit_cannot_take(
    team: Team, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the row cannot be written, the page is not there either."""
    person = await somebody(database)
    browser = await team.at_work()

    async def fails(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(audit, "_add", fails)
    with pytest.raises(OSError, match="no room"):
        await browser.get(f"/console/handoffs/{person.handoff}")
