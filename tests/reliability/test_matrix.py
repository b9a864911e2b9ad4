"""Rows of the fault matrix (docs/reliability.md) with real processes, over connections that go wrong."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from sqlalchemy import text

from tests.conversation import oracles
from tests.conversation.conftest import rows, until, value
from tests.conversation.letters import change
from tests.reliability.chaos import WORDS
from tests.reliability.outside import TELEGRAM_TOKEN, Outside
from tests.simulators import telegram, whatsapp
from tests.simulators.proxy import FaultProxy


def port_of(url: str) -> int:
    """The port of a loopback address."""
    return int(url.rpartition(":")[2])


async def test_the_proxy_does_what_it_says(world: Outside) -> None:
    """Bytes pass; slow is slow, cut is cut after the request was made, reset is reset."""
    async with FaultProxy(port_of(world.whatsapp.url)) as proxy, httpx.AsyncClient(trust_env=False) as client:
        url = f"{proxy.url}/v1/1/messages"
        assert (await client.post(url, json={})).status_code == 401
        proxy.latency = 0.3
        began = asyncio.get_running_loop().time()
        await client.post(url, json={})
        assert asyncio.get_running_loop().time() - began >= 0.3
        proxy.latency, proxy.cut, proxy.cut_after = 0.0, 1, 12
        for broken in ("cut", "refused"):
            try:
                await client.post(url, json={})
            except httpx.HTTPError:
                pass
            else:
                raise AssertionError(broken)
            proxy.refuse = True
        proxy.refuse = False
        assert (await client.post(url, json={})).status_code == 401


async def test_a_batch_of_messages_and_statuses(world: Outside) -> None:
    """Row 2: two people's messages and two statuses in one webhook, three times: all of it counts, once."""
    first, second = whatsapp.Person(world.whatsapp), whatsapp.Person(world.whatsapp)
    async with world.process():
        await first.send_text(WORDS)
        await world.drained(1)
        [said] = first.history()
        status = [
            {"id": said.id, "status": one, "timestamp": "1", "recipient_id": first.number}
            for one in ("read", "delivered")
        ]
        contacts = [{"profile": {"name": "x"}, "wa_id": one.number} for one in (first, second)]
        messages = [one.message("text", {"body": "bonjour"}) for one in (first, second)]
        world.whatsapp.heard[second.address] = world.whatsapp.clock()
        world.whatsapp.copies = 3
        await world.whatsapp.tell(contacts=contacts, messages=messages, statuses=status)
        await world.drained(3)
    await oracles.assert_sound(world.database, 3)
    assert await oracles.never_silent(world.database) == []
    assert await value(world.database, "SELECT status FROM outbox ORDER BY id LIMIT 1") == "read"
    assert len(second.history()) == 1


async def test_rasa_over_a_bad_line(world: Outside) -> None:
    """Rows 4 and 5: slow, it answers once; reset in mid-turn or refused, the person is told and answered later, once."""
    async with FaultProxy(world.settings.rafiq_rasa_port) as line:
        slow, unlucky = whatsapp.Person(world.whatsapp), whatsapp.Person(world.whatsapp)
        async with world.process(rafiq_rasa_port=line.port):
            line.latency = 1.5
            await slow.send_text("zork blip")
            await world.drained(1)
            assert len(slow.history()) == 1
            line.latency, line.refuse = 0.0, True
            line.reset()
            await unlucky.send_text("zork blip")
            await unlucky.answer(1, 30)
            assert unlucky.history()[0].titles  # what can be done meanwhile
            line.refuse = False
            await unlucky.answer(2, 30)
            await world.drained(2)
    assert len(unlucky.history()) == 2
    await oracles.assert_sound(world.database, 2)
    assert await value(world.database, "SELECT count(*) FROM handoff") == 2


async def test_the_databases_connections_are_cut(world: Outside) -> None:
    """Row 7: all of them, again and again under load: what is answered 200 is there, the rest is asked for again."""
    people = [whatsapp.Person(world.whatsapp) for _ in range(12)]
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    async with world.process():
        for three in range(0, 12, 3):
            sending = asyncio.gather(*(person.send_text(WORDS) for person in people[three : three + 3]))
            async with world.database.engine.begin() as connection:
                assert (await connection.execute(text(cut))).scalar_one() > 0
            await sending
        await world.drained(12)
    await oracles.assert_sound(world.database, 12)
    assert await oracles.never_silent(world.database) == []
    assert await value(world.database, "SELECT count(*) FROM handoff") == 12
    seen = [said.our_id or "" for person in people for said in person.history()]
    assert await oracles.delivered(world.database, seen) == []  # WhatsApp tells what it has: nothing twice
    assert sum(world.backend.ids.values()) >= len(world.backend.ids) == 12


async def test_whatsapps_answer_is_cut(world: Outside) -> None:
    """Row 27: WhatsApp has it, we do not know; its status says so, and it is not sent again."""
    person = whatsapp.Person(world.whatsapp)
    async with FaultProxy(port_of(world.whatsapp.url)) as line, world.process(whatsapp_api_url=line.url):
        await person.send_text("bonjour")
        await world.drained(1)
        world.whatsapp.statuses = ()
        line.cut_of, line.cut = b"biz_opaque", 1
        await person.send_text(WORDS)
        await until(lambda: value(world.database, "SELECT count(*) FROM outbox WHERE error = 'Ambiguous'"), 30)
        said = person.history()[-1]
        world.whatsapp.statuses = ("sent", "delivered")
        await world.whatsapp.report(said.id, "delivered", person.address, biz_opaque_callback_data=said.our_id)
        await world.drained(2)
    assert len(person.history()) == 2
    assert [row.status for row in await rows(world.database, "SELECT status FROM outbox ORDER BY id")][1:] == [
        "delivered"
    ]


async def test_telegrams_answer_is_cut(world: Outside) -> None:
    """Row 27: Telegram has it and cannot say so: once more, marked, and no third time; a second cut sets it aside."""
    lucky, unlucky = (telegram.Person(world.telegram, TELEGRAM_TOKEN) for _ in range(2))
    async with FaultProxy(port_of(world.telegram.url)) as line:
        line.cut_of, line.cut = b"/sendMessage", 1
        async with world.process(telegram_api_url=line.url):
            await lucky.send_text(WORDS)
            await world.drained(1)
            assert len(await lucky.history()) == 2
            line.cut = 2
            await unlucky.send_text(WORDS)
            await world.drained(2)
            assert len(await unlucky.history()) == 2
    ends = [
        (row.status, row.error) for row in await rows(world.database, "SELECT status, error FROM outbox ORDER BY id")
    ]
    assert ends == [("sent", "resent"), ("failed", "Ambiguous")]
    assert await value(world.database, "SELECT count(*) FROM alert WHERE kind = 'message not sent'") == 1


async def test_a_status_comes_before_the_answer(world: Outside) -> None:
    """Row 27: the platform's answer takes a second, its statuses do not: nothing goes back, nothing is sent again."""
    person = whatsapp.Person(world.whatsapp)
    async with FaultProxy(port_of(world.whatsapp.url)) as line:
        line.latency = 1.0
        seen: list[Any] = []
        async with world.process(whatsapp_api_url=line.url):
            await person.send_text(WORDS)

            async def told() -> bool:
                seen.append(await value(world.database, "SELECT max(status) FROM outbox"))
                return bool(seen[-1] == "delivered")

            await until(told, 30)
            assert await value(world.database, "SELECT external_id FROM outbox") is not None
            line.latency = 0.0
            await asyncio.sleep(1.2)  # the answer comes now
            await world.drained(1)
            assert await value(world.database, "SELECT status FROM outbox") == "delivered"
    assert len(person.history()) == 1
    assert await value(world.database, "SELECT attempts FROM outbox") == 1


async def test_the_case_backends_answer_is_cut(world: Outside) -> None:
    """Row 10: it has the event and cannot say so: posted again under the same id, which it drops."""
    person = whatsapp.Person(world.whatsapp)
    async with FaultProxy(world.settings.case_receiver_port) as line:
        line.cut = 1
        async with world.process(case_receiver_port=line.port):
            await person.send_text(WORDS)
            await until(lambda: value(world.database, "SELECT count(*) FROM case_event WHERE next_at IS NOT NULL"), 30)
            assert await value(world.database, "SELECT next_at - now() > interval '3 seconds' FROM case_event")
            await change(world.database, "UPDATE case_event SET next_at = now()")
            await world.drained(1)
    assert list(world.backend.ids.values()) == [2]
    assert await value(world.database, "SELECT attempts FROM case_event") == 2
