"""A WhatsApp on loopback, as strict as Meta's Cloud API where it is documented, and people to use it.

It holds the sender to sizes, unknown fields, tokens, templates, the 24 hours, the pair limit and the number's
messages a second; it signs and posts webhooks, again until they are taken. Anything can be made to go wrong: any
error at once or later, slow answers, answers that never arrive, webhooks twice or out of order.

`python -m tests.simulators.whatsapp` runs it for a demo, with you as the person.
"""

from __future__ import annotations

import asyncio
import base64
import email
import hashlib
import hmac
import itertools
import json
import os
import random
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bot.channels import whatsapp_templates
from bot.supervisor import free_port

TOKEN = "EAAGcanary-canary-canary-canary"
APP_SECRET = "the-secret-of-the-app"
VERIFY_TOKEN = "words-of-our-own-choice"
PHONE_NUMBER_ID, ACCOUNT_ID = "106540352242922", "102290129340398"
WINDOW = 24 * 3600
PAIR_BURST, PAIR_PAUSE = 45, 6.0  # messages at once to one person, seconds for each of them
A_SECOND = 80  # messages, both ways
PEOPLE_A_DAY = 250  # who may be written to first in 24 hours
PATIENCE = 10.0

# megabytes of each type of file that may be uploaded
UPLOADS = {"image/jpeg": 5, **dict.fromkeys(("audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"), 16)}

_numbers = itertools.count(212_600_000_001)
_ENVELOPE = {
    "messaging_product", "recipient_type", "to", "recipient", "type", "text", "interactive", "template", "context",
    "image", "audio", "biz_opaque_callback_data",
}  # fmt: skip


class Wrong(Exception):
    """The Graph API's refusal: its code, and what Meta's own text would say."""

    def __init__(self, code: int, details: str, status: int = 400) -> None:
        super().__init__(f"{code} {details}")
        self.code, self.details, self.status = code, details, status


@dataclass(frozen=True, slots=True)
class Said:
    """One message of the assistant, as a person's telephone shows it."""

    id: str
    text: str
    buttons: tuple[tuple[str, str], ...]  # title and id, from top to bottom
    kind: str  # text, button, list, template
    our_id: str | None
    description: tuple[str, ...] = ()
    file: tuple[bytes, str] | None = None  # a picture or a voice, and its type

    @property
    def titles(self) -> tuple[str, ...]:
        """What the buttons read."""
        return tuple(title for title, _ in self.buttons)


class WhatsAppServer:
    """The Graph API and Meta's webhooks; `async with WhatsAppServer() as server`.

    `webhook` is where the service listens; `clock` gives the time by which windows and limits are counted.
    """

    def __init__(self, port: int | None = None, webhook: str | None = None, token: str = TOKEN) -> None:
        self.url = f"http://127.0.0.1:{port or free_port()}"
        self.webhook = webhook
        self.token = token
        self.secret = APP_SECRET
        self.clock: Callable[[], float] = time.time
        self.sent: dict[str, list[Said]] = defaultdict(list)  # by phone number or user id
        self.seen: list[Mapping[str, Any]] = []  # read marks
        self.calls: list[tuple[str, Mapping[str, Any]]] = []  # whatever was asked, taken or not
        self.files: dict[str, tuple[bytes, str]] = {}
        self.templates: list[dict[str, Any]] = [
            {**one, "status": "APPROVED", "id": str(number)}
            for number, one in enumerate(whatsapp_templates.submissions())
        ]
        self.statuses: Sequence[str] = ("sent", "delivered")  # posted after each message
        self.copies = 1  # of every webhook
        self.shuffled = False  # statuses of one message in any order
        self.delay = 0.0  # seconds before each answer
        self.understated = False  # files say that they are small
        self.heard: dict[str, float] = {}  # when a person last wrote
        self._wrong: list[Wrong] = []
        self._late: list[int] = []
        self._lost = 0
        self._pairs: dict[str, tuple[float, float]] = {}  # tokens left, counted when
        self._second: list[float] = []
        self.moments: list[float] = []  # of every message that was taken
        self.people_a_day = PEOPLE_A_DAY
        self.opened: dict[str, float] = {}  # whom the assistant wrote to first, and when
        self._webhooks: set[asyncio.Task[None]] = set()
        self._http = httpx.AsyncClient(trust_env=False, timeout=PATIENCE)
        self._uvicorn: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        app = Starlette(
            routes=[
                Route("/{version}/{number}/messages", self._messages, methods=["POST"]),
                Route("/{version}/{account}/message_templates", self._templates),
                Route("/{version}/{number}/media", self._upload, methods=["POST"]),
                Route("/files/{media}", self._content),
                Route("/{version}/{media}", self._media),
            ]
        )
        port = int(self.url.rpartition(":")[2])
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, lifespan="off")
        )
        self._serving = asyncio.create_task(self._uvicorn.serve())
        while not self._uvicorn.started:  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._webhooks:
            task.cancel()
        await asyncio.gather(*self._webhooks, return_exceptions=True)
        await self._http.aclose()
        if self._uvicorn is not None and self._serving is not None:
            self._uvicorn.should_exit = self._uvicorn.force_exit = True
            await self._serving

    # What can go wrong

    def fail(self, code: int, status: int = 400, times: int = 1) -> None:
        """The next messages are refused at once with this code."""
        self._wrong += [Wrong(code, "as a test asked", status)] * times

    def fail_later(self, code: int, times: int = 1) -> None:
        """The next messages are taken, and a webhook says afterwards that they failed with this code."""
        self._late += [code] * times

    def lose_answers(self, times: int = 1) -> None:
        """The next messages are taken, but the connection breaks before the answer."""
        self._lost += times

    def older(self, seconds: float) -> None:
        """All that it remembers of people was so much earlier."""
        self.heard = {address: when - seconds for address, when in self.heard.items()}
        self.opened = {address: when - seconds for address, when in self.opened.items()}
        self._pairs = {address: (left, when - seconds) for address, (left, when) in self._pairs.items()}

    # Webhooks

    async def post(self, body: bytes, signature: str | None = None) -> int:
        """Post these bytes to the service as Meta does; its status."""
        assert self.webhook is not None, "no webhook to post to"
        headers = {"content-type": "application/json", "x-hub-signature-256": signature or signed(body, self.secret)}
        return (await self._http.post(self.webhook, content=body, headers=headers)).status_code

    def webhook_of(self, field_name: str = "messages", **value: Any) -> bytes:
        """A webhook with this content, as Meta writes it."""
        metadata = {"display_phone_number": "212522000000", "phone_number_id": PHONE_NUMBER_ID}
        content = {"messaging_product": "whatsapp", "metadata": metadata, **value}
        entry = {"id": ACCOUNT_ID, "changes": [{"field": field_name, "value": content}]}
        return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()

    async def tell(self, field_name: str = "messages", **value: Any) -> None:
        """Post a webhook until it is taken, as often as `copies` says."""
        body = self.webhook_of(field_name, **value)
        for _ in range(self.copies):
            pause = 0.05
            while True:
                with suppress(httpx.HTTPError):
                    if await self.post(body) == 200:
                        break
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)

    def _soon(self, statuses: Sequence[Mapping[str, Any]]) -> None:
        """Report these, without the sender waiting for it."""
        if self.webhook is None or not statuses:
            return

        async def report() -> None:
            await asyncio.sleep(0.02)
            for status in random.sample(statuses, len(statuses)) if self.shuffled else statuses:
                await self.tell(statuses=[status])

        task = asyncio.create_task(report())
        self._webhooks.add(task)
        task.add_done_callback(self._webhooks.discard)

    async def report(self, message_id: str, status: str, address: str, **more: Any) -> None:
        """Post one status."""
        await self.tell(statuses=[self._status(message_id, status, address, **more)])

    def _status(self, message_id: str, status: str, address: str, **more: Any) -> dict[str, Any]:
        receiver = {"recipient_user_id" if "." in address else "recipient_id": address}
        return {"id": message_id, "status": status, "timestamp": str(int(self.clock())), **receiver, **more}

    # The Graph API

    async def _messages(self, request: Request) -> Response:
        if self.delay:
            await asyncio.sleep(self.delay)
        try:
            self._authorized(request, "number", PHONE_NUMBER_ID)
            asked = await _json(request)
            self.calls.append(("messages", asked))
            if asked.get("status") == "read":
                return self._read(asked)
            if self._wrong:
                raise self._wrong.pop(0)
            address, said = self._checked(asked)
        except Wrong as wrong:
            return _refusal(wrong)
        except (KeyError, TypeError, AttributeError):
            return _refusal(Wrong(100, "not the shape of a message"))
        self.sent[address].append(said)
        ours = {"biz_opaque_callback_data": said.our_id} if said.our_id is not None else {}
        if self._late:
            error = {"code": self._late.pop(0), "title": "as a test asked"}
            self._soon([self._status(said.id, "failed", address, errors=[error], **ours)])
        else:
            self._soon([self._status(said.id, status, address, **ours) for status in self.statuses])
        if self._lost:
            self._lost -= 1
            return _Cut()
        contact = {"input": address, "user_id" if "." in address else "wa_id": address}
        answer = {"messaging_product": "whatsapp", "contacts": [contact], "messages": [{"id": said.id}]}
        return JSONResponse(answer)

    def _read(self, asked: Mapping[str, Any]) -> Response:
        if not isinstance(asked.get("message_id"), str):
            raise Wrong(100, "message_id is missing")
        if asked.get("typing_indicator", {"type": "text"}) != {"type": "text"}:
            raise Wrong(100, "typing_indicator")
        self.seen.append(asked)
        return JSONResponse({"success": True})

    def _checked(self, asked: Mapping[str, Any]) -> tuple[str, Said]:
        _only(asked, _ENVELOPE)
        if asked.get("messaging_product") != "whatsapp":
            raise Wrong(100, "messaging_product")
        if ("to" in asked) == ("recipient" in asked):
            raise Wrong(131009, "one of to and recipient")
        address = str(asked.get("to") or asked.get("recipient"))
        if ("to" in asked) != address.isdigit():
            raise Wrong(131009, "a number goes into to, a user id into recipient")
        our_id = asked.get("biz_opaque_callback_data")
        if our_id is not None and not (isinstance(our_id, str) and len(our_id) <= 512):
            raise Wrong(131009, "biz_opaque_callback_data")
        said = _SHAPES.get(str(asked.get("type")), _unknown)(self, asked, f"wamid.{uuid.uuid4().hex}")
        if said.kind != "template" and self.clock() - self.heard.get(address, 0) > WINDOW:
            raise Wrong(131047, "more than 24 hours have passed")
        self._within_limits(address)
        if said.kind == "template" and self.clock() - self.heard.get(address, 0) > WINDOW:
            self._opens(address)
        self.moments.append(self.clock())
        return address, said

    def _opens(self, address: str) -> None:
        """The portfolio's limit of people who are written to first in 24 hours."""
        now = self.clock()
        others = [one for one, when in self.opened.items() if now - when < WINDOW and one != address]
        if len(others) >= self.people_a_day:
            raise Wrong(131048, "the messaging limit of the portfolio")
        self.opened[address] = now

    def _within_limits(self, address: str) -> None:
        now = self.clock()
        self._second = [moment for moment in self._second if now - moment < 1]
        if len(self._second) >= A_SECOND:
            raise Wrong(130429, "too many messages a second", 429)
        left, counted = self._pairs.get(address, (float(PAIR_BURST), now))
        left = min(PAIR_BURST, left + (now - counted) / PAIR_PAUSE)
        if left < 1:
            raise Wrong(131056, "too many messages to this person")
        self._pairs[address] = (left - 1, now)
        self._second.append(now)

    def _authorized(self, request: Request, part: str, right: str) -> None:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            raise Wrong(190, "the access token is not valid", 401)
        if request.path_params[part] != right:
            raise Wrong(100, "no such object", 404)

    async def _templates(self, request: Request) -> Response:
        try:
            self._authorized(request, "account", ACCOUNT_ID)
        except Wrong as wrong:
            return _refusal(wrong)
        start, page = int(request.query_params.get("after", 0)), 5
        found = self.templates[start : start + page]
        paging: dict[str, Any] = {"cursors": {"before": str(start), "after": str(start + page)}}
        if start + page < len(self.templates):
            paging["next"] = f"{self.url}{request.url.path}?after={start + page}"
        return JSONResponse({"data": found, "paging": paging})

    async def _media(self, request: Request) -> Response:
        media = request.path_params["media"]
        try:
            self._authorized(request, "media", media if media in (*self.files, PHONE_NUMBER_ID) else "")
        except Wrong as wrong:
            return _refusal(wrong)
        if media == PHONE_NUMBER_ID:
            return JSONResponse({"id": media, "display_phone_number": "+212 5 22 00 00 00", "quality_rating": "GREEN"})
        content, mime_type = self.files[media]
        return JSONResponse(
            {
                "messaging_product": "whatsapp",
                "url": f"{self.url}/files/{media}",
                "mime_type": mime_type,
                "sha256": hashlib.sha256(content).hexdigest(),
                "file_size": 1 if self.understated else len(content),
                "id": media,
            }
        )

    async def _upload(self, request: Request) -> Response:
        try:
            self._authorized(request, "number", PHONE_NUMBER_ID)
            head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode()
            parts = email.message_from_bytes(head + await request.body()).get_payload()
            if not isinstance(parts, list):
                raise Wrong(100, "not a form")
            given = {part.get_param("name", header="content-disposition"): part for part in parts}  # type: ignore[union-attr]
            if set(given) != {"messaging_product", "type", "file"}:
                raise Wrong(100, "the form's fields")
            content, mime_type = given["file"].get_payload(decode=True), given["type"].get_payload()  # type: ignore[union-attr]
            if given["file"].get_content_type() != mime_type or mime_type not in UPLOADS:  # type: ignore[union-attr]
                raise Wrong(131053, "a type that is not taken")
            if not isinstance(content, bytes) or not 0 < len(content) <= UPLOADS[mime_type] * 1024 * 1024:
                raise Wrong(131053, "the size")
        except Wrong as wrong:
            return _refusal(wrong)
        media = str(uuid.uuid4().int)[:15]
        self.files[media] = (content, mime_type)
        return JSONResponse({"id": media})

    async def _content(self, request: Request) -> Response:
        media = request.path_params["media"]
        try:
            self._authorized(request, "media", media if media in self.files else "")
        except Wrong as wrong:
            return Response(status_code=wrong.status)
        content, mime_type = self.files[media]
        return Response(content, media_type=mime_type)


def signed(body: bytes, secret: str = APP_SECRET) -> str:
    """The header that Meta sends with these bytes."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class _Cut(Response):
    """An answer that breaks off before its end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"messages": [', "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _json(request: Request) -> Mapping[str, Any]:
    try:
        asked = json.loads(await request.body())
    except (ValueError, ClientDisconnect):  # the latter: who asked was killed meanwhile
        asked = None
    if not isinstance(asked, dict):
        raise Wrong(100, "no JSON object")
    return asked


def _refusal(wrong: Wrong) -> Response:
    error = {
        "message": f"(#{wrong.code}) to +212600000001",  # Meta's words may hold what no log of ours may
        "type": "OAuthException",
        "code": wrong.code,
        "error_data": {"messaging_product": "whatsapp", "details": wrong.details},
        "fbtrace_id": "A1b2C3",
    }
    return JSONResponse({"error": error}, status_code=wrong.status)


# What a message may look like


def _only(given: Mapping[str, Any], allowed: set[str]) -> None:
    for name in given:
        if name not in allowed:
            raise Wrong(100, f"unexpected key {name}")


def _sized(words: Any, longest: int, what: str) -> str:
    if not isinstance(words, str) or not words.strip() or len(words) > longest:
        raise Wrong(100, f"{what}: 1 to {longest} characters")
    return words


def _text(server: WhatsAppServer, asked: Mapping[str, Any], message_id: str) -> Said:
    _only(asked["text"], {"body", "preview_url"})
    return Said(message_id, _sized(asked["text"].get("body"), 4096, "body"), (), "text", _ours(asked))


def _interactive(server: WhatsAppServer, asked: Mapping[str, Any], message_id: str) -> Said:
    content = asked["interactive"]
    _only(content, {"type", "body", "header", "footer", "action"})
    body = _sized(content["body"].get("text"), 1024, "body")
    action = content["action"]
    if content["type"] == "button":
        _only(action, {"buttons"})
        replies = [one["reply"] for one in action["buttons"]]
        longest_title, longest_id, most = 20, 256, 3
    elif content["type"] == "list":
        _only(action, {"button", "sections"})
        _sized(action["button"], 20, "the list's button")
        replies = [row for section in action["sections"] for row in section["rows"]]
        longest_title, longest_id, most = 24, 200, 10
    else:
        raise Wrong(131009, "interactive type")
    if not 1 <= len(replies) <= most:
        raise Wrong(131009, f"1 to {most} choices")
    for reply in replies:
        _only(reply, {"id", "title"} if content["type"] == "button" else {"id", "title", "description"})
        if _sized(reply["id"], longest_id, "id") != reply["id"].strip():
            raise Wrong(131009, "spaces around an id")
        _sized(reply["title"], longest_title, "title")
        if "description" in reply:
            _sized(reply["description"], 72, "description")
    for part in ("id", "title"):
        if len({reply[part] for reply in replies}) < len(replies):
            raise Wrong(131009, f"the same {part} twice")
    buttons = tuple((reply["title"], reply["id"]) for reply in replies)
    described = tuple(reply.get("description", "") for reply in replies)
    return Said(message_id, body, buttons, content["type"], _ours(asked), described)


def _template(server: WhatsAppServer, asked: Mapping[str, Any], message_id: str) -> Said:
    content = asked["template"]
    _only(content, {"name", "language", "components"})
    if content["language"].get("policy") != "deterministic":
        raise Wrong(100, "language policy")
    key = (content["name"], content["language"]["code"])
    known = next((one for one in server.templates if (one["name"], one["language"]) == key), None)
    if known is None or known["status"] not in ("APPROVED", "PAUSED", "DISABLED"):
        raise Wrong(132001, "the template does not exist in this language")
    if known["status"] != "APPROVED":
        raise Wrong(132015 if known["status"] == "PAUSED" else 132016, known["status"])
    words = next(one["text"] for one in known["components"] if one["type"] == "BODY")
    titles = [button["text"] for one in known["components"] if one["type"] == "BUTTONS" for button in one["buttons"]]
    payloads = list(titles)
    values: list[str] = []
    for component in content.get("components", ()):
        if component["type"] == "body":
            values = [one["text"] for one in component["parameters"]]
        else:
            if int(component["index"]) >= len(titles):
                raise Wrong(132000, "no such button")
            payloads[int(component["index"])] = component["parameters"][0]["payload"]
    if len(values) != words.count("{{"):
        raise Wrong(132000, "the number of values")
    for number, value in enumerate(values, 1):
        if not value or any(mark in value for mark in ("\n", "\t", "     ")):
            raise Wrong(132012, "a value's format")
        words = words.replace(f"{{{{{number}}}}}", value)
    return Said(message_id, words, tuple(zip(titles, payloads, strict=True)), "template", _ours(asked))


def _file(server: WhatsAppServer, asked: Mapping[str, Any], message_id: str) -> Said:
    kind = asked["type"]
    _only(asked[kind], {"id", "caption"} if kind == "image" else {"id"})
    words = _sized(asked[kind]["caption"], 1024, "caption") if "caption" in asked[kind] else ""
    content, mime_type = server.files.get(asked[kind]["id"], (b"", ""))
    if not mime_type.startswith(f"{kind}/"):
        raise Wrong(131009, "no such file of this kind")
    return Said(message_id, words, (), kind, _ours(asked), file=(content, mime_type))


def _unknown(server: WhatsAppServer, asked: Mapping[str, Any], message_id: str) -> Said:
    raise Wrong(131009, "type")


def _ours(asked: Mapping[str, Any]) -> str | None:
    found: str | None = asked.get("biz_opaque_callback_data")
    return found


_SHAPES: Mapping[str, Callable[[WhatsAppServer, Mapping[str, Any], str], Said]] = {
    "text": _text,
    "interactive": _interactive,
    "template": _template,
    "image": _file,
    "audio": _file,
}


# People


@dataclass(slots=True)
class Person:
    """Someone with WhatsApp on their telephone: known by number, by user id, or both."""

    server: WhatsAppServer
    number: str | None = field(default_factory=lambda: str(next(_numbers)))
    user_id: str | None = None
    name: str = "Awa"

    @property
    def address(self) -> str:
        """What the assistant is expected to write to."""
        return self.user_id or self.number or ""

    async def send_text(self, text: str) -> str:
        """Write a message; its id."""
        return await self.send("text", {"body": text})

    async def press(self, button: str, answered: bool = True) -> str:
        """Press the newest button with this title; any other text is sent as a button's id, as it is."""
        for said in reversed(self.history()):
            for title, button_id in said.buttons:
                if title == button:
                    return await self._press(said, title, button_id, answered)
        reply = {"type": "button_reply", "button_reply": {"id": button, "title": button}}
        return await self.send("interactive", reply)

    async def _press(self, said: Said, title: str, button_id: str, answered: bool) -> str:
        context = {"context": {"from": "212522000000", "id": said.id}} if answered else {}
        if said.kind == "template":
            return await self.send("button", {"payload": button_id, "text": title}, **context)
        kind = f"{said.kind}_reply"
        return await self.send("interactive", {"type": kind, kind: {"id": button_id, "title": title}}, **context)

    async def send_file(self, kind: str, content: bytes, mime_type: str, **more: Any) -> str:
        """Send a picture, a voice note, a document."""
        media = str(uuid.uuid4().int)[:15]
        self.server.files[media] = (content, mime_type)
        sha256 = base64.b64encode(hashlib.sha256(content).digest()).decode()
        return await self.send(kind, {"id": media, "mime_type": mime_type, "sha256": sha256, **more})

    async def send(self, kind: str, content: Any, **more: Any) -> str:
        """Send anything: `send("location", {…})`; its id."""
        message_id = f"wamid.{uuid.uuid4().hex}"
        await self.send_all([self.message(kind, content, message_id=message_id, **more)])
        return message_id

    async def send_all(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Several messages in one webhook."""
        self.server.heard[self.address] = self.server.clock()
        ids = {"wa_id": self.number, "user_id": self.user_id}
        contact = {"profile": {"name": self.name}, **{key: value for key, value in ids.items() if value}}
        await self.server.tell(contacts=[contact], messages=list(messages))

    def message(self, kind: str, content: Any, message_id: str | None = None, **more: Any) -> dict[str, Any]:
        """One message as a webhook has it."""
        ids = {"from": self.number, "from_user_id": self.user_id}
        return {
            **{key: value for key, value in ids.items() if value},
            "id": message_id or f"wamid.{uuid.uuid4().hex}",
            "timestamp": str(int(self.server.clock())),
            "type": kind,
            kind: content,
            **more,
        }

    def history(self) -> list[Said]:
        """Everything that the assistant has written to this person, the oldest first."""
        return [said for address in {self.number, self.user_id} - {None} for said in self.server.sent[str(address)]]

    async def answer(self, number: int, patience: float = PATIENCE) -> Said:
        """The assistant's message of this number, from 1; `TimeoutError` when it does not come."""
        async with asyncio.timeout(patience):
            while len(self.history()) < number:  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.02)
        return self.history()[number - 1]


# A demo


async def demo(port: int, webhook: str) -> None:
    """Serve, and let whoever sits here be a person: a line is a message, `#2` presses the second button."""
    show = sys.stdout.write
    async with WhatsAppServer(port, webhook) as server:
        show(
            f"WhatsApp is at {server.url}. Start Rafiq with\n"
            f"  WHATSAPP_API_URL={server.url} WHATSAPP_TOKEN={TOKEN} WHATSAPP_PHONE_NUMBER_ID={PHONE_NUMBER_ID} \\\n"
            f"  WHATSAPP_ACCOUNT_ID={ACCOUNT_ID} WHATSAPP_APP_SECRET={APP_SECRET} "
            f"WHATSAPP_VERIFY_TOKEN={VERIFY_TOKEN}\nthen write here.\n"
        )
        person, shown = Person(server), 0

        async def listen() -> None:
            nonlocal shown
            while True:
                for said in person.history()[shown:]:
                    shown += 1
                    lines = [f"   #{number} [{title}]" for number, title in enumerate(said.titles, 1)]
                    show("\n".join([f"‹ {said.text}", *lines]) + "\n")
                await asyncio.sleep(0.1)

        listening = asyncio.create_task(listen())
        while line := await asyncio.to_thread(sys.stdin.readline):
            words = line.strip()
            said = next((one for one in reversed(person.history()) if one.buttons), None)
            if said is not None and words.startswith("#") and words[1:].isdigit():
                await person.press(said.titles[min(int(words[1:]), len(said.titles)) - 1])
            elif words:
                await person.send_text(words)
        listening.cancel()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(
            demo(
                int(os.environ.get("PORT", "8090")),
                os.environ.get("WEBHOOK", "http://127.0.0.1:8080/whatsapp/webhook"),
            )
        )
