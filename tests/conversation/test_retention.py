"""What is kept long enough goes, class by class: before its time nothing, after it all of it, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from sqlalchemy import text

from bot.conversation import people, retention
from bot.conversation.retention import Retention
from bot.db.session import Database
from bot.journeys import rights
from bot.settings import ROOT, Settings
from tests.conversation.conftest import rows, value

NOW = datetime(2027, 3, 15, 4, 0, tzinfo=UTC)
CANARY = "Zebulon Kanari"


@pytest.fixture
async def known(database: Database) -> people.Known:
    """Somebody with a conversation, heard today."""
    someone = await people.begin(database, "web", "somebody")
    await change(database, "UPDATE address SET last_heard_at = :now", now=NOW)
    return someone


@pytest.fixture
def keeper(database: Database, settings: Settings) -> Retention:
    """Lets go, with the settings that nobody set."""
    return Retention(database, settings)


async def change(database: Database, statement: str, **values: Any) -> Any:
    """Run this; the single value that it returns, if it does."""
    async with database.session() as session:
        result: Any = await session.execute(text(statement), values)
        found = result.scalar() if result.returns_rows else None
        await session.commit()
        return found


def ago(**span: float) -> datetime:
    """So long before the run."""
    return NOW - timedelta(**span)


async def heard(database: Database, known: people.Known, at: datetime, kind: str = "text") -> int:
    """An event of this conversation, done at that time, as a channel brought it."""
    content = {"text": CANARY, "press": "", "details": {"client_id": "c1", "aliases": ["+212612345678"]}, "id": "m1"}
    inbox_id: int = await change(
        database,
        "INSERT INTO inbox (channel, external_digest, conversation_id, kind, content_sealed, status, received_at, done_at)"
        " VALUES ('web', decode(md5(random()::text), 'hex'), :c, :k, :s, 'done', :at, :at) RETURNING id",
        c=known.conversation_id, k=kind, s=database.vault.seal(known.key, content), at=at,
    )  # fmt: skip
    return inbox_id


async def said(database: Database, known: people.Known, at: datetime, status: str = "sent") -> int:
    """A message to this conversation."""
    outbox_id: int = await change(
        database,
        "INSERT INTO outbox (conversation_id, seq, content_sealed, status, created_at)"
        " VALUES (:c, 1, :s, :status, :at) RETURNING id",
        c=known.conversation_id, s=database.vault.seal(known.key, {"text": CANARY}), status=status, at=at,
    )  # fmt: skip
    return outbox_id


async def handed_over(database: Database, known: people.Known, status: str, released: datetime | None = None) -> int:
    """A handoff of this conversation."""
    handoff_id: int = await change(
        database,
        "INSERT INTO handoff (reference, person_id, conversation_id, reason, priority, status, released_at, created_at)"
        " SELECT 'H-' || substr(md5(random()::text), 1, 5), person_id, id, 'asked', 'P2', :status, :at, '2026-01-01'"
        " FROM conversation WHERE id = :c RETURNING id",
        c=known.conversation_id, status=status, at=released,
    )  # fmt: skip
    return handoff_id


async def content(database: Database, known: people.Known, inbox_id: int) -> Mapping[str, Any] | None:
    """What is left of an event."""
    sealed = await value(database, "SELECT content_sealed FROM inbox WHERE id = :id", id=inbox_id)
    return database.vault.open(known.key, bytes(sealed)) if sealed is not None else None


async def test_raw_payloads(database: Database, known: people.Known, keeper: Retention) -> None:
    """After 7 days the words stay and what the platform sent with them is gone; of other events nothing stays."""
    young, old = await heard(database, known, ago(days=6.9)), await heard(database, known, ago(days=7.1))
    identity = await heard(database, known, ago(days=7.1), "identity")
    waiting = await heard(database, known, ago(days=8))
    await change(database, "UPDATE inbox SET status = 'pending', done_at = NULL WHERE id = :id", id=waiting)
    counts = await keeper.run(NOW)
    assert counts == {"payloads of words": 1, "payloads": 1}
    assert "aliases" in str(await content(database, known, young))
    assert await content(database, known, old) == {"text": CANARY, "press": "", "details": {"client_id": "c1"}}
    assert await content(database, known, identity) is None
    assert "aliases" in str(await content(database, known, waiting))
    assert await keeper.run(NOW) == {}


async def test_what_nobody_can_read_goes(database: Database, known: people.Known, keeper: Retention) -> None:
    """A payload whose key is gone does not stop the others."""
    broken, old = await heard(database, known, ago(days=8)), await heard(database, known, ago(days=8))
    await change(database, "UPDATE inbox SET content_sealed = '\\x00' WHERE id = :id", id=broken)
    await keeper.run(NOW)
    assert await content(database, known, broken) is None
    assert await content(database, known, old) is not None


async def test_words_of_a_conversation(database: Database, known: people.Known, keeper: Retention) -> None:
    """After 90 days what was heard and said is gone; that it came once stays known."""
    kept, gone = await heard(database, known, ago(days=89.9)), await heard(database, known, ago(days=90.1))
    to_stay, to_go = await said(database, known, ago(days=89.9)), await said(database, known, ago(days=90.1))
    held = await said(database, known, ago(days=91), "held")
    queued = await said(database, known, ago(days=91), "queued")
    counts = await keeper.run(NOW)
    assert counts["heard"] == 1 and counts["said"] == 2
    assert await content(database, known, kept) is not None and await content(database, known, gone) is None
    assert {row.id for row in await rows(database, "SELECT id FROM outbox")} == {to_stay, queued}
    assert to_go != held
    assert await value(database, "SELECT count(*) FROM inbox") == 2
    assert await keeper.run(NOW) == {}


@pytest.mark.parametrize(("status", "released", "stays"), [
    ("taken", None, True), ("waiting", None, True), ("released", 89, True), ("released", 91, False),
])  # fmt: skip
async def test_words_that_the_team_needs(
    database: Database, known: people.Known, keeper: Retention, status: str, released: int | None, stays: bool
) -> None:
    """While somebody of the team has the conversation its words stay, and 90 days from then on."""
    inbox_id, outbox_id = await heard(database, known, ago(days=200)), await said(database, known, ago(days=200))
    await handed_over(database, known, status, ago(days=released) if released else None)
    await keeper.run(NOW)
    assert (await content(database, known, inbox_id) is not None) is stays
    assert (await value(database, "SELECT count(*) FROM outbox WHERE id = :id", id=outbox_id) == 1) is stays
    assert (await value(database, "SELECT count(*) FROM handoff") == 1) is stays


async def test_notes_and_copies_of_the_team(database: Database, known: people.Known, keeper: Retention) -> None:
    """Copies in the team's chats go 7 days after the release, notes and the handoff after 90."""
    desk = await people.begin(database, "telegram", "desk")
    copies = {}
    for released in (6, 8, 91):
        handoff_id = await handed_over(database, known, "released", ago(days=released))
        copies[released] = await said(database, desk, ago(days=released))
        await change(
            database,
            "INSERT INTO handoff_entry (handoff_id, what, outbox_id, note_sealed) VALUES (:h, 'shown', :o, NULL),"
            " (:h, 'noted', NULL, :n)",
            h=handoff_id, o=copies[released], n=database.vault.seal(known.key, {"text": CANARY}),
        )  # fmt: skip
    await keeper.run(NOW)
    assert [row.id for row in await rows(database, "SELECT id FROM outbox")] == [copies[6]]
    assert await value(database, "SELECT count(*) FROM handoff_entry WHERE note_sealed IS NOT NULL") == 2
    assert await value(database, "SELECT count(*) FROM handoff") == 2


async def test_buttons(database: Database, known: people.Known, keeper: Retention) -> None:
    """A button goes when it means nothing any more."""
    for name, at in (("old", ago(days=7.1)), ("young", ago(days=6.9))):
        await change(
            database,
            "INSERT INTO issued_button (id, conversation_id, position, title, action, expires_at, created_at)"
            " VALUES (:id, :c, 1, 'Yes', '{}', :until, :at)",
            id=name, c=known.conversation_id, until=at + timedelta(days=7), at=at,
        )  # fmt: skip
    await keeper.run(NOW)
    assert [row.id for row in await rows(database, "SELECT id FROM issued_button")] == ["young"]


async def test_rasas_memory(database: Database, known: people.Known, keeper: Retention) -> None:
    """7 days after the last turn; with a form in progress 90, and the form with it. What belongs to nobody goes too."""
    await change(database, "UPDATE conversation SET rasa_id = 'mine', form = 'first_contact'")
    for name, days in (("mine", 89), ("nobody's", 8), ("of another", 6)):
        await change(
            database,
            "INSERT INTO rasa_tracker (conversation, events, updated_at) VALUES (:n, '', :at)",
            n=name, at=ago(days=days),
        )  # fmt: skip
    left = "SELECT conversation AS name FROM rasa_tracker ORDER BY 1"
    await keeper.run(NOW)
    assert [row.name for row in await rows(database, left)] == ["mine", "of another"]
    assert await value(database, "SELECT form FROM conversation") == "first_contact"
    await keeper.run(NOW + timedelta(days=2))
    assert [row.name for row in await rows(database, left)] == []
    assert await value(database, "SELECT form FROM conversation") is None


async def test_requests_and_events_that_are_over(database: Database, known: people.Known, keeper: Retention) -> None:
    """90 days after it was closed or withdrawn a request goes; an open one stays. So with events that were told."""
    sealed = database.vault.seal(known.key, {"name": CANARY})
    for number, (status, days) in enumerate([("closed", 91), ("closed", 89), ("withdrawn", 91), ("open", 400)]):
        await change(
            database,
            "INSERT INTO request (reference, person_id, priority, answers_sealed, status, updated_at)"
            " SELECT :r, person_id, 'P2', :s, :status, :at FROM conversation",
            r=f"AV-222{number}", s=sealed, status=status, at=ago(days=days),
        )  # fmt: skip
    for status, days in (("delivered", 91), ("delivered", 89), ("overtaken", 91), ("dead", 91), ("queued", 91)):
        await change(
            database,
            "INSERT INTO case_event (key, type, payload, status, created_at, delivered_at)"
            " VALUES (:k, 'request.created', '{}', :status, :at, :delivered)",
            k=f"{status}{days}", status=status, at=ago(days=days),
            delivered=ago(days=days) if status == "delivered" else None,
        )  # fmt: skip
    await keeper.run(NOW)
    assert {row.reference for row in await rows(database, "SELECT reference FROM request")} == {"AV-2221", "AV-2223"}
    assert {row.key for row in await rows(database, "SELECT key FROM case_event")} == {
        "delivered89", "dead91", "queued91"}  # fmt: skip


async def test_suggestions(database: Database, known: people.Known, keeper: Retention) -> None:
    """Words that their writer left for learning stay until that is taken back; the others' meaning goes."""
    for inbox_id, (sealed, days) in enumerate([(None, 91), (None, 89), (database.vault.seal(known.key, {}), 400)]):
        await change(
            database,
            "INSERT INTO suggestion (person_id, inbox_id, language, label, offered, text_sealed, created_at)"
            " SELECT person_id, :i, 'fr', 'is_it_free', '[]', :s, :at FROM conversation",
            i=inbox_id, s=sealed, at=ago(days=days),
        )  # fmt: skip
    await keeper.run(NOW)
    assert {row.inbox_id for row in await rows(database, "SELECT inbox_id FROM suggestion")} == {1, 2}


async def test_media(database: Database, known: people.Known, keeper: Retention, settings: Settings) -> None:
    """A picture goes on the day that was written down with it: 30 days after it came."""
    assert settings.rafiq_media_days == 30
    for days in (29, 31):
        await change(
            database,
            "INSERT INTO media (person_id, conversation_id, kind, details_sealed, created_at, expires_at)"
            " SELECT person_id, id, 'photo', '', :at, :until FROM conversation",
            at=ago(days=days), until=ago(days=days - 30),
        )  # fmt: skip
    await keeper.run(NOW)
    assert await value(database, "SELECT created_at FROM media") == ago(days=29)


async def enrolled(database: Database, known: people.Known, status: str, at: datetime) -> int:
    """Check-ins of this person: one with a number that was typed, one that nobody answered."""
    enrolment_id: int = await change(
        database,
        "INSERT INTO enrolment (reference, person_id, conversation_id, status, returned_on, zone, updated_at)"
        " SELECT 'CK-' || substr(md5(random()::text), 1, 5), person_id, id, :status, '2026-01-01', 'Africa/Dakar', :at"
        " FROM conversation WHERE id = :c RETURNING id",
        c=known.conversation_id, status=status, at=at,
    )  # fmt: skip
    answers = database.vault.seal(known.key, {"E1": "always", "F1": "yes", "phone": "+212612345678"})
    for round_, sealed in (("week2", answers), ("month1", None)):
        await change(
            database,
            "INSERT INTO checkin (enrolment_id, person_id, round, form, status, answers_sealed, updated_at)"
            " SELECT :e, person_id, :r, 'short', 'completed', :s, :at FROM conversation WHERE id = :c",
            e=enrolment_id, r=round_, s=sealed, at=at, c=known.conversation_id,
        )  # fmt: skip
    return enrolment_id


async def test_checkins_lose_their_name(database: Database, known: people.Known, keeper: Retention) -> None:
    """90 days after the last check-in the choices stay under a random number, what was typed goes; 24 months at most."""
    await enrolled(database, known, "ended", ago(days=89))
    assert await keeper.run(NOW) == {}
    late = NOW + timedelta(days=2)
    assert await keeper.run(late) == {"check-ins without a name": 1}
    assert await value(database, "SELECT count(*) FROM enrolment") == 0
    assert await value(database, "SELECT count(*) FROM checkin") == 0
    left = await rows(database, "SELECT to_jsonb(v) AS it FROM checkin_value v ORDER BY question")
    assert [(row.it["round"], row.it["question"], row.it["answer"], row.it["month"]) for row in left] == [
        ("week2", "E1", "always", "2026-12-01"),
        ("week2", "F1", "yes", "2026-12-01"),
    ]
    assert len({row.it["series"] for row in left}) == 1
    assert set(left[0].it) == {"id", "series", "round", "question", "answer", "month"}
    assert await keeper.run(datetime(2028, 11, 30, tzinfo=UTC)) == {}
    assert (await keeper.run(datetime(2028, 12, 2, tzinfo=UTC)))["check-in values"] == 2


async def test_checkins_that_go_on(database: Database, known: people.Known, keeper: Retention) -> None:
    """While somebody is asked, their answers stay with them, for 24 months; who said no is not asked again."""
    enrolment_id = await enrolled(database, known, "active", ago(days=700))
    assert await keeper.run(NOW) == {}
    assert await keeper.run(NOW + timedelta(days=60)) == {"check-in answers": 1}
    await change(database, "UPDATE enrolment SET status = 'declined' WHERE id = :id", id=enrolment_id)
    assert (await keeper.run(NOW + timedelta(days=60)))["check-ins of who said no"] == 2
    assert await value(database, "SELECT status FROM enrolment") == "declined"


async def test_silent_people(database: Database, known: people.Known, keeper: Retention) -> None:
    """After 24 months of silence a person goes with all that hangs on them, unless something is open for them."""
    await change(database, "UPDATE person SET created_at = :at", at=ago(days=1000))
    await heard(database, known, ago(days=735))
    await change(database, "UPDATE address SET last_heard_at = :at", at=ago(days=725))
    assert "silent people" not in await keeper.run(NOW)
    await change(database, "UPDATE address SET last_heard_at = :at", at=ago(days=735))
    handoff_id = await handed_over(database, known, "waiting")
    assert "silent people" not in await keeper.run(NOW)
    await change(database, "DELETE FROM handoff WHERE id = :id", id=handoff_id)
    assert (await keeper.run(NOW))["silent people"] == 1
    for table in ("person", "address", "conversation"):
        assert await value(database, f"SELECT count(*) FROM {table}") == 0
    assert await value(database, "SELECT count(*) FROM inbox WHERE content_sealed IS NULL") == 1


async def test_in_batches_and_past_what_is_worked_on(
    database: Database, known: people.Known, keeper: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many go in several transactions; a row that somebody holds is left for the next run, and nobody waits."""
    monkeypatch.setattr(retention, "BATCH", 2)
    ids = [await said(database, known, ago(days=91)) for _ in range(5)]
    async with database.session() as session:
        await session.execute(text("SELECT 1 FROM outbox WHERE id = :id FOR UPDATE"), {"id": ids[0]})
        assert await keeper.run(NOW) == {"said": 4}
    assert await keeper.run(NOW) == {"said": 1}


async def test_once_a_day(database: Database, known: people.Known, keeper: Retention) -> None:
    """One process a day does it, and what it did stands in the log, in numbers."""
    await said(database, known, ago(days=91))
    with structlog.testing.capture_logs() as logged:
        assert await keeper.daily(NOW)
        assert not await keeper.daily(NOW + timedelta(hours=2))
    assert [{**line, "event": ""} for line in logged] == [{"event": "", "log_level": "info", "said": 1}]
    assert await keeper.daily(NOW + timedelta(days=1))


async def test_every_table_has_its_time(database: Database) -> None:
    """By the database's own catalogue: whatever holds something of a person has a class, and the page says it."""
    personal = {
        row.name
        for row in await rows(
            database,
            "SELECT DISTINCT table_name AS name FROM information_schema.columns WHERE table_schema = 'public' AND "
            "(column_name LIKE '%\\_sealed' OR column_name IN ('person_id', 'conversation_id', 'handoff_id'))",
        )
    }
    team = {"staff_member", "staff_login"}  # the team's own accounts
    assert personal - team <= retention.KEPT.keys()
    assert retention.KEPT.keys() >= rights.ERASED
    assert retention.KEPT.keys() <= rights.ERASED | rights.KEPT.keys()
    page = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`([a-z_]+)`", page))
    assert retention.KEPT.keys() <= told
    assert {f"`{setting}`" for setting in retention.CLASSES.values()} <= set(re.findall(r"`[A-Z_]+`", page))
