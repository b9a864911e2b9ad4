"""The promises of the way through: nothing lost, nothing twice, in order, nobody held up, never silent."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.responses import JSONResponse, Response

from bot import i18n, web
from bot.channels.telegram import Telegram
from bot.conversation import inbox, overview
from bot.db import embedded, migrate
from bot.db.encryption import Vault
from bot.db.session import Database, connect
from bot.settings import ROOT, Settings
from bot.web import Service
from tests.conversation.conftest import Process, post_chat, rows, typed, until, value
from tests.conversation.letters import change
from tests.conversation.test_guards import said
from tests.simulators.rasa import GREETING, FakeRasa

Worker = tuple[Service, FakeRasa]


async def all_done(database: Database) -> bool:
    """Whether no inbox row is open."""
    return not await value(database, "SELECT count(*) FROM inbox WHERE status IN ('pending', 'waiting')")


async def test_the_same_event_again_makes_no_second_turn(worker: Worker, database: Database) -> None:
    """Ten at once and one eight days later: one row, one turn, one answer."""
    _, fake = worker
    event = typed("bonjour", external_id="the-same")
    await asyncio.gather(*(inbox.accept(database, [event]) for _ in range(10)))
    await until(lambda: all_done(database))
    async with database.session() as session:
        from sqlalchemy import text

        await session.execute(text("UPDATE inbox SET received_at = now() - interval '8 days', content_sealed = NULL"))
        await session.commit()
    assert await inbox.accept(database, [event]) == [None]
    await asyncio.sleep(0.3)
    assert await value(database, "SELECT count(*) FROM inbox") == 1
    assert await value(database, "SELECT count(*) FROM outbox") == 1
    assert len(fake.turns) == 1


async def test_nothing_is_acknowledged_that_is_not_committed(
    fake_rasa: tuple[FakeRasa, Settings], database: Database, own_url: str
) -> None:
    """202 for every post means a row for every post, committed before the answer."""
    ids = [str(uuid.uuid4()) for _ in range(20)]
    async with Process(fake_rasa[1], own_url) as process:
        url = process.settings.own_url
        statuses = await asyncio.gather(*(post_chat(url, "p1", f"m{i}", i) for i in ids))
    assert statuses == [202] * 20
    assert await value(database, "SELECT count(*) FROM inbox WHERE kind = 'text'") == 20


@pytest.mark.parametrize(
    ("words", "strong"),
    [
        ("au secours, le bateau coule, nous sommes en mer", True),
        ("the dinghy is filling with water, it is dark", False),
    ],
)
async def test_danger_to_life_is_answered_within_2_s_under_load(
    worker: Worker, database: Database, words: str, strong: bool
) -> None:
    """Rasa takes a second for each, every slot is taken and ninety people wait: the frightened one does not."""
    service, fake = worker
    assert (service.triage.strong(words) is not None) == strong

    async def slowly(body: dict[str, Any]) -> Response:
        await asyncio.sleep(1)
        return JSONResponse(GREETING)

    fake.behave = slowly
    waiting = 90 + service.settings.rafiq_turns
    await service.accept([typed("bonjour", f"calm{i}") for i in range(waiting)])
    began = time.monotonic()
    await service.accept([typed(words, "afraid")])
    answered = "SELECT count(*) FROM outbox JOIN handoff USING (conversation_id) WHERE reason LIKE 'cue:%'"
    await until(lambda: value(database, answered))
    assert time.monotonic() - began < 2
    assert await value(database, "SELECT count(*) FROM inbox WHERE status = 'pending'")
    fake.behave = fake.greet
    await until(lambda: all_done(database))


async def test_turns_are_in_order_with_several_processes(
    fake_rasa: tuple[FakeRasa, Settings], database: Database, own_url: str
) -> None:
    """Two service processes, ten conversations, eight messages each: every turn once and in order."""
    fake, settings = fake_rasa
    running: dict[str, int] = {}
    overlaps: list[str] = []

    async def slowly(body: dict[str, Any]) -> Response:
        conversation = body["conversation"]
        running[conversation] = running.get(conversation, 0) + 1
        if running[conversation] > 1:
            overlaps.append(conversation)
        await asyncio.sleep(0.02)
        running[conversation] -= 1
        return JSONResponse(GREETING)

    fake.behave = slowly
    async with Process(settings, own_url), Process(settings, own_url):
        for number in range(8):
            await asyncio.gather(
                *(inbox.accept(database, [typed(f"message {number}", person=f"person{p}")]) for p in range(10))
            )
        await until(lambda: all_done(database), 30)
    assert not overlaps
    for conversation, ids, turns in await rows(
        database,
        "SELECT conversation_id, array_agg(id ORDER BY id), array_agg(turn ORDER BY id) FROM inbox GROUP BY 1",
    ):
        assert turns == list(range(1, 9)), conversation
        seen = [int(t["message_id"]) for t in fake.turns if int(t["message_id"]) in ids]
        assert seen == ids
    assert len(fake.turns) == 80


async def test_rasas_name_of_a_conversation_is_random_and_rotates(worker: Worker, database: Database) -> None:
    """Never an address; after twenty turns, when no form is open, another one, and the tracker before is gone."""
    _, fake = worker
    forms_and_turns = [(None, 19), ("first_contact_form", 20), (None, 21), (None, 1)]

    async def count_turns(body: dict[str, Any]) -> Response:
        form, turns = forms_and_turns[len(fake.turns) - 1]
        return JSONResponse({**GREETING, "form": form, "turns": turns})

    fake.behave = count_turns
    for words in ("bonjour", "salut", "hello", "salam"):
        await inbox.accept(database, [typed(words, person="212612345678")])
        await until(lambda: all_done(database))
        if words == "bonjour":
            await change(database, "INSERT INTO rasa_tracker SELECT rasa_id, '' FROM conversation")
    names = [turn["conversation"] for turn in fake.turns]
    assert names[0] == names[1] == names[2] != names[3]
    assert not any("612345678" in name or len(name) < 16 for name in names)
    assert await value(database, "SELECT count(*) FROM rasa_tracker") == 0


async def test_a_slow_conversation_holds_up_nobody_else(worker: Worker, database: Database) -> None:
    """While one person's turn hangs, the others are answered at once."""
    _, fake = worker

    async def slow_for_one(body: dict[str, Any]) -> Response:
        return await (fake.hang(body) if body["text"] == "slow" else fake.greet(body))

    fake.behave = slow_for_one
    await inbox.accept(database, [typed("slow", person="slowest")])
    began = time.monotonic()
    for number in range(10):
        await inbox.accept(database, [typed("bonjour", person=f"quick{number}")])
    await until(lambda: value(database, "SELECT count(*) >= 10 FROM inbox WHERE status = 'done'"), 5)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("failure", ["fail", "say_nothing", "hang"])
async def test_rasa_failing_gives_a_notice_and_later_one_answer(
    worker: Worker, database: Database, failure: str
) -> None:
    """Rasa answers an error, nothing, or not at all: one notice with fixed choices, then one answer when it is back."""
    _, fake = worker
    fake.behave, fake.healthy = getattr(fake, failure), False
    await inbox.accept(database, [typed("bonjour, je veux poser une question")])
    await until(lambda: value(database, "SELECT count(*) FROM outbox"), 15)
    await asyncio.sleep(2.5)
    assert await value(database, "SELECT count(*) FROM outbox") == 1  # one notice, however often it is tried
    titles = [r.title for r in await rows(database, "SELECT title FROM issued_button ORDER BY position")]
    assert titles == ["Numéros d'urgence", "Contacter l'OIM", "Parler à quelqu'un"]
    fake.behave, fake.healthy = fake.greet, True
    await until(lambda: all_done(database), 15)
    assert await value(database, "SELECT count(*) FROM outbox") == 2
    assert await value(database, "SELECT count(*) FROM inbox WHERE status = 'done'") == 1


async def test_a_cry_is_answered_while_rasa_is_down(worker: Worker, database: Database) -> None:
    """Triage asks nobody: words of care and a handoff at once, and nothing is left to wait for Rasa."""
    _, fake = worker
    fake.behave, fake.healthy = fake.fail, False
    await inbox.accept(database, [typed("je veux mourir")])
    await until(lambda: value(database, "SELECT count(*) FROM handoff WHERE reason = 'cue:suicidal'"), 15)
    await until(lambda: all_done(database), 15)
    assert await value(database, "SELECT priority FROM handoff") == "P0"
    assert (await said(database))[0].startswith(i18n.say("care.suicidal", "fr")[:20])
    assert not fake.turns


async def test_after_a_long_outage_there_is_no_burst_of_old_answers(worker: Worker, database: Database) -> None:
    """What waited for too long is closed with one sentence a message, without asking Rasa what it meant."""
    _, fake = worker
    fake.behave, fake.healthy = fake.fail, False
    await inbox.accept(database, [typed("bonjour, je veux poser une question")])
    await until(lambda: value(database, "SELECT count(*) FROM inbox WHERE status = 'waiting'"), 15)
    await change(database, "UPDATE inbox SET received_at = now() - interval '16 minutes'")
    asked = len(fake.turns)
    fake.behave, fake.healthy = fake.greet, True
    await until(lambda: all_done(database), 15)
    assert len(fake.turns) == asked
    assert (await said(database))[-1] == i18n.say("back_again", "fr")


async def test_an_operator_is_told_when_telegram_is_silent(
    worker: Worker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After fifteen minutes without an answer, once; not for a moment, and not when it answers."""
    service, _ = worker
    monkeypatch.setattr(web, "LOOK", 0.01)

    class Line:
        name = "telegram"
        answers = True
        asked = 0

        async def reaches_us(self) -> bool:
            self.asked += 1
            return self.answers

    line = Line()
    watching = asyncio.create_task(service._watch_telegram(cast(Telegram, line)))
    alerts = "SELECT count(*) FROM alert WHERE kind = 'telegram: no updates come'"

    async def looked(times: int) -> None:
        upto = line.asked + times

        async def enough() -> bool:
            return line.asked >= upto

        await until(enough)

    await looked(3)
    reached = "SELECT count(*) FROM channel_state WHERE channel = 'telegram reached us'"
    assert await value(database, reached) == 1, "a long outage is known when it is over (test_outage.py)"
    line.answers = False
    await looked(3)
    assert await value(database, alerts) == 0
    monkeypatch.setattr(web, "SILENCE", 0.0)
    await looked(5)
    assert await value(database, alerts) == 1
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_fixed_choices_work_while_rasa_is_down(worker: Worker, database: Database) -> None:
    """A button of the notice is answered at once, Rasa down or not, ahead of the message that waits for Rasa."""
    from bot.messages import Incoming, Kind

    _, fake = worker
    fake.behave, fake.healthy = fake.fail, False
    first = typed("bonjour")
    await inbox.accept(database, [first])
    await until(lambda: value(database, "SELECT count(*) FROM issued_button"), 15)
    button = await value(database, "SELECT id FROM issued_button WHERE action->>'do' = 'handoff'")
    press = Incoming("web", str(uuid.uuid4()), first.address, Kind.PRESS, press=button)
    await inbox.accept(database, [press])
    await until(lambda: value(database, "SELECT count(*) FROM handoff"), 5)
    assert await value(database, "SELECT count(*) FROM case_event WHERE type = 'handoff.requested'") == 1


async def test_a_poison_message_is_set_aside_and_the_next_goes_on(
    worker: Worker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What always crashes its turn is tried three times, set aside with an alert and a word to the person; once that is
    mended, the team has it taken again, and it is answered."""
    service, _ = worker
    tries: list[str] = []
    harmless = service.turns._triage.read

    def crash(text: str, vector: Any) -> Any:
        if "poison" in text:
            tries.append(text)
            raise ZeroDivisionError
        return harmless(text, vector)

    monkeypatch.setattr(type(service.turns._triage), "read", lambda self, text, vector: crash(text, vector))
    await inbox.accept(database, [typed("poison"), typed("bonjour")])
    await until(lambda: all_done(database), 20)
    assert len(tries) == 3
    assert [r.status for r in await rows(database, "SELECT status FROM inbox ORDER BY id")] == ["dead", "done"]
    assert await value(database, "SELECT count(*) FROM alert WHERE kind = 'message set aside'") == 1
    assert await value(database, "SELECT count(*) FROM outbox") == 2
    monkeypatch.undo()
    [aside] = await overview.set_aside(database)
    assert (aside.channel, aside.error) == ("web", "ZeroDivisionError")
    assert await overview.take_again(database, aside.inbox_id) and await overview.set_aside(database) == []
    await until(lambda: all_done(database), 20)
    assert [r.status for r in await rows(database, "SELECT status FROM inbox ORDER BY id")] == ["done", "done"]
    assert await value(database, "SELECT count(*) FROM outbox WHERE inbox_id = :id", id=aside.inbox_id) == 2
    assert not await overview.take_again(database, aside.inbox_id)


async def test_a_message_that_rasa_cannot_handle_is_poison_too(worker: Worker, database: Database) -> None:
    """Rasa is well but fails on one message: that message is set aside, it does not wait for ever."""
    _, fake = worker

    async def fails_on_one(body: dict[str, Any]) -> Response:
        return await (fake.fail(body) if body["text"] == "boom boom" else fake.greet(body))

    fake.behave = fails_on_one
    await inbox.accept(database, [typed("boom boom"), typed("bonjour")])
    await until(lambda: all_done(database), 25)
    statuses = [r.status for r in await rows(database, "SELECT status FROM inbox ORDER BY id")]
    assert statuses == ["dead", "done"]


async def test_the_database_goes_away_and_comes_back(fake_rasa: tuple[FakeRasa, Settings], tmp_path: Path) -> None:
    """While it is away nothing is accepted and the browser is told to ask again; then work goes on by itself."""
    folder = tmp_path / "postgres"
    url = await asyncio.to_thread(embedded.start, folder)
    await asyncio.to_thread(migrate.upgrade, url)
    try:
        async with Process(fake_rasa[1], url) as process:
            own_url = process.settings.own_url
            assert await post_chat(own_url, "p1", "bonjour", str(uuid.uuid4())) == 202
            await asyncio.to_thread(embedded.stop, folder)
            lost = str(uuid.uuid4())
            assert await post_chat(own_url, "p1", "vous êtes là ?", lost) == 503
            await _in_another_process(f"embedded.start(Path({str(folder)!r}))")  # this one takes it for running

            async def taken() -> bool:
                return await post_chat(own_url, "p1", "vous êtes là ?", lost) == 202

            await until(taken, 10)
            database = connect(url, Vault(fake_rasa[1].master_key), 2)
            await until(lambda: all_done(database), 10)
            assert await value(database, "SELECT count(*) FROM inbox WHERE status = 'done'") == 2
            assert await value(database, "SELECT count(*) FROM outbox") == 2
            await database.close()
    finally:
        await _in_another_process(f"embedded.stop(Path({str(folder)!r}))")


async def _in_another_process(statement: str) -> None:
    code = f"from pathlib import Path; from bot.db import embedded; {statement}"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, cwd=ROOT)
    assert await process.wait() == 0


FAULTS = ["inbox.accepted", "turn.claimed", "turn.decided", "turn.performed", "turn.before_commit", "turn.committed"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_kill_9_of_the_service_loses_and_doubles_nothing(
    settings: Settings, rasa: Any, database: Database, own_url: str, fault: str
) -> None:
    """Killed at this point of a turn with an effect: after the restart it is done once, within ten seconds."""
    message_id = str(uuid.uuid4())
    async with Process(settings, own_url, fault=fault) as process:
        try:
            await post_chat(process.settings.own_url, "p1", "je veux parler à une personne", message_id)
        except Exception as error:  # the process died before it could answer
            assert "turn" not in fault, error
        assert await process.died() == -9
    async with Process(settings, own_url) as process:
        began = time.monotonic()
        status = await post_chat(process.settings.own_url, "p1", "je veux parler à une personne", message_id)
        assert status == 202
        await until(lambda: all_done(database), 10)
        await until(lambda: value(database, "SELECT count(*) FROM outbox"), 10)
        assert time.monotonic() - began < 10
    assert await value(database, "SELECT count(*) FROM inbox WHERE status = 'done'") == 1
    assert await value(database, "SELECT count(*) FROM handoff") == 1
    assert await value(database, "SELECT count(*) FROM case_event") == 1
    assert await value(database, "SELECT count(*) FROM outbox") == 1
