"""The invented month: such as the product makes, always the same, never outside, and away again."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest
from sqlalchemy import text

from bot import demo, supervisor
from bot.cases import events
from bot.console import accounts, audit
from bot.console.access import Role
from bot.db import invented
from bot.db.models import Base
from bot.db.session import Database
from bot.settings import Settings
from tests.conftest import alone_on, own_database
from tests.conversation import oracles
from tests.conversation.letters import writes

NOW = datetime(2026, 11, 20, 11, 30, tzinfo=UTC)


@pytest.fixture(scope="session")
def database_url(database_url: str) -> str:
    """A database that no service works on."""
    return own_database(database_url, "demo")


@pytest.fixture
async def database(database_url: str, settings: Settings) -> AsyncIterator[Database]:
    """That database, emptied."""
    async with alone_on(database_url, settings) as database:
        yield database


async def numbers(database: Database, statement: str) -> dict[str, int]:
    """Counts by name."""
    async with database.session() as session:
        return {str(name): number for name, number in await session.execute(text(statement))}


async def rows_of(database: Database) -> dict[str, int]:
    """How many rows each table has."""
    async with database.session() as session:
        return {
            table.name: await session.scalar(text(f"SELECT count(*) FROM {table.name}")) or 0
            for table in Base.metadata.sorted_tables
        }


async def test_a_whole_month_is_such_as_the_product_makes(database: Database, settings: Settings) -> None:
    """The oracles hold; every state that a console shows is there; what was told to the case backend is what it is
    promised; everything opens with its person's key; nothing waits to be sent or posted."""
    team = await demo.fill(database, settings, NOW)
    await oracles.assert_sound(database)
    assert await oracles.never_silent(database) == []
    assert await numbers(database, "SELECT 'people', count(*) FROM person") == {"people": 300}
    languages = await numbers(database, "SELECT language, count(*) FROM person GROUP BY 1")
    assert set(languages) == {"fr", "en", "ar"} and min(languages.values()) > 30
    wanted = {
        "handoff": {"waiting", "taken", "released"},
        "appointment": {"done", "missed", "past", "confirmed", "reminded", "requested", "cancelled"},
        "checkin": {"planned", "sent", "completed", "partial", "missed"},
        "outbox": {"sent", "delivered", "read", "failed", "held"},
        "case_event": {"delivered", "dead"},
        "request": {"open", "acknowledged"},
    }
    for table, states in wanted.items():
        found = set(await numbers(database, f"SELECT status, count(*) FROM {table} GROUP BY 1"))
        assert states <= found, (table, states - found)
        assert not found & {"queued", "sending", "pending"}, table
    requests = await numbers(database, "SELECT status, count(*) FROM handoff WHERE reason = 'request' GROUP BY 1")
    assert set(requests) == {"waiting", "taken", "released"}
    settled = "SELECT 'all', count(*) FROM handoff_entry WHERE what = 'settled' AND staff_id IS NULL"
    assert (await numbers(database, settled))["all"] > 30
    apart = "SELECT 'all', count(*) FROM handoff a JOIN handoff b USING (conversation_id)"
    apart += " WHERE a.status = 'taken' AND (b.status = 'waiting' OR b.owner_id <> a.owner_id)"
    assert (await numbers(database, apart))["all"] == 0  # whoever takes one takes all that waits there
    levels = await numbers(database, "SELECT level, count(*) FROM checkin WHERE level IS NOT NULL GROUP BY 1")
    assert set(levels) == {"red", "amber"}
    assert min((await numbers(database, "SELECT point_id, count(*) FROM scan GROUP BY 1")).values()) >= 10
    topics = await numbers(database, "SELECT topic, count(*) FROM inbox WHERE topic IS NOT NULL GROUP BY 1")
    assert len(topics) > 20 and topics["not_understood"] > 30
    async with database.session() as session:
        for kind, payload in await session.execute(text("SELECT type, payload FROM case_event")):
            events.validator(kind).validate(payload)
        sealed = await session.execute(
            text(
                "SELECT person.key, content_sealed FROM inbox JOIN conversation ON conversation.id = conversation_id"
                " JOIN person ON person.id = person_id UNION ALL SELECT person.key, answers_sealed FROM request"
                " JOIN person ON person.id = person_id"
            )
        )
        opened = [database.vault.open(key, one) for key, one in sealed]
        late = await session.scalar(
            text("SELECT count(*) FROM outbox o JOIN inbox i ON i.id = o.inbox_id WHERE o.created_at < i.received_at")
        )
        alone = await session.scalar(
            text(
                "SELECT count(*) FROM conversation c WHERE (owner_id IS NULL) = EXISTS"
                " (SELECT 1 FROM handoff h WHERE h.conversation_id = c.id AND h.status = 'taken')"
            )
        )
        future = await session.scalar(text("SELECT count(*) FROM inbox WHERE received_at > :now"), {"now": NOW})
        assert (await audit.verify(session, database.vault)).broken is None
    assert {one["name"][-6:] for one in opened if "name" in one} == {"(demo)"}
    phones = [one["phone"] for one in opened if one.get("phone", "chat") != "chat"]
    assert phones and all(phone.startswith("+3363998") for phone in phones)
    assert (late, alone, future) == (0, 0, 0)
    # each role signs in with what was printed
    assert {one.role for one in team} == set(Role)
    for one in team:
        code = pyotp.TOTP(one.secret).now()
        assert await accounts.sign_in(database, email=one.email, password=one.password, code=code, place="x")


async def test_removed_it_leaves_what_was_there(database: Database, settings: Settings) -> None:
    """All rows go, also a counsellor's session; whoever wrote meanwhile, with a scan of an invented poster, stays;
    what the team did stays in the audit."""
    before = await rows_of(database)
    [member, *_] = await demo.fill(database, settings, NOW, people_=40)
    await accounts.sign_in(
        database, email=member.email, password=member.password, code=pyotp.TOTP(member.secret).now(), place="x"
    )
    own = await writes(database, "somebody", words="bonjour")
    async with database.session() as session:
        await session.execute(
            text(
                "INSERT INTO scan (conversation_id, person_id, point_id) SELECT id, person_id,"
                " (SELECT min(id) FROM orientation_point) FROM conversation WHERE id = :id"
            ),
            {"id": own},
        )
        await session.commit()
    with pytest.raises(demo.NotEmpty):
        await demo.fill(database, settings, NOW)
    assert await demo.remove(database) == 40
    left = {name: number for name, number in (await rows_of(database)).items() if number != before[name]}
    assert left.pop("audit") > 0
    assert left == {"person": 1, "address": 1, "conversation": 1, "inbox": 1}
    assert await demo.remove(database) == 0 and await invented.mark(database) is None


def test_the_same_seed_invents_the_same(settings: Settings) -> None:
    """Names, words, times and references; another seed, others."""

    def story(seed: int) -> str:
        return repr(demo.Month(settings, NOW, [], seed).everybody(25))

    assert story(3) == story(3) != story(4)


async def test_nobody_meets_the_outside_world(
    database: Database, database_url: str, settings: Settings, tmp_path: Path
) -> None:
    """With a token, a mail server or a case backend the command is refused, and so is the start on such a database."""
    assert invented.outside(settings) is None
    for name, value in (
        ("telegram_token", "1:A"),
        ("rafiq_mail_url", "smtps://mail.example.org"),
        ("case_webhook_url", "https://cases.example.org"),
    ):
        connected = settings.model_copy(update={name: value})
        assert invented.outside(connected) is not None
    await demo.fill(database, settings, NOW, people_=5)
    assert invented.present(database_url)
    connected = Settings(
        _env_file=None, rafiq_var=tmp_path, database_url=database_url, telegram_token="1:A",
        rafiq_master_key=base64.b64encode(settings.master_key).decode(),
    )  # fmt: skip
    with pytest.raises(supervisor.StartError, match="TELEGRAM_TOKEN is set, but the people here are invented"):
        await supervisor.Stack(connected, lambda line: None).start()


async def test_the_month_ends_now(settings: Settings) -> None:
    """The moment is the command's own; nobody writes in the future or before the month."""
    heard = [one.at for someone in demo.Month(settings, NOW, [], 1).everybody(60) for one in someone.heard]
    assert max(heard) <= NOW and min(heard) > NOW - timedelta(days=demo.DAYS + 2)
    assert demo.now() - datetime.now(UTC) < timedelta(seconds=1)
