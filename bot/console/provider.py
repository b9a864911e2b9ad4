"""The pages of signing in by an OpenID Connect provider. What a browser carries meanwhile is signed by us."""

from __future__ import annotations

import base64
import hmac
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from bot.console import accounts, oidc
from bot.console.accounts import Known
from bot.console.guard import Handler, NotThere, Visit, safe_path
from bot.console.oidc import Asked, Provider

AWAY = 600  # seconds that signing in may take there
CODE = 300  # seconds for the six digits afterwards


def _provider(visit: Visit) -> Provider:
    """Raises `NotThere` where no provider is set."""
    if visit.console.provider is None:
        raise NotThere
    return visit.console.provider


async def begin(visit: Visit) -> Response:
    """To the provider; `again`: it must ask for the password, whatever it remembers. Only from a page of ours: else a
    link anywhere would sign in whom the provider remembers, without a click of theirs."""
    asked = visit.request.query_params
    onward = safe_path(asked.get("next", ""))
    if visit.request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return visit.go(f"/console/login?next={quote(onward)}")
    try:
        there, kept = await _provider(visit).begin(again="again" in asked)
    except oidc.Unreachable:
        return _refused(visit, 502, "console.login.provider.away", onward)
    return _carried(visit, visit.go(there), "away", {**asdict(kept), "next": onward}, AWAY)


async def back(visit: Visit) -> Response:
    """From the provider: whoever it names and we know is signed in, or asked for our own six digits."""
    provider, given, carried = _provider(visit), visit.request.query_params, _carries(visit, "away", AWAY)
    if carried is None or not hmac.compare_digest(given.get("state", "").encode(), carried["state"].encode()):
        return _refused(visit, 403, "console.login.provider.over")
    onward = carried.pop("next")
    try:
        await accounts.try_provider(visit.console.database, visit.place, carried["state"])
        if "code" not in given or given.get("iss", provider.issuer) != provider.issuer:
            raise oidc.Untrue
        identity = await provider.finish(given["code"], Asked(**carried))
        known = await accounts.who(
            visit.console.database, provider.issuer, identity.subject, identity.email, carried["state"]
        )
        if not identity.second_factor:
            held = {
                "staff": str(known.staff_id), "subject": known.subject.hex(), "next": onward,
                "proved_at": identity.proved_at.timestamp() if identity.proved_at else 0.0,
            }  # fmt: skip
            return _carried(visit, visit.go("/console/login/code"), "code", held, CODE)
        return await _signed_in(visit, known, None, identity.proved_at, onward)
    except oidc.Unreachable:
        return _refused(visit, 502, "console.login.provider.away", onward)
    except (oidc.Untrue, accounts.Refused):
        return _refused(visit, 403, "console.login.provider.refused", onward)
    except accounts.TooMany:
        return _refused(visit, 429, "console.login.too_many", onward)


async def code_form(visit: Visit) -> Response:
    """Our own six digits, for whom the provider named."""
    _provider(visit)
    if _carries(visit, "code", CODE) is None:
        return visit.go("/console/login")
    return visit.show("login_code.html", error="")


async def code(visit: Visit) -> Response:
    """Signed in, if they are right."""
    _provider(visit)
    held = _carries(visit, "code", CODE)
    if held is None:
        return _refused(visit, 403, "console.login.provider.over")
    known = Known(uuid.UUID(held["staff"]), bytes.fromhex(held["subject"]))
    proved_at = datetime.fromtimestamp(held["proved_at"], UTC)
    try:
        return await _signed_in(visit, known, visit.form.get("code", ""), proved_at, held["next"])
    except accounts.Refused:
        return visit.show("login_code.html", 403, error="console.login.provider.code_refused")
    except accounts.TooMany:
        return visit.show("login_code.html", 429, error="console.login.too_many")


async def _signed_in(visit: Visit, known: Known, code: str | None, proved_at: datetime | None, onward: str) -> Response:
    visit.token = await accounts.sign_in_known(
        visit.console.database, known, code=code, place=visit.place, proved_at=proved_at, replaces=visit.token
    )
    response = visit.renewed(visit.go(onward))
    _forget(visit, response)
    return response


def _refused(visit: Visit, status: int, error: str, onward: str = "/console") -> Response:
    """The page of signing in, with what is wrong; what was carried is worth nothing any more."""
    response = visit.show("login.html", status, next=onward, error=error, email="")
    _forget(visit, response)
    return response


# What a browser carries: readable for it, made by us alone, for one step, for some minutes


def _cookie(visit: Visit) -> str:
    return visit.console.cookie + "_provider"


def _carried(visit: Visit, response: Response, step: str, what: Mapping[str, Any], seconds: int) -> Response:
    content = base64.urlsafe_b64encode(json.dumps({**what, "since": time.time()}).encode()).decode()
    response.set_cookie(
        _cookie(visit), f"{content}.{_seal(visit, step, content)}", max_age=seconds, path="/",
        secure=visit.console.secure, httponly=True, samesite="lax",
    )  # fmt: skip
    return response


def _carries(visit: Visit, step: str, seconds: int) -> dict[str, Any] | None:
    content, _, seal = visit.request.cookies.get(_cookie(visit), "").partition(".")
    if not hmac.compare_digest(seal.encode(), _seal(visit, step, content).encode()):
        return None
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(content))
    return found if time.time() - found.pop("since") < seconds else None


def _seal(visit: Visit, step: str, content: str) -> str:
    return visit.console.database.vault.digest("console provider", step, content).hex()


def _forget(visit: Visit, response: Response) -> None:
    response.delete_cookie(_cookie(visit), path="/", secure=visit.console.secure, httponly=True, samesite="lax")


HANDLERS: Mapping[tuple[str, str], Handler] = {
    ("GET", "/console/login/provider"): begin,
    ("GET", "/console/login/provider/back"): back,
    ("GET", "/console/login/code"): code_form,
    ("POST", "/console/login/code"): code,
}
