"""Telegram could not reach us for more than a day: who writes to us is told, once, by day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot import i18n
from bot.checkins import schedule
from bot.conversation import outage
from bot.db.session import Database
from bot.messages import LANGUAGES
from tests.conversation.conftest import rows
from tests.conversation.letters import change, writes


async def away_for(database: Database, hours: float) -> None:
    """It reached us last so long ago."""
    await outage.reached(database, "telegram")
    at = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
    await change(database, "UPDATE channel_state SET value = jsonb_build_object('at', CAST(:at AS text))", at=at)


async def person(database: Database, language: str, hours: float, channel: str = "telegram") -> int:
    """Somebody who wrote last so long ago."""
    conversation = await writes(database, f"{language} {hours} {channel}", channel)
    await change(
        database,
        "WITH theirs AS (SELECT person_id, address_id FROM conversation WHERE id = :c), spoke AS ("
        " UPDATE person SET language = :language FROM theirs WHERE id = person_id)"
        " UPDATE address SET last_heard_at = now() - make_interval(secs => :h * 3600) FROM theirs WHERE id = address_id",
        c=conversation, language=language, h=hours,
    )  # fmt: skip
    return conversation


async def test_who_writes_to_us_is_told_once(database: Database) -> None:
    """In their language; not who is long silent, stopped, blocked us or writes elsewhere, and by nobody a second time."""
    told = {await person(database, language, 30): language for language in LANGUAGES}
    await person(database, "fr", 24 * 30)
    await person(database, "fr", 30, "whatsapp")
    stopped, gone = await person(database, "fr", 31), await person(database, "fr", 32)
    whose = "SELECT person_id FROM conversation WHERE id = :c"
    await change(database, f"UPDATE person SET stopped_at = now() WHERE id = ({whose})", c=stopped)
    whose = whose.replace("person_id", "address_id")
    await change(database, f"UPDATE address SET unreachable_at = now() WHERE id = ({whose})", c=gone)
    await away_for(database, 26)
    assert [await outage.reached(database, "telegram") for _ in range(2)] == [3, 0]
    letters = await rows(
        database,
        "SELECT o.*, p.key FROM outbox o JOIN conversation c ON c.id = o.conversation_id JOIN person p ON p.id = c.person_id",
    )
    said = {one.conversation_id: database.vault.open(one.key, one.content_sealed)["text"] for one in letters}
    assert said == {conversation: i18n.say("missed", language) for conversation, language in told.items()}
    for one in letters:
        assert one.unasked and one.next_at == schedule.of_file().allowed(one.next_at, outage.ZONE), "it wakes nobody"


@pytest.mark.parametrize("hours", [0.5, 22])
async def test_a_short_outage_loses_nothing(database: Database, hours: float) -> None:
    """Telegram keeps it and brings it later: nobody is bothered."""
    await person(database, "fr", 30)
    await away_for(database, hours)
    assert await outage.reached(database, "telegram") == 0
    assert await rows(database, "SELECT 1 FROM outbox") == []
