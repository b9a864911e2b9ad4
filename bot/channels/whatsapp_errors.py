"""What the error codes of WhatsApp's Cloud API mean for a message of ours.

The code decides, never the title: Meta changes titles. Nothing of Meta's own words gets into an exception, since
they may name a telephone number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bot.messages import (
    ChannelDown,
    IdentityChanged,
    NoTemplate,
    NotNow,
    Refused,
    Retryable,
    SendError,
    Throttled,
    Unreachable,
    Unwelcome,
    WindowClosed,
)

PAIR_LIMIT = 131056  # too many messages to this one person
SPAM = 131048  # people blocked or reported what this number sent
# Too fast, for the whole channel: seconds of silence when the answer names none.
CHANNEL_LIMITS: Mapping[int, float] = {
    4: 60,  # the app's calls
    80007: 60,  # the account's calls
    130429: 5,  # the number's messages a second
    131064: 60,
    133016: 60,
}
TRANSIENT = frozenset({1, 2, 131000, 131016, 131053, 131057})
WINDOW = frozenset({131047})
GONE = frozenset({131021, 131026, 131030})
NOT_NOW = frozenset({130472, 131049, 131050})
NO_TEMPLATE = frozenset({132001, 132015, 132016})
ACCOUNT = frozenset({0, 3, 10, 33, 190, *range(200, 300), 368, 130497, 131031, 131037, 131042, 131045})
IDENTITY = frozenset({131062, 137000})
_CODE = re.compile(r"[0-9]{1,9}")  # as some gateways in between write it


def failure(code: int | None, status: int = 400, retry_after: float | None = None) -> SendError:
    """The failure of this error code; of this HTTP status where no code came along or none that we know."""
    why = f"error {code}" if code is not None else f"HTTP {status}"
    if code == PAIR_LIMIT:
        return Throttled(why, retry_after, "chat")
    if code == SPAM:
        return Unwelcome(why, retry_after)
    if code is not None and code in CHANNEL_LIMITS:
        return Throttled(why, retry_after or CHANNEL_LIMITS[code], "channel")
    if code in TRANSIENT:
        return Retryable(why, retry_after)
    if code in NOT_NOW:
        return NotNow(why)
    for codes, kind in _KINDS:
        if code in codes:
            return kind(why)
    if status == 429:
        return Throttled(why, retry_after or 5, "channel")
    if status >= 500:
        return Retryable(why, retry_after)
    if status in (401, 403):
        return ChannelDown(why)
    return Refused(why)


_KINDS: tuple[tuple[frozenset[int], type[SendError]], ...] = (
    (WINDOW, WindowClosed),
    (GONE, Unreachable),
    (NO_TEMPLATE, NoTemplate),
    (ACCOUNT, ChannelDown),
    (IDENTITY, IdentityChanged),
)


def code_of(error: Any) -> int | None:
    """The code of one of Meta's error objects; None where it has none."""
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and _CODE.fullmatch(code):
        return int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) else None
