"""What did not go can be seen, tried again or given up by hand; what went is counted."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from bot import cli
from bot import settings as configuration
from bot.conversation import overview
from bot.conversation.delivery import Delivery
from bot.db.session import Database
from bot.messages import Refused, Unreachable
from bot.settings import Settings, reading_prices
from tests.conversation.conftest import value
from tests.conversation.letters import change, queue, state, writes
from tests.conversation.test_delivery import REPORTING
from tests.simulators.channel import FakeChannel


async def test_what_is_stuck_is_listed_replayed_and_cancelled(database: Database) -> None:
    """With its reason and age, and nothing of what was written; a replay begins anew."""
    platform = FakeChannel(limits=REPORTING)
    delivery = Delivery(database, {"fake": platform})
    conversation, silent, gone = await writes(database, "a"), await writes(database, "b"), await writes(database, "c")
    failed = await queue(database, conversation, "CANARY")
    held = await queue(database, silent, "CANARY", unasked=True)
    await queue(database, gone)
    await change(
        database,
        "UPDATE address SET last_heard_at = now() - interval '2 days' FROM conversation c"
        " WHERE c.id = :id AND address.id = c.address_id",
        id=silent,
    )
    platform.answers = [Refused("100"), Unreachable("131026")]
    for one in (conversation, silent, gone):
        await delivery.work(one)
    found = await overview.stuck(database)
    assert [(one.outbox_id, one.status, one.reason, one.unasked) for one in found[:2]] == [
        (failed, "failed", "Refused", False),
        (held, "held", "window", True),
    ]
    assert "CANARY" not in repr(found) and all(one.since.tzinfo is not None for one in found)
    assert [row[:2] for row in await overview.unreachable(database)] == [(gone, "fake")]
    assert await overview.replay(database, [failed]) == 1
    await delivery.work(conversation)
    assert await state(database, failed) == ("sent", None)
    assert await overview.replay(database, [held]) == 1
    await delivery.work(silent)
    assert await state(database, held) == ("held", "window")  # its reason holds still
    assert await overview.cancel(database, [held, failed]) == 1
    assert await state(database, held) == ("cancelled", "by hand") and (await state(database, failed))[0] == "sent"
    assert await overview.replay(database) == 1  # the unreachable person's
    await delivery.work(gone)
    assert await value(database, "SELECT count(*) FROM outbox WHERE status = 'cancelled'") == 2


async def test_what_went_is_counted_by_channel_and_kind(database: Database) -> None:
    """Also after the messages themselves are erased."""
    delivery = Delivery(database, {"fake": FakeChannel()})
    conversation = await writes(database)
    for unasked in (False, False, True):
        await queue(database, conversation, unasked=unasked)
    await delivery.work(conversation)
    await change(database, "DELETE FROM outbox")
    counted = {(one.channel, one.kind): one.messages for one in await overview.counts(database)}
    assert counted == {("fake", "reply"): 2, ("fake", "unasked"): 1}
    await change(database, "UPDATE sent_count SET day = day - 40")
    assert await overview.counts(database, 30) == []
    assert len(await overview.counts(database, 60)) == 2


async def test_the_command_shows_it(
    database: Database, own_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`rafiq outbox`: one line each; what it costs by the prices that were set."""
    import asyncio

    given = settings.model_copy(
        update={"database_url": own_url, "rafiq_master_key": None, "rafiq_message_prices": "fake.reply=0.25"}
    )
    key = settings.master_key
    monkeypatch.setattr(Settings, "master_keys", property(lambda self: [key]))
    monkeypatch.setattr(configuration, "load", lambda: given)
    conversation = await writes(database)
    platform = FakeChannel(answers=[Refused("100")])
    first, _ = await queue(database, conversation), await queue(database, conversation)
    await Delivery(database, {"fake": platform}).work(conversation)

    async def run(*words: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, cli.app, ["outbox", *words])
        assert result.exit_code == 0, result.output
        return result.output

    assert f"{first}\tfailed\tRefused\tfake\treply\tsince" in await run("list")
    assert "1\tabout 0.25" in await run("counts")
    assert await run("replay", "all") == "1 messages queued again\n"
    assert await state(database, first) == ("queued", None)
    assert await run("cancel", str(first)) == "0 messages cancelled\n"


def test_prices_are_read_or_refused() -> None:
    """A wrong price stops the start."""
    assert reading_prices("") == {}
    assert str(reading_prices("whatsapp.reply=0.01 whatsapp.template=0.03")["whatsapp", "template"]) == "0.03"
    for wrong in ("whatsapp=1", "whatsapp.replies=1", "whatsapp.reply=", "whatsapp.reply=-1", "whatsapp.reply=1,5"):
        with pytest.raises(ValueError, match="write it as"):
            reading_prices(wrong)
