"""The delivery room: what was sent, what was not, and what nobody knows, said as it is."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import i18n
from bot.channels import Limits, Rate, whatsapp
from bot.conversation import inbox, letters, outbox, people, receipts
from bot.conversation.delivery import Delivery
from bot.conversation.splitting import split
from bot.db.session import Database
from bot.messages import (
    OPENS,
    WAITING,
    Ambiguous,
    ChannelDown,
    IdentityChanged,
    Incoming,
    Kind,
    Moved,
    NoTemplate,
    NotNow,
    Outgoing,
    Receipt,
    Refused,
    Retryable,
    SendError,
    Template,
    Throttled,
    Unreachable,
    Unwelcome,
    WindowClosed,
)
from tests.conversation import oracles
from tests.conversation.conftest import rows, value
from tests.conversation.letters import change, deliverers, now_due, our_id, queue, receipt, state, writes
from tests.conversation.test_knowing import request
from tests.simulators.channel import FREE, FakeChannel

REPORTING = Limits(FREE.chat, FREE.channel, FREE.unasked, window=timedelta(hours=24), receipts=True)
REMINDER = [["reminder", ["demain"], None]]


@pytest.fixture
def platform() -> FakeChannel:
    """A platform with receipts and a window of a day."""
    return FakeChannel(limits=REPORTING)


@pytest.fixture
def delivery(database: Database, platform: FakeChannel) -> Delivery:
    """Delivery to that platform."""
    return Delivery(database, {"fake": platform})


async def silent_for(database: Database, hours: float) -> None:
    """Nobody has written for so long."""
    await change(database, "UPDATE address SET last_heard_at = now() - make_interval(secs => :h * 3600)", h=hours)


# Receipts


@pytest.mark.parametrize("order", list(itertools.permutations(["sent", "delivered", "read"])))
async def test_receipts_in_any_order_end_at_the_furthest(
    database: Database, delivery: Delivery, order: tuple[Any, ...]
) -> None:
    """Twice each, too: a status never goes back."""
    conversation = await writes(database)
    message = await queue(database, conversation)
    await delivery.work(conversation)
    for status in [*order, *order]:
        before = await oracles.statuses(database)
        await receipts.apply(database, delivery.channels, [receipt(status, await our_id(database, message))])
        assert await oracles.forward(database, before) == []
    assert await state(database, message) == ("read", None)


async def test_a_receipt_is_found_by_either_id(database: Database, delivery: Delivery) -> None:
    """Ours, or the platform's; of another channel it is another message; of an unknown one it is nothing."""
    conversation = await writes(database)
    message = await queue(database, conversation)
    await delivery.work(conversation)
    for stranger in (
        receipt("read", None, "fake-99"),
        receipt("read", "not-ours", "fake-98"),
        Receipt("other", "fake-1", "read", await our_id(database, message)),
    ):
        await receipts.apply(database, delivery.channels, [stranger])
    assert await state(database, message) == ("sent", None)
    await receipts.apply(database, delivery.channels, [receipt("delivered", None, "fake-1")])
    assert await state(database, message) == ("delivered", None)
    await receipts.apply(database, delivery.channels, [receipt("read", await our_id(database, message), "fake-7")])
    assert await state(database, message) == ("read", None)
    assert await value(database, "SELECT external_id FROM outbox") == "fake-1"


@pytest.mark.parametrize("reached", ["delivered", "read"])
async def test_failed_counts_from_sent_or_before_only(database: Database, delivery: Delivery, reached: Any) -> None:
    """What arrived did not fail, whatever comes late."""
    conversation = await writes(database)
    message = await queue(database, conversation)
    await delivery.work(conversation)
    await receipts.apply(database, delivery.channels, [receipt(reached), receipt("failed")])
    assert await state(database, message) == (reached, None)


async def test_a_failure_reported_later_is_final_and_alerted(database: Database, delivery: Delivery) -> None:
    """`failed`, an alert once; what the platform says of that attempt afterwards changes nothing."""
    conversation = await writes(database)
    message = await queue(database, conversation)
    await delivery.work(conversation)
    late = [receipt("failed"), receipt("failed"), receipt("sent"), receipt("delivered")]
    await receipts.apply(database, delivery.channels, late)
    assert await state(database, message) == ("failed", "Refused")
    assert await value(database, "SELECT count(*) FROM alert WHERE kind = 'message not sent'") == 1


@pytest.mark.parametrize(
    "error", [WindowClosed(""), NoTemplate(""), Unreachable(""), Retryable(""), Throttled("", None, "chat")]
)
async def test_a_failure_reported_later_is_acted_on_like_one_at_once(
    database: Database, platform: FakeChannel, error: SendError
) -> None:
    """The row ends as if the call itself had been refused, and receipts of the refused attempt do not settle it."""
    ends = []
    for at_once in (True, False):
        delivery = Delivery(database, {"fake": platform})
        conversation = await writes(database, f"person {at_once}")
        message = await queue(database, conversation)
        if at_once:
            platform.answers = [error]
        await delivery.work(conversation)
        if not at_once:
            external_id = await value(database, "SELECT external_id FROM outbox WHERE id = :id", id=message)
            ours = await our_id(database, message)
            await receipts.apply(database, delivery.channels, [receipt("failed", ours, external_id, error=error)])
            await receipts.apply(database, delivery.channels, [receipt("delivered", ours, external_id)])
            await delivery.work(conversation)
        ends.append(await state(database, message))
    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    ("error", "becomes"), [(WindowClosed("131047"), ("sent", None)), (Unreachable("131026"), ("failed", "unreachable"))]
)
async def test_a_late_failure_says_nothing_about_who_wrote_since(
    database: Database, delivery: Delivery, error: SendError, becomes: tuple[str, str | None]
) -> None:
    """What was sent before failed; the person wrote before that was reported: they are there, the window is open."""
    conversation = await writes(database)
    message = await queue(database, conversation)
    await delivery.work(conversation)
    await writes(database)
    await receipts.apply(database, delivery.channels, [receipt("failed", await our_id(database, message), error=error)])
    answer = await queue(database, conversation)
    await delivery.work(conversation)
    assert await state(database, message) == becomes
    assert await state(database, answer) == ("sent", None)
    async with database.session() as session:
        assert await outbox.wanted(session, conversation) is not None


async def test_a_receipt_may_come_before_the_answer(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """Delivered while we still wait for the call: the call's own end does not take it back, even if it breaks."""
    conversation = await writes(database)

    async def receipt_first(_: str, message: Outgoing) -> str:
        await receipts.apply(database, delivery.channels, [receipt("delivered", message.id, "fake-1")])
        return "fake-1"

    async def receipt_then_cut(_: str, message: Outgoing) -> str:
        await receipts.apply(database, delivery.channels, [receipt("delivered", message.id, "fake-2")])
        raise Ambiguous("cut")

    first, second = await queue(database, conversation), await queue(database, conversation)
    platform.answers = [receipt_first, receipt_then_cut]
    await delivery.work(conversation)
    assert await state(database, first) == ("delivered", None)
    assert await state(database, second) == ("delivered", None)
    assert len(platform.sent) == 2


# Nobody knows


async def test_an_ambiguous_send_waits_for_its_receipt(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """Up to a minute, with everything behind it in order; the receipt settles it, and it is not sent again."""
    conversation = await writes(database)
    first, second = await queue(database, conversation, "un"), await queue(database, conversation, "deux")
    platform.answers = [Ambiguous("cut")]
    await delivery.work(conversation)
    await delivery.work(conversation)
    assert await state(database, first) == ("sending", letters.UNKNOWN)
    wait = await value(database, "SELECT next_at - now() FROM outbox WHERE id = :id", id=first)
    assert timedelta(seconds=55) < wait <= timedelta(seconds=60)
    assert platform.texts == ["un"]
    for status in ("sent", "delivered"):
        await receipts.apply(database, delivery.channels, [receipt(status, await our_id(database, first))])
    assert conversation in await delivery.due()
    await delivery.work(conversation)
    assert platform.texts == ["un", "deux"]
    assert ((await state(database, first))[0], (await state(database, second))[0]) == ("delivered", "sent")
    counted = [tuple(row) for row in await rows(database, "SELECT channel, kind, messages FROM sent_count")]
    assert counted == [("fake", "reply", 2)], "what its status alone tells of is charged too"


async def test_without_a_receipt_it_is_sent_once_more_and_marked(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """After the minute once, under the same id; a second time in the dark it is set aside, never a third."""
    conversation = await writes(database)
    message = await queue(database, conversation)
    platform.answers = [Ambiguous("cut")]
    await delivery.work(conversation)
    await now_due(database)
    await delivery.work(conversation)
    assert await state(database, message) == ("sent", "resent")
    assert platform.ids == [await our_id(database, message)] * 2
    message = await queue(database, conversation)
    platform.answers = [Ambiguous("cut"), Ambiguous("cut")]
    for _ in range(3):
        await delivery.work(conversation)
        await now_due(database)
    assert len(platform.sent) == 4
    assert await state(database, message) == ("failed", letters.UNKNOWN)
    assert await value(database, "SELECT count(*) FROM alert") == 1
    await receipts.apply(database, delivery.channels, [receipt("delivered", await our_id(database, message), "fake-9")])
    assert await state(database, message) == ("delivered", None)  # the truth came after all


async def test_a_sender_that_died_leaves_the_same_question(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """A row `sending` that nobody sends: with receipts they are awaited first; without, it goes again at once."""
    conversation = await writes(database)
    message = await queue(database, conversation, status="sending", attempts=1)
    await delivery.work(conversation)
    assert platform.sent == [] and await state(database, message) == ("sending", letters.UNKNOWN)
    await receipts.apply(database, delivery.channels, [receipt("delivered", await our_id(database, message))])
    assert await state(database, message) == ("delivered", None)
    platform.limits = FREE
    message = await queue(database, conversation, status="sending", attempts=1)
    await delivery.work(conversation)
    assert len(platform.sent) == 1 and await state(database, message) == ("sent", "resent")


# The window


async def test_outside_the_window_free_text_is_held_and_seen(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """Nothing is sent; it goes when the person writes again."""
    conversation = await writes(database)
    await silent_for(database, 24.01)
    message = await queue(database, conversation, unasked=True)
    await delivery.work(conversation)
    assert await state(database, message) == ("held", "window") and platform.sent == []
    await writes(database)
    await delivery.work(conversation)
    assert await state(database, message) == ("sent", None)


async def test_what_nobody_asked_for_waits_until_their_words_are_read(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """The word that lets a held message go may be STOP: it is read first. Answers wait for nothing."""
    conversation = await writes(database)
    await silent_for(database, 25)
    message = await queue(database, conversation, "Comment allez-vous ?", unasked=True)
    await delivery.work(conversation)
    await inbox.accept(database, [Incoming("fake", "stop", "awa", Kind.TEXT, "STOP")])
    answer = await queue(database, conversation, "C'est noté")
    await delivery.work(conversation)
    assert await state(database, message) == ("queued", None) and platform.texts == ["C'est noté"]
    assert await state(database, answer) == ("sent", None)
    await change(database, "UPDATE person SET stopped_at = now()")
    await change(database, "UPDATE inbox SET status = 'done'")
    await delivery.work(conversation)
    assert await state(database, message) == ("cancelled", "stopped") and platform.texts == ["C'est noté"]


@pytest.mark.parametrize(("days", "numbered", "shown"), [(29.9, True, True), (31, False, True), (31, True, False)])
async def test_what_waited_through_a_long_silence_is_shown_to_who_is_known(
    database: Database, delivery: Delivery, platform: FakeChannel, days: float, numbered: bool, shown: bool
) -> None:
    """Whoever writes from this number after a month may be somebody else: they are asked, once, for a number of before."""
    conversation = await writes(database)
    if numbered:
        await request(database, "AV-7K3Q")
        await change(database, "UPDATE request SET created_at = now() - interval '40 days'")
    await silent_for(database, days * 24)
    words = ["Votre dossier est prêt", "Venez lundi"]
    messages = [await queue(database, conversation, one, unasked=True, sensitive=True) for one in words]
    await delivery.work(conversation)
    assert {await state(database, one) for one in messages} == {("held", "window")}
    await writes(database)
    await delivery.work(conversation)
    assert platform.texts == (words if shown else [i18n.say("identity.held", "fr")])
    assert {await state(database, one) for one in messages} == {("sent", None) if shown else ("held", "identity")}
    async with database.session() as session:
        assert await people.verified(session, conversation) is not shown
        await session.commit()
    await delivery.work(conversation)
    assert platform.texts[-2:] == words


async def test_just_inside_the_window_free_text_goes(database: Database, delivery: Delivery) -> None:
    """A minute before its end."""
    conversation = await writes(database)
    await silent_for(database, 23.98)
    message = await queue(database, conversation)
    await delivery.work(conversation)
    assert await state(database, message) == ("sent", None)


@pytest.mark.parametrize(
    ("hours_ago", "open_"),
    [
        ((25,), False),
        ((23.9,), True),
        ((1, 30), True),
        ((30, 1), True),
        ((0.01,), True),
        ((-5,), True),
        ((7 * 24,), False),
        ((9 * 24,), True),
    ],
)
async def test_the_window_begins_when_the_person_wrote(
    database: Database, delivery: Delivery, hours_ago: Sequence[float], open_: bool
) -> None:
    """Not when we hear of it, which may be days later and in any order; never in the future, nor longer ago than any
    platform tries.
    """
    for hours in hours_ago:
        conversation = await writes(database, sent_at=int(time.time() - hours * 3600))
    message = await queue(database, conversation)
    await delivery.work(conversation)
    assert await state(database, message) == (("sent", None) if open_ else ("held", "window"))
    assert await value(database, "SELECT last_heard_at <= now() FROM address")


@pytest.mark.parametrize("told", [None, "yesterday", -1, 10**18, True])
async def test_a_platforms_clock_that_cannot_be_read(database: Database, told: object) -> None:
    """Then it is the moment in which we heard of it, or long ago, and nobody is lost."""
    conversation = await writes(database, sent_at=told)
    assert conversation and await value(database, "SELECT last_heard_at <= now() FROM address")


async def test_without_a_window_silence_changes_nothing(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """Telegram: a year later too."""
    platform.limits = FREE
    conversation = await writes(database)
    await silent_for(database, 24 * 365)
    message = await queue(database, conversation)
    await delivery.work(conversation)
    assert await state(database, message) == ("sent", None)


async def test_outside_the_window_the_template_goes(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """Without the text, and no longer than the message is worth something."""
    conversation = await writes(database)
    await silent_for(database, 30)
    async with database.session() as session:
        soon = datetime.now(UTC) + timedelta(minutes=10)
        await outbox.unasked(
            session,
            database.vault,
            conversation,
            "Rappel",
            "fr",
            templates=[Template("reminder", ("14 h",))],
            expires_at=soon,
        )
        await session.commit()
    await delivery.work(conversation)
    [(_, _, sent)] = platform.sent
    assert sent.template is not None and (sent.template.name, sent.template.values) == ("reminder", ("14 h",))
    assert sent.text == "" and 590 <= (sent.template.seconds or 0) <= 600
    assert [tuple(r) for r in await rows(database, "SELECT channel, kind, messages FROM sent_count")] == [
        ("fake", "template", 1)
    ]


async def test_what_is_worth_nothing_any_more_is_not_sent(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """A reminder after its hour."""
    conversation = await writes(database)
    message = await queue(database, conversation, unasked=True)
    await change(database, "UPDATE outbox SET expires_at = now() - interval '1 second'")
    await delivery.work(conversation)
    assert await state(database, message) == ("cancelled", "expired") and platform.sent == []


async def test_the_platform_knows_better_about_the_window(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """131047 while our clock says open: the template goes instead; without one it is held; the next word opens it."""
    conversation = await writes(database)
    platform.answers = [WindowClosed("131047")]
    with_template = await queue(database, conversation, templates=REMINDER)
    without = await queue(database, conversation, "libre")
    await delivery.work(conversation)
    assert await state(database, with_template) == ("sent", None)
    assert [message.template is not None for _, _, message in platform.sent] == [False, True]
    assert await state(database, without) == ("held", "window")
    await writes(database)
    await delivery.work(conversation)
    assert await state(database, without) == ("sent", None) and platform.texts[-1] == "libre"


async def test_a_template_that_is_not_approved_gives_way_to_the_next(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """Paused: another one; none left: held, with an alert, and sent as text when the person writes."""
    conversation = await writes(database)
    await silent_for(database, 30)
    platform.answers = [NoTemplate("132015")]
    message = await queue(database, conversation, templates=[*REMINDER, ["general", [], 600]])
    await delivery.work(conversation)
    assert await state(database, message) == ("sent", None)
    assert [sent.template.name for _, _, sent in platform.sent if sent.template] == ["reminder", "general"]
    platform.answers = [NoTemplate("132016")]
    message = await queue(database, conversation, templates=REMINDER)
    await delivery.work(conversation)
    assert await state(database, message) == ("held", "template")
    assert await value(database, "SELECT count(*) FROM alert") == 1
    await writes(database)
    await delivery.work(conversation)
    assert await state(database, message) == ("sent", None)


async def announced(database: Database, conversation: int, words: str) -> int:
    """Queue a message that nobody asked for, and that is announced where it may not go; its id."""
    async with database.session() as session:
        message = await outbox.unasked(session, database.vault, conversation, words, "ar", announced=True)
        await session.commit()
    assert message is not None
    return message


async def test_no_more_people_are_written_to_first_than_allowed(
    database: Database, platform: FakeChannel, own_url: str
) -> None:
    """In any 24 hours, over all processes; the others wait until a place is free, with one alert; who writes waits not."""
    platform.limits = replace(REPORTING, people_a_day=3)
    people_ = [await writes(database, f"p{number}") for number in range(6)]
    await silent_for(database, 30)
    for conversation in people_:
        await queue(database, conversation, "check-in", unasked=True, templates=REMINDER)
    async with deliverers(database, own_url, {"fake": platform}, 3) as three:
        await asyncio.gather(*(three[number % 3].work(one) for number, one in enumerate(people_)))
        sent = {to for _, to, _ in platform.sent}
        assert len(platform.sent) == len(sent) == 3
        again = next(one for number, one in enumerate(people_) if f"p{number}" in sent)
        await queue(database, again, "check-in", unasked=True, templates=REMINDER)
        await three[0].work(again)
        assert len(platform.sent) == 4  # the same person counts once
        waiting = "SELECT count(*) FROM outbox WHERE status = 'queued' AND error = 'people' AND next_at > now() + interval '23 hours'"
        assert await value(database, waiting) == 3
        assert await value(database, "SELECT count(*) FROM alert") == 1
        other = next(f"p{number}" for number in range(6) if f"p{number}" not in sent)
        await three[0].work(await writes(database, other))
        assert platform.texts[-1] == "check-in" and platform.sent[-1][2].template is None
        await change(database, "UPDATE address SET opened_at = opened_at - interval '24 hours'")
        await now_due(database)
        for one in people_:
            await three[0].work(one)
    assert {to for _, to, _ in platform.sent} == {f"p{number}" for number in range(6)}
    assert await value(database, "SELECT count(*) FROM outbox WHERE status = 'queued'") == 0


async def test_what_is_held_is_announced_once(database: Database, delivery: Delivery, platform: FakeChannel) -> None:
    """« You have a reply », one template however many wait; its button lets them go; late word of it moves nothing."""
    conversation = await writes(database)
    await silent_for(database, 30)
    first = await announced(database, conversation, "un")
    await delivery.work(conversation)
    second = await announced(database, conversation, "deux")
    await delivery.work(conversation)
    assert [sent.template for _, _, sent in platform.sent] == [WAITING[0]]
    assert platform.sent[0][2].language == "ar" and platform.texts == [""]
    assert await state(database, first) == await state(database, second) == ("held", "window")
    await inbox.accept(database, [Incoming("fake", "press", "awa", Kind.PRESS, press=OPENS)])
    await change(database, "UPDATE inbox SET status = 'done'")
    await receipts.apply(database, delivery.channels, [receipt("read", platform.ids[0], "fake-1")])
    await delivery.work(conversation)
    assert platform.texts == ["", "un", "deux"]
    assert await value(database, "SELECT status FROM outbox WHERE announces") == "read"
    await silent_for(database, 30)
    await change(database, "UPDATE outbox SET created_at = created_at - interval '31 hours'")
    await announced(database, conversation, "trois")
    await delivery.work(conversation)
    assert [sent.template for _, _, sent in platform.sent] == [WAITING[0], None, None, WAITING[0]]


async def test_what_is_soon_worth_nothing_is_announced_too(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """An interview in three hours was cancelled: the template that may take half a day cannot tell, the other one can."""
    conversation = await writes(database)
    await silent_for(database, 30)
    held = await announced(database, conversation, "un")
    await change(database, "UPDATE outbox SET expires_at = now() + interval '3 hours'")

    async def strictly(_: str, message: Outgoing) -> str:
        assert message.template is not None
        whatsapp.template(message.template, message.language, ())
        return "taken"

    platform.answers = [strictly, strictly]
    await delivery.work(conversation)
    assert [sent.template.name for _, _, sent in platform.sent if sent.template] == [one.name for one in WAITING]
    assert await value(database, "SELECT external_id FROM outbox WHERE announces AND status = 'sent'") == "taken"
    assert await state(database, held) == ("held", "window")
    assert await value(database, "SELECT count(*) FROM alert") == 0


async def test_inside_the_window_nothing_is_announced(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """The message itself goes; an announcement that waited until the person wrote says nothing any more."""
    conversation = await writes(database)
    await announced(database, conversation, "un")
    await delivery.work(conversation)
    assert platform.texts == ["un"]
    await silent_for(database, 30)
    platform.answers = [NotNow("131049")]
    await announced(database, conversation, "deux")
    await delivery.work(conversation)
    await writes(database)
    await now_due(database)
    await delivery.work(conversation)
    assert platform.texts == ["un", "", "deux"]
    assert await value(database, "SELECT error FROM outbox WHERE announces") == "heard"


# Refusals


async def test_an_unreachable_person_is_left_alone_until_they_write(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """Marked, what nobody waits for is cancelled, nothing more is tried or accepted; the next word brings them back."""
    conversation = await writes(database)
    reply, check_in = await queue(database, conversation), await queue(database, conversation, unasked=True)
    platform.answers = [Unreachable("131026")]
    await delivery.work(conversation)
    assert await state(database, reply) == ("failed", "unreachable")
    assert await state(database, check_in) == ("cancelled", "unreachable")
    async with database.session() as session:
        assert await outbox.unasked(session, database.vault, conversation, "Rappel", "fr") is None
    later = await queue(database, conversation)
    await delivery.work(conversation)
    assert await state(database, later) == ("cancelled", "unreachable") and len(platform.sent) == 1
    await writes(database)
    message = await queue(database, conversation)
    await delivery.work(conversation)
    assert await state(database, message) == ("sent", None)


async def test_not_now_waits_and_holds_up_nobody(database: Database, delivery: Delivery, platform: FakeChannel) -> None:
    """131049: not before its time, and not counted as a try; others of the same person go meanwhile."""
    conversation = await writes(database)
    first, second = await queue(database, conversation), await queue(database, conversation)
    platform.answers = [NotNow("131049")]
    await delivery.work(conversation)
    assert await state(database, first) == ("queued", "NotNow") and await state(database, second) == ("sent", None)
    wait = await value(database, "SELECT next_at - now() FROM outbox WHERE id = :id", id=first)
    assert timedelta(hours=23, minutes=59) < wait <= timedelta(hours=24)
    assert await value(database, "SELECT attempts FROM outbox WHERE id = :id", id=first) == 0
    await now_due(database)
    await delivery.work(conversation)
    assert await state(database, first) == ("sent", None)


async def test_somebody_else_may_hold_the_telephone(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """What is sensitive is held until it is known who reads it; the rest goes."""
    conversation = await writes(database)
    platform.answers = [IdentityChanged("137000")]
    first = await queue(database, conversation, "Votre rendez-vous", sensitive=True)
    second = await queue(database, conversation, "Votre demande", sensitive=True)
    plain = await queue(database, conversation, "Bonjour")
    await delivery.work(conversation)
    assert [await state(database, one) for one in (first, second)] == [("held", "identity")] * 2
    assert await state(database, plain) == ("sent", None)
    await writes(database)  # whoever it is
    await delivery.work(conversation)
    assert await state(database, first) == ("held", "identity")
    async with database.session() as session:
        assert await people.verified(session, conversation)
        await session.commit()
    await delivery.work(conversation)
    assert platform.texts[-2:] == ["Votre rendez-vous", "Votre demande"]


async def test_a_channel_that_is_down_loses_nothing(
    database: Database, delivery: Delivery, platform: FakeChannel, own_url: str
) -> None:
    """Token or payment: one alert, everybody pauses, longer each time; then all is sent, in order, tries uncounted."""
    conversations = [await writes(database, f"p{number}") for number in range(5)]
    messages = [await queue(database, conversation) for conversation in conversations]
    async with deliverers(database, own_url, delivery.channels) as both:
        platform.answers = [ChannelDown("190")] * 3
        for attempt in range(3):
            for conversation in conversations:
                await both[attempt % 2].work(conversation)
            assert len(platform.sent) == attempt + 1  # nobody else tries meanwhile
            pause = await value(database, "SELECT paused_until - now() FROM channel_pace")
            assert timedelta(minutes=2**attempt) - timedelta(seconds=9) < pause <= timedelta(minutes=2**attempt)
            await now_due(database)
        for conversation in conversations:
            await both[0].work(conversation)
    assert {await state(database, message) for message in messages} == {("sent", None)}
    assert await value(database, "SELECT count(*) FROM alert WHERE kind = 'channel down'") == 1


async def test_too_fast_for_one_chat_concerns_that_chat(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """131056: 1, 4, 16, 64 seconds for this one, reset by success; the others go on."""
    slow, other = await writes(database, "slow"), await writes(database, "other")
    message = await queue(database, slow)
    for seconds in (1, 4, 16, 64):
        platform.answers = [Throttled("131056", None, "chat")]
        await delivery.work(slow)
        pause = await value(database, "SELECT extract(epoch FROM max(not_before - now())) FROM address")
        assert seconds - 1 < float(pause) <= seconds
        sent = len(platform.sent)
        await delivery.work(slow)
        assert len(platform.sent) == sent
        await queue(database, other)
        await delivery.work(other)
        assert len(platform.sent) == sent + 1
        await now_due(database)
    await delivery.work(slow)
    assert await state(database, message) == ("sent", None)
    assert await value(database, "SELECT max(throttled) FROM address") == 0


@pytest.mark.parametrize(("scope", "goes"), [("unsaid", ["sent", "queued"]), ("chat", ["sent", "sent"])])
async def test_too_fast_in_several_chats_at_once_is_altogether(
    database: Database, delivery: Delivery, platform: FakeChannel, scope: Any, goes: list[str]
) -> None:
    """Telegram says how long, not where: one chat or two wait alone, with the third everybody waits."""
    conversations = [await writes(database, f"person {number}") for number in range(5)]
    messages = [await queue(database, conversation) for conversation in conversations]
    ends = []
    for slow, other in ((conversations[:2], 3), (conversations[2:3], 4)):
        for conversation in slow:
            platform.answers = [Throttled("429", 30, scope)]
            await delivery.work(conversation)
        platform.answers = []
        await delivery.work(conversations[other])
        ends.append((await state(database, messages[other]))[0])
    assert ends == goes
    await now_due(database)
    for conversation in conversations:
        await delivery.work(conversation)
    assert {await state(database, message) for message in messages} == {("sent", None)}


async def test_too_fast_altogether_stops_every_process(database: Database, platform: FakeChannel, own_url: str) -> None:
    """130429 with retry_after: no process sends to anybody before."""
    first, second = await writes(database, "first"), await writes(database, "second")
    await queue(database, first)
    message = await queue(database, second)
    async with deliverers(database, own_url, {"fake": platform}) as both:
        platform.answers = [Throttled("130429", 0.7, "channel")]
        await both[0].work(first)
        await both[1].work(second)
        assert len(platform.sent) == 1 and await state(database, message) == ("queued", None)
        await asyncio.sleep(0.75)
        await both[1].work(second)
        await both[0].work(first)
    assert len(platform.sent) == 3


async def test_who_is_unwelcome_writes_to_nobody_unasked(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """131048: nothing unasked on this channel for a day, one alert however often; answers wait some minutes."""
    first, second = await writes(database, "first"), await writes(database, "second")
    platform.answers = [Unwelcome("131048"), Unwelcome("131048")]
    check_in = await queue(database, first, "check-in", unasked=True)
    await delivery.work(first)
    other = await queue(database, second, "check-in", unasked=True)
    await delivery.work(second)
    assert platform.texts == ["check-in"]
    assert (await state(database, check_in))[0] == (await state(database, other))[0] == "queued"
    in_a_day = "SELECT next_at > now() + interval '23 hours' FROM outbox WHERE id = :id"
    assert await value(database, in_a_day, id=other)
    reply = await queue(database, second, "reply")
    await delivery.work(second)
    assert await value(database, "SELECT paused_until > now() + interval '4 minutes' FROM channel_pace")
    await change(database, "UPDATE channel_pace SET paused_until = now()")
    await change(database, "UPDATE outbox SET next_at = NULL")
    for conversation in (first, second):
        await delivery.work(conversation)
    assert platform.texts == ["check-in", "reply", "reply"]
    assert await state(database, reply) == ("sent", None)
    assert [tuple(r) for r in await rows(database, "SELECT kind, detail->>'why' FROM alert")] == [
        ("unwelcome", "131048")
    ]
    assert await value(database, "SELECT max(attempts) FROM outbox WHERE unasked") == 0
    await change(database, "UPDATE channel_pace SET unasked_at = now()")
    await change(database, "UPDATE outbox SET next_at = NULL")
    for conversation in (first, second):
        await delivery.work(conversation)
    assert platform.texts[3:] == ["check-in", "check-in"]


async def test_a_chat_that_moved_is_followed(database: Database, delivery: Delivery, platform: FakeChannel) -> None:
    """Once, to its new address; not onto an address that is somebody's already."""
    conversation, other = await writes(database, "old"), await writes(database, "taken")
    platform.answers = [Moved("new")]
    await queue(database, conversation)
    await delivery.work(conversation)
    assert [to for _, to, _ in platform.sent] == ["old", "new"]
    platform.answers = [Moved("taken")]
    message = await queue(database, conversation)
    await delivery.work(conversation)
    assert await state(database, message) == ("failed", "Moved")
    await queue(database, other)
    await delivery.work(other)
    assert platform.sent[-1][1] == "taken"


async def test_our_own_fault_is_set_aside_and_the_next_goes_on(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """Refused: failed with an alert at once; failing eight times: the same."""
    conversation = await writes(database)
    platform.answers = [Refused("100")]
    first, second = await queue(database, conversation), await queue(database, conversation)
    await delivery.work(conversation)
    assert [(await state(database, one))[0] for one in (first, second)] == ["failed", "sent"]
    platform.answers = [Retryable("500")] * 20
    third = await queue(database, conversation)
    for _ in range(10):
        await now_due(database)
        await delivery.work(conversation)
    assert await state(database, third) == ("failed", "Retryable") and len(platform.sent) == 2 + letters.ATTEMPTS
    assert await value(database, "SELECT count(*) FROM alert") == 2


# Limits and priorities


async def drain(workers: list[Delivery], seconds: float) -> None:
    """Let these work what is due, as their lanes do, for so long or until nothing is left."""

    async def one(delivery: Delivery) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            due = await delivery.due()
            await asyncio.gather(*(delivery.work(conversation) for conversation in due[:16]))
            await asyncio.sleep(0.05)

    await asyncio.gather(*map(one, workers))


async def test_processes_share_a_channels_limit(database: Database, own_url: str) -> None:
    """Three deliverers, one number: never more than the channel lets go in any second, and not much less."""
    platform = FakeChannel(limits=Limits(Rate(100, 100), Rate(17, 2), Rate(100, 100)))
    for number in range(60):
        await queue(database, await writes(database, f"p{number}"))
    async with deliverers(database, own_url, {"fake": platform}, 3) as three:
        await drain(three, 2.5)
    assert platform.busiest(1.0) <= 20
    assert len(platform.sent) >= 30
    assert len(set(platform.ids)) == len(platform.ids)


async def test_a_chat_has_its_own_limit(database: Database, own_url: str) -> None:
    """A short burst, then its rate, in order, over several deliverers; the others are not held up."""
    platform = FakeChannel(limits=Limits(Rate(2, 3), Rate(100, 100), Rate(100, 100)))
    talker, other = await writes(database, "talker"), await writes(database, "other")
    for number in range(8):
        await queue(database, talker, str(number))
    await queue(database, other, "other")
    async with deliverers(database, own_url, {"fake": platform}) as both:
        await drain(both, 2.0)
    mine = [message.text for _, to, message in platform.sent if to == "talker"]
    assert mine == [str(number) for number in range(len(mine))]
    assert 5 <= len(mine) <= 7 and platform.busiest(0.9, "talker") <= 4
    assert next(moment for moment, to, _ in platform.sent if to == "other") - platform.sent[0][0] < 0.5


async def test_replies_overtake_what_nobody_waits_for(database: Database, own_url: str) -> None:
    """Hundreds of check-ins are due: they keep to their share, and a reply goes at once, also to one of those people."""
    platform = FakeChannel(limits=Limits(Rate(100, 100), Rate(25, 5), Rate(15, 1)), pause=0.02)
    people_ = [await writes(database, f"p{number}") for number in range(150)]
    for conversation in people_:
        await queue(database, conversation, "check-in", unasked=True)
    async with deliverers(database, own_url, {"fake": platform}) as both:
        working = asyncio.create_task(drain(both, 5.0))
        waits = []
        for number in range(4):
            await asyncio.sleep(0.4)
            asked = time.monotonic()
            await queue(database, people_[-1 - number], f"reply {number}")
            async with asyncio.timeout(4):
                while f"reply {number}" not in platform.texts:  # noqa: ASYNC110 (no event tells)
                    await asyncio.sleep(0.01)
            waits.append(time.monotonic() - asked)
        await working
    assert max(waits) < 2, waits
    check_ins = [moment for moment, _, message in platform.sent if message.text == "check-in"]
    assert 15 <= len(check_ins) <= 15 * 5.5 + 1  # the least: on a machine that is busy with other things
    assert platform.busiest(1.0) <= 30
    first_of = {to: message.text for _, to, message in reversed(platform.sent)}
    assert first_of["p149"].startswith("reply")


async def test_pacing_adds_no_statement(database: Database, delivery: Delivery, platform: FakeChannel) -> None:
    """A message within the limits is read, taken and settled: three statements, as without limits."""
    conversation = await writes(database)
    await queue(database, conversation)
    await delivery.work(conversation)  # the channel's row is there from now on
    await queue(database, conversation)
    await queue(database, conversation)
    statements: list[str] = []
    from sqlalchemy import event

    @event.listens_for(database.alone.sync_engine, "before_cursor_execute")
    def count(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement)

    await delivery.work(conversation)
    event.remove(database.alone.sync_engine, "before_cursor_execute", count)
    # the lock comes with the first message, and is let go: three for each of the two messages, and one
    assert len(statements) == 1 + 2 * 3, statements


# Long texts


async def test_a_long_text_goes_in_parts_and_is_taken_up_where_it_broke(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """Each part under an id of its own, the whole under ours; a part that went is not sent again."""
    platform.longest = 10
    conversation = await writes(database)
    message = await queue(database, conversation, "un deux trois quatre")
    ours = await our_id(database, message)
    platform.answers = [None, Ambiguous("cut")]
    await delivery.work(conversation)
    assert platform.texts == ["un deux", "trois"] and await state(database, message) == ("sending", letters.UNKNOWN)
    await receipts.apply(database, delivery.channels, [receipt("sent", f"{ours}.2", "fake-2")])
    await delivery.work(conversation)
    assert platform.texts == ["un deux", "trois", "quatre"]
    assert platform.ids == [f"{ours}.1", f"{ours}.2", ours]
    assert await state(database, message) == ("sent", None)
    assert await value(database, "SELECT messages FROM sent_count") == 3


async def test_what_buttons_leave_no_room_for_goes_before_them(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """The buttons stand under the last part; where the sender dies in between, only that part is left to send."""
    platform.longest_above = 10
    conversation = await writes(database)
    message = await queue(database, conversation, "un deux trois\n\nquatre ?", buttons=[["a", "Oui"]])
    ours = await our_id(database, message)

    async def dies(_: str, __: Outgoing) -> str:
        raise RuntimeError

    platform.answers = [None, dies]
    with pytest.raises(RuntimeError):
        await delivery.work(conversation)
    await delivery.work(conversation)  # finds `sending`, and waits for word of it
    await now_due(database)
    await delivery.work(conversation)
    assert platform.texts == ["un deux trois", "quatre ?", "quatre ?"]
    assert [len(sent.buttons) for _, _, sent in platform.sent] == [0, 1, 1]
    assert platform.ids == [f"{ours}.1", ours, ours]
    assert await state(database, message) == ("sent", "resent")


async def test_a_part_that_failed_goes_again_with_what_stood_below_it(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """Nothing of it is missing where the person reads; late word of the first attempt settles nothing."""
    platform.longest = 10
    conversation = await writes(database)
    message = await queue(database, conversation, "un deux trois quatre")
    ours = await our_id(database, message)
    await delivery.work(conversation)
    last = await value(database, "SELECT external_id FROM outbox")
    failed = receipt("failed", f"{ours}.2", "fake-2", error=Retryable("131000"))
    await receipts.apply(database, delivery.channels, [failed, failed, receipt("delivered", ours, last)])
    assert await state(database, message) == ("queued", "Retryable")
    await now_due(database)
    await delivery.work(conversation)
    assert platform.texts == ["un deux", "trois", "quatre", "trois", "quatre"]
    await receipts.apply(database, delivery.channels, [receipt("read", ours, last)])
    assert await state(database, message) == ("sent", None)
    assert await value(database, "SELECT attempts FROM outbox") == 2


async def test_a_part_that_arrived_is_known_by_its_receipt_alone(
    database: Database, delivery: Delivery, platform: FakeChannel
) -> None:
    """The platform took the part and said so, the sender died before it could write that down."""
    platform.longest = 10
    conversation = await writes(database)
    message = await queue(database, conversation, "un deux trois")
    ours = await our_id(database, message)

    async def dies(_: str, sent: Outgoing) -> str:
        await receipts.apply(database, delivery.channels, [receipt("sent", sent.id)])
        raise RuntimeError

    platform.answers = [dies]
    with pytest.raises(RuntimeError):
        await delivery.work(conversation)
    await delivery.work(conversation)
    await now_due(database)
    await delivery.work(conversation)
    assert platform.ids == [f"{ours}.1", ours] and platform.texts == ["un deux", "trois"]


LETTERS = st.lists(st.sampled_from(["a", "é", " ", "ر", "\n", "👩‍👩‍👧", "🇲🇷", "e\u0301", "م\u0651"]), max_size=80).map(
    "".join
)


@given(LETTERS, st.integers(15, 60), st.integers(12, 60))
@settings(max_examples=200, deadline=None)
def test_cutting_never_halves_a_letter(words: str, longest: int, last: int) -> None:
    """In French, Arabic and emoji: no part is too long, no letter is split, nothing but space is lost."""
    parts = split(words, longest, last)
    assert all(len(part) <= longest for part in parts) and len(parts[-1]) <= last
    assert "".join("".join(parts).split()) == "".join(words.split())
    letters_ = regex.findall(r"\X", "".join(words.split()))
    assert [one for part in parts for one in regex.findall(r"\X", "".join(part.split()))] == letters_
