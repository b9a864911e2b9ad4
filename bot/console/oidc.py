"""What is said to an OpenID Connect provider, and what is believed of its answer: authorization code with PKCE."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import structlog
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry

from bot.settings import Settings

BACK = "/console/login/provider/back"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
SKEW = 60  # seconds that its clock and ours may differ
TIMEOUT = 10  # seconds for all that is asked of it at one sign-in
GOOD_FOR, AGAIN_AFTER = 3600.0, 60.0  # seconds: what it tells of itself; the least until it is asked for new keys
log = structlog.get_logger()


class Unreachable(Exception):
    """It does not answer, or not as a provider does."""


class Untrue(Exception):
    """What came back is not an answer to what was asked, or not from whom it says."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What only the browser that was sent there may bring back, and what the answer must fit."""

    state: str
    nonce: str
    verifier: str
    again: bool  # it must ask for the password now, whatever it remembers
    at: float


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom it says it has seen. `email` only where it vouches for it; `proved_at`: when they last proved it there."""

    subject: str
    email: str | None
    second_factor: bool
    proved_at: datetime | None


@dataclass(slots=True)
class Provider:
    """The one that the settings name. What it tells of itself is kept for an hour."""

    issuer: str
    client: str
    secret: str = field(repr=False)
    back: str
    second_factor: Collection[str]
    _facts: Mapping[str, Any] = field(default_factory=dict, init=False)
    _keys: KeySet = field(default_factory=lambda: KeySet([]), init=False)
    _read_at: float = field(default=float("-inf"), init=False)

    async def begin(self, again: bool = False) -> tuple[str, Asked]:
        """Where to send the browser, and what to remember meanwhile. Raises `Unreachable`."""
        async with _client() as client:
            await self._learn(client, GOOD_FOR)
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        asked = Asked(state, nonce, verifier, again, time.time())
        challenge = base64.urlsafe_b64encode(hashlib.sha256(asked.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code", "client_id": self.client, "redirect_uri": self.back, "scope": "openid email",
            "state": asked.state, "nonce": asked.nonce, "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        if again:
            query |= {"prompt": "login", "max_age": "0"}
        there = str(self._facts["authorization_endpoint"])
        return f"{there}{'&' if '?' in there else '?'}{urlencode(query)}", asked

    async def finish(self, code: str, asked: Asked) -> Identity:
        """Who signed in there. Raises `Unreachable`, `Untrue`."""
        async with _client() as client:
            await self._learn(client, GOOD_FOR)
            tokens = await self._exchange(client, code, asked.verifier)
            claims = await self._believed(client, str(tokens.get("id_token", "")), asked)
            if "email" not in claims and str(self._facts.get("userinfo_endpoint")).startswith("http"):
                claims = {**await self._told(client, tokens, claims["sub"]), **claims}
        return _identity(claims, asked, self.second_factor)

    async def _learn(self, client: httpx.AsyncClient, within: float) -> None:
        """Its addresses and keys, unless they were read within so many seconds."""
        if time.monotonic() - self._read_at < within:
            return
        facts = await _read(client, self.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if facts.get("issuer") != self.issuer:
            log.warning("the provider calls itself otherwise than RAFIQ_OIDC_ISSUER")
            raise Unreachable
        scheme = self.issuer.partition("//")[0] + "//"
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not str(facts.get(name)).startswith(scheme):
                log.warning("the provider does not tell an address as safe as its own", name=name)
                raise Unreachable
        try:
            self._keys = KeySet.import_key_set(await _read(client, facts["jwks_uri"]))  # type: ignore[arg-type]
        except (JoseError, KeyError, TypeError, ValueError) as error:
            log.warning("the provider's keys cannot be read", error=type(error).__name__)
            raise Unreachable from None
        self._facts, self._read_at = facts, time.monotonic()

    async def _exchange(self, client: httpx.AsyncClient, code: str, verifier: str) -> Mapping[str, Any]:
        """The code for tokens, once. The secret goes in the way that the provider takes."""
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": self.back, "code_verifier": verifier,
        }  # fmt: skip
        ways = self._facts.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        auth = None
        if "client_secret_basic" in ways:
            auth = httpx.BasicAuth(quote(self.client, safe=""), quote(self.secret, safe=""))
        else:
            form |= {"client_id": self.client, "client_secret": self.secret}
        return await _read(client, self._facts["token_endpoint"], form, auth)

    async def _believed(self, client: httpx.AsyncClient, token: str, asked: Asked) -> dict[str, Any]:
        """The claims of an ID token that is signed by the provider, for us, now, for this sign-in."""
        try:
            try:
                claims = jwt.decode(token, self._keys, ALGORITHMS).claims
            except InvalidKeyIdError:  # it has a new key
                await self._learn(client, AGAIN_AFTER)
                claims = jwt.decode(token, self._keys, ALGORITHMS).claims
            check(claims, self.issuer, self.client, asked)
        except (JoseError, ValueError, TypeError) as error:
            claim = getattr(error, "claim", None)
            log.warning("the provider's token was refused", error=type(error).__name__, claim=claim)
            raise Untrue from None
        return claims

    async def _told(self, client: httpx.AsyncClient, tokens: Mapping[str, Any], subject: str) -> Mapping[str, Any]:
        """E-mail and whether it was verified, from where providers tell it that keep ID tokens small."""
        headers = {"authorization": f"Bearer {tokens.get('access_token', '')}"}
        told = await _read(client, self._facts["userinfo_endpoint"], headers=headers)
        if told.get("sub") != subject:
            raise Untrue
        return {name: told[name] for name in ("email", "email_verified") if name in told}


def of(settings: Settings) -> Provider | None:
    """The provider of the settings, or none."""
    secret = settings.rafiq_oidc_secret
    if settings.rafiq_oidc_issuer is None or settings.rafiq_oidc_client is None or secret is None:
        return None
    back = (settings.rafiq_public_url or settings.own_url) + BACK
    return Provider(
        settings.rafiq_oidc_issuer,
        settings.rafiq_oidc_client,
        secret.get_secret_value(),
        back,
        settings.rafiq_oidc_second_factor,
    )


def check(claims: Mapping[str, Any], issuer: str, client: str, asked: Asked) -> None:
    """OpenID Connect Core 3.1.3.7 for claims whose signature is right. Raises `JoseError`, `ValueError`."""
    JWTClaimsRegistry(
        leeway=SKEW,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": client},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
        nonce={"essential": True, "value": asked.nonce},
    ).validate(dict(claims))
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else client) != client:
        raise ValueError("azp")
    if asked.again and not (_seconds(claims.get("auth_time")) >= asked.at - SKEW):
        raise ValueError("auth_time")


def _identity(claims: Mapping[str, Any], asked: Asked, second_factor: Collection[str]) -> Identity:
    ways = claims.get("amr")
    said = {str(one) for one in [*(ways if isinstance(ways, list) else []), claims.get("acr")] if one is not None}
    email = claims.get("email")
    proved = _seconds(claims.get("auth_time"))
    return Identity(
        subject=claims["sub"],
        email=email if isinstance(email, str) and claims.get("email_verified") is True else None,
        second_factor=not said.isdisjoint(second_factor),
        proved_at=min(datetime.fromtimestamp(proved, UTC), datetime.now(UTC)) if proved else None,
    )


def _seconds(given: object) -> float:
    right = isinstance(given, int | float) and not isinstance(given, bool)
    return float(given) if right and 0 < given < 1e11 else 0.0  # type: ignore[arg-type,operator]


def _client() -> httpx.AsyncClient:
    """Goes where it is told and nowhere else: no redirects, no proxies, no .netrc."""
    return httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=TIMEOUT)


async def _read(
    client: httpx.AsyncClient,
    url: str,
    form: Mapping[str, str] | None = None,
    auth: httpx.BasicAuth | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The JSON object at this address. Raises `Unreachable`; `Untrue` for a form that was refused."""
    try:
        async with asyncio.timeout(TIMEOUT):
            if form is None:
                answer = await client.get(url, headers=headers)
            else:
                answer = await client.post(url, data=form, auth=auth or httpx.USE_CLIENT_DEFAULT)
        if form is not None and 400 <= answer.status_code < 500:
            log.warning("the provider refused the code", status=answer.status_code)
            raise Untrue
        found = answer.raise_for_status().json()
        if not isinstance(found, dict):
            raise ValueError("no object")
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError, RecursionError) as error:
        log.warning("the provider did not answer", error=type(error).__name__)
        raise Unreachable from None
    return found
