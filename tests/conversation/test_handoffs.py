"""The team takes conversations over: told, taken by one, written to both ways, given back; on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from bot import i18n
from bot.appointments.offices import load
from bot.cases.answers import Answer
from bot.channels.pull import fetch, file
from bot.console import audit
from bot.conversation import answers as answers_of_the_backend
from bot.conversation import inbox, staff
from bot.conversation.handoffs import Desk, NotYours, Taken, TooLate, Unwanted, why
from bot.conversation.notify import Watch
from bot.db.models import Handoff, StaffMember
from bot.db.session import Database
from bot.messages import LANGUAGES, File, Incoming, Kind, Language
from bot.settings import Settings
from bot.web import Service
from tests.conversation.conftest import rows, typed, until, value
from tests.conversation.letters import change
from tests.conversation.test_guards import over, tell
from tests.conversation.test_media import VOICE, picture
from tests.conversation.test_media import sent as sends
from tests.simulators.channel import FakeChannel
from tests.simulators.rasa import GREETING, FakeRasa
from tests.simulators.telegram import Person as Owner
from tests.simulators.telegram import TelegramServer

HELP = {
    "fr": "je veux parler à une personne", "en": "i want to talk to a human", "ar": "أريد التحدث مع شخص",
}  # fmt: skip
CRY = "je veux mourir"
TOKEN = "123456789:AAEhandoff-handoff-handoff-handoff"


def around(open_: bool) -> str:
    """Hours that are open now, or not: it is about noon in this zone."""
    east = (12 - datetime.now(UTC).hour + 12) % 24 - 12
    zone = f"Etc/GMT{'-' if east >= 0 else '+'}{abs(east)}"
    return f"Mon-Sun 0{0 if open_ else 1}:00-{'23:59' if open_ else '02:00'} {zone}"


@dataclass
class Team:
    """A service with its database, and people of the team."""

    service: Service
    rasa: FakeRasa
    database: Database

    @property
    def settings(self) -> Settings:
        """As the service has them."""
        return self.service.settings

    async def member(self, name: str, **given: Any) -> uuid.UUID:
        """Somebody of the team without a chat."""
        async with self.database.session() as session:
            added = await staff.add(session, self.settings, name, f"{name}@Example.org", **given)
            await session.commit()
        assert added is not None
        return added

    async def linked(self, name: str, **given: Any) -> uuid.UUID:
        """Somebody of the team whose chat is linked, as they do it."""
        member = await self.member(name, **given)
        async with self.database.session() as session:
            code = await staff.link_code(session, self.database.vault, f"{name}@example.org")
            await session.commit()
        assert code is not None
        await self.says(name, code)
        return member

    async def says(self, who: str, words: str) -> None:
        """A text, and its turn."""
        await tell(self.database, typed(words, who))

    async def presses(self, who: str, title: str, reference: str | None = None) -> None:
        """Press the newest button of this title in their chat."""
        button = await value(
            self.database,
            "SELECT b.id FROM issued_button b WHERE b.conversation_id = :c AND b.title = :title"
            " AND (CAST(:r AS text) IS NULL OR b.action->>'handoff' = :r) ORDER BY b.created_at DESC, b.outbox_id DESC LIMIT 1",
            c=await self.conversation(who), title=title, r=reference,
        )  # fmt: skip
        assert button is not None, title
        event = typed("", who)
        await tell(self.database, Incoming("web", event.external_id, event.address, Kind.PRESS, press=button))

    async def conversation(self, who: str) -> int:
        """The number of their conversation."""
        digest = self.database.vault.digest("web", typed("", who).address)
        statement = "SELECT c.id FROM conversation c JOIN address a ON a.id = c.address_id WHERE a.digest = :d"
        return int(await value(self.database, statement, d=digest))

    async def read(self, who: str) -> list[str]:
        """All that was written to them, but for what was withdrawn."""
        return [
            self.database.vault.open(row.key, row.content_sealed)["text"]
            for row in await rows(
                self.database,
                "SELECT p.key, o.content_sealed FROM outbox o JOIN conversation c ON c.id = o.conversation_id"
                " JOIN person p ON p.id = c.person_id WHERE c.id = :c AND o.status <> 'cancelled' ORDER BY o.id",
                c=await self.conversation(who),
            )
        ]

    @asynccontextmanager
    async def desk(self, now: datetime | None = None) -> AsyncIterator[Desk]:
        """What the console works with; committed at the end, rolled back on an error."""
        async with self.database.session() as session:
            yield Desk(session, self.database.vault, self.settings, now or datetime.now(UTC))
            await session.commit()

    async def waits(self, person: str = "awa", language: Language = "fr") -> str:
        """A person is asked for; the reference, once the team was told."""
        self.rasa.behave = _asks
        await self.says(person, HELP[language])
        self.rasa.behave = self.rasa.greet
        c = await self.conversation(person)
        statement = "SELECT reference FROM handoff WHERE conversation_id = :c AND status = 'waiting' AND rounds > 0"
        return str(await until(lambda: value(self.database, statement, c=c)))

    async def taken(self, by: uuid.UUID, person: str = "awa") -> str:
        """As `waits`, and taken."""
        reference = await self.waits(person)
        async with self.desk() as desk:
            await desk.claim(reference, by)
        return reference


async def _asks(body: dict[str, Any]) -> Response:
    return JSONResponse({**GREETING, "messages": [{"do": "handoff", "with": {"reason": "asked"}}]})


@pytest.fixture
async def team(fake_rasa: tuple[FakeRasa, Settings], database: Database, own_url: str) -> AsyncIterator[Team]:
    """A service whose reading hours are open."""
    fake, settings = fake_rasa
    service = Service(settings.model_copy(update={"rafiq_reading_hours": around(True)}), own_url)
    await service.start()
    yield Team(service, fake, database)
    await service.stop()


async def status(team: Team, reference: str) -> tuple[str, Any]:
    """How a handoff stands, and with whom."""
    [row] = await rows(team.database, "SELECT status, owner_id FROM handoff WHERE reference = :r", r=reference)
    return row.status, row.owner_id


# the row


async def test_a_cue_makes_a_row_that_quotes_nobody(team: Team) -> None:
    """Priority, reason, language, promise; its summary says why in three languages, never in the person's words."""
    await team.says("awa", CRY)
    async with team.database.session() as session:
        one = await session.scalar(select(Handoff))
    assert one is not None
    assert (one.priority, one.reason, one.language, one.place, one.status) == (
        "P0",
        "cue:suicidal",
        "fr",
        None,
        "waiting",
    )
    assert one.due_at - one.created_at <= timedelta(minutes=team.settings.rafiq_handoff_p0_minutes, seconds=1)
    for language in LANGUAGES:
        assert "mourir" not in why(one, language)
    columns = await rows(team.database, "SELECT handoff::text AS whole FROM handoff")
    assert "mourir" not in columns[0].whole


# who is told


async def test_those_on_duty_for_it_are_told_and_nothing_personal(team: Team) -> None:
    """By language, place, priority and hours; the text names no person, no reason and no word of theirs."""
    await team.linked("right", languages=["fr", "ar"], priorities=["P2"])
    await team.linked("other_language", languages=["en"])
    await team.linked("other_priority", languages=["fr"], priorities=["P0"])
    await team.linked("off_duty", languages=["fr"], hours=around(False))
    await team.linked("coordinator", role="coordinator")
    reference = await team.waits()
    told = [
        row.name for row in await rows(team.database, "SELECT s.name FROM handoff_notice JOIN staff_member s ON s.id = staff_id")
    ]  # fmt: skip
    assert told == ["right"]
    notice = (await team.read("right"))[-1]
    assert reference in notice and "P2" in notice and "Français" in notice
    assert "personne à" not in notice and why(Handoff(reason="asked"), "fr") not in notice


async def test_a_request_waits_for_somebody(team: Team) -> None:
    """With its own priority and place; those on duty are told; the case backend hears of it once. Taken back, or
    taken up by the case backend, it waits for nobody; by somebody of the team, it is theirs."""
    await team.linked("samira")
    answers = {
        "consent": "yes", "direction": "from_morocco", "age_group": "adult", "urgent": "ill_or_disabled", "phone": "chat",
        "country": "SN", "name": "Awa", "review": "send",
    }  # fmt: skip

    async def finishes(body: dict[str, Any]) -> Response:
        return JSONResponse({**GREETING, "messages": [{"do": "finish_first_contact"}], "answers": answers})

    for person in ("awa", "moussa", "fatou"):
        team.rasa.behave = finishes
        await team.says(person, "envoyer")
    made = await rows(team.database, "SELECT * FROM handoff ORDER BY id")
    told = await rows(team.database, "SELECT reference, priority FROM request ORDER BY id")
    assert [(one.reason, one.status, one.place, one.priority) for one in made] == [
        ("request", "waiting", "MA", request.priority) for request in told
    ]
    assert await value(team.database, "SELECT string_agg(DISTINCT type, ' ') FROM case_event") == "request.created"
    await until(lambda: value(team.database, "SELECT bool_and(rounds > 0) FROM handoff"))
    await team.presses("samira", i18n.say("desk.button.take", "fr"), made[2].reference)
    team.rasa.behave = _withdraws(told[0].reference)
    await team.says("awa", "retirer ma demande")
    taken_up = Answer("request.acknowledged", told[1].reference, datetime.now(UTC), {})
    assert await answers_of_the_backend.take(team.database, "msg-1", taken_up)
    statuses = await rows(team.database, "SELECT status, owner_id IS NULL AS nobodys FROM handoff ORDER BY id")
    assert [tuple(one) for one in statuses] == [("released", True), ("released", True), ("taken", False)]
    assert await value(team.database, "SELECT count(*) FROM handoff_entry WHERE what = 'settled'") == 2


def _withdraws(reference: str) -> Callable[[dict[str, Any]], Awaitable[Response]]:
    async def behave(body: dict[str, Any]) -> Response:
        done = {"do": "withdraw_request", "with": {"reference": reference}}
        return JSONResponse({**GREETING, "messages": [done]})

    return behave


@pytest.mark.parametrize(
    ("place", "offices", "concerned"),
    [
        ("MA", ["MA"], True),
        ("MA", ["rabat"], True),
        ("MA", ["MR"], False),
        ("MR", ["rabat"], False),
        (None, ["MR"], True),
        ("MA", [], True),
    ],
)
async def test_a_place_concerns_its_office(team: Team, place: str | None, offices: list[str], concerned: bool) -> None:
    """An office's country is its counsellors' too; where the place is not known, or somebody is for all, they are told."""
    async with team.database.session() as session:
        await load(session, only_if_empty=True)
        member = await session.get(
            StaffMember, await staff.add(session, team.settings, "x", "x@example.org", offices=offices)
        )
        await session.commit()
    assert member is not None
    handoff = Handoff(priority="P1", language="ar", place=place, reason="asked")
    watch = Watch(team.database, team.settings)
    assert watch._concerns(member, handoff, 0, datetime.now(UTC)) is concerned
    assert watch._concerns(member, handoff, 1, datetime.now(UTC))  # reminded: whoever is on duty


async def remind(team: Team, reference: str) -> list[str]:
    """The next round is due now; who was told in it."""
    before = await value(team.database, "SELECT rounds FROM handoff WHERE reference = :r", r=reference)
    await change(team.database, "UPDATE handoff SET look_at = now() WHERE reference = :r", r=reference)
    await until(
        lambda: value(team.database, "SELECT rounds > :b FROM handoff WHERE reference = :r", b=before, r=reference)
    )
    statement = (
        "SELECT s.name FROM handoff_notice n JOIN staff_member s ON s.id = staff_id WHERE round = :n ORDER BY s.name"
    )
    return [row.name for row in await rows(team.database, statement, n=before + 1)]


async def test_nobody_takes_it_so_more_are_told_and_operators_at_last(team: Team) -> None:
    """Those it concerns, then whoever is on duty, then who supervises though off duty; then an alert, once."""
    await team.linked("near", languages=["fr"])
    await team.linked("far", languages=["en"])
    await team.linked("boss", role="supervisor", hours=around(False))
    reference = await team.waits()
    assert await remind(team, reference) == ["far", "near"]
    assert await remind(team, reference) == ["boss", "far", "near"]
    assert await value(team.database, "SELECT count(*) FROM alert") == 0
    for _ in range(2):
        assert await remind(team, reference) == ["boss", "far", "near"]
    [alert] = await rows(team.database, "SELECT kind, detail FROM alert")
    assert alert.detail == {"reference": reference, "priority": "P2"}
    later = await value(team.database, "SELECT look_at > now() + interval '3 hours' FROM handoff")
    assert later  # P2 reminds every 240 minutes
    taker = await value(team.database, "SELECT id FROM staff_member WHERE name = 'near'")
    async with team.desk() as desk:
        await desk.claim(reference, taker)
    assert (await team.read("boss"))[-1] == i18n.say("desk.linked", "fr", name="boss")  # all unsent notices withdrawn


async def test_danger_to_life_wakes_who_supervises_at_night(team: Team) -> None:
    """P0 with nobody on duty goes on at once; P2 waits for the opening, and nobody is woken."""
    service = team.service
    service.watch.settings = service.settings.model_copy(update={"rafiq_reading_hours": around(False)})
    await team.linked("boss", role="supervisor")
    team.rasa.behave = _asks
    await team.says("moussa", HELP["fr"])
    await until(lambda: value(team.database, "SELECT look_at > now() + interval '30 minutes' FROM handoff"))
    assert await value(team.database, "SELECT count(*) FROM handoff_notice") == 0
    await team.says("awa", CRY)
    await until(lambda: value(team.database, "SELECT count(*) FROM handoff_notice"))


# one owner


async def test_ten_at_once_one_owner_nine_told_who(team: Team) -> None:
    """A compare-and-set; the same again by its owner changes nothing."""
    members = [await team.member(f"m{number}") for number in range(10)]
    reference = await team.waits()

    async def take(member: uuid.UUID) -> str | None:
        async with team.desk() as desk:
            try:
                await desk.claim(reference, member)
            except Taken as taken:
                return taken.values["name"]
            return None

    outcomes = await asyncio.gather(*(take(member) for member in members))
    assert outcomes.count(None) == 1
    owner = members[outcomes.index(None)]
    assert set(outcomes) - {None} == {f"m{outcomes.index(None)}"}
    assert await status(team, reference) == ("taken", owner)
    assert await take(owner) is None
    assert await value(team.database, "SELECT count(*) FROM handoff_entry") == 1
    said = [one for one in await team.read("awa") if f"m{outcomes.index(None)}" in one]
    assert said == [
        i18n.say(
            "handoff.claimed", "fr", name=f"m{outcomes.index(None)}", when=_when(team)
        )
    ]  # fmt: skip


def _when(team: Team) -> str:
    from bot.journeys.hours import when_somebody_reads

    return when_somebody_reads(team.settings.rafiq_reading_hours, datetime.now(UTC), "fr")


async def test_all_that_a_conversation_has_open_has_one_owner(team: Team) -> None:
    """Two reasons, one conversation: whoever takes one has both, and nobody takes the other."""
    first, second = await team.member("first"), await team.member("second")
    reference = await team.waits()
    await team.says("awa", CRY)
    other = await value(team.database, "SELECT reference FROM handoff WHERE priority = 'P0'")
    async with team.desk() as desk:
        await desk.claim(reference, first)
    with pytest.raises(Taken):
        async with team.desk() as desk:
            await desk.claim(other, second)
    assert await status(team, other) == ("taken", first)
    async with team.desk() as desk:
        assert [one.reference for one in await desk.held_by(first)] == [other]  # the most urgent


# silence


async def test_the_assistant_is_silent_and_words_go_both_ways(team: Team) -> None:
    """From the claim to the release, in the chat of who took it; the order is kept, Rasa is not asked."""
    await team.linked("samira")
    reference = await team.waits()
    await team.presses("samira", i18n.say("desk.button.take", "fr"))
    assert reference in (await team.read("samira"))[-1] and HELP["fr"] in (await team.read("samira"))[-1]
    asked, said = len(team.rasa.turns), len(await team.read("awa"))
    await team.says("awa", "bonjour vous êtes là ?")
    await team.says("awa", "menu")
    assert len(team.rasa.turns) == asked and len(await team.read("awa")) == said
    shown = (await team.read("samira"))[-2:]
    assert shown == [i18n.say("desk.relay", "fr", reference=reference, words=one) for one in ("bonjour vous êtes là ?", "menu")]  # fmt: skip
    await team.says("samira", "/mydata")
    assert len(await team.read("awa")) == said
    await team.says("samira", "oui, je vous lis")
    assert (await team.read("awa"))[-1] == i18n.say("handoff.reply", "fr", name="samira", words="oui, je vous lis")
    assert await value(team.database, "SELECT unanswered_at IS NULL AND look_at IS NULL FROM handoff")
    assert not await value(  # the words are where they belong, and nowhere else
        team.database, "SELECT count(*) FROM inbox WHERE conversation_id = :c AND kind = 'text' AND content_sealed IS NOT NULL",
        c=await team.conversation("samira"),
    )  # fmt: skip
    await team.presses("samira", i18n.say("desk.button.release", "fr"))
    assert (await team.read("awa"))[-1] == i18n.say("handoff.released", "fr")
    await team.says("awa", "bonjour")
    assert len(team.rasa.turns) == asked + 1 and len(await team.read("awa")) > said + 2


async def test_a_turn_under_way_does_not_speak_after_the_claim(team: Team) -> None:
    """Rasa still thinks when somebody takes the conversation: what it then says is said by nobody."""
    samira = await team.linked("samira")
    reference = await team.waits()
    thinking, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(body: dict[str, Any]) -> Response:
        thinking.set()
        await asyncio.wait_for(go_on.wait(), 10)
        return JSONResponse(GREETING)

    team.rasa.behave = slowly
    team.service.rasa._timeout = 10
    before = len(await team.read("awa"))
    await inbox.accept(team.database, [typed("et combien de temps", "awa")])
    await asyncio.wait_for(thinking.wait(), 10)
    async with team.desk() as desk:
        await desk.claim(reference, samira)
    go_on.set()
    await until(lambda: over(team.database))
    assert (await team.read("awa"))[before:] == [i18n.say("handoff.claimed", "fr", name="samira", when=_when(team))]
    assert "et combien de temps" in (await team.read("samira"))[-1]


async def test_a_cry_is_read_while_somebody_speaks(team: Team) -> None:
    """The owner is told at once, with its priority; the assistant stays silent."""
    samira = await team.linked("samira")
    await team.taken(samira)
    said = len(await team.read("awa"))
    await team.says("awa", CRY)
    assert len(await team.read("awa")) == said
    [cue] = await rows(team.database, "SELECT reference, status, owner_id, look_at - created_at AS left FROM handoff WHERE priority = 'P0'")  # fmt: skip
    assert (cue.status, cue.owner_id) == ("taken", samira) and cue.left <= timedelta(minutes=15, seconds=1)
    assert cue.reference in (await team.read("samira"))[-1]
    assert await value(team.database, "SELECT count(*) FROM case_event WHERE payload::text LIKE '%suicidal%'") == 1


async def test_a_cry_at_night_is_answered_though_somebody_has_the_conversation(team: Team) -> None:
    """Its owner is off duty: safety speaks, and the conversation is back in the queue."""
    samira = await team.linked("samira", hours=around(False))
    reference = await team.taken(samira)
    said = len(await team.read("awa"))
    await team.says("awa", "bonsoir")
    assert len(await team.read("awa")) == said  # who took it said when somebody reads
    await change(team.database, "UPDATE handoff SET told_at = now() - interval '2 days'")
    await team.says("awa", "bonsoir encore")
    reached = (await team.read("awa"))[-1]
    assert reached.startswith(i18n.say("handoff.reached", "fr", name="samira", when="")[:30])
    await team.says("awa", "vous êtes là ?")
    assert (await team.read("awa"))[-1] == reached  # said once
    await team.says("awa", CRY)
    assert (await team.read("awa"))[-1].startswith(i18n.say("care.suicidal", "fr")[:20])
    assert await status(team, reference) == ("waiting", None)


async def test_what_may_be_about_the_team_is_for_who_supervises(team: Team) -> None:
    """Nobody else is told of it, sees it or takes it; and whoever has the conversation loses it, unread."""
    samira = await team.linked("samira")
    boss = await team.linked("boss", role="supervisor")
    reference = await team.taken(samira)
    await team.says("awa", "L'agent m'a demandé de l'argent")
    restricted = await value(team.database, "SELECT reference FROM handoff WHERE reason = 'cue:staff_misconduct'")
    assert restricted is not None and await status(team, reference) == ("waiting", None)
    assert "argent" not in "".join(await team.read("samira"))
    assert (await team.read("awa"))[-1].startswith(i18n.say("care.staff_misconduct", "fr")[:20])
    await until(lambda: value(team.database, "SELECT rounds > 0 FROM handoff WHERE reference = :r", r=restricted))
    statement = (
        "SELECT DISTINCT staff_id FROM handoff_notice n JOIN handoff h ON h.id = handoff_id WHERE h.reference = :r"
    )
    assert [row.staff_id for row in await rows(team.database, statement, r=restricted)] == [boss]
    for one in (restricted, reference):
        with pytest.raises(NotYours):
            async with team.desk() as desk:
                await desk.claim(one, samira)
    async with team.desk() as desk:
        await desk.claim(restricted, boss)
    with pytest.raises(NotYours):
        async with team.desk() as desk:
            await desk.transfer(restricted, boss, samira)
    assert await status(team, reference) == ("taken", boss)


async def test_a_persons_rights_work_whoever_speaks(team: Team) -> None:
    """STOP is obeyed, and told; an answer then does not go, and its writer is told."""
    samira = await team.linked("samira")
    reference = await team.taken(samira)
    await team.says("awa", "stop")
    assert await value(team.database, "SELECT count(*) FROM person WHERE stopped_at IS NOT NULL") == 1
    assert (await team.read("samira"))[-1] == i18n.say("desk.relay", "fr", reference=reference, words="stop")
    with pytest.raises(Unwanted):
        async with team.desk() as desk:
            await desk.reply(reference, samira, "encore un mot")
    await team.says("samira", "encore un mot")
    assert (await team.read("samira"))[-1] == i18n.say("desk.unwanted", "fr", reference=reference)


async def test_erasing_takes_the_copies_too(team: Team) -> None:
    """Nothing of what the person wrote is left in the team's chats; whoever had them is told."""
    samira = await team.linked("samira")
    reference = await team.taken(samira)
    await team.says("awa", "canary de la personne")
    assert "canary" in (await team.read("samira"))[-1]
    await team.says("awa", "supprimer")
    await team.presses("awa", i18n.say("button.delete_yes", "fr"))
    assert not [one for one in await team.read("samira") if "canary" in one]
    assert (await team.read("samira"))[-1] == i18n.say("desk.erased", "fr", reference=reference)
    assert await value(team.database, "SELECT count(*) FROM handoff") == 0
    assert await value(team.database, "SELECT count(*) FROM conversation WHERE owner_id IS NOT NULL") == 0


async def test_what_is_taken_back_leaves_the_teams_chats_too(team: Team) -> None:
    """The copy of that message goes, and no other; that it was a sign of danger stays told."""
    samira = await team.linked("samira")
    await team.taken(samira)
    cry = typed("canary je veux mourir", "awa")
    await tell(team.database, cry)
    await team.says("awa", "un autre mot")
    [copy, alarm, other] = (await team.read("samira"))[-3:]
    assert "canary" in copy and other.endswith("un autre mot")
    gone = Incoming("web", str(uuid.uuid4()), cry.address, Kind.REVOKED, details={"original": cry.external_id})
    await inbox.accept(team.database, [gone])
    assert (await team.read("samira"))[-2:] == [alarm, other]
    assert not [one for one in await team.read("samira") if "canary" in one]


async def test_a_voice_message_reaches_its_owner(team: Team) -> None:
    """It is announced as what it is, and heard in the console and in their own chat."""
    samira = await team.linked("samira")
    reference = await team.taken(samira, "p1")
    team.service.media.channels = {"web": FakeChannel("web", files={"f1": VOICE})}
    await tell(team.database, sends("voice"))
    what = i18n.say("desk.sort.voice", "fr")
    assert (await team.read("samira"))[-1] == i18n.say("desk.media", "fr", reference=reference, words=what)
    await until(lambda: value(team.database, "SELECT count(*) FROM media WHERE status = 'kept'"))
    other = await team.waits("moussa")
    async with team.desk() as desk:
        [line] = [line for line in await desk.conversation(reference, "counsellor") if line.media_id is not None]
        assert line.media_id is not None
        assert await desk.media(reference, line.media_id, "counsellor") == (VOICE, "audio/ogg")
        assert await desk.media(other, line.media_id, "counsellor") is None  # of another conversation
    shown = await fetch(team.database, await team.conversation("samira"), 0)
    [one] = [one for one in shown.messages if "file" in one]
    assert one["text"].endswith(i18n.say("desk.media", "fr", reference=reference, words=what)[-20:])
    found = await file(team.database, await team.conversation("samira"), uuid.UUID(one["id"]))
    assert found == ("rafiq.ogg", File("audio/ogg", VOICE))
    assert await file(team.database, await team.conversation("moussa"), uuid.UUID(one["id"])) is None


async def test_what_came_before_is_heard_by_who_takes_it(team: Team) -> None:
    """A voice message asks for a person: whoever takes the conversation in their chat hears it there."""
    await team.linked("samira")
    team.service.media.channels = {"web": FakeChannel("web", files={"f1": VOICE})}
    await tell(team.database, sends("voice"))
    await until(lambda: value(team.database, "SELECT count(*) FROM media WHERE status = 'kept'"))
    reference = str(await until(lambda: value(team.database, "SELECT reference FROM handoff WHERE rounds > 0")))
    await team.presses("samira", i18n.say("desk.button.take", "fr"), reference)
    shown = (await fetch(team.database, await team.conversation("samira"), 0)).messages
    assert [one["shown"] for one in shown if "file" in one] == ["audio/ogg"]


async def test_voices_and_pictures_of_the_team_reach_people(team: Team) -> None:
    """Cleaned as those of people are, in order with what is written; asked to whom where there are several."""
    samira = await team.linked("samira")
    reference = await team.taken(samira)
    gate = asyncio.Event()

    class Slow(FakeChannel):
        async def download(self, details: Any) -> tuple[bytes, str]:
            await gate.wait()
            return await super().download(details)

    team.service.media.channels = {"web": Slow("web", files={"f1": VOICE, "p1": picture()})}
    awa = await team.conversation("awa")
    before = (await fetch(team.database, awa, 0)).messages[-1]["n"]
    await tell(team.database, from_("samira", "photo", "p1", "votre papier"))
    await team.says("samira", "vous le voyez ?")
    waiting = await fetch(team.database, awa, before)
    assert waiting.messages == [] and waiting.working  # what was said afterwards waits for it
    gate.set()
    await until(lambda: value(team.database, "SELECT count(*) FROM media WHERE status = 'kept'"))
    told = (await fetch(team.database, awa, before)).messages
    assert ["votre papier" in told[0]["text"], "vous le voyez ?" in told[1]["text"]] == [True, True]
    found = await file(team.database, awa, uuid.UUID(told[0]["id"]))
    assert found is not None and found[0] == "rafiq.jpg" and b"CANARY" not in found[1].content
    async with team.desk() as desk:
        [line] = [line for line in await desk.conversation(reference, "counsellor") if line.media_id is not None]
        assert line.who == "team" and line.name == "samira" and line.media_id is not None
        assert await desk.media(reference, line.media_id, "counsellor") == (found[1].content, "image/jpeg")

    second = await team.taken(samira, "moussa")
    await tell(team.database, from_("samira", "voice", "f1"))
    assert (await team.read("samira"))[-1] == i18n.say("desk.which", "fr")
    assert await value(team.database, "SELECT count(*) FROM media") == 1
    await team.presses("samira", second, second)
    await until(lambda: value(team.database, "SELECT count(*) = 2 FROM media WHERE status = 'kept'"))
    [heard] = [
        one for one in (await fetch(team.database, await team.conversation("moussa"), 0)).messages if "file" in one
    ]
    assert heard["shown"] == "audio/ogg" and i18n.say("handoff.voice", "fr") in heard["text"]
    assert len([one for one in (await fetch(team.database, awa, 0)).messages if "file" in one]) == 1


async def test_what_cannot_be_had_is_not_announced_to_the_person(team: Team) -> None:
    """Its writer is told; what is neither a voice nor a picture is not taken at all."""
    samira = await team.linked("samira")
    reference = await team.taken(samira)
    team.service.media.channels = {"web": FakeChannel("web", files={"f1": b"MZ no voice"})}
    await tell(team.database, from_("samira", "voice", "f1"))
    await until(lambda: value(team.database, "SELECT count(*) FROM handoff_entry WHERE told = 'failed'"))
    assert (await team.read("samira"))[-1] == i18n.say("desk.not_sent", "fr", reference=reference)
    told = (await fetch(team.database, await team.conversation("awa"), 0)).messages
    assert not [one for one in told if i18n.say("handoff.voice", "fr") in one["text"]]
    for sort in ("document", "video", "location"):
        await tell(team.database, from_("samira", sort, "f1"))
        assert (await team.read("samira"))[-1] == i18n.say("desk.not_this", "fr")
    assert await value(team.database, "SELECT count(*) FROM media") == 1


async def test_a_voice_goes_to_a_platform_after_its_words(team: Team) -> None:
    """Where nothing may stand under a voice; where nothing goes with a voice at all, it goes as words alone."""
    samira = await team.linked("samira")
    platform = FakeChannel("whatsapp", under=0)
    team.service.delivery.channels = {"whatsapp": platform}
    team.service.media.channels = {"web": FakeChannel("web", files={"f1": VOICE})}
    team.rasa.behave = _asks
    await tell(team.database, Incoming("whatsapp", str(uuid.uuid4()), "+212600000000", Kind.TEXT, HELP["fr"]))
    reference = str(await until(lambda: value(team.database, "SELECT reference FROM handoff WHERE rounds > 0")))
    async with team.desk() as desk:
        await desk.claim(reference, samira)
    await tell(team.database, from_("samira", "voice", "f1"))
    await until(lambda: _sent(platform, lambda message: message.file is not None))
    (_, _, words), (_, _, voice) = platform.sent[-2:]
    assert i18n.say("handoff.voice", "fr") in words.text and words.file is None
    assert (voice.text, voice.file) == ("", File("audio/ogg", VOICE)) and words.id == f"{voice.id}.1"


async def test_what_is_done_in_a_chat_is_in_the_audit(team: Team) -> None:
    """Each step with who and where, as from the console; what is refused is not done; nothing of what was said."""
    samira, karim = await team.linked("samira"), await team.linked("karim")
    reference = await team.waits()
    button = {verb: i18n.say(f"desk.button.{verb}", "fr") for verb in ("take", "release", "reopen", "transfer", "back")}
    await team.presses("samira", button["take"], reference)
    await team.presses("karim", button["take"], reference)  # too late
    await team.says("samira", "canary words")
    await team.says("samira", "# canary note")
    await team.says("samira", "/start")
    await team.presses("samira", button["release"], reference)
    await team.presses("samira", button["reopen"], reference)
    await team.presses("samira", button["transfer"], reference)
    await team.presses("samira", "karim", reference)
    await team.presses("karim", button["back"], reference)
    await team.says("karim", "stop")
    done = [
        (row.staff_id, row.action, row.target)
        for row in await rows(team.database, "SELECT staff_id, action, target, detail FROM audit ORDER BY id")
        if row.detail == {"in": "chat"}
    ]
    assert done == [
        (samira, "chat.linked", ""), (karim, "chat.linked", ""),
        *((samira, action, reference) for action in (
            "handoff.taken", "conversation.seen", "handoff.replied", "handoff.noted", "handoff.released",
            "handoff.reopened", "conversation.seen", "handoff.transferred",
        )),
        (karim, "handoff.returned", reference), (karim, "chat.unlinked", ""),
    ]  # fmt: skip
    async with team.database.session() as session:
        verdict = await audit.verify(session, team.database.vault)
    assert verdict.broken is None and verdict.rows == len(done)
    assert not [row for row in await rows(team.database, "SELECT audit::text AS all FROM audit") if "canary" in row.all]


def from_(who: str, sort: str, file_id: str, text: str = "") -> Incoming:
    """What somebody of the team sends in their chat."""
    event = typed(text, who)
    return replace(event, kind=Kind.MEDIA, details={"media": sort, "file_id": file_id})


# delivery


async def test_an_answer_outside_the_window_is_held_and_shown_as_held(team: Team, own_url: str) -> None:
    """Its writer is told, and one press sends the platform's template; the answer goes when the person writes."""
    from bot.channels import Limits, Rate

    free = Rate(1000, 1000)
    platform = FakeChannel("whatsapp", limits=Limits(free, free, free, window=timedelta(hours=24)))
    team.service.delivery.channels = {"whatsapp": platform}
    samira = await team.linked("samira")
    team.rasa.behave = _asks
    event = Incoming("whatsapp", str(uuid.uuid4()), "+212600000000", Kind.TEXT, HELP["fr"])
    await tell(team.database, event)
    reference = str(await until(lambda: value(team.database, "SELECT reference FROM handoff WHERE rounds > 0")))
    async with team.desk() as desk:
        await desk.claim(reference, samira)
    await until(lambda: value(team.database, "SELECT count(*) = 0 FROM outbox o JOIN conversation c ON c.id = o.conversation_id JOIN address a ON a.id = c.address_id WHERE a.channel = 'whatsapp' AND o.status <> 'sent'"))  # fmt: skip
    await change(
        team.database, "UPDATE address SET last_heard_at = now() - interval '25 hours' WHERE channel = 'whatsapp'"
    )
    await team.says("samira", "nous avons une place lundi")
    await until(lambda: value(team.database, "SELECT count(*) FROM handoff_entry WHERE told = 'held'"))
    assert (await team.read("samira"))[-1] == i18n.say("desk.held", "fr", reference=reference)
    async with team.desk() as desk:
        [line] = [one for one in await desk.conversation(reference, "counsellor") if one.who == "team"]
    assert (line.status, line.reason, line.name) == ("held", "window", "samira")
    await team.presses("samira", i18n.say("desk.button.knock", "fr"))
    await until(lambda: _sent(platform, lambda message: message.template is not None))
    assert "place lundi" not in "".join(platform.texts)
    await tell(team.database, Incoming("whatsapp", str(uuid.uuid4()), "+212600000000", Kind.PRESS, press="opens"))
    await until(lambda: _sent(platform, lambda message: "nous avons une place lundi" in message.text))
    async with team.desk() as desk:
        [line] = [one for one in await desk.conversation(reference, "counsellor") if one.who == "team"]
    assert line.status == "sent"


async def _sent(platform: FakeChannel, which: Callable[[Any], bool]) -> bool:
    return any(which(message) for _, _, message in platform.sent)


async def test_the_same_answer_posted_twice_goes_once(team: Team) -> None:
    """A console's double click."""
    samira, once = await team.member("samira"), uuid.uuid4()
    reference = await team.taken(samira)
    outcomes = []
    for _ in range(2):
        async with team.desk() as desk:
            outcomes.append(await desk.reply(reference, samira, "bonjour", once))
    assert outcomes[0] is not None and outcomes[1] is None
    assert sum("bonjour" in one for one in await team.read("awa")) == 1


# handing on


async def test_transfer_note_and_their_history(team: Team) -> None:
    """The person is told who writes now; a note is for the team; the old owner cannot write any more."""
    samira, karim = await team.linked("samira"), await team.linked("karim")
    reference = await team.waits()
    await team.presses("samira", i18n.say("desk.button.take", "fr"))
    await team.says("samira", "# attend une réponse du médecin")
    await team.presses("samira", i18n.say("desk.button.transfer", "fr"))
    await team.presses("samira", "karim")
    assert await status(team, reference) == ("taken", karim)
    assert (await team.read("awa"))[-1].startswith(i18n.say("handoff.transferred", "fr", name="samira", to="karim", when="")[:40])  # fmt: skip
    assert not [one for one in await team.read("awa") if "médecin" in one]
    with pytest.raises(Taken):
        async with team.desk() as desk:
            await desk.reply(reference, samira, "encore moi")
    await team.says("karim", "bonjour, je suis karim")
    assert "karim" in (await team.read("awa"))[-1]
    async with team.desk() as desk:
        history = [(entry.what, entry.staff_id, words) for entry, words in await desk.history(reference)]
    assert history == [
        ("taken", samira, None),
        ("noted", samira, "attend une réponse du médecin"),
        ("transferred", samira, None),
        ("replied", karim, None),
    ]
    kept = await rows(team.database, "SELECT note_sealed FROM handoff_entry WHERE note_sealed IS NOT NULL")
    assert "médecin".encode() not in kept[0].note_sealed


async def test_who_supervises_may_hand_on_what_others_have(team: Team) -> None:
    """Others may not."""
    samira, karim = await team.member("samira"), await team.member("karim")
    boss = await team.member("boss", role="supervisor")
    reference = await team.taken(samira)
    with pytest.raises(Taken):
        async with team.desk() as desk:
            await desk.transfer(reference, karim, karim)
    async with team.desk() as desk:
        await desk.transfer(reference, boss, karim)
    assert await status(team, reference) == ("taken", karim)


async def test_reopened_within_72_hours_and_not_after(team: Team) -> None:
    """By the team, and by the person who asks again: it is the same one."""
    samira = await team.member("samira")
    reference = await team.taken(samira)
    async with team.desk() as desk:
        await desk.release(reference, samira, "bonne route")
    assert [one for one in await team.read("awa") if one == i18n.say("handoff.reply", "fr", name="samira", words="bonne route")]  # fmt: skip
    now = datetime.now(UTC)
    with pytest.raises(TooLate):
        async with team.desk(now + timedelta(hours=72, minutes=1)) as desk:
            await desk.reopen(reference, samira)
    async with team.desk(now + timedelta(hours=71)) as desk:
        await desk.reopen(reference, samira)
    assert await status(team, reference) == ("taken", samira)
    async with team.desk() as desk:
        await desk.release(reference, samira)
    assert await team.waits() == reference
    assert await status(team, reference) == ("waiting", None)
    with pytest.raises(NotYours):
        async with team.desk() as desk:
            await desk.release(reference, samira)


async def test_a_silent_owner_loses_the_conversation(team: Team) -> None:
    """Past the limit it is back in the queue: the person is told, the team is told anew, the owner too."""
    samira = await team.linked("samira")
    reference = await team.taken(samira)
    async with team.desk() as desk:
        await desk.reply(reference, samira, "je reviens")
    await change(team.database, "UPDATE handoff SET look_at = now() - interval '1 day' WHERE look_at IS NOT NULL")
    await team.service.watch.work(await team.conversation("awa"))
    assert await status(team, reference) == ("taken", samira)  # an answered one has no limit
    await team.says("awa", "d'accord")
    left = await value(team.database, "SELECT look_at - now() FROM handoff")
    assert timedelta(0) < left
    await change(team.database, "UPDATE handoff SET look_at = now()")
    await until(lambda: value(team.database, "SELECT count(*) FROM handoff WHERE status = 'waiting' AND rounds > 1"))
    assert (await team.read("awa"))[-1].startswith(i18n.say("handoff.returned", "fr", name="samira", when="")[:50])
    assert i18n.say("desk.silent", "fr", reference=reference) in await team.read("samira")
    await team.says("awa", "bonjour")
    assert len(team.rasa.turns) > 1


async def test_with_several_conversations_it_is_asked_to_whom(team: Team) -> None:
    """Words never reach the wrong person: they wait until it is said for whom they are, and go once."""
    samira = await team.linked("samira")
    first, second = await team.taken(samira, "awa"), await team.taken(samira, "moussa")
    before = (len(await team.read("awa")), len(await team.read("moussa")))
    await team.says("samira", "pour moussa")
    assert (len(await team.read("awa")), len(await team.read("moussa"))) == before
    assert (await team.read("samira"))[-1] == i18n.say("desk.which", "fr")
    for _ in range(2):
        await team.presses("samira", second, second)
    assert sum("pour moussa" in one for one in await team.read("moussa")) == 1
    assert not [one for one in await team.read("awa") if "pour moussa" in one]
    assert (await team.read("samira"))[-1] == i18n.say("desk.stale", "fr")
    assert first != second


# the team's chats


async def test_a_code_links_one_chat_once(team: Team) -> None:
    """Used, expired or invented it links nothing; STOP unlinks, and the assistant answers there again."""
    member = await team.linked("samira")
    assert await value(team.database, "SELECT id FROM staff_member WHERE conversation_id IS NOT NULL") == member
    async with team.database.session() as session:
        code = await staff.link_code(session, team.database.vault, "samira@example.org")
        await session.commit()
    assert code is not None
    await change(team.database, "UPDATE staff_member SET link_expires_at = now()")
    for one in (code, "staff-" + "A" * 22):
        await team.says("stranger", one)
        assert (await team.read("stranger"))[-1] == i18n.say("desk.code_wrong", "fr")
    asked = len(team.rasa.turns)
    await team.says("samira", "bonjour")
    assert len(team.rasa.turns) == asked
    await team.says("samira", "stop")
    assert await value(team.database, "SELECT count(*) FROM staff_member WHERE conversation_id IS NOT NULL") == 0
    await team.says("samira", "bonjour")
    assert len(team.rasa.turns) == asked + 1
    assert not await value(team.database, "SELECT count(*) FROM staff_member WHERE link_digest IS NULL AND link_expires_at IS NOT NULL")  # fmt: skip


async def test_a_button_of_the_team_is_worth_nothing_to_others(team: Team) -> None:
    """Who left the team presses it in vain; so does who holds another's button."""
    await team.linked("samira")
    reference = await team.waits()
    await change(team.database, "UPDATE staff_member SET active = false")
    await team.presses("samira", i18n.say("desk.button.take", "fr"))
    assert (await team.read("samira"))[-1] == i18n.say("desk.stale", "fr")
    button = await value(team.database, "SELECT id FROM issued_button WHERE action->>'staff' = 'take'")
    event = typed("", "awa")
    await tell(team.database, Incoming("web", event.external_id, event.address, Kind.PRESS, press=button))
    assert await status(team, reference) == ("waiting", None)


async def test_a_chat_is_no_way_around_the_office(team: Team) -> None:
    """Who works for another office neither sees it in their chat nor takes it there, until everybody was told."""
    await team.linked("samira", offices=["MR"])
    await team.linked("karim", offices=["MA"])
    reference = await team.waits()
    await change(team.database, "UPDATE handoff SET place = 'MA', step = 1, look_at = now() + interval '1 day'")
    take = i18n.say("desk.button.take", "fr")
    button = await value(team.database, "SELECT id FROM issued_button WHERE action->>'staff' = 'take' LIMIT 1")
    chat = await team.conversation("samira")
    await change(team.database, "UPDATE issued_button SET conversation_id = :c WHERE id = :id", c=chat, id=button)
    await team.says("samira", "/start")
    assert i18n.say("desk.nothing", "fr", number=0) == (await team.read("samira"))[-1]
    await team.presses("samira", take)
    assert await status(team, reference) == ("waiting", None)
    await change(team.database, "UPDATE handoff SET step = 2")
    await team.presses("samira", take)
    assert (await status(team, reference))[0] == "taken"
    await team.member("mona", offices=["MR"])
    await team.presses("samira", i18n.say("desk.button.transfer", "fr"))
    offered = await rows(team.database, "SELECT title FROM issued_button WHERE action->>'staff' = 'to'")
    assert [one.title for one in offered] == ["karim"]
    async with team.desk() as desk:
        nobody = await team.member("lina", role="coordinator")
        with pytest.raises(NotYours):
            await desk.note(reference, nobody, "un mot")


async def test_who_leaves_the_team_reads_nothing_any_more(team: Team) -> None:
    """What they have goes back to the queue, by the console or, at the latest, at the person's next word."""
    samira, karim = await team.linked("samira"), await team.linked("karim")
    first, second = await team.taken(samira, "awa"), await team.taken(karim, "moussa")
    async with team.desk() as desk:
        await desk.dismiss(samira)
    assert await status(team, first) == ("waiting", None)
    await change(team.database, "UPDATE staff_member SET active = false")
    await team.says("moussa", "un secret")
    assert await status(team, second) == ("waiting", None)
    assert "un secret" not in "".join(await team.read("karim"))
    assert (await team.read("moussa"))[-1].startswith(i18n.say("handoff.returned", "fr", name="karim", when="")[:40])


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_person_is_told_who_speaks_in_their_language(team: Team, language: Language) -> None:
    """At each change: taken, handed on, back in the queue, given back to the assistant."""
    samira, karim = await team.member("samira"), await team.member("karim")
    reference = await team.waits(language=language)
    before = len(await team.read("awa"))
    steps: list[tuple[str, Callable[[Desk], Awaitable[object]]]] = [
        ("handoff.claimed", lambda desk: desk.claim(reference, samira)),
        ("handoff.transferred", lambda desk: desk.transfer(reference, samira, karim)),
        ("handoff.returned", lambda desk: desk.give_back(reference, karim)),
        ("handoff.claimed", lambda desk: desk.claim(reference, karim)),
        ("handoff.released", lambda desk: desk.release(reference, karim)),
    ]
    for _, step in steps:
        async with team.desk() as desk:
            await step(desk)
    told = (await team.read("awa"))[before:]
    assert len(told) == len(steps)
    for text, (text_id, _) in zip(told, steps, strict=True):
        fixed = i18n.catalog(language).gettext(text_id).replace("{name}", "\0").replace("{to}", "\0").split("\0")
        assert all(part.split("\n")[0] in text for part in fixed)


async def test_on_telegram_from_the_code_to_the_last_word(
    fake_rasa: tuple[FakeRasa, Settings], database: Database, own_url: str
) -> None:
    """Two of the team link their chats, are told of somebody who asks in Arabic, one takes it, they write to each
    other, it is given back: all of it in chats of Telegram."""
    fake, settings = fake_rasa
    async with TelegramServer() as server:
        given = {
            "rafiq_reading_hours": around(True), "telegram_token": SecretStr(TOKEN), "telegram_api_url": server.url,
        }  # fmt: skip
        service = Service(settings.model_copy(update=given), own_url)
        await service.start()
        try:
            team = Team(service, fake, database)
            chats = []
            for name in ("samira", "karim"):
                await team.member(name, languages=["fr", "ar"])
                async with database.session() as session:
                    code = await staff.link_code(session, database.vault, f"{name}@example.org")
                    await session.commit()
                chats.append(Owner(server, TOKEN, language="fr"))
                await chats[-1].send_text(f"/start {code}")
                assert (await chats[-1].answer()).text == i18n.say("desk.linked", "fr", name=name)
            samira, karim = chats
            awa = Owner(server, TOKEN, language="ar")
            fake.behave = _asks
            await awa.send_text(HELP["ar"])
            assert "H-" in (await awa.answer()).text
            take = i18n.say("desk.button.take", "fr")
            for chat in chats:
                notice = await chat.answer()
                assert "العربية" in notice.text and notice.titles == (take,) and HELP["ar"] not in notice.text
            await samira.press(take)
            brief = await samira.answer()
            assert HELP["ar"] in brief.text and len(brief.titles) == 3
            assert "samira" in (await awa.answer()).text
            await karim.press(take)
            assert "samira" in (await karim.answer()).text
            await samira.send_text("مرحبا، كيف أساعدك؟")
            assert (await awa.answer()).text == i18n.say(
                "handoff.reply", "ar", name="samira", words="مرحبا، كيف أساعدك؟"
            )
            await awa.send_text("أريد موعدا")
            assert "أريد موعدا" in (await samira.answer()).text
            await awa.send_file("voice", VOICE)
            assert i18n.say("desk.sort.voice", "fr") in (await samira.answer()).text
            [voice] = await server.calls("sendVoice")
            assert voice["chat_id"] == str(samira.id) and base64.b64decode(voice["voice"]["base64"]) == VOICE
            await samira.send_file("photo", picture(), "ورقتك")
            assert "ورقتك" in (await awa.answer()).text
            [shown] = await server.calls("sendPhoto")
            drawn = base64.b64decode(shown["photo"]["base64"])
            assert shown["chat_id"] == str(awa.id) and b"CANARY" in picture() and b"CANARY" not in drawn
            await samira.press(i18n.say("desk.button.release", "fr"))
            assert (await samira.answer()).titles == (i18n.say("desk.button.reopen", "fr"),)
            assert (await awa.answer()).text == i18n.say("handoff.released", "ar")
            await until(lambda: value(database, "SELECT bool_and(status = 'sent') FROM outbox"))
        finally:
            await service.stop()
