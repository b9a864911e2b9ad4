"""A small case backend to try the webhook with: it verifies, stores once, prints one line an event.

It shares nothing with the sender but the Standard Webhooks specification: a case system that does what
this file does is a correct receiver.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect

LARGEST = 64 * 1024  # bytes of a body
TOLERANCE = 5 * 60  # seconds between the sender's clock and ours
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


class Store:
    """The events received, each once, in an SQLite file under `folder`; it survives a power cut."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = threading.Lock()
        self._file = sqlite3.connect(folder / "events.sqlite", check_same_thread=False, isolation_level=None)
        self._file.execute("PRAGMA synchronous = EXTRA")  # fsync of the file and its folder at each commit
        self._file.execute(
            "CREATE TABLE IF NOT EXISTS event (id TEXT PRIMARY KEY, received_at REAL NOT NULL, body BLOB NOT NULL)"
        )

    def add(self, event_id: str, body: bytes) -> bool:
        """Keep it on disk; False when this id is there already, and nothing is changed."""
        with self._lock:
            added = self._file.execute("INSERT OR IGNORE INTO event VALUES (?, ?, ?)", (event_id, time.time(), body))
            return added.rowcount == 1

    def close(self) -> None:
        """Let the file go."""
        self._file.close()


def is_signed(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Whether one of the secrets signed exactly these bytes, at most five minutes from `now`."""
    event_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not _ID.fullmatch(event_id) or not _TIMESTAMP.fullmatch(timestamp):
        return False
    if abs(now - int(timestamp)) > TOLERANCE:
        return False
    content = f"{event_id}.{timestamp}.".encode() + body
    given = [one.encode() for one in headers.get("webhook-signature", "").split(" ")]
    signed = False
    for secret in secrets:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        expected = b"v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256))
        for one in given:
            signed |= hmac.compare_digest(one, expected)
    return signed


def application(secrets: Sequence[str], folder: Path, show: Callable[[str], None] | None = None) -> FastAPI:
    """The receiver as an ASGI app: post to any of its paths. `show` gets the line of each new event."""
    store = Store(folder)
    app = FastAPI(openapi_url=None)
    app.state.store = store

    @app.post("/{path:path}")
    async def receive(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return Response(status_code=413)
        if not is_signed(secrets, request.headers, body, time.time()):
            return Response(status_code=401)
        try:
            event: Any = json.loads(body)
        except (ValueError, RecursionError):
            return Response(status_code=400)
        if not isinstance(event, dict):
            return Response(status_code=400)
        event_id = request.headers["webhook-id"]
        if await asyncio.to_thread(store.add, event_id, body):
            # ASCII and one line whatever is in it
            (show or _print)(json.dumps({**event, "id": event_id}))
        return Response(status_code=200)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=400)  # nobody reads it

    return app


async def _body(request: Request) -> bytes | None:
    """The raw bytes; None when there are more than we take."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > LARGEST:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            return None
    return bytes(body)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(host: str, port: int, secrets: Sequence[str], folder: Path) -> None:
    """Serve until interrupted; events are kept under `folder`."""
    app = application(secrets, folder)
    try:
        uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False, server_header=False)
    finally:
        app.state.store.close()
