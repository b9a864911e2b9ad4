"""What the pages do: answers, deliveries, review; the rooms behind them are tested where they live."""

from __future__ import annotations

import asyncio
import json
import uuid

from bot import i18n
from bot.console import accounts
from bot.console.guard import LARGEST, LARGEST_FILE
from bot.console.live import Live
from bot.db.session import Database, Lane
from bot.journeys import learning
from tests.console.conftest import PASSWORD, Browser, Team, change, value
from tests.console.people import WORDS, somebody
from tests.conversation.conftest import rows
from tests.conversation.test_media import VOICE
from tests.conversation.test_media import picture as photograph


async def test_a_form_sent_twice_answers_once(team: Team, database: Database) -> None:
    """Also with a slow network and an impatient finger."""
    person = await somebody(database)
    browser = await team.at_work()
    page = f"/console/handoffs/{person.handoff}"
    await browser.post(page + "/take")
    form = {"words": "Bonjour Awa", "fresh": str(uuid.uuid4())}
    for _ in range(2):
        assert (await browser.post(page + "/reply", **form)).status_code == 303
    assert await value(database, "SELECT count(*) FROM handoff_entry WHERE what = 'replied'") == 1
    shown = (await browser.get(page)).text
    assert shown.count("Bonjour Awa") == 1
    assert (await browser.post(page + "/reply", words="x", fresh="no uuid")).status_code == 404


async def test_of_ten_who_take_it_one_has_it_and_nine_are_told_whom(team: Team, database: Database) -> None:
    """At the same moment, from ten browsers."""
    person = await somebody(database)
    browsers = [await team.at_work(name=f"Colleague{number}") for number in range(10)]
    taking = (browser.post(f"/console/handoffs/{person.handoff}/take") for browser in browsers)
    answers = await asyncio.gather(*taking)
    assert sorted(one.status_code for one in answers) == [303] + [409] * 9
    owner = await value(database, "SELECT name FROM staff_member s JOIN handoff h ON h.owner_id = s.id")
    assert all(owner in one.text for one in answers if one.status_code == 409)
    assert await value(database, "SELECT count(*) FROM audit WHERE action = 'handoff.taken'") == 1


async def test_what_is_held_is_shown_and_can_be_knocked_for(team: Team, database: Database) -> None:
    """Outside the platform's window: held, why, and one button for the template."""
    person = await somebody(database)
    browser = await team.at_work()
    page = f"/console/handoffs/{person.handoff}"
    await browser.post(page + "/take")
    await browser.post(page + "/reply", words="Bonjour", fresh=str(uuid.uuid4()))
    assert "/knock" not in (await browser.get(page)).text
    await change(database, "UPDATE outbox SET status = 'held', error = 'window' WHERE status = 'queued'")
    shown = (await browser.get(page)).text
    assert i18n.say("console.held.window", "en") in shown and "/knock" in shown
    assert (await browser.post(page + "/knock")).status_code == 303
    assert await value(database, "SELECT count(*) FROM outbox WHERE announces") == 1


async def test_a_picture_and_a_voice_are_sent_from_the_page(team: Team, database: Database) -> None:
    """Cleaned, once however often the form comes, and shown; nothing else is taken, nor from anybody else."""
    person = await somebody(database)
    member, other = await team.at_work(), await team.at_work()
    here = f"/console/handoffs/{person.handoff}"
    await member.post(f"{here}/take")

    async def send(browser: Browser, content: bytes, fresh: str, **form: str) -> int:
        token = accounts.form_token(database, browser.client.cookies.get("rafiq_console") or "")
        data = {"form_token": token, "fresh": fresh, **form}
        return (await browser.client.post(f"{here}/file", data=data, files={"file": ("x", content)})).status_code

    fresh = [str(uuid.uuid4()) for _ in range(3)]
    assert [await send(member, photograph(), fresh[0], words="Voici") for _ in range(2)] == [303, 303]
    assert await send(member, VOICE, fresh[1]) == 303
    assert await send(member, b"MZ no picture\r\n--", fresh[2]) == 400
    assert await send(other, VOICE, fresh[2]) == 409
    assert await send(member, VOICE + bytes(LARGEST_FILE + LARGEST), fresh[2]) == 413
    assert await send(team.browser(member.enrolment, member.email), VOICE + bytes(LARGEST), fresh[2]) == 413
    found = "SELECT p.key, m.content_sealed, m.mime FROM outbox o JOIN media m ON m.id = o.media_id"
    rows_ = await rows(database, f"{found} JOIN person p ON p.id = m.person_id ORDER BY o.id")
    shown, heard = [(database.vault.open_bytes(row.key, row.content_sealed), row.mime) for row in rows_]
    assert shown[1] == "image/jpeg" and b"CANARY" in photograph() and b"CANARY" not in shown[0]
    assert heard == (VOICE, "audio/ogg")
    page = (await member.get(here)).text
    assert page.count("<audio") == 1 and page.count('class="picture"') == 2  # theirs, and the person's
    media_id = await value(database, "SELECT max(id) FROM media")
    assert (await member.get(f"{here}/media/{media_id}")).content == VOICE
    done = "SELECT count(*) FROM audit WHERE action = 'handoff.replied' AND staff_id = :id"
    assert await value(database, done, id=member.staff_id) == 3  # the form that came twice is there twice


async def test_an_export_asks_again(team: Team, database: Database) -> None:
    """Reviewed messages alone, with the reviewer's label, after password and code within ten minutes."""
    first = await somebody(database)
    await somebody(database, address="b", handoff="H-BBBBB", request="AV-BBBB", words="qui etes vous")
    boss = await team.at_work("supervisor")
    assert (await boss.post(f"/console/review/{first.suggestion_id}", label="iom_what_is")).status_code == 303
    assert (await boss.post(f"/console/review/{first.suggestion_id}", label="made_up")).status_code == 404
    assert (await boss.post("/console/review/999", label="iom_what_is")).status_code == 404
    shown = (await boss.get("/console/review")).text
    assert "qui etes vous" in shown and WORDS not in shown
    await change(database, "UPDATE staff_session SET verified_at = now() - interval '11 minutes'")
    assert (await boss.post("/console/review/export")).headers["location"] == "/console/verify?next=/console/review"
    await boss.post("/console/verify", password=PASSWORD, code=await boss.fresh_code(), next="/console/review")
    exported = (await boss.post("/console/review/export")).text.splitlines()
    [example] = [json.loads(line) for line in exported]
    assert (example["text"], example["label"], example["reviewed"]) == (WORDS, "iom_what_is", True)
    await boss.post(f"/console/review/{first.suggestion_id}", label=learning.UNUSABLE)
    assert [one["reviewed"] async for one in learning.export(database)] == [False]
    assert await value(database, "SELECT detail ->> 'found' FROM audit WHERE action = 'review.exported'") == "1"


async def test_what_did_not_go_is_replayed_or_cancelled(team: Team, database: Database) -> None:
    """A message, a dead case event, an endpoint that said 410; what is not there is 404."""
    person = await somebody(database)
    boss = await team.at_work("coordinator")
    shown = (await boss.get("/console/deliveries")).text
    assert i18n.say("console.why.Refused", "en") in shown and "HTTP 500" in shown and WORDS not in shown
    message = f"/console/deliveries/messages/{person.outbox_id}"
    assert (await boss.post(message + "/cancel")).status_code == 303
    assert await value(database, "SELECT status FROM outbox") == "cancelled"
    assert (await boss.post(message + "/replay")).status_code == 404
    event = f"/console/deliveries/events/{person.event_id}/replay"
    assert [(await boss.post(event)).status_code for _ in range(2)] == [303, 404]
    assert await value(database, "SELECT status FROM case_event") == "queued"
    await change(database, "INSERT INTO case_endpoint VALUES (:url, now())", url=team.settings.case_url)
    assert "410" in (await boss.get("/console/deliveries")).text
    await boss.post("/console/deliveries/endpoint")
    assert await value(database, "SELECT disabled_at FROM case_endpoint") is None
    for wrong in ("messages/x/replay", "messages/99999999999999999999/replay", "events/x/replay"):
        assert (await boss.post(f"/console/deliveries/{wrong}")).status_code == 404


async def test_a_burst_is_one_event_and_a_revoked_session_ends_the_stream() -> None:
    """What happens within a second is one event; another conversation's is none; then it is over."""
    live, allowed = Live(), [True]

    async def changed(keys: set[int]) -> bool:
        return 7 in keys

    async def still() -> bool:
        return allowed[0]

    stream = live.stream(changed, still)
    assert await anext(stream) == b"retry: 1000\n\n"
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    for _ in range(50):
        live.heard(Lane.TURN, 7)
    live.heard(Lane.MEDIA, 7)
    assert await waiting == b"event: change\ndata:\n\n"
    live.heard(Lane.DELIVERY, 8)
    assert await anext(stream) == b":\n\n"
    allowed[0] = False
    live.heard(Lane.TURN, 7)
    assert await anext(stream) == b"event: over\ndata:\n\n"
    assert [one async for one in stream] == []
