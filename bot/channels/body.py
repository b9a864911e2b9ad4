"""Reading a request's body without letting it grow past its limit."""

from __future__ import annotations

from starlette.requests import Request


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
