"""The other end of the terminal channel: what `rafiq chat` does with lines."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any, TextIO

import httpx


class Terminal:
    """One conversation in a terminal, for people or (as JSON lines) for scripts."""

    def __init__(self, client: httpx.AsyncClient, user: str, language: str, as_json: bool) -> None:
        self._client = client
        self._user = user
        self._language = language
        self._as_json = as_json
        self._last = 0

    async def run(self, lines: TextIO, out: TextIO) -> None:
        """Read until the input ends; answer each line before the next is read."""
        if not self._as_json:
            self._show(await self._post("start", ""), out)
        while line := await asyncio.to_thread(lines.readline):
            if not line.strip() and not self._as_json:
                continue
            try:
                kind, text = self._read(line)
            except ValueError as error:
                print(json.dumps({"error": str(error)}), file=out, flush=True)
                continue
            self._show(await self._post(kind, text), out)

    def _read(self, line: str) -> tuple[str, str]:
        if not self._as_json:
            return "text", line.rstrip("\n")
        said = json.loads(line)
        if isinstance(said, dict) and isinstance(said.get("press"), str):
            return "press", said["press"]
        if isinstance(said, dict) and isinstance(said.get("text"), str):
            return "text", said["text"]
        raise ValueError('expected {"text": "..."} or {"press": "..."}')

    async def _post(self, kind: str, text: str) -> dict[str, Any]:
        body = {"id": str(uuid.uuid4()), "user": self._user, "kind": kind, "text": text}
        if self._language:
            body["language"] = self._language
        response = await self._client.post(
            "/terminal/turns",
            content=json.dumps(body).encode(),  # ASCII: what a terminal types may be no valid Unicode
            headers={"content-type": "application/json"},
            params={"after": self._last},
        )
        response.raise_for_status()
        outcome: dict[str, Any] = response.json()
        self._last = outcome["last"]
        return outcome

    def _show(self, outcome: dict[str, Any], out: TextIO) -> None:
        for message in outcome["messages"]:
            if self._as_json:
                shown = {key: message[key] for key in ("text", "buttons", "id", "language")}
                print(json.dumps(shown, ensure_ascii=False), file=out)
                continue
            print(f"\n{message['text']}", file=out)
            for number, button in enumerate(message["buttons"], 1):
                print(f"  [{number}] {button['title']}", file=out)
        if self._as_json:
            print(json.dumps({"turn": outcome["turn"]}), file=out, flush=True)
        else:
            print("\n> ", end="", file=out, flush=True)
