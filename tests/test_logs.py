"""Logs hold names and numbers of ours, never what people write, who they are, or what opens a door."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from bot import supervisor
from bot.channels.telegram import SECRET_HEADER, WEBHOOK_PATH
from bot.db.encryption import Vault
from bot.db.session import Database, connect
from bot.settings import Settings, load
from bot.supervisor import Stack
from bot.training import Models
from tests.conversation.conftest import until, value
from tests.journeys.talk import Talk
from tests.journeys.test_first_contact import title
from tests.simulators import whatsapp
from tests.simulators.telegram import Person, TelegramServer

TOKEN = "778899001:AAHcanaryToken-canaryToken-canaryTok"
NUMBER = "212687654321"
APP_SECRET = "canary-secret-of-the-app"
SECRET = "canary-secret-of-the-webhook"
NAME = "Zaynabcanary Quzmatcanary"
PHONE = "06 12 34 98 76"
SAID = "canarysaid je répare des vélos rouges"
QUESTION = "est-ce que c'est gratuit canaryasked ?"
MADE_UP = "canarybutton-AAAA"


@dataclass
class Running:
    """Everything that `rafiq run` starts, at DEBUG, with Telegram connected; what it said meanwhile."""

    stack: Stack
    settings: Settings
    telegram: TelegramServer
    whatsapp: whatsapp.WhatsAppServer
    database: Database
    said: list[str]

    def written(self) -> dict[str, str]:
        """Everything that was written for operators: file → content."""
        folder = self.settings.rafiq_var
        files = [
            *(folder / "log").iterdir(),
            *(folder / "postgres").rglob("*log*"),
            *(folder / "postgres").glob("*.log"),
        ]
        contents = {
            str(file.relative_to(folder)): file.read_text(encoding="utf-8", errors="replace")
            for file in files
            if file.is_file() and "pg_wal" not in file.parts and "pg_xact" not in file.parts
        }
        return {**contents, "what `rafiq run` says": "\n".join(self.said)}

    def kept(self) -> list[str]:
        """The secrets that were made at the first start, as text and as they are sent."""
        folder = self.settings.rafiq_var
        return [
            *((folder / name).read_text().strip() for name in ("master.key", "local.token", "case.secret")),
            self.settings.local_token,
            *(secret.removeprefix("whsec_") for secret in self.settings.case_secrets),
        ]


@pytest.fixture(scope="module")
def debugging(tmp_path_factory: pytest.TempPathFactory, models: Models) -> Iterator[Path]:
    """The environment of an operator who wants to see everything, also from other people's libraries."""
    folder = tmp_path_factory.mktemp("debugging")
    (folder / "models").symlink_to(models.rasa.parent)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LOG_LEVEL", "LOG_LEVEL_LIBRARIES", "RAFIQ_LOG_LEVEL"):
            patch.setenv(name, "DEBUG")
        patch.setenv("RAFIQ_VAR", str(folder))
        patch.setenv("TELEGRAM_TOKEN", TOKEN)
        patch.setenv("TELEGRAM_WEBHOOK_SECRET", SECRET)
        patch.setenv("WHATSAPP_TOKEN", whatsapp.TOKEN)
        patch.setenv("WHATSAPP_PHONE_NUMBER_ID", whatsapp.PHONE_NUMBER_ID)
        patch.setenv("WHATSAPP_APP_SECRET", APP_SECRET)
        patch.setenv("WHATSAPP_VERIFY_TOKEN", "canarywords of our own")
        yield folder


@pytest.fixture(scope="module")
async def running(debugging: Path) -> AsyncIterator[Running]:
    """The whole program, stopped at the end."""
    said: list[str] = []
    async with TelegramServer() as telegram, whatsapp.WhatsAppServer() as meta:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TELEGRAM_API_URL", telegram.url)
            patch.setenv("WHATSAPP_API_URL", meta.url)
            settings = load(None)
            async with supervisor.own_stack(settings, said.append, ("rasa", "service", "receiver")) as stack:
                meta.webhook, meta.secret = f"{stack.settings.own_url}/whatsapp/webhook", APP_SECRET
                database = connect(stack.database_url, Vault(settings.master_key), 2)
                yield Running(stack, stack.settings, telegram, meta, database, said)
                await database.close()


async def request(talk: Talk) -> str:
    """A whole first contact, with all that a person may say in it; the reference at the end."""
    await talk.say("je veux rentrer dans mon pays, aidez-moi")
    await talk.press(title("first_contact.consent.yes", "fr"))
    await talk.say(QUESTION)
    await talk.press(title("first_contact.direction.from_morocco", "fr"))
    await talk.press(title("first_contact.age_group.adult", "fr"))
    await talk.say(NAME)
    await talk.say("12 canaryphone")
    await talk.say(PHONE)
    await talk.press(title("first_contact.call_time.any", "fr"))
    await talk.press(title("first_contact.call_message.no", "fr"))
    await talk.press(title("first_contact.more.yes", "fr"))
    await talk.say("Guinée")
    await talk.say("Canaryville")
    await talk.press(title("choice.skip", "fr"))
    await talk.press(title("first_contact.travel_document.no", "fr"))
    await talk.press(title("choice.skip", "fr"))
    await talk.say(SAID)
    return await talk.press(title("first_contact.review.send", "fr"))


async def test_no_log_tells_who_wrote_what(running: Running) -> None:
    """Canaries through a request, a handoff, failures and forgeries, at DEBUG: none is in any log."""
    talk = Talk(running.settings, user="canaryuser-4711")
    assert re.search(r"AV-[2-9A-Z]{4}", await request(talk))
    await talk.say("je veux parler à une personne canaryhandoff")
    await talk._turn("press", MADE_UP)
    person_id = await on_telegram(running)
    await on_whatsapp(running)
    await forge(running)
    await lose_rasa(running, talk)
    await lose_the_database(running, talk)
    await talk.say("efface mes données")
    await talk.press(title("button.delete_yes", "fr"))

    written = running.written()
    assert {"log/service.log", "log/rasa.log", "log/case-receiver.log"} <= written.keys()
    assert "level=debug" in written["log/service.log"] or "DEBUG" in written["log/service.log"]  # it was at DEBUG
    canaries = [
        "canary",
        "Canary",
        "612349876",
        "612 34 98 76",
        "34 98 76",
        "vélos rouges",
        person_id,
        NUMBER,
        NUMBER[3:],
        *running.kept(),
    ]
    found = {
        (where, canary): [line[:300] for line in content.splitlines() if canary in line][:3]
        for where, content in written.items()
        for canary in canaries
        if canary in content
    }
    assert found == {}
    receiver = running.settings.rafiq_var / "case-receiver"
    stored = "".join(file.read_text(errors="replace") for file in receiver.rglob("*") if file.is_file())
    assert "AV-" in stored
    assert [canary for canary in canaries if canary in stored] == []


async def on_telegram(running: Running) -> str:
    """Somebody asks over Telegram; sending fails in every way; blocked at the end. Their id."""
    person = Person(running.telegram, TOKEN, name="Canaryfirst")
    for status, description in ((500, "canaryfailure"), (429, "canaryslow"), (400, "canaryrefused")):
        body = {"ok": False, "error_code": status, "description": description, "parameters": {"retry_after": 1}}
        await running.telegram.fail("sendMessage", status, body)
    await running.telegram.fail("getUpdates", 502, {})
    await person.send_text(QUESTION)
    await person.send_text("je veux parler à une personne canarytelegram")
    await person.edit(3, "canaryedited")
    await person.send(voice={"file_id": "canaryfile"}, caption="canarycaption")
    await person.press(MADE_UP)
    await running.telegram.update(TOKEN, {"message": {"chat": "canaryunreadable"}})
    await person.block()
    await until(
        lambda: value(running.database, "SELECT count(*) FROM inbox WHERE kind = 'blocked' AND status = 'done'"), 40
    )
    return str(person.id)


async def on_whatsapp(running: Running) -> None:
    """A whole conversation over WhatsApp, by number and by id, with files, failures, statuses and forgeries."""
    meta, database = running.whatsapp, running.database
    person = whatsapp.Person(meta, number=NUMBER, user_id="MA.canaryuserid", name="Canaryname")
    begun = await value(database, "SELECT count(*) FROM inbox")
    for code in (131000, 131056, 100, 131047):
        meta.fail(code)
    meta.lose_answers()
    await person.send_text(QUESTION)
    await person.send_text("je veux parler à une personne canarywhatsapp")
    original = await person.send_text("canaryoriginal c'est gratuit ?")
    edited = {"original_message_id": original, "message": {"type": "text", "text": {"body": "canaryedited"}}}
    await person.send("edit", edited)
    await person.send("revoke", {"original_message_id": original})
    await person.send_file("audio", b"OggS canaryvoice", "audio/ogg", voice=True, filename="canaryfile.ogg")
    await person.send_file("image", b"canary, no picture", "image/jpeg", caption="canarycaption")
    await person.send("contacts", [{"name": {"formatted_name": "Canarycontact"}, "phones": [{"wa_id": NUMBER}]}])
    await person.send("canarykind", {"body": "canarybody"})
    await person.press(MADE_UP)
    changed = {"type": "user_changed_number", "wa_id": NUMBER[:-1] + "9", "body": "canarychanged"}
    await person.send("system", changed)
    await meta.report("wamid.canary", "failed", NUMBER, errors=[{"code": 131026, "title": "canary to " + NUMBER}])
    for signature in (None, "sha256=" + "0" * 64, "canarysignature"):
        for body in (b'{"canary', b'{"object": "canary"}', b"canary" * 1_000_000):
            await meta.post(body, signature)
    async with httpx.AsyncClient(base_url=running.settings.own_url, trust_env=False, timeout=20) as client:
        asked = {"hub.mode": "subscribe", "hub.verify_token": "canaryguess", "hub.challenge": "canarychallenge"}
        assert (await client.get("/whatsapp/webhook", params=asked)).status_code == 403
    await until(lambda: value(database, "SELECT count(*) >= :n + 10 FROM inbox", n=begun), 40)
    await until(lambda: value(database, "SELECT count(*) = 0 FROM inbox WHERE status IN ('pending', 'waiting')"), 40)


async def forge(running: Running) -> None:
    """Requests that are refused, with canaries in bodies, headers and addresses."""
    async with httpx.AsyncClient(base_url=running.settings.own_url, trust_env=False, timeout=20) as client:
        for headers in ({}, {SECRET_HEADER: "canaryforged"}, {SECRET_HEADER: SECRET}):
            for body in (b'{"canary', b'{"update_id": 1, "message": {"text": "canary"}}', b"canary" * 1_000_000):
                await client.post(WEBHOOK_PATH, content=body, headers=headers)
        unread = b'{"id": "canarycanary", "user": "canary", "text": "canary \\ud83d \\u0000"}'
        for path in ("/chat/messages", "/terminal/turns", "/rasa/actions", "/canarypath", "/?canary=1"):
            for token in ("canarytoken", running.settings.local_token):
                sent = {"authorization": f"Bearer {token}", "cookie": f"rafiq_chat={'canarycookie':-<40}"}
                for body in (b'{"canary', unread):
                    await client.post(path, content=body, headers=sent)
                    await client.get(path, headers=sent, params={"after": "canary"})


async def lose_rasa(running: Running, talk: Talk) -> None:
    """Rasa dies under a message and is started again."""
    child = next(child for child in running.stack.children if child.name == "rasa")
    assert child.process is not None
    child.process.kill()
    await talk.say("canarywithout rasa, combien d'argent vous donnez ?")
    ready = f"{running.settings.own_url}/ready"
    deadline = time.monotonic() + 180
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        while (await client.get(ready)).status_code != 200:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
    await until(
        lambda: value(running.database, "SELECT count(*) = 0 FROM inbox WHERE status IN ('pending', 'waiting')"), 40
    )


async def lose_the_database(running: Running, talk: Talk) -> None:
    """Statements fail with what was said among their parameters; then every connection is cut."""
    async with running.database.session() as session:
        await session.execute(text("ALTER TABLE outbox RENAME TO outbox_away"))
        await session.execute(text("ALTER TABLE issued_button RENAME TO issued_button_away"))
        await session.commit()
    with pytest.raises(httpx.HTTPStatusError):
        await talk._turn("press", MADE_UP)
    async with running.database.session() as session:
        await session.execute(text("ALTER TABLE outbox_away RENAME TO outbox"))
        await session.commit()
    broken = asyncio.create_task(talk.say("canarybroken c'est gratuit ?"))  # accepted, then its turn fails
    await asyncio.sleep(2)
    async with running.database.session() as session:
        await session.execute(text("ALTER TABLE issued_button_away RENAME TO issued_button"))
        await session.commit()
    await asyncio.gather(broken, return_exceptions=True)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    async with running.database.session() as session:
        await session.execute(text(cut))
    for _ in range(3):  # a pooled connection that was cut is found out by its next use
        await asyncio.gather(talk.say("canarycut bonjour"), return_exceptions=True)
    await until(
        lambda: value(running.database, "SELECT count(*) = 0 FROM inbox WHERE status IN ('pending', 'waiting')"), 40
    )


QUIET = ("httpx", "httpcore", "telegram", "sqlalchemy.engine", "psycopg", "asyncio", "rasa_sdk", "uvicorn.access")


def test_other_libraries_are_told_to_be_quiet() -> None:
    """At DEBUG too: what they log at INFO holds addresses, at DEBUG texts and SQL parameters."""
    program = (
        "import logging; from bot import logs; logs.configure('DEBUG');"
        f"print([name for name in {QUIET} if logging.getLogger(name).isEnabledFor(logging.INFO)])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_traceback_repeats_nobody() -> None:
    """Where it happened and what kind it was, of every error in the chain; what an error says may be a person's words."""
    program = """
import asyncio, logging
from bot import logs
logs.configure('INFO')
def ours():
    try:
        int('canaryfirst')
    except ValueError as error:
        raise KeyError('canarysecond') from error
try:
    ours()
except KeyError as error:
    logging.getLogger('uvicorn.error').error('Exception in ASGI application', exc_info=error)
async def lost():
    task = asyncio.ensure_future(fails())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
async def fails():
    raise RuntimeError('canarythird')
asyncio.run(lost())
import gc; gc.collect()
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "canary" not in run.stderr.replace("int('canaryfirst')", "").replace("KeyError('canarysecond')", "").replace(
        "RuntimeError('canarythird')", ""
    )
    for told in ("ValueError\n", "KeyError\n", "RuntimeError\n", "in ours", "never retrieved"):
        assert told in run.stderr
