"""Signing in: what lets somebody in, what does not, and how it ends."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta

import httpx
import pyotp
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI, Request
from sqlalchemy import text
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from bot.console import accounts
from bot.console.access import Role
from bot.db.session import Database
from bot.settings import Settings
from bot.web import listening
from tests.console.conftest import HOME, PASSWORD, Browser, Team, change, value
from tests.console.people import somebody
from tests.conversation.letters import writes

CLOSED = 303  # to the page of signing in


async def inside(browser: Browser) -> bool:
    """Whether this browser is signed in."""
    response = await browser.get("/console")
    assert response.status_code == 200 or response.headers["location"].startswith("/console/login?next=")
    return bool(response.status_code == 200)


async def test_password_and_code_open_the_console(team: Team) -> None:
    """Both are needed; a wrong one of either says the same as an unknown address."""
    browser = await team.member()
    assert not await inside(browser)
    answers = [
        await browser.login(password="something else entirely"),
        await browser.login(code="000000"),
        await browser.login(code=""),
        await browser.login(email="nobody@example.org"),
    ]
    assert {one.status_code for one in answers} == {403}
    said = {re.search(r'class="error"[^>]*>([^<]+)<', one.text)[1] for one in answers}  # type: ignore[index]
    assert len(said) == 1
    assert not await inside(browser)
    assert (await browser.login()).headers["location"] == "/console"
    assert await inside(browser)


async def test_a_password_is_taken_as_it_is(team: Team, database: Database) -> None:
    """Letter by letter, hidden, filled by whatever fills it, and good for years."""
    browser = await team.member()
    page = (await browser.get("/console/login")).text
    assert re.search(r'<input id="password"[^>]* type="password" autocomplete="current-password"', page)
    for near in (PASSWORD.upper(), f" {PASSWORD}", f"{PASSWORD} ", PASSWORD[:-1]):
        assert (await browser.login(password=near)).status_code == 403
    await change(database, "UPDATE staff_member SET created_at = now() - interval '3 years'")
    assert (await browser.login()).status_code == 303


async def test_secrets_are_kept_unreadable(team: Team, database: Database) -> None:
    """The password as argon2id, the code's secret sealed, the session's token as a digest."""
    browser = await team.at_work()
    async with database.session() as session:
        login = (await session.execute(text("SELECT password, totp_sealed FROM staff_login"))).one()
        digest = await session.scalar(text("SELECT digest FROM staff_session"))
    assert login.password.startswith("$argon2id$") and PASSWORD not in login.password
    assert browser.enrolment.secret.encode() not in login.totp_sealed
    assert browser.client.cookies["rafiq_console"].encode() not in digest


def test_the_real_hasher_is_strong() -> None:
    """argon2id with the library's own cost (RFC 9106's second choice or better)."""
    hasher = PasswordHasher()
    assert hasher.type.name == "ID" and hasher.memory_cost >= 47_104 and hasher.time_cost >= 1


async def test_a_code_counts_once(team: Team) -> None:
    """Whoever looks over a shoulder comes too late; the code before the clock's is taken, an old one not."""
    browser = await team.member()
    code = await browser.fresh_code()
    form = {"email": browser.email, "password": PASSWORD}
    assert (await browser.client.post("/console/login", data={**form, "code": code})).status_code == 303
    other = team.browser(browser.enrolment, browser.email)
    assert (await other.client.post("/console/login", data={**form, "code": code})).status_code == 403
    old = pyotp.TOTP(browser.enrolment.secret).at(datetime.now(UTC) - timedelta(minutes=3))
    assert (await other.login(code=old)).status_code == 403


async def test_the_session_is_new_after_login(team: Team, database: Database) -> None:
    """A token that somebody put into the browser beforehand opens nothing, and the session of before ends."""
    browser = await team.member()
    browser.client.cookies.set("rafiq_console", "planted-" + "x" * 40, domain="console.test")
    await browser.login()
    first = browser.client.cookies["rafiq_console"]
    assert "planted" not in first
    await browser.login()
    assert browser.client.cookies["rafiq_console"] != first
    thief = team.browser(browser.enrolment, browser.email)
    thief.client.cookies.set("rafiq_console", first)
    assert not await inside(thief)


async def test_the_cookie_is_out_of_reach(team: Team) -> None:
    """No script reads it, no other site sends it with a form; over https it is bound to this host."""
    browser = await team.member()
    cookie = (await browser.login()).headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie and "max-age" not in cookie.lower()


async def test_over_https_the_cookie_is_bound_to_its_host(database: Database, settings: Settings) -> None:
    """`__Host-`, Secure, and the browser is told to come by https only."""
    team = Team(database, settings.model_copy(update={"rafiq_public_url": "https://rafiq.example.org"}))
    browser = await team.member()
    response = await browser.login()
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("__Host-rafiq_console=") and "Secure" in cookie and "Domain" not in cookie
    assert response.headers["strict-transport-security"].startswith("max-age=31536000")
    language = (await browser.get("/console/login?lang=ar")).headers["set-cookie"]
    assert language.startswith("__Host-rafiq_console_language=ar") and "Secure" in language and "HttpOnly" in language
    await team.close()


async def test_too_many_failures_close_the_door(team: Team, database: Database) -> None:
    """Five for one address, also with the right password afterwards; fifteen minutes later it opens again."""
    browser, colleague = await team.member(), await team.member()
    for _ in range(accounts.MOST_FAILURES):
        assert (await browser.login(password="guessing and guessing")).status_code == 403
    assert (await browser.login()).status_code == 429
    assert (await colleague.login()).status_code == 303
    await change(database, "UPDATE login_attempt SET at = now() - interval '16 minutes'")
    assert (await browser.login()).status_code == 303


async def test_one_place_cannot_try_many_addresses(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty failures from one network address."""
    monkeypatch.setattr(accounts, "MOST_FROM_ONE_PLACE", 3)
    browser = await team.member()
    for number in range(3):
        assert (await browser.login(email=f"someone{number}@example.org")).status_code == 403
    assert (await browser.login()).status_code == 429


async def test_many_at_once_get_no_more_guesses(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty guesses at the same moment: five are looked at. So with the password again of who is signed in."""
    browser = await team.member()
    looked: list[str] = []
    right = accounts._is_password

    async def look(login: object, password: str) -> bool:
        looked.append(password)
        await asyncio.sleep(0.05)
        return await right(login, password)  # type: ignore[arg-type]

    monkeypatch.setattr(accounts, "_is_password", look)
    guesses = (browser.login(password=f"guess number {number}") for number in range(20))
    answers = await asyncio.gather(*guesses)
    assert len(looked) <= accounts.MOST_FAILURES and {one.status_code for one in answers} <= {403, 429}
    colleague = await team.at_work()
    looked.clear()
    await asyncio.gather(
        *(colleague.post("/console/verify", password=f"guess {number}", code="000000") for number in range(20))
    )
    assert len(looked) <= accounts.MOST_FAILURES


async def test_many_addresses_of_one_network_are_one_place(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has an IPv6 line has 2⁶⁴ addresses."""
    monkeypatch.setattr(accounts, "MOST_FROM_ONE_PLACE", 3)
    browser = await team.member()
    for number in range(4):
        transport = httpx.ASGITransport(team.app, client=(f"2001:db8:1:2::{number}", 1))
        async with httpx.AsyncClient(transport=transport, base_url=HOME) as client:
            form = {"email": f"someone{number}@example.org", "password": PASSWORD, "code": "000000"}
            answer = await client.post("/console/login", data=form)
            assert answer.status_code == (403 if number < 3 else 429)
    assert (await browser.login()).status_code == 303


@pytest.mark.parametrize(
    ("proxies", "given", "place"),
    [
        ([], "203.0.113.7", "127.0.0.1"),
        (["127.0.0.1/32"], "203.0.113.7", "203.0.113.7"),
        (["127.0.0.1/32"], "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        (["10.0.0.0/8"], "203.0.113.7", "127.0.0.1"),
    ],
)
async def test_nobody_chooses_their_place(settings: Settings, proxies: list[str], given: str, place: str) -> None:
    """X-Forwarded-For is believed from a proxy that was named, and of it what that proxy added."""
    app = FastAPI()

    @app.get("/")
    async def where(request: Request) -> str:
        return request.client.host if request.client else ""

    config = listening(app, settings.model_copy(update={"rafiq_proxies": proxies}))
    config.load()
    transport = httpx.ASGITransport(config.loaded_app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url=HOME) as client:
        assert (await client.get("/", headers={"x-forwarded-for": given})).json() == place


async def test_a_session_ends_when_nobody_clicks_and_in_any_case(team: Team, database: Database) -> None:
    """After the idle limit, and after the absolute one however busy; a page that refreshes itself is no click."""
    idle, old = await team.at_work(), await team.at_work()
    await change(database, "UPDATE staff_session SET seen_at = now() - interval '29 minutes'")
    seen = "SELECT seen_at < now() - interval '20 minutes' FROM staff_session WHERE staff_id = :id"
    assert (await idle.get("/console/handoffs/list")).status_code == 200
    assert (await idle.get("/console/handoffs/H-AAAAA/media/1")).status_code == 404  # pictures come with the list
    assert await value(database, seen, id=idle.staff_id) is True
    assert await inside(idle)
    assert await value(database, seen, id=idle.staff_id) is False
    await change(database, "UPDATE staff_session SET seen_at = now() - interval '31 minutes'")
    assert not await inside(idle)
    await change(database, "UPDATE staff_session SET seen_at = now(), created_at = now() - interval '11 hours'")
    assert not await inside(old)


async def test_signing_out_ends_the_session_here_and_there(team: Team) -> None:
    """The token that was written down opens nothing afterwards."""
    browser = await team.at_work()
    token = browser.client.cookies["rafiq_console"]
    assert (await browser.post("/console/logout")).status_code == 303
    browser.client.cookies.set("rafiq_console", token)
    assert not await inside(browser)


async def test_sessions_are_seen_and_ended(team: Team, database: Database) -> None:
    """One's own, one by one, after password and code; nobody else's."""
    here = await team.at_work()
    there = team.browser(here.enrolment, here.email)
    await there.login()
    stranger = await team.at_work()
    page = (await here.get("/console/account")).text
    [other] = re.findall(r"/console/account/sessions/([0-9a-f-]+)/end", page)
    assert (await stranger.post(f"/console/account/sessions/{other}/end")).status_code == 404
    assert await inside(there)
    await change(database, "UPDATE staff_session SET verified_at = now() - interval '1 hour'")
    asked = await here.post(f"/console/account/sessions/{other}/end")
    assert asked.headers["location"] == "/console/verify?next=/console/account" and await inside(there)
    await here.post("/console/verify", password=PASSWORD, code=await here.fresh_code())
    assert (await here.post(f"/console/account/sessions/{other}/end")).status_code == 303
    assert not await inside(there) and await inside(here)


async def test_who_is_stopped_is_out_at_once(team: Team, database: Database) -> None:
    """By the administrator who just showed that it is they; nobody stops themselves."""
    boss, counsellor = await team.at_work(Role.ADMINISTRATOR), await team.at_work()
    path = f"/console/staff/{counsellor.staff_id}/stop"
    await change(database, "UPDATE staff_session SET verified_at = now() - interval '1 hour'")
    assert (await boss.post(path)).headers["location"] == "/console/verify?next=/console/staff"
    assert await inside(counsellor)
    wrong = await boss.post("/console/verify", password=PASSWORD, code="000000", next="/console/staff")
    assert wrong.status_code == 403
    before = boss.client.cookies["rafiq_console"]
    right = await boss.post("/console/verify", password=PASSWORD, code=await boss.fresh_code(), next="/console/staff")
    assert right.headers["location"] == "/console/staff" and boss.client.cookies["rafiq_console"] != before
    assert (await boss.post(path)).status_code == 303
    assert not await inside(counsellor)
    assert (await counsellor.login()).status_code == 403
    assert (await boss.post(f"/console/staff/{boss.staff_id}/stop")).status_code == 404


async def test_who_is_stopped_has_no_chat_and_no_conversation(team: Team, database: Database) -> None:
    """A telephone that was stolen is out for good: also after its owner has a new password."""
    person = await somebody(database)
    boss, counsellor = await team.at_work(Role.ADMINISTRATOR), await team.at_work()
    await counsellor.post(f"/console/handoffs/{person.handoff}/take")
    chat = await writes(database, "salmas-own-chat")
    await change(
        database,
        "UPDATE staff_member SET conversation_id = :chat, link_digest = 'x', link_expires_at = now() + interval '1 day'"
        " WHERE id = :id",
        chat=chat, id=counsellor.staff_id,
    )  # fmt: skip
    assert (await boss.post(f"/console/staff/{counsellor.staff_id}/stop")).status_code == 303
    assert await value(database, "SELECT status FROM handoff") == "waiting"
    assert await value(database, "SELECT owner_id FROM conversation WHERE owner_id IS NOT NULL") is None
    assert await accounts.enrol(database, counsellor.email, PASSWORD) is not None
    linked = "SELECT count(*) FROM staff_member WHERE conversation_id IS NOT NULL OR link_digest IS NOT NULL"
    assert await value(database, linked) == 0


def test_common_passwords_are_refused() -> None:
    """Each of the thirty thousand commonest that is long enough, rows of keys, repeated words; not a sentence."""
    common = [one for one in FREQUENCY_LISTS["passwords"] if len(one) >= accounts.SHORTEST]
    assert len(common) > 20
    for one in [*common, "azertyuiop123", "iloveyouforever", "jetaimejetaime", "Password1234!"]:
        with pytest.raises(accounts.WeakPassword):
            accounts.check_password(one, name="Salma Haddad", email="salma@example.org")
    for one in (PASSWORD, "quiet rivers at dawn", "خمسة قوارب زرقاء", "x" * 9 + "7 lanternes sous la pluie" * 4):
        accounts.check_password(one, name="Salma Haddad", email="salma@example.org")


async def test_a_new_password_ends_the_other_sessions(team: Team) -> None:
    """It takes the old one and a code; a weak one is refused."""
    here = await team.at_work(name="Salma Haddad")
    there = team.browser(here.enrolment, here.email)
    await there.login()
    new = "quiet rivers at dawn"

    async def change_to(words: str, old: str = PASSWORD) -> int:
        code = await here.fresh_code()
        answer = await here.post("/console/account/password", password=old, code=code, new=words)
        return answer.status_code

    assert await change_to(new, old="not the old one") == 403
    assert await change_to("short") == 400
    assert await change_to("salma haddad") == 400
    assert await change_to("aaaaaaaaaaaaaaaa") == 400
    assert await inside(there)
    assert await change_to(new) == 200
    assert not await inside(there) and await inside(here)
    assert (await there.login()).status_code == 403
    assert (await there.login(password=new)).status_code == 303


@pytest.mark.parametrize(
    ("given", "onward"),
    [
        ("/console/people", "/console/people"),
        ("https://evil.example/console/", "/console"),
        ("//evil.example/console/", "/console"),
        ("/\\evil.example", "/console"),
        ("/consoles", "/console"),
        ("javascript:alert(1)", "/console"),
        ("/console/\r\nx: y", "/console"),
        ("/console/../chat/forget", "/console"),
        ("/console/%2e%2e/ready", "/console"),
        ("/console/people?lang=ar", "/console/people?lang=ar"),
    ],
)
async def test_signing_in_leads_nowhere_else(team: Team, given: str, onward: str) -> None:
    """Only to a page of the console."""
    browser = await team.member()
    assert (await browser.login(next=given)).headers["location"] == onward
