"""The terminal's conversation: `rafiq chat` posts one thing and waits until its turn is over."""

from __future__ import annotations

import hmac
import json
import time
from typing import Any, Literal

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, Field
from sqlalchemy import select

from bot.channels.body import TooLarge, read_body, readable
from bot.channels.pull import TERMINAL, House, fetch
from bot.db.models import Inbox, IssuedButton
from bot.messages import Incoming, Kind

LONGEST_TEXT = 150_000  # characters; as JSON's escapes each of them may take six bytes, or twelve
LONGEST_USER = 128
LARGEST = 2 * 1024 * 1024  # bytes of a post


class Said(BaseModel):
    """What the terminal posts."""

    id: str = Field(min_length=8, max_length=64)
    user: str = Field(min_length=1, max_length=LONGEST_USER)
    kind: Literal["text", "press", "start"] = "text"
    text: str = Field("", max_length=LONGEST_TEXT)
    language: Literal["fr", "en", "ar"] | None = None  # to begin in


class Outcome(BaseModel):
    """How a turn ended."""

    turn: int
    messages: list[dict[str, Any]]
    last: int


def router(house: House, token: str) -> APIRouter:
    """What `rafiq chat` calls; `token` is what processes of this machine show."""
    routes = APIRouter(prefix="/terminal")

    def check(request: Request) -> None:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise HTTPException(401)

    @routes.post("/turns")
    async def turn(request: Request, after: int = 0, wait: float = 60) -> Outcome:
        check(request)
        said = await _said(request)
        text, press = said.text, ""
        if said.kind == "press":
            press, text = await _button(house, said.user, said.text) or said.text, ""
        event = Incoming(
            channel=TERMINAL,
            external_id=f"{said.user}:{said.id}",
            address=said.user,
            kind=Kind(said.kind),
            text=text,
            press=press,
            language_hint=said.language,
        )
        [inbox_id] = await house.accept([event])
        conversation_id = await house.conversation_of(TERMINAL, said.user)
        if conversation_id is None or inbox_id is None:
            raise HTTPException(409, "this id was used before")
        deadline = time.monotonic() + wait
        while True:
            heard = house.signals.listen(conversation_id)
            async with house.database.session() as session:
                row = (await session.execute(select(Inbox.status, Inbox.turn).where(Inbox.id == inbox_id))).one()
            if row.status != "pending" or time.monotonic() > deadline:
                break
            await house.signals.wait(conversation_id, 0.5, heard)
        fetched = await fetch(house.database, conversation_id, after)
        last = max([after, *(message["n"] for message in fetched.messages)])
        return Outcome(turn=row.turn or 0, messages=fetched.messages, last=last)

    return routes


async def _said(request: Request) -> Said:
    """The post, read only after its sender was checked."""
    try:
        given = json.loads(await read_body(request, LARGEST))
        return Said.model_validate({key: readable(v) if isinstance(v, str) else v for key, v in given.items()})
    except TooLarge:
        raise HTTPException(413) from None
    except (ValueError, AttributeError, RecursionError):
        raise HTTPException(400) from None


async def _button(house: House, user: str, pressed: str) -> str | None:
    """The id of the newest button that has this id or title."""
    conversation_id = await house.conversation_of(TERMINAL, user)
    async with house.database.session() as session:
        found: str | None = await session.scalar(
            select(IssuedButton.id)
            .where(IssuedButton.conversation_id == conversation_id)
            .where((IssuedButton.id == pressed) | (IssuedButton.title == pressed))
            .order_by(IssuedButton.outbox_id.desc())
            .limit(1)
        )
        return found
