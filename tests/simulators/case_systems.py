"""Primero, CommCare and RapidPro as far as our events reach them, strict about what their documents say.

Each is built from the system's public documentation and sources, named in its docstring; nothing here was made
from our own mappings. `trouble` makes the next requests fail, before or after their effect.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass(frozen=True)
class Trouble:
    """How a request fails: with this answer; `late`: only after it had its effect."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    late: bool = False


class CaseSystem:
    """A server on loopback that notes every request: `requests` holds method, path and body."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))  # it listens from now on: nobody has to wait for it
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.requests: list[tuple[str, str, Any]] = []
        self.trouble: list[Trouble | None] = []  # of the next requests, in order

    async def answer(self, request: Request, body: Any) -> Response:
        """What the system answers; the systems differ here."""
        raise NotImplementedError

    async def _receive(self, request: Request) -> Response:
        content = await request.body()
        body = await request.json() if content else None
        self.requests.append((request.method, request.url.path, body))
        trouble = self.trouble.pop(0) if self.trouble else None
        if trouble is not None and not trouble.late:
            return Response(status_code=trouble.status, headers=trouble.headers)
        response = await self.answer(request, body)
        return response if trouble is None else Response(status_code=trouble.status, headers=trouble.headers)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen while this is entered."""
        app = Starlette(
            routes=[Route("/{path:path}", self._receive, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])]
        )
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[self._socket]))
        try:
            yield
        finally:
            server.should_exit = True
            await serving


class Primero(CaseSystem):
    """Primero v2 (github.com/primeroIMS/primero).

    doc/api/tokens/post.md: credentials give a token in the answer's Authorization header.
    doc/api/cases/post.md: 204 with an `id` of ours (a UUID), 200 without, 409 where it exists, 422 for a wrong field.
    doc/api/cases/id/patch.md: merges what is named; 404.
    app/controllers/api/v2/concerns/record.rb: fields that the user may not write are dropped.
    """

    USER, PASSWORD = "rafiq", "mysecretpassw0rd"

    def __init__(self, fields: set[str]) -> None:
        super().__init__()
        self.fields = {"id", "name", "status", "risk_level"} | fields
        self.cases: dict[str, dict[str, Any]] = {}
        self.tokens: set[str] = set()
        self.logins = 0

    async def answer(self, request: Request, body: Any) -> Response:
        if (request.method, request.url.path) == ("POST", "/api/v2/tokens"):
            return self._login(body)
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return JSONResponse({"error": "You need to sign in"}, 401)
        match = re.fullmatch(r"/api/v2/cases(?:/([^/]+))?", request.url.path)
        if match is None or not isinstance(body, dict) or not isinstance(body.get("data"), dict):
            return self._error(request, 404, "Not Found")
        wanted = {name: value for name, value in body["data"].items() if name in self.fields}
        if wanted.get("risk_level", "low") not in ("high", "medium", "low", None):
            return self._error(request, 422, "is not included in the list", "risk_level")
        if request.method == "POST" and match[1] is None:
            return self._create(request, wanted)
        if request.method == "PATCH" and match[1] in self.cases:
            self.cases[match[1]] |= wanted
            return JSONResponse({"data": wanted})
        return self._error(request, 404, "Not Found")

    def _login(self, body: Any) -> Response:
        if body != {"user": {"user_name": self.USER, "password": self.PASSWORD}}:
            return JSONResponse({"error": "Invalid User name or password."}, 401)
        self.logins += 1
        token = secrets.token_urlsafe()
        self.tokens.add(token)
        return JSONResponse({"user_name": self.USER}, headers={"authorization": f"Bearer {token}"})

    def _create(self, request: Request, wanted: dict[str, Any]) -> Response:
        key = wanted.get("id") or str(uuid.uuid4())
        if str(uuid.UUID(key)) != key:
            return self._error(request, 422, "must be formatted as a UUID", "id")
        if key in self.cases:
            return self._error(request, 409, "Conflict")
        self.cases[key] = wanted
        return Response(status_code=204) if "id" in wanted else JSONResponse({"data": wanted})

    def _error(self, request: Request, status: int, message: str, detail: str = "") -> Response:
        error = {"code": status, "resource": request.url.path, "message": message}
        return JSONResponse({"errors": [{**error, "detail": detail} if detail else error]}, status)


class CommCare(CaseSystem):
    """CommCare's case API v2 (github.com/dimagi/commcare-hq).

    docs/api/cases-v2.rst: PUT /ext/<id>/ creates or updates; every value but `close` is a string; property names
    are XML element names; case_type, case_name and owner_id are required for a new case, 255 characters at most.
    docs/api/spec/case-v2.json: `Authorization: ApiKey <username>:<api_key>`. Which 2xx is not documented there.
    """

    DOMAIN, USER, KEY = "queens-gambit", "rafiq@example.org", "0123456789abcdef"
    KNOWN = frozenset({"case_type", "case_name", "external_id", "owner_id", "properties", "indices", "close"})

    def __init__(self) -> None:
        super().__init__()
        self.cases: dict[str, dict[str, Any]] = {}  # by external id

    async def answer(self, request: Request, body: Any) -> Response:
        if request.headers.get("authorization") != f"ApiKey {self.USER}:{self.KEY}":
            return Response(status_code=401)
        match = re.fullmatch(rf"/a/{self.DOMAIN}/api/case/v2/ext/([^/]+)/", request.url.path)
        if match is None or request.method != "PUT":
            return Response(status_code=404)
        problem = self._problem(match[1], body)
        if problem:
            return JSONResponse({"error": problem}, 400)
        is_new = match[1] not in self.cases
        case = self.cases.setdefault(match[1], {"case_id": str(uuid.uuid4()), "properties": {}, "closed": False})
        case |= {name: body[name] for name in ("case_type", "case_name", "owner_id", "external_id") if name in body}
        case["properties"] |= body.get("properties", {})
        case["closed"] = case["closed"] or body.get("close", False)
        return JSONResponse({"xform_id": str(uuid.uuid4()), "case": case}, 201 if is_new else 200)

    def _problem(self, external_id: str, body: Any) -> str:
        if not isinstance(body, dict) or set(body) - self.KNOWN:
            return "unknown fields"
        texts = {name: value for name, value in body.items() if name not in ("properties", "close", "indices")}
        properties = body.get("properties", {})
        if not all(isinstance(value, str) for value in [*texts.values(), *properties.values()]):
            return "all values must be strings"
        if any(len(value) > 255 for value in texts.values()) or not isinstance(body.get("close", False), bool):
            return "too long, or close is no boolean"
        if not all(re.fullmatch(r"(?!xml)[A-Za-z][A-Za-z0-9_]*", name) for name in properties):
            return "property names must be XML element names"
        if external_id not in self.cases and not {"case_type", "case_name", "owner_id"} <= body.keys():
            return "case_type, case_name and owner_id are required for a new case"
        return ""


class RapidPro(CaseSystem):
    """RapidPro's API v2 (github.com/rapidpro/rapidpro).

    temba/api/v2/tests/test_flow_starts.py: flow is required, one group, contact or URN too, params must be an object,
    at most 100 groups, unknown ones are refused; 201; the list shows the latest first, with params.
    temba/api/v2/serializers.py: in params null becomes "", texts are cut at 640 characters.
    """

    TOKEN = "abcdef0123456789"
    FLOW, GROUP = "f5901b62-ba76-4003-9c62-72fdacc1b7b7", "5a4eb79e-1b1f-4ae3-8700-09384cca385f"

    def __init__(self) -> None:
        super().__init__()
        self.starts: list[dict[str, Any]] = []  # the latest first

    async def answer(self, request: Request, body: Any) -> Response:
        if request.headers.get("authorization") != f"Token {self.TOKEN}":
            return JSONResponse({"detail": "Invalid token"}, 403)
        if request.url.path != "/api/v2/flow_starts.json" or request.method not in ("GET", "POST"):
            return Response(status_code=404)
        if request.method == "GET":
            return JSONResponse({"next": None, "previous": None, "results": self.starts[:250]})
        problem = self._problem(body)
        if problem:
            return JSONResponse(problem, 400)
        now = datetime.now(UTC).isoformat()
        params = {name: "" if value is None else str(value)[:640] for name, value in body.get("params", {}).items()}
        start = {
            "uuid": str(uuid.uuid4()),
            "flow": {"uuid": self.FLOW, "name": "A request"},
            "groups": [{"uuid": self.GROUP, "name": "Counsellors"}],
            "contacts": [],
            "status": "pending",
            "params": params,
            "created_on": now,
            "modified_on": now,
        }
        self.starts.insert(0, start)
        return JSONResponse(start, 201)

    def _problem(self, body: Any) -> dict[str, Any]:
        if not isinstance(body, dict) or "flow" not in body:
            return {"flow": ["This field is required."]}
        if body["flow"] != self.FLOW:
            return {"flow": [f"No such object: {body['flow']}"]}
        if not any(body.get(name) for name in ("groups", "contacts", "urns")):
            return {"non_field_errors": ["Must specify at least one group, contact or URN"]}
        if any(group != self.GROUP for group in body.get("groups", [])):
            return {"groups": ["No such object"]}
        if not isinstance(body.get("params", {}), dict):
            return {"params": ["Must be a valid JSON object"]}
        return {}
