"""A person at the terminal channel, as a journey test drives them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx

from bot.settings import Settings


@dataclass
class Talk:
    """One person: says, presses, and remembers what the assistant said last."""

    settings: Settings
    user: str = field(default_factory=lambda: f"test-{uuid.uuid4()}")
    language: str | None = None
    last: int = 0
    messages: list[dict[str, Any]] = field(default_factory=list)

    async def say(self, text: str) -> str:
        """Type a text; all that the assistant says in that turn."""
        return await self._turn("text", text)

    async def press(self, button: str) -> str:
        """Press the button of this title (or the only one whose title begins so)."""
        titles = [b["title"] for message in self.messages for b in message["buttons"]]
        matching = [title for title in titles if title.startswith(button)]
        assert matching, f"no button {button!r} among {titles}"
        return await self._turn("press", matching[0])

    async def start(self) -> str:
        """Open the conversation."""
        return await self._turn("start", "")

    @property
    def buttons(self) -> list[str]:
        """The titles under the last messages."""
        return [button["title"] for message in self.messages for button in message["buttons"]]

    @property
    def spoken(self) -> str:
        """The language of the last message."""
        return str(self.messages[-1]["language"])

    async def _turn(self, kind: str, text: str) -> str:
        body: dict[str, Any] = {"id": str(uuid.uuid4()), "user": self.user, "kind": kind, "text": text}
        if self.language:
            body["language"] = self.language
        async with httpx.AsyncClient(
            base_url=self.settings.own_url,
            headers={"authorization": f"Bearer {self.settings.local_token}"},
            timeout=60,
            trust_env=False,
        ) as client:
            response = await client.post("/terminal/turns", json=body, params={"after": self.last})
        response.raise_for_status()
        outcome = response.json()
        self.last, self.messages = outcome["last"], outcome["messages"]
        return "\n\n".join(message["text"] for message in self.messages)
