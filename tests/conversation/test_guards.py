"""Talk that no person makes, words taken back, telephones that changed hands: what the turn does about them."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import pytest
from sqlalchemy import text
from starlette.responses import JSONResponse, Response
from structlog.testing import capture_logs

from bot import i18n
from bot.assistant.commands import command
from bot.conversation import inbox, outbox, people
from bot.db.session import Database
from bot.journeys.context import Saying
from bot.messages import LANGUAGES, Incoming, Kind
from bot.web import Service
from tests.conversation import oracles
from tests.conversation.conftest import rows, typed, until, value
from tests.conversation.letters import queue, state
from tests.simulators.rasa import GREETING, FakeRasa

Worker = tuple[Service, FakeRasa]


async def over(database: Database) -> bool:
    """Whether nothing is left to do."""
    return not await value(database, "SELECT count(*) FROM inbox WHERE status IN ('pending', 'waiting')")


async def said(database: Database) -> list[str]:
    """All that was said, opened."""
    return [
        database.vault.open(row.key, row.content_sealed)["text"]
        for row in await rows(
            database,
            "SELECT p.key, o.content_sealed FROM outbox o JOIN conversation c ON c.id = o.conversation_id"
            " JOIN person p ON p.id = c.person_id ORDER BY o.id",
        )
    ]


async def tell(database: Database, event: Incoming) -> None:
    """One event, and its turn."""
    await inbox.accept(database, [event])
    await until(lambda: over(database))


def slowly(fake: FakeRasa, seconds: float = 0.05) -> None:
    """Let each turn take a while, as a real one does."""

    async def behave(body: dict[str, Any]) -> Response:
        await asyncio.sleep(seconds)
        return JSONResponse(GREETING)

    fake.behave = behave


# Floods


async def test_a_flood_gets_a_few_turns_and_one_notice(worker: Worker, database: Database) -> None:
    """500 messages at once: no row is missing, few are answered, the others' words are not kept, nobody else waits."""
    _, fake = worker
    slowly(fake)
    await tell(database, typed("bonjour", "other"))
    flood = [typed(f"message {number} " + "x" * 2000, "flooder") for number in range(500)]
    await asyncio.gather(*(inbox.accept(database, flood[start::8]) for start in range(8)))
    asked = asyncio.get_running_loop().time()
    await inbox.accept(database, [typed("bonjour", "another")])
    await until(lambda: value(database, "SELECT count(*) FROM outbox WHERE conversation_id = 3"), 3)
    assert asyncio.get_running_loop().time() - asked < 2
    await until(lambda: over(database), 20)
    assert await value(database, "SELECT count(*) FROM inbox") == 502
    answered = await value(database, "SELECT count(*) FROM inbox WHERE conversation_id = 2 AND turn IS NOT NULL")
    assert 1 <= answered <= 15
    kept = await value(database, "SELECT sum(length(content_sealed)) FROM inbox WHERE conversation_id = 2")
    assert kept < 60_000
    notices = [one for one in await said(database) if one == i18n.say("slow_down", "fr")]
    assert len(notices) == 1
    assert await oracles.kept(database, 502) == [] and await oracles.once(database) == []


async def test_safety_reads_a_flood(worker: Worker, database: Database) -> None:
    """A cry in the middle of it is answered, once however often it comes, and a person is asked for once."""
    _, fake = worker
    slowly(fake)
    flood = [typed("je veux mourir" if number % 10 == 5 else f"message {number}") for number in range(200)]
    await asyncio.gather(*(inbox.accept(database, flood[start::4]) for start in range(4)))
    await until(lambda: over(database), 20)
    assert await value(database, "SELECT count(*) FROM handoff WHERE reason LIKE 'cue:%'") == 1
    care = [one for one in await said(database) if one.startswith(i18n.say("care.suicidal", "fr")[:20])]
    assert 1 <= len(care) <= 4


async def test_a_quick_talk_is_no_flood(worker: Worker, database: Database) -> None:
    """Who waits for each answer may be as quick as a machine, and ten at once are ten messages."""
    _, fake = worker
    for number in range(30):
        await tell(database, typed(f"message {number}"))
    await inbox.accept(database, [typed(f"encore {number}", "other") for number in range(10)])
    await until(lambda: over(database))
    assert len(fake.turns) == 40


# Loops


async def test_two_machines_do_not_talk_for_ever(worker: Worker, database: Database) -> None:
    """The same words with the same answer eight times: one notice, then silence; another word is answered again."""
    _, fake = worker
    for _ in range(20):
        await tell(database, typed("Merci pour votre message, nous sommes absents."))
    assert len(fake.turns) == 8
    assert (await said(database))[8:] == [i18n.say("same_again", "fr")]
    await tell(database, typed("bonjour"))
    assert len(fake.turns) == 9
    assert await oracles.kept(database, 21) == []


async def test_two_texts_in_turn_are_a_loop_too(worker: Worker, database: Database) -> None:
    """A machine that has two sentences."""
    _, fake = worker
    for number in range(20):
        await tell(database, typed(["Merci pour votre message.", "Nous sommes absents."][number % 2]))
    assert len(fake.turns) == 8


@pytest.mark.parametrize("kind", [Kind.UNKNOWN, Kind.MEDIA])
async def test_what_nobody_can_read_is_a_loop_too(worker: Worker, database: Database, kind: Kind) -> None:
    """WhatsApp hands on as « unsupported » what another program sends us, and such programs answer."""
    person = typed("")
    for number in range(12):
        details = {"media": "sticker"} if kind is Kind.MEDIA else {"type": "unsupported"}
        await tell(database, Incoming(person.channel, f"m{number}", person.address, kind, details=details))
    assert await said(database) == [i18n.say("media", "fr")] * 8 + [i18n.say("same_again", "fr")]
    await tell(database, typed("bonjour"))
    assert len(await said(database)) == 10


async def test_the_same_answer_to_other_questions_is_no_loop(worker: Worker, database: Database) -> None:
    """« oui » again and again, each time to something else."""
    _, fake = worker

    async def another_each_time(body: dict[str, Any]) -> Response:
        number = len(fake.turns) % 3
        return JSONResponse({**GREETING, "messages": [{"do": ["greet", "help", "out_of_scope"][number]}]})

    fake.behave = another_each_time
    for _ in range(14):
        await tell(database, typed("ouais"))
    assert len(fake.turns) == 14


async def test_safety_reads_a_loop(worker: Worker, database: Database) -> None:
    """A cry repeated is a person's: it is recorded; its words of care are not said for ever."""
    for _ in range(12):
        await tell(database, typed("je veux mourir"))
    assert await value(database, "SELECT count(*) FROM handoff") == 1
    assert 8 <= await value(database, "SELECT count(*) FROM outbox") <= 16


# STOP and START


STOPS = [
    "STOP",
    "stop!",
    "ARRET",
    "Arrêt",
    "arrêtez",
    "قف",
    "توقف",
    "توقّف",
    "baraka",
    "Safi",
    "صافي",
    "/stop",
    "unsubscribe",
]


@pytest.mark.parametrize("word", STOPS)
async def test_stop_ends_what_nobody_asked_for(worker: Worker, database: Database, word: str) -> None:
    """In any form, Rasa up or down: acknowledged once, unasked messages are over, questions are still answered."""
    _, fake = worker
    await tell(database, typed("bonjour"))
    waiting = await queue(database, 1, "check-in", unasked=True)
    held = await queue(database, 1, "check-in", unasked=True, status="held", error="window")
    fake.behave, fake.healthy = fake.fail, False
    for _ in range(3):
        await tell(database, typed(word))
    assert await state(database, waiting) == await state(database, held) == ("cancelled", "stopped")
    acknowledged = [one for one in await said(database) if one in [i18n.say("stopped", code) for code in LANGUAGES]]
    assert len(acknowledged) == 1
    async with database.session() as session:
        assert await outbox.unasked(session, database.vault, 1, "Rappel", "fr") is None
    fake.behave, fake.healthy = fake.greet, True
    before = len(await said(database))
    await tell(database, typed("bonjour"))
    assert len(await said(database)) == before + 1


async def test_start_brings_them_back(worker: Worker, database: Database) -> None:
    """By its word, or by opening the conversation anew; a STOP after it is acknowledged again."""
    start = Incoming("web", str(uuid.uuid4()), typed("x").address, Kind.START)
    await tell(database, typed("STOP"))
    await tell(database, start)
    async with database.session() as session:
        assert await outbox.unasked(session, database.vault, 1, "Rappel", "fr") is not None
    assert i18n.say("resumed", "fr") in (await said(database))[-1]
    await tell(database, typed("STOP"))
    assert (await said(database))[-1] == i18n.say("stopped", "fr")


async def test_who_begins_is_told_who_speaks(worker: Worker, database: Database) -> None:
    """A hello or « /start » opens a conversation on every channel: who speaks, no money, languages; then a hello is one."""
    for words in ("bonjour", "/start", "START"):
        await tell(database, typed(words, person=words))
        await tell(database, typed("bonjour", person=words))
    welcome, hello = i18n.say("welcome", "fr"), i18n.say("greet", "fr")
    assert await said(database) == [welcome, hello] * 3


@pytest.mark.parametrize(
    "words",
    ["stop à la violence", "je ne veux pas arrêter", "my name is Safi", "Safi Baraka", "don't stop", "bus stop", "arrêt de bus",
     "قف هنا من فضلك اريد سؤال", "توقف القطار", "start-up", "safi merci, j'ai une question"],
)  # fmt: skip
def test_what_only_holds_the_word_is_no_stop(words: str) -> None:
    """The whole message is the word, or it is something else."""
    assert command(words) not in ("stop", "resume")


def test_enough_may_be_a_name_in_a_form() -> None:
    """« Safi » and « Baraka » answer the question for a name; STOP leaves the form."""
    for word in ("Safi", "baraka", "صافي"):
        assert command(word, in_form=True) is None and command(word) == "stop"
    assert command("STOP", in_form=True) == "stop"


# Words changed and taken back


async def test_an_edit_changes_what_is_stored(worker: Worker, database: Database) -> None:
    """No turn; of another person's message, or of an erased one, nothing changes."""
    first = typed("bonjour", external_id="m1")
    await tell(database, first)
    edit = Incoming("web", "e1", first.address, Kind.EDITED, "salut", details={"original": "m1"})
    thief = Incoming("web", "e2", "thief" + "-" * 35, Kind.EDITED, "pirate", details={"original": "m1"})
    await inbox.accept(database, [edit, thief])
    [row] = await rows(
        database,
        "SELECT p.key, i.content_sealed FROM inbox i JOIN conversation c ON c.id = i.conversation_id"
        " JOIN person p ON p.id = c.person_id WHERE i.kind = 'text'",
    )
    assert database.vault.open(row.key, row.content_sealed)["text"] == "salut"
    assert await value(database, "SELECT count(*) FROM inbox WHERE kind = 'edited' AND content_sealed IS NULL") == 2
    assert await value(database, "SELECT turns FROM conversation WHERE id = 1") == 1
    revoked = Incoming("web", "r1", first.address, Kind.REVOKED, details={"original": "m1"})
    again = Incoming("web", "e3", first.address, Kind.EDITED, "encore", details={"original": "m1"})
    await inbox.accept(database, [revoked, again])
    assert await value(database, "SELECT content_sealed FROM inbox WHERE kind = 'text'") is None


async def test_an_edit_before_its_message_is_the_message(worker: Worker, database: Database) -> None:
    """It is answered as it is now; when the first version comes, late or at the same time, it is known. The edit of a
    message of which more than its words is unknown (« whole » is not said) is none.
    """
    first = typed("bonjour", external_id="m1")
    edit = Incoming(
        "web", "e1", first.address, Kind.EDITED, "c'est gratuit ?", details={"original": "m1", "whole": True}
    )
    assert (await inbox.accept(database, [edit]))[0] is not None
    await until(lambda: value(database, "SELECT count(*) > 0 FROM outbox"))
    await tell(database, first)
    assert await inbox.accept(database, [edit]) == [None]
    kept = "SELECT p.key, i.content_sealed FROM inbox i, person p WHERE i.kind = 'text' ORDER BY i.id"
    [row] = await rows(database, kept)
    assert database.vault.open(row.key, row.content_sealed)["text"] == "c'est gratuit ?"
    assert await value(database, "SELECT turns FROM conversation") == 1
    caption = Incoming("web", "e2", first.address, Kind.EDITED, "ma carte", details={"original": "m2"})
    await inbox.accept(database, [caption])
    for number in range(3, 9):
        late = typed("un", external_id=f"m{number}")
        changed = Incoming(
            "web",
            f"e{number}",
            first.address,
            Kind.EDITED,
            "deux",
            details={"original": late.external_id, "whole": True},
        )
        await asyncio.gather(*(inbox.accept(database, [one]) for one in (late, changed, late, changed)))
    await until(lambda: over(database))
    found = [database.vault.open(one.key, one.content_sealed)["text"] for one in await rows(database, kept)]
    assert found == ["c'est gratuit ?"] + ["deux"] * 6
    assert await value(database, "SELECT turns FROM conversation") == 7


async def test_a_cry_that_comes_by_an_edit_is_heard(worker: Worker, database: Database) -> None:
    """Words of care and a handoff, once, however often the edit comes; an edit without a cry has no turn."""
    service, _ = worker
    await tell(database, typed("bonjour", external_id="m1"))
    address = typed("").address
    for words, turns in (("bonsoir", 1), ("je veux mourir", 2)):
        edit = Incoming("web", f"e:{words}", address, Kind.EDITED, words, details={"original": "m1", "whole": True})
        for _ in range(2):
            await service.accept([edit])
        await until(lambda: over(database))
        assert await value(database, "SELECT turns FROM conversation") == turns
    assert await value(database, "SELECT reason FROM handoff") == "cue:suicidal"
    assert (await said(database))[-1].startswith(i18n.say("care.suicidal", "fr")[:20])


async def test_the_later_of_two_edits_counts(worker: Worker, database: Database) -> None:
    """In whatever order they come, before their message or after it; one that cannot be read takes nothing away. One
    without a time is as late as it comes.
    """
    address = typed("").address
    for whole, original in ((False, "m1"), (True, "m2")):
        first = typed("un", external_id=original)
        if not whole:
            await tell(database, first)
        for at, words in ((30, "trois"), (20, "deux"), (30, "quatre"), (40, ""), (None, "cinq")):
            details: dict[str, Any] = {"original": original, "whole": whole and bool(words)}
            details |= {"sent_at": at} if at is not None else {}
            edit = Incoming("web", f"{original}:{at}:{words}", address, Kind.EDITED, words, details=details)
            await inbox.accept(database, [edit])
        assert await inbox.accept(database, [first]) == [None]
    await until(lambda: over(database))
    kept = await rows(database, "SELECT p.key, i.content_sealed FROM inbox i, person p WHERE i.kind = 'text'")
    assert [database.vault.open(one.key, one.content_sealed)["text"] for one in kept] == ["cinq"] * 2


async def test_what_is_taken_back_while_it_comes_is_not_kept(worker: Worker, database: Database) -> None:
    """Its message is being written down in the same moment: one of both waits for the other."""
    first = typed("je vis en Algérie", external_id="m1")
    await tell(database, first)
    digest = {"digest": database.vault.digest("web", "m2")}
    revoked = Incoming("web", "r1", first.address, Kind.REVOKED, details={"original": "m2"})
    async with database.session() as writing:
        await writing.execute(text("UPDATE inbox SET external_digest = :digest"), digest)
        revoking = asyncio.create_task(inbox.accept(database, [revoked]))
        await until(lambda: value(database, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"))
        await writing.commit()
    await revoking
    assert await value(database, "SELECT content_sealed FROM inbox WHERE kind = 'text'") is None


async def test_what_is_taken_back_is_no_example_any_more(worker: Worker, database: Database) -> None:
    """A sentence left for learning goes with the message that it stood in."""
    await tell(database, first := typed("le machin", external_id="m1"))
    async with database.session() as session:
        await session.execute(
            text(
                "INSERT INTO suggestion (person_id, inbox_id, language, label, offered, text_sealed) SELECT person.id, inbox.id, 'fr', 'how_long', '[]', ''::bytea FROM person, inbox"
            )
        )
        await session.commit()
    await inbox.accept(database, [Incoming("web", "r1", first.address, Kind.REVOKED, details={"original": "m1"})])
    assert await value(database, "SELECT count(*) FROM suggestion") == 0


async def test_what_is_taken_back_before_it_comes_is_not_kept(worker: Worker, database: Database) -> None:
    """Platforms keep no order: its words never get in, and it is not answered."""
    _, fake = worker
    late = typed("j'ai honte", external_id="m1")
    await inbox.accept(database, [Incoming("web", "r1", late.address, Kind.REVOKED, details={"original": "m1"})])
    assert await inbox.accept(database, [late]) == [None]
    assert await value(database, "SELECT count(*) FROM inbox WHERE content_sealed IS NOT NULL") == 0
    assert fake.turns == []


async def test_what_is_taken_back_before_its_turn_gets_none(database: Database) -> None:
    """Nobody works: the message waits, is revoked, and is over."""
    first = typed("secret", external_id="m1")
    await inbox.accept(database, [first])
    await inbox.accept(database, [Incoming("web", "r1", first.address, Kind.REVOKED, details={"original": "m1"})])
    assert await oracles.kept(database, 2) == []


# Who holds the telephone


async def test_what_is_sensitive_waits_until_the_person_is_known_again(worker: Worker, database: Database) -> None:
    """A changed identity: « my data » is held with a word about it; the number of the request lets it out."""
    _, fake = worker
    await tell(database, typed("bonjour"))
    async with database.session() as session:
        await session.execute(
            text(
                "INSERT INTO request (reference, person_id, priority, answers_sealed) SELECT 'AV-7K3Q', id, 'P2', ''::bytea FROM person"
            )
        )
        await session.commit()
    changed = Incoming("web", "i1", typed("x").address, Kind.IDENTITY)
    await tell(database, changed)
    assert len(await said(database)) == 1  # nothing is said about it

    async def my_data(body: dict[str, Any]) -> Response:
        return JSONResponse({**GREETING, "messages": [{"do": "request_status"}]})

    fake.behave = my_data
    await tell(database, typed("ma demande ?"))
    statuses = [tuple(row) for row in await rows(database, "SELECT status, error FROM outbox ORDER BY id OFFSET 1")]
    assert statuses[0] == ("held", "identity") and len(statuses) == 2
    assert (await said(database))[-1] == i18n.say("identity.held", "fr")
    fake.behave = fake.greet
    await tell(database, typed("AV-2222"))
    assert await value(database, "SELECT count(*) FROM outbox WHERE status = 'held'") == 1
    await tell(database, typed("av 7k3q"))
    assert (await said(database))[-1] == i18n.say("identity.verified", "fr")
    assert await value(database, "SELECT count(*) FROM outbox WHERE status = 'held'") == 0
    assert await value(database, "SELECT count(*) FROM address WHERE identity_changed_at IS NOT NULL") == 0


async def test_people_with_a_history_are_never_merged(worker: Worker, database: Database) -> None:
    """A new address that is nobody's is followed; somebody's stays theirs."""
    first, second = typed("bonjour", "first"), typed("bonjour", "second")
    await tell(database, first)
    await tell(database, second)
    await tell(database, Incoming("web", "i1", first.address, Kind.IDENTITY, details={"address": second.address}))
    await tell(database, Incoming("web", "i2", second.address, Kind.IDENTITY, details={"address": "fresh"}))
    found = [await people.find(database, "web", one) for one in (first.address, "fresh", second.address)]
    assert [one.conversation_id if one else None for one in found] == [1, 2, None]
    assert await value(database, "SELECT count(*) FROM person") == 2


@pytest.mark.parametrize("details", [{"address": "212600000009"}, {"address": "MA.new", "also": ["212600000009"]}])
@pytest.mark.parametrize("wrote_since", [False, True])
async def test_who_had_the_number_before_has_it_no_more(
    worker: Worker, database: Database, details: dict[str, Any], wrote_since: bool
) -> None:
    """What is sensitive waits there too, unless it was the new holder already who wrote from it."""
    for address in ("212600000001", "212600000009"):
        await tell(database, named(address))
    told = {**details, "change": "address", "sent_at": int(time.time()) + (-3600 if wrote_since else 0)}
    async with database.session() as session:
        await session.execute(text("UPDATE address SET last_heard_at = now() - interval '10 minutes'"))
        await session.commit()
    await tell(database, named("212600000001", kind=Kind.IDENTITY, details=told))
    doubted = "SELECT identity_changed_at IS NOT NULL FROM address JOIN conversation c ON c.address_id = address.id"
    assert [one[0] for one in await rows(database, f"{doubted} ORDER BY c.id")] == [True, not wrote_since]


def named(address: str, *aliases: str, **given: Any) -> Incoming:
    """Somebody writes whom the platform calls by these names."""
    one = typed("bonjour")
    details = {**one.details, **given.pop("details", {}), **({"aliases": list(aliases)} if aliases else {})}
    return Incoming("web", one.external_id, address, given.get("kind", Kind.TEXT), "bonjour", details=details)


async def test_who_was_seen_under_a_number_is_found_under_it_for_ever(worker: Worker, database: Database) -> None:
    """Number, then number and id, then either alone: one person; and so for who had both from the beginning."""
    for event in (named("212600000001"), named("MA.first", "212600000001"), named("212600000001"), named("MA.first")):
        await tell(database, event)
    for event in (named("MA.second", "212600000002"), named("212600000002"), named("MA.second")):
        await tell(database, event)
    counts = "SELECT conversation_id, count(*) FROM inbox GROUP BY 1 ORDER BY 1"
    assert [tuple(row) for row in await rows(database, counts)] == [(1, 4), (2, 3)]
    assert await value(database, "SELECT count(*) FROM person") == 2


async def test_a_number_that_was_given_up_is_nobodys(worker: Worker, database: Database) -> None:
    """Its next holder is somebody else; the new number is the person's; a number that wrote itself stays its own."""
    await tell(database, named("MA.first", "212600000001"))
    moved = {"change": "address", "address": "MA.new", "also": ["212600000009"]}
    await tell(database, named("MA.first", "212600000001", kind=Kind.IDENTITY, details=moved))
    await tell(database, named("212600000009"))
    await tell(database, named("212600000001"))
    assert [row.conversation_id for row in await rows(database, "SELECT conversation_id FROM inbox ORDER BY id")] == [
        1,
        1,
        1,
        2,
    ]
    await tell(database, named("MA.new", "212600000001"))
    await tell(database, named("212600000001"))
    assert await value(database, "SELECT conversation_id FROM inbox ORDER BY id DESC LIMIT 1") == 2


async def test_erasing_forgets_the_other_names(worker: Worker, database: Database) -> None:
    """Nothing is left of them."""
    _, fake = worker
    await tell(database, named("MA.first", "212600000001"))
    assert await value(database, "SELECT count(*) FROM address_alias") == 1

    async def erase(body: dict[str, Any]) -> Response:
        return JSONResponse({**GREETING, "messages": [{"do": "erase"}]})

    fake.behave = erase
    await tell(database, named("MA.first"))
    assert await value(database, "SELECT count(*) FROM address_alias") == 0


# Buttons


async def press(database: Database, button: str) -> list[str]:
    """Press it; what is said."""
    before = len(await said(database))
    await tell(database, Incoming("web", str(uuid.uuid4()), typed("x").address, Kind.PRESS, press=button))
    return (await said(database))[before:]


async def test_a_button_counts_once_and_then_shows_what_can_be_pressed(worker: Worker, database: Database) -> None:
    """Pressed again, or made up: no longer valid, with the choices that are open now; and a line in the log."""
    await tell(database, typed("bonjour"))
    await tell(database, typed("bonjour"))
    [button, *_] = await rows(database, "SELECT id FROM issued_button WHERE action->>'do' = 'handoff'")
    assert "H-" in (await press(database, button.id))[0]
    assert await press(database, button.id) == [i18n.say("button.stale", "fr")]
    assert await value(database, "SELECT count(*) FROM handoff") == 1
    shown = await rows(database, "SELECT title FROM issued_button WHERE outbox_id = (SELECT max(id) FROM outbox)")
    assert {row.title for row in shown} >= {i18n.say("button.return_request", "fr")}
    with capture_logs() as lines:
        assert await press(database, "made-up") == [i18n.say("button.stale", "fr")]
    [line] = [line for line in lines if line["event"] == "a button that is not valid"]
    pressed = await value(database, "SELECT max(id) FROM inbox")
    assert (line["inbox_id"], line["issued"]) == (pressed, False) and "made-up" not in str(lines)


# One bubble


@pytest.mark.parametrize(("lengths", "choices", "bubbles"), [
    ([500, 500], True, 1), ([500, 522], True, 1), ([500, 523], True, 2), ([2000, 2000], False, 1), ([2000, 2095], False, 2),
    ([10] * 50, True, 1), ([1024], True, 1),
])  # fmt: skip
def test_one_bubble_where_it_fits(lengths: list[int], choices: bool, bubbles: int) -> None:
    """1024 characters with buttons, 4096 without; buttons stand under the last one only."""
    from bot.journeys.context import Choice

    sayings = [Saying("x" * length) for length in lengths]
    if choices:
        sayings[-1].choices = [Choice("Oui", {})]
    joined = outbox.together(sayings)
    assert len(joined) == bubbles
    assert [bool(one.choices) for one in joined] == [False] * (bubbles - 1) + [choices]
    assert all(len(one.text) <= (1024 if one.choices else 4096) for one in joined)


@pytest.mark.parametrize(("ago", "gone"), [(0, True), (3600, False), (9 * 24 * 3600, True)])
async def test_a_late_word_that_they_blocked_us(worker: Worker, database: Database, ago: int, gone: bool) -> None:
    """Who wrote since is there, and is answered; a time longer ago than any platform tries is none."""
    person = typed("bonjour", "p1")
    await tell(database, person)
    details = {"sent_at": int(time.time()) - ago}
    await tell(database, Incoming(person.channel, "u1:1", person.address, Kind.BLOCKED, details=details))
    assert await value(database, "SELECT unreachable_at IS NOT NULL FROM address") is gone
