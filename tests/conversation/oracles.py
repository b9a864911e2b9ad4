"""What must be true after every run, as SQL: each gives the rows that break it, so that a failure shows them.

The numbers are those of the fault matrix (docs/reliability.md).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from bot.db.session import Database


async def _rows(database: Database, statement: str, **values: Any) -> list[Any]:
    async with database.session() as session:
        return list((await session.execute(text(statement), values)).all())


async def kept(database: Database, accepted: int | None = None) -> list[Any]:
    """I1: what was accepted is there once and is done or dead; with `accepted`, that many rows."""
    broken = await _rows(database, "SELECT id, kind, status, error FROM inbox WHERE status NOT IN ('done', 'dead')")
    if accepted is not None:
        [found] = await _rows(database, "SELECT count(*) AS rows FROM inbox")
        if found.rows != accepted:
            broken.append((f"{accepted} accepted", f"{found.rows} rows"))
    return broken


async def once(database: Database) -> list[Any]:
    """I2: no event has two turns, no turn two events, no cause two effects."""
    return [
        *await _rows(
            database,
            "SELECT conversation_id, turn, count(*) FROM inbox WHERE turn IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1",
        ),
        *await _rows(database, "SELECT inbox_id, count(*) FROM request GROUP BY 1 HAVING count(*) > 1"),
        *await _rows(database, "SELECT inbox_id, reason, count(*) FROM handoff GROUP BY 1, 2 HAVING count(*) > 1"),
        *await _rows(database, "SELECT key, count(*) FROM case_event GROUP BY 1 HAVING count(*) > 1"),
        *await _rows(database, "SELECT inbox_id, seq, count(*) FROM outbox WHERE inbox_id IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1"),
    ]  # fmt: skip


async def in_order(database: Database) -> list[Any]:
    """I3: the turns of a conversation are taken in the order in which its events came.

    Buttons overtake what waits for Rasa; a run without an outage of Rasa has none of these.
    """
    return await _rows(
        database,
        """SELECT conversation_id, id, turn FROM (
            SELECT conversation_id, id, turn, lag(turn) OVER (PARTITION BY conversation_id ORDER BY id) AS before
            FROM inbox WHERE turn IS NOT NULL) taken
        WHERE turn <= before""",
    )


async def delivered(database: Database, seen: list[str], crashes: int = 0) -> list[Any]:
    """I4: each message that counts as sent was seen by the platform (`seen`: our ids), twice at most once a crash."""
    sent = {
        str(row.public_id)
        for row in await _rows(database, "SELECT public_id FROM outbox WHERE status IN ('sent', 'delivered', 'read')")
    }
    whole = [one.partition(".")[0] for one in seen]
    broken: list[Any] = [("never seen", one) for one in sent - set(whole)]
    doubled = len(seen) - len(set(seen))
    if doubled > crashes:
        broken.append(("seen again", doubled, "crashes", crashes))
    waiting = await _rows(database, "SELECT id, status, error FROM outbox WHERE status IN ('queued', 'sending')")
    return broken + waiting


async def never_silent(database: Database) -> list[Any]:
    """I5: every message of a person led to something said, or to a notice that covers it.

    What was set aside with one notice for all is covered, and so is STOP said again, and a picture right after another.
    """
    return await _rows(
        database,
        """SELECT i.id, i.kind, i.status FROM inbox i
        WHERE i.kind IN ('text', 'press', 'start', 'media', 'unknown') AND i.content_sealed IS NOT NULL
            AND i.error IS NULL AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.inbox_id = i.id)
            AND NOT (i.kind = 'media' AND EXISTS (
                SELECT 1 FROM inbox b WHERE b.conversation_id = i.conversation_id AND b.kind = 'media' AND b.id < i.id
                    AND b.received_at > i.received_at - interval '1 minute'
            ))""",
    )


async def forward(database: Database, before: dict[int, str]) -> list[Any]:
    """I8: against an earlier look (`statuses`), no message went back."""
    order = ["queued", "sending", "sent", "delivered", "read"]
    now = await statuses(database)
    return [
        (one, was, now[one])
        for one, was in before.items()
        if one in now and was in order and now[one] in order and order.index(now[one]) < order.index(was)
    ]


async def statuses(database: Database) -> dict[int, str]:
    """How every message stands."""
    return {row.id: row.status for row in await _rows(database, "SELECT id, status FROM outbox")}


async def readable(database: Database, *words: str) -> list[Any]:
    """Where one of these words stands in the clear: the tables are those of the database's own catalogue."""
    tables = await _rows(database, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    found = []
    for (table,) in tables:
        content = str(await _rows(database, f'SELECT to_jsonb(t)::text FROM "{table}" t'))
        found += [(table, word) for word in words if word in content]
    return found


async def assert_sound(database: Database, accepted: int | None = None) -> None:
    """I1, I2 and I3 together: what holds after any run that is over."""
    assert await kept(database, accepted) == []
    assert await once(database) == []
    assert await in_order(database) == []
