"""Reading what was sent to us: a body within its limit, words without what breaks whatever keeps or shows them; and
what was sent by nobody whom we know.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any

import structlog
from starlette.requests import Request

from bot import metrics
from bot.channels import Malformed

log = structlog.get_logger()
LONGEST_NUMBER = 40  # digits: a longer one is no platform's
FORGED_AGAIN = 60.0  # seconds between two lines about forged requests at one door
_forged: dict[str, tuple[float, int]] = {}  # when the last line was, and how many came since
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class TooLarge(Exception):
    """The body is larger than this address takes: answered 413."""


async def read_body(request: Request, largest: int) -> bytes:
    """The raw bytes, at most `largest` of them."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > largest:
        raise TooLarge
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > largest:
            raise TooLarge
    return bytes(body)


def read_json(body: bytes) -> Any:
    """The value that a platform sent, whatever it is; what says `null` is not there. Raises `Malformed`."""
    try:
        return json.loads(body.decode(), object_pairs_hook=_said, parse_int=_number)
    except (ValueError, RecursionError):
        raise Malformed("not JSON") from None


def _said(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in pairs if value is not None}


def _number(digits: str) -> int | None:
    return int(digits) if len(digits) <= LONGEST_NUMBER else None


def readable(words: str) -> str:
    """The text without what no database and no encoding takes: NUL and halves of characters."""
    return _LONE_SURROGATE.sub("\ufffd", words.replace("\0", ""))


def forged(door: str) -> None:
    """Count a request that was not signed as it should be, and say so once a minute, however many come."""
    metrics.FORGED.labels(door).inc()
    now = time.monotonic()
    last, since = _forged.get(door, (now - FORGED_AGAIN, 0))
    if now - last < FORGED_AGAIN:
        _forged[door] = (last, since + 1)
        return
    _forged[door] = (now, 0)
    more = {"unsaid": since} if since else {}
    log.warning("refused a request that was not signed as it should be", door=door, **more)
