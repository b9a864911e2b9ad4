"""Rasa's memory of a conversation: one row a conversation in our PostgreSQL.

Rasa's own SQL store keeps a row per event, counts them at every save and goes through an ORM; here the
conversation's events are one compressed JSON value, read once and written once a turn. Conversations
rotate, so the value stays small; erasing a conversation is deleting its row.
"""

import json
import zlib
from typing import Any, Dict, Iterable, List, Optional, Text

import psycopg2
from rasa.core.brokers.broker import EventBroker
from rasa.core.tracker_store import SerializedTrackerAsText, TrackerStore
from rasa.shared.core.domain import Domain
from rasa.shared.core.trackers import DialogueStateTracker

# of what was understood, only what a later turn can need
KEPT_OF_PARSE_DATA = ("intent", "entities", "text", "labels")
# planned once for each connection
PREPARED = """
    PREPARE load (text) AS SELECT events FROM rasa_tracker WHERE conversation = $1;
    PREPARE save (text, bytea) AS
        INSERT INTO rasa_tracker (conversation, events) VALUES ($1, $2)
        ON CONFLICT (conversation) DO UPDATE SET events = excluded.events, updated_at = now()
"""


class PostgresTrackerStore(TrackerStore, SerializedTrackerAsText):
    """Stores trackers in the table `rasa_tracker`, which the service's migrations make."""

    def __init__(
        self,
        domain: Optional[Domain],
        host: Text,
        event_broker: Optional[EventBroker] = None,
        **kwargs: Any,
    ) -> None:
        self._address = host  # `url` in endpoints.yml
        self._connection: Any = None
        super().__init__(domain, event_broker, **kwargs)

    async def retrieve(self, sender_id: Text) -> Optional[DialogueStateTracker]:
        """The conversation's tracker, or None for a new one. Raises when the database does not answer."""
        rows = self._execute("EXECUTE load (%s)", (sender_id,))
        if not rows or self.domain is None:
            return None
        events = json.loads(zlib.decompress(bytes(rows[0][0])))
        return DialogueStateTracker.from_dict(sender_id, events, self.domain.slots)

    async def save(self, tracker: DialogueStateTracker) -> None:
        """Write the conversation's events. Raises when the database does not answer."""
        events = [_slim(event.as_dict()) for event in tracker.events]
        self._execute(
            "EXECUTE save (%s, %s)",
            (tracker.sender_id, psycopg2.Binary(zlib.compress(json.dumps(events).encode(), 1))),
        )

    async def keys(self) -> Iterable[Text]:
        """The ids of all conversations."""
        return [row[0] for row in self._execute("SELECT conversation FROM rasa_tracker", ())]

    def _execute(self, statement: Text, values: Any) -> List[Any]:
        try:
            return self._execute_once(statement, values)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            self._connection = None  # the server restarted: one new connection, then the error is real
            return self._execute_once(statement, values)

    def _execute_once(self, statement: Text, values: Any) -> List[Any]:
        if self._connection is None:
            connection = psycopg2.connect(
                self._address,
                connect_timeout=5,
                application_name="rafiq rasa",
                options="-c synchronous_commit=off",  # the turn commits after it, and takes it to the disk
            )
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(PREPARED)
            self._connection = connection
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall()) if cursor.description else []


def _slim(event: Dict[Text, Any]) -> Dict[Text, Any]:
    parsed = event.get("parse_data")
    if parsed:
        event["parse_data"] = {key: parsed[key] for key in KEPT_OF_PARSE_DATA if key in parsed}
    return event
