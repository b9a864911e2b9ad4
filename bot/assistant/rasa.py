"""Rasa's client: one turn in, replies and understanding out; a breaker so that a dead Rasa costs nobody time."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx


class RasaDown(Exception):
    """Rasa did not answer this turn: it is down, slow, or failed."""


@dataclass(frozen=True, slots=True)
class Understanding:
    """What a message means: labels with confidences between 0 and 1, the best first."""

    intent: str | None = None
    confidence: float = 0.0
    ranking: tuple[tuple[str, float], ...] = ()
    entities: tuple[Mapping[str, Any], ...] = ()

    @property
    def label(self) -> str | None:
        """The topic or intent of the catalogue; `intent` is « question » for every topic."""
        return self.ranking[0][0] if self.ranking else None


@dataclass(frozen=True, slots=True)
class Decision:
    """What Rasa decided: replies as data, and where the form stands."""

    replies: tuple[Mapping[str, Any], ...]
    understanding: Understanding
    form: str | None = None
    asks: str | None = None
    answers: Mapping[str, Any] = field(default_factory=dict)
    turns: int = 0


class Rasa:
    """Talks to our channel inside Rasa's process."""

    def __init__(self, url: str, token: str, timeout: float) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}
        # httpx without its client, which spends half of a call's time on redirects, cookies and the like
        self._transport = httpx.AsyncHTTPTransport(
            # Rasa closes what is idle for five seconds: a call that meets the closing would be a failed turn
            limits=httpx.Limits(max_connections=32, max_keepalive_connections=16, keepalive_expiry=2),
            trust_env=False,
        )
        self._timeout = timeout
        self._failures = 0
        self._open_until = 0.0

    @property
    def available(self) -> bool:
        """Whether a turn may be tried now: after failures in a row, only now and then."""
        return time.monotonic() >= self._open_until

    async def turn(
        self,
        conversation: str,
        message_id: str,
        *,
        text: str | None = None,
        vector: Any = None,
        intent: str | None = None,
        slots: Mapping[str, Any] | None = None,
    ) -> Decision:
        """Take one turn; the same message id again gives the same answer. Raises `RasaDown`.

        `vector` is the text's sentence vector (`nlu.encoder`), so that Rasa need not make it again.
        """
        body: dict[str, Any] = {"conversation": conversation, "message_id": message_id}
        if intent is None:
            body |= {"text": text, "vector": _packed(vector)}
        else:
            body |= {"intent": intent, "slots": dict(slots or {})}
        answer = await self._post("/turn", body)
        return Decision(
            replies=tuple(answer["messages"]),
            understanding=_understanding(answer["understanding"]),
            form=answer["form"],
            asks=answer["asks"],
            answers=answer["answers"],
            turns=answer["turns"],
        )

    async def understand(self, texts: Sequence[str], vectors: Sequence[Any] = ()) -> list[Understanding]:
        """What each text means, without a conversation; with their sentence vectors, where they are known."""
        body: dict[str, Any] = {"texts": list(texts)}
        if vectors:
            body["vectors"] = [_packed(vector) for vector in vectors]
        return [_understanding(one) for one in await self._post("/understand", body, 120)]

    async def ready(self) -> bool:
        """Whether Rasa has its model and reaches its database; closes the breaker when it does."""
        try:
            healthy = (await self._call("GET", "/", 3)).status_code == 200
        except httpx.HTTPError:
            return False
        if healthy:
            self._failures, self._open_until = 0, 0.0
        return healthy

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def _post(self, path: str, body: Mapping[str, Any], seconds: float | None = None) -> Any:
        if not self.available:
            raise RasaDown("not tried: it failed a moment ago")
        try:
            response = await self._call("POST", path, seconds or self._timeout, body)
            if response.status_code != 200:
                raise RasaDown(f"status {response.status_code}")
            answer = response.json()
            if not answer:  # Rasa's own way of hiding a failure
                raise RasaDown("an empty answer")
        except (httpx.HTTPError, ValueError) as error:
            self._failed()
            raise RasaDown(type(error).__name__) from error
        except RasaDown:
            self._failed()
            raise
        self._failures, self._open_until = 0, 0.0
        return answer

    async def _call(self, method: str, path: str, seconds: float, body: Any = None) -> httpx.Response:
        within = httpx.Timeout(seconds, connect=2.0).as_dict()
        request = httpx.Request(
            method, self._url + path, headers=self._headers, json=body, extensions={"timeout": within}
        )
        response = await self._transport.handle_async_request(request)
        try:
            await response.aread()
        finally:
            await response.aclose()
        return response

    def _failed(self) -> None:
        self._failures += 1
        if self._failures >= 2:
            self._open_until = time.monotonic() + min(5.0, 0.5 * 2**self._failures)


def _packed(vector: Any) -> str | None:
    return None if vector is None else base64.b64encode(vector.tobytes()).decode()


def _understanding(answer: Mapping[str, Any]) -> Understanding:
    return Understanding(
        intent=answer.get("intent"),
        confidence=float(answer.get("confidence") or 0),
        ranking=tuple((r["label"], float(r["confidence"])) for r in answer.get("ranking") or ()),
        entities=tuple(answer.get("entities") or ()),
    )
