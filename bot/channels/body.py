"""Reading what was sent to us: a body within its limit, words without what breaks whatever keeps or shows them."""

from __future__ import annotations

import re

from starlette.requests import Request

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


def readable(words: str) -> str:
    """The text without what no database and no encoding takes: NUL and halves of characters."""
    return _LONE_SURROGATE.sub("\ufffd", words.replace("\0", ""))
