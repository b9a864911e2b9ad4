"""The audit: added to only, chained, verified."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from bot import cli, i18n, texts
from bot import settings as configuration
from bot.console import accounts, audit
from bot.db.session import Database
from bot.messages import LANGUAGES
from bot.settings import Settings
from tests.console.conftest import PASSWORD, Team, change

TAMPER = "SET LOCAL session_replication_role = replica"  # what only a superuser of PostgreSQL can do


async def verdict(database: Database, known: str = "") -> audit.Verdict:
    """What a look at the chain gives."""
    async with database.session() as session:
        return await audit.verify(session, database.vault, known)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit SET action = 'nothing'", "DELETE FROM audit", "TRUNCATE audit", "DELETE FROM audit WHERE id = 0"],
)
async def test_rows_are_never_changed(team: Team, database: Database, statement: str) -> None:
    """PostgreSQL itself refuses."""
    await team.at_work()
    with pytest.raises(DBAPIError, match="added to only"):
        await change(database, statement)
    assert (await verdict(database)).rows == 2  # enrolled, signed in


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE audit SET target = 'H-OTHER' WHERE id = 2", 2),
        ("UPDATE audit SET at = at + interval '1 second' WHERE id = 3", 3),
        ('UPDATE audit SET detail = \'{"role": "counsellor"}\' WHERE id = 1', 1),
        ("UPDATE audit SET staff_id = NULL WHERE id = 2", 2),
        ("UPDATE audit SET link = sha256('x') WHERE id = 2", 2),
        ("DELETE FROM audit WHERE id = 1", 1),
        ("DELETE FROM audit WHERE id = 2", 2),
        ("DELETE FROM audit WHERE id = 3; UPDATE audit SET id = 3 WHERE id = 4", 3),
        ("INSERT INTO audit SELECT 5, now(), NULL, 'login', '', '{}', sha256('x')", 5),
    ],
)
async def test_whoever_writes_around_us_is_found_out(
    team: Team, database: Database, statement: str, broken: int
) -> None:
    """A change, a row taken out, a row put in: the first one that does not fit is named."""
    await team.at_work("administrator")
    await team.at_work()
    assert (await verdict(database)) == audit.Verdict(4, (await verdict(database)).last)
    async with database.session() as session:
        await session.execute(text(TAMPER))
        for one in statement.split("; "):
            await session.execute(text(one))
        await session.commit()
    assert (await verdict(database)).broken == broken


async def test_rows_cut_off_the_end_are_missed_by_whoever_noted_the_link(team: Team, database: Database) -> None:
    """The chain alone fits; the link that was noted is gone."""
    await team.at_work()
    noted = (await verdict(database)).last
    assert (await verdict(database, noted)).found
    async with database.session() as session:
        await session.execute(text(TAMPER))
        await session.execute(text("DELETE FROM audit WHERE id = 2"))
        await session.commit()
    cut = await verdict(database, noted)
    assert cut.broken is None and not cut.found


async def test_the_page_looks_at_the_last_rows(team: Team, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service answers people meanwhile: the whole chain is for the command."""
    from bot.console import pages

    monkeypatch.setattr(pages, "VERIFIED", 2)
    boss = await team.at_work("supervisor")
    for _ in range(2):
        await boss.get("/console/handoffs/H-NONE")
    async with database.session() as session:
        await session.execute(text(TAMPER))
        await session.execute(text("UPDATE audit SET target = 'x' WHERE id = 1"))
        await session.commit()
        assert (await audit.verify(session, database.vault)).broken == 1
        assert (await audit.verify(session, database.vault, last=2)).broken is None
        await session.execute(text(TAMPER))
        await session.execute(text("UPDATE audit SET target = 'x' WHERE id = 4"))
        await session.commit()
    assert 'role="alert"' in (await boss.get("/console/audit")).text


async def test_an_action_and_its_row_are_both_there_or_neither(team: Team, database: Database) -> None:
    """A transaction that ends badly leaves no row, and the next one takes its number."""
    await team.member()
    async with database.session() as session:
        await audit.record(session, database.vault, None, "never")
        await session.rollback()
    await team.member()
    assert (await verdict(database)).rows == 2


async def test_the_command_verifies(
    database: Database, database_url: str, settings: Settings, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`rafiq staff add` makes the first administrator, `rafiq audit verify` says that all is whole, or not."""
    import asyncio

    key = settings.master_key
    given = settings.model_copy(update={"database_url": database_url})
    monkeypatch.setattr(Settings, "master_keys", property(lambda self: [key]))
    monkeypatch.setattr(configuration, "load", lambda: given)

    async def run(*words: str, typed: str = "") -> tuple[int, str]:
        result = await asyncio.to_thread(CliRunner().invoke, cli.app, list(words), input=typed)
        return result.exit_code, result.output

    adding = ("staff", "add", "Salma", "Boss@Example.org", "--role", "administrator", "--language", "ar")
    assert (await run(*adding, typed="short\nshort\n"))[0] != 0
    for wrong in ("boss@example.org, thief@example.org", "boss@example.org\r\nbcc:thief@example.org", "boss"):
        assert (await run("staff", "add", "Salma", wrong, typed=f"{PASSWORD}\n{PASSWORD}\n"))[0] != 0
    assert (await run("staff", "add", "Sal\u202ema", "s@example.org", typed=f"{PASSWORD}\n{PASSWORD}\n"))[0] != 0
    status, said = await run(*adding, typed=f"{PASSWORD}\n{PASSWORD}\n")
    assert status == 0 and "█" in said and PASSWORD not in said
    secret = said.split("or type in: ")[1].split()[0]
    enrolment = accounts.Enrolment(await _only_member(database), secret, "")
    browser = team.browser(enrolment, "boss@example.org")
    assert (await browser.login()).status_code == 303
    assert (await browser.get("/console/staff")).status_code == 200
    status, said = await run("audit", "verify")
    assert status == 0 and said.startswith("2 rows, whole. The last link: ")
    link = said.split()[-1]
    assert (await run("audit", "verify", "--link", link))[0] == 0
    assert (await run("audit", "verify", "--link", "00" * 32))[0] == 1
    assert "active" in (await run("staff", "list"))[1]
    assert (await run("staff", "link", "boss@example.org"))[1].startswith("/start staff-")
    async with database.session() as session:
        told = await session.scalar(text("SELECT target FROM audit WHERE action = 'staff.code'"))
    assert told == str(enrolment.staff_id)
    assert (await run("staff", "stop", "boss@example.org"))[0] == 0
    assert (await browser.get("/console/staff")).status_code == 303
    assert "not active" in (await run("staff", "list"))[1]
    assert (await run("staff", "renew", "boss@example.org", typed=f"{PASSWORD}\n{PASSWORD}\n"))[0] == 0
    assert (await browser.login()).status_code == 403  # with the old secret


def test_every_action_has_its_words() -> None:
    """Whatever any page, chat or command writes into the audit is read in three languages."""
    codes = texts.actions()
    assert {"login", "logout", "times.open", "export.refused", "chat.unlinked", "access.forged"} <= codes
    assert len(codes) > 60
    for code in codes:
        assert all(i18n.has(f"console.audit.did.{code}", language) for language in LANGUAGES), code


async def test_the_page_shows_words(team: Team) -> None:
    """Not the codes."""
    boss = await team.at_work("administrator")
    page = (await boss.get("/console/audit?lang=en")).text
    assert "Signed in" in page and ">login<" not in page


async def _only_member(database: Database) -> uuid.UUID:
    async with database.session() as session:
        return uuid.UUID(str(await session.scalar(text("SELECT id FROM staff_member"))))
