"""What this process counts for Prometheus (/metrics). No label is anybody's, and each has few values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily

REGISTRY = CollectorRegistry()
CHANNELS = ("telegram", "whatsapp", "web", "terminal")
SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 120)

TURNS = Counter("rafiq_turns", "Turns taken, by how they ended", ["channel", "outcome"], registry=REGISTRY)
TURN_SECONDS = Histogram(
    "rafiq_turn_seconds", "From the arrival of a message to the commit of its answer", ["channel"],
    registry=REGISTRY, buckets=SECONDS,
)  # fmt: skip
DELIVERIES = Counter(
    "rafiq_deliveries", "Messages given to a platform, by what it said", ["channel", "outcome"], registry=REGISTRY
)
CASE_POSTS = Counter(
    "rafiq_case_posts", "Events posted to the case backend, by outcome", ["outcome"], registry=REGISTRY
)
FORGED = Counter(
    "rafiq_forged_requests", "Requests refused because they were not signed as they should be", ["door"],
    registry=REGISTRY,
)  # fmt: skip
RASA_UP = Gauge("rafiq_rasa_up", "Whether Rasa answered when it was last asked", registry=REGISTRY)
DATABASE_UP = Gauge("rafiq_database_up", "Whether the database answered this request", registry=REGISTRY)

# what the database tells when it is asked, the same from every process
STATE: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "rafiq_inbox_waiting": ("Messages of people whose turn has not come", ()),
    "rafiq_inbox_oldest_seconds": ("How long the oldest of them waits", ()),
    "rafiq_outbox_waiting": ("Messages to people that may go now", ("kind",)),
    "rafiq_outbox_oldest_seconds": ("How long the oldest of them waits", ("kind",)),
    "rafiq_outbox_held": ("Messages held until the person writes, or is known again", ()),
    "rafiq_outbox_failed": ("Messages that were given up", ()),
    "rafiq_case_events_waiting": ("Events that the case backend does not have yet", ()),
    "rafiq_case_events_oldest_seconds": ("How long the oldest of them waits", ()),
    "rafiq_case_events_dead": ("Events that were given up", ()),
    "rafiq_handoffs_waiting": ("Handoffs that nobody took", ("priority",)),
    "rafiq_handoffs_late": ("Handoffs that nobody took within the promised time", ("priority",)),
}


class Sample(NamedTuple):
    """One number of `STATE`."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


def channel(name: str) -> str:
    """The channel's name as a label."""
    return name if name in CHANNELS else "other"


def text(state: Iterable[Sample]) -> bytes:
    """All of it, as Prometheus reads it."""
    families = {name: GaugeMetricFamily(name, words, labels=labels) for name, (words, labels) in STATE.items()}
    for sample in state:
        families[sample.name].add_metric(sample.labels, sample.value)
    now = CollectorRegistry()
    now.register(_Told([family for family in families.values() if family.samples]))
    return generate_latest(REGISTRY) + generate_latest(now)


class _Told:
    def __init__(self, families: list[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> list[GaugeMetricFamily]:
        """What the database told."""
        return self._families
