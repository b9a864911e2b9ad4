"""Check-ins in the chat and over time: answered, put off, red, missed, stopped; each once, none at a wrong hour."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import text
from starlette.responses import JSONResponse, Response
from typer.testing import CliRunner, Result

from bot import i18n
from bot.assistant import knowledge
from bot.assistant.forms import SKIPPED, Step
from bot.cases.answers import Answer
from bot.cases.delivery import Event
from bot.cases.events import validator
from bot.channels.whatsapp_templates import definitions
from bot.checkins import questions, rounds, schedule
from bot.cli import app
from bot.conversation import answers
from bot.db.models import Checkin
from bot.db.session import Database
from bot.messages import LANGUAGES, Incoming, Kind
from bot.settings import SettingsError
from bot.web import Service
from tests.checkins.test_schedule import assert_allowed
from tests.conversation.conftest import rows, typed, until, value
from tests.simulators.rasa import GREETING, FakeRasa

CASABLANCA = "Africa/Casablanca"
UNCLEAR = {"intent": "nlu_fallback", "confidence": 0.2, "ranking": [], "entities": []}


def say(text_id: str, **values: object) -> str:
    """The French text."""
    return i18n.say(text_id, "fr", **values)


@dataclass
class Person:
    """One person of the web chat."""

    service: Service
    database: Database
    name: str = field(default_factory=lambda: f"p{uuid.uuid4().hex[:12]}")

    async def write(self, words: str) -> str:
        """Write this; what is said."""
        return await self._tell(typed(words, self.name))

    async def press(self, title: str) -> str:
        """Press the newest button of this title; what is said."""
        found = await rows(
            self.database,
            "SELECT id FROM issued_button WHERE conversation_id = :c AND title = :t ORDER BY outbox_id DESC LIMIT 1",
            c=await self.conversation(),
            t=title,
        )
        assert found, title
        return await self.press_id(found[0].id)

    async def press_id(self, button: str) -> str:
        """Press this button; what is said."""
        event = typed("", self.name)
        return await self._tell(
            Incoming(event.channel, event.external_id, event.address, Kind.PRESS, press=button, details=event.details)
        )

    async def _tell(self, event: Incoming) -> str:
        before = await value(self.database, "SELECT coalesce(max(id), 0) FROM outbox")
        await self.service.accept([event])
        open_ = "SELECT count(*) = 0 FROM inbox WHERE status IN ('pending', 'waiting')"
        await until(lambda: value(self.database, open_), 90)
        assert await value(self.database, "SELECT count(*) FROM inbox WHERE status = 'dead'") == 0
        said = await self.messages()
        return "\n".join(content["text"] for id_, content in said if id_ > before)

    async def messages(self) -> list[tuple[int, dict[str, Any]]]:
        """All that was written to them, opened."""
        found = await rows(
            self.database,
            "SELECT outbox.id, content_sealed, key FROM outbox JOIN conversation ON conversation.id = conversation_id "
            "JOIN person ON person.id = person_id WHERE conversation_id = :c ORDER BY outbox.id",
            c=await self.conversation(),
        )
        return [(row.id, self.database.vault.open(bytes(row.key), bytes(row.content_sealed))) for row in found]

    async def last(self) -> dict[str, Any]:
        """The last message to them."""
        return (await self.messages())[-1][1]

    async def conversation(self) -> int:
        """Their conversation."""
        return await self.service.conversation_of("web", f"{self.name:-<40}") or 0

    async def enrol(self, days_ago: int = 10) -> None:
        """Agree to check-ins, having come back so many days ago."""
        assert say("checkin.consent") in await self.write("suivi")
        await self.press(say("checkin.consent.yes"))
        await self.press(say("first_contact.age_group.adult"))
        day = datetime.now(UTC).date() - timedelta(days=days_ago)
        assert say("checkin.country") in await self.write(f"{day.day}/{day.month}/{day.year}")
        assert say("checkin.enrolled").split("{")[0] in await self.write("Maroc")

    async def due(self, round_: str) -> tuple[int, datetime]:
        """The check-in of this round, and when something is to be done about it."""
        [row] = await rows(
            self.database,
            "SELECT checkin.id, next_at FROM checkin JOIN conversation USING (person_id) "
            "WHERE round = :r AND conversation.id = :c",
            r=round_,
            c=await self.conversation(),
        )
        return row.id, row.next_at

    async def begin(self, round_: str) -> int:
        """The check-in of this round begins; it is a good moment."""
        id_, at = await self.due(round_)
        await self.service.checkins.work(id_, at)
        assert (await self.last())["text"] == say("checkin.gate")
        await self.press(say("button.checkin_now"))
        return id_

    async def answer(self, **given: str) -> str:
        """Answer the open question and those that follow, each as its choice's button; what is said at last."""
        said = ""
        for id_, choice in given.items():
            step = questions.questions()[id_].step
            assert (await self.last())["text"].endswith(say(step.say)), id_
            said = await self.press(say(step.choice_text(choice)))
        return said

    async def told(self, *types: str) -> list[Mapping[str, Any]]:
        """What the case backend was told of these types, in order."""
        found = await rows(self.database, "SELECT type, payload FROM case_event ORDER BY id")
        return [{"type": row.type, **row.payload["data"]} for row in found if row.type in types]

    async def status(self, round_: str) -> str:
        """Where this check-in stands."""
        id_, _ = await self.due(round_)
        return str(await value(self.database, "SELECT status FROM checkin WHERE id = :id", id=id_))


SHORT = {"E1": "always", "E2": "running", "S1": "yes", "P1": "good", "F1": "yes", "H1": "no"}


@pytest.fixture
async def person(worker: tuple[Service, FakeRasa], database: Database) -> Person:
    """Somebody for whom Rasa understands nothing."""
    service, rasa = worker

    async def unclear(body: dict[str, Any]) -> Response:
        return JSONResponse(GREETING | {"messages": [{"do": "not_understood"}], "understanding": UNCLEAR})

    rasa.behave = unclear
    return Person(service, database)


async def test_enrolment_plans_each_check_in_once(person: Person, database: Database) -> None:
    """Agreed to with its own consent; six rounds, each in the hours for it; planned again, nothing changes."""
    await person.enrol()
    planned = await rows(
        database, "SELECT round, due_at, status FROM checkin WHERE round <> 'enrolment' ORDER BY due_at"
    )
    assert [row.round for row in planned] == ["week2", "month1", "month3", "month6", "month9", "month12"]
    for row in planned:
        assert row.status == "planned"
        assert_allowed(row.due_at, CASABLANCA)
    assert (
        await value(database, "SELECT count(*) FROM consent WHERE purpose = 'checkins' AND withdrawn_at IS NULL") == 1
    )
    async with database.session() as session:
        enrolment = await rounds.enrolment_of(session, await value(database, "SELECT id FROM person"))
        assert enrolment is not None
        await rounds.plan(session, enrolment, datetime.now(UTC), 12)
        await session.commit()
    assert await value(database, "SELECT count(*) FROM checkin WHERE round <> 'enrolment'") == 6
    assert say("checkin.enrolled_already").split("{")[0] in await person.write("check in")
    assert await value(database, "SELECT count(*) FROM checkin WHERE answers_sealed IS NOT NULL") == 0


async def test_no_consent_nothing_kept(person: Person, database: Database) -> None:
    """Who says no is not asked; a child is not asked but handed to a person."""
    await person.write("suivi")
    assert say("checkin.declined") in await person.press(say("checkin.consent.no"))
    await person.write("suivi")
    await person.press(say("checkin.consent.yes"))
    assert say("checkin.minor").split("(")[0] in await person.write("j'ai 16 ans")
    assert await value(database, "SELECT count(*) FROM checkin") == 0
    assert await value(database, "SELECT count(*) FROM enrolment WHERE status <> 'declined'") == 0
    assert await value(database, "SELECT count(*) FROM consent WHERE withdrawn_at IS NULL") == 0
    assert await value(database, "SELECT count(*) FROM handoff WHERE reason = 'minor'") == 1


async def test_answered(person: Person, database: Database) -> None:
    """Begun with the template, one question a message, each with a way to skip it; values sealed, told by choice."""
    await person.enrol()
    id_, at = await person.due("week2")
    await asyncio.gather(*(person.service.checkins.work(id_, at) for _ in range(4)))  # four workers at once
    gates = [content for _, content in await person.messages() if content["text"] == say("checkin.gate")]
    assert len(gates) == 1 and [name for name, _, _ in gates[0]["templates"]] == ["check_in"]
    [row] = await rows(database, "SELECT unasked, sensitive, expires_at FROM outbox WHERE unasked")
    assert row.unasked and row.sensitive and row.expires_at == schedule.of_file().closing(at, CASABLANCA)
    for telling in ("OIM", "IOM", "retour", "Maroc"):
        assert telling not in gates[0]["text"]
    await person.press(say("button.checkin_now"))
    for id_of, choice in SHORT.items():
        titles = [title for _, title in (await person.last())["buttons"]]
        assert say("choice.skip") in titles and say("button.checkin_later") in titles
        said = await person.answer(**{id_of: choice})
    assert said == say("checkin.done")
    [event] = await person.told("checkin.completed")
    assert event["round"] == "week2" and event["level"] is None and event["signal"] == "check-in signal v1"
    assert event["dimensions"] == {"economic": 1, "social": None, "psychosocial": None}
    assert [one["question"] for one in event["answers"]] == list(SHORT)
    sealed = await value(database, "SELECT answers_sealed FROM checkin WHERE id = :id", id=id_)
    assert b"always" not in bytes(sealed)
    assert "1" not in said and "signal" not in said
    assert await value(database, "SELECT count(*) FROM handoff") == 0


@pytest.mark.parametrize(
    ("question", "words", "choice"),
    [
        ("E1", "jms", "never"),
        ("E1", "dima", "always"),
        ("E1", "3", "half"),
        ("E1", "نادرا", "rarely"),
        ("E2", "khdam hamdoullah", "running"),
        ("E2", "still waiting for the money", "waiting"),
        ("S1", "wi", "yes"),
        ("S1", "iyeh", "yes"),
        ("P1", "mzyan", "good"),
        ("P1", "ça va", "ok"),
        ("F1", "lla", "no"),
        ("F1", "parfois", "sometimes"),
        ("H1", "bghit appel svp", "call"),
        ("H1", "passer", "skip"),
    ],
)
def test_typed_answers(question: str, words: str, choice: str) -> None:
    """SMS French, Darija, Arabizi, Arabic, English, numbers."""
    from bot.journeys.checkins import _read
    from bot.journeys.context import Context

    ctx = Context.__new__(Context)
    ctx.text, ctx.language, ctx.now = words, "fr", datetime.now(UTC)
    if words.isdigit():
        assert questions.questions()[question].step.choices[int(words) - 1] == choice
    assert _read(ctx, questions.questions()[question]) == choice


async def test_a_question_in_the_middle(person: Person, worker: tuple[Service, FakeRasa], database: Database) -> None:
    """It is answered, the open question comes again, and what is not understood is asked again; nothing is lost."""
    await person.enrol()
    await person.begin("week2")
    await person.answer(E1="always")

    async def asks(body: dict[str, Any]) -> Response:
        understood = {"intent": "question", "confidence": 0.9, "ranking": [], "entities": [], "label": "is_it_free"}
        answer = {"do": "answer", "with": {"topic": "is_it_free"}}
        return JSONResponse(GREETING | {"messages": [answer], "understanding": understood})

    understood_nothing, worker[1].behave = worker[1].behave, asks
    said = await person.write("c gratuit ?")
    assert knowledge.answer("is_it_free", "fr") in said and said.endswith(say("checkin.E2"))
    worker[1].behave = understood_nothing
    said = await person.write("xyz blabla truc")
    assert said.startswith(say("checkin.unreadable")) and said.endswith(say("checkin.E2"))
    said = await person.write("mon nouveau numero 06 12 34 56 78 +212612345678")
    assert say("checkin.number") in said and said.endswith(say("checkin.E2"))
    await person.answer(**{id_: choice for id_, choice in SHORT.items() if id_ != "E1"})
    [flagged] = await person.told("checkin.flagged")
    assert flagged["level"] == "amber" and flagged["because"] == ["phone"]
    assert "612345678" not in json.dumps(await person.told("checkin.completed", "checkin.flagged"))


async def test_later(person: Person, database: Database) -> None:
    """« Later » keeps the answers and leaves them in peace; remembered once; the form goes on where it was."""
    await person.enrol()
    id_ = await person.begin("week2")
    await person.answer(E1="half")
    assert await person.write("plus tard") == say("checkin.later")
    for words in ("bonjour", "ok"):
        assert say("checkin.E2") not in await person.write(words)  # nothing is asked meanwhile
    _, at = await person.due("week2")
    assert timedelta(hours=20) < at - datetime.now(UTC) < timedelta(days=9)
    await person.service.checkins.work(id_, at)
    assert (await person.last())["text"] == say("checkin.reminder")
    assert say("checkin.E2") in await person.press(say("button.checkin_now"))
    await person.answer(**{id_of: choice for id_of, choice in SHORT.items() if id_of != "E1"})
    assert await person.status("week2") == "completed"


@pytest.mark.parametrize(
    ("words", "said"),
    [("wi", "checkin.E1"), ("wakha", "checkin.E1"), ("non", "checkin.later"), ("nn pas mtn", "checkin.later")],
)
async def test_a_yes_or_no_to_the_first_words(person: Person, words: str, said: str) -> None:
    """Typed, it is the button: a good moment, or later; a no stops nothing for good."""
    await person.enrol()
    id_, at = await person.due("week2")
    await person.service.checkins.work(id_, at)
    assert await person.write(words) == say(said)


@pytest.mark.parametrize(("question", "choice"), [("F1", "no"), ("P1", "very_bad"), ("S1", "no"), ("H1", "urgent")])
async def test_red(person: Person, database: Database, question: str, choice: str) -> None:
    """A person is asked for at once, with words of care and the emergency numbers; the form waits for a word."""
    await person.enrol()
    await person.begin("week2")
    before = dict(list(SHORT.items())[: list(SHORT).index(question)])
    await person.answer(**before)
    said = await person.answer(**{question: choice})
    assert said.startswith(say("checkin.care").split("(")[0])
    titles = [title for _, title in (await person.last())["buttons"]]
    assert titles[0] == say("button.emergency") and say("button.checkin_go_on") in titles
    [handoff] = await rows(database, "SELECT reference, reason, priority FROM handoff")
    assert (handoff.reason, handoff.priority) == ("checkin_red", "P0") and handoff.reference in said
    [flagged] = await person.told("checkin.flagged")
    assert (flagged["level"], flagged["because"], flagged["handoff"]) == ("red", [question], handoff.reference)
    said = await person.press(say("button.checkin_go_on"))
    following = [*SHORT, "phone"][list(SHORT).index(question) + 1]
    assert said == say(f"checkin.{following}")


async def test_a_cry_for_help_in_the_middle(person: Person, database: Database) -> None:
    """What the safety triage hears in the middle of a check-in is answered by it, and makes the check-in red."""
    await person.enrol()
    await person.begin("week2")
    said = await person.write("jen peu plu je ve plu vivre")
    assert say("care.suicidal") in said
    [handoff] = await rows(database, "SELECT reason, priority FROM handoff")
    assert (handoff.reason, handoff.priority) == ("cue:suicidal", "P0")
    [flagged] = await person.told("checkin.flagged")
    assert (flagged["level"], flagged["because"]) == ("red", ["cue:suicidal"])
    await person.write("merci")
    assert (await person.last())["text"] != say("checkin.E1")  # no word is taken for an answer
    await person.write("suivi")
    await person.answer(**SHORT)
    [event] = await person.told("checkin.completed")
    assert event["level"] == "red"


async def test_a_year(person: Person, database: Database) -> None:
    """Six check-ins: one fine, an amber one, one missed, a red one, one in part, and the last is stopped."""
    await person.enrol()
    await person.begin("week2")
    await person.answer(**SHORT)
    await person.begin("month1")  # amber
    assert say("checkin.done_amber").split("{")[0] in await person.answer(
        **SHORT | {"E1": "never", "P1": "ok", "H1": "chat"}
    )
    [flagged] = await person.told("checkin.flagged")
    assert flagged["level"] == "amber" and flagged["because"] == ["E1", "H1", "economic"]
    assert [row.reason for row in await rows(database, "SELECT reason FROM handoff")] == ["checkin_amber"]
    id_, at = await person.due("month3")  # missed: one reminder after 72 hours, then silence
    await person.service.checkins.work(id_, at)
    reminder = (await person.due("month3"))[1]
    assert timedelta(hours=72) <= reminder - at <= timedelta(days=12)
    await person.service.checkins.work(id_, reminder)
    assert await person.status("month3") == "reminded"
    said = len(await person.messages())
    await person.service.checkins.work(id_, (await person.due("month3"))[1])
    assert await person.status("month3") == "missed" and len(await person.messages()) == said
    assert (await person.told("checkin.missed"))[0]["why"] == "silent"
    assert [row.reason for row in await rows(database, "SELECT reason FROM handoff ORDER BY id")][1:] == [
        "checkin_unreached"
    ]
    assert say("checkin.over") in await person.press(say("button.checkin_now"))  # too late for that one
    await person.begin("month6")  # red, and answered to the end
    await person.answer(E1="always", E2="running", E3="no", S1="no")
    await person.press(say("button.checkin_go_on"))
    await person.answer(S2="nothing", S3="well", P1="good", P2="yes", F1="yes", H1="no")
    id_ = await person.begin("month9")  # in part
    await person.answer(E1="always", E2="skip")
    await person.service.checkins.work(id_, (await person.due("month9"))[1])
    assert (await person.last())["text"] == say("checkin.reminder")
    await person.service.checkins.work(id_, (await person.due("month9"))[1])
    [partial] = await person.told("checkin.partial")
    assert [one["answer"] for one in partial["answers"]] == ["always", "skip"]
    await person.begin("month12")
    assert say("checkin.stopped") in await person.write("Ne plus m'écrire")
    statuses = await rows(database, "SELECT status FROM checkin WHERE round <> 'enrolment' ORDER BY due_at")
    assert [row.status for row in statuses] == ["completed", "completed", "missed", "completed", "partial", "stopped"]
    [stopped] = await person.told("checkin.stopped")
    assert stopped["round"] == "month12" and stopped["for_good"]
    assert await value(database, "SELECT count(*) FROM consent WHERE withdrawn_at IS NULL") == 0
    assert await value(database, "SELECT count(*) FROM checkin WHERE next_at IS NOT NULL") == 0
    levels = [event["level"] for event in await person.told("checkin.completed")]
    assert levels == [None, "amber", "red"]


async def test_stop_is_respected(person: Person, database: Database) -> None:
    """After STOP nothing comes; START lets the next check-in come, not the one that was stopped."""
    await person.enrol()
    id_ = await person.begin("week2")
    await person.write("STOP")
    assert await person.status("week2") == "stopped"
    assert [event["for_good"] for event in await person.told("checkin.stopped")] == [False]
    id_, at = await person.due("month1")
    said = len(await person.messages())
    await person.service.checkins.work(id_, at)
    assert await person.status("month1") == "stopped" and len(await person.messages()) == said
    async with database.session() as session:  # as START does
        await session.execute(text("UPDATE person SET stopped_at = NULL"))
        await session.commit()
    id_, at = await person.due("month3")
    await person.service.checkins.work(id_, at)
    assert (await person.last())["text"] == say("checkin.gate")


async def test_never_at_a_wrong_hour(person: Person, database: Database) -> None:
    """Held up until the night, a check-in waits for the next allowed hour."""
    await person.enrol()
    id_, at = await person.due("week2")
    night = at.replace(hour=23)
    said = len(await person.messages())
    await person.service.checkins.work(id_, night)
    assert len(await person.messages()) == said
    _, moved = await person.due("week2")
    assert moved == schedule.of_file().allowed(night, CASABLANCA) > night
    await person.service.checkins.work(id_, moved)
    assert (await person.last())["text"] == say("checkin.gate")


async def test_nobody_can_be_reached(person: Person, database: Database) -> None:
    """Blocked: missed at once, and staff try another way."""
    await person.enrol()
    async with database.session() as session:
        await session.execute(text("UPDATE address SET unreachable_at = now()"))
        await session.commit()
    id_, at = await person.due("week2")
    await person.service.checkins.work(id_, at)
    assert (await person.told("checkin.missed"))[0]["why"] == "unreachable"
    assert await value(database, "SELECT reason FROM handoff") == "checkin_unreached"


def test_the_template_says_what_the_buttons_say() -> None:
    """A template's button is what the person says: its words are those of the message's own buttons."""
    for language in LANGUAGES:
        ids = ("button.checkin_now", "button.checkin_later", "button.checkin_stop")
        assert list(definitions()["check_in"].buttons[language]) == [i18n.say(one, language) for one in ids]


def test_a_new_question_is_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question is an entry of the file (and its texts): it is asked, read, counted and told with no line of code."""
    described = yaml.safe_load(schedule.FILE.read_text(encoding="utf-8"))
    described["lists"]["full"].insert(1, "S4")
    described["questions"]["S4"] = {
        "dimension": "social",
        "say": "checkin.P2",  # any text there is: texts are added in locales/
        "choices": {"yes": {"value": 1}, "sometimes": {"value": 0.5}, "no": {"value": 0, "flag": "red"}},
    }
    file = tmp_path / "checkins.yml"
    file.write_text(yaml.safe_dump(described, sort_keys=False), encoding="utf-8")
    monkeypatch.setattr(schedule, "FILE", file)
    schedule.data.cache_clear()
    questions.questions.cache_clear()
    try:
        following = questions.following("full", {"E1": "always"})
        assert following is not None and following.id == "S4"
        answers = {"S1": "for_now", "S4": "no"}
        read = questions.signal(answers, {})
        assert read.level == "red" and read.because == ["S4"] and read.dimensions["social"] == 0.25
        assert {"question": "S4", "answer": "no", "value": 0} in questions.told(answers, "full")
    finally:
        monkeypatch.undo()
        schedule.data.cache_clear()
        questions.questions.cache_clear()
    assert "S4" not in questions.questions()


RANK = {"planned": 0, "sent": 1, "reminded": 2, "open": 3, **dict.fromkeys(rounds.OVER, 4)}


@examples(max_examples=200, deadline=None)
@given(wishes=st.lists(st.sampled_from(list(RANK)), max_size=12))
def test_never_backwards(wishes: list[str]) -> None:
    """Whatever is asked of a check-in in whatever order, its state only goes forward, and ends once."""
    row = Checkin(status="planned", round="week2", form="short")
    for wish in wishes:
        was = row.status
        try:
            rounds.step(row, wish, datetime.now(UTC))
        except rounds.NotPossible:
            assert row.status == was
        else:
            assert RANK[row.status] > RANK[was]
            assert row.status not in rounds.OVER or (row.next_at, row.asked) == (None, None)


ANYTHING = st.one_of(
    st.sampled_from(["suivi", "oui", "non", "1", "3", "plus tard", "passer", "STOP", "START", "jamais", "Répondre",
                     "Continuer", "Ne plus m'écrire", "Maroc", "10 octobre", "adulte", "EFFACER", "blabla"]),
    st.just(">work"),
)  # fmt: skip


@examples(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(ANYTHING, min_size=3, max_size=10))
async def test_any_sequence(person: Person, database: Database, events: list[str]) -> None:
    """Any sequence of texts and of time passing: no turn fails, one form at a time, nothing is due that is over."""
    one = Person(person.service, database)
    await one.enrol()
    for event in events:
        if event == ">work":
            found = await rows(
                database,
                "SELECT checkin.id, next_at FROM checkin JOIN conversation USING (person_id) "
                "WHERE conversation.id = :c AND next_at IS NOT NULL ORDER BY next_at LIMIT 1",
                c=await one.conversation(),
            )
            for row in found:
                await one.service.checkins.work(row.id, row.next_at)
        else:
            await one.write(event)
    assert await value(database, "SELECT count(*) FROM inbox WHERE status = 'dead'") == 0
    assert (
        await value(
            database,
            "SELECT coalesce(max(n), 0) FROM (SELECT count(*) n FROM checkin WHERE status = 'open' GROUP BY person_id) o",
        )
        <= 1
    )
    over = "SELECT count(*) FROM checkin WHERE status IN ('completed', 'partial', 'missed', 'stopped') AND next_at IS NOT NULL"
    assert await value(database, over) == 0


async def test_returned_on_is_a_date(person: Person, database: Database) -> None:
    """Buttons stand for a day about then; « earlier » asks for a date; a day in the future is none."""
    await person.write("suivi")
    await person.press(say("checkin.consent.yes"))
    await person.press(say("first_contact.age_group.adult"))
    assert await person.press(say("checkin.returned.earlier")) == say("checkin.returned.which")
    assert say("checkin.unreadable") in await person.write("blabla")
    await person.press(say("checkin.returned.this_week"))
    await person.press(say("choice.skip"))
    found = await value(database, "SELECT returned_on FROM enrolment")
    assert isinstance(found, date) and found == datetime.now(UTC).date() - timedelta(days=3)


async def recorded(
    database: Database, returned_on: date, answer_id: str = "msg_1", said: int = 0, country: str | None = "SN"
) -> bool | None:
    """The case backend says, so many seconds from now, that the person of this request is back."""
    data = {"ref": "AV-7K3Q", "returned_on": returned_on.isoformat(), **({"country": country} if country else {})}
    at = datetime.now(UTC) + timedelta(seconds=said)
    return await answers.take(database, answer_id, Answer("return.recorded", "AV-7K3Q", at, data))


async def with_a_request(person: Person, database: Database, age_group: str) -> None:
    """They write, and have a request."""
    await person.write("bonjour")
    async with database.session() as session:
        key = await session.scalar(text("SELECT key FROM person"))
        sealed = database.vault.seal(bytes(key), {"age_group": age_group})
        insert = "INSERT INTO request (reference, person_id, priority, answers_sealed) SELECT 'AV-7K3Q', id, 'P2', :s FROM person"
        await session.execute(text(insert), {"s": sealed})
        await session.commit()


async def test_a_return_is_recorded(person: Person, database: Database) -> None:
    """The case backend's word invites, in neutral words and once; only the person's own yes enrols, on their clock."""
    await with_a_request(person, database, "adult")
    today = datetime.now(UTC).date()
    assert await recorded(database, today) is True
    assert await recorded(database, today) is True  # the same answer again: nothing more
    assert await recorded(database, today, "msg_2") is False  # invited already
    last = await person.last()
    assert last["text"] == say("checkin.consent") and last["announced"]
    for telling in ("OIM", "IOM", "retour", "pays"):
        assert telling not in last["text"]
    assert await value(database, "SELECT count(*) FROM checkin WHERE next_at IS NOT NULL") == 0
    said = await person.press(say("checkin.consent.yes"))
    assert said.startswith(say("checkin.enrolled").split("{")[0])
    [enrolment] = await rows(database, "SELECT status, returned_on, zone FROM enrolment")
    assert (enrolment.status, enrolment.returned_on, enrolment.zone) == ("active", today, "Africa/Dakar")
    assert await value(database, "SELECT count(*) FROM checkin WHERE next_at IS NOT NULL") == 6


async def test_who_said_no_is_not_asked_again(person: Person, database: Database) -> None:
    """Nor is a child, ever."""
    await with_a_request(person, database, "adult")
    today = datetime.now(UTC).date()
    await recorded(database, today)
    assert await person.press(say("checkin.consent.no")) == say("checkin.declined")
    assert await recorded(database, today, "msg_2") is False
    async with database.session() as session:
        key = await session.scalar(text("SELECT key FROM person"))
        sealed = database.vault.seal(bytes(key), {"age_group": "child"})
        await session.execute(text("DELETE FROM enrolment"))
        await session.execute(text("UPDATE request SET answers_sealed = :s"), {"s": sealed})
        await session.commit()
    assert await recorded(database, today, "msg_3") is False


async def planned(database: Database) -> dict[str, datetime]:
    """When each check-in that is to come is due."""
    found = await rows(database, "SELECT round, due_at FROM checkin WHERE status = 'planned' ORDER BY due_at")
    return {row.round: row.due_at for row in found}


async def test_another_day_of_return(person: Person, database: Database) -> None:
    """A second word of the team moves what is not due yet, once; an older one, and a day that cannot be, change nothing."""
    await with_a_request(person, database, "adult")
    today = datetime.now(UTC).date()
    await recorded(database, today - timedelta(days=10))
    await person.press(say("checkin.consent.yes"))
    await person.begin("week2")
    enrolment_id = await value(database, "SELECT id FROM enrolment")
    before = await planned(database)
    day = today - timedelta(days=12)
    assert await recorded(database, day, "msg_2", said=10) is False  # nobody is told: nothing is new for them
    after = await planned(database)
    assert after == {
        one.id: schedule.of_file().due(day, one, "Africa/Dakar", enrolment_id)
        for one in schedule.of_file().wanted(12)
        if one.months
    }
    assert all(after[name] < due_at for name, due_at in before.items())
    assert await person.status("week2") == "open"  # what has begun goes on
    await recorded(database, day, "msg_3", said=20)
    await recorded(database, today - timedelta(days=3), "msg_4", said=5)  # said before the second
    await recorded(database, today + timedelta(days=30), "msg_5", said=30)
    await recorded(database, today - timedelta(days=10 * 365), "msg_6", said=30)
    assert await planned(database) == after
    await recorded(database, day, "msg_7", said=40, country="CM")
    assert (await planned(database))["month1"].astimezone(UTC) != after["month1"]
    await recorded(database, day, "msg_8", said=50, country=None)  # no country: the clock stays
    assert await value(database, "SELECT zone FROM enrolment") == "Africa/Douala"
    assert len(await person.told("checkin.stopped", "checkin.missed")) == 0


async def test_another_day_before_the_yes(person: Person, database: Database) -> None:
    """Invited for one day, corrected, and then agreed: the second day counts, and nobody is invited twice.

    A return of years ago moves every check-in into the past: there is none any more, and none is made up for.
    """
    await with_a_request(person, database, "adult")
    today = datetime.now(UTC).date()
    assert await recorded(database, today) is True
    assert await recorded(database, today - timedelta(days=9), "msg_2", said=10) is False
    await person.press(say("checkin.consent.yes"))
    assert await value(database, "SELECT returned_on FROM enrolment") == today - timedelta(days=9)
    await recorded(database, today - timedelta(days=2 * 365), "msg_3", said=20)
    assert await planned(database) == {}
    assert await value(database, "SELECT status FROM enrolment") == "ended"


def understands(understanding: dict[str, Any], message: dict[str, Any]) -> Callable[..., Awaitable[Response]]:
    """A Rasa to whom everything means this."""

    async def behave(body: dict[str, Any]) -> Response:
        understood = {"confidence": 0.9, "ranking": [], "entities": [], **understanding}
        return JSONResponse(GREETING | {"messages": [message], "understanding": understood})

    return behave


@pytest.mark.parametrize("reason", ["complaint", "no_followup"])
async def test_a_complaint_in_the_middle(
    person: Person, worker: tuple[Service, FakeRasa], database: Database, reason: str
) -> None:
    """« Nobody calls me », a complaint: taken in at once, and the open question comes again."""
    await person.enrol()
    await person.begin("week2")
    worker[1].behave = understands({"intent": reason}, {"do": "handoff", "with": {"reason": reason}})
    said = await person.write("personne ne m'appelle depuis des mois, ce n'est pas normal")
    assert said.endswith(say("checkin.E1"))
    assert await value(database, "SELECT reason FROM handoff") == reason
    await person.answer(**SHORT)
    assert (await person.told("checkin.completed"))[0]["level"] is None


async def test_a_problem_with_a_payment(person: Person, worker: tuple[Service, FakeRasa], database: Database) -> None:
    """Asked about in the middle of a check-in whose answers are fine, it makes a task."""
    await person.enrol()
    await person.begin("week2")
    topic = "supplier_quotes"
    question = {"intent": "question", "label": topic}
    worker[1].behave = understands(question, {"do": "answer", "with": {"topic": topic}})
    said = await person.write("et pour les devis des fournisseurs, comment faire ?")
    assert knowledge.answer(topic, "fr") in said and said.endswith(say("checkin.E1"))
    await person.answer(**SHORT)
    assert [one["because"] for one in await person.told("checkin.flagged")] == [["payment"]]
    assert await value(database, "SELECT reason FROM handoff") == "checkin_amber"


@pytest.mark.parametrize("told", [False, True])
async def test_what_was_typed(person: Person, database: Database, told: bool) -> None:
    """The case backend is told choices; what was typed only where the operator wants it, sealed until it goes."""
    posted: dict[str, tuple[dict[str, Any], Any]] = {}

    class Backend:
        url, newest_only = "http://127.0.0.1/", False

        async def post(self, client: Any, event: Event, overtaken: bool = False) -> None:
            kept = await rows(database, "SELECT payload, words_sealed FROM case_event WHERE id = :i", i=event.row_id)
            posted[event.type] = event.payload, kept[0]

    service = person.service
    service.cases.backend = Backend()
    service.turns._settings = service.settings.model_copy(update={"rafiq_checkins_free_text": told})
    await person.enrol()
    await person.begin("week2")
    await person.answer(E1="always", E2="running", S1="yes", P1="good", F1="yes", H1="call")
    await person.write("0612345678")
    open_ = "SELECT count(*) = 0 FROM case_event WHERE status = 'queued'"
    await until(lambda: value(database, open_))
    completed, kept = posted["checkin.completed"]
    validator("checkin.completed").validate(kept.payload)  # which has no place for it
    given = {"question": "phone", "answer": "given", "value": None}
    assert completed["data"]["answers"][-1] == given | ({"text": "+212612345678"} if told else {})
    assert kept.payload["data"]["answers"][-1] == given and "612345678" not in json.dumps(kept.payload)
    assert (kept.words_sealed is not None) == told and b"612345678" not in bytes(kept.words_sealed or b"")
    assert await value(database, "SELECT count(*) FROM case_event WHERE words_sealed IS NOT NULL") == 0  # it is told


async def test_a_sentence_enrols(person: Person, database: Database) -> None:
    """« I am back in Guinea, check in with me »: asked for their consent, and not in which country they live."""
    assert say("checkin.consent") in await person.write("Je suis rentré en Guinée, prenez de mes nouvelles svp")
    await person.press(say("checkin.consent.yes"))
    await person.press(say("first_contact.age_group.adult"))
    said = await person.press(say("checkin.returned.this_week"))
    assert said.startswith(say("checkin.enrolled").split("{")[0])
    [enrolment] = await rows(database, "SELECT status, zone FROM enrolment")
    assert (enrolment.status, enrolment.zone) == ("active", "Africa/Conakry")
    assert await person.press(say("button.correct")) == say("checkin.returned.which")
    day = datetime.now(UTC).date() - timedelta(days=5)
    assert say("checkin.moved").split("{")[0] in await person.write(f"{day.day}/{day.month}/{day.year}")
    assert await value(database, "SELECT returned_on FROM enrolment") == day


def test_a_text_question() -> None:
    """A question that takes what is typed: any words but a question; it is told as `given`."""
    from bot.journeys.checkins import _read
    from bot.journeys.context import Context

    step = Step("N1", "checkin.P2", "text", skip=True)
    question = questions.Question("N1", step, None, {})
    ctx = Context.__new__(Context)
    ctx.language, ctx.now = "fr", datetime.now(UTC)
    for words, kept in (("le toit est cassé", "le toit est cassé"), ("passer", SKIPPED), ("c'est gratuit ?", None)):
        ctx.text = words
        assert _read(ctx, question) == kept


async def test_a_counsellor_records_a_return(
    person: Person, database: Database, own_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the command line: invited once, corrected by another day; a day that cannot be is refused in one line."""
    monkeypatch.setenv("DATABASE_URL", own_url)
    monkeypatch.setenv("RAFIQ_MASTER_KEY", base64.b64encode(person.service.settings.master_key).decode())

    async def run(reference: str, day: date) -> Result:
        given = ["returned", reference, day.isoformat(), "--country", "SN"]
        return await asyncio.to_thread(CliRunner().invoke, app, given)

    await with_a_request(person, database, "adult")
    today = datetime.now(UTC).date()
    assert (await run("AV-7K3Q", today)).stdout.splitlines()[-1] == "invited"  # logs of the service beside it
    told = (await run("AV-7K3Q", today - timedelta(days=9))).stdout.splitlines()[-1]
    assert told.startswith("not invited: asked already")
    [enrolment] = await rows(database, "SELECT status, returned_on FROM enrolment")
    assert (enrolment.status, enrolment.returned_on) == ("invited", today - timedelta(days=9))
    wrong = (("AV-7K3Q", today + timedelta(days=9)), ("AV-7K3Q", today - timedelta(days=9000)), ("AV-2222", today))
    for reference, day in wrong:
        assert isinstance((await run(reference, day)).exception, SettingsError)
