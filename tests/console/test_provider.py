"""Signing in by an OpenID Connect provider: whom it lets in, and what is not believed. The provider is a real one on
this machine (oidc-provider-mock)."""

from __future__ import annotations

import asyncio
import base64
import hmac
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
import respx
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from pydantic import SecretStr

from bot import i18n
from bot import settings as configuration
from bot.console import accounts, oidc
from bot.console.access import Role
from bot.db.session import Database
from bot.settings import ROOT, Settings, SettingsError
from bot.supervisor import free_port
from tests.console.conftest import Browser, Team, change, value

BACK = "/console/login/provider/back"


@dataclass
class Organisation:
    """The provider's process, and the people that it knows."""

    url: str
    client: httpx.AsyncClient

    async def knows(self, email: str, *, verified: bool = True, **claims: Any) -> str:
        """Somebody with this address; what it calls them."""
        subject = uuid.uuid4().hex
        await self.tells(subject, email=email, email_verified=verified, **claims)
        return subject

    async def tells(self, subject: str, **claims: Any) -> None:
        """What it says of them from now on."""
        assert (await self.client.put(f"{self.url}/users/{subject}", json=claims)).status_code == 204

    async def sign_in(self, browser: Browser, subject: str, query: str = "") -> str:
        """As far as the browser is sent back: the address, with the code."""
        away = await browser.get(f"/console/login/provider{query}")
        assert away.status_code == 303 and away.headers["location"].startswith(self.url), away.text
        answer = await self.client.post(away.headers["location"], data={"sub": subject})
        onward = urlsplit(answer.headers["location"])
        assert onward.path == BACK
        return f"{onward.path}?{onward.query}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def organisation() -> AsyncIterator[Organisation]:
    """One provider for all of these tests."""
    port = str(free_port())
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", "-m", "tests.simulators.oidc_provider", port, cwd=ROOT,
        env={"AUTHLIB_INSECURE_TRANSPORT": "1", "PATH": ""},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        while True:
            try:
                await client.get(f"{url}/jwks")
                break
            except httpx.TransportError:
                assert process.returncode is None
                await asyncio.sleep(0.05)
        yield Organisation(url, client)
    process.terminate()
    await process.wait()


def by(settings: Settings, organisation: Organisation, **given: Any) -> Settings:
    """The settings of a team that signs in by it."""
    return settings.model_copy(
        update={
            "rafiq_oidc_issuer": organisation.url,
            "rafiq_oidc_client": "rafiq",
            "rafiq_oidc_secret": SecretStr("a secret: of/two"),
            **given,
        }
    )


@pytest_asyncio.fixture
async def theirs(team: Team, settings: Settings, organisation: Organisation) -> AsyncIterator[Team]:
    """A team whose organisation has a provider."""
    theirs = Team(team.database, by(settings, organisation))
    yield theirs
    await theirs.close()


async def refused(browser: Browser, back: str) -> None:
    """Nobody is signed in by this."""
    answer = await browser.get(back)
    assert answer.status_code == 403 and i18n.say("console.login.provider.refused", "fr") in answer.text
    assert (await browser.get("/console")).status_code == 303


async def actions(database: Database) -> str:
    """What of signing in stands in the audit."""
    told = "SELECT string_agg(action || coalesce(' ' || (detail->>'by'), ''), ', ' ORDER BY id) FROM audit"
    return str(await value(database, told + " WHERE action LIKE 'login%'"))


async def test_the_team_signs_in_by_their_organisation(theirs: Team, organisation: Organisation) -> None:
    """A verified address of the team, then our own six digits, once; afterwards its subject is who they are, whatever
    the address."""
    browser = await theirs.member(Role.SUPERVISOR)
    subject = await organisation.knows(browser.email.upper())
    assert (
        "/console/login/provider?next=/console/people"
        in (await browser.get("/console/login?next=/console/people")).text
    )
    back = await organisation.sign_in(browser, subject, "?next=/console/people")
    assert (await browser.get(back)).headers["location"] == "/console/login/code"
    assert (await browser.get("/console")).status_code == 303  # not yet
    assert (await browser.get("/console/login/code")).status_code == 200
    digits = await browser.fresh_code()
    assert (await browser.client.post("/console/login/code", data={"code": "000000"})).status_code == 403
    done = await browser.client.post("/console/login/code", data={"code": digits})
    assert done.headers["location"] == "/console/people" and "HttpOnly" in done.headers["set-cookie"]
    assert (await browser.get("/console/exports")).status_code == 200  # their own role's pages
    assert (await browser.get("/console/staff")).status_code == 403
    assert await actions(theirs.database) == "login.refused provider, login provider"

    again = theirs.browser(browser.enrolment, browser.email)
    await organisation.tells(subject, email="another@example.org", email_verified=False)
    await again.get(await organisation.sign_in(again, subject))
    assert (await again.client.post("/console/login/code", data={"code": digits})).status_code == 403  # used
    assert (await again.client.post("/console/login/code", data={"code": await again.fresh_code()})).status_code == 303
    assert (await again.get("/console")).status_code == 200


async def test_nobody_is_added(theirs: Team, organisation: Organisation) -> None:
    """Unknown, not verified, stopped, or another one behind an address that somebody else signed in with: one answer."""
    known, stopped = await theirs.member(), await theirs.member()
    own = await organisation.knows(known.email)
    await known.get(await organisation.sign_in(known, own))
    assert (await known.client.post("/console/login/code", data={"code": await known.fresh_code()})).status_code == 303
    await change(theirs.database, "UPDATE staff_member SET active = false WHERE id = :id", id=stopped.staff_id)
    stranger = theirs.browser(known.enrolment, known.email)
    for subject in (
        await organisation.knows("nobody@example.org"),
        await organisation.knows(stopped.email),
        await organisation.knows(known.email),
    ):
        await refused(stranger, await organisation.sign_in(stranger, subject))
    other = await theirs.member()
    await refused(other, await organisation.sign_in(other, await organisation.knows(other.email, verified=False)))
    kelvin = other.email.replace("@example", "@\u212aexample")  # a k, once it is made small
    await change(
        theirs.database, "UPDATE staff_member SET email = :e WHERE id = :id", e=kelvin.lower(), id=other.staff_id
    )
    await refused(other, await organisation.sign_in(other, await organisation.knows(kelvin)))
    await refused(other, await organisation.sign_in(other, await organisation.knows(kelvin.lower(), verified="true")))  # type: ignore[arg-type]
    assert await value(theirs.database, "SELECT count(*) FROM staff_session") == 1
    assert await value(theirs.database, "SELECT count(*) FROM staff_member") == 3
    # a new enrolment forgets whom the provider knew
    assert await accounts.enrol(theirs.database, known.email, "seven green lanterns") is not None
    assert await value(theirs.database, "SELECT count(*) FROM staff_member WHERE oidc_subject IS NOT NULL") == 0


async def test_a_provider_that_vouches_for_no_address(theirs: Team, organisation: Organisation) -> None:
    """Then whoever has the machine says what it calls them, once: nobody else is called so, too."""
    browser, other = await theirs.member(), await theirs.member()
    subject = await organisation.knows("somebody@else.example", verified=False)
    await refused(browser, await organisation.sign_in(browser, subject))
    assert await accounts.bind(theirs.database, browser.email, organisation.url, subject)
    assert not await accounts.bind(theirs.database, other.email, organisation.url, subject)
    assert not await accounts.bind(theirs.database, "nobody@example.org", organisation.url, "another")
    assert await value(theirs.database, "SELECT count(*) FROM audit WHERE action = 'staff.bound'") == 1
    await browser.get(await organisation.sign_in(browser, subject))
    done = await browser.client.post("/console/login/code", data={"code": await browser.fresh_code()})
    assert done.status_code == 303 and (await browser.get("/console")).status_code == 200


@pytest.mark.parametrize(
    ("setting", "claims", "onward"),
    [
        (["mfa"], {"amr": ["pwd", "mfa"]}, "/console"),
        (["urn:two"], {"acr": "urn:two"}, "/console"),
        (["mfa"], {"amr": ["pwd"]}, "/console/login/code"),
        (["mfa"], {"amr": "mfa"}, "/console/login/code"),  # a list it must be
        ([], {"amr": ["mfa"], "acr": "mfa"}, "/console/login/code"),
    ],
)
async def test_its_second_factor_stands_in_only_where_the_setting_says_so(
    team: Team, settings: Settings, organisation: Organisation, setting: list[str], claims: dict[str, Any], onward: str
) -> None:
    """And only when it says that it asked for one."""
    theirs = Team(team.database, by(settings, organisation, rafiq_oidc_second_factor=setting))
    browser = await theirs.member()
    subject = await organisation.knows(browser.email, **claims)
    assert (await browser.get(await organisation.sign_in(browser, subject))).headers["location"] == onward
    assert ((await browser.get("/console")).status_code == 200) == (onward == "/console")
    await theirs.close()


async def test_only_what_was_begun_here_comes_back(theirs: Team, organisation: Organisation) -> None:
    """Another browser's answer, another state, a changed cookie, an answer used twice, one of another provider."""
    browser, other = await theirs.member(), await theirs.member()
    subject = await organisation.knows(browser.email)
    back = await organisation.sign_in(browser, subject)
    over = i18n.say("console.login.provider.over", "fr")
    assert over in (await other.get(back)).text  # nothing was begun there
    await organisation.sign_in(other, subject)
    assert over in (await other.get(back)).text  # something else was
    await organisation.sign_in(other, subject)
    [name] = [one for one in other.client.cookies if one.endswith("_provider")]
    content, _, seal = other.client.cookies[name].partition(".")
    other.client.cookies.set(name, f"{content[:-6]}AAAAAA.{seal}", domain="console.test")
    assert over in (await other.get(back)).text
    assert (await other.get(BACK)).status_code == 403
    begin = await other.get("/console/login/provider?next=/console/people", headers={"sec-fetch-site": "cross-site"})
    assert begin.headers["location"] == "/console/login?next=/console/people"  # nobody else begins it for them
    elsewhere = await organisation.sign_in(browser, subject)
    await refused(browser, f"{elsewhere}&iss=https://evil.example")
    await refused(browser, (await organisation.sign_in(browser, subject)).replace("code=", "error=denied&c="))

    back = await organisation.sign_in(browser, subject)
    jar = dict(browser.client.cookies)
    assert (await browser.get(back)).headers["location"] == "/console/login/code"
    browser.client.cookies.set(name, jar[name], domain="console.test")
    await refused(browser, back)  # the provider gives no token for a code a second time
    # what stands for one step stands for no other, and for some minutes only
    browser.client.cookies.set(name, jar[name], domain="console.test")
    assert (await browser.get("/console/login/code")).headers["location"] == "/console/login"


async def test_guesses_are_counted(theirs: Team, organisation: Organisation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong digits as those of the form with the password; answers that lead to nobody by the place they come from."""
    browser = await theirs.member()
    subject = await organisation.knows(browser.email)
    await browser.get(await organisation.sign_in(browser, subject))
    for _ in range(accounts.MOST_FAILURES):
        assert (await browser.client.post("/console/login/code", data={"code": "000000"})).status_code == 403
    digits = await browser.fresh_code()
    assert (await browser.client.post("/console/login/code", data={"code": digits})).status_code == 429
    assert (await browser.login()).status_code == 429
    monkeypatch.setattr(accounts, "MOST_FROM_ONE_PLACE", 2)
    stranger = theirs.browser(browser.enrolment, browser.email)
    nobody = await organisation.knows("nobody@example.org")
    for status in (403, 403, 429):
        assert (await stranger.get(await organisation.sign_in(stranger, nobody))).status_code == status


async def test_what_is_grave_takes_a_fresh_proof(theirs: Team, organisation: Organisation) -> None:
    """That the provider remembers somebody is none: it is asked to ask for the password again, and must say that it
    did just now."""
    browser = await theirs.member(Role.SUPERVISOR)
    hour_ago = int(time.time()) - 3600
    subject = await organisation.knows(browser.email, auth_time=hour_ago)

    async def sign_in(query: str) -> httpx.Response:
        answer = await browser.get(await organisation.sign_in(browser, subject, query))
        if answer.headers.get("location") != "/console/login/code":
            return answer
        return await browser.client.post("/console/login/code", data={"code": await browser.fresh_code()})

    assert (await sign_in("")).status_code == 303
    asked = {"kind": "requests", "why": "report", "since": "2026-01-01", "until": "2026-01-31"}
    proof = await browser.post("/console/exports", **asked)
    assert proof.headers["location"].startswith("/console/verify")
    page = (await browser.get(proof.headers["location"])).text
    assert "/console/login/provider?again=1&amp;next=/console/exports" in page
    away = parse_qs(urlsplit((await browser.get("/console/login/provider?again=1")).headers["location"]).query)
    assert (away["prompt"], away["max_age"], away["code_challenge_method"]) == (["login"], ["0"], ["S256"])
    assert (await sign_in("?again=1")).status_code == 403  # it says an hour ago
    before = browser.client.cookies["rafiq_console"]
    await organisation.tells(subject, email=browser.email, email_verified=True, auth_time=int(time.time()))
    assert (await sign_in("?again=1&next=/console/exports")).headers["location"] == "/console/exports"
    assert browser.client.cookies["rafiq_console"] != before
    assert "verify" not in (await browser.post("/console/exports", **asked)).headers.get("location", "")


async def test_without_it_the_password_goes_on(team: Team, settings: Settings, organisation: Organisation) -> None:
    """Not set: no such page. Silent, or another one than the setting says: a sentence, and the form as ever."""
    browser = await team.member()
    assert "/console/login/provider" not in (await browser.get("/console/login")).text
    for path in ("/console/login/provider", BACK, "/console/login/code"):
        assert (await browser.get(path)).status_code == 404
    away = i18n.say("console.login.provider.away", "fr").replace("'", "&#39;")
    for issuer in (f"http://127.0.0.1:{free_port()}", organisation.url.replace("127.0.0.1", "localhost") + "/"):
        theirs = Team(team.database, by(settings, organisation, rafiq_oidc_issuer=issuer))
        browser = await theirs.member()
        answer = await browser.get("/console/login/provider")
        assert answer.status_code == 502 and away in answer.text
        assert (await browser.login()).status_code == 303
        await theirs.close()


# What is believed of a token

KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
OTHER = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
ISSUER, CLIENT = "https://login.example.org", "rafiq"


def token(key: RSAKey = KEY, **changed: Any) -> str:
    """A right one but for what is changed; None takes a claim out."""
    now = int(time.time())
    claims = {
        "iss": ISSUER, "aud": CLIENT, "sub": "s", "nonce": "n", "iat": now, "exp": now + 300, "auth_time": now, **changed,
    }  # fmt: skip
    return jwt.encode(
        {"alg": "RS256", "kid": "one"}, {name: one for name, one in claims.items() if one is not None}, key
    )


def forged(alg: str, sign: Callable[[bytes], bytes] = lambda signed: b"") -> str:
    """A right one's claims under a header that names this algorithm."""
    header = base64.urlsafe_b64encode(f'{{"alg":"{alg}","kid":"one"}}'.encode()).rstrip(b"=").decode()
    signed = f"{header}.{token().split('.')[1]}"
    return f"{signed}.{base64.urlsafe_b64encode(sign(signed.encode())).rstrip(b'=').decode()}"


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("another issuer", {"iss": "https://evil.example"}), ("no issuer", {"iss": None}),
    ("for somebody else", {"aud": "another"}), ("for nobody", {"aud": None}),
    ("for several, given to another", {"aud": [CLIENT, "another"], "azp": "another"}),
    ("for several, given to nobody", {"aud": [CLIENT, "another"]}),
    ("over", {"exp": 1_700_000_000}), ("without an end", {"exp": None}), ("without a time", {"iat": None}),
    ("of tomorrow", {"iat": 9_000_000_000}), ("not yet", {"nbf": 9_000_000_000}),
    ("of another sign-in", {"nonce": "m"}), ("of no sign-in", {"nonce": None}),
    ("of nobody", {"sub": None}), ("of an empty name", {"sub": ""}),
    ("remembered", {"auth_time": 1_700_000_000}), ("not proved", {"auth_time": None}), ("proved?", {"auth_time": "now"}),
]  # fmt: skip


async def believed(given: str) -> dict[str, Any]:
    """What comes of this token."""
    provider = oidc.Provider(ISSUER, CLIENT, "secret", "https://rafiq.example.org" + oidc.BACK, ())
    provider._keys = KeySet([RSAKey.import_key(KEY.as_dict(private=False))])
    provider._read_at = time.monotonic()
    async with httpx.AsyncClient() as client:
        return await provider._believed(client, given, oidc.Asked("s", "n", "v", True, time.time()))


async def test_a_right_token_is_believed() -> None:
    """Also one for several, that was given to us."""
    assert (await believed(token()))["sub"] == "s"
    assert (await believed(token(aud=[CLIENT, "another"], azp=CLIENT)))["sub"] == "s"


@pytest.mark.parametrize("changed", [one for _, one in WRONG], ids=[name for name, _ in WRONG])
async def test_a_token_of_something_else_is_not(changed: dict[str, Any]) -> None:
    """Issuer, audience, time, nonce, subject, and when the password was given."""
    with pytest.raises(oidc.Untrue):
        await believed(token(**changed))


async def test_a_token_that_another_signed_is_not() -> None:
    """Another key under the same name, nobody's signature, the public key taken for a password, and no token at all."""
    public = KEY.as_pem(private=False)
    wrong = [
        token(OTHER), forged("none"), forged("HS256", lambda signed: hmac.digest(public, signed, "sha256")),
        token()[:-6] + "AAAAAA", "", "a.b.c", "[" * 5000,
    ]  # fmt: skip
    for one in wrong:
        with pytest.raises(oidc.Untrue):
            await believed(one)


async def test_providers_differ(respx_mock: respx.MockRouter) -> None:
    """One whose addresses are elsewhere, that takes the secret in the form, tells the e-mail apart from the token, and
    changed its key since we asked."""
    respx_mock.get(f"{ISSUER}/.well-known/openid-configuration").respond(
        json={
            "issuer": ISSUER, "authorization_endpoint": f"{ISSUER}/go?tenant=1", "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys", "userinfo_endpoint": f"{ISSUER}/me",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }
    )  # fmt: skip
    new = RSAKey.generate_key(2048, {"kid": "two", "use": "sig"})
    keys = respx_mock.get(f"{ISSUER}/keys").mock(
        side_effect=[httpx.Response(200, json=KeySet([one]).as_dict(private=False)) for one in (KEY, new)]
    )
    provider = oidc.Provider(ISSUER, CLIENT, "sécret & more", "https://rafiq.example.org" + oidc.BACK, ())
    url, asked = await provider.begin()
    assert url.startswith(f"{ISSUER}/go?tenant=1&response_type=code&") and keys.call_count == 1
    claims = jwt.decode(token(nonce=asked.nonce), KEY).claims
    given = {"access_token": "t", "id_token": jwt.encode({"alg": "RS256", "kid": "two"}, claims, new)}
    exchange = respx_mock.post(f"{ISSUER}/token").respond(json=given)
    me = respx_mock.get(f"{ISSUER}/me").respond(json={"sub": "s", "email": "a@example.org", "email_verified": True})
    provider._read_at -= oidc.AGAIN_AFTER + 1
    assert (await provider.finish("c", asked)).email == "a@example.org" and keys.call_count == 2
    form = parse_qs(exchange.calls.last.request.content.decode())
    assert form["client_secret"] == ["sécret & more"] and form["code_verifier"] == [asked.verifier]
    assert me.calls.last.request.headers["authorization"] == "Bearer t"
    me.respond(json={"sub": "another", "email": "a@example.org", "email_verified": True})
    with pytest.raises(oidc.Untrue):
        await provider.finish("c", asked)


@pytest.mark.parametrize(
    "facts",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://login.example.org/token"},
        {"jwks_uri": None},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
)
async def test_a_provider_that_is_none(respx_mock: respx.MockRouter, facts: dict[str, Any]) -> None:
    """Nobody is sent to what calls itself otherwise, lacks an address, or has one that anybody can listen to."""
    right = {"issuer": ISSUER} | dict.fromkeys(("authorization_endpoint", "token_endpoint", "jwks_uri"), f"{ISSUER}/x")
    respx_mock.get(f"{ISSUER}/.well-known/openid-configuration").respond(json=right | facts)
    with pytest.raises(oidc.Unreachable):
        await oidc.Provider(ISSUER, CLIENT, "s", "https://rafiq.example.org" + oidc.BACK, ()).begin()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"rafiq_oidc_issuer": "https://login.example.org"}, "RAFIQ_OIDC_CLIENT is missing"),
        ({"rafiq_oidc_client": "rafiq", "rafiq_oidc_secret": "s"}, "RAFIQ_OIDC_ISSUER is missing"),
        ({"rafiq_oidc_issuer": "http://login.example.org"}, "RAFIQ_OIDC_ISSUER is wrong"),
    ],
)
def test_half_a_provider_stops_the_start(given: dict[str, str], says: str) -> None:
    """With one line that names the setting."""
    with pytest.raises(SettingsError, match=says):
        configuration.load(None, **given)
