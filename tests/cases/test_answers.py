"""The case backend answers back: signed, once, forward only; a real PostgreSQL, real HTTP, and what people read."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest
import requests
import schemathesis
import uvicorn
from fastapi import FastAPI
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from bot import i18n
from bot.cases import answers
from bot.conversation.answers import router
from bot.db.models import Address, CaseAnswer, CaseEvent, Conversation, Handoff, Outbox, Person, Request
from bot.db.session import Database
from bot.journeys import first_contact, rights
from bot.journeys.context import Context
from bot.messages import LANGUAGES, Language
from bot.settings import ROOT, Settings
from tests.cases.test_events import FULL

SECRET = "whsec_" + "c2VjcmV0" * 5
OLD_SECRET = "whsec_" + "b2xkb2xk" * 5
OTHER_SECRET = "whsec_" + "b3RoZXJz" * 5
REF, HANDOFF = "AV-7K3Q", "H-7K3QX"
NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
INTERVIEW = {"at": "2036-11-24T10:30:00+00:00", "zone": "Africa/Casablanca", "mode": "phone"}
DOCUMENT = json.loads((answers.FOLDER / "openapi.json").read_text(encoding="utf-8"))


def answer(type_: str, when: datetime = NOW, /, **data: Any) -> dict[str, Any]:
    """An answer as a case backend writes it."""
    return {"schema": "rafiq-case-answer/1", "type": type_, "occurred_at": when.isoformat(), "data": data}


ANSWERS = {
    "request.acknowledged": answer("request.acknowledged", ref=REF),
    "interview.proposed": answer("interview.proposed", ref=REF, **INTERVIEW),
    "case.closed": answer("case.closed", ref=REF),
    "message.to_person": answer("message.to_person", ref=REF, text="Bonjour, pouvez-vous rappeler ?"),
    "return.recorded": answer("return.recorded", ref=REF, returned_on="2026-11-20", country="SN"),
}


def signed(body: bytes, secret: str = SECRET, answer_id: str | None = None, ago: float = 0) -> dict[str, str]:
    """The headers of a genuine answer, by the specification and not by our code."""
    answer_id, timestamp = answer_id or str(uuid.uuid4()), str(int(time.time() - ago))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{answer_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": answer_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


@dataclass
class Desk:
    """A case backend that answers, and a look at what became of it."""

    database: Database
    client: httpx.AsyncClient

    async def post(self, body: bytes, headers: dict[str, str]) -> httpx.Response:
        return await self.client.post(answers.PATH, content=body, headers=headers)

    async def say(self, content: Any, answer_id: str | None = None) -> httpx.Response:
        body = json.dumps(content).encode()
        return await self.post(body, signed(body, answer_id=answer_id))

    async def said(self) -> list[str]:
        """What the people were written, the oldest first."""
        async with self.database.session() as session:
            rows = await session.execute(
                select(Outbox.content_sealed, Person.key)
                .join(Conversation, Conversation.id == Outbox.conversation_id)
                .join(Person, Person.id == Conversation.person_id)
                .order_by(Outbox.id)
            )
            return [self.database.vault.open(row.key, row.content_sealed)["text"] for row in rows]

    async def request(self) -> Request:
        async with self.database.session() as session:
            found = await session.scalar(select(Request).where(Request.reference == REF))
        assert found is not None
        return found

    async def kept(self) -> list[str]:
        """The ids of the answers that are written down."""
        async with self.database.session() as session:
            return list(await session.scalars(select(CaseAnswer.id)))


@pytest.fixture
async def url(database: Database) -> AsyncIterator[str]:
    """The address, served over HTTP."""
    app = FastAPI(openapi_url=None)
    app.include_router(router(database, [SECRET, OLD_SECRET]))
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest.fixture
async def desk(database: Database, url: str) -> AsyncIterator[Desk]:
    """A person with a request and a handoff, and their case backend."""
    await person(database)
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        yield Desk(database, client)


async def person(database: Database, ref: str = REF, handoff: str = HANDOFF, language: Language = "fr") -> int:
    """Somebody with an open request and a waiting handoff; their id."""
    async with database.session() as session:
        someone = Person(key=database.vault.new_key(), language=language)
        session.add(someone)
        await session.flush()
        sealed = database.vault.seal(someone.key, "1")
        address = Address(person_id=someone.id, channel="web", digest=ref.encode(), address_sealed=sealed)
        session.add(address)
        await session.flush()
        thread = Conversation(address_id=address.id, person_id=someone.id, rasa_id=ref)
        session.add(thread)
        await session.flush()
        answers_ = database.vault.seal(someone.key, {"name": "Awa"})
        session.add(Request(reference=ref, person_id=someone.id, priority="P2", answers_sealed=answers_))
        session.add(
            Handoff(reference=handoff, person_id=someone.id, conversation_id=thread.id, reason="asked", priority="P2")
        )
        await session.commit()
        return someone.id


async def turn(database: Database, session: AsyncSession, settings: Settings) -> Context:
    """A turn of the first person."""
    someone, thread = (
        await session.execute(
            select(Person, Conversation.id).join(Conversation, Conversation.person_id == Person.id).limit(1)
        )
    ).one()
    return Context(
        session=session,
        vault=database.vault,
        settings=settings,
        now=datetime.now(UTC),
        inbox_id=secrets.randbelow(10**9),
        person_id=someone.id,
        person_key=someone.key,
        conversation_id=thread,
        channel="web",
        language=cast(Language, someone.language),
    )


async def in_chat(
    database: Database, settings: Settings, verb: Any, given: Mapping[str, Any] | None = None, **arguments: Any
) -> str:
    """What the person reads when they ask for this in the chat, or end the form with these answers."""
    async with database.session() as session:
        ctx = await turn(database, session, settings)
        ctx.answers = given or {}
        await verb(ctx, **arguments)
        await session.commit()
        return "\n".join(saying.text for saying in ctx.sayings)


# what an answer does


@pytest.mark.parametrize("language", LANGUAGES)
async def test_acknowledged(desk: Desk, database: Database, settings: Settings, language: Language) -> None:
    """The person is told in their language, and « my request » says the same."""
    async with database.session() as session:
        await session.execute(update(Person).values(language=language))
        await session.commit()
    given = await desk.say(ANSWERS["request.acknowledged"])
    assert (given.status_code, given.json()) == (200, {"told": True})
    assert (await desk.request()).status == "acknowledged"
    assert await desk.said() == [i18n.say("case.acknowledged", language, reference=REF)]
    status = await in_chat(database, settings, first_contact.status)
    first = i18n.say("request_status.acknowledged", language, reference=REF, day="@", when="@").split("@")[0]
    assert status.startswith(first.rstrip("\u2066 "))


async def test_interview(desk: Desk, database: Database, settings: Settings) -> None:
    """A proposed appointment: day, time of which city, how; not confirmed; the chat repeats it when asked."""
    given = await desk.say(ANSWERS["interview.proposed"])
    assert (given.status_code, given.json()) == (200, {"told": True})
    [said] = await desk.said()
    assert "lundi 24 novembre 2036, 10:30 (heure de Casablanca), par téléphone" in said
    assert "pas encore confirmé" in said and "Parler à quelqu'un" in said
    request = await desk.request()
    assert request.status == "acknowledged"
    assert request.interview_sealed is not None and b"2036" not in request.interview_sealed
    status = await in_chat(database, settings, first_contact.status)
    assert "lundi 24 novembre 2036, 10:30 (heure de Casablanca), par téléphone" in status
    assert REF in await in_chat(database, settings, rights.my_data)
    assert "rendez-vous" in await in_chat(database, settings, rights.my_data)


@pytest.mark.parametrize(
    ("language", "zone", "words"),
    [("en", "Africa/Conakry", "11:30 (time of Conakry), by phone"), ("ar", "Africa/Casablanca", "الدار البيضاء")],
)
async def test_interview_elsewhere(desk: Desk, database: Database, language: Language, zone: str, words: str) -> None:
    """The wall time is that of the zone that was named, the city in the person's language."""
    async with database.session() as session:
        await session.execute(update(Person).values(language=language))
        await session.commit()
    at = "2036-11-24T12:30:00+01:00"
    await desk.say(answer("interview.proposed", ref=REF, at=at, zone=zone, mode="phone"))
    [said] = await desk.said()
    assert words in said


async def test_closed(desk: Desk, database: Database, settings: Settings) -> None:
    """The person hears that it is over; a new request gets a new reference; the data stay theirs to erase."""
    assert (await desk.say(ANSWERS["case.closed"])).json() == {"told": True}
    assert (await desk.request()).status == "closed"
    assert await desk.said() == [i18n.say("case.closed", "fr", reference=REF)]
    assert "est terminé" in await in_chat(database, settings, first_contact.status)
    assert REF in await in_chat(database, settings, rights.my_data)
    await in_chat(database, settings, rights.erase)
    async with database.session() as session:
        assert list(await session.scalars(select(CaseEvent.type))) == ["request.withdrawn", "person.erased"]


@pytest.mark.parametrize("ref", [REF, HANDOFF])
async def test_message_of_a_counsellor(desk: Desk, ref: str) -> None:
    """Free text goes as it is, named as a person's, about a request or a handoff."""
    words = "Bonjour {name},\nouvert à 9 h \u2066AV\u2069 %s \U0001f44b"
    assert (await desk.say(answer("message.to_person", ref=ref, text=words))).json() == {"told": True}
    assert await desk.said() == [f"Message d'une personne ({ref}) :\n{words}"]
    assert (await desk.request()).status == "open"


@pytest.mark.parametrize("text_id", ["tried_to_call", "when_to_call", "please_write", "still_waiting"])
async def test_message_of_the_list(desk: Desk, database: Database, text_id: str) -> None:
    """A text of the list is read in the person's language; people without one read French."""
    for language in (*LANGUAGES, None):
        async with database.session() as session:
            await session.execute(update(Person).values(language=language))
            await session.commit()
        await desk.say(answer("message.to_person", ref=REF, text_id=text_id))
    read: tuple[Language, ...] = (*LANGUAGES, "fr")
    expected = [i18n.say(f"case.text.{text_id}", one, reference=REF) for one in read]
    assert await desk.said() == expected


def test_words_are_neutral() -> None:
    """A telephone may be read by others: nothing that comes unasked names the return, asylum or who we are."""
    ids = [one for one in i18n.catalog("en")._catalog if str(one).startswith(("case.", "interview."))]  # type: ignore[attr-defined]
    assert len(ids) >= 11
    for language in LANGUAGES:
        for text_id in ids:
            words = i18n.catalog(language).gettext(text_id).lower()
            for word in ("iom", "oim", "return", "retour", "asyl", "asile", "المنظمة", "العودة", "اللجوء"):
                assert word not in words, (language, text_id)


# forward only


async def test_states_only_move_forward(desk: Desk, database: Database) -> None:
    """What comes late changes nothing and is told to nobody: an acknowledgement or interview after the end."""
    for type_ in ("interview.proposed", "request.acknowledged", "case.closed"):
        await desk.say(ANSWERS[type_])
    assert (await desk.request()).status == "closed"
    said = await desk.said()
    assert len(said) == 2  # the acknowledgement was nothing new
    for type_ in ("request.acknowledged", "interview.proposed", "case.closed"):
        given = await desk.say(ANSWERS[type_])
        assert (given.status_code, given.json()) == (200, {"told": False})
    assert (await desk.request()).status == "closed"
    assert await desk.said() == said


async def test_the_later_interview_counts(desk: Desk, database: Database) -> None:
    """Of two proposals the one that was made later counts, in whatever order they arrive."""
    later = answer("interview.proposed", NOW + timedelta(hours=1), ref=REF, **{**INTERVIEW, "mode": "office"})
    assert (await desk.say(later)).json() == {"told": True}
    assert (await desk.say(ANSWERS["interview.proposed"])).json() == {"told": False}
    latest = answer("interview.proposed", NOW + timedelta(hours=2), ref=REF, **{**INTERVIEW, "mode": "chat"})
    assert (await desk.say(latest)).json() == {"told": True}
    assert ["au bureau" in one or "dans cette conversation" in one for one in await desk.said()] == [True, True]


async def test_an_acknowledged_request_goes_on(desk: Desk, database: Database, settings: Settings) -> None:
    """Withdrawn, it is unknown to the case backend, and the appointment is gone with it."""
    await desk.say(ANSWERS["interview.proposed"])
    assert "retirée" in await in_chat(database, settings, first_contact.withdraw, reference=REF)
    request = await desk.request()
    assert (request.status, request.interview_sealed) == ("withdrawn", None)
    for content in ANSWERS.values():
        given = await desk.say(content)
        assert (given.status_code, given.json()) == (404, {"error": "no such reference"})
    assert (await desk.request()).status == "withdrawn"
    assert len(await desk.said()) == 1


async def test_sent_again(desk: Desk, database: Database, settings: Settings) -> None:
    """A request that was read is changed and stays read; after the end, the next one is a new one."""
    for type_ in ("request.acknowledged", "case.closed"):
        await desk.say(ANSWERS[type_])
        await in_chat(database, settings, first_contact.finish, FULL)
    async with database.session() as session:
        told = [(one.type, one.payload["data"]["ref"]) for one in await session.scalars(select(CaseEvent))]
        statuses = {one.reference: one.status for one in await session.scalars(select(Request))}
    assert told[0] == ("request.updated", REF)
    assert told[1][0] == "request.created" and told[1][1] != REF
    assert statuses == {REF: "closed", told[1][1]: "open"}


# once


async def test_same_id_again(desk: Desk) -> None:
    """An id counts once, ten times at the same moment too; each attempt gets the same answer."""
    given = await asyncio.gather(*(desk.say(ANSWERS["message.to_person"], "msg_1") for _ in range(10)))
    assert {(one.status_code, one.text) for one in given} == {(200, '{"told":true}')}
    assert len(await desk.said()) == 1
    assert await desk.kept() == ["msg_1"]
    again = await desk.say(answer("case.closed", ref=REF), "msg_1")
    assert again.json() == {"told": True}
    assert (await desk.request()).status == "open"


async def test_unknown_reference(desk: Desk) -> None:
    """404 with the same words whether it never was or is no more; nothing is kept, so a later attempt can succeed."""
    for ref in ("AV-2222", "H-22222"):
        given = await desk.say(answer("message.to_person", ref=ref, text="x"), f"msg_{ref}")
        assert (given.status_code, given.json()) == (404, {"error": "no such reference"})
    assert await desk.kept() == []
    await person(desk.database, "AV-2222", "H-22222")
    assert (await desk.say(answer("message.to_person", ref="AV-2222", text="x"), "msg_AV-2222")).status_code == 200


@pytest.mark.parametrize("ref", [REF, HANDOFF])
async def test_while_the_person_is_erased(desk: Desk, database: Database, settings: Settings, ref: str) -> None:
    """A message that meets the erasing of its person reaches nobody, and nothing unreadable is left behind."""
    async with database.session() as session:
        ctx = await turn(database, session, settings)
        await rights.erase(ctx)
        await rights.erase_person(ctx)
        meanwhile = asyncio.create_task(desk.say(answer("message.to_person", ref=ref, text="x")))
        await asyncio.sleep(0.3)
        assert not meanwhile.done()
        await session.commit()
    assert (await meanwhile).status_code == 404
    assert await desk.said() == []


async def test_people_who_want_none(desk: Desk, database: Database) -> None:
    """STOP ends these messages too; the state moves, and the case backend learns that nobody was told."""
    async with database.session() as session:
        await session.execute(update(Person).values(stopped_at=datetime.now(UTC)))
        await session.commit()
    assert (await desk.say(ANSWERS["message.to_person"])).json() == {"told": False}
    assert (await desk.say(ANSWERS["case.closed"])).json() == {"told": False}
    async with database.session() as session:
        await session.execute(update(Person).values(stopped_at=None))
        await session.execute(update(Address).values(unreachable_at=datetime.now(UTC)))
        await session.commit()
    assert (await desk.say(ANSWERS["message.to_person"])).json() == {"told": False}
    assert await desk.said() == []
    assert (await desk.request()).status == "closed"


@pytest.mark.parametrize(("point", "kept"), [("answers.before_commit", 0), ("answers.committed", 1)])
async def test_kill_in_the_middle(desk: Desk, database: Database, settings: Settings, point: str, kept: int) -> None:
    """A process that dies before or after the commit: the next attempt has the effect once, and the same answer."""
    code = f"""
import asyncio, json
from bot.cases.answers import read
from bot.conversation.answers import take
from bot.db.encryption import Vault
from bot.db.session import connect
database = connect({database.engine.url.render_as_string(hide_password=False)!r}, Vault({settings.master_key!r}))
asyncio.run(take(database, "msg_1", read({json.dumps(ANSWERS["message.to_person"]).encode()!r})))
"""
    killed = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "RAFIQ_FAULT": point}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(await desk.said()) == len(await desk.kept()) == kept
    assert (await desk.say(ANSWERS["message.to_person"], "msg_1")).json() == {"told": True}
    assert len(await desk.said()) == len(await desk.kept()) == 1


async def test_only_whom_it_is_about(desk: Desk, database: Database) -> None:
    """Nobody else reads it."""
    other = await person(database, "AV-2222", "H-22222", "en")
    await desk.say(ANSWERS["message.to_person"])
    async with database.session() as session:
        [thread] = await session.scalars(select(Outbox.conversation_id))
        whose = await session.scalar(select(Conversation.person_id).where(Conversation.id == thread))
    assert whose != other


async def test_200_only_after_commit(desk: Desk, database: Database) -> None:
    """A database that does not take it is a 503, and the next attempt does it whole."""
    async with database.session() as session:
        await session.execute(text("ALTER TABLE outbox ADD CONSTRAINT full_disk CHECK (false) NOT VALID"))
        await session.commit()
    try:
        given = await desk.say(ANSWERS["case.closed"], "msg_1")
        assert (given.status_code, given.content) == (503, b"")
        assert (await desk.request()).status == "open"
        assert await desk.kept() == []
    finally:
        async with database.session() as session:
            await session.execute(text("ALTER TABLE outbox DROP CONSTRAINT full_disk"))
            await session.commit()
    assert (await desk.say(ANSWERS["case.closed"], "msg_1")).status_code == 200
    assert (await desk.request()).status == "closed"


# who may answer


async def test_either_secret(desk: Desk) -> None:
    """During a rotation both secrets are good; the package of the specification signs as we verify."""
    body = json.dumps(ANSWERS["request.acknowledged"]).encode()
    assert (await desk.post(body, signed(body, OLD_SECRET))).status_code == 200
    now = datetime.now(UTC)
    package = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": "v1a,AAAA " + Webhook(SECRET).sign("msg_1", now, body.decode()),
    }
    assert (await desk.post(body, package)).status_code == 200


async def test_wrong_signature(desk: Desk) -> None:
    """401 with nothing in it, and nothing changed or logged of it; before the body is even looked at."""
    body = json.dumps(ANSWERS["case.closed"]).encode()
    good = signed(body)
    wrong = [
        (body, signed(body, OTHER_SECRET)),
        (body + b" ", good),
        (json.dumps(ANSWERS["case.closed"], indent=1).encode(), good),
        (body, {**good, "webhook-id": "other"}),
        (body, {**good, "webhook-timestamp": str(int(good["webhook-timestamp"]) + 1)}),
        (body, {**good, "webhook-signature": good["webhook-signature"][:-4]}),
        (body, {**good, "webhook-signature": "v1,"}),
        *((body, {name: value for name, value in good.items() if name != left_out}) for left_out in good),
        (body, {}),
        (b"{", {}),
    ]
    with capture_logs() as logs:
        for content, headers in wrong:
            given = await desk.post(content, headers)
            assert (given.status_code, given.content) == (401, b""), headers
    assert (await desk.request()).status == "open"
    assert await desk.said() == [] and await desk.kept() == []
    assert REF not in json.dumps(logs) and good["webhook-signature"] not in json.dumps(logs)


@pytest.mark.parametrize(("ago", "status"), [(290, 200), (310, 401), (8 * 86_400, 401), (-290, 200), (-310, 401)])
async def test_five_minutes(desk: Desk, ago: int, status: int) -> None:
    """A genuine answer that is posted again later is refused: no case opens or closes by a recording."""
    body = json.dumps(ANSWERS["case.closed"]).encode()
    assert (await desk.post(body, signed(body, ago=ago))).status_code == status
    assert (await desk.request()).status == ("closed" if status == 200 else "open")


async def test_without_secrets_there_is_no_such_address(database: Database) -> None:
    """Nobody can answer where no secret is set."""
    assert router(database, []).routes == []


# what is no answer


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 60_000, b"nul", b'{"a":' + b"9" * 5000 + b"}"])
async def test_no_json(desk: Desk, body: bytes) -> None:
    """Signed, but no JSON: 400 and the reason."""
    given = await desk.post(body, signed(body))
    assert (given.status_code, given.json()) == (400, {"error": "the body is no JSON"})


def without(type_: str, name: str) -> dict[str, Any]:
    content = dict(ANSWERS[type_])
    content["data"] = {key: value for key, value in ANSWERS[type_]["data"].items() if key != name}
    return content


def with_(type_: str, **data: Any) -> dict[str, Any]:
    return {**ANSWERS[type_], "data": {**ANSWERS[type_]["data"], **data}}


@pytest.mark.parametrize(
    ("content", "at"),
    [
        ([], None),
        (None, None),
        ("x", None),
        ({}, "type"),
        ({"type": ["case.closed"]}, "type"),
        ({**ANSWERS["case.closed"], "type": "case.opened"}, "type"),
        ({**ANSWERS["case.closed"], "schema": "rafiq-case/1"}, "schema"),
        ({**ANSWERS["case.closed"], "more": 1}, None),
        ({**ANSWERS["case.closed"], "occurred_at": "yesterday"}, "occurred_at"),
        ({**ANSWERS["case.closed"], "occurred_at": "2026-02-30T10:00:00Z"}, "occurred_at"),
        ({**ANSWERS["case.closed"], "occurred_at": "2026-02-20T10:00:00"}, "occurred_at"),
        ({**ANSWERS["case.closed"], "data": {}}, "data"),
        (with_("case.closed", reason="canary"), "data"),
        (with_("case.closed", ref="AV-7K3Q\n"), "data.ref"),
        (with_("case.closed", ref=HANDOFF), "data.ref"),
        (with_("case.closed", ref=7), "data.ref"),
        (without("interview.proposed", "at"), "data"),
        (with_("interview.proposed", at="2026-11-31T10:00:00Z"), "data.at"),
        (with_("interview.proposed", zone="Africa/Atlantis"), "data.zone"),
        (with_("interview.proposed", mode="embassy"), "data.mode"),
        (with_("interview.proposed", place="canary street"), "data"),
        (without("message.to_person", "text"), "data"),
        (with_("message.to_person", text_id="still_waiting"), "data"),
        (with_("message.to_person", text=""), "data.text"),
        (with_("message.to_person", text=" \u0000\u0007 "), "data.text"),
        (with_("message.to_person", text="canary" * 1000), "data.text"),
        (answer("message.to_person", ref=REF, text_id="welcome"), "data.text_id"),
    ],
)
async def test_wrong_shape(desk: Desk, content: Any, at: str | None) -> None:
    """422, where and why, and never what somebody wrote; nothing is changed."""
    given = await desk.say(content)
    assert given.status_code == 422, given.text
    assert given.json().get("at") == at
    assert 5 < len(given.json()["error"]) <= 300
    assert "canary" not in given.text
    assert await desk.kept() == [] and await desk.said() == []


async def test_text_without_what_no_channel_takes(desk: Desk) -> None:
    """Control characters and halves of characters are left out of free text."""
    body = json.dumps(answer("message.to_person", ref=REF, text="a\u0000b\u001b[31m\nc")).encode()
    body = body.replace(b'\\nc"', b'\\nc\\ud83d"')
    assert (await desk.post(body, signed(body))).status_code == 200
    assert await desk.said() == [f"Message d'une personne ({REF}) :\nab[31m\nc"]


async def test_too_large(desk: Desk) -> None:
    """64 KB are read, not one byte more, announced or not, signed or not."""
    largest = b" " * answers.LARGEST
    assert (await desk.post(largest, signed(largest))).status_code == 400
    assert (await desk.post(largest + b" ", signed(largest + b" "))).status_code == 413

    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(65):
            yield b" " * 1024

    given = await desk.client.post(answers.PATH, content=unannounced())
    assert (given.status_code, given.content) == (413, b"")


# the documents


def test_every_type_has_its_schema() -> None:
    """One closed schema a type, no more; the README leads to each."""
    assert {path.stem for path in answers.FOLDER.glob("*.json")} == {*answers.TYPES, "openapi"} == {*ANSWERS, "openapi"}
    readme = (answers.FOLDER / "README.md").read_text(encoding="utf-8")
    for type_ in answers.TYPES:
        schema = answers.schema(type_)
        Draft202012Validator.check_schema(schema)
        Draft202012Validator(schema).validate(ANSWERS[type_])
        assert f"({type_}.json)" in readme
        for inner in (schema, schema["properties"]["data"]):
            assert inner["additionalProperties"] is False


def test_times_are_those_of_the_calendar() -> None:
    """The schema knows the months and the leap years, so that what it allows can be read."""
    schema = answers.schema("case.closed")["properties"]["occurred_at"]
    day = datetime(2000, 1, 1, tzinfo=UTC)
    while day.year < 2100:
        assert re.fullmatch(schema["pattern"], day.isoformat())
        day += timedelta(days=1)
    for wrong in ("2026-02-29", "2028-02-30", "2026-04-31", "2026-13-01", "2026-00-10", "2026-01-00", "2026-01-32"):
        assert not re.search(schema["pattern"], f"{wrong}T10:00:00Z")


def test_zones_and_texts_are_ours() -> None:
    """Every zone has a city to name, and every text of the list is there, in three languages."""
    proposed = answers.schema("interview.proposed")["properties"]["data"]["properties"]
    for language in LANGUAGES:
        for zone in proposed["zone"]["enum"]:
            for mode in proposed["mode"]["enum"]:
                words = first_contact.appointment({"at": INTERVIEW["at"], "zone": zone, "mode": mode}, language)
                assert all(words.values())
        for text_id in answers.schema("message.to_person")["properties"]["data"]["properties"]["text_id"]["enum"]:
            assert REF in i18n.say(f"case.text.{text_id}", language, reference=REF)


def test_openapi_document_is_the_implementations() -> None:
    """docs/ holds what `python -m bot.cases.answers` prints, and the service has that address."""
    assert answers.openapi() == DOCUMENT
    paths = {(route.path, *sorted(route.methods)) for route in router(cast(Any, None), [SECRET]).routes}  # type: ignore[attr-defined]
    assert paths == {(path, *(method.upper() for method in one)) for path, one in DOCUMENT["paths"].items()}


class Sign(requests.auth.AuthBase):
    """Signs what is about to be sent, whatever was generated; `secret` None leaves it as it is."""

    def __init__(self, secret: str | None = SECRET) -> None:
        self.secret = secret

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.secret is not None:
            body = cast("bytes | str", request.body or b"")
            request.headers.update(signed(body.encode() if isinstance(body, str) else body, self.secret))
        return request


async def generated(url: str, mode: GenerationMode, secret: str | None, number: int, ref: str = "") -> set[int]:
    """Requests that schemathesis makes up from the document, each answer checked against it; the statuses seen.

    With `ref` they are about this reference; else about one that they make up.
    """
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    operation = schema[answers.PATH]["POST"]
    seen: set[int] = set()

    @hypothesis_settings(max_examples=number, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: schemathesis.Case[Any]) -> None:
        if ref:
            cast(Any, case.body)["data"]["ref"] = ref
        response = case.call(base_url=url, auth=Sign(secret))
        case.validate_response(response)
        seen.add(response.status_code)

    await asyncio.to_thread(run)
    return seen


async def test_what_the_document_allows_is_taken(desk: Desk, url: str) -> None:
    """Every body that the schemas allow is accepted, and acted upon."""
    assert await generated(url, GenerationMode.POSITIVE, SECRET, 150, REF) == {200}
    assert len(await desk.said()) > 10


async def test_what_the_document_allows_about_nobody(desk: Desk, url: str) -> None:
    """A reference that was made up is unknown, whatever is said about it."""
    assert await generated(url, GenerationMode.POSITIVE, SECRET, 80) == {404}


async def test_what_the_document_forbids_is_refused(desk: Desk, url: str) -> None:
    """Every other body is refused as the document says, and never with a fault of ours."""
    seen = await generated(url, GenerationMode.NEGATIVE, SECRET, 150)
    assert 422 in seen and seen <= {400, 404, 405, 422}, seen
    assert await desk.kept() == [] and await desk.said() == []


async def test_unsigned_is_refused_whatever_it_is(desk: Desk, url: str) -> None:
    """Nothing that is generated gets past the signature."""
    assert await generated(url, GenerationMode.POSITIVE, None, 60) == {401}
    assert await generated(url, GenerationMode.NEGATIVE, None, 60) <= {400, 401, 405}
    assert await desk.kept() == [] and await desk.said() == []
