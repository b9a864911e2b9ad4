"""What the pages do: answers, deliveries, review; the rooms behind them are tested where they live."""

from __future__ import annotations

import asyncio
import json
import re
import uuid

import pytest
import yaml

from bot import i18n
from bot.console import accounts, pages
from bot.console.access import Role
from bot.console.guard import LARGEST, LARGEST_FILE
from bot.console.live import Live
from bot.conversation import on_behalf
from bot.db.session import Database, Lane
from bot.journeys import learning
from bot.messages import LANGUAGES, Language
from bot.settings import ROOT
from tests.console.conftest import PASSWORD, Browser, Team, change, value
from tests.console.people import WORDS, somebody
from tests.console.test_access import EXPECTED, real
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
    assert (await boss.post(f"/console/review/{first.suggestion_id}", label="talk_to_human")).status_code == 303
    assert (
        await value(database, "SELECT right_label FROM suggestion WHERE id = :id", id=first.suggestion_id)
        == "talk_to_human"
    )
    assert (await boss.post(f"/console/review/{first.suggestion_id}", label="iom_what_is")).status_code == 303
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


def test_labels_are_intents_that_the_model_knows() -> None:
    """An example that is exported with one of them can be trained on."""
    for language in LANGUAGES:
        known = yaml.safe_load((ROOT / "nlu" / language / "intents.yml").read_text(encoding="utf-8"))["nlu"]
        assert set(learning.INTENTS) == {one["intent"] for one in known} - {"affirm", "deny"}


async def test_what_did_not_go_is_replayed_or_cancelled(team: Team, database: Database) -> None:
    """A message, one that was set aside, a dead case event, an endpoint that said 410; what is not there is 404."""
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
    await change(
        database, "UPDATE inbox SET status = 'dead', error = 'ZeroDivisionError', attempts = 4, done_at = now()"
    )
    number = await value(database, "SELECT id FROM inbox")
    shown = (await boss.get("/console/deliveries")).text
    assert "ZeroDivisionError" in shown and f"received/{number}/replay" in shown and WORDS not in shown
    received = f"/console/deliveries/received/{number}/replay"
    assert [(await boss.post(received)).status_code for _ in range(2)] == [303, 404]
    assert await value(database, "SELECT status || attempts FROM inbox WHERE done_at IS NULL") == "pending0"
    assert await value(database, "SELECT target FROM audit WHERE action = 'received.replayed'") == str(number)
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


MANY = """
    WITH who AS (SELECT id AS conversation_id, person_id FROM conversation ORDER BY id {which} LIMIT 1)
    INSERT INTO {table} ({columns}) SELECT {values} FROM who, generate_series(1, 400) AS number
"""
CROWD: list[tuple[str, str, str]] = [
    ("handoff", "reference, person_id, conversation_id, reason, priority, language, place",
     "'H-' || 10000 + number, person_id, conversation_id, 'checkin_unreached', 'P1', 'fr', 'MA'"),
    ("outbox", "conversation_id, seq, content_sealed, status, error", "conversation_id, number, (SELECT content_sealed FROM outbox LIMIT 1), 'failed', 'Refused'"),
    ("inbox", "channel, external_digest, conversation_id, kind, content_sealed, status, error",
     "'fake', decode(md5(number::text), 'hex'), conversation_id, 'text', (SELECT content_sealed FROM inbox LIMIT 1), 'dead', 'ZeroDivisionError'"),
    ("case_event", "key, type, payload, status, error", "'k' || number, 'request.created', '{}', 'dead', 'HTTP 500'"),
    ("appointment", "reference, person_id, conversation_id, status, office_id, answers_sealed",
     "'RV-' || 10000 + number, person_id, conversation_id, 'past', 'rabat', (SELECT answers_sealed FROM appointment LIMIT 1)"),
    ("checkin", "enrolment_id, person_id, round, form, status, level, due_at, updated_at",
     "(SELECT max(id) FROM enrolment), person_id, 'm' || number, 'short', (ARRAY['sent', 'missed'])[1 + number % 2], 'red', now(), now()"),
    ("orientation_point", "code, name, city, languages",
     "decode(md5(number::text), 'hex'), 'Maison du quartier ' || number, 'Oujda', '[\"fr\", \"ar\"]'"),
    ("audit", "id, at, action, target, detail, link", "900 + number, now(), 'conversation.seen', 'H-AAAAA', '{}', ''"),
    ("text_version", "text_id, language, text, follows, project", "'greet', 'fr', repeat('Bonjour ', 40), number, ''"),
]  # fmt: skip


@pytest.mark.parametrize("language", ["fr", "ar"])
async def test_a_page_stays_small_however_much_there_is(team: Team, database: Database, language: Language) -> None:
    """Four hundred of everything, thirty in the team: each page and what it loads is under 200 KB, uncompressed."""
    person = await somebody(database, language=language)
    await somebody(database, address="b", handoff="H-BBBBB", request="AV-BBBB")
    for table, columns, values in CROWD:
        which = "DESC" if table == "checkin" else "ASC"  # who is looked at has those of a year, as everybody
        await change(database, MANY.format(table=table, columns=columns, values=values, which=which))
    await change(
        database,
        "INSERT INTO inbox (channel, external_digest, conversation_id, kind, status)"
        " SELECT 'fake', decode(md5('x' || number), 'hex'), (SELECT max(id) FROM conversation), 'text', 'done' FROM generate_series(1, 60) AS number",
    )
    await change(
        database,
        "INSERT INTO suggestion (person_id, inbox_id, language, label, offered, text_sealed)"
        " SELECT person_id, inbox.id, 'fr', 'avrr_what_is', '[]', text_sealed"
        " FROM inbox, (SELECT * FROM suggestion LIMIT 1) AS one WHERE inbox.status = 'done' AND inbox.content_sealed IS NULL",
    )
    await change(
        database,
        "INSERT INTO staff_member (name, email, role) SELECT 'Colleague ' || number, number || '@example.org', 'counsellor'"
        " FROM generate_series(1, 30) AS number",
    )
    boss = await team.at_work(Role.ADMINISTRATOR)
    loaded = sum([len((await boss.get(f"/console/static/{name}")).content) for name in pages.STATIC])
    heavy = {}
    for method, path in EXPECTED:
        if method == "GET" and not path.endswith(("/live", "/media/{id}", "/poster")):
            answer = await boss.get(f"{real(path, person)}?lang={language}")
            assert answer.status_code == 200, path
            heavy[path] = (loaded + len(answer.content)) // 1024
    assert {path: size for path, size in heavy.items() if size >= 200} == {}
    page = f"/console/handoffs/{person.handoff}"
    last, every = (await boss.get(page)).text, (await boss.get(page + "?earlier=on")).text
    assert f'{page}?earlier=on"' in last and f"{page}?earlier=on" not in every
    assert f"{page}/thread?earlier=on" in every  # a live page goes on showing them
    assert last.count("<time") == pages.MESSAGES < every.count("<time")


async def test_other_refused_forms_keep_what_was_typed(team: Team, database: Database) -> None:
    """A new point, a table of many, an appointment's time."""
    person = await somebody(database)
    boss = await team.at_work(Role.ADMINISTRATOR)
    refused = await boss.post("/console/points", name="Maison <b>", city="", notes="le matin", ar="on")
    assert refused.status_code == 400
    assert 'value="Maison &lt;b&gt;"' in refused.text and 'value="le matin"' in refused.text
    assert re.findall(r'name="(fr|en|ar)" checked', refused.text.partition('id="notes"')[2]) == ["ar"]
    asked = {"kind": "checkins", "why": on_behalf.PURPOSES[-1], "since": "2026-02-01", "until": "2026-01-01"}
    refused = await boss.post("/console/exports", **asked)
    assert refused.status_code == 400 and 'value="2026-02-01"' in refused.text
    assert all(f'<option value="{asked[name]}" selected>' in refused.text for name in ("kind", "why"))
    confirm = f"/console/appointments/{person.appointment}/confirm"
    refused = await boss.post(confirm, other="2020-01-01T10:00")
    assert refused.status_code in (400, 409) and 'value="2020-01-01T10:00"' in refused.text
