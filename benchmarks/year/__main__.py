"""Measures a day of due work among 1,000, 10,000 and 100,000 enrolled people; writes docs/scale.md: `make year`."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg

from benchmarks.turn import memory
from benchmarks.year import people, worker
from bot.db import embedded, migrate
from bot.db.encryption import Vault
from bot.settings import ROOT

REPORT = ROOT / "docs" / "scale.md"
SIZES, WORKERS = (1_000, 10_000, 100_000), 4
PATIENCE = 3600.0
COUNTED = ("queries", "pages")  # what is counted, not measured
GROWTH = 1.5  # of queries and pages a row, from the fewest people to the most: beyond it something reads too much
_LEFT = """SELECT EXISTS (SELECT 1 FROM checkin WHERE next_at <= now())
    OR EXISTS (SELECT 1 FROM reminder WHERE done_at IS NULL AND due_at <= now())
    OR EXISTS (SELECT 1 FROM outbox WHERE status IN ('queued', 'sending'))"""
_PAGES = "SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()"
_READ_WHOLE = """SELECT relname, seq_tup_read FROM pg_stat_user_tables
    WHERE seq_tup_read > 0 ORDER BY seq_tup_read DESC LIMIT 3"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One size."""

    enrolled: int
    due: people.Due
    took: float
    queries: int
    pages: int
    seconds: float  # of the workers' processors
    server_seconds: float
    megabytes: float  # of a worker
    server_megabytes: float
    whole: Sequence[tuple[str, int]]  # tables that were read from end to end, and rows so read

    @property
    def row(self) -> str:
        """A line of the table."""
        due = self.due.rows
        return " | ".join(
            (
                f"| {self.enrolled:,}",
                f"{due:,} ({self.due.days} day{'s' if self.due.days > 1 else ''})",
                f"{self.took / 60:.1f}",
                f"{self.took / due * 1000:.0f}",
                f"{(self.seconds + self.server_seconds) / due * 1000:.0f}",
                f"{self.queries / due:.1f}",
                f"{self.pages / due:,.0f}",
                f"{self.megabytes:.0f}",
                f"{self.server_megabytes:.0f} |",
            )
        )


def main() -> None:
    """Every size, one after the other, on a PostgreSQL of its own.

    1 when a row was not claimed just once, or when a row costs more among many people than among few.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.year", description=__doc__)
    parser.add_argument("--enrolled", type=int, nargs="+", default=SIZES)
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--dry", action="store_true", help="print, but leave docs/scale.md as it is")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # nothing that was started outlives this
    with tempfile.TemporaryDirectory(prefix="rafiq-year-") as temporary:
        measured = [_measure(Path(temporary) / str(size), size, given.workers) for size in given.enrolled]
    text = "\n".join(_report(measured, given.workers)) + "\n"
    if not given.dry:
        REPORT.write_text(text, encoding="utf-8")
    print("\n" + text)
    grown = {name: factor for name, factor in _growth(measured).items() if name in COUNTED and factor > GROWTH}
    if grown:
        raise SystemExit(f"a row costs more among many people: {grown}")


def _measure(folder: Path, enrolled: int, workers: int) -> Measured:
    master = os.urandom(32)
    url = embedded.start(folder)
    try:
        migrate.upgrade(url)
        print(f"{enrolled:,} people are written down", end="", flush=True)
        began = time.monotonic()
        due = people.enrol(url, Vault(master), enrolled)
        print(f" in {time.monotonic() - began:.0f} s; {due.rows:,} rows are due", flush=True)
        with psycopg.connect(url, autocommit=True) as connection:
            return _work(connection, url, folder, master, enrolled, due, workers)
    finally:
        embedded.stop(folder)


def _work(
    connection: psycopg.Connection[Any],
    url: str,
    folder: Path,
    master: bytes,
    enrolled: int,
    due: people.Due,
    workers: int,
) -> Measured:
    context = multiprocessing.get_context("spawn")
    begin, end, results = context.Event(), context.Event(), context.Queue()
    given = (url, master, due.at, begin, end, results)
    processes = [context.Process(target=worker.run, args=given, daemon=True) for _ in range(workers)]
    for process in processes:
        process.start()
    try:
        for _ in processes:
            results.get(timeout=120)
        connection.execute("SELECT pg_stat_reset()")
        used, began = _server_seconds(folder), time.monotonic()
        begin.set()
        while connection.execute(_LEFT).fetchone() != (False,):
            if time.monotonic() - began > PATIENCE or not all(process.is_alive() for process in processes):
                raise SystemExit("the work did not come to its end")
            time.sleep(0.25)
        took, used = time.monotonic() - began, _server_seconds(folder) - used
        server_megabytes = memory.of(os.getpid(), folder)["PostgreSQL"]
        end.set()
        worked: list[worker.Worked] = [results.get(timeout=120) for _ in processes]
        for process in processes:
            process.join()
    finally:
        for process in processes:
            process.kill()  # long ended, unless this run was ended before
            process.join()
    pages = connection.execute(_PAGES).fetchone()  # before the oracle reads everything itself
    whole = connection.execute(_READ_WHOLE).fetchall()
    _once(connection, due, [one for each in worked for one in each.sent])
    queries = sum((Counter(each.queries) for each in worked), Counter())
    return Measured(
        enrolled,
        due,
        took,
        queries["work"],
        pages[0] if pages else 0,
        sum(each.seconds for each in worked),
        used,
        max(each.megabytes for each in worked),
        server_megabytes,
        whole,
    )


def _server_seconds(folder: Path) -> float:
    """What PostgreSQL has taken of the processors, with what ended of it."""
    postmaster = psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))
    ended = postmaster.cpu_times()
    living = [process.cpu_times() for process in [postmaster, *postmaster.children(recursive=True)]]
    return sum(one.user + one.system for one in living) + ended.children_user + ended.children_system


def _once(connection: psycopg.Connection[Any], due: people.Due, sent: Sequence[str]) -> None:
    """Each due row led to one message that was sent once, or to one handoff; nothing else happened."""
    written = connection.execute(
        "SELECT conversation_id, public_id::text, status FROM outbox WHERE unasked ORDER BY id"
    ).fetchall()
    assert Counter(conversation for conversation, _, _ in written) == due.messages, "written once each"
    assert {status for _, _, status in written} <= {"sent"}, "all of them sent"
    assert Counter(sent) == Counter(our_id for _, our_id, _ in written), "sent once each"
    handed = connection.execute("SELECT person_id FROM handoff WHERE reason = 'checkin_unreached'").fetchall()
    assert Counter(person for (person,) in handed) == Counter(due.unreached), "handed over once each"


def _growth(measured: Sequence[Measured]) -> dict[str, float]:
    """How many times as much a row costs among the most people as among the fewest."""
    few, many = measured[0], measured[-1]
    costs: dict[str, Callable[[Measured], float]] = {
        "queries": lambda one: one.queries,
        "pages": lambda one: one.pages,
        "processor time": lambda one: one.seconds + one.server_seconds,
    }
    return {name: (cost(many) / many.due.rows) / (cost(few) / few.due.rows) for name, cost in costs.items()}


def _report(measured: Sequence[Measured], workers: int) -> list[str]:
    """The page."""
    read = "; ".join(
        f"{one.enrolled:,} enrolled: " + ", ".join(f"{table} {rows:,}" for table, rows in one.whole) for one in measured
    )
    return [
        "# A simulated year at scale",
        "",
        "Enrolled people, each somewhere in the year after their return, with a past (messages, answers, interviews). "
        f"The work of one day comes due at once: check-ins that begin, that are remembered (one of {people.SILENT} is "
        f"silent), that are let go (one of {people.GONE}), and reminders of interviews. {workers} processes with the "
        "lanes of the service claim it, write the messages and deliver them to a channel that takes everything at "
        f"once. Where a day has fewer than {people.LEAST} due rows, the work of several days came due.",
        "",
        f"`make year` on {datetime.now(UTC).date()}, {platform.machine()}, {os.cpu_count()} processors, "
        f"PostgreSQL on the same machine.",
        "",
        "| enrolled | due rows | minutes | ms a row | processor ms a row | queries a row | pages a row | MB a worker | "
        "MB PostgreSQL |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        *(one.row for one in measured),
        "",
        "*Claimed once each*: every due row led to one message, which the channel saw once, or to one handoff; the run "
        "ends with an error otherwise. *Queries* are those of the work itself. *Pages* are the 8 KB pages that "
        "PostgreSQL touched, whether in memory or not: what grows when an index is missing.",
        "",
        f"*Cost of a row* among {measured[-1].enrolled:,} people, as many times as among {measured[0].enrolled:,}: "
        + ", ".join(f"{name} {factor:.2f}" for name, factor in _growth(measured).items())
        + f". The run ends with an error where {' or '.join(COUNTED)} a row grow beyond {GROWTH}; processor time "
        "depends on what else the machine does.",
        "",
        f"Rows read from end to end, the most first: {read}.",
        "",
        "A real platform is slower than this: Telegram takes 26 messages a second from us, and WhatsApp as many people "
        "a day as our tier says (`docs/delivery.md`).",
    ]


if __name__ == "__main__":
    main()
