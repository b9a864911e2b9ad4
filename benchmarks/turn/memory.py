"""How much memory each process takes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import psutil

NAMES = {"bot.web": "service", "bot.rasa": "Rasa", "case-receiver": "case receiver", "bot.cli": "supervisor"}


def proportional() -> bool:
    """Whether memory that processes share can be divided among them (PSS, Linux); else it counts for each (RSS)."""
    return Path("/proc/self/smaps_rollup").exists()


def of(pid: int, postgres: Path) -> dict[str, float]:
    """Megabytes of this process, its descendants and the PostgreSQL of this folder, by name."""
    postmaster = int((postgres / "postmaster.pid").read_text().split()[0])
    taken: dict[str, float] = {}
    for process in _family([pid]):
        command = process.cmdline()
        name = next(
            (shown for part, shown in NAMES.items() if part in command), "Rasa" if "rasa" in command else "other"
        )
        taken[name] = taken.get(name, 0.0) + _megabytes(process)
    taken["PostgreSQL"] = sum(_megabytes(process) for process in _family([postmaster]))
    return taken


def _family(pids: Iterable[int]) -> list[psutil.Process]:
    parents = [psutil.Process(pid) for pid in pids]
    return [*parents, *(child for parent in parents for child in parent.children(recursive=True))]


def _megabytes(process: psutil.Process) -> float:
    if proportional():
        try:
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            return 0.0
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return float(process.memory_info().rss) / 1024 / 1024
