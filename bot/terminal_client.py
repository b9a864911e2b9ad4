"""The other end of the terminal channel: what `rafiq chat` does with lines, and how it reads them."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from io import TextIOWrapper
from typing import Any, TextIO

import httpx

from bot.channels.terminal import LONGEST_TEXT

EXPECTED = 'expected {"text": "..."} or {"press": "..."}'


class NoAnswer(Exception):
    """The service does not answer, or not as it should."""


def speak_utf8() -> None:
    """Read and write UTF-8, whatever the machine's locale says; what is none becomes a replacement character.

    A half of a character, which JSON can name, is written as JSON writes it.
    """
    for stream, errors in ((sys.stdin, "replace"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors)


async def lines_of(stream: TextIO) -> AsyncIterator[str]:
    """Each line when it is asked for. A thread of its own waits for it: Ctrl-C need not wait for the next line."""
    while line := await _in_a_thread(stream.readline):
        yield line


async def _in_a_thread(read: Callable[[], str]) -> str:
    said: Future[str] = Future()

    def wait() -> None:
        try:
            said.set_result(read())
        except Exception as error:  # handed to whoever asked
            said.set_exception(error)

    threading.Thread(target=wait, daemon=True).start()
    return await asyncio.wrap_future(said)


class Terminal:
    """One conversation in a terminal, for people or (as JSON lines) for scripts."""

    def __init__(self, client: httpx.AsyncClient, user: str, language: str, as_json: bool) -> None:
        self._client = client
        self._user = user
        self._language = language
        self._as_json = as_json
        self._last = 0

    async def run(self, lines: AsyncIterator[str], out: TextIO) -> None:
        """Read until the input ends; answer each line before the next is read. Raises `NoAnswer`."""
        if not self._as_json:
            self._show(await self._post("start", ""), out)
        async for line in lines:
            if not line.strip() and not self._as_json:
                continue
            try:
                kind, text = self._read(line)
            except ValueError as error:
                self._refuse(str(error), out)
                continue
            self._show(await self._post(kind, text), out)

    def _read(self, line: str) -> tuple[str, str]:
        kind, text = ("text", line.rstrip("\n")) if not self._as_json else _object(line)
        if len(text) > LONGEST_TEXT:
            raise ValueError(f"{len(text)} characters: {LONGEST_TEXT} are the most that is read")
        return kind, text

    def _refuse(self, why: str, out: TextIO) -> None:
        print(json.dumps({"error": why}) if self._as_json else f"\n{why}\n\n> ", file=out, flush=True)

    async def _post(self, kind: str, text: str) -> dict[str, Any]:
        body = {"id": str(uuid.uuid4()), "user": self._user, "kind": kind, "text": text}
        if self._language:
            body["language"] = self._language
        try:
            response = await self._client.post(
                "/terminal/turns",
                content=json.dumps(body).encode(),  # ASCII: what a terminal types may be no valid Unicode
                headers={"content-type": "application/json"},
                params={"after": self._last},
            )
            response.raise_for_status()
        except httpx.HTTPStatusError as error:
            raise NoAnswer(f"the service answers {error.response.status_code}") from None
        except httpx.HTTPError as error:
            raise NoAnswer(f"the service does not answer ({type(error).__name__})") from None
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


def _object(line: str) -> tuple[str, str]:
    """What one line of JSON says: the kind and the words."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError(EXPECTED) from None
    for kind in ("press", "text"):
        if isinstance(said, dict) and isinstance(said.get(kind), str):
            return kind, said[kind]
    raise ValueError(EXPECTED)
