"""A year with one person, in each language, on both channels: from the first message to the last row erased.

Request, interview, return, six check-ins, erasing; the case backend answers and is told. Time does not pass, it is
moved: all that the database and WhatsApp remember of the person grows older by so many days.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from bot import i18n
from bot.cases import answers, events
from bot.cases.receiver import application
from bot.channels.whatsapp_templates import definitions
from bot.checkins import questions
from bot.conversation import appointments
from bot.db.session import Database, Lane
from bot.journeys import rights
from bot.messages import Language
from bot.settings import Settings
from bot.supervisor import Stack
from bot.web import Service
from tests.cases.test_answers import answer, signed
from tests.conversation import oracles
from tests.conversation.conftest import rows, until, value
from tests.journeys import test_telegram_journey as on_telegram
from tests.journeys import test_whatsapp_journey as on_whatsapp
from tests.journeys.test_first_contact import WISH, title
from tests.journeys.test_interviews import BOOK, MOVE, TYPED, open_the_offices
from tests.simulators.rasa import listening
from tests.simulators.telegram import TelegramServer
from tests.simulators.whatsapp import WhatsAppServer

CANARY = "Awa Testcanary"
QUIET = """SELECT NOT EXISTS (SELECT 1 FROM outbox WHERE status IN ('queued', 'sending'))
    AND NOT EXISTS (SELECT 1 FROM case_event WHERE status = 'queued')
    AND NOT EXISTS (SELECT 1 FROM inbox WHERE status IN ('pending', 'waiting'))"""
TOLD = [
    *("request.created", "interview.booked", "interview.moved", "interview.done"),
    "checkin.completed",
    *("checkin.completed", "handoff.requested", "checkin.flagged"),
    *("handoff.requested", "checkin.flagged", "checkin.completed"),
    *("checkin.missed", "handoff.requested"),
    "checkin.completed",
    "checkin.stopped",
    *("request.withdrawn", "person.erased"),
]


@dataclass(frozen=True)
class Speaker:
    """How somebody talks: whole sentences, and what they type where others press the button of a text."""

    language: Language  # of what they are answered
    wish: str
    book: str
    move: str
    erase: str
    typed: Mapping[str, str] = field(default_factory=dict)


FRENCH = Speaker("fr", WISH["fr"], BOOK["fr"], MOVE["fr"], "efface mes données")
ENGLISH = Speaker("en", WISH["en"], BOOK["en"], MOVE["en"], "delete my data")
ARABIC = Speaker("ar", WISH["ar"], BOOK["ar"], MOVE["ar"], "احذفوا بياناتي")
SMS = Speaker(
    "fr",
    "slt je ve rentré o pays jé plu rien ici cmt fair",
    "slt je ve prendr rdv pr lentretien",
    "je px pa venir on pe changé la date du rdv",
    "efface tt mes donné stp",
    {
        "first_contact.consent.yes": "wi",
        "first_contact.direction.from_morocco": "1",
        "first_contact.age_group.adult": "g 25 ans",
        "first_contact.more.no": "nn",
        "interview.consent.yes": "ok dacor",
        "interview.mode.in_person": "o bureau",
        "interview.more.no": "non",
        "button.interview_come": "ok",
        "checkin.consent.yes": "wi",
        "button.checkin_now": "oui svp",
        "checkin.E1.always": "tjrs",
        "checkin.E1.rarely": "rarmen",
        "checkin.E2.running": "sa marche bien",
        "checkin.E2.stopped": "g arreté",
        "checkin.E3.no": "non",
        "checkin.S1.yes": "wi",
        "checkin.S1.no": "nn",
        "checkin.S2.nothing": "rien",
        "checkin.P1.ok": "sa va",
        "checkin.P2.yes": "wi",
        "checkin.F1.yes": "oui",
        "checkin.H1.no": "nn merci",
    },
)
ARABIZI = Speaker(
    "ar",
    "bghit nrje3 lbladi 3awnoni",
    "bghit nakhod rdv dyal lmo9abala",
    "bghit nbdel lwa9t dyal rdv dyali",
    "ms7o lma3lomat dyali",
    {
        "first_contact.consent.yes": "iyeh",
        "first_contact.direction.from_morocco": "1",
        "first_contact.age_group.adult": "3ndi 25 3am",
        "first_contact.more.no": "lla",
        "interview.consent.yes": "wakha",
        "interview.mode.in_person": "f lbiro",
        "interview.more.no": "lla",
        "button.interview_come": "wakha",
        "checkin.consent.yes": "iyeh",
        "button.checkin_now": "iyeh",
        "checkin.E1.always": "dima",
        "checkin.E1.rarely": "chwiya",
        "checkin.E2.running": "khdam hamdoullah",
        "checkin.E2.stopped": "w9ef",
        "checkin.E3.no": "lla",
        "checkin.S1.yes": "iyeh",
        "checkin.S1.no": "lla",
        "checkin.S2.nothing": "walou",
        "checkin.P1.ok": "3adi",
        "checkin.P2.yes": "ah",
        "checkin.F1.yes": "iyeh",
        "checkin.H1.no": "lla",
    },
)
SPEAKERS = {"fr": FRENCH, "en": ENGLISH, "ar": ARABIC, "sms": SMS, "arabizi": ARABIZI}
MIXED = [("fr", "telegram"), ("en", "whatsapp"), ("ar", "telegram"), ("sms", "telegram"), ("arabizi", "whatsapp")]
EVERY = [(who, channel) for who in SPEAKERS for channel in ("telegram", "whatsapp")]  # `make journeys`
SHORT = {"E1": "always", "E2": "running", "S1": "yes", "P1": "ok", "F1": "yes", "H1": "no"}
FULL = {"E1": "always", "E2": "running", "E3": "no", "S1": "yes", "S2": "nothing", "S3": "well"} | {
    "P1": "ok", "P2": "yes", "F1": "yes", "H1": "no",
}  # fmt: skip


@dataclass(frozen=True)
class World:
    """One service on both channels, and the case backend it tells."""

    telegram: TelegramServer
    whatsapp: WhatsAppServer
    service: Service
    received: list[dict[str, Any]]


@pytest.fixture(scope="module")
async def running_world(
    settings: Settings, database_url: str, rasa: Stack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """That service, with the receiver that verifies and keeps each event once."""
    received: list[dict[str, Any]] = []
    folder: Path = tmp_path_factory.mktemp("receiver")
    receiver = application(settings.case_secrets, folder, lambda line: received.append(json.loads(line)))
    async with TelegramServer() as telegram, WhatsAppServer() as whatsapp:
        given = on_telegram.on_telegram(telegram.url, webhook=True) | on_whatsapp.on_whatsapp(whatsapp.url)
        async with (
            listening(receiver, settings.case_receiver_port),
            on_telegram.serving(settings, database_url, **given) as service,
        ):
            whatsapp.webhook = on_whatsapp.Bot(whatsapp, service).url
            await until(lambda: telegram.calls("setWebhook"))
            yield World(telegram, whatsapp, service, received)
    receiver.state.store.close()


@pytest.fixture
def world(running_world: World, service: Service) -> World:
    """That world on an empty database; Rasa's action endpoint is the other service's."""
    running_world.received.clear()
    return running_world


@dataclass
class Life:
    """One person's year."""

    world: World
    database: Database
    chat: on_telegram.Chat | on_whatsapp.Chat
    speaker: Speaker

    @property
    def on_whatsapp(self) -> bool:
        """Whether the platform closes its window after a day of silence."""
        return isinstance(self.chat, on_whatsapp.Chat)

    def text(self, text_id: str) -> str:
        """A text in their language, up to what is filled in."""
        return i18n.say(text_id, self.speaker.language).split("{")[0]

    def gate(self, text_id: str = "checkin.gate") -> str:
        """How a check-in begins, or is remembered: by the approved template where free text may not go."""
        return definitions()["check_in"].texts[self.speaker.language] if self.on_whatsapp else self.text(text_id)

    async def choose(self, text_id: str) -> str:
        """Type it as they would, or press its button; all that is answered."""
        if text_id in self.speaker.typed:
            return await self.chat.say(self.speaker.typed[text_id])
        return await self.chat.press(title(text_id, self.speaker.language))

    async def quiet(self) -> None:
        """Until nothing is on its way any more, to anybody."""
        await until(lambda: value(self.database, QUIET))

    async def arrived(self) -> str:
        """What came without being asked for."""
        await self.quiet()
        return await self.chat.arrived()

    async def older(self, moment: datetime) -> None:
        """Whole days pass, until this moment is less than one away: everything about the person was so long ago."""
        days = (moment - datetime.now(UTC)).days
        if days <= 0:
            return
        await self.quiet()
        columns = await rows(
            self.database,
            "SELECT table_name AS of, string_agg(format(CASE data_type WHEN 'date' THEN '%1$I = %1$I - %2$s' "
            "ELSE '%1$I = %1$I - make_interval(days => %2$s)' END, column_name, CAST(:days AS text)), ', ') AS moved "
            "FROM information_schema.columns WHERE table_schema = 'public' AND table_name = ANY(:tables) "
            "AND data_type IN ('date', 'timestamp with time zone') GROUP BY 1 ORDER BY 1",
            tables=sorted(rights.ERASED | {"inbox"}),
            days=str(days),
        )
        async with self.database.session() as session:
            whose = {"lane": int(Lane.HANDOFF), "key": await session.scalar(text("SELECT id FROM conversation"))}
            await session.execute(text("SELECT pg_advisory_xact_lock(:lane, hashint8(:key))"), whose)
            for table in columns:
                await session.execute(text(f"UPDATE {table.of} SET {table.moved}"))
            wall = "to_char(wall::timestamp - make_interval(days => :days), 'YYYY-MM-DD\"T\"HH24:MI')"
            await session.execute(text(f"UPDATE appointment SET wall = {wall}"), {"days": days})
            await session.commit()
        self.world.whatsapp.older(days * 86400.0)

    async def next_of(self, round_: str) -> Any:
        """The check-in of this round."""
        [row] = await rows(self.database, "SELECT id, status, next_at FROM checkin WHERE round = :r", r=round_)
        return row

    async def comes_due(self, round_: str, status: str) -> str:
        """Time passes until the service acts on this check-in, in the hours for it; what the person reads."""
        row = await self.next_of(round_)
        await self.older(row.next_at)
        before = row.status
        while (row := await self.next_of(round_)).status == before:
            acted_at = row.next_at
            await self.world.service.checkins.work(row.id, acted_at)
        assert row.status == status
        assert row.next_at is None or row.next_at >= acted_at + timedelta(hours=72)
        return await self.arrived()

    async def begin(self, round_: str) -> None:
        """The check-in comes; it is a good moment."""
        assert await self.comes_due(round_, "sent") == self.gate()
        assert await self.choose("button.checkin_now") == self.text("checkin.E1")

    async def answer(self, given: Mapping[str, str]) -> str:
        """Answer these questions, each as it comes; what is said at last."""
        said = self.text(f"checkin.{next(iter(given))}")
        for question, choice in given.items():
            assert said.endswith(self.text(f"checkin.{question}")), (question, said)
            said = await self.choose(questions.questions()[question].step.choice_text(choice))
        return said

    async def request(self) -> str:
        """First contact; its reference."""
        assert self.text("first_contact.consent") in await self.chat.say(self.speaker.wish)
        await self.choose("first_contact.consent.yes")
        await self.choose("first_contact.direction.from_morocco")
        assert self.text("first_contact.name") in await self.choose("first_contact.age_group.adult")
        await self.chat.say(CANARY)
        await self.choose("first_contact.phone.chat")
        assert CANARY in await self.choose("first_contact.more.no")
        found = re.search(r"AV-[2-9A-Z]{4}", await self.choose("first_contact.review.send"))
        assert found is not None
        return found[0]

    async def interview(self) -> str:
        """Booked at the first time offered, moved to a day of one's own, remembered, held; its reference."""
        assert self.text("interview.consent") in await self.chat.say(self.speaker.book)
        await self.choose("interview.consent.yes")
        await self.choose("interview.mode.in_person")
        await self.chat.say({"fr": "Rabat", "en": "Rabat", "ar": "الرباط"}[self.speaker.language])
        assert self.text("interview.time") in await self.choose("interview.more.no")
        await self.chat.press(self.chat.buttons[0])
        assert re.search(r"RV-[2-9A-Z]{5}", await self.choose("interview.review.send"))
        assert self.text("interview.time") in await self.chat.say(self.speaker.move)
        [slot] = await rows(
            self.database, "SELECT wall FROM slot WHERE starts_at > now() + interval '20 days' ORDER BY id LIMIT 1"
        )
        day, month = slot.wall[8:10], slot.wall[5:7]
        assert "10:00" in await self.chat.say(TYPED[self.speaker.language].format(day=day, month=month))
        found = re.search(r"RV-[2-9A-Z]{5}", await self.choose("interview.review.send"))
        assert found is not None
        due = "SELECT appointment_id, due_at FROM reminder WHERE done_at IS NULL ORDER BY due_at LIMIT 1"
        [reminder] = await rows(self.database, due)
        await self.older(reminder.due_at)
        [reminder] = await rows(self.database, due)
        await self.world.service.appointments.work(reminder.appointment_id, reminder.due_at)
        said = await self.arrived()
        assert "10:00" in said and found[0] not in said
        assert "10:00" in await self.choose("button.interview_come")
        await self.older(datetime.now(UTC) + timedelta(days=4))
        await appointments.done(self.database, found[0])
        return found[0]

    async def returned(self, reference: str) -> None:
        """The case backend says, signed, that they are back; they agree to be asked."""
        service, today = self.world.service, datetime.now(UTC)
        data = {"ref": reference, "returned_on": today.date().isoformat(), "country": "SN"}
        body = json.dumps(answer("return.recorded", today, **data)).encode()
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            headers = signed(body, service.settings.case_answer_keys[0])
            told = await client.post(service.settings.own_url + answers.PATH, content=body, headers=headers)
        assert (told.status_code, told.json()) == (200, {"told": True})
        said = await self.arrived()
        if self.on_whatsapp:  # silent for days: a neutral word that something waits, and its button
            assert self.text("checkin.consent") not in said
            said = await self.chat.press(self.chat.buttons[0])
        assert self.text("checkin.consent") in said
        assert self.text("checkin.enrolled") in await self.choose("checkin.consent.yes")

    async def erase(self) -> str:
        """Everything goes; the receipt."""
        assert self.text("delete.ask") in await self.chat.say(self.speaker.erase)
        found = re.search(r"EF-[2-9A-Z]{5}", await self.choose("button.delete_yes"))
        assert found is not None
        await self.quiet()
        return found[0]


@pytest.mark.parametrize(("who", "channel"), EVERY if os.environ.get("EVERY_JOURNEY") else MIXED)
async def test_a_year(world: World, database: Database, who: str, channel: str) -> None:
    """Asked, met, gone home, asked again six times (amber, red, missed, stopped), erased; each told in its order."""
    speaker = SPEAKERS[who]
    chat: on_telegram.Chat | on_whatsapp.Chat
    if channel == "telegram":
        chat = on_telegram.Chat(on_telegram.Bot(world.telegram, world.service, "webhook"), database, speaker.language)
        ours = str(chat.owner.id)
    else:
        chat = on_whatsapp.Chat(on_whatsapp.Bot(world.whatsapp, world.service), database)
        ours = str(chat.owner.number)
    await open_the_offices(database)
    life = Life(world, database, chat, speaker)
    reference = await life.request()
    interview = await life.interview()
    await life.returned(reference)

    await life.begin("week2")
    assert await life.answer(SHORT) == life.text("checkin.done")

    await life.begin("month1")
    said = await life.answer(SHORT | {"E1": "rarely", "E2": "stopped"})
    assert said.startswith(life.text("checkin.done_amber"))

    await life.begin("month3")
    said = await life.answer({question: FULL[question] for question in ("E1", "E2", "E3")} | {"S1": "no"})
    assert said.startswith(life.text("checkin.care"))
    [urgent] = await rows(database, "SELECT reference, priority, status FROM handoff WHERE reason = 'checkin_red'")
    assert urgent.reference in said and (urgent.priority, urgent.status) == ("P0", "waiting")
    assert await chat.press(title("button.checkin_go_on", speaker.language)) == life.text("checkin.S2")
    rest = [question for question in FULL if question not in ("E1", "E2", "E3", "S1")]
    assert await life.answer({question: FULL[question] for question in rest}) == life.text("checkin.done")

    assert await life.comes_due("month6", "sent") == life.gate()
    assert await life.comes_due("month6", "reminded") == life.gate("checkin.reminder")
    assert await life.comes_due("month6", "missed") == ""  # silence; staff try another way
    assert await value(database, "SELECT count(*) FROM handoff WHERE reason = 'checkin_unreached'") == 1

    await life.begin("month9")
    assert await life.answer(FULL) == life.text("checkin.done")

    assert await life.comes_due("month12", "sent") == life.gate()
    assert life.text("checkin.stopped") in await chat.press(chat.buttons[2])
    assert await value(database, "SELECT count(*) FROM checkin WHERE next_at IS NOT NULL") == 0
    assert await oracles.once(database) == []
    assert await value(database, "SELECT count(*) FROM inbox WHERE status = 'dead'") == 0

    receipt = await life.erase()
    told = world.received
    assert [one["type"] for one in told] == TOLD
    for one in told:
        assert one.pop("id")
        events.validator(one["type"]).validate(one)
    after_return = [one["data"] for one in told if one["type"].startswith("checkin.")]
    assert {one["request"] for one in after_return} == {reference}
    assert [(one["round"], one.get("level")) for one in after_return] == [
        ("week2", None), ("month1", "amber"), ("month1", "amber"), ("month3", "red"), ("month3", "red"),
        ("month6", None), ("month9", None), ("month12", None),
    ]  # fmt: skip
    assert after_return[-2]["change"]["social"] > 0  # against the red one, the last that was answered
    erased = told[-1]["data"]
    assert erased["receipt"] == receipt and {reference, interview, urgent.reference} <= set(erased["refs"])
    assert CANARY not in json.dumps(told) and ours not in json.dumps(told)
    assert await oracles.readable(database, CANARY, ours) == []
    left = {table for table in rights.ERASED if await value(database, f"SELECT count(*) FROM {table}")}
    assert left <= {"person", "address", "conversation", "outbox", "issued_button"}  # of the receipt, under a new key
    assert await value(database, "SELECT count(*) FROM outbox") == 1
    assert await value(database, "SELECT count(*) FROM inbox WHERE content_sealed IS NOT NULL") == 0
