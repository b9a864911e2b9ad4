"""A Rasa that misbehaves on demand: down, slow, failing, or merely counting. For the faults only; else it is real."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

GREETING: dict[str, Any] = {
    "messages": [{"do": "greet"}],
    "understanding": {"intent": "greet", "confidence": 0.9, "ranking": [], "entities": []},
    "form": None,
    "asks": None,
    "answers": {},
    "turns": 1,
}
Behaviour = Callable[[dict[str, Any]], Awaitable[Response]]


@asynccontextmanager
async def listening(app: Starlette, port: int) -> AsyncIterator[None]:
    """The application at this port of the loopback; what still hangs at the end is cut."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = server.force_exit = True
        await serving


class FakeRasa:
    """What it was asked, and how it answers: replace `behave`."""

    def __init__(self) -> None:
        self.turns: list[dict[str, Any]] = []
        self.healthy = True
        self.behave: Behaviour = self.greet

    async def greet(self, body: dict[str, Any]) -> Response:
        """Answer as Rasa does to a hello."""
        return JSONResponse(GREETING)

    async def fail(self, body: dict[str, Any]) -> Response:
        """An internal error."""
        return Response("broken", status_code=500)

    async def say_nothing(self, body: dict[str, Any]) -> Response:
        """What Rasa's own REST channel answers to almost every failure."""
        return JSONResponse([])

    async def hang(self, body: dict[str, Any]) -> Response:
        """Longer than anybody waits."""
        await asyncio.sleep(30)
        return JSONResponse(GREETING)

    async def _turn(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.turns.append(body)
        return await self.behave(body)

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"model": "fake"}, status_code=200 if self.healthy else 503)

    @asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[None]:
        """Listen on this port of the loopback."""
        app = Starlette(
            routes=[
                Route("/webhooks/service/turn", self._turn, methods=["POST"]),
                Route("/webhooks/service/", self._health),
            ]
        )
        async with listening(app, port):
            yield
