"""Every address of the console for every role: allowed or not, and which fields."""

from __future__ import annotations

import asyncio
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from bot import i18n
from bot.assistant.forms import forms
from bot.console import accounts, guard
from bot.console.access import PAGES, Role
from bot.console.pages import HANDLERS
from bot.db.session import Database
from tests.console.conftest import Team, change, value
from tests.console.people import NAME, PHONE, WORDS, Somebody, somebody
from tests.conversation.letters import queue, writes

COUNSELLORS = {Role.COUNSELLOR, Role.SUPERVISOR, Role.ADMINISTRATOR}
REVIEWERS = {Role.SUPERVISOR, Role.ADMINISTRATOR}
OVERSEERS = {Role.SUPERVISOR, Role.COORDINATOR, Role.ADMINISTRATOR}
PLANNERS = {*COUNSELLORS, Role.COORDINATOR}
SUPERVISORS = {Role.SUPERVISOR, Role.ADMINISTRATOR}
EVERYBODY = set(Role)
READERS = COUNSELLORS | OVERSEERS
# written down here once more, by hand: the table of the code must say the same
EXPECTED: dict[tuple[str, str], set[Role]] = {
    ("GET", "/console"): EVERYBODY,
    ("GET", "/console/handoffs/list"): EVERYBODY,
    ("GET", "/console/live"): EVERYBODY,
    ("GET", "/console/handoffs/{reference}"): EVERYBODY,
    ("GET", "/console/handoffs/{reference}/thread"): COUNSELLORS,
    ("GET", "/console/handoffs/{reference}/live"): COUNSELLORS,
    ("GET", "/console/handoffs/{reference}/media/{id}"): COUNSELLORS,
    ("POST", "/console/handoffs/{reference}/take"): COUNSELLORS,
    ("POST", "/console/handoffs/{reference}/reopen"): COUNSELLORS,
    ("POST", "/console/handoffs/{reference}/reply"): COUNSELLORS,
    ("POST", "/console/handoffs/{reference}/file"): COUNSELLORS,
    ("POST", "/console/handoffs/{reference}/knock"): COUNSELLORS,
    ("POST", "/console/handoffs/{reference}/note"): COUNSELLORS,
    ("POST", "/console/handoffs/{reference}/transfer"): COUNSELLORS,
    ("POST", "/console/handoffs/{reference}/give-back"): COUNSELLORS,
    ("POST", "/console/handoffs/{reference}/release"): COUNSELLORS,
    ("GET", "/console/handoffs/{reference}/book"): COUNSELLORS,
    ("POST", "/console/handoffs/{reference}/book"): COUNSELLORS,
    ("GET", "/console/requests/{reference}"): EVERYBODY,
    ("POST", "/console/requests/{reference}/returned"): COUNSELLORS,
    ("GET", "/console/calendar"): PLANNERS,
    ("GET", "/console/calendar/week"): PLANNERS,
    ("GET", "/console/calendar/live"): PLANNERS,
    ("POST", "/console/calendar/days"): COUNSELLORS,
    ("POST", "/console/calendar/slots/{id}"): COUNSELLORS,
    ("GET", "/console/appointments/{reference}"): COUNSELLORS,
    ("POST", "/console/appointments/{reference}/confirm"): COUNSELLORS,
    ("POST", "/console/appointments/{reference}/move"): COUNSELLORS,
    ("POST", "/console/appointments/{reference}/cancel"): COUNSELLORS,
    ("POST", "/console/appointments/{reference}/outcome"): COUNSELLORS,
    ("GET", "/console/checkins"): PLANNERS,
    ("GET", "/console/checkins/{reference}"): COUNSELLORS,
    ("GET", "/console/data/{reference}"): SUPERVISORS,
    ("POST", "/console/data/{reference}/download"): SUPERVISORS,
    ("POST", "/console/data/{reference}/erase"): SUPERVISORS,
    ("GET", "/console/exports"): SUPERVISORS,
    ("POST", "/console/exports"): SUPERVISORS,
    ("POST", "/console/exports/{id}/decide"): SUPERVISORS,
    ("POST", "/console/exports/{id}/fetch"): SUPERVISORS,
    ("GET", "/console/points"): EVERYBODY,
    ("POST", "/console/points"): OVERSEERS,
    ("POST", "/console/points/{id}/revoke"): OVERSEERS,
    ("GET", "/console/points/{id}/poster"): EVERYBODY,
    ("GET", "/console/people"): EVERYBODY,
    ("POST", "/console/people"): EVERYBODY,
    ("GET", "/console/dashboard"): OVERSEERS,
    ("POST", "/console/dashboard/export"): OVERSEERS,
    ("GET", "/console/deliveries"): OVERSEERS,
    ("POST", "/console/deliveries/messages/{id}/replay"): OVERSEERS,
    ("POST", "/console/deliveries/messages/{id}/cancel"): OVERSEERS,
    ("POST", "/console/deliveries/received/{id}/replay"): OVERSEERS,
    ("POST", "/console/deliveries/events/{id}/replay"): OVERSEERS,
    ("POST", "/console/deliveries/endpoint"): OVERSEERS,
    ("GET", "/console/review"): REVIEWERS,
    ("POST", "/console/review/{id}"): REVIEWERS,
    ("POST", "/console/review/export"): REVIEWERS,
    ("GET", "/console/texts"): READERS,
    ("GET", "/console/texts/{id}"): READERS,
    ("POST", "/console/texts/{id}"): OVERSEERS,
    ("POST", "/console/texts/{id}/preview"): OVERSEERS,
    ("POST", "/console/texts/{id}/restore"): OVERSEERS,
    ("GET", "/console/settings"): READERS,
    ("GET", "/console/settings/offices/{id}"): READERS,
    ("POST", "/console/settings/offices/{id}"): OVERSEERS,
    ("POST", "/console/settings/offices/{id}/hours"): OVERSEERS,
    ("POST", "/console/settings/offices/{id}/counsellors"): OVERSEERS,
    ("POST", "/console/settings/closed"): OVERSEERS,
    ("POST", "/console/settings/duty/{id}"): OVERSEERS,
    ("POST", "/console/settings/numbers"): OVERSEERS,
    ("POST", "/console/settings/rounds"): OVERSEERS,
    ("POST", "/console/settings/quiet"): OVERSEERS,
    ("POST", "/console/settings/emergency"): OVERSEERS,
    ("POST", "/console/settings/emergency/remove"): OVERSEERS,
    ("GET", "/console/audit"): {Role.SUPERVISOR, Role.ADMINISTRATOR},
    ("GET", "/console/staff"): {Role.ADMINISTRATOR},
    ("POST", "/console/staff/{id}/stop"): {Role.ADMINISTRATOR},
    ("GET", "/console/account"): EVERYBODY,
    ("POST", "/console/account/password"): EVERYBODY,
    ("POST", "/console/account/sessions/{id}/end"): EVERYBODY,
    ("GET", "/console/verify"): EVERYBODY,
    ("POST", "/console/verify"): EVERYBODY,
    ("POST", "/console/logout"): EVERYBODY,
}
# and which of a person's fields each page shows to those who may see them; all others show none
NOTE = "Speaks Wolof"
SHOWN: dict[str, set[str]] = {
    "/console/handoffs/{reference}": {NAME, PHONE, WORDS, NOTE},
    "/console/handoffs/{reference}/thread": {WORDS},
    "/console/requests/{reference}": {NAME, PHONE, NOTE},
    "/console/appointments/{reference}": {NAME, PHONE, NOTE},
    "/console/checkins/{reference}": {NAME, PHONE, NOTE},
    "/console/review": {WORDS},  # whose writers agreed to be learnt from
}
OPEN = {
    ("GET", "/console/login"), ("POST", "/console/login"), ("GET", "/console/login/code"),
    ("POST", "/console/login/code"), ("GET", "/console/login/provider"), ("GET", "/console/login/provider/back"),
    ("GET", "/console/static/{name}"),
}  # fmt: skip


def real(path: str, person: Somebody) -> str:
    """The address of something that exists."""
    if "deliveries/events" in path:
        number = person.event_id
    elif "deliveries/messages" in path:
        number = str(person.outbox_id)
    elif "review" in path:
        number = str(person.suggestion_id)
    elif "media" in path:
        number = str(person.media_id)
    elif "points" in path:
        number = str(person.point_id)
    elif "slots" in path or "exports" in path:
        number = "1"
    elif "texts" in path:
        number = "greet"
    elif "offices" in path:
        number = "rabat"
    else:
        number = str(uuid.uuid4())
    reference = person.handoff
    for part, own in (
        ("requests", person.request),
        ("appointments", person.appointment),
        ("checkins", person.enrolment),
    ):
        reference = own if part in path else reference
    return path.replace("{id}", number).replace("{reference}", reference)


def test_every_address_is_in_the_table() -> None:
    """What is served is what the table names, and what this test expects."""
    assert HANDLERS.keys() == PAGES.keys() == EXPECTED.keys() | OPEN
    assert {page for page, roles in PAGES.items() if roles is None} == OPEN


@pytest.mark.parametrize("role", list(Role))
async def test_every_address_for_every_role(team: Team, database: Database, role: Role) -> None:
    """Allowed: the page, with the fields that this role sees and no other, or the way on. Not allowed: 403, nothing of
    the person in it, nothing changed, and noted."""
    person = await somebody(database)
    counsellor = await team.at_work(Role.COUNSELLOR)
    assert (await counsellor.post(f"/console/handoffs/{person.handoff}/note", words=NOTE)).status_code == 303
    browser = await team.at_work(role)
    refused = 0
    for (method, path), roles in sorted(EXPECTED.items()):  # first all that is only looked at
        if path.endswith(("/live", "/logout")):  # streams and the end of the session: below
            continue
        address = real(path, person)
        if method == "GET":
            answer = await browser.get(address)
        else:
            answer = await browser.post(address, label="none_of_these", words="", to=str(uuid.uuid4()))
        fields = {one for one in (NAME, PHONE, WORDS, NOTE) if one in answer.text}
        if role not in roles:
            refused += 1
            assert answer.status_code == 403 and not fields, (method, path)
        elif method == "GET":
            no_address_to_print = path.endswith("/poster")
            assert answer.status_code == (409 if no_address_to_print else 200), path
            assert fields == (SHOWN.get(path, set()) if role in COUNSELLORS else set()), path
        else:
            wrong_password = "password" in path or "verify" in path
            assert answer.status_code in ({403} if wrong_password else {200, 303, 400, 404, 409}), path
    assert await value(database, "SELECT count(*) FROM audit WHERE action = 'access.refused'") == refused
    if role not in COUNSELLORS:  # for the others it is a stream that does not end
        assert (await browser.get(f"/console/handoffs/{person.handoff}/live")).status_code == 403


async def test_forbidden_actions_change_nothing(team: Team, database: Database) -> None:
    """An orientation worker takes nothing, replays nothing, labels nothing."""
    person = await somebody(database)
    worker = await team.at_work(Role.ORIENTATION)
    for method, path in EXPECTED:
        if method == "POST" and Role.ORIENTATION not in EXPECTED[method, path]:
            answer = await worker.post(
                real(path, person), label="none_of_these", words="Bonjour", fresh=str(uuid.uuid4())
            )
            assert answer.status_code == 403
    assert await value(database, "SELECT status FROM handoff") == "waiting"
    assert await value(database, "SELECT count(*) FROM handoff_entry") == 0
    assert await value(database, "SELECT status FROM outbox") == "failed"
    assert await value(database, "SELECT status FROM case_event") == "dead"
    assert await value(database, "SELECT right_label FROM suggestion") is None


@pytest.mark.parametrize("role", list(Role))
async def test_fields_follow_the_role(team: Team, database: Database, role: Role) -> None:
    """Name, number and words are for those who counsel; the rest sees direction, age group and how it stands."""
    person = await somebody(database)
    browser = await team.at_work(role)
    [adult] = [step.choice_text("adult") for step in forms()["first_contact_form"] if step.slot == "age_group"]
    for page in (f"/console/handoffs/{person.handoff}", f"/console/requests/{person.request}"):
        shown = (await browser.get(page)).text
        assert person.request in shown and i18n.say(adult, "en") in shown
        assert (PHONE in shown) == (NAME in shown) == (role in COUNSELLORS)
        if "handoffs" in page:
            assert (WORDS in shown) == (role in COUNSELLORS)
    for reference, kind in ((person.appointment, "appointments"), (person.enrolment, "checkins")):
        answer = await browser.post("/console/people", words=reference)
        assert (answer.headers.get("location") == f"/console/{kind}/{reference}") == (role in COUNSELLORS)
        assert f'href="/console/{kind}/' not in answer.text
    found = await browser.post("/console/people", words="06 12 34 56 78")
    assert (found.status_code == 303) == (role in COUNSELLORS)
    by_reference = await browser.post("/console/people", words="av7k3q")
    assert by_reference.headers["location"] == f"/console/requests/{person.request}"
    assert PHONE not in (await browser.get("/console")).text


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_who_is_not_signed_in_sees_nothing(team: Team, database: Database, method: str) -> None:
    """Every address leads to the page of signing in; a made-up cookie does too."""
    person = await somebody(database)
    browser = await team.member()
    browser.client.cookies.set("rafiq_console", "x" * 43)
    for asked, path in EXPECTED:
        if asked == method:
            answer = await browser.client.request(method, real(path, person))
            assert answer.status_code == 303 and answer.headers["location"].startswith("/console/login"), path
            assert NAME not in answer.text
    stream = await browser.get("/console/live", headers={"accept": "text/event-stream"})
    part = await browser.get("/console/handoffs/list", headers={"hx-request": "true"})
    assert stream.status_code == 204 and part.headers["hx-redirect"] == "/console/login"
    assert await value(database, "SELECT status FROM handoff") == "waiting"


async def test_other_offices_are_not_there(team: Team, database: Database) -> None:
    """Who works for one office finds nothing of another's: by list, address, action, search or picture."""
    here = await somebody(database, address="a", handoff="H-AAAAA", request="AV-AAAA", place="MA")
    there = await somebody(database, address="b", handoff="H-BBBBB", request="AV-BBBB", place="MR")
    await change(database, "UPDATE handoff SET inbox_id = NULL")
    counsellor = await team.at_work(Role.SUPERVISOR)  # who may open all of these for their own offices
    await change(database, "UPDATE staff_member SET offices = '[\"MR\"]' WHERE id = :id", id=counsellor.staff_id)
    inbox = (await counsellor.get("/console")).text
    assert there.handoff in inbox and here.handoff not in inbox
    assert (await counsellor.get(f"/console/handoffs/{there.handoff}")).status_code == 200
    for method, path in EXPECTED:
        if "{reference}" in path:
            address = real(path, here)
            form = {"words": "Bonjour", "fresh": str(uuid.uuid4()), "to": str(counsellor.staff_id)}
            answer = await (counsellor.get(address) if method == "GET" else counsellor.post(address, **form))
            assert answer.status_code == 404 and NAME not in answer.text, address
    assert await value(database, "SELECT count(*) FROM handoff_entry") == 0
    # a picture of theirs under the address of one that may be seen
    crossed = f"/console/handoffs/{there.handoff}/media/{here.media_id}"
    assert (await counsellor.get(crossed)).status_code == 404
    assert (await counsellor.get(f"/console/handoffs/{there.handoff}/media/{there.media_id}")).status_code == 200


async def test_what_may_be_about_the_team_is_for_who_supervises(team: Team, database: Database) -> None:
    """Counsellors find neither such a handoff nor its conversation by another one, until it is over."""
    person = await somebody(database)
    await change(
        database,
        "INSERT INTO handoff (reference, person_id, conversation_id, reason, priority)"
        " SELECT 'H-TEAMS', person_id, conversation_id, 'cue:staff_misconduct', 'P1' FROM handoff",
    )
    counsellor, boss = await team.at_work(), await team.at_work(Role.SUPERVISOR)
    for reference in (person.handoff, "H-TEAMS"):
        assert (await counsellor.get(f"/console/handoffs/{reference}")).status_code == 404
        assert (await counsellor.post(f"/console/handoffs/{reference}/take")).status_code == 404
        assert (await boss.get(f"/console/handoffs/{reference}")).status_code == 200
    assert "H-TEAMS" not in (await counsellor.get("/console")).text and "H-TEAMS" in (await boss.get("/console")).text
    await change(database, "UPDATE handoff SET status = 'released' WHERE reference = 'H-TEAMS'")
    assert (await counsellor.get(f"/console/handoffs/{person.handoff}")).status_code == 200
    assert (await counsellor.get("/console/handoffs/H-TEAMS")).status_code == 404


async def test_nobody_speaks_in_a_conversation_that_is_somebody_elses(team: Team, database: Database) -> None:
    """Reply, release, give back and transfer are the owner's; a supervisor may transfer."""
    person = await somebody(database)
    await change(database, "UPDATE outbox SET status = 'cancelled'")
    owner, other = await team.at_work(name="Salma"), await team.at_work(name="Idris")
    boss = await team.at_work(Role.SUPERVISOR, name="Mona")
    page = f"/console/handoffs/{person.handoff}"
    assert (await owner.post(page + "/take")).status_code == 303
    form = {"words": "Bonjour", "fresh": str(uuid.uuid4()), "to": str(other.staff_id)}
    for action in ("take", "reply", "release", "give-back", "transfer", "knock"):
        answer = await other.post(f"{page}/{action}", **form)
        assert answer.status_code == 409 and "Salma" in answer.text, action
    assert (await boss.post(f"{page}/transfer", **form)).status_code == 303
    assert await value(database, "SELECT owner_id FROM handoff") == other.staff_id
    worker = await team.at_work(Role.ORIENTATION)
    assert (await boss.post(f"{page}/transfer", **{**form, "to": str(worker.staff_id)})).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "", "origin": "https://evil.example"},
    ],
)
async def test_forms_of_other_sites_are_refused(team: Team, database: Database, headers: dict[str, str]) -> None:
    """Even with the right token; and without the token, or with another session's, also from here."""
    person = await somebody(database)
    browser, other = await team.at_work(), await team.at_work()
    take = f"/console/handoffs/{person.handoff}/take"
    token = accounts.form_token(database, browser.client.cookies["rafiq_console"])
    theirs = accounts.form_token(database, other.client.cookies["rafiq_console"])
    if headers["sec-fetch-site"] == "":
        headers = {"origin": headers["origin"]}
        del browser.client.headers["sec-fetch-site"]
    assert (await browser.client.post(take, data={"form_token": token}, headers=headers)).status_code == 403
    browser.client.headers["sec-fetch-site"] = "same-origin"
    for wrong in ({}, {"form_token": ""}, {"form_token": theirs}, {"form_token": "é"}):
        assert (await browser.client.post(take, data=wrong)).status_code == 403
    assert (await browser.get(take)).status_code == 405
    assert await value(database, "SELECT status FROM handoff") == "waiting"
    forged = "SELECT count(*) FROM audit WHERE action = 'access.forged'"
    assert await value(database, forged) == 5  # each is written down, with who was signed in
    assert (await browser.client.post(take, data={"form_token": token})).status_code == 303


async def test_nobody_clicks_like_a_script(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """More requests in a minute than anybody clicks are refused, to them alone."""
    browser, other = await team.at_work(), await team.at_work()
    monkeypatch.setattr(guard, "MOST_IN_A_MINUTE", 3)
    answers = [(await browser.get("/console/account")).status_code for _ in range(8)]
    assert 429 in answers and answers[0] == 200
    assert (await other.get("/console/account")).status_code == 200


async def test_every_page_is_sealed(team: Team, database: Database) -> None:
    """Policy without inline script, no frame, no sniffing, no store, no referrer: on every page, refused ones too."""
    person = await somebody(database)
    browser = await team.at_work(Role.ADMINISTRATOR)
    pages = [real(path, person) for method, path in EXPECTED if method == "GET" and not path.endswith("/live")]
    for page in [*pages, "/console/login", "/console/handoffs/H-NONE"]:
        answer = await browser.get(page)
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy and policy.startswith("default-src 'none'"), page
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store" and answer.headers["referrer-policy"] == "no-referrer"
        if "media" not in page:
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["content-type"].endswith("; charset=utf-8"), page
            assert not re.search(r"<script(?![^>]*\ssrc=)|\son\w+=|\sstyle=|javascript:", answer.text), page


async def test_a_search_cannot_try_every_number(
    team: Team, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many searches it is over for ten minutes; what was searched for stands nowhere."""
    from bot.console import pages

    monkeypatch.setattr(pages, "SEARCHES", 3)
    browser = await team.at_work()
    for number in range(3):
        answer = await browser.post("/console/people", words=f"+21261234567{number}")
        assert answer.status_code == 200 and "location" not in answer.headers
    assert (await browser.post("/console/people", words=PHONE)).status_code == 429
    told = await value(database, "SELECT string_agg(target || detail::text, ' ') FROM audit")
    assert "2126" not in told


async def test_a_burst_of_searches_tries_no_more(
    team: Team, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve at the same moment are counted one by one."""
    from bot.console import pages

    monkeypatch.setattr(pages, "SEARCHES", 3)
    browser = await team.at_work()
    answers = await asyncio.gather(*(browser.post("/console/people", words=f"AV-{n:04}") for n in range(12)))
    assert sorted(one.status_code for one in answers) == [200] * 3 + [429] * 9


async def test_a_search_finds_nothing_of_another_office(team: Team, database: Database) -> None:
    """Neither by number nor by reference, nor what may be about the team: not even that it exists."""
    person = await somebody(database, address="212612345678")
    await change(
        database,
        "INSERT INTO handoff (reference, person_id, conversation_id, reason, priority)"
        " SELECT 'H-TEAMS', person_id, conversation_id, 'cue:staff_misconduct', 'P1' FROM handoff",
    )
    await change(database, "UPDATE request SET answers_sealed = answers_sealed")
    counsellor, elsewhere = await team.at_work(), await team.at_work()
    await change(database, "UPDATE staff_member SET offices = '[\"MR\"]' WHERE id = :id", id=elsewhere.staff_id)
    for words in (PHONE, person.request, person.handoff, "H-TEAMS"):
        answer = await elsewhere.post("/console/people", words=words)
        assert answer.status_code == 200 and "location" not in answer.headers, words
        assert f'/{person.request}"' not in answer.text and f'/{person.handoff}"' not in answer.text
    assert (await counsellor.post("/console/people", words="H-TEAMS")).status_code == 200
    assert (await counsellor.post("/console/people", words=PHONE)).status_code == 303


async def test_a_number_finds_all_that_is_of_it(team: Team, database: Database) -> None:
    """What it was given in, and whoever writes from it: their handoffs, appointments, check-ins."""
    person = await somebody(database)
    await change(database, "UPDATE request SET phone_digest = 'another'")
    digest = database.vault.digest("whatsapp", PHONE.removeprefix("+"))
    await change(database, "UPDATE address SET channel = 'whatsapp', digest = :digest", digest=digest)
    found = (await (await team.at_work()).post("/console/people", words="06 12 34 56 78")).text
    for page in (f"handoffs/{person.handoff}", f"appointments/{person.appointment}", f"checkins/{person.enrolment}"):
        assert f'href="/console/{page}"' in found


async def test_nobody_tries_references_one_after_the_other(
    team: Team, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not there is written down; after so many even what is there is not shown, for ten minutes."""
    monkeypatch.setattr(guard, "MISSES", 3)
    person = await somebody(database)
    worker = await team.at_work(Role.ORIENTATION)
    for number in range(3):
        assert (await worker.get(f"/console/requests/AV-X{number}XX")).status_code == 404
    assert (await worker.get(f"/console/requests/{person.request}")).status_code == 429
    told = await value(database, "SELECT string_agg(DISTINCT target, ',') FROM audit WHERE action = 'access.missing'")
    assert told == "GET /console/requests/{reference}"


async def test_what_was_told_about_the_team_stays_with_who_supervises(team: Team, database: Database) -> None:
    """After that handoff is over too: a counsellor who takes the next one reads what came since, words and pictures."""
    person = await somebody(database)
    await change(
        database,
        "INSERT INTO handoff (reference, person_id, conversation_id, reason, priority, status, released_at)"
        " SELECT 'H-TEAMS', person_id, conversation_id, 'cue:staff_misconduct', 'P1', 'released', now() FROM handoff",
    )
    await writes(database, "awa", words="et maintenant autre chose")
    counsellor, boss = await team.at_work(), await team.at_work(Role.SUPERVISOR)
    page = f"/console/handoffs/{person.handoff}"
    for part in (page, page + "/thread"):
        shown = (await counsellor.get(part)).text
        assert "autre chose" in shown and WORDS not in shown
        assert WORDS in (await boss.get(part)).text
    assert (await counsellor.get(f"{page}/media/{person.media_id}")).status_code == 404
    assert (await boss.get(f"{page}/media/{person.media_id}")).status_code == 200


async def test_what_is_told_to_the_assistant_afterwards_is_not_followed(team: Team, database: Database) -> None:
    """A conversation that was given back is read until there, and whole again once a person is asked for again."""
    person = await somebody(database)
    await change(
        database, "UPDATE handoff SET status = 'released', released_at = now() - :ago", ago=timedelta(minutes=2)
    )
    await change(database, "UPDATE inbox SET received_at = received_at - interval '1 hour'")
    await writes(database, "awa", words="un secret pour l'assistant")
    await queue(database, person.conversation_id, "la réponse de l'assistant")
    boss = await team.at_work(Role.SUPERVISOR)
    page = f"/console/handoffs/{person.handoff}"
    shown = (await boss.get(page)).text
    assert WORDS in shown and "un secret" not in shown and "de l&#39;assistant" not in shown
    await change(database, "UPDATE media SET created_at = now()")
    assert (await boss.get(f"{page}/media/{person.media_id}")).status_code == 404
    await change(database, "UPDATE handoff SET status = 'waiting', released_at = NULL")
    assert "un secret" in (await boss.get(page)).text


async def test_another_office_helps_once_everybody_was_told(team: Team, database: Database) -> None:
    """Nobody of its own office took it: it is there for the others, who may take it, and then for its owner alone."""
    person = await somebody(database, place="MA")
    first, second = await team.at_work(), await team.at_work()
    await change(database, "UPDATE staff_member SET offices = '[\"MR\"]'")
    page = f"/console/handoffs/{person.handoff}"
    await change(database, "UPDATE handoff SET step = 1")
    assert (await first.post(page + "/take")).status_code == 404
    await change(database, "UPDATE handoff SET step = 2")
    assert person.handoff in (await first.get("/console")).text
    assert (await first.post(page + "/take")).status_code == 303
    assert (await first.get(page)).status_code == 200 and (await second.get(page)).status_code == 404


async def test_an_open_page_opens_no_picture(team: Team, database: Database) -> None:
    """Whoever sends many large pictures fills no memory: their content is read when one is looked at."""
    person = await somebody(database)
    browser = await team.at_work()
    page = f"/console/handoffs/{person.handoff}"
    statements: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        for part in (page, page + "/thread"):
            assert f"/media/{person.media_id}" in (await browser.get(part)).text
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
    assert not [one for one in statements if "media.content_sealed" in one]


async def test_a_part_of_a_page_is_written_down_too(team: Team, database: Database) -> None:
    """What was said is read without a row in no way; a page that refreshes itself adds one an hour."""
    person = await somebody(database)
    browser = await team.at_work()
    for _ in range(3):
        assert WORDS in (await browser.get(f"/console/handoffs/{person.handoff}/thread")).text
    seen = "SELECT count(*) FROM audit WHERE action = 'conversation.seen' AND target = :r"
    assert await value(database, seen, r=person.handoff) == 1


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/console/handoffs/%00", {}, 404),
        ("/console/requests/AV-%00", {}, 404),
        ("/console/static/%00", {}, 404),
        ("/console/login?next=//[", {}, 200),
        ("/console/login", {"origin": "http://["}, 403),
    ],
)
async def test_what_nobody_types_is_no_error_of_ours(
    team: Team, path: str, headers: dict[str, str], status: int
) -> None:
    """Neither a 500 with a traceback nor an alarm about the database."""
    browser = await team.at_work()
    if headers:
        del browser.client.headers["sec-fetch-site"]
        assert (await browser.client.post(path, data={}, headers=headers)).status_code == status
    else:
        assert (await browser.get(path)).status_code == status


async def test_what_is_seen_is_written_down(team: Team, database: Database) -> None:
    """Opening a conversation, a picture, a request: who, what, when; nothing personal."""
    person = await somebody(database)
    browser = await team.at_work()
    await browser.get(f"/console/handoffs/{person.handoff}")
    await browser.get(f"/console/handoffs/{person.handoff}/media/{person.media_id}")
    await browser.get(f"/console/requests/{person.request}")
    rows = await value(
        database,
        "SELECT string_agg(action || ' ' || target, ', ' ORDER BY id) FROM audit WHERE staff_id = :id AND id > 2",
        id=browser.staff_id,
    )
    assert rows == f"conversation.seen {person.handoff}, media.seen {person.handoff}, request.seen {person.request}"
