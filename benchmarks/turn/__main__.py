"""Measures what a turn costs, prints a table, writes it to benchmarks/turn.md: `make bench`."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from benchmarks.turn import memory, rafiq, stock
from benchmarks.turn.load import Level, Measured, Side, measure, rehearse
from bot.db import embedded

TABLE = Path(__file__).resolve().parent.parent / "turn.md"
PAUSE = 0.25  # seconds between an answer and the next message where the machine is to be idle
IDLE_MEDIAN = 150.0  # milliseconds, to reach
MEMORY = 1500.0  # megabytes, to reach
LEVELS = (Level("1, idle", 1, 20, PAUSE), Level("1", 1, 15), Level("8", 8, 20), Level("64", 64, 30))
QUICK = (Level("1, idle", 1, 4, PAUSE), Level("1", 1, 2), Level("8", 8, 3), Level("64", 64, 4))


@dataclass(frozen=True, slots=True)
class Results:
    """One side's measurements, and its megabytes by process."""

    measured: Sequence[Measured]
    memory: Mapping[str, float]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.turn", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds: whether it works, not how fast")
    parser.add_argument("--ours-only", action="store_true", help="without stock Rasa")
    given = parser.parse_args()
    levels, warm_up = (QUICK, 0.5) if given.quick else (LEVELS, 3.0)
    with tempfile.TemporaryDirectory(prefix="rafiq-bench-") as temporary:
        var, folder = Path(temporary) / "var", Path(temporary) / "stock"
        var.mkdir()
        folder.mkdir()
        model = None if given.ours_only else stock.trained(folder)
        ours, theirs = uvloop.run(_run(levels, warm_up, var, folder, model))
    text = "\n".join(_table(ours, theirs, " ".join(["python -m benchmarks.turn", *sys.argv[1:]]))) + "\n"
    if not given.quick:
        TABLE.write_text(text, encoding="utf-8")
    print("\n" + text)


async def _run(
    levels: Sequence[Level], warm_up: float, var: Path, folder: Path, model: Path | None
) -> tuple[Results, Results | None]:
    """Measure Rafiq, then stock Rasa if there is a model for it, on the same PostgreSQL."""
    me = asyncio.current_task()
    assert me is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)  # what was started is stopped
    async with rafiq.running(var) as side:
        ours = await _measure("Rafiq", side, side.pid, levels, warm_up, var / "postgres")
    if rafiq.BotApi.unexpected:
        print(f"{rafiq.BotApi.unexpected} messages more than one a turn: latencies are too low", flush=True)
    if model is None:
        return ours, None
    url = await asyncio.to_thread(embedded.start, var / "postgres")
    try:
        async with stock.running(model, url, folder) as other:
            return ours, await _measure("stock Rasa", other, other.pid, levels, warm_up, var / "postgres")
    finally:
        await asyncio.to_thread(embedded.stop, var / "postgres")


async def _measure(name: str, side: Side, pid: int, levels: Sequence[Level], warm_up: float, postgres: Path) -> Results:
    await rehearse(side)
    measured = []
    for level in levels:
        print(f"{name}: {level.name} at once, {level.seconds:.0f} s", flush=True)
        measured.append(await measure(side, level, warm_up))
        await asyncio.sleep(1)
    return Results(measured, memory.of(pid, postgres))


def _table(ours: Results, theirs: Results | None, command: str) -> Iterator[str]:
    kind = "PSS" if memory.proportional() else "RSS"
    sides = [("Rafiq", ours), *([("stock Rasa", theirs)] if theirs else [])]
    yield "# What a turn costs"
    yield ""
    yield f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}: `{command}`"
    yield ""
    yield "Rafiq, as `make run` starts it: from Telegram's request at the webhook to the call of sendMessage."
    if theirs:
        yield (
            f"Stock Rasa 3.6.21: from the request at its REST channel to the reply, DIET ({stock.EPOCHS} epochs), "
            "SQL tracker store on the same PostgreSQL."
        )
    yield "Each person writes the next message when the answer is there" + f" (idle: {PAUSE * 1000:.0f} ms later)."
    yield ""
    yield "| conversations at once |" + "".join(f" {name}: turns/s | median ms | 95th pct ms |" for name, _ in sides)
    yield "|---" * (1 + 3 * len(sides)) + "|"
    for row in zip(*(side.measured for _, side in sides), strict=True):
        cells = (f" {_rate(one)} | {one.median:.0f} | {one.p95:.0f} |" for one in row)
        yield f"| {row[0].level.name} |" + "".join(cells)
    yield ""
    yield f"| memory, MB ({kind}, after the load) |" + "".join(f" {name} |" for name, _ in sides)
    yield "|---" * (1 + len(sides)) + "|"
    for process in dict.fromkeys(process for _, side in sides for process in side.memory):
        cells = (f" {side.memory[process]:.0f} |" if process in side.memory else " |" for _, side in sides)
        yield f"| {process} |" + "".join(cells)
    yield "| all |" + "".join(f" {sum(side.memory.values()):.0f} |" for _, side in sides)
    yield ""
    yield from _reached(ours, theirs)


def _rate(measured: Measured) -> str:
    return "" if measured.level.pause else f"{measured.per_second:.1f}"


def _reached(ours: Results, theirs: Results | None) -> Iterator[str]:
    """The three aims, each with its number."""
    idle, taken = ours.measured[0].median, sum(ours.memory.values())
    yield f"- idle median {IDLE_MEDIAN:.0f} ms or less: {_verdict(idle <= IDLE_MEDIAN)}, {idle:.0f} ms"
    yield f"- all processes together {MEMORY / 1000:.1f} GB or less: {_verdict(taken <= MEMORY)}, {taken / 1000:.2f} GB"
    if theirs:
        pairs = list(zip(ours.measured, theirs.measured, strict=True))[1:]
        times = ", ".join(f"{a.per_second / b.per_second:.1f} times its turns/s at {a.level.name}" for a, b in pairs)
        slower = any(a.per_second < b.per_second for a, b in pairs)
        yield f"- not slower than stock Rasa: {_verdict(not slower)}, {times}"


def _verdict(reached: bool) -> str:
    return "reached" if reached else "missed"


if __name__ == "__main__":
    main()
