"""A Telegram on loopback, the npm package telegram-test-api that nobody here wrote, and people to use it.

`telegram.cjs` beside this file says where it is held to the Bot API more strictly than it holds itself.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from bot.supervisor import free_port

SCRIPT = Path(__file__).with_suffix(".cjs")
PATIENCE = 10.0  # seconds

_person_ids = itertools.count(700_000_001)


@dataclass(frozen=True, slots=True)
class Said:
    """One message of the bot, as a person's telephone shows it."""

    message_id: int
    text: str
    buttons: tuple[tuple[str, str], ...]  # title and callback data, from top to bottom

    @property
    def titles(self) -> tuple[str, ...]:
        """What the buttons read."""
        return tuple(title for title, _ in self.buttons)


class TelegramServer:
    """The server process; `async with TelegramServer() as server`."""

    def __init__(self, port: int | None = None) -> None:
        self.url = f"http://127.0.0.1:{port or free_port()}"
        self._process: asyncio.subprocess.Process | None = None
        self._http = httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=PATIENCE)

    async def __aenter__(self) -> Self:
        if not (SCRIPT.parent.parent / "node_modules" / "telegram-test-api").exists():
            raise RuntimeError("telegram-test-api is missing: run `npm ci --ignore-scripts` in tests/")
        port = self.url.rpartition(":")[2]
        self._process = await asyncio.create_subprocess_exec("node", str(SCRIPT), port, stdout=asyncio.subprocess.PIPE)
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = await self._process.stdout.readline()
        assert json.loads(line or b"{}").get("url") == self.url, "telegram-test-api did not start"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()
        if self._process is not None:
            if self._process.returncode is None:
                self._process.terminate()
            await self._process.communicate()

    async def post(self, path: str, content: Mapping[str, Any]) -> Any:
        """Post JSON to the server; its answer."""
        return (await self._http.post(path, json=content)).raise_for_status().json()

    async def update(self, token: str, update: Mapping[str, Any]) -> None:
        """Any update at all: `{"my_chat_member": {…}}`; its id is given by the server."""
        await self.post("/simulator/update", {"token": token, "update": update})

    async def fail(self, method: str, status: int, body: Mapping[str, Any], times: int = 1) -> None:
        """The next calls of this method are answered so."""
        await self.post("/simulator/fail", {"method": method, "status": status, "body": body, "times": times})

    async def calls(self, method: str) -> list[Mapping[str, Any]]:
        """The parameters of every call of this method so far."""
        made = (await self._http.get("/simulator/calls")).raise_for_status().json()
        return [call["parameters"] for call in made if call["method"] == method]

    async def moments(self, method: str) -> list[tuple[float, str]]:
        """When each call of this method came, and for which chat."""
        made = (await self._http.get("/simulator/calls")).raise_for_status().json()
        return [(call["at"], str(call["parameters"].get("chat_id"))) for call in made if call["method"] == method]


@dataclass(slots=True)
class Person:
    """Someone with Telegram on their telephone, in a private chat with the bot that has this token."""

    server: TelegramServer
    token: str
    language: str | None = "fr"
    name: str = "Awa"
    id: int = field(default_factory=lambda: next(_person_ids))
    _read: int = 0  # how many of the bot's messages `answer` has given out

    async def send_text(self, text: str) -> None:
        """Write a message, or type a command."""
        await self.server.post("/sendMessage", {**self._message(), "text": text})

    async def press(self, button: str) -> None:
        """Press the newest button with this title; any other text is sent as callback data, as it is."""
        shown = [pair for said in reversed(await self.history()) for pair in said.buttons]
        data = next((data for title, data in shown if title == button), button)
        await self.server.post(
            "/sendCallback",
            {"botToken": self.token, "from": self._self(), "message": self._message(), "data": data},
        )

    async def edit(self, message_id: int, text: str) -> None:
        """Change a message that was sent."""
        edited = {**self._message(), "message_id": message_id, "edit_date": int(time.time()), "text": text}
        await self.server.update(self.token, {"edited_message": edited})

    async def send(self, **content: Any) -> None:
        """Send anything that is not text: `send(voice={…})`, `send(photo=[…], caption="…")`."""
        message = {**self._message(), "message_id": int(time.time() * 1000) % 10**9, **content}
        await self.server.update(self.token, {"message": message})

    async def send_file(self, kind: str, content: bytes, caption: str = "") -> None:
        """Send a picture or a voice, which the bot can fetch."""
        file_id = f"sent-{uuid.uuid4().hex}"
        await self.server.post("/simulator/file", {"id": file_id, "base64": base64.b64encode(content).decode()})
        one = {"file_id": file_id, "file_unique_id": file_id}
        await self.send(**{kind: [one] if kind == "photo" else one}, **({"caption": caption} if caption else {}))

    async def block(self, blocked: bool = True) -> None:
        """Block the bot, or let it in again."""
        old, new = ("member", "kicked") if blocked else ("kicked", "member")
        await self.server.update(
            self.token,
            {
                "my_chat_member": {
                    "chat": self._chat(),
                    "from": self._self(),
                    "date": int(time.time()),
                    "old_chat_member": {"status": old},
                    "new_chat_member": {"status": new},
                }
            },
        )

    async def history(self) -> list[Said]:
        """Everything that the bot has written to this person, the oldest first."""
        known = await self.server.post("/getUpdatesHistory", {"token": self.token})
        return [
            Said(
                one["messageId"],
                one["message"]["text"],
                tuple(
                    (button["text"], button["callback_data"])
                    for row in (one["message"].get("reply_markup") or {}).get("inline_keyboard", [])
                    for button in row
                ),
            )
            for one in known["result"]
            if str(one.get("message", {}).get("chat_id")) == str(self.id)
        ]

    async def answer(self, patience: float = PATIENCE) -> Said:
        """The bot's next message that has not been read yet; `TimeoutError` when none comes."""
        async with asyncio.timeout(patience):
            while len(known := await self.history()) <= self._read:  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.02)
        self._read += 1
        return known[self._read - 1]

    def _self(self) -> dict[str, Any]:
        language = {"language_code": self.language} if self.language else {}
        return {"id": self.id, "is_bot": False, "first_name": self.name, **language}

    def _chat(self) -> dict[str, Any]:
        return {"id": self.id, "type": "private", "first_name": self.name}

    def _message(self) -> dict[str, Any]:
        return {
            "botToken": self.token,
            "from": self._self(),
            "chat": self._chat(),
            "date": int(time.time()),
        }
