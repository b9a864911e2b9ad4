"""The team is told once each, by chat and by mail, whatever dies meanwhile; and a handoff only moves as it may."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import insert, text

from bot import i18n
from bot.appointments import offices
from bot.conversation import people, staff
from bot.conversation.handoffs import Desk, HandoffError
from bot.conversation.notify import Mailer, Watch
from bot.db.encryption import Vault
from bot.db.models import Conversation, Handoff
from bot.db.session import Database, connect
from bot.journeys import handoff as journey
from bot.journeys import hours
from bot.journeys.context import Context
from bot.journeys.hours import closed_since, closing, is_open, later, opening
from bot.settings import ROOT, MailServer, Settings, reading_mail_server
from bot.supervisor import free_port
from tests.conftest import emptied
from tests.conversation.conftest import rows, value
from tests.conversation.letters import change

ALWAYS = "Mon-Sun 00:00-23:59 UTC"
CASABLANCA = "Africa/Casablanca"
OFFICE = f"Mon-Fri 09:00-17:00 {CASABLANCA}"
STEPS = {"waiting": {"taken"}, "taken": {"taken", "waiting", "released"}, "released": {"taken", "waiting"}}


class Mails:
    """A mail server that keeps what it is given; `refuse` is its next answers."""

    def __init__(self) -> None:
        self.kept: list[Envelope] = []
        self.refuse: list[str] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Take it, or say what the test wants."""
        if self.refuse:
            return self.refuse.pop(0)
        self.kept.append(envelope)
        return "250 OK"

    @contextmanager
    def serving(self, port: int) -> Iterator[None]:
        """Listen on this port of the loopback."""
        controller = Controller(self, hostname="127.0.0.1", port=port)
        controller.start()
        try:
            yield
        finally:
            controller.stop()


@pytest.fixture
def mails() -> Iterator[tuple[Mails, int]]:
    """A mail server and its port."""
    server, port = Mails(), free_port()
    with server.serving(port):
        yield server, port


def with_mail(settings: Settings, port: int) -> Settings:
    """Settings that hand mail in there; it is always open."""
    return settings.model_copy(
        update={
            "rafiq_reading_hours": ALWAYS,
            "rafiq_mail_url": SecretStr(f"smtp://127.0.0.1:{port}"),
            "rafiq_mail_from": "rafiq@example.org",
        }
    )


async def waiting(database: Database, settings: Settings, priority: str = "P1", **given: Any) -> int:
    """A handoff of somebody new; the number of its conversation."""
    known = await people.begin(database, "web", str(uuid.uuid4()))
    async with database.session() as session:
        person = await session.scalar(
            text("SELECT person_id FROM conversation WHERE id = :c"), {"c": known.conversation_id}
        )
        await session.execute(
            insert(Handoff).values(
                reference=f"H-{known.conversation_id:05}", person_id=person, conversation_id=known.conversation_id,
                reason="asked", priority=priority, **given,
            )
        )  # fmt: skip
        await session.commit()
    return known.conversation_id


async def member(
    database: Database, settings: Settings, name: str = "samira", chat: bool = True, **given: Any
) -> uuid.UUID:
    """Somebody of the team."""
    async with database.session() as session:
        added = await staff.add(session, settings, name, f"{name}@example.org", **given)
        await session.commit()
    assert added is not None
    if chat:
        known = await people.begin(database, "web", name)
        await change(
            database, "UPDATE staff_member SET conversation_id = :c WHERE id = :id", c=known.conversation_id, id=added
        )
    return added


async def notices(database: Database) -> list[tuple[str, str]]:
    """How each was told, and how that stands."""
    return [(row.way, row.status) for row in await rows(database, "SELECT way, status FROM handoff_notice ORDER BY id")]


# mail


async def test_a_mail_reaches_a_real_server(database: Database, settings: Settings, mails: tuple[Mails, int]) -> None:
    """In the language of who reads it, with the way to the console, and nothing of the person or the reason."""
    server, port = mails
    configured = with_mail(settings, port)
    await member(database, configured, languages=["ar"])
    await waiting(database, configured, language="ar")
    await Watch(database, configured).work(1 + await value(database, "SELECT max(id) - 1 FROM conversation"))
    mailer = Mailer(database, configured)
    due = await mailer.due()
    await asyncio.gather(*(mailer.work(one) for one in due * 3))  # woken often, sent once
    [mail] = server.kept
    assert mail.rcpt_tos == ["samira@example.org"] and mail.mail_from == "rafiq@example.org"
    assert isinstance(mail.content, bytes)
    message = message_from_bytes(mail.content, policy=policy.default)
    body = message.get_content()
    assert "H-" in message["Subject"] and "P1" in message["Subject"] and "محادثة" in message["Subject"]
    assert f"{configured.own_url}/console" in body and "العربية" in body
    assert "يطلب" not in body  # why is not said
    assert await notices(database) == [("chat", "told"), ("mail", "sent")]
    assert await mailer.due() == []


@pytest.mark.parametrize(
    ("answers", "status", "kept"),
    [(["451 later"], "sent", 1), (["550 no"], "failed", 0), (["451 later"] * 5, "failed", 0)],
    ids=["comes later", "refused", "never"],
)
async def test_what_becomes_of_a_mail(
    database: Database, settings: Settings, mails: tuple[Mails, int], answers: list[str], status: str, kept: int
) -> None:
    """Tried again where that helps, five times; given up where it does not."""
    server, port = mails
    configured = with_mail(settings, port)
    server.refuse = list(answers)
    await member(database, configured, chat=False)
    conversation = await waiting(database, configured)
    await Watch(database, configured).work(conversation)
    mailer = Mailer(database, configured)
    for _ in range(6):
        for one in await mailer.due():
            await mailer.work(one)
        await change(database, "UPDATE handoff_notice SET next_at = now()")
    assert [row[1] for row in await notices(database)] == [status] and len(server.kept) == kept


async def test_a_mail_server_that_is_away_loses_nothing(database: Database, settings: Settings) -> None:
    """It waits, and goes when the server is back; unless somebody took the handoff meanwhile."""
    port = free_port()
    configured = with_mail(settings, port)
    samira = await member(database, configured, chat=False)
    await waiting(database, configured)
    taken = await waiting(database, configured)
    watch, mailer, server = Watch(database, configured), Mailer(database, configured), Mails()
    for conversation in await watch.due():
        await watch.work(conversation)
    for one in await mailer.due():
        await mailer.work(one)
    assert await notices(database) == [("mail", "queued")] * 2
    assert await mailer.due() == []  # not at once
    await change(database, "UPDATE handoff_notice SET next_at = now()")
    async with database.session() as session:
        await Desk(session, database.vault, configured, datetime.now(UTC)).claim(f"H-{taken:05}", samira)
        await session.commit()
    with server.serving(port):
        for one in await mailer.due():
            await mailer.work(one)
    assert sorted(await notices(database)) == [("mail", "cancelled"), ("mail", "sent")] and len(server.kept) == 1


def test_how_a_mail_server_is_written() -> None:
    """TLS from the first byte, or STARTTLS that must be there, but on this machine."""
    assert reading_mail_server("smtps://a%40b:p%2Fw@mail.example.org") == MailServer(
        "mail.example.org", 465, True, "a@b", "p/w"
    )
    assert "p/w" not in repr(reading_mail_server("smtps://a%40b:p%2Fw@mail.example.org"))
    assert reading_mail_server("smtp://mail.example.org").starttls is True
    assert reading_mail_server("smtp://127.0.0.1:2525").starttls is None
    for wrong in ("mail.example.org", "http://x", "smtp://", "smtp://x:y", "smtp://x/inbox"):
        with pytest.raises(ValueError, match="smtps://"):
            reading_mail_server(wrong)


# kill -9

DYING = """
import asyncio, sys
from pydantic import SecretStr
from bot.conversation.notify import Mailer, Watch
from bot.db.encryption import Vault
from bot.db.session import connect
from bot.settings import Settings
async def main():
    key, url, port = sys.stdin.read().split()
    settings = Settings(_env_file=None, rafiq_mail_url=f"smtp://127.0.0.1:{port}", rafiq_mail_from="rafiq@example.org",
                        rafiq_reading_hours="Mon-Sun 00:00-23:59 UTC")
    database = connect(url, Vault(bytes.fromhex(key)), 2)
    for lane in (Watch(database, settings), Mailer(database, settings)):
        for one in await lane.due():
            await lane.work(one)
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("fault", "told", "mails_sent", "mail"),
    [("handoff.round", 0, 0, "sent"), ("mail.sending", 1, 0, "unknown"), ("mail.sent", 1, 1, "unknown")],
)
async def test_whoever_dies_tells_nobody_twice(
    database: Database, settings: Settings, own_url: str, mails: tuple[Mails, int], fault: str, told: int, mails_sent: int, mail: str
) -> None:  # fmt: skip
    """Killed in a round, nobody was told, and the next one tells everybody once; killed in a mail, it is not repeated,
    for the next round reminds."""
    server, port = mails
    configured = with_mail(settings, port)
    await member(database, configured)
    await waiting(database, configured)
    environment = {
        name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ
    } | {"RAFIQ_FAULT": fault, "PYTHONTZPATH": ""}  # fmt: skip
    died = await asyncio.to_thread(
        lambda: subprocess.run(
            [sys.executable, "-c", DYING], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
            input=f"{settings.master_key.hex()} {own_url} {port}",
        )
    )  # fmt: skip
    assert died.returncode == -9, died.stderr
    chat = "SELECT count(*) FROM outbox"
    assert (await value(database, chat), len(server.kept)) == (told, mails_sent)
    watch, mailer = Watch(database, configured), Mailer(database, configured)
    for lane in (watch, mailer, watch, mailer):
        for one in await lane.due():
            await lane.work(one)
    assert await value(database, chat) == 1
    assert await notices(database) == [("chat", "told"), ("mail", mail)]
    assert len(server.kept) == (1 if mail == "sent" else mails_sent)


async def test_two_watches_make_one_round(database: Database, settings: Settings, own_url: str) -> None:
    """Processes share nothing but the database."""
    configured = settings.model_copy(update={"rafiq_reading_hours": ALWAYS})
    await member(database, configured)
    conversation = await waiting(database, configured)
    others = [connect(own_url, database.vault, 2) for _ in range(3)]
    await asyncio.gather(*(Watch(one, configured).work(conversation) for one in others for _ in range(2)))
    for one in others:
        await one.close()
    assert await value(database, "SELECT count(*) FROM handoff_notice") == 1 == await value(database, "SELECT count(*) FROM outbox")  # fmt: skip


# hours


@pytest.mark.parametrize(
    ("at", "priority", "due"),
    [
        ("2026-11-23T10:00Z", "P0", "2026-11-23T10:15Z"),
        ("2026-11-23T10:00Z", "P1", "2026-11-23T17:00Z"),
        ("2026-11-23T18:00Z", "P1", "2026-11-24T17:00Z"),
        ("2026-11-27T18:00Z", "P1", "2026-11-30T17:00Z"),  # a Friday evening
        ("2026-11-23T10:00Z", "P2", "2026-11-24T17:00Z"),
        ("2026-11-27T10:00Z", "P2", "2026-11-30T17:00Z"),
    ],
)
def test_what_the_team_promises_itself(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, at: str, priority: str, due: str
) -> None:
    """Minutes, the same working day, two working days."""
    monkeypatch.setattr(hours, "_closed", frozenset())
    assert journey.due(settings, priority, datetime.fromisoformat(at)) == datetime.fromisoformat(due)


CLOSED = frozenset({(CASABLANCA, "01-11"), (CASABLANCA, "2027-03-09"), (CASABLANCA, "2027-03-10")})


@pytest.mark.parametrize(
    ("at", "opens", "p1", "p2"),
    [
        ("2027-01-11T10:00Z", "2027-01-12T09:00Z", "2027-01-12T17:00Z", "2027-01-13T17:00Z"),  # the day itself
        ("2027-01-08T18:00Z", "2027-01-12T09:00Z", "2027-01-12T17:00Z", "2027-01-13T17:00Z"),  # Friday evening before
        ("2027-03-08T10:00Z", "2027-03-08T10:00Z", "2027-03-08T17:00Z", "2027-03-11T17:00Z"),  # two days in between
        ("2028-01-10T18:00Z", "2028-01-12T09:00Z", "2028-01-12T17:00Z", "2028-01-13T17:00Z"),  # every year
        ("2028-03-09T10:00Z", "2028-03-09T10:00Z", "2028-03-09T17:00Z", "2028-03-10T17:00Z"),  # that year only
    ],
)
def test_nobody_reads_on_closed_days(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, at: str, opens: str, p1: str, p2: str
) -> None:
    """What is told and what the team promises itself goes round them, on that country's clock alone."""
    monkeypatch.setattr(hours, "_closed", CLOSED)
    now = datetime.fromisoformat(at)
    assert opening(OFFICE, now) == datetime.fromisoformat(opens)
    assert (closed_since(OFFICE, now) is None) == is_open(OFFICE, now) == (at == opens)
    assert journey.due(settings, "P1", now) == datetime.fromisoformat(p1)
    assert journey.due(settings, "P2", now) == datetime.fromisoformat(p2)
    day = i18n.written_date(datetime.fromisoformat(opens), CASABLANCA, "fr")
    assert at == opens or day in hours.when_somebody_reads(OFFICE, now, "fr")
    elsewhere = OFFICE.replace(CASABLANCA, "Africa/Dakar")
    assert is_open(elsewhere, datetime.fromisoformat("2027-01-11T10:00Z"))


async def test_closed_days_are_the_tables(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the country that staff edit, not those of one office; read again, the new ones count."""
    monkeypatch.setattr(hours, "_closed", frozenset())
    feast = datetime.fromisoformat("2027-03-09T10:00Z")
    async with database.session() as session:
        await offices.load(session)
        await hours.learn(session)
        assert not is_open(OFFICE, feast)
        moved = "UPDATE closed_day SET day = '2027-03-11' WHERE of = 'MA' AND day = '2027-03-09'"
        await session.execute(text(moved))
        await session.execute(text("INSERT INTO closed_day (of, day) VALUES ('rabat', '2027-03-09')"))
        await hours.learn(session)
        assert is_open(OFFICE, feast)
        assert not is_open(OFFICE, datetime.fromisoformat("2027-03-11T10:00Z"))


@pytest.mark.parametrize("closed", [frozenset(), CLOSED])
@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 (its zone is beside it)
    st.integers(1, 3000),
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_open_minutes_are_counted(
    monkeypatch: pytest.MonkeyPatch, closed: frozenset[tuple[str, str]], at: datetime, minutes: int
) -> None:
    """What runs in the reading hours ends in them or at their end, never sooner than by the clock, and adds up."""
    monkeypatch.setattr(hours, "_closed", closed)
    end = later(OFFICE, at, minutes)
    assert is_open(OFFICE, end) or is_open(OFFICE, end - timedelta(microseconds=1))
    assert end - opening(OFFICE, at) >= timedelta(minutes=minutes)
    if minutes > 1:
        assert later(OFFICE, later(OFFICE, at, 1), minutes - 1) == end
    since = closed_since(OFFICE, at)
    assert (since is None) == is_open(OFFICE, at)
    assert since is None or (since <= at and opening(OFFICE, since) == opening(OFFICE, at))
    assert closing(OFFICE, at, 2) > closing(OFFICE, at) >= opening(OFFICE, at)


# the state machine

WHO = st.integers(0, 2)
ACTIONS = st.one_of(
    st.tuples(st.sampled_from(["claim", "reply", "release", "reopen", "give_back", "note"]), WHO),
    st.tuples(st.just("transfer"), WHO, WHO),
    st.tuples(st.sampled_from(["asks", "cries", "writes", "look"])),
    st.tuples(st.just("hours"), st.integers(1, 60)),
)


@given(st.lists(ACTIONS, min_size=3, max_size=14))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_anybody(own_url: str, settings: Settings, sequence: list[tuple[Any, ...]]) -> None:
    """Whoever does whatever in whatever order: no state but by an allowed step, one owner of all that is open, what
    is refused changes nothing, what was given back long ago stays so."""
    with ThreadPoolExecutor(1) as beside:  # this test's loop is its own
        beside.submit(asyncio.run, _any_sequence(own_url, settings, sequence)).result()


async def _any_sequence(own_url: str, given_settings: Settings, sequence: list[tuple[Any, ...]]) -> None:
    configured = given_settings.model_copy(update={"rafiq_reading_hours": ALWAYS})
    database = connect(own_url, Vault(configured.master_key), 4)
    try:
        await emptied(database)
        team = [await member(database, configured, name, role=role) for name, role in (("a", "counsellor"), ("b", "counsellor"), ("c", "supervisor"))]  # fmt: skip
        await waiting(database, configured)
        now, before = datetime.now(UTC), await _standing(database)
        for action in sequence:
            now += timedelta(hours=action[1]) if action[0] == "hours" else timedelta(seconds=1)
            refused = await _act(database, configured, team, action, now)
            after = await _standing(database)
            if refused:
                assert after == before, action
            _allowed(before, after, now, action)
            before = after
    finally:
        await database.close()


async def _act(
    database: Database, configured: Settings, team: list[uuid.UUID], action: tuple[Any, ...], now: datetime
) -> bool:
    what = action[0]
    conversation = await value(database, "SELECT conversation_id FROM handoff LIMIT 1")
    async with database.session() as session:
        desk = Desk(session, database.vault, configured, now)
        if what in ("asks", "cries"):
            ctx = await _context(session, database, configured, conversation, now)
            await journey.record(ctx, "asked" if what == "asks" else "cue:suicidal", None if what == "asks" else "P0")
        elif what == "writes":
            await desk.heard(conversation, OFFICE)
        elif what == "look":
            await session.execute(text("UPDATE handoff SET look_at = '2020-01-01' WHERE look_at IS NOT NULL"))
            await session.commit()
            await Watch(database, configured).work(conversation)
        elif what != "hours":
            newest = "SELECT reference FROM handoff ORDER BY id DESC LIMIT 1"
            reference = str(await value(database, newest))
            more: list[Any] = ["du texte"] if what in ("reply", "note") else []
            try:
                await getattr(desk, what)(reference, *(team[one] for one in action[1:]), *more)
            except HandoffError:
                await session.rollback()
                return True
        await session.commit()
    return False


async def _context(session: Any, database: Database, configured: Settings, conversation: int, now: datetime) -> Context:
    row = (
        await session.execute(
            text("SELECT p.id, p.key, c.owner_id FROM conversation c JOIN person p ON p.id = c.person_id WHERE c.id = :c")
            .columns(owner_id=Conversation.owner_id.type),
            {"c": conversation},
        )
    ).one()  # fmt: skip
    event = await session.scalar(
        text(
            "INSERT INTO inbox (channel, external_digest, conversation_id, kind, status)"
            " VALUES ('web', :d, :c, 'text', 'done') RETURNING id"
        ),
        {"d": uuid.uuid4().bytes, "c": conversation},
    )
    return Context(
        session,
        database.vault,
        configured,
        now,
        event,
        row.id,
        row.key,
        conversation,
        "web",
        "fr",
        owner_id=row.owner_id,
    )


async def _standing(database: Database) -> tuple[Any, list[Any], int]:
    """Who has the conversation, how each handoff stands, how much is written down."""
    [owner] = [row.owner_id for row in await rows(database, "SELECT c.owner_id FROM conversation c JOIN handoff h ON h.conversation_id = c.id LIMIT 1")]  # fmt: skip
    handoffs_ = await rows(
        database, "SELECT id, status, owner_id, released_at, look_at IS NULL AS quiet FROM handoff ORDER BY id"
    )
    return owner, handoffs_, int(await value(database, "SELECT count(*) FROM handoff_entry"))


def _allowed(before: tuple[Any, list[Any], int], after: tuple[Any, list[Any], int], now: datetime, action: Any) -> None:
    owner, standing, written = after
    assert {row.owner_id for row in standing if row.status == "taken"} == ({owner} if owner is not None else set()), (
        action
    )
    assert all(row.owner_id is None for row in standing if row.status != "taken"), action
    assert not (owner is not None and any(row.status == "waiting" for row in standing)), action
    assert all(not row.quiet for row in standing if row.status == "waiting"), action  # somebody will be told of it
    assert written >= before[2]
    was = {row.id: row for row in before[1]}
    assert was.keys() <= {row.id for row in standing}
    for row in standing:
        old = was.get(row.id)
        if old is None:
            assert row.status in ("waiting", "taken")
        elif old.status != row.status:
            assert row.status in STEPS[old.status], action
            assert written > before[2] or row.status == "taken"
            if old.status == "released":
                assert now - old.released_at <= timedelta(hours=72), action
