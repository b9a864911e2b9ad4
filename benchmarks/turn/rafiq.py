"""Rafiq with everything real but Telegram's own servers: those are a few lines here, as fast as can be."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs

from benchmarks.turn.load import Answer, Connection
from bot import i18n
from bot import settings as configuration
from bot.messages import Language
from bot.settings import PREFIXES, ROOT
from bot.supervisor import free_port

TOKEN = "700000000:" + "b" * 35
_FAILURES = {text for failed in ("rasa_down", "set_aside") for text in i18n.every_language(failed)}
_numbers = itertools.count(1)


class BotApi(asyncio.Protocol):
    """One connection to the Bot API. Every call is good; a sent message is handed to the person it is for."""

    waiting: dict[int, asyncio.Future[Answer]] = {}  # noqa: RUF012 (of all connections)
    unexpected = 0  # messages that nobody waited for: more than one answer to a turn

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody calls."""
        self._transport, self._received = cast(asyncio.Transport, transport), b""

    def data_received(self, data: bytes) -> None:
        """Answer when the request is complete."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        lines = head.decode("latin-1").lower().split("\r\n")
        length = next((int(line[15:]) for line in lines[1:] if line.startswith("content-length:")), 0)
        if len(body) < length:
            return
        self._received = body[length:]
        result = json.dumps({"ok": True, "result": self._call(lines[0].split()[1], body[:length])}).encode()
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(result) + result
        )

    def _call(self, path: str, body: bytes) -> object:
        arrived = time.perf_counter()
        if not path.endswith("/sendmessage"):
            return True
        given = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        chat = int(given["chat_id"])
        keyboard = json.loads(given.get("reply_markup", "{}")).get("inline_keyboard", [])
        waiting = self.waiting.pop(chat, None)
        if waiting is None or waiting.done():
            BotApi.unexpected += 1
        else:
            waiting.set_result(Answer(arrived, given["text"], [b["callback_data"] for row in keyboard for b in row]))
        return {
            "message_id": next(_numbers),
            "date": int(time.time()),
            "chat": {"id": chat, "type": "private", "first_name": "Awa"},
            "text": given["text"],
        }


class Person:
    """Somebody in a private chat with the bot; Telegram posts what they do to the webhook."""

    def __init__(self, port: int, secret: str, language: Language) -> None:
        self._chat = 700_000_000 + next(_numbers)
        self._sender = {"id": self._chat, "is_bot": False, "first_name": "Awa", "language_code": language}
        self._connection = Connection(port)
        self._header = f"X-Telegram-Bot-Api-Secret-Token: {secret}\r\n"

    async def say(self, words: str) -> Answer:
        """Write a message."""
        return await self._happens({"message": {**self._message(), "from": self._sender, "text": words}})

    async def press(self, button: str) -> Answer:
        """Press an inline button."""
        query = {"id": str(next(_numbers)), "from": self._sender, "message": self._message(), "data": button}
        return await self._happens({"callback_query": query})

    def close(self) -> None:
        """Telegram lets the connection go."""
        self._connection.close()

    def _message(self) -> dict[str, object]:
        chat = {"id": self._chat, "type": "private", "first_name": "Awa"}
        return {"message_id": next(_numbers), "date": int(time.time()), "chat": chat}

    async def _happens(self, update: dict[str, object]) -> Answer:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        BotApi.waiting[self._chat] = answer
        body = json.dumps({"update_id": next(_numbers), **update}).encode()
        await self._connection.post("/telegram/webhook", body, self._header)
        if (await answer).text in _FAILURES:
            raise RuntimeError(f"Rafiq failed on a turn and said: {answer.result().text}")
        return answer.result()


class Rafiq:
    """A running Rafiq."""

    def __init__(self, pid: int, port: int, secret: str) -> None:
        self.pid = pid
        self._port, self._secret = port, secret

    def begin(self, language: Language) -> Person:
        """Somebody new."""
        return Person(self._port, self._secret, language)


@asynccontextmanager
async def running(var: Path) -> AsyncIterator[Rafiq]:
    """`rafiq run` with its files in `var` and the models of this checkout; stopped afterwards."""
    configured = configuration.load()
    if configured.database_url or configured.case_webhook_url:
        raise SystemExit("The benchmark writes: take DATABASE_URL and CASE_WEBHOOK_URL out of .env and the environment")
    models = ROOT / "var" / "models"
    models.mkdir(parents=True, exist_ok=True)
    (var / "models").symlink_to(models)
    api = await asyncio.get_running_loop().create_server(BotApi, "127.0.0.1", 0)
    port, secret = free_port(), secrets.token_hex(16)
    given = {
        "RAFIQ_VAR": str(var),
        "RAFIQ_PORT": str(port),
        "RAFIQ_RASA_PORT": str(free_port()),
        "CASE_RECEIVER_PORT": str(free_port()),
        "RAFIQ_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "TELEGRAM_TOKEN": TOKEN,
        "TELEGRAM_WEBHOOK_SECRET": secret,
        "TELEGRAM_MESSAGES_PER_SECOND": "1000",  # what is measured is the turn, not Telegram's limit
        "TELEGRAM_API_URL": f"http://127.0.0.1:{api.sockets[0].getsockname()[1]}",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIXES)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.cli", "run", env={**inherited, **given}, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        while b"ready" not in (line := await process.stdout.readline()):
            if not line:
                raise SystemExit(f"Rafiq does not start: see above and {var / 'log'}")
        yield Rafiq(process.pid, port, secret)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        api.close()
