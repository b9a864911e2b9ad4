"""Named points where a test can make this process die, as if the machine had lost power."""

from __future__ import annotations

import os
import signal

_ARMED = os.environ.get("RAFIQ_FAULT", "")


def point(name: str) -> None:
    """Nothing; in a process started with RAFIQ_FAULT=<name>, the end of it (SIGKILL)."""
    if _ARMED and name == _ARMED:
        os.kill(os.getpid(), signal.SIGKILL)
