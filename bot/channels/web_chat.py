"""The web page's conversation: a cookie that only the browser knows, posts in, long polls out."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import uuid
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from bot.channels.body import TooLarge, read_body, readable
from bot.channels.pull import WEB, House, fetch, file
from bot.messages import Incoming, Kind

COOKIE = "rafiq_chat"
COOKIE_LIFE = 7 * 24 * 3600  # seconds
LARGEST = 64 * 1024  # bytes of a post
LONGEST_WAIT = 25.0  # seconds of a poll
PAGE = Path(__file__).with_name("web_chat.html")
_CLIENT_ID = re.compile(r"[A-Za-z0-9-]{8,64}")


def router(house: House, secure: bool) -> APIRouter:
    """The page at `/` and what it calls. `secure`: the cookie travels over https only."""
    page = PAGE.read_text(encoding="utf-8")
    policy = content_security_policy(page)
    routes = APIRouter()

    @routes.get("/", response_class=HTMLResponse)
    async def show(request: Request) -> Response:
        response = HTMLResponse(
            page,
            headers={
                "content-security-policy": policy,
                "referrer-policy": "no-referrer",
                "x-content-type-options": "nosniff",
                "cache-control": "no-store",
            },
        )
        if _token(request) is None:
            _set_cookie(response, secrets.token_urlsafe(32), secure)
        return response

    @routes.post("/chat/messages")
    async def receive(request: Request) -> Response:
        token = _token(request)
        if token is None:
            return Response(status_code=401)
        try:
            body = json.loads(await read_body(request, LARGEST))
            event = _event(token, body)
        except TooLarge:
            return Response(status_code=413)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return Response(status_code=400)
        await house.accept([event])
        return JSONResponse({}, status_code=202)

    @routes.get("/chat/messages")
    async def send(request: Request, after: Annotated[int, Query(ge=0, lt=2**63)] = 0, wait: float = 0) -> Response:
        token = _token(request)
        if token is None:
            return Response(status_code=401)
        conversation_id = await house.conversation_of(WEB, token)
        if conversation_id is None:
            return _fresh(JSONResponse({"messages": [], "working": False}))
        heard = house.signals.listen(conversation_id) if wait > 0 else None
        fetched = await fetch(house.database, conversation_id, after, history=after == 0)
        if not fetched.messages and heard is not None:
            await house.signals.wait(conversation_id, min(wait, LONGEST_WAIT), heard)
            fetched = await fetch(house.database, conversation_id, after, history=after == 0)
        return _fresh(JSONResponse({"messages": fetched.messages, "working": fetched.working}))

    @routes.get("/chat/files/{message_id}")
    async def give(request: Request, message_id: uuid.UUID) -> Response:
        token = _token(request)
        conversation_id = await house.conversation_of(WEB, token) if token is not None else None
        found = await file(house.database, conversation_id, message_id) if conversation_id is not None else None
        if found is None:
            return Response(status_code=404)
        name, content = found
        headers = {
            "content-disposition": f"attachment; filename*=UTF-8''{quote(name)}",
            "x-content-type-options": "nosniff",
            "content-security-policy": "default-src 'none'; sandbox",
        }
        return _fresh(Response(content.content, media_type=content.media_type, headers=headers))

    @routes.post("/chat/forget")
    async def forget() -> Response:
        response = JSONResponse({})
        response.delete_cookie(COOKIE, path="/", secure=secure, httponly=True, samesite="lax")
        return response

    return routes


def content_security_policy(page: str) -> str:
    """Only the page's own style and script may run, named by their hashes; nothing else loads."""

    def hashes(tag: str) -> str:
        found = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", page, re.S)
        return " ".join(
            "'sha256-" + base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() + "'" for one in found
        )

    return (
        f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; connect-src 'self'; "
        "img-src 'self' data:; media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    )


def _token(request: Request) -> str | None:
    token = request.cookies.get(COOKIE, "")
    return token if 32 <= len(token) <= 64 else None


def _set_cookie(response: Response, token: str, secure: bool) -> None:
    response.set_cookie(COOKIE, token, max_age=COOKIE_LIFE, path="/", secure=secure, httponly=True, samesite="lax")


def _event(token: str, body: dict[str, Any]) -> Incoming:
    client_id = body["id"]
    if not _CLIENT_ID.fullmatch(client_id):
        raise ValueError("bad id")
    text, press = body.get("text", ""), body.get("press", "")
    if not isinstance(text, str) or not isinstance(press, str):
        raise ValueError("not text")
    kind = Kind.START if body.get("start") else Kind.PRESS if press else Kind.TEXT
    return Incoming(
        channel=WEB,
        external_id=f"{token}:{client_id}",
        address=token,
        kind=kind,
        text=readable(text),
        press=readable(press),
        details={"client_id": client_id},
    )


def _fresh(response: Response) -> Response:
    response.headers["cache-control"] = "no-store"
    return response
