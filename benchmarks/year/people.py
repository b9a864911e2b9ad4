"""Enrolled people in PostgreSQL, each somewhere in their year, and the work of a day that came due."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from bot.checkins import schedule
from bot.db.encryption import Vault
from bot.journeys.context import ALPHABET

CHANNEL, ZONE = "telegram", "Africa/Dakar"  # what case events may name
ROUNDS = schedule.of_file().wanted(12)
SILENT, GONE = 3, 6  # one in so many does not answer and is reminded; not even then, and is let go
LEAST = 500  # due rows below which a cost per row says little: then several days' work came due at once
ANSWERS = {"E1": "always", "E2": "running", "S1": "yes", "P1": "ok", "F1": "yes", "H1": "no"}
HISTORY = 3  # messages that each person had before
COLUMNS = {
    "person": "id, key, language",
    "address": "id, person_id, channel, digest, address_sealed, last_heard_at",
    "conversation": "id, address_id, person_id, rasa_id",
    "inbox": "channel, external_digest, conversation_id, kind, content_sealed, status",
    "outbox": "conversation_id, seq, content_sealed, status, sent_at",
    "case_event": "key, type, person_id, payload, status",
    "enrolment": "id, reference, person_id, conversation_id, status, returned_on, zone",
    "checkin": "enrolment_id, person_id, round, form, status, answers_sealed, due_at, next_at",
    "appointment": "id, reference, person_id, conversation_id, status, answers_sealed, wall, zone, starts_at",
    "reminder": "appointment_id, hours, due_at, done_at",
}
_NUMBERED = [table for table, columns in COLUMNS.items() if columns.startswith("id,")]


@dataclass
class Due:
    """What the work leads to: messages by conversation, and people whom staff try to reach otherwise."""

    at: datetime  # the simulated moment, in the hours for check-ins
    days: int  # whose work came due
    rows: int = 0
    messages: Counter[int] = field(default_factory=Counter)
    unreached: set[int] = field(default_factory=set)


def enrol(url: str, vault: Vault, number: int) -> Due:
    """Fill an empty database with so many people, spread over the year after their return."""
    now = datetime.now(UTC)
    a_day = number * (len(ROUNDS) * (1 + 1 / SILENT + 1 / GONE) + 1) / 365
    noon = datetime.combine(now.date() + timedelta(days=1), time(12), UTC)
    due = Due(schedule.of_file().allowed(noon, ZONE), max(1, round(LEAST / a_day)))
    people = _People(due, vault, now, random.Random(number))  # noqa: S311 (the same people every time)
    with psycopg.connect(url) as connection:
        for person in range(1, number + 1):
            people.add(person)
            if person % 5000 == 0 or person == number:
                people.copy(connection)
        for table in _NUMBERED:
            connection.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", (table, number))
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    return due


class _People:
    """Rows on their way to the database."""

    def __init__(self, due: Due, vault: Vault, now: datetime, chance: random.Random) -> None:
        self._due, self._vault, self._now, self._chance = due, vault, now, chance
        self._rows: dict[str, list[Sequence[Any]]] = {table: [] for table in COLUMNS}

    def add(self, person: int) -> None:
        """One person with a past; their number is that of their rows."""
        vault, now, rows, name = self._vault, self._now, self._rows, str(person)
        key = vault.new_key()
        sealed = vault.seal(key, ANSWERS)
        rows["person"].append((person, key, "fr"))
        digest = vault.digest(CHANNEL, name)
        rows["address"].append((person, person, CHANNEL, digest, vault.seal(key, name), now - timedelta(days=5)))
        rows["conversation"].append((person, person, person, f"conversation-{person}"))
        for number in range(HISTORY):
            before = now - timedelta(days=10 + number)
            event = vault.digest(name, str(number))
            rows["inbox"].append((CHANNEL, event, person, "text", sealed, "done"))
            rows["outbox"].append((person, 1, sealed, "sent", before))
            told = {"data": {"ref": _reference("CK", person)}}
            rows["case_event"].append((f"{person}:{number}", "checkin.completed", person, Jsonb(told), "delivered"))
        returned_on = self._due.at.date() - timedelta(days=self._chance.randrange(380))
        rows["enrolment"].append((person, _reference("CK", person), person, person, "active", returned_on, ZONE))
        busy = False
        for one in ROUNDS:
            begins = schedule.of_file().due(returned_on, one, ZONE, person)
            status = self._status((self._due.at.date() - begins.date()).days, busy)
            is_due = status != "completed" and begins.date() <= self._due.at.date()
            busy |= is_due
            next_at = now if is_due else begins if status == "planned" else None
            answered = sealed if status == "completed" else None
            rows["checkin"].append((person, person, one.id, one.form, status, answered, begins, next_at))
            if is_due:
                self._expect(person, silent=status == "reminded")
        self._interview(person, sealed)

    def _status(self, age: int, busy: bool) -> str:
        """Of a check-in that was due so many days ago; a person has one in work at a time."""
        days = self._due.days
        if age < 0 or (not busy and age < days):
            return "planned"
        if not busy and 3 <= age < 3 + days and self._chance.randrange(SILENT) == 0:
            return "sent"
        if not busy and 6 <= age < 6 + days and self._chance.randrange(GONE) == 0:
            return "reminded"
        return "completed"

    def _expect(self, person: int, silent: bool) -> None:
        self._due.rows += 1
        if silent:
            self._due.unreached.add(person)
        else:
            self._due.messages[person] += 1

    def _interview(self, person: int, sealed: bytes) -> None:
        """An interview in two days, of which they are reminded now, or one of long ago."""
        coming = self._chance.randrange(365) < self._due.days
        starts_at = self._due.at + timedelta(days=2 if coming else -400)
        status = "confirmed" if coming else "done"
        wall = starts_at.strftime("%Y-%m-%dT%H:%M")
        self._rows["appointment"].append(
            (person, _reference("RV", person), person, person, status, sealed, wall, ZONE, starts_at)
        )
        due_at = self._now if coming else starts_at - timedelta(hours=48)
        self._rows["reminder"].append((person, 48, due_at, None if coming else due_at))
        if coming:
            self._expect(person, silent=False)

    def copy(self, connection: psycopg.Connection[Any]) -> None:
        """Write them down."""
        with connection.cursor() as cursor:
            for table, rows in self._rows.items():
                columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS[table].split(", ")))
                statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), columns)
                with cursor.copy(statement) as copy:
                    for row in rows:
                        copy.write_row(row)
                rows.clear()


def _reference(prefix: str, number: int) -> str:
    letters = []
    for _ in range(5):
        number, place = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[place])
    return f"{prefix}-{''.join(letters)}"
