"""The signed webhook: how an event is posted where nothing else is set.

Standard Webhooks (https://www.standardwebhooks.com) on the wire: the same id and the same bytes at every attempt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import standardwebhooks

from bot.cases.delivery import Event, Failure, outcome


@dataclass(frozen=True, slots=True)
class Webhook:
    """A case backend that takes our events as they are. `secrets`: all that sign, the current one first."""

    url: str
    secrets: Sequence[str] = field(repr=False)
    newest_only: bool = field(default=False, init=False)  # the receiver orders by `occurred_at`

    async def post(self, client: httpx.AsyncClient, event: Event, overtaken: bool = False) -> Failure | None:
        """Post it once; None when the backend has it."""
        content = body(event.payload)
        sent = headers(self.secrets, str(event.id), content)
        # the status is the whole answer: the body is not read, however long it is
        async with client.stream("POST", self.url, content=content, headers=sent) as response:
            return outcome(response)


def body(payload: Mapping[str, Any]) -> bytes:
    """The bytes of an event: compact JSON with sorted keys in UTF-8, the same at every attempt."""
    return json.dumps(payload, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def headers(secrets: Sequence[str], event_id: str, content: bytes) -> dict[str, str]:
    """What goes with these bytes now: the id, the time, and a signature by every secret."""
    now = datetime.now(UTC).replace(microsecond=0)
    signed = content.decode()  # standardwebhooks takes text and signs its UTF-8: the same bytes
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(
            standardwebhooks.Webhook(secret).sign(event_id, now, signed) for secret in secrets
        ),
        "content-type": "application/json",
        "user-agent": "rafiq",
    }
